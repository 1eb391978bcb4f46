//! The prompt: lines with their history and completion.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter, MatchingBracketHighlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, CompletionType, Config, Editor};
use tokio::runtime::Handle;

use super::candidates::Candidates;
use super::cursor::is_open;
use super::live::Live;
use super::session::{Outcome, Session};
use crate::client::print;
use crate::terminal::Paint;

const PROMPT: &str = "shell> ";
/// While parentheses are open.
const MORE: &str = "..... ";
/// Lines remembered.
const REMEMBERED: usize = 1000;

/// What the editor asks while a line is written.
struct Completion {
    candidates: Option<Candidates>,
    /// The lines before this one that belong to it.
    before: String,
    brackets: MatchingBracketHighlighter,
}

/// Reads and obeys until somebody leaves.
pub(super) fn run(mut session: Session, history: Option<&Path>, handle: &Handle) -> anyhow::Result<()> {
    let has_colors = Paint::of(&io::stdout()) == Paint::Colored;
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .color_mode(if has_colors { ColorMode::Enabled } else { ColorMode::Disabled })
        .max_history_size(REMEMBERED)?
        .build();
    let live = Live::new(session.rest().clone(), handle.clone());
    let candidates = session.language().map(|language| Candidates::new(language, live));
    let completion =
        Completion { candidates, before: String::new(), brackets: MatchingBracketHighlighter::new() };
    let mut editor: Editor<Completion, FileHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(completion));
    // There is none the first time; one that cannot be read is no reason not to work.
    let history = history.filter(|path| match editor.load_history(path) {
        Ok(()) => true,
        Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            eprintln!("{}: {error}; lines are not remembered", path.display());
            false
        }
    });
    print(format!("{}\n", session.greeting()))?;
    while let Some(text) = read(&mut editor)? {
        if !text.trim().is_empty() {
            editor.add_history_entry(text.split_whitespace().collect::<Vec<_>>().join(" "))?;
        }
        if handle.block_on(session.obey(&text))? == Outcome::Left {
            break;
        }
    }
    match history {
        Some(path) => editor.append_history(path).with_context(|| path.display().to_string()),
        None => Ok(()),
    }
}

/// What is written until all parentheses are closed, an empty line comes, or somebody leaves, which is `None`.
fn read(editor: &mut Editor<Completion, FileHistory>) -> anyhow::Result<Option<String>> {
    let mut text = String::new();
    loop {
        if let Some(completion) = editor.helper_mut() {
            completion.before.clone_from(&text);
            completion.candidates.as_ref().inspect(|candidates| candidates.forget());
        }
        match editor.readline(if text.is_empty() { PROMPT } else { MORE }) {
            Ok(line) => {
                text.push_str(&line);
                if line.trim().is_empty() || !is_open(&text) {
                    return Ok(Some(text));
                }
                text.push('\n');
            }
            // What was begun is given up.
            Err(ReadlineError::Interrupted) => text.clear(),
            Err(ReadlineError::Eof) => return Ok(None),
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                eprintln!("that is not UTF-8");
            }
            Err(error) => return Err(error).context("the terminal"),
        }
    }
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Some(candidates) = &self.candidates else { return Ok((cursor, Vec::new())) };
        let (before, after) = line.split_at(cursor);
        let found = candidates.at(&format!("{}{before}", self.before), after);
        // A word does not go over the end of a line.
        let start = found.start.saturating_sub(self.before.len());
        let pairs =
            found.words.into_iter().map(|word| Pair { display: word.shown, replacement: word.written });
        Ok((start, pairs.collect()))
    }
}

impl Highlighter for Completion {
    fn highlight<'l>(&self, line: &'l str, cursor: usize) -> Cow<'l, str> {
        self.brackets.highlight(line, cursor)
    }

    fn highlight_char(&self, line: &str, cursor: usize, kind: CmdKind) -> bool {
        self.brackets.highlight_char(line, cursor, kind)
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Validator for Completion {}

impl rustyline::Helper for Completion {}
