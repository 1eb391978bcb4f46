//! `flows`: captures and what flows are in them, without any server.

mod csv;
mod filter;
mod input;
mod interrupt;
mod progress;
mod read;
mod rows;
mod summary;
pub(crate) mod table;
pub(crate) mod text;
mod totals;

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::Context as _;
use skydive_flow::{ExtraLayers, KeyMode, Replay, TableConfig};

use crate::cli::{ConfigFlags, FlowsCommand, LayerKeyMode, ReadFlags, RowFormat};
use crate::config::{self, Severity, Source, Surroundings};
use crate::terminal::{Color, Paint, harmless};
use crate::{config_command, exit, wiring};
use filter::Misfit;
use interrupt::Interrupt;
use read::{Output, Reading, Stopped};
use rows::Rows;
use summary::Summary;
use totals::Damage;

/// Runs one sub-command.
pub(crate) fn run(command: FlowsCommand, config: &ConfigFlags) -> anyhow::Result<u8> {
    match command {
        FlowsCommand::Read(flags) => read(&flags, config),
    }
}

fn read(flags: &ReadFlags, config: &ConfigFlags) -> anyhow::Result<u8> {
    let format = format(flags)?;
    let table = table_config(flags, configured(config)?);
    let paint = Paint::of(&io::stderr());
    let drawn = progress::Drawn::default();
    let length = input::length(&flags.files);
    let mut reading = Reading {
        replay: Replay::new(table),
        filters: filter::Filters::new(flags.filter.as_deref()),
        totals: totals::Totals::default(),
        output: if flags.summary {
            Output::Summary(Summary::default())
        } else {
            Output::Rows(Rows::new(format, flags, drawn.clone()))
        },
        progress: progress::Progress::new(length, drawn.clone()),
        // Who stops the reading of a file wants no answer.
        interrupt: if length.is_none() { Some(Interrupt::watch()?) } else { None },
    };
    let mut buffer = Vec::new();
    let mut refused = None;
    for path in &flags.files {
        match reading.file(path, &mut buffer) {
            Ok(()) => {}
            // The next file would be refused as well.
            Err(Stopped::Refused(error)) => {
                refused = Some(error);
                break;
            }
            Err(stopped) => reading.totals.damage.push(Damage::new(path, &stopped)),
        }
        if reading.output.is_broken() {
            break;
        }
    }
    drawn.clear();
    let misfits = reading.filters.misfits();
    reading.totals.misfits = misfits.iter().map(|misfit| misfit.packets).sum();
    let of_misfits = misfits.iter().map(|Misfit { refused, packets }| {
        format!("{}\nleft out: {packets} packets of this kind", refused.draw(paint))
    });
    let of_misfits: Vec<String> = of_misfits.collect();
    if let Some(refused) = refused.as_ref().filter(|_| reading.totals.packets == 0) {
        eprintln!("{}", refused.draw(paint));
        return Ok(exit::FAILURE);
    }
    let Reading { replay, mut totals, mut output, .. } = reading;
    let mut table = replay.into_table();
    totals.table = table.counters();
    table.finish(|flow, told| output.hear(flow, told));
    match output {
        Output::Rows(rows) => {
            totals.table.unkept += rows.unkept();
            rows.end()?;
            totals.tell_losses(paint);
        }
        Output::Summary(summary) => summary.print(format, &totals).context("standard output")?,
    }

    let error = paint.color(Color::Red, "error");
    for damage in &totals.damage {
        eprintln!("{error}: {}", harmless(&damage.to_string()));
    }
    if let Some(refused) = &refused {
        eprintln!("{}", refused.draw(paint));
    }
    for misfit in &of_misfits {
        eprintln!("{misfit}");
    }
    let is_whole = totals.damage.is_empty() && refused.is_none() && of_misfits.is_empty();
    Ok(if is_whole { exit::OK } else { exit::FAILURE })
}

/// The form asked for, else the one that suits where the output goes.
fn format(flags: &ReadFlags) -> anyhow::Result<RowFormat> {
    let is_for_reading = io::stdout().is_terminal() && flags.raw.is_none();
    match flags.format {
        Some(RowFormat::Table) if flags.raw.is_some() => {
            anyhow::bail!("packets do not fit into a table: take --format json or csv with --raw")
        }
        Some(format) => Ok(format),
        None if is_for_reading => Ok(RowFormat::Table),
        // Totals are for people unless a form is asked for.
        None if flags.summary => Ok(RowFormat::Table),
        None => Ok(RowFormat::Json),
    }
}

/// Bytes of packets that are kept until their flows are told of, and again until they have ended: who asks for packets
/// wants them, as far as that goes.
const RAW_BYTES: usize = 1 << 30;

/// What the configuration says of flows, if one is named. What a file gives shall not depend on whose machine reads it:
/// without, there is none, and neither the environment nor a host's own files are looked at.
fn configured(config: &ConfigFlags) -> anyhow::Result<TableConfig> {
    if config.conf.is_empty() {
        return Ok(TableConfig::default());
    }
    let loaded = config::load(&Source::read_all(&config.conf), &[], &Surroundings::of_process());
    if loaded.has_errors() {
        config_command::tell(&loaded.problems, Severity::Error);
        anyhow::bail!("the configuration is not usable");
    }
    Ok(wiring::flow_table(&loaded.resolved))
}

fn table_config(flags: &ReadFlags, config: TableConfig) -> TableConfig {
    let extra_layers =
        flags.extra_layer.iter().fold(ExtraLayers::NONE, |layers, layer| layers | layer.bits());
    TableConfig {
        expire: flags.expire.map_or(config.expire, |seconds| Duration::from_secs(seconds.get())),
        max_entries: flags.max_entries.map(Into::into),
        key_mode: match flags.layer_key_mode {
            Some(LayerKeyMode::L2) => KeyMode::L2,
            Some(LayerKeyMode::L3) => KeyMode::L3,
            None => config.key_mode,
        },
        tcp_metric: flags.extra_tcp_metric,
        reassemble: flags.reassemble_tcp,
        defragment: flags.ip_defrag,
        extra_layers,
        raw_packets: flags.raw.map_or(0, Into::into),
        max_extra_bytes: if flags.raw.is_some() { RAW_BYTES } else { config.max_extra_bytes },
        ..config
    }
}
