//! Values that a filter reads from a packet, each kept once.
//!
//! Two uses of the same value have the same id, which is how later steps see that something is loaded or known already.
//! A value never changes while a program runs: a slot of scratch memory that is written again is another value.

use std::collections::HashMap;

use super::syntax::{Operator, Size};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ValueId(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Const(u32),
    /// Bytes of the packet on the wire.
    Length,
    /// Scratch memory, and how often it has been written in the text so far.
    Slot {
        slot: u8,
        version: u8,
    },
    /// Bytes of the IPv4 header that begins at an offset: four times the low half of its first byte.
    Ip4Header(u32),
    /// Bytes of the packet at `at`, or at `at` behind another value.
    Load {
        index: Option<ValueId>,
        at: u32,
        size: Size,
    },
    Negate(ValueId),
    Binary(Operator, ValueId, ValueId),
}

/// All values of a filter.
#[derive(Debug, Default)]
pub(super) struct Values {
    list: Vec<Kept>,
    ids: HashMap<Value, ValueId>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    value: Value,
    /// The slots it reads, one bit each.
    slots: u16,
    /// Slots needed to compute it.
    spills: u8,
}

impl Values {
    pub(super) fn of(&self, id: ValueId) -> Value {
        self.kept(id).value
    }

    pub(super) fn slots_read(&self, id: ValueId) -> u16 {
        self.kept(id).slots
    }

    pub(super) fn spills(&self, id: ValueId) -> u8 {
        self.kept(id).spills
    }

    pub(super) fn constant(&self, id: ValueId) -> Option<u32> {
        match self.of(id) {
            Value::Const(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the index register is free while the value is computed.
    pub(super) fn spares_index(&self, id: ValueId) -> bool {
        match self.of(id) {
            Value::Const(_) | Value::Length | Value::Slot { .. } => true,
            Value::Ip4Header(_) => false,
            Value::Load { index, .. } => index.is_none(),
            Value::Negate(of) => self.spares_index(of),
            Value::Binary(_, left, right) => self.spares_index(left) && self.constant(right).is_some(),
        }
    }

    /// Whether the index register can take the value without the accumulator.
    pub(super) fn fits_index(&self, id: ValueId) -> bool {
        matches!(self.of(id), Value::Const(_) | Value::Slot { .. } | Value::Ip4Header(_))
    }

    pub(super) fn keep(&mut self, value: Value) -> ValueId {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        let id = ValueId(self.list.len() as u32);
        let (slots, spills) = match value {
            Value::Const(_) | Value::Length | Value::Ip4Header(_) | Value::Load { index: None, .. } => (0, 0),
            Value::Slot { slot, .. } => (1 << slot, 0),
            Value::Load { index: Some(of), .. } | Value::Negate(of) => (self.slots_read(of), self.spills(of)),
            Value::Binary(_, left, right) => {
                let slots = self.slots_read(left) | self.slots_read(right);
                (slots, self.spills(right).max(self.spills(left) + u8::from(self.is_spilled(left, right))))
            }
        };
        self.list.push(Kept { value, slots, spills });
        self.ids.insert(value, id);
        id
    }

    /// Whether the right operand waits in scratch memory while the left is computed.
    pub(super) fn is_spilled(&self, left: ValueId, right: ValueId) -> bool {
        !self.fits_index(right) && !self.spares_index(left)
    }

    pub(super) fn number(&mut self, value: u32) -> ValueId {
        self.keep(Value::Const(value))
    }

    pub(super) fn negate(&mut self, of: ValueId) -> ValueId {
        match self.constant(of) {
            Some(value) => self.number(value.wrapping_neg()),
            None => self.keep(Value::Negate(of)),
        }
    }

    /// Bytes at `at` behind the value, as tcpdump's optimiser has them: a constant index is added to the offset, and may
    /// wrap below it.
    pub(super) fn load(&mut self, index: Option<ValueId>, at: u32, size: Size) -> ValueId {
        let value = match index.map(|index| (index, self.of(index))) {
            None => Value::Load { index: None, at, size },
            Some((_, Value::Const(index))) => Value::Load { index: None, at: at.wrapping_add(index), size },
            Some((_, Value::Binary(Operator::Add, base, add))) if self.folds(base, add) => {
                let add = self.constant(add).unwrap_or(0);
                Value::Load { index: Some(base), at: at.wrapping_add(add), size }
            }
            Some((index, _)) => Value::Load { index: Some(index), at, size },
        };
        self.keep(value)
    }

    /// Whether an offset may be added to the load instead of the index, with no other effect of a sum beyond 32 bits.
    fn folds(&self, base: ValueId, add: ValueId) -> bool {
        let Some(add) = self.constant(add) else { return false };
        match self.of(base) {
            Value::Ip4Header(_) => true,
            _ => self.slots_read(base) != 0 && add < 1 << 31,
        }
    }

    /// The result of an operator; nothing for a division by a constant zero.
    pub(super) fn binary(&mut self, operator: Operator, left: ValueId, right: ValueId) -> Option<ValueId> {
        let commutes =
            matches!(operator, Operator::Add | Operator::Mul | Operator::And | Operator::Or | Operator::Xor);
        let (left, right) =
            if commutes && self.constant(left).is_some() { (right, left) } else { (left, right) };
        let Some(k) = self.constant(right) else {
            return Some(self.keep(Value::Binary(operator, left, right)));
        };
        if let Some(value) = self.constant(left) {
            return Some(self.number(apply(operator, value, k)?));
        }
        Some(match (operator, k) {
            (Operator::Div | Operator::Mod, 0) => return None,
            (Operator::And | Operator::Mul, 0) => self.number(0),
            (Operator::Shl | Operator::Shr, 32..) => self.number(0),
            (
                Operator::Add | Operator::Sub | Operator::Or | Operator::Xor | Operator::Shl | Operator::Shr,
                0,
            )
            | (Operator::Mul | Operator::Div, 1)
            | (Operator::And, u32::MAX) => left,
            (Operator::And, _) => match self.of(left) {
                Value::Binary(Operator::And, inner, mask) if self.constant(mask).is_some() => {
                    let mask = self.number(self.constant(mask).unwrap_or(k) & k);
                    self.binary(Operator::And, inner, mask)?
                }
                _ => self.keep(Value::Binary(operator, left, right)),
            },
            _ => self.keep(Value::Binary(operator, left, right)),
        })
    }

    fn kept(&self, id: ValueId) -> Kept {
        const NOTHING: Kept = Kept { value: Value::Const(0), slots: 0, spills: 0 };
        self.list.get(id.0 as usize).copied().unwrap_or(NOTHING)
    }
}

/// What an operator gives, as the interpreter has it; nothing for a division by zero.
pub(super) fn apply(operator: Operator, left: u32, right: u32) -> Option<u32> {
    Some(match operator {
        Operator::Add => left.wrapping_add(right),
        Operator::Sub => left.wrapping_sub(right),
        Operator::Mul => left.wrapping_mul(right),
        Operator::Div => left.checked_div(right)?,
        Operator::Mod => left.checked_rem(right)?,
        Operator::And => left & right,
        Operator::Or => left | right,
        Operator::Xor => left ^ right,
        Operator::Shl => left.checked_shl(right).unwrap_or(0),
        Operator::Shr => left.checked_shr(right).unwrap_or(0),
    })
}
