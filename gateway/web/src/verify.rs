//! Who asks a service other than S3, by what they have signed.
//!
//! SDKs send no digest of a small body in the head of such a request: its SHA-256 is part of what is signed. So it is read before the
//! signature is verified, but only of who names a key that is there, in time, and at the memory that is kept for that
//! (`Budget::reserve_unproven`).

use crate::budget::Sender;
use crate::exchange::Trace;
use crate::http::{BodyError, RequestBody};
use crate::state::State;
use aws_lc_rs::digest;
use bytes::Bytes;
use engine::unit::ByteCount;
use http::request;
use security::sigv4::{AuthError, Authenticated, Policy, RequestHead, authenticate, examine};

/// What a signature covers of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Covers {
    /// All of it: it is small, and read first.
    Document {
        /// Its bytes at most.
        max: ByteCount,
    },
    /// The same of a form, which alone says what is asked for: [`Trace::unproven`] has it where the signature is not good.
    Form {
        /// Its bytes at most.
        max: ByteCount,
    },
    /// This SHA-256, with which the body is compared before it counts.
    Digest([u8; 32]),
}

/// Who asks, and what they have signed.
pub(crate) struct Verified {
    pub(crate) who: Authenticated,
    /// Of the scope.
    pub(crate) region: String,
    /// All of a small body.
    pub(crate) document: Bytes,
}

/// Verifies a request for that service; `None`: it is not signed.
pub(crate) async fn verify<E: From<AuthError> + From<BodyError>>(
    service: &'static str,
    (state, head): (&State, &request::Parts),
    (body, covers): (&mut RequestBody, Covers),
    trace: &mut Trace,
) -> Result<Option<Verified>, E> {
    // Every service but S3 signs the path encoded once more.
    let path = head.uri.path().replace('%', "%25");
    let request = RequestHead {
        method: head.method.as_str(),
        path: &path,
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
    };
    let policy = Policy::new(&state.region, state.clock.now(), &state.signing_keys);
    if !examine(&request, &*state.credentials, &policy.of_service(service, None))? {
        return Ok(None);
    }
    let (document, hash) = match covers {
        Covers::Digest(hash) => (Bytes::new(), hash),
        Covers::Document { max } | Covers::Form { max } => {
            let document = body.collect_unproven(max, &state.bodies).await?;
            let mut hash = [0; 32];
            hash.copy_from_slice(digest::digest(&digest::SHA256, &document).as_ref());
            (document, hash)
        }
    };
    let who = authenticate(&request, &*state.credentials, &policy.of_service(service, Some(hash)));
    if who.is_err() && matches!(covers, Covers::Form { .. }) {
        trace.unproven = document.clone();
    }
    let who = who?;
    let Authenticated::Signed(signed) = &who else { return Ok(None) };
    trace.access_key_id = Some(signed.access_key_id.as_str().to_owned());
    body.signed_by(Sender::Key(signed.access_key_id.clone()));
    let region = signed.scope.region.clone();
    Ok(Some(Verified { who, region, document }))
}
