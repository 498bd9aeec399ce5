//! What all listings share: `encoding-type`, entries, common prefixes.

use crate::s3::Call;
use crate::s3::error::S3Error;
use crate::xml::XmlWriter;
use std::borrow::Cow;
use std::fmt::Write;

/// How keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    /// Reads `encoding-type`.
    pub(super) fn parse(call: &Call) -> Result<Self, S3Error> {
        match call.query.get("encoding-type") {
            None | Some("" | "url") => Ok(Self::of(call.query.get("encoding-type"))),
            Some(other) => {
                Err(S3Error::argument("encoding-type", other, "Invalid Encoding Method specified in Request"))
            }
        }
    }

    /// Url when it is asked for.
    pub(super) fn of(value: Option<&str>) -> Self {
        if value == Some("url") { Self::Url } else { Self::Plain }
    }

    /// A key or a part of one.
    pub(super) fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Plain => Cow::Borrowed(text),
            Self::Url => Cow::Owned(url_encode(text)),
        }
    }

    /// The element that says so.
    pub(super) fn write(self, out: &mut XmlWriter) {
        if self == Self::Url {
            out.text("EncodingType", "url");
        }
    }

    pub(super) fn write_prefixes(self, out: &mut XmlWriter, prefixes: &[String]) {
        for prefix in prefixes {
            out.start("CommonPrefixes");
            out.text("Prefix", &self.apply(prefix));
            out.end();
        }
    }
}

/// S3's form: what is unreserved stays, and `/` and `*`; the rest is escaped, so that `+` is never a space.
pub(in crate::s3) fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'*' | b'/' => {
                out.push(char::from(byte));
            }
            other => {
                // Writing to a string cannot fail.
                let _infallible = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::url_encode;

    #[test]
    fn encodes_as_s3_does() {
        assert_eq!(url_encode("a b/c*é~+\u{1}"), "a%20b/c*%C3%A9~%2B%01");
    }
}
