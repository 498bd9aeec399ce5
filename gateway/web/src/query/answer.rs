//! Documents of the query protocol: an operation's result, and an error.
//!
//! ```text
//!   <GetUserResponse xmlns="…"><GetUserResult>…</GetUserResult><ResponseMetadata><RequestId>…</RequestId></ResponseMetadata></…>
//!   <ErrorResponse xmlns="…"><Error><Type>Sender</Type><Code>…</Code><Message>…</Message></Error><RequestId>…</RequestId></…>
//! ```

use super::error::QueryError;
use super::table::{Row, Service};
use crate::http::iso;
use crate::xml::XmlWriter;
use crate::xml::is_carried;
use engine::clock::Timestamp;

/// An operation's document under construction.
#[derive(Debug)]
pub(crate) struct Reply(XmlWriter);

impl Reply {
    /// Of an operation that answers nothing.
    pub(super) fn empty(service: &Service, row: &Row) -> Self {
        Self(XmlWriter::rooted(row.elements[0], service.namespace))
    }

    /// Of one whose result is to be written.
    pub(super) fn open(service: &Service, row: &Row) -> Self {
        let mut reply = Self::empty(service, row);
        reply.0.start(row.elements[1]);
        reply
    }

    /// A structure.
    pub(crate) fn structure(&mut self, name: &'static str, fields: impl FnOnce(&mut Self)) {
        self.0.start(name);
        fields(self);
        self.0.end();
    }

    /// A list of structures.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut member: impl FnMut(&mut Self, T),
    ) {
        self.structure(name, |reply| {
            for item in items {
                reply.structure("member", |reply| member(reply, item));
            }
        });
    }

    /// A list of texts.
    pub(crate) fn texts<'t>(&mut self, name: &'static str, items: impl IntoIterator<Item = &'t str>) {
        self.structure(name, |reply| {
            for item in items {
                reply.text("member", item);
            }
        });
    }

    /// A text. What XML can't carry is shown as U+FFFD, so that whatever a message quotes is read by every parser.
    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        if value.chars().all(is_carried) {
            return self.0.text(name, value);
        }
        let shown: String =
            value.chars().map(|c| if is_carried(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
        self.0.text(name, &shown);
    }

    /// A text, if there is one.
    pub(crate) fn optional(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A number or a truth.
    pub(crate) fn value(&mut self, name: &'static str, value: impl std::fmt::Display) {
        self.0.value(name, value);
    }

    /// A time, in whole seconds.
    pub(crate) fn time(&mut self, name: &'static str, at: Timestamp) {
        self.0.text(name, &iso(at).replace(".000Z", "Z"));
    }

    /// A policy's document, percent-encoded as IAM has it.
    pub(crate) fn document(&mut self, name: &'static str, text: &str) {
        let encoded = percent_encoding::utf8_percent_encode(text, UNRESERVED).to_string();
        self.0.text(name, &encoded);
    }

    /// The document, with the request's id.
    pub(super) fn finish(mut self, request_id: &str) -> String {
        self.0.end_to_root();
        self.structure("ResponseMetadata", |reply| reply.text("RequestId", request_id));
        self.0.finish()
    }
}

/// RFC 3986's unreserved characters stand for themselves.
const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// An error's document.
pub(super) fn error(service: &Service, error: &QueryError, request_id: &str) -> String {
    let mut reply = Reply(XmlWriter::rooted("ErrorResponse", service.namespace));
    reply.structure("Error", |reply| {
        reply.text("Type", error.fault());
        reply.text("Code", error.code());
        reply.text("Message", error.message());
    });
    reply.text("RequestId", request_id);
    reply.0.finish()
}

#[cfg(test)]
mod tests {
    use super::{Reply, error};
    use crate::query::error::QueryError;
    use crate::query::table::{Service, row};
    use engine::clock::Timestamp;

    const SERVICE: Service =
        Service { name: "iam", version: "2010-05-08", namespace: "https://iam.example/", groups: &[] };

    #[test]
    fn documents_are_as_sdks_read_them() {
        let row = row!("iam", "GetUser");
        let mut reply = Reply::open(&SERVICE, &row);
        reply.structure("User", |reply| {
            reply.text("Path", "/");
            reply.time("CreateDate", Timestamp::from_millis(1_382_720_462_123));
            reply.text("Odd", "\u{1}a\u{ffff}\t");
            reply.list("Tags", ["a<b"], |reply, key| reply.text("Key", key));
            reply.texts("Names", ["x", "y"]);
            reply.document("Document", "{\"a\": é~}");
            reply.optional("Left", None);
            reply.value("IsTruncated", false);
        });
        assert_eq!(
            reply.finish("id"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <GetUserResponse xmlns=\"https://iam.example/\"><GetUserResult><User><Path>/</Path>\
             <CreateDate>2013-10-25T17:01:02Z</CreateDate><Odd>\u{fffd}a\u{fffd}\t</Odd><Tags><member><Key>a&lt;b</Key></member></Tags>\
             <Names><member>x</member><member>y</member></Names>\
             <Document>%7B%22a%22%3A%20%C3%A9~%7D</Document>\
             <IsTruncated>false</IsTruncated></User></GetUserResult>\
             <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></GetUserResponse>"
        );
        assert_eq!(
            Reply::empty(&SERVICE, &row).finish("id"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <GetUserResponse xmlns=\"https://iam.example/\"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata>\
             </GetUserResponse>"
        );
        assert_eq!(
            error(&SERVICE, &QueryError::unsigned(), "id"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <ErrorResponse xmlns=\"https://iam.example/\"><Error><Type>Sender</Type>\
             <Code>MissingAuthenticationToken</Code><Message>Request is missing Authentication Token</Message></Error>\
             <RequestId>id</RequestId></ErrorResponse>"
        );
    }
}
