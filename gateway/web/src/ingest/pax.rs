//! Records of an extended header: `LENGTH NAME=VALUE` and a newline each.
//!
//! Source: POSIX.1-2024, `pax`, "pax Extended Header". Stricter than that: a name stands once, and a value is never empty, for of
//! both readers make different things.

/// The records, in their order; `Err` says what is wrong with them.
pub(super) fn records(mut rest: &[u8]) -> Result<Vec<(String, Vec<u8>)>, &'static str> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    while !rest.is_empty() {
        let space =
            rest.iter().take(8).position(|byte| *byte == b' ').ok_or("an extended header that is none")?;
        let length = length(&rest[..space]).filter(|length| (space + 1..=rest.len()).contains(length));
        let (record, behind) = rest.split_at(length.ok_or("an extended header of a wrong length")?);
        rest = behind;
        let record = &record[space + 1..];
        let record = record.strip_suffix(b"\n").ok_or("an extended header whose record does not end")?;
        let equals =
            record.iter().position(|byte| *byte == b'=').ok_or("an extended header without a value")?;
        let (name, value) = (&record[..equals], &record[equals + 1..]);
        let name = std::str::from_utf8(name).map_err(|_| "an extended header whose name is not UTF-8")?;
        if name.is_empty() || value.is_empty() {
            return Err("an extended header with an empty name or value");
        }
        if found.iter().any(|(known, _)| known == name) {
            return Err("an extended header that says something twice");
        }
        if found.len() == RECORDS_MAX {
            return Err("an extended header of too many records");
        }
        found.push((name.to_owned(), value.to_vec()));
    }
    Ok(found)
}

/// Records of one header; finding the doubles among them is quadratic.
const RECORDS_MAX: usize = 256;

fn length(digits: &[u8]) -> Option<usize> {
    let plain = digits.first().is_some_and(|first| *first != b'0') && digits.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::records;

    #[test]
    fn records_are_read_strictly() {
        let read = records(b"12 path=a/b\n11 mtime=.5\n").unwrap_err();
        assert_eq!(read, "an extended header whose record does not end");
        let read = records(b"12 path=a/b\n12 mtime=.5\n").unwrap();
        assert_eq!(read, [("path".to_owned(), b"a/b".to_vec()), ("mtime".to_owned(), b".5".to_vec())]);
        assert_eq!(records(b"").unwrap(), []);
        for bad in [
            &b"12 path=a/b"[..],
            b"012 path=a/b\n",
            b"+2 path=a/b\n",
            b"99 path=a/b\n",
            b"3 \n",
            b"5 =a\n",
            b"7 abc=\n",
            b"6 abc\n",
            b"6 a=b\n6 a=c\n",
            b"1 a=b\n",
            b"7 \xff\xff=b\n",
            b"path=a\n",
        ] {
            assert!(records(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
