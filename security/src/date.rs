//! Times as SigV4 writes them: `20130524T000000Z`.

use engine::clock::Timestamp;
use std::fmt;

const DAY_SECS: i64 = 86_400;

/// A time to the second in ISO 8601's basic form, text and number at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AmzDate {
    text: [u8; 16],
    secs: i64,
}

impl AmzDate {
    /// Reads `yyyyMMdd'T'HHmmss'Z'`, and only that; dates that no calendar has are refused.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let number = |from: usize, to: usize| {
            bytes[from..to]
                .iter()
                .try_fold(0_i64, |sum, c| c.is_ascii_digit().then(|| sum * 10 + i64::from(c - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
        let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
        if hour > 23 || minute > 59 || second > 59 || !(1..=12).contains(&month) {
            return None;
        }
        let days = days_from_civil(year, month, day);
        // Day 31 of a shorter month (or day 0) comes back as another date.
        if civil_from_days(days) != (year, month, day) {
            return None;
        }
        Some(Self { text: bytes, secs: days * DAY_SECS + hour * 3600 + minute * 60 + second })
    }

    /// The second that `time` lies in. Years outside 0 to 9999 are clamped to them.
    pub fn from_timestamp(time: Timestamp) -> Self {
        let secs = time
            .as_secs()
            .clamp(days_from_civil(0, 1, 1) * DAY_SECS, days_from_civil(10_000, 1, 1) * DAY_SECS - 1);
        let (year, month, day) = civil_from_days(secs.div_euclid(DAY_SECS));
        let rest = secs.rem_euclid(DAY_SECS);
        let mut text = *b"00000000T000000Z";
        let mut put = |from: usize, to: usize, mut n: i64| {
            for digit in text[from..to].iter_mut().rev() {
                *digit = b'0' + u8::try_from(n % 10).unwrap_or(0);
                n /= 10;
            }
        };
        put(0, 4, year);
        put(4, 6, month);
        put(6, 8, day);
        put(9, 11, rest / 3600);
        put(11, 13, rest / 60 % 60);
        put(13, 15, rest % 60);
        Self { text, secs }
    }

    /// `20130524T000000Z`
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// `20130524`
    pub fn day(&self) -> &str {
        &self.as_str()[..8]
    }

    /// Seconds since the epoch.
    pub const fn secs(&self) -> i64 {
        self.secs
    }

    /// `2013-05-24T00:00:00Z`, as error documents have it.
    pub fn extended(&self) -> String {
        let t = self.as_str();
        format!("{}-{}-{}T{}:{}:{}Z", &t[..4], &t[4..6], &t[6..8], &t[9..11], &t[11..13], &t[13..15])
    }
}

impl fmt::Debug for AmzDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Days since the epoch of a date in the proleptic Gregorian calendar (years count from March, so that the leap day is
/// the last; 400 years are 146,097 days).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::AmzDate;
    use engine::clock::Timestamp;

    #[test]
    fn known_times() {
        for (text, secs) in [
            ("19700101T000000Z", 0),
            ("20130524T000000Z", 1_369_353_600),
            ("20000229T235959Z", 951_868_799),
            ("19691231T235959Z", -1),
            ("99991231T235959Z", 253_402_300_799),
            ("00000101T000000Z", -62_167_219_200),
        ] {
            let date = AmzDate::parse(text).unwrap();
            assert_eq!(date.secs(), secs, "{text}");
            assert_eq!(AmzDate::from_timestamp(Timestamp::from_millis(secs * 1000)), date);
        }
        assert_eq!(AmzDate::parse("20130524T010203Z").unwrap().extended(), "2013-05-24T01:02:03Z");
    }

    #[test]
    fn every_day_of_eight_centuries_round_trips() {
        for day in -150_000..150_000 {
            let date = AmzDate::from_timestamp(Timestamp::from_millis(day * 86_400_000));
            assert_eq!(AmzDate::parse(date.as_str()).unwrap().secs(), day * 86_400);
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for bad in [
            "",
            "20130524",
            "20130524T000000",
            "20130524 000000Z",
            "20130524T000000z",
            "20130229T000000Z",
            "20130230T000000Z",
            "20131301T000000Z",
            "20130001T000000Z",
            "20130100T000000Z",
            "20130101T240000Z",
            "20130101T006000Z",
            "20130101T000060Z",
            "2013052aT000000Z",
            "+0130524T000000Z",
            "2013-05-24T00:00Z",
        ] {
            assert!(AmzDate::parse(bad).is_none(), "{bad}");
        }
        // Out of range is clamped, never a panic.
        AmzDate::from_timestamp(Timestamp::from_millis(i64::MAX));
        AmzDate::from_timestamp(Timestamp::from_millis(i64::MIN));
    }
}
