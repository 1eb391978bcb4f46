//! Packets of an interface, through a ring that the kernel fills.

use skydive_sys::Namespaces;

use crate::definition::{CaptureDef, Opened, Options};
use crate::ring::{self, Reception};
use crate::{CaptureConfig, StartError};

pub(crate) const DEF: CaptureDef = CaptureDef {
    name: "afpacket",
    about: "packets of an interface, both ways",
    options: Options { filter: true, raw_packets: true, tcp_metric: true, several_per_node: true },
    open,
};

fn open(config: &CaptureConfig, namespaces: &Namespaces) -> Result<Opened, StartError> {
    ring::open(config, namespaces, Reception::Own)
}
