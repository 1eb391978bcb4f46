//! Classic BPF programs: their instructions, what makes them safe to run, and their text.
//!
//! The instruction set is that of `linux/filter.h` and of BSD's bpf(4).

use std::fmt;

use super::run::Steps;

/// One instruction, laid out as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a conditional jump's comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A program that is known to end, to jump only to its own instructions, and to touch only its own memory.
#[derive(Clone, Debug)]
pub struct Program {
    instructions: Vec<Instruction>,
    steps: Steps,
}

/// Why instructions are not a program; `at` is the index of the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// There are none.
    #[error("a program without instructions")]
    Empty,
    /// There are more than [`Program::MAX_LEN`].
    #[error("a program of {0} instructions, at most {max} are possible", max = Program::MAX_LEN)]
    TooLong(usize),
    /// No instruction has this code.
    #[error("instruction {at} has the unknown code {code:#x}")]
    Unknown {
        /// Which.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// It jumps behind the last instruction. No jump leads backwards.
    #[error("instruction {at} jumps out of the program")]
    Jump {
        /// Which.
        at: usize,
    },
    /// Its divisor is the constant 0.
    #[error("instruction {at} divides by zero")]
    Division {
        /// Which.
        at: usize,
    },
    /// It shifts by a constant of 32 or more bits.
    #[error("instruction {at} shifts by more than 31 bits")]
    Shift {
        /// Which.
        at: usize,
    },
    /// Scratch memory has 16 slots.
    #[error("instruction {at} uses scratch memory that does not exist")]
    Memory {
        /// Which.
        at: usize,
    },
    /// The last instruction is no return.
    #[error("the program does not end with a return")]
    NoReturn,
    /// The text is not what `tcpdump -ddd` writes.
    #[error("line {0} is not of a program as tcpdump -ddd writes it")]
    Text(usize),
}

/// Parts of an instruction's code.
pub(super) mod code {
    pub(in super::super) const LD: u16 = 0x00;
    pub(in super::super) const LDX: u16 = 0x01;
    pub(in super::super) const ST: u16 = 0x02;
    pub(in super::super) const STX: u16 = 0x03;
    pub(in super::super) const ALU: u16 = 0x04;
    pub(in super::super) const JMP: u16 = 0x05;
    pub(in super::super) const RET: u16 = 0x06;
    pub(in super::super) const MISC: u16 = 0x07;

    pub(in super::super) const W: u16 = 0x00;
    pub(in super::super) const H: u16 = 0x08;
    pub(in super::super) const B: u16 = 0x10;

    pub(in super::super) const IMM: u16 = 0x00;
    pub(in super::super) const ABS: u16 = 0x20;
    pub(in super::super) const IND: u16 = 0x40;
    pub(in super::super) const MEM: u16 = 0x60;
    pub(in super::super) const LEN: u16 = 0x80;
    pub(in super::super) const MSH: u16 = 0xa0;

    pub(in super::super) const ADD: u16 = 0x00;
    pub(in super::super) const SUB: u16 = 0x10;
    pub(in super::super) const MUL: u16 = 0x20;
    pub(in super::super) const DIV: u16 = 0x30;
    pub(in super::super) const OR: u16 = 0x40;
    pub(in super::super) const AND: u16 = 0x50;
    pub(in super::super) const LSH: u16 = 0x60;
    pub(in super::super) const RSH: u16 = 0x70;
    pub(in super::super) const NEG: u16 = 0x80;
    pub(in super::super) const MOD: u16 = 0x90;
    pub(in super::super) const XOR: u16 = 0xa0;

    pub(in super::super) const JA: u16 = 0x00;
    pub(in super::super) const JEQ: u16 = 0x10;
    pub(in super::super) const JGT: u16 = 0x20;
    pub(in super::super) const JGE: u16 = 0x30;
    pub(in super::super) const JSET: u16 = 0x40;

    /// The operand is `k`, the index register, or (of a return) the accumulator.
    pub(in super::super) const K: u16 = 0x00;
    pub(in super::super) const X: u16 = 0x08;
    pub(in super::super) const A: u16 = 0x10;

    pub(in super::super) const TAX: u16 = 0x00;
    pub(in super::super) const TXA: u16 = 0x80;

    pub(in super::super) const CLASS: u16 = 0x07;
}

impl Instruction {
    /// Other than a conditional jump.
    pub(super) fn of(code: u16, k: u32) -> Instruction {
        Instruction { code, jt: 0, jf: 0, k }
    }
}

impl Program {
    /// Instructions that a program may have, as in Linux.
    pub const MAX_LEN: usize = 4096;

    /// Takes instructions from anywhere, if they are what the checker of Linux accepts. Unlike there, scratch memory may
    /// be read before it is written and then is 0.
    pub fn new(instructions: Vec<Instruction>) -> Result<Program, ProgramError> {
        Program::validate(&instructions)?;
        let steps = Steps::of(&instructions);
        Ok(Program { instructions, steps })
    }

    /// Says why instructions are not a program.
    pub fn validate(instructions: &[Instruction]) -> Result<(), ProgramError> {
        let len = instructions.len();
        if len > Program::MAX_LEN {
            return Err(ProgramError::TooLong(len));
        }
        let Some(last) = instructions.last() else { return Err(ProgramError::Empty) };
        for (at, instruction) in instructions.iter().enumerate() {
            check(at, *instruction, len - at - 1)?;
        }
        if last.code & code::CLASS == code::RET { Ok(()) } else { Err(ProgramError::NoReturn) }
    }

    /// Reads what `tcpdump -ddd` writes: the number of instructions, then each as four decimal numbers on its own line.
    pub fn parse_ddd(text: &str) -> Result<Program, ProgramError> {
        let mut lines = text.lines();
        let count: usize =
            lines.next().and_then(|line| line.trim().parse().ok()).ok_or(ProgramError::Text(1))?;
        let mut instructions = Vec::new();
        for (line, number) in lines.zip(2..) {
            instructions.push(parse_instruction(line).ok_or(ProgramError::Text(number))?);
        }
        if instructions.len() != count {
            return Err(ProgramError::Text(instructions.len() + 1));
        }
        Program::new(instructions)
    }

    /// The instructions, to give to a kernel.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Whether no packet can pass: libpcap calls such a filter an error.
    pub fn rejects_all(&self) -> bool {
        let rejects = |i: &Instruction| i.code == code::RET | code::K && i.k == 0;
        self.instructions.first().is_some_and(rejects)
    }

    /// Runs the program over the captured bytes of a packet: how many of them it wants, 0 when it does not pass.
    ///
    /// `wire_len` is what the packet had on the wire. A load beyond the captured bytes rejects the packet, as does a
    /// division by zero. Costs a nanosecond or two per instruction and never allocates.
    #[inline]
    pub fn run(&self, bytes: &[u8], wire_len: u32) -> u32 {
        self.steps.run(bytes, wire_len)
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Program) -> bool {
        self.instructions == other.instructions
    }
}

impl Eq for Program {}

/// Whether an instruction is one; `after` are the instructions behind it.
fn check(at: usize, Instruction { code, jt, jf, k }: Instruction, after: usize) -> Result<(), ProgramError> {
    use code::{
        A, ABS, ADD, ALU, AND, B, DIV, H, IMM, IND, JA, JEQ, JGE, JGT, JMP, JSET, K, LD, LDX, LEN, LSH, MEM,
        MISC, MOD, MSH, MUL, NEG, OR, RET, RSH, ST, STX, SUB, TAX, TXA, W, X, XOR,
    };
    let class = code & code::CLASS;
    let source = code & X;
    let rest = code & !code::CLASS;
    let is_known = match class {
        LD => {
            let is_plain = [IMM, MEM, LEN].contains(&rest);
            is_plain || [ABS, IND].iter().any(|mode| [W, H, B].iter().any(|size| rest == mode | size))
        }
        LDX => [IMM, MEM, LEN, MSH | B].contains(&rest),
        ST | STX => rest == 0,
        ALU if rest == NEG => true,
        ALU => [ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, MOD, XOR].contains(&(rest & !X)),
        JMP if rest == JA => true,
        JMP => [JEQ, JGT, JGE, JSET].contains(&(rest & !X)),
        RET => [K, A].contains(&rest),
        _ => class == MISC && [TAX, TXA].contains(&rest),
    };
    if !is_known {
        return Err(ProgramError::Unknown { at, code });
    }
    let operation = rest & !X;
    match class {
        LD | LDX if rest == MEM && k >= 16 => Err(ProgramError::Memory { at }),
        ST | STX if k >= 16 => Err(ProgramError::Memory { at }),
        ALU if source == K && [DIV, MOD].contains(&operation) && k == 0 => Err(ProgramError::Division { at }),
        ALU if source == K && [LSH, RSH].contains(&operation) && k >= 32 => Err(ProgramError::Shift { at }),
        JMP if rest == JA && k as usize >= after => Err(ProgramError::Jump { at }),
        JMP if rest != JA && usize::from(jt.max(jf)) >= after => Err(ProgramError::Jump { at }),
        _ => Ok(()),
    }
}

fn parse_instruction(line: &str) -> Option<Instruction> {
    let mut numbers = line.split_ascii_whitespace();
    let code = numbers.next()?.parse().ok()?;
    let jt = numbers.next()?.parse().ok()?;
    let jf = numbers.next()?.parse().ok()?;
    let k = numbers.next()?.parse().ok()?;
    numbers.next().is_none().then_some(Instruction { code, jt, jf, k })
}

/// As `tcpdump -d` has it, one instruction a line.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, instruction) in self.instructions.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            let (name, operand) = spelled(*instruction, at);
            let Instruction { code, jt, jf, .. } = *instruction;
            if code & code::CLASS == code::JMP && code & 0xf0 != code::JA {
                let (yes, no) = (at + 1 + usize::from(jt), at + 1 + usize::from(jf));
                write!(f, "({at:03}) {name:<8} {operand:<16} jt {yes}\tjf {no}")?;
            } else {
                write!(f, "({at:03}) {name:<8} {operand}")?;
            }
        }
        Ok(())
    }
}

/// The name and operand of an instruction at a place.
fn spelled(Instruction { code, k, .. }: Instruction, at: usize) -> (String, String) {
    use code::{
        A, ABS, ADD, ALU, AND, B, DIV, H, IMM, IND, JA, JEQ, JGE, JGT, JMP, LD, LDX, LEN, LSH, MEM, MOD, MSH,
        MUL, NEG, OR, RET, RSH, ST, STX, SUB, TAX, X, XOR,
    };
    let signed = k as i32;
    let rest = code & !code::CLASS;
    let class = code & code::CLASS;
    let (name, operand) = match class {
        LD | LDX => {
            let register = if class == LDX { "x" } else { "" };
            let (size, mode) = match rest & 0x18 {
                H => ("h", rest & 0xe0),
                B => ("b", rest & 0xe0),
                _ => ("", rest & 0xe0),
            };
            let operand = match mode {
                IMM => format!("#{k:#x}"),
                ABS => format!("[{signed}]"),
                IND => format!("[x + {signed}]"),
                MEM => format!("M[{signed}]"),
                LEN => "#pktlen".to_owned(),
                MSH => format!("4*([{signed}]&0xf)"),
                _ => String::new(),
            };
            return (format!("ld{register}{size}"), operand);
        }
        ST => ("st", format!("M[{signed}]")),
        STX => ("stx", format!("M[{signed}]")),
        ALU if rest == NEG => ("neg", String::new()),
        ALU => {
            let (name, is_hex) = match rest & !X {
                ADD => ("add", false),
                SUB => ("sub", false),
                MUL => ("mul", false),
                DIV => ("div", false),
                MOD => ("mod", false),
                OR => ("or", true),
                AND => ("and", true),
                XOR => ("xor", true),
                LSH => ("lsh", false),
                RSH => ("rsh", false),
                _ => ("unimp", true),
            };
            let operand = match (rest & X, is_hex) {
                (X, _) => "x".to_owned(),
                (_, true) => format!("#{k:#x}"),
                (_, false) => format!("#{signed}"),
            };
            (name, operand)
        }
        JMP if rest == JA => ("ja", (at + 1 + k as usize).to_string()),
        JMP => {
            let name = match rest & !X {
                JEQ => "jeq",
                JGT => "jgt",
                JGE => "jge",
                _ => "jset",
            };
            (name, if rest & X == X { "x".to_owned() } else { format!("#{k:#x}") })
        }
        RET if rest == A => ("ret", String::new()),
        RET => ("ret", format!("#{signed}")),
        _ if rest == TAX => ("tax", String::new()),
        _ => ("txa", String::new()),
    };
    (name.to_owned(), operand)
}
