//! Text out of files that hold what anybody may have written: names of commands, kernel arguments.

use std::io;
use std::path::Path;

/// A file's text. Bytes that are not UTF-8 become the replacement character: the kernel cuts names of commands at
/// 15 bytes, in the middle of a character too.
pub(crate) fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}
