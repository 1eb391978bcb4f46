//! Flows as datagrams to one analyzer.

use std::io;
use std::mem::take;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use skydive_client::Endpoint;
use skydive_flow::RawPacket;
use skydive_proto::FlowMessage;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, sleep_until};

use super::telemetry::{FlowLineTelemetry, Unsent};

/// The way of datagrams to an analyzer.
pub(super) struct Datagrams {
    host: String,
    port: u16,
    /// Made when something is to be sent.
    socket: Option<UdpSocket>,
    pace: Pace,
}

/// Lets no more go at a time than the other end's kernel keeps for it.
struct Pace {
    begin: Instant,
    sent: u32,
}

/// Longest datagram, bytes: what analyzers of the original have room for.
const LONGEST: usize = 4096 * 10 + 500;
/// Datagrams in a [`Pace::TIME`]: so many small ones fit what a kernel keeps for a socket that asks for nothing.
const TOGETHER: u32 = 100;
/// Bytes by which lengths in a message grow with what it carries, at most.
const LENGTHS: usize = 8;
/// Bytes of a packet's own fields in a message, at most.
const PACKET_HEAD: usize = 32;

impl Datagrams {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        let pace = Pace { begin: Instant::now(), sent: 0 };
        Self { host: endpoint.host.clone(), port: endpoint.port, socket: None, pace }
    }

    /// The address may have changed.
    pub(super) fn forget(&mut self) {
        self.socket = None;
    }

    /// Sends a message of one flow. Says how many went.
    pub(super) async fn send_flow(&mut self, message: FlowMessage, telemetry: &FlowLineTelemetry) -> u64 {
        let sent = match fitting(message, telemetry) {
            None => Err(Unsent::TooLong),
            Some(bytes) => self.send(&bytes).await.map_err(|_| Unsent::Failed),
        };
        match sent {
            Ok(()) => drop(telemetry.sent.inc()),
            Err(why) => telemetry.unsent(why, 1),
        }
        u64::from(sent.is_ok())
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => connect(&self.host, self.port).await?,
        };
        self.pace.wait().await;
        let sent = match socket.send(message).await {
            // That was the answer to the datagram before.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => socket.send(message).await,
            sent => sent,
        };
        sent?;
        self.socket = Some(socket);
        Ok(())
    }
}

impl Pace {
    const TIME: Duration = Duration::from_millis(1);

    async fn wait(&mut self) {
        self.sent += 1;
        if self.sent > TOGETHER {
            sleep_until(self.begin + Self::TIME).await;
            *self = Self { begin: Instant::now(), sent: 1 };
        }
    }
}

/// The bytes of a message that fits a datagram: what does not fit of the flow in it is left out, packets first.
fn fitting(mut message: FlowMessage, telemetry: &FlowLineTelemetry) -> Option<Vec<u8>> {
    let bytes = message.encode();
    if bytes.len() <= LONGEST {
        return Some(bytes);
    }
    telemetry.cut.inc();
    let packets: Vec<_> = message.flows.iter_mut().map(|flow| take(&mut flow.raw_packets)).collect();
    let mut room = LONGEST.saturating_sub(message.encode().len() + LENGTHS);
    for (flow, mut packets) in message.flows.iter_mut().zip(packets) {
        let fits = |packet: &&RawPacket| {
            let left = room.checked_sub(packet.bytes.len() + PACKET_HEAD);
            room = left.unwrap_or_default();
            left.is_some()
        };
        let kept = packets.iter().take_while(fits).count();
        packets.truncate(kept);
        flow.raw_packets = packets;
    }
    let bytes = message.encode();
    if bytes.len() <= LONGEST {
        return Some(bytes);
    }
    for flow in &mut message.flows {
        (flow.raw_packets, flow.extra) = (Vec::new(), None);
    }
    Some(message.encode()).filter(|bytes| bytes.len() <= LONGEST)
}

async fn connect(host: &str, port: u16) -> io::Result<UdpSocket> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in lookup_host((host, port)).await? {
        let own: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(own).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use skydive_flow::LinkType;
    use skydive_proto::{FlowLimits, FlowStamp, flow_of_json};

    use super::*;

    /// A message of a flow with packets of so many bytes.
    fn message(packets: &[usize]) -> FlowMessage {
        let mut flow = flow_of_json(br#"{"UUID":"1","CaptureID":"c"}"#, &FlowLimits::default()).unwrap();
        flow.raw_packets = (1..)
            .zip(packets)
            .map(|(index, len)| RawPacket {
                at: flow.start,
                index,
                bytes: vec![7; *len].into(),
                link: LinkType(1),
            })
            .collect();
        let stamp = Some(FlowStamp { host_id: "h".into(), count: 1, first: 2 });
        FlowMessage { flows: vec![flow], stats: None, stamp }
    }

    #[test]
    fn what_does_not_fit_a_datagram_is_cut_and_counted() {
        let kept = |packets: &[usize]| {
            let telemetry = FlowLineTelemetry::default();
            let bytes = fitting(message(packets), &telemetry).unwrap();
            assert!(bytes.len() <= LONGEST, "{}", bytes.len());
            let read =
                FlowMessage::decode(&bytes, &FlowLimits::default(), |fault| panic!("{fault}")).unwrap();
            (read.flows[0].raw_packets.len(), telemetry.cut.get())
        };
        assert_eq!(kept(&[4096; 9]), (9, 0));
        assert_eq!(kept(&[4096; 12]), (10, 1));
        assert_eq!(kept(&[60_000, 10]), (0, 1));
        assert_eq!(kept(&[10, 60_000]), (1, 1));
    }
}
