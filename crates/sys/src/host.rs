//! The host itself: processors, system, kernel, whether it is virtual.

use std::path::Path;

use smol_str::SmolStr;

use crate::text::read_text;

/// Facts about the host that do not change while it runs. What cannot be read is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostFacts {
    /// Identifier given by a cloud.
    pub instance_id: Option<SmolStr>,
    /// Processors taken out of general scheduling.
    pub isolated: Vec<u32>,
    /// Processors.
    pub cpus: Vec<CpuFacts>,
    /// Distribution (`debian`).
    pub platform: SmolStr,
    /// What the distribution descends from (`debian` for `ubuntu`).
    pub platform_family: SmolStr,
    /// Version of the distribution.
    pub platform_version: SmolStr,
    /// Release of the kernel.
    pub kernel: SmolStr,
    /// Name of the host.
    pub hostname: SmolStr,
    /// What the host runs on, or runs: system (`kvm`, `docker`) and role (`guest`, `host`).
    pub virtualization: Option<(SmolStr, SmolStr)>,
    /// Arguments of the kernel; flags have no value.
    pub command_line: Vec<(SmolStr, Option<SmolStr>)>,
}

/// One logical processor.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are those of /proc/cpuinfo")]
pub struct CpuFacts {
    pub cpu: u32,
    pub vendor_id: SmolStr,
    pub family: SmolStr,
    pub model: SmolStr,
    pub stepping: u32,
    pub physical_id: SmolStr,
    pub core_id: SmolStr,
    pub cores: u32,
    pub model_name: SmolStr,
    pub mhz: f64,
    pub cache_size: u32,
    pub microcode: SmolStr,
}

impl HostFacts {
    /// Reads the files below `root`, which is `/` but for tests.
    pub fn read(root: &Path) -> Self {
        let text = |path: &str| read_text(root.join(path)).unwrap_or_default();
        let line = |path: &str| SmolStr::from(text(path).trim());
        let cpuinfo = text("proc/cpuinfo");
        let os = text("etc/os-release");
        let platform = os_field(&os, "ID").unwrap_or_default();
        let family = os_field(&os, "ID_LIKE").unwrap_or_default();
        let version = match platform.as_str() {
            "debian" => Some(line("etc/debian_version")).filter(|v| !v.is_empty()),
            _ => None,
        };
        Self {
            instance_id: Some(line("var/lib/cloud/data/instance-id")).filter(|id| !id.is_empty()),
            isolated: cpu_list(&text("sys/devices/system/cpu/isolated")),
            platform_family: match family.split_ascii_whitespace().next() {
                Some("rhel" | "fedora" | "centos") => SmolStr::new_static("rhel"),
                Some(first) => first.into(),
                None => platform.clone(),
            },
            platform,
            platform_version: version.or_else(|| os_field(&os, "VERSION_ID")).unwrap_or_default(),
            kernel: line("proc/sys/kernel/osrelease"),
            hostname: line("proc/sys/kernel/hostname"),
            virtualization: virtualization(root, &cpuinfo, &text),
            command_line: command_line(&text("proc/cmdline")),
            cpus: cpus(&cpuinfo),
        }
    }
}

fn os_field(os: &str, key: &str) -> Option<SmolStr> {
    let value = os.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).into())
}

/// Reads a list such as `1-3,8`.
fn cpu_list(text: &str) -> Vec<u32> {
    /// More processors than any machine has; bounds what a wrong file can make us allocate.
    const MOST: u32 = 1 << 16;
    let mut out = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>())
            && last < MOST
        {
            out.extend(first..=last);
        }
    }
    out
}

/// Splits at blanks outside of double quotes, as the kernel does; the quotes go.
fn command_line(text: &str) -> Vec<(SmolStr, Option<SmolStr>)> {
    let mut quoted = false;
    let words = text.split(|c: char| {
        quoted ^= c == '"';
        c.is_ascii_whitespace() && !quoted
    });
    words
        .filter(|word| !word.is_empty())
        .map(|word| word.replace('"', ""))
        .map(|word| match word.split_once('=') {
            Some((key, value)) => (key.into(), Some(value.into())),
            None => (word.into(), None),
        })
        .collect()
}

fn cpus(text: &str) -> Vec<CpuFacts> {
    let mut out: Vec<CpuFacts> = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if key.trim_end() == "processor" {
            out.push(CpuFacts { cpu: value.parse().unwrap_or_default(), ..CpuFacts::default() });
            continue;
        }
        let Some(cpu) = out.last_mut() else { continue };
        let number = || value.parse().unwrap_or_default();
        match key.trim_end() {
            "vendor_id" | "CPU implementer" => cpu.vendor_id = value.into(),
            "cpu family" | "CPU architecture" => cpu.family = value.into(),
            "model" | "CPU part" => cpu.model = value.into(),
            "stepping" | "CPU revision" => cpu.stepping = number(),
            "physical id" => cpu.physical_id = value.into(),
            "core id" => cpu.core_id = value.into(),
            "cpu cores" => cpu.cores = number(),
            "model name" => cpu.model_name = value.into(),
            "cpu MHz" => cpu.mhz = value.parse().unwrap_or_default(),
            "cache size" => {
                cpu.cache_size = value.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default();
            }
            "microcode" => cpu.microcode = value.into(),
            _ => {}
        }
    }
    out
}

fn virtualization(root: &Path, cpuinfo: &str, text: &dyn Fn(&str) -> String) -> Option<(SmolStr, SmolStr)> {
    let guest = |system: &str| Some((SmolStr::from(system), SmolStr::new_static("guest")));
    if root.join(".dockerenv").exists() {
        return guest("docker");
    }
    if root.join("run/.containerenv").exists() {
        return guest("podman");
    }
    let dmi = text("sys/class/dmi/id/sys_vendor") + &text("sys/class/dmi/id/product_name");
    const VENDORS: [(&str, &str); 8] = [
        ("QEMU", "kvm"),
        ("KVM", "kvm"),
        ("VMware", "vmware"),
        ("VirtualBox", "vbox"),
        ("Xen", "xen"),
        ("Microsoft Corporation", "hyperv"),
        ("Amazon EC2", "kvm"),
        ("Google", "kvm"),
    ];
    let flags = cpuinfo.lines().find(|l| l.starts_with("flags")).unwrap_or_default();
    let is_guest = flags.split_ascii_whitespace().any(|f| f == "hypervisor");
    if is_guest {
        let vendor = VENDORS.iter().find(|(name, _)| dmi.contains(name));
        return guest(vendor.map_or("kvm", |(_, system)| system));
    }
    if !text("sys/hypervisor/type").trim().is_empty() {
        return guest("xen");
    }
    let is_host = root.join("sys/module/kvm").exists();
    is_host.then(|| (SmolStr::new_static("kvm"), SmolStr::new_static("host")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        assert_eq!(cpu_list("1-3,8\n"), [1, 2, 3, 8]);
        assert!(cpu_list("\n").is_empty());
        assert!(cpu_list("0-4294967295").is_empty());
    }

    #[test]
    fn processors_and_arguments() {
        let all = cpus(
            "processor\t: 0\nvendor_id\t: X\nmodel\t\t: 85\nmodel name\t: X 1\ncpu MHz\t\t: 2999.9\ncache size\t: 36608 KB\n\nprocessor\t: 1\n",
        );
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].model.as_str(), all[0].model_name.as_str(), all[0].cache_size),
            ("85", "X 1", 36608)
        );
        assert_eq!(
            command_line("ro root=UUID=1 quiet\n"),
            [("ro".into(), None), ("root".into(), Some("UUID=1".into())), ("quiet".into(), None)]
        );
        assert_eq!(
            command_line("a=\"b c\"  \"d=e f\" g"),
            [("a".into(), Some("b c".into())), ("d".into(), Some("e f".into())), ("g".into(), None)]
        );
    }

    #[test]
    fn this_host_has_a_processor_and_a_kernel() {
        let facts = HostFacts::read(Path::new("/"));
        assert!(!facts.cpus.is_empty());
        assert!(!facts.kernel.is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_cost_only_themselves() {
        let root = std::env::temp_dir().join(format!("skydive-host-{}", std::process::id()));
        std::fs::create_dir_all(root.join("proc")).unwrap();
        std::fs::write(root.join("proc/cmdline"), b"ro name=\xff quiet\n").unwrap();
        let facts = HostFacts::read(&root);
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(facts.command_line.len(), 3);
        assert_eq!(facts.command_line[2].0, "quiet");
    }

    #[test]
    fn nothing_to_read_is_no_fault() {
        assert_eq!(HostFacts::read(Path::new("/nonexistent")), HostFacts::default());
    }
}
