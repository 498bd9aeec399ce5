//! `PutBucketRequestPayment`, `GetBucketRequestPayment`.
//!
//! Nobody pays here. What S3 does with a requester-pays bucket beyond that is to refuse requests of others than its owner that do
//! not say `x-amz-request-payer`; who could be such another is decided where access is.

use super::{Proof, document, required};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::xml::XmlWriter;
use http::StatusCode;
use objectstore::RequestPayment;

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
