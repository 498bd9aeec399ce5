//! When a transfer as a whole ends: nobody is there to send to any more, or every other job would end alike.
//!
//! The client gives an endpoint up after a bounded number of attempts that all its calls share (`client::Error::
//! is_unreachable`): one such end of a job is enough. Where connections are made and come to nothing, as with a proxy whose
//! server is gone, so many jobs in a row do it; so do jobs that find the disk here, or the server's, full. A bucket that is not there, or whose name is none,
//! is so for all of them. Where nothing but refusals for want of a right came, a hundred of them do it: a policy may allow some names and not those
//! that come first. Any other error that the endpoint answered with is one job's own.

use client::Error;
use std::io::ErrorKind;

/// Jobs that ended without an answer, one after the other, none of another kind between.
const IN_A_ROW: u32 = 10;
/// Jobs that were refused for want of a right, none before that had another end.
const DENIED: u32 = 100;

/// How a server says that its disk is full.
const FULL: &str = "StorageFull";

/// What the ends of jobs say about the endpoint.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    unanswered: u32,
    /// Writes that found no room here.
    full: u32,
    /// The same at the server's.
    full_there: u32,
    denied: u32,
    /// The endpoint did something, or refused it for another reason.
    served: bool,
}

impl Outage {
    /// Whether a job's end is that of all others: there is no such bucket.
    pub(crate) fn is_without_bucket(error: &anyhow::Error) -> bool {
        matches!(said(error).and_then(Error::code), Some("NoSuchBucket" | "InvalidBucketName"))
    }

    /// What ended all, and when the rest can be done.
    pub(crate) fn why(error: &anyhow::Error) -> [&'static str; 2] {
        match said(error) {
            _ if Self::is_without_bucket(error) => ["the bucket is gone", "when it is back"],
            Some(error) if error.code() == Some("AccessDenied") => ["no more is allowed", "when it is"],
            Some(error) if error.code() == Some(FULL) => {
                ["the server's disk takes no more", "when it has room"]
            }
            None if is_full(error) => ["the disk here takes no more", "when it has room"],
            _ => ["the endpoint is gone", "when it is back"],
        }
    }

    /// A job succeeded.
    pub(super) const fn succeeded(&mut self) {
        (self.unanswered, self.full, self.full_there, self.served) = (0, 0, 0, true);
    }

    /// A job failed; whether all others would.
    pub(super) fn failed(&mut self, error: &anyhow::Error) -> bool {
        match said(error) {
            Some(error) if error.is_unreachable() => return true,
            Some(error) if error.is_unanswered() => self.unanswered += 1,
            Some(Error::Service(said))
                if said.code == "AccessDenied" && !said.message.contains("object lock") =>
            {
                self.unanswered = 0;
                self.denied += 1;
            }
            Some(error) if error.code() == Some(FULL) => {
                (self.unanswered, self.served) = (0, true);
                self.full_there += 1;
            }
            Some(_) => (self.unanswered, self.served) = (0, true),
            None if is_full(error) => self.full += 1,
            // A file that can't be read says nothing about the endpoint.
            None => {}
        }
        [self.unanswered, self.full, self.full_there].into_iter().any(|count| count >= IN_A_ROW)
            || (!self.served && self.denied >= DENIED)
    }
}

fn said(error: &anyhow::Error) -> Option<&Error> {
    error.chain().find_map(|cause| cause.downcast_ref::<Error>())
}

/// Whether nothing more can be written here.
fn is_full(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|error| {
        matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{DENIED, IN_A_ROW, Outage};
    use client::{Error, ServiceError, Trouble};

    fn transport(trouble: Trouble) -> anyhow::Error {
        let error =
            Error::Transport { operation: "PutObject", endpoint: "e".into(), trouble, detail: "d".into() };
        anyhow::Error::from(error).context("upload a file")
    }

    #[test]
    fn nobody_there_is_seen_at_once_and_broken_connections_when_nothing_else_comes() {
        assert!(Outage::default().failed(&transport(Trouble::Unreachable)));
        let mut outage = Outage::default();
        for _ in 1..IN_A_ROW {
            assert!(!outage.failed(&transport(Trouble::Broken)));
            assert!(!outage.failed(&anyhow::anyhow!("read the file")));
        }
        outage.succeeded();
        for _ in 1..IN_A_ROW {
            assert!(!outage.failed(&transport(Trouble::Broken)));
        }
        let answered = Error::Service(Box::new(ServiceError {
            operation: "PutObject",
            status: 403,
            code: "AccessDenied".into(),
            message: String::new(),
            request_id: String::new(),
            is_document: true,
            ..ServiceError::default()
        }));
        assert!(!outage.failed(&answered.into()), "the endpoint is there");
        for n in 1..=IN_A_ROW {
            assert_eq!(outage.failed(&transport(Trouble::Broken)), n == IN_A_ROW);
        }
    }

    fn refused(code: &str) -> anyhow::Error {
        let said = ServiceError { code: code.to_owned(), ..ServiceError::default() };
        anyhow::Error::from(Error::Service(Box::new(said))).context("upload a file")
    }

    #[test]
    fn refusals_of_all_end_it_and_of_some_do_not() {
        let mut outage = Outage::default();
        for n in 1..=DENIED {
            assert_eq!(outage.failed(&refused("AccessDenied")), n == DENIED);
        }
        let mut some = Outage::default();
        some.succeeded();
        assert!((0..1_000).all(|_| !some.failed(&refused("AccessDenied"))));
        for other in ["EntityTooLarge", "KeyTooLongError"] {
            let mut mixed = Outage::default();
            assert!(!mixed.failed(&refused(other)));
            assert!((0..1_000).all(|_| !mixed.failed(&refused("AccessDenied"))), "{other}");
        }
        assert!(Outage::is_without_bucket(&refused("InvalidBucketName")));
    }

    #[test]
    fn a_disk_here_that_is_full_ends_it_and_one_large_file_does_not() {
        let full =
            || anyhow::Error::from(std::io::Error::from(std::io::ErrorKind::StorageFull)).context("write f");
        let mut outage = Outage::default();
        for _ in 1..IN_A_ROW {
            assert!(!outage.failed(&full()));
        }
        outage.succeeded();
        for n in 1..=IN_A_ROW {
            assert_eq!(outage.failed(&full()), n == IN_A_ROW);
        }
        assert_eq!(Outage::why(&full())[0], "the disk here takes no more");
    }

    #[test]
    fn a_servers_disk_that_is_full_ends_it_and_one_that_took_a_small_file_does_not() {
        let mut outage = Outage::default();
        for _ in 1..IN_A_ROW {
            assert!(!outage.failed(&refused("StorageFull")));
        }
        outage.succeeded();
        for n in 1..=IN_A_ROW {
            assert_eq!(outage.failed(&refused("StorageFull")), n == IN_A_ROW);
        }
        assert_eq!(Outage::why(&refused("StorageFull"))[0], "the server's disk takes no more");
    }
}
