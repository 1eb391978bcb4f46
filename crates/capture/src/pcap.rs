//! The same as afpacket under the name of the original's capture with libpcap, which receives what is for others, too.

use skydive_sys::Namespaces;

use crate::definition::{CaptureDef, Opened, Options};
use crate::ring::{self, Reception};
use crate::{CaptureConfig, StartError};

pub(crate) const DEF: CaptureDef = CaptureDef {
    name: "pcap",
    about: "packets of an interface, those for others included",
    options: Options { filter: true, raw_packets: true, tcp_metric: true, several_per_node: true },
    open,
};

fn open(config: &CaptureConfig, namespaces: &Namespaces) -> Result<Opened, StartError> {
    ring::open(config, namespaces, Reception::All)
}
