//! Logs go to stderr: for people on a terminal, JSON otherwise. On a terminal requests have no lines unless they are asked for, so
//! that the banner and the keys that are shown once stay in sight. So does all else that the server says there, a panic's message
//! included: by the way of `log_lines`, which no reader can block.

use super::log_json::JsonLines;
use super::log_lines::Lines;
use crate::config::{Log, LogFormat};
use anyhow::Context;
use prometheus_client::registry::Registry;
use std::backtrace::{Backtrace, BacktraceStatus};
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

impl Logging {
    /// Says something that is no event, behind all that was logged before.
    pub(super) fn say(&self, text: &str) {
        self.0.say(text);
    }

    /// Registers what logging counts.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "firn_log_lines_lost",
            "Log lines lost because nobody took them in time",
            self.0.lost(),
        );
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Starts logging; the configuration has validated the filter.
pub(super) fn start(log: &Log) -> anyhow::Result<Logging> {
    let filter: EnvFilter = log.filter_on(for_people(log) && std::io::stderr().is_terminal()).parse()?;
    let lines = Lines::start(Box::new(std::io::stderr())).context("start the log's thread")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone());
    let started = if for_people(log) {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(true).map_event_format(JsonLines).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("start logging: {error}"))?;
    log_panics();
    Ok(Logging(lines))
}

/// A panic's message goes the way of every line: written straight to a pipe that nobody reads, it would stop its thread.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(thread = thread.name().unwrap_or("unnamed"), %panic, backtrace, "a thread panicked");
    }));
}
