//! What rows hold. Byte tables: docs/formats/objectstore-rows.md; the encoding of fields: `engine::catalog::record`.

mod access;
mod bucket;
mod cold;
mod content;
mod dedup;
mod fields;
mod ingest;
mod manifest;
mod object;
mod queue;
mod subresources;
#[cfg(test)]
mod tests;
mod upload;

pub(crate) use access::{ObjectAclRecord, OwnerRecord, get_access_list, get_user, put_access_list, put_user};
pub(crate) use bucket::{BucketRow, BucketState, ConfigRow};
pub(crate) use cold::{Cold, Restore};
pub(crate) use content::{Content, Extent};
pub(crate) use dedup::{CHUNK_TAG_LEN, ChunkRow, PackRow};
pub(crate) use fields::{get_class, get_lock_mode, put_class, put_lock_mode};
pub(crate) use ingest::{IngestRow, IngestState, StagedRow};
pub(crate) use manifest::{ENTRIES_PER_PAGE, ManifestEntry, ManifestPage};
pub(crate) use object::{ObjectRow, Stored};
pub(crate) use queue::{CompletedRow, ForeignRow, IntentRow, ManifestGarbage, UploadGarbage, UsedParts};
pub(crate) use upload::{PartRow, UploadRow};
