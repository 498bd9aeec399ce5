//! `PutBucketCors`, `GetBucketCors`, `DeleteBucketCors`.

use super::{Proof, document_within, required};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::headers::digits;
use crate::xml::{Element, Malformed, XmlWriter};
use engine::unit::ByteCount;
use http::StatusCode;
use objectstore::{Cors, CorsMethod, CorsRule};

/// Bytes of the document, as S3 bounds it.
const DOCUMENT_MAX: ByteCount = ByteCount::kib(64);

/// `PutBucketCors`.
pub(super) async fn put(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    let root = required(document_within(call, body, Proof::Required, DOCUMENT_MAX).await?)?;
    let root = root.expect("CORSConfiguration")?.only(&["CORSRule"])?;
    let rules = root.children().iter().map(read_rule).collect::<Result<Vec<_>, _>>()?;
    if rules.is_empty() {
        return Err(S3Error::new(Code::MalformedXML));
    }
    call.state.store.set(&name, Some(&Cors::new(rules)?)).await?;
    Ok(empty(StatusCode::OK))
}

fn read_rule(element: &Element) -> Result<CorsRule, S3Error> {
    element.only(&[
        "ID",
        "AllowedMethod",
        "AllowedOrigin",
        "AllowedHeader",
        "ExposeHeader",
        "MaxAgeSeconds",
    ])?;
    let max_age_secs = match element.child_text("MaxAgeSeconds")? {
        None => None,
        Some(text) => match digits::<u32>(text).filter(|_| !text.is_empty()) {
            Some(seconds) => Some(seconds),
            None => return Err(S3Error::new(Code::MalformedXML)),
        },
    };
    let methods = texts(element, "AllowedMethod")?;
    let rule = CorsRule {
        id: element.child_text("ID")?.map(str::to_owned),
        origins: texts(element, "AllowedOrigin")?,
        methods: methods.iter().map(|name| name.parse::<CorsMethod>()).collect::<Result<_, _>>()?,
        headers: texts(element, "AllowedHeader")?,
        exposed: texts(element, "ExposeHeader")?,
        max_age_secs,
    };
    if rule.origins.is_empty() || rule.methods.is_empty() {
        return Err(S3Error::new(Code::MalformedXML));
    }
    Ok(rule)
}

/// The texts of all children of this name, none of them empty.
fn texts(element: &Element, name: &str) -> Result<Vec<String>, Malformed> {
    let children = element.children().iter().filter(|child| child.name() == name);
    let texts = children.map(|child| match child.leaf()?.trim() {
        "" => Err(Malformed("an element without its text")),
        text => Ok(text.to_owned()),
    });
    texts.collect()
}

/// `GetBucketCors`.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let cors = call.state.store.setting::<Cors>(&call.target.bucket()?).await?;
    let cors = cors.ok_or_else(|| S3Error::new(Code::NoSuchCORSConfiguration))?;
    let mut out = XmlWriter::document("CORSConfiguration");
    for rule in cors.rules() {
        out.start("CORSRule");
        out.optional("ID", rule.id.as_deref());
        for method in &rule.methods {
            out.value("AllowedMethod", method);
        }
        for origin in &rule.origins {
            out.text("AllowedOrigin", origin);
        }
        for header in &rule.headers {
            out.text("AllowedHeader", header);
        }
        for header in &rule.exposed {
            out.text("ExposeHeader", header);
        }
        if let Some(age) = rule.max_age_secs {
            out.value("MaxAgeSeconds", age);
        }
        out.end();
    }
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `DeleteBucketCors`.
pub(super) async fn delete(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.set::<Cors>(&call.target.bucket()?, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
