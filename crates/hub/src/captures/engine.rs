//! What was asked of agents, what they answered, and what is to be asked next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use skydive_api::{CaptureFaults, FollowedQuery, Notices};
use skydive_graph::Snapshot;
use skydive_proto::{Capture, NodeCapture, on_demand_type};
use skydive_query::Cx;
use skydive_value::{SmolStr, Timestamp};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::tell;
use super::wanted::{Found, Known, Place, Spot, look};
use crate::follow::work;
use crate::hosts::Hosts;

/// Captures, and what is under way because of them.
pub(super) struct Engine {
    hosts: Hosts,
    notices: Notices,
    /// What is told of captures that do not run.
    faults: CaptureFaults,
    captures: BTreeMap<SmolStr, Arc<Known>>,
    /// Captures that were removed and may run on: what they were, for the agents.
    removed: HashMap<SmolStr, Capture>,
    /// Questions that agents have not answered.
    asking: JoinSet<Answered>,
    /// What they are about.
    asked: BTreeSet<Place>,
    /// What is to be waited with, and how long the next time.
    later: BTreeMap<Place, Later>,
    /// Since when a capture runs where it is not wanted.
    unwanted: BTreeMap<Place, Instant>,
    /// Where captures ran, or had failed, at the last look.
    there: BTreeMap<Place, Spot>,
    /// What was wrong with whole captures.
    broken: BTreeMap<SmolStr, String>,
    /// When that was.
    looked_at: Instant,
}

#[derive(Clone, Debug)]
struct Later {
    /// What is waited with: to begin, or to end. The other is asked at once.
    is_start: bool,
    until: Instant,
    pause: Duration,
    /// The node, and why it is waited.
    why: Option<(SmolStr, String)>,
}

#[derive(Debug)]
struct Answered {
    place: Place,
    name: SmolStr,
    is_start: bool,
    done: Result<(), String>,
}

/// How long an agent may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Questions under way at a time.
const ASKED: usize = 256;
/// Pause before something is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// And the longest.
const LONGEST: Duration = Duration::from_mins(1);
/// An agent that did what it was asked shows it in the graph within this time.
const SHOWN: Duration = Duration::from_secs(5);
/// A capture that is not wanted any more on a node that is there runs on for this time.
const GRACE: Duration = Duration::from_secs(5);
/// Longest time that the queries of all captures may take.
const LOOK_DEADLINE: Duration = Duration::from_secs(20);
/// Captures that were removed and are remembered.
const REMOVED: usize = 1024;
/// Nodes of a capture whose errors are told.
const TOLD: usize = 3;

impl Engine {
    pub(super) fn new(hosts: Hosts, notices: Notices, faults: CaptureFaults) -> Self {
        Self {
            hosts,
            notices,
            faults,
            captures: BTreeMap::new(),
            removed: HashMap::new(),
            asking: JoinSet::new(),
            asked: BTreeSet::new(),
            later: BTreeMap::new(),
            unwanted: BTreeMap::new(),
            there: BTreeMap::new(),
            broken: BTreeMap::new(),
            looked_at: Instant::now(),
        }
    }

    pub(super) fn add(&mut self, id: SmolStr, capture: Capture, query: FollowedQuery) {
        tell(&self.notices, on_demand_type::ADDED, &capture);
        self.captures.insert(id, Arc::new(Known { capture, query }));
    }

    pub(super) fn remove(&mut self, id: &SmolStr) {
        let Some(known) = self.captures.remove(id) else { return };
        tell(&self.notices, on_demand_type::DELETED, &known.capture);
        self.later.retain(|(capture, _), _| capture != id);
        if self.removed.len() < REMOVED {
            self.removed.insert(id.clone(), known.capture.clone());
        }
    }

    /// Removes all but these.
    pub(super) fn retain(&mut self, ids: BTreeSet<&SmolStr>) {
        let gone: Vec<_> = self.captures.keys().filter(|id| !ids.contains(id)).cloned().collect();
        for id in gone {
            self.remove(&id);
        }
    }

    /// Whether changes of the graph do not matter, but for captures that are left over.
    pub(super) fn is_idle(&self) -> bool {
        self.captures.is_empty() && self.there.is_empty() && self.removed.is_empty()
    }

    /// When something is to be done that waits for time alone.
    pub(super) fn due(&self) -> Option<Instant> {
        let later = self.later.values().map(|later| later.until);
        let unwanted = self.unwanted.values().map(|since| *since + GRACE);
        // What was due at the last look was asked then, or cannot be asked.
        later.chain(unwanted).filter(|due| *due > self.looked_at).min()
    }

    /// Takes the next answer of an agent; waits while there is none. Safe to drop while waiting.
    pub(super) async fn answered(&mut self) {
        let Some(answered) = self.asking.join_next().await else { return std::future::pending().await };
        // A question that ended by a defect is found missing at the next look.
        let Ok(Answered { place, name, is_start, done }) = answered else {
            self.asked.clear();
            return;
        };
        self.asked.remove(&place);
        if let Some(known) = self.captures.get(&place.0)
            && is_start
        {
            tell(&self.notices, on_demand_type::NODE_UPDATED, &known.capture);
        }
        let now = Instant::now();
        match done {
            Ok(()) => {
                if is_start {
                    // It may go before the next look.
                    let spot = Spot { host: SmolStr::default(), name, error: None };
                    self.there.insert(place.clone(), spot);
                }
                // Not asked again before the graph had time to show it.
                let until = now + SHOWN;
                self.later.insert(place, Later { is_start, until, pause: Duration::ZERO, why: None });
            }
            Err(why) => {
                let before = self.later.get(&place).filter(|later| later.is_start == is_start);
                let before = before.map_or(Duration::ZERO, |later| later.pause);
                let pause = (before * 2).clamp(AGAIN, LONGEST);
                tracing::warn!(capture = %place.0, node = %place.1, why, ?pause, is_start, "capture: the agent did not do it");
                let why = is_start.then_some((name, why));
                self.later.insert(place, Later { is_start, until: now + pause, pause, why });
            }
        }
        if self.asking.is_empty() {
            self.tell_faults();
        }
    }

    /// Looks at a graph, and asks for what is missing in it.
    pub(super) async fn look(&mut self, snapshot: Snapshot, now: Timestamp) {
        let captures = self.captures.clone();
        match work(Cx::new(now), LOOK_DEADLINE, move |cx| look(&captures, snapshot, cx)).await {
            Ok(found) => self.follow(&found),
            Err(defect) => tracing::error!(%defect, "captures could not be looked for"),
        }
    }

    fn follow(&mut self, found: &Found) {
        let now = Instant::now();
        for gone in self.there.keys().filter(|place| !found.there.contains_key(*place)) {
            if let Some(known) = self.captures.get(&gone.0) {
                tell(&self.notices, on_demand_type::NODE_UPDATED, &known.capture);
            }
        }
        self.there.clone_from(&found.there);
        self.broken = found
            .unknown
            .iter()
            .chain(&found.impossible)
            .map(|(id, why)| (id.clone(), why.clone()))
            .collect();
        self.looked_at = now;
        // What is as it was asked for is done with; what nobody wants any more too.
        self.later.retain(|place, _| found.wanted.contains_key(place) != found.there.contains_key(place));
        for (place, spot) in &found.wanted {
            if !found.there.contains_key(place)
                && let Some(known) = self.captures.get(&place.0).cloned()
            {
                self.ask(place, spot, &known.capture, true, now);
            }
        }
        self.unwanted.retain(|place, _| found.there.contains_key(place) && !found.wanted.contains_key(place));
        for (place, spot) in &found.there {
            if found.wanted.contains_key(place) || found.unknown.contains_key(&place.0) {
                continue;
            }
            match self.captures.get(&place.0).cloned() {
                Some(known) => {
                    let since = *self.unwanted.entry(place.clone()).or_insert(now);
                    if now >= since + GRACE {
                        self.unwanted.remove(place);
                        self.ask(place, spot, &known.capture, false, now);
                    }
                }
                None => {
                    let unknown = || Capture { uuid: place.0.to_string(), ..Capture::default() };
                    let capture = self.removed.get(&place.0).cloned().unwrap_or_else(unknown);
                    self.ask(place, spot, &capture, false, now);
                }
            }
        }
        let left: BTreeSet<&SmolStr> = found.there.keys().map(|(capture, _)| capture).collect();
        self.removed.retain(|id, _| left.contains(id));
        self.tell_faults();
    }

    /// Tells why captures do not run where they are wanted: what nodes say, and what agents could not have nodes say.
    fn tell_faults(&self) {
        let mut faults: HashMap<SmolStr, Vec<String>> = HashMap::new();
        let on_nodes = self
            .there
            .iter()
            .filter_map(|(place, spot)| Some((place, &spot.name, spot.error.as_ref()?.as_str())));
        let of_agents = self.later.iter().filter_map(|(place, later)| {
            let (name, why) = later.why.as_ref()?;
            Some((place, name, why.as_str()))
        });
        for (id, why) in &self.broken {
            faults.entry(id.clone()).or_default().push(why.clone());
        }
        for ((id, _), name, why) in on_nodes.chain(of_agents) {
            let told = faults.entry(id.clone()).or_default();
            // What is beyond is counted alone.
            told.push(if told.len() < TOLD { format!("{name}: {why}") } else { String::new() });
        }
        let text = |(id, mut told): (SmolStr, Vec<String>)| {
            let more = told.split_off(told.len().min(TOLD)).len();
            let more = (more > 0).then(|| format!("and {more} more"));
            (id, told.into_iter().chain(more).collect::<Vec<_>>().join("; "))
        };
        self.faults.replace(faults.into_iter().map(text).collect());
    }

    fn ask(&mut self, place: &Place, spot: &Spot, capture: &Capture, is_start: bool, now: Instant) {
        let Spot { host, name, .. } = spot;
        let is_later =
            self.later.get(place).is_some_and(|later| later.is_start == is_start && later.until > now);
        if is_later || self.asking.len() >= ASKED || self.asked.contains(place) {
            if self.asking.len() >= ASKED {
                self.later.entry(place.clone()).or_insert(Later {
                    is_start,
                    until: now + AGAIN,
                    pause: AGAIN,
                    why: None,
                });
            }
            return;
        }
        if !self.hosts.has(host) {
            // Its part of the graph comes and goes with it, which is looked at.
            return;
        }
        self.asked.insert(place.clone());
        let kind = if is_start { on_demand_type::START } else { on_demand_type::STOP };
        let question = NodeCapture { node: place.1.clone(), capture: capture.clone() }.to_envelope(kind);
        let (hosts, host, place, name) = (self.hosts.clone(), host.clone(), place.clone(), name.clone());
        self.asking.spawn(async move {
            let done =
                match hosts.ask(&host, question, DEADLINE).await {
                    Ok(answer) if answer.status == 200 => Ok(()),
                    // What is not there has ended.
                    Ok(answer) if answer.status == 404 && !is_start => Ok(()),
                    Ok(answer) => Err(NodeCapture::error_of(&answer.obj)
                        .unwrap_or_else(|| format!("status {}", answer.status))),
                    Err(error) => Err(error.to_string()),
                };
            Answered { place, name, is_start, done }
        });
    }
}
