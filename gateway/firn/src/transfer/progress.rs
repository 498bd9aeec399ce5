//! What is drawn on stderr while bytes move: how much, how fast, how long still.

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::sync::atomic::{AtomicU64, Ordering};

/// A bar, or nothing where nobody would see it.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    files: AtomicU64,
}

impl Progress {
    pub(crate) fn new(drawn: bool) -> Self {
        let bar = if drawn { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let template =
            "{spinner} {bytes} of {total_bytes}  {wide_bar}  {binary_bytes_per_sec}  {eta} left  {msg} done";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, files: AtomicU64::new(0) }
    }

    /// So many more bytes are to be moved.
    pub(crate) fn expect(&self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    /// So many bytes were moved.
    pub(crate) fn moved(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// One file or object is done.
    pub(crate) fn done(&self) {
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        self.bar.set_message(HumanCount(files).to_string());
    }

    /// Says something above the bar.
    pub(crate) fn say(&self, text: &str) {
        self.bar.suspend(|| {
            use std::io::Write;
            // Nobody may be reading stderr any more; the work goes on all the same.
            let _unheard = writeln!(std::io::stderr().lock(), "{text}");
        });
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
