//! Entity tags: the MD5 of a body, or the MD5 of its parts' MD5s and their number.

use std::fmt;

/// An entity tag. Displayed without quotes; the edge adds them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ETag {
    md5: [u8; 16],
    parts: u16,
}

impl ETag {
    /// Of a body that was sent in one piece.
    pub const fn of_body(md5: [u8; 16]) -> Self {
        Self { md5, parts: 0 }
    }

    /// Of `parts` parts, from the MD5 over their MD5s.
    pub const fn of_parts(md5_of_md5s: [u8; 16], parts: u16) -> Self {
        Self { md5: md5_of_md5s, parts }
    }

    /// From its text form, quoted or not. `None` for what no object of ours can have.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
        let (digits, parts) = match text.split_once('-') {
            None => (text, 0),
            Some((digits, n)) if n.starts_with(|c: char| c.is_ascii_digit() && c != '0') => {
                (digits, n.parse().ok()?)
            }
            Some(_) => return None,
        };
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        Some(Self { md5: u128::from_str_radix(digits, 16).ok()?.to_be_bytes(), parts })
    }

    /// The digest in it.
    pub const fn md5(&self) -> &[u8; 16] {
        &self.md5
    }

    /// The number of parts in it; 0 for a body that was sent in one piece.
    pub const fn parts(&self) -> u16 {
        self.parts
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two digits a byte: formatting a 128-bit number divides by wide numbers.
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.md5) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())?;
        if self.parts > 0 { write!(f, "-{}", self.parts) } else { Ok(()) }
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etag {self}")
    }
}

/// What If-Match and If-None-Match name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ETagMatch {
    /// `*`: whatever is there.
    Any,
    /// One of these. A tag that no object of ours can have is left out by the edge, so the list may be empty.
    OneOf(Vec<ETag>),
}

impl ETagMatch {
    /// Whether an existing object with this tag is meant.
    pub fn matches(&self, etag: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.contains(etag),
        }
    }

    /// From If-Match: `*`, or a comma-separated list of tags, quoted or not. A weak tag matches nothing: RFC 9110 has
    /// If-Match compared strongly.
    pub fn parse(header: &str) -> Self {
        Self::listed(header, |tag| tag)
    }

    /// From If-None-Match, which RFC 9110 has compared weakly: `W/"x"` means `"x"` too.
    pub fn parse_weak(header: &str) -> Self {
        Self::listed(header, |tag| tag.strip_prefix("W/").unwrap_or(tag))
    }

    fn listed(header: &str, strengthen: impl Fn(&str) -> &str) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        Self::OneOf(header.split(',').filter_map(|tag| ETag::parse(strengthen(tag.trim()))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{ETag, ETagMatch};

    #[test]
    fn parses_what_it_displays() {
        for text in ["d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e-10000"] {
            assert_eq!(ETag::parse(text).unwrap().to_string(), text);
            assert_eq!(ETag::parse(&format!("\"{text}\"")).unwrap().to_string(), text);
        }
        let short = "d41d8cd98f00b204e9800998ecf8427";
        for bad in ["", "x", "\"", short, "+41d8cd98f00b204e9800998ecf8427e"] {
            assert_eq!(ETag::parse(bad), None, "{bad}");
        }
        for parts in ["", "0", "01", "+1", "-1", "65536"] {
            assert_eq!(ETag::parse(&format!("d41d8cd98f00b204e9800998ecf8427e-{parts}")), None, "{parts}");
        }
    }

    #[test]
    fn matches_lists_and_stars() {
        let tag = ETag::of_body([1; 16]);
        assert!(ETagMatch::parse("*").matches(&tag));
        assert!(ETagMatch::parse(&format!("\"nonsense\", \"{tag}\"")).matches(&tag));
        assert!(!ETagMatch::parse("\"nonsense\"").matches(&tag));
        assert!(!ETagMatch::parse(&format!("\"{tag}-2\"")).matches(&tag));
        for (list, strongly, weakly) in [
            (format!("W/\"{tag}\""), false, true),
            (format!("\"x\",W/\"{tag}\" , \"y\""), false, true),
            (format!("W/\"x\", {tag}"), true, true),
            ("\"x\", *".to_owned(), false, false),
            (String::new(), false, false),
        ] {
            assert_eq!(ETagMatch::parse(&list).matches(&tag), strongly, "{list}");
            assert_eq!(ETagMatch::parse_weak(&list).matches(&tag), weakly, "{list}");
        }
    }
}
