//! One file, what is wanted from it, and what was found when it was read last.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use skydive_value::SmolStr;
use thiserror::Error;
use tokio::task::{JoinError, spawn_blocking};

use super::document::{self, DocumentError, Format};

/// Largest file that is read, bytes.
const MAX_FILE: u64 = 1 << 20;

/// Largest value that is shown, bytes: every client of the graph gets it.
const MAX_VALUE: usize = 64 << 10;

/// A value that is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Name of the metadata.
    pub(super) name: SmolStr,
    pub(super) format: Format,
    /// Dotted path in the file.
    pub(super) selector: SmolStr,
}

/// A file and what is wanted from it.
#[derive(Debug)]
pub(super) struct SourceFile {
    path: PathBuf,
    wanted: Vec<Wanted>,
    /// Where the path leads.
    target: Option<PathBuf>,
    /// What tells whether it must be read again.
    stamp: Option<Stamp>,
    /// What it says, in the order of `wanted`.
    found: Result<Vec<Result<SmolStr, ValueError>>, FileError>,
}

/// Differs when the file behind a path is another one, or another state of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(of: &Metadata) -> Self {
        Self {
            inode: (of.dev(), of.ino()),
            size: of.len(),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        }
    }
}

/// A file that cannot be read.
#[derive(Debug, Error)]
enum FileError {
    #[error("was not read yet")]
    Unread,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("is not a file")]
    NoFile,
    #[error("is larger than 1 MiB")]
    TooLarge,
    #[error("is not UTF-8")]
    NoText,
}

/// A value that a file does not give.
#[derive(Debug, Error)]
enum ValueError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("the value of `{0}` is larger than 64 KiB")]
    TooLarge(SmolStr),
}

impl SourceFile {
    /// A file that was not read yet.
    pub(super) fn new(path: PathBuf, wanted: Vec<Wanted>) -> Self {
        Self { path, wanted, target: None, stamp: None, found: Err(FileError::Unread) }
    }

    /// Its name in the configuration, made absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Something happened to what has this path; when it is this file, it must be read again.
    pub(super) fn touched(&mut self, path: &Path) {
        if self.target.as_deref() == Some(path) {
            self.stamp = None;
        }
    }

    /// The names wanted and their values.
    pub(super) fn values(&self) -> impl Iterator<Item = (&SmolStr, Option<&SmolStr>)> {
        self.wanted.iter().enumerate().map(|(at, wanted)| {
            let value = self.found.as_ref().ok().and_then(|found| found.get(at)?.as_ref().ok());
            (&wanted.name, value)
        })
    }

    /// Why values are missing, each with the file; what is said of several is said once.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = match &self.found {
            Err(why) => vec![why.to_string()],
            Ok(found) => {
                found.iter().filter_map(|value| value.as_ref().err()).map(|e| e.to_string()).collect()
            }
        };
        problems.dedup();
        problems.iter().map(|why| format!("{}: {why}", self.path.display())).collect()
    }

    fn read(&mut self) {
        self.target = self.path.canonicalize().ok();
        match read_text(&self.path, self.stamp) {
            Ok(None) => {}
            Ok(Some((stamp, text))) => {
                self.stamp = Some(stamp);
                self.found = Ok(self.wanted.iter().map(|wanted| wanted.find(&text)).collect());
            }
            Err(error) => {
                self.stamp = None;
                self.found = Err(error);
            }
        }
    }
}

impl Wanted {
    fn find(&self, text: &str) -> Result<SmolStr, ValueError> {
        let value = document::select(self.format, text, &self.selector)?;
        if value.len() > MAX_VALUE { Err(ValueError::TooLarge(self.selector.clone())) } else { Ok(value) }
    }
}

/// Reads those files that changed; not on this thread, a file system may take its time.
pub(super) async fn read_changed(mut files: Vec<SourceFile>) -> Result<Vec<SourceFile>, JoinError> {
    spawn_blocking(|| {
        files.iter_mut().for_each(SourceFile::read);
        files
    })
    .await
}

/// The text, unless the file is still the one with the stamp.
fn read_text(path: &Path, known: Option<Stamp>) -> Result<Option<(Stamp, String)>, FileError> {
    // Looked at before it is opened: to open a pipe would wait for somebody to write into it.
    let found = path.metadata()?;
    if !found.is_file() {
        return Err(FileError::NoFile);
    }
    if known == Some(Stamp::from(&found)) {
        return Ok(None);
    }
    let file = File::open(path)?;
    let stamp = Stamp::from(&file.metadata()?);
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(FileError::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(|_| FileError::NoText)?;
    Ok(Some((stamp, text)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use skydive_testnet::ScratchDir;

    use super::*;

    fn file(path: PathBuf, selectors: &[&str]) -> SourceFile {
        let wanted = |selector: &&str| Wanted {
            name: (*selector).into(),
            format: Format::Json,
            selector: (*selector).into(),
        };
        SourceFile::new(path, selectors.iter().map(wanted).collect())
    }

    fn values(file: &SourceFile) -> Vec<Option<&str>> {
        file.values().map(|(_, value)| value.map(SmolStr::as_str)).collect()
    }

    #[test]
    fn what_a_file_does_not_give_is_told_with_the_file() {
        let dir = ScratchDir::new("source").unwrap();
        let path = dir.path().join("f.json");
        let shown = path.display().to_string();
        let mut file = file(path.clone(), &["a", "b"]);
        for (content, expected, problems) in [
            (None, [None, None], vec!["No such file or directory (os error 2)"]),
            (Some(br#"{"a": 1, "b": "x"}"#.to_vec()), [Some("1"), Some("x")], vec![]),
            (Some(br#"{"a": 2}"#.to_vec()), [Some("2"), None], vec!["nothing is at `b`"]),
            (Some(b"{".to_vec()), [None, None], vec!["EOF while parsing an object at line 1 column 1"]),
            (Some(vec![0xff]), [None, None], vec!["is not UTF-8"]),
            (Some(vec![b' '; (1 << 20) + 1]), [None, None], vec!["is larger than 1 MiB"]),
            (
                Some(format!(r#"{{"a": "{}", "b": 1}}"#, "a".repeat(65537)).into_bytes()),
                [None, Some("1")],
                vec!["the value of `a` is larger than 64 KiB"],
            ),
        ] {
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
                file.touched(&path.canonicalize().unwrap());
            }
            file.read();
            assert_eq!(values(&file), expected);
            let problems: Vec<_> = problems.iter().map(|why| format!("{shown}: {why}")).collect();
            assert_eq!(file.problems(), problems);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        file.read();
        assert_eq!(file.problems(), [format!("{shown}: is not a file")]);
    }

    #[test]
    fn a_file_that_is_the_same_is_not_read_again() {
        let dir = ScratchDir::new("source").unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "x").unwrap();
        let (stamp, text) = read_text(&path, None).unwrap().unwrap();
        assert_eq!(text, "x");
        assert!(read_text(&path, Some(stamp)).unwrap().is_none());
        fs::write(dir.path().join("new"), "x").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert!(read_text(&path, Some(stamp)).unwrap().is_some());
    }
}
