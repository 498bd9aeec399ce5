//! What a report says: lines of CSV, and the manifest that lists its files. Sources: "Amazon S3 Inventory list", "Inventory manifest"
//! and "Locating your inventory list" of the S3 user guide.

use crate::access::Rules;
use crate::civil::civil;
use crate::envelope::Envelope;
use crate::record::ObjectRow;
use crate::setting::{Inventory, InventoryField, InventoryVersions};
use crate::{BucketName, VersionName};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::clock::Timestamp;
use md5::{Digest as _, Md5};
use security::{AccessList, Arn, Grantee};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A data file that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DataFile {
    pub(super) key: String,
    pub(super) size: u64,
    /// MD5 of its bytes, in hexadecimal.
    pub(super) md5: String,
}

/// The columns, as a manifest names them.
pub(super) fn schema(set: &Inventory) -> String {
    let mut columns = vec!["Bucket", "Key"];
    if set.versions == InventoryVersions::All {
        columns.extend(["VersionId", "IsLatest", "IsDeleteMarker"]);
    }
    columns.extend(set.fields.iter().map(|field| field.as_str()));
    columns.join(", ")
}

/// One line: each field in quotes, keys percent-encoded.
pub(super) fn line(
    out: &mut String,
    set: &Inventory,
    (bucket, key): (&BucketName, &str),
    (row, latest): (&ObjectRow, bool),
    rules: &Rules,
) {
    let mut first = true;
    let mut put = |text: &str| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        out.push('"');
        out.push_str(text);
        out.push('"');
    };
    put(bucket.as_str());
    put(&encoded(key));
    if set.versions == InventoryVersions::All {
        // S3 leaves the name of a null version out.
        match row.name() {
            VersionName::Null => put(""),
            VersionName::Id(id) => put(&id.to_string()),
        }
        put(flag(latest));
        put(flag(row.stored.is_none()));
    }
    for field in &set.fields {
        put(&value(*field, row, rules));
    }
    out.push('\n');
}

const fn flag(is: bool) -> &'static str {
    if is { "true" } else { "false" }
}

fn value(field: InventoryField, row: &ObjectRow, rules: &Rules) -> String {
    use InventoryField as F;
    if field == F::LastModifiedDate {
        return iso(row.modified);
    }
    // A delete marker has nothing else.
    let Some(stored) = &row.stored else { return String::new() };
    let beside = &row.subresources;
    match field {
        F::LastModifiedDate | F::ReplicationStatus => String::new(),
        F::Size => stored.size().get().to_string(),
        F::ETag => stored.etag.to_string(),
        F::StorageClass => stored.class.as_str().to_owned(),
        F::IsMultipartUploaded => flag(stored.parts > 0).to_owned(),
        F::EncryptionStatus => match stored.envelope {
            Envelope::Appliance => "SSE-S3",
            Envelope::Customer | Envelope::CustomerParts => "SSE-C",
            Envelope::Managed { .. } | Envelope::ManagedParts { .. } => "SSE-KMS",
        }
        .to_owned(),
        F::ObjectLockRetainUntilDate => beside.retention.map(|held| iso(held.until)).unwrap_or_default(),
        F::ObjectLockMode => beside.retention.map(|held| held.mode.as_str().to_owned()).unwrap_or_default(),
        F::ObjectLockLegalHoldStatus if beside.legal_hold == Some(true) => "ON".to_owned(),
        F::ObjectLockLegalHoldStatus => "OFF".to_owned(),
        F::BucketKeyStatus => match stored.envelope {
            Envelope::Managed { bucket_key: true } | Envelope::ManagedParts { bucket_key: true } => "ENABLED",
            _ => "DISABLED",
        }
        .to_owned(),
        F::ChecksumAlgorithm => {
            stored.checksum.map(|sum| sum.value.algorithm().as_str().to_owned()).unwrap_or_default()
        }
        F::ObjectAccessControlList => STANDARD.encode(grants(&rules.show(beside).list).to_string()),
        F::ObjectOwner => rules.show(beside).owner.id().into_owned(),
    }
}

fn grants(list: &AccessList) -> Value {
    let grant = |grant: &security::Grant| {
        let permission = grant.permission.as_str();
        match grant.grantee {
            Grantee::User(user) => {
                json!({ "canonicalId": user.id(), "type": "CanonicalUser", "permission": permission })
            }
            group => json!({ "uri": group.uri(), "type": "Group", "permission": permission }),
        }
    };
    let grants: Vec<_> = list.grants().iter().map(grant).collect();
    json!({ "version": "2022-11-10", "status": "AVAILABLE", "grants": grants })
}

fn encoded(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~*/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn iso(at: Timestamp) -> String {
    civil(at).strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// What all keys of a configuration's reports begin with.
pub(super) fn stem(bucket: &BucketName, set: &Inventory) -> String {
    match set.destination_prefix.as_deref().map(|prefix| prefix.trim_end_matches('/')) {
        None | Some("") => format!("{bucket}/{}", set.id),
        Some(prefix) => format!("{prefix}/{bucket}/{}", set.id),
    }
}

/// The key of a run's data file.
pub(super) fn data_key(stem: &str, run: &[u8; 16], number: u32) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(run);
    context.update(&u64::from(number).to_le_bytes());
    let hash = context.finish();
    let hex = hex(&hash.as_ref()[..16]);
    let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    format!("{stem}/data/{}.csv.gz", groups.join("-"))
}

/// Names of a run's manifests: what lists its files, and, written last, what that one's MD5 is.
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const MANIFEST_CHECKSUM: &str = "manifest.checksum";

/// The key of one of a run's manifests.
pub(super) fn manifest_key(stem: &str, started: Timestamp, name: &str) -> String {
    let folder = civil(started).strftime("%Y-%m-%dT%H-%MZ").to_string();
    format!("{stem}/{folder}/{name}")
}

/// The MD5 of some text.
pub(super) fn md5(text: &[u8]) -> [u8; 16] {
    Md5::digest(text).into()
}

/// `manifest.checksum`.
pub(super) fn checksum(md5: &[u8; 16]) -> String {
    hex(md5)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// `manifest.json`.
pub(super) fn manifest(
    bucket: &BucketName,
    set: &Inventory,
    started: Timestamp,
    files: &[DataFile],
) -> String {
    let file = |file: &DataFile| json!({ "key": file.key, "size": file.size, "MD5checksum": file.md5 });
    let manifest = json!({
        "sourceBucket": bucket.as_str(),
        "destinationBucket": Arn::bucket(set.destination.as_str()).to_string(),
        "version": "2016-11-30",
        "creationTimestamp": started.as_millis().to_string(),
        "fileFormat": "CSV",
        "fileSchema": schema(set),
        "files": files.iter().map(file).collect::<Vec<_>>(),
    });
    manifest.to_string()
}
