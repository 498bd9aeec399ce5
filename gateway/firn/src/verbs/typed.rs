//! Secrets that somebody types: on a terminal that does not show them, or on stdin.
//!
//! The terminal is `/dev/tty`, so that what a verb prints can be given to `eval`. Whatever ends a question, an interruption too, it shows again
//! what is typed.

use crate::exit::Failure;
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use zeroize::Zeroizing;

/// Bytes of a line: far more than a password has.
const LINE_MAX: u64 = 4 << 10;

/// A line without its end.
pub(super) fn line_of(from: &mut impl io::BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    from.take(LINE_MAX).read_line(&mut line)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A terminal that does not show what is typed. Whatever ends it shows it again.
struct Hidden<'a> {
    tty: &'a File,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn new(tty: &'a File) -> io::Result<Self> {
        let before = termios::tcgetattr(tty)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(tty, OptionalActions::Flush, &silent)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _gone = termios::tcsetattr(self.tty, OptionalActions::Now, &self.before);
        let _gone = writeln!(self.tty);
    }
}

/// The terminal that the process belongs to.
pub(super) struct Terminal(File);

impl Terminal {
    /// Opens it, to ask for a password of somebody.
    pub(super) fn open(user: &str) -> Result<Self, Failure> {
        OpenOptions::new().read(true).write(true).open("/dev/tty").map(Self).map_err(|error| {
            let text = format!("ask for the password of {user}: there is no terminal");
            Failure::usage(text).hint("give it on stdin: --password-stdin").caused_by(error)
        })
    }

    /// Asks for a line. The thread that waits for it holds up no end of the process.
    pub(super) async fn ask(&self, question: &str) -> io::Result<Zeroizing<String>> {
        let mut shown = &self.0;
        write!(shown, "{question}")?;
        shown.flush()?;
        let (sender, answer) = tokio::sync::oneshot::channel();
        let reader = self.0.try_clone()?;
        std::thread::spawn(move || {
            // Nobody waits any more where it can't be sent.
            let _unheard = sender.send(line_of(&mut BufReader::new(reader)));
        });
        answer.await.map_err(io::Error::other)?
    }

    /// The same, without what is typed being shown.
    pub(super) async fn ask_hidden(&self, question: &str) -> io::Result<Zeroizing<String>> {
        let _hidden = Hidden::new(&self.0)?;
        self.ask(question).await
    }

    /// A new password, typed twice.
    pub(super) async fn ask_new(&self) -> anyhow::Result<Zeroizing<String>> {
        let new = self.ask_hidden("New password: ").await?;
        if *self.ask_hidden("New password again: ").await? != *new {
            return Err(Failure::usage("set a new password: the two are not the same").into());
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn a_line_is_all_but_its_end() {
        let mut text = &b"pass word \r\nnext"[..];
        assert_eq!(*line_of(&mut text).unwrap(), "pass word ");
        assert_eq!(*line_of(&mut text).unwrap(), "next");
        assert_eq!(*line_of(&mut text).unwrap(), "");
    }
}
