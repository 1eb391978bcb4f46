//! Writer of `newc` cpio archives, the format of an initramfs.
//!
//! The kernel unpacks archives one after the other, later entries replacing earlier ones; so an
//! archive of a test's own files is simply appended to the base image.
//! Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// An archive under construction; parents of each entry are made as needed.
#[derive(Debug)]
pub(crate) struct Archive<W> {
    out: W,
    written: u64,
    inode: u32,
    directories: BTreeSet<String>,
}

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
/// Records are padded to 4 bytes, the archive's end to a sector as other writers do.
const SECTOR: u64 = 512;

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, written: 0, inode: 0, directories: BTreeSet::new() }
    }

    /// Adds bytes as an executable file (nothing in a throw-away guest needs other modes).
    pub(crate) fn bytes(&mut self, guest: &str, bytes: &[u8]) -> io::Result<()> {
        self.parents(guest)?;
        self.header(guest.trim_start_matches('/'), EXECUTABLE, bytes.len())?;
        self.put(bytes)?;
        self.pad(4)
    }

    /// Adds a file of the host.
    pub(crate) fn file(&mut self, guest: &str, host: &Path) -> io::Result<()> {
        let mut file = File::open(host)?;
        let size = file.metadata()?.len();
        self.parents(guest)?;
        self.header(guest.trim_start_matches('/'), EXECUTABLE, size as usize)?;
        let copied = io::copy(&mut file, &mut self.out)?;
        if copied != size {
            return Err(io::Error::other("file changed while it was archived"));
        }
        self.written += copied;
        self.pad(4)
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.header("TRAILER!!!", 0, 0)?;
        self.pad(SECTOR)?;
        Ok(self.out)
    }

    fn parents(&mut self, guest: &str) -> io::Result<()> {
        let guest = guest.trim_start_matches('/');
        for (at, _) in guest.match_indices('/') {
            let directory = &guest[..at];
            if self.directories.insert(directory.to_owned()) {
                self.header(directory, DIRECTORY, 0)?;
            }
        }
        Ok(())
    }

    fn header(&mut self, name: &str, mode: u32, size: usize) -> io::Result<()> {
        let size = u32::try_from(size).map_err(|_| io::Error::other("file of 4 GiB or more"))?;
        self.inode += 1;
        // magic, inode, mode, uid, gid, links, mtime, size, four device numbers, name size, checksum
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08x}"));
        }
        self.put(header.as_bytes())?;
        self.put(name.as_bytes())?;
        self.put(&[0])?;
        self.pad(4)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, to: u64) -> io::Result<()> {
        let missing = self.written.next_multiple_of(to) - self.written;
        self.put(&[0; SECTOR as usize][..missing as usize])
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::{ScratchDir, run};

    #[test]
    fn cpio_reads_what_we_write() {
        let mut archive = Archive::new(Vec::new());
        archive.bytes("/test.sh", b"#!/bin/sh\n").unwrap();
        archive.bytes("usr/share/odd", b"12345").unwrap();
        archive.file("/usr/share/self", &std::env::current_exe().unwrap()).unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 512, 0);

        let dir = ScratchDir::new("cpio").unwrap();
        let file = dir.path().join("archive");
        std::fs::write(&file, &bytes).unwrap();
        let list = run(Command::new("sh").args(["-c", r#"cpio --quiet -itv <"$0""#]).arg(&file)).unwrap();
        assert!(list.contains("test.sh") && list.contains("usr/share/odd"), "{list}");
        assert_eq!(list.matches("drwxr-xr-x").count(), 2, "each parent once: {list}");
    }
}
