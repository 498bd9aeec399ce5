//! Tags of buckets and of objects: the documents, and the header that brings them along with an object.

use super::{Proof, amend, document, required, said, version};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, set_amz, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::context::keys_of_tags;
use crate::s3::error::S3Error;
use crate::s3::operation::Operation;
use crate::xml::{Element, XmlWriter};
use http::{HeaderMap, StatusCode};
use objectstore::{BucketTags, GetRequest, Subresources, Tags};
use security::decide::{Action, Question};
use security::sigv4::query_pairs;

/// The header that carries an object's tags as a query.
const HEADER: &str = "x-amz-tagging";

/// What the tags of a version to be need besides its PUT.
const PUT: Action = Operation::PutObjectTagging.action();

/// `GetBucketTagging`.
pub(super) async fn of_bucket(call: &Call) -> Result<Answer, S3Error> {
    let tags = call.state.store.setting::<BucketTags>(&call.target.bucket()?).await?;
    let tags = tags.ok_or_else(|| S3Error::new(Code::NoSuchTagSet))?;
    Ok(xml(StatusCode::OK, render(&tags.0)))
}

/// `PutBucketTagging`. No tags at all are as good as a removal.
pub(super) async fn set_of_bucket(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let bucket = call.target.bucket()?;
    let root = required(document(call, body, Proof::Required).await?)?;
    let tags = Tags::of_bucket(tag_set(&root)?)?;
    let value = BucketTags(tags);
    call.state.store.set(&bucket, Some(&value).filter(|value| !value.0.is_empty())).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `DeleteBucketTagging`.
pub(super) async fn remove_of_bucket(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.set::<BucketTags>(&call.target.bucket()?, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `GetObjectTagging`.
pub(super) async fn of_object(call: &Call) -> Result<Answer, S3Error> {
    let info = call.state.store.peek(&asked(call, call.asker.question.clone())?).await?;
    let mut answer = xml(StatusCode::OK, render(&info.subresources.tags));
    super::set_version(answer.headers_mut(), info.version);
    Ok(answer)
}

/// `PutObjectTagging`.
pub(super) async fn set_of_object(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let root = required(document(call, body, Proof::Required).await?)?;
    let tags = Tags::of_object(tag_set(&root)?)?;
    let asks = call.asks_with(keys_of_tags(tags.iter()));
    call.state.store.peek(&asked(call, asks.clone())?).await?;
    let version = call.state.store.set_tags(&amend(call)?, Some(&asks), &tags).await?;
    let mut answer = empty(StatusCode::OK);
    super::set_version(answer.headers_mut(), version);
    Ok(answer)
}

/// `DeleteObjectTagging`.
pub(super) async fn remove_of_object(call: &Call) -> Result<Answer, S3Error> {
    let asks = &call.asker.question;
    call.state.store.peek(&asked(call, asks.clone())?).await?;
    let version = call.state.store.remove_tags(&amend(call)?, Some(asks)).await?;
    let mut answer = empty(StatusCode::NO_CONTENT);
    super::set_version(answer.headers_mut(), version);
    Ok(answer)
}

/// The version that a request is about, for whoever may do what it asks.
fn asked(call: &Call, asks: Question) -> Result<GetRequest, S3Error> {
    let mut request = GetRequest::new(call.target.bucket()?, call.target.key()?);
    request.version = version(call)?;
    request.asks = Some(asks);
    Ok(request)
}

fn render(tags: &Tags) -> String {
    let mut out = XmlWriter::document("Tagging");
    out.start("TagSet");
    for (key, value) in tags.iter() {
        out.start("Tag");
        out.text("Key", key);
        out.text("Value", value);
        out.end();
    }
    out.finish()
}

/// `<Tagging><TagSet><Tag><Key/><Value/></Tag>…`
pub(super) fn tag_set(root: &Element) -> Result<Vec<(String, String)>, S3Error> {
    let root = root.expect("Tagging")?.only(&["TagSet"])?;
    tag_list(root.child("TagSet")?.ok_or_else(|| S3Error::new(Code::MalformedXML))?)
}

/// The `Tag` elements of a list, none of them without its key or value. Their text is what it is, blanks included.
pub(super) fn tag_list(list: &Element) -> Result<Vec<(String, String)>, S3Error> {
    let pair = |tag: &Element| {
        let tag = tag.only(&["Key", "Value"])?;
        let text = |name| -> Result<String, S3Error> {
            let child = tag.child(name)?.ok_or_else(|| S3Error::new(Code::MalformedXML))?;
            Ok(child.leaf()?.to_owned())
        };
        Ok((text("Key")?, text("Value")?))
    };
    list.only(&["Tag"])?.children().iter().map(pair).collect()
}

/// The tags of `x-amz-tagging`, if it is there: a query, in which a tag stands once.
fn read(text: Option<&str>) -> Result<Option<Tags>, S3Error> {
    let Some(text) = text else { return Ok(None) };
    let refused = || {
        S3Error::argument(
            HEADER,
            text,
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name \
             duplicates.",
        )
    };
    let pairs = query_pairs(text).map_err(|_| refused())?;
    let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(refused());
    }
    Ok(Some(Tags::of_object(pairs)?))
}

/// What the headers of a write say of the tags of the version to be, if its principal may say so.
pub(super) async fn of_headers(call: &Call) -> Result<Tags, S3Error> {
    let tags = read(said(call, HEADER)?)?;
    if tags.is_some() {
        call.require(PUT).await?;
    }
    Ok(tags.unwrap_or_default())
}

/// The number of an object's tags, for whoever may read them.
pub(super) async fn show_count(
    call: &Call,
    head: &mut HeaderMap,
    beside: &Subresources,
) -> Result<(), S3Error> {
    let read = Operation::GetObjectTagging.action_of(call.query.has("versionId"));
    if !beside.tags.is_empty() && call.may_of(read, beside).await? {
        set_amz(head, "x-amz-tagging-count", &beside.tags.len().to_string());
    }
    Ok(())
}

/// The tags that a copy gets instead of its source's, if its principal may say so.
pub(super) async fn of_copy(call: &Call) -> Result<Option<Tags>, S3Error> {
    let tags = replaced(|name| said(call, name))?;
    if tags.is_some() {
        call.require(PUT).await?;
    }
    Ok(tags)
}

/// `x-amz-tagging-directive`: whether a copy brings its source's tags along, and else which ones.
fn replaced<'c>(
    said: impl Fn(&'static str) -> Result<Option<&'c str>, S3Error>,
) -> Result<Option<Tags>, S3Error> {
    const DIRECTIVE: &str = "x-amz-tagging-directive";
    match said(DIRECTIVE)? {
        None | Some("COPY") => Ok(None),
        Some("REPLACE") => Ok(Some(read(said(HEADER)?)?.unwrap_or_default())),
        Some(other) => Err(S3Error::argument(DIRECTIVE, other, "Unknown tagging directive.")),
    }
}

#[cfg(test)]
mod tests {
    use super::{read, replaced, tag_set};
    use crate::xml::Element;
    use objectstore::Tags;

    fn pairs(tags: &Tags) -> Vec<(&str, &str)> {
        tags.iter().collect()
    }

    #[test]
    fn a_header_of_tags_is_a_query() {
        let read = |text: &str| read(Some(text)).map_err(|error| error.code());
        assert_eq!(pairs(&read("foo=bar&bar").unwrap().unwrap()), [("bar", ""), ("foo", "bar")]);
        assert_eq!(pairs(&read("a%3D=b+c%2B&d=").unwrap().unwrap()), [("a=", "b c+"), ("d", "")]);
        assert!(read("").unwrap().unwrap().is_empty());
        for (bad, code) in [
            ("a=1&a=2", "InvalidArgument"),
            ("a=%zz", "InvalidArgument"),
            ("a=%ff", "InvalidArgument"),
            ("a=%3C", "InvalidTag"),
            ("=x", "InvalidTag"),
            ("aws:x=1", "InvalidTag"),
        ] {
            assert_eq!(read(bad), Err(code), "{bad}");
        }
        let eleven: Vec<String> = (0..11).map(|n| format!("k{n}=")).collect();
        assert_eq!(read(&eleven.join("&")), Err("InvalidTag"));
        assert_eq!(super::read(None).unwrap(), None);
    }

    #[test]
    fn a_copy_takes_the_sources_tags_unless_told() {
        let directed = |directive: Option<&'static str>, tags: Option<&'static str>| {
            replaced(|name| Ok(if name == super::HEADER { tags } else { directive }))
                .map_err(|error| error.code())
        };
        let said_alone = directed(None, Some("a=1"));
        assert_eq!(said_alone, Ok(None), "without the directive, as in S3, the header says nothing");
        assert_eq!(pairs(&directed(Some("REPLACE"), Some("a=1")).unwrap().unwrap()), [("a", "1")]);
        assert!(directed(Some("REPLACE"), None).unwrap().unwrap().is_empty());
        assert_eq!(directed(Some("copy"), None), Err("InvalidArgument"));
    }

    #[test]
    fn documents_of_tags_are_read_strictly() {
        let read = |text: &str| {
            let root = Element::parse(text.as_bytes()).map_err(|_| "MalformedXML")?;
            tag_set(&root).map_err(|error| error.code())
        };
        let one = "<Tag><Key> a </Key><Value/></Tag>";
        let good = read(&format!("<Tagging><TagSet>{one}</TagSet></Tagging>")).unwrap();
        assert_eq!(good, [(" a ".to_owned(), String::new())]);
        assert!(read("<Tagging><TagSet/></Tagging>").unwrap().is_empty());
        for bad in [
            "<Tagging/>",
            "<TagSet/>",
            "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
            "<Tagging><TagSet><Tag><Value>a</Value></Tag></TagSet></Tagging>",
            "<Tagging><TagSet><Tag><Key>a</Key><Key>b</Key><Value/></Tag></TagSet></Tagging>",
            "<Tagging><TagSet><Label/></TagSet></Tagging>",
            "<Tagging><TagSet/><TagSet/></Tagging>",
            "<Tagging><TagSet>text</TagSet></Tagging>",
        ] {
            assert_eq!(read(bad), Err("MalformedXML"), "{bad}");
        }
    }
}
