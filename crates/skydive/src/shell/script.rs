//! Queries of a file, one a line; a line that leaves parentheses open goes on in the next.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::STDIN;
use super::cursor::is_open;
use super::session::{Outcome, Session};

/// Begins a line that says nothing to the program.
const COMMENT: char = '#';

/// Runs it all, or up to the first line that fails.
pub(super) async fn run(mut session: Session, path: &Path) -> anyhow::Result<()> {
    let name = path.display();
    let input: Box<dyn BufRead> = if path == Path::new(STDIN) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).with_context(|| name.to_string())?))
    };
    let (mut text, mut began) = (String::new(), 0);
    let mut lines = (1..).zip(input.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        let line = line.with_context(|| name.to_string())?;
        if text.is_empty() {
            if line.trim_start().starts_with(COMMENT) {
                continue;
            }
            began = number;
        }
        text.push_str(&line);
        if is_open(&text) && lines.peek().is_some() {
            text.push('\n');
            continue;
        }
        match session.obey(&text).await? {
            Outcome::Done => text.clear(),
            Outcome::Failed => return Err(anyhow!("{name}:{began}: the script ends here")),
            Outcome::Left => return Ok(()),
        }
    }
    Ok(())
}
