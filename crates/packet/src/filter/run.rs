//! The interpreter of classic BPF, for programs that [`super::Program`] has checked.
//!
//! Instructions are decoded once, and common runs of them become one step: a load with the comparison behind it, and the
//! comparisons of one value with many, as lists of hosts and ports have them. Such a step stands in the place of the first
//! instruction; the others stay in their own for jumps that lead to them.

use std::iter::successors;

use super::program::{Instruction, Program, code};
use super::syntax::{Operator, Size};
use super::value;

/// A decoded step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    LoadWord(u32),
    LoadHalf(u32),
    LoadByte(u32),
    LoadBehind(Size, u32),
    LoadNumber(u32),
    LoadLength,
    LoadSlot(u8),
    IndexNumber(u32),
    IndexLength,
    IndexSlot(u8),
    IndexIp4Header(u32),
    Store(u8),
    StoreIndex(u8),
    And(u32),
    Number(Operator, u32),
    Index(Operator),
    Negate,
    ToIndex,
    FromIndex,
    Jump(u32),
    IfEqual(u32, Ways),
    IfGreater(u32, Ways),
    IfNotLess(u32, Ways),
    IfAny(u32, Ways),
    IfEqualIndex(Ways),
    IfGreaterIndex(Ways),
    IfNotLessIndex(Ways),
    IfAnyIndex(Ways),
    Return(u32),
    ReturnAccumulator,
    /// A load from an offset, and a comparison.
    IfWordEqual(u32, u32, Ways),
    IfHalfEqual(u32, u32, Ways),
    IfByteEqual(u32, u32, Ways),
    IfHalfAny(u32, u32, Ways),
    IfHalfBehindEqual(u32, u32, Ways),
    /// Equal to any of so many numbers from a place in [`Steps::numbers`] on; steps to skip if so and if not.
    IfAmong(u16, u16, u8, u16),
}

/// Steps to skip when a comparison holds and when it does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    yes: u8,
    no: u8,
}

/// A decoded program.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    ops: Vec<Op>,
    /// What comparisons of one value with many compare it with.
    numbers: Vec<u32>,
}

/// Comparisons of one value that are worth a step.
const MANY: usize = 3;

impl Steps {
    /// Decodes checked instructions.
    pub(super) fn of(instructions: &[Instruction]) -> Steps {
        let mut steps = Steps {
            ops: instructions.iter().map(|instruction| op(*instruction)).collect(),
            numbers: Vec::new(),
        };
        steps.gather();
        let next = steps.ops.clone().into_iter().skip(1).chain([Op::ReturnAccumulator]);
        for (op, next) in steps.ops.iter_mut().zip(next) {
            *op = joined(*op, next);
        }
        steps
    }

    /// Makes one step of comparisons that follow each other while they fail and lead to the same when one holds.
    fn gather(&mut self) {
        let next: Vec<Option<usize>> = (0..self.ops.len()).map(|at| self.next_alike(at)).collect();
        let mut is_inner = vec![false; self.ops.len()];
        for to in next.iter().flatten() {
            if let Some(is_inner) = is_inner.get_mut(*to) {
                *is_inner = true;
            }
        }
        for (head, _) in is_inner.iter().enumerate().filter(|(_, is_inner)| !**is_inner) {
            let run: Vec<usize> = successors(Some(head), |at| next.get(*at).copied().flatten()).collect();
            let (Some(Op::IfEqual(_, Ways { yes, .. })), Some(last)) = (self.ops.get(head), run.last())
            else {
                continue;
            };
            let (yes, Some(Op::IfEqual(_, Ways { no, .. }))) = (*yes, self.ops.get(*last)) else { continue };
            if run.len() < MANY || self.numbers.len() + run.len() > Program::MAX_LEN {
                continue;
            }
            let no = (last - head) as u16 + u16::from(*no);
            let (first, len) = (self.numbers.len() as u16, run.len() as u16);
            let numbers = run.iter().filter_map(|at| match self.ops.get(*at)? {
                Op::IfEqual(k, _) => Some(*k),
                _ => None,
            });
            self.numbers.extend(numbers);
            if let Some(op) = self.ops.get_mut(head) {
                *op = Op::IfAmong(first, len, yes, no);
            }
        }
    }

    /// The comparison that follows a failed one, if it leads to the same when it holds.
    fn next_alike(&self, at: usize) -> Option<usize> {
        let Op::IfEqual(_, Ways { yes, no }) = *self.ops.get(at)? else { return None };
        let next = at + 1 + usize::from(no);
        let Op::IfEqual(_, Ways { yes: there, .. }) = *self.ops.get(next)? else { return None };
        let (here, there) = (at + 1 + usize::from(yes), next + 1 + usize::from(there));
        let is_same = match (self.ops.get(here)?, self.ops.get(there)?) {
            (Op::Return(here), Op::Return(there)) => here == there,
            _ => here == there,
        };
        is_same.then_some(next)
    }

    /// Runs them over a packet, see [`super::Program::run`].
    #[inline]
    pub(super) fn run(&self, bytes: &[u8], wire_len: u32) -> u32 {
        self.verdict(bytes, wire_len).unwrap_or(0)
    }

    /// Nothing for a load beyond the bytes and a division by zero.
    fn verdict(&self, bytes: &[u8], wire_len: u32) -> Option<u32> {
        let mut accumulator = 0_u32;
        let mut index = 0_u32;
        let mut slots = [0_u32; 16];
        let mut next = 0;
        // Every step moves on; checked programs end with a return, so that the loop ends in one.
        while let Some(op) = self.ops.get(next) {
            next += 1;
            let (holds, ways) = match *op {
                Op::IfAmong(first, len, yes, no) => {
                    let numbers = self.numbers.get(usize::from(first)..)?.get(..usize::from(len))?;
                    next += if numbers.contains(&accumulator) { yes.into() } else { usize::from(no) };
                    continue;
                }
                Op::LoadWord(at) => {
                    accumulator = word(bytes, at.into())?;
                    continue;
                }
                Op::LoadHalf(at) => {
                    accumulator = half(bytes, at.into())?;
                    continue;
                }
                Op::LoadByte(at) => {
                    accumulator = byte(bytes, at.into())?;
                    continue;
                }
                Op::LoadBehind(size, at) => {
                    let at = u64::from(index) + u64::from(at);
                    accumulator = match size {
                        Size::Word => word(bytes, at)?,
                        Size::Half => half(bytes, at)?,
                        Size::Byte => byte(bytes, at)?,
                    };
                    continue;
                }
                Op::LoadNumber(value) => {
                    accumulator = value;
                    continue;
                }
                Op::LoadLength => {
                    accumulator = wire_len;
                    continue;
                }
                Op::LoadSlot(slot) => {
                    accumulator = *slots.get(usize::from(slot))?;
                    continue;
                }
                Op::IndexNumber(value) => {
                    index = value;
                    continue;
                }
                Op::IndexLength => {
                    index = wire_len;
                    continue;
                }
                Op::IndexSlot(slot) => {
                    index = *slots.get(usize::from(slot))?;
                    continue;
                }
                Op::IndexIp4Header(at) => {
                    index = (byte(bytes, at.into())? & 0xf) << 2;
                    continue;
                }
                Op::Store(slot) => {
                    *slots.get_mut(usize::from(slot))? = accumulator;
                    continue;
                }
                Op::StoreIndex(slot) => {
                    *slots.get_mut(usize::from(slot))? = index;
                    continue;
                }
                Op::And(k) => {
                    accumulator &= k;
                    continue;
                }
                Op::Number(operator, k) => {
                    accumulator = value::apply(operator, accumulator, k)?;
                    continue;
                }
                Op::Index(operator) => {
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
                Op::Jump(by) => {
                    next += by as usize;
                    continue;
                }
                Op::Return(value) => return Some(value),
                Op::ReturnAccumulator => return Some(accumulator),
                Op::IfEqual(k, ways) => (accumulator == k, ways),
                Op::IfGreater(k, ways) => (accumulator > k, ways),
                Op::IfNotLess(k, ways) => (accumulator >= k, ways),
                Op::IfAny(k, ways) => (accumulator & k != 0, ways),
                Op::IfEqualIndex(ways) => (accumulator == index, ways),
                Op::IfGreaterIndex(ways) => (accumulator > index, ways),
                Op::IfNotLessIndex(ways) => (accumulator >= index, ways),
                Op::IfAnyIndex(ways) => (accumulator & index != 0, ways),
                Op::IfWordEqual(at, k, ways) => {
                    accumulator = word(bytes, at.into())?;
                    next += 1;
                    (accumulator == k, ways)
                }
                Op::IfHalfEqual(at, k, ways) => {
                    accumulator = half(bytes, at.into())?;
                    next += 1;
                    (accumulator == k, ways)
                }
                Op::IfByteEqual(at, k, ways) => {
                    accumulator = byte(bytes, at.into())?;
                    next += 1;
                    (accumulator == k, ways)
                }
                Op::IfHalfAny(at, k, ways) => {
                    accumulator = half(bytes, at.into())?;
                    next += 1;
                    (accumulator & k != 0, ways)
                }
                Op::IfHalfBehindEqual(at, k, ways) => {
                    accumulator = half(bytes, u64::from(index) + u64::from(at))?;
                    next += 1;
                    (accumulator == k, ways)
                }
            };
            next += usize::from(if holds { ways.yes } else { ways.no });
        }
        None
    }
}

fn joined(op: Op, next: Op) -> Op {
    match (op, next) {
        (Op::LoadWord(at), Op::IfEqual(k, ways)) => Op::IfWordEqual(at, k, ways),
        (Op::LoadHalf(at), Op::IfEqual(k, ways)) => Op::IfHalfEqual(at, k, ways),
        (Op::LoadByte(at), Op::IfEqual(k, ways)) => Op::IfByteEqual(at, k, ways),
        (Op::LoadHalf(at), Op::IfAny(k, ways)) => Op::IfHalfAny(at, k, ways),
        (Op::LoadBehind(Size::Half, at), Op::IfEqual(k, ways)) => Op::IfHalfBehindEqual(at, k, ways),
        _ => op,
    }
}

fn op(Instruction { code, jt: yes, jf: no, k }: Instruction) -> Op {
    use code::{
        A, ABS, ALU, B, H, IMM, JA, JEQ, JGE, JGT, JMP, LD, LDX, LEN, MEM, NEG, RET, ST, STX, TXA, W, X,
    };
    let ways = Ways { yes, no };
    let size = match code & 0x18 {
        H => Size::Half,
        B => Size::Byte,
        _ => Size::Word,
    };
    let slot = k as u8;
    let rest = code & !code::CLASS;
    match code & code::CLASS {
        LD => match rest {
            IMM => Op::LoadNumber(k),
            MEM => Op::LoadSlot(slot),
            LEN => Op::LoadLength,
            _ if rest == ABS | W => Op::LoadWord(k),
            _ if rest == ABS | H => Op::LoadHalf(k),
            _ if rest == ABS | B => Op::LoadByte(k),
            _ => Op::LoadBehind(size, k),
        },
        LDX => match rest & 0xe0 {
            IMM => Op::IndexNumber(k),
            MEM => Op::IndexSlot(slot),
            LEN => Op::IndexLength,
            _ => Op::IndexIp4Header(k),
        },
        ST => Op::Store(slot),
        STX => Op::StoreIndex(slot),
        ALU if rest == NEG => Op::Negate,
        ALU => match (operator(rest), rest & X) {
            (operator, X) => Op::Index(operator),
            (Operator::And, _) => Op::And(k),
            (operator, _) => Op::Number(operator, k),
        },
        JMP => match (rest & 0xf0, rest & X) {
            (JA, _) => Op::Jump(k),
            (JEQ, X) => Op::IfEqualIndex(ways),
            (JEQ, _) => Op::IfEqual(k, ways),
            (JGT, X) => Op::IfGreaterIndex(ways),
            (JGT, _) => Op::IfGreater(k, ways),
            (JGE, X) => Op::IfNotLessIndex(ways),
            (JGE, _) => Op::IfNotLess(k, ways),
            (_, X) => Op::IfAnyIndex(ways),
            (_, _) => Op::IfAny(k, ways),
        },
        RET if rest == A => Op::ReturnAccumulator,
        RET => Op::Return(k),
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
