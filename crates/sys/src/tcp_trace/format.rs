//! Records of the trace point: where its fields are, as the kernel describes it, and how they are read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::TcpChange;
use crate::netlink::SocketState;
use crate::trace::{at, place};

/// Where the fields of `sock:inet_sock_set_state` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateFormat {
    socket: usize,
    old: usize,
    new: usize,
    local_port: usize,
    remote_port: usize,
    family: usize,
    local: usize,
    remote: usize,
    local6: usize,
    remote6: usize,
}

/// `PERF_RECORD_SAMPLE`.
const SAMPLE: u32 = 9;

impl StateFormat {
    /// Reads the kernel's description, the file `format`; `None` when a field is missing or of another size.
    pub fn parse(text: &str) -> Option<Self> {
        let place = |name, size| place(text, name, size);
        Some(Self {
            socket: place("skaddr", size_of::<usize>())?,
            old: place("oldstate", 4)?,
            new: place("newstate", 4)?,
            local_port: place("sport", 2)?,
            remote_port: place("dport", 2)?,
            family: place("family", 2)?,
            local: place("saddr", 4)?,
            remote: place("daddr", 4)?,
            local6: place("saddr_v6", 16)?,
            remote6: place("daddr_v6", 16)?,
        })
    }

    /// Reads a record: its header of 8 bytes, pid and tid, time, and the trace point's own bytes with their length
    /// before them. `None` for anything else.
    pub fn read(&self, record: &[u8]) -> Option<TcpChange> {
        if u32::from_ne_bytes(at(record, 0)?) != SAMPLE {
            return None;
        }
        let raw = record.get(28..)?;
        let family = u16::from_ne_bytes(at(raw, self.family)?);
        let ip = |four: usize, six: usize| -> Option<IpAddr> {
            match i32::from(family) {
                libc::AF_INET => Some(Ipv4Addr::from(at::<4>(raw, four)?).into()),
                libc::AF_INET6 => Some(Ipv6Addr::from(at::<16>(raw, six)?).to_canonical()),
                _ => None,
            }
        };
        let port = |from| at(raw, from).map(u16::from_ne_bytes);
        let state = |from| at(raw, from).map(|number| SocketState::of_number(u32::from_ne_bytes(number)));
        Some(TcpChange {
            at: u64::from_ne_bytes(at(record, 16)?),
            pid: u32::from_ne_bytes(at(record, 8)?),
            socket: usize::from_ne_bytes(at(raw, self.socket)?) as u64,
            old: state(self.old)?,
            new: state(self.new)?,
            local: SocketAddr::new(ip(self.local, self.local6)?, port(self.local_port)?),
            remote: SocketAddr::new(ip(self.remote, self.remote6)?, port(self.remote_port)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "name: inet_sock_set_state
ID: 2287
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:int oldstate;\toffset:16;\tsize:4;\tsigned:1;
\tfield:int newstate;\toffset:20;\tsize:4;\tsigned:1;
\tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;
\tfield:__u16 dport;\toffset:26;\tsize:2;\tsigned:0;
\tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;
\tfield:__u16 protocol;\toffset:30;\tsize:2;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;
\tfield:__u8 daddr[4];\toffset:36;\tsize:4;\tsigned:0;
\tfield:__u8 saddr_v6[16];\toffset:40;\tsize:16;\tsigned:0;
\tfield:__u8 daddr_v6[16];\toffset:56;\tsize:16;\tsigned:0;
";

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_record_is_read_where_the_kernel_says() {
        let format = StateFormat::parse(FORMAT).unwrap();
        assert_eq!((format.local, format.local6), (32, 40));
        let mut record = Vec::new();
        record.extend(SAMPLE.to_ne_bytes());
        record.extend([0; 4]);
        record.extend(7u32.to_ne_bytes()); // pid
        record.extend(8u32.to_ne_bytes()); // tid
        record.extend(99u64.to_ne_bytes()); // time
        record.extend(72u32.to_ne_bytes()); // length of what follows
        record.extend([0; 8]);
        record.extend(0xabcdu64.to_ne_bytes());
        record.extend(2u32.to_ne_bytes());
        record.extend(1u32.to_ne_bytes());
        record.extend(40_000u16.to_ne_bytes());
        record.extend(80u16.to_ne_bytes());
        record.extend(2u16.to_ne_bytes());
        record.extend(6u16.to_ne_bytes());
        record.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        record.extend([0; 32]);
        let change = format.read(&record).unwrap();
        assert_eq!((change.pid, change.at, change.socket), (7, 99, 0xabcd));
        assert_eq!((change.old, change.new), (SocketState::SynSent, SocketState::Established));
        assert_eq!(change.local, "10.0.0.1:40000".parse().unwrap());
        assert_eq!(change.remote, "10.0.0.2:80".parse().unwrap());
        for len in 0..68 {
            assert_eq!(format.read(&record[..len]), None);
        }
    }

    #[test]
    fn another_format_is_refused() {
        assert_eq!(StateFormat::parse(""), None);
        assert_eq!(StateFormat::parse(&FORMAT.replace("newstate", "state")), None);
        assert_eq!(StateFormat::parse(&FORMAT.replace("offset:8;", "offset:99999;")), None);
    }
}
