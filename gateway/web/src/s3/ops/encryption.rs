//! `PutBucketEncryption`, `GetBucketEncryption`, `DeleteBucketEncryption`.
//!
//! Every body is encrypted at rest, so a bucket where nothing is set answers AES256, as those of S3 do. Whether the managed key that is
//! set is there and may be used, each write finds out, as with S3.

use super::{Proof, document, required};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::managed;
use crate::xml::{Element, XmlWriter};
use http::StatusCode;
use objectstore::{DefaultKey, Encryption};

/// `PutBucketEncryption`.
pub(super) async fn put(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    let root = required(document(call, body, Proof::Optional).await?)?;
    let root = root.expect("ServerSideEncryptionConfiguration")?.only(&["Rule"])?;
    let rule = root.child("Rule")?.ok_or_else(|| S3Error::new(Code::MalformedXML))?;
    call.state.store.set(&name, Some(&read(rule)?)).await?;
    Ok(empty(StatusCode::OK))
}

fn read(rule: &Element) -> Result<Encryption, S3Error> {
    let malformed = || S3Error::new(Code::MalformedXML);
    rule.only(&["ApplyServerSideEncryptionByDefault", "BucketKeyEnabled", "BlockedEncryptionTypes"])?;
    let mut key = DefaultKey::Appliance;
    if let Some(default) = rule.child("ApplyServerSideEncryptionByDefault")? {
        default.only(&["SSEAlgorithm", "KMSMasterKeyID"])?;
        let named = default.child_text("KMSMasterKeyID")?;
        match default.child_text("SSEAlgorithm")?.ok_or_else(malformed)? {
            "AES256" => {}
            managed::KMS => {
                let named = named.filter(|name| !name.is_empty()).map(managed::key_name).transpose()?;
                key = DefaultKey::Managed(named);
            }
            managed::DSSE => {
                let refused = S3Error::with(Code::NotImplemented, managed::NO_DSSE);
                return Err(refused.field("Element", "SSEAlgorithm"));
            }
            _ => return Err(malformed()),
        }
        if let Some(key) = named.filter(|_| key == DefaultKey::Appliance) {
            let message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse";
            return Err(S3Error::argument("KMSMasterKeyID", key, message));
        }
    }
    let bucket_key = match rule.child_text("BucketKeyEnabled")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(malformed()),
    };
    Ok(Encryption { key, bucket_key, blocks_customer_keys: blocks(rule)? })
}

fn blocks(rule: &Element) -> Result<Option<bool>, S3Error> {
    let Some(types) = rule.child("BlockedEncryptionTypes")? else { return Ok(None) };
    match types.only(&["EncryptionType"])?.child_text("EncryptionType")? {
        Some("SSE-C") => Ok(Some(true)),
        Some("NONE") => Ok(Some(false)),
        _ => Err(S3Error::new(Code::MalformedXML)),
    }
}

/// `GetBucketEncryption`.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let set = call.state.store.setting::<Encryption>(&call.target.bucket()?).await?;
    let encryption = set.as_deref().cloned().unwrap_or_default();
    let mut out = XmlWriter::document("ServerSideEncryptionConfiguration");
    out.start("Rule");
    out.start("ApplyServerSideEncryptionByDefault");
    match &encryption.key {
        DefaultKey::Appliance => out.text("SSEAlgorithm", "AES256"),
        DefaultKey::Managed(key) => {
            out.text("SSEAlgorithm", managed::KMS);
            if let Some(key) = key {
                out.text("KMSMasterKeyID", key);
            }
        }
    }
    out.end();
    out.value("BucketKeyEnabled", encryption.bucket_key);
    if let Some(blocked) = encryption.blocks_customer_keys {
        out.start("BlockedEncryptionTypes");
        out.text("EncryptionType", if blocked { "SSE-C" } else { "NONE" });
        out.end();
    }
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `DeleteBucketEncryption`: back to what holds where nothing is set.
pub(super) async fn delete(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.set::<Encryption>(&call.target.bucket()?, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
