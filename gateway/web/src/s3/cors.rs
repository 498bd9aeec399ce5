//! CORS at the door: preflights, and the headers of what is answered to a page of another origin.
//!
//! ```text
//!   OPTIONS ─► Origin, method and headers that a browser asks for ─► the bucket's rules ─► 200 or AccessForbidden
//!   any other request with an Origin ─► its answer, error or not ─► the rule's headers, if one matches
//! ```
//!
//! Invariants: an origin is named, and credentials are allowed, only where a rule of the bucket matched; a rule for any
//! origin (`*`) never allows credentials; what depends on the origin says so in `Vary`. A preflight is never signed.

pub(crate) mod document;
mod page;

pub(crate) use page::Page;

use super::answer::{Answer, empty};
use super::code::Code;
use super::error::S3Error;
use super::target::Target;
use crate::state::State;
use http::header::VARY;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use objectstore::{Cors, CorsMethod};
use std::sync::Arc;

const NO_BUCKET: &str = "CORSResponse: Bucket not found";
const NO_RULE: &str = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, \
                       request method / Access-Control-Request-Method or Access-Control-Request-Headers are not \
                       whitelisted by the resource's CORS spec.";
const VARIES_BY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Headers, Access-Control-Request-Method");

/// Answers a preflight.
pub(super) async fn preflight(
    state: &State,
    target: &Target,
    headers: &HeaderMap,
) -> Result<Answer, S3Error> {
    let refused = |message| S3Error::with(Code::BadRequest, message);
    let page = Page::of(&Method::OPTIONS, headers)
        .ok_or_else(|| refused("Insufficient information. Origin request header needed.".to_owned()))?;
    let method = page.method().unwrap_or("null");
    if method.parse::<CorsMethod>().is_err() {
        return Err(refused(format!("Invalid Access-Control-Request-Method: {method}")));
    }
    let forbidden = |error: S3Error| {
        let resource = if target.key.is_some() { "OBJECT" } else { "BUCKET" };
        error.field("Method", method).field("ResourceType", resource)
    };
    let cors = match rules(state, target).await {
        Ok(Some(cors)) => cors,
        Ok(None) => return Err(forbidden(S3Error::new(Code::AccessForbidden))),
        Err(error) if error.status().is_server_error() => return Err(error),
        Err(_no_such_bucket) => return Err(forbidden(S3Error::with(Code::AccessForbidden, NO_BUCKET))),
    };
    let found = page.rule(&cors).ok_or_else(|| forbidden(S3Error::with(Code::AccessForbidden, NO_RULE)))?;
    let mut answer = empty(StatusCode::OK);
    let head = answer.headers_mut();
    page.allow(found, head);
    page.allow_headers(head);
    head.insert(VARY, VARIES_BY);
    Ok(answer)
}

/// Adds what the page's browser needs to an answer, if the bucket has rules.
pub(super) async fn decorate(state: &State, target: &Target, page: &Page, answer: &mut HeaderMap) {
    match rules(state, target).await {
        Ok(Some(cors)) => {
            if let Some(found) = page.rule(&cors) {
                page.allow(found, answer);
            }
            answer.insert(VARY, VARIES_BY);
        }
        Ok(None) => {}
        Err(error) if error.status().is_server_error() => {
            tracing::warn!(cause = error.cause(), "failed to read the CORS rules of a bucket");
        }
        Err(_no_such_bucket) => {}
    }
}

async fn rules(state: &State, target: &Target) -> Result<Option<Arc<Cors>>, S3Error> {
    Ok(state.store.setting::<Cors>(&target.bucket()?).await?)
}
