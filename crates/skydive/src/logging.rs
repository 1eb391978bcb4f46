//! Logs: the outputs of `logging.backends`, each with its level and encoder.

use std::fs::{self, OpenOptions};
use std::io;
use std::sync::Mutex;

use anyhow::Context as _;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, registry};

use crate::config::{Encoder, Loaded, LogBackend, LogLevel, LogOutput};
use crate::terminal::Paint;

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging for the rest of the process.
pub(crate) fn start(loaded: &Loaded) -> anyhow::Result<()> {
    let logging = &loaded.resolved.logging;
    let mut layers = Vec::new();
    for output in &logging.backends {
        let located = || loaded.settings.locate("logging.file.path");
        layers.push(layer(output, logging.color).with_context(located)?);
    }
    registry().with(layers).try_init().context("logging")
}

fn layer(output: &LogOutput, color: bool) -> anyhow::Result<BoxedLayer> {
    let painted = |paint| color && paint == Paint::Colored;
    Ok(match &output.backend {
        LogBackend::Stderr => write_to(io::stderr, painted(Paint::of(&io::stderr())), output),
        LogBackend::Stdout => write_to(io::stdout, painted(Paint::of(&io::stdout())), output),
        LogBackend::File(path) => {
            let told = || path.display().to_string();
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder).with_context(told)?;
            }
            let file = OpenOptions::new().create(true).append(true).open(path).with_context(told)?;
            write_to(Mutex::new(file), false, output)
        }
    })
}

fn write_to<W>(writer: W, color: bool, output: &LogOutput) -> BoxedLayer
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(color);
    match output.encoder {
        Encoder::Console => layer.with_filter(filter(output.level)).boxed(),
        Encoder::Json => layer.json().flatten_event(true).with_filter(filter(output.level)).boxed(),
    }
}

/// Our own crates at the level asked for; those we use only when something is wrong.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warning => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    Targets::new().with_target("skydive", level).with_default(LevelFilter::from_level(level.min(Level::WARN)))
}
