//! `PutBucketLogging`, `GetBucketLogging`. What a log has of a request is in `s3/logged.rs`.

use super::{Proof, document, required};
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::{Call, acl};
use crate::xml::{Element, XmlWriter};
use http::StatusCode;
use objectstore::{BucketLogging, BucketName, LogKeyFormat, PartitionDate};
use security::{AccessList, Permission};

fn malformed() -> S3Error {
    S3Error::new(Code::MalformedXML)
}

/// `PutBucketLogging`: an empty document switches it off.
pub(super) async fn put(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    let root = required(document(call, body, Proof::Optional).await?)?;
    let set = parse(call, &root)?;
    if let Some(set) = &set {
        call.state.store.check_logger(&name, set, &call.asker.question).await?;
    }
    call.state.store.set_logging(&name, set.as_ref()).await?;
    Ok(empty(StatusCode::OK))
}

fn parse(call: &Call, root: &Element) -> Result<Option<BucketLogging>, S3Error> {
    root.expect("BucketLoggingStatus")?.only(&["LoggingEnabled"])?;
    let Some(enabled) = root.child("LoggingEnabled")? else { return Ok(None) };
    enabled.only(&["TargetBucket", "TargetGrants", "TargetObjectKeyFormat", "TargetPrefix"])?;
    let target = enabled.child_text("TargetBucket")?.ok_or_else(malformed)?;
    let prefix = enabled.child("TargetPrefix")?.ok_or_else(malformed)?.leaf()?;
    let format = enabled.child("TargetObjectKeyFormat")?.map(parse_format).transpose()?;
    let grants = match enabled.child("TargetGrants")? {
        Some(grants) => parse_grants(call, grants)?,
        None => None,
    };
    // No bucket has such a name.
    let target = BucketName::parse(target)
        .map_err(|_| S3Error::new(Code::InvalidTargetBucketForLogging).field("TargetBucket", target))?;
    Ok(Some(BucketLogging::new(&target, prefix.to_owned(), format, grants)?))
}

fn parse_format(element: &Element) -> Result<LogKeyFormat, S3Error> {
    element.only(&["SimplePrefix", "PartitionedPrefix"])?;
    match (element.child("SimplePrefix")?, element.child("PartitionedPrefix")?) {
        (Some(simple), None) => {
            simple.only(&[])?;
            Ok(LogKeyFormat::Simple)
        }
        (None, Some(partitioned)) => {
            partitioned.only(&["PartitionDateSource"])?;
            match partitioned.child_text("PartitionDateSource")? {
                None | Some("EventTime") => Ok(LogKeyFormat::Partitioned(PartitionDate::EventTime)),
                Some("DeliveryTime") => Ok(LogKeyFormat::Partitioned(PartitionDate::DeliveryTime)),
                Some(_) => Err(malformed()),
            }
        }
        _ => Err(malformed()),
    }
}

fn parse_grants(call: &Call, element: &Element) -> Result<Option<AccessList>, S3Error> {
    element.only(&["Grant"])?;
    let mut grants = Vec::new();
    for grant in element.children() {
        let grant = acl::parse_grant(call, grant)?;
        // S3 grants no more than these on logs.
        if !matches!(grant.permission, Permission::FullControl | Permission::Read | Permission::Write) {
            return Err(malformed());
        }
        grants.push(grant);
    }
    if grants.is_empty() { Ok(None) } else { acl::list(grants).map(Some) }
}

/// `GetBucketLogging`: an empty document where it is off.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let set = call.state.store.setting::<BucketLogging>(&call.target.bucket()?).await?;
    let mut out = XmlWriter::document("BucketLoggingStatus");
    if let Some(set) = set {
        out.start("LoggingEnabled");
        out.text("TargetBucket", set.target().as_str());
        if let Some(grants) = set.grants() {
            out.start("TargetGrants");
            acl::write_grants(&mut out, grants);
            out.end();
        }
        if let Some(format) = set.format() {
            out.start("TargetObjectKeyFormat");
            write_format(&mut out, format);
            out.end();
        }
        out.text("TargetPrefix", set.prefix());
        out.end();
    }
    Ok(xml(StatusCode::OK, out.finish()))
}

fn write_format(out: &mut XmlWriter, format: LogKeyFormat) {
    let source = match format {
        LogKeyFormat::Simple => return out.empty("SimplePrefix"),
        LogKeyFormat::Partitioned(PartitionDate::EventTime) => "EventTime",
        LogKeyFormat::Partitioned(PartitionDate::DeliveryTime) => "DeliveryTime",
    };
    out.start("PartitionedPrefix");
    out.text("PartitionDateSource", source);
    out.end();
}
