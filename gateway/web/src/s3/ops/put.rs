//! Bodies on their way in: `PutObject` and `UploadPart`.
//!
//! The store is asked first (does the bucket exist, do the limits hold), then the client is asked for its body: who waits
//! for 100-continue sends nothing that would be refused. What the body may hold of memory is reserved between the two.

use super::extract;
use super::object::part_number;
use super::{beside, set_checksum, set_made_version};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, set};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::customer::{self, Brought, Shown};
use crate::s3::error::S3Error;
use crate::s3::headers::{self, Digests};
use crate::s3::{lifecycle, managed};
use engine::unit::ByteCount;
use http::header::{ETAG, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use objectstore::{PartRequest, PutRequest, Upload, UploadId, Uploaded};
use security::envelope::CustomerKey;

/// `PutObject`.
pub(super) async fn object(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    if let Some(version) = call.query.get("versionId") {
        return Err(S3Error::argument("versionId", version, "This operation does not accept a version-id."));
    }
    let length = length(call, body)?;
    if extract::is_asked(&call.head.headers)? {
        return Box::pin(extract::object(call, body, length)).await;
    }
    let started = begin(call, length).await?;
    let hold = body.reserve(&call.state.bodies, started.upload.memory(length)).await?;
    let started = Started { upload: started.upload.charged_to(hold), ..started };
    let shown = started.shown.clone();
    let uploaded = receive(started, body).await?;
    call.note(|notes| notes.size(uploaded.size));
    Ok(render(&uploaded, shown.as_ref()))
}

/// An upload that waits for its bytes, and what they are compared with.
pub(super) struct Started {
    pub(super) upload: Upload,
    pub(super) digests: Digests,
    /// What the answer says of a key that was brought along.
    pub(super) shown: Option<Shown>,
}

/// Asks the store for what the headers say.
pub(super) async fn begin(call: &Call, length: Option<ByteCount>) -> Result<Started, S3Error> {
    let request_headers = &call.head.headers;
    let digests = Digests::of(request_headers)?;
    let conditions = headers::write_conditions(request_headers)?;
    let (customer_key, shown) = apart(customer::of(call)?);
    let request = PutRequest {
        length,
        metadata: headers::metadata(request_headers)?,
        class: headers::storage_class(request_headers)?.unwrap_or_default(),
        checksum: digests.algorithm,
        asks: Some(call.stores(&conditions)),
        conditions,
        proven: digests.prove(),
        subresources: beside(call).await?,
        writer: call.writer().await?,
        origin: call.origin(),
        customer_key,
        encryption: managed::wish(call)?,
        ..PutRequest::new(call.target.bucket()?, call.target.key()?)
    };
    let upload = call.state.store.put(request).await?;
    Ok(Started { upload, digests, shown })
}

/// `UploadPart`.
pub(super) async fn part(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let request_headers = &call.head.headers;
    let digests = Digests::of(request_headers)?;
    let length = length(call, body)?;
    let (customer_key, shown) = apart(customer::of(call)?);
    let request = PartRequest {
        bucket: call.target.bucket()?,
        key: call.target.key()?,
        upload: upload_id(call)?,
        part: part_number(call.query.get("partNumber").unwrap_or_default())?,
        length,
        checksum: digests.algorithm,
        proven: digests.prove(),
        writer: Some(call.asker.principal.canonical_user()),
        customer_key,
        asks: Some(call.asker.question.clone()),
    };
    let upload = call.state.store.upload_part(request).await?;
    let hold = body.reserve(&call.state.bodies, upload.memory(length)).await?;
    let started = Started { upload: upload.charged_to(hold), digests, shown: None };
    let uploaded = receive(started, body).await?;
    call.note(|notes| notes.size(uploaded.size));
    Ok(render(&uploaded, shown.as_ref()))
}

/// `?uploadId=`; what cannot be one names no upload.
pub(super) fn upload_id(call: &Call) -> Result<UploadId, S3Error> {
    let text = call.query.get("uploadId").unwrap_or_default();
    text.parse().map_err(|_| S3Error::new(Code::NoSuchUpload).field("UploadId", text))
}

/// The length that the body will have. It may be left open in one way only: a body in HTTP's own chunks, which says itself
/// where it ends.
fn length(call: &Call, body: &RequestBody) -> Result<Option<ByteCount>, S3Error> {
    match body.length() {
        None if !call.head.headers.contains_key(TRANSFER_ENCODING) => {
            Err(S3Error::new(Code::MissingContentLength))
        }
        length => Ok(length),
    }
}

async fn receive(started: Started, body: &mut RequestBody) -> Result<Uploaded, S3Error> {
    let Started { mut upload, digests, .. } = started;
    while let Some(bytes) = body.next().await? {
        upload.write(bytes).await?;
    }
    Ok(upload.finish(digests.expect(body.trailers())?).await?)
}

/// A key that was brought along, and what is shown of it.
fn apart(brought: Option<Brought>) -> (Option<CustomerKey>, Option<Shown>) {
    brought.map(|Brought { key, shown }| (key, shown)).unzip()
}

fn render(uploaded: &Uploaded, shown: Option<&Shown>) -> Answer {
    let mut answer = empty(StatusCode::OK);
    describe(answer.headers_mut(), uploaded, shown);
    answer
}

/// What is said of an object that was stored.
pub(super) fn describe(head: &mut HeaderMap, uploaded: &Uploaded, shown: Option<&Shown>) {
    set(head, ETAG, &format!("\"{}\"", uploaded.etag));
    set_checksum(head, uploaded.checksum.as_ref());
    set_made_version(head, uploaded.version);
    lifecycle::set_expiration(head, uploaded.expires.as_ref());
    customer::show(head, &uploaded.encrypted_by, shown);
}
