//! Buckets: list, create, look at, delete, versioning.

use crate::Client;
use crate::call::{Call, header_text};
use crate::date::from_iso;
use crate::error::{Error, Result};
use crate::list::{Barren, IN_CIRCLES, List};
use engine::clock::Timestamp;
use http::{Method, StatusCode};

/// A bucket in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// When it was made, when the endpoint says.
    pub created: Option<Timestamp>,
}

/// Whether a bucket keeps old versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    /// Never turned on.
    Off,
    /// Every overwrite and delete keeps the old version.
    Enabled,
    /// Old versions stay, new ones are not kept.
    Suspended,
}

/// What an endpoint says of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketHead {
    /// Where it is.
    pub region: Option<String>,
    /// What deduplication does in it; firn says so where it was ever switched on.
    pub deduplicated: Option<Deduplicated>,
}

/// What deduplication does in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deduplicated {
    /// Bytes of bodies that it took and that are there still.
    pub written_bytes: u64,
    /// Bytes that it keeps of them.
    pub stored_bytes: u64,
}

impl Deduplicated {
    /// Bytes that need not be stored.
    pub const fn saved_bytes(&self) -> u64 {
        self.written_bytes.saturating_sub(self.stored_bytes)
    }
}

impl Client {
    /// All buckets of the account.
    pub async fn list_buckets(&self) -> Result<Vec<Bucket>> {
        let operation = "ListBuckets";
        let mut buckets = Vec::new();
        let protocol = |detail| Error::Protocol { operation, detail };
        let (mut token, mut barren): (Option<String>, _) = (None, Barren::default());
        loop {
            let call = Call::new(operation, Method::GET).query_some("continuation-token", token.as_deref());
            let (root, _) = self.send_xml(&call, "ListAllMyBucketsResult").await?;
            let list = root.child("Buckets").ok_or_else(|| protocol("it lacks Buckets".to_owned()))?;
            for bucket in list.all("Bucket") {
                buckets.push(Bucket {
                    name: bucket.require("Name").map_err(protocol)?.to_owned(),
                    created: bucket.text_of("CreationDate").and_then(from_iso),
                });
            }
            let next = root.text_of("ContinuationToken").filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(buckets);
            }
            if next == token {
                return Err(protocol(IN_CIRCLES.to_owned()));
            }
            barren.count(list.children.is_empty()).map_err(protocol)?;
            token = next;
        }
    }

    /// Makes a bucket.
    pub async fn create_bucket(&self, bucket: &str) -> Result<()> {
        let region = &self.inner.settings.region;
        let mut call = Call::new("CreateBucket", Method::PUT).bucket(bucket);
        if region != "us-east-1" {
            call = call.xml_body(format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
                crate::xml::escape(region)
            ));
        }
        self.send_bucket(&call).await.map(drop)
    }

    /// Whether a bucket is there and may be used; what the endpoint says of it.
    pub async fn head_bucket(&self, bucket: &str) -> Result<BucketHead> {
        let call = Call::new("HeadBucket", Method::HEAD).bucket(bucket);
        let headers = self.send_bucket(&call).await?;
        let region = header_text(&headers, "x-amz-bucket-region").map(str::to_owned);
        let bytes = |name| header_text(&headers, name).and_then(|text| text.parse::<u64>().ok());
        let written = bytes("x-firn-dedup-written-bytes");
        let deduplicated = written.zip(bytes("x-firn-dedup-stored-bytes"));
        let deduplicated =
            deduplicated.map(|(written_bytes, stored_bytes)| Deduplicated { written_bytes, stored_bytes });
        Ok(BucketHead { region, deduplicated })
    }

    /// Has the endpoint list a bucket, as S3 alone does it.
    pub(crate) async fn prove_bucket(&self, bucket: &str) -> Result<()> {
        let list = List { bucket, page_max: Some(1), ..List::default() };
        self.objects(list).next().await.map(drop)
    }

    /// Deletes an empty bucket.
    pub async fn delete_bucket(&self, bucket: &str) -> Result<()> {
        let call = Call::new("DeleteBucket", Method::DELETE).bucket(bucket);
        self.send_bare(&call, &[StatusCode::NO_CONTENT]).await.map(drop)
    }

    /// Whether a bucket keeps old versions.
    pub async fn bucket_versioning(&self, bucket: &str) -> Result<Versioning> {
        let operation = "GetBucketVersioning";
        let call = Call::new(operation, Method::GET).bucket(bucket).query("versioning", "");
        let (root, _) = self.send_xml(&call, "VersioningConfiguration").await?;
        match root.text_of("Status") {
            None | Some("") => Ok(Versioning::Off),
            Some("Enabled") => Ok(Versioning::Enabled),
            Some("Suspended") => Ok(Versioning::Suspended),
            Some(other) => Err(Error::Protocol { operation, detail: format!("versioning status {other:?}") }),
        }
    }

    /// Turns the keeping of old versions on or off (off is `Suspended`, once it was on).
    pub async fn set_bucket_versioning(&self, bucket: &str, on: bool) -> Result<()> {
        let status = if on { "Enabled" } else { "Suspended" };
        let call = Call::new("PutBucketVersioning", Method::PUT)
            .bucket(bucket)
            .query("versioning", "")
            .xml_body(format!(
                "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <Status>{status}</Status></VersioningConfiguration>"
            ));
        self.send_bucket(&call).await.map(drop)
    }
}
