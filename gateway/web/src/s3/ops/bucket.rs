//! Buckets: create, head, list, delete, location, versioning.

use super::{Proof, document, lock, required, tagging, write_owner};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, set, set_amz, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::date;
use crate::s3::error::S3Error;
use crate::s3::operation::Operation;
use crate::s3::{acl, headers};
use crate::xml::{Element, XmlWriter};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::LOCATION;
use objectstore::{BucketName, BucketTags, ListBuckets, ListWish, NewBucket, ObjectLock, Tags, Versioning};
use security::decide::Action;

/// What tags of a new bucket need besides its creation.
const TAG: Action = Action::new("s3:TagResource");
/// Buckets of one page at the most.
const PAGE_MAX: usize = 10_000;

/// `ListBuckets`.
pub(super) async fn list(call: &Call) -> Result<Answer, S3Error> {
    let paged = call.query.has("max-buckets");
    let max = super::count(call, "max-buckets", PAGE_MAX)?;
    if paged && max == 0 {
        return Err(S3Error::argument(
            "max-buckets",
            "0",
            "Argument max-buckets must be an integer between 1 and 10000",
        ));
    }
    let prefix = call.query.get("prefix").unwrap_or_default();
    let region = call.query.non_empty("bucket-region");
    if region.is_some_and(|region| region != call.state.region) {
        return Ok(render_list(call, &objectstore::BucketPage::default(), prefix));
    }
    let after = call.query.non_empty("continuation-token").map(parse_token).transpose()?;
    let request = ListBuckets { owner: Some(call.asker.owner), prefix: prefix.to_owned(), after, max };
    let page = call.state.store.list_buckets(request).await?;
    Ok(render_list(call, &page, prefix))
}

fn parse_token(token: &str) -> Result<BucketName, S3Error> {
    let name = URL_SAFE_NO_PAD.decode(token).ok().and_then(|raw| String::from_utf8(raw).ok());
    name.and_then(|name| BucketName::parse(&name).ok()).ok_or_else(|| {
        S3Error::argument("continuation-token", token, "The continuation token provided is incorrect")
    })
}

fn render_list(call: &Call, page: &objectstore::BucketPage, prefix: &str) -> Answer {
    let mut out = XmlWriter::document("ListAllMyBucketsResult");
    write_owner(call, &mut out, "Owner", None);
    out.start("Buckets");
    for bucket in &page.buckets {
        out.start("Bucket");
        out.text("Name", bucket.name.as_str());
        out.text("CreationDate", &date::iso(bucket.created));
        out.text("BucketRegion", &call.state.region);
        out.end();
    }
    out.end();
    if let Some(next) = &page.next {
        out.text("ContinuationToken", &URL_SAFE_NO_PAD.encode(next.as_str()));
    }
    if !prefix.is_empty() {
        out.text("Prefix", prefix);
    }
    xml(StatusCode::OK, out.finish())
}

/// `CreateBucket`.
pub(super) async fn create(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    let locked = lock::of_new_bucket(call)?;
    let versioning = if locked { Versioning::Enabled } else { Versioning::Off };
    let mut new = NewBucket::new(versioning).owned_by(call.asker.owner);
    if locked {
        new = new.with(ObjectLock::default())?;
    }
    let ownership = match headers::text(&call.head.headers, "x-amz-object-ownership")? {
        None => call.config.new_bucket_ownership,
        Some(name) => {
            call.require_of_account(Operation::PutBucketOwnershipControls.action())?;
            name.parse()?
        }
    };
    let wish = acl::wish(call)?;
    if wish != ListWish::Default {
        call.require_of_account(Operation::PutBucketAcl.action())?;
    }
    new = new.with_access(ownership, &wish)?;
    if let Some(configuration) = document(call, body, Proof::Optional).await? {
        let tags = read_configuration(&configuration, &call.state.region)?;
        if !tags.is_empty() {
            call.require_of_account(TAG)?;
            new = new.with(BucketTags(tags))?;
        }
    }
    match call.state.store.create_bucket(&name, &new).await {
        Ok(_) => {}
        // S3's oldest region answers a repeated creation by the owner with success. Object lock is not pretended.
        Err(objectstore::Error::BucketAlreadyOwnedByYou) if call.state.region == "us-east-1" && !locked => {
            // It would replace the access list too: never by the way.
            if call.state.store.bucket_acl(&name).await? != wish.of_bucket(call.asker.owner) {
                return Err(S3Error::new(Code::BucketAlreadyExists));
            }
        }
        Err(error) => return Err(error.into()),
    }
    let mut answer = empty(StatusCode::OK);
    set(answer.headers_mut(), LOCATION, &format!("/{name}"));
    Ok(answer)
}

/// Checks the place of the bucket to be, and reads its tags.
fn read_configuration(root: &Element, region: &str) -> Result<Tags, S3Error> {
    let root = root.expect("CreateBucketConfiguration")?;
    root.only(&["LocationConstraint", "Location", "Bucket", "Tags"])?;
    for unsupported in ["Location", "Bucket"] {
        if root.child(unsupported)?.is_some() {
            return Err(S3Error::new(Code::NotImplemented).field("Element", unsupported));
        }
    }
    match root.child_text("LocationConstraint")? {
        Some(location) if !location.is_empty() && location != region => {
            let message = format!(
                "The {location} location constraint is incompatible for the region specific endpoint this request was \
                 sent to."
            );
            return Err(S3Error::with(Code::IllegalLocationConstraintException, message));
        }
        _ => {}
    }
    let tags = root.child("Tags")?.map(tagging::tag_list).transpose()?;
    Ok(Tags::of_bucket(tags.unwrap_or_default())?)
}

/// `HeadBucket`.
pub(super) async fn head(call: &Call) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    call.state.store.head_bucket(&name).await?;
    let mut answer = empty(StatusCode::OK);
    set_amz(answer.headers_mut(), "x-amz-bucket-region", &call.state.region);
    // The owner's alone: whoever may write sees by what is stored whether somebody wrote the same before.
    let is_owner = call.asker.principal.is_root_of(call.asker.owner);
    let dedup = if is_owner { call.state.store.deduplication(&name).await? } else { None };
    if let Some(dedup) = dedup {
        for (header, bytes) in
            [("x-firn-dedup-written-bytes", dedup.written), ("x-firn-dedup-stored-bytes", dedup.stored)]
        {
            set_amz(answer.headers_mut(), header, &bytes.get().to_string());
        }
    }
    set_amz(answer.headers_mut(), "x-amz-access-point-alias", "false");
    Ok(answer)
}

/// `DeleteBucket`.
pub(super) async fn delete(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.delete_bucket(&call.target.bucket()?).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `GetBucketLocation`: us-east-1 is the empty one.
pub(super) async fn location(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.head_bucket(&call.target.bucket()?).await?;
    let mut out = XmlWriter::document("LocationConstraint");
    if call.state.region != "us-east-1" {
        out.root_text(&call.state.region);
    }
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `GetBucketVersioning`.
pub(super) async fn versioning(call: &Call) -> Result<Answer, S3Error> {
    let versioning = call.state.store.versioning(&call.target.bucket()?).await?;
    let mut out = XmlWriter::document("VersioningConfiguration");
    match versioning {
        Versioning::Off => {}
        Versioning::Enabled => out.text("Status", "Enabled"),
        Versioning::Suspended => out.text("Status", "Suspended"),
    }
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `PutBucketVersioning`.
pub(super) async fn set_versioning(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    let root = required(document(call, body, Proof::Optional).await?)?;
    let root = root.expect("VersioningConfiguration")?.only(&["Status", "MfaDelete"])?;
    match root.child_text("MfaDelete")? {
        None | Some("Disabled") => {}
        Some("Enabled") => return Err(S3Error::new(Code::NotImplemented).field("Element", "MfaDelete")),
        Some(_) => return Err(S3Error::new(Code::MalformedXML)),
    }
    let versioning = match root.child_text("Status")? {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        None => {
            return Err(S3Error::with(Code::MalformedXML, "The Versioning element must be specified"));
        }
        Some(_) => return Err(S3Error::new(Code::MalformedXML)),
    };
    call.state.store.set_versioning(&name, versioning).await?;
    Ok(empty(StatusCode::OK))
}
