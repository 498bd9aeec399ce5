//! Which service a request is for: that of the scope that it claims to be signed for, which its service then verifies.
//!
//! ```text
//!   Credential=AKIA…/20261129/us-east-1/iam/aws4_request ─┬─ kms, cloudtrail ─► json
//!                                                         ├─ iam, sts ────────► query
//!                                                         └─ glacier ─────────► glacier, where that door is open
//!   unsigned form to the path / of no bucket's host ──────────────────────────► query: sts
//!   everything else ──────────────────────────────────────────────────────────► s3
//! ```
//! A request is verified for the service that answers it and for no other: one that is signed for IAM never reaches S3, and the other way
//! round.

use crate::config::Config;
use crate::http::Answer;
use crate::query::Service;
use crate::s3::names_bucket;
use crate::server::{Gone, Peer, Standing};
use crate::state::State;
use crate::{cloudtrail, glacier, iam, json, kms, query, s3, sts};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use hyper::body::Incoming;
use security::sigv4::{RequestHead, claimed_service};
use std::sync::Arc;

/// Services that speak the query protocol.
static OF_QUERIES: [&Service; 2] = [&iam::SERVICE, &sts::SERVICE];

/// Services that speak the JSON protocol.
static OF_JSON: [&json::Service; 2] = [&kms::SERVICE, &cloudtrail::SERVICE];

/// The service that a request is for, but Glacier; `None`: S3.
enum For {
    Query(&'static Service),
    Json(&'static json::Service),
}

/// Answers one request.
///
/// What may need a record is finished whatever becomes of its client. Requests about objects that no trail selects are as they come: of them only a
/// denial has a record, and that is kept in the same way.
pub(crate) async fn handle(
    told: (Arc<Config>, Arc<State>),
    (peer, standing): (Peer, Standing),
    request: Request<Incoming>,
) -> Answer {
    let gone = Gone::default();
    let who = (peer, gone.clone());
    if let Some(vaults) = told.1.vaults()
        && claimed(&request).as_deref() == Some(glacier::SERVICE)
    {
        let vaults = Arc::clone(vaults);
        return standing.finish(gone, Box::pin(glacier::handle(vaults, told, who, request))).await;
    }
    match service_of(&request, &told.0) {
        Some(For::Query(service)) => {
            standing.finish(gone, Box::pin(query::handle(service, told, who, request))).await
        }
        Some(For::Json(service)) => {
            standing.finish(gone, Box::pin(json::handle(service, told, who, request))).await
        }
        None if s3::may_need_record(&told, &request) => {
            let whole = s3::handle(told, (peer, Standing::clone(&standing), Some(gone.clone())), request);
            standing.finish(gone, Box::pin(whole)).await
        }
        None => s3::handle(told, (peer, standing, None), request).await,
    }
}

fn claimed<B>(request: &Request<B>) -> Option<String> {
    claimed_service(&RequestHead {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
    })
}

fn service_of<B>(request: &Request<B>, config: &Config) -> Option<For> {
    if let Some(claimed) = claimed(request) {
        if let Some(service) = OF_JSON.into_iter().find(|service| service.name == claimed) {
            return Some(For::Json(service));
        }
        return OF_QUERIES.into_iter().find(|service| service.name == claimed).map(For::Query);
    }
    // What SDKs send unsigned is AssumeRoleWithWebIdentity, and what others do is told that it is not signed.
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let form =
        kind.get(..33).is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    let unsigned = !request.headers().contains_key(AUTHORIZATION);
    let here = *request.method() == Method::POST && request.uri().path() == "/";
    (unsigned && form && here && !names_bucket(request.headers(), config))
        .then_some(For::Query(&sts::SERVICE))
}

#[cfg(test)]
mod tests {
    use super::{For, service_of};
    use crate::config::Config;
    use http::Request;

    fn of(method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<&'static str> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        service_of(&request.body(()).unwrap(), &Config::default()).map(|found| match found {
            For::Query(service) => service.name,
            For::Json(service) => service.name,
        })
    }

    #[test]
    fn the_claimed_scope_decides_and_what_claims_none_is_s3s() {
        let signed = |service: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIA/20261129/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
            )
        };
        for (service, expected) in [
            ("iam", Some("iam")),
            ("sts", Some("sts")),
            ("kms", Some("kms")),
            ("cloudtrail", Some("cloudtrail")),
            ("s3", None),
            ("IAM", None),
            ("ec2", None),
        ] {
            assert_eq!(of("POST", "/", &[("authorization", &signed(service))]), expected, "{service}");
        }
        let url =
            "/?Action=GetCallerIdentity&X-Amz-Credential=AKIA%2F20261129%2Fus-east-1%2Fsts%2Faws4_request";
        assert_eq!(of("GET", url, &[]), Some("sts"));
        // The header goes first: its verifier refuses that there are two.
        assert_eq!(of("GET", url, &[("authorization", &signed("s3"))]), None);
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        assert_eq!(of("POST", "/", &[form, ("host", "localhost:9000")]), Some("sts"));
        for (method, path, headers) in [
            ("POST", "/", vec![("host", "localhost:9000")]),
            ("POST", "/", vec![form, ("host", "bucket.s3.localhost:9000")]),
            ("POST", "/bucket", vec![form, ("host", "localhost:9000")]),
            ("PUT", "/", vec![form, ("host", "localhost:9000")]),
            ("POST", "/", vec![form, ("authorization", "Basic YTpi")]),
            ("GET", "/?X-Amz-Credential=1", vec![]),
        ] {
            assert_eq!(of(method, path, &headers), None, "{method} {path} {headers:?}");
        }
    }
}
