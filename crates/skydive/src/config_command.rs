//! `config`: what is wrong with the configuration, what is in force, what there is.

use std::io;

use crate::cli::{ConfigCommand, ConfigFlags};
use crate::config::{self, Loaded, Problem, Severity, Source, Surroundings};
use crate::terminal::{self, Color, Paint};
use crate::{exit, serve};

/// Runs one sub-command.
pub(crate) fn run(command: ConfigCommand, flags: &ConfigFlags) -> anyhow::Result<u8> {
    match command {
        ConfigCommand::Check { files } => {
            let files = if files.is_empty() { &flags.conf } else { &files };
            let sources = Source::read_all(files);
            let loaded = config::load(&sources, &serve::flags(flags, &[]), &Surroundings::of_process());
            terminal::print(report(&loaded, sources.len(), Paint::of(&io::stdout())))?;
            Ok(if loaded.has_errors() { exit::FAILURE } else { exit::OK })
        }
        ConfigCommand::Show => {
            let sources = Source::read_all(&flags.conf);
            let loaded = config::load(&sources, &serve::flags(flags, &[]), &Surroundings::of_process());
            tell(&loaded.problems, Severity::Warning);
            terminal::print(config::show(&loaded))?;
            Ok(if loaded.has_errors() { exit::FAILURE } else { exit::OK })
        }
        ConfigCommand::Reference => {
            terminal::print(config::reference())?;
            Ok(exit::OK)
        }
    }
}

/// Prints the problems from a severity on to standard error.
pub(crate) fn tell(problems: &[Problem], least: Severity) {
    let paint = Paint::of(&io::stderr());
    for problem in problems.iter().filter(|problem| problem.severity >= least) {
        eprintln!("{}", line(problem, paint));
    }
}

/// Every problem, worst last so that it is what stands above the prompt, and a summary.
fn report(loaded: &Loaded, files: usize, paint: Paint) -> String {
    let mut problems: Vec<&Problem> = loaded.problems.iter().collect();
    problems.sort_by_key(|problem| problem.severity);
    let mut text: String = problems.iter().map(|problem| line(problem, paint) + "\n").collect();
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let numbered = |count: usize, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
    text.push_str(&format!(
        "{} checked: {}, {}\n",
        numbered(files, "file"),
        numbered(count(Severity::Error), "error"),
        numbered(count(Severity::Warning), "warning")
    ));
    text
}

fn line(problem: &Problem, paint: Paint) -> String {
    let color = match problem.severity {
        Severity::Error => Color::Red,
        Severity::Warning => Color::Yellow,
        Severity::Note => Color::Blue,
    };
    let key =
        if problem.key.is_empty() { String::new() } else { paint.color(Color::Bold, &problem.key) + ": " };
    let severity = paint.color(color, &problem.severity.to_string());
    format!("{}: {severity}: {key}{}", problem.origin, terminal::harmless(&problem.text))
}
