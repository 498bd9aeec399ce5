//! The object store's one error type. Each variant is one S3 error code at the HTTP edge.

use crate::{
    BucketName, ChecksumAlgorithm, ETag, ObjectKey, PartNumber, QuotaUnit, StorageClass, VersionName,
};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use security::kms::Code;

/// The object store's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The thing named does not exist: report it.
    NotFound,
    /// Another writer came first, or what is there forbids it: read again, decide again.
    Conflict,
    /// Whoever asks may not: ask as another, or have it allowed.
    Denied,
    /// The request breaks a declared limit or format: fix it; a retry does not help.
    Invalid,
    /// Not now: retry later or mend what the text names.
    Unavailable,
    /// Bytes at rest are not what was written: never serve them; repair or restore.
    Corrupt,
}

/// What can go wrong with buckets and objects.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `NoSuchBucket`.
    #[error("find the bucket: there is none of this name")]
    NoSuchBucket,
    /// `NoSuchKey`. With a delete marker when that is what stands at the top of the key.
    #[error("find the key in the bucket")]
    NoSuchKey {
        /// The delete marker that hides older versions.
        marker: Option<VersionName>,
    },
    /// `NoSuchVersion`.
    #[error("find this version of the key")]
    NoSuchVersion,
    /// `NoSuchUpload`.
    #[error("find the multipart upload: it was completed, aborted, or never was")]
    NoSuchUpload,
    /// `MethodNotAllowed`: a delete marker was asked for by its version id.
    #[error("read a delete marker")]
    IsDeleteMarker {
        /// Its name.
        version: VersionName,
        /// When it was made.
        modified: Timestamp,
    },
    /// `BucketAlreadyOwnedByYou`.
    #[error("create the bucket: you have it already")]
    BucketAlreadyOwnedByYou,
    /// `BucketAlreadyExists`.
    #[error("create the bucket: the name is taken")]
    BucketAlreadyExists,
    /// `BucketNotEmpty`.
    #[error("delete the bucket: it holds versions or delete markers")]
    BucketNotEmpty,
    /// `OperationAborted`: the bucket is being created or deleted by another request.
    #[error("change the bucket: another request is creating or deleting it")]
    BucketBusy,
    /// `TooManyBuckets`.
    #[error("create the bucket: the account has {limit} already")]
    TooManyBuckets {
        /// The limit.
        limit: usize,
    },
    /// `InvalidBucketName`.
    #[error("accept the bucket name: 3 to 63 of a-z, 0-9, dot and hyphen")]
    InvalidBucketName,
    /// `KeyTooLongError`.
    #[error("accept a key of {size} bytes: the limit is 1024")]
    KeyTooLong {
        /// Its size in bytes.
        size: usize,
    },
    /// `InvalidArgument` (S3 answers 400 with this code for a malformed version id).
    #[error("read the version id")]
    InvalidVersionId,
    /// `InvalidArgument`.
    #[error("accept {name}: {detail}")]
    InvalidArgument {
        /// S3's name of the argument.
        name: &'static str,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// `InvalidRequest`.
    #[error("accept the request: {detail}")]
    InvalidRequest {
        /// What is wrong with it.
        detail: &'static str,
    },
    /// `AccessDenied`.
    #[error("do this: who asks may not")]
    AccessDenied,
    /// `AccessControlListNotSupported`: the bucket's ownership controls switch access lists off.
    #[error("set an access list: the bucket's ownership controls switch lists off")]
    AccessListsOff,
    /// `InvalidBucketAclWithObjectOwnership`: lists can't be off while the bucket's own grants anything to others.
    #[error("switch access lists off: the bucket's own grants something to others")]
    AccessListInTheWay,
    /// A managed key is not there, not in a state to be used, or not to be used by who asks: S3's code is that of `code`.
    #[error("use the managed key: {message}")]
    KeyRefused {
        /// Why.
        code: Code,
        /// What who asks is told.
        message: String,
    },
    /// `InvalidTag`.
    #[error("accept the tags: {detail}")]
    InvalidTag {
        /// What is wrong with them.
        detail: &'static str,
    },
    /// `InvalidRequest`: a setting of a bucket that S3 would not take either.
    #[error("accept the setting: {detail}")]
    InvalidSetting {
        /// What is wrong with it, in S3's words.
        detail: String,
    },
    /// `InvalidArgument`: days of lifecycle rules that S3 would not take either.
    #[error("accept the rules: {detail}")]
    InvalidLifecycle {
        /// What is wrong with them, in S3's words.
        detail: String,
    },
    /// `NoSuchConfiguration`: none of this id.
    #[error("find the configuration: there is none of this id")]
    NoSuchConfiguration,
    /// `TooManyConfigurations`.
    #[error("add a configuration: the bucket has {limit} already")]
    TooManyConfigurations {
        /// The limit.
        limit: usize,
    },
    /// `InvalidTargetBucketForLogging`.
    #[error(
        "write logs into bucket {target}: it is not there, or another account's, or not one for logs, or its access list does not grant \
         WRITE and READ_ACP to the log delivery group (`put-bucket-acl --acl log-delivery-write`)"
    )]
    InvalidLogTarget {
        /// The bucket.
        target: BucketName,
    },
    /// `InvalidBucketState`.
    #[error("change the bucket: {detail}")]
    InvalidBucketState {
        /// What stands against it.
        detail: &'static str,
    },
    /// `AccessDenied`: a retention or a legal hold keeps the version as it is.
    #[error("remove or weaken what is locked")]
    ObjectLocked,
    /// `InvalidObjectState`: it is archived and not restored, or is to be restored and not archived.
    #[error("{}", told(what))]
    InvalidObjectState {
        /// What it is.
        what: Box<ColdObject>,
    },
    /// `RestoreAlreadyInProgress`.
    #[error("restore the object: that is under way already; only a faster tier changes it")]
    RestoreInProgress,
    /// `GlacierExpeditedRetrievalNotAvailable`.
    #[error(
        "restore the object at once: the drives have no room for it now; ask for standard, or try again later"
    )]
    NoExpeditedRestore,
    /// `ServiceUnavailable`: its bytes lie in a vault that this start does not know.
    #[error("reach the bytes: they lie in a vault, and the configuration opens none (vault.enabled)")]
    NoVault,
    /// `ServiceUnavailable`: a vault does not do it, now at least.
    #[error("ask the vault: {why}")]
    VaultRefused {
        /// In its own words.
        why: String,
    },
    /// `SlowDown`: as many restores are under way in the bucket as its vault takes at once.
    #[error("restore the object: the bucket has {limit} restores; wait until some are there")]
    TooManyRestores {
        /// How many there may be.
        limit: u64,
    },
    /// There is no such job of restores.
    #[error("find the restore job: the bucket has none of this id")]
    NoSuchRestoreJob,
    /// As many jobs are under way in the bucket as there may be.
    #[error("begin a restore job: the bucket has {limit} under way; wait for one, or cancel one")]
    TooManyRestoreJobs {
        /// How many there may be.
        limit: usize,
    },
    /// The restored copy is gone: whoever looks at the version again sees why.
    #[error("read the restored copy: it is gone")]
    RestoredCopyGone,
    /// `QuotaExceeded`: the write would store more than the bucket, or a prefix of it, may hold.
    #[error("store more: the quota of {} leaves no room for it within {limit} {unit}", quoted(prefix))]
    QuotaExceeded {
        /// Whose quota; empty for the bucket's.
        prefix: String,
        /// What it limits.
        unit: QuotaUnit,
        /// The limit, in that unit.
        limit: u64,
    },
    /// The admin door's alone: there is no quota of this prefix.
    #[error("find the quota: none is set on this bucket or prefix")]
    NoSuchQuota,
    /// `InvalidRetentionPeriod`.
    #[error("accept the default retention: 1 to 36500 days, or 1 to 100 years")]
    InvalidRetentionPeriod,
    /// `InvalidRequest`: the copy changes nothing.
    #[error("copy an object onto itself without changing its metadata or storage class")]
    CopyOntoItself,
    /// `MetadataTooLarge`.
    #[error("store {size} bytes of user metadata: the limit is {limit}")]
    MetadataTooLarge {
        /// Size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// `PreconditionFailed`.
    #[error("go on: the precondition {header} does not hold")]
    PreconditionFailed {
        /// The header that failed.
        header: &'static str,
    },
    /// 304 without a body.
    #[error("send the object: it has not changed")]
    NotModified {
        /// The current entity tag.
        etag: ETag,
        /// The current modification time.
        modified: Timestamp,
        /// The version, in a bucket that has versions.
        version: Option<VersionName>,
    },
    /// `BadDigest`: the Content-MD5 does not match.
    #[error("accept the body: its MD5 is not the one that was sent")]
    BadDigest,
    /// `BadDigest` or `InvalidRequest`: an additional checksum does not match.
    #[error("accept the body: its {algorithm} is not the one that was sent")]
    ChecksumMismatch {
        /// Which.
        algorithm: ChecksumAlgorithm,
    },
    /// `IncompleteBody`: fewer or more bytes than announced.
    #[error("accept a body of {got}: {announced} were announced")]
    IncompleteBody {
        /// Bytes announced.
        announced: ByteCount,
        /// Bytes received.
        got: ByteCount,
    },
    /// `EntityTooLarge`.
    #[error("accept a body of {size}: the limit is {limit}")]
    EntityTooLarge {
        /// Its size, as far as known.
        size: ByteCount,
        /// The limit.
        limit: ByteCount,
    },
    /// `EntityTooSmall`: a part that is not the last is below 5 MiB.
    #[error("complete the upload: part {part} has {size}, below the 5 MiB that all but the last need")]
    EntityTooSmall {
        /// Which part.
        part: PartNumber,
        /// Its size.
        size: ByteCount,
        /// Its entity tag.
        etag: ETag,
    },
    /// `InvalidPart`: a part is missing, or its entity tag or checksum is another one.
    #[error("complete the upload: part {part} is missing or differs")]
    InvalidPart {
        /// Which part.
        part: PartNumber,
    },
    /// `InvalidRequest`: a composite checksum was asked for, and a part is named without its own.
    #[error("complete the upload: part {part} is named without its {algorithm}")]
    PartWithoutChecksum {
        /// The upload's algorithm.
        algorithm: ChecksumAlgorithm,
        /// Which part.
        part: PartNumber,
    },
    /// `InvalidPartOrder`.
    #[error(
        "complete the upload: parts are not in ascending order, or not 1, 2, 3 … under a composite checksum"
    )]
    InvalidPartOrder,
    /// `InvalidPart`: the object has no such part.
    #[error("read part {part}: the object has {parts}")]
    NoSuchPart {
        /// Which part.
        part: PartNumber,
        /// How many there are.
        parts: u32,
    },
    /// `InvalidRange` (416).
    #[error("read the range: the object has {size}")]
    InvalidRange {
        /// The object's size.
        size: ByteCount,
    },
    /// `OperationAborted`/`SlowDown`: too many writers of one key at once; a retry is likely to succeed.
    #[error("decide the write in {attempts} attempts: too many writers of this key")]
    Contended {
        /// How many attempts were made.
        attempts: u32,
    },
    /// The engine's: `InternalError`, `ServiceUnavailable` (503) or, on a full disk, 507.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

/// An object whose class stands against what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdObject {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// Its version, if that was named.
    pub version: Option<VersionName>,
    /// Its class.
    pub class: StorageClass,
    /// A restore is under way.
    pub under_way: bool,
}

fn told(what: &ColdObject) -> String {
    let ColdObject { bucket, key, class, under_way, .. } = what;
    match (class.is_archived(), under_way) {
        (false, _) => format!("restore s3://{bucket}/{key}: it is of class {class}, which needs none"),
        (true, false) => format!("read s3://{bucket}/{key}: it is archived as {class}; restore it first"),
        (true, true) => format!("read s3://{bucket}/{key}: it is archived as {class}, and being restored"),
    }
}

/// A prefix as texts name it.
fn quoted(prefix: &str) -> String {
    if prefix.is_empty() { "the bucket".to_owned() } else { format!("the prefix {prefix:?}") }
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchBucket
            | Self::NoSuchKey { .. }
            | Self::NoSuchVersion
            | Self::NoSuchUpload
            | Self::NoSuchQuota
            | Self::NoSuchConfiguration
            | Self::NoSuchRestoreJob
            | Self::IsDeleteMarker { .. } => ErrorKind::NotFound,
            Self::BucketAlreadyOwnedByYou
            | Self::BucketAlreadyExists
            | Self::BucketNotEmpty
            | Self::BucketBusy
            | Self::InvalidBucketState { .. }
            | Self::ObjectLocked
            | Self::InvalidObjectState { .. }
            | Self::RestoreInProgress
            | Self::QuotaExceeded { .. }
            | Self::PreconditionFailed { .. }
            | Self::NotModified { .. } => ErrorKind::Conflict,
            Self::AccessDenied => ErrorKind::Denied,
            Self::KeyRefused { code, .. } => match code {
                Code::AccessDenied | Code::NotAuthorized => ErrorKind::Denied,
                Code::Throttling => ErrorKind::Unavailable,
                _ => ErrorKind::Invalid,
            },
            Self::TooManyBuckets { .. }
            | Self::TooManyRestoreJobs { .. }
            | Self::InvalidBucketName
            | Self::KeyTooLong { .. }
            | Self::InvalidVersionId
            | Self::InvalidArgument { .. }
            | Self::InvalidRequest { .. }
            | Self::AccessListsOff
            | Self::AccessListInTheWay
            | Self::InvalidTag { .. }
            | Self::InvalidSetting { .. }
            | Self::InvalidLifecycle { .. }
            | Self::TooManyConfigurations { .. }
            | Self::InvalidLogTarget { .. }
            | Self::InvalidRetentionPeriod
            | Self::CopyOntoItself
            | Self::MetadataTooLarge { .. }
            | Self::BadDigest
            | Self::ChecksumMismatch { .. }
            | Self::IncompleteBody { .. }
            | Self::EntityTooLarge { .. }
            | Self::EntityTooSmall { .. }
            | Self::InvalidPart { .. }
            | Self::PartWithoutChecksum { .. }
            | Self::InvalidPartOrder
            | Self::NoSuchPart { .. }
            | Self::InvalidRange { .. } => ErrorKind::Invalid,
            Self::Contended { .. }
            | Self::NoExpeditedRestore
            | Self::NoVault
            | Self::VaultRefused { .. }
            | Self::TooManyRestores { .. } => ErrorKind::Unavailable,
            Self::RestoredCopyGone => ErrorKind::Corrupt,
            Self::Engine(error) => match error.kind() {
                // The engine's "not found" and "conflict" never mean the user's thing: bytes that a row names are gone,
                // or a commit lost a race that the store itself should have settled.
                engine::ErrorKind::NotFound | engine::ErrorKind::Corrupt => ErrorKind::Corrupt,
                engine::ErrorKind::Invalid => ErrorKind::Invalid,
                engine::ErrorKind::Conflict | engine::ErrorKind::Unavailable => ErrorKind::Unavailable,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorKind};

    #[test]
    fn who_may_not_is_denied_whoever_asks_and_what_is_locked_stands_against_it() {
        for (error, kind) in [
            (Error::AccessDenied, ErrorKind::Denied),
            (Error::ObjectLocked, ErrorKind::Conflict),
            (Error::InvalidVersionId, ErrorKind::Invalid),
            (Error::NoSuchBucket, ErrorKind::NotFound),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}
