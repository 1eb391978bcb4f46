//! What `client capture` accepts: names, flags and aliases of the original.

use std::ffi::OsStr;

use clap::builder::{NonEmptyStringValueParser, PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args, Command, Error, Subcommand};
use skydive_capture::CAPTURES;
use skydive_graph::key;

use super::client::{ReadCommand, ShapeFlag, TitleFlags};
use super::flows::{ExtraLayer, LayerKeyMode};

#[derive(Subcommand)]
pub(crate) enum CaptureCommand {
    /// Begin a capture on the nodes of a query, now and whenever they come
    #[command(after_help = "Examples:
  skydive client capture create --gremlin \"G.V().Has('Name','eth0')\"
  skydive client capture create --gremlin \"G.V().Has('Type','veth')\" --bpf 'tcp port 80' --extra-tcp-metric
  skydive client capture create --node 8d4a6b1e-… --rawpacket-limit 10 --ttl 60000")]
    Create(Box<CaptureDraft>),
    #[command(flatten)]
    Read(ReadCommand),
    /// End captures by id; what cannot be deleted is told, and is no failure
    Delete {
        /// Which to end
        #[arg(required = true, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
        ids: Vec<String>,
    },
}

/// Any kind is taken, as agents of other versions have other ones; those of this version are completed.
#[derive(Clone)]
struct KindParser;

impl TypedValueParser for KindParser {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(CAPTURES.iter().map(|kind| PossibleValue::new(kind.name))))
    }
}

#[derive(Args)]
pub(crate) struct CaptureDraft {
    /// Query that gives the nodes to capture on; else --node
    #[arg(long, value_name = "GREMLIN", required_unless_present = "node", conflicts_with = "node")]
    pub(crate) gremlin: Option<String>,
    /// TID of the node to capture on; else --gremlin
    #[arg(long, value_name = key::TID, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) node: Option<String>,
    /// Packets that are counted, in tcpdump's language
    #[arg(long, value_name = "BPF", default_value = "")]
    pub(crate) bpf: String,
    #[command(flatten)]
    pub(crate) titles: TitleFlags,
    /// Kind of capture, such as afpacket, pcap or pcapsocket [default: that of the node's type]
    #[arg(long = "type", value_name = "TYPE", default_value = "", value_parser = KindParser)]
    pub(crate) kind: String,
    /// Port of a collector; 0 for the default
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Sampling of sFlow; 0 takes no packet
    #[arg(long, value_name = "PACKETS", default_value_t = 1)]
    pub(crate) samplingrate: u32,
    /// Seconds between two counter samples of sFlow
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) pollinginterval: u32,
    /// Bytes looked at of a packet, 14 to 4096; 0 for the default
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) header_size: i64,
    /// Packets kept of each flow, 0 to 10
    #[arg(long, value_name = "PACKETS", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) rawpacket_limit: i64,
    /// TCP in detail: flags, retransmissions, windows
    #[arg(long)]
    pub(crate) extra_tcp_metric: bool,
    /// Put fragments together
    #[arg(long)]
    pub(crate) ip_defrag: bool,
    /// Put TCP streams together
    #[arg(long = "reassamble-tcp", visible_alias = "reassemble-tcp")]
    pub(crate) reassemble_tcp: bool,
    /// Which addresses identify a flow [default: flow.default_layer_key_mode]
    #[arg(long, value_name = "MODE", ignore_case = true)]
    pub(crate) layer_key_mode: Option<LayerKeyMode>,
    /// Tell what applications say; repeat it for several
    #[arg(long, value_name = "LAYER", ignore_case = true, value_delimiter = ',')]
    pub(crate) extra_layer: Vec<ExtraLayer>,
    /// Where packets or flows are sent instead of the flow table
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "")]
    pub(crate) target: String,
    /// How they are sent there
    #[arg(long, value_name = "TYPE", default_value = "")]
    pub(crate) target_type: String,
    /// Ends the capture after this time
    #[arg(long, value_name = "MILLISECONDS")]
    pub(crate) ttl: Option<u64>,
    #[command(flatten)]
    pub(crate) shape: ShapeFlag,
}
