//! When a transfer as a whole ends: nobody is there to send to any more.
//!
//! The client gives an endpoint up after a bounded number of attempts that all its calls share (`client::Error::
//! is_unreachable`): one such end of a job is enough. Where connections are made and come to nothing, as with a proxy whose
//! server is gone, so many jobs in a row do it. An error that the endpoint answered with is one job's own.

/// Jobs that ended without an answer, one after the other, none of another kind between.
const IN_A_ROW: u32 = 10;

/// What the ends of jobs say about the endpoint.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    unanswered: u32,
}

impl Outage {
    /// Whether a job's end is that of all others: there is no such bucket.
    pub(crate) fn is_without_bucket(error: &anyhow::Error) -> bool {
        let error = error.chain().find_map(|cause| cause.downcast_ref::<client::Error>());
        error.and_then(client::Error::code) == Some("NoSuchBucket")
    }

    /// A job succeeded.
    pub(super) const fn succeeded(&mut self) {
        self.unanswered = 0;
    }

    /// A job failed; whether the endpoint is gone.
    pub(super) fn failed(&mut self, error: &anyhow::Error) -> bool {
        match error.chain().find_map(|cause| cause.downcast_ref::<client::Error>()) {
            Some(error) if error.is_unreachable() => return true,
            Some(error) if error.is_unanswered() => self.unanswered += 1,
            Some(_) => self.unanswered = 0,
            // A file that can't be read says nothing about the endpoint.
            None => {}
        }
        self.unanswered >= IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::{IN_A_ROW, Outage};
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
        }));
        assert!(!outage.failed(&answered.into()), "the endpoint is there");
        for n in 1..=IN_A_ROW {
            assert_eq!(outage.failed(&transport(Trouble::Broken)), n == IN_A_ROW);
        }
    }
}
