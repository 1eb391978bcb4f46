//! Flows on their way to the analyzers.
//!
//! Each batch goes to one of the analyzers that are connected, as datagrams of one flow each or through a WebSocket.
//! Whoever captures never waits for this: between both are bounded channels. What cannot be sent is counted here; what
//! is lost on the way is counted by the analyzer, since flows are numbered.

mod datagrams;
mod messages;
mod telemetry;

use skydive_client::{ConnectionSettings, Endpoint};
use skydive_flow::Flow;
use skydive_proto::{FlowMessage, FlowStamp, FlowStats};
use skydive_value::{Clock, SmolStr};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::datagrams::Datagrams;
use self::messages::Messages;
pub(crate) use self::telemetry::FlowLineTelemetry;
use self::telemetry::Unsent;
use crate::captures::FlowFeed;
use crate::link::SharedDial;
use crate::master::{Connection, Connections, any};

/// How flows are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlowProtocol {
    /// As datagrams, one flow each. What is lost on the way is not sent again.
    #[default]
    Udp,
    /// Through a WebSocket to each analyzer.
    WebSocket,
}

/// Where the flows for an analyzer go.
#[derive(Clone, Debug)]
pub struct FlowRoute {
    /// The analyzer.
    pub endpoint: Endpoint,
    /// Limits and deadlines of a WebSocket to it.
    pub settings: ConnectionSettings,
}

/// What flows need to go.
pub(crate) struct Surroundings {
    pub(crate) protocol: FlowProtocol,
    pub(crate) dials: Vec<SharedDial>,
    pub(crate) connections: watch::Receiver<Connections>,
    pub(crate) host_id: SmolStr,
    pub(crate) clock: Clock,
    pub(crate) telemetry: FlowLineTelemetry,
}

/// Sends flows.
pub(crate) struct FlowLine {
    lines: Vec<Line>,
    connections: watch::Receiver<Connections>,
    stamper: Stamper,
    telemetry: FlowLineTelemetry,
    tasks: JoinSet<()>,
}

/// The way to one analyzer.
struct Line {
    /// Its name among the connections.
    address: String,
    /// Number of the next flow that goes there.
    next: u64,
    way: Way,
}

enum Way {
    Datagrams(Datagrams),
    Messages(Messages),
}

/// Numbers flows.
struct Stamper {
    host_id: String,
    count: u64,
}

impl FlowLine {
    /// Makes the ways to the analyzers. WebSockets end on `stop`, once all is sent.
    pub(crate) fn new(around: Surroundings, stop: &CancellationToken) -> Self {
        let Surroundings { protocol, dials, connections, host_id, clock, telemetry } = around;
        let mut tasks = JoinSet::new();
        let mut line = |dial: &SharedDial| {
            let FlowRoute { endpoint, settings } = dial.flow_route()?;
            let way = match protocol {
                FlowProtocol::Udp => Way::Datagrams(Datagrams::new(&endpoint)),
                FlowProtocol::WebSocket => {
                    let (messages, keep) = messages::messages(endpoint, &host_id, settings);
                    tasks.spawn(keep.run(stop.clone()));
                    Way::Messages(messages)
                }
            };
            Some(Line { address: dial.address().to_owned(), next: 0, way })
        };
        let lines = dials.iter().filter_map(&mut line).collect();
        // Whoever starts later has a later time: a count never comes twice.
        let count = clock.now().as_millis().cast_unsigned();
        let stamper = Stamper { host_id: host_id.chars().take(STAMPED).collect(), count };
        Self { lines, connections, stamper, telemetry, tasks }
    }

    /// Sends what comes until it ends.
    pub(crate) async fn run(mut self, feed: FlowFeed) {
        let FlowFeed { mut flows, mut stats } = feed;
        loop {
            tokio::select! {
                Some(batch) = flows.recv() => self.send(batch).await,
                Some(stats) = stats.recv() => self.send_stats(stats).await,
                else => break,
            }
        }
        // The WebSockets end when nothing more can come to them.
        drop(self.lines);
        while self.tasks.join_next().await.is_some() {}
    }

    async fn send(&mut self, flows: Vec<Flow>) {
        let Some(line) = chosen(&mut self.lines, &self.connections) else {
            return self.telemetry.unsent(Unsent::NoAnalyzer, flows.len() as u64);
        };
        let (stamper, telemetry) = (&self.stamper, &self.telemetry);
        match &mut line.way {
            Way::Datagrams(way) => {
                for flow in flows {
                    let message = stamper.message(line.next, vec![flow]);
                    line.next += way.send_flow(message, telemetry).await;
                }
            }
            Way::Messages(way) => {
                let mut flows = flows.into_iter().peekable();
                while flows.peek().is_some() {
                    let together = messages::together(&mut flows);
                    let count = together.len() as u64;
                    let message = stamper.message(line.next, together).encode();
                    line.next += way.send_flows(message.into(), count, telemetry).await;
                }
            }
        }
    }

    async fn send_stats(&mut self, stats: FlowStats) {
        let message = FlowMessage { stats: Some(stats), ..FlowMessage::default() }.encode();
        let is_sent = match chosen(&mut self.lines, &self.connections).map(|line| &mut line.way) {
            None => false,
            Some(Way::Datagrams(way)) => way.send(&message).await.is_ok(),
            Some(Way::Messages(way)) => way.send(message.into()).await,
        };
        self.telemetry.stats(is_sent);
    }
}

impl Line {
    fn is_ready(&self, connections: &Connections) -> bool {
        let is_up = matches!(connections.analyzers.get(&self.address), Some(Connection::Up { .. }));
        is_up && !matches!(&self.way, Way::Messages(way) if !way.is_ready())
    }
}

/// Characters of a host id that a stamp has room for, each of four bytes at most.
const STAMPED: usize = FlowStamp::HOST_MAX / 4;

/// A random line of those that are ready.
fn chosen<'a>(lines: &'a mut [Line], connections: &watch::Receiver<Connections>) -> Option<&'a mut Line> {
    let ready: Vec<usize> = {
        let connections = connections.borrow();
        let ready = lines.iter().enumerate().filter(|(_, line)| line.is_ready(&connections));
        ready.map(|(at, _)| at).collect()
    };
    let at = *any(&ready)?;
    // A socket is of the time in which its analyzer was connected: the name may mean another host after that.
    for (other, line) in lines.iter_mut().enumerate() {
        if let (Way::Datagrams(way), false) = (&mut line.way, ready.contains(&other)) {
            way.forget();
        }
    }
    lines.get_mut(at)
}

impl Stamper {
    fn message(&self, first: u64, flows: Vec<Flow>) -> FlowMessage {
        let stamp = FlowStamp { host_id: self.host_id.clone(), count: self.count, first };
        FlowMessage { flows, stats: None, stamp: Some(stamp) }
    }
}

#[cfg(test)]
mod tests;
