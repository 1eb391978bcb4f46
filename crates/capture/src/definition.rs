//! What a kind of capture is.

use std::net::SocketAddr;

use skydive_sys::Namespaces;

use crate::source::Source;
use crate::{CAPTURES, CaptureConfig, StartError};

/// One line of [`CAPTURES`].
#[derive(Debug)]
pub struct CaptureDef {
    /// Name in requests and metadata.
    pub name: &'static str,
    /// What it is, in under 72 characters.
    pub about: &'static str,
    /// What it can be asked for.
    pub options: Options,
    /// Opens its sources. Nothing may come out of them before all are open.
    pub(crate) open: fn(&CaptureConfig, &Namespaces) -> Result<Opened, StartError>,
}

/// What a kind of capture can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one answer per option")]
pub struct Options {
    /// A packet filter.
    pub filter: bool,
    /// Keeping packets.
    pub raw_packets: bool,
    /// TCP in detail.
    pub tcp_metric: bool,
    /// Several captures of the kind on one node.
    pub several_per_node: bool,
}

/// Sources, one for each thread that the capture is spread over.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) sources: Vec<Source>,
    /// Where packets are taken from others.
    pub(crate) listens_at: Option<SocketAddr>,
}

/// The kind of that name.
pub fn definition(name: &str) -> Option<&'static CaptureDef> {
    CAPTURES.iter().find(|definition| definition.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn definitions_keep_the_rules() {
        let page = include_str!("../../../docs/captures.md");
        let mut names = HashSet::new();
        for CaptureDef { name, about, .. } in CAPTURES {
            assert!(names.insert(*name), "{name} is there twice");
            assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{name}");
            assert!(about.len() < 72 && !about.ends_with('.'), "{name}: {about}");
            assert!(page.contains(&format!("\n## {name}\n")), "docs/captures.md has no section {name}");
            assert_eq!(definition(name).unwrap().about, *about);
        }
        assert!(definition("sonar").is_none());
    }
}
