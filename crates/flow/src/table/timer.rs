//! Updates and expiry: when flows are told of, and when they go.

use std::time::Duration;

use skydive_value::SmolStr;

use super::{FlowTable, Records, Told};
use crate::index::Index;
use crate::record::{ENDED, FlowView, Record, Update, timestamp};
use crate::{Finish, Metric};

/// How long a flow that has ended stays, for the packets that are still on their way.
const HOLD: i64 = 15_000_000_000;

/// How long a stream waits for a missing segment.
const STREAM_IDLE: i64 = 30_000_000_000;

/// When what is due; nanoseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    update: i64,
    expire: i64,
    /// Unknown before the first time that is heard of.
    next: Option<Next>,
}

#[derive(Clone, Copy, Debug)]
struct Next {
    update: i64,
    expire: i64,
    /// Who says that it is earlier has set the clock back.
    back: i64,
}

impl Timer {
    pub(super) fn new(update: Duration, expire: Duration) -> Self {
        let nanos = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX).max(1);
        Self { update: nanos(update), expire: nanos(expire), next: None }
    }
}

impl FlowTable {
    /// Lets time pass until `now` (nanoseconds since the epoch): does what is due. Cheap when nothing is.
    ///
    /// A clock may be set back. By more than [`super::TableConfig::expire`], the flows of the time before end, as they
    /// would have by waiting.
    #[inline]
    pub fn advance(&mut self, now: i64, tell: impl FnMut(FlowView<'_>, Told)) {
        // What is due at the end of time would be so for ever.
        let now = now.min(i64::MAX - 1);
        match self.timer.next {
            Some(next) if now >= next.back && now < next.update && now < next.expire => {}
            _ => self.tick(now, tell),
        }
    }

    #[cold]
    fn tick(&mut self, now: i64, mut tell: impl FnMut(FlowView<'_>, Told)) {
        let Timer { update, expire, next } = self.timer;
        // Looking for idle flows once in the time that they may be idle would let them stay for twice as long.
        let look = update.min(expire);
        let first = Next {
            update: now.saturating_add(update),
            expire: now.saturating_add(look),
            back: now.saturating_sub(expire),
        };
        let mut next = next.unwrap_or(first);
        if now < next.back {
            self.end_if(|last| last > now.saturating_add(expire), &mut tell);
            next = first;
        }
        if now >= next.update {
            if let Some(defragmenter) = &mut self.defragmenter {
                defragmenter.flush(timestamp(now));
            }
            self.update(now, &mut tell);
            next.update = now.saturating_add(update);
        }
        if now >= next.expire {
            self.expire(now.saturating_sub(expire), &mut tell);
            next.expire = now.saturating_add(look);
        }
        next.back = now.saturating_sub(expire);
        self.timer.next = Some(next);
    }

    /// Tells of the flows that got packets, and ends those whose application is known to be silent when it has ended.
    pub fn update(&mut self, now: i64, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        let timeouts = self.timeouts();
        for place in 0..self.records.places() {
            let Some(record) = self.records.at_mut(place).filter(|record| record.is_used()) else { continue };
            let idle = now.saturating_sub(record.hot.last);
            let mut ended = record.hot.finish != Finish::Not && idle >= HOLD;
            let mut news = record.hot.touched;
            let timeout = timeouts.get(usize::from(record.cold.application)).copied().flatten();
            if !news && timeout.is_some_and(|timeout| idle > timeout) {
                ended = true;
                if record.hot.finish == Finish::Not {
                    record.hot.finish = Finish::Timeout;
                    news = true;
                }
            }
            record.told(now);
            if let Some(more) = &mut record.cold.more {
                let since = if ended { i64::MAX } else { now.saturating_sub(STREAM_IDLE) };
                news |= more.flush_streams(since) && ended;
            }
            self.tell_of(place, Told { ended, news }, tell);
        }
    }

    /// How long flows of each application may be idle, in nanoseconds, by the number of its name. Names are compared
    /// without regard to case, as configuration keys have none.
    fn timeouts(&self) -> Vec<Option<i64>> {
        let configured = &self.config.application_timeout;
        if configured.is_empty() {
            return Vec::new();
        }
        let timeout = |name: &SmolStr| {
            let (_, timeout) = configured.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            i64::try_from(timeout.as_nanos()).ok().filter(|nanos| *nanos > 0)
        };
        self.names.texts().iter().map(timeout).collect()
    }

    /// Ends the flows whose last packet came before `before`.
    pub fn expire(&mut self, before: i64, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        self.end_if(|last| last < before, tell);
    }

    /// Ends the flows with a last packet at a time of which `goes` says so.
    fn end_if(&mut self, goes: impl Fn(i64) -> bool, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        for place in 0..self.records.places() {
            let Some(record) = self.records.at_mut(place).filter(|record| record.is_used()) else { continue };
            if goes(record.hot.last) {
                let news = record.end();
                self.tell_of(place, Told { ended: true, news }, tell);
            }
        }
    }

    /// Ends every flow. Forgets them all at once, which is much faster than one by one.
    pub fn finish(&mut self, mut tell: impl FnMut(FlowView<'_>, Told)) {
        for place in 0..self.records.places() {
            let Some(record) = self.records.at_mut(place).filter(|record| record.is_used()) else { continue };
            let news = record.end();
            if let Some(record) = self.records.at(place) {
                tell(self.view(record), Told { ended: true, news });
            }
        }
        self.index = Index::new();
        self.records = Records::default();
        self.timer.next = None;
    }

    pub(super) fn tell_of(&mut self, place: u32, told: Told, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        if told.ended || told.news {
            if let Some(record) = self.records.at(place) {
                tell(self.view(record), told);
            }
            if let Some(more) = self.records.at_mut(place).and_then(|record| record.cold.more.as_mut()) {
                more.raw.clear();
            }
        }
        if told.ended {
            self.remove(place);
        }
    }
}

impl Record {
    /// Closes an update period.
    fn told(&mut self, now: i64) {
        let start = self.cold.start;
        let update = self
            .cold
            .update
            .get_or_insert_with(|| Box::new(Update { counts: [0; 4], at: start, told: Metric::default() }));
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

    /// Ends it; says whether that is news.
    pub(super) fn end(&mut self) -> bool {
        let mut news = self.hot.touched;
        // Without packets since the last update the difference is none: who adds up differences must not count twice.
        if let Some(update) = &self.cold.update {
            self.told(self.hot.last.max(update.at));
        }
        if let Some(more) = &mut self.cold.more {
            news |= more.flush_streams(i64::MAX);
        }
        self.hot.state |= ENDED;
        if self.hot.finish == Finish::Not {
            self.hot.finish = Finish::Timeout;
            news = true;
        }
        news
    }
}
