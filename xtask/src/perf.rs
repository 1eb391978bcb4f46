//! The performance report: runs the benches and writes what they measured.
//!
//! A bench prints one line per figure on standard output, whatever else it prints:
//!
//! ```text
//! perf: {"name":"graph insert","who":"ours","unit":"ops/s","samples":[410000,402000],"bar":400000,"better":"higher"}
//! ```
//!
//! `who` is `ours` or a peer measured in the same run; `bar` is the figure that ours must reach, or null.
//! Nothing in the report is typed by hand, and a missed bar stays as a row marked so.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

const REPORT: &str = "docs/performance.md";

/// One figure.
#[derive(Debug, Clone, PartialEq)]
struct Figure {
    name: String,
    who: String,
    unit: String,
    samples: Vec<f64>,
    bar: Option<f64>,
    better: Better,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Lower,
    Higher,
}

/// The figures of one command.
struct Section {
    command: String,
    figures: Vec<Figure>,
}

/// Runs the benches of `crates` (all that have some, if empty) and writes the report; what is not measured stays.
pub(crate) fn report(root: &Path, crates: &[&str]) -> Result<()> {
    let mut sections = Vec::new();
    for package in packages(root, crates)? {
        let command = format!("cargo bench -p {package}");
        eprintln!("perf: {command}");
        let figures = measure(root, &package).with_context(|| command.clone())?;
        sections.push(Section { command, figures });
    }
    if sections.iter().all(|section| section.figures.is_empty()) {
        bail!("no bench printed a `perf:` line");
    }
    let mut text = render(&machine(root)?, &sections);
    if !crates.is_empty() {
        text = keep_others(&text, &std::fs::read_to_string(root.join(REPORT)).unwrap_or_default());
    }
    std::fs::write(root.join(REPORT), text).context(REPORT)?;
    eprintln!("perf: wrote {REPORT}");
    Ok(())
}

/// The new report with the sections of the old one that were not measured again, each with the commit it is of.
fn keep_others(new: &str, old: &str) -> String {
    let mut text = new.to_owned();
    let value = |key: &str| {
        let line = old.lines().find_map(|line| line.strip_prefix(&format!("| {key} | ")));
        line.and_then(|line| line.strip_suffix(" |")).unwrap_or("unknown")
    };
    for section in old.split("\n## ").skip(1) {
        let (heading, rest) = section.split_once('\n').unwrap_or((section, ""));
        if new.contains(&format!("\n## {heading}\n")) {
            continue;
        }
        let rest = rest.trim_start();
        let of = match rest.strip_prefix("Commit ") {
            Some(_) => String::new(),
            None => format!("Commit {}, {}.\n\n", value("commit"), value("date")),
        };
        let _ = write!(text, "\n## {heading}\n\n{of}{rest}");
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// Packages to measure: those named (`graph` or `skydive-graph`), else every crate with a `benches` folder.
fn packages(root: &Path, named: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let entry = entry?;
        let folder = entry.file_name().to_string_lossy().into_owned();
        let package = if folder == "skydive" { folder.clone() } else { format!("skydive-{folder}") };
        let wanted =
            named.is_empty() || named.contains(&package.as_str()) || named.contains(&folder.as_str());
        if wanted && entry.path().join("benches").is_dir() {
            found.push(package);
        }
    }
    found.sort();
    if found.is_empty() || (!named.is_empty() && found.len() != named.len()) {
        bail!("no benches in some of {named:?}; found {found:?}");
    }
    Ok(found)
}

fn measure(root: &Path, package: &str) -> Result<Vec<Figure>> {
    let mut child = Command::new("cargo")
        .args(["bench", "-p", package])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("standard output is a pipe")?;
    let mut figures = Vec::new();
    let mut wrong = None;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        match parse_line(&line) {
            Ok(Some(figure)) => figures.push(figure),
            Ok(None) => {}
            Err(error) => wrong = Some(error.context(line.clone())),
        }
        eprintln!("{line}");
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{status}");
    }
    wrong.map_or(Ok(figures), Err)
}

/// The figure on a line, if it is a `perf:` line.
fn parse_line(line: &str) -> Result<Option<Figure>> {
    let Some(json) = line.trim().strip_prefix("perf: ") else { return Ok(None) };
    let value: Value = serde_json::from_str(json)?;
    let text = |key: &str| {
        value.get(key).and_then(Value::as_str).map(ToOwned::to_owned).with_context(|| format!("no {key}"))
    };
    let samples: Vec<f64> = value
        .get("samples")
        .and_then(Value::as_array)
        .context("no samples")?
        .iter()
        .map(|sample| sample.as_f64().context("a sample is no number"))
        .collect::<Result<_>>()?;
    if samples.is_empty() {
        bail!("no samples");
    }
    let better = match text("better")?.as_str() {
        "lower" => Better::Lower,
        "higher" => Better::Higher,
        other => bail!("better is {other}, not lower or higher"),
    };
    Ok(Some(Figure {
        name: text("name")?,
        who: text("who")?,
        unit: text("unit")?,
        samples,
        bar: value.get("bar").and_then(Value::as_f64),
        better,
    }))
}

impl Figure {
    fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
    }

    fn verdict(&self) -> &'static str {
        match self.bar {
            None => "",
            Some(bar) => {
                let reached = match self.better {
                    Better::Lower => self.median() <= bar,
                    Better::Higher => self.median() >= bar,
                };
                if reached { "reached" } else { "**missed**" }
            }
        }
    }

    fn bar_text(&self) -> String {
        let sign = if self.better == Better::Lower { "≤" } else { "≥" };
        self.bar.map(|bar| format!("{sign} {}", number(bar))).unwrap_or_default()
    }
}

/// What was measured where: the head of the report.
fn machine(root: &Path) -> Result<Vec<(&'static str, String)>> {
    let output = |program: &str, arguments: &[&str]| -> Result<String> {
        let output =
            Command::new(program).args(arguments).current_dir(root).output().context(program.to_owned())?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let first = |path: &str, key: &str| -> String {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let value = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(':'));
        value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let changed = output("git", &["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"])?;
    let commit = output("git", &["rev-parse", "HEAD"])?;
    Ok(vec![
        ("processor", format!("{}, {cores} cores", first("/proc/cpuinfo", "model name"))),
        ("memory", first("/proc/meminfo", "MemTotal")),
        ("kernel", kernel.trim().to_owned()),
        ("compiler", output("rustc", &["--version"])?),
        ("commit", if changed.is_empty() { commit } else { format!("{commit} with uncommitted changes") }),
        ("date", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?),
        ("written by", "cargo xtask perf".to_owned()),
    ])
}

fn render(machine: &[(&str, String)], sections: &[Section]) -> String {
    let mut out = String::from("# Performance\n\nWritten by `cargo xtask perf`; not edited by hand.\n");
    out.push_str("Peers are measured in the same run on the same machine. The figure is the median of the samples.\n\n");
    out.push_str("| | |\n|---|---|\n");
    for (key, value) in machine {
        let _ = writeln!(out, "| {key} | {value} |");
    }
    for section in sections.iter().filter(|section| !section.figures.is_empty()) {
        let _ = writeln!(out, "\n## `{}`\n", section.command);
        out.push_str("| what | who | median | unit | bar | | samples |\n|---|---|---:|---|---:|---|---|\n");
        for figure in &section.figures {
            let samples: Vec<_> = figure.samples.iter().map(|sample| number(*sample)).collect();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} |",
                figure.name,
                figure.who,
                number(figure.median()),
                figure.unit,
                figure.bar_text(),
                figure.verdict(),
                samples.join(" ")
            );
        }
    }
    out
}

/// Whole numbers above 100 with thousands apart, three digits of smaller ones.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        let text = format!("{value:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"perf: {"name":"graph insert","who":"ours","unit":"ops/s","samples":[3,1,2],"bar":2.5,"better":"higher"}"#;

    #[test]
    fn perf_lines_are_read_and_others_passed_over() {
        assert_eq!(parse_line("graph/insert  time: [1 ns]").unwrap(), None);
        let figure = parse_line(LINE).unwrap().unwrap();
        assert_eq!((figure.name.as_str(), figure.who.as_str()), ("graph insert", "ours"));
        assert_eq!(figure.bar, Some(2.5));
        assert_eq!(parse_line(&LINE.replace("2.5", "null")).unwrap().unwrap().bar, None);
        assert!(parse_line(&LINE.replace("[3,1,2]", "[]")).is_err());
        assert!(parse_line("perf: not json").is_err());
    }

    #[test]
    fn medians_and_verdicts() {
        let mut figure = parse_line(LINE).unwrap().unwrap();
        assert_eq!(figure.median(), 2.0);
        assert_eq!(figure.verdict(), "**missed**");
        figure.samples.push(10.0);
        assert_eq!(figure.median(), 2.5);
        assert_eq!(figure.verdict(), "reached");
        figure.better = Better::Lower;
        figure.bar = Some(2.0);
        assert_eq!(figure.verdict(), "**missed**");
    }

    #[test]
    fn report_keeps_missed_rows_and_raw_samples() {
        let figures = vec![parse_line(LINE).unwrap().unwrap()];
        let sections = [Section { command: "cargo bench -p skydive-graph".to_owned(), figures }];
        let text = render(&[("kernel", "6.1".to_owned())], &sections);
        assert!(text.contains("| kernel | 6.1 |"));
        assert!(text.contains("| graph insert | ours | 2 | ops/s | ≥ 2.5 | **missed** | 3 1 2 |"), "{text}");
    }

    #[test]
    fn sections_that_were_not_measured_stay_with_their_commit() {
        let old = "# Performance\n\n| commit | abc |\n| date | then |\n\n## `a`\n\n| old a |\n\n## `b`\n\n| old b |\n";
        let new = "# Performance\n\n| commit | def |\n| date | now |\n\n## `a`\n\n| new a |\n";
        let text = keep_others(new, old);
        assert_eq!(text, format!("{new}\n## `b`\n\nCommit abc, then.\n\n| old b |\n"));
        let newer = "# Performance\n\n| commit | ghi |\n| date | later |\n\n## `a`\n\n| newer a |\n";
        assert_eq!(keep_others(newer, &text), format!("{newer}\n## `b`\n\nCommit abc, then.\n\n| old b |\n"));
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(2_500_000.4), "2,500,000");
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(0.5), "0.5");
        assert_eq!(number(42.0), "42");
    }
}
