//! Access lists, ownership controls and the block of public access.

use super::{Proof, amend, document, required, version};
use crate::s3::Call;
use crate::s3::acl;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::audited;
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::xml::{Element, XmlWriter};
use http::StatusCode;
use objectstore::{
    GetRequest, ListWish, ObjectAccess, ObjectOwnership, OwnershipControls, PublicAccessBlock,
};
use security::CanonicalUser;

/// `GetBucketAcl`.
pub(super) async fn bucket_acl(call: &Call) -> Result<Answer, S3Error> {
    let list = call.state.store.bucket_acl(&call.target.bucket()?).await?;
    let access = ObjectAccess { owner: call.asker.owner.into(), list };
    Ok(xml(StatusCode::OK, acl::render(&access)))
}

/// `PutBucketAcl`.
pub(super) async fn set_bucket_acl(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let (wish, owner) = wish(call, body).await?;
    if owner.is_some_and(|owner| owner != call.asker.owner.into()) {
        return Err(S3Error::new(Code::AccessDenied));
    }
    call.state.store.set_bucket_acl(&call.target.bucket()?, &wish).await?;
    Ok(empty(StatusCode::OK))
}

/// `GetObjectAcl`.
pub(super) async fn object_acl(call: &Call) -> Result<Answer, S3Error> {
    let mut request = GetRequest::new(call.target.bucket()?, call.target.key()?);
    request.version = version(call)?;
    request.asks = Some(call.asker.question.clone());
    let (info, access) = call.state.store.object_acl(&request).await?;
    let mut answer = xml(StatusCode::OK, acl::render(&access));
    super::set_version(answer.headers_mut(), info.version);
    Ok(answer)
}

/// `PutObjectAcl`.
pub(super) async fn set_object_acl(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let request = amend(call)?;
    // Before the body: who may not is told so first.
    let mut reads = GetRequest::new(request.bucket.clone(), request.key.clone());
    reads.version = request.version;
    reads.asks = Some(call.asker.question.clone());
    call.state.store.peek(&reads).await?;
    let (wish, owner) = wish(call, body).await?;
    let asks = &call.asker.question;
    let version = call.state.store.set_object_acl(&request, asks, (&wish, owner)).await?;
    let mut answer = empty(StatusCode::OK);
    super::set_version(answer.headers_mut(), version);
    Ok(answer)
}

/// The list that a request sets: by its headers or its document, by one of both; and the owner that the document names.
async fn wish(call: &Call, body: &mut RequestBody) -> Result<(ListWish, Option<CanonicalUser>), S3Error> {
    let wish = acl::wish(call)?;
    match (document(call, body, Proof::Optional).await?, wish) {
        (Some(_), ListWish::Canned(_) | ListWish::Grants(_)) => Err(S3Error::new(Code::UnexpectedContent)),
        (Some(root), ListWish::Default) => {
            call.tells("AccessControlPolicy", || audited::of_list(&root));
            let (list, owner) = acl::parse_policy(call, &root)?;
            Ok((ListWish::Grants(list), owner))
        }
        (None, ListWish::Default) => Err(S3Error::new(Code::MissingSecurityHeader)),
        (None, wish) => Ok((wish, None)),
    }
}

/// `GetBucketOwnershipControls`.
pub(super) async fn ownership(call: &Call) -> Result<Answer, S3Error> {
    let controls = call.state.store.setting::<OwnershipControls>(&call.target.bucket()?).await?;
    let ownership = match controls.as_deref() {
        None => ObjectOwnership::default(),
        Some(OwnershipControls::Rule(ownership)) => *ownership,
        Some(OwnershipControls::Deleted) => return Err(S3Error::new(Code::OwnershipControlsNotFoundError)),
    };
    let mut out = XmlWriter::document("OwnershipControls");
    out.start("Rule");
    out.text("ObjectOwnership", ownership.as_str());
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `PutBucketOwnershipControls`.
pub(super) async fn set_ownership(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let root = required(document(call, body, Proof::Optional).await?)?;
    let ownership = parse_ownership(&root)?;
    call.state.store.set_ownership(&call.target.bucket()?, Some(ownership)).await?;
    Ok(empty(StatusCode::OK))
}

/// Exactly one rule, as S3 has it.
fn parse_ownership(root: &Element) -> Result<ObjectOwnership, S3Error> {
    let malformed = || S3Error::new(Code::MalformedXML);
    root.expect("OwnershipControls")?.only(&["Rule"])?;
    let rule = root.child("Rule")?.ok_or_else(malformed)?.only(&["ObjectOwnership"])?;
    let name = rule.child_text("ObjectOwnership")?.ok_or_else(malformed)?;
    name.parse().map_err(|_| malformed())
}

/// `DeleteBucketOwnershipControls`.
pub(super) async fn delete_ownership(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.set_ownership(&call.target.bucket()?, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

const SWITCHES: [&str; 4] =
    ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];

/// `GetPublicAccessBlock`.
pub(super) async fn public_access_block(call: &Call) -> Result<Answer, S3Error> {
    let block = call.state.store.setting::<PublicAccessBlock>(&call.target.bucket()?).await?;
    let block = block.ok_or_else(|| S3Error::new(Code::NoSuchPublicAccessBlockConfiguration))?;
    let mut out = XmlWriter::document("PublicAccessBlockConfiguration");
    let values = [
        block.block_public_acls,
        block.ignore_public_acls,
        block.block_public_policy,
        block.restrict_public_buckets,
    ];
    for (name, on) in SWITCHES.into_iter().zip(values) {
        out.value(name, on);
    }
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `PutPublicAccessBlock`.
pub(super) async fn set_public_access_block(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let root = required(document(call, body, Proof::Optional).await?)?;
    let block = parse_block(&root)?;
    call.state.store.set(&call.target.bucket()?, Some(&block)).await?;
    Ok(empty(StatusCode::OK))
}

/// A switch that is left out is off.
fn parse_block(root: &Element) -> Result<PublicAccessBlock, S3Error> {
    root.expect("PublicAccessBlockConfiguration")?.only(&SWITCHES)?;
    let on = |name| match root.child_text(name)? {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(S3Error::new(Code::MalformedXML)),
    };
    let [acls, ignore, policy, restrict] = SWITCHES;
    Ok(PublicAccessBlock {
        block_public_acls: on(acls)?,
        ignore_public_acls: on(ignore)?,
        block_public_policy: on(policy)?,
        restrict_public_buckets: on(restrict)?,
    })
}

/// `DeletePublicAccessBlock`.
pub(super) async fn delete_public_access_block(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.set::<PublicAccessBlock>(&call.target.bucket()?, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    use super::{parse_block, parse_ownership};
    use crate::xml::Element;

    #[test]
    fn documents_are_read_strictly() {
        let parse = |text: &str| Element::parse(text.as_bytes()).unwrap();
        let rule = "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>";
        let controls = |inner: &str| {
            let root = parse(&format!("<OwnershipControls>{inner}</OwnershipControls>"));
            parse_ownership(&root).map(objectstore::ObjectOwnership::as_str).map_err(|error| error.code())
        };
        assert_eq!(controls(rule), Ok("ObjectWriter"));
        for bad in ["", &rule.repeat(2), "<Rule/>", &rule.replace("Writer", "Reader"), "<Rules/>"] {
            assert_eq!(controls(bad), Err("MalformedXML"), "{bad}");
        }
        let block = |inner: &str| {
            let root =
                parse(&format!("<PublicAccessBlockConfiguration>{inner}</PublicAccessBlockConfiguration>"));
            parse_block(&root).map_err(|error| error.code())
        };
        let some = block("<IgnorePublicAcls>TRUE</IgnorePublicAcls><BlockPublicAcls>false</BlockPublicAcls>")
            .unwrap();
        assert!(some.ignore_public_acls && !some.block_public_acls && !some.restrict_public_buckets);
        assert!(block("").is_ok());
        for bad in ["<BlockPublicAcls>maybe</BlockPublicAcls>", "<BlockAll>true</BlockAll>"] {
            assert_eq!(block(bad).err(), Some("MalformedXML"), "{bad}");
        }
    }
}
