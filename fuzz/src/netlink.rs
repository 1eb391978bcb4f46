//! Datagrams of the kernel: rtnetlink messages and their attributes.

use skydive_sys::netlink::{Tally, parse_messages};

pub(crate) fn run(bytes: &[u8]) {
    let tally = Tally::default();
    let mut messages = 0_usize;
    parse_messages(bytes, &tally, &mut |message| {
        messages += 1;
        drop(format!("{message:?}"));
    });
    // A header is 16 bytes: more messages than that allows would mean that bytes are read twice.
    assert!(messages <= bytes.len() / 16 + 1);
}
