//! Reads request documents into a small tree, strictly.
//!
//! Text has only characters that XML 1.0 has: what an answer could not carry is in no setting. Keys of objects may have any.
//!
//! Limits: depth 12, 120,000 elements (10,000 parts with every checksum are 40,000), the size by the caller. No document
//! type, no processing instruction, no entity but XML's own five and character references. Attributes are checked for
//! form and dropped (name space declarations are all that clients send).

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Elements within elements.
const DEPTH_MAX: usize = 12;
/// Elements in one document.
const ELEMENTS_MAX: usize = 120_000;

/// The document is not well formed, larger than allowed, or not the one that was expected. S3's `MalformedXML`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the XML document: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Whether XML 1.0 has a character.
pub(crate) fn is_carried(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// One element: its name without prefix, the text directly in it, and its children in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    name: Box<str>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a whole document.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, Malformed> {
        Self::read(document, false)
    }

    /// Reads one that names keys of objects, which may have characters that XML 1.0 lacks.
    pub(crate) fn parse_keys(document: &[u8]) -> Result<Self, Malformed> {
        Self::read(document, true)
    }

    fn read(document: &[u8], keys: bool) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(document).map_err(|_| Malformed("not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_end_names = true;
        config.check_comments = true;
        config.expand_empty_elements = true;
        let mut builder = Builder { keys, ..Builder::default() };
        loop {
            let event = reader.read_event().map_err(|_| Malformed("not well formed"))?;
            if let Event::Eof = event {
                return builder.finish();
            }
            builder.take(&event)?;
        }
    }

    /// The element's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its children, in order.
    pub(crate) fn children(&self) -> &[Self] {
        &self.children
    }

    /// Checks that the root is the expected one.
    pub(crate) fn expect(&self, name: &str) -> Result<&Self, Malformed> {
        if self.name() == name { Ok(self) } else { Err(Malformed("another root element was expected")) }
    }

    /// The text of an element that has no children, untouched.
    pub(crate) fn leaf(&self) -> Result<&str, Malformed> {
        if self.children.is_empty() { Ok(&self.text) } else { Err(Malformed("text was expected")) }
    }

    /// The one child of this name, if any; two of them are refused.
    pub(crate) fn child(&self, name: &str) -> Result<Option<&Self>, Malformed> {
        let mut found = self.children.iter().filter(|child| child.name() == name);
        match (found.next(), found.next()) {
            (child, None) => Ok(child),
            _ => Err(Malformed("an element stands twice")),
        }
    }

    /// The text of the one child of this name, without white space around it.
    pub(crate) fn child_text(&self, name: &str) -> Result<Option<&str>, Malformed> {
        self.child(name)?.map(|child| child.leaf().map(str::trim)).transpose()
    }

    /// Refuses children that are not in the list, and text between children.
    pub(crate) fn only(&self, names: &[&str]) -> Result<&Self, Malformed> {
        if !self.text.trim().is_empty() {
            return Err(Malformed("text where only elements belong"));
        }
        if self.children.iter().all(|child| names.contains(&child.name())) {
            Ok(self)
        } else {
            Err(Malformed("an element that does not belong here"))
        }
    }
}

/// A name with at most one prefix. The parser takes nearly anything for one; requests have ASCII names only.
fn is_name(name: &str) -> bool {
    let mut parts = name.splitn(2, ':');
    parts.all(|part| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    })
}

#[derive(Default)]
struct Builder {
    /// Any character may stand in a text.
    keys: bool,
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Builder {
    fn take(&mut self, event: &Event<'_>) -> Result<(), Malformed> {
        match event {
            Event::Start(start) => self.start(start),
            Event::End(_) => self.end(),
            Event::Text(text) => self.append(&text.xml10_content()),
            Event::CData(data) => self.append(&data.xml10_content()),
            Event::GeneralRef(reference) => {
                let name = reference.xml10_content();
                let resolved = match &*name {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    "quot" => '"',
                    "apos" => '\'',
                    _ => match reference.resolve_char_ref() {
                        Ok(Some(c)) => c,
                        Ok(None) | Err(_) => return Err(Malformed("an entity that is not XML's own")),
                    },
                };
                self.append(resolved.encode_utf8(&mut [0; 4]))
            }
            Event::Decl(_) if self.root.is_none() && self.open.is_empty() => Ok(()),
            Event::Decl(_) => Err(Malformed("a declaration inside the document")),
            Event::Comment(_) => Ok(()),
            Event::DocType(_) => Err(Malformed("a document type")),
            Event::PI(_) => Err(Malformed("a processing instruction")),
            Event::Empty(_) | Event::Eof => Err(Malformed("not well formed")),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Malformed> {
        self.elements += 1;
        if self.root.is_some() {
            return Err(Malformed("a second root element"));
        }
        if self.open.len() >= DEPTH_MAX || self.elements > ELEMENTS_MAX {
            return Err(Malformed("more elements than any request needs"));
        }
        if !is_name(start.name().as_ref()) {
            return Err(Malformed("a name that is none"));
        }
        for attribute in start.attributes().with_checks(true) {
            let wellformed =
                attribute.is_ok_and(|found| is_name(found.key.as_ref()) && !found.value.contains('<'));
            if !wellformed {
                return Err(Malformed("an attribute is not well formed"));
            }
        }
        let name = start.local_name().into_inner().into();
        self.open.push(Element { name, ..Element::default() });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Malformed> {
        let done = self.open.pop().ok_or(Malformed("an end without a start"))?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(done),
            None => self.root = Some(done),
        }
        Ok(())
    }

    fn append(&mut self, text: &str) -> Result<(), Malformed> {
        if !self.keys && !text.chars().all(is_carried) {
            return Err(Malformed("a character that XML does not have"));
        }
        match self.open.last_mut() {
            Some(element) => {
                element.text.push_str(text);
                Ok(())
            }
            None if text.trim().is_empty() => Ok(()),
            None => Err(Malformed("text outside the root element")),
        }
    }

    fn finish(self) -> Result<Element, Malformed> {
        if !self.open.is_empty() {
            return Err(Malformed("the document ends early"));
        }
        self.root.ok_or(Malformed("no root element"))
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, Element};

    #[test]
    fn reads_a_request() {
        let document = "<?xml version='1.0'?>\n<!-- c --><s3:Delete xmlns:s3=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Object><Key>a &amp;&#x41;<![CDATA[<b>]]></Key></Object><Quiet> true </Quiet></s3:Delete>\n";
        let root = Element::parse(document.as_bytes()).unwrap();
        root.expect("Delete").unwrap().only(&["Object", "Quiet"]).unwrap();
        assert_eq!(root.child_text("Quiet").unwrap(), Some("true"));
        assert_eq!(root.children()[0].child("Key").unwrap().unwrap().leaf().unwrap(), "a &A<b>");
        assert_eq!(root.child("Missing").unwrap(), None);
        root.only(&["Object"]).unwrap_err();
        root.leaf().unwrap_err();
    }

    #[test]
    fn what_xml_lacks_stands_in_keys_alone() {
        for bad in ["\u{0}", "\u{1}", "\u{1f}", "\u{fffe}", "\u{ffff}", "&#1;", "&#xb;", "&#xFFFE;"] {
            let text = format!("<a><b>x{bad}</b></a>");
            Element::parse_keys(text.as_bytes()).unwrap();
            Element::parse(text.as_bytes()).unwrap_err();
        }
        Element::parse(b"<a><![CDATA[\x01]]></a>").unwrap_err();
        for good in ["\t\r\n", "&#9;&#xd;", "\u{7f}\u{85}\u{d7ff}\u{e000}\u{fffd}\u{10ffff}"] {
            Element::parse(format!("<a>{good}</a>").as_bytes()).unwrap();
        }
    }

    #[test]
    fn refuses_what_no_client_needs() {
        let deep = format!("{}{}", "<a>".repeat(DEPTH_MAX + 1), "</a>".repeat(DEPTH_MAX + 1));
        let many = format!("<a>{}</a>", "<b/>".repeat(super::ELEMENTS_MAX));
        for bad in [
            "",
            " ",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a/>x",
            "<a>&bomb;</a>",
            "<a>&#0;</a>",
            "<a>&</a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a/>",
            "<?php x?><a/>",
            "<a><?xml version='1.0'?></a>",
            "<a x=1/>",
            "<a//>",
            "<1/>",
            "<a:/>",
            "<a:b:c/>",
            "<é/>",
            "<a /='1'/>",
            "<a x='<'/>",
            "<a x='1' x='2'/>",
            &deep,
            &many,
        ] {
            Element::parse(bad.as_bytes()).unwrap_err();
        }
        Element::parse(b"<a>\xff</a>").unwrap_err();
        let twice = Element::parse(b"<a><b/><b/></a>").unwrap();
        twice.child("b").unwrap_err();
    }
}
