//! Where captures come from: files, pipes and standard input.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Stands for standard input.
const STDIN: &str = "-";

/// Opens a capture. A terminal is not one.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if !is_stdin(path) {
        return File::open(path);
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(io::Error::other("standard input is a terminal: give it a file or a pipe"));
    }
    // Its own descriptor: the pieces are read without another buffer between.
    Ok(File::from(stdin.as_fd().try_clone_to_owned()?))
}

pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// Reads once; 0 at the end.
pub(super) fn read(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Bytes of all files together, when every one is a regular file.
pub(super) fn length(files: &[PathBuf]) -> Option<u64> {
    let length_of = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok().filter(|_| !is_stdin(path))?;
        metadata.is_file().then_some(metadata.len())
    };
    files.iter().map(length_of).sum()
}
