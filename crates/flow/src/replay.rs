//! Packets of a file through a table whose time is theirs.
//!
//! Time passes in steps: whatever pieces the packets come in, the flows are the same.

use skydive_packet::file::Packet;

use crate::{FlowTable, FlowView, TableConfig, Told};

/// A table, and the time of the packets that it was given.
#[derive(Debug)]
pub struct Replay {
    table: FlowTable,
    /// How long flows may be idle, in nanoseconds.
    expire: i64,
    /// Which [`STEP`] it is for the table; unknown before the first packet.
    step: Option<i64>,
}

/// Time passes in steps of so many nanoseconds.
const STEP: i64 = 1_000_000_000;

impl Replay {
    /// An empty table at no time.
    pub fn new(config: TableConfig) -> Self {
        let expire = i64::try_from(config.expire.as_nanos()).unwrap_or(i64::MAX);
        Self { table: FlowTable::new(config), expire, step: None }
    }

    /// The table.
    pub fn table(&self) -> &FlowTable {
        &self.table
    }

    /// The table without its time, when there are no more packets.
    pub fn into_table(self) -> FlowTable {
        self.table
    }

    /// Counts packets as if they had been watched: what was due before each is done before it. `tell` hears of flows
    /// that are updated, or end.
    pub fn packets(&mut self, mut packets: &[Packet<'_>], mut tell: impl FnMut(FlowView<'_>, Told)) {
        while let (Some(first), Some(last)) = (packets.first(), packets.last()) {
            let now = first.at.div_euclid(STEP);
            if self.step != Some(now) {
                let until = now.saturating_mul(STEP);
                let since = self.step.map_or(until, |step| step.saturating_mul(STEP));
                self.pass(since, until, &mut tell);
                self.step = Some(now);
            }
            let of_now = now.saturating_mul(STEP)..=now.saturating_mul(STEP).saturating_add(STEP - 1);
            let together = if of_now.contains(&last.at) {
                packets.len()
            } else {
                packets.iter().take_while(|packet| of_now.contains(&packet.at)).count().max(1)
            };
            let (now, later) = packets.split_at(together);
            self.table.packets(now, &mut tell);
            packets = later;
        }
    }

    /// Lets time pass as if the table had been watched: over a gap without packets, flows end within it. What could end
    /// has done so after twice the time it may be idle.
    fn pass(&mut self, since: i64, until: i64, mut tell: impl FnMut(FlowView<'_>, Told)) {
        let (table, expire) = (&mut self.table, self.expire);
        let stride = expire.clamp(STEP, 60 * STEP);
        let settled = since.saturating_add(expire.saturating_mul(2)).saturating_add(2 * stride).min(until);
        let mut at = since.saturating_add(stride);
        while at < settled {
            table.advance(at, &mut tell);
            at = at.saturating_add(stride);
        }
        table.advance(until, tell);
    }
}
