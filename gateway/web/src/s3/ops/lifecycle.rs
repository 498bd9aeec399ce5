//! `PutBucketLifecycleConfiguration`, `GetBucketLifecycleConfiguration`, `DeleteBucketLifecycle`, under their former names too.

use super::{Proof, document_within, required, said};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, set_amz, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::lifecycle;
use engine::unit::ByteCount;
use http::StatusCode;
use objectstore::{ErrorKind, Lifecycle, TransitionMinimum};

/// Bytes of the document: 1,000 rules with long names.
const DOCUMENT_MAX: ByteCount = ByteCount::mib(1);
/// From which size on objects are moved where a rule does not say. Kept, for some clients wait until it is what they said.
const MINIMUM: &str = "x-amz-transition-default-minimum-object-size";

/// Instead of no reason at all: asking again is of no use.
const DAMAGED: &str =
    "The bucket's lifecycle rules are damaged, and act on nothing until they are set again or removed.";

/// `PutBucketLifecycleConfiguration`.
pub(super) async fn put(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    let minimum = match said(call, MINIMUM)? {
        None => TransitionMinimum::default(),
        Some(text) => TransitionMinimum::parse(text).ok_or_else(|| {
            S3Error::argument(MINIMUM, text, "Invalid value for the default minimum object size")
        })?,
    };
    let root = required(document_within(call, body, Proof::Required, DOCUMENT_MAX).await?)?;
    let made = || {
        // Short, so that a thousand of them fit into the row.
        let mut random = [0; 8];
        call.state.entropy.fill_id(&mut random);
        hex::encode(random)
    };
    let mut rules = lifecycle::read(&root, made)?;
    rules.minimum = minimum;
    call.state.store.set_lifecycle(&name, Some(&rules)).await?;
    let mut answer = empty(StatusCode::OK);
    set_amz(answer.headers_mut(), MINIMUM, minimum.as_str());
    Ok(answer)
}

/// `GetBucketLifecycleConfiguration`.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let rules = call.state.store.setting::<Lifecycle>(&call.target.bucket()?).await;
    let rules = rules.map_err(|error| match error.kind() {
        ErrorKind::Corrupt => S3Error::with(Code::InternalError, DAMAGED),
        _ => error.into(),
    })?;
    let rules = rules.ok_or_else(|| S3Error::new(Code::NoSuchLifecycleConfiguration))?;
    let mut answer = xml(StatusCode::OK, lifecycle::write(&rules));
    set_amz(answer.headers_mut(), MINIMUM, rules.minimum.as_str());
    Ok(answer)
}

/// `DeleteBucketLifecycle`.
pub(super) async fn delete(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.set_lifecycle(&call.target.bucket()?, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
