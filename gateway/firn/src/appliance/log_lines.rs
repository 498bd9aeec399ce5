//! The way of log lines to their output: one thread writes, the others hand their lines over.
//!
//! ```text
//!   access line ─► pending (≤ 1 MiB), goes on at once ──────────────────────────────────┐
//!   other line  ─► pending, waits until it is written, for PATIENCE at the most ────────┴─► writer thread ─► output
//! ```
//!
//! # Invariants
//! - Lines come out whole and in the order in which they were logged.
//! - No thread but the writer waits for the output longer than [`PATIENCE`]. A pipe that nobody reads stops the writer alone:
//!   after the first wait that was in vain nobody waits until the writer gets on, and what finds no room in `pending` is
//!   lost and counted. Once the output takes lines again, a line says how many are missing, where they would have stood.
//! - Where the output takes what it is given, no line is lost, and one that is no access line (an error, the last words before
//!   an abort) is out when its event returns, and so is all that came before it. [`Lines::flush`] does the same for a
//!   normal end.
//!
//! A crash may take the access lines of the last [`GATHER`] along.

use parking_lot::{Condvar, Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// The target of the line that counts the lost ones, which the writer itself logs.
const LOST: &str = "firn::log";
/// Bytes that may be pending; the writer holds as many again.
const PENDING_MAX: usize = 1 << 20;
/// How long the writer thread lets access lines gather.
const GATHER: Duration = Duration::from_millis(10);
/// How long a thread waits for an output that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who logs, and how long that one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A request: only for room.
    Access,
    /// Everything else: until the line is out.
    Other,
    /// The writer: never.
    Own,
}

/// Where lines go. A clone shares the output.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Tells the writer that there is something to write.
    filled: Condvar,
    /// Tells the others that the writer got on.
    moved: Condvar,
    patience: Duration,
    lost: Counter,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    /// Bytes that ever were pending.
    taken: u64,
    /// How many of them the output has.
    written: u64,
    /// Somebody waits, so nothing gathers.
    urgent: bool,
    /// A wait was in vain, and the writer has not got on since.
    stuck: bool,
    /// Lines lost and not yet told of.
    lost: u64,
}

impl Lines {
    /// Starts the writer thread, which lives as long as the process.
    pub(super) fn start(to: Box<dyn Write + Send>) -> io::Result<Self> {
        Self::with_patience(to, PATIENCE)
    }

    fn with_patience(to: Box<dyn Write + Send>, patience: Duration) -> io::Result<Self> {
        let lines = Self::without_thread(patience);
        let (shared, mut writer) = (Arc::clone(&lines.0), Writer { to, lines: Vec::new() });
        let write_for_ever = move || {
            loop {
                writer.write_next(&shared);
            }
        };
        std::thread::Builder::new().name("log-lines".into()).spawn(write_for_ever)?;
        Ok(lines)
    }

    fn without_thread(patience: Duration) -> Self {
        let (state, filled, moved, lost) = Default::default();
        Self(Arc::new(Shared { state, filled, moved, patience, lost }))
    }

    /// Lines lost since the start.
    pub(super) fn lost(&self) -> Counter {
        self.0.lost.clone()
    }

    /// Text that is no event, on the same way.
    pub(super) fn say(&self, text: &str) {
        self.0.push(text.as_bytes(), Kind::Other);
    }

    /// Everything logged so far is out when it returns, unless nobody takes it.
    pub(super) fn flush(&self) {
        self.say("");
    }
}

impl Shared {
    fn push(&self, line: &[u8], kind: Kind) {
        let mut state = self.state.lock();
        let has_room =
            |state: &State| state.pending.is_empty() || state.pending.len() + line.len() <= PENDING_MAX;
        if kind != Kind::Own && !has_room(&state) && !self.wait(&mut state, has_room) {
            state.lost += 1;
            self.lost.inc();
            return;
        }
        state.pending.extend_from_slice(line);
        state.taken += line.len() as u64;
        if kind == Kind::Other {
            let taken = state.taken;
            // In vain: it is pending, and goes out when the output takes it.
            let _out = self.wait(&mut state, |state| state.written >= taken);
        } else if state.pending.len() == line.len() {
            self.filled.notify_one();
        }
    }

    /// Waits for the writer to get so far; `false` when it does not in time.
    fn wait(&self, state: &mut MutexGuard<'_, State>, until: impl Fn(&State) -> bool) -> bool {
        if until(state) {
            return true;
        }
        if state.stuck {
            return false;
        }
        state.urgent = true;
        self.filled.notify_one();
        let goes_on = |state: &mut State| !until(state) && !state.stuck;
        let late = self.moved.wait_while_for(state, goes_on, self.patience).timed_out();
        if until(state) {
            return true;
        }
        if late {
            state.stuck = true;
            // Whoever waits as well waits in vain.
            self.moved.notify_all();
        }
        false
    }
}

struct Writer {
    to: Box<dyn Write + Send>,
    lines: Vec<u8>,
}

impl Writer {
    /// Waits until something is pending, and writes it.
    fn write_next(&mut self, shared: &Shared) {
        let mut state = shared.state.lock();
        while state.pending.is_empty() {
            shared.filled.wait(&mut state);
        }
        if !state.urgent {
            shared.filled.wait_for(&mut state, GATHER);
        }
        std::mem::swap(&mut self.lines, &mut state.pending);
        state.urgent = false;
        let (taken, lost) = (state.taken, std::mem::take(&mut state.lost));
        drop(state);
        if lost > 0 {
            // Pending is empty now: what was logged before the gap goes out first, then this, then what came after it.
            tracing::warn!(target: LOST, lost, "log lines are missing here: nobody took them in time");
        }
        // The output may be gone; the appliance runs all the same.
        let _unheard = self.to.write_all(&self.lines);
        self.lines.clear();
        let mut state = shared.state.lock();
        state.written = taken;
        state.stuck = false;
        drop(state);
        shared.moved.notify_all();
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, kind: Kind::Other }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line<'a> {
        let kind = match event.target() {
            web::ACCESS_LINES => Kind::Access,
            LOST => Kind::Own,
            _ => Kind::Other,
        };
        Line { shared: &self.0, kind }
    }
}

/// Takes one event, formatted.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    kind: Kind,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.push(line, self.kind);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{GATHER, Kind, Line, Lines, PENDING_MAX, Writer};
    use parking_lot::{Condvar, Mutex};
    use std::io::Write;
    use std::sync::Arc;
    use std::time::Duration;

    /// A patience that no test waits out.
    const LONG: Duration = Duration::from_hours(1);

    /// What was written, write by write; as a pipe that nobody reads, nothing is.
    #[derive(Clone, Default)]
    struct Paper(Arc<(Mutex<Sheet>, Condvar)>);

    #[derive(Default)]
    struct Sheet {
        unread: bool,
        writes: Vec<String>,
    }

    impl Paper {
        fn unread(&self, unread: bool) {
            self.0.0.lock().unread = unread;
            self.0.1.notify_all();
        }

        fn writes(&self) -> Vec<String> {
            self.0.0.lock().writes.clone()
        }

        /// Waits until a write ends so.
        fn awaits(&self, end: &str) {
            let mut sheet = self.0.0.lock();
            while sheet.writes.last().is_none_or(|last| !last.ends_with(end)) {
                self.0.1.wait(&mut sheet);
            }
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut sheet = self.0.0.lock();
            while sheet.unread {
                self.0.1.wait(&mut sheet);
            }
            sheet.writes.push(String::from_utf8_lossy(bytes).into_owned());
            self.0.1.notify_all();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn log(lines: &Lines, kind: Kind, text: &str) {
        Line { shared: &lines.0, kind }.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn lines_that_may_wait_go_in_one_write_ahead_of_the_one_that_may_not() {
        let paper = Paper::default();
        let lines = Lines::without_thread(Duration::ZERO);
        let mut writer = Writer { to: Box::new(paper.clone()), lines: Vec::new() };
        for (kind, text) in [(Kind::Access, "a\n"), (Kind::Access, "b\n"), (Kind::Other, "error\n")] {
            log(&lines, kind, text);
        }
        writer.write_next(&lines.0);
        log(&lines, Kind::Access, "c\n");
        writer.write_next(&lines.0);
        assert_eq!(paper.writes(), ["a\nb\nerror\n", "c\n"]);
    }

    #[test]
    fn a_line_that_may_not_wait_is_out_when_its_event_returns() {
        let paper = Paper::default();
        let lines = Lines::with_patience(Box::new(paper.clone()), LONG).unwrap();
        for number in 0..100 {
            log(&lines, Kind::Access, &format!("access {number}\n"));
            log(&lines, Kind::Other, &format!("error {number}\n"));
            assert!(paper.writes().concat().ends_with(&format!("access {number}\nerror {number}\n")));
        }
        log(&lines, Kind::Access, "last\n");
        lines.flush();
        assert!(paper.writes().concat().ends_with("last\n"));
    }

    #[test]
    fn the_thread_writes_what_waits() {
        let paper = Paper::default();
        let lines = Lines::with_patience(Box::new(paper.clone()), LONG).unwrap();
        for text in ["first\n", "second\n"] {
            log(&lines, Kind::Access, text);
            paper.awaits(text);
        }
    }

    #[test]
    fn too_many_lines_wait_for_the_output_and_none_is_lost() {
        let paper = Paper::default();
        let lines = Lines::with_patience(Box::new(paper.clone()), LONG).unwrap();
        let line = format!("{}\n", "x".repeat(1023));
        let count = 5 * PENDING_MAX / line.len();
        for _ in 0..count {
            log(&lines, Kind::Access, &line);
        }
        lines.flush();
        let writes = paper.writes();
        assert!(writes.iter().all(|write| write.len() <= PENDING_MAX));
        assert_eq!((writes.concat().len(), lines.lost().get()), (count * line.len(), 0));
    }

    #[test]
    fn an_output_that_nobody_reads_stops_no_thread_and_what_is_lost_is_counted() {
        let paper = Paper::default();
        let lines = Lines::with_patience(Box::new(paper.clone()), GATHER).unwrap();
        paper.unread(true);
        let line = format!("{}\n", "x".repeat(1023));
        let count = 3 * PENDING_MAX / line.len();
        for number in 0..count {
            log(&lines, if number % 7 == 0 { Kind::Other } else { Kind::Access }, &line);
        }
        lines.flush();
        let lost = lines.lost().get();
        let kept = count as u64 - lost;
        assert!(lost > 0 && kept >= (PENDING_MAX / line.len()) as u64, "{lost} of {count}");
        paper.unread(false);
        // Until the writer has got on, nobody waits for it, and there is no room.
        while {
            let before = lines.lost().get();
            log(&lines, Kind::Other, "read again\n");
            lines.lost().get() > before
        } {
            std::thread::yield_now();
        }
        paper.awaits("read again\n");
        let written = paper.writes().concat();
        assert_eq!(written.matches(&line).count() as u64, kept);
    }
}
