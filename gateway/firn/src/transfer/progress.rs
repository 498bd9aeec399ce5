//! What is drawn on stderr while bytes move: how much and how fast, and once all that is to be moved is known, how much of
//! it and how long still.
//!
//! A plan is known as it is walked. Until its end a total would be what was found so far, and the time left a lie: there
//! are counts alone then.

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const WALKING: &str = "{spinner} {bytes} moved  {binary_bytes_per_sec}  {msg} found, still looking";
const WALKED: &str =
    "{spinner} {bytes} of {total_bytes}  {wide_bar}  {binary_bytes_per_sec}  {eta} left  {msg} done";

/// A bar, or nothing where nobody would see it.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    done: AtomicU64,
    found: AtomicU64,
    walked: AtomicBool,
}

impl Progress {
    pub(crate) fn new(drawn: bool) -> Self {
        Self::on(if drawn { ProgressBar::new(0) } else { ProgressBar::hidden() })
    }

    fn on(bar: ProgressBar) -> Self {
        let progress = Self {
            bar,
            done: AtomicU64::default(),
            found: AtomicU64::default(),
            walked: AtomicBool::default(),
        };
        progress.style(WALKING);
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
    }

    /// One file or object is done.
    pub(crate) fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.tell();
    }

    fn tell(&self) {
        let count = |of: &AtomicU64| HumanCount(of.load(Ordering::Relaxed));
        let (done, found) = (count(&self.done), count(&self.found));
        let joint = if self.walked.load(Ordering::Relaxed) { "of" } else { "done of" };
        self.bar.set_message(format!("{done} {joint} {found}"));
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
    use super::Progress;
    use indicatif::{ProgressBar, ProgressDrawTarget, TermLike};
    use std::io;
    use std::sync::{Arc, Mutex};

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
        let progress = Progress::on(ProgressBar::with_draw_target(Some(0), target));
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
        let walked = terminal.take();
        assert!(walked.contains("1.00 KiB of 4.00 KiB") && walked.contains("1 of 3 done"), "{walked}");
        assert!(walked.contains("left"), "{walked}");
        progress.is_there(2048);
        progress.bar.tick();
        let less = terminal.take();
        assert!(less.contains("1.00 KiB of 2.00 KiB") && less.contains("2 of 3 done"), "{less}");
    }
}
