//! Datagrams as processes send them, in all namespaces: the first of a socket to somebody, more of one that is not
//! connected.
//!
//! No trace point tells of UDP sockets, but a process looks up the route of a datagram in its own context, with the
//! addresses and ports: `fib:fib_table_lookup` and `fib6:fib6_table_lookup` (Linux 5.0). A connected socket remembers its
//! route, so that its packets cost nothing. What is received and forwarded is looked up, too, by whatever runs then: this
//! is not told, and how much there is of it is measured. What may be told is limited by the kernel itself, and where there
//! are too many lookups they are not looked at for some seconds: a flood costs next to nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::trace::ring::{TraceEvent, TraceRing};
use crate::trace::{TraceError, TracePoint, at, open_rings, place};

/// A datagram that is about to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpSent {
    /// When, nanoseconds of a clock of the kernel.
    pub at: u64,
    /// Who sends it, as this process sees it; 0 when it does not.
    pub pid: u32,
    /// Where from; the address is unspecified when the route is to tell it.
    pub local: SocketAddr,
    /// Where to.
    pub remote: SocketAddr,
}

/// Where the fields of a lookup are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupFormat {
    /// The number of the trace point.
    number: u16,
    is_six: bool,
    local: usize,
    remote: usize,
    local_port: usize,
    remote_port: usize,
}

/// The datagrams of all processors. Dropping it ends the tracing.
#[derive(Debug)]
pub struct UdpTrace {
    rings: Vec<Limited>,
    formats: Vec<LookupFormat>,
    ready: OwnedFd,
    told: Vec<UdpSent>,
    record: Vec<u8>,
    /// When the limits were refreshed last, and when lookups were counted from; milliseconds of the reader's clock.
    refreshed: u64,
    counted: u64,
    /// Until when nothing is looked at.
    paused_until: Option<u64>,
    pauses: u64,
}

/// The ring of a processor.
#[derive(Debug)]
struct Limited {
    ring: TraceRing,
    /// How much of its limit each event that tells has used.
    used: [u32; FAMILIES],
    /// How many times [`MOST_LOOKUPS`] lookups were counted.
    counts: u32,
}

/// What is told: what a process sends from a port that servers do not have in common. Nothing in an interrupt, or while
/// they are held off: that is what a tunnel sends on behalf of others.
const SENT: &str = "proto == 17 && iif == 1 && err == 0 && sport > 1023 && !(common_flags & 0xd8)";
/// IPv4, IPv6.
const FAMILIES: usize = 2;
/// Datagrams that are told of for each family and processor between two refreshes.
const MOST: u32 = 100;
/// Time between two refreshes; milliseconds.
const REFRESH: u64 = 100;
/// Lookups on a processor in a second that are too many.
const MOST_LOOKUPS: u64 = 10_000;
/// Time in which they are counted, and for which nothing is looked at after too many; milliseconds.
const COUNT: u64 = 1000;
const PAUSE: u64 = 5000;
/// Bytes of a record without those of the trace point.
const BARE: usize = 24;

impl LookupFormat {
    /// Reads the kernel's description of the trace point of that number, the file `format`; `None` when a field is missing
    /// or of another size.
    pub fn parse(number: u16, is_six: bool, text: &str) -> Option<Self> {
        let size = if is_six { 16 } else { 4 };
        // The filter needs these.
        place(text, "iif", 4).and(place(text, "err", 4)).and(place(text, "proto", 1))?;
        Some(Self {
            number,
            is_six,
            local: place(text, "src", size)?,
            remote: place(text, "dst", size)?,
            local_port: place(text, "sport", 2)?,
            remote_port: place(text, "dport", 2)?,
        })
    }

    /// Reads a record: its header of 8 bytes, pid and tid, time, and the trace point's own bytes with their length
    /// before them. `None` for anything else.
    pub fn read(&self, record: &[u8]) -> Option<UdpSent> {
        const SAMPLE: u32 = 9;
        if u32::from_ne_bytes(at(record, 0)?) != SAMPLE {
            return None;
        }
        let raw = record.get(28..)?;
        if u16::from_ne_bytes(at(raw, 0)?) != self.number {
            return None;
        }
        let ip = |from| -> Option<IpAddr> {
            if self.is_six {
                Some(Ipv6Addr::from(at::<16>(raw, from)?).into())
            } else {
                Some(Ipv4Addr::from(at::<4>(raw, from)?).into())
            }
        };
        let port = |from| at(raw, from).map(u16::from_ne_bytes);
        Some(UdpSent {
            at: u64::from_ne_bytes(at(record, 16)?),
            pid: u32::from_ne_bytes(at(record, 8)?),
            local: SocketAddr::new(ip(self.local)?, port(self.local_port)?),
            remote: SocketAddr::new(ip(self.remote)?, port(self.remote_port)?),
        })
    }
}

impl UdpTrace {
    /// Begins to trace; IPv4 alone where the kernel has no IPv6.
    pub fn start() -> Result<Self, TraceError> {
        const POINTS: [(&str, bool); FAMILIES] =
            [("fib/fib_table_lookup", false), ("fib6/fib6_table_lookup", true)];
        let mut formats = Vec::new();
        for (name, is_six) in POINTS {
            let point = match TracePoint::read(name) {
                Err(_) if is_six => continue,
                other => other?,
            };
            let format = u16::try_from(point.id).ok();
            let format = format.and_then(|number| LookupFormat::parse(number, is_six, &point.format));
            formats.push(format.ok_or(TraceError::Format(name))?);
        }
        let tells = |format: &LookupFormat| TraceEvent {
            trace_point: format.number.into(),
            filter: SENT,
            every: 1,
            is_urgent: true,
            has_bytes: true,
            has_tasks: false,
            most: Some(MOST),
        };
        let counts = |format: &LookupFormat| TraceEvent {
            filter: "",
            every: MOST_LOOKUPS,
            has_bytes: false,
            most: None,
            ..tells(format)
        };
        let events: Vec<_> = formats.iter().map(tells).chain(formats.iter().map(counts)).collect();
        let (rings, ready) = open_rings(&events)?;
        let rings = rings.into_iter().map(|ring| Limited { ring, used: [0; FAMILIES], counts: 0 }).collect();
        let (told, record) = (Vec::new(), Vec::new());
        let (refreshed, counted, paused_until, pauses) = (0, 0, None, 0);
        Ok(Self { rings, formats, ready, told, record, refreshed, counted, paused_until, pauses })
    }

    /// Hands over what was sent since it was read last, in order, as far as it is told. To be called often enough:
    /// [`Self::within`]. `now` is in milliseconds of a clock
    /// that does not go back.
    pub fn read(&mut self, now: u64, each: &mut impl FnMut(&UdpSent)) {
        let Self { rings, formats, told, record, .. } = self;
        told.clear();
        for Limited { ring, used, counts } in rings {
            let lost = ring.read(record, &mut |bytes| {
                let read = formats.iter().enumerate().find_map(|(n, format)| Some((n, format.read(bytes)?)));
                match read {
                    Some((number, sent)) => {
                        used[number] += 1;
                        told.push(sent);
                    }
                    None => *counts += u32::from(bytes.len() == BARE),
                }
            });
            used[0] = used[0].saturating_add(u32::try_from(lost).unwrap_or(MOST));
        }
        told.sort_by_key(|sent| sent.at);
        told.iter().for_each(each);
        self.limit(now);
    }

    /// Milliseconds in which it is to be read again even if it does not wake.
    pub fn within(&self) -> u64 {
        let is_used = self.rings.iter().any(|limited| limited.used != [0; FAMILIES]);
        if is_used && self.paused_until.is_none() { REFRESH } else { COUNT }
    }

    /// Whether some that is sent is not told, as there is too much.
    pub fn is_limited(&self) -> bool {
        let is_used_up = |limited: &Limited| limited.used.iter().any(|used| *used >= MOST);
        self.paused_until.is_some() || self.rings.iter().any(is_used_up)
    }

    /// How many times there were too many lookups, so that none was looked at for five seconds.
    pub fn pauses(&self) -> u64 {
        self.pauses
    }

    /// Refreshes limits, and pauses where there is too much. What the kernel refuses stays as it is.
    fn limit(&mut self, now: u64) {
        let families = self.formats.len();
        if let Some(until) = self.paused_until {
            if now < until {
                return;
            }
            self.paused_until = None;
            self.counted = now;
            for limited in &mut self.rings {
                limited.counts = 0;
                (0..2 * families).for_each(|event| limited.refresh(event, true));
            }
        } else if self.rings.iter().any(|limited| limited.counts > 1) {
            self.paused_until = Some(now + PAUSE);
            self.pauses += 1;
            for limited in &self.rings {
                (0..2 * families).for_each(|event| drop(limited.ring.disable(event)));
            }
            return;
        }
        if now >= self.counted + COUNT {
            self.counted = now;
            self.rings.iter_mut().for_each(|limited| limited.counts = 0);
        }
        if now >= self.refreshed + REFRESH {
            self.refreshed = now;
            for limited in &mut self.rings {
                (0..families).for_each(|event| limited.refresh(event, false));
            }
        }
    }
}

impl Limited {
    /// Gives an event that tells what it has used, which switches it on; one that is off is switched on in any case.
    fn refresh(&mut self, event: usize, is_off: bool) {
        let used = self.used.get_mut(event).map(std::mem::take).unwrap_or_default();
        let _ = match used {
            0 if is_off => self.ring.enable(event),
            0 => Ok(()),
            _ => self.ring.refresh(event, used),
        };
    }
}

impl AsFd for UdpTrace {
    /// Becomes readable when a process sends.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "name: fib_table_lookup
ID: 2264
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:int err;\toffset:12;\tsize:4;\tsigned:1;
\tfield:int iif;\toffset:20;\tsize:4;\tsigned:1;
\tfield:u8 proto;\toffset:24;\tsize:1;\tsigned:0;
\tfield:__u8 src[4];\toffset:28;\tsize:4;\tsigned:0;
\tfield:__u8 dst[4];\toffset:32;\tsize:4;\tsigned:0;
\tfield:u16 sport;\toffset:56;\tsize:2;\tsigned:0;
\tfield:u16 dport;\toffset:58;\tsize:2;\tsigned:0;
";

    #[test]
    fn a_record_is_read_where_the_kernel_says() {
        let format = LookupFormat::parse(2264, false, FORMAT).unwrap();
        let mut record = vec![0; 28];
        record[0] = 9;
        record[8] = 7; // pid
        record[16] = 99; // time
        record.extend(2264u16.to_ne_bytes());
        record.extend([0; 26]);
        record.extend([0, 0, 0, 0, 10, 0, 0, 2]);
        record.extend([0; 20]);
        record.extend(40_000u16.to_ne_bytes());
        record.extend(53u16.to_ne_bytes());
        let sent = UdpSent {
            at: 99,
            pid: 7,
            local: "0.0.0.0:40000".parse().unwrap(),
            remote: "10.0.0.2:53".parse().unwrap(),
        };
        assert_eq!(format.read(&record), Some(sent));
        for len in 0..record.len() {
            assert_eq!(format.read(&record[..len]), None);
        }
        record[28] ^= 1;
        assert_eq!(format.read(&record), None, "another trace point");
    }

    #[test]
    fn another_format_is_refused() {
        assert_eq!(LookupFormat::parse(1, false, ""), None);
        assert_eq!(LookupFormat::parse(1, true, FORMAT), None);
        for field in ["iif", "err", "proto", "sport", "dst["] {
            assert_eq!(LookupFormat::parse(1, false, &FORMAT.replace(field, "other[")), None);
        }
    }
}
