//! What a configuration is made from: files, and the surroundings of the process.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::address::service_port;

/// A configuration file as read, or why it could not be.
pub(crate) struct Source {
    /// `-` is standard input.
    pub(crate) path: PathBuf,
    pub(crate) text: Result<String, String>,
}

/// What the configuration needs to know about the process and its host.
pub(crate) struct Surroundings {
    /// The variables whose names begin with `SKYDIVE_`.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) host_name: String,
    /// Where a user without privileges keeps state; `None` for root.
    pub(crate) state_home: Option<PathBuf>,
    /// The text of `/etc/services`.
    pub(crate) services: String,
    /// Shuffles lists of servers.
    pub(crate) seed: u64,
}

/// The file read when none is named.
pub(crate) const DEFAULT_FILE: &str = "/etc/skydive/skydive.yml";

/// Larger files are refused: a configuration is written by hand.
const MAX_FILE: u64 = 4 << 20;

impl Source {
    /// Reads the file, or standard input for `-`.
    pub(crate) fn read(path: &Path) -> Self {
        let text = if path == Path::new("-") { read(io::stdin()) } else { File::open(path).and_then(read) };
        Self::new(path, text)
    }

    fn new(path: &Path, text: io::Result<String>) -> Self {
        Self { path: path.to_owned(), text: text.map_err(|error| error.to_string()) }
    }

    /// The named files, or the default file if it is readable.
    pub(crate) fn read_all(paths: &[PathBuf]) -> Vec<Self> {
        if paths.is_empty() {
            let path = Path::new(DEFAULT_FILE);
            // Absent, or not for this user: nobody asked for it. Anything else is worth telling.
            return File::open(path).map(|file| Self::new(path, read(file))).into_iter().collect();
        }
        paths.iter().map(|path| Self::read(path)).collect()
    }
}

impl Surroundings {
    /// The TCP port of a service by its name.
    pub(crate) fn service(&self, name: &str) -> Option<u16> {
        service_port(&self.services, name)
    }

    /// The surroundings of this process.
    pub(crate) fn of_process() -> Self {
        let variables: BTreeMap<String, String> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let home = |name: &str| variables.get(name).filter(|path| path.starts_with('/')).map(PathBuf::from);
        let state_home = home("XDG_STATE_HOME").or_else(|| Some(home("HOME")?.join(".local/state")));
        Self {
            host_name: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
            state_home: if is_root { None } else { state_home },
            services: fs::read_to_string("/etc/services").unwrap_or_default(),
            seed: RandomState::new().hash_one(0),
            variables: variables.into_iter().filter(|(name, _)| name.starts_with("SKYDIVE_")).collect(),
        }
    }
}

fn read(input: impl Read) -> io::Result<String> {
    let mut text = String::new();
    input.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("the file is larger than {} MiB", MAX_FILE >> 20)));
    }
    Ok(text)
}
