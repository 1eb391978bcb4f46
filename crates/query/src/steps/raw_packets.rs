//! `RawPackets` and `BPF`: the packets that captures keep with flows, and which of them.

use skydive_flow::{Flow, LinkType};
use skydive_packet::filter::{Program, compile};
use skydive_value::SmolStr;

use crate::operation::Operation;
use crate::run::Run;
use crate::{Args, Kind, Plan, QueryError, Rows, Slot, Step, StepDef};

pub(super) const RAW_PACKETS: StepDef = StepDef {
    name: "RawPackets",
    about: "the packets kept with flows, by the UUID of the flow",
    on: &[(Kind::Flows, Kind::RawPackets)],
    args: &[],
    parse: |args| {
        if args.given.is_empty() {
            Ok(Box::new(RawPackets))
        } else {
            Err(args.refuse_number("RawPackets accepts no parameter"))
        }
    },
};

pub(super) const BPF: StepDef = StepDef {
    name: "BPF",
    about: "those packets that pass a filter in tcpdump's language",
    on: &[(Kind::RawPackets, Kind::RawPackets)],
    args: &[Slot::PacketFilter],
    parse: |args| Ok(Box::new(Bpf(args))),
};

/// Bytes of packets that an answer has at most. In JSON they take a third more.
const MOST_BYTES: usize = 256 << 20;

#[derive(Debug)]
struct RawPackets;

#[derive(Debug)]
struct Bpf(Args);

/// Packets that pass a filter, which is compiled for each kind of link.
#[derive(Debug)]
struct Passing {
    filter: SmolStr,
    offset: usize,
}

impl Step for RawPackets {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        plan.want_packets();
        plan.push(RawPackets);
        Ok(())
    }
}

impl Operation for RawPackets {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        gather(rows.into_flows()?, MOST_BYTES, run)
    }
}

/// The packets of flows up to a number of bytes. The answer says when there are more.
fn gather(flows: Vec<Flow>, most: usize, run: &mut Run<'_>) -> Result<Rows, QueryError> {
    let (mut kept, mut number, mut room) = (Vec::new(), 0, most);
    for flow in flows {
        run.tick()?;
        let mut packets = flow.raw_packets;
        let fitting = packets.iter().take_while(|packet| {
            let fits = packet.bytes.len() <= room;
            room = if fits { room - packet.bytes.len() } else { 0 };
            fits
        });
        let fitting = fitting.count();
        if fitting < packets.len() {
            packets.truncate(fitting);
            run.leave_out();
        }
        number += packets.len();
        run.check_room(number)?;
        if !packets.is_empty() {
            kept.push((flow.uuid.to_string().into(), packets));
        }
    }
    Ok(Rows::RawPackets(kept))
}

impl Step for Bpf {
    fn plan(&self, plan: &mut Plan) -> Result<(), QueryError> {
        let [given] = self.0.given.as_slice() else {
            return Err(QueryError::argument("BPF requires 1 parameter", self.0.offset));
        };
        let Some(filter) = given.arg.as_text() else {
            return Err(QueryError::argument("BPF parameter has to be a string", given.offset));
        };
        if let Err(fault) = compile(filter, LinkType::ETHERNET, 0) {
            return Err(QueryError::argument(format!("Not a valid BPF expression: {fault}"), given.offset));
        }
        plan.push(Passing { filter: filter.clone(), offset: given.offset });
        Ok(())
    }
}

impl Operation for Passing {
    fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
        let mut programs: Vec<(LinkType, Program)> = Vec::new();
        let Rows::RawPackets(flows) = rows else { return Err(rows.unplanned()) };
        let mut left = Vec::new();
        for (uuid, packets) in flows {
            let mut passing = Vec::new();
            for packet in packets {
                run.tick()?;
                let known = programs.iter().position(|(link, _)| *link == packet.link);
                let at = match known {
                    Some(at) => at,
                    None => {
                        let program = compile(&self.filter, packet.link, 0).map_err(|fault| {
                            QueryError::argument(format!("Not a valid BPF expression: {fault}"), self.offset)
                        })?;
                        programs.push((packet.link, program));
                        programs.len() - 1
                    }
                };
                let len = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
                if programs[at].1.run(&packet.bytes, len) > 0 {
                    passing.push(packet);
                }
            }
            if !passing.is_empty() {
                left.push((uuid, passing));
            }
        }
        Ok(Rows::RawPackets(left))
    }
}

#[cfg(test)]
mod tests {
    use skydive_flow::{FlowSet, FlowsFound, Replay, TableConfig};
    use skydive_packet::file::{Packet, Reader};
    use skydive_value::{Coverage, Timestamp};

    use super::*;
    use crate::run::run_with;
    use crate::{Cx, Limits, View, parse};

    /// A step that has less room.
    #[derive(Debug)]
    struct Tight(usize);

    impl Operation for Tight {
        fn apply(&self, rows: Rows, run: &mut Run<'_>) -> Result<Rows, QueryError> {
            gather(rows.into_flows()?, self.0, run)
        }
    }

    #[test]
    fn what_has_no_room_is_said_to_be_left_out() {
        let file: &[u8] = include_bytes!("../../../packet/tests/data/pcaps/simple-tcpv4.pcap");
        let mut packets = [Packet::default(); 16];
        let filled = Reader::new().fill(file, &mut packets).unwrap();
        let mut replay = Replay::new(TableConfig { raw_packets: 100, ..TableConfig::default() });
        replay.packets(&packets[..filled.packets], |_, _| ());
        let flows: Vec<Flow> = replay.table().flows().map(|flow| flow.to_flow()).collect();
        let sizes: Vec<usize> = flows[0].raw_packets.iter().map(|packet| packet.bytes.len()).collect();
        assert_eq!((flows.len(), sizes.len()), (1, 8));

        let query = parse("G.Flows()", &Limits::default()).unwrap();
        let all = sizes.iter().sum();
        for (room, left) in [(all, 8), (all - 1, 7), (sizes[0], 1), (sizes[0] - 1, 0), (0, 0)] {
            let mut plan = Plan::new(&query, Timestamp::EPOCH).unwrap();
            plan.push(Tight(room));
            let found = |_: &_| {
                let set = FlowSet::new(flows.clone());
                Ok(FlowsFound { set, coverage: Coverage::complete(), ..FlowsFound::default() })
            };
            let answer = run_with(&plan, &View::empty(), &Cx::new(Timestamp::EPOCH), found).unwrap();
            let Rows::RawPackets(kept) = answer.rows else { panic!("{room}") };
            assert_eq!(kept.iter().map(|(_, packets)| packets.len()).sum::<usize>(), left, "{room}");
            assert_eq!(answer.coverage.truncated, left < 8, "{room}");
        }
    }
}
