//! Buckets, keys, versions: the object store's semantics, as S3 has them, without a wire protocol.
//!
//! ```text
//!   put ─► Upload::write … ─► Upload::finish ─► one commit publishes the version     upload · publish · stack
//!   get ─► current or version row ─► its bytes, verified and decrypted as they stream     read · lookup · body
//!   tags ─► the version's row, opened, changed and sealed again ─► one commit              amend · subresources
//!   copy ─► a second reference to the same bytes ─► one commit                            copy · share
//!   quotas ─► what a write adds is checked against them in its commit                     quota
//!   bodies of buckets that ask for it ─► chunks, each stored once                       dedup
//!   keys that clients bring along ─► the data key in their envelope                     envelope
//!   parts ─► complete ─► manifest pages ─► one commit of bounded size                     multipart
//!   archive ─► its entries staged ─► decided ─► each published as a put is                    ingest
//!   any of it ─► S3's event, in the same commit ─► the outbox                                   event
//!   requests of logged buckets ─► lines in memory ─► objects of another bucket                  access_log
//!   rules ─► what they match expires when its time has come                                    lifecycle
//!   archived classes ─► restored for so many days, from the pool or a vault                    cold
//!   classes ─► what they cost                                                               price · cost
//!   all that is archived below a prefix ─► a job that asks for it                             restore_job
//!   inventories ─► a report of rows, a page at a time, into another bucket                     inventory
//!   what that leaves behind ─► released in batches                                        worker
//! ```
//!
//! # Invariants
//! - Bytes before names: a version appears in one commit, when its bytes are durable; a crash leaves garbage, never a name
//!   without bytes.
//! - Every commit stays within one partition, one a bucket. Names of buckets are in the root.
//! - Rows are authenticated: a version's data key is sealed with bucket, key and the rest of its row, so nothing can be moved
//!   under another name.
//! - Every loop is bounded, as is every commit and every page.

mod access;
mod access_log;
mod amend;
mod api;
mod attributes;
mod body;
mod bucket;
mod change;
mod checksum;
mod civil;
mod cold;
mod condition;
mod content_type;
mod copy;
mod cost;
mod create;
mod dedup;
mod delete;
mod envelope;
mod error;
mod etag;
mod event;
mod id;
mod ingest;
mod inventory;
mod keyring;
mod lifecycle;
mod list;
mod lock;
mod lookup;
mod meta;
mod multipart;
mod name;
mod own_writes;
mod pages;
mod policies;
pub mod price;
mod publish;
mod quota;
mod read;
mod record;
mod recovered;
mod restore_job;
mod retention;
mod setting;
mod share;
mod stack;
mod store;
mod strengthen;
mod subresources;
mod tables;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trails;
mod transact;
mod upload;
mod worker;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

pub use access::{About, Admitted, ListWish, ObjectAccess, Writer};
pub use access_log::{LogFailure, LogOptions, LogRecord, LogSource, LogStatus};
pub use api::{
    AmendRequest, AttributesOutcome, AttributesRequest, BodyStream, BucketInfo, BucketPage, BucketUsage,
    CompleteRequest, CompletedPart, CopyOutcome, CopyPartRequest, CopyRequest, CopySource, CreateUpload,
    DeleteOutcome, DeleteRequest, Expect, GetOutcome, GetRequest, ListAfter, ListBuckets, ListEntry,
    ListPage, ListRequest, MetadataDirective, ObjectInfo, ObjectPart, PAGE_MAX, PartEntry, PartPage,
    PartRequest, PartsRequest, Place, PutRequest, Range, RangeSpec, UploadEntry, UploadInfo, UploadPage,
    Uploaded, UploadsRequest, VersionEntry, VersionPage, Versioning, VersionsRequest, WriteQuestions,
};
pub use archive::retrieval::Tier as RestoreTier;
pub use bucket::DamagedBucket;
pub use checksum::{ChecksumAlgorithm, ChecksumType, ChecksumValue, ObjectChecksum};
pub use cold::{RestoreOutcome, RestoreRequest, RestoreState};
pub use condition::{DeleteConditions, IfRange, ReadConditions, WriteConditions};
pub use content_type::content_type_of;
pub use cost::{CostAfter, CostOf, CostPage, CostRow};
pub use create::{BUCKETS_MAX, NewBucket};
pub use dedup::DedupInfo;
pub use envelope::{CONTEXT_BYTES_MAX, EncryptedBy, Encrypts, ManagedKey, ManagedWish};
pub use error::{ColdObject, Error, ErrorKind, Result};
pub use etag::{ETag, ETagMatch};
pub use event::{EventType, Origin};
pub use id::{PartNumber, UploadId, VersionId, VersionName, VersionSelector};
pub use ingest::{Ingest, IngestEntry, IngestOutcome, IngestRequest};
pub use inventory::{InventoryFailure, Whose};
pub use lifecycle::{
    Expiry, LifecycleAct, LifecycleDamage, LifecycleExplained, LifecycleHold, LifecyclePlace,
    LifecyclePreview, LifecycleRun, LifecycleState, LifecycleVerdict, LifecycleWhyNot, PreviewAfter,
    PreviewRow, VersionExplained,
};
pub use lock::{DAY, DEFAULT_DAYS_MAX, DEFAULT_YEARS_MAX, DefaultRetention, LockMode, Period, Retention};
pub use meta::{
    Metadata, SYSTEM_METADATA_BYTES_MAX, StorageClass, SystemMetadata, USER_METADATA_BYTES_MAX, UserMetadata,
};
pub use multipart::PART_BYTES_MIN;
pub use name::{BucketName, KEY_BYTES_MAX, ObjectKey};
pub use quota::{KnownQuotas, QuotaCounts, QuotaInfo, QuotaLevel};
pub use recovered::HeldLocks;
pub use restore_job::{
    EstimatePage, EstimateRow, NewRestoreJob, RESTORE_JOBS_MAX, RestoreJob, RestoreJobCounts, RestoreJobEnd,
    RestoreJobId, RestoreJobState,
};
pub use setting::{
    BUCKET_POLICY_BYTES_MAX, BucketAcl, BucketLogging, BucketPolicy, BucketTags, CORS_RULES_MAX, Cors,
    CorsMatch, CorsMethod, CorsRule, DefaultKey, Encryption, INVENTORIES_MAX, Inventory, InventoryField,
    InventoryFrequency, InventoryVersions, KeyChange, LIFECYCLE_RULES_MAX, LOG_PREFIX_BYTES_MAX, Lifecycle,
    LifecycleExpiration, LifecycleFilter, LifecycleForm, LifecycleRule, LogKeyFormat, NEWER_NONCURRENT_MAX,
    NOTIFICATION_RULES_MAX, NoncurrentExpiration, NoncurrentTransition, Notification, NotificationRule,
    ObjectLock, ObjectOwnership, OwnershipControls, PartitionDate, PublicAccessBlock, QUOTAS_MAX,
    QuotaLimits, QuotaUnit, ROUTING_RULES_MAX, Redirect, RequestPayment, RoutingCondition, RoutingRedirect,
    RoutingRule, Setting, SettingKind, Transition, TransitionMinimum, TransitionWhen, WebProtocol, Website,
};
pub use store::{Components, ObjectStore};
pub use subresources::{BUCKET_TAGS_MAX, OBJECT_TAGS_MAX, Subresources, Tags};
pub use trails::TrailSink;
pub use upload::{BODY_BYTES_MAX, SealedObject, Upload};
