//! `PutBucketWebsite`, `GetBucketWebsite`, `DeleteBucketWebsite`. What a website shows is in `s3/website.rs`.

use super::{Proof, document_within, required};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::headers::digits;
use crate::xml::{Element, XmlWriter};
use engine::unit::ByteCount;
use http::StatusCode;
use objectstore::{KeyChange, RoutingCondition, RoutingRedirect, RoutingRule, WebProtocol, Website};

/// Bytes of the document, as S3 bounds it.
const DOCUMENT_MAX: ByteCount = ByteCount::kib(128);

fn malformed() -> S3Error {
    S3Error::new(Code::MalformedXML)
}

fn refused(message: &'static str) -> S3Error {
    S3Error::with(Code::InvalidRequest, message)
}

/// `PutBucketWebsite`.
pub(super) async fn put(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let name = call.target.bucket()?;
    let root = required(document_within(call, body, Proof::Optional, DOCUMENT_MAX).await?)?;
    let website = read(root.expect("WebsiteConfiguration")?)?;
    website.check()?;
    call.state.store.set(&name, Some(&website)).await?;
    Ok(empty(StatusCode::OK))
}

fn read(root: &Element) -> Result<Website, S3Error> {
    root.only(&["IndexDocument", "ErrorDocument", "RedirectAllRequestsTo", "RoutingRules"])?;
    if let Some(all) = root.child("RedirectAllRequestsTo")? {
        if root.children().len() > 1 {
            return Err(refused(
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
            ));
        }
        all.only(&["HostName", "Protocol"])?;
        let host = filled(all, "HostName")?.ok_or_else(malformed)?;
        return Ok(Website::RedirectAll { host, protocol: protocol(all)? });
    }
    let Some(index) = root.child("IndexDocument")? else {
        let message = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty";
        return Err(S3Error::argument("IndexDocument", "null", message));
    };
    let index = index.only(&["Suffix"])?.child_text("Suffix")?.ok_or_else(malformed)?.to_owned();
    let error = match root.child("ErrorDocument")? {
        None => None,
        Some(error) => Some(error.only(&["Key"])?.child_text("Key")?.ok_or_else(malformed)?.to_owned()),
    };
    let rules = match root.child("RoutingRules")? {
        None => Vec::new(),
        Some(rules) => {
            rules.only(&["RoutingRule"])?.children().iter().map(read_rule).collect::<Result<_, _>>()?
        }
    };
    Ok(Website::Documents { index, error, rules })
}

fn read_rule(rule: &Element) -> Result<RoutingRule, S3Error> {
    rule.only(&["Condition", "Redirect"])?;
    let condition = match rule.child("Condition")? {
        None => None,
        Some(found) => {
            found.only(&["KeyPrefixEquals", "HttpErrorCodeReturnedEquals"])?;
            let error = number(found, "HttpErrorCodeReturnedEquals")?;
            Some(RoutingCondition { prefix: found.child_text("KeyPrefixEquals")?.map(str::to_owned), error })
        }
    };
    let redirect = rule.child("Redirect")?.ok_or_else(malformed)?;
    redirect.only(&["Protocol", "HostName", "ReplaceKeyPrefixWith", "ReplaceKeyWith", "HttpRedirectCode"])?;
    let whole = redirect.child_text("ReplaceKeyWith")?.map(str::to_owned);
    let key = match (redirect.child_text("ReplaceKeyPrefixWith")?, whole) {
        (None, None) => KeyChange::None,
        (Some(prefix), None) => KeyChange::Prefix(prefix.to_owned()),
        (None, Some(whole)) => KeyChange::Whole(whole),
        (Some(_), Some(_)) => {
            return Err(refused("You can only define ReplaceKeyPrefix or ReplaceKey but not both."));
        }
    };
    let (protocol, host) = (protocol(redirect)?, filled(redirect, "HostName")?);
    let status = number(redirect, "HttpRedirectCode")?;
    Ok(RoutingRule { condition, redirect: RoutingRedirect { protocol, host, key, status } })
}

fn filled(element: &Element, name: &str) -> Result<Option<String>, S3Error> {
    Ok(element.child_text(name)?.filter(|text| !text.is_empty()).map(str::to_owned))
}

fn protocol(element: &Element) -> Result<Option<WebProtocol>, S3Error> {
    Ok(element.child_text("Protocol")?.map(WebProtocol::parse).transpose()?)
}

fn number(element: &Element, name: &str) -> Result<Option<u16>, S3Error> {
    let text = element.child_text(name)?;
    text.map(|text| digits::<u16>(text).filter(|number| *number > 0).ok_or_else(malformed)).transpose()
}

/// `GetBucketWebsite`.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let website = call.state.store.setting::<Website>(&call.target.bucket()?).await?;
    let website = website.ok_or_else(|| S3Error::new(Code::NoSuchWebsiteConfiguration))?;
    let mut out = XmlWriter::document("WebsiteConfiguration");
    match &*website {
        Website::RedirectAll { host, protocol } => {
            out.start("RedirectAllRequestsTo");
            out.text("HostName", host);
            out.optional("Protocol", protocol.map(WebProtocol::as_str));
            out.end();
        }
        Website::Documents { index, error, rules } => {
            out.start("IndexDocument");
            out.text("Suffix", index);
            out.end();
            if let Some(error) = error {
                out.start("ErrorDocument");
                out.text("Key", error);
                out.end();
            }
            if !rules.is_empty() {
                out.start("RoutingRules");
                for rule in rules {
                    write_rule(&mut out, rule);
                }
                out.end();
            }
        }
    }
    Ok(xml(StatusCode::OK, out.finish()))
}

fn write_rule(out: &mut XmlWriter, rule: &RoutingRule) {
    out.start("RoutingRule");
    if let Some(condition) = &rule.condition {
        out.start("Condition");
        out.optional("KeyPrefixEquals", condition.prefix.as_deref());
        if let Some(error) = condition.error {
            out.value("HttpErrorCodeReturnedEquals", error);
        }
        out.end();
    }
    let RoutingRedirect { protocol, host, key, status } = &rule.redirect;
    out.start("Redirect");
    out.optional("Protocol", protocol.map(WebProtocol::as_str));
    out.optional("HostName", host.as_deref());
    match key {
        KeyChange::None => {}
        KeyChange::Prefix(prefix) => out.text("ReplaceKeyPrefixWith", prefix),
        KeyChange::Whole(whole) => out.text("ReplaceKeyWith", whole),
    }
    if let Some(status) = status {
        out.value("HttpRedirectCode", status);
    }
    out.end();
    out.end();
}

/// `DeleteBucketWebsite`.
pub(super) async fn delete(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.set::<Website>(&call.target.bucket()?, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
