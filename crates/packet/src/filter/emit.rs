//! The graph of tests to instructions.
//!
//! A value that a register holds already on every way to a test is not loaded again. Blocks are placed so that all jumps
//! lead forward, and from the end, so that distances are known; a conditional jump reaches 255 instructions, farther
//! targets get an unconditional one beside it.

use super::FilterError;
use super::block::{Block, BlockId, Blocks};
use super::condition::{Compare, Test};
use super::generate::Generated;
use super::program::{Instruction, Program, code};
use super::syntax::{Operator, Size};
use super::value::{Value, ValueId, Values};

/// What a conditional jump is sure to reach, less room for two unconditional ones.
const NEAR: usize = 250;

/// Writes the program, which returns `accept` or 0.
pub(super) fn emit(blocks: &Blocks, of: &Generated, accept: u32) -> Result<Program, FilterError> {
    let too_long = || {
        let why = format!("the filter makes a program of more than {} instructions", Program::MAX_LEN);
        FilterError::new(0, why)
    };
    if blocks.len() > 2 * Program::MAX_LEN {
        return Err(too_long());
    }
    let order = placed(blocks);
    let mut emitter = Emitter { values: &of.values, first_free_slot: of.first_free_slot, uncertain: 0 };
    let codes = emitter.codes(blocks, &order, accept);

    let mut backwards: Vec<Instruction> = Vec::new();
    // How many instructions there are from a block's first to the end.
    let mut starts = vec![0; blocks.len()];
    for code in codes.iter().rev() {
        let start = |of: BlockId| starts.get(of.index()).copied().unwrap_or(0);
        let distance = |backwards: &Vec<Instruction>, to: BlockId| backwards.len() - start(to);
        match code.end {
            End::Return(value) => backwards.push(Instruction::of(code::RET | code::K, value)),
            End::Goto(next) => match distance(&backwards, next) {
                0 => {}
                far => backwards.push(Instruction::of(code::JMP | code::JA, far as u32)),
            },
            End::Branch { code, k, yes, no } => {
                let far_no = distance(&backwards, no) > NEAR;
                if far_no {
                    backwards.push(far(blocks, no, distance(&backwards, no), accept));
                }
                let far_yes = distance(&backwards, yes) > NEAR;
                if far_yes {
                    backwards.push(far(blocks, yes, distance(&backwards, yes), accept));
                }
                let jt = if far_yes { 0 } else { distance(&backwards, yes) as u8 };
                let jf = if far_no { u8::from(far_yes) } else { distance(&backwards, no) as u8 };
                backwards.push(Instruction { code, jt, jf, k });
            }
        }
        backwards.extend(code.body.iter().rev());
        if let Some(start) = starts.get_mut(code.id.index()) {
            *start = backwards.len();
        }
        if backwards.len() > Program::MAX_LEN {
            return Err(too_long());
        }
    }
    // A slot that some way to its reader leaves unwritten reads as 0. Linux does not load programs that rely on it.
    let cleared = (0..16).filter(|slot| emitter.uncertain & 1 << slot != 0);
    let stores: Vec<Instruction> = cleared.map(|slot| Instruction::of(code::ST, slot)).collect();
    if !stores.is_empty() {
        backwards.extend(stores);
        backwards.push(Instruction::of(code::LD | code::IMM, 0));
    }
    backwards.reverse();
    Program::new(backwards).map_err(|_| too_long())
}

/// Instead of a jump that is too far: an unconditional one, or the return itself.
fn far(blocks: &Blocks, to: BlockId, distance: usize, accept: u32) -> Instruction {
    match blocks.of(to) {
        Block::Accept => Instruction::of(code::RET | code::K, accept),
        Block::Reject => Instruction::of(code::RET | code::K, 0),
        _ => Instruction::of(code::JMP | code::JA, distance as u32),
    }
}

/// Blocks in the order of their code: each before all that it leads to, and right before where its `yes` leads if it can
/// be; the returns last.
fn placed(blocks: &Blocks) -> Vec<BlockId> {
    let mut seen = vec![false; blocks.len()];
    let mut after = Vec::with_capacity(blocks.len());
    let mut stack = vec![(blocks.root, false)];
    // Visited last is placed first.
    for end in [BlockId::REJECT, BlockId::ACCEPT] {
        if end != blocks.root && blocks.len() > 2 {
            after.push(end);
            if let Some(seen) = seen.get_mut(end.index()) {
                *seen = true;
            }
        }
    }
    while let Some((id, done)) = stack.pop() {
        if done {
            after.push(id);
            continue;
        }
        match seen.get_mut(id.index()) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        stack.push((id, true));
        match blocks.of(id) {
            Block::Test { yes, no, .. } => stack.extend([(yes, false), (no, false)]),
            Block::Store { next, .. } => stack.push((next, false)),
            Block::Reject | Block::Accept => {}
        }
    }
    after.reverse();
    after
}

/// A block's instructions, but for where its jumps lead.
struct Code {
    id: BlockId,
    body: Vec<Instruction>,
    end: End,
}

enum End {
    Return(u32),
    Goto(BlockId),
    Branch { code: u16, k: u32, yes: BlockId, no: BlockId },
}

/// What registers hold at some point.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    accumulator: Option<ValueId>,
    index: Option<ValueId>,
    /// Slots that have been written, one bit each.
    written: u16,
}

impl State {
    fn meet(self, other: State) -> State {
        State {
            accumulator: self.accumulator.filter(|_| self.accumulator == other.accumulator),
            index: self.index.filter(|_| self.index == other.index),
            written: self.written & other.written,
        }
    }
}

struct Emitter<'a> {
    values: &'a Values,
    first_free_slot: u8,
    /// Slots that are read where they may not have been written.
    uncertain: u16,
}

impl Emitter<'_> {
    fn codes(&mut self, blocks: &Blocks, order: &[BlockId], accept: u32) -> Vec<Code> {
        let mut states: Vec<Option<State>> = vec![None; blocks.len()];
        let mut codes = Vec::with_capacity(order.len());
        for id in order {
            let mut state = states.get(id.index()).copied().flatten().unwrap_or_default();
            let mut body = Vec::new();
            let mut reaches = |to: BlockId, state: State| {
                if let Some(there) = states.get_mut(to.index()) {
                    *there = Some(there.map_or(state, |there| there.meet(state)));
                }
            };
            let end = match blocks.of(*id) {
                Block::Reject => End::Return(0),
                Block::Accept => End::Return(accept),
                Block::Store { slot, value, next } => {
                    self.compute(value, 0, &mut state, &mut body);
                    body.push(Instruction::of(code::ST, slot.into()));
                    state.written |= 1 << slot;
                    reaches(next, state);
                    End::Goto(next)
                }
                Block::Test { test, yes, no } => {
                    let end = self.test(test, yes, no, &mut state, &mut body);
                    reaches(yes, state);
                    reaches(no, state);
                    end
                }
            };
            codes.push(Code { id: *id, body, end });
        }
        codes
    }

    fn test(
        &mut self,
        test: Test,
        yes: BlockId,
        no: BlockId,
        state: &mut State,
        body: &mut Vec<Instruction>,
    ) -> End {
        let jump = code::JMP
            | match test.compare {
                Compare::Equal => code::JEQ,
                Compare::Greater => code::JGT,
                Compare::GreaterOrEqual => code::JGE,
            };
        let Some(k) = self.values.constant(test.with) else {
            self.operands(test.value, test.with, 0, state, body);
            return End::Branch { code: jump | code::X, k: 0, yes, no };
        };
        if let Some((of, mask, holds)) = test.any_bit(self.values)
            && state.accumulator != Some(test.value)
        {
            self.compute(of, 0, state, body);
            let (yes, no) = if holds { (yes, no) } else { (no, yes) };
            return End::Branch { code: code::JMP | code::JSET, k: mask, yes, no };
        }
        self.compute(test.value, 0, state, body);
        End::Branch { code: jump, k, yes, no }
    }

    /// Puts a value into the accumulator. The first `held` free slots are in use.
    fn compute(&mut self, id: ValueId, held: u8, state: &mut State, body: &mut Vec<Instruction>) {
        if state.accumulator == Some(id) {
            return;
        }
        match self.values.of(id) {
            Value::Const(value) => body.push(Instruction::of(code::LD | code::IMM, value)),
            Value::Length => body.push(Instruction::of(code::LD | code::LEN, 0)),
            Value::Slot { slot, .. } => {
                self.uncertain |= 1 << slot & !state.written;
                body.push(Instruction::of(code::LD | code::MEM, slot.into()));
            }
            Value::Ip4Header(_) => {
                self.index(id, held, state, body);
                body.push(Instruction::of(code::MISC | code::TXA, 0));
            }
            Value::Load { index: None, at, size } => {
                body.push(Instruction::of(code::LD | code::ABS | width(size), at));
            }
            Value::Load { index: Some(index), at, size } => {
                self.index(index, held, state, body);
                body.push(Instruction::of(code::LD | code::IND | width(size), at));
            }
            Value::Negate(of) => {
                self.compute(of, held, state, body);
                body.push(Instruction::of(code::ALU | code::NEG, 0));
            }
            Value::Binary(operator, left, right) => match self.values.constant(right) {
                Some(k) => {
                    self.compute(left, held, state, body);
                    body.push(Instruction::of(code::ALU | arithmetic(operator), k));
                }
                None => {
                    self.operands(left, right, held, state, body);
                    body.push(Instruction::of(code::ALU | arithmetic(operator) | code::X, 0));
                }
            },
        }
        state.accumulator = Some(id);
    }

    /// Puts one value into the accumulator and another into the index register.
    fn operands(
        &mut self,
        left: ValueId,
        right: ValueId,
        held: u8,
        state: &mut State,
        body: &mut Vec<Instruction>,
    ) {
        if self.values.fits_index(right) {
            self.compute(left, held, state, body);
            self.index(right, held, state, body);
        } else if self.values.is_spilled(left, right) {
            let slot = u32::from(self.first_free_slot + held);
            self.compute(right, held, state, body);
            body.push(Instruction::of(code::ST, slot));
            self.compute(left, held + 1, state, body);
            body.push(Instruction::of(code::LDX | code::MEM, slot));
            state.index = Some(right);
        } else {
            self.index(right, held, state, body);
            self.compute(left, held, state, body);
        }
    }

    /// Puts a value into the index register, by way of the accumulator if it must.
    fn index(&mut self, id: ValueId, held: u8, state: &mut State, body: &mut Vec<Instruction>) {
        if state.index == Some(id) {
            return;
        }
        match self.values.of(id) {
            Value::Const(value) => body.push(Instruction::of(code::LDX | code::IMM, value)),
            Value::Slot { slot, .. } => {
                self.uncertain |= 1 << slot & !state.written;
                body.push(Instruction::of(code::LDX | code::MEM, slot.into()));
            }
            Value::Ip4Header(at) => body.push(Instruction::of(code::LDX | code::MSH | code::B, at)),
            _ => {
                self.compute(id, held, state, body);
                body.push(Instruction::of(code::MISC | code::TAX, 0));
            }
        }
        state.index = Some(id);
    }
}

fn width(size: Size) -> u16 {
    match size {
        Size::Word => code::W,
        Size::Half => code::H,
        Size::Byte => code::B,
    }
}

fn arithmetic(operator: Operator) -> u16 {
    match operator {
        Operator::Add => code::ADD,
        Operator::Sub => code::SUB,
        Operator::Mul => code::MUL,
        Operator::Div => code::DIV,
        Operator::Mod => code::MOD,
        Operator::And => code::AND,
        Operator::Or => code::OR,
        Operator::Xor => code::XOR,
        Operator::Shl => code::LSH,
        Operator::Shr => code::RSH,
    }
}
