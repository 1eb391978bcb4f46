//! The command line: what is accepted, and nothing about what it does.
//!
//! Names, flags and variables are those of the original. Under the name `skydive-cli` the sub-commands of `client`
//! stand at the top level.

mod capture;
mod client;
mod flows;
mod flows_live;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Command as Clap, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use skydive_client::PATIENCE;

pub(crate) use capture::{CaptureCommand, CaptureDraft};
pub(crate) use client::{
    ClientCommand, EdgeCommand, EdgeDraft, EdgeRuleCommand, EdgeRuleDraft, ElementCommand, Format,
    FormatFlag, NodeCommand, NodeDraft, NodeRuleCommand, NodeRuleDraft, QueryFlags, ReadCommand, RuleAction,
    RuleCommand, Shape, ShapeFlag, ShellFlags, TopologyCommand,
};
pub(crate) use flows::{ExtraLayer, FlowsCommand, LayerKeyMode, ReadFlags, RowFormat};
pub(crate) use flows_live::{LiveFlowsFlags, TopFlags};

const NAME: &str = "skydive";

/// The name under which the client sub-commands are at the top level.
const CLIENT_NAME: &str = "skydive-cli";

/// What was asked for, whatever name the binary was called by.
pub(crate) struct Invocation {
    pub(crate) config: ConfigFlags,
    pub(crate) command: Command,
    /// The name it was called by.
    pub(crate) name: String,
}

/// Shows how everything is connected, proves where a packet went, and tells what changed.
#[derive(Parser)]
#[command(name = NAME, max_term_width = 100, arg_required_else_help = true)]
struct SkydiveArgs {
    #[command(flatten)]
    config: ConfigFlags,
    #[command(subcommand)]
    command: Command,
}

/// Asks a Skydive analyzer.
#[derive(Parser)]
#[command(name = CLIENT_NAME, max_term_width = 100, arg_required_else_help = true)]
struct ClientArgs {
    #[command(flatten)]
    config: ConfigFlags,
    #[command(flatten)]
    server: ServerFlags,
    #[command(subcommand)]
    command: ClientTop,
}

/// Flags of every command.
#[derive(Args, Clone)]
pub(crate) struct ConfigFlags {
    /// Configuration file; repeat it to lay files over each other, `-` is standard input
    #[arg(short, long = "conf", global = true, value_name = "FILE")]
    pub(crate) conf: Vec<PathBuf>,
    /// Where the configuration comes from
    #[arg(short = 'b', long, global = true, value_name = "BACKEND", default_value = "file")]
    pub(crate) config_backend: ConfigBackend,
    /// Log at level DEBUG
    #[arg(long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigBackend {
    File,
    Etcd,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Keep this host's part of the graph true and send it to the analyzers
    Agent {
        /// Identity of this host in the graph
        #[arg(long, value_name = "ID")]
        host_id: Option<String>,
        /// Address of the agent's API
        #[arg(long, short, value_name = "ADDRESS")]
        listen: Option<String>,
    },
    /// Merge the graphs of the agents and answer queries
    Analyzer {
        /// Address of the analyzer's API
        #[arg(long, short, value_name = "ADDRESS")]
        listen: Option<String>,
    },
    /// Run an analyzer and an agent in one process
    Allinone {
        /// Accepted for old scripts, not needed
        #[arg(long, value_name = "UID", hide = true)]
        analyzer_uid: Option<u32>,
    },
    /// Ask an analyzer
    Client {
        #[command(flatten)]
        server: ServerFlags,
        #[command(subcommand)]
        command: ClientCommand,
    },
    /// Show the busiest flows, interfaces and processes, kept up to date
    Top {
        #[command(flatten)]
        server: ServerFlags,
        #[command(flatten)]
        flags: TopFlags,
    },
    /// Check, show and document the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Work with flows and captures, without an analyzer
    #[command(subcommand)]
    Flows(FlowsCommand),
    /// List the topology probes, what they need, and whether they can run here
    Probes,
    #[command(flatten)]
    Other(OtherCommand),
}

#[derive(Subcommand)]
enum ClientTop {
    #[command(flatten)]
    Client(ClientCommand),
    #[command(flatten)]
    Other(OtherCommand),
}

/// Commands offered under both names.
#[derive(Subcommand)]
pub(crate) enum OtherCommand {
    /// Print the version
    Version,
    /// Print the completion script of a shell, for skydive and skydive-cli
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Write bash's completion script, skydive-bash-completion.sh, to the current directory
    BashCompletion,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Tell everything that is wrong with the configuration; exits 1 on an error, 0 on warnings only
    Check {
        /// Files to check instead of those of --conf
        files: Vec<PathBuf>,
    },
    /// Print the configuration in force and where each value comes from
    Show,
    /// Print the reference of all keys in Markdown
    Reference,
}

/// Which analyzer to ask, and as whom.
#[derive(Args, Clone)]
pub(crate) struct ServerFlags {
    /// Address of the analyzer [default: the first of `analyzers`, else 127.0.0.1:8082]
    #[arg(long, global = true, env = "SKYDIVE_ANALYZER", value_name = "ADDRESS")]
    pub(crate) analyzer: Option<String>,
    /// User name
    #[arg(long, global = true, env = "SKYDIVE_USERNAME", value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// Password
    #[arg(long, global = true, env = "SKYDIVE_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub(crate) password: Option<String>,
    /// How long the analyzer may say nothing before the client gives up
    #[arg(long, global = true, env = "SKYDIVE_TIMEOUT", value_name = "SECONDS", default_value_t = PATIENCE.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Authority that signed the analyzer's certificate (TLS is not available yet)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// Certificate to show (TLS is not available yet)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Key of the certificate (TLS is not available yet)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Accept any certificate (TLS is not available yet)
    #[arg(long, global = true)]
    pub(crate) insecure: bool,
}

impl ServerFlags {
    /// How long the analyzer may say nothing.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// The command lines of all names of the binary, for completion.
pub(crate) fn definitions() -> [Clap; 2] {
    [SkydiveArgs::command(), ClientArgs::command()]
}

impl Invocation {
    /// Parses the arguments; the first decides the name.
    pub(crate) fn parse(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let called = arguments.first().map(Path::new).and_then(Path::file_stem);
        let name = called.map_or_else(|| NAME.to_owned(), |name| name.to_string_lossy().into_owned());
        if name == CLIENT_NAME {
            let args = ClientArgs::try_parse_from(arguments)?;
            let command = match args.command {
                ClientTop::Client(command) => Command::Client { server: args.server, command },
                ClientTop::Other(command) => Command::Other(command),
            };
            return Ok(Self { config: args.config, command, name });
        }
        let args = SkydiveArgs::try_parse_from(arguments)?;
        Ok(Self { config: args.config, command: args.command, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, clap::Error> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Invocation::parse(&arguments)
    }

    #[test]
    fn the_definitions_are_sound() {
        definitions().into_iter().for_each(Clap::debug_assert);
    }

    #[test]
    fn flags_of_the_original_are_accepted() {
        let invocation =
            parse("/usr/bin/skydive agent --host-id h1 --listen=0.0.0.0:8081 -c a.yml --conf b.yml -b file");
        let invocation = invocation.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(invocation.config.conf, [PathBuf::from("a.yml"), PathBuf::from("b.yml")]);
        let Command::Agent { host_id, listen } = invocation.command else { panic!("not an agent") };
        assert_eq!((host_id.as_deref(), listen.as_deref()), (Some("h1"), Some("0.0.0.0:8081")));
        assert!(parse("skydive allinone --analyzer-uid 1000").is_ok());
        assert!(parse("skydive client query G.V() --format dot --analyzer host:1").is_ok());
        assert!(parse("skydive client query G.V() --delete").is_ok());
    }

    #[test]
    fn help_says_what_is_not_available_yet() {
        let help = ClientArgs::command().render_long_help().to_string();
        let told = |flag: &str| {
            let lines: Vec<&str> = help.lines().collect();
            let at = lines.iter().position(|line| line.trim_start().starts_with(flag));
            at.is_some_and(|at| lines[at..=at + 1].iter().any(|line| line.contains("not available yet")))
        };
        for flag in ["--cacert", "--cert", "--key", "--insecure"] {
            assert!(told(flag), "{flag}: {help}");
        }
    }

    #[test]
    fn the_client_name_has_its_commands_at_the_top() {
        let invocation = parse("./skydive-cli query G.V()").unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(invocation.command, Command::Client { command: ClientCommand::Query { .. }, .. }));
        assert!(matches!(
            parse("skydive-cli.exe version").map(|invocation| invocation.command),
            Ok(Command::Other(OtherCommand::Version))
        ));
        assert!(parse("skydive-cli agent").is_err());
    }
}
