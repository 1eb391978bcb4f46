//! Without root: starts, shows what it may see, says what is missing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use serde_json::Value as Json;
use skydive_testnet::{eventually, require_root};

use crate::stage::{AGENT, ANALYZER, Host, SOON, Sees, binary, text};

/// `nobody`.
const USER: u32 = 65534;

#[test]
fn a_plain_user_sees_the_host_and_what_is_missing() {
    if !require_root() {
        return;
    }
    let host = Host::new("user");
    host.ip("link add v0 type veth peer name v1");
    host.ip("link set v0 up");
    host.ip("link set v1 up");
    // Where the build leaves it, others may not be allowed to read.
    let program = host.directory().join("skydive");
    fs::copy(binary(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(host.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    let state = host.directory().join("state");
    fs::create_dir(&state).unwrap();
    chown(&state, Some(USER), Some(USER)).unwrap();

    let line = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        program.to_str().unwrap(),
        "allinone",
    ];
    let environment = [("SKYDIVE_HOST_ID", "h1"), ("SKYDIVE_DATA_DIR", state.to_str().unwrap())];
    let service = host.start_line(&line, &environment, Sees::Itself);
    host.ask(ANALYZER, |desk| {
        let user = || (fs::metadata(format!("/proc/{}", service.pid())).ok()?.uid() == USER).then_some(());
        eventually("the program to run as somebody else", SOON, user).unwrap();
        let shown = eventually("the host and its interfaces", SOON, || {
            let graph = desk.graph()?;
            (graph.named("v0").is_some() && graph.named("v1").is_some()).then_some(graph)
        });
        let graph = shown.unwrap_or_else(|_| panic!("{:#?}", desk.graph()));
        let veth = &graph.nodes[graph.named("v0").unwrap()];
        assert_eq!(text(veth, "/Metadata/Type"), "veth");
        assert_eq!(text(veth, "/Metadata/State"), "UP");
        let missing = |probe: &str| {
            let graph = desk.graph()?;
            let of = graph.nodes.values().find(|node| text(node, "/Metadata/Type") == "host")?;
            let why = text(of, &format!("/Metadata/Degraded/{probe}/Why")).to_owned();
            (!why.is_empty()).then_some(why)
        };
        let why = eventually("what is missing on the host node", SOON, || missing("netns")).unwrap();
        assert!(why.contains("CAP_SYS_PTRACE"), "{why}");
        assert_eq!(text(&desk.status(), "/Degraded/h1/netns"), why);
        let log = service.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("probe=\"netns\"")).collect();
        assert!(lines.len() == 1 && lines[0].contains("WARN") && lines[0].contains(&why), "{log}");
        host.ask(AGENT, |agent| {
            let status = agent.status();
            assert_eq!(text(&status, "/TopologyProbes/netns/Degraded"), why, "{status:#}");
            assert!(status.pointer("/TopologyProbes/netlink").is_some_and(Json::is_object), "{status:#}");
        });
    });
}
