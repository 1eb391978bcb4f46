//! What the kernel tells of sockets and processes: messages of `sock_diag`, trace points, files in `/proc`.

use skydive_sys::netlink::{SocketProtocol, Tally, parse_socket};
use skydive_sys::{LookupFormat, StateFormat, TaskChange, container_of, parse_cgroup, parse_socket_link};

/// The description of the trace point, as Linux 6 has it.
const FORMAT: &str = include_str!("../seeds/sockets/format");

/// Those of lookups of routes.
const LOOKUP_FORMAT: &str = include_str!("../seeds/sockets/lookup");
const LOOKUP6_FORMAT: &str = include_str!("../seeds/sockets/lookup6");
/// The number that their records have in the seeds.
const LOOKUP: u16 = 2264;

pub(crate) fn run(bytes: &[u8]) {
    let tally = Tally::default();
    let socket = parse_socket(SocketProtocol::Tcp, bytes, &tally);
    assert!(socket.is_none() || bytes.len() >= 72);
    let format = StateFormat::parse(FORMAT).expect("the description is a good one");
    let _ = format.read(bytes);
    let _ = parse_socket_link(bytes);
    let text = String::from_utf8_lossy(bytes);
    if let Some(format) = StateFormat::parse(&text) {
        let _ = format.read(bytes);
    }
    let _ = TaskChange::read(bytes);
    for is_six in [false, true] {
        let format = LookupFormat::parse(LOOKUP, is_six, if is_six { LOOKUP6_FORMAT } else { LOOKUP_FORMAT });
        let _ = format.expect("the description is a good one").read(bytes);
        if let Some(format) = LookupFormat::parse(LOOKUP, is_six, &text) {
            let _ = format.read(bytes);
        }
    }
    let cgroup = parse_cgroup(&text);
    assert!(!cgroup.contains('\n'));
    assert!(container_of(cgroup).is_none_or(|id| id.len() == 64 && cgroup.contains(id)));
}
