//! Which refusals are lines of the log as the appliance's own failures, whichever service they are of. The access log has each of all.

use crate::state::State;
use http::StatusCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Why a request got an error of the appliance's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// For a reason of its own.
    Own,
    /// It is full.
    Full,
    /// What others do leaves no room for this one: to be told of, and no failure.
    Crowded,
}

impl Trouble {
    /// What an error below comes to.
    pub(crate) fn of(error: &engine::Error) -> Self {
        if matches!(error, engine::Error::Full { .. }) { Self::Full } else { Self::Own }
    }

    /// The same, where there is one that says it.
    pub(crate) fn of_cause(cause: Option<&security::Error>) -> Self {
        match cause {
            Some(security::Error::Engine(error)) => Self::of(error),
            _ => Self::Own,
        }
    }
}

/// An error that a client is told.
pub(crate) struct Failed<'a> {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    /// What the client is not told.
    pub(crate) cause: Option<&'a str>,
    pub(crate) trouble: Trouble,
}

impl Failed<'_> {
    /// Logs the appliance's own failures, once each; that it is full once a minute.
    pub(crate) fn log(&self, state: &State, request_id: &str, operation: &str) {
        let own = self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED;
        if !own || self.trouble == Trouble::Crowded || (self.trouble == Trouble::Full && full_is_known(state))
        {
            return;
        }
        let (code, cause) = (self.code, self.cause.unwrap_or("none given"));
        tracing::error!(request_id, operation, code, cause, "failed to answer a request");
    }
}

/// How long a storage that is full is not logged again: each request that it refuses would say the same.
const FULL_AGAIN: Duration = Duration::from_mins(1);

/// Whether that there is no room was logged just now.
fn full_is_known(state: &State) -> bool {
    let (now, last) = (state.clock.now().as_millis(), state.full_logged_ms.load(Ordering::Relaxed));
    let again = i64::try_from(FULL_AGAIN.as_millis()).unwrap_or(i64::MAX);
    if last != 0 && (last..last.saturating_add(again)).contains(&now) {
        return true;
    }
    // Of two at once both may say it.
    state.full_logged_ms.store(now, Ordering::Relaxed);
    false
}

#[cfg(test)]
mod tests {
    use super::Trouble;
    use crate::glacier::GlacierError;
    use crate::http::BodyError;
    use crate::json::JsonError;
    use crate::query::QueryError;
    use crate::s3::S3Error;

    #[test]
    fn who_is_told_to_slow_down_is_no_failure_of_any_service() {
        let s3 = S3Error::from(BodyError::Crowded);
        let query = QueryError::from(BodyError::Crowded);
        let json = JsonError::from(BodyError::Crowded);
        let glacier = GlacierError::from(BodyError::Crowded);
        for failed in [s3.failed(), query.failed(), json.failed(), glacier.failed()] {
            assert!(failed.status.is_server_error(), "{}", failed.code);
            assert_eq!(failed.trouble, Trouble::Crowded, "{}", failed.code);
        }
    }

    #[test]
    fn a_full_disk_is_known_through_the_errors_of_each_core() {
        let full = || engine::Error::Full { place: "/data".to_owned(), wanted: 1 };
        let below = || security::Error::Engine(full());
        let s3 = S3Error::from(objectstore::Error::Engine(full()));
        let query = QueryError::from(security::identity::IdentityError::from(below()));
        let json = JsonError::from(security::kms::KmsError::from(below()));
        let trails = JsonError::from(security::audit::AuditError::from(full()));
        let glacier = GlacierError::from(archive::vault::Error::Engine(full()));
        for failed in [s3.failed(), query.failed(), json.failed(), trails.failed(), glacier.failed()] {
            assert_eq!(failed.trouble, Trouble::Full, "{}", failed.code);
            assert!(failed.cause.is_some_and(|cause| cause.contains("/data")));
        }
    }
}
