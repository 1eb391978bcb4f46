//! Who speaks for a side of a flow, as far as the host of the capture knows.

use std::sync::Arc;

use skydive_value::SmolStr;

/// The processes of both sides. A side that is on another host, or whose socket was not seen, has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes {
    /// Of side A.
    pub a: Option<Arc<Process>>,
    /// Of side B.
    pub b: Option<Arc<Process>>,
}

/// A process as it was when it was seen with its socket. Texts that are not known are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its number, as the agent sees it.
    pub pid: u32,
    /// The command, at most 15 bytes of it.
    pub name: SmolStr,
    /// Path of what it runs.
    pub path: SmolStr,
    /// Its control group, from the root that the agent sees.
    pub cgroup: SmolStr,
    /// The container that this group is of: 64 hexadecimal digits.
    pub container_id: SmolStr,
}

impl Processes {
    /// Whether no side has one.
    pub fn is_empty(&self) -> bool {
        self.a.is_none() && self.b.is_none()
    }
}
