//! `PutBucketCors`, `GetBucketCors`, `DeleteBucketCors`.

use super::{Proof, document_within, required};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::cors::document;
use crate::s3::error::S3Error;
use engine::unit::ByteCount;
use http::StatusCode;
use objectstore::Cors;

/// Bytes of the document, as S3 bounds it.
const DOCUMENT_MAX: ByteCount = ByteCount::kib(64);

/// `PutBucketCors`.
pub(super) async fn put(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    let root = required(document_within(call, body, Proof::Required, DOCUMENT_MAX).await?)?;
    call.state.store.set(&name, Some(&document::read(&root)?)).await?;
    Ok(empty(StatusCode::OK))
}

/// `GetBucketCors`.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let cors = call.state.store.setting::<Cors>(&call.target.bucket()?).await?;
    let cors = cors.ok_or_else(|| S3Error::new(Code::NoSuchCORSConfiguration))?;
    Ok(xml(StatusCode::OK, document::write(&cors)))
}

/// `DeleteBucketCors`.
pub(super) async fn delete(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.set::<Cors>(&call.target.bucket()?, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
