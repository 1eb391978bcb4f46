//! Captures to flows: the whole program beside others that do it, on one processor, one after the other, on the same file.
//!
//! The files are made here and go with the bench. Peers that are not installed are left out, and it is said. Figures are of
//! processor time, which is what a packet costs; the time on the clock is told beside it, and is the same on a machine that
//! does nothing else. One argument picks the files whose name contains it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and must fail loudly"
)]

use std::fs::{self, File};
use std::io::BufWriter;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use skydive_testnet::{Traffic, Written};

/// Measured runs of each program on each file.
const ROUNDS: usize = 5;
/// Memory is looked at so often; its high-water mark only rises.
const LOOK: Duration = Duration::from_millis(2);
/// Ticks a second in `/proc/PID/stat`.
const TICKS: f64 = 100.0;

/// A file and what it must be read in.
struct Case {
    name: &'static str,
    traffic: Traffic,
    /// Nanoseconds a packet.
    bar: f64,
    /// How many times as fast as softflowd.
    times: Option<f64>,
    /// Megabytes.
    memory: Option<f64>,
}

/// What one run took.
#[derive(Clone, Copy)]
struct Run {
    processor: f64,
    clock: f64,
    megabytes: f64,
}

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let cases = [
        Case {
            name: "mix, 96 bytes a packet",
            traffic: Traffic { snap_len: 96, ..Traffic::mix() },
            bar: 60.0,
            times: Some(6.0),
            memory: Some(64.0),
        },
        Case { name: "mix", traffic: Traffic::mix(), bar: 80.0, times: Some(6.0), memory: Some(64.0) },
        Case { name: "small", traffic: Traffic::small(), bar: 120.0, times: Some(20.0), memory: Some(300.0) },
        Case { name: "tunnels", traffic: Traffic::tunnels(), bar: 120.0, times: None, memory: None },
    ];
    for case in cases.iter().filter(|case| case.name.contains(&wanted)) {
        eprintln!("flows: {}", case.name);
        measure(case);
    }
}

fn measure(case: &Case) {
    let folder = Folder::new();
    let capture = folder.0.join("traffic.pcap");
    let made =
        case.traffic.write(&mut BufWriter::with_capacity(1 << 20, File::create(&capture).unwrap())).unwrap();
    check(&capture, &made);
    let per_packet = |seconds: f64| seconds * 1e9 / made.packets as f64;
    // It is never read: whoever sends to it does not wait, and gets no refusal.
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    let collector = collector.local_addr().unwrap().to_string();
    let spool = folder.0.join("nfpcapd");
    fs::create_dir(&spool).unwrap();

    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let ours = |options: &[&str]| {
        let mut line = vec![env!("CARGO_BIN_EXE_skydive").to_owned(), "flows".to_owned(), "read".to_owned()];
        line.extend(options.iter().map(|option| (*option).to_owned()));
        line.push(text(&capture));
        line
    };
    let words = |line: &str| line.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>();
    let softflowd = format!(
        "softflowd -6 -v 10 -b -c none -p {} -d -r {} -m 4000000 -n {collector}",
        text(&folder.0.join("pid")),
        text(&capture)
    );
    let nfpcapd = format!("nfpcapd -r {} -w {} -t 3600", text(&capture), text(&spool));
    let programs = [
        ("ours", ours(&["--summary"])),
        ("ours, TCP in detail", ours(&["--summary", "--extra-tcp-metric"])),
        ("ours, rows as JSON", ours(&["--format", "json"])),
        ("softflowd", words(&softflowd)),
        ("nfpcapd", words(&nfpcapd)),
    ];
    let programs: Vec<_> = programs.into_iter().filter(|(name, line)| is_here(name, &line[0])).collect();
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); programs.len()];
    for _ in 0..ROUNDS {
        for ((_, line), runs) in programs.iter().zip(&mut runs) {
            // Memory that the host of a virtual machine took back is given again when it is touched, at up to ten times what
            // the program takes. The run before has touched it.
            run(line);
            runs.push(run(line));
        }
    }

    let of = |name: &str| {
        let at = programs.iter().position(|(program, _)| *program == name);
        at.map(|at| runs[at].as_slice())
    };
    let processor = |runs: &[Run]| -> Vec<f64> { runs.iter().map(|run| per_packet(run.processor)).collect() };
    for ((name, _), runs) in programs.iter().zip(&runs) {
        let mut clock: Vec<f64> = runs.iter().map(|run| per_packet(run.clock)).collect();
        clock.sort_by(f64::total_cmp);
        println!("{}: {name}: {:.0} ns per packet on the clock", case.name, clock[clock.len() / 2]);
        let (what, who, bar) = match *name {
            "ours" => (String::new(), "ours", Some(case.bar)),
            "ours, TCP in detail" => (", TCP in detail".to_owned(), "ours", Some(case.bar * 1.15)),
            "ours, rows as JSON" => (", rows as JSON".to_owned(), "ours", None),
            peer => (String::new(), peer, None),
        };
        let figure = format!("capture to flows, {}{what}", case.name);
        report(&figure, who, "ns/packet", &processor(runs), bar, "lower");
    }
    let resident = format!("capture to flows, {}: memory", case.name);
    for who in ["ours", "softflowd", "nfpcapd"] {
        let Some(runs) = of(who) else { continue };
        let megabytes: Vec<f64> = runs.iter().map(|run| run.megabytes).collect();
        report(&resident, who, "MB", &megabytes, case.memory.filter(|_| who == "ours"), "lower");
    }
    for peer in ["softflowd", "nfpcapd"] {
        let (Some(ours), Some(theirs)) = (of("ours"), of(peer)) else { continue };
        let times: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| theirs.processor / ours.processor).collect();
        let figure = format!("capture to flows, {}: times as fast as {peer}", case.name);
        report(&figure, "ours", "×", &times, case.times.filter(|_| peer == "softflowd"), "higher");
    }
}

/// Speed is of no worth when flows are missing.
fn check(capture: &Path, made: &Written) {
    let output = Command::new(env!("CARGO_BIN_EXE_skydive"))
        .args(["flows", "read", "--summary", "--format", "json"])
        .arg(capture)
        .output()
        .unwrap();
    let totals: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let flows = made.conversations + made.carriers;
    assert_eq!((totals["Packets"].as_u64(), totals["Flows"].as_u64()), (Some(made.packets), Some(flows)));
    println!("{} packets, {flows} flows, {} carried twice", made.packets, made.carried_packets);
}

fn is_here(name: &str, program: &str) -> bool {
    let is_here = Path::new(program).is_absolute()
        || Command::new("which")
            .arg(program)
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    if !is_here {
        println!("{name} is not installed: left out");
    }
    is_here
}

/// Runs a program to its end, on one processor.
fn run(line: &[String]) -> Run {
    let mut command = Command::new("taskset");
    // Not the first, if there is another: the kernel's own work prefers that.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    command.args(["-c", if processors > 1 { "1" } else { "0" }]).args(line);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_child(&child);
    let looker = std::thread::spawn(move || highest_resident(pid));
    // Its times can be read as long as nobody has waited for it.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    let clock = began.elapsed().as_secs_f64();
    let processor = processor_seconds(pid);
    let megabytes = looker.join().unwrap();
    assert!(child.wait().unwrap().success(), "{line:?}");
    Run { processor, clock, megabytes }
}

/// Of all threads in ticks, of the first to the nanosecond: the larger one is what a program took that has one thread, and
/// near enough for one that has several.
fn processor_seconds(pid: Pid) -> f64 {
    let folder = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let stat = fs::read_to_string(folder.join("stat")).unwrap();
    // The name may hold spaces; what follows its bracket does not.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let scheduled = fs::read_to_string(folder.join("schedstat")).unwrap();
    let first: f64 = scheduled.split(' ').next().unwrap().parse().unwrap();
    // A tick too many is rounding, more are other threads.
    let (all, first) = (ticks / TICKS, first / 1e9);
    if all > first * 1.1 + 0.02 { all } else { first }
}

fn highest_resident(pid: Pid) -> f64 {
    let status = format!("/proc/{}/status", pid.as_raw_nonzero());
    let mut highest = 0.0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { return highest };
        highest = line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0;
        std::thread::sleep(LOOK);
    }
}

fn report(name: &str, who: &str, unit: &str, samples: &[f64], bar: Option<f64>, better: &str) {
    let samples: Vec<String> = samples.iter().map(|sample| format!("{sample:.3}")).collect();
    let samples = samples.join(",");
    let bar = bar.map_or_else(|| "null".to_owned(), |bar| bar.to_string());
    println!(
        r#"perf: {{"name":"{name}","who":"{who}","unit":"{unit}","samples":[{samples}],"bar":{bar},"better":"{better}"}}"#
    );
}

/// A directory for large files, which goes with the bench.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("flows-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
