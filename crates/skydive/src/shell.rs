//! `client shell`: a prompt for queries that completes them, and the same without a prompt for scripts.
//!
//! Lines are read on a thread of their own, where waiting for keys may block. The task that drives sockets and signals
//! goes on meanwhile, so that completion can ask the analyzer and Ctrl-C ends a query.

mod candidates;
mod cursor;
mod help;
mod live;
mod prompt;
mod script;
mod session;

use std::env;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use skydive_client::Rest;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::cli::ShellFlags;
use session::{Interrupts, Session};

/// Standard input as a script.
const STDIN: &str = "-";

/// Runs a script, or a prompt until it is left. `name` is that of the binary.
pub(crate) async fn run(rest: Rest, flags: ShellFlags, name: &str) -> anyhow::Result<()> {
    let has_prompt = flags.script.is_none() && io::stdin().is_terminal() && io::stdout().is_terminal();
    if !has_prompt {
        let script = flags.script.unwrap_or_else(|| STDIN.into());
        return script::run(Session::open(rest, Interrupts::EndProgram).await?, &script).await;
    }
    let session = Session::open(rest, Interrupts::EndQuery).await?;
    let history = flags.history.or_else(|| usual_history(name));
    let handle = Handle::current();
    spawn_blocking(move || prompt::run(session, history.as_deref(), &handle)).await.context("the prompt")?
}

/// Where lines are remembered unless told otherwise; `None` without a home.
fn usual_history(name: &str) -> Option<PathBuf> {
    let home = env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(Path::new(&home).join(format!(".{name}_history")))
}
