//! Exit codes: what scripts rely on (docs/cli.md).
//!
//! | code | means |
//! |---|---|
//! | 0 | done |
//! | 1 | failed, for a reason that none of the others names |
//! | 2 | the command line, the configuration or a setting is wrong |
//! | 3 | partly done: some of several things failed; they are listed |
//! | 4 | not found |
//! | 5 | denied |
//! | 6 | archived: ask for a restore first |
//! | 7 | integrity: bytes are not those that were stored |
//! | 8 | conflict: it exists already, is in use, is not empty, or changed meanwhile |
//! | 130 | interrupted |

pub(crate) use crate::hint::of as hint;
use std::fmt;

/// The table that `--help` ends with.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done
  1    failed
  2    the command line, the configuration or a setting is wrong
  3    partly done: what failed is listed
  4    not found
  5    denied
  6    archived: ask for a restore first
  7    integrity: bytes are not those that were stored
  8    conflict: it exists already, is in use, is not empty, or changed meanwhile
  130  interrupted";

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    Error = 1,
    Usage = 2,
    Partial = 3,
    NotFound = 4,
    Denied = 5,
    Archived = 6,
    Integrity = 7,
    Conflict = 8,
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that says itself which code it ends with.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) text: String,
    /// What to do about it, when there is something.
    pub(crate) hint: Option<String>,
    /// What it came of.
    pub(crate) cause: Option<anyhow::Error>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), hint: None, cause: None }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names what it came of, which is told behind its own text.
    #[must_use]
    pub(crate) fn caused_by(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(AsRef::as_ref)
    }
}

/// The code that an error ends with: the first cause that names one decides.
pub(crate) fn of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| {
            cause
                .downcast_ref::<Failure>()
                .map(|failure| failure.exit)
                .or_else(|| cause.downcast_ref::<client::Error>().map(|error| of_client(error.kind())))
                .or_else(|| cause.downcast_ref::<engine::Error>().map(of_engine_error))
                .or_else(|| cause.downcast_ref::<std::io::Error>().map(|error| of_io(error.kind())))
        })
        .unwrap_or(Exit::Error)
}

pub(crate) const fn of_client(kind: client::ErrorKind) -> Exit {
    match kind {
        client::ErrorKind::NotFound => Exit::NotFound,
        client::ErrorKind::Denied => Exit::Denied,
        client::ErrorKind::Conflict => Exit::Conflict,
        client::ErrorKind::Archived => Exit::Archived,
        client::ErrorKind::Integrity => Exit::Integrity,
        client::ErrorKind::Invalid => Exit::Usage,
        client::ErrorKind::Unavailable => Exit::Error,
    }
}

fn of_engine_error(error: &engine::Error) -> Exit {
    match error {
        // What is there forbids it; the engine itself may try again.
        engine::Error::InUse { .. } => Exit::Conflict,
        error => of_engine(error.kind()),
    }
}

const fn of_engine(kind: engine::ErrorKind) -> Exit {
    match kind {
        engine::ErrorKind::NotFound => Exit::NotFound,
        engine::ErrorKind::Conflict => Exit::Conflict,
        engine::ErrorKind::Invalid => Exit::Usage,
        engine::ErrorKind::Corrupt => Exit::Integrity,
        engine::ErrorKind::Unavailable => Exit::Error,
    }
}

const fn of_io(kind: std::io::ErrorKind) -> Exit {
    match kind {
        std::io::ErrorKind::NotFound => Exit::NotFound,
        std::io::ErrorKind::PermissionDenied => Exit::Denied,
        _ => Exit::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, Failure, HELP, of};

    #[test]
    fn the_first_cause_with_a_code_decides() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(of(&anyhow::Error::from(missing).context("read a file")), Exit::NotFound);
        assert_eq!(of(&anyhow::Error::from(Failure::new(Exit::Partial, "2 of 3 failed"))), Exit::Partial);
        assert_eq!(of(&anyhow::anyhow!("something")), Exit::Error);
        let held = engine::Error::InUse { path: "/d".into(), pid: "1".to_owned() };
        assert_eq!(of(&anyhow::Error::from(held).context("open")), Exit::Conflict);
    }

    #[test]
    fn each_kind_of_error_has_its_code() {
        use client::ErrorKind as Client;
        use engine::ErrorKind as Engine;
        use std::io::ErrorKind as Io;
        for (kind, exit) in [
            (Client::NotFound, Exit::NotFound),
            (Client::Denied, Exit::Denied),
            (Client::Conflict, Exit::Conflict),
            (Client::Archived, Exit::Archived),
            (Client::Integrity, Exit::Integrity),
            (Client::Invalid, Exit::Usage),
            (Client::Unavailable, Exit::Error),
        ] {
            assert_eq!(super::of_client(kind), exit, "{kind:?}");
        }
        for (kind, exit) in [
            (Engine::NotFound, Exit::NotFound),
            (Engine::Conflict, Exit::Conflict),
            (Engine::Invalid, Exit::Usage),
            (Engine::Unavailable, Exit::Error),
            (Engine::Corrupt, Exit::Integrity),
        ] {
            assert_eq!(super::of_engine(kind), exit, "{kind:?}");
        }
        let kinds =
            [(Io::NotFound, Exit::NotFound), (Io::PermissionDenied, Exit::Denied), (Io::Other, Exit::Error)];
        for (kind, exit) in kinds {
            assert_eq!(of(&anyhow::Error::from(std::io::Error::from(kind))), exit, "{kind:?}");
        }
    }

    #[test]
    fn help_names_every_code() {
        for exit in [
            Exit::Ok,
            Exit::Error,
            Exit::Usage,
            Exit::Partial,
            Exit::NotFound,
            Exit::Denied,
            Exit::Archived,
            Exit::Integrity,
            Exit::Conflict,
            Exit::Interrupted,
        ] {
            assert!(HELP.lines().any(|line| line.trim().starts_with(&(exit as u8).to_string())), "{exit:?}");
        }
    }
}
