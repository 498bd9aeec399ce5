//! The credential report.

use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Account,
        writes: true,
        errors: &["LimitExceeded", "ServiceFailure"],
        state: done!(generate),
        ..row!("iam", "GenerateCredentialReport")
    },
    Row {
        about: About::Account,
        errors: &["ReportExpired", "ReportInProgress", "ReportNotPresent", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetCredentialReport")
    },
];

async fn generate(call: &Call) -> Result<Reply, QueryError> {
    let made = call.shared.identities.make_credential_report(call.account).await?;
    let mut reply = call.result();
    // It is made before it is answered; SDKs ask until it is complete.
    reply.text("State", if made { "STARTED" } else { "COMPLETE" });
    if made {
        reply.text("Description", "No report exists. Starting a new report generation task");
    }
    Ok(reply)
}

async fn get(call: &Call) -> Result<Reply, QueryError> {
    let report = call.shared.identities.credential_report(call.account).await?;
    let mut reply = call.result();
    reply.text("Content", &STANDARD.encode(report.content.as_bytes()));
    reply.text("ReportFormat", "text/csv");
    reply.time("GeneratedTime", report.generated);
    Ok(reply)
}
