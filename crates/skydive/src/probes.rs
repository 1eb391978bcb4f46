//! `probes`: the topology probes of this build, what they need, and whether they can run here.

use std::path::Path;

use anyhow::Context as _;
use skydive_probes::{ANALYZER_PROBES, Need, PROBES};
use skydive_sys::Privileges;

use crate::config::keys::AGENT_PROBES;
use crate::{exit, table, terminal};

/// Prints the table.
pub(crate) fn print() -> anyhow::Result<u8> {
    let missing = Privileges::read().context("/proc/self/status")?.missing();
    let rows = PROBES.iter().map(|probe| {
        let runs = if probe.always { "always" } else { "when asked for" };
        let needs: Vec<&str> = probe.needs.iter().map(name).collect();
        let lacks: Vec<&str> = probe.needs.iter().filter(|need| !is_here(need, &missing)).map(name).collect();
        let here = if lacks.is_empty() { "yes".to_owned() } else { format!("no {}", lacks.join(", ")) };
        [probe.name.to_owned(), probe.about.to_owned(), runs.to_owned(), needs.join(", "), here]
    });
    let analyzers = ANALYZER_PROBES.iter().map(|probe| {
        let [name, about] = [probe.name, probe.about].map(str::to_owned);
        [name, about, "always, on analyzers".to_owned(), String::new(), "yes".to_owned()]
    });
    let rows = rows.chain(analyzers);
    let table = table::draw(["probe", "shows", "runs", "needs", "here"], rows, table::terminal_width());
    let later: Vec<&str> =
        AGENT_PROBES.iter().copied().filter(|name| PROBES.iter().all(|probe| probe.name != *name)).collect();
    terminal::print(table)?;
    if !later.is_empty() {
        terminal::print(format!("not available in this version: {}\n", later.join(", ")))?;
    }
    Ok(exit::OK)
}

fn name(need: &Need) -> &'static str {
    match need {
        Need::Capability(name) | Need::File(name) => name,
    }
}

fn is_here(need: &Need, missing: &[&str]) -> bool {
    match need {
        Need::Capability(name) => !missing.contains(name),
        Need::File(path) => Path::new(path).exists(),
    }
}
