//! Reading Rust well enough to measure it: comments and literals blanked, test modules cut out, functions found.
//!
//! The blanked text has the same lines as the source, so that a position in one is a position in the other.

/// A function and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`, counted from 1.
    pub(crate) line: usize,
    /// Its lines that hold code.
    pub(crate) code_lines: usize,
}

/// The source with the contents of comments, strings and character literals replaced by blanks.
pub(crate) fn blank(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none starts there.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return block_comment_end(bytes, at);
    }
    let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if !in_word && (rest[0] == b'r' || rest.starts_with(b"br")) {
        return raw_string_end(bytes, at).unwrap_or(at);
    }
    match rest[0] {
        b'"' => quoted_end(bytes, at, b'"'),
        b'\'' if rest.get(1) == Some(&b'\\') => quoted_end(bytes, at, b'\''),
        b'\'' => character_end(bytes, at),
        _ => at,
    }
}

fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let open = at + if bytes[at] == b'b' { 2 } else { 1 };
    let hashes = bytes[open..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(open + hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let body = open + hashes + 1;
    let found = bytes[body..].windows(close.len()).position(|window| window == close);
    Some(found.map_or(bytes.len(), |offset| body + offset + close.len()))
}

/// A character literal ends one character later; a lifetime has no closing quote there.
fn character_end(bytes: &[u8], at: usize) -> usize {
    let width = match bytes.get(at + 1) {
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        Some(0xc0..) => 2,
        _ => 1,
    };
    if bytes.get(at + 1 + width) == Some(&b'\'') { at + width + 2 } else { at }
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0;
    let mut here = at;
    while here < bytes.len() {
        if bytes[here..].starts_with(b"/*") {
            depth += 1;
            here += 2;
        } else if bytes[here..].starts_with(b"*/") {
            depth -= 1;
            here += 2;
            if depth == 0 {
                return here;
            }
        } else {
            here += 1;
        }
    }
    here
}

fn quoted_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut here = at + 1;
    while here < bytes.len() {
        match bytes[here] {
            b'\\' => here += 2,
            byte if byte == quote => return here + 1,
            _ => here += 1,
        }
    }
    bytes.len()
}

/// Blanked text without its `#[cfg(test)] mod … { … }`, and how many lines that took away.
pub(crate) fn without_tests(blanked: &str) -> (String, usize) {
    const MARK: &str = "#[cfg(test)]";
    let mut text = blanked.to_owned();
    let mut cut_lines = 0;
    let mut from = 0;
    while let Some(found) = text[from..].find(MARK) {
        let start = from + found;
        from = start + MARK.len();
        let after = text[from..].trim_start();
        let is_module = after.starts_with("mod ") || after.starts_with("pub(crate) mod ");
        let open = text[from..].find(['{', ';']).map(|offset| from + offset);
        let Some(open) = open.filter(|open| is_module && text.as_bytes()[*open] == b'{') else { continue };
        let end = matching_brace(&text, open).unwrap_or(text.len());
        let line_ends: String = text[start..end].chars().filter(|c| *c == '\n').collect();
        cut_lines += line_ends.len() + 1;
        text.replace_range(start..end, &line_ends);
        from = start + line_ends.len();
    }
    (text, cut_lines)
}

/// The position after the brace that closes the one at `open`.
fn matching_brace(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// All functions with bodies in blanked text.
pub(crate) fn functions(blanked: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in blanked.match_indices("fn ") {
        if is_word_part(blanked[..at].bytes().next_back()) {
            continue;
        }
        let rest = &blanked[at + 3..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(open) = body_start(rest).map(|offset| at + 3 + offset).filter(|_| !name.is_empty()) else {
            continue;
        };
        let end = matching_brace(blanked, open).unwrap_or(blanked.len());
        let code_lines = blanked[at..end].lines().filter(|line| !line.trim().is_empty()).count();
        found.push(Function { name, line: blanked[..at].matches('\n').count() + 1, code_lines });
    }
    found
}

/// The offset of the brace that opens the body of a function whose name starts `text`; none for a declaration.
fn body_start(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(offset),
            b';' if depth == 0 => return None,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    None
}

/// Whether `word` stands in `text` with no letter, digit or underscore beside it.
pub(crate) fn names(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        !is_word_part(text[..at].bytes().next_back()) && !is_word_part(text[at + word.len()..].bytes().next())
    })
}

fn is_word_part(byte: Option<u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let source =
            "let a = \"{ // }\"; // {\nlet b = '{'; /* { /* } */\n } */ let c: &'a str = r#\"}\"#;\nb'\\''";
        let blanked = blank(source);
        assert_eq!(blanked.matches('\n').count(), source.matches('\n').count());
        assert!(!blanked.contains(['{', '}', '"']), "{blanked}");
        assert!(blanked.contains("let c: &'a str ="), "{blanked}");
    }

    #[test]
    fn functions_are_found_with_their_lines_of_code() {
        let text =
            "fn a() {\n  // why\n\n  b();\n}\ntrait T { fn none(&self); fn one(&self) -> [u8; 2] { x } }\n";
        let found = functions(&blank(text));
        assert_eq!(found[0], Function { name: "a".into(), line: 1, code_lines: 3 });
        assert_eq!(found[1], Function { name: "one".into(), line: 6, code_lines: 1 });
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn test_modules_are_cut_out_and_declared_ones_are_left() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n";
        let (cut, lines) = without_tests(text);
        assert_eq!((cut.matches('\n').count(), lines), (text.matches('\n').count(), 4));
        let left: Vec<String> = functions(&cut).into_iter().map(|function| function.name).collect();
        assert_eq!(left, ["a", "c"]);
        let declared = "#[cfg(test)]\nmod tests;\nfn d() {}\n";
        assert_eq!(without_tests(declared), (declared.to_owned(), 0));
    }

    #[test]
    fn a_word_is_named_only_by_itself() {
        assert!(names("use hyper::Body;", "hyper"));
        assert!(!names("use hyper_util::x; hyperbole", "hyper"));
    }
}
