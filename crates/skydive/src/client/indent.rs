//! JSON indented byte by byte, as Go's `json.Indent` does it, so that the output equals the original's.
//!
//! Works piece by piece: numbers, order and escapes stay as the server wrote them, and nothing but the depth is kept.

/// Indents the bytes pushed into it.
pub(crate) struct Indenter {
    /// One level of indentation.
    unit: &'static str,
    depth: usize,
    place: Place,
    /// An opening bracket was written and nothing after it yet: empty ones stay on one line.
    is_fresh: bool,
    has_value: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Between,
    InText,
    AfterBackslash,
}

impl Indenter {
    pub(crate) fn new(unit: &'static str) -> Self {
        Self { unit, depth: 0, place: Place::Between, is_fresh: false, has_value: false }
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
        self.depth == 0 && self.place == Place::Between
    }

    fn push_between(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte.is_ascii_whitespace() {
            return;
        }
        self.has_value = true;
        if matches!(byte, b'}' | b']') {
            self.depth = self.depth.saturating_sub(1);
            if !std::mem::take(&mut self.is_fresh) {
                self.new_line(out);
            }
            return out.push(byte);
        }
        if std::mem::take(&mut self.is_fresh) {
            self.new_line(out);
        }
        out.push(byte);
        match byte {
            b'"' => self.place = Place::InText,
            b'{' | b'[' => {
                self.depth += 1;
                self.is_fresh = true;
            }
            b',' => self.new_line(out),
            b':' => out.push(b' '),
            _ => {}
        }
    }

    fn new_line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        for _ in 0..self.depth {
            out.extend_from_slice(self.unit.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indent(text: &str, piece: usize) -> (String, bool) {
        let mut indenter = Indenter::new("\t");
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
    fn tells_a_cut_document() {
        assert!(!indent("[{\"a\":1}", 3).1);
        assert!(!indent("[\"a", 3).1);
    }
}
