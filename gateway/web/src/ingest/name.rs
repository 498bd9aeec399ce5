//! From an entry's name to a key, and never to a key outside of the prefix.
//!
//! `./a`, as `tar -C DIR -c .` writes it, is `a`. Anything else that a file system would walk somewhere else by is refused, not
//! mended: `..`, `.`, an empty part, a leading slash. Names are UTF-8.

/// The longest key, as S3 has it, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// Why an entry is no object: S3's code, and what to tell people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadName {
    pub(crate) code: &'static str,
    pub(crate) reason: &'static str,
}

const fn bad(reason: &'static str) -> BadName {
    BadName { code: "InvalidArgument", reason }
}

/// The key of an entry; a directory's ends with a slash. `None` for the directory that everything is in.
pub(crate) fn key_of(name: &[u8], prefix: &str, directory: bool) -> Result<Option<String>, BadName> {
    let name = std::str::from_utf8(name).map_err(|_| bad("its name is not UTF-8"))?;
    if name.contains('\0') {
        return Err(bad("its name has a NUL"));
    }
    let mut name = name;
    while let Some(below) = name.strip_prefix("./") {
        name = below;
    }
    if directory && name != "/" {
        name = name.strip_suffix('/').unwrap_or(name);
        if matches!(name, "" | ".") {
            return Ok(None);
        }
    }
    check_parts(name)?;
    let slash = if directory { "/" } else { "" };
    let key = format!("{prefix}{name}{slash}");
    if key.len() > KEY_BYTES_MAX {
        return Err(BadName { code: "KeyTooLongError", reason: "its key is longer than 1,024 bytes" });
    }
    Ok(Some(key))
}

fn check_parts(name: &str) -> Result<(), BadName> {
    if name.starts_with('/') {
        return Err(bad("its name is absolute: GNU tar without -P writes none of these"));
    }
    for part in name.split('/') {
        match part {
            "" => return Err(bad("its name has an empty part")),
            "." | ".." => return Err(bad("its name has a part . or ..")),
            _ => {}
        }
    }
    Ok(())
}

/// The prefix that a request asks for: without slashes before it, with one behind it, and as strict as names are.
pub(crate) fn clean_prefix(asked: &str) -> Result<String, BadName> {
    let plain = asked.trim_start_matches('/');
    let plain = plain.strip_suffix('/').unwrap_or(plain);
    if plain.is_empty() {
        return Ok(String::new());
    }
    check_parts(plain).map_err(|_| bad("the prefix has an empty part, or one that is . or .."))?;
    Ok(format!("{plain}/"))
}

#[cfg(test)]
mod tests {
    use super::{clean_prefix, key_of};

    #[test]
    fn names_stay_below_the_prefix() {
        let key = |name: &str| key_of(name.as_bytes(), "p/", false).map_err(|bad| bad.code);
        assert_eq!(key("a/b"), Ok(Some("p/a/b".into())));
        assert_eq!(key("././a"), Ok(Some("p/a".into())));
        assert_eq!(key("a..b/.c"), Ok(Some("p/a..b/.c".into())));
        assert_eq!(key(r"a\..\b"), Ok(Some(r"p/a\..\b".into())), "a backslash is a character");
        for name in
            ["", ".", "./", "..", "../a", "a/..", "a/../b", "/a", ".//a", "a//b", "a/./b", "a/", "a\0b"]
        {
            assert_eq!(key(name), Err("InvalidArgument"), "{name:?}");
        }
        assert_eq!(key_of(b"\xff", "", false).unwrap_err().reason, "its name is not UTF-8");
        assert_eq!(key(&"a".repeat(1022)).unwrap().unwrap().len(), 1024);
        assert_eq!(key(&"a".repeat(1023)), Err("KeyTooLongError"));
    }

    #[test]
    fn directories_end_with_a_slash_and_the_root_is_none() {
        let key = |name: &str| key_of(name.as_bytes(), "", true).map_err(|bad| bad.code);
        assert_eq!(key("a/"), Ok(Some("a/".into())));
        assert_eq!(key("./a"), Ok(Some("a/".into())));
        for root in ["", ".", "./", "././"] {
            assert_eq!(key(root), Ok(None), "{root:?}");
        }
        for name in ["..", "../", "/", "//", "a//", "a/../"] {
            assert_eq!(key(name), Err("InvalidArgument"), "{name:?}");
        }
    }

    #[test]
    fn prefixes_are_cleaned() {
        assert_eq!(clean_prefix("/dst/new f0lder").unwrap(), "dst/new f0lder/");
        assert_eq!(clean_prefix("a/").unwrap(), "a/");
        assert_eq!(clean_prefix("/").unwrap(), "");
        for bad in ["a/../b", "..", "a//b", "./a"] {
            clean_prefix(bad).unwrap_err();
        }
    }
}
