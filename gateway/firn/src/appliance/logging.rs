//! Logs go to stderr: for people on a terminal, JSON otherwise.

use super::log_lines::Lines;
use crate::config::{Log, LogFormat};
use anyhow::Context;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Whether people are reading.
pub(super) fn for_people(log: &Log) -> bool {
    match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::People => true,
        LogFormat::Json => false,
    }
}

/// Has the last access lines written when it is dropped.
pub(super) struct Logging(Lines);

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Starts logging; the configuration has validated the filter.
pub(super) fn start(log: &Log) -> anyhow::Result<Logging> {
    let filter: EnvFilter = log.filter.parse()?;
    let lines = Lines::start(Box::new(std::io::stderr())).context("start the log's thread")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone());
    let started = if for_people(log) {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(true).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("start logging: {error}"))?;
    Ok(Logging(lines))
}
