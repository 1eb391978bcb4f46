//! JSON indented byte by byte, as Go's `json.Indent` does it, so that the output equals the original's.
//!
//! Works piece by piece: numbers, order and escapes stay as the server wrote them, and nothing but the brackets that are
//! open is kept. On a terminal the names of fields have a colour.

use crate::terminal::{Color, Paint};

/// Indents the bytes pushed into it.
pub(crate) struct Indenter {
    /// One level of indentation.
    unit: &'static str,
    paint: Paint,
    /// The brackets that are open.
    open: Vec<Bracket>,
    place: Place,
    /// A text that begins now is the name of a field.
    is_name_next: bool,
    /// What the text being written is.
    text: Text,
    /// An opening bracket was written and nothing after it yet: empty ones stay on one line.
    is_fresh: bool,
    has_value: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Bracket {
    Object,
    List,
}

#[derive(Clone, Copy, PartialEq)]
enum Text {
    Name,
    Value,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Between,
    InText,
    AfterBackslash,
}

impl Indenter {
    pub(crate) fn new(unit: &'static str, paint: Paint) -> Self {
        Self {
            unit,
            paint,
            open: Vec::new(),
            place: Place::Between,
            is_name_next: false,
            text: Text::Value,
            is_fresh: false,
            has_value: false,
        }
    }

    /// Adds a piece of the document; what it becomes is appended to `out`.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for &byte in piece {
            match self.place {
                Place::AfterBackslash => {
                    self.place = Place::InText;
                    out.push(byte);
                }
                Place::InText => {
                    match byte {
                        b'\\' => self.place = Place::AfterBackslash,
                        b'"' => self.place = Place::Between,
                        _ => {}
                    }
                    out.push(byte);
                    if self.place == Place::Between && self.is_painted() {
                        out.extend_from_slice(Paint::END.as_bytes());
                    }
                }
                Place::Between => self.push_between(byte, out),
            }
        }
    }

    /// Ends the document with a line feed; whether it was whole.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> bool {
        if self.has_value {
            out.push(b'\n');
        }
        self.open.is_empty() && self.place == Place::Between
    }

    fn push_between(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte.is_ascii_whitespace() {
            return;
        }
        self.has_value = true;
        if matches!(byte, b'}' | b']') {
            self.open.pop();
            if !std::mem::take(&mut self.is_fresh) {
                self.new_line(out);
            }
            return out.push(byte);
        }
        if std::mem::take(&mut self.is_fresh) {
            self.new_line(out);
        }
        self.text = if std::mem::take(&mut self.is_name_next) { Text::Name } else { Text::Value };
        if byte == b'"' && self.is_painted() {
            out.extend_from_slice(Color::Blue.start().as_bytes());
        }
        out.push(byte);
        match byte {
            b'"' => self.place = Place::InText,
            b'{' | b'[' => {
                self.open.push(if byte == b'{' { Bracket::Object } else { Bracket::List });
                self.is_name_next = byte == b'{';
                self.is_fresh = true;
            }
            b',' => {
                self.is_name_next = self.open.last() == Some(&Bracket::Object);
                self.new_line(out);
            }
            b':' => out.push(b' '),
            _ => {}
        }
    }

    fn is_painted(&self) -> bool {
        self.text == Text::Name && self.paint == Paint::Colored
    }

    fn new_line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        for _ in &self.open {
            out.extend_from_slice(self.unit.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indent(text: &str, piece: usize) -> (String, bool) {
        let mut indenter = Indenter::new("\t", Paint::Plain);
        let mut out = Vec::new();
        text.as_bytes().chunks(piece).for_each(|piece| indenter.push(piece, &mut out));
        let is_whole = indenter.finish(&mut out);
        (String::from_utf8(out).unwrap(), is_whole)
    }

    #[test]
    fn indents_as_go_does_however_it_is_cut() {
        let text = r#"[{"ID":"a\"}{","Metadata":{},"List":[ ],"N":1e5,"é":[1,null]},true]"#.to_owned() + "\n";
        let expected = "[\n\t{\n\t\t\"ID\": \"a\\\"}{\",\n\t\t\"Metadata\": {},\n\t\t\"List\": [],\n\t\t\"N\": 1e5,\n\t\t\
                        \"é\": [\n\t\t\t1,\n\t\t\tnull\n\t\t]\n\t},\n\ttrue\n]\n";
        for piece in [1, 2, 3, 7, text.len()] {
            assert_eq!(indent(&text, piece), (expected.to_owned(), true));
        }
        assert_eq!(indent("42\n", 9), ("42\n".to_owned(), true));
        assert_eq!(indent("[]", 1), ("[]\n".to_owned(), true));
    }

    #[test]
    fn names_have_a_colour_on_a_terminal() {
        let mut indenter = Indenter::new(" ", Paint::Colored);
        let mut out = Vec::new();
        indenter.push(br#"{"a\"":["b"],"c":{}}"#, &mut out);
        assert!(indenter.finish(&mut out));
        let name = |text: &str| format!("\x1b[1;34m\"{text}\"\x1b[0m");
        let expected = format!("{{\n {}: [\n  \"b\"\n ],\n {}: {{}}\n}}\n", name("a\\\""), name("c"));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn tells_a_cut_document() {
        assert!(!indent("[{\"a\":1}", 3).1);
        assert!(!indent("[\"a", 3).1);
    }
}
