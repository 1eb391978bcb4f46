//! Tokens of a query, with the byte each starts at.

use std::borrow::Cow;

/// Where a text ends. The language has grown from the first rule to the second; a query that makes sense under the
/// first keeps the meaning it always had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// At the next quote of either kind, or at the end of the query.
    Any,
    /// At the quote it began with, unless a backslash stands before it.
    Matching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Ident,
    Number,
    Text,
    Open,
    Close,
    Comma,
    Dot,
    Illegal,
    End,
}

/// A token; `text` is what error messages quote: the content of a text, nothing at the end.
#[derive(Clone, Debug)]
pub(crate) struct Token<'t> {
    pub kind: TokenKind,
    pub text: Cow<'t, str>,
    pub at: usize,
}

#[derive(Debug)]
pub(crate) struct Lexer<'t> {
    query: &'t str,
    at: usize,
    quotes: Quotes,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(query: &'t str, quotes: Quotes) -> Self {
        Self { query, at: 0, quotes }
    }

    pub(crate) fn next(&mut self) -> Token<'t> {
        self.take_while(|c| matches!(c, ' ' | '\t' | '\n'));
        let at = self.at;
        let rest = &self.query[at..];
        let mut chars = rest.chars();
        let Some(first) = chars.next() else {
            return Token { kind: TokenKind::End, text: Cow::Borrowed(""), at };
        };
        self.at += first.len_utf8();
        let is_negative = first == '-' && chars.next().is_some_and(|c| c.is_ascii_digit());
        let kind = match first {
            '(' => TokenKind::Open,
            ')' => TokenKind::Close,
            ',' => TokenKind::Comma,
            '.' => TokenKind::Dot,
            '"' | '\'' => return Token { kind: TokenKind::Text, text: self.string(first), at },
            'a'..='z' | 'A'..='Z' => {
                self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
                TokenKind::Ident
            }
            '0'..='9' | '-' if first != '-' || is_negative => {
                self.take_while(|c| c.is_ascii_digit() || c == '.');
                TokenKind::Number
            }
            _ => TokenKind::Illegal,
        };
        Token { kind, text: Cow::Borrowed(&self.query[at..self.at]), at }
    }

    fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) {
        let rest = &self.query[self.at..];
        self.at += rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    }

    /// The content up to the closing quote, which is skipped.
    fn string(&mut self, open: char) -> Cow<'t, str> {
        let rest = &self.query[self.at..];
        let mut escaped = false;
        let end = rest.find(|c| {
            let closes = match self.quotes {
                Quotes::Any => matches!(c, '"' | '\''),
                Quotes::Matching => c == open && !escaped,
            };
            escaped = c == '\\' && !escaped;
            closes
        });
        self.at += end.map_or(rest.len(), |end| end + 1);
        unescape(&rest[..end.unwrap_or(rest.len())])
    }
}

/// Resolves `\\`, `\"`, `\'`, `\n`, `\r`, `\t` and `\u` with four hexadecimal digits, which is what programs that
/// build queries write. Any other backslash stays, so that a pattern written by hand (`\d`, `\.`) means what it says.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (c, len) = match after.as_bytes().first() {
            Some(b'\\') => ('\\', 1),
            Some(b'"') => ('"', 1),
            Some(b'\'') => ('\'', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'u') => match after.get(1..5).and_then(unicode) {
                Some(c) => (c, 5),
                None => ('\\', 0),
            },
            _ => ('\\', 0),
        };
        out.push(c);
        rest = &after[len..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn unicode(digits: &str) -> Option<char> {
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(query: &str, quotes: Quotes) -> Vec<(TokenKind, String, usize)> {
        let mut lexer = Lexer::new(query, quotes);
        std::iter::from_fn(|| {
            let token = lexer.next();
            (token.kind != TokenKind::End).then(|| (token.kind, token.text.into_owned(), token.at))
        })
        .collect()
    }

    #[test]
    fn tokens_know_where_they_start() {
        use TokenKind::*;
        let tokens = all("g.V( 'é', -12.5 , 10s-\r)", Quotes::Any);
        let expected = [
            (Ident, "g", 0),
            (Dot, ".", 1),
            (Ident, "V", 2),
            (Open, "(", 3),
            (Text, "é", 5),
            (Comma, ",", 9),
            (Number, "-12.5", 11),
            (Comma, ",", 17),
            (Number, "10", 19),
            (Ident, "s", 21),
            (Illegal, "-", 22),
            (Illegal, "\r", 23),
            (Close, ")", 24),
        ];
        assert_eq!(tokens, expected.map(|(k, t, at)| (k, t.to_owned(), at)));
    }

    #[test]
    fn escapes() {
        for (written, read) in [
            (r"a\\b", r"a\b"),
            (r"\d\.", r"\d\."),
            (r"\u0026\u00e9\u12", "&é\\u12"),
            (r#"\"\'"#, "\"'"),
            ("\\", "\\"),
            (r"\n\q", "\n\\q"),
            (r"\uD800", r"\uD800"),
        ] {
            assert_eq!(unescape(written), read, "{written}");
        }
    }

    #[test]
    fn a_text_ends_at_its_own_quote() {
        assert_eq!(all(r#""it's""#, Quotes::Matching)[0].1, "it's");
        assert_eq!(all(r"'it\'s'", Quotes::Matching)[0].1, "it's");
        assert_eq!(all(r"'a\\'", Quotes::Matching).len(), 1);
        assert_eq!(all(r#"'a" "#, Quotes::Any)[0].1, "a");
    }
}
