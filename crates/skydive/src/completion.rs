//! Completion scripts, written from the definition of the command line.

use std::fs;

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;

use crate::{exit, terminal};

/// Where the original wrote its script.
const BASH_FILE: &str = "skydive-bash-completion.sh";

/// Prints the script of a shell.
pub(crate) fn print(shell: Shell, definition: &mut Command) -> anyhow::Result<u8> {
    terminal::print(script(shell, definition))?;
    Ok(exit::OK)
}

/// Writes bash's script to the current directory and says so.
pub(crate) fn write_bash(definition: &mut Command) -> anyhow::Result<u8> {
    fs::write(BASH_FILE, script(Shell::Bash, definition)).context(BASH_FILE)?;
    terminal::print(format!("The bash completion file has been written to {BASH_FILE}\n"))?;
    Ok(exit::OK)
}

fn script(shell: Shell, definition: &mut Command) -> Vec<u8> {
    let name = definition.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, definition, name, &mut script);
    script
}
