//! The rest-xml codec: strict, bounded reading and byte-exact writing.

mod reader;
mod writer;

pub(crate) use reader::{Element, Malformed, is_carried};
pub(crate) use writer::{DECLARATION, XmlWriter};
