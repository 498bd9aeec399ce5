//! User metadata that is not ASCII, as S3 has it: RFC 2047's encoded words.
//!
//! ```text
//!   =?UTF-8?B?w4Q=?=     base64 of the bytes
//!   =?UTF-8?Q?=C3=84?=   =XX for a byte, _ for a space
//! ```
//! Requests may carry such words, or bare UTF-8; both are stored as the text that they mean. An answer carries text that is
//! printable ASCII as it is and any other as one word, because clients read bytes above 0x7F in a header in different ways.
//! What looks like a word and can't be read is kept as it was sent. Control characters never reach an answer's head bare.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// The text that a header's value means.
pub(super) fn decode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, candidate) = rest.split_at(at);
        let Some((text, tail)) = word(candidate) else {
            out.push_str(before);
            out.push_str("=?");
            rest = &candidate[2..];
            after_word = false;
            continue;
        };
        // White space between two words only separates them.
        if !after_word || !before.chars().all(|c| c.is_ascii_whitespace()) {
            out.push_str(before);
        }
        out.push_str(&text);
        rest = tail;
        after_word = true;
    }
    out.push_str(rest);
    out
}

/// The word that `text` begins with, and what is behind it.
fn word(text: &str) -> Option<(String, &str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (body, tail) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(body).ok()?,
        "Q" | "q" => quoted(body)?,
        _ => return None,
    };
    let known = charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("us-ascii");
    if known { Some((String::from_utf8(bytes).ok()?, tail)) } else { None }
}

fn quoted(body: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut bytes = body.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'_' => b' ',
            b'=' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'!'..=b'~' => byte,
            _ => return None,
        });
    }
    Some(out)
}

/// A header's value that means the text.
pub(super) fn encode(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("=?UTF-8?B?{}?=", STANDARD.encode(text)))
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn words_are_read_and_everything_else_is_kept() {
        for (sent, meant) in [
            ("plain = text?", "plain = text?"),
            ("Ärger", "Ärger"),
            ("=?UTF-8?B?w4Q=?=", "Ä"),
            ("=?utf-8?q?=C3=84_b?=", "Ä b"),
            ("a =?UTF-8?B?w4Q=?= b", "a Ä b"),
            ("=?UTF-8?B?w4Q=?=  =?UTF-8?Q?=c3=84?=", "ÄÄ"),
            ("=?UTF-8?Q?a=0D=0Ab?=", "a\r\nb"),
            ("=?UTF-8?B?w4Q?=", "=?UTF-8?B?w4Q?="),
            ("=?UTF-8?B?ww==?=", "=?UTF-8?B?ww==?="),
            ("=?UTF-8?Q?=C?=", "=?UTF-8?Q?=C?="),
            ("=?KOI8-R?Q?a?=", "=?KOI8-R?Q?a?="),
            ("=?UTF-8?X?a?= =?UTF-8?Q?b?=", "=?UTF-8?X?a?= b"),
            ("=?=?=?", "=?=?=?"),
            ("", ""),
        ] {
            assert_eq!(decode(sent), meant, "{sent}");
        }
    }

    #[test]
    fn what_is_answered_is_printable_ascii_and_means_the_same() {
        for text in ["plain", "Ä", "a\r\nx-amz-evil: 1", "\u{7f}", "日本語", ""] {
            let value = encode(text);
            assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{value}");
            assert_eq!(decode(&value), text);
        }
        assert_eq!(encode("a=b; c"), "a=b; c");
        assert_eq!(encode("Ä"), "=?UTF-8?B?w4Q=?=");
    }
}
