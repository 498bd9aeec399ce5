//! Answers in XML, as a small tree.
//!
//! S3's lists interleave elements of different names (versions and delete markers), so their order matters; a tree
//! keeps it where a derive would not. Bodies come from whatever endpoint the user named: size, depth and the number of
//! elements are bounded, there are no DTDs, and unknown elements are passed over.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

/// The largest answer that is read: 1,000 keys of 1,024 bytes, each byte encoded threefold, with room to spare.
pub(crate) const BODY_MAX: usize = 16 << 20;
const DEPTH_MAX: usize = 16;
const ELEMENTS_MAX: usize = 200_000;

/// One element: its local name, its own text, and what stands inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Self>,
}

impl Element {
    /// Parses a document; the error says what is wrong with it.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        let mut elements = 0_usize;
        loop {
            let event = reader.read_event().map_err(|error| format!("it is not XML: {error}"))?;
            match event {
                Event::Start(start) => {
                    elements += 1;
                    if open.len() == DEPTH_MAX || elements > ELEMENTS_MAX {
                        return Err("it is nested too deep or too long".to_owned());
                    }
                    open.push(named(start.local_name().as_ref()));
                }
                Event::Empty(start) => {
                    elements += 1;
                    let element = named(start.local_name().as_ref());
                    match open.last_mut() {
                        Some(parent) if elements <= ELEMENTS_MAX => parent.children.push(element),
                        Some(_) => return Err("it is too long".to_owned()),
                        None => return Ok(element),
                    }
                }
                Event::End(_) => {
                    let element = open.pop().ok_or("it closes what it never opened")?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => return Ok(element),
                    }
                }
                Event::Text(text) => push(&mut open, &text.xml10_content()),
                Event::CData(data) => push(&mut open, &data.into_inner()),
                Event::GeneralRef(reference) => push(&mut open, &resolve(&reference)?),
                Event::DocType(_) => return Err("it has a document type".to_owned()),
                Event::Eof => return Err("it ends early".to_owned()),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            }
        }
    }

    /// The first child of this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of this name.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The text of a child that must be there.
    pub(crate) fn require(&self, name: &str) -> Result<&str, String> {
        self.text_of(name).ok_or_else(|| format!("{} lacks {name}", self.name))
    }

    /// A number that must be there.
    pub(crate) fn require_u64(&self, name: &str) -> Result<u64, String> {
        let text = self.require(name)?;
        text.trim().parse().map_err(|_| format!("{name} is {text:?}, not a number"))
    }

    /// Whether a page of a list is followed by another one; each says it.
    pub(crate) fn is_truncated(&self) -> Result<bool, String> {
        match self.require("IsTruncated")?.trim() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("IsTruncated is {other:?}")),
        }
    }

    /// A text that must be there and say something, as what the next page begins behind.
    pub(crate) fn require_some(&self, name: &str) -> Result<&str, String> {
        self.require(name).and_then(|text| {
            if text.is_empty() { Err(format!("{} has an empty {name}", self.name)) } else { Ok(text) }
        })
    }

    /// All children of this name, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

fn named(name: impl AsRef<[u8]>) -> Element {
    Element { name: String::from_utf8_lossy(name.as_ref()).into_owned(), ..Element::default() }
}

fn push(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character.to_string());
    }
    let name = reference.xml10_content();
    quick_xml::escape::resolve_predefined_entity(&name)
        .map(str::to_owned)
        .ok_or_else(|| format!("it names the unknown entity {name:?}"))
}

/// Text with what XML reserves escaped.
pub(crate) fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    quick_xml::escape::escape(text)
}

/// Whether XML 1.0 can carry this text at all, and hand it back unchanged.
pub(crate) fn can_carry(text: &str) -> bool {
    !text.chars().any(|c| matches!(c, '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}'))
}

/// Undoes `encoding-type=url`: percent escapes, and `+` for a space.
pub(crate) fn decode_url(text: &str) -> Result<String, String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| format!("{text:?} is not encoded UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, Element, can_carry, decode_url};

    #[test]
    fn keeps_order_text_and_entities() {
        let body = br#"<?xml version="1.0"?><L xmlns="http://s3/"><V><Key>a&amp;b&#x20;c</Key></V><D/><V><Key><![CDATA[<x>]]></Key></V></L>"#;
        let list = Element::parse(body).unwrap();
        let names: Vec<_> = list.children.iter().map(|child| child.name.as_str()).collect();
        assert_eq!(names, ["V", "D", "V"]);
        assert_eq!(list.children[0].text_of("Key"), Some("a&b c"));
        assert_eq!(list.children[2].text_of("Key"), Some("<x>"));
        assert_eq!(list.all("V").count(), 2);
        list.require("Missing").unwrap_err();
    }

    #[test]
    fn refuses_hostile_documents() {
        let deep = "<a>".repeat(DEPTH_MAX + 1);
        let entity = r#"<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>"#;
        for bad in ["", "plain", "<a>", "<a></b>", "<a>&nope;</a>", deep.as_str(), entity] {
            Element::parse(bad.as_bytes()).unwrap_err();
        }
        Element::parse(b"<a>\xff</a>").unwrap_err();
    }

    #[test]
    fn url_encoding_and_what_xml_can_not_carry() {
        assert_eq!(decode_url("a+b%2Bc%2Fd").unwrap(), "a b+c/d");
        decode_url("%ff").unwrap_err();
        assert!(can_carry("a é\u{10ffff}"));
        assert!(!can_carry("a\rb"));
    }
}
