//! A virtual machine with a second kernel, for the link kinds the host's kernel may lack.
//!
//! QEMU emulates the processor (no KVM: it is not to be had inside most test machines), boots
//! Debian's cloud kernel with an initramfs of busybox, `ip`, `bridge`, `ethtool`, `ovs-dpctl` and the
//! modules of all link kinds, runs the test's script as `/test.sh` and powers off. There is no disk and
//! no network card. `scripts/vm-image.sh` builds the image once; the guest's `/init` in it is the other
//! side of the protocol here:
//!
//! - the console is the first serial port; the line `testnet: exit N` is the verdict;
//! - what the script leaves in `/out` comes back as files, through the second serial port.
//!
//! Modules are loaded on demand: `ip link add type bond` is enough. What has no such trigger
//! (`mpls_router`) the script loads with `modprobe`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::archive::Archive;
use crate::eventually;
use crate::run::{Running, run};
use crate::scratch::ScratchDir;
use crate::skip::workspace_root;

/// Fits the unpacked image, a debug build of the binary and a few thousand links.
const MEMORY_MIB: u32 = 512;

/// Executables above this size go in without their debug information.
const STRIP_ABOVE: u64 = 4 << 20;

/// A machine that lives for one script.
#[derive(Debug)]
pub struct Vm;

/// What a script left behind.
#[derive(Debug, Clone)]
pub struct VmOutput {
    /// Everything on the console after the script's start: both its streams, and the kernel's complaints.
    pub console: String,
    /// The script's exit status.
    pub exit: i32,
    /// The files it left in `/out`, by path below it.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl VmOutput {
    /// The file `/out/NAME` as text.
    pub fn text(&self, name: &str) -> Result<&str> {
        let bytes = self.files.get(name).with_context(|| format!("no /out/{name}:\n{}", self.console))?;
        Ok(std::str::from_utf8(bytes)?)
    }

    /// An error with the console's text unless the script ended with 0.
    pub fn success(self) -> Result<Self> {
        if self.exit != 0 {
            bail!("the guest's script ended with {}:\n{}", self.exit, self.console);
        }
        Ok(self)
    }
}

impl Vm {
    /// Boots a guest that has `files` (host path, guest path) in its file system, runs `script` with its
    /// `sh` and returns what came of it, or an error with the console if it was not over by `deadline`.
    ///
    /// Machines run one at a time, across processes too: two emulated machines on a small host only make
    /// each other late. The deadline counts from the start of this one.
    pub fn run(files: &[(PathBuf, String)], script: &str, deadline: Duration) -> Result<VmOutput> {
        let root = workspace_root();
        let cache = cache_dir()?;
        run(&mut Command::new(root.join("scripts/vm-image.sh"))).context("build the machine's image")?;
        let turn = File::create(cache.join("turn"))?;
        turn.lock().context("wait for other virtual machines")?;

        let dir = ScratchDir::new("vm")?;
        let (initrd, console, out) =
            (dir.path().join("initrd"), dir.path().join("console"), dir.path().join("out.tar"));
        write_initrd(&initrd, &cache.join("base.cpio"), files, script, dir.path())?;
        // The machine dies with this thread even when the test is killed and no guard runs.
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
            .args(["-accel", "tcg", "-m", &MEMORY_MIB.to_string(), "-display", "none", "-monitor", "none"])
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-serial", &format!("file:{}", console.display())])
            .args(["-serial", &format!("file:{}", out.display())])
            .arg("-kernel")
            .arg(cache.join("vmlinuz"))
            .arg("-initrd")
            .arg(&initrd)
            .args(["-append", "console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=unstable"])
            .stdin(Stdio::null());
        let mut running = Running::start(&mut qemu)?;
        let ended = eventually("the virtual machine", deadline, || running.child().try_wait().transpose());
        let console = std::fs::read(&console).unwrap_or_default();
        let console = String::from_utf8_lossy(&console).replace('\r', "");
        let status = ended.with_context(|| console.clone())??;
        if !status.success() {
            bail!("qemu: {status}\n{console}");
        }
        read_output(&console, &out)
    }
}

/// The executable `host` and every library it links, for the guest: itself at `guest`, the libraries at
/// the paths they have here. A statically linked program comes alone.
pub fn program(host: &Path, guest: &str) -> Result<Vec<(PathBuf, String)>> {
    let mut files = vec![(host.to_owned(), guest.to_owned())];
    let Ok(linked) = run(Command::new("ldd").arg(host)) else {
        // ldd ends with an error for what is not a dynamic executable.
        return Ok(files);
    };
    for library in linked_libraries(&linked) {
        let path = library.with_context(|| format!("{} links a library that is not here", host.display()))?;
        files.push((path.clone(), path.display().to_string()));
    }
    Ok(files)
}

/// Paths in the output of `ldd`; `None` for a library that was not found.
fn linked_libraries(text: &str) -> Vec<Option<PathBuf>> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        let (name, rest) = line.split_once(" => ").map_or((line, None), |(name, rest)| (name, Some(rest)));
        // `name => path (address)`, `/loader (address)`, or `linux-vdso.so.1 (address)`, which is no file.
        let place = rest.unwrap_or(name);
        if place.starts_with('/') {
            found.push(place.split(' ').next().map(PathBuf::from));
        } else if place.starts_with("not found") {
            found.push(None);
        }
    }
    found
}

fn cache_dir() -> Result<PathBuf> {
    let set = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty());
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = set.map(PathBuf::from).or(home).context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(base.join("skydive/vm"))
}

fn write_initrd(
    initrd: &Path,
    base: &Path,
    files: &[(PathBuf, String)],
    script: &str,
    scratch: &Path,
) -> Result<()> {
    let mut out = io::BufWriter::new(File::create(initrd)?);
    io::copy(&mut File::open(base).with_context(|| base.display().to_string())?, &mut out)?;
    let mut archive = Archive::new(out);
    for (host, guest) in files {
        let stripped = strip(host, scratch)?;
        let file = stripped.as_deref().unwrap_or(host);
        archive.file(guest, file).with_context(|| host.display().to_string())?;
    }
    archive.bytes("/test.sh", format!("#!/bin/sh\n{script}\n").as_bytes())?;
    archive.finish()?.flush()?;
    Ok(())
}

/// A copy without debug information, if the file is a large executable and the host can make one.
fn strip(host: &Path, scratch: &Path) -> Result<Option<PathBuf>> {
    let size = std::fs::metadata(host).with_context(|| host.display().to_string())?.len();
    if size < STRIP_ABOVE {
        return Ok(None);
    }
    let copy = scratch.join("stripped");
    let done = run(Command::new("strip").arg("--strip-debug").arg("-o").arg(&copy).arg(host));
    Ok(done.is_ok().then_some(copy))
}

fn read_output(console: &str, out: &Path) -> Result<VmOutput> {
    let (_, after) = console
        .split_once("testnet: start\n")
        .with_context(|| format!("the guest did not come to its script:\n{console}"))?;
    let (text, verdict) = after
        .rsplit_once("testnet: exit ")
        .with_context(|| format!("the guest ended without a verdict:\n{console}"))?;
    let exit = verdict.lines().next().unwrap_or_default().trim().parse().context("the verdict's number")?;
    let unpacked = out.with_extension("d");
    std::fs::create_dir(&unpacked)?;
    run(Command::new("tar").arg("-xf").arg(out).arg("-C").arg(&unpacked)).context("files of the guest")?;
    let mut files = BTreeMap::new();
    collect(&unpacked, "", &mut files)?;
    Ok(VmOutput { console: text.to_owned(), exit, files })
}

fn collect(dir: &Path, below: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_lines_become_paths() {
        let text = "\tlinux-vdso.so.1 (0x00007f65b22f4000)\n\
                    \tlibssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007f65b1f57000)\n\
                    \tlibodd.so.1 => not found\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f65b22f6000)\n";
        assert_eq!(
            linked_libraries(text),
            [
                Some(PathBuf::from("/lib/x86_64-linux-gnu/libssl.so.3")),
                None,
                Some(PathBuf::from("/lib64/ld-linux-x86-64.so.2")),
            ]
        );
    }

    #[test]
    fn verdict_is_required() {
        let missing = Path::new("/nonexistent.tar");
        assert!(read_output("Kernel panic\n", missing).unwrap_err().to_string().contains("Kernel panic"));
        assert!(read_output("testnet: start\nhalf\n", missing).unwrap_err().to_string().contains("verdict"));
    }
}
