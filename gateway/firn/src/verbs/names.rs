//! Names that were mistyped: which of the two is not there, the bucket or the key. An answer to HEAD has no code that says it.

use crate::exit::{Exit, Failure};
use client::{BucketHead, Client, Error, ErrorKind, List};

/// Looks at a bucket; an error says what is wrong with its name.
pub(super) async fn named_bucket(client: &Client, bucket: &str) -> anyhow::Result<BucketHead> {
    match client.head_bucket(bucket).await {
        Ok(head) => Ok(head),
        Err(error) => Err(of_bucket(client, bucket, error).await),
    }
}

/// Whether an error of asking for an object is one about its bucket; if so, said so.
pub(super) async fn without_bucket(
    client: &Client,
    bucket: &str,
    error: Error,
) -> Result<anyhow::Error, Error> {
    if error.code() == Some("NoSuchBucket") {
        return Ok(of_bucket(client, bucket, error).await);
    }
    if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid) {
        return Err(error);
    }
    match client.head_bucket(bucket).await {
        Err(about) if about.kind() == error.kind() => Ok(of_bucket(client, bucket, about).await),
        _ => Err(error),
    }
}

async fn of_bucket(client: &Client, bucket: &str, error: Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::NotFound => {
            let hint = format!("see which there are: firn ls; make it: firn mb s3://{bucket}");
            let text = format!("find the bucket s3://{bucket}");
            Failure::new(Exit::NotFound, text).hint(hint).caused_by(error).into()
        }
        // A name that is none, or a door that speaks another protocol: only an answer with a body tells them apart.
        ErrorKind::Invalid => match client.objects(List { bucket, ..List::default() }).next().await {
            Err(told) if told.code() == Some("InvalidBucketName") => told.into(),
            _ => error.into(),
        },
        _ => error.into(),
    }
}
