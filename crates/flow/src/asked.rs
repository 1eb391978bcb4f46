//! A packet whose answer gives the round-trip time, in a word.

/// Who asked, a number that the answer repeats, and when; all zero for nobody. Times are kept modulo 39 hours, in
/// nanoseconds, which is all that the difference between two of them needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked(u64);

const FROM_A: u64 = 1 << 16;
const TIME_SHIFT: u32 = 17;

impl Asked {
    /// A question of side A or B at a time, in nanoseconds.
    pub(crate) fn new(from_a: bool, number: u16, at: i64) -> Self {
        let word = at.cast_unsigned() << TIME_SHIFT | if from_a { FROM_A } else { 0 } | u64::from(number);
        // A clock may begin at 0.
        Self(if word == 0 { 1 << TIME_SHIFT } else { word })
    }

    /// Whether somebody asked, and it was that side.
    pub(crate) fn is_by(self, a: bool) -> bool {
        self.0 != 0 && (self.0 & FROM_A != 0) == a
    }

    /// See [`Asked::new`].
    pub(crate) fn number(self) -> u16 {
        self.0 as u16
    }

    /// Nanoseconds since then; below 0 when `at` was before.
    pub(crate) fn elapsed(self, at: i64) -> i64 {
        let asked = self.0 >> TIME_SHIFT << TIME_SHIFT;
        (at.cast_unsigned() << TIME_SHIFT).wrapping_sub(asked).cast_signed() >> TIME_SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn times_around_any_are_told_apart() {
        for at in [i64::MIN, -1, 0, 1, 1_700_000_000_000_000_000, i64::MAX - 10] {
            for (from_a, number) in [(true, 0), (false, 0), (false, 65535)] {
                let asked = Asked::new(from_a, number, at);
                assert!(asked.is_by(from_a) && !asked.is_by(!from_a));
                assert_eq!(asked.number(), number);
                assert!((9..=10).contains(&asked.elapsed(at + 10)));
                assert!((-11..=-10).contains(&asked.elapsed(at.wrapping_sub(10))));
            }
        }
        assert!(!Asked::default().is_by(true) && !Asked::default().is_by(false));
    }
}
