//! Searches for flows against agents that answer as a test says.

use skydive_flow::{Direction, Finish, Flow, FlowId, Metric, Processes, Sort, field};
use skydive_proto::{FlowReply, decode_flow_search};
use skydive_value::{Filter, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;

fn flow(number: i64) -> Flow {
    let id = FlowId(number as u64);
    Flow {
        uuid: id,
        parent: None,
        tracking_id: id,
        l3_tracking_id: id,
        layers_path: "Ethernet/IPv4/UDP".into(),
        application: "UDP".into(),
        start: Timestamp::from_millis(1),
        last: Timestamp::from_millis(number),
        link: None,
        network: None,
        transport: None,
        icmp: None,
        metric: Metric::default(),
        last_update: None,
        tcp: None,
        ip: None,
        finish: Finish::Not,
        node_tid: SmolStr::default(),
        capture_id: SmolStr::default(),
        raw_packets: Vec::new(),
        raw_packets_captured: 0,
        extra: None,
        process: Processes::default(),
    }
}

fn set(numbers: impl IntoIterator<Item = i64>) -> FlowSet {
    FlowSet::new(numbers.into_iter().map(flow).collect())
}

fn numbers(found: &FlowsFound) -> Vec<i64> {
    found.set.flows.iter().map(|flow| flow.last.as_millis()).collect()
}

fn reply(sets: Vec<FlowSet>) -> FlowReply {
    FlowReply { status: 200, sets, ..FlowReply::default() }
}

/// An agent that answers one search, and then gives it.
fn agent(hosts: &Hosts, name: &str, reply: FlowReply) -> JoinHandle<FlowSearch> {
    let (outgoing, mut questions) = mpsc::channel(8);
    let seat = hosts.join(name.into(), outgoing);
    tokio::spawn(async move {
        let question = questions.recv().await.unwrap();
        assert_eq!((question.namespace.as_str(), question.kind.as_str()), ("Flow", "TableQuery"));
        let answer = Envelope::json("", "TableResult", reply.encode().into()).answering(&question);
        assert!(seat.answer(answer).is_none());
        decode_flow_search(&question.obj).unwrap()
    })
}

struct Kept(FlowSet);

impl FlowRead for Kept {
    fn search<'a>(&'a self, _: &'a FlowSearch) -> BoxFuture<'a, Result<FlowsFound, FlowReadError>> {
        let found =
            FlowsFound { set: self.0.clone(), coverage: Coverage::complete(), ..FlowsFound::default() };
        Box::pin(async move { Ok(found) })
    }
}

#[tokio::test]
async fn what_agents_find_is_one_answer() {
    let hosts = Hosts::default();
    let one = agent(&hosts, "one", reply(vec![set([9, 6, 1])]));
    // An agent of the original gives a set of each table.
    let two = agent(&hosts, "two", reply(vec![set([8, 5, 2]), set([7, 4]), set([10])]));
    let flows = LiveFlows { hosts, others: vec![Arc::new(Kept(set([11, 3])))], deadline: DEADLINE };
    let filter = Filter::text("Application", "DNS");
    let search = FlowSearch {
        filter: filter.clone(),
        range: Some(1..9),
        sort: Some(Sort { by: field::LAST.into(), direction: Direction::Descending }),
        ..FlowSearch::default()
    };
    let found = flows.search(&search).await.unwrap();
    assert_eq!(numbers(&found), [10, 9, 8, 7, 6, 5, 4, 3]);
    assert_eq!(found.coverage, Coverage { asked: 3, answered: 3, ..Coverage::default() });
    for asked in [one.await.unwrap(), two.await.unwrap()] {
        assert_eq!((&asked.filter, &asked.sort), (&filter, &search.sort));
        assert_eq!(asked.range, Some(0..9), "any of them may be among the wanted");
    }
}

#[tokio::test]
async fn numbers_of_flows_are_added() {
    let hosts = Hosts::default();
    let count = |count| FlowReply { count, ..reply(vec![FlowSet::default()]) };
    for (range, expected) in
        [(None, 1_000_010), (Some(0..7), 7), (Some(1_000_005..u64::MAX), 5), (Some(2_000_000..u64::MAX), 0)]
    {
        // An agent that does not know the question gives flows.
        let agents = [
            agent(&hosts, "one", count(1_000_000)),
            agent(&hosts, "two", count(7)),
            agent(&hosts, "old", reply(vec![set([1, 2]), set([3])])),
        ];
        let flows = LiveFlows { hosts: hosts.clone(), others: Vec::new(), deadline: DEADLINE };
        let search = FlowSearch { range: range.clone(), want: Want::Count, ..FlowSearch::default() };
        let found = flows.search(&search).await.unwrap();
        assert_eq!((found.count, found.set.flows.len()), (expected, 0), "{range:?}");
        assert_eq!(found.coverage, Coverage { asked: 3, answered: 3, ..Coverage::default() });
        for agent in agents {
            assert_eq!(agent.await.unwrap().want, Want::Count);
        }
    }
}

#[tokio::test]
async fn who_does_not_answer_is_named() {
    let hosts = Hosts::default();
    let partial = FlowReply { truncated: true, lost: 5, ..reply(vec![set([1])]) };
    let _slow = {
        let (outgoing, questions) = mpsc::channel(8);
        (hosts.join("slow".into(), outgoing), questions)
    };
    drop(agent(&hosts, "partial", partial));
    drop(agent(
        &hosts,
        "refusing",
        FlowReply { status: 400, error: "no".to_owned(), ..FlowReply::default() },
    ));
    drop(agent(&hosts, "other", reply(vec![set([2])])));
    let flows = LiveFlows { hosts, others: Vec::new(), deadline: Duration::from_millis(200) };
    let wanted = ["slow", "partial", "refusing", "absent", "absent"].map(SmolStr::from).to_vec();
    let search = FlowSearch { hosts: Some(wanted), ..FlowSearch::default() };
    let found = flows.search(&search).await.unwrap();
    assert_eq!(numbers(&found), [1], "only the hosts that are wanted");
    let Coverage { mut silent, asked, answered, truncated, lost, .. } = found.coverage;
    silent.sort_unstable();
    assert_eq!((asked, answered, truncated, lost), (4, 1, true, 5));
    assert_eq!(silent, ["absent", "refusing", "slow"]);
}

#[tokio::test]
async fn what_is_no_answer_is_none() {
    let hosts = Hosts::default();
    let (outgoing, mut questions) = mpsc::channel(8);
    let seat = hosts.join("h".into(), outgoing);
    let answering = async {
        let question = questions.recv().await.unwrap();
        seat.answer(Envelope::json("", "TableResult", vec![0xff; 99].into()).answering(&question));
    };
    let flows = LiveFlows { hosts, others: Vec::new(), deadline: DEADLINE };
    let search = FlowSearch::default();
    let (found, ()) = tokio::join!(flows.search(&search), answering);
    assert_eq!(
        found.unwrap().coverage,
        Coverage { asked: 1, silent: vec!["h".into()], ..Coverage::default() }
    );
}

#[test]
fn many_sets_are_put_together_in_order_and_once() {
    let merge = Merge { sort: Some(Sort::default()), dedup: Some(field::UUID.into()) };
    let mut pile = Pile::new(merge.clone(), None);
    for n in 0..500 {
        pile.put(set([n, n + 1, 1000 + n]));
    }
    assert!(pile.sets.len() < 12, "{}", pile.sets.len());
    let all = pile.into_set();
    let found: Vec<i64> = all.flows.iter().map(|flow| flow.last.as_millis()).collect();
    assert_eq!(found, (0..=500).chain(1000..1500).collect::<Vec<_>>());
    let mut few = Pile::new(merge, Some(2));
    for n in (0..100).rev() {
        few.put(set([n, 200]));
        assert!(few.sets.iter().all(|set| set.flows.len() <= 2));
    }
    assert_eq!(few.into_set().flows.iter().map(|flow| flow.last.as_millis()).collect::<Vec<_>>(), [0, 1]);
}
