//! What all listings share: `encoding-type` and common prefixes.

use crate::s3::Call;
use crate::s3::error::S3Error;
use crate::s3::percent;
use crate::xml::XmlWriter;
use std::borrow::Cow;

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
            Self::Url => Cow::Owned(percent::encode(text)),
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
