//! What is drawn on stderr while bytes move: how much and how fast, and once all that is to be moved is known, how much of
//! it and how long still.
//!
//! A plan is known as it is walked. Until its end a total would be what was found so far, and the time left a lie: there
//! are counts alone then.
//!
//! How fast is said of the last fifteen seconds, or of all where there were less. How long still is said of bytes and counts together:
//! among thousands of small files bytes alone say hours, and before the last large one counts alone say nothing. Each file counts as
//! so many bytes as could be moved instead of asking for it ([`EACH`]). In the first seconds there is nothing to say it by.

use crate::text::about;
use engine::clock::Clock;
use engine::unit::ByteCount;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const WALKING: &str = "{spinner} {bytes} moved  {msg}";
const WALKED: &str = "{spinner} {bytes} of {total_bytes}  {wide_bar}  {msg}";

/// What a request of its own costs, in bytes: a few milliseconds at a hundred megabytes a second.
const EACH: u64 = 256 << 10;
/// What is looked back at.
const WINDOW: Duration = Duration::from_secs(15);
/// Time between two samples of it.
const SAMPLE: Duration = Duration::from_secs(1);
/// No time left is said before.
const FIRST: Duration = Duration::from_secs(3);

/// What was done at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at: Duration,
    bytes: u64,
    /// Bytes, and [`EACH`] for each thing that is done.
    work: u64,
}

/// How it went lately.
#[derive(Debug)]
struct Pace {
    begun: Duration,
    samples: VecDeque<Sample>,
}

impl Pace {
    fn new(begun: Duration) -> Self {
        Self { begun, samples: VecDeque::from([Sample { at: begun, ..Sample::default() }]) }
    }

    /// What went before the window is forgotten, but for the last of it.
    fn note(&mut self, now: Sample) {
        if self.samples.back().is_none_or(|last| now.at.saturating_sub(last.at) >= SAMPLE) {
            self.samples.push_back(now);
        }
        while self.samples.get(1).is_some_and(|second| now.at.saturating_sub(second.at) >= WINDOW) {
            self.samples.pop_front();
        }
    }

    fn since(&self, now: Sample) -> (Duration, Sample) {
        let first = self.samples.front().copied().unwrap_or_default();
        (now.at.saturating_sub(first.at), first)
    }

    /// Bytes a second.
    fn rate(&self, now: Sample) -> u64 {
        let (elapsed, first) = self.since(now);
        per(now.bytes.saturating_sub(first.bytes), Duration::from_secs(1), elapsed)
    }

    /// How long so much work takes still.
    fn left(&self, now: Sample, all: u64) -> Option<Duration> {
        let (elapsed, first) = self.since(now);
        let done = now.work.saturating_sub(first.work);
        if now.at.saturating_sub(self.begun) < FIRST || done == 0 {
            return None;
        }
        let left = u128::from(all.saturating_sub(now.work)) * elapsed.as_millis() / u128::from(done);
        Some(Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX)))
    }
}

/// So much in this time is how much in that one.
fn per(amount: u64, wanted: Duration, elapsed: Duration) -> u64 {
    let all = u128::from(amount) * wanted.as_millis();
    u64::try_from(all / elapsed.as_millis().max(1)).unwrap_or(u64::MAX)
}

/// A bar, or nothing where nobody would see it.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    clock: Arc<dyn Clock>,
    pace: Mutex<Pace>,
    done: AtomicU64,
    found: AtomicU64,
    walked: AtomicBool,
}

impl Progress {
    pub(crate) fn new(drawn: bool, clock: Arc<dyn Clock>) -> Self {
        Self::on(if drawn { ProgressBar::new(0) } else { ProgressBar::hidden() }, clock)
    }

    fn on(bar: ProgressBar, clock: Arc<dyn Clock>) -> Self {
        let pace = Mutex::new(Pace::new(clock.boottime()));
        let progress = Self {
            bar,
            clock,
            pace,
            done: AtomicU64::default(),
            found: AtomicU64::default(),
            walked: AtomicBool::default(),
        };
        progress.style(WALKING);
        progress.tell();
        progress
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }

    /// One thing more was found, of so many bytes.
    pub(crate) fn expect(&self, bytes: u64) {
        self.found.fetch_add(1, Ordering::Relaxed);
        self.bar.inc_length(bytes);
        self.tell();
    }

    /// One thing that was found is there already: its bytes stay.
    pub(crate) fn is_there(&self, bytes: u64) {
        self.bar.dec_length(bytes);
        self.done();
    }

    /// All there is was found: from now on there is a total.
    pub(crate) fn walked(&self) {
        self.walked.store(true, Ordering::Relaxed);
        self.style(WALKED);
        self.tell();
    }

    /// So many bytes were moved.
    pub(crate) fn moved(&self, bytes: u64) {
        self.bar.inc(bytes);
        self.tell();
    }

    /// One file or object is done.
    pub(crate) fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.tell();
    }

    fn tell(&self) {
        if self.bar.is_hidden() {
            return;
        }
        let (done, found) = (self.done.load(Ordering::Relaxed), self.found.load(Ordering::Relaxed));
        let work = |bytes: u64, things: u64| bytes.saturating_add(things.saturating_mul(EACH));
        let bytes = self.bar.position();
        let now = Sample { at: self.clock.boottime(), bytes, work: work(bytes, done) };
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.note(now);
        let rate = ByteCount::new(pace.rate(now));
        let left = pace.left(now, work(self.bar.length().unwrap_or_default(), found));
        drop(pace);
        let (done, found) = (HumanCount(done), HumanCount(found));
        self.bar.set_message(if !self.walked.load(Ordering::Relaxed) {
            format!("{rate}/s  {done} done of {found} found, still looking")
        } else if let Some(left) = left {
            format!("{rate}/s  {} left  {done} of {found} done", about(left))
        } else {
            format!("{rate}/s  {done} of {found} done")
        });
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

#[cfg(test)]
mod tests {
    use super::{EACH, Pace, Progress, Sample};
    use engine::clock::{ManualClock, Timestamp};
    use indicatif::{ProgressBar, ProgressDrawTarget, TermLike};
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// A terminal that keeps what was written to it last.
    #[derive(Clone, Debug, Default)]
    struct Terminal(Arc<Mutex<String>>);

    impl Terminal {
        fn take(&self) -> String {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn there_is_a_total_and_a_time_left_only_when_all_is_found() {
        let terminal = Terminal::default();
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let progress = Progress::on(ProgressBar::with_draw_target(Some(0), target), clock.clone());
        progress.bar.tick();
        let nothing = terminal.take();
        assert!(nothing.contains("0 done of 0 found"), "{nothing}");
        progress.expect(1024);
        progress.expect(1024);
        progress.moved(1024);
        progress.done();
        progress.bar.tick();
        let walking = terminal.take();
        assert!(walking.contains("1.00 KiB moved") && walking.contains("1 done of 2 found"), "{walking}");
        assert!(!walking.contains("left") && !walking.contains("2.00 KiB"), "{walking}");
        progress.expect(2048);
        progress.walked();
        progress.bar.tick();
        let early = terminal.take();
        assert!(early.contains("1 of 3 done") && !early.contains("left"), "{early}");
        clock.advance(Duration::from_secs(4));
        progress.moved(0);
        progress.bar.tick();
        let walked = terminal.take();
        assert!(walked.contains("1.00 KiB of 4.00 KiB") && walked.contains("1 of 3 done"), "{walked}");
        assert!(walked.contains("left"), "{walked}");
        progress.is_there(2048);
        progress.bar.tick();
        let less = terminal.take();
        assert!(less.contains("1.00 KiB of 2.00 KiB") && less.contains("2 of 3 done"), "{less}");
    }

    /// 3,039 small files, a hundred a second, and then three of 35 MiB at 20 MiB/s each.
    #[test]
    fn the_time_left_of_many_small_files_and_a_few_large_ones_is_of_the_right_order() {
        const SMALL: u64 = 3_039;
        const LARGE: u64 = 35 << 20;
        let all = SMALL * (1_000 + EACH) + 3 * (LARGE + EACH);
        let mut pace = Pace::new(Duration::ZERO);
        let mut said = Vec::new();
        for tenths in 0..=304_u64 {
            let done = tenths * 10;
            let now = Sample {
                at: Duration::from_millis(tenths * 100),
                bytes: done * 1_000,
                work: done * (1_000 + EACH),
            };
            pace.note(now);
            let truly = (SMALL.saturating_sub(done)) / 100 + 6;
            said.push((tenths, pace.left(now, all), truly));
        }
        assert!(said[..30].iter().all(|(_, left, _)| left.is_none()), "there is nothing to say it by");
        for (tenths, left, truly) in &said[30..] {
            let left = left.unwrap().as_secs();
            assert!(left <= truly * 2 && left + 10 >= truly / 2, "{tenths}: {left} s of {truly} s");
        }
    }

    #[test]
    fn the_rate_is_that_of_all_at_first_and_of_the_last_seconds_later() {
        let mut pace = Pace::new(Duration::ZERO);
        let at = |second: u64, bytes: u64| Sample { at: Duration::from_secs(second), bytes, work: bytes };
        pace.note(at(2, 4_000));
        assert_eq!(pace.rate(at(4, 8_000)), 2_000);
        for second in 1..=60 {
            pace.note(at(second, second * 2_000));
        }
        for second in 61..=80 {
            pace.note(at(second, 120_000 + (second - 60) * 10_000));
        }
        assert_eq!(pace.rate(at(80, 320_000)), 10_000);
        assert!(pace.samples.len() < 20, "bounded");
    }
}
