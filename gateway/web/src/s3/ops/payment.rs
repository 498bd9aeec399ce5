//! `PutBucketRequestPayment`, `GetBucketRequestPayment`.
//!
//! Nobody pays here. What S3 does with a requester-pays bucket beyond that is done: others than its owner must say that they would
//! pay, and are told that they did; nobody unknown gets anything of it.

use super::{Proof, document, required};
use crate::s3::Call;
use crate::s3::access::Asker;
use crate::s3::answer::{Answer, empty, set_amz, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::headers;
use crate::xml::XmlWriter;
use http::{HeaderMap, StatusCode};
use objectstore::RequestPayment;
use security::Principal;

/// `PutBucketRequestPayment`.
pub(super) async fn put(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    let root = required(document(call, body, Proof::Optional).await?)?;
    let root = root.expect("RequestPaymentConfiguration")?.only(&["Payer"])?;
    let payer = match root.child_text("Payer")? {
        Some("BucketOwner") => RequestPayment::BucketOwner,
        Some("Requester") => RequestPayment::Requester,
        _ => return Err(S3Error::new(Code::MalformedXML)),
    };
    call.state.store.set(&name, Some(&payer)).await?;
    Ok(empty(StatusCode::OK))
}

/// `GetBucketRequestPayment`.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let set = call.state.store.setting::<RequestPayment>(&call.target.bucket()?).await?;
    let mut out = XmlWriter::document("RequestPaymentConfiguration");
    out.text(
        "Payer",
        match set.as_deref() {
            None | Some(RequestPayment::BucketOwner) => "BucketOwner",
            Some(RequestPayment::Requester) => "Requester",
        },
    );
    Ok(xml(StatusCode::OK, out.finish()))
}

/// Where somebody says that they pay.
const PAYER: &str = "x-amz-request-payer";

/// Whether the request is charged to whoever asks; refused where it would be and they do not say so.
pub(in crate::s3) async fn charged(call: &Call) -> Result<bool, S3Error> {
    let Asker { principal, owner, .. } = &call.asker;
    if call.target.bucket.is_none() || principal.account() == Some(*owner) {
        return Ok(false);
    }
    let set = call.state.store.setting::<RequestPayment>(&call.target.bucket()?).await?;
    if set.as_deref() != Some(&RequestPayment::Requester) {
        return Ok(false);
    }
    let said = headers::text(&call.head.headers, PAYER)?;
    if said == Some("requester") && *principal != Principal::Anonymous {
        return Ok(true);
    }
    Err(S3Error::new(Code::AccessDenied))
}

/// Tells whoever asked that the request was charged to them.
pub(in crate::s3) fn tell_charged(head: &mut HeaderMap) {
    set_amz(head, "x-amz-request-charged", "requester");
}
