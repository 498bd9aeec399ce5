//! The way of log lines to their output: the access log's together, all others at once.
//!
//! ```text
//!   access line ─► pending (≤ 1 MiB) ─► writer thread, one write for the lines of some milliseconds ─┐
//!   other line  ─► pending and itself, in one write by its own thread ───────────────────────────────┴─► output
//! ```
//!
//! # Invariants
//! - Lines come out whole and in the order in which they were logged.
//! - No line is dropped: where too much is pending, the thread that logs writes it out before it goes on.
//! - A line that is no access line (an error, the last words before an abort) is out when its event returns, and so is all
//!   that came before it. [`Lines::flush`] does the same for a normal end.
//!
//! A crash may take the access lines of the last [`GATHER`] along.

use parking_lot::{Condvar, Mutex};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// The target of access lines.
const ACCESS: &str = "firn::access";
/// Bytes that may be pending.
const PENDING_MAX: usize = 1 << 20;
/// How long the writer thread lets lines gather.
const GATHER: Duration = Duration::from_millis(10);

/// Where lines go. A clone shares the output.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

struct Shared {
    /// Taken before `pending`, and held while writing: that keeps the order.
    output: Mutex<Output>,
    pending: Mutex<Vec<u8>>,
    filled: Condvar,
}

struct Output {
    to: Box<dyn Write + Send>,
    /// An empty buffer that takes the place of the one that is written.
    spare: Vec<u8>,
}

impl Lines {
    /// Starts the writer thread, which lives as long as the process.
    pub(super) fn start(to: Box<dyn Write + Send>) -> io::Result<Self> {
        let lines = Self::without_thread(to);
        let shared = Arc::clone(&lines.0);
        std::thread::Builder::new().name("log-lines".into()).spawn(move || shared.write_for_ever())?;
        Ok(lines)
    }

    fn without_thread(to: Box<dyn Write + Send>) -> Self {
        let output = Mutex::new(Output { to, spare: Vec::new() });
        Self(Arc::new(Shared { output, pending: Mutex::default(), filled: Condvar::new() }))
    }

    /// Everything logged so far is out when it returns.
    pub(super) fn flush(&self) {
        self.0.write_out(&[]);
    }
}

impl Shared {
    fn write_for_ever(&self) {
        loop {
            let mut pending = self.pending.lock();
            while pending.is_empty() {
                self.filled.wait(&mut pending);
            }
            self.filled.wait_for(&mut pending, GATHER);
            drop(pending);
            self.write_out(&[]);
        }
    }

    fn defer(&self, line: &[u8]) {
        let mut pending = self.pending.lock();
        if pending.len() + line.len() > PENDING_MAX {
            drop(pending);
            return self.write_out(line);
        }
        let first = pending.is_empty();
        pending.extend_from_slice(line);
        drop(pending);
        if first {
            self.filled.notify_one();
        }
    }

    /// What is pending, then `line`.
    fn write_out(&self, line: &[u8]) {
        let mut output = self.output.lock();
        let mut lines = std::mem::take(&mut output.spare);
        std::mem::swap(&mut lines, &mut *self.pending.lock());
        lines.extend_from_slice(line);
        if !lines.is_empty() {
            // Nobody may be reading; the appliance runs all the same.
            let _unheard = output.to.write_all(&lines);
        }
        lines.clear();
        output.spare = lines;
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, waits: false }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, waits: event.target() == ACCESS }
    }
}

/// Takes one event, formatted.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    /// It may wait for others.
    waits: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.waits {
            self.shared.defer(line);
        } else {
            self.shared.write_out(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines, PENDING_MAX};
    use parking_lot::{Condvar, Mutex};
    use std::io::Write;
    use std::sync::Arc;

    /// What was written, write by write.
    #[derive(Clone, Default)]
    struct Paper(Arc<(Mutex<Vec<String>>, Condvar)>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.0.lock().push(String::from_utf8_lossy(bytes).into_owned());
            self.0.1.notify_all();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn log(lines: &Lines, waits: bool, text: &str) {
        Line { shared: &lines.0, waits }.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn lines_that_may_wait_go_in_one_write_ahead_of_the_one_that_may_not() {
        let paper = Paper::default();
        let lines = Lines::without_thread(Box::new(paper.clone()));
        log(&lines, true, "a\n");
        log(&lines, true, "b\n");
        assert!(paper.0.0.lock().is_empty(), "they wait");
        log(&lines, false, "error\n");
        log(&lines, true, "c\n");
        lines.flush();
        lines.flush();
        assert_eq!(*paper.0.0.lock(), ["a\nb\nerror\n", "c\n"]);
    }

    #[test]
    fn too_many_lines_are_written_by_whoever_logs_and_none_is_lost() {
        let paper = Paper::default();
        let lines = Lines::without_thread(Box::new(paper.clone()));
        let line = format!("{}\n", "x".repeat(1023));
        for _ in 0..=PENDING_MAX / 1024 {
            log(&lines, true, &line);
        }
        let written: usize = paper.0.0.lock().iter().map(String::len).sum();
        assert_eq!(written, PENDING_MAX + 1024, "the line that found no room took the others along");
        lines.flush();
        assert_eq!(paper.0.0.lock().len(), 1);
    }

    #[test]
    fn the_thread_writes_what_waits() {
        let paper = Paper::default();
        let lines = Lines::start(Box::new(paper.clone())).unwrap();
        for text in ["first\n", "second\n"] {
            log(&lines, true, text);
            let mut written = paper.0.0.lock();
            while written.last().is_none_or(|last| last != text) {
                paper.0.1.wait(&mut written);
            }
        }
    }
}
