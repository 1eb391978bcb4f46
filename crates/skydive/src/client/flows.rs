//! `client flows`: the flows that captures see now, once or as they are told of.

use std::io::{self, IsTerminal};

use anyhow::{Context as _, bail};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};
use skydive_client::{Connection, ConnectionSettings, Explained, Rest};
use skydive_flow::{Flow, field};
use skydive_proto::{FlowJson, FlowLimits, Handshake, flows_of_json};
use skydive_value::{Filter, Id, Matcher, Path, Test};

use super::heard;
use super::incomplete::lacks;
use super::show::{Look, print, show, usual};
use crate::cli::{LiveFlowsFlags, Shape, TopFlags};
use crate::flows::table::draw_live;
use crate::table;
use crate::terminal::Paint;
use crate::{terminal, top};

/// Where flows are told of.
const SUBSCRIBER: &str = "/ws/subscriber/flow";
/// What messages with flows are called, and which namespace they are wanted from.
const STORE: &str = "store";
const NAMESPACE: &str = "flow";
/// How a list of flows begins, and no other answer.
const FLOW: &[u8] = br#"[{"UUID":"#;
/// Seconds between two looks of a table that is kept up to date.
const LOOK_EVERY: u64 = 1;

pub(super) async fn run(rest: &Rest, flags: &LiveFlowsFlags) -> anyhow::Result<()> {
    let shape = flags.shape.format.unwrap_or_else(usual);
    if !flags.follow {
        return once(rest, flags, shape).await;
    }
    match shape {
        Shape::Table if io::stdout().is_terminal() => {
            let look = TopFlags { interval: LOOK_EVERY, flows: flags.limit, once: false, rows: usize::MAX };
            top::follow(rest, query(flags), &look).await
        }
        Shape::Table => {
            bail!("a table that is kept up to date needs a terminal; --format json goes anywhere")
        }
        Shape::Json => follow(rest, flags).await,
    }
}

/// The query that the flags stand for, without the limit.
fn query(flags: &LiveFlowsFlags) -> String {
    let start = match &flags.gremlin {
        Some(nodes) => nodes.trim().to_owned(),
        None => "G".to_owned(),
    };
    let conditions: Vec<String> =
        flags.filter.iter().map(|(field, value)| format!("{}, {}", quoted(field), literal(value))).collect();
    let sort = quoted(&flags.sort);
    format!("{start}.Flows({}).Sort(DESC, {sort})", conditions.join(", "))
}

async fn once(rest: &Rest, flags: &LiveFlowsFlags, shape: Shape) -> anyhow::Result<()> {
    let limit = flags.limit as usize;
    // One more than is shown tells whether there are more.
    let query = format!("{}.Limit({})", query(flags), limit + 1);
    let answer = heard(rest, rest.topology(&query, "application/json", Explained::No)).await?;
    let answer = super::query::accepted(answer, &query, rest)?;
    let mut flows: Vec<&RawValue> =
        serde_json::from_slice(&answer.body).context("the answer holds no flows")?;
    let has_more = flows.len() > limit;
    flows.truncate(limit);
    let shown = serde_json::to_vec(&flows)?;
    match shape {
        Shape::Json => show(&shown, Some(Shape::Json), Look::Answer)?,
        Shape::Table => print(painted(&read(&shown).context("the answer holds no flows")?))?,
    }
    if has_more {
        eprintln!("there are more than these {limit} flows: --limit shows more, --filter fewer");
    }
    if let Some(lack) = lacks(&answer) {
        eprintln!("{lack}");
    }
    Ok(())
}

/// Flows as a table.
pub(super) fn painted(flows: &[Flow]) -> String {
    table::painted(
        &String::from_utf8_lossy(&draw_live(flows, table::terminal_width())),
        Paint::of(&io::stdout()),
    )
}

/// The flows that an answer is a list of; `None` when it is something else.
pub(super) fn of_answer(body: &[u8]) -> Option<Vec<Flow>> {
    if body.starts_with(FLOW) { read(body) } else { None }
}

/// The groups of flows that an answer is, by what they have in common; `None` when it is something else.
pub(super) fn groups_of_answer(body: &[u8]) -> Option<Vec<(String, Vec<Flow>)>> {
    let items: Vec<Map<String, Json>> = serde_json::from_slice(body).ok()?;
    let is_flow =
        |flow: &Json| [field::UUID, field::TRACKING_ID].iter().all(|field| flow.get(field).is_some());
    let flows = |group: Json| {
        let is_group = group.as_array().is_some_and(|group| !group.is_empty() && group.iter().all(is_flow));
        if is_group { read(&serde_json::to_vec(&group).ok()?) } else { None }
    };
    let groups = items.into_iter().flatten().map(|(id, group)| Some((id, flows(group)?)));
    groups.collect::<Option<Vec<_>>>().filter(|groups| !groups.is_empty())
}

/// All flows of a list, or nothing.
fn read(list: &[u8]) -> Option<Vec<Flow>> {
    let limits = FlowLimits { message: usize::MAX, ..FlowLimits::default() };
    let mut is_whole = true;
    let flows = flows_of_json(list, &limits, |_| is_whole = false).ok()?;
    is_whole.then_some(flows)
}

/// Every update of a flow as it comes, a line each.
async fn follow(rest: &Rest, flags: &LiveFlowsFlags) -> anyhow::Result<()> {
    let filter = wanted(rest, flags).await?;
    let matcher = Matcher::new(&filter);
    let handshake = Handshake {
        host_id: format!("client-flows-{}", Id::random()).into(),
        client_type: "client".into(),
        namespaces: vec![NAMESPACE.into()],
        ..Handshake::default()
    };
    let settings = ConnectionSettings::default();
    let mut connection = Connection::open(rest.endpoint(), SUBSCRIBER, &handshake, settings).await?;
    loop {
        let message = connection.next().await.context("flows are no longer told of")?;
        if message.kind != STORE {
            continue;
        }
        let mut refused = 0u64;
        let flows = flows_of_json(&message.obj, &FlowLimits::default(), |_| refused += 1)
            .context("a message holds no flows")?;
        if refused > 0 {
            eprintln!("{refused} flows could not be read");
        }
        let mut lines = Vec::new();
        for flow in flows.iter().filter(|flow| matcher.matches(*flow)) {
            line(flow, &mut lines)?;
        }
        // A reader that has gone away ends it in silence.
        if !lines.is_empty() && !terminal::go_on(&lines)? {
            return Ok(());
        }
    }
}

fn line(flow: &Flow, lines: &mut Vec<u8>) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *lines, &FlowJson(flow))?;
    lines.push(b'\n');
    Ok(())
}

/// What the flags let through. Which nodes a query finds is looked up once.
async fn wanted(rest: &Rest, flags: &LiveFlowsFlags) -> anyhow::Result<Filter> {
    let mut filter = Filter::all();
    for (field, value) in &flags.filter {
        let path = Path::parse(field);
        let text = Filter::Field(path.clone(), Test::Text(value.as_str().into()));
        filter = filter.and(match value.parse() {
            Ok(number) => Filter::Or(vec![Filter::Field(path, Test::Int(number)), text]),
            Err(_) => text,
        });
    }
    if let Some(nodes) = &flags.gremlin {
        let query = format!("{}.Values('TID')", nodes.trim());
        let answer = heard(rest, rest.topology(&query, "application/json", Explained::No)).await?;
        let answer = super::query::accepted(answer, &query, rest)?;
        let tids: Vec<String> = serde_json::from_slice(&answer.body).context("these nodes have no TID")?;
        let mut tids: Vec<skydive_value::SmolStr> = tids.into_iter().map(Into::into).collect();
        tids.sort_unstable();
        filter = filter.and(Filter::Field(Path::from(field::NODE_TID), Test::OneOf(tids)));
    }
    Ok(filter)
}

/// A value as a query spells it: a number, or else text.
fn literal(value: &str) -> String {
    if value.parse::<i64>().is_ok() { value.to_owned() } else { quoted(value) }
}

/// Text as a query spells it: JSON's quotes and escapes are those of queries too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ShapeFlag;

    #[test]
    fn flags_become_a_query_that_can_be_read() {
        let flags = LiveFlowsFlags {
            filter: vec![
                ("Application".to_owned(), "DNS".to_owned()),
                ("Transport.B".to_owned(), "53".to_owned()),
                ("DNS.QuestionName".to_owned(), "a'b\"c\\d\n".to_owned()),
            ],
            gremlin: Some("G.V().Has('Name', 'eth0')".to_owned()),
            sort: "Metric.ABBytes".to_owned(),
            limit: 5,
            follow: false,
            shape: ShapeFlag { format: None },
        };
        let query = query(&flags);
        assert!(
            query.starts_with(r#"G.V().Has('Name', 'eth0').Flows("Application", "DNS", "Transport.B", 53, "#)
        );
        assert!(query.contains(r#""a'b\"c\\d\n")"#), "{query}");
        assert!(query.ends_with(r#").Sort(DESC, "Metric.ABBytes")"#), "{query}");
    }
}
