//! An interpreter that takes one instruction at a time and nothing in advance, to judge the fast one by.

use skydive_packet::filter::Instruction;

pub(crate) fn run(program: &[Instruction], bytes: &[u8], wire_len: u32) -> u32 {
    steps(program, bytes, wire_len).unwrap_or(0)
}

fn steps(program: &[Instruction], bytes: &[u8], wire_len: u32) -> Option<u32> {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0);
    let load = |from: u64, size: u64| {
        let there = bytes.get(usize::try_from(from).ok()?..usize::try_from(from + size).ok()?)?;
        Some(there.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)))
    };
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let operand = if code & 0x08 == 0 { k } else { x };
        let size = [4, 2, 1, 0][usize::from(code >> 3 & 3)];
        match code {
            0x20 | 0x28 | 0x30 => a = load(k.into(), size)?,
            0x40 | 0x48 | 0x50 => a = load(u64::from(x) + u64::from(k), size)?,
            0x00 => a = k,
            0x01 => x = k,
            0x60 => a = memory[k as usize],
            0x61 => x = memory[k as usize],
            0x80 => a = wire_len,
            0x81 => x = wire_len,
            0xb1 => x = (load(k.into(), 1)? & 0xf) * 4,
            0x02 => memory[k as usize] = a,
            0x03 => memory[k as usize] = x,
            0x04 | 0x0c => a = a.wrapping_add(operand),
            0x14 | 0x1c => a = a.wrapping_sub(operand),
            0x24 | 0x2c => a = a.wrapping_mul(operand),
            0x34 | 0x3c => a = a.checked_div(operand)?,
            0x44 | 0x4c => a |= operand,
            0x54 | 0x5c => a &= operand,
            0x64 | 0x6c => a = a.checked_shl(operand).unwrap_or(0),
            0x74 | 0x7c => a = a.checked_shr(operand).unwrap_or(0),
            0x84 => a = a.wrapping_neg(),
            0x94 | 0x9c => a = a.checked_rem(operand)?,
            0xa4 | 0xac => a ^= operand,
            0x05 => at += k as usize,
            0x15 | 0x1d => at += usize::from(if a == operand { jt } else { jf }),
            0x25 | 0x2d => at += usize::from(if a > operand { jt } else { jf }),
            0x35 | 0x3d => at += usize::from(if a >= operand { jt } else { jf }),
            0x45 | 0x4d => at += usize::from(if a & operand != 0 { jt } else { jf }),
            0x06 => return Some(k),
            0x16 => return Some(a),
            0x07 => x = a,
            0x87 => a = x,
            other => panic!("no instruction has the code {other:#x}"),
        }
    }
}
