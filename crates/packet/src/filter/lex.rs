//! The words of a filter, with their places.
//!
//! A word is the longest text that any rule matches, as in libpcap's scanner: `len-5` and `80-90` are single words,
//! `10.1` is an address and `10.1.2.3.4` is not. The rules overlap, therefore each says how far it would reach.

use std::net::Ipv6Addr;

use super::{FilterError, name};

/// A word and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) kind: TokenKind<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind<'a> {
    /// A word of the language.
    Keyword(&'static str),
    /// Another word, or one with a backslash before it.
    Word(&'a str),
    Number(u32),
    /// Two to four numbers with dots between them.
    Dotted(&'a str),
    Ip6(Ipv6Addr),
    Mac([u8; 6]),
    /// An operator, by its usual spelling: `&&` is the keyword `and`, `==` is `=`.
    Symbol(&'static str),
    End,
}

/// Operators; those of two characters first.
const SYMBOLS: &[(&str, &str)] = &[
    (">=", ">="),
    ("<=", "<="),
    ("!=", "!="),
    ("==", "="),
    ("<<", "<<"),
    (">>", ">>"),
    ("+", "+"),
    ("-", "-"),
    ("*", "*"),
    ("/", "/"),
    ("%", "%"),
    (":", ":"),
    ("[", "["),
    ("]", "]"),
    ("!", "!"),
    ("<", "<"),
    (">", ">"),
    ("(", "("),
    (")", ")"),
    ("&", "&"),
    ("|", "|"),
    ("^", "^"),
    ("=", "="),
];

/// Cuts a text into words; the last is [`TokenKind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, FilterError> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        at += blank;
        let rest = rest.get(blank..).unwrap_or_default();
        let (kind, len) = token(rest, at)?;
        found.push(Token { at, kind });
        if kind == TokenKind::End {
            return Ok(found);
        }
        at += len;
    }
}

/// The first word of a text and its length.
fn token(text: &str, at: usize) -> Result<(TokenKind<'_>, usize), FilterError> {
    let Some(first) = text.chars().next() else { return Ok((TokenKind::End, 0)) };
    for (spelling, keyword) in [("&&", "and"), ("||", "or")] {
        if text.starts_with(spelling) {
            return Ok((TokenKind::Keyword(keyword), spelling.len()));
        }
    }
    if first == '\\' {
        let word = text
            .get(1..)
            .unwrap_or_default()
            .split([' ', '!', '(', ')', '\n', '\t'])
            .next()
            .unwrap_or_default();
        if word.is_empty() {
            return Err(FilterError::new(at, "a backslash with no name after it"));
        }
        return Ok((TokenKind::Word(word), 1 + word.len()));
    }
    let word = word_len(text);
    let number = number_len(text);
    let dotted = dotted_len(text);
    let mac = mac(text);
    let ip6 = ip6(text);
    let longest = word.max(number).max(dotted).max(mac.map_or(0, |m| m.1)).max(ip6.map_or(0, |v| v.1));
    let spelled = text.get(..longest).unwrap_or_default();
    if longest == 0 {
        let symbol = SYMBOLS.iter().find(|(spelling, _)| text.starts_with(spelling));
        return match symbol {
            Some((spelling, symbol)) => Ok((TokenKind::Symbol(symbol), spelling.len())),
            None => Err(FilterError::new(at, format!("unexpected character {first:?}"))),
        };
    }
    // The order is the scanner's: of rules that reach equally far the first counts.
    let kind = if let Some(keyword) = name::reserved(spelled) {
        TokenKind::Keyword(keyword)
    } else if let Some((mac, len)) = mac
        && len == longest
    {
        TokenKind::Mac(mac)
    } else if number == longest {
        TokenKind::Number(parse_number(spelled, at)?)
    } else if dotted == longest {
        TokenKind::Dotted(spelled)
    } else if let Some((ip6, len)) = ip6
        && len == longest
    {
        TokenKind::Ip6(ip6)
    } else if let Some(number) = name::constant(spelled) {
        TokenKind::Number(number)
    } else {
        TokenKind::Word(spelled)
    };
    Ok((kind, longest))
}

/// Letters and digits, with `-`, `_` and `.` between them.
fn word_len(text: &str) -> usize {
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) {
        return 0;
    }
    let run = text.bytes().take_while(inner).count();
    let run = text.get(..run).unwrap_or_default();
    run.trim_end_matches(['-', '_']).len()
}

fn number_len(text: &str) -> usize {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let hex = hex.map_or(0, |digits| digits.bytes().take_while(u8::is_ascii_hexdigit).count());
    if hex > 0 { 2 + hex } else { text.bytes().take_while(u8::is_ascii_digit).count() }
}

/// Two to four numbers with dots between them.
fn dotted_len(text: &str) -> usize {
    let mut len = number_len(text);
    let mut parts = 1;
    while len > 0 && parts < 4 {
        let next = text.get(len..).and_then(|rest| rest.strip_prefix('.')).map_or(0, number_len);
        if next == 0 {
            break;
        }
        len += 1 + next;
        parts += 1;
    }
    if parts < 2 { 0 } else { len }
}

/// A MAC address in any of its spellings: `0:1b:…`, with `-` or `.` instead, `001b.2233.4455`, `001b22334455`.
fn mac(text: &str) -> Option<([u8; 6], usize)> {
    let spelled = |separator: Option<u8>, groups: usize, digits: (usize, usize)| {
        let mut nibbles = Vec::with_capacity(12);
        let mut len = 0;
        for group in 0..groups {
            let rest = text.as_bytes().get(len..)?;
            let rest = match (group, separator) {
                (0, _) | (_, None) => rest,
                (_, Some(separator)) => {
                    len += 1;
                    rest.strip_prefix(&[separator])?
                }
            };
            let run = rest.iter().take(digits.1).take_while(|b| b.is_ascii_hexdigit()).count();
            if run < digits.0 {
                return None;
            }
            if run == 1 {
                nibbles.push(0);
            }
            nibbles.extend(rest.iter().take(run).filter_map(|b| char::from(*b).to_digit(16)));
            len += run;
        }
        let mut mac = [0; 6];
        for (byte, pair) in mac.iter_mut().zip(nibbles.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |sum, nibble| sum << 4 | *nibble as u8);
        }
        Some((mac, len))
    };
    let ways = [
        spelled(Some(b':'), 6, (1, 2)),
        spelled(Some(b'-'), 6, (1, 2)),
        spelled(Some(b'.'), 6, (1, 2)),
        spelled(Some(b'.'), 3, (4, 4)),
        spelled(None, 3, (4, 4)),
    ];
    ways.into_iter().flatten().max_by_key(|(_, len)| *len)
}

/// The longest beginning of the text that is an IPv6 address.
fn ip6(text: &str) -> Option<(Ipv6Addr, usize)> {
    // The longest address is eight groups, or six and a dotted quad: 45 characters.
    let run = text.bytes().take(45).take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count();
    let run = text.get(..run)?;
    let colons = run.bytes().filter(|b| *b == b':').count();
    if !run.contains("::") && colons < 6 {
        return None;
    }
    (2..=run.len()).rev().find_map(|len| Some((run.get(..len)?.parse().ok()?, len)))
}

fn parse_number(text: &str, at: usize) -> Result<u32, FilterError> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text.get(1..).unwrap_or_default(), 8),
        None => (text, 10),
    };
    if radix == 8 && digits.contains(['8', '9']) {
        return Err(FilterError::new(at, format!("{text} begins with 0 and has a digit that is not octal")));
    }
    u32::from_str_radix(digits, radix)
        .map_err(|_| FilterError::new(at, format!("{text} does not fit 32 bits")))
}
