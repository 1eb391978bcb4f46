//! Repository chores: `cargo xtask tidy` and `cargo xtask perf`.
//!
//! Written in Rust and kept in the workspace, so that the rules run wherever the code builds. Each chore
//! is a module; none of them uses a crate of ours, the rules must be able to judge a tree that does not
//! compile.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

mod imports;
mod perf;
mod source;
mod tidy;
mod workspace;

const USAGE: &str = "\
usage: cargo xtask CHORE

  tidy             check the house rules; every violation as file:line: rule: text
  perf [CRATE…]    run the benches and write docs/performance.md; with crates named, only those:
                   what is not measured stays as it is in the report";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = root()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => {
            let violations = tidy::check(&workspace::Workspace::read(&root)?);
            for violation in &violations {
                println!("{violation}");
            }
            if violations.is_empty() {
                return Ok(ExitCode::SUCCESS);
            }
            eprintln!("tidy: {} violations", violations.len());
            Ok(ExitCode::FAILURE)
        }
        ["perf", crates @ ..] => perf::report(&root, crates).map(|()| ExitCode::SUCCESS),
        _ => bail!("{USAGE}"),
    }
}

/// The directory above this crate, wherever the program was started from.
fn root() -> Result<PathBuf> {
    // Asked at run time: the program may have been built in another checkout that shares its target directory.
    #[expect(clippy::disallowed_methods, reason = "cargo says where the workspace is")]
    let own = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let root = Path::new(&own).parent().context("xtask lies in the workspace")?;
    Ok(root.to_owned())
}
