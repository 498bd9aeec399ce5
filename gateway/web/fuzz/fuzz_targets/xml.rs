//! Request documents: never a panic, never work beyond the size of the input, and what was read is read again the same.
#![no_main]

// The reader alone, so that the target builds in seconds and not with the whole appliance.
#[allow(dead_code, clippy::allow_attributes, reason = "the operations use the rest of it")]
#[path = "../../src/xml/reader.rs"]
mod reader;

use reader::Element;

libfuzzer_sys::fuzz_target!(|document: &[u8]| {
    let Ok(root) = Element::parse(document) else { return };
    assert!(size(&root) <= document.len(), "more text than the document has");
    let mut again = String::new();
    write(&root, &mut again);
    let again = Element::parse(again.as_bytes()).unwrap_or_else(|error| panic!("{error}: {again}"));
    assert!(same(&root, &again), "{root:?} became {again:?}");
});

/// The text of an element without children; requests have no other.
fn text(element: &Element) -> &str {
    element.leaf().unwrap_or_default()
}

/// Bytes of names and text.
fn size(element: &Element) -> usize {
    element.name().len() + text(element).len() + element.children().iter().map(size).sum::<usize>()
}

fn same(one: &Element, other: &Element) -> bool {
    let children = one.children().iter().zip(other.children());
    (one.name(), text(one), one.children().len()) == (other.name(), text(other), other.children().len())
        && children.into_iter().all(|(one, other)| same(one, other))
}

/// As plainly as can be: every character that means something escaped.
fn write(element: &Element, out: &mut String) {
    let name = element.name();
    out.push_str(&format!("<{name}>"));
    for c in text(element).chars() {
        match c {
            '<' | '>' | '&' | '\r' | '\n' | '\t' | ']' => out.push_str(&format!("&#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    for child in element.children() {
        write(child, out);
    }
    out.push_str(&format!("</{name}>"));
}
