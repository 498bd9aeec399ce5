//! Heads: the boundary in the request's content type, and what a part says of itself (RFC 7578).

use super::error::FormError;

/// Characters of a boundary (RFC 2046, 5.1.1).
const BOUNDARY_MAX: usize = 70;

/// The boundary of a form, from the request's content type.
pub fn boundary(content_type: &str) -> Result<String, FormError> {
    let (kind, parameters) = parameters(content_type);
    let boundary = parameters.into_iter().find(|(name, _)| name == "boundary").map(|(_, value)| value);
    let fits = |text: &String| {
        (1..=BOUNDARY_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
            && !text.ends_with(' ')
    };
    boundary.filter(|text| kind == "multipart/form-data" && fits(text)).ok_or(FormError::NotAForm)
}

/// What the part with the file says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileHead {
    /// The last part of the path that the client named; empty when it named none.
    pub name: String,
}

/// A part's head: the field's name, and the file's when it has one.
pub(super) fn part(head: &[u8]) -> Result<(String, FileHead), FormError> {
    let text = std::str::from_utf8(head).map_err(|_| FormError::Malformed("a part's head is not UTF-8"))?;
    let mut disposition = None;
    for line in text.split("\r\n") {
        let (name, value) =
            line.split_once(':').ok_or(FormError::Malformed("a line of a part's head is no header"))?;
        let is_it = name.trim().eq_ignore_ascii_case("content-disposition");
        if is_it && disposition.replace(value).is_some() {
            return Err(FormError::Malformed("a part has two dispositions"));
        }
    }
    let nameless = || FormError::Malformed("a part has no name");
    let (kind, parameters) = parameters(disposition.ok_or_else(nameless)?);
    if kind != "form-data" {
        return Err(FormError::Malformed("a part is no form-data"));
    }
    let find = |wanted| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let name = find("name").filter(|name| !name.is_empty()).ok_or_else(nameless)?;
    let path = find("filename").map(str::to_owned).or_else(|| find("filename*").and_then(extended));
    let path = path.unwrap_or_default();
    // Old browsers send the whole path, in their own system's form.
    let file = path.rsplit(['/', '\\']).next().unwrap_or_default();
    Ok((name.to_owned(), FileHead { name: file.to_owned() }))
}

/// `UTF-8''percent%20encoded`, which some clients send for names beyond ASCII.
fn extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let mut bytes = encoded.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit =
                || char::from(bytes.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            out.push(digit()? << 4 | digit()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// `kind; name=value; name="quoted"`: the kind and the names in lower case. In quotes, a backslash stands before a quote or a
/// backslash; before anything else it is itself, for browsers escape nothing else.
fn parameters(text: &str) -> (String, Vec<(String, String)>) {
    let (kind, mut rest) = text.split_once(';').unwrap_or((text, ""));
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let Some((name, after)) = rest.split_once('=') else { break };
        let value;
        if let Some(quoted) = after.strip_prefix('"') {
            (value, rest) = unquote(quoted);
        } else {
            let (token, behind) = after.split_once(';').unwrap_or((after, ""));
            (value, rest) = (token.trim().to_owned(), behind);
        }
        found.push((name.trim().to_ascii_lowercase(), value));
    }
    (kind.trim().to_ascii_lowercase(), found)
}

/// Up to the closing quote, and what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.peek() {
                Some((_, next @ ('"' | '\\'))) => {
                    value.push(*next);
                    chars.next();
                }
                _ => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::{boundary, part};

    #[test]
    fn boundaries_are_read_or_the_request_is_no_form() {
        for (text, expected) in [
            ("multipart/form-data; boundary=abc", "abc"),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b;c\"", "a b;c"),
            ("multipart/form-data;boundary=----WebKit=1; x=y", "----WebKit=1"),
        ] {
            assert_eq!(boundary(text).unwrap(), expected, "{text}");
        }
        let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
        for bad in
            ["", "text/plain; boundary=abc", "multipart/form-data", "multipart/form-data; boundary=", &long]
        {
            boundary(bad).unwrap_err();
        }
    }

    #[test]
    fn a_part_names_its_field_and_the_last_of_its_files_path() {
        for (line, name, file) in [
            ("form-data; name=\"key\"", "key", ""),
            ("form-data; name=file; filename=a.txt", "file", "a.txt"),
            ("form-data; name=\"file\"; filename=\"C:\\fake\\a b.txt\"", "file", "a b.txt"),
            ("form-data; name=\"file\"; filename=\"/tmp/\\\"q\\\".txt\"", "file", "\"q\".txt"),
            ("form-data; name=\"file\"; filename*=utf-8''%C3%BC.txt", "file", "ü.txt"),
            ("form-data; name=\"file\"; filename=\"ü.txt\"", "file", "ü.txt"),
        ] {
            let head = format!("content-type: text/plain\r\nContent-Disposition: {line}");
            let (found, head) = part(head.as_bytes()).unwrap();
            assert_eq!((found.as_str(), head.name.as_str()), (name, file), "{line}");
        }
        for bad in [
            "",
            "a: b",
            "Content-Disposition: form-data",
            "Content-Disposition: attachment; name=a",
            "nothing",
        ] {
            part(bad.as_bytes()).unwrap_err();
        }
        part(b"Content-Disposition: form-data; name=\"\xff\"").unwrap_err();
    }
}
