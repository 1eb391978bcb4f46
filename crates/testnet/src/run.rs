//! Commands run to their end, and processes that die with their guard.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A process that is killed and reaped when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts `command`; its standard streams are as the caller set them.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { child })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process itself, for its streams and its exit status.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Kills the process now (`SIGKILL`) and waits for its end.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Both fail only when the process is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs `command` to its end and returns its standard output; a non-zero exit is an error that
/// carries the command line and what it wrote.
pub fn run(command: &mut Command) -> Result<String> {
    run_with_input(command, "")
}

/// As [`run`], with `input` on standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
    let mut stdin = child.stdin.take().expect("standard input was asked to be a pipe");
    // On a thread of its own: a command that answers while it reads must not block on a full pipe.
    let output = std::thread::scope(|scope| {
        // A command that ends without reading all of it closes the pipe; its status tells why.
        scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
        child.wait_with_output()
    })
    .with_context(|| format!("wait for {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim(),
            String::from_utf8_lossy(&output.stdout).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn failing_command_tells_what_it_wrote() {
        let error = run(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("no such thing") && text.contains('3'), "{text}");
    }

    #[test]
    fn input_larger_than_a_pipe_does_not_block() {
        let input = "x".repeat(1 << 20);
        assert_eq!(run_with_input(&mut Command::new("cat"), &input).unwrap().len(), input.len());
    }

    #[test]
    fn dropped_process_is_gone() {
        let running = Running::start(Command::new("sleep").arg("600")).unwrap();
        let proc = format!("/proc/{}", running.pid());
        assert!(Path::new(&proc).exists());
        drop(running);
        assert!(!Path::new(&proc).exists());
    }
}
