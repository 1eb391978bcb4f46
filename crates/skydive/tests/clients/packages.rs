//! Python programs of the original, installed unmodified, and hosts to run them on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use skydive_testnet::{run, workspace_root};

use crate::stage::{ANALYZER, Desk, Host};

/// The directory of the installed programs. Installs them when they are not there; a failure is the test's.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let printed = run(&mut Command::new(workspace_root().join("scripts/python-clients.sh")));
        PathBuf::from(printed.expect("the Python clients are installed").trim())
    })
}

/// A command line of an installed program, ready to run on `host`.
pub(crate) fn program(host: &Host, name: &str, arguments: &[&str]) -> Command {
    let program = programs().join(name);
    let mut command = host.command_of(&[&[program.to_str().unwrap()], arguments].concat(), &[]);
    // Where a program keeps its history; nothing is written beside the scripts.
    command.env("HOME", host.directory());
    command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs a script of `python/` on `host`, which must succeed. What it printed.
pub(crate) fn script(host: &Host, name: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python").join(name);
    let output =
        program(host, "python", &[&[script.to_str().unwrap()], arguments].concat()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} {arguments:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Writes a file for a program. Its path.
pub(crate) fn file(host: &Host, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = host.directory().join(name);
    std::fs::write(&path, content).unwrap();
    AsRef::<OsStr>::as_ref(&path).to_str().unwrap().to_owned()
}

/// Runs `f` with a client beside an analyzer that has no agents.
pub(crate) fn with_analyzer(hint: &str, f: impl FnOnce(&Host, &Desk) + Send) {
    let host = Host::new(hint);
    let _service = host.start(&["analyzer"], &[("SKYDIVE_HOST_ID", "hub1")]);
    host.ask(ANALYZER, |desk| f(&host, desk));
}
