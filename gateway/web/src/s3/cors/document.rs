//! The `CORSConfiguration` document: read strictly, written as S3 shows it.

use crate::xml::{Element, Malformed, XmlWriter};
use objectstore::{Cors, CorsMethod, CorsRule};

/// Why a document is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// Not the elements that S3 names.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Rules that S3 refuses.
    #[error(transparent)]
    Rules(#[from] objectstore::Error),
}

/// Reads it.
pub(crate) fn read(root: &Element) -> Result<Cors, DocumentError> {
    if root.name() != "CORSConfiguration" {
        return Err(Malformed("another root element was expected").into());
    }
    let rules = root.only(&["CORSRule"])?.children().iter().map(read_rule).collect::<Result<Vec<_>, _>>()?;
    if rules.is_empty() {
        return Err(Malformed("no rule").into());
    }
    Ok(Cors::new(rules)?)
}

fn read_rule(element: &Element) -> Result<CorsRule, DocumentError> {
    element.only(&[
        "ID",
        "AllowedMethod",
        "AllowedOrigin",
        "AllowedHeader",
        "ExposeHeader",
        "MaxAgeSeconds",
    ])?;
    let methods = texts(element, "AllowedMethod")?;
    let rule = CorsRule {
        id: element.child_text("ID")?.map(str::to_owned),
        origins: texts(element, "AllowedOrigin")?,
        methods: methods.iter().map(|name| name.parse::<CorsMethod>()).collect::<Result<_, _>>()?,
        headers: texts(element, "AllowedHeader")?,
        exposed: texts(element, "ExposeHeader")?,
        max_age_secs: element.child_text("MaxAgeSeconds")?.map(seconds).transpose()?,
    };
    if rule.origins.is_empty() || rule.methods.is_empty() {
        return Err(Malformed("a rule without an origin or a method").into());
    }
    Ok(rule)
}

/// Digits only, where Rust's own reading takes a sign too.
fn seconds(text: &str) -> Result<u32, Malformed> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok());
    number.flatten().ok_or(Malformed("an age that is no number"))
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

/// Writes it.
pub(crate) fn write(cors: &Cors) -> String {
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
    out.finish()
}
