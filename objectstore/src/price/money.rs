//! Amounts and rates: integers all along, so that sums of parts are the sum of all, to the last digit.
//!
//! A rate is a billionth of the currency for a unit: a GB-month, 1,000 requests, a GB. What is charged for is a byte, a day or a request: fractions
//! of those units. [`Money`] counts in *grains*, of which each of these fractions is a whole number: nothing is rounded before it is shown.
//!
//! # Limits
//! A rate is at most [`Rate::WHOLE_MAX`]. Sums saturate; what could reach that is beyond 10^16 of any currency.

use serde::{Serialize, Serializer};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};
use std::str::FromStr;

/// A GB, as AWS bills it.
const GB: i128 = 1 << 30;
/// Days of a month, where a part of one is charged.
const MONTH_DAYS: i128 = 30;
/// Requests that a rate is for.
const THOUSAND: i128 = 1_000;
/// Grains of a billionth: divisible by bytes of a GB, days of a month and a thousand requests.
const GRAINS: i128 = GB * 3 * THOUSAND;
/// Billionths of one.
const NANOS: u64 = 1_000_000_000;

/// What a unit costs, in billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// Why a text is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not from 0 to 10000 with at most nine decimals, as 0.0125")]
pub struct NoRate;

impl Rate {
    /// The highest.
    pub const WHOLE_MAX: u64 = 10_000;
    /// Nothing.
    pub const FREE: Self = Self(0);

    /// So many billionths.
    pub(super) const fn nanos(nanos: u64) -> Self {
        Self(nanos)
    }
}

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 9 {
            return Err(NoRate);
        }
        let whole: u64 = whole.parse().map_err(|_| NoRate)?;
        let part: u64 = format!("{part:0<9}").parse().map_err(|_| NoRate)?;
        let nanos = whole.checked_mul(NANOS).and_then(|nanos| nanos.checked_add(part)).ok_or(NoRate)?;
        if nanos > Self::WHOLE_MAX * NANOS { Err(NoRate) } else { Ok(Self(nanos)) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(u128::from(self.0)))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Billionths as a decimal number with at least two decimals.
fn decimal(nanos: u128) -> String {
    let (whole, part) = (nanos / u128::from(NANOS), format!("{:09}", nanos % u128::from(NANOS)));
    let kept = part.trim_end_matches('0').len().max(2);
    format!("{whole}.{}", &part[..kept])
}

/// An amount, exactly. Shown it is rounded to billionths; a saving may be below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(i128);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    fn of(rate: Rate, units: impl Into<i128>, grains: i128) -> Self {
        Self(i128::from(rate.0).saturating_mul(units.into()).saturating_mul(grains))
    }

    /// A month of so many bytes, at a rate for a GB-month.
    pub(super) fn stored(rate: Rate, bytes: u64) -> Self {
        Self::of(rate, bytes, GRAINS / GB)
    }

    /// So many days of it.
    pub(super) fn stored_days(rate: Rate, bytes: u64, days: u32) -> Self {
        Self::of(rate, i128::from(bytes).saturating_mul(days.into()), GRAINS / GB / MONTH_DAYS)
    }

    /// So many requests, at a rate for a thousand.
    pub(super) fn thousandths(rate: Rate, requests: u64) -> Self {
        Self::of(rate, requests, GRAINS / THOUSAND)
    }

    /// To the last digit, as it goes from page to page; whoever reads it asks [`from_exact`](Self::from_exact).
    #[must_use]
    pub fn exact(self) -> String {
        self.0.to_string()
    }

    /// What [`exact`](Self::exact) wrote.
    pub fn from_exact(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// In billionths, halves away from zero.
    fn nanos(self) -> u128 {
        let all = self.0.unsigned_abs();
        let (whole, rest) = (all / GRAINS.unsigned_abs(), all % GRAINS.unsigned_abs());
        whole + u128::from(rest * 2 >= GRAINS.unsigned_abs())
    }

    fn sign(self) -> &'static str {
        if self.0 < 0 && self.nanos() > 0 { "-" } else { "" }
    }

    /// For people: hundredths, of what is less than one four decimals, and all nine where those would be nothing.
    #[must_use]
    pub fn short(self) -> String {
        let nanos = self.nanos();
        let step = match nanos {
            0 => return "0.00".to_owned(),
            1..50_000 => return self.to_string(),
            50_000..1_000_000_000 => 100_000,
            _ => 10_000_000,
        };
        let rounded = decimal((nanos + step / 2) / step * step);
        format!("{}{rounded}", self.sign())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.sign(), decimal(self.nanos()))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}
