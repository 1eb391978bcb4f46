//! Somebody with the original's documentation and the PyPI package `skydive-client` gets along.

use skydive_testnet::{eventually, require_root};

use crate::packages::script;
use crate::stage::{ANALYZER, Host, SOON};

#[test]
fn a_python_user_connects_asks_adds_subscribes_sees_a_veth_and_deletes() {
    if !require_root() {
        return;
    }
    let host = Host::new("py-walk");
    let _service = host.start(&["allinone"], &[("SKYDIVE_HOST_ID", "h1")]);
    host.ask(ANALYZER, |desk| {
        let loopback = || desk.graph()?.named("lo").is_some().then_some(());
        eventually("the host's interfaces", SOON, loopback).unwrap();
        script(&host, "walk.py", &[ANALYZER]);
    });
}
