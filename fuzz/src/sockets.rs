//! What the kernel tells of sockets and processes: messages of `sock_diag`, trace points, files in `/proc`.

use skydive_sys::netlink::{SocketProtocol, Tally, parse_socket};
use skydive_sys::{StateFormat, container_of, parse_cgroup, parse_socket_link};

/// The description of the trace point, as Linux 6 has it.
const FORMAT: &str = include_str!("../seeds/sockets/format");

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
    let cgroup = parse_cgroup(&text);
    assert!(!cgroup.contains('\n'));
    assert!(container_of(cgroup).is_none_or(|id| id.len() == 64 && cgroup.contains(id)));
}
