//! What is known of values after some tests: bounds and a few numbers that they are not.
//!
//! A value that is known has been loaded, so that leaving out another test of it leaves out no failing load.

use super::condition::{Compare, Test};
use super::value::{self, Value, ValueId, Values};

/// Values kept track of at a time. More would be known in long filters, of little use.
const MAX_KNOWN: usize = 24;
/// Numbers that a value is not, kept per value.
const MAX_EXCLUDED: usize = 6;

/// Everything known at some point of a program.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// By id, in order.
    known: Vec<(ValueId, Known)>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    low: u32,
    high: u32,
    excluded: [Option<u32>; MAX_EXCLUDED],
}

impl Facts {
    /// How a test will end, if that is known.
    pub(super) fn outcome(&self, values: &Values, test: &Test) -> Option<bool> {
        let with = self.exact(values, test.with)?;
        if let Some(value) = self.exact(values, test.value) {
            return Some(test.compare.holds(value, with));
        }
        let known = self.find(test.value)?;
        match test.compare {
            Compare::Equal if with < known.low || with > known.high => Some(false),
            Compare::Equal => known.excluded.contains(&Some(with)).then_some(false),
            Compare::Greater if known.low > with => Some(true),
            Compare::Greater => (known.high <= with).then_some(false),
            Compare::GreaterOrEqual if known.low >= with => Some(true),
            Compare::GreaterOrEqual => (known.high < with).then_some(false),
        }
    }

    /// Adds how a test has ended.
    pub(super) fn learn(&mut self, values: &Values, test: &Test, holds: bool) {
        let Some(with) = values.constant(test.with) else { return };
        let place = self.known.binary_search_by_key(&test.value, |(id, _)| *id);
        let place = match place {
            Ok(place) => place,
            Err(_) if self.known.len() == MAX_KNOWN => return,
            Err(place) => {
                let anything = Known { low: 0, high: u32::MAX, excluded: [None; MAX_EXCLUDED] };
                self.known.insert(place, (test.value, anything));
                place
            }
        };
        let Some((_, known)) = self.known.get_mut(place) else { return };
        match (test.compare, holds) {
            (Compare::Equal, true) => (known.low, known.high) = (with, with),
            (Compare::Equal, false) => {
                if let Some(free) = known.excluded.iter_mut().find(|excluded| excluded.is_none()) {
                    *free = Some(with);
                }
            }
            (Compare::Greater, true) => known.low = known.low.max(with.saturating_add(1)),
            (Compare::Greater, false) => known.high = known.high.min(with),
            (Compare::GreaterOrEqual, true) => known.low = known.low.max(with),
            (Compare::GreaterOrEqual, false) => known.high = known.high.min(with.saturating_sub(1)),
        }
    }

    /// Leaves what is true here and there.
    pub(super) fn meet(&mut self, other: &Facts) {
        self.known.retain_mut(|(id, known)| {
            let Some(there) = other.find(*id) else { return false };
            known.low = known.low.min(there.low);
            known.high = known.high.max(there.high);
            for excluded in &mut known.excluded {
                *excluded = excluded.filter(|number| there.excludes(*number));
            }
            true
        });
    }

    fn find(&self, id: ValueId) -> Option<&Known> {
        let place = self.known.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.known.get(place).map(|(_, known)| known)
    }

    fn exact(&self, values: &Values, id: ValueId) -> Option<u32> {
        if let Some(known) = self.find(id)
            && known.low == known.high
        {
            return Some(known.low);
        }
        match values.of(id) {
            Value::Const(value) => Some(value),
            Value::Negate(of) => self.exact(values, of).map(u32::wrapping_neg),
            Value::Binary(operator, left, right) => {
                value::apply(operator, self.exact(values, left)?, self.exact(values, right)?)
            }
            _ => None,
        }
    }
}

impl Known {
    fn excludes(&self, number: u32) -> bool {
        number < self.low || number > self.high || self.excluded.contains(&Some(number))
    }
}
