//! The directories in which a change may change what a file says.
//!
//! A file is found through names: its own, those of links on the way, and the name of what a link leads to. Each lies
//! in a directory, and each of these is watched, so that a link that is put elsewhere is noticed as well as a file
//! that is written.

use std::collections::BTreeSet;
use std::future;
use std::path::{Path, PathBuf};

use futures_util::future::select_all;
use skydive_sys::{DirectoryEvent, DirectoryWatch};
use tokio::task::{JoinError, spawn_blocking};

use super::source::SourceFile;

/// Looks at the links before it is accepted that somebody keeps changing them; the watches tell of later changes.
const LOOKS: usize = 4;

/// Directories that are watched.
#[derive(Default)]
pub(super) struct Directories {
    watched: Vec<(PathBuf, DirectoryWatch)>,
}

impl Directories {
    /// Watches what is to be watched for the files now, and no more. Gives the files back, and why some of it cannot
    /// be watched.
    pub(super) async fn follow(
        &mut self,
        mut files: Vec<SourceFile>,
    ) -> Result<(Vec<SourceFile>, Vec<String>), JoinError> {
        let mut failed = Vec::new();
        for _ in 0..LOOKS {
            let wanted;
            (files, wanted) = spawn_blocking(|| {
                let wanted = files.iter().flat_map(|file| places(file.path())).collect();
                (files, wanted)
            })
            .await?;
            let added;
            (added, failed) = self.watch_exactly(wanted);
            if added == 0 {
                break;
            }
        }
        Ok((files, failed))
    }

    /// Drops watches and adds some: how many, and why others cannot be added.
    fn watch_exactly(&mut self, mut wanted: BTreeSet<PathBuf>) -> (usize, Vec<String>) {
        self.watched.retain(|(path, _)| wanted.remove(path));
        let kept = self.watched.len();
        let mut failed = Vec::new();
        for path in wanted {
            match DirectoryWatch::of_contents(&path) {
                Ok(watch) => self.watched.push((path, watch)),
                Err(error) => failed.push(format!("{}: cannot be watched: {error}", path.display())),
            }
        }
        (self.watched.len() - kept, failed)
    }

    /// Waits for a change; the path of what changed, when it is known. May be dropped while waiting.
    pub(super) async fn changed(&mut self) -> Option<PathBuf> {
        if self.watched.is_empty() {
            return future::pending().await;
        }
        let events = self.watched.iter_mut().map(|(_, watch)| Box::pin(watch.next()));
        let (event, at, _) = select_all(events).await;
        match event {
            Ok(DirectoryEvent::Appeared(name) | DirectoryEvent::Vanished(name)) => {
                Some(self.watched[at].0.join(name))
            }
            Ok(DirectoryEvent::Changed) => None,
            Err(_) => {
                // Made anew at the next look, or reported by it.
                self.watched.swap_remove(at);
                None
            }
        }
    }
}

/// The directories with the names that lead to the file, in their shortest form.
fn places(file: &Path) -> BTreeSet<PathBuf> {
    let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory_of = |path: &Path| path.parent().map(Path::to_owned);
    let links = file.ancestors().filter(|place| place.is_symlink()).filter_map(directory_of);
    let target = directory_of(&resolved(file));
    links.chain(directory_of(file)).map(|place| resolved(&place)).chain(target).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use skydive_testnet::ScratchDir;

    use super::*;

    #[test]
    fn every_name_on_the_way_has_its_directory() {
        let scratch = ScratchDir::new("places").unwrap();
        let root = scratch.path().canonicalize().unwrap();
        for dir in ["v1", "elsewhere"] {
            fs::create_dir(root.join(dir)).unwrap();
        }
        fs::write(root.join("elsewhere/real"), "").unwrap();
        symlink(root.join("v1"), root.join("current")).unwrap();
        symlink(root.join("elsewhere/real"), root.join("v1/file")).unwrap();
        let found = places(&root.join("current/file"));
        assert_eq!(found, [root.clone(), root.join("v1"), root.join("elsewhere")].into_iter().collect());
        let found = places(&root.join("nowhere/file"));
        assert_eq!(found, [root.join("nowhere")].into_iter().collect());
    }
}
