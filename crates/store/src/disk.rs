//! The file that resources are kept in: one table of redb, which has a copy of every page it changes until the change
//! is synced, so that a crash leaves the file as it was before or after a change, never between.

use std::fs;
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError,
};
use skydive_proto::{Resource, ResourceChange};
use skydive_value::{SmolStr, Timestamp};
use thiserror::Error;

use crate::shelf::Entry;

/// A store that cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its directory cannot be made.
    #[error("directory {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another program has it open.
    #[error("{0} is in use by another program")]
    InUse(PathBuf),
    /// The file cannot be read.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The thread that writes cannot be started.
    #[error("thread")]
    Thread(#[source] std::io::Error),
}

/// The open file.
pub(crate) struct Disk {
    path: PathBuf,
    /// Absent after a fault, until it could be opened again.
    database: Option<Database>,
}

/// Kind and id to revision, expiry in milliseconds since the epoch, and JSON. A change of this gets a new name.
const RESOURCES: TableDefinition<(&str, &str), (u64, Option<i64>, &str)> =
    TableDefinition::new("resources.v1");
/// Name of the file in its directory.
const FILE: &str = "resources.redb";
/// Memory for pages, bytes; everything is in memory anyway.
const CACHE: usize = 4 << 20;

impl Disk {
    /// Opens the file in `directory`, which is made when it is absent, and reads all of it. A damaged file is set aside
    /// under another name, and an empty one takes its place; an error is logged then.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Vec<(SmolStr, Resource)>), OpenError> {
        fs::create_dir_all(directory)
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        let path = directory.join(FILE);
        let why = match Self::read(&path) {
            Ok(found) => return Ok(found),
            Err(Fault::InUse) => return Err(OpenError::InUse(path)),
            Err(Fault::Other(why)) => return Err(OpenError::File { path, why }),
            Err(Fault::Damaged(why)) => why,
        };
        let aside = free_name(&path);
        tracing::error!(file = %path.display(), aside = %aside.display(), why, "damaged resources set aside");
        let other = |why: String| OpenError::File { path: path.clone(), why };
        fs::rename(&path, &aside).map_err(|fault| other(fault.to_string()))?;
        Self::read(&path).map_err(|fault| other(fault.into_text()))
    }

    /// Writes changes; they are on the disk when it returns. After an error none of them is.
    pub(crate) fn write(&mut self, entries: &[Entry]) -> Result<(), String> {
        if self.database.is_none() {
            self.database = Some(open(&self.path).map_err(Fault::into_text)?);
        }
        let Some(database) = &self.database else { return Ok(()) };
        let written = write(database, entries);
        if written.is_err() {
            // redb refuses everything after a fault of the disk until the file is opened anew.
            self.database = None;
        }
        written.map_err(|fault| fault.to_string())
    }

    fn read(path: &Path) -> Result<(Self, Vec<(SmolStr, Resource)>), Fault> {
        let database = open(path)?;
        let resources = read(&database)?;
        Ok((Self { path: path.to_owned(), database: Some(database) }, resources))
    }
}

/// Why a file cannot be used.
enum Fault {
    InUse,
    Damaged(String),
    Other(String),
}

impl Fault {
    fn into_text(self) -> String {
        match self {
            Self::InUse => "in use by another program".to_owned(),
            Self::Damaged(why) | Self::Other(why) => why,
        }
    }
}

impl From<StorageError> for Fault {
    fn from(fault: StorageError) -> Self {
        match fault {
            StorageError::Io(fault) if is_damage(fault.kind()) => Self::Damaged(fault.to_string()),
            StorageError::Corrupted(why) => Self::Damaged(why),
            other => Self::Other(other.to_string()),
        }
    }
}

/// Kinds of faults that say that the file holds something else than expected.
fn is_damage(kind: std::io::ErrorKind) -> bool {
    matches!(kind, std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}

fn open(path: &Path) -> Result<Database, Fault> {
    Database::builder().set_cache_size(CACHE).create(path).map_err(|fault| match fault {
        DatabaseError::DatabaseAlreadyOpen => Fault::InUse,
        DatabaseError::Storage(fault) => fault.into(),
        DatabaseError::RepairAborted => Fault::Damaged(fault.to_string()),
        other => Fault::Other(other.to_string()),
    })
}

fn read(database: &Database) -> Result<Vec<(SmolStr, Resource)>, Fault> {
    let reading = database.begin_read().map_err(|fault| Fault::Other(fault.to_string()))?;
    let table = match reading.open_table(RESOURCES) {
        Ok(table) => table,
        // Nothing was ever written.
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(TableError::Storage(fault)) => return Err(fault.into()),
        Err(other) => return Err(Fault::Damaged(other.to_string())),
    };
    let mut resources = Vec::new();
    for row in table.iter()? {
        let (name, row) = row?;
        let ((kind, id), (revision, expires_at, json)) = (name.value(), row.value());
        let resource = Resource {
            id: id.into(),
            json: json.into(),
            revision,
            expires_at: expires_at.map(Timestamp::from_millis),
        };
        resources.push((SmolStr::from(kind), resource));
    }
    Ok(resources)
}

fn write(database: &Database, entries: &[Entry]) -> Result<(), redb::Error> {
    // Durable at once is what a transaction is unless told otherwise.
    let writing = database.begin_write()?;
    {
        let mut table = writing.open_table(RESOURCES)?;
        for Entry { kind, change, .. } in entries {
            match change {
                ResourceChange::Stored(r) => {
                    let expires_at = r.expires_at.map(Timestamp::as_millis);
                    table.insert((kind.as_str(), r.id.as_str()), (r.revision, expires_at, &*r.json))?;
                }
                ResourceChange::Removed(r) => {
                    table.remove((kind.as_str(), r.id.as_str()))?;
                }
            }
        }
    }
    writing.commit()?;
    Ok(())
}

/// A name beside `path` that no file has.
fn free_name(path: &Path) -> PathBuf {
    let name = |n: u32| path.with_extension(format!("damaged-{n}"));
    (1..u32::MAX).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(0))
}

#[cfg(test)]
mod tests {
    use skydive_testnet::ScratchDir;

    use super::*;

    fn stored(id: &str) -> Entry {
        let resource = Resource { id: id.into(), json: "{}".into(), revision: 7, expires_at: None };
        Entry { revision: 7, kind: "k".into(), change: ResourceChange::Stored(resource) }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let scratch = ScratchDir::new("disk").unwrap();
        let directory = scratch.path().join("deep/er");
        let (mut disk, found) = Disk::open(&directory).unwrap();
        assert!(found.is_empty());
        disk.write(&[stored("a"), stored("b/c")]).unwrap();
        assert!(matches!(Disk::open(&directory), Err(OpenError::InUse(_))));
        drop(disk);
        let (_, found) = Disk::open(&directory).unwrap();
        let found: Vec<&str> = found.iter().map(|(_, resource)| resource.id.as_str()).collect();
        assert_eq!(found, ["a", "b/c"]);
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let scratch = ScratchDir::new("disk").unwrap();
        let path = scratch.path().join(FILE);
        for damage in 0..2 {
            fs::write(&path, format!("this is no database {damage}").repeat(1000)).unwrap();
            let (mut disk, found) = Disk::open(scratch.path()).unwrap();
            assert!(found.is_empty());
            disk.write(&[stored("a")]).unwrap();
            drop(disk);
            assert_eq!(Disk::open(scratch.path()).unwrap().1.len(), 1);
            assert!(path.with_extension(format!("damaged-{}", damage + 1)).exists());
        }
    }

    #[test]
    fn a_directory_that_cannot_be_is_said() {
        let scratch = ScratchDir::new("disk").unwrap();
        fs::write(scratch.path().join("file"), "").unwrap();
        let fault = Disk::open(&scratch.path().join("file/under")).err();
        assert!(matches!(fault, Some(OpenError::Directory { .. })));
    }
}
