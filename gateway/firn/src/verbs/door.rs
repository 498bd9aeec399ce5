//! The admin door as verbs ask it: documents there and back, and refusals in its own words.

use crate::exit::{self, Failure};
use anyhow::Context;
use client::Admin;
use serde_json::Value;

/// Asks for a document.
pub(super) async fn ask(admin: &Admin, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
    let body = admin.get(path, query).await.map_err(refusal)?;
    serde_json::from_slice(&body).context("understand the admin door")
}

/// Asks for something to be done.
pub(super) async fn post(admin: &Admin, path: &str, request: &Value) -> anyhow::Result<Value> {
    let body = admin.post(path, serde_json::to_vec(request)?.into()).await.map_err(refusal)?;
    serde_json::from_slice(&body).context("understand the admin door")
}

/// What the door says of what it was asked needs neither S3's code nor the next step that goes with it. A request that it did not
/// take, or a token, is a matter of which door it is.
fn refusal(error: client::Error) -> anyhow::Error {
    let exit = exit::of_client(error.kind());
    match error {
        client::Error::Service(said) if !matches!(said.status, 400 | 401 | 403) => {
            Failure::new(exit, said.message.as_str()).into()
        }
        other => other.into(),
    }
}

/// With a next step, where the door has found nothing of the name.
pub(super) fn or_else_see(error: anyhow::Error, hint: &str) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) if failure.exit == exit::Exit::NotFound && failure.hint.is_none() => {
            failure.hint(hint).into()
        }
        Ok(failure) => failure.into(),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::{or_else_see, refusal};
    use crate::exit::{self, Exit};

    fn answer(status: u16, code: &str, message: &str) -> anyhow::Error {
        refusal(client::Error::Service(Box::new(client::ServiceError {
            operation: client::Admin::OPERATION,
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: String::new(),
            is_document: true,
            ..client::ServiceError::default()
        })))
    }

    #[test]
    fn a_refusal_of_the_admin_door_says_nothing_of_s3() {
        let error = or_else_see(answer(404, "NoSuchKey", "find zone nope"), "firn zone ls");
        assert_eq!((error.to_string().as_str(), exit::of(&error)), ("find zone nope", Exit::NotFound));
        assert_eq!(exit::hint(&error).as_deref(), Some("firn zone ls"));
        let busy = or_else_see(answer(409, "Conflict", "drain zone b: 1 other"), "unused");
        assert_eq!(exit::hint(&busy), None);
        let denied = answer(401, "AccessDenied", "authenticate: a bearer token is required");
        assert_eq!(exit::of(&denied), Exit::Denied);
        assert!(exit::hint(&denied).is_some_and(|hint| hint.contains("FIRN_ADMIN_TOKEN_FILE")));
    }
}
