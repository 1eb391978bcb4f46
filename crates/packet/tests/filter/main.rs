//! Filters beside tcpdump: the same expressions, compiled by both, over the same packets.
//!
//! `data/filters/` has tables of expressions, one a line: `all.txt` for every link type, others named after theirs. What
//! tcpdump refuses must be refused here and the other way round, but for `differs.txt`, where each line has its reason.
//! tcpdump compiles for a file of each link type, as filters here are for files.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

mod packets;
mod plain;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use packets::Packet;
use skydive_packet::LinkType;
use skydive_packet::filter::{FilterError, Instruction, Program, ProgramError, compile};

const SNAP_LEN: u32 = 262144;

/// Tables, the link types they are for, and how tcpdump.org's registry numbers them.
const LINKS: &[(&str, u16)] = &[
    ("ethernet", 1),
    ("raw", 101),
    ("ipv4", 228),
    ("ipv6", 229),
    ("null", 0),
    ("loop", 108),
    ("sll", 113),
    ("sll2", 276),
    ("ppp", 9),
    ("ppp_serial", 50),
    ("ppp_ether", 51),
];

#[test]
fn same_packets_pass_as_with_tcpdump() {
    let mut checked = 0;
    for (name, link) in LINKS {
        let own = folder().join(format!("{name}.txt"));
        let mut expressions = lines("all.txt");
        if own.exists() {
            expressions.extend(lines(&format!("{name}.txt")));
        } else {
            // Link types that differ from another only in offsets: a part of the table is enough.
            expressions = expressions.into_iter().skip(usize::from(*link) % 4).step_by(4).collect();
        }
        let packets = packets::of(*link);
        checked += expressions.len();
        let wrong = in_parallel(&expressions, |expression| {
            compare(*link, expression, &packets).err().map(|why| format!("{name}: {expression}: {why}"))
        });
        assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), expressions.len(), wrong.join("\n"));
    }
    assert!(checked > 800, "only {checked} expressions were compared");
}

#[test]
fn differences_from_tcpdump_are_the_listed_ones() {
    for line in lines("differs.txt") {
        let (rest, reason) = line.split_once(" # ").unwrap();
        let (name, expression) = rest.split_once(": ").unwrap();
        let (_, link) = LINKS.iter().find(|(known, _)| *known == name).unwrap();
        assert!(!reason.trim().is_empty());
        let packets = packets::of(*link);
        assert!(compare(*link, expression, &packets).is_err(), "{expression} does not differ any more");
    }
}

#[test]
fn wrong_expressions_name_place_and_reason() {
    let table = std::fs::read_to_string(folder().join("wrong.txt")).unwrap();
    let mut shown = String::new();
    let mut written = String::new();
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        // Lines of carets are what the test says of the line before.
        if line.trim_start().starts_with("^ ") {
            written.push_str(&format!("{line}\n"));
            continue;
        }
        written.push_str(&format!("{line}\n"));
        let answer = match compile(line, LinkType(1), SNAP_LEN) {
            Ok(_) => "compiles".to_owned(),
            Err(FilterError { offset, message }) => {
                assert!(line.is_char_boundary(offset), "{line}: {offset}");
                format!("{}^ {message}", " ".repeat(line.get(..offset).unwrap().chars().count()))
            }
        };
        shown.push_str(&format!("{line}\n{answer}\n"));
    }
    assert_eq!(written, shown, "what is refused, and how, is:\n{shown}");
}

#[test]
fn names_mean_what_they_stand_for() {
    for line in lines("same.txt") {
        let (named, plain) = line.split_once(" == ").unwrap();
        let compiled =
            |text| compile(text, LinkType(1), SNAP_LEN).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(compiled(named), compiled(plain), "{line}");
    }
}

#[test]
fn text_is_that_of_tcpdump() {
    for expression in [
        "tcp port 80 or net 10.0.0.0/8",
        "geneve and ip",
        "(ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2) != 0",
        "ip[0] / ip[1] = ip[2] * ip[3] and ip[0] % ip[1] > ip[2] ^ ip[3] | 9",
        "len > ip[ip[0]] << ip[2] >> 3 or -ip[2] >= 5",
        "ether[0xffffffff] = 0 and greater 100",
    ] {
        let program = Program::parse_ddd(&tcpdump(1, &["-ddd"], expression).unwrap()).unwrap();
        assert_eq!(program.to_string(), tcpdump(1, &["-d"], expression).unwrap().trim_end(), "{expression}");
    }
}

#[test]
fn null_headers_are_read_in_either_byte_order() {
    let little = packets::of(0);
    for expression in ["ip", "ip6", "tcp port 80", "not ip", "host 10.1.2.3 or ip6"] {
        let program = compile(expression, LinkType(0), SNAP_LEN).unwrap();
        for packet in little.iter().filter(|packet| packet.bytes.len() >= 4 && packet.bytes[1..4] == [0; 3]) {
            let mut big = packet.bytes.clone();
            big[..4].reverse();
            assert_eq!(
                program.run(&packet.bytes, packet.wire_len),
                program.run(&big, packet.wire_len),
                "{expression} over {big:02x?}"
            );
        }
    }
}

#[test]
fn long_filters_jump_far() {
    let ports: Vec<String> = (0..100).map(|port| format!("port {}", port * 7)).collect();
    let text = ports.join(" or ");
    let program = compile(&text, LinkType(1), SNAP_LEN).unwrap();
    assert!(program.instructions().len() > 512, "{}", program.instructions().len());
    compare(1, &text, &packets::of(1)).unwrap();

    let hosts: Vec<String> = (0..200).map(|host| format!("host 10.1.{host}.{host}")).collect();
    compare(1, &format!("not ({}) and tcp", hosts.join(" or ")), &packets::of(1)).unwrap();

    let ports: Vec<String> = (0..9000).map(|port| format!("port {port}")).collect();
    for text in [ports.join(" or "), ports[..2000].join(" or "), ports.join(" and not ")] {
        let why = compile(&text, LinkType(1), SNAP_LEN).unwrap_err();
        assert!(why.message.contains("too long") || why.message.contains("4096") || why.offset == 0, "{why}");
    }
}

#[test]
fn deep_filters_are_refused() {
    for (open, close) in [("(", ")"), ("not ", ""), ("tcp[", "]"), ("ip[(", ")]"), ("-", ""), ("port (", ")")]
    {
        let text = format!("{}5{} = 5", open.repeat(20000), close.repeat(20000));
        assert!(compile(&text, LinkType(1), SNAP_LEN).is_err(), "{open}");
    }
    let nested = format!("{}1{} = 5", "(".repeat(90), " + 1 + 1 + 1 + 1 + 1)".repeat(90));
    assert!(compile(&nested, LinkType(1), SNAP_LEN).is_err());
    let sum = vec!["1"; 20000].join(" + ");
    assert!(compile(&format!("{sum} = 5"), LinkType(1), SNAP_LEN).is_err());
    let chain = vec!["tcp"; 8000].join(" or ");
    assert!(compile(&chain, LinkType(1), SNAP_LEN).unwrap().instructions().len() < 20);
}

#[test]
fn everything_passes_an_empty_filter() {
    for link in LINKS {
        for text in ["", "  \n\t"] {
            let program = compile(text, LinkType(link.1), 96).unwrap();
            assert_eq!(program.run(&[], 0), 96);
            assert!(!program.rejects_all());
        }
    }
    assert_eq!(compile("", LinkType(1), 0).unwrap().run(&[], 0), u32::MAX);
    assert!(compile("arp", LinkType(101), 96).unwrap().rejects_all());
    assert!(compile("", LinkType(147), 96).is_err());
}

#[test]
fn programs_from_elsewhere_are_checked() {
    let instruction = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let accept = instruction(6, 0, 0, 1);
    let wrong = [
        (vec![], ProgramError::Empty),
        (vec![accept; 4097], ProgramError::TooLong(4097)),
        (vec![instruction(0x28, 0, 0, 12)], ProgramError::NoReturn),
        (vec![instruction(0x15, 1, 0, 0), accept], ProgramError::Jump { at: 0 }),
        (vec![instruction(0x15, 0, 1, 0), accept], ProgramError::Jump { at: 0 }),
        (vec![instruction(0x05, 0, 0, 1), accept], ProgramError::Jump { at: 0 }),
        (vec![instruction(0x05, 0, 0, u32::MAX), accept], ProgramError::Jump { at: 0 }),
        (vec![instruction(0x34, 0, 0, 0), accept], ProgramError::Division { at: 0 }),
        (vec![instruction(0x94, 0, 0, 0), accept], ProgramError::Division { at: 0 }),
        (vec![instruction(0x64, 0, 0, 32), accept], ProgramError::Shift { at: 0 }),
        (vec![instruction(0x02, 0, 0, 16), accept], ProgramError::Memory { at: 0 }),
        (vec![instruction(0x60, 0, 0, 16), accept], ProgramError::Memory { at: 0 }),
        (vec![instruction(0x61, 0, 0, 99), accept], ProgramError::Memory { at: 0 }),
        (vec![instruction(0xff, 0, 0, 0), accept], ProgramError::Unknown { at: 0, code: 0xff }),
        (vec![instruction(0x29, 0, 0, 0), accept], ProgramError::Unknown { at: 0, code: 0x29 }),
    ];
    for (instructions, why) in wrong {
        assert_eq!(Program::new(instructions), Err(why));
    }
    for text in ["", "x", "1\n", "2\n6 0 0 1\n", "1\n6 0 0\n", "1\n6 0 0 1 1\n", "1\n6 300 0 1\n"] {
        assert!(matches!(Program::parse_ddd(text), Err(ProgramError::Text(_))), "{text:?}");
    }
}

#[test]
fn instructions_do_what_the_kernel_has_them_do() {
    let run = |instructions: &[(u16, u8, u8, u32)]| {
        let instructions =
            instructions.iter().map(|(code, jt, jf, k)| Instruction { code: *code, jt: *jt, jf: *jf, k: *k });
        Program::new(instructions.collect()).unwrap().run(&[0x12, 0x34, 0x56, 0x78, 0x9a], 1000)
    };
    const RETURN_A: (u16, u8, u8, u32) = (0x16, 0, 0, 0);
    let a = |instructions: &[(u16, u8, u8, u32)]| run(&[instructions, &[RETURN_A]].concat());
    // Loads, up to the last byte and beyond it.
    assert_eq!(a(&[(0x20, 0, 0, 1)]), 0x3456789a);
    assert_eq!(a(&[(0x20, 0, 0, 2)]), 0);
    assert_eq!(a(&[(0x28, 0, 0, 3)]), 0x789a);
    assert_eq!(a(&[(0x28, 0, 0, 4)]), 0);
    assert_eq!(a(&[(0x30, 0, 0, 4)]), 0x9a);
    assert_eq!(a(&[(0x30, 0, 0, 5)]), 0);
    assert_eq!(a(&[(0x30, 0, 0, u32::MAX)]), 0);
    assert_eq!(a(&[(0x80, 0, 0, 0)]), 1000);
    assert_eq!(a(&[(0x81, 0, 0, 0), (0x87, 0, 0, 0)]), 1000);
    assert_eq!(a(&[(0x01, 0, 0, 2), (0x50, 0, 0, 2)]), 0x9a);
    // An index never wraps into the packet.
    assert_eq!(a(&[(0x01, 0, 0, u32::MAX), (0x50, 0, 0, 2)]), 0);
    assert_eq!(a(&[(0xb1, 0, 0, 1), (0x87, 0, 0, 0)]), 16);
    assert_eq!(a(&[(0xb1, 0, 0, 5), (0x00, 0, 0, 7)]), 0);
    // Scratch memory begins as zero.
    assert_eq!(a(&[(0x00, 0, 0, 7), (0x02, 0, 0, 3), (0x60, 0, 0, 4)]), 0);
    assert_eq!(a(&[(0x00, 0, 0, 7), (0x02, 0, 0, 15), (0x00, 0, 0, 1), (0x60, 0, 0, 15)]), 7);
    assert_eq!(a(&[(0x01, 0, 0, 9), (0x03, 0, 0, 0), (0x60, 0, 0, 0)]), 9);
    // Arithmetic with the operand and with the index register.
    for (code, left, right, result) in [
        (0x04, u32::MAX, 2, 1),
        (0x14, 1, 2, u32::MAX),
        (0x24, 0x10000, 0x10001, 0x10000),
        (0x34, 7, 2, 3),
        (0x44, 5, 2, 7),
        (0x54, 7, 10, 2),
        (0x64, 1, 31, 1 << 31),
        (0x74, 1 << 31, 31, 1),
        (0x94, 7, 4, 3),
        (0xa4, 6, 5, 3),
    ] {
        assert_eq!(a(&[(0x00, 0, 0, left), (code, 0, 0, right)]), result, "{code:#x}");
        assert_eq!(a(&[(0x01, 0, 0, right), (0x00, 0, 0, left), (code | 8, 0, 0, 0)]), result, "{code:#x}");
    }
    assert_eq!(a(&[(0x00, 0, 0, 5), (0x84, 0, 0, 0)]), 5_u32.wrapping_neg());
    assert_eq!(a(&[(0x01, 0, 0, 0), (0x00, 0, 0, 5), (0x3c, 0, 0, 0)]), 0);
    assert_eq!(a(&[(0x01, 0, 0, 40), (0x00, 0, 0, 5), (0x6c, 0, 0, 0)]), 0);
    // Jumps, alone and behind a load.
    for (code, holds) in [(0x15, false), (0x25, true), (0x35, true), (0x45, true)] {
        let result = if holds { 2 } else { 3 };
        let ends = [(0x06, 0, 0, 2), (0x06, 0, 0, 3)];
        assert_eq!(
            run(&[&[(0x00, 0, 0, 0x34), (code, 0, 1, 0x30)][..], &ends].concat()),
            result,
            "{code:#x}"
        );
        assert_eq!(run(&[&[(0x30, 0, 0, 1), (code, 0, 1, 0x30)][..], &ends].concat()), result, "{code:#x}");
        let by_index = [(0x01, 0, 0, 0x30), (0x00, 0, 0, 0x34), (code | 8, 0, 1, 0)];
        assert_eq!(run(&[&by_index[..], &ends].concat()), result, "{code:#x}");
    }
    assert_eq!(run(&[(0x05, 0, 0, 1), (0x06, 0, 0, 1), (0x06, 0, 0, 2)]), 2);
    // A jump to the comparison behind a load compares what is in the accumulator.
    assert_eq!(
        run(&[(0x05, 0, 0, 1), (0x30, 0, 0, 99), (0x15, 0, 1, 0), (0x06, 0, 0, 2), (0x06, 0, 0, 3)]),
        2
    );
}

/// Says how a filter's verdicts differ from tcpdump's.
fn compare(link: u16, expression: &str, packets: &[Packet]) -> Result<(), String> {
    let ours = compile(expression, LinkType(link), SNAP_LEN);
    let theirs = match tcpdump(link, &["-ddd"], expression) {
        Ok(text) => Some(Program::parse_ddd(&text).map_err(|why| format!("tcpdump's program: {why}"))?),
        Err(why) if why.contains("rejects all packets") => None,
        Err(why) => {
            return match ours {
                Ok(_) => Err(format!("refused by tcpdump only: {why}")),
                Err(_) => Ok(()),
            };
        }
    };
    let ours = ours.map_err(|why| format!("refused here only: {why}"))?;
    Program::validate(ours.instructions()).map_err(|why| format!("not a program: {why}"))?;
    for Packet { bytes, wire_len } in packets {
        let here = ours.run(bytes, *wire_len);
        let there = theirs.as_ref().map_or(0, |program| plain::run(program.instructions(), bytes, *wire_len));
        let also_there = theirs.as_ref().map_or(0, |program| program.run(bytes, *wire_len));
        if there != also_there {
            return Err(format!("tcpdump's program gives {there}, and {also_there} when run here"));
        }
        if here != there {
            let theirs = theirs.map_or("nothing".to_owned(), |program| program.to_string());
            return Err(format!(
                "{here} here, {there} there over {bytes:02x?}\nhere:\n{ours}\nthere:\n{theirs}"
            ));
        }
    }
    Ok(())
}

/// What tcpdump writes of an expression for a file of a link type, or the error it reports.
fn tcpdump(link: u16, how: &[&str], expression: &str) -> Result<String, String> {
    let output = Command::new("tcpdump")
        .arg("-r")
        .arg(empty_file(link))
        .args(how)
        .args(["--", expression])
        .output()
        .expect("tcpdump runs; scripts/setup-tests.sh installs it");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A capture file without packets.
fn empty_file(link: u16) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("filter-{}-{link}.pcap", std::process::id()));
    if !path.exists() {
        let mut header = Vec::new();
        header.extend(0xa1b2c3d4_u32.to_le_bytes());
        header.extend([2, 0, 4, 0]);
        header.extend([0; 8]);
        header.extend(SNAP_LEN.to_le_bytes());
        header.extend(u32::from(link).to_le_bytes());
        // Several threads may do this at once: each with a file of its own that takes its place whole.
        let own = path.with_extension(format!("{:?}", std::thread::current().id()));
        std::fs::write(&own, header).unwrap();
        std::fs::rename(own, &path).unwrap();
    }
    path
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/filters")
}

/// The lines of a table that are neither empty nor comments.
fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn in_parallel(expressions: &[String], check: impl Fn(&str) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(expression) = expressions.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.extend(check(expression));
        }
        found
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}
