//! `PutBucketInventoryConfiguration` and what belongs to it. How reports are made is the store's (`objectstore::inventory`).
//!
//! What can't be answered is refused, never left out of a report in silence: other formats than CSV, keys of a KMS, and fields about
//! what there is not (storage tiers within `INTELLIGENT_TIERING`) or reports do not say yet (when lifecycle rules act).

use super::{Proof, document, required};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::xml::{Element, XmlWriter};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use objectstore::{BucketName, Inventory, InventoryField, InventoryFrequency, InventoryVersions};
use security::{AccountId, Arn};

/// Configurations of one page, as S3 has it.
const PAGE: usize = 100;
/// Fields that S3 knows and that are not answered, with the reason.
const NOT_ANSWERED: [(&str, &str); 5] = [
    ("IntelligentTieringAccessTier", "objects in INTELLIGENT_TIERING have no tiers here"),
    ("IntelligentTieringReferenceDate", "objects in INTELLIGENT_TIERING have no tiers here"),
    ("LifecycleExpirationDate", "reports do not say yet when rules act"),
    ("ObjectLockEventHoldDuration", "there are no event holds here"),
    ("ObjectLockEventHoldStatus", "there are no event holds here"),
];

fn malformed() -> S3Error {
    S3Error::new(Code::MalformedXML)
}

fn refused(what: &str) -> S3Error {
    S3Error::with(Code::NotImplemented, what.to_owned())
}

/// `?id=`; without one nothing is named.
fn id(call: &Call) -> Result<&str, S3Error> {
    match call.query.get("id") {
        Some(id) if !id.is_empty() => Ok(id),
        _ => Err(S3Error::argument("id", "", "Missing the required parameter id")),
    }
}

/// `PutBucketInventoryConfiguration`.
pub(super) async fn put(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let (name, id) = (call.target.bucket()?, id(call)?);
    let root = required(document(call, body, Proof::Optional).await?)?;
    let set = parse(&root)?;
    if set.id != id {
        let message = "Document ID does not match the specified configuration ID.";
        return Err(S3Error::with(Code::IdMismatch, message));
    }
    // Answered from the document alone: until here nobody was asked.
    let field = |field: &InventoryField| {
        ("s3:inventoryaccessibleoptionalfields".to_owned(), field.as_str().to_owned())
    };
    call.require_with(set.fields.iter().map(field).collect()).await?;
    let set = set.checked()?;
    call.state.store.check_reporter(&name, &set, &call.asker.question).await?;
    call.state.store.set_inventory(&name, &set).await?;
    Ok(empty(StatusCode::OK))
}

fn flag(text: &str) -> Result<bool, S3Error> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(malformed()),
    }
}

fn parse(root: &Element) -> Result<Inventory, S3Error> {
    let root = root.expect("InventoryConfiguration")?.only(&[
        "Id",
        "IsEnabled",
        "Destination",
        "Filter",
        "IncludedObjectVersions",
        "OptionalFields",
        "Schedule",
    ])?;
    let text = |name| root.child_text(name)?.ok_or_else(malformed);
    let schedule = root.child("Schedule")?.ok_or_else(malformed)?.only(&["Frequency"])?;
    let destination = root.child("Destination")?.ok_or_else(malformed)?.only(&["S3BucketDestination"])?;
    let destination = parse_destination(destination.child("S3BucketDestination")?.ok_or_else(malformed)?)?;
    let prefix = match root.child("Filter")? {
        None => None,
        Some(filter) => {
            Some(filter.only(&["Prefix"])?.child("Prefix")?.ok_or_else(malformed)?.leaf()?.to_owned())
        }
    };
    Ok(Inventory {
        id: text("Id")?.to_owned(),
        enabled: flag(text("IsEnabled")?)?,
        frequency: match schedule.child_text("Frequency")? {
            Some("Daily") => InventoryFrequency::Daily,
            Some("Weekly") => InventoryFrequency::Weekly,
            _ => return Err(malformed()),
        },
        versions: match text("IncludedObjectVersions")? {
            "All" => InventoryVersions::All,
            "Current" => InventoryVersions::Current,
            _ => return Err(malformed()),
        },
        prefix,
        destination: destination.bucket,
        destination_prefix: destination.prefix,
        account: destination.account,
        encrypted: destination.encrypted,
        fields: root.child("OptionalFields")?.map_or(Ok(Vec::new()), parse_fields)?,
    })
}

struct Destination {
    bucket: BucketName,
    prefix: Option<String>,
    account: Option<AccountId>,
    encrypted: bool,
}

fn parse_destination(element: &Element) -> Result<Destination, S3Error> {
    element.only(&["AccountId", "Bucket", "Encryption", "Format", "Prefix"])?;
    let arn = element.child_text("Bucket")?.ok_or_else(malformed)?;
    let bucket = arn.parse::<Arn>().ok().filter(|arn| arn.service() == "s3" && arn.account().is_none());
    let bucket = bucket.and_then(|arn| BucketName::parse(arn.resource()).ok());
    let bucket = bucket.ok_or_else(|| {
        S3Error::argument("Bucket", arn, "The destination must be the ARN of a bucket: arn:aws:s3:::BUCKET")
    })?;
    match element.child_text("Format")? {
        Some("CSV") => {}
        Some("ORC" | "Parquet") => {
            return Err(refused("Inventory reports in ORC and Parquet are not implemented: ask for CSV."));
        }
        _ => return Err(malformed()),
    }
    let account = element.child_text("AccountId")?.filter(|text| !text.is_empty());
    let account = account.map(|text| {
        text.parse().map_err(|_| S3Error::argument("AccountId", text, "An account has 12 digits"))
    });
    let encrypted = match element.child("Encryption")? {
        None => false,
        Some(encryption) => {
            encryption.only(&["SSE-S3", "SSE-KMS"])?;
            if encryption.child("SSE-KMS")?.is_some() {
                let what = "Inventory reports under keys of a KMS are not implemented: ask for SSE-S3, or leave Encryption out.";
                return Err(refused(what));
            }
            encryption.child("SSE-S3")?.is_some()
        }
    };
    let prefix = element.child("Prefix")?.map(Element::leaf).transpose()?;
    Ok(Destination {
        bucket,
        prefix: prefix.filter(|prefix| !prefix.is_empty()).map(str::to_owned),
        account: account.transpose()?,
        encrypted,
    })
}

fn parse_fields(element: &Element) -> Result<Vec<InventoryField>, S3Error> {
    let parse = |field: &Element| {
        let name = field.leaf()?.trim();
        if let Some((_, why)) = NOT_ANSWERED.iter().find(|(known, _)| *known == name) {
            return Err(refused(&format!("The inventory field {name} is not implemented: {why}.")));
        }
        InventoryField::parse(name).ok_or_else(malformed)
    };
    element.only(&["Field"])?.children().iter().map(parse).collect()
}

/// `GetBucketInventoryConfiguration`.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let set = call.state.store.inventory(&call.target.bucket()?, id(call)?).await?;
    let mut out = XmlWriter::document("InventoryConfiguration");
    write(&mut out, &set);
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `DeleteBucketInventoryConfiguration`.
pub(super) async fn delete(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.remove_inventory(&call.target.bucket()?, id(call)?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `ListBucketInventoryConfigurations`.
pub(super) async fn list(call: &Call) -> Result<Answer, S3Error> {
    let token = call.query.get("continuation-token");
    let after = match token {
        None => None,
        Some(text) => {
            let raw = URL_SAFE_NO_PAD.decode(text).ok().and_then(|raw| String::from_utf8(raw).ok());
            let wrong = || {
                S3Error::argument("continuation-token", text, "The continuation token provided is incorrect")
            };
            Some(raw.ok_or_else(wrong)?)
        }
    };
    let name = call.target.bucket()?;
    let (sets, more) = call.state.store.list_inventories(&name, after.as_deref(), PAGE).await?;
    let mut out = XmlWriter::document("ListInventoryConfigurationsResult");
    out.optional("ContinuationToken", token);
    for set in &sets {
        out.start("InventoryConfiguration");
        write(&mut out, set);
        out.end();
    }
    out.value("IsTruncated", more);
    if let Some(last) = sets.last().filter(|_| more) {
        out.text("NextContinuationToken", &URL_SAFE_NO_PAD.encode(&last.id));
    }
    Ok(xml(StatusCode::OK, out.finish()))
}

/// The elements of a configuration, in the element that is open.
fn write(out: &mut XmlWriter, set: &Inventory) {
    out.text("Id", &set.id);
    out.value("IsEnabled", set.enabled);
    out.start("Destination");
    out.start("S3BucketDestination");
    if let Some(account) = set.account {
        out.value("AccountId", account);
    }
    out.text("Bucket", &Arn::bucket(set.destination.as_str()).to_string());
    if set.encrypted {
        out.start("Encryption");
        out.empty("SSE-S3");
        out.end();
    }
    out.text("Format", "CSV");
    out.optional("Prefix", set.destination_prefix.as_deref());
    out.end();
    out.end();
    if let Some(prefix) = &set.prefix {
        out.start("Filter");
        out.text("Prefix", prefix);
        out.end();
    }
    out.text(
        "IncludedObjectVersions",
        match set.versions {
            InventoryVersions::All => "All",
            InventoryVersions::Current => "Current",
        },
    );
    if !set.fields.is_empty() {
        out.start("OptionalFields");
        for field in &set.fields {
            out.text("Field", field.as_str());
        }
        out.end();
    }
    out.start("Schedule");
    out.text(
        "Frequency",
        match set.frequency {
            InventoryFrequency::Daily => "Daily",
            InventoryFrequency::Weekly => "Weekly",
        },
    );
    out.end();
}
