//! Words to a tree: qualifiers that are left out are those of the name before.
//!
//! An opening parenthesis may begin a filter, a list of names that share the qualifiers before it, or a piece of
//! arithmetic; what it was is known at its end, so that [`Parser::operand`] gives any of them.

mod arithmetic;

use super::lex::{self, Token, TokenKind};
use super::syntax::{
    Arithmetic, Direction, Expr, Joint, Kind, LlcFrame, Name, Named, Protocol, Qualifiers, Tunnel, Way,
};
use super::{FilterError, name};
use arithmetic::{UNARY, operator, relation};

/// How deep parentheses, negations and arithmetic may nest; bounds the stack.
const MAX_DEPTH: u32 = 100;

/// Control fields of LLC frames by name: supervisory ones are compared under 0x0f, unnumbered under 0xef.
const LLC_FRAMES: &[(&str, LlcFrame)] = &[
    ("i", LlcFrame::Information),
    ("s", LlcFrame::Control { value: 0x01, mask: 0x03 }),
    ("u", LlcFrame::Control { value: 0x03, mask: 0x03 }),
    ("rr", LlcFrame::Control { value: 0x01, mask: 0x0f }),
    ("rnr", LlcFrame::Control { value: 0x05, mask: 0x0f }),
    ("rej", LlcFrame::Control { value: 0x09, mask: 0x0f }),
    ("ui", LlcFrame::Control { value: 0x03, mask: 0xef }),
    ("ua", LlcFrame::Control { value: 0x63, mask: 0xef }),
    ("disc", LlcFrame::Control { value: 0x43, mask: 0xef }),
    ("dm", LlcFrame::Control { value: 0x0f, mask: 0xef }),
    ("sabme", LlcFrame::Control { value: 0x6f, mask: 0xef }),
    ("test", LlcFrame::Control { value: 0xe3, mask: 0xef }),
    ("xid", LlcFrame::Control { value: 0xaf, mask: 0xef }),
    ("frmr", LlcFrame::Control { value: 0x87, mask: 0xef }),
];

/// Reads a filter; nothing for an empty one.
pub(super) fn parse(text: &str) -> Result<Option<Expr>, FilterError> {
    let mut parser = Parser { tokens: lex::tokens(text)?, next: 0, depth: 0, operators: 0 };
    if parser.peek().kind == TokenKind::End {
        return Ok(None);
    }
    let expr = parser.chain(None)?.0;
    match parser.peek() {
        Token { kind: TokenKind::End, .. } => Ok(Some(expr)),
        token => Err(expected(
            token,
            match token.kind {
                TokenKind::Keyword(_) | TokenKind::Symbol(_) => "`and`, `or` or the end",
                _ => "`and`, `or` or the end, or a qualifier such as `host` or `port` before it",
            },
        )),
    }
}

/// What may stand between two joints.
enum Operand {
    /// A number, in parentheses or not: a name, or the beginning of a relation.
    Number { at: usize, value: u32 },
    /// Arithmetic that no relation followed.
    Arithmetic(Arithmetic),
    /// Names only, with the qualifiers before them.
    Names(Expr),
    /// A whole condition, and the qualifiers that names after it inherit.
    Whole(Expr, Option<Qualifiers>),
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    depth: u32,
    /// Operators of the arithmetic that is being read.
    operators: u32,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        const NOTHING: Token<'static> = Token { at: 0, kind: TokenKind::End };
        self.tokens.get(self.next).or(self.tokens.last()).copied().unwrap_or(NOTHING)
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek().kind, TokenKind::Symbol(s) if s == symbol);
        self.next += usize::from(found);
        found
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek().kind, TokenKind::Keyword(k) if k == keyword);
        self.next += usize::from(found);
        found
    }

    fn take_joint(&mut self) -> Option<Joint> {
        let joint = match self.peek().kind {
            TokenKind::Keyword("and") => Joint::And,
            TokenKind::Keyword("or") => Joint::Or,
            _ => return None,
        };
        self.next += 1;
        Some(joint)
    }

    fn require(&mut self, symbol: &str, what: &str) -> Result<(), FilterError> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(expected(self.peek(), what)) }
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        if self.depth == MAX_DEPTH {
            return Err(FilterError::new(self.peek().at, format!("nested deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Operands and joints up to something that is neither; what names after them inherit.
    fn chain(&mut self, inherited: Option<Qualifiers>) -> Result<(Expr, Option<Qualifiers>), FilterError> {
        let operand = self.operand(inherited)?;
        self.chain_from(operand, inherited)
    }

    fn chain_from(
        &mut self,
        first: Operand,
        inherited: Option<Qualifiers>,
    ) -> Result<(Expr, Option<Qualifiers>), FilterError> {
        let (first, mut inherited) = self.whole(first, inherited)?;
        let mut rest = Vec::new();
        while let Some(joint) = self.take_joint() {
            let operand = self.operand(inherited)?;
            let (expr, passed_on) = self.whole(operand, inherited)?;
            rest.push((joint, expr));
            inherited = passed_on;
        }
        Ok((chained(first, rest), inherited))
    }

    /// The operand as a condition, and what names after it inherit.
    fn whole(
        &self,
        operand: Operand,
        inherited: Option<Qualifiers>,
    ) -> Result<(Expr, Option<Qualifiers>), FilterError> {
        match operand {
            Operand::Number { at, value } => Ok((named(at, inherited, Name::Number(value))?, inherited)),
            Operand::Names(expr) => Ok((expr, inherited)),
            Operand::Whole(expr, passed_on) => Ok((expr, passed_on)),
            Operand::Arithmetic(_) => Err(expected(self.peek(), "a relation such as `=` or `>`")),
        }
    }

    fn operand(&mut self, inherited: Option<Qualifiers>) -> Result<Operand, FilterError> {
        let before = self.operators;
        let operand = self.operand_or_arithmetic(inherited)?;
        if !matches!(operand, Operand::Arithmetic(_)) {
            self.operators = before;
        }
        Ok(operand)
    }

    fn operand_or_arithmetic(&mut self, inherited: Option<Qualifiers>) -> Result<Operand, FilterError> {
        let first = self.deeper(|parser| parser.first_operand(inherited))?;
        let left = match first {
            Operand::Number { value, .. } if self.continues_arithmetic() => Arithmetic::Number(value),
            Operand::Arithmetic(left) => left,
            other => return Ok(other),
        };
        let left = self.binary(left, 0)?;
        let token = self.peek();
        let Some(relation) = relation(token.kind) else { return Ok(Operand::Arithmetic(left)) };
        self.next += 1;
        let right = self.arithmetic(0)?;
        Ok(Operand::Whole(Expr::Relation { at: token.at, left, relation, right }, None))
    }

    fn continues_arithmetic(&self) -> bool {
        let kind = self.peek().kind;
        operator(kind).is_some() || relation(kind).is_some()
    }

    fn first_operand(&mut self, inherited: Option<Qualifiers>) -> Result<Operand, FilterError> {
        let token = self.peek();
        match token.kind {
            TokenKind::Symbol("!") | TokenKind::Keyword("not") => {
                self.next += 1;
                Ok(match self.operand(inherited)? {
                    Operand::Whole(expr, passed_on) => Operand::Whole(Expr::Not(Box::new(expr)), passed_on),
                    names => Operand::Names(Expr::Not(Box::new(self.whole(names, inherited)?.0))),
                })
            }
            TokenKind::Symbol("(") => {
                self.next += 1;
                self.parenthesis(inherited)
            }
            TokenKind::Symbol("-") | TokenKind::Keyword("len" | "length") => {
                Ok(Operand::Arithmetic(self.arithmetic(UNARY)?))
            }
            TokenKind::Number(value) => {
                self.next += 1;
                Ok(Operand::Number { at: token.at, value })
            }
            TokenKind::Keyword(keyword) => self.primitive(token.at, keyword),
            _ => Ok(Operand::Names(self.name(inherited)?)),
        }
    }

    /// What is in parentheses, from behind the opening one.
    fn parenthesis(&mut self, inherited: Option<Qualifiers>) -> Result<Operand, FilterError> {
        let first = self.operand(inherited)?;
        let closes = matches!(self.peek().kind, TokenKind::Symbol(")"));
        let operand = match first {
            Operand::Arithmetic(_) | Operand::Number { .. } | Operand::Names(_) if closes => first,
            Operand::Number { .. } | Operand::Names(_) => {
                let (first, _) = self.whole(first, inherited)?;
                let mut rest = Vec::new();
                while let Some(joint) = self.take_joint() {
                    rest.push((joint, self.name(inherited)?));
                }
                Operand::Names(chained(first, rest))
            }
            first => Operand::Whole(self.chain_from(first, inherited)?.0, inherited),
        };
        self.require(")", "`)`, `and` or `or`")?;
        Ok(operand)
    }

    /// One name, or several in parentheses, all with the same qualifiers.
    fn name(&mut self, qualifiers: Option<Qualifiers>) -> Result<Expr, FilterError> {
        let token = self.take();
        let name = match token.kind {
            TokenKind::Symbol("!") | TokenKind::Keyword("not") => {
                return Ok(Expr::Not(Box::new(self.deeper(|parser| parser.name(qualifiers))?)));
            }
            TokenKind::Symbol("(") => {
                let first = self.deeper(|parser| parser.name(qualifiers))?;
                let mut rest = Vec::new();
                while let Some(joint) = self.take_joint() {
                    rest.push((joint, self.deeper(|parser| parser.name(qualifiers))?));
                }
                self.require(")", "`)`, `and` or `or`")?;
                return Ok(chained(first, rest));
            }
            TokenKind::Number(value) => Name::Number(value),
            TokenKind::Word(word) => Name::Word(word.to_owned()),
            TokenKind::Mac(mac) => Name::Mac(mac),
            TokenKind::Dotted(text) => {
                let (address, bits) = dotted(token.at, text)?;
                if self.take_symbol("/") {
                    let (at, len) = self.number("the length of the prefix")?;
                    let mask = prefix_mask(at, len, 32)? as u32;
                    masked(token.at, address, mask)?
                } else if self.take_keyword("mask") {
                    let TokenKind::Dotted(mask) = self.peek().kind else {
                        return Err(expected(self.peek(), "a mask such as 255.255.0.0"));
                    };
                    let (mask, _) = dotted(self.take().at, mask)?;
                    masked(token.at, address, mask)?
                } else {
                    Name::Dotted { address, bits }
                }
            }
            TokenKind::Ip6(address) => {
                let prefix = self.take_symbol("/");
                let mut bits = 128;
                if prefix {
                    let (at, len) = self.number("the length of the prefix")?;
                    if address.to_bits() & !prefix_mask(at, len, 128)? != 0 {
                        return Err(FilterError::new(
                            token.at,
                            format!("{address} has bits behind its prefix of {len}"),
                        ));
                    }
                    bits = len;
                }
                Name::Ip6 { address, bits, prefix }
            }
            TokenKind::Keyword(keyword) if qualifiers.is_some() && name::protocol(keyword).is_some() => {
                return Err(expected(
                    token,
                    &format!("an address, port or name (`\\{keyword}` is the name)"),
                ));
            }
            _ if qualifiers.is_none() => {
                return Err(expected(token, "a condition such as `tcp`, `host ADDRESS` or `port NUMBER`"));
            }
            _ => return Err(expected(token, "an address, port or name")),
        };
        named(token.at, qualifiers, name)
    }

    fn number(&mut self, what: &str) -> Result<(usize, u32), FilterError> {
        match self.peek() {
            Token { at, kind: TokenKind::Number(value) } => {
                self.next += 1;
                Ok((at, value))
            }
            token => Err(expected(token, what)),
        }
    }

    /// A condition that begins with a keyword.
    fn primitive(&mut self, at: usize, keyword: &'static str) -> Result<Operand, FilterError> {
        self.next += 1;
        if let Some(why) = name::refusal(keyword) {
            return Err(FilterError::new(at, format!("`{keyword}` {why}")));
        }
        let expr = match keyword {
            "src" | "dst" | "host" | "net" | "port" | "portrange" | "proto" | "broadcast" | "multicast" => {
                self.next -= 1;
                return self.qualified(at, None);
            }
            "less" => Expr::AtMost(self.number("a number of bytes")?.1),
            "greater" => Expr::AtLeast(self.number("a number of bytes")?.1),
            "inbound" => Expr::Sent { at, way: Way::In },
            "outbound" => Expr::Sent { at, way: Way::Out },
            "ifindex" => Expr::Interface { at, index: self.number("an interface index")?.1 },
            "pppoed" => Expr::PppoeDiscovery { at },
            "vlan" => Expr::Tunnel { at, tunnel: Tunnel::Vlan, number: self.tunnel_number()? },
            "mpls" => Expr::Tunnel { at, tunnel: Tunnel::Mpls, number: self.tunnel_number()? },
            "pppoes" => Expr::Tunnel { at, tunnel: Tunnel::PppoeSession, number: self.tunnel_number()? },
            "geneve" => Expr::Tunnel { at, tunnel: Tunnel::Geneve, number: self.tunnel_number()? },
            "llc" => Expr::Llc { at, frame: self.llc_frame()? },
            _ => match name::protocol(keyword) {
                Some(protocol) => return self.qualified(at, Some(protocol)),
                None => return Err(expected(Token { at, kind: TokenKind::Keyword(keyword) }, "a condition")),
            },
        };
        Ok(Operand::Whole(expr, None))
    }

    /// The number behind `vlan` and the like, which may be in parentheses.
    fn tunnel_number(&mut self) -> Result<Option<u32>, FilterError> {
        if self.take_symbol("(") {
            let number = self.deeper(Self::tunnel_number)?;
            if number.is_none() {
                return Err(expected(self.peek(), "a number"));
            }
            self.require(")", "`)`")?;
            return Ok(number);
        }
        let TokenKind::Number(value) = self.peek().kind else { return Ok(None) };
        self.next += 1;
        Ok(Some(value))
    }

    fn llc_frame(&mut self) -> Result<LlcFrame, FilterError> {
        let token = self.peek();
        let word = match token.kind {
            TokenKind::Word(word) => word,
            TokenKind::Keyword("rnr") => "rnr",
            _ => return Ok(LlcFrame::Any),
        };
        self.next += 1;
        let frame = LLC_FRAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        frame
            .map(|(_, frame)| *frame)
            .ok_or_else(|| expected(token, "a type of LLC frame such as `i`, `s`, `u` or `ui`"))
    }

    /// What follows a protocol, or the qualifiers that stand without one.
    fn qualified(&mut self, at: usize, protocol: Option<Protocol>) -> Result<Operand, FilterError> {
        let token = self.peek();
        let mut qualifiers = Qualifiers { protocol, direction: Direction::Unsaid, kind: Kind::Host };
        match token.kind {
            TokenKind::Symbol("[") => {
                if let Some(protocol) = protocol {
                    self.next += 1;
                    return Ok(Operand::Arithmetic(self.field(at, protocol)?));
                }
            }
            TokenKind::Keyword("broadcast") => {
                self.next += 1;
                return Ok(Operand::Whole(Expr::Broadcast { at, protocol }, None));
            }
            TokenKind::Keyword("multicast") => {
                self.next += 1;
                return Ok(Operand::Whole(Expr::Multicast { at, protocol }, None));
            }
            TokenKind::Keyword("proto") => {
                self.next += 1;
                qualifiers.kind = Kind::Proto;
            }
            TokenKind::Keyword("src" | "dst") => {
                qualifiers.direction = self.direction()?;
                qualifiers.kind = self.kind().unwrap_or(Kind::Host);
            }
            TokenKind::Keyword(keyword) => match (self.kind(), name::refusal(keyword), protocol) {
                (Some(kind), ..) => qualifiers.kind = kind,
                (None, Some(why), _) => return Err(FilterError::new(token.at, format!("`{keyword}` {why}"))),
                (None, None, Some(protocol)) => {
                    return Ok(Operand::Whole(Expr::Protocol { at, protocol }, None));
                }
                (None, None, None) => return Err(expected(token, "a condition")),
            },
            _ => {
                if let Some(protocol) = protocol {
                    return Ok(Operand::Whole(Expr::Protocol { at, protocol }, None));
                }
            }
        }
        let expr = self.name(Some(qualifiers))?;
        Ok(Operand::Whole(expr, Some(qualifiers)))
    }

    /// `src`, `dst`, or both of them joined.
    fn direction(&mut self) -> Result<Direction, FilterError> {
        let first = self.take();
        let (plain, other) = match first.kind {
            TokenKind::Keyword("src") => (Direction::Src, "dst"),
            _ => (Direction::Dst, "src"),
        };
        let Some(joint) = self.take_joint() else { return Ok(plain) };
        if !self.take_keyword(other) {
            return Err(expected(self.peek(), &format!("`{other}`")));
        }
        Ok(if joint == Joint::Or { Direction::Either } else { Direction::Both })
    }

    fn kind(&mut self) -> Option<Kind> {
        let kind = match self.peek().kind {
            TokenKind::Keyword("host") => Kind::Host,
            TokenKind::Keyword("net") => Kind::Net,
            TokenKind::Keyword("port") => Kind::Port,
            TokenKind::Keyword("portrange") => Kind::PortRange,
            _ => return None,
        };
        self.next += 1;
        Some(kind)
    }
}

fn chained(first: Expr, rest: Vec<(Joint, Expr)>) -> Expr {
    if rest.is_empty() { first } else { Expr::Chain(Box::new(first), rest) }
}

fn named(at: usize, qualifiers: Option<Qualifiers>, name: Name) -> Result<Expr, FilterError> {
    match qualifiers {
        Some(qualifiers) => Ok(Expr::Named(Named { at, qualifiers, name })),
        None => Err(FilterError::new(
            at,
            "expected `host`, `net`, `port` or the like before an address, port or name",
        )),
    }
}

/// Left-justified, with the number of bits that were written.
fn dotted(at: usize, text: &str) -> Result<(u32, u32), FilterError> {
    let mut address = 0;
    let mut bits = 0;
    for part in text.split('.') {
        let wrong =
            || FilterError::new(at, format!("{text} is not an IPv4 address: {part} is not in 0 to 255"));
        let value: u8 = part.parse().map_err(|_| wrong())?;
        address = address << 8 | u32::from(value);
        bits += 8;
    }
    Ok((address << (32 - bits), bits))
}

fn masked(at: usize, address: u32, mask: u32) -> Result<Name, FilterError> {
    if address & !mask != 0 {
        return Err(FilterError::new(at, "the address has bits that the mask does not cover"));
    }
    Ok(Name::Masked { address, mask })
}

/// The mask of a prefix, in the low `width` bits.
fn prefix_mask(at: usize, len: u32, width: u32) -> Result<u128, FilterError> {
    if len > width {
        return Err(FilterError::new(at, format!("a prefix of {len} bits, at most {width} are possible")));
    }
    let all = u128::MAX >> (128 - width);
    Ok(all & !all.checked_shr(len).unwrap_or(0))
}

fn expected(token: Token<'_>, what: &str) -> FilterError {
    let found = match token.kind {
        TokenKind::Keyword(word) => format!("`{word}`"),
        TokenKind::Word(word) | TokenKind::Dotted(word) => format!("`{word}`"),
        TokenKind::Symbol(symbol) => format!("`{symbol}`"),
        TokenKind::Number(value) => value.to_string(),
        TokenKind::Ip6(address) => address.to_string(),
        TokenKind::Mac(_) => "a MAC address".to_owned(),
        TokenKind::End => "the end".to_owned(),
    };
    FilterError::new(token.at, format!("expected {what}, found {found}"))
}
