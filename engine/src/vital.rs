//! Threads that the store can't live without.
//!
//! ```text
//!   sequencer, log, lane ── Vital::guard() ──► work … ── returns ─► nothing
//!                                                 └──── panics ──► the process aborts
//! ```
//!
//! The binary unwinds, so that a panic in a request costs that request alone. A thread that others wait for must not end that
//! way: its callers would wait for ever, or be refused until somebody notices, and what it had half done would be gone on with.
//! The process ends instead; opening again replays the log, which is what a crash is already proven to survive.
//!
//! Invariant: whoever holds a [`Vital`] either returns from its thread or takes the process along.

/// Held by a thread for as long as it works.
pub(crate) struct Vital(());

impl Vital {
    /// The guard of the thread that calls.
    pub(crate) fn guard() -> Self {
        Self(())
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current();
            tracing::error!(
                thread = thread.name().unwrap_or("unnamed"),
                "a thread that the store needs panicked: the process ends, and opening again recovers"
            );
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Vital;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    const CHILD: &str = "FIRN_TEST_VITAL_CHILD";
    const SIGABRT: i32 = 6;

    /// Itself in a process of its own, so that the abort ends that one.
    #[test]
    fn a_panic_in_a_vital_thread_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            let thread = std::thread::spawn(|| {
                let _vital = Vital::guard();
                panic!("on purpose");
            });
            assert!(thread.join().is_err(), "a thread that panicked");
            return;
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "vital::tests::a_panic_in_a_vital_thread_ends_the_process"])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(child.signal(), Some(SIGABRT), "{child:?}");
    }

    #[test]
    fn a_vital_thread_may_return() {
        std::thread::spawn(|| drop(Vital::guard())).join().unwrap();
    }
}
