//! Queries answered from a graph that can be read.
//!
//! A query computes without yielding, so it runs on a thread for blocking work; its deadline and a client that went
//! away end it from outside.

use std::sync::Arc;
use std::time::Duration;

use skydive_flow::FlowRead;
use skydive_graph::{BoxFuture, Edge, GraphRead, Node, ReadError, Snapshot, When, key};
use skydive_proto::{Answer, Explain, Limits};
use skydive_query::{
    Cx, NextHop, ParseError, Query, QueryError, Reads, Rows, Sources, Stop, View, execute, parse,
};
use skydive_value::{Clock, Filter, Id, Map, Value};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::topology::Found;
use crate::{QueryFault, Topology};

/// Answers queries of the language's core.
pub struct Queries {
    graph: Arc<dyn GraphRead>,
    flows: Option<Arc<dyn FlowRead>>,
    limits: skydive_query::Limits,
    clock: Clock,
    running: Arc<Semaphore>,
}

/// Ends the query of a client that no longer waits.
struct Waiting {
    /// For what computes.
    stop: Stop,
    /// For what waits for others.
    gone: CancellationToken,
}

/// How long a query may run.
const DEADLINE: Duration = Duration::from_mins(1);
/// Queries that run at once; others wait.
const RUNNING: usize = 32;

impl Queries {
    /// Answers from `graph`, and from `flows` where there are any.
    pub fn new(
        graph: Arc<dyn GraphRead>,
        flows: Option<Arc<dyn FlowRead>>,
        limits: &Limits,
        clock: Clock,
    ) -> Self {
        let limits =
            skydive_query::Limits { max_query_bytes: limits.query_bytes, max_steps: limits.query_steps };
        Self { graph, flows, limits, clock, running: Arc::new(Semaphore::new(RUNNING)) }
    }

    async fn answer(&self, text: &str) -> Result<Found, QueryFault> {
        let query = parse(text, &self.limits)?;
        let cx = Cx::new(self.clock.now());
        let gone = CancellationToken::new();
        let waiting = Waiting { stop: cx.stop.clone(), gone: gone.clone() };
        let Ok(permit) = self.running.clone().acquire_owned().await else {
            return Err(QueryFault::plain("queries are no longer answered"));
        };
        let (graph, flows) = (self.graph.clone(), self.flows.clone());
        let mut running = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let sources = Sources { graph: &*graph, flows: flows.as_deref() };
            Handle::current().block_on(async {
                tokio::select! {
                    found = run(&query, &sources, &cx) => found,
                    () = gone.cancelled() => Err(QueryError::Cancelled),
                }
            })
        });
        let ended = match tokio::time::timeout(DEADLINE, &mut running).await {
            Ok(ended) => ended,
            Err(_) => {
                waiting.stop.expire();
                running.await
            }
        };
        match ended {
            Ok(answer) => answer.map_err(QueryFault::from),
            Err(broken) => Err(QueryFault::plain(&broken.to_string())),
        }
    }
}

impl Topology for Queries {
    fn ask(&self, query: String) -> BoxFuture<'_, Result<Found, QueryFault>> {
        Box::pin(async move { self.answer(&query).await })
    }

    fn graph(&self) -> BoxFuture<'_, Result<Snapshot, ReadError>> {
        Box::pin(async {
            let all = Filter::all();
            self.graph.graph_at(When::Live, &all).await
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.stop.cancel();
        self.gone.cancel();
    }
}

async fn run(query: &Query, sources: &Sources<'_>, cx: &Cx) -> Result<Found, QueryError> {
    let found = execute(query, sources, cx).await?;
    let Reads { nodes, edges, index, flows } = found.reads;
    let explain = Explain { nodes, edges, index, flows };
    Ok(Found { answer: shape(found.rows), explain, coverage: found.coverage })
}

fn shape(rows: Rows) -> Answer {
    match rows {
        Rows::Graph(view) => graph(view),
        Rows::Nodes(nodes) => Answer::Nodes(nodes),
        Rows::Edges(edges) => Answer::Edges(Box::new(edges.into_iter())),
        Rows::Paths(paths) => Answer::Paths(paths),
        Rows::Number(number) => Answer::Value(Value::Int(number)),
        Rows::List(values) => Answer::Values(values),
        Rows::NextHops(hops) if hops.is_empty() => Answer::Values(Vec::new()),
        Rows::NextHops(hops) => Answer::Values(vec![next_hops(&hops)]),
        Rows::Metrics(records) | Rows::Sockets(records) => Answer::Records(records.0),
        Rows::Flows(flows) => Answer::Flows(flows),
        Rows::Groups(groups) => Answer::Groups(groups),
        Rows::RawPackets(packets) => Answer::Packets(packets),
        Rows::Value(value) => Answer::Value(value),
    }
}

/// Oldest elements first; edges are copied when they are written.
fn graph(view: View) -> Answer {
    let mut nodes: Vec<Arc<Node>> = view.nodes().cloned().collect();
    nodes.sort_by_key(|node| node.created_at);
    let mut edges: Vec<_> = view.edges().map(|edge| (edge.created_at(), edge.id().clone())).collect();
    edges.sort_by_key(|(at, _)| *at);
    let edge = move |(_, id): (_, Id)| -> Option<Arc<Edge>> { Some(Arc::new(view.edge(&id)?.to_edge())) };
    Answer::Graph { nodes, edges: Box::new(edges.into_iter().filter_map(edge)) }
}

fn next_hops(hops: &[(Id, NextHop)]) -> Value {
    let by_node: Map = hops
        .iter()
        .map(|(id, hop)| {
            let mut fields = Map::new();
            fields.insert("Priority", hop.priority);
            fields.insert("IP", hop.ip.clone());
            if let Some(mac) = &hop.mac {
                fields.insert(key::MAC, mac.clone());
            }
            fields.insert(key::IF_INDEX, hop.if_index);
            (id.to_string(), fields)
        })
        .collect();
    Value::from(by_node)
}

impl QueryFault {
    fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), position: None }
    }
}

impl From<ParseError> for QueryFault {
    fn from(fault: ParseError) -> Self {
        Self { position: Some(fault.offset), text: fault.message }
    }
}

impl From<QueryError> for QueryFault {
    fn from(fault: QueryError) -> Self {
        Self { position: fault.offset(), text: fault.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use skydive_flow::{FlowReadError, FlowSearch, FlowsFound};
    use tokio::sync::mpsc;

    use super::*;
    use crate::LiveGraph;

    /// Says when it is asked, and when nobody waits any more; never answers.
    struct Silent(mpsc::UnboundedSender<&'static str>);

    struct Asked<'a>(&'a Silent);

    impl FlowRead for Silent {
        fn search<'a>(&'a self, _: &'a FlowSearch) -> BoxFuture<'a, Result<FlowsFound, FlowReadError>> {
            self.0.send("asked").unwrap();
            let asked = Asked(self);
            Box::pin(async move {
                let _asked = asked;
                std::future::pending().await
            })
        }
    }

    impl Drop for Asked<'_> {
        fn drop(&mut self) {
            let _ = self.0.0.send("left");
        }
    }

    #[tokio::test]
    async fn who_leaves_waits_for_no_flows() {
        let clock = Clock::new(|| skydive_value::Timestamp::EPOCH);
        let (live, owner) = LiveGraph::new(clock.clone(), Box::new(|_, _| Vec::new()));
        tokio::spawn(owner.run(CancellationToken::new()));
        let (say, mut said) = mpsc::unbounded_channel();
        let flows: Arc<dyn FlowRead> = Arc::new(Silent(say));
        let queries = Arc::new(Queries::new(Arc::new(live), Some(flows), &Limits::default(), clock));
        let asking = tokio::spawn({
            let queries = queries.clone();
            async move { queries.ask("G.Flows()".to_owned()).await.is_ok() }
        });
        assert_eq!(said.recv().await, Some("asked"));
        asking.abort();
        assert_eq!(said.recv().await, Some("left"));
        assert!(asking.await.unwrap_err().is_cancelled());
    }
}
