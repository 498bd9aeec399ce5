//! Writes documents the way S3 does: declaration, a line feed, then one line without white space between elements.

use std::fmt::{Display, Write};

/// S3's namespace, on the root of every successful answer and on no error.
pub(crate) const S3_NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// What every document begins with.
pub(crate) const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// An XML document under construction.
#[derive(Debug)]
pub(crate) struct XmlWriter {
    out: String,
    open: Vec<&'static str>,
}

impl XmlWriter {
    /// A document whose root stands in S3's namespace.
    pub(crate) fn document(root: &'static str) -> Self {
        let mut writer = Self::bare();
        writer.open(root, &format!(" xmlns=\"{S3_NAMESPACE}\""));
        writer
    }

    /// A document whose root stands in another namespace of AWS's.
    pub(crate) fn rooted(root: &'static str, namespace: &str) -> Self {
        let mut writer = Self::bare();
        writer.open(root, &format!(" xmlns=\"{namespace}\""));
        writer
    }

    /// A document whose root has no namespace.
    pub(crate) fn plain(root: &'static str) -> Self {
        let mut writer = Self::bare();
        writer.open(root, "");
        writer
    }

    /// Makes room for about this many further bytes, so that a long document is not moved as it grows.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    fn bare() -> Self {
        let mut out = String::with_capacity(512);
        out.push_str(DECLARATION);
        Self { out, open: Vec::new() }
    }

    fn open(&mut self, name: &'static str, attributes: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push_str(attributes);
        self.out.push('>');
        self.open.push(name);
    }

    /// Opens a child; closed by [`XmlWriter::end`].
    pub(crate) fn start(&mut self, name: &'static str) {
        self.open(name, "");
    }

    /// Opens a child with attributes that are written as given: constants of ours, never a client's text.
    pub(crate) fn start_with(&mut self, name: &'static str, attributes: &'static str) {
        self.open(name, attributes);
    }

    /// Closes the element that was opened last.
    pub(crate) fn end(&mut self) {
        if let Some(name) = self.open.pop() {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    /// Closes all but the root.
    pub(crate) fn end_to_root(&mut self) {
        while self.open.len() > 1 {
            self.end();
        }
    }

    /// A child that holds text.
    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        if value.is_empty() {
            self.empty(name);
            return;
        }
        self.start(name);
        escape_into(&mut self.out, value);
        self.end();
    }

    /// Text directly in the element that is open.
    pub(crate) fn root_text(&mut self, value: &str) {
        escape_into(&mut self.out, value);
    }

    /// A child without content: `<Prefix/>`, as S3 has it.
    pub(crate) fn empty(&mut self, name: &'static str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push_str("/>");
    }

    /// A child that holds a number or another value whose text needs no escaping.
    pub(crate) fn value(&mut self, name: &'static str, value: impl Display) {
        self.start(name);
        // Writing to a string cannot fail.
        let _infallible = write!(self.out, "{value}");
        self.end();
    }

    /// A child, if there is a value.
    pub(crate) fn optional(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An entity tag, quoted.
    pub(crate) fn etag(&mut self, value: impl Display) {
        self.start("ETag");
        let _infallible = write!(self.out, "&quot;{value}&quot;");
        self.end();
    }

    /// The document, with everything still open closed.
    pub(crate) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.out
    }
}

/// What XML 1.0 cannot carry goes as a character reference, which is what S3 does; clients that may meet such keys ask
/// for `encoding-type=url`.
fn escape_into(out: &mut String, value: &str) {
    let mut rest = value;
    // What needs escaping is ASCII, so a byte's place is a character's.
    let special = |c: u8| c < b' ' && c != b'\t' && c != b'\n' || matches!(c, b'&' | b'<' | b'>' | b'"');
    while let Some(at) = rest.bytes().position(special) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = from.chars();
        match chars.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('"') => out.push_str("&quot;"),
            other => {
                let _infallible = write!(out, "&#x{:x};", other.map_or(0, u32::from));
            }
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::XmlWriter;

    #[test]
    fn writes_what_s3_writes() {
        let mut xml = XmlWriter::document("ListBucketResult");
        xml.text("Name", "b");
        xml.text("Prefix", "");
        xml.value("MaxKeys", 1000);
        xml.start("Contents");
        xml.text("Key", "a<b>&\"c\"\r\u{1}é");
        xml.etag("abc");
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix/>\
            <MaxKeys>1000</MaxKeys><Contents><Key>a&lt;b&gt;&amp;&quot;c&quot;&#xd;&#x1;é</Key>\
            <ETag>&quot;abc&quot;</ETag></Contents></ListBucketResult>";
        assert_eq!(xml.finish(), expected);
    }
}
