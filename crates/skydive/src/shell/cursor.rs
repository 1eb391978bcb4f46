//! Where in a query the cursor stands: what the text before it leaves open.

/// A place in a query and the word that is being written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Byte at which the word begins, behind its quote if it has one.
    pub(super) start: usize,
    /// The word so far, without escapes.
    pub(super) word: String,
    /// The quote that is open.
    pub(super) quote: Option<char>,
    pub(super) place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the first word.
    Begin,
    /// Behind a dot. The steps before it, the first is the graph.
    Step(Vec<String>),
    /// Among arguments. The steps before the one that has them, and the calls that are open, outermost first.
    Argument { before: Vec<String>, calls: Vec<Call> },
}

/// A call that is not closed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// The arguments before the one at the cursor: their text, if they are texts.
    pub(super) given: Vec<Option<String>>,
    /// The one at the cursor, if it is complete.
    current: Option<String>,
}

/// A piece of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Word,
    Text,
    /// A text whose quote is not there yet.
    OpenText(char),
    Mark(char),
}

struct Token {
    piece: Piece,
    start: usize,
    end: usize,
    text: String,
}

impl Cursor {
    /// The place at the end of `text`; `None` where nothing can be completed.
    pub(super) fn find(text: &str) -> Option<Self> {
        let tokens = tokens(text);
        let (mut steps, mut calls): (Vec<String>, Vec<Call>) = (Vec::new(), Vec::new());
        // All but the last, if the cursor is in it.
        let last = tokens.last().filter(|token| match token.piece {
            Piece::Word => token.end == text.len(),
            Piece::OpenText(_) => true,
            _ => false,
        });
        let whole = tokens.len() - usize::from(last.is_some());
        for (at, token) in tokens[..whole].iter().enumerate() {
            match (token.piece, calls.last_mut()) {
                (Piece::Word, None) => steps.push(token.text.clone()),
                (Piece::Word, Some(call)) => call.current = Some(token.text.clone()),
                (Piece::Text, Some(call)) => call.current = Some(token.text.clone()),
                (Piece::Mark('('), call) => {
                    let name = match tokens[..at].last() {
                        Some(Token { piece: Piece::Word, text, .. }) => text.clone(),
                        _ => return None,
                    };
                    if let Some(call) = call {
                        call.current = None;
                    }
                    calls.push(Call { name, given: Vec::new(), current: None });
                }
                (Piece::Mark(')'), Some(_)) => drop(calls.pop()),
                (Piece::Mark(','), Some(call)) => {
                    let given = call.current.take();
                    call.given.push(given);
                }
                (Piece::Mark(_), _) => {}
                _ => return None,
            }
        }
        let before = tokens[..whole].last().map(|token| token.piece);
        let place = match (before, calls.is_empty()) {
            (None, _) => Place::Begin,
            (Some(Piece::Mark('.')), true) => Place::Step(steps),
            (Some(Piece::Mark('(' | ',')), false) => {
                // The outermost call is the step itself.
                steps.pop();
                Place::Argument { before: steps, calls }
            }
            _ => return None,
        };
        let Some(last) = last else {
            return Some(Self { start: text.len(), word: String::new(), quote: None, place });
        };
        let quote = match last.piece {
            Piece::OpenText(quote) => Some(quote),
            _ => None,
        };
        if quote.is_some() && !matches!(place, Place::Argument { .. }) {
            return None;
        }
        let start = last.start + quote.map_or(0, char::len_utf8);
        Some(Self { start, word: last.text.clone(), quote, place })
    }
}

/// Whether parentheses are open, so that more is to come. A text that is not closed is a mistake that the analyzer
/// explains.
pub(super) fn is_open(text: &str) -> bool {
    let tokens = tokens(text);
    let count = |mark| tokens.iter().filter(|token| token.piece == Piece::Mark(mark)).count();
    let is_cut = matches!(tokens.last(), Some(Token { piece: Piece::OpenText(_), .. }));
    !is_cut && count('(') > count(')')
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        if c.is_whitespace() {
            continue;
        }
        let mut content = String::new();
        let piece = if c == '\'' || c == '"' {
            let mut piece = Piece::OpenText(c);
            while let Some((_, inner)) = rest.next() {
                match inner {
                    '\\' => content.extend(rest.next().map(|(_, escaped)| escaped)),
                    _ if inner == c => {
                        piece = Piece::Text;
                        break;
                    }
                    _ => content.push(inner),
                }
            }
            piece
        } else if is_of_word(c) {
            content.push(c);
            // A number has dots inside, a name has not.
            let is_number = c.is_ascii_digit() || c == '-';
            while let Some((_, inner)) = rest.next_if(|(_, c)| is_of_word(*c) || is_number && *c == '.') {
                content.push(inner);
            }
            Piece::Word
        } else {
            Piece::Mark(c)
        };
        let end = rest.peek().map_or(text.len(), |(at, _)| *at);
        tokens.push(Token { piece, start, end, text: content });
    }
    tokens
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@' | '-' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Option<(String, Place)> {
        let cursor = Cursor::find(text)?;
        assert!(text[cursor.start..].ends_with(&cursor.word) || cursor.quote.is_some());
        Some((cursor.word, cursor.place))
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn steps_follow_dots() {
        assert_eq!(find(""), Some((String::new(), Place::Begin)));
        assert_eq!(find(" G"), Some(("G".into(), Place::Begin)));
        assert_eq!(find(r"\js"), Some((r"\js".into(), Place::Begin)));
        assert_eq!(find("G."), Some((String::new(), Place::Step(texts(&["G"])))));
        let place = Place::Step(texts(&["G", "V", "Has"]));
        assert_eq!(find("G.V().Has('a', Regex('x(')).\n  Ou"), Some(("Ou".into(), place)));
        for nowhere in ["G ", "G.V()", "G.V() ", "'", "G.V('a'", "G.V(1 ", ")(", "G.V())"] {
            assert_eq!(find(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn arguments_know_their_calls() {
        let argument = |text: &str| {
            let cursor = Cursor::find(text).unwrap();
            let Place::Argument { before, calls } = cursor.place else { panic!("{text}") };
            let calls: Vec<String> = calls
                .iter()
                .map(|call| {
                    let given = call.given.iter().map(|given| given.as_deref().unwrap_or("?"));
                    format!("{}({})", call.name, given.collect::<Vec<_>>().join(","))
                })
                .collect();
            (before.join("."), calls.join(" "), cursor.word, cursor.quote)
        };
        let found = |before: &str, calls: &str, word: &str, quote| {
            (before.to_owned(), calls.to_owned(), word.to_owned(), quote)
        };
        assert_eq!(argument("G.V().Has("), found("G.V", "Has()", "", None));
        assert_eq!(argument("G.V().Has('Na"), found("G.V", "Has()", "Na", Some('\'')));
        assert_eq!(argument("G.V().Has(Na"), found("G.V", "Has()", "Na", None));
        assert_eq!(argument("G.V().Has('a', \"it's"), found("G.V", "Has(a)", "it's", Some('"')));
        assert_eq!(argument("G.V().Has('a', Ne("), found("G.V", "Has(a) Ne()", "", None));
        assert_eq!(argument("G.V().Has('a', Ne('b'), "), found("G.V", "Has(a,?)", "", None));
        assert_eq!(
            argument("G.V().Has('a', 1.5, 'c', Within('x','y\\'"),
            found("G.V", "Has(a,1.5,c) Within(x)", "y'", Some('\''))
        );
    }

    #[test]
    fn more_is_to_come_while_parentheses_are_open() {
        assert!(is_open("G.V(") && is_open("G.V().Has('a(',\n") && is_open("G.V(G.V()"));
        assert!(!is_open("") && !is_open("G.V()") && !is_open("G.V('a)") && !is_open("G.V())"));
    }
}
