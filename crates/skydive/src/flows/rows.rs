//! A row per flow, written as flows end.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use skydive_flow::{Flow, FlowId, FlowView, RawPacket, Told};
use skydive_proto::FlowJson;

use super::RAW_BYTES;
use super::csv::Columns;
use super::progress::Drawn;
use super::table::Grid;
use crate::cli::{ReadFlags, RowFormat};

/// Bytes written at a time.
const PIECE: usize = 64 << 10;

/// Where rows go, and in which form.
pub(super) struct Rows {
    form: Form,
    /// When packets are asked for.
    raw: Option<Held>,
    out: Vec<u8>,
    /// What has to go before rows can stand on a terminal.
    progress: Drawn,
    /// Why nothing can be written any more.
    failure: Option<io::Error>,
}

enum Form {
    Table(Grid),
    Json,
    Csv(Columns),
}

/// Packets of flows that have not ended: an update tells them, and the table forgets them.
#[derive(Default)]
struct Held {
    flows: HashMap<FlowId, Vec<RawPacket>>,
    /// Bytes of all of them.
    bytes: usize,
    /// Packets there was no room for.
    unkept: u64,
}

/// A packet as the original writes it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RawPacketJson<'a> {
    timestamp: i64,
    index: u64,
    #[serde(serialize_with = "base64")]
    data: &'a [u8],
    link_type: u16,
}

impl Rows {
    pub(super) fn new(format: RowFormat, flags: &ReadFlags, progress: Drawn) -> Self {
        let mut out = Vec::with_capacity(2 * PIECE);
        let form = match format {
            RowFormat::Table => Form::Table(Grid::new()),
            RowFormat::Json => Form::Json,
            RowFormat::Csv => {
                let columns = Columns::new(flags);
                columns.head(&mut out);
                Form::Csv(columns)
            }
        };
        Self { form, raw: flags.raw.map(|_| Held::default()), out, progress, failure: None }
    }

    /// A flow was updated or has ended.
    pub(super) fn hear(&mut self, flow: FlowView<'_>, told: Told) {
        if self.is_broken() || (!told.ended && self.raw.is_none()) {
            return;
        }
        let mut flow = flow.to_flow();
        if let Some(held) = &mut self.raw {
            if !told.ended {
                held.hold(flow.uuid, flow.raw_packets);
                return;
            }
            let mut raw = held.release(flow.uuid);
            raw.append(&mut flow.raw_packets);
            flow.raw_packets = raw;
        }
        self.row(&flow);
        if self.out.len() >= PIECE {
            self.write();
        }
    }

    /// Packets that are in no row because there was no room to wait with them.
    pub(super) fn unkept(&self) -> u64 {
        self.raw.as_ref().map_or(0, |held| held.unkept)
    }

    /// Whether nothing can be written any more.
    pub(super) fn is_broken(&self) -> bool {
        self.failure.is_some()
    }

    /// Writes all rows so far.
    pub(super) fn flush(&mut self) {
        if let Form::Table(grid) = &mut self.form {
            grid.draw(&mut self.out);
        }
        self.write();
    }

    /// Writes what is left. A reader that has gone away, as `head` does, is not an error.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        if let Form::Table(grid) = &mut self.form {
            grid.end(&mut self.out);
        }
        self.write();
        match self.failure {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("standard output"),
            _ => Ok(()),
        }
    }

    fn row(&mut self, flow: &Flow) {
        match &mut self.form {
            Form::Table(grid) => grid.add(flow, &mut self.out),
            Form::Csv(columns) => columns.row(flow, &flow.raw_packets, &mut self.out),
            Form::Json => {
                let written = put_json(flow, self.raw.is_some(), &mut self.out);
                if let Err(error) = written {
                    self.failure = Some(error.into());
                }
            }
        }
    }

    fn write(&mut self) {
        if self.out.is_empty() || self.is_broken() {
            return;
        }
        self.progress.clear();
        let mut stdout = io::stdout().lock();
        // Standard output holds back a line without its end; what is here ends with a row.
        let written = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        self.failure = written.err();
        self.out.clear();
    }
}

impl Held {
    fn hold(&mut self, flow: FlowId, packets: Vec<RawPacket>) {
        for packet in packets {
            let bytes = packet.bytes.len() + size_of::<RawPacket>();
            if self.bytes + bytes > RAW_BYTES {
                self.unkept += 1;
                continue;
            }
            self.bytes += bytes;
            self.flows.entry(flow).or_default().push(packet);
        }
    }

    fn release(&mut self, flow: FlowId) -> Vec<RawPacket> {
        let packets = self.flows.remove(&flow).unwrap_or_default();
        self.bytes -= packets.iter().map(|packet| packet.bytes.len() + size_of::<RawPacket>()).sum::<usize>();
        packets
    }
}

/// The flow on a line, with its packets as one more member when they are wanted.
fn put_json(flow: &Flow, has_raw: bool, out: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, &FlowJson(flow))?;
    if has_raw && out.pop_if(|last| *last == b'}').is_some() {
        out.extend_from_slice(b",\"RawPackets\":");
        let packets: Vec<RawPacketJson<'_>> = flow.raw_packets.iter().map(RawPacketJson::of).collect();
        serde_json::to_writer(&mut *out, &packets)?;
        out.push(b'}');
    }
    out.push(b'\n');
    Ok(())
}

impl<'a> RawPacketJson<'a> {
    fn of(packet: &'a RawPacket) -> Self {
        Self {
            timestamp: packet.at.as_millis(),
            index: packet.index,
            data: &packet.bytes,
            link_type: packet.link.0,
        }
    }
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

#[cfg(test)]
mod tests {
    use skydive_packet::LinkType;
    use skydive_value::Timestamp;

    use super::*;

    #[test]
    fn packets_without_room_are_counted() {
        let packet = |bytes: &[u8]| RawPacket {
            at: Timestamp::EPOCH,
            index: 1,
            bytes: bytes.into(),
            link: LinkType::ETHERNET,
        };
        let mut held = Held { bytes: RAW_BYTES - size_of::<RawPacket>() - 2, ..Held::default() };
        held.hold(FlowId(1), vec![packet(b"abc"), packet(b"ab"), packet(b"")]);
        assert_eq!((held.unkept, held.bytes), (2, RAW_BYTES));
        assert_eq!(held.release(FlowId(1)).len(), 1);
        held.hold(FlowId(1), vec![packet(b"ab")]);
        assert_eq!((held.unkept, held.bytes), (2, RAW_BYTES));
        assert!(held.release(FlowId(2)).is_empty());
    }
}
