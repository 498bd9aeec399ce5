//! Access lines: one in the appliance's own log for each answer of the HTTP port, what never became a request included. A bucket's
//! server access log is another thing (`s3/logged.rs`).
//!
//! Never a query: it may hold a signature.

use http::StatusCode;
use std::time::Duration;

/// The target of access lines: who filters or writes logs knows them by it.
pub const ACCESS_LINES: &str = "firn::access";

/// What one of them says.
pub(crate) struct AccessLine<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) operation: &'static str,
    /// None where there was no head to read it from; so of the path.
    pub(crate) method: Option<&'a str>,
    pub(crate) path: Option<&'a str>,
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) access_key_id: Option<&'a str>,
    /// Bytes of the answer's body that went out.
    pub(crate) sent: u64,
    /// From the request's head to the answer's end.
    pub(crate) took: Duration,
}

impl AccessLine<'_> {
    /// Logs it.
    pub(crate) fn write(&self) {
        tracing::info!(
            target: ACCESS_LINES,
            request_id = self.request_id,
            operation = self.operation,
            method = self.method,
            path = self.path,
            status = self.status.as_u16(),
            code = self.code,
            access_key_id = self.access_key_id.unwrap_or("-"),
            bytes_sent = self.sent,
            duration_us = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}
