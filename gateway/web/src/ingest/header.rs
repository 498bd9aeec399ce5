//! One block of 512 bytes that describes an entry: v7, POSIX's ustar, and GNU's form of it.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 100 | name |
//! | 124 | 12 | size: octal, or GNU's base-256 when the first bit is set |
//! | 136 | 12 | time of the last change, seconds, as the size |
//! | 148 | 8 | sum of all bytes, these taken as spaces: octal |
//! | 156 | 1 | type |
//! | 257 | 6 + 2 | `ustar` NUL `00` (POSIX) or `ustar  ` NUL (GNU) |
//! | 345 | 155 | POSIX: what stands before the name and a slash |
//! | 482 | 1 | GNU, of a sparse file: more of its map follows in blocks |
//!
//! Source: POSIX.1-2024, `pax`, "ustar Interchange Format"; the GNU tar manual, "Basic Tar Format".

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// A header that is what its sum says.
pub(super) struct Header<'b> {
    block: &'b [u8; BLOCK],
}

/// How the name is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    V7,
    Posix,
    Gnu,
}

impl<'b> Header<'b> {
    /// `None` when the sum does not fit.
    pub(super) fn parse(block: &'b [u8; BLOCK]) -> Option<Self> {
        let told = number(&block[148..156])?;
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
        (u64::try_from(told) == Ok(sum - own + 8 * u64::from(b' '))).then_some(Self { block })
    }

    fn form(&self) -> Form {
        match &self.block[257..265] {
            b"ustar\x0000" => Form::Posix,
            b"ustar  \0" => Form::Gnu,
            // Old writers leave the version out; their names have no first half, see `is_ambiguous`.
            _ => Form::V7,
        }
    }

    /// It says that it is ustar, not of which kind, and has what one of them takes for half of the name.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.form() == Form::V7 && self.block[257..262] == *b"ustar" && self.block[345] != 0
    }

    pub(super) const fn kind(&self) -> u8 {
        self.block[156]
    }

    /// The name as this header has it.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        match self.form() {
            Form::Posix if self.block[345] != 0 => {
                let mut whole = text(&self.block[345..500]).to_vec();
                whole.push(b'/');
                whole.extend_from_slice(name);
                whole
            }
            _ => name.to_vec(),
        }
    }

    /// Bytes that follow; `None` when it can't be read, or is negative.
    pub(super) fn size(&self) -> Option<u64> {
        number(&self.block[124..136]).and_then(|size| u64::try_from(size).ok())
    }

    /// Seconds since the epoch.
    pub(super) fn modified(&self) -> Option<i64> {
        number(&self.block[136..148])
    }

    /// More of a sparse file's map follows.
    pub(super) const fn has_more_map(&self) -> bool {
        self.block[482] != 0
    }
}

/// What stands before the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between spaces and NULs, or base-256. Nothing at all is 0.
fn number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Two's complement over the whole field, the mark taken out.
        let negative = first & 0x40 != 0;
        let start = if negative { i128::from(first | 0x80) - 256 } else { i128::from(first & 0x7f) };
        let value = rest.iter().try_fold(start, |value, byte| {
            value.checked_mul(256).and_then(|value| value.checked_add(i128::from(*byte)))
        })?;
        return i64::try_from(value).ok();
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, behind) = digits.split_at(end);
    if !behind.iter().all(blank) {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        if digit > 7 { None } else { value.checked_mul(8)?.checked_add(digit) }
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_octal_or_base_256_and_nothing_else() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"77777777777\0"), Some(0o77_777_777_777));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"    "), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        for bad in [&b"0000648\0"[..], b"12 34\0", b"-1\0", b"+1\0", b"0x1\0", b"1\x001", &[0xbf; 12]] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
