//! Arithmetic: operators, and fields of packets.
//!
//! `%` and `^` have no precedence in libpcap's grammar: everything to the right of them belongs to them.

use super::super::lex::TokenKind;
use super::super::syntax::{Arithmetic, Operator, Protocol, Relation, Size};
use super::super::{FilterError, name};
use super::{Parser, expected};

/// Operators in one piece of arithmetic; the tree leans to the left as deep as that.
const MAX_OPERATORS: u32 = 100;
/// Binds stronger than any operator with a strength.
pub(super) const UNARY: u32 = 6;

impl Parser<'_> {
    /// `[index]` or `[index:size]` behind a protocol, from behind the bracket.
    pub(super) fn field(&mut self, at: usize, protocol: Protocol) -> Result<Arithmetic, FilterError> {
        let index = Box::new(self.deeper(|parser| parser.arithmetic(0))?);
        let mut size = Size::Byte;
        if self.take_symbol(":") {
            size = match self.number("a size of 1, 2 or 4")? {
                (_, 1) => Size::Byte,
                (_, 2) => Size::Half,
                (_, 4) => Size::Word,
                (at, other) => {
                    return Err(FilterError::new(at, format!("a size of {other}, it must be 1, 2 or 4")));
                }
            };
        }
        self.require("]", "`]`, `:` or an operator")?;
        Ok(Arithmetic::Field { at, protocol, index, size })
    }

    /// A piece of arithmetic of operators that bind at least as strong as `least`.
    pub(super) fn arithmetic(&mut self, least: u32) -> Result<Arithmetic, FilterError> {
        let left = self.deeper(|parser| parser.first_arithmetic())?;
        self.binary(left, least)
    }

    fn first_arithmetic(&mut self) -> Result<Arithmetic, FilterError> {
        let token = self.take();
        match token.kind {
            TokenKind::Number(value) => Ok(Arithmetic::Number(value)),
            TokenKind::Keyword("len" | "length") => Ok(Arithmetic::Length),
            TokenKind::Symbol("-") => Ok(Arithmetic::Negate(Box::new(self.arithmetic(UNARY)?))),
            TokenKind::Symbol("(") => {
                let inner = self.arithmetic(0)?;
                self.require(")", "`)` or an operator")?;
                Ok(inner)
            }
            TokenKind::Keyword(keyword) => {
                let Some(protocol) = name::protocol(keyword) else {
                    return Err(expected(token, "a number or a field"));
                };
                self.require("[", "`[` and the offset of a field")?;
                self.field(token.at, protocol)
            }
            _ => Err(expected(token, "a number or a field")),
        }
    }

    pub(super) fn binary(&mut self, mut left: Arithmetic, least: u32) -> Result<Arithmetic, FilterError> {
        loop {
            let token = self.peek();
            let Some((operator, strength)) = operator(token.kind) else { return Ok(left) };
            if strength.is_some_and(|strength| strength < least) {
                return Ok(left);
            }
            self.operators += 1;
            if self.operators > MAX_OPERATORS {
                return Err(FilterError::new(
                    token.at,
                    format!("more than {MAX_OPERATORS} operators in one relation"),
                ));
            }
            self.next += 1;
            let right = self.arithmetic(strength.map_or(0, |strength| strength + 1))?;
            left =
                Arithmetic::Binary { at: token.at, operator, left: Box::new(left), right: Box::new(right) };
        }
    }
}

/// An operator and how strong it binds; `%` and `^` have no strength.
pub(super) fn operator(kind: TokenKind<'_>) -> Option<(Operator, Option<u32>)> {
    let TokenKind::Symbol(symbol) = kind else { return None };
    Some(match symbol {
        "|" => (Operator::Or, Some(1)),
        "&" => (Operator::And, Some(2)),
        "<<" => (Operator::Shl, Some(3)),
        ">>" => (Operator::Shr, Some(3)),
        "+" => (Operator::Add, Some(4)),
        "-" => (Operator::Sub, Some(4)),
        "*" => (Operator::Mul, Some(5)),
        "/" => (Operator::Div, Some(5)),
        "%" => (Operator::Mod, None),
        "^" => (Operator::Xor, None),
        _ => return None,
    })
}

pub(super) fn relation(kind: TokenKind<'_>) -> Option<Relation> {
    let TokenKind::Symbol(symbol) = kind else { return None };
    Some(match symbol {
        "=" => Relation::Equal,
        "!=" => Relation::NotEqual,
        ">" => Relation::Greater,
        ">=" => Relation::GreaterOrEqual,
        "<" => Relation::Less,
        "<=" => Relation::LessOrEqual,
        _ => return None,
    })
}
