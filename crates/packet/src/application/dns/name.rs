//! Names in a message, which may point to an earlier place to share their ends.
//! [RFC 1035 section 4.1.4](https://www.rfc-editor.org/rfc/rfc1035#section-4.1.4)
//!
//! A pointer must lead to before the labels it stands behind: what else could an earlier occurrence be. So no walk
//! comes back to where it was, and as a name has at most 255 bytes and here as many pointers as labels, a walk takes
//! at most 254 steps whatever the message.

use std::fmt::Write as _;

use super::HEADER_LEN;

/// Bytes of a name with the lengths of its labels and the zero at its end.
const MAX_LEN: usize = 255;
/// Labels that fit into that; pointers, each of which has labels before it in a name that was ever compressed.
const MAX_STEPS: usize = 127;

/// Why there is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameFault {
    /// The bytes end before it does.
    Cut,
    /// It is none.
    Bad,
}

/// Appends the name at `at` to `text`, in the form without a dot at its end: empty for the root. Gives the place behind
/// it. Dots and backslashes within a label have a backslash before them; bytes that are not printable ASCII become
/// `\DDD`.
pub(super) fn read(message: &[u8], at: usize, text: &mut String) -> Result<usize, NameFault> {
    let mut at = at;
    // Where the labels being read begin.
    let mut start = at;
    // Where the name ends in the place it was asked for.
    let mut end = None;
    let mut len = 1;
    let mut pointers = 0;
    let empty = text.len();
    loop {
        let first = *message.get(at).ok_or(NameFault::Cut)?;
        match first {
            0 => return Ok(end.unwrap_or(at + 1)),
            1..64 => {
                let label = message.get(at + 1..at + 1 + usize::from(first)).ok_or(NameFault::Cut)?;
                len += 1 + label.len();
                if len > MAX_LEN {
                    return Err(NameFault::Bad);
                }
                if text.len() > empty {
                    text.push('.');
                }
                push_label(label, text);
                at += 1 + label.len();
            }
            // Labels of other kinds were proposed and given up, RFC 6891 section 5.
            64..0xc0 => return Err(NameFault::Bad),
            0xc0.. => {
                let low = *message.get(at + 1).ok_or(NameFault::Cut)?;
                let to = usize::from(u16::from_be_bytes([first & 0x3f, low]));
                pointers += 1;
                if to >= start || to < HEADER_LEN || pointers > MAX_STEPS {
                    return Err(NameFault::Bad);
                }
                end.get_or_insert(at + 2);
                (at, start) = (to, to);
            }
        }
    }
}

/// The place behind the name at `at`, without following it.
pub(super) fn skip(message: &[u8], at: usize) -> Result<usize, NameFault> {
    let mut at = at;
    for _ in 0..=MAX_STEPS {
        match *message.get(at).ok_or(NameFault::Cut)? {
            0 => return Ok(at + 1),
            len @ 1..64 => at += 1 + usize::from(len),
            64..0xc0 => return Err(NameFault::Bad),
            0xc0.. if at + 2 <= message.len() => return Ok(at + 2),
            0xc0.. => return Err(NameFault::Cut),
        }
    }
    Err(NameFault::Bad)
}

fn push_label(label: &[u8], text: &mut String) {
    // Nearly every label; pushing at once is a third of the time.
    if let Ok(plain) = str::from_utf8(label)
        && plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    {
        return text.push_str(plain);
    }
    for byte in label {
        match byte {
            b'.' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b'!'..=b'~' => text.push(char::from(*byte)),
            _ => {
                // Writing to a String never fails.
                let _ = write!(text, "\\{byte:03}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name at `at` behind a header of zeros, and the place behind it, both less the header.
    fn name(body: &[u8], at: usize) -> Result<(String, usize), NameFault> {
        let message = [&[0; HEADER_LEN], body].concat();
        let mut text = String::new();
        let end = read(&message, HEADER_LEN + at, &mut text)?;
        assert_eq!(skip(&message, HEADER_LEN + at), Ok(end));
        Ok((text, end - HEADER_LEN))
    }

    #[test]
    fn labels_and_pointers() {
        let body = b"\x01a\x02bc\0\x03www\xc0\x0c\xc0\x12\0";
        assert_eq!(name(body, 0), Ok(("a.bc".into(), 6)));
        assert_eq!(name(body, 6), Ok(("www.a.bc".into(), 12)));
        assert_eq!(name(body, 12), Ok(("www.a.bc".into(), 14)));
        assert_eq!(name(body, 14), Ok((String::new(), 15)));
    }

    #[test]
    fn bytes_that_are_no_host_name_are_escaped() {
        assert_eq!(name(b"\x07a.\\ \x00\xffz\0", 0), Ok(("a\\.\\\\\\032\\000\\255z".into(), 9)));
        assert_eq!(name(b"\x03_a*\x01@\0", 0), Ok(("_a*.@".into(), 7)));
    }

    #[test]
    fn pointers_that_do_not_lead_back_are_none() {
        assert_eq!(name(b"\xc0\x0c", 0), Err(NameFault::Bad), "to itself");
        assert_eq!(name(b"\x01a\xc0\x0c", 0), Err(NameFault::Bad), "to its own labels");
        assert_eq!(name(b"\xc0\x0e\x01a\0", 0), Err(NameFault::Bad), "forward");
        assert_eq!(name(b"\x01a\0\xc0\x00", 3), Err(NameFault::Bad), "into the header");
        assert_eq!(name(b"\x01a\xc0\x10\xc0\x0c", 4), Err(NameFault::Bad), "two that lead to each other");
    }

    #[test]
    fn a_chain_of_pointers_has_an_end() {
        let mut body = b"\x01a\0".to_vec();
        for i in 0..200_u16 {
            let to = if i == 0 { 12 } else { 15 + 2 * (i - 1) };
            body.extend((0xc000 | to).to_be_bytes());
        }
        assert_eq!(name(&body, 3 + 2 * 126), Ok(("a".into(), 3 + 2 * 127)));
        assert_eq!(name(&body, 3 + 2 * 127), Err(NameFault::Bad));
    }

    #[test]
    fn a_name_has_255_bytes() {
        let label = |len: u8| [vec![len], vec![b'x'; usize::from(len)]].concat();
        let longest = [label(63), label(63), label(63), label(61), vec![0]].concat();
        assert_eq!(longest.len(), 255);
        assert_eq!(name(&longest, 0).unwrap().0.len(), 253);
        let longer = [label(63), label(63), label(63), label(62), vec![0]].concat();
        assert_eq!(name(&longer, 0), Err(NameFault::Bad));
        // The same by a pointer: the length is that of the whole name.
        let pointing = [longest, label(1), vec![0xc0, 0x0c]].concat();
        assert_eq!(name(&pointing, 255), Err(NameFault::Bad));
        let labels = [b"\x01a".repeat(127), vec![0]].concat();
        assert_eq!(name(&labels, 0).unwrap().0.len(), 253);
    }

    #[test]
    fn other_labels_and_missing_bytes() {
        assert_eq!(name(b"\x40a", 0), Err(NameFault::Bad));
        assert_eq!(name(b"\x80a", 0), Err(NameFault::Bad));
        for cut in [&b""[..], b"\x01", b"\x01a", b"\x01a\x02b", b"\x01a\xc0"] {
            assert_eq!(name(cut, 0), Err(NameFault::Cut), "{cut:?}");
        }
    }
}
