//! Logs go to stderr: for people on a terminal, JSON otherwise.

use crate::config::{Log, LogFormat};
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

/// Starts logging; the configuration has validated the filter.
pub(super) fn start(log: &Log) -> anyhow::Result<()> {
    let filter: EnvFilter = log.filter.parse()?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if for_people(log) {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(true).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("start logging: {error}"))
}
