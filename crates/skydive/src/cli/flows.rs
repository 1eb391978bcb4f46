//! What the sub-commands of `flows` accept.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use skydive_flow::ExtraLayers;

#[derive(Subcommand)]
pub(crate) enum FlowsCommand {
    /// Read capture files and print the flows in them; needs no analyzer
    ///
    /// One row per flow, in the order in which they end: idle for too long, or the last file is read. Times are those
    /// of the packets. What was read of a damaged file is shown, then the command says where the damage is and exits
    /// with 1. A configuration named with -c gives names of applications by port and how long flows may be idle; without -c
    /// none is read.
    #[command(after_help = "Examples:
  skydive flows read trace.pcapng
  skydive flows read --filter 'tcp port 443' --summary trace.pcap
  zcat trace.pcap.gz | skydive flows read - | jq .Metric
  tcpdump -i eth0 -w - | skydive flows read --format csv -")]
    Read(ReadFlags),
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags that are given or not")]
pub(crate) struct ReadFlags {
    /// pcap or pcapng files, read one after the other into the same flows; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Count only packets that pass this filter, in tcpdump's language
    #[arg(long, value_name = "BPF", allow_hyphen_values = true)]
    pub(crate) filter: Option<String>,
    /// Form of the rows [default: table on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<RowFormat>,
    /// Print totals instead of rows, as text unless --format says otherwise
    #[arg(long, conflicts_with = "raw")]
    pub(crate) summary: bool,
    /// Add each flow's packets in base64, all or the first so many; they stay in memory until their flow ends
    #[arg(long, value_name = "PACKETS", num_args = 0..=1, require_equals = true, value_parser = positive::<NonZeroU64>,
        default_missing_value = "18446744073709551615", hide_default_value = true)]
    pub(crate) raw: Option<NonZeroU64>,
    /// Most flows at a time, beyond which the idlest go early [default: no limit]
    #[arg(long, value_name = "FLOWS", value_parser = positive::<NonZeroUsize>)]
    pub(crate) max_entries: Option<NonZeroUsize>,
    /// How long a flow may be idle: it ends within a minute after that [default: flow.expire of the configuration, or
    /// 600]
    #[arg(long, value_name = "SECONDS", value_parser = positive::<NonZeroU64>)]
    pub(crate) expire: Option<NonZeroU64>,
    /// Watch TCP in detail: flags, retransmissions, order, windows
    #[arg(long)]
    pub(crate) extra_tcp_metric: bool,
    /// Put TCP streams in order and count them and their gaps
    #[arg(long, alias = "reassamble-tcp")]
    pub(crate) reassemble_tcp: bool,
    /// Put IPv4 datagrams together from their fragments
    #[arg(long)]
    pub(crate) ip_defrag: bool,
    /// Which addresses tell flows apart [default: flow.default_layer_key_mode of the configuration, or L2]
    #[arg(long, value_name = "MODE", ignore_case = true)]
    pub(crate) layer_key_mode: Option<LayerKeyMode>,
    /// Read what applications say in the clear; repeat it for several
    #[arg(long, value_name = "LAYER", ignore_case = true)]
    pub(crate) extra_layer: Vec<ExtraLayer>,
}

fn positive<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "give a whole number from 1".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// Columns for reading
    Table,
    /// An object a line, as the analyzer gives flows
    Json,
    /// A line of values under a line of names, RFC 4180
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayerKeyMode {
    /// Those of the link too
    #[value(name = "L2")]
    L2,
    /// Those of the network; those of the link only where there are no others
    #[value(name = "L3")]
    L3,
}

impl LayerKeyMode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::L2 => "L2",
            Self::L3 => "L3",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExtraLayer {
    /// Messages and their latency
    #[value(name = "DNS")]
    Dns,
    /// Messages
    #[value(name = "DHCPv4")]
    Dhcp4,
    /// Advertisements
    #[value(name = "VRRP")]
    Vrrp,
    /// The name in a ClientHello
    #[value(name = "TLS")]
    Tls,
    /// The first line of an HTTP/1 request
    #[value(name = "HTTP")]
    Http,
}

impl ExtraLayer {
    pub(crate) fn bits(self) -> ExtraLayers {
        match self {
            Self::Dns => ExtraLayers::DNS,
            Self::Dhcp4 => ExtraLayers::DHCPV4,
            Self::Vrrp => ExtraLayers::VRRP,
            Self::Tls => ExtraLayers::TLS,
            Self::Http => ExtraLayers::HTTP,
        }
    }
}
