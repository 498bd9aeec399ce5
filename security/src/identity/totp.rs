//! Codes of six digits by time (RFC 6238), over HMAC-SHA-1 and steps of 30 seconds as authenticator apps have them. Plain functions.
//!
//! A code is good for its own step and one to each side of it, so that clocks may be half a minute apart; a device whose clock is farther off
//! has the distance (*drift*) found by two codes in a row. Whoever takes a code keeps its step, and takes none of that step or before again.

use aws_lc_rs::hmac;
use engine::clock::Timestamp;
use std::str::FromStr;

/// Bytes of a seed: what RFC 4226 recommends, and as many as SHA-1 has.
pub(super) const SEED_LEN: usize = 20;
const STEP_SECS: i64 = 30;
/// How many steps a code may be off.
const WINDOW: i64 = 1;
/// How many steps a device's clock may be off where two codes say how far: ten hours.
const DRIFT_MAX: i64 = 1_200;

/// The step of a time.
pub(super) const fn step_of(now: Timestamp) -> i64 {
    now.as_secs().div_euclid(STEP_SECS)
}

/// Six digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digits(u32);

#[cfg(test)]
impl Digits {
    /// As a device shows them.
    pub(super) fn text(self) -> String {
        format!("{:06}", self.0)
    }
}

impl FromStr for Digits {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(());
        }
        text.parse().map(Self).map_err(|_| ())
    }
}

/// A device's seed, ready for use.
pub(super) struct Seed(hmac::Key);

impl Seed {
    pub(super) fn new(seed: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed))
    }

    /// The code of a step.
    pub(super) fn code(&self, step: i64) -> Digits {
        let tag = hmac::sign(&self.0, &step.to_be_bytes());
        let bytes = tag.as_ref();
        let at = usize::from(bytes.last().copied().unwrap_or_default() & 0x0f);
        let mut word = [0; 4];
        // SHA-1 has 20 bytes, and `at` is at most 15.
        word.copy_from_slice(bytes.get(at..at + 4).unwrap_or(&[0; 4]));
        Digits((u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
    }

    /// The step of a code that is good now and was not taken: none of `last` or before.
    pub(super) fn taken(&self, code: Digits, now: Timestamp, drift: i64, last: i64) -> Option<i64> {
        let middle = step_of(now).saturating_add(drift);
        let steps = middle.saturating_sub(WINDOW)..=middle.saturating_add(WINDOW);
        // All of them are looked at, whichever it is.
        steps.fold(None, |found, step| {
            let is_it = self.code(step) == code;
            found.or_else(|| (is_it && step > last).then_some(step))
        })
    }

    /// The step of the second of two codes in a row, the nearest to now; none of `last` or before.
    pub(super) fn synced(&self, codes: [Digits; 2], now: Timestamp, last: i64) -> Option<i64> {
        let middle = step_of(now);
        let both = |first: i64| self.code(first) == codes[0] && self.code(first + 1) == codes[1];
        let mut near = (0..=DRIFT_MAX).flat_map(|off| [middle - off, middle + off]);
        near.find(|first| *first > last && both(*first)).map(|first| first + 1)
    }
}

/// RFC 4648's base 32, without padding: of a seed there is none.
pub(super) fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut out, mut held, mut bits) = (String::with_capacity(bytes.len().div_ceil(5) * 8), 0_u32, 0_u32);
    let letter = |value: u32| char::from(LETTERS[(value & 31) as usize]);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(letter(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(letter(held << (5 - bits)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Digits, SEED_LEN, Seed, base32, step_of};
    use engine::clock::Timestamp;

    const SECRET: &[u8; SEED_LEN] = b"12345678901234567890";

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn digits(text: &str) -> Digits {
        text.parse().unwrap_or_else(|()| panic!("{text}"))
    }

    /// The six last of the eight digits of RFC 6238, appendix B.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (secs, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert!(Seed::new(SECRET).code(step_of(at(secs))) == digits(code), "{secs}");
        }
        for bad in ["", "12345", "1234567", "12345a", "+12345", "１２３４５６", " 12345"] {
            assert!(bad.parse::<Digits>().is_err(), "{bad}");
        }
    }

    /// RFC 4648, section 10.
    #[test]
    fn base_32_is_that_of_the_rfc() {
        for (text, encoded) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_code_is_good_for_its_step_and_its_neighbours_and_once() {
        let (seed, now) = (Seed::new(SECRET), at(1_700_000_000));
        let step = step_of(now);
        for (off, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let taken = seed.taken(seed.code(step + off), now, 0, i64::MIN);
            assert_eq!(taken, good.then_some(step + off), "{off}");
        }
        assert_eq!(seed.taken(seed.code(step), now, 0, step), None, "it was taken");
        assert_eq!(seed.taken(seed.code(step - 1), now, 0, step), None, "a later one was");
        assert_eq!(seed.taken(seed.code(step + 1), now, 0, step), Some(step + 1));
        assert_eq!(seed.taken(seed.code(step + 40), now, 40, step), Some(step + 40), "its clock is ahead");
    }

    #[test]
    fn two_codes_in_a_row_say_how_far_a_clock_is_off() {
        let (seed, now) = (Seed::new(SECRET), at(1_700_000_000));
        let step = step_of(now);
        let pair = |first: i64| [seed.code(first), seed.code(first + 1)];
        for off in [-1_200, -3, 0, 5, 1_200] {
            assert_eq!(seed.synced(pair(step + off), now, i64::MIN), Some(step + off + 1), "{off}");
        }
        assert_eq!(seed.synced(pair(step + 1_201), now, i64::MIN), None);
        assert_eq!(seed.synced([seed.code(step), seed.code(step + 2)], now, i64::MIN), None, "not in a row");
        assert_eq!(seed.synced(pair(step), now, step), None, "the first was taken");
    }
}
