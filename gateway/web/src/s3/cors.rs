//! CORS at the door: preflights, and the headers of what is answered to a page of another origin.
//!
//! ```text
//!   OPTIONS ─► Origin, method and headers that a browser asks for ─► the bucket's rules ─► 200 or AccessForbidden
//!   any other request with an Origin ─► its answer, error or not ─► the rule's headers, if one matches
//! ```
//!
//! Invariants: an origin is named, and credentials are allowed, only where a rule of the bucket matched; a rule for any
//! origin (`*`) never allows credentials; what depends on the origin says so in `Vary`. A preflight is never signed.

use super::answer::{Answer, empty, set};
use super::code::Code;
use super::error::S3Error;
use super::target::Target;
use crate::state::State;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use objectstore::{Cors, CorsMatch, CorsMethod};
use std::sync::Arc;

const NO_BUCKET: &str = "CORSResponse: Bucket not found";
const NO_RULE: &str = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, \
                       request method / Access-Control-Request-Method or Access-Control-Request-Headers are not \
                       whitelisted by the resource's CORS spec.";
const VARIES_BY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Headers, Access-Control-Request-Method");

/// What a request says of the page that sent it.
#[derive(Clone, Debug)]
pub(super) struct Page {
    origin: String,
    /// `Access-Control-Request-Method`, else the request's own.
    method: Option<String>,
    /// `Access-Control-Request-Headers`, in lower case.
    headers: Vec<String>,
}

impl Page {
    /// `None` for a request that no page of another origin sent.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let origin = only(headers, ORIGIN).filter(|origin| !origin.is_empty())?;
        let own = (*method != Method::OPTIONS).then(|| method.as_str());
        let asked = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let asked = asked.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
        Some(Self {
            origin: origin.to_owned(),
            method: only(headers, ACCESS_CONTROL_REQUEST_METHOD).or(own).map(str::to_owned),
            headers: asked.map(|name| name.trim().to_ascii_lowercase()).filter(|n| !n.is_empty()).collect(),
        })
    }

    fn rule<'c>(&self, cors: &'c Cors) -> Option<CorsMatch<'c>> {
        let headers: Vec<&str> = self.headers.iter().map(String::as_str).collect();
        cors.matching(&self.origin, self.method.as_deref()?, &headers)
    }
}

/// The text of a header that stands once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() { None } else { first.to_str().ok().map(str::trim) }
}

/// Answers a preflight.
pub(super) async fn preflight(
    state: &State,
    target: &Target,
    headers: &HeaderMap,
) -> Result<Answer, S3Error> {
    let refused = |message| S3Error::with(Code::BadRequest, message);
    let page = Page::of(&Method::OPTIONS, headers)
        .ok_or_else(|| refused("Insufficient information. Origin request header needed.".to_owned()))?;
    let method = page.method.as_deref().unwrap_or("null");
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
    allow(head, &page, found);
    if !page.headers.is_empty() {
        set(head, ACCESS_CONTROL_ALLOW_HEADERS, &page.headers.join(", "));
    }
    head.insert(VARY, VARIES_BY);
    Ok(answer)
}

/// Adds what the page's browser needs to an answer, if the bucket has rules.
pub(super) async fn decorate(state: &State, target: &Target, page: &Page, answer: &mut HeaderMap) {
    match rules(state, target).await {
        Ok(Some(cors)) => {
            if let Some(found) = page.rule(&cors) {
                allow(answer, page, found);
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

fn allow(head: &mut HeaderMap, page: &Page, found: CorsMatch<'_>) {
    let CorsMatch { rule, any_origin } = found;
    if any_origin {
        head.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else {
        set(head, ACCESS_CONTROL_ALLOW_ORIGIN, &page.origin);
        head.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    let methods: Vec<&str> = rule.methods.iter().map(|method| method.as_str()).collect();
    set(head, ACCESS_CONTROL_ALLOW_METHODS, &methods.join(", "));
    if !rule.exposed.is_empty() {
        set(head, ACCESS_CONTROL_EXPOSE_HEADERS, &rule.exposed.join(", "));
    }
    if let Some(age) = rule.max_age_secs {
        head.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age));
    }
}

#[cfg(test)]
mod tests {
    use super::Page;
    use http::{HeaderMap, HeaderValue, Method};

    fn page(method: &Method, lines: &[(&'static str, &'static str)]) -> Option<Page> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Page::of(method, &headers)
    }

    #[test]
    fn a_request_comes_from_a_page_when_it_names_one_origin() {
        assert!(page(&Method::GET, &[]).is_none());
        assert!(page(&Method::GET, &[("origin", "")]).is_none());
        assert!(page(&Method::GET, &[("origin", "http://a"), ("origin", "http://b")]).is_none());
        let plain = page(&Method::PUT, &[("origin", "http://a")]).unwrap();
        assert_eq!((plain.origin.as_str(), plain.method.as_deref()), ("http://a", Some("PUT")));
        let asking = [
            ("origin", "http://a"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "X-A, x-b,"),
            ("access-control-request-headers", "x-c"),
        ];
        let asking = page(&Method::OPTIONS, &asking).unwrap();
        assert_eq!(
            (asking.method.as_deref(), asking.headers),
            (Some("GET"), ["x-a", "x-b", "x-c"].map(str::to_owned).to_vec())
        );
        assert_eq!(page(&Method::OPTIONS, &[("origin", "http://a")]).unwrap().method, None);
    }
}
