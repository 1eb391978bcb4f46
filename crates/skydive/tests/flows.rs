//! `flows read` from outside: what is counted, what is said about what cannot be, and what pipes see.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use skydive_testnet::{ScratchDir, Traffic, Written, workspace_root};

fn binary() -> PathBuf {
    std::env::var_os("SKYDIVE_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_skydive")), PathBuf::from)
}

fn skydive(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().args(["flows", "read"]).args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    skydive(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What a run that must succeed prints.
fn shown(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

fn rows(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn summary(arguments: &[&str]) -> Json {
    let arguments = [&["--summary", "--format", "json"], arguments].concat();
    serde_json::from_str(&shown(&arguments)).unwrap()
}

fn count(row: &Json, pointer: &str) -> u64 {
    row.pointer(pointer).unwrap_or_else(|| panic!("{pointer} of {row}")).as_u64().unwrap()
}

fn packets(row: &Json) -> u64 {
    count(row, "/Metric/ABPackets") + count(row, "/Metric/BAPackets")
}

/// A capture among the test data of the crate that decodes them.
fn vector(name: &str) -> String {
    let path = workspace_root().join("crates/packet/tests/data").join(name);
    path.to_str().unwrap().to_owned()
}

fn vectors() -> Vec<String> {
    let folder = workspace_root().join("crates/packet/tests/data/pcaps");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let captures = files.filter(|path| path.extension().is_some_and(|extension| extension == "pcap"));
    captures.map(|path| path.to_str().unwrap().to_owned()).collect()
}

fn written(scratch: &ScratchDir, traffic: &Traffic) -> (String, Written) {
    let path = scratch.path().join("traffic.pcap");
    let written = traffic.write(&mut fs::File::create(&path).unwrap()).unwrap();
    (path.to_str().unwrap().to_owned(), written)
}

fn write(scratch: &ScratchDir, name: &str, bytes: &[u8]) -> String {
    let path = scratch.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A capture of UDP packets: seconds, and the port they come from.
fn capture(packets: &[(u32, u16)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(u32::to_le_bytes(word));
    }
    for (at, port) in packets {
        let packet = udp(*port);
        for word in [*at, 0, packet.len() as u32, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

fn udp(port: u16) -> Vec<u8> {
    let mut packet = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    packet.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(port.to_be_bytes());
    packet.extend([0x1f, 0x90, 0, 8, 0, 0]);
    packet
}

#[test]
fn all_forms_tell_of_the_same_flows() {
    for path in vectors() {
        let flows = rows(&shown(&[&path]));
        let csv = shown(&[&path, "--format", "csv"]);
        let table = shown(&[&path, "--format", "table"]);
        let totals = summary(&[&path]);
        assert!(!flows.is_empty(), "{path}");
        assert_eq!(csv.lines().count(), flows.len() + 1, "{path}");
        assert_eq!(table.lines().count(), flows.len() + 2, "{path}");
        assert_eq!(count(&totals, "/Flows"), flows.len() as u64, "{path}");
        let by_path = totals.pointer("/LayersPath").unwrap().as_object().unwrap();
        assert_eq!(
            by_path.values().map(|sum| count(sum, "/Packets")).sum::<u64>(),
            flows.iter().map(packets).sum::<u64>(),
            "{path}"
        );
        let ids: BTreeSet<_> = flows.iter().map(|flow| flow["UUID"].as_str().unwrap().to_owned()).collect();
        assert!(csv.lines().skip(1).all(|line| ids.contains(line.split(',').next().unwrap())), "{path}");
    }
}

#[test]
fn csv_has_a_name_for_every_value() {
    let csv = shown(&[&vector("pcaps/simple-tcpv4.pcap"), "--format", "csv", "--extra-tcp-metric"]);
    let cells = |line: &str| -> Vec<String> { line.split(',').map(ToOwned::to_owned).collect() };
    let mut lines = csv.lines();
    let head = cells(lines.next().unwrap());
    let row: BTreeMap<_, _> = head.iter().cloned().zip(cells(lines.next().unwrap())).collect();
    assert_eq!(row.len(), head.len());
    assert_eq!(row["Transport.Protocol"], "TCP");
    assert_eq!(row["ICMP.Type"], "");
    assert_ne!(row["TCPMetric.ABSynStart"], "0");
    assert!(csv.lines().all(|line| cells(line).len() == head.len()));
}

#[test]
fn counts_of_made_traffic_are_exact() {
    let wishes = [
        Traffic { packets: 60_000, conversations: 3_000, ..Traffic::mix() },
        Traffic { packets: 60_000, conversations: 3_000, snap_len: 96, ..Traffic::mix() },
        Traffic { packets: 40_000, conversations: 20_000, ..Traffic::small() },
        Traffic { packets: 60_000, conversations: 3_000, ..Traffic::tunnels() },
    ];
    for wish in wishes {
        let scratch = ScratchDir::new("flows").unwrap();
        let (path, made) = written(&scratch, &wish);
        for options in [&[][..], &["--extra-tcp-metric"], &["--layer-key-mode", "l3"]] {
            let totals = summary(&[options, &[path.as_str()]].concat());
            assert_eq!(count(&totals, "/Packets"), made.packets, "{wish:?}");
            assert_eq!(count(&totals, "/Bytes"), made.wire_bytes, "{wish:?}");
            assert_eq!(count(&totals, "/Unaccounted"), 0, "{wish:?}");
            assert_eq!(count(&totals, "/Flows"), made.conversations + made.carriers, "{wish:?}");
            let by_path = totals.pointer("/LayersPath").unwrap().as_object().unwrap();
            let counted: u64 = by_path.values().map(|sum| count(sum, "/Packets")).sum();
            assert_eq!(counted, made.packets + made.carried_packets, "{wish:?}");
        }
        let flows = rows(&shown(&[&path]));
        assert_eq!(flows.len() as u64, made.conversations + made.carriers);
        assert_eq!(flows.iter().map(packets).sum::<u64>(), made.packets + made.carried_packets);
        let ids: BTreeSet<_> = flows.iter().map(|flow| flow["UUID"].to_string()).collect();
        assert_eq!(ids.len(), flows.len(), "every flow has an identifier of its own");
        let parents = flows.iter().filter(|flow| flow["ParentUUID"] != "");
        assert!(parents.clone().all(|flow| ids.contains(&flow["ParentUUID"].to_string())));
        assert_eq!(parents.count() > 0, made.carriers > 0);
    }
}

#[test]
fn pieces_of_any_size_give_the_same_flows() {
    let scratch = ScratchDir::new("pieces").unwrap();
    let (path, _) = written(&scratch, &Traffic { packets: 3_000, conversations: 300, ..Traffic::tunnels() });
    let expected = shown(&[&path]);
    let bytes = fs::read(&path).unwrap();
    for piece in [1 << 20, 65_537, 1013] {
        let mut child = skydive(&["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = bytes.clone();
        let writer =
            std::thread::spawn(move || bytes.chunks(piece).for_each(|piece| stdin.write_all(piece).unwrap()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success());
        assert!(stdout(&output) == expected, "pieces of {piece} bytes give other flows");
    }
}

#[test]
fn several_files_are_one_capture() {
    let scratch = ScratchDir::new("several").unwrap();
    let first = write(&scratch, "1.pcap", &capture(&[(10, 1), (11, 2)]));
    let second = write(&scratch, "2.pcap", &capture(&[(12, 1), (13, 3)]));
    let flows = rows(&shown(&[&first, &second]));
    assert_eq!(flows.iter().map(packets).collect::<Vec<_>>(), [2, 1, 1]);
    // The second is read though the first is damaged.
    let cut = fs::read(&first).unwrap();
    fs::write(&first, &cut[..cut.len() - 1]).unwrap();
    let output = run(&[&first, &second]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(rows(&stdout(&output)).len(), 2);
}

#[test]
fn flows_end_in_the_order_of_their_time() {
    let scratch = ScratchDir::new("expire").unwrap();
    // Port 1 is silent for half an hour, port 2 never for long.
    let mut sent = vec![(0, 1)];
    sent.extend((0..60).map(|minute| (minute * 60, 2)));
    sent.push((3600, 1));
    let path = write(&scratch, "long.pcap", &capture(&sent));
    let ports = |flows: &[Json]| -> Vec<_> { flows.iter().map(|flow| count(flow, "/Transport/A")).collect() };
    let flows = rows(&shown(&[&path]));
    assert_eq!((flows.len(), ports(&flows)[0], packets(&flows[0])), (3, 1, 1));
    assert_eq!(flows.iter().map(packets).sum::<u64>(), 62);
    assert_eq!(ports(&rows(&shown(&[&path, "--expire", "4000"]))), [1, 2]);
    // A minute is too long for port 2 now.
    assert!(rows(&shown(&[&path, "--expire", "20"])).len() > 30);
}

#[test]
fn raw_packets_are_kept_over_updates() {
    let scratch = ScratchDir::new("raw").unwrap();
    let times = [0, 90, 180, 400];
    let path = write(&scratch, "raw.pcap", &capture(&times.map(|at| (at, 7))));
    let flows = rows(&shown(&[&path, "--raw"]));
    assert_eq!(flows.len(), 1);
    let raw = flows[0]["RawPackets"].as_array().unwrap();
    assert_eq!(raw.len(), 4);
    for ((packet, at), index) in raw.iter().zip(times).zip(1..) {
        assert_eq!(STANDARD.decode(packet["Data"].as_str().unwrap()).unwrap(), udp(7));
        assert_eq!((count(packet, "/Timestamp"), count(packet, "/Index")), (u64::from(at) * 1000, index));
        assert_eq!(count(packet, "/LinkType"), 1);
    }
    let some = rows(&shown(&[&path, "--raw=2"]));
    assert_eq!(some[0]["RawPackets"].as_array().unwrap().len(), 2);
    let csv = shown(&[&path, "--raw", "--format", "csv"]);
    let column = csv.lines().nth(1).unwrap().rsplit(',').next().unwrap();
    assert_eq!(column, [STANDARD.encode(udp(7)).as_str(); 4].join(" "));
    assert!(rows(&shown(&[&path]))[0].get("RawPackets").is_none());
    let output = run(&[&path, "--raw", "--format", "table"]);
    assert!(!output.status.success() && stderr(&output).contains("--format json or csv"));
}

#[test]
fn entries_are_bounded_when_asked() {
    let scratch = ScratchDir::new("bound").unwrap();
    let (path, made) =
        written(&scratch, &Traffic { packets: 4_000, conversations: 2_000, ..Traffic::small() });
    let output = run(&[&path, "--max-entries", "100"]);
    assert!(output.status.success());
    let flows = rows(&stdout(&output));
    assert!(flows.len() as u64 > made.conversations);
    assert_eq!(flows.iter().map(packets).sum::<u64>(), made.packets);
    assert!(stderr(&output).contains("ended early by --max-entries: "), "{}", stderr(&output));
    assert!(count(&summary(&[&path, "--max-entries", "100"]), "/Evicted") > 0);
    assert!(!run(&[&path, "--max-entries", "0"]).status.success());
}

#[test]
fn a_configuration_names_applications_and_their_times() {
    let scratch = ScratchDir::new("flows-conf").unwrap();
    let file = write(&scratch, "udp.pcap", &capture(&[(1000, 1), (1200, 1)]));
    let applications = |arguments: &[&str]| -> Vec<Json> {
        let arguments = [arguments, &[&file]].concat();
        rows(&shown(&arguments)).iter().map(|flow| flow["Application"].clone()).collect()
    };
    assert_eq!(applications(&[]), ["UDP"]);
    let settings = "flow:\n  application_ports:\n    udp:\n      8080: backup\n";
    let names = write(&scratch, "names.yml", settings.as_bytes());
    assert_eq!(applications(&["-c", &names]), ["BACKUP"]);
    let times = format!("{settings}  application_timeout:\n    backup: 5\n");
    let times = write(&scratch, "times.yml", times.as_bytes());
    assert_eq!(applications(&["-c", &times]), ["BACKUP", "BACKUP"]);
    // What is said on the command line goes before.
    let expire = write(&scratch, "expire.yml", b"flow:\n  expire: 20\n");
    assert_eq!(applications(&["-c", &expire]).len(), 2);
    assert_eq!(applications(&["-c", &expire, "--expire", "600"]).len(), 1);

    let wrong = write(&scratch, "wrong.yml", b"flow:\n  expire: soon\n");
    let output = run(&["-c", &wrong, &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(stderr(&output).contains("flow.expire"), "{}", stderr(&output));
}

#[test]
fn filters_choose_packets() {
    let path = vector("pcaps/eth-ip4-arp-dns-req-http-google.pcap");
    let all = summary(&[&path]);
    let arp = summary(&[&path, "--filter", "arp"]);
    assert_eq!((count(&arp, "/Packets"), count(&arp, "/Flows")), (2, 2));
    let other = summary(&[&path, "--filter", "not arp"]);
    assert_eq!(count(&other, "/Packets") + 2, count(&all, "/Packets"));
    assert_eq!(count(&other, "/Filtered"), 2);
    let text = shown(&[&path, "--filter", "arp", "--summary"]);
    assert!(text.lines().next().unwrap().starts_with("packets   2 of "), "{text}");
}

#[test]
fn what_a_filter_has_no_meaning_for_is_left_out_and_told() {
    let scratch = ScratchDir::new("misfit").unwrap();
    let (known, mut other) = (capture(&[(10, 1), (11, 1)]), capture(&[(12, 1), (13, 1)]));
    other[20..24].copy_from_slice(&105u32.to_le_bytes());
    let (known, other) = (write(&scratch, "known.pcap", &known), write(&scratch, "other.pcap", &other));
    let output = run(&["--filter", "udp", "--summary", "--format", "json", &known, &other, &known]);
    assert_eq!(output.status.code(), Some(1));
    let totals: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((count(&totals, "/Packets"), count(&totals, "/Filtered")), (4, 0));
    let said = stderr(&output);
    assert!(said.contains("link type 105") && said.contains("left out: 2 packets"), "{said}");
    // An expression may begin with a sign.
    let output = run(&["--filter", "-ip[0] < 0", "--summary", "--format", "json", &known]);
    let totals: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(count(&totals, "/Packets"), 0);
    let none = run(&["--max-entries", "0", &known]);
    assert!(stderr(&none).contains("give a whole number from 1"), "{}", stderr(&none));
}

#[test]
fn a_wrong_filter_is_drawn_with_a_caret() {
    let path = vector("pcaps/dns.pcap");
    let output = run(&[&path, "--filter", "udp prot 53"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("error: --filter: "), "{said}");
    assert_eq!(&lines[1..], ["  udp prot 53", "      ^"], "{said}");
    assert_eq!(stdout(&output), "");
    assert_eq!(stdout(&run(&[&path, "--filter", "udp prot 53", "--summary"])), "");
}

#[test]
fn damaged_files_show_what_came_before() {
    let scratch = ScratchDir::new("damage").unwrap();
    let whole = capture(&[(10, 1), (11, 2), (12, 3)]);
    let record = 16 + udp(1).len();
    for length in 0..whole.len() {
        let path = write(&scratch, "cut.pcap", &whole[..length]);
        let output = run(&[&path]);
        let sound = length.saturating_sub(24) / record;
        assert_eq!(rows(&stdout(&output)).len(), sound, "{length} bytes");
        if length == 24 + sound * record {
            assert!(output.status.success(), "{length} bytes: {}", stderr(&output));
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{length} bytes");
        let offset = if length < 24 { 0 } else { 24 + sound * record };
        let begin = format!("error: {path}: byte {offset}: ");
        assert!(stderr(&output).starts_with(&begin), "{length} bytes: {}", stderr(&output));
    }
    // The summary tells it on both streams.
    let path = write(&scratch, "cut.pcap", &whole[..whole.len() - 1]);
    let output = run(&[&path, "--summary"]);
    let told = format!("{path}: byte {}: ", 24 + 2 * record);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains(&format!("damaged   {told}")), "{}", stdout(&output));
    assert!(stderr(&output).contains(&told));
}

#[test]
fn flipped_bytes_cost_no_more_than_what_follows() {
    let scratch = ScratchDir::new("flip").unwrap();
    let whole = fs::read(vector("pcaps/simple-tcpv4.pcap")).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 60 + 1) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        let path = write(&scratch, "flipped.pcap", &bytes);
        let output = run(&[&path, "--raw", "--ip-defrag", "--extra-tcp-metric", "--reassemble-tcp"]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "byte {at}: {}", stderr(&output));
        rows(&stdout(&output));
    }
}

#[test]
fn what_is_no_capture_is_named_with_what_to_do() {
    let scratch = ScratchDir::new("other").unwrap();
    let gzip = write(&scratch, "dump.pcap.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    let text = write(&scratch, "notes.txt", b"hello");
    let empty = write(&scratch, "empty.pcap", b"");
    let folder = scratch.path().to_str().unwrap().to_owned();
    for (path, words) in [
        (
            gzip.clone(),
            format!("error: {gzip}: compressed with gzip: `zcat {gzip} | skydive flows read -`\n"),
        ),
        (text.clone(), format!("error: {text}: byte 0: neither pcap nor pcapng begins with 68 65 6c 6c\n")),
        (empty.clone(), format!("error: {empty}: byte 0: the file is empty\n")),
        (folder.clone(), format!("error: {folder}: cannot be read: Is a directory (os error 21)\n")),
        (
            "/nonexistent".into(),
            "error: /nonexistent: cannot be read: No such file or directory (os error 2)\n".into(),
        ),
        ("-".into(), "error: standard input: byte 0: the file is empty\n".into()),
    ] {
        let output = run(&[&path]);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""), "{path}");
        assert_eq!(stderr(&output), words);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let scratch = ScratchDir::new("head").unwrap();
    let (path, _) =
        written(&scratch, &Traffic { packets: 20_000, conversations: 10_000, ..Traffic::small() });
    for format in ["json", "csv", "table"] {
        let mut child = skydive(&[&path, "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{format}");
        assert!(!first.is_empty());
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = skydive(&[&vector("pcaps/dns.pcap")]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: standard output: No space left"), "{}", stderr(&output));
}

#[test]
fn rows_of_a_live_pipe_come_as_flows_end() {
    let mut child = skydive(&["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&capture(&[(0, 1), (2000, 2)])).unwrap();
    // A later packet ends the first flow while the pipe stays open.
    stdin.write_all(&capture(&[(4000, 3)])[24..]).unwrap();
    let mut first = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    assert_eq!(count(&serde_json::from_str(&first).unwrap(), "/Transport/A"), 1);
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_interrupt_ends_a_live_pipe_and_shows_what_came() {
    let interrupt = |child: &Child| kill_process(Pid::from_child(child), Signal::INT).unwrap();
    // What is held back until then comes at the end; the pipe may stay open.
    for ends in [true, false] {
        let mut child = skydive(&["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&capture(&[(0, 1), (4000, 2)])).unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut String::new()).unwrap();
        interrupt(&child);
        if ends {
            stdin.write_all(&capture(&[(4000, 3)])[24..]).unwrap();
            drop(stdin);
        } else {
            // A part of a packet is no damage then.
            stdin.write_all(&[0; 3]).unwrap();
        }
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        let ports: Vec<_> = rows(&rest).iter().map(|row| count(row, "/Transport/A")).collect();
        assert_eq!(ports, if ends { vec![2, 3] } else { vec![2] });
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    let mut child = skydive(&["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More flows than fit into a pipe that is not read: the end of it takes for ever.
    let late = (2..2000).map(|port| (4000, port));
    stdin.write_all(&capture(&[(0, 1)].into_iter().chain(late).collect::<Vec<_>>())).unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    // Nobody need wait for the end of it.
    while child.try_wait().unwrap().is_none() {
        interrupt(&child);
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_terminal_gets_columns() {
    // `script` runs the command on a terminal of its own.
    let command = format!("{} flows read {}", binary().display(), vector("pcaps/dns.pcap"));
    let output =
        Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().any(|line| line.starts_with(" start ")), "{text}");
    assert!(text.contains("Ethernet/IPv4/UDP/DNS"), "{text}");
    assert!(shown(&[&vector("pcaps/dns.pcap")]).starts_with("{\"UUID\":"), "a pipe gets objects");
}

#[test]
fn other_formats_of_files_are_read() {
    for name in ["interfaces.pcapng", "live.pcapng", "nano.pcap", "cooked.pcap"] {
        let totals = summary(&[&vector(&format!("files/{name}"))]);
        assert!(count(&totals, "/Packets") > 0, "{name}");
    }
}
