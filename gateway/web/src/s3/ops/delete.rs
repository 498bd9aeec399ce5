//! Deletes: one, and up to a thousand.

use super::{Proof, keys_document, lock, parse_version, required, version};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, set_amz, xml};
use crate::s3::audited::Batch;
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::logged::Removed;
use crate::s3::{date, headers};
use crate::xml::{Element, XmlWriter};
use http::StatusCode;
use objectstore::{
    BucketName, DeleteConditions, DeleteOutcome, DeleteRequest, ETagMatch, ObjectKey, VersionSelector,
};

/// Objects of one request.
const OBJECTS_MAX: usize = 1000;

/// `DeleteObject`.
pub(super) async fn one(call: &Call) -> Result<Answer, S3Error> {
    let conditions = headers::delete_conditions(&call.head.headers)?;
    let (question, names) = (call.asker.question.clone(), conditions.name_what_is_there());
    let request = DeleteRequest {
        bucket: call.target.bucket()?,
        key: call.target.key()?,
        version: version(call)?,
        conditions,
        bypass_governance: lock::bypass(call).await?,
        origin: call.origin(),
        asks: Some(call.asker.writes(question, call.query.get("versionId"), names)),
    };
    let outcome = call.state.store.delete(request).await?;
    let mut answer = empty(StatusCode::NO_CONTENT);
    super::set_version(answer.headers_mut(), outcome.version);
    if outcome.marker {
        set_amz(answer.headers_mut(), "x-amz-delete-marker", "true");
    }
    Ok(answer)
}

/// One object of a `DeleteObjects` request, as it was named.
struct Named {
    key: String,
    version: Option<String>,
    /// As it stands there: [`DeleteConditions::if_match`] is what is read from it.
    etag: Option<String>,
    conditions: DeleteConditions,
}

/// `DeleteObjects`.
pub(super) async fn many(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let bucket = call.target.bucket()?;
    let (named, quiet) = parse_delete(&required(keys_document(call, body, Proof::Required).await?)?)?;
    call.state.store.head_bucket(&bucket).await?;
    let (mut requests, mut parsed) = (Vec::with_capacity(named.len()), Vec::with_capacity(named.len()));
    for object in &named {
        // A policy may make each answer dear: others have their turn between two.
        tokio::task::yield_now().await;
        parsed.push(parse_object(call, object, &bucket).await.map(|request| requests.push(request)));
    }
    let mut outcomes = call.state.store.delete_many(requests).await.into_iter();
    let mut out = XmlWriter::document("DeleteResult");
    let mut batch = Batch::new(&call.state);
    for (object, parsed) in named.iter().zip(parsed) {
        let outcome = match parsed {
            Ok(()) => match outcomes.next() {
                Some(outcome) => outcome.map_err(S3Error::from),
                None => Err(S3Error::new(Code::InternalError)),
            },
            Err(error) => Err(error),
        };
        let refused = outcome.as_ref().err();
        let ended = refused.map(|error| (error.code(), error.is_denial()));
        batch.add((&object.key, object.version.as_deref()), ended);
        call.note(|notes| notes.removed(removed(object, &outcome)));
        match outcome {
            Ok(_) if quiet => {}
            Ok(outcome) => write_deleted(&mut out, object, &outcome),
            Err(error) => write_error(call, &mut out, object, &error),
        }
    }
    let _set_once = call.batch.set(Box::new(batch));
    Ok(xml(StatusCode::OK, out.finish()))
}

/// What the log has of one key.
fn removed(object: &Named, outcome: &Result<DeleteOutcome, S3Error>) -> Removed {
    let (status, code, made) = match outcome {
        Ok(outcome) => (StatusCode::NO_CONTENT, "", outcome.version.map(|version| version.to_string())),
        Err(error) => (error.status(), error.code(), None),
    };
    let version = object.version.clone().or(made);
    Removed { key: object.key.clone(), version, status, code }
}

fn parse_delete(root: &Element) -> Result<(Vec<Named>, bool), S3Error> {
    root.expect("Delete")?.only(&["Object", "Quiet"])?;
    let quiet = match root.child_text("Quiet")? {
        None | Some("") => false,
        Some(text) if text.eq_ignore_ascii_case("true") => true,
        Some(text) if text.eq_ignore_ascii_case("false") => false,
        Some(_) => return Err(S3Error::new(Code::MalformedXML)),
    };
    let mut named = Vec::new();
    for object in root.children().iter().filter(|child| child.name() == "Object") {
        object.only(&["Key", "VersionId", "ETag", "LastModifiedTime", "Size"])?;
        let key = object.child("Key")?.ok_or_else(|| S3Error::new(Code::MalformedXML))?.leaf()?;
        named.push(Named {
            key: key.to_owned(),
            version: object.child_text("VersionId")?.filter(|text| !text.is_empty()).map(str::to_owned),
            etag: object.child_text("ETag")?.map(str::to_owned),
            conditions: parse_conditions(object)?,
        });
    }
    if named.is_empty() || named.len() > OBJECTS_MAX {
        return Err(S3Error::new(Code::MalformedXML));
    }
    Ok((named, quiet))
}

fn parse_conditions(object: &Element) -> Result<DeleteConditions, S3Error> {
    let malformed = || S3Error::new(Code::MalformedXML);
    let time = object.child_text("LastModifiedTime")?.map(|text| date::parse(text).ok_or_else(malformed));
    let size = object.child_text("Size")?.map(|text| headers::size(text.trim()).ok_or_else(malformed));
    Ok(DeleteConditions {
        if_match: object.child_text("ETag")?.map(ETagMatch::parse),
        if_modified_at: time.transpose()?,
        if_size: size.transpose()?,
    })
}

/// Each key is asked about on its own: a policy may have something to say of it. A version has an action of its own, and no list
/// grants it.
async fn parse_object(call: &Call, object: &Named, bucket: &BucketName) -> Result<DeleteRequest, S3Error> {
    let key = ObjectKey::parse(&object.key)?;
    let asks = call.may_key(bucket, &key, (object.version.as_deref(), object.etag.as_deref())).await?;
    let bypass_governance = lock::bypass_of(call, bucket, &key, &asks).await?;
    let names = object.conditions.name_what_is_there();
    Ok(DeleteRequest {
        bucket: bucket.clone(),
        key,
        version: match &object.version {
            None => VersionSelector::Latest,
            Some(text) => parse_version(text).map_err(|_| S3Error::new(Code::NoSuchVersion))?.into(),
        },
        conditions: object.conditions.clone(),
        bypass_governance,
        origin: call.origin(),
        asks: Some(call.asker.writes(asks, object.version.as_deref(), names)),
    })
}

fn write_deleted(out: &mut XmlWriter, object: &Named, outcome: &DeleteOutcome) {
    out.start("Deleted");
    out.text("Key", &object.key);
    out.optional("VersionId", object.version.as_deref());
    if outcome.marker {
        out.value("DeleteMarker", true);
        if let Some(version) = outcome.version {
            out.value("DeleteMarkerVersionId", version);
        }
    }
    out.end();
}

fn write_error(call: &Call, out: &mut XmlWriter, object: &Named, error: &S3Error) {
    if error.status().is_server_error() {
        tracing::error!(
            request_id = %call.id,
            code = error.code(),
            cause = error.cause().unwrap_or("none given"),
            "failed to delete an object"
        );
    }
    out.start("Error");
    out.text("Key", &object.key);
    out.optional("VersionId", object.version.as_deref());
    out.text("Code", error.code());
    out.text("Message", error.message());
    out.end();
}

#[cfg(test)]
mod tests {
    use super::parse_delete;
    use crate::xml::Element;

    #[test]
    fn deletes_are_read_strictly_and_keys_untouched() {
        let parse =
            |text: &str| parse_delete(&Element::parse(text.as_bytes()).unwrap()).map_err(|e| e.code());
        let (named, quiet) = parse(
            "<Delete><Quiet>true</Quiet><Object><Key> a </Key><VersionId>null</VersionId></Object></Delete>",
        )
        .unwrap();
        assert!(quiet && named[0].key == " a " && named[0].version.as_deref() == Some("null"));
        let (named, _) = parse(
            "<Delete><Object><Key>k</Key><ETag>*</ETag><Size>7</Size><LastModifiedTime>Mon, 12 Oct 2009 17:50:30 \
             GMT</LastModifiedTime></Object></Delete>",
        )
        .unwrap();
        let conditions = &named[0].conditions;
        assert_eq!(conditions.if_match, Some(objectstore::ETagMatch::Any));
        assert_eq!(conditions.if_size.map(engine::unit::ByteCount::get), Some(7));
        assert_eq!(conditions.if_modified_at.map(engine::clock::Timestamp::as_secs), Some(1_255_369_830));
        let many = format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(1001));
        for (bad, code) in [
            ("<Delete/>", "MalformedXML"),
            ("<Remove/>", "MalformedXML"),
            ("<Delete><Object/></Delete>", "MalformedXML"),
            ("<Delete><Object><Key>k</Key></Object><Quiet>maybe</Quiet></Delete>", "MalformedXML"),
            ("<Delete><Object><Key>k</Key><Key>l</Key></Object></Delete>", "MalformedXML"),
            ("<Delete><Object><Key>k</Key><Size>-1</Size></Object></Delete>", "MalformedXML"),
            (
                "<Delete><Object><Key>k</Key><LastModifiedTime>x</LastModifiedTime></Object></Delete>",
                "MalformedXML",
            ),
            (&many, "MalformedXML"),
        ] {
            assert_eq!(parse(bad).err(), Some(code), "{}", &bad[..bad.len().min(80)]);
        }
    }
}
