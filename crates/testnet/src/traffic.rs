//! Capture files to measure and count with: any number of packets, the same bytes for the same wish.
//!
//! Nothing is drawn from a generator with a state: every property of a conversation or packet is a hash of its number,
//! so that parts of the plan can change without changing the rest. Sizes follow the simple IMIX (7 : 4 : 1 of 64, 594
//! and 1518 bytes on the wire, stored without the checksum), packets per conversation Zipf's law with exponent 1.

use std::collections::HashSet;
use std::io::{self, Write};

use frame::{Sender, Wire};

mod frame;

/// A capture to be written.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// What kind of.
    pub kind: TrafficKind,
    /// Packets in all. Conversations need eight each at most, two at least.
    pub packets: u64,
    /// Conversations in all.
    pub conversations: u32,
    /// Bytes kept of a packet; 0 for all of it.
    pub snap_len: u32,
    /// Another one gives other traffic of the same kind.
    pub seed: u64,
}

/// Kinds of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficKind {
    /// TCP, UDP and DNS of all sizes, 15 % of it IPv6, within 58 seconds.
    Mix,
    /// Conversations of two packets of 60 bytes each, the answer up to 5 seconds after the question.
    Small,
    /// The mix inside tunnels, labels and tags ([`Tunnel`]).
    Tunnels,
}

/// What a conversation is carried by, all its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tunnel {
    /// Nothing.
    Plain,
    /// RFC 7348.
    Vxlan,
    /// IP in GRE, RFC 2784.
    Gre,
    /// Ethernet in GRE with a key, RFC 7637.
    GreEthernet,
    /// RFC 8926, with an option.
    Geneve,
    /// One to three labels, RFC 3032.
    Mpls,
    /// Two tags, IEEE 802.1ad.
    QinQ,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub wire_bytes: u64,
    /// Conversations, each two ways.
    pub conversations: u64,
    /// Different pairs of addresses and network ids that carry some of them: tunnels and label-switched paths.
    pub carriers: u64,
    /// Packets with a carrier: they count for two flows.
    pub carried_packets: u64,
}

/// Who talks to whom, and how much.
#[derive(Clone, Debug)]
struct Conversation {
    number: u32,
    tunnel: Tunnel,
    is_tcp: bool,
    is_v6: bool,
    is_dns: bool,
    client: u32,
    server: u32,
    client_port: u16,
    server_port: u16,
    packets: u32,
    /// Where the streams of client and server are.
    sent: [u32; 2],
}

/// A packet in the order of time; times in microseconds from the start.
type Event = (u64, u32, u32);

/// 2023-11-14 22:13:20 UTC.
const START_S: u64 = 1_700_000_000;
const SECOND: u64 = 1_000_000;
/// Packets of TCP that carry nothing: three at each end.
const CONTROL: u32 = 3;
/// Most packets a second of one conversation: it lasts so long.
const PACE: u64 = 20_000;

impl Traffic {
    /// 2 million packets of 100,000 conversations.
    pub fn mix() -> Self {
        Self { kind: TrafficKind::Mix, packets: 2_000_000, conversations: 100_000, snap_len: 0, seed: 1 }
    }

    /// 2 million packets of a million conversations.
    pub fn small() -> Self {
        Self { kind: TrafficKind::Small, packets: 2_000_000, conversations: 1_000_000, snap_len: 0, seed: 2 }
    }

    /// A million packets of 50,000 conversations.
    pub fn tunnels() -> Self {
        Self { kind: TrafficKind::Tunnels, packets: 1_000_000, conversations: 50_000, snap_len: 0, seed: 3 }
    }

    /// Writes the capture: pcap, microseconds, Ethernet.
    ///
    /// # Panics
    /// When there are too few packets for the conversations.
    pub fn write(&self, out: &mut impl Write) -> io::Result<Written> {
        let mut conversations = self.conversations();
        let mut events = self.events(&conversations);
        events.sort_unstable();
        let small_share = small_share(&conversations, events.len());

        let snap_len = if self.snap_len == 0 { 262_144 } else { self.snap_len };
        out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        out.write_all(&snap_len.to_le_bytes())?;
        out.write_all(&1_u32.to_le_bytes())?;

        let mut written = Written { conversations: conversations.len() as u64, ..Written::default() };
        let mut carriers = HashSet::new();
        let mut wire = Wire::new(self.seed);
        for (at, number, index) in events {
            let conversation = &mut conversations[number as usize];
            let (sender, payload, flags) = self.say(conversation, index, small_share);
            let frame = wire.frame(conversation, sender, payload, flags);
            written.packets += 1;
            written.wire_bytes += frame.len() as u64;
            if let Some(carrier) = conversation.carrier() {
                carriers.insert(carrier);
                written.carried_packets += 1;
            }
            let kept = frame.len().min(snap_len as usize);
            for word in [START_S + at / SECOND, at % SECOND, kept as u64, frame.len() as u64] {
                out.write_all(&(word as u32).to_le_bytes())?;
            }
            out.write_all(&frame[..kept])?;
        }
        written.carriers = carriers.len() as u64;
        out.flush()?;
        Ok(written)
    }

    fn conversations(&self) -> Vec<Conversation> {
        let mut conversations: Vec<_> =
            (0..self.conversations).map(|number| self.conversation(number)).collect();
        if self.kind == TrafficKind::Small {
            return conversations;
        }
        let least: u64 = conversations.iter().map(|c| u64::from(c.packets)).sum();
        let rest = self.packets.checked_sub(least).expect("packets enough for the conversations");
        // DNS stays a question and an answer; the others share what is left by their rank.
        let mut ranked: Vec<&mut Conversation> = conversations.iter_mut().filter(|c| !c.is_dns).collect();
        let weights: f64 = (1..=ranked.len()).map(|rank| 1.0 / rank as f64).sum();
        let mut given = 0;
        for (rank, conversation) in (1..).zip(&mut ranked) {
            let share = (rest as f64 / weights / f64::from(rank)) as u32;
            conversation.packets += share;
            given += u64::from(share);
        }
        // Rounding left fewer than one for each.
        for conversation in ranked.iter_mut().take((rest - given) as usize) {
            conversation.packets += 1;
        }
        conversations
    }

    /// One with as few packets as it can have.
    fn conversation(&self, number: u32) -> Conversation {
        let of = |what| hash(self.seed, what, u64::from(number));
        let is_small = self.kind == TrafficKind::Small;
        let is_dns = !is_small && of(1) % 4 == 0;
        let is_tcp = !is_dns && of(2) % 100 < if is_small { 50 } else { 88 };
        let server_port = match of(3) % 10 {
            _ if is_dns => 53,
            0..=5 => 443,
            6..=7 => 80,
            8 => 22,
            _ => 5432,
        };
        Conversation {
            number,
            tunnel: self.tunnel(of(4) % 100),
            is_tcp,
            is_v6: !is_small && of(5) % 100 < 15,
            is_dns,
            // Four conversations a client, each from a port of its own: no two are alike.
            client: 0x0a00_0000 + number / 4,
            server: 0xac10_0000 + (of(6) % 5000) as u32,
            client_port: 1024 + (number % 4) as u16 * 16_000 + (of(7) % 16_000) as u16,
            server_port,
            packets: if is_tcp && !is_small { 8 } else { 2 },
            sent: [of(8) as u32, of(9) as u32],
        }
    }

    fn tunnel(&self, percentile: u64) -> Tunnel {
        match percentile {
            _ if self.kind != TrafficKind::Tunnels => Tunnel::Plain,
            0..30 => Tunnel::Vxlan,
            30..40 => Tunnel::Gre,
            40..50 => Tunnel::GreEthernet,
            50..65 => Tunnel::Geneve,
            65..80 => Tunnel::Mpls,
            _ => Tunnel::QinQ,
        }
    }

    fn events(&self, conversations: &[Conversation]) -> Vec<Event> {
        let mut events = Vec::new();
        for (conversation, number) in conversations.iter().zip(0..) {
            let of = |what| hash(self.seed, what, u64::from(number));
            let count = u64::from(conversation.packets);
            let (span, life) = match self.kind {
                TrafficKind::Small => (15 * SECOND, of(20) % (10 * SECOND) + 2),
                _ => (58 * SECOND, (count * PACE).min(52 * SECOND)),
            };
            let start = of(21) % (span - life.min(span - 1));
            // Each within its own piece of the life: they stay in order.
            let piece = life / count;
            for index in 0..conversation.packets {
                let within = hash(self.seed ^ of(22), 23, u64::from(index)) % piece;
                events.push((start + u64::from(index) * piece + within, number, index));
            }
        }
        events
    }

    /// Who sends a packet, with how many bytes of payload and which TCP flags.
    fn say(&self, c: &Conversation, index: u32, small_share: f64) -> (Sender, usize, u8) {
        use frame::flag::{ACK, FIN, PUSH, SYN};
        let turn = if index.is_multiple_of(2) { Sender::Client } else { Sender::Server };
        if self.kind == TrafficKind::Small {
            return (turn, 0, if index == 0 { SYN } else { SYN | ACK });
        }
        if c.is_dns {
            return (turn, frame::dns_len(turn), 0);
        }
        let draw = hash(self.seed ^ u64::from(c.number) << 32, 30, u64::from(index));
        if c.is_tcp {
            match (index, c.packets - index) {
                (0, _) => return (Sender::Client, 0, SYN),
                (1, _) => return (Sender::Server, 0, SYN | ACK),
                (2, _) | (_, 1) => return (Sender::Client, 0, ACK),
                (_, 3) => return (Sender::Client, 0, FIN | ACK),
                (_, 2) => return (Sender::Server, 0, FIN | ACK),
                _ => {}
            }
        }
        let sender = if index == 0 || draw.is_multiple_of(4) { Sender::Client } else { Sender::Server };
        let frame: usize = if ((draw >> 32) as f64) < small_share * 2f64.powi(32) {
            60
        } else if (draw >> 8) % 5 < 4 {
            590
        } else {
            // What an outer header is put around fits the largest frame still.
            if self.kind == TrafficKind::Tunnels { 1440 } else { 1514 }
        };
        let payload = if frame == 60 && c.is_tcp { 0 } else { frame.saturating_sub(c.headers()) };
        (sender, payload, ACK | if payload > 0 { PUSH } else { 0 })
    }
}

impl Conversation {
    /// Ethernet, network and transport.
    fn headers(&self) -> usize {
        14 + if self.is_v6 { 40 } else { 20 } + if self.is_tcp { 20 } else { 8 }
    }

    /// Network id: 1 to 200.
    fn network_id(&self) -> u32 {
        1 + hash(0, 40, u64::from(self.number)) as u32 % 200
    }

    /// Ends of the tunnel on the client's and the server's side: one of 64 each.
    fn tunnel_ends(&self) -> (u32, u32) {
        let end = |host: u32| hash(0, 41, u64::from(host)) as u32 % 64;
        (0xc612_0001 + (end(self.client) << 8), 0xc613_0001 + (end(self.server) << 8))
    }

    /// What tells the flow around this one from others: labels by the interfaces alone, GRE by its ends alone, the others by
    /// network id too. Tags are not around a flow but part of it.
    fn carrier(&self) -> Option<(u16, u32, u32, u32)> {
        let (near, far) = self.tunnel_ends();
        match self.tunnel {
            Tunnel::Plain | Tunnel::QinQ => None,
            Tunnel::Mpls => {
                Some((frame::MPLS, frame::interface(self.client), frame::interface(self.server), 0))
            }
            Tunnel::Gre | Tunnel::GreEthernet => Some((0, near, far, 0)),
            Tunnel::Vxlan => Some((frame::VXLAN_PORT, near, far, self.network_id())),
            Tunnel::Geneve => Some((frame::GENEVE_PORT, near, far, self.network_id())),
        }
    }
}

/// How many of the packets that carry something must be small, so that of all packets 7 in 12 are.
fn small_share(conversations: &[Conversation], packets: usize) -> f64 {
    let fixed = |c: &Conversation| if c.is_dns { 2 } else { 2 * CONTROL * u32::from(c.is_tcp) };
    let fixed: u64 = conversations.iter().map(|c| u64::from(fixed(c))).sum();
    let free = packets as f64 - fixed as f64;
    ((packets as f64 * 7.0 / 12.0 - fixed as f64) / free).max(0.0)
}

/// A number that looks random, the same for the same question.
fn hash(seed: u64, what: u64, which: u64) -> u64 {
    let mut mixed = which.wrapping_add(seed.rotate_left(24)).wrapping_mul(0xff51_afd7_ed55_8ccd) ^ what << 48;
    for _ in 0..2 {
        mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    }
    mixed ^ mixed >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(traffic: &Traffic) -> (Written, Vec<u8>) {
        let mut file = Vec::new();
        (traffic.write(&mut file).unwrap(), file)
    }

    fn sizes(file: &[u8]) -> Vec<(u32, u32)> {
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let (mut at, mut sizes) = (24, Vec::new());
        while at < file.len() {
            sizes.push((word(at + 8), word(at + 12)));
            at += 16 + word(at + 8) as usize;
        }
        sizes
    }

    #[test]
    fn the_same_wish_gives_the_same_bytes() {
        let wish = Traffic { packets: 3000, conversations: 200, ..Traffic::tunnels() };
        let (first, file) = written(&wish);
        assert_eq!((first, &file), (written(&wish).0, &written(&wish).1));
        assert_ne!(file, written(&Traffic { seed: 4, ..wish }).1);
    }

    #[test]
    fn it_has_the_sizes_and_numbers_asked_for() {
        let wish = Traffic { packets: 20_000, conversations: 1000, snap_len: 96, ..Traffic::mix() };
        let (made, file) = written(&wish);
        let sizes = sizes(&file);
        assert_eq!((made.packets, made.conversations, sizes.len()), (20_000, 1000, 20_000));
        assert_eq!(made.wire_bytes, sizes.iter().map(|(_, wire)| u64::from(*wire)).sum::<u64>());
        assert!(sizes.iter().all(|(kept, wire)| *kept == (*wire).min(96)));
        let share = |of: std::ops::Range<u32>| {
            12.0 * sizes.iter().filter(|(_, wire)| of.contains(wire)).count() as f64 / 20_000.0
        };
        for (of, parts) in [(60..200, 7.0), (590..591, 4.0), (1514..1515, 1.0)] {
            let share = share(of.clone());
            assert!((share - parts).abs() < 0.2, "{of:?}: {share} of 12");
        }
        let small = Traffic { packets: 4000, conversations: 2000, ..Traffic::small() };
        assert!(self::sizes(&written(&small).1).iter().all(|size| *size == (60, 60)));
    }
}
