//! The interpreter of classic BPF, for programs that [`super::Program`] has checked.
//!
//! Instructions are decoded once. A load and the comparison behind it, which is most of any filter, are one step: it
//! stands in the place of the load, and the comparison stays in its own for jumps that lead to it.

use super::program::{Instruction, code};
use super::syntax::{Operator, Size};
use super::value;

/// A decoded step. Jumps are counted from the step behind the instruction they belong to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    LoadWord {
        at: u32,
    },
    LoadHalf {
        at: u32,
    },
    LoadByte {
        at: u32,
    },
    LoadBehind {
        size: Size,
        at: u32,
    },
    LoadNumber {
        value: u32,
    },
    LoadLength,
    LoadSlot {
        slot: u8,
    },
    IndexNumber {
        value: u32,
    },
    IndexLength,
    IndexSlot {
        slot: u8,
    },
    IndexIp4Header {
        at: u32,
    },
    Store {
        slot: u8,
    },
    StoreIndex {
        slot: u8,
    },
    And {
        k: u32,
    },
    Number {
        operator: Operator,
        k: u32,
    },
    Index {
        operator: Operator,
    },
    Negate,
    ToIndex,
    FromIndex,
    Jump {
        by: u32,
    },
    IfEqual {
        k: u32,
        yes: u8,
        no: u8,
    },
    IfGreater {
        k: u32,
        yes: u8,
        no: u8,
    },
    IfNotLess {
        k: u32,
        yes: u8,
        no: u8,
    },
    IfAny {
        k: u32,
        yes: u8,
        no: u8,
    },
    IfEqualIndex {
        yes: u8,
        no: u8,
    },
    IfGreaterIndex {
        yes: u8,
        no: u8,
    },
    IfNotLessIndex {
        yes: u8,
        no: u8,
    },
    IfAnyIndex {
        yes: u8,
        no: u8,
    },
    Return {
        value: u32,
    },
    ReturnAccumulator,
    /// Two instructions in one.
    IfWordEqual {
        at: u32,
        k: u32,
        yes: u8,
        no: u8,
    },
    IfHalfEqual {
        at: u32,
        k: u32,
        yes: u8,
        no: u8,
    },
    IfByteEqual {
        at: u32,
        k: u32,
        yes: u8,
        no: u8,
    },
    IfHalfAny {
        at: u32,
        k: u32,
        yes: u8,
        no: u8,
    },
    IfHalfBehindEqual {
        at: u32,
        k: u32,
        yes: u8,
        no: u8,
    },
}

/// Decodes checked instructions.
pub(super) fn ops(instructions: &[Instruction]) -> Vec<Op> {
    let single: Vec<Op> = instructions.iter().map(|instruction| op(*instruction)).collect();
    let next = single.iter().copied().skip(1).chain([Op::ReturnAccumulator]);
    single.iter().copied().zip(next).map(|(op, next)| joined(op, next)).collect()
}

fn joined(op: Op, next: Op) -> Op {
    match (op, next) {
        (Op::LoadWord { at }, Op::IfEqual { k, yes, no }) => Op::IfWordEqual { at, k, yes, no },
        (Op::LoadHalf { at }, Op::IfEqual { k, yes, no }) => Op::IfHalfEqual { at, k, yes, no },
        (Op::LoadByte { at }, Op::IfEqual { k, yes, no }) => Op::IfByteEqual { at, k, yes, no },
        (Op::LoadHalf { at }, Op::IfAny { k, yes, no }) => Op::IfHalfAny { at, k, yes, no },
        (Op::LoadBehind { size: Size::Half, at }, Op::IfEqual { k, yes, no }) => {
            Op::IfHalfBehindEqual { at, k, yes, no }
        }
        _ => op,
    }
}

fn op(Instruction { code, jt: yes, jf: no, k }: Instruction) -> Op {
    use code::{
        A, ABS, ALU, B, H, IMM, JA, JEQ, JGE, JGT, JMP, LD, LDX, LEN, MEM, NEG, RET, ST, STX, TXA, W, X,
    };
    let size = match code & 0x18 {
        H => Size::Half,
        B => Size::Byte,
        _ => Size::Word,
    };
    let slot = k as u8;
    let rest = code & !code::CLASS;
    match code & code::CLASS {
        LD => match rest {
            IMM => Op::LoadNumber { value: k },
            MEM => Op::LoadSlot { slot },
            LEN => Op::LoadLength,
            _ if rest == ABS | W => Op::LoadWord { at: k },
            _ if rest == ABS | H => Op::LoadHalf { at: k },
            _ if rest == ABS | B => Op::LoadByte { at: k },
            _ => Op::LoadBehind { size, at: k },
        },
        LDX => match rest & 0xe0 {
            IMM => Op::IndexNumber { value: k },
            MEM => Op::IndexSlot { slot },
            LEN => Op::IndexLength,
            _ => Op::IndexIp4Header { at: k },
        },
        ST => Op::Store { slot },
        STX => Op::StoreIndex { slot },
        ALU if rest == NEG => Op::Negate,
        ALU => match (operator(rest), rest & X) {
            (operator, X) => Op::Index { operator },
            (Operator::And, _) => Op::And { k },
            (operator, _) => Op::Number { operator, k },
        },
        JMP => match (rest & 0xf0, rest & X) {
            (JA, _) => Op::Jump { by: k },
            (JEQ, X) => Op::IfEqualIndex { yes, no },
            (JEQ, _) => Op::IfEqual { k, yes, no },
            (JGT, X) => Op::IfGreaterIndex { yes, no },
            (JGT, _) => Op::IfGreater { k, yes, no },
            (JGE, X) => Op::IfNotLessIndex { yes, no },
            (JGE, _) => Op::IfNotLess { k, yes, no },
            (_, X) => Op::IfAnyIndex { yes, no },
            (_, _) => Op::IfAny { k, yes, no },
        },
        RET if rest == A => Op::ReturnAccumulator,
        RET => Op::Return { value: k },
        _ if rest == TXA => Op::FromIndex,
        _ => Op::ToIndex,
    }
}

fn operator(rest: u16) -> Operator {
    match rest & 0xf0 {
        code::ADD => Operator::Add,
        code::SUB => Operator::Sub,
        code::MUL => Operator::Mul,
        code::DIV => Operator::Div,
        code::OR => Operator::Or,
        code::AND => Operator::And,
        code::LSH => Operator::Shl,
        code::RSH => Operator::Shr,
        code::MOD => Operator::Mod,
        _ => Operator::Xor,
    }
}

/// Runs steps over a packet, see [`super::Program::run`].
#[inline]
pub(super) fn run(ops: &[Op], bytes: &[u8], wire_len: u32) -> u32 {
    steps(ops, bytes, wire_len).unwrap_or(0)
}

/// Nothing for a load beyond the bytes and a division by zero.
fn steps(ops: &[Op], bytes: &[u8], wire_len: u32) -> Option<u32> {
    let mut accumulator = 0_u32;
    let mut index = 0_u32;
    let mut slots = [0_u32; 16];
    let mut rest = ops.iter();
    // Every step moves on; checked programs end with a return, so that the loop ends in one.
    while let Some(op) = rest.next() {
        let (holds, yes, no) = match *op {
            Op::LoadWord { at } => {
                accumulator = word(bytes, at.into())?;
                continue;
            }
            Op::LoadHalf { at } => {
                accumulator = half(bytes, at.into())?;
                continue;
            }
            Op::LoadByte { at } => {
                accumulator = byte(bytes, at.into())?;
                continue;
            }
            Op::LoadBehind { size, at } => {
                let at = u64::from(index) + u64::from(at);
                accumulator = match size {
                    Size::Word => word(bytes, at)?,
                    Size::Half => half(bytes, at)?,
                    Size::Byte => byte(bytes, at)?,
                };
                continue;
            }
            Op::LoadNumber { value } => {
                accumulator = value;
                continue;
            }
            Op::LoadLength => {
                accumulator = wire_len;
                continue;
            }
            Op::LoadSlot { slot } => {
                accumulator = *slots.get(usize::from(slot))?;
                continue;
            }
            Op::IndexNumber { value } => {
                index = value;
                continue;
            }
            Op::IndexLength => {
                index = wire_len;
                continue;
            }
            Op::IndexSlot { slot } => {
                index = *slots.get(usize::from(slot))?;
                continue;
            }
            Op::IndexIp4Header { at } => {
                index = (byte(bytes, at.into())? & 0xf) << 2;
                continue;
            }
            Op::Store { slot } => {
                *slots.get_mut(usize::from(slot))? = accumulator;
                continue;
            }
            Op::StoreIndex { slot } => {
                *slots.get_mut(usize::from(slot))? = index;
                continue;
            }
            Op::And { k } => {
                accumulator &= k;
                continue;
            }
            Op::Number { operator, k } => {
                accumulator = value::apply(operator, accumulator, k)?;
                continue;
            }
            Op::Index { operator } => {
                accumulator = value::apply(operator, accumulator, index)?;
                continue;
            }
            Op::Negate => {
                accumulator = accumulator.wrapping_neg();
                continue;
            }
            Op::ToIndex => {
                index = accumulator;
                continue;
            }
            Op::FromIndex => {
                accumulator = index;
                continue;
            }
            Op::Jump { by } => {
                rest = rest.as_slice().get(by as usize..)?.iter();
                continue;
            }
            Op::Return { value } => return Some(value),
            Op::ReturnAccumulator => return Some(accumulator),
            Op::IfEqual { k, yes, no } => (accumulator == k, yes, no),
            Op::IfGreater { k, yes, no } => (accumulator > k, yes, no),
            Op::IfNotLess { k, yes, no } => (accumulator >= k, yes, no),
            Op::IfAny { k, yes, no } => (accumulator & k != 0, yes, no),
            Op::IfEqualIndex { yes, no } => (accumulator == index, yes, no),
            Op::IfGreaterIndex { yes, no } => (accumulator > index, yes, no),
            Op::IfNotLessIndex { yes, no } => (accumulator >= index, yes, no),
            Op::IfAnyIndex { yes, no } => (accumulator & index != 0, yes, no),
            Op::IfWordEqual { at, k, yes, no } => {
                accumulator = word(bytes, at.into())?;
                rest.next();
                (accumulator == k, yes, no)
            }
            Op::IfHalfEqual { at, k, yes, no } => {
                accumulator = half(bytes, at.into())?;
                rest.next();
                (accumulator == k, yes, no)
            }
            Op::IfByteEqual { at, k, yes, no } => {
                accumulator = byte(bytes, at.into())?;
                rest.next();
                (accumulator == k, yes, no)
            }
            Op::IfHalfAny { at, k, yes, no } => {
                accumulator = half(bytes, at.into())?;
                rest.next();
                (accumulator & k != 0, yes, no)
            }
            Op::IfHalfBehindEqual { at, k, yes, no } => {
                accumulator = half(bytes, u64::from(index) + u64::from(at))?;
                rest.next();
                (accumulator == k, yes, no)
            }
        };
        let by = if holds { yes } else { no };
        rest = rest.as_slice().get(usize::from(by)..)?.iter();
    }
    None
}

#[inline]
fn word(bytes: &[u8], at: u64) -> Option<u32> {
    let there = bytes.get(usize::try_from(at).ok()?..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*there))
}

#[inline]
fn half(bytes: &[u8], at: u64) -> Option<u32> {
    let there = bytes.get(usize::try_from(at).ok()?..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*there).into())
}

#[inline]
fn byte(bytes: &[u8], at: u64) -> Option<u32> {
    bytes.get(usize::try_from(at).ok()?).copied().map(u32::from)
}
