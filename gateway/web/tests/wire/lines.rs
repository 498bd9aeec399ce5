//! What is logged while a test looks: access lines and errors. Servers run on the thread of their test.

use parking_lot::Mutex;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// A subscriber of no thread.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Lines::default()));

/// Lines, as `name=value` with blanks between.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Looks until the guard is dropped.
    pub(crate) fn watch() -> (Self, DefaultGuard) {
        // Of two subscribers each event is asked about at both; of one alone at that of the thread that comes by first, for good.
        LazyLock::force(&ANOTHER);
        let lines = Self::default();
        (lines.clone(), tracing::subscriber::set_default(lines))
    }

    /// Those that have all of these words, so far.
    pub(crate) fn with(&self, words: &[&str]) -> Vec<String> {
        let all = self.0.lock();
        all.iter().filter(|line| words.iter().all(|word| line.contains(word))).cloned().collect()
    }
}

/// A number that a line has.
pub(crate) fn number(line: &str, name: &str) -> u64 {
    let word = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    word.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} of {line}"))
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _never = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && (*metadata.level() == Level::ERROR || metadata.target() == web::ACCESS_LINES)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = format!("level={} ", event.metadata().level());
        event.record(&mut Fields(&mut line));
        self.0.lock().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
