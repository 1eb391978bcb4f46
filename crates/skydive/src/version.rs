//! `version`: the line that scripts written for the original parse.

use std::ffi::OsString;
use std::path::Path;

use crate::{exit, terminal};

/// The version of this build.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints `<argv0> github.com/skydive-project/skydive <version>`.
pub(crate) fn print(arguments: &[OsString]) -> anyhow::Result<u8> {
    let called = arguments.first().map_or(Path::new("skydive"), Path::new);
    terminal::print(format!("{} github.com/skydive-project/skydive {VERSION}\n", called.display()))?;
    Ok(exit::OK)
}
