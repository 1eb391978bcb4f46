//! The `skydive` binary: command line, configuration, wiring, exit codes.
//!
//! The only place where the process environment is read, tasks of the composing crates are started and traits meet
//! their backends. `cli` says what is accepted, `config` what is configured, `wiring` what runs.

mod analyzer_probes;
mod cli;
mod client;
mod completion;
mod config;
mod config_command;
mod exit;
mod flows;
mod logging;
mod memory;
mod probes;
mod serve;
mod shell;
mod table;
mod terminal;
mod top;
mod version;
mod wiring;

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use skydive_proto::reason;
use tokio::runtime;

use cli::{Command, ConfigBackend, Invocation, OtherCommand};
use memory::Pages;
use terminal::{Color, Paint};

fn main() -> ExitCode {
    // First of all: what is touched stays as it is.
    memory::choose(Pages::Small);
    let arguments: Vec<OsString> = env::args_os().collect();
    let invocation = match Invocation::parse(&arguments) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::FAILURE } else { exit::OK });
        }
    };
    match run(invocation, &arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) if error.is::<client::Told>() => ExitCode::from(exit::FAILURE),
        Err(error) => {
            let words = reason(error.as_ref());
            eprintln!("{}: {words}", Paint::of(&io::stderr()).color(Color::Red, "error"));
            ExitCode::from(exit::FAILURE)
        }
    }
}

fn run(invocation: Invocation, arguments: &[OsString]) -> anyhow::Result<u8> {
    let Invocation { config, command, name } = invocation;
    if config.config_backend == ConfigBackend::Etcd {
        anyhow::bail!(
            "--config-backend etcd is not available in this version: put the configuration into a file"
        );
    }
    match command {
        Command::Agent { host_id, listen } => {
            let flags = serve::flags(
                &config,
                &[("host_id", "--host-id", host_id), ("agent.listen", "--listen", listen)],
            );
            serve::run(serve::Role::Agent, &config, &flags)
        }
        Command::Analyzer { listen } => {
            let flags = serve::flags(&config, &[("analyzer.listen", "--listen", listen)]);
            serve::run(serve::Role::Analyzer, &config, &flags)
        }
        Command::Allinone { analyzer_uid: _ } => {
            serve::run(serve::Role::Allinone, &config, &serve::flags(&config, &[]))
        }
        Command::Client { server, command } => {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
            runtime.block_on(client::run(command, &server, &config, &name))?;
            Ok(exit::OK)
        }
        Command::Top { server, flags } => {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
            runtime.block_on(client::top(&server, &config, &flags))?;
            Ok(exit::OK)
        }
        Command::Config(command) => config_command::run(command, &config),
        Command::Flows(command) => {
            memory::choose(Pages::Large);
            flows::run(command, &config)
        }
        Command::Probes => probes::print(),
        Command::Other(OtherCommand::Version) => version::print(arguments),
        Command::Other(OtherCommand::Completion { shell }) => completion::print(shell),
        Command::Other(OtherCommand::BashCompletion) => completion::write_bash(),
    }
}
