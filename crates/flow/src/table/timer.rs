//! Updates and expiry: when flows are told of, and when they go.
//!
//! What is due is done in a [`Pass`]: one walk over the flows, which may take place in slices between packets. A flow
//! that is due to end when a packet comes for it ends then, wherever the walk is. Times come with packets, so they may
//! jump as a sender likes; passes are therefore never more than one at a time, and [`FlowTable::advance`] pays for
//! them with packets.

use std::time::Duration;

use super::{FlowTable, NOWHERE, Told};
use crate::index::Index;
use crate::record::{ENDED, FlowView, Record, Update, timestamp};
use crate::slab::{Handle, Slab};
use crate::{Finish, Metric};

/// How long a flow that has ended stays, for the packets that are still on their way.
const HOLD: i64 = 15_000_000_000;

/// How long a stream waits for a missing segment.
const STREAM_IDLE: i64 = 30_000_000_000;

/// Flows that [`FlowTable::advance`] looks at before packets have paid for it.
pub(super) const ADVANCE: u64 = 1 << 20;
/// Flows that it looks at in any case.
const AT_LEAST: u64 = 16;
/// Passes that a packet pays for beside those that meet its flow before it expires.
const PASSES: u64 = 64;

/// When what is due; nanoseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    update: i64,
    expire: i64,
    /// Unknown before the first time that is heard of.
    next: Option<Next>,
    pass: Pass,
    /// Flows looked at in passes.
    pub(super) looked_at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Next {
    update: i64,
    expire: i64,
    /// Who says that it is earlier has set the clock back.
    back: i64,
}

/// A walk over the flows, and what is done to each.
#[derive(Clone, Copy, Debug)]
struct Pass {
    /// The place to go on at, [`NOWHERE`] when it is done.
    at: u32,
    update: bool,
    /// Flows whose last packet came before that end.
    before: i64,
    /// Flows whose last packet came after that end.
    after: i64,
    /// Whether flows may be brought to other places.
    moves: bool,
}

impl Pass {
    const DONE: Self = Self { at: NOWHERE, update: false, before: i64::MIN, after: i64::MAX, moves: true };
}

impl Timer {
    pub(super) fn new(update: Duration, expire: Duration) -> Self {
        let nanos = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX).max(1);
        Self { update: nanos(update), expire: nanos(expire), next: None, pass: Pass::DONE, looked_at: 0 }
    }

    /// Flows that may be looked at for `packets` since the table was made. A flow has a packet at least and is met by
    /// so many passes until it expires, so this is enough for a clock that goes on.
    fn allowance(&self, packets: u64) -> u64 {
        let passes = PASSES + 2 * (self.expire / self.update).unsigned_abs();
        (ADVANCE + packets.saturating_mul(passes)).saturating_sub(self.looked_at).max(AT_LEAST)
    }
}

impl FlowTable {
    /// Lets time pass until `now` (nanoseconds since the epoch): does what is due. Cheap when nothing is.
    ///
    /// A clock may be set back. By more than [`super::TableConfig::expire`], the flows of the time before end, as they
    /// would have by waiting. Of a clock that leaps again and again only so much is done as the packets given are
    /// worth: what is due then comes later.
    #[inline]
    pub fn advance(&mut self, now: i64, tell: impl FnMut(FlowView<'_>, Told)) {
        if self.is_due(now) {
            self.tick(now, self.timer.allowance(self.counters.packets), tell);
        }
    }

    /// As [`FlowTable::advance`], but looks at no more than `most` flows. Says whether something is left to do: it is
    /// done by further calls, between which packets may be given. For captures that must not wait: some thousand flows
    /// take less than a millisecond.
    #[inline]
    pub fn advance_within(&mut self, now: i64, most: usize, tell: impl FnMut(FlowView<'_>, Told)) -> bool {
        self.is_due(now) && self.tick(now, most as u64, tell)
    }

    #[inline]
    fn is_due(&self, now: i64) -> bool {
        // What is due at the end of time would be so for ever.
        let now = now.min(i64::MAX - 1);
        let Timer { next, pass, .. } = &self.timer;
        pass.at != NOWHERE
            || next.is_none_or(|next| now < next.back || now >= next.update || now >= next.expire)
    }

    #[cold]
    fn tick(&mut self, now: i64, most: u64, mut tell: impl FnMut(FlowView<'_>, Told)) -> bool {
        let now = now.min(i64::MAX - 1);
        let mut left = most;
        if self.timer.pass.at != NOWHERE {
            self.walk(now, &mut left, &mut tell);
        }
        // What is due while there is a pass is so when it is done.
        if self.timer.pass.at == NOWHERE {
            self.timer.pass = self.due(now);
            self.walk(now, &mut left, &mut tell);
        }
        self.timer.pass.at != NOWHERE
    }

    /// What is to be done now; the next time it is due is later.
    fn due(&mut self, now: i64) -> Pass {
        let Timer { update, expire, next, .. } = self.timer;
        // Looking for idle flows once in the time that they may be idle would let them stay for twice as long.
        let look = update.min(expire);
        let first = Next {
            update: now.saturating_add(update),
            expire: now.saturating_add(look),
            back: now.saturating_sub(expire),
        };
        let mut next = next.unwrap_or(first);
        let mut pass = Pass::DONE;
        if now < next.back {
            (pass.at, pass.after) = (0, now.saturating_add(expire));
            next = first;
        }
        if now >= next.update {
            if let Some(defragmenter) = &mut self.defragmenter {
                defragmenter.flush(timestamp(now));
            }
            (pass.at, pass.update) = (0, true);
            next.update = now.saturating_add(update);
        }
        if now >= next.expire {
            (pass.at, pass.before) = (0, now.saturating_sub(expire));
            next.expire = now.saturating_add(look);
        }
        next.back = now.saturating_sub(expire);
        self.timer.next = Some(next);
        pass
    }

    /// Goes on with the pass, for at most `left` flows.
    fn walk(&mut self, now: i64, left: &mut u64, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        let pass = self.timer.pass;
        if pass.at == NOWHERE {
            return;
        }
        let mut at = pass.at;
        let before = *left;
        while *left > 0 {
            let Some(place) = self.records.from(at) else {
                at = NOWHERE;
                break;
            };
            at = place + 1;
            let Some(record) = self.records.at(place).filter(|record| record.is_used()) else { continue };
            *left -= 1;
            let ends = record.hot.last < pass.before || record.hot.last > pass.after;
            let stays = !pass.update || self.update_flow(place, now, tell);
            if stays && ends {
                self.end_and_tell(place, tell);
            } else if stays && pass.moves {
                self.move_down(place);
            }
        }
        self.share.shrink(self.records.len());
        self.timer.pass.at = at;
        self.timer.looked_at += before - *left;
    }

    /// Ends a flow that the pass would end but has not come to, and says so.
    #[inline]
    pub(super) fn is_overdue(&mut self, place: u32, tell: &mut impl FnMut(FlowView<'_>, Told)) -> bool {
        place >= self.timer.pass.at && self.end_overdue(place, tell)
    }

    #[cold]
    fn end_overdue(&mut self, place: u32, tell: &mut impl FnMut(FlowView<'_>, Told)) -> bool {
        let Pass { before, after, .. } = self.timer.pass;
        let is_overdue =
            self.records.at(place).is_some_and(|record| record.hot.last < before || record.hot.last > after);
        if is_overdue {
            self.end_and_tell(place, tell);
        }
        is_overdue
    }

    /// Brings a flow, and what it has beside its record, out of chunks that are nearly empty. The pass has been where
    /// it goes.
    #[inline]
    fn move_down(&mut self, place: u32) {
        let Some(record) = self.records.at_mut(place) else { return };
        self.updates.move_down_handle(&mut record.cold.update);
        self.tcp.move_down_handle(&mut record.cold.tcp);
        let hash = record.hot.hash;
        if let Some(new) = self.records.move_down(place) {
            self.index.remove(hash, place);
            self.index.insert(hash, new);
        }
    }

    /// Tells of the flows that got packets, and ends those whose application is known to be silent when it has ended.
    pub fn update(&mut self, now: i64, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        self.all(Pass { at: 0, update: true, ..Pass::DONE }, now, tell);
    }

    /// Ends the flows whose last packet came before `before`.
    pub fn expire(&mut self, before: i64, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        self.all(Pass { at: 0, before, ..Pass::DONE }, before, tell);
    }

    /// A whole pass, beside the one that may be going on.
    fn all(&mut self, pass: Pass, now: i64, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        let going_on = std::mem::replace(&mut self.timer.pass, pass);
        // It would miss flows that are moved to where it has been.
        self.timer.pass.moves = going_on.at == NOWHERE;
        self.walk(now, &mut { u64::MAX }, tell);
        self.timer.pass = going_on;
    }

    /// Closes the update period of a flow; says whether it stays.
    #[inline]
    fn update_flow(&mut self, place: u32, now: i64, tell: &mut impl FnMut(FlowView<'_>, Told)) -> bool {
        let Some(record) = self.records.at_mut(place) else { return false };
        let idle = now.saturating_sub(record.hot.last);
        let mut ended = record.hot.finish != Finish::Not && idle >= HOLD;
        let mut news = record.hot.touched;
        let timeout = self.names.timeout(record.cold.application);
        if !news && timeout.is_some_and(|timeout| idle > timeout) {
            ended = true;
            if record.hot.finish == Finish::Not {
                record.hot.finish = Finish::Timeout;
                news = true;
            }
        }
        record.told(now, &mut self.updates);
        if let Some(more) = &mut record.cold.more {
            let since = if ended { i64::MAX } else { now.saturating_sub(STREAM_IDLE) };
            news |= more.flush_streams(since, &mut self.budget) && ended;
        }
        self.tell_of(place, Told { ended, news }, tell);
        !ended
    }

    fn end_and_tell(&mut self, place: u32, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        let news = self.end(place);
        self.tell_of(place, Told { ended: true, news }, tell);
    }

    /// Ends every flow. Forgets them all at once, which is much faster than one by one.
    pub fn finish(&mut self, mut tell: impl FnMut(FlowView<'_>, Told)) {
        let mut at = 0;
        while let Some(place) = self.records.from(at) {
            at = place + 1;
            if !self.records.at(place).is_some_and(Record::is_used) {
                continue;
            }
            let news = self.end(place);
            if let Some(record) = self.records.at(place) {
                tell(self.view(record), Told { ended: true, news });
            }
        }
        self.index = Index::new();
        self.records = Slab::default();
        self.updates = Slab::default();
        self.tcp = Slab::default();
        self.share.shrink(0);
        self.budget.clear();
        self.names.give_all();
        self.timer.next = None;
        self.timer.pass = Pass::DONE;
    }

    pub(super) fn tell_of(&mut self, place: u32, told: Told, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        if told.ended || told.news {
            if let Some(record) = self.records.at(place) {
                tell(self.view(record), told);
            }
            if let Some(more) = self.records.at_mut(place).and_then(|record| record.cold.more.as_mut()) {
                more.drop_raw(&mut self.budget);
            }
        }
        if told.ended {
            self.remove(place);
        }
    }

    /// Ends a flow; says whether that is news.
    pub(super) fn end(&mut self, place: u32) -> bool {
        let Some(record) = self.records.at_mut(place) else { return false };
        let mut news = record.hot.touched;
        // Without packets since the last update the difference is none: who adds up differences must not count twice.
        if let Some(at) = self.updates.of(record.cold.update).map(|update| update.at) {
            record.told(record.hot.last.max(at), &mut self.updates);
        }
        if let Some(more) = &mut record.cold.more {
            news |= more.flush_streams(i64::MAX, &mut self.budget);
        }
        record.hot.state |= ENDED;
        if record.hot.finish == Finish::Not {
            record.hot.finish = Finish::Timeout;
            news = true;
        }
        news
    }
}

impl Record {
    /// Closes an update period.
    #[inline]
    fn told(&mut self, now: i64, updates: &mut Slab<Update>) {
        let first = self.cold.update == Handle::default();
        let Some(update) = updates.of_or_new(&mut self.cold.update) else { return };
        if first {
            update.at = self.cold.start;
        }
        let now_counts = self.hot.counts;
        let [ab_packets, ab_bytes, ba_packets, ba_bytes] =
            std::array::from_fn(|i| now_counts[i].saturating_sub(update.counts[i]));
        update.told = Metric {
            ab_packets,
            ab_bytes,
            ba_packets,
            ba_bytes,
            start: timestamp(update.at.min(now)),
            last: timestamp(now),
            rtt: self.hot.rtt,
        };
        update.counts = now_counts;
        update.at = now;
        self.hot.touched = false;
    }
}
