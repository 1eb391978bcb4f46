//! Completion scripts, written from the definitions of the command line: one script knows every name of the binary.

use std::fs;

use anyhow::Context as _;
use clap_complete::Shell;

use crate::{cli, exit, terminal};

/// Where the original wrote its script.
const BASH_FILE: &str = "skydive-bash-completion.sh";

/// Prints the script of a shell.
pub(crate) fn print(shell: Shell) -> anyhow::Result<u8> {
    terminal::print(script(shell))?;
    Ok(exit::OK)
}

/// Writes bash's script to the current directory and says so.
pub(crate) fn write_bash() -> anyhow::Result<u8> {
    fs::write(BASH_FILE, script(Shell::Bash)).context(BASH_FILE)?;
    terminal::print(format!("The bash completion file has been written to {BASH_FILE}\n"))?;
    Ok(exit::OK)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    for mut definition in cli::definitions() {
        let name = definition.get_name().to_owned();
        clap_complete::generate(shell, &mut definition, name, &mut script);
    }
    script
}
