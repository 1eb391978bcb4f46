//! Network namespaces: those with a name below a directory, and those that processes hold.
//!
//! Names come and go by inotify. That a process entered a namespace is told by nobody, so the processes are looked
//! at: every few seconds ([`LOOKS`]), at once when a link leads into a namespace that is not known, and when the process
//! that holds one ends. Where a look fails, for want of descriptors most often, what was found before stays. A namespace that loses its name but is still held becomes
//! another node: its path, which its stable id follows from, is another.

mod known;
mod missing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture as Pending;
use futures_util::stream::{FuturesUnordered, StreamExt};
use skydive_sys::{DirectoryEvent, DirectoryWatch, NsId, Privileges, process_namespaces};
use tokio::time::{Instant, sleep_until};

use crate::{BoxFuture, BuildError, Need, Probe, ProbeConfig, ProbeDef, ProbeError, ProbeScope, Stopped};
use known::{Finding, Known};
use missing::Missing;

/// See [`crate::PROBES`].
pub(crate) const DEF: ProbeDef = ProbeDef {
    name: "netns",
    about: "network namespaces, by name and by the processes in them",
    needs: &[Need::Capability("CAP_SYS_PTRACE")],
    always: true,
    build,
};

/// First and longest pause before a name is looked at again that is no namespace yet: it is made first and mounted
/// on a moment later.
const NOT_YET: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(5));

/// Shortest and longest pause between looks at the processes. The longest is how late a namespace without a name can be
/// shown.
const LOOKS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));

/// A look is followed by a pause of this many times what it took, within those bounds: 0.2 % of a core, more only where
/// a look takes longer than 10 ms.
const LOOK_COST: u32 = 500;

/// Names that go together are looked for together among the processes; links that lead nowhere too.
const GATHER: Duration = Duration::from_millis(10);

struct Netns {
    config: ProbeConfig,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that all probes share")]
fn build(config: &ProbeConfig) -> Result<Box<dyn Probe>, BuildError> {
    Ok(Box::new(Netns { config: config.clone() }))
}

impl Probe for Netns {
    fn run(self: Box<Self>, scope: ProbeScope) -> BoxFuture<'static, Result<(), ProbeError>> {
        Box::pin(async move {
            let path = self.config.netns_run_path.clone();
            let mut search = Search::new(self.config).map_err(source("own namespace"))?;
            let result = search.run(&scope).await.map_err(source(&path.display().to_string()));
            if result.is_err() {
                // The next run shows everything anew.
                let _ = scope.send(search.known.clear()).await;
            }
            result
        })
    }
}

fn source(what: &str) -> impl FnOnce(io::Error) -> ProbeError {
    let what = what.to_owned();
    move |source| ProbeError::Source { what, source }
}

/// The names in a directory; one that is not there has none.
fn names(directory: &Path) -> io::Result<BTreeSet<OsString>> {
    match std::fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(BTreeSet::new())
        }
        Err(error) => Err(error),
    }
}

/// What was found, and what is being looked for.
struct Search {
    config: ProbeConfig,
    own: NsId,
    known: Known,
    names: BTreeMap<OsString, NsId>,
    /// Names that are no namespace yet: when to look again, and the pause after that.
    waiting: BTreeMap<OsString, (Instant, Duration)>,
    held: HashMap<NsId, Vec<u32>>,
    look_at: Instant,
    /// When to read the directory again that could not be read.
    list_at: Option<Instant>,
    missing: Missing,
    told: Option<Missing>,
    /// Ends of the oldest holders of namespaces without a name.
    ends: FuturesUnordered<Pending<'static, (u32, io::Result<()>)>>,
    watched: BTreeSet<u32>,
}

impl Search {
    fn new(config: ProbeConfig) -> io::Result<Self> {
        Ok(Self {
            own: NsId::here()?,
            known: Known::new(config.clone()),
            names: BTreeMap::new(),
            waiting: BTreeMap::new(),
            held: HashMap::new(),
            look_at: Instant::now(),
            list_at: None,
            missing: Missing::default(),
            told: None,
            ends: FuturesUnordered::new(),
            watched: BTreeSet::new(),
            config,
        })
    }

    /// Searches until told to stop; an error is one of the directory.
    async fn run(&mut self, scope: &ProbeScope) -> io::Result<()> {
        let mut directory = DirectoryWatch::new(&self.config.netns_run_path)?;
        self.missing.is_blind = !Privileges::read()?.sys_ptrace;
        self.list();
        self.look().await;
        loop {
            if self.show(scope).await.is_err() || self.tell(scope).await.is_err() {
                return Ok(());
            }
            let retry = self.waiting.values().map(|(at, _)| *at).chain(self.list_at).min();
            let wake = retry.map_or(self.look_at, |at| at.min(self.look_at));
            tokio::select! {
                () = scope.stopped() => return Ok(()),
                event = directory.next() => match event? {
                    DirectoryEvent::Appeared(name) => self.appeared(name, NOT_YET.0),
                    DirectoryEvent::Vanished(name) => self.vanished(&name),
                    DirectoryEvent::Changed => self.list(),
                },
                () = self.config.namespaces.asked_to_look() => self.look_soon(),
                Some((pid, ended)) = self.ends.next() => {
                    self.watched.remove(&pid);
                    // Where it cannot be told (no descriptor left), the next look at the processes tells.
                    if ended.is_ok() {
                        self.look_soon();
                    }
                }
                () = sleep_until(wake) => {
                    let now = Instant::now();
                    let due: Vec<_> = self
                        .waiting
                        .iter()
                        .filter(|(_, (at, _))| *at <= now)
                        .map(|(name, (_, pause))| (name.clone(), *pause))
                        .collect();
                    for (name, pause) in due {
                        self.appeared(name, (pause * 2).min(NOT_YET.1));
                    }
                    if self.list_at.is_some_and(|at| at <= now) {
                        self.list();
                    }
                    if self.look_at <= now {
                        self.look().await;
                    }
                }
            }
        }
    }

    fn look_soon(&mut self) {
        self.look_at = self.look_at.min(Instant::now() + GATHER);
    }

    /// Reads the directory anew; later again when it cannot be read.
    fn list(&mut self) {
        let there = match names(&self.config.netns_run_path) {
            Ok(there) => there,
            Err(error) => {
                let path = self.config.netns_run_path.display();
                self.missing.names = Some(format!("names not read: {path}: {error}").into());
                self.list_at = Some(Instant::now() + LOOKS.1);
                return;
            }
        };
        (self.missing.names, self.list_at) = (None, None);
        let gone: Vec<OsString> = self.names.keys().filter(|name| !there.contains(*name)).cloned().collect();
        for name in gone {
            self.vanished(&name);
        }
        self.waiting.retain(|name, _| there.contains(name));
        for name in there {
            self.appeared(name, NOT_YET.0);
        }
    }

    fn appeared(&mut self, name: OsString, pause: Duration) {
        match NsId::of_path(&self.config.netns_run_path.join(&name)) {
            Ok(id) => {
                self.waiting.remove(&name);
                if let Some(old) = self.names.insert(name, id)
                    && old != id
                {
                    self.known.touch(old);
                }
                self.known.touch(id);
            }
            Err(_) => {
                self.waiting.insert(name, (Instant::now() + pause, pause));
            }
        }
    }

    fn vanished(&mut self, name: &OsString) {
        self.waiting.remove(name);
        if let Some(id) = self.names.remove(name) {
            if self.names.values().any(|other| *other == id) {
                self.known.touch(id);
            } else {
                // A process may hold it still; the look decides between another node and none.
                self.look_soon();
            }
        }
    }

    /// Looks at the processes.
    async fn look(&mut self) {
        let start = Instant::now();
        let looked = tokio::task::spawn_blocking(process_namespaces).await;
        let took = start.elapsed();
        self.look_at = Instant::now() + (took * LOOK_COST).clamp(LOOKS.0, LOOKS.1);
        let found = match looked.map_err(io::Error::other).flatten() {
            Ok(found) => found,
            Err(error) => {
                self.missing.processes = Some(format!("processes not looked at: /proc: {error}").into());
                return;
            }
        };
        (self.missing.processes, self.missing.hidden) = (None, found.hidden);
        self.held = found
            .held
            .into_iter()
            .map(|(id, holders)| (id, holders.into_iter().map(|holder| holder.pid).collect()))
            .collect();
        self.known.touch_all(self.held.keys().copied());
    }

    /// Tells what is missing, when that is news.
    async fn tell(&mut self, scope: &ProbeScope) -> Result<(), Stopped> {
        if self.told.as_ref().is_some_and(|told| !self.missing.is_news_after(told)) {
            return Ok(());
        }
        self.told = Some(self.missing.clone());
        match self.missing.why() {
            Some(why) => scope.degraded(why).await,
            None => scope.running().await,
        }
    }

    /// Shows what changed.
    async fn show(&mut self, scope: &ProbeScope) -> Result<(), Stopped> {
        for id in self.known.take_touched() {
            if id == self.own {
                continue;
            }
            let names: Vec<&OsString> =
                self.names.iter().filter(|(_, of)| **of == id).map(|(name, _)| name).collect();
            let pids = self.held.get(&id).map_or(&[][..], Vec::as_slice);
            let finding = Finding { names, pids };
            if let (true, Some(oldest)) = (finding.names.is_empty(), pids.first().copied())
                && self.watched.insert(oldest)
            {
                self.ends.push(Box::pin(async move { (oldest, skydive_sys::ended(oldest).await) }));
            }
            let (mutations, entry) = self.known.update(id, &finding, scope.now());
            scope.send(mutations).await?;
            // Only now: who looks inside must find the node there.
            match entry {
                Some(ns) => self.config.namespaces.insert((id.dev, id.ino), ns),
                None => self.config.namespaces.remove((id.dev, id.ino)),
            }
        }
        Ok(())
    }
}
