//! What a new user does first: a capture, a ping and a download, and who talked to whom.

use rustix::process::Signal;
use serde_json::Value as Json;
use skydive_testnet::require_root;

use crate::site::{FAR, NEAR, Street, begun, json, number, until};
use crate::stage::Sees;

const VETH0: &str = "G.V().Has('Name','veth0')";
const OWN: &str = "G.V().Has('Type','host').Out('Name','veth0').Has('Captures.State','active').Count()";

#[test]
fn a_ping_and_a_download_are_seen_at_once_with_their_process() {
    if !require_root() {
        return;
    }
    let street = Street::new("first");
    let binary = crate::stage::binary();
    let _service = street.host.start_line(&[binary.to_str().unwrap(), "allinone"], &[], Sees::All);
    street.ask(|desk| {
        street.capture(desk, VETH0, &[], 1);
        // Other tests have one of this name, too.
        until(desk, OWN, |active| (active.as_i64()? == 1).then_some(()));
        street.ping(5);
        assert_eq!(street.curl().stdout, b"hello\n");

        let ping = until(desk, "G.Flows().Has('Application', 'ICMPv4')", |flows| {
            flows.as_array()?.iter().find(|flow| number(flow, "/Metric/BAPackets") == 5).cloned()
        });
        assert_eq!((number(&ping, "/Metric/ABPackets"), number(&ping, "/Metric/ABBytes")), (5, 490));
        assert_eq!((&ping["Network"]["A"], &ping["Network"]["B"]), (&Json::from(NEAR), &Json::from(FAR)));
        assert_eq!(ping["LayersPath"], "Ethernet/IPv4/ICMPv4");

        let download = until(desk, "G.Flows().Has('Transport', '80')", |flows| {
            flows.as_array()?.iter().find(|flow| flow["FinishType"] == 2).cloned()
        });
        let text = download.to_string();
        assert!(text.contains("\"curl\""), "the process is named: {text}");
        assert!(number(&download, "/Metric/RTT") > 0, "{download}");
        // A group is there when anything of it is.
        let with = json(desk, "G.Flows().Has('Transport', '80').HasKey('Process').HasKey('Metric').Count()");
        let without = json(desk, "G.Flows().Has('Transport', '80').HasNot('Process.A').Count()");
        assert_eq!((with, without), (1.into(), 0.into()));

        // The counters of the download.
        let uuid = download["UUID"].as_str().unwrap();
        let metrics = until(desk, "G.Flows().Has('Application','HTTP').Metrics()", |metrics| {
            metrics.pointer(&format!("/0/{uuid}/0")).cloned()
        });
        assert_eq!(number(&metrics, "/ABBytes"), number(&download, "/Metric/ABBytes"));
        assert_eq!(number(&metrics, "/BABytes"), number(&download, "/Metric/BABytes"));

        // The same by the command line.
        let listed = street.client(&["flows", "--filter", "Transport.B=80"]);
        assert!(listed.as_array().unwrap().iter().any(|flow| flow["UUID"] == uuid), "{listed:#}");
        let first = street.host.run(&["client", "flows", "--limit", "1"]);
        let listed: Json = serde_json::from_slice(&first.stdout).unwrap();
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed:#}");
        let said = String::from_utf8_lossy(&first.stderr).into_owned();
        assert!(said.contains("more than these 1 flows"), "{said}");
        let top = street.host.run(&["top", "--once", "--interval", "1", "--flows", "1"]);
        let said = String::from_utf8_lossy(&top.stderr).into_owned();
        assert!(said.contains("there is more than is shown"), "{said}");
        let top = street.host.run(&["top", "--once", "--interval", "1"]);
        let top = String::from_utf8_lossy(&top.stdout).into_owned();
        assert!(top.contains(&format!("{FAR}:80")) && top.contains("curl"), "{top}");
    });
}

#[test]
fn nothing_is_lost_while_the_program_is_held_up() {
    if !require_root() {
        return;
    }
    let street = Street::new("held-up");
    let service = street.host.start(&["allinone"], &[]);
    street.ask(|desk| {
        street.capture(desk, VETH0, &[], 1);
        service.signal(Signal::STOP);
        // Three seconds: there are blocks for five.
        street.ping(200);
        service.signal(Signal::CONT);
        let ping = until(desk, "G.Flows().Has('Application', 'ICMPv4')", |flows| flows.get(0).cloned());
        assert_eq!(number(&ping, "/Metric/ABPackets"), 200, "{ping:#}");
        assert_eq!(number(&ping, "/Metric/BAPackets"), 200, "{ping:#}");
    });
}

#[test]
fn a_script_finds_what_it_just_did() {
    if !require_root() {
        return;
    }
    let street = Street::new("script");
    let _service = street.host.start(&["allinone"], &[]);
    street.ask(|desk| {
        until(desk, "G.V().Has('Name','veth0').Count()", |count| (count.as_i64()? == 1).then_some(()));
        // It ends when the capture runs, unless that takes long.
        let made = street.client(&["capture", "create", "--gremlin", VETH0]);
        begun(desk, made["UUID"].as_str().unwrap(), 1);
        for round in 1..=5 {
            street.ping(3);
            let flows = json(desk, "G.Flows().Has('Application','ICMPv4')");
            for counter in ["/Metric/ABPackets", "/Metric/BAPackets"] {
                let all: i64 = flows.as_array().unwrap().iter().map(|flow| number(flow, counter)).sum();
                assert_eq!(all, 3 * round, "{flows:#}");
            }
        }
    });
}
