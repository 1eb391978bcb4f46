//! The language of `analyzer.topology.fabric`: one link in a text.
//!
//! ```text
//! link     = node arrow [ pairs ] ( node | wildcard )
//! arrow    = "->"                  ownership and layer 2
//!          | "-->"                 layer 2 only
//! node     = NAME [ pairs ]
//! wildcard = "*" [ pairs ] "/" node
//! pairs    = "[" KEY "=" VALUE { "," KEY "=" VALUE } "]"
//! ```
//!
//! A NAME goes up to the next bracket or arrow and may contain spaces. A VALUE in quotes may contain commas and brackets.
//! Behind a wildcard the NAME `*` is any name.

use skydive_value::SmolStr;
use thiserror::Error;

/// A link as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Link {
    pub(super) parent: Named,
    pub(super) arrow: Arrow,
    /// What the link says beside its type.
    pub(super) pairs: Vec<Pair>,
    pub(super) child: Child,
}

/// What a link means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrow {
    /// `->`
    Owns,
    /// `-->`
    Beside,
}

/// The second end of a link.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Child {
    /// A node described here.
    Node(Named),
    /// Whatever is like `child` and has a parent like `parent`.
    Wildcard { parent: Vec<Pair>, child: Named },
}

/// A name and what is said of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub(super) name: SmolStr,
    pub(super) pairs: Vec<Pair>,
    /// Where it begins, in bytes.
    pub(super) at: usize,
}

/// `KEY=VALUE`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) key: SmolStr,
    pub(super) value: SmolStr,
    /// Where it begins, in bytes.
    pub(super) at: usize,
}

/// A text that is no link.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{why}")]
pub(super) struct Wrong {
    /// Where, in bytes.
    pub(super) at: usize,
    pub(super) why: String,
}

/// The arrows, each before those that it contains.
const ARROWS: [(&str, Arrow); 2] = [("-->", Arrow::Beside), ("->", Arrow::Owns)];

/// A place in a text.
struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

/// Reads a link.
pub(super) fn parse(text: &str) -> Result<Link, Wrong> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.skip_space();
    if cursor.rest().starts_with('*') {
        return Err(cursor.wrong("a wildcard can only be the second end of a link"));
    }
    let parent = cursor.node()?;
    let Some(arrow) = cursor.arrow() else {
        return Err(if cursor.is_at_end() { cursor.one_end() } else { cursor.unexpected() });
    };
    cursor.skip_space();
    let pairs = cursor.pairs()?;
    cursor.skip_space();
    let child = if cursor.eat("*") {
        let parent = cursor.pairs()?;
        cursor.skip_space();
        if !cursor.eat("/") {
            return Err(cursor.wrong("`/` and the name of the child are expected after a wildcard"));
        }
        cursor.skip_space();
        Child::Wildcard { parent, child: cursor.node()? }
    } else {
        Child::Node(cursor.node()?)
    };
    if cursor.is_at_end() {
        return Ok(Link { parent, arrow, pairs, child });
    }
    Err(match cursor.arrow_here() {
        Some(_) => cursor.wrong("a second arrow: each link is an entry of its own"),
        None => cursor.unexpected(),
    })
}

/// The links in a text where white space stands both between them and in them: a word begins a new link when the one
/// before it can be complete.
pub fn split_links(text: &str) -> Vec<String> {
    let mut links: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let continues = word.starts_with(['[', ']', ',', '-', '/']);
        match links.last_mut() {
            Some(link) if continues || !may_be_complete(link) => {
                link.push(' ');
                link.push_str(word);
            }
            _ => links.push(word.to_owned()),
        }
    }
    links
}

/// Whether nothing is missing at the end: brackets are closed, and something stands after the arrow and its pairs.
fn may_be_complete(link: &str) -> bool {
    let mut cursor = Cursor { text: link, at: 0 };
    if cursor.node().is_err() || cursor.arrow().is_none() {
        return false;
    }
    cursor.skip_space();
    if cursor.pairs().is_err() {
        return false;
    }
    let end = cursor.rest().trim();
    !end.is_empty() && !end.ends_with('/') && end.matches('[').count() <= end.matches(']').count()
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, what: &str) -> bool {
        let is_here = self.rest().starts_with(what);
        if is_here {
            self.at += what.len();
        }
        is_here
    }

    fn arrow_here(&self) -> Option<(&'static str, Arrow)> {
        ARROWS.into_iter().find(|(text, _)| self.rest().starts_with(text))
    }

    fn arrow(&mut self) -> Option<Arrow> {
        self.skip_space();
        let (text, arrow) = self.arrow_here()?;
        self.at += text.len();
        Some(arrow)
    }

    fn node(&mut self) -> Result<Named, Wrong> {
        self.skip_space();
        let (at, rest) = (self.at, self.rest());
        let ends = |(at, c): (usize, char)| {
            let is_arrow = c == '-' && ARROWS.iter().any(|(text, _)| rest[at..].starts_with(text));
            (is_arrow || c == '[' || c == ']').then_some(at)
        };
        let length = rest.char_indices().find_map(ends).unwrap_or(rest.len());
        let name = rest[..length].trim_end();
        if name.is_empty() {
            return Err(self.one_end());
        }
        self.at += length;
        Ok(Named { name: name.into(), pairs: self.pairs()?, at })
    }

    /// The pairs that begin here, if any do.
    fn pairs(&mut self) -> Result<Vec<Pair>, Wrong> {
        self.skip_space();
        let open = self.at;
        if !self.eat("[") {
            return Ok(Vec::new());
        }
        let mut pairs: Vec<Pair> = Vec::new();
        loop {
            let pair = self.pair(open)?;
            if pairs.iter().any(|other| other.key == pair.key) {
                let why = format!("`{}` is given twice", pair.key);
                return Err(Wrong { at: pair.at, why });
            }
            pairs.push(pair);
            self.skip_space();
            if self.eat("]") {
                return Ok(pairs);
            }
            if !self.eat(",") {
                return Err(if self.rest().is_empty() { not_closed(open) } else { self.unexpected() });
            }
        }
    }

    fn pair(&mut self, open: usize) -> Result<Pair, Wrong> {
        self.skip_space();
        let at = self.at;
        let rest = self.rest();
        let Some(length) = rest.find(['=', ',', ']', '[']) else { return Err(not_closed(open)) };
        let key = rest[..length].trim().trim_matches(is_quote).trim();
        if key.is_empty() || !rest[length..].starts_with('=') {
            return Err(self.wrong("KEY=VALUE is expected"));
        }
        self.at += length + 1;
        Ok(Pair { key: key.into(), value: self.value(open)?, at })
    }

    fn value(&mut self, open: usize) -> Result<SmolStr, Wrong> {
        self.skip_space();
        let rest = self.rest();
        if let Some(quote) = rest.chars().next().filter(|c| is_quote(*c)) {
            let Some(length) = rest[1..].find(quote) else {
                return Err(self.wrong("the quote is not closed"));
            };
            self.at += length + 2;
            return Ok(rest[1..=length].into());
        }
        let Some(length) = rest.find([',', ']']) else { return Err(not_closed(open)) };
        self.at += length;
        Ok(rest[..length].trim().into())
    }

    fn wrong(&self, why: impl Into<String>) -> Wrong {
        Wrong { at: self.at, why: why.into() }
    }

    /// In the words of the original, by which logs are searched.
    fn one_end(&self) -> Wrong {
        self.wrong(format!("Fabric link definition should have two endpoints: {}", self.text))
    }

    fn unexpected(&self) -> Wrong {
        let c = self.rest().chars().next().unwrap_or(' ');
        self.wrong(format!("`{}` is not expected here", c.escape_debug()))
    }
}

fn is_quote(c: char) -> bool {
    c == '"' || c == '\''
}

fn not_closed(open: usize) -> Wrong {
    Wrong { at: open, why: "`[` is not closed".to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A link in a fixed form: `parent{k=v} arrow {k=v} child{k=v}`.
    fn shown(link: &Link) -> String {
        let pairs = |pairs: &[Pair]| {
            let pairs: Vec<String> = pairs.iter().map(|p| format!("{}={}", p.key, p.value)).collect();
            format!("{{{}}}", pairs.join("|"))
        };
        let named = |node: &Named| format!("{}{}", node.name, pairs(&node.pairs));
        let arrow = if link.arrow == Arrow::Owns { "->" } else { "-->" };
        let child = match &link.child {
            Child::Node(node) => named(node),
            Child::Wildcard { parent, child } => format!("*{}/{}", pairs(parent), named(child)),
        };
        format!("{} {arrow} {} {child}", named(&link.parent), pairs(&link.pairs))
    }

    #[test]
    fn links_are_read() {
        for (text, expected) in [
            ("TOR[Name=tor] -> TOR_PORT1[Name=port1]", "TOR{Name=tor} -> {} TOR_PORT1{Name=port1}"),
            (
                "TOR1[Name=tor1] -> [color=red] TOR1_PORT2[Name=port2, MTU=1500]",
                "TOR1{Name=tor1} -> {color=red} TOR1_PORT2{Name=port2|MTU=1500}",
            ),
            ("TOR_PORT1 --> TOR1_PORT1", "TOR_PORT1{} --> {} TOR1_PORT1{}"),
            ("TOR1_PORT2 --> *[Type=host]/eth0", "TOR1_PORT2{} --> {} *{Type=host}/eth0{}"),
            ("TOR->*[Type=host]/eth0[Type=device]", "TOR{} -> {} *{Type=host}/eth0{Type=device}"),
            ("a-->[x=1,y=2]*[Type=host]/eth0", "a{} --> {x=1|y=2} *{Type=host}/eth0{}"),
            ("a --> */eth0", "a{} --> {} *{}/eth0{}"),
            ("a --> *[Type=host] / *[Type=bond]", "a{} --> {} *{Type=host}/*{Type=bond}"),
            ("rack-1 top -> port 0/1", "rack-1 top{} -> {} port 0/1{}"),
            ("a--->b", "a-{} --> {} b{}"),
            ("  é [ Name = \"a, ]b\" , \"k\"='v=1' ]->ü ", "é{Name=a, ]b|k=v=1} -> {} ü{}"),
            ("a[x=] -> b", "a{x=} -> {} b{}"),
        ] {
            assert_eq!(parse(text).map(|link| shown(&link)), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let ends = "Fabric link definition should have two endpoints: ";
        for (text, at, why) in [
            ("", 0, ends),
            ("TOR", 3, ends),
            ("-> b", 0, ends),
            ("a ->", 4, ends),
            ("a -> [color=red]", 16, ends),
            ("a -> -> b", 5, ends),
            ("a --> *[Type=host]/", 19, ends),
            ("*[Type=host]/eth0 --> a", 0, "a wildcard can only be the second end of a link"),
            ("a --> *[Type=host]", 18, "`/` and the name of the child are expected after a wildcard"),
            ("a --> *eth0", 7, "`/` and the name of the child are expected after a wildcard"),
            ("a -> b -> c", 7, "a second arrow: each link is an entry of its own"),
            ("a[Name=x", 1, "`[` is not closed"),
            ("a[Name", 1, "`[` is not closed"),
            ("a[] -> b", 2, "KEY=VALUE is expected"),
            ("a[Name] -> b", 2, "KEY=VALUE is expected"),
            ("a[=x] -> b", 2, "KEY=VALUE is expected"),
            ("a[x=1,] -> b", 6, "KEY=VALUE is expected"),
            ("a[x=1, x=2] -> b", 7, "`x` is given twice"),
            ("a[x=\"1] -> b", 4, "the quote is not closed"),
            ("a[x=\"1\"2] -> b", 7, "`2` is not expected here"),
            ("a] -> b", 1, "`]` is not expected here"),
            ("a -> b[x=1] c", 12, "`c` is not expected here"),
        ] {
            let wrong = parse(text).unwrap_err();
            let full = if why == ends { format!("{why}{text}") } else { why.to_owned() };
            assert_eq!((wrong.at, wrong.why), (at, full), "{text}");
        }
    }

    #[test]
    fn one_text_may_hold_many_links() {
        for (text, expected) in [
            ("", &[][..]),
            ("a->b c-->*[Type=host]/eth0", &["a->b", "c-->*[Type=host]/eth0"]),
            ("a -> b\n c --> d", &["a -> b", "c --> d"]),
            ("a[x=1, y=2] -> [c=red] b [n=1, m=2] c->d", &["a[x=1, y=2] -> [c=red] b [n=1, m=2]", "c->d"]),
            ("a --> *[Type=host] / eth0 b -> c", &["a --> *[Type=host] / eth0", "b -> c"]),
            ("a -> b c", &["a -> b", "c"]),
        ] {
            assert_eq!(split_links(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,40}") {
            let _ = parse(&text);
            let _ = split_links(&text);
        }

        #[test]
        fn no_odd_link_is_too_strange(text in "[a*é\\[\\]=,/\"' >-]{0,24}") {
            let places = parse(&text).map_err(|wrong| text.is_char_boundary(wrong.at));
            prop_assert!(places != Err(false));
            let whole: String = split_links(&text).concat();
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&whole), letters(&text));
        }
    }
}
