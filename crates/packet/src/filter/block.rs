//! A filter as a graph of tests that each lead to two others, without cycles.
//!
//! Equal tests that lead to the same are one. What earlier tests have settled is not asked again: an edge to a test
//! whose outcome is known on the way leads past it. Both are repeated, as each makes work for the other.

use std::collections::HashMap;

use super::condition::{Condition, ConditionId, Conditions, Test};
use super::facts::Facts;
use super::generate::Generated;
use super::value::{ValueId, Values};

/// Rounds of simplification; three or four are usual.
const MAX_ROUNDS: u32 = 10;
/// Tests that one edge may lead past in a round; bounds the work on filters of many equal parts.
const MAX_SKIP: u32 = 64;

/// A test's place in the list. Tests lead to smaller ids only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BlockId(u32);

impl BlockId {
    pub(super) const REJECT: BlockId = BlockId(0);
    pub(super) const ACCEPT: BlockId = BlockId(1);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Block {
    Reject,
    Accept,
    Test { test: Test, yes: BlockId, no: BlockId },
    Store { slot: u8, value: ValueId, next: BlockId },
}

#[derive(Debug)]
pub(super) struct Blocks {
    list: Vec<Block>,
    ids: HashMap<Block, BlockId>,
    pub(super) root: BlockId,
}

impl Blocks {
    pub(super) fn build(of: &Generated) -> Blocks {
        let mut blocks = Blocks::empty();
        blocks.root = blocks.lower(&of.conditions, of.root, BlockId::ACCEPT, BlockId::REJECT);
        for _ in 0..MAX_ROUNDS {
            let simpler = blocks.simplified(&of.values);
            let is_same = simpler.list == blocks.list;
            blocks = simpler;
            if is_same {
                break;
            }
        }
        blocks
    }

    fn empty() -> Blocks {
        let mut blocks = Blocks { list: Vec::new(), ids: HashMap::new(), root: BlockId::REJECT };
        blocks.keep(Block::Reject);
        blocks.keep(Block::Accept);
        blocks
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn of(&self, id: BlockId) -> Block {
        self.list.get(id.index()).copied().unwrap_or(Block::Reject)
    }

    fn keep(&mut self, block: Block) -> BlockId {
        if let Block::Test { yes, no, .. } = block
            && yes == no
        {
            return yes;
        }
        let next = BlockId(self.list.len() as u32);
        let id = *self.ids.entry(block).or_insert(next);
        if id == next {
            self.list.push(block);
        }
        id
    }

    /// The block that begins a condition which leads to `yes` or `no`.
    fn lower(&mut self, conditions: &Conditions, id: ConditionId, yes: BlockId, no: BlockId) -> BlockId {
        let (mut id, mut yes, mut no) = (id, yes, no);
        // Chains lean to the left, where this is a loop; to the right they are as deep as parentheses.
        loop {
            match conditions.of(id) {
                Condition::Always(is) => return if is { yes } else { no },
                Condition::Test(test) => return self.keep(Block::Test { test, yes, no }),
                Condition::Store { slot, value } => {
                    return self.keep(Block::Store { slot, value, next: yes });
                }
                Condition::Not(of) => {
                    (yes, no) = (no, yes);
                    id = of;
                }
                Condition::And(left, right) => {
                    yes = self.lower(conditions, right, yes, no);
                    id = left;
                }
                Condition::Or(left, right) => {
                    no = self.lower(conditions, right, yes, no);
                    id = left;
                }
            }
        }
    }

    /// The same with every edge led past what is known on it, and without what nothing leads to any more.
    fn simplified(&self, values: &Values) -> Blocks {
        let mut known: Vec<Option<Facts>> = vec![None; self.list.len()];
        let mut led = self.list.clone();
        if let Some(root) = known.get_mut(self.root.index()) {
            *root = Some(Facts::default());
        }
        let mut reached = vec![false; self.list.len()];
        for place in (0..=self.root.index()).rev() {
            let Some(facts) = known.get_mut(place).and_then(Option::take) else { continue };
            if let Some(reached) = reached.get_mut(place) {
                *reached = true;
            }
            let Some(block) = led.get_mut(place) else { continue };
            match block {
                Block::Reject | Block::Accept => {}
                Block::Store { next, .. } => {
                    *next = self.past(values, *next, &facts);
                    meet(&mut known, *next, facts);
                }
                Block::Test { test, yes, no } => match facts.outcome(values, test) {
                    Some(holds) => {
                        let to = self.past(values, if holds { *yes } else { *no }, &facts);
                        (*yes, *no) = (to, to);
                        meet(&mut known, to, facts);
                    }
                    None => {
                        for (holds, edge) in [(true, yes), (false, no)] {
                            let mut there = facts.clone();
                            there.learn(values, test, holds);
                            *edge = self.past(values, *edge, &there);
                            meet(&mut known, *edge, there);
                        }
                    }
                },
            }
        }
        self.group(values, &mut led, &reached);
        let mut simpler = Blocks::empty();
        let mut renamed = vec![BlockId::REJECT; self.list.len()];
        let to =
            |renamed: &[BlockId], id: BlockId| renamed.get(id.index()).copied().unwrap_or(BlockId::REJECT);
        for ((place, block), _) in led.iter().enumerate().zip(reached).filter(|(_, reached)| *reached) {
            let id = match *block {
                Block::Test { test, yes, no } => {
                    simpler.keep(Block::Test { test, yes: to(&renamed, yes), no: to(&renamed, no) })
                }
                Block::Store { slot, value, next } => {
                    simpler.keep(Block::Store { slot, value, next: to(&renamed, next) })
                }
                end => simpler.keep(end),
            };
            if let Some(renamed) = renamed.get_mut(place) {
                *renamed = id;
            }
        }
        simpler.root = to(&renamed, self.root);
        simpler
    }

    /// Brings tests of one value together, so that it is loaded once: `port 80 or 443` asks both of the source, then both
    /// of the destination. Tests may change places within a chain where any one that holds, or any one that does not, leads
    /// to the same block.
    fn group(&self, values: &Values, blocks: &mut [Block], reached: &[bool]) {
        let mut ways = vec![0_u32; blocks.len()];
        for (block, _) in blocks.iter().zip(reached).filter(|(_, reached)| **reached) {
            let (one, other) = match *block {
                Block::Test { yes, no, .. } => (Some(yes), Some(no)),
                Block::Store { next, .. } => (Some(next), None),
                Block::Reject | Block::Accept => (None, None),
            };
            for to in [one, other].into_iter().flatten() {
                if let Some(ways) = ways.get_mut(to.index()) {
                    *ways += 1;
                }
            }
        }
        let mut grouped = vec![false; blocks.len()];
        for head in (0..=self.root.index()).rev().filter(|head| reached.get(*head) == Some(&true)) {
            for exit in [true, false] {
                let mut chain = Vec::new();
                let mut place = head;
                while let Some(Block::Test { test, yes, no }) = blocks.get(place)
                    && grouped.get(place) == Some(&false)
                {
                    chain.push((place, *test));
                    let (common, next) = if exit { (*yes, *no) } else { (*no, *yes) };
                    let joins = match blocks.get(next.index()) {
                        Some(Block::Test { yes, no, .. }) => common == if exit { *yes } else { *no },
                        _ => false,
                    };
                    if !joins || ways.get(next.index()) != Some(&1) {
                        break;
                    }
                    place = next.index();
                }
                if chain.len() < 3 {
                    continue;
                }
                let mut first_use = HashMap::new();
                let mut tests: Vec<(usize, Test)> = Vec::with_capacity(chain.len());
                for (_, test) in &chain {
                    let next = first_use.len();
                    tests.push((*first_use.entry(test.held_after(values)).or_insert(next), *test));
                }
                tests.sort_by_key(|(group, _)| *group);
                for ((place, _), (_, grouped_test)) in chain.iter().zip(tests) {
                    if let Some(Block::Test { test, .. }) = blocks.get_mut(*place) {
                        *test = grouped_test;
                    }
                    if let Some(grouped) = grouped.get_mut(*place) {
                        *grouped = true;
                    }
                }
            }
        }
    }

    /// Where an edge leads when the tests that these facts settle are left out.
    fn past(&self, values: &Values, to: BlockId, facts: &Facts) -> BlockId {
        let mut to = to;
        for _ in 0..MAX_SKIP {
            let Block::Test { test, yes, no } = self.of(to) else { break };
            to = match facts.outcome(values, &test) {
                Some(true) => yes,
                Some(false) => no,
                None => break,
            };
        }
        to
    }
}

/// Adds a way to a block on which these facts hold.
fn meet(known: &mut [Option<Facts>], to: BlockId, facts: Facts) {
    match known.get_mut(to.index()) {
        Some(Some(there)) => there.meet(&facts),
        Some(nowhere) => *nowhere = Some(facts),
        None => {}
    }
}
