//! Percent-encoding as S3 writes it: keys in listings, locations, redirects.

use std::fmt::Write as _;

/// S3's form: what is unreserved stays, and `/` and `*`; the rest is escaped, so that `+` is never a space.
pub(crate) fn encode(text: &str) -> String {
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
    use super::encode;

    #[test]
    fn encodes_as_s3_does() {
        assert_eq!(encode("a b/c*é~+\u{1}"), "a%20b/c*%C3%A9~%2B%01");
    }
}
