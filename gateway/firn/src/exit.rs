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
//! | 8 | conflict: it exists already, is not empty, or changed meanwhile |
//! | 130 | interrupted |

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
  8    conflict: it exists already, is not empty, or changed meanwhile
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
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), hint: None }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// The code that an error ends with: the first cause that names one decides.
pub(crate) fn of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| {
            cause
                .downcast_ref::<Failure>()
                .map(|failure| failure.exit)
                .or_else(|| cause.downcast_ref::<client::Error>().map(|error| of_client(error.kind())))
                .or_else(|| cause.downcast_ref::<engine::Error>().map(|error| of_engine(error.kind())))
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

/// What to do about an error: the first cause that has a hint gives it.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.hint.clone();
        }
        match cause.downcast_ref::<client::Error>()? {
            client::Error::Transport { endpoint, .. } if endpoint.ends_with(".amazonaws.com") => Some(
                "name the appliance's endpoint, if AWS is not what you mean: eval \"$(firn env DIR)\", or --endpoint"
                    .to_owned(),
            ),
            client::Error::Transport { detail, .. } if detail.contains("certificate") => Some(
                "believe the appliance's CA: eval \"$(firn env DIR)\", or AWS_CA_BUNDLE=DIR/tls/ca.pem; and use a name that its certificate has (firn status DIR)"
                    .to_owned(),
            ),
            client::Error::Transport { endpoint, .. } => Some(format!(
                "is a server listening at {endpoint}? start one with `firn server DIR`, or name another with --endpoint"
            )),
            error => match error.code()? {
                "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AccessDenied" => {
                    Some("set the credentials: eval \"$(firn env DIR)\"".to_owned())
                }
                "RequestTimeTooSkewed" => {
                    Some("the clocks of this host and the server differ by more than 15 minutes: set them".to_owned())
                }
                "NoSuchBucket" => Some("see which there are: firn ls; make one: firn mb s3://NAME".to_owned()),
                "NoSuchKey" => Some("see what is there: firn ls s3://BUCKET/PREFIX".to_owned()),
                "BucketNotEmpty" => {
                    Some("see what is in it: firn ls --versions s3://NAME; remove all of it: firn rb --force s3://NAME".to_owned())
                }
                "InvalidBucketName" => {
                    Some("3 to 63 of a-z, 0-9, - and ., beginning and ending with a letter or digit".to_owned())
                }
                "InvalidObjectState" => Some("the object is archived: ask for a restore first".to_owned()),
                _ => None,
            },
        }
    })
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
