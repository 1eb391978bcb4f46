//! What is counted of a flow, and how counts are added, subtracted and split.

use skydive_value::Timestamp;

/// Packets and bytes of both directions over a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metric {
    /// Packets from A to B.
    pub ab_packets: u64,
    /// Bytes from A to B.
    pub ab_bytes: u64,
    /// Packets from B to A.
    pub ba_packets: u64,
    /// Bytes from B to A.
    pub ba_bytes: u64,
    /// Begin of the time.
    pub start: Timestamp,
    /// End of the time.
    pub last: Timestamp,
    /// Round-trip time, nanoseconds; 0 when not known.
    pub rtt: u64,
}

impl Metric {
    /// This and what `other` counted, over this one's time. The round-trip time of neither is that of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.combined(other, u64::saturating_add)
    }

    /// This without what `other` counted, over this one's time. Nothing falls below 0.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.combined(other, u64::saturating_sub)
    }

    /// The parts before and after `at`. Counts are divided as the time is, rounded down in the first part; the second
    /// has what is left. A time that does not go on behind `at` or does not begin before it stays whole.
    pub fn split(self, at: Timestamp) -> (Option<Self>, Option<Self>) {
        if at <= self.start {
            return (None, Some(self));
        }
        if at >= self.last {
            return (Some(self), None);
        }
        let length = |until: Timestamp| u128::from(until.as_millis().abs_diff(self.start.as_millis()));
        let (part, whole) = (length(at), length(self.last));
        let scale = |count: u64| (u128::from(count) * part / whole) as u64;
        let first = Self {
            ab_packets: scale(self.ab_packets),
            ab_bytes: scale(self.ab_bytes),
            ba_packets: scale(self.ba_packets),
            ba_bytes: scale(self.ba_bytes),
            start: self.start,
            last: at,
            rtt: 0,
        };
        (Some(first), Some(Self { start: at, ..self.minus(first) }))
    }

    fn combined(self, other: Self, with: fn(u64, u64) -> u64) -> Self {
        Self {
            ab_packets: with(self.ab_packets, other.ab_packets),
            ab_bytes: with(self.ab_bytes, other.ab_bytes),
            ba_packets: with(self.ba_packets, other.ba_packets),
            ba_bytes: with(self.ba_bytes, other.ba_bytes),
            rtt: 0,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn metric(count: u64, start: i64, last: i64) -> Metric {
        let (start, last) = (at(start), at(last));
        Metric { ab_packets: count, ab_bytes: count, ba_packets: count, ba_bytes: count, start, last, rtt: 0 }
    }

    #[test]
    fn counts_are_divided_as_the_time_is() {
        let split = |count, start, last, cut| metric(count, start, last).split(at(cut));
        assert_eq!(split(100, 0, 100, 25), (Some(metric(25, 0, 25)), Some(metric(75, 25, 100))));
        assert_eq!(split(5, 0, 3, 1), (Some(metric(1, 0, 1)), Some(metric(4, 1, 3))));
        assert_eq!(
            split(1, 0, 60_000, 10_000),
            (Some(metric(0, 0, 10_000)), Some(metric(1, 10_000, 60_000)))
        );
    }

    #[test]
    fn a_time_on_one_side_stays_whole() {
        let whole = |start, last| Some(metric(100, start, last));
        let split = |start, last, cut| metric(100, start, last).split(at(cut));
        assert_eq!(split(0, 100, 0), (None, whole(0, 100)));
        assert_eq!(split(50, 100, 25), (None, whole(50, 100)));
        assert_eq!(split(0, 100, 150), (whole(0, 100), None));
        assert_eq!(split(0, 100, 100), (whole(0, 100), None));
        assert_eq!(split(7, 7, 7), (None, whole(7, 7)));
        assert_eq!(split(7, 7, 8), (whole(7, 7), None));
    }

    proptest! {
        #[test]
        fn parts_make_the_whole(count: u64, start: i64, last: i64, cut: i64) {
            let whole = metric(count, start, last);
            if let (Some(first), Some(second)) = whole.split(at(cut)) {
                prop_assert_eq!(Metric { last: second.last, ..first.plus(second) }, whole);
                prop_assert_eq!(Metric { start: second.start, ..whole.minus(first) }, second);
            }
        }
    }
}
