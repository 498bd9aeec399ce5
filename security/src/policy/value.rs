//! Numbers, dates and networks as conditions write them.

use crate::date::AmzDate;
use std::net::{IpAddr, Ipv6Addr};

/// Digits behind a point that are kept.
const FRACTION_DIGITS: usize = 9;
const WHOLE_DIGITS: usize = 18;

/// A decimal number, exact: in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Decimal(i128);

impl Decimal {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        if whole.len() > WHOLE_DIGITS || fraction.len() > FRACTION_DIGITS {
            return None;
        }
        let number: i128 = format!("0{whole}{fraction:0<FRACTION_DIGITS$}").parse().ok()?;
        Some(Self(if negative { -number } else { number }))
    }
}

/// A date in milliseconds since 1970: `2026-11-29`, `2026-11-29T08:00Z`, `…:00:00.5+02:00`, or seconds since 1970.
pub(super) fn date(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let at = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at(at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut fields = day.splitn(3, '-').chain(clock.splitn(3, ':'));
    let mut field = |digits: usize| fields.next().filter(|part| part.len() == digits);
    let (year, month, day, hour, minute) = (field(4)?, field(2)?, field(2)?, field(2)?, field(2)?);
    let second = match clock.len() {
        5 => "00",
        _ => field(2)?,
    };
    let seconds = AmzDate::parse(&format!("{year}{month}{day}T{hour}{minute}{second}Z"))?.secs();
    let milliseconds: i64 = format!("{fraction:0<3.3}").parse().ok()?;
    Some((seconds - offset_secs(zone)?) * 1000 + milliseconds)
}

/// `Z`, `+02:00`, `-0530`
fn offset_secs(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    let number: i64 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (hours, minutes) = (number / 100, number % 100);
    if digits.len() != 4 || hours > 14 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    match sign {
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

/// A network, or one address. Addresses of IPv4 within IPv6 (`::ffff:…`) are those of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            None => (text.parse::<IpAddr>().ok()?, None),
            Some((address, bits)) => {
                let digits = bits.bytes().all(|byte| byte.is_ascii_digit());
                (address.parse().ok()?, Some(bits.parse::<u32>().ok().filter(|_| digits)?))
            }
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        match (address, address.to_canonical()) {
            _ if bits > width => None,
            (IpAddr::V6(_), IpAddr::V4(inner)) if bits >= 96 => {
                Some(Self { address: inner.into(), bits: bits - 96 })
            }
            _ => Some(Self { address, bits }),
        }
    }

    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let bits_of = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
            IpAddr::V6(v6) => u128::from(v6),
        };
        let canonical = address.to_canonical();
        let same_family = canonical.is_ipv4() == self.address.is_ipv4();
        let differing = (bits_of(self.address) ^ bits_of(canonical)).leading_zeros();
        same_family && differing >= self.bits
    }

    /// Whether it is so wide that S3 takes it for everybody: wider than /8 of IPv4 or /32 of IPv6, or private IPv6 aside.
    pub(super) fn is_everybody(&self) -> bool {
        match self.address {
            IpAddr::V4(_) => self.bits < 8,
            IpAddr::V6(address) => self.bits < if Ipv6Addr::is_unique_local(&address) { 8 } else { 32 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decimal, Network, date};

    #[test]
    fn numbers_are_exact_decimals() {
        let less = |a: &str, b: &str| Decimal::parse(a).unwrap() < Decimal::parse(b).unwrap();
        assert!(less("9", "10") && less("-1", "0") && less("0.1", "0.11") && less("-2.5", "-2.4"));
        assert!(less("999999999999999998", "999999999999999999"));
        assert_eq!(Decimal::parse("007.50"), Decimal::parse("+7.5"));
        for bad in ["", "-", "1e3", "1.", ".5", "0x1", "1 ", "١", "1234567890123456789", "0.1234567891"] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_are_read_in_the_forms_of_iso_8601_and_as_seconds() {
        let new_year = 1_767_225_600_000;
        for (text, expected) in [
            ("2026-01-01", new_year),
            ("2026-01-01T00:00:00Z", new_year),
            ("2026-01-01T00:00Z", new_year),
            ("2026-01-01T02:00:00+02:00", new_year),
            ("2025-12-31T18:30:00-0530", new_year),
            ("2026-01-01T00:00:00.25Z", new_year + 250),
            ("1767225600", new_year),
            ("0", 0),
            ("-1", -1000),
        ] {
            assert_eq!(date(text), Some(expected), "{text}");
        }
        for bad in [
            "",
            "today",
            "2026-13-01",
            "2026-02-30",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-1-1",
            "2026-01-01T00:00:00+25:00",
            "2026-01-01T00:00:00.Z",
            "99999999999999999999",
        ] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn networks_hold_their_addresses() {
        for (network, address, expected) in [
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.113.7/24", "203.0.113.1", true),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("203.0.113.0/24", "::ffff:203.0.113.9", true),
            ("::ffff:203.0.113.0/120", "203.0.113.9", true),
            ("::/0", "203.0.113.9", false),
        ] {
            let known = Network::parse(network).unwrap();
            assert_eq!(known.holds(address.parse().unwrap()), expected, "{network} {address}");
        }
        for bad in ["", "203.0.113", "203.0.113.0/33", "203.0.113.0/", "::/129", "203.0.113.0/+8", "host"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
        let everybody = |text| Network::parse(text).unwrap().is_everybody();
        assert!(
            everybody("0.0.0.0/0") && everybody("128.0.0.0/7") && everybody("::/0") && everybody("2000::/31")
        );
        assert!(!everybody("10.0.0.0/8") && !everybody("2001:db8::/32"));
    }
}
