//! Conditions on values: what a filter asks, before it is cut into tests and jumps.
//!
//! They are evaluated from left to right and only as far as needed. All live in one list, because a filter of ten
//! thousand ports is a tree ten thousand deep.

use super::syntax::Operator;
use super::value::{Value, ValueId, Values};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConditionId(u32);

#[derive(Clone, Copy, Debug)]
pub(super) enum Condition {
    Always(bool),
    Test(Test),
    /// Always true; a value is put into a slot of scratch memory.
    Store {
        slot: u8,
        value: ValueId,
    },
    Not(ConditionId),
    And(ConditionId, ConditionId),
    Or(ConditionId, ConditionId),
}

/// A value compared with another, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Test {
    pub(super) value: ValueId,
    pub(super) compare: Compare,
    pub(super) with: ValueId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Compare {
    Equal,
    Greater,
    GreaterOrEqual,
}

impl Test {
    /// A value under a mask of which the test asks whether any bit is set: one instruction does it, and spares the value.
    /// With the mask, and whether the test holds when one is set.
    pub(super) fn any_bit(&self, values: &Values) -> Option<(ValueId, u32, bool)> {
        let Value::Binary(Operator::And, of, mask) = values.of(self.value) else { return None };
        let (mask, with) = (values.constant(mask)?, values.constant(self.with)?);
        match (self.compare, with) {
            (Compare::Equal, 0) => Some((of, mask, false)),
            (Compare::Equal, with) if with == mask && mask.is_power_of_two() => Some((of, mask, true)),
            _ => None,
        }
    }

    /// What the accumulator holds after the test.
    pub(super) fn held_after(&self, values: &Values) -> ValueId {
        self.any_bit(values).map_or(self.value, |(of, ..)| of)
    }
}

impl Compare {
    pub(super) fn holds(self, left: u32, right: u32) -> bool {
        match self {
            Compare::Equal => left == right,
            Compare::Greater => left > right,
            Compare::GreaterOrEqual => left >= right,
        }
    }
}

/// All conditions of a filter.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    list: Vec<Condition>,
}

impl Conditions {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn of(&self, id: ConditionId) -> Condition {
        self.list.get(id.0 as usize).copied().unwrap_or(Condition::Always(false))
    }

    fn keep(&mut self, condition: Condition) -> ConditionId {
        self.list.push(condition);
        ConditionId(self.list.len() as u32 - 1)
    }

    pub(super) fn always(&mut self, is: bool) -> ConditionId {
        self.keep(Condition::Always(is))
    }

    pub(super) fn store(&mut self, slot: u8, value: ValueId) -> ConditionId {
        self.keep(Condition::Store { slot, value })
    }

    /// A comparison; between a constant and a value the constant comes to stand on the right.
    pub(super) fn test(
        &mut self,
        values: &Values,
        value: ValueId,
        compare: Compare,
        with: ValueId,
    ) -> ConditionId {
        match (values.constant(value), values.constant(with), compare) {
            (Some(left), Some(right), _) => self.always(compare.holds(left, right)),
            (Some(_), None, Compare::Equal) => {
                self.keep(Condition::Test(Test { value: with, compare, with: value }))
            }
            (Some(_), None, Compare::Greater) => {
                let turned = Test { value: with, compare: Compare::GreaterOrEqual, with: value };
                let turned = self.keep(Condition::Test(turned));
                self.not(turned)
            }
            (Some(_), None, Compare::GreaterOrEqual) => {
                let turned =
                    self.keep(Condition::Test(Test { value: with, compare: Compare::Greater, with: value }));
                self.not(turned)
            }
            _ => self.keep(Condition::Test(Test { value, compare, with })),
        }
    }

    pub(super) fn not(&mut self, of: ConditionId) -> ConditionId {
        match self.of(of) {
            Condition::Always(is) => self.always(!is),
            Condition::Not(inner) => inner,
            _ => self.keep(Condition::Not(of)),
        }
    }

    pub(super) fn and(&mut self, left: ConditionId, right: ConditionId) -> ConditionId {
        match (self.of(left), self.of(right)) {
            (Condition::Always(true), _) | (_, Condition::Always(false)) => right,
            (Condition::Always(false), _) | (_, Condition::Always(true)) => left,
            _ => self.keep(Condition::And(left, right)),
        }
    }

    pub(super) fn or(&mut self, left: ConditionId, right: ConditionId) -> ConditionId {
        match (self.of(left), self.of(right)) {
            (Condition::Always(false), _) | (_, Condition::Always(true)) => right,
            (Condition::Always(true), _) | (_, Condition::Always(false)) => left,
            _ => self.keep(Condition::Or(left, right)),
        }
    }
}
