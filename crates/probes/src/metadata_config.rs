//! Values picked from files that the configuration names; on the host's node, as `Config.<name>`.
//!
//! The graph says what the files say now: after every change of a file it is read again, a value that cannot be had
//! is removed, and why it cannot be had is reported. One broken file leaves the others alone.

mod directories;
mod document;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use skydive_graph::{Mutation, Op, key};
use skydive_value::{Id, SmolStr};

use self::directories::Directories;
use self::document::Format;
use self::source::{SourceFile, Wanted};
use crate::scope::Stopped;
use crate::{BoxFuture, BuildError, MetadataFile, Probe, ProbeConfig, ProbeDef, ProbeError, ProbeScope};

/// See [`crate::PROBES`].
pub(crate) const DEF: ProbeDef = ProbeDef {
    name: "metadata-config",
    about: "values picked from files, on the node of the host",
    needs: &[],
    always: true,
    build,
};

/// Time until watching is tried again where it was refused; inotify tells nothing of limits that are raised.
const RETRY: Duration = Duration::from_secs(30);

/// Problems told at once; the rest is counted.
const MOST_TOLD: usize = 8;

struct MetadataConfig {
    host_node: Id,
    files: Vec<SourceFile>,
    /// Entries of the configuration that are not read.
    refused: Vec<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every probe's build")]
fn build(config: &ProbeConfig) -> Result<Box<dyn Probe>, BuildError> {
    let (files, refused) = sorted(&config.metadata_files);
    Ok(Box::new(MetadataConfig { host_node: config.host_node.clone(), files, refused }))
}

/// The entries by file, and those that are refused.
fn sorted(entries: &[MetadataFile]) -> (Vec<SourceFile>, Vec<String>) {
    let mut files: BTreeMap<PathBuf, Vec<Wanted>> = BTreeMap::new();
    let (mut names, mut refused): (Vec<&str>, _) = (Vec::new(), Vec::new());
    for entry in entries {
        let refuse = |why: String| format!("{}: {}: {why}", entry.path.display(), entry.name);
        let Some(format) = Format::named(&entry.format) else {
            refused.push(refuse(format!("type `{}` is unknown", entry.format)));
            continue;
        };
        if let Some(other) = names.iter().find(|name| collide(name, &entry.name)) {
            refused.push(refuse(format!("the name is taken by `{other}`")));
            continue;
        }
        let path = match std::path::absolute(&entry.path) {
            Ok(path) => path,
            Err(error) => {
                refused.push(refuse(error.to_string()));
                continue;
            }
        };
        names.push(&entry.name);
        files.entry(path).or_default().push(Wanted {
            name: entry.name.as_str().into(),
            format,
            selector: entry.selector.as_str().into(),
        });
    }
    (files.into_iter().map(|(path, wanted)| SourceFile::new(path, wanted)).collect(), refused)
}

/// Whether two names cannot both have a value, because one lies within the other.
fn collide(a: &str, b: &str) -> bool {
    let mut pairs = a.split('.').zip(b.split('.'));
    pairs.all(|(a, b)| a == b)
}

impl Probe for MetadataConfig {
    fn run(self: Box<Self>, scope: ProbeScope) -> BoxFuture<'static, Result<(), ProbeError>> {
        Box::pin(async move {
            tokio::select! {
                () = scope.stopped() => Ok(()),
                ended = self.follow(&scope) => match ended {
                    Ended::NobodyListens(Stopped) => Ok(()),
                    Ended::Defect(why) => Err(ProbeError::Other(why)),
                },
            }
        })
    }
}

/// Why the files are no longer followed.
enum Ended {
    NobodyListens(Stopped),
    Defect(String),
}

impl From<Stopped> for Ended {
    fn from(stopped: Stopped) -> Self {
        Self::NobodyListens(stopped)
    }
}

impl From<tokio::task::JoinError> for Ended {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Defect(error.to_string())
    }
}

impl MetadataConfig {
    async fn follow(self, scope: &ProbeScope) -> Ended {
        let Err(ended) = self.try_follow(scope).await;
        ended
    }

    async fn try_follow(mut self, scope: &ProbeScope) -> Result<std::convert::Infallible, Ended> {
        let mut directories = Directories::default();
        let mut shown = BTreeMap::new();
        let mut told = None;
        loop {
            // Watching comes first: what changes after the reading is told by the watch.
            let (files, unwatched) = directories.follow(self.files).await?;
            self.files = source::read_changed(files).await?;
            let ops = differences(&self.host_node, &self.files, &mut shown);
            scope.send(ops).await?;
            let problems = self.problems(&unwatched);
            if told.as_ref() != Some(&problems) {
                match &problems {
                    Some(why) => scope.degraded(why.clone()).await?,
                    None => scope.running().await?,
                }
                told = Some(problems);
            }
            tokio::select! {
                changed = directories.changed() => {
                    if let Some(path) = changed {
                        self.files.iter_mut().for_each(|file| file.touched(&path));
                    }
                }
                () = tokio::time::sleep(RETRY), if !unwatched.is_empty() => {}
            }
        }
    }

    /// Everything that keeps a value from being shown, for a human.
    fn problems(&self, unwatched: &[String]) -> Option<SmolStr> {
        let found = self.files.iter().flat_map(SourceFile::problems);
        let all: Vec<String> = self.refused.iter().chain(unwatched).cloned().chain(found).collect();
        let mut text = all.get(..MOST_TOLD).unwrap_or(&all).join("; ");
        if let Some(more) = all.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
            text.push_str(&format!("; and {more} more"));
        }
        (!all.is_empty()).then(|| text.into())
    }
}

/// What makes the node say what the files say; `shown` is what it says already.
fn differences(
    host_node: &Id,
    files: &[SourceFile],
    shown: &mut BTreeMap<SmolStr, Option<SmolStr>>,
) -> Vec<Mutation> {
    let mut ops = Vec::new();
    for (name, value) in files.iter().flat_map(SourceFile::values) {
        if shown.get(name).is_some_and(|known| known.as_ref() == value) {
            continue;
        }
        let path = format!("{}.{name}", key::CONFIG);
        ops.push(match value {
            Some(value) => Op::set(&path, value.clone()),
            None => Op::remove(&path),
        });
        shown.insert(name.clone(), value.cloned());
    }
    if ops.is_empty() { Vec::new() } else { vec![Mutation::update_node(host_node.clone(), ops)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, format: &str, name: &str) -> MetadataFile {
        MetadataFile {
            path: path.into(),
            format: format.to_owned(),
            name: name.to_owned(),
            selector: "a".to_owned(),
        }
    }

    #[test]
    fn entries_that_cannot_be_are_told_and_the_others_stay() {
        let (files, refused) = sorted(&[
            entry("/1", "json", "a"),
            entry("/2", "xml", "b"),
            entry("/3", "json", "a"),
            entry("/4", "json", "a.b"),
            entry("/1", "json", "ab"),
            entry("/5", "YAML", "c.d"),
            entry("/6", "yaml", "c"),
        ]);
        assert_eq!(files.len(), 2);
        assert_eq!(
            refused,
            [
                "/2: b: type `xml` is unknown",
                "/3: a: the name is taken by `a`",
                "/4: a.b: the name is taken by `a`",
                "/6: c: the name is taken by `c.d`",
            ]
        );
    }

    #[test]
    fn many_problems_are_counted() {
        let entries: Vec<_> = (0..10).map(|n| entry(&format!("/{n}"), "xml", &n.to_string())).collect();
        let (files, refused) = sorted(&entries);
        let probe = MetadataConfig { host_node: Id::from("h"), files, refused };
        let told = probe.problems(&[]).unwrap();
        assert!(told.starts_with("/0: 0: type `xml` is unknown; /1: "), "{told}");
        assert!(told.ends_with("; and 2 more"), "{told}");
    }
}
