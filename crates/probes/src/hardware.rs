//! What the machine is: processors, operating system, kernel, virtualisation; on the host's node.
//!
//! None of it changes while the host runs, so it is read once. Anybody who may query the graph sees the kernel's
//! arguments; what looks like a secret in them is masked here, before it leaves the probe.

use std::path::PathBuf;

use skydive_graph::{Mutation, Op, key};
use skydive_sys::{CpuFacts, HostFacts};
use skydive_value::{Id, Map, SmolStr, Value};

use crate::{BoxFuture, BuildError, Probe, ProbeConfig, ProbeDef, ProbeError, ProbeScope};

/// See [`crate::PROBES`].
pub(crate) const DEF: ProbeDef = ProbeDef {
    name: "hardware",
    about: "processors, operating system, kernel and virtualisation of the host",
    needs: &[],
    always: true,
    build,
};

struct Hardware {
    host_node: Id,
    /// Where the system's files are.
    root: PathBuf,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every probe's build")]
fn build(config: &ProbeConfig) -> Result<Box<dyn Probe>, BuildError> {
    Ok(Box::new(Hardware { host_node: config.host_node.clone(), root: PathBuf::from("/") }))
}

impl Probe for Hardware {
    fn run(self: Box<Self>, scope: ProbeScope) -> BoxFuture<'static, Result<(), ProbeError>> {
        Box::pin(async move {
            let Self { host_node, root } = *self;
            let facts = tokio::task::spawn_blocking(move || HostFacts::read(&root))
                .await
                .map_err(|e| ProbeError::Other(e.to_string()))?;
            let health = match missing(&facts) {
                Some(why) => scope.degraded(why).await,
                None => scope.running().await,
            };
            let sent = scope.send(vec![Mutation::update_node(host_node, fields(&facts))]).await;
            if health.and(sent).is_ok() {
                scope.stopped().await;
            }
            Ok(())
        })
    }
}

/// What every Linux host has and this one does not tell. The rest may be absent with good reason.
fn missing(facts: &HostFacts) -> Option<&'static str> {
    match (facts.cpus.is_empty(), facts.kernel.is_empty()) {
        (false, false) => None,
        (true, false) => Some("/proc/cpuinfo names no processor"),
        (false, true) => Some("/proc/sys/kernel/osrelease cannot be read"),
        (true, true) => Some("/proc cannot be read: processors and kernel are unknown"),
    }
}

fn fields(facts: &HostFacts) -> Vec<Op> {
    let (system, role) = facts.virtualization.clone().unwrap_or_default();
    let texts = [
        (key::INSTANCE_ID, facts.instance_id.clone().unwrap_or_default()),
        (key::OS, SmolStr::new_static("linux")),
        (key::PLATFORM, facts.platform.clone()),
        (key::PLATFORM_FAMILY, facts.platform_family.clone()),
        (key::PLATFORM_VERSION, facts.platform_version.clone()),
        (key::KERNEL_VERSION, facts.kernel.clone()),
        (key::VIRTUALIZATION_SYSTEM, system),
        (key::VIRTUALIZATION_ROLE, role),
    ];
    let collections = [
        (key::ISOLATED_CPU, Value::list(facts.isolated.iter().copied())),
        (key::CPU, Value::list(facts.cpus.iter().map(processor))),
        (key::KERNEL_CMD_LINE, command_line(&facts.command_line).into()),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| Op::set(key, text));
    let collections = collections.into_iter().filter(|(_, value)| !value.is_empty_collection());
    texts.chain(collections.map(|(key, value)| Op::set(key, value))).collect()
}

fn processor(cpu: &CpuFacts) -> Map {
    let texts = [
        ("VendorID", &cpu.vendor_id),
        ("Family", &cpu.family),
        ("Model", &cpu.model),
        ("PhysicalID", &cpu.physical_id),
        ("CoreID", &cpu.core_id),
        ("ModelName", &cpu.model_name),
        ("Microcode", &cpu.microcode),
    ];
    let numbers = [
        ("Stepping", i64::from(cpu.stepping)),
        ("Cores", i64::from(cpu.cores)),
        ("Mhz", cpu.mhz as i64),
        ("CacheSize", i64::from(cpu.cache_size)),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let numbers = numbers.into_iter().filter(|(_, number)| *number != 0);
    std::iter::once((key::CPU, Value::from(cpu.cpu)))
        .chain(texts.map(|(name, text)| (name, Value::from(text.clone()))))
        .chain(numbers.map(|(name, number)| (name, Value::from(number))))
        .collect()
}

/// The kernel's arguments by name; of those given twice the last counts, those without value are true.
fn command_line(arguments: &[(SmolStr, Option<SmolStr>)]) -> Map {
    let shown = |name: &SmolStr, value: &Option<SmolStr>| match value {
        None => Value::Bool(true),
        Some(value) => Value::from(without_secrets(name, value)),
    };
    arguments.iter().map(|(name, value)| (name.clone(), shown(name, value))).collect()
}

/// Stands for a secret; its length tells nothing.
const MASK: &str = "********";

fn without_secrets(name: &str, value: &str) -> SmolStr {
    // `systemd.setenv=DB_PASSWORD=x` gives a name within the value.
    let inner = value.split(['=', ',', ';']).any(|word| names_a_secret(word) && value.contains('='));
    if names_a_secret(name) || inner {
        return SmolStr::new_static(MASK);
    }
    // `http://user:password@host`, `iscsi:user:password@host`.
    let start = value.find("://").map_or(0, |at| at + 3);
    let user = value.get(start..).and_then(|rest| rest.rsplit_once('@'));
    match user.and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{}{user}:{MASK}@{host}", &value[..start]).into(),
        None => value.into(),
    }
}

/// Whether what has this name is likely a secret. Rather too often than once too seldom.
fn names_a_secret(name: &str) -> bool {
    const PARTS: [&str; 7] = ["passw", "passphrase", "secret", "token", "credential", "apikey", "privkey"];
    const WORDS: [&str; 5] = ["key", "pass", "pwd", "pw", "psk"];
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    PARTS.iter().any(|part| name.contains(part)) || words.any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use skydive_graph::{Graph, Node, Source};
    use skydive_value::Timestamp;

    use super::*;

    fn shown(facts: &HostFacts) -> Map {
        let (mut graph, id) = (Graph::new(), Id::from("h"));
        let node = Node::new(id.clone(), Source::of("agent", "h"), Map::new(), Timestamp::EPOCH);
        for mutation in [Mutation::AddNode(node), Mutation::update_node(id.clone(), fields(facts))] {
            graph.apply(mutation, Timestamp::EPOCH, &mut Vec::new()).unwrap();
        }
        graph.node(&id).unwrap().metadata.clone()
    }

    #[test]
    fn every_key_has_the_shape_of_the_original() {
        let argument = |name: &str, value: Option<&str>| (SmolStr::from(name), value.map(SmolStr::from));
        let facts = HostFacts {
            instance_id: Some("i-1".into()),
            isolated: vec![1, 2, 3],
            cpus: vec![CpuFacts {
                cpu: 0,
                vendor_id: "GenuineIntel".into(),
                family: "6".into(),
                model: "85".into(),
                stepping: 7,
                physical_id: "0".into(),
                core_id: "1".into(),
                cores: 4,
                model_name: "Xeon".into(),
                mhz: 2999.998,
                cache_size: 36608,
                microcode: "0x1".into(),
            }],
            platform: "ubuntu".into(),
            platform_family: "debian".into(),
            platform_version: "22.04".into(),
            kernel: "5.15.0".into(),
            hostname: "h".into(),
            virtualization: Some(("kvm".into(), "guest".into())),
            command_line: vec![
                argument("quiet", None),
                argument("console", Some("tty0")),
                argument("console", Some("ttyS0")),
                argument("rd.iscsi.password", Some("hidden")),
            ],
        };
        let expected = serde_json::json!({
            "InstanceID": "i-1",
            "IsolatedCPU": [1, 2, 3],
            "CPU": [{
                "CPU": 0, "VendorID": "GenuineIntel", "Family": "6", "Model": "85", "Stepping": 7, "PhysicalID": "0",
                "CoreID": "1", "Cores": 4, "ModelName": "Xeon", "Mhz": 2999, "CacheSize": 36608, "Microcode": "0x1",
            }],
            "OS": "linux",
            "Platform": "ubuntu",
            "PlatformFamily": "debian",
            "PlatformVersion": "22.04",
            "KernelVersion": "5.15.0",
            "KernelCmdLine": {"quiet": true, "console": "ttyS0", "rd.iscsi.password": MASK},
            "VirtualizationSystem": "kvm",
            "VirtualizationRole": "guest",
        });
        assert_eq!(serde_json::to_value(shown(&facts)).unwrap(), expected);
        assert_eq!(missing(&facts), None);
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        let facts = HostFacts::read(Path::new("/nonexistent"));
        assert_eq!(shown(&facts), [("OS", "linux")].into_iter().collect());
        assert_eq!(missing(&facts), Some("/proc cannot be read: processors and kernel are unknown"));
    }

    #[test]
    fn secrets_are_masked_and_the_rest_is_not() {
        for (name, value, expected) in [
            ("luks_passphrase", "a", MASK),
            ("API_TOKEN", "a", MASK),
            ("rd.luks.key", "/k", MASK),
            ("systemd.set_credential", "a:b", MASK),
            ("systemd.setenv", "DB_PASSWORD=a", MASK),
            ("ds", "nocloud;user=a;pwd=b", MASK),
            ("netroot", "iscsi:user:a/b@10.0.0.1::::disk", "iscsi:********@10.0.0.1::::disk"),
            ("inst.ks", "http://user:a@host/ks", "http://user:********@host/ks"),
            ("inst.ks", "http://host:80/ks", "http://host:80/ks"),
            ("rd.vconsole.keymap", "us", "us"),
            ("root", "UUID=0-1", "UUID=0-1"),
            ("console", "ttyS0,115200", "ttyS0,115200"),
            ("init", "/key", "/key"),
        ] {
            assert_eq!(without_secrets(name, value), expected, "{name}={value}");
        }
    }
}
