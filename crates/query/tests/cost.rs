//! What answers cost, and what may not happen: reads, limits, cancellation, panics.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;
use skydive_graph::{BoxFuture, Edge, Graph, GraphRead, Mutation, Node, ReadError, Snapshot, Source, When};
use skydive_query::{
    Answer, Cx, Kind, Limits, QueryError, Reads, Rows, Sources, View, execute, execute_on, parse,
};
use skydive_value::{Filter, Map, Span, Timestamp, Value};

/// Scans look at this many nodes at once.
const CHUNK: u64 = 32;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// `hosts` hosts, each with nine interfaces below it.
fn snapshot(hosts: usize) -> Snapshot {
    let mut graph = Graph::new();
    let mut events = Vec::new();
    let source = Source::of("agent", "h");
    let mut add = |mutation| graph.apply(mutation, NOW, &mut events).unwrap();
    for h in 0..hosts {
        let host: Map = [("Name", format!("host{h}")), ("Type", "host".to_owned())].into_iter().collect();
        add(Mutation::AddNode(Node::new(format!("h{h}").into(), source.clone(), host, NOW)));
        for i in 0..9 {
            let port: Map = [
                ("Name", Value::from(format!("eth{i}"))),
                ("Type", "device".into()),
                ("MTU", (1500 * i).into()),
                ("MAC", format!("{h}:{i}").into()),
            ]
            .into_iter()
            .collect();
            let id = format!("h{h}p{i}");
            add(Mutation::AddNode(Node::new(id.as_str().into(), source.clone(), port, NOW)));
            let parent = format!("h{h}").into();
            let edge = Edge::link(parent, id.into(), "ownership", Map::new(), source.clone(), NOW);
            add(Mutation::AddEdge(edge));
        }
    }
    graph.snapshot()
}

fn graph(hosts: usize) -> View {
    View::whole(snapshot(hosts))
}

fn ask(view: &View, query: &str) -> Result<Answer, QueryError> {
    execute_on(&parse(query, &Limits::default()).unwrap(), view, &Cx::new(NOW))
}

#[test]
fn reads_are_those_of_the_answer() {
    let snapshot = graph(1000);
    assert_eq!(snapshot.node_count(), 10_000);
    for (query, rows, reads) in [
        ("G.V().Has('Name','host7')", 1, (1, 0, 1)),
        ("G.V().HasKey('Name').Has('Name','host7')", 1, (1, 0, 1)),
        ("G.V().Has('MTU', Gt(1000), 'MAC', '7:3')", 1, (1, 0, 1)),
        ("G.V().Has('MAC', Within('7:3','8:4'))", 2, (2, 0, 2)),
        ("G.V().HasEither('MAC','7:3','MAC','8:4')", 2, (2, 0, 2)),
        ("G.V('h7')", 1, (1, 0, 1)),
        ("G.V('h7').Out()", 9, (1, 9, 2)),
        ("G.V('h7').Out('Name','eth1')", 1, (1, 9, 2)),
        ("G.V('h7').Out().Limit(2)", 2, (1, 2, 2)),
        ("G.V('h7').OutE().OutV().Count()", 9, (1, 9, 2)),
        ("G.V().Limit(5)", 5, (CHUNK, 0, 0)),
        ("G.V().Has('MTU',1500).Limit(5)", 5, (2 * CHUNK, 0, 0)),
        ("G.V().Range(3,5)", 2, (CHUNK, 0, 0)),
        ("G.V().Limit(0)", 0, (0, 0, 0)),
        ("G.V().Range(5,5)", 0, (0, 0, 0)),
        ("G.V().Count()", 10_000, (0, 0, 0)),
        ("G.E().Count()", 9_000, (0, 0, 0)),
        ("G.E().Limit(3)", 3, (0, 3, 0)),
        ("G.E().Has('Parent','h7')", 9, (0, 9, 1)),
        ("G.V().Has('MTU', Gt(9000)).Count()", 2000, (10_000, 0, 0)),
        // Read when it is written out, and counted as that.
        ("G", 10_000, (10_000, 9_000, 0)),
    ] {
        let answer = ask(&snapshot, query).unwrap();
        let n = match answer.rows {
            Rows::Number(n) => n as usize,
            rows => rows.len(),
        };
        assert_eq!(n, rows, "{query}");
        let (nodes, edges, index) = reads;
        assert_eq!(answer.reads, Reads { nodes, edges, index, flows: 0 }, "{query}");
    }
}

#[test]
fn a_has_behind_a_limit_belongs_to_the_step_that_reads() {
    let snapshot = graph(3);
    for (query, ids) in [
        ("G.V().Limit(1).Has('Name','host2')", vec!["h2"]),
        ("G.V().Limit(1).HasKey('MTU')", vec![]),
        ("G.V().Has('Type','host').Limit(1).Has('Name','host2')", vec![]),
        ("G.V('h1').Limit(1).Has('Name','host2')", vec![]),
        ("G.V('h1').Out().Limit(1).Has('Name','eth3')", vec!["h1p3"]),
        ("G.V('h1').Out('MTU',0).Limit(1).Has('Name','eth3')", vec![]),
    ] {
        let Rows::Nodes(nodes) = ask(&snapshot, query).unwrap().rows else { panic!("{query}") };
        assert_eq!(nodes.iter().map(|n| n.id.to_string()).collect::<Vec<_>>(), ids, "{query}");
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { max_query_bytes: 30, max_steps: 2 };
    assert_eq!(parse("G.V().Count()", &limits).unwrap().kind(), Some(Kind::Number));
    let error = parse("G.V().Out().Out()", &limits).unwrap_err();
    assert_eq!((error.message.as_str(), error.offset), ("the query has more than 2 steps", 11));
    let error = parse("G.V().Has('Name','aaaaaaaaaaaaaaaaaa')", &limits).unwrap_err();
    assert_eq!((error.message.as_str(), error.offset), ("the query is longer than 30 bytes", 30));

    let snapshot = graph(100);
    let cx = Cx { max_rows: 500, ..Cx::new(NOW) };
    let run = |query: &str| execute_on(&parse(query, &Limits::default()).unwrap(), &snapshot, &cx);
    assert!(matches!(run("G.V()"), Err(QueryError::TooMany(500))));
    assert!(matches!(run("G.V().Count()").unwrap().rows, Rows::Number(1000)));
    // Doubling at every step ends at the limit and not at the end of the memory.
    let doubling = format!("G.V('h0'){}", ".Both()".repeat(200));
    assert!(matches!(run(&doubling), Err(QueryError::TooMany(500))));
}

#[test]
fn edges_that_come_again_and_again_are_copied_once() {
    // Every interface leads to its host and back to all interfaces.
    let graph = graph(2);
    let answer = ask(&graph, &format!("G.V(){}.BothE()", ".Both()".repeat(8))).unwrap();
    let Rows::Edges(edges) = answer.rows else { panic!("edges") };
    let copies: HashSet<_> = edges.iter().map(Arc::as_ptr).collect();
    assert!(edges.len() > 200_000, "{}", edges.len());
    assert!(copies.len() < 100_000, "{} of {}", copies.len(), edges.len());
}

#[test]
fn a_stop_ends_a_scan() {
    let snapshot = graph(1000);
    let query = parse(
        "G.V().Has('MTU', Regex('.*'), 'MTU', Regex('.*a'), 'MTU', Regex('.*b')).Count()",
        &Limits::default(),
    )
    .unwrap();
    let cx = Cx::new(NOW);
    assert!(execute_on(&query, &snapshot, &cx).is_ok());
    cx.stop.expire();
    cx.stop.cancel();
    let error = execute_on(&query, &snapshot, &cx).unwrap_err();
    assert!(matches!(error, QueryError::Expired), "{error}");
}

#[test]
fn faults_have_a_place() {
    let offset = |query: &str| match parse(query, &Limits::default()) {
        Err(error) => Some(error.offset),
        Ok(query) => execute_on(&query, &graph(1), &Cx::new(NOW)).unwrap_err().offset(),
    };
    for (query, at) in [
        ("A.V()", 0),
        ("G.foo()", 2),
        ("G.V().Has('é', foo)", 16),
        ("G.V(", 4),
        ("G.V().Has('a', 1.2.3)", 15),
        ("G.V().Has('a', Lt())", 15),
        ("G.V().Count(1)", 6),
        ("G.V().Values(1)", 13),
        ("G.V().Values('a','b')", 6),
        ("G.V().V()", 6),
        ("G.V().Has('a', Lt('x'))", 15),
        ("G.V().Limit('x')", 12),
        ("G.V().Out().Has('a','b','c')", 12),
        ("G.V() V()", 6),
    ] {
        assert_eq!(offset(query), Some(at), "{query}");
    }
}

#[test]
fn texts_are_read_by_the_old_rule_unless_that_makes_no_sense() {
    let mut graph = Graph::new();
    for (id, name) in [("1", "it's"), ("2", "a\"b"), ("3", "a\\b"), ("4", "a.b"), ("5", "plain")] {
        let metadata: Map = [("Name", name)].into_iter().collect();
        let node = Node::new(id.into(), Source::of("agent", "h"), metadata, NOW);
        graph.apply(Mutation::AddNode(node), NOW, &mut Vec::new()).unwrap();
    }
    for (query, id) in [
        (r#"G.V().Has("Name", "it's")"#, "1"),
        (r"G.V().Has('Name', 'it\'s')", "1"),
        (r#"G.V().Has("Name", "a\"b")"#, "2"),
        (r"G.V().Has('Name', 'a\\b')", "3"),
        (r"G.V().Has('Name', Regex('a\.b'))", "4"),
        (r#"G.V().Has("Name", Regex("a\\.b"))"#, "4"),
        (r#"G.V().Has("Name', 'plain")"#, "5"),
    ] {
        let Rows::Nodes(nodes) = ask(&View::whole(graph.snapshot()), query).unwrap().rows else {
            panic!("{query}")
        };
        assert_eq!(nodes.iter().map(|n| n.id.to_string()).collect::<Vec<_>>(), [id], "{query}");
    }
}

/// A graph with a past of one state.
struct Remembered(Snapshot, Snapshot);

impl GraphRead for Remembered {
    fn graph_at<'a>(&'a self, when: When, _: &'a Filter) -> BoxFuture<'a, Result<Snapshot, ReadError>> {
        Box::pin(std::future::ready(Ok(match when {
            When::Live => self.0.clone(),
            When::At(at) if at == Timestamp::from_millis(NOW.as_millis() - 60_000) => self.1.clone(),
            When::At(_) => return Box::pin(std::future::ready(Err(ReadError::NoHistory))),
        })))
    }
}

/// Polls a future that is ready, and shows that it may be sent to another thread.
fn ready<T>(future: impl Future<Output = T> + Send) -> T {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("nothing here waits"),
    }
}

#[test]
fn another_time_is_another_graph() {
    let history = Remembered(snapshot(2), snapshot(1));
    let count = |query: &str| {
        let query = parse(query, &Limits::default()).unwrap();
        ready(execute(&query, &Sources { graph: &history, flows: None }, &Cx::new(NOW)))
            .map(|answer| answer.rows.len())
    };
    assert_eq!(count("G.V()").unwrap(), 20);
    assert_eq!(count("G.At('-1m').V()").unwrap(), 10);
    assert_eq!(count("G.At('-1m').V().G.V()").unwrap(), 10);
    assert_eq!(count("G.V().As('a').G.At('-1m').V().As('b').Select('a','b')").unwrap(), 30);
    for query in ["G.At('-2m').V()", "G.At('-1m', 60).V()", "G.At('-2001ms', FOREVER)", "G.At('2001ms')"] {
        assert!(matches!(count(query), Err(QueryError::Read(ReadError::NoHistory))), "{query}");
    }
    assert!(matches!(count("G.V().SubGraph().At('-1m')"), Err(QueryError::Misplaced { .. })));
}

#[test]
fn what_ends_now_is_live_and_says_what_is_missing() {
    let history = Remembered(snapshot(2), snapshot(1));
    let ms = |ms| Timestamp::from_millis(NOW.as_millis() + ms);
    for (query, instead_of) in [
        ("G.V()", None),
        ("G.At(NOW).V()", None),
        ("G.At('-2s').V()", None),
        ("G.At(1700000001).V()", None),
        ("G.At('2s', '1m').V()", Some((-58_000, 2000))),
        ("G.At('-1s', 60).V()", Some((-61_000, -1000))),
        ("G.At(NOW, FOREVER).V()", Some((-NOW.as_millis(), 0))),
        ("G.At(NOW, 60).V().G.V()", Some((-60_000, 0))),
        ("G.At(NOW, 60).V().G.At(NOW).V()", None),
    ] {
        let answer = {
            let query = parse(query, &Limits::default()).unwrap();
            ready(execute(&query, &Sources { graph: &history, flows: None }, &Cx::new(NOW))).unwrap()
        };
        assert_eq!(answer.rows.len(), 20, "{query}");
        let instead_of = instead_of.map(|(since, until)| Span { since: ms(since), until: ms(until) });
        assert_eq!(answer.coverage.instead_of, instead_of, "{query}");
    }
}

#[test]
fn patterns_built_to_blow_up_end() {
    let mut graph = Graph::new();
    for n in 0..2000 {
        let text = format!("{}{n}", "01".repeat(2000));
        let metadata: Map = [("Name", text)].into_iter().collect();
        let node = Node::new(format!("n{n}").as_str().into(), Source::of("agent", "h"), metadata, NOW);
        graph.apply(Mutation::AddNode(node), NOW, &mut Vec::new()).unwrap();
    }
    let view = View::whole(graph.snapshot());
    for pattern in ["[01]*1[01]{1900}", "(?:[01]+[01]+)+[x-z]", "(?:0|1|01|10)*[x-z]", r"(?:\\w{1,3}){5}"] {
        let query = parse(&format!("G.V().Has('Name', Regex('{pattern}')).Count()"), &Limits::default());
        let cx = Cx::new(NOW);
        let (query, stop) = (query.unwrap(), cx.stop.clone());
        let late = std::thread::spawn(move || {
            std::thread::park_timeout(std::time::Duration::from_millis(200));
            stop.expire();
        });
        let ended = execute_on(&query, &view, &cx);
        late.thread().unpark();
        late.join().unwrap();
        assert!(matches!(ended, Ok(_) | Err(QueryError::Expired)), "{pattern}: {ended:?}");
    }

    let refused = |text: &str| {
        let query = parse(text, &Limits::default()).map_err(|error| error.to_string())?;
        execute_on(&query, &view, &Cx::new(NOW)).map(|_| ()).map_err(|error| error.to_string())
    };
    let too_big = "error parsing regexp: compiled size exceeds 1048576 bytes";
    assert_eq!(refused("G.V().Has('Name', Regex('a{1000}{1000}'))"), Err(too_big.to_owned()));
    let many = format!("G.V().Has({})", vec![r"'Name',Regex('\w{9}')"; 33].join(","));
    assert_eq!(refused(&many), Err("the query has more than 32 regular expressions".to_owned()));
    let deep = format!("G.V().Has('Name', Regex('{}a{}'))", "(".repeat(10_000), ")".repeat(10_000));
    assert!(refused(&deep).unwrap_err().starts_with("error parsing regexp: "));
}

#[test]
fn numbers_of_any_size_are_survived() {
    let view = graph(1);
    for number in ["99999999999999999999", "-99999999999999999999", "9223372036854775807", &"9".repeat(300)] {
        for query in [
            format!("G.V().Has('MTU', {number})"),
            format!("G.V().Has('MTU', Gt({number}))"),
            format!("G.V().Limit({number})"),
            format!("G.V().Range({number},{number})"),
            format!("G.V().Descendants({number})"),
            format!("G.V().Metrics().Aggregates({number})"),
            format!("G.At({number}, {number}).V()"),
        ] {
            survives(&view, &query);
        }
    }
    let count = |query: &str| ask(&view, query).map(|answer| answer.rows.len()).map_err(|e| e.to_string());
    assert_eq!(count("G.V().Has('MTU', Lt(99999999999999999999))"), Ok(9));
    assert_eq!(
        count("G.V().Limit(99999999999999999999)"),
        Err("100000000000000000000 is not an integer".to_owned())
    );
    let error = parse(&format!("G.V({})", "9".repeat(400)), &Limits::default()).unwrap_err();
    assert!(error.message.starts_with("Expected number token, got: 999"), "{error}");
}

#[test]
fn ownership_in_a_circle_ends() {
    let mut graph = Graph::new();
    let source = Source::of("agent", "h");
    let mut add = |m| graph.apply(m, NOW, &mut Vec::new()).unwrap();
    for id in ["a", "b", "c"] {
        add(Mutation::AddNode(Node::new(id.into(), source.clone(), Map::new(), NOW)));
    }
    for (parent, child) in [("a", "b"), ("b", "c"), ("c", "a"), ("c", "c")] {
        let edge = Edge::link(parent.into(), child.into(), "layer2", Map::new(), source.clone(), NOW);
        add(Mutation::AddEdge(edge));
    }
    let snapshot = View::whole(graph.snapshot());
    let len = |query: &str| ask(&snapshot, query).unwrap().rows.len();
    assert_eq!(len("G.V('a').Descendants('RelationType','layer2',0)"), 3);
    assert_eq!(len("G.V('a').Ascendants('RelationType','layer2',0)"), 3);
    assert_eq!(len("G.V('c').BothE()"), 3, "an edge to itself is one edge");
    assert_eq!(len("G.V().Out().SubGraph().E()"), 4, "duplicates are tolerated");
    assert_eq!(len("G.V().SubGraph('RelationType','x').V().Out()"), 0, "steps stay inside");
}

const VALID: &[&str] = &[
    "G.V().Has('Name', Regex('eth.*'), 'MTU', Between(1, 9000)).Out().Dedup('Type').Sort(DESC, 'Name').Limit(3)",
    "G.V().Has('Type','host').As('a').G.E().BothV().As('b').Select('a','b').Values('MAC')",
    "g.v().ShortestPathTo(Metadata('Name', Within('eth1', 'eth2')), Metadata()).SubGraph().E().Count()",
    "G.At('-1h30m', \"5m\").V('h0').Descendants('RelationType', Ne('x'), 2).ValueMap('A', 'B').Has('A', -1.5)",
    "G.V().HasEither('IPV4', Ipv4Range('10.0.0.0/8'), 'X', Nee(true)).Neighbors(3).NextHop('::1').Count()",
    "G.Context(NOW, FOREVER).E().Has('Parent', 'h0').InV('a').Keys().Dedup().Range(1, 2)",
];

/// Whatever the text, there is an answer or an error whose place is in the text.
fn survives(view: &View, text: &str) {
    match parse(text, &Limits::default()) {
        Err(error) => assert!(text.is_char_boundary(error.offset), "{error:?}: {text}"),
        Ok(query) => {
            let cx = Cx { max_rows: 10_000, ..Cx::new(NOW) };
            match execute_on(&query, view, &cx) {
                Ok(answer) => assert_eq!(query.kind(), Some(answer.rows.kind()), "{text}"),
                Err(error) => assert!(error.offset().is_none_or(|at| text.is_char_boundary(at)), "{text}"),
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_survives(text in "\\PC{0,60}") {
        survives(&View::whole(Snapshot::default()), &text);
    }

    #[test]
    fn any_tokens_survive(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "G", ".", "(", ")", ",", "V", "E", "Has", "Out", "Limit", "Sort", "ASC", "-1", "1.5", "'a'", "\"", "'", "\\",
                "Within", "Metadata", "Regex", "true", "Select", "As", "SubGraph", " ", "é", "\r", "At", "0",
            ]),
            0..40,
        )
    ) {
        survives(&View::whole(Snapshot::default()), &words.concat());
    }

    #[test]
    fn damaged_queries_survive(
        which in 0..VALID.len(),
        cuts in prop::collection::vec((0usize..200, 0usize..4, "\\PC{0,3}"), 0..4),
    ) {
        thread_local!(static GRAPH: View = graph(2));
        let mut text: Vec<char> = VALID[which].chars().collect();
        for (at, len, with) in cuts {
            let at = at.min(text.len());
            let end = (at + len).min(text.len());
            text.splice(at..end, with.chars());
        }
        let text: String = text.into_iter().collect();
        GRAPH.with(|graph| survives(graph, &text));
    }

    #[test]
    fn steps_in_any_order_survive(
        steps in prop::collection::vec(
            prop::sample::select(vec![
                "V()", "E()", "G", "Has('Type','device')", "HasKey('MTU')", "HasNot('MTU')", "Out()", "In()", "Both()",
                "OutE()", "InE()", "BothE()", "OutV()", "InV()", "BothV()", "Dedup()", "Dedup('Type')", "Limit(2)",
                "Range(1,3)", "Sort('MTU')", "Sort(DESC,'Name')", "Count()", "Values('Name')", "ValueMap('Name','MTU')",
                "Keys()", "Sum('MTU')", "ShortestPathTo(Metadata('Type','host'))", "SubGraph()", "As('a')",
                "Select('a')", "Descendants()", "Ascendants(0)", "Neighbors(2)", "NextHop('10.0.0.1')",
            ]),
            0..8,
        )
    ) {
        thread_local!(static GRAPH: View = graph(2));
        let text = std::iter::once("G").chain(steps).collect::<Vec<_>>().join(".");
        GRAPH.with(|graph| survives(graph, &text));
    }

    /// Pushing filters and limits down must not change an answer: the same steps kept apart by `As` give the same.
    #[test]
    fn pushing_down_changes_nothing(
        start in prop::sample::select(vec!["V()", "V('h1').Out()", "E().BothV()", "V().Both()"]),
        steps in prop::collection::vec(
            prop::sample::select(vec![
                "Has('Type')", "HasKey('MTU')", "HasEither('Name','eth1','MTU',Gt(4000))", "HasNot('Nothing')",
            ]),
            0..3,
        ),
        end in prop::sample::select(vec!["Limit(3)", "Range(2,9)", "Count()", "Dedup()"]),
    ) {
        thread_local!(static GRAPH: View = graph(3));
        let steps: Vec<&str> = std::iter::once(start).chain(steps).chain([end]).collect();
        let together = format!("G.{}", steps.join("."));
        let apart = format!("G.{}", steps.join(".As('x')."));
        GRAPH.with(|graph| {
            let [a, b] = [together, apart].map(|q| format!("{:?}", ask(graph, &q).unwrap().rows));
            assert_eq!(a, b);
        });
    }
}
