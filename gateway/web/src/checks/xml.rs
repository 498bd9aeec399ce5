//! What must hold of any document of a request.

use crate::xml::Element;
use std::fmt::Write as _;

/// Never a panic, never more text than the document has, and what was read is read again the same. Whether it was read.
pub(super) fn check(document: &[u8]) -> bool {
    let Ok(root) = Element::parse(document) else { return false };
    assert!(size(&root) <= document.len(), "more text than the document has");
    let mut again = String::new();
    write(&root, &mut again).expect("a string is written to");
    let again = Element::parse(again.as_bytes()).unwrap_or_else(|error| panic!("{error}: {again}"));
    assert!(same(&root, &again), "{root:?} became {again:?}");
    true
}

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
fn write(element: &Element, out: &mut String) -> std::fmt::Result {
    let name = element.name();
    write!(out, "<{name}>")?;
    for c in text(element).chars() {
        match c {
            '<' | '>' | '&' | '\r' | '\n' | '\t' | ']' => write!(out, "&#{};", u32::from(c))?,
            c => out.push(c),
        }
    }
    for child in element.children() {
        write(child, out)?;
    }
    write!(out, "</{name}>")
}
