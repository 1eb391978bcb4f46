//! What is done with a line, whoever wrote it.

use std::future::ready;
use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::Value as Json;
use skydive_client::{Explained, Rest, RestError};
use skydive_proto::{Identity, Language};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::yield_now;

use super::help;
use crate::cli::Shape;
use crate::client::{Look, heard, json, lacks, look, print, refuse, require_ok, usual};
use crate::terminal::{Color, Paint};

/// One analyzer, and how its answers are shown.
pub(super) struct Session {
    rest: Rest,
    server: Identity,
    /// What it understands, if it tells.
    language: Option<Arc<Language>>,
    shape: Shape,
    interrupts: Option<Signal>,
}

/// What Ctrl-C does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupts {
    /// Ends the query that runs.
    EndQuery,
    /// Ends everything.
    EndProgram,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It was told why not.
    Failed,
    /// It was the wish to leave.
    Left,
}

/// A line that is no query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order<'l> {
    Nothing,
    Help(&'l str),
    Json,
    Leave,
}

/// Orders, each with what it does, as they are completed and explained.
pub(super) const ORDERS: &[(&str, &str)] = &[
    ("help", "this; `help STEP` is about a step or a predicate, `help all` about all of them"),
    (r"\json", "answers as JSON, or as tables again"),
    ("quit", "leaves, as Ctrl-D does; Ctrl-C ends a query that runs"),
];

/// Bytes printed between two looks at whether that is still wanted.
const PIECE: usize = 64 << 10;

impl Session {
    /// Asks the server who it is and what it understands.
    pub(super) async fn open(rest: Rest, interrupts: Interrupts) -> anyhow::Result<Self> {
        let answer = require_ok(heard(&rest, rest.get("/api")).await?, &rest)?;
        let server = serde_json::from_slice(&answer.body).with_context(|| {
            format!("{}: unexpected answer (is this a Skydive service?)", rest.endpoint())
        })?;
        let language = match rest.language().await {
            Ok(language) => Some(Arc::new(language)),
            Err(RestError::Status { .. } | RestError::Unexpected { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let interrupts = match interrupts {
            Interrupts::EndQuery => Some(signal(SignalKind::interrupt())?),
            Interrupts::EndProgram => None,
        };
        Ok(Self { rest, server, language, shape: usual(), interrupts })
    }

    pub(super) fn rest(&self) -> &Rest {
        &self.rest
    }

    pub(super) fn language(&self) -> Option<Arc<Language>> {
        self.language.clone()
    }

    /// Who answers, in a line.
    pub(super) fn greeting(&self) -> String {
        let Identity { host, version, service } = &self.server;
        let completes = if self.language.is_some() { "Tab completes, " } else { "" };
        let named = crate::terminal::harmless(&format!("{service} {host}, version {version}"));
        format!("{named} at {}: {completes}`help` helps, Ctrl-D leaves", self.rest.endpoint())
    }

    /// Does what a line, or several that belong together, says.
    pub(super) async fn obey(&mut self, text: &str) -> anyhow::Result<Outcome> {
        match Order::parse(text) {
            Some(Order::Nothing) => {}
            Some(Order::Leave) => return Ok(Outcome::Left),
            Some(Order::Json) => {
                let (shape, said) = match self.shape {
                    Shape::Json => (Shape::Table, "answers are tables"),
                    Shape::Table => (Shape::Json, "answers are JSON"),
                };
                self.shape = shape;
                print(format!("{said}\n"))?;
            }
            Some(Order::Help(about)) => print(help::about(about, self.language.as_deref()))?,
            None => return self.ask(text).await,
        }
        Ok(Outcome::Done)
    }

    async fn ask(&mut self, query: &str) -> anyhow::Result<Outcome> {
        // A query that an earlier interrupt was meant for is over.
        while self.is_interrupted().await {}
        let Self { rest, interrupts, .. } = self;
        let answering = heard(rest, rest.topology(query, "application/json", Explained::No));
        let answer = match interrupts {
            None => answering.await,
            Some(interrupts) => tokio::select! {
                answer = answering => answer,
                _ = interrupts.recv() => {
                    eprintln!("cancelled");
                    return Ok(Outcome::Failed);
                }
            },
        };
        let answer = match answer {
            Ok(answer) if answer.status == 204 => return Ok(Outcome::Done),
            Ok(answer) => match refuse(&answer, query) {
                Some(refusal) => {
                    eprintln!("{refusal}");
                    return Ok(Outcome::Failed);
                }
                None => require_ok(answer, rest),
            },
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                if let Some(lacks) = lacks(&answer) {
                    eprintln!("{lacks}");
                }
                self.show(&answer.body).await
            }
            Err(error) => {
                eprintln!("{}: {error}", Paint::of(&io::stderr()).color(Color::Red, "error"));
                Ok(Outcome::Failed)
            }
        }
    }

    async fn show(&mut self, body: &[u8]) -> anyhow::Result<Outcome> {
        let text = match self.shape {
            Shape::Json => json(body, Look::Answer),
            Shape::Table => {
                let answer: Json = serde_json::from_slice(body).context("the answer is not JSON")?;
                look(&answer, Look::Answer).into_bytes()
            }
        };
        for piece in text.chunks(PIECE) {
            print(piece)?;
            if self.is_interrupted().await {
                eprintln!("\ncancelled");
                return Ok(Outcome::Failed);
            }
        }
        Ok(Outcome::Done)
    }

    /// Whether Ctrl-C was pressed and nobody heard of it yet.
    async fn is_interrupted(&mut self) -> bool {
        let Some(interrupts) = &mut self.interrupts else { return false };
        yield_now().await;
        tokio::select! {
            biased;
            pressed = interrupts.recv() => pressed.is_some(),
            () = ready(()) => false,
        }
    }
}

impl<'l> Order<'l> {
    fn parse(text: &'l str) -> Option<Self> {
        let text = text.trim();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match (word, rest.trim()) {
            ("", _) => Some(Self::Nothing),
            ("help" | "?" | r"\h", about) => Some(Self::Help(about)),
            (r"\json", "") => Some(Self::Json),
            ("quit" | "exit" | r"\q", "") => Some(Self::Leave),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_no_queries() {
        assert_eq!(Order::parse("  "), Some(Order::Nothing));
        assert_eq!(Order::parse(" help  Has "), Some(Order::Help("Has")));
        assert_eq!(Order::parse(r"\json"), Some(Order::Json));
        assert_eq!(Order::parse("exit"), Some(Order::Leave));
        assert_eq!(Order::parse("G.V()"), None);
        assert_eq!(Order::parse(r"\other"), None);
        assert!(ORDERS.iter().all(|(order, _)| Order::parse(order).is_some()));
    }
}
