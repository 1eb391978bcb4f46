//! Physical and virtual functions of network cards, as sysfs has them.

use std::path::{Path, PathBuf};

use smol_str::SmolStr;

const DEVICES: &str = "/sys/bus/pci/devices";

/// The directory of a device; `None` for what is no address on the bus.
fn device(address: &str) -> Option<PathBuf> {
    let is_address =
        !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
    (is_address && !address.starts_with('.')).then(|| Path::new(DEVICES).join(address))
}

/// The address a link in a device's directory leads to.
fn target(link: &Path) -> Option<SmolStr> {
    Some(std::fs::read_link(link).ok()?.file_name()?.to_string_lossy().into())
}

/// The physical function behind a virtual one, and the number the virtual one has there.
pub fn pci_virtual_function(address: &str) -> Option<(SmolStr, u32)> {
    let physical = target(&device(address)?.join("physfn"))?;
    let id = virtual_functions(&physical).into_iter().find(|(_, of)| of == address)?.0;
    Some((physical, id))
}

/// The virtual functions of a physical one, or the physical one of a virtual one.
pub fn pci_relatives(address: &str) -> Vec<SmolStr> {
    let Some(device) = device(address) else { return Vec::new() };
    let functions = virtual_functions(address).into_iter().map(|(_, of)| of);
    functions.chain(target(&device.join("physfn"))).collect()
}

fn virtual_functions(address: &str) -> Vec<(u32, SmolStr)> {
    let Some(entries) = device(address).and_then(|device| std::fs::read_dir(device).ok()) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.strip_prefix("virtfn")?.parse().ok()?;
            Some((id, target(&entry.path())?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_are_looked_up() {
        assert!(device("0000:03:00.0").is_some());
        for other in ["", "..", "virtio0/..", "usb-1"] {
            assert_eq!(device(other), None, "{other}");
        }
        assert_eq!(pci_virtual_function("0000:ff:1f.7"), None);
        assert!(pci_relatives("0000:ff:1f.7").is_empty());
    }
}
