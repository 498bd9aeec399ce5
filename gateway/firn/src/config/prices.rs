//! `[price]` and `[class.NAME.price]`: what classes cost, where that is not what AWS's list says. An error names its line.

use crate::text::parse_size;
use objectstore::StorageClass;
use objectstore::price::{ClassPrice, Prices, Rate, Retrieval, TierPrice};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::ops::Range;
use toml::Spanned;

/// Days that are charged at the least, at the most.
const DAYS_MAX: u64 = 3_650;
/// Bytes that are billed at the least or beside an object, at the most.
const SIZE_MAX: u64 = 1 << 30;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Price {
    currency: Option<Currency>,
}

/// Each class by S3's name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "SCREAMING_SNAKE_CASE", default)]
pub(super) struct Classes {
    standard: Class,
    reduced_redundancy: Class,
    standard_ia: Class,
    onezone_ia: Class,
    intelligent_tiering: Class,
    glacier_ir: Class,
    glacier: Class,
    deep_archive: Class,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Class {
    price: OfClass,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct OfClass {
    gb_month: Option<Amount>,
    puts: Option<Amount>,
    gets: Option<Amount>,
    transitions: Option<Amount>,
    watched: Option<Spanned<Amount>>,
    retrieval: Option<Spanned<Amount>>,
    expedited: Option<Spanned<Tier>>,
    standard: Option<Spanned<Tier>>,
    bulk: Option<Spanned<Tier>>,
    minimum_days: Option<Days>,
    minimum_size: Option<Size>,
    overhead: Option<Size>,
    overhead_standard: Option<Size>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Tier {
    gb: Option<Amount>,
    requests: Option<Amount>,
}

/// A rate: in quotes or bare.
#[derive(Clone, Copy, Debug)]
struct Amount(Rate);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Written;

        fn read<E: Error>(text: &str) -> Result<Amount, E> {
            text.parse().map(Amount).map_err(|why| E::custom(format!("{text}: {why}")))
        }

        impl Visitor<'_> for Written {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount as 0.0125")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
                read(text)
            }

            fn visit_i64<E: Error>(self, whole: i64) -> Result<Amount, E> {
                read(&whole.to_string())
            }

            // The shortest text that is this number: what was written, where it has no more digits than a rate.
            fn visit_f64<E: Error>(self, number: f64) -> Result<Amount, E> {
                read(&number.to_string())
            }
        }

        from.deserialize_any(Written)
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u64")]
struct Days(u32);

impl TryFrom<u64> for Days {
    type Error = String;

    fn try_from(days: u64) -> Result<Self, String> {
        let known = u32::try_from(days).ok().filter(|_| days <= DAYS_MAX);
        known.map(Self).ok_or_else(|| format!("{days} is not in 0..={DAYS_MAX}"))
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Size(u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = parse_size(&text)?;
        if bytes > SIZE_MAX { Err(format!("{text} is not from 0 to 1GiB")) } else { Ok(Self(bytes)) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Currency(String);

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let shown = |c: char| c.is_alphanumeric() || "$€£¥.-/".contains(c);
        if (1..=8).contains(&text.chars().count()) && text.chars().all(shown) {
            return Ok(Self(text));
        }
        Err(format!("{text:?} is not 1 to 8 letters, as USD"))
    }
}

impl Classes {
    fn all(&self) -> [(StorageClass, &OfClass); 8] {
        use StorageClass as C;
        [
            (C::Standard, &self.standard.price),
            (C::ReducedRedundancy, &self.reduced_redundancy.price),
            (C::StandardIa, &self.standard_ia.price),
            (C::OneZoneIa, &self.onezone_ia.price),
            (C::IntelligentTiering, &self.intelligent_tiering.price),
            (C::GlacierIr, &self.glacier_ir.price),
            (C::Glacier, &self.glacier.price),
            (C::DeepArchive, &self.deep_archive.price),
        ]
    }

    /// The first that its class has no use for: where it stands, and why.
    pub(super) fn misplaced(&self) -> Option<(Range<usize>, String)> {
        self.all().into_iter().find_map(|(class, price)| {
            let (key, at, why) = price.misplaced(class)?;
            Some((at, format!("use class.{class}.price.{key}: {why}")))
        })
    }
}

fn span<T>(said: Option<&Spanned<T>>) -> Option<Range<usize>> {
    said.map(Spanned::span)
}

impl OfClass {
    fn misplaced(&self, class: StorageClass) -> Option<(&'static str, Range<usize>, &'static str)> {
        let archived = class.is_archived();
        let (watches, has_no_fast) =
            (class == StorageClass::IntelligentTiering, class == StorageClass::DeepArchive);
        let by_tier = "what is archived has a price for each tier: standard.gb, bulk.gb";
        let at_once = "only what is archived is restored by tiers; here it is retrieval";
        let expedited = span(self.expedited.as_ref());
        let wrong = [
            ("retrieval", archived, span(self.retrieval.as_ref()), by_tier),
            ("expedited", !archived, expedited.clone(), at_once),
            ("standard", !archived, span(self.standard.as_ref()), at_once),
            ("bulk", !archived, span(self.bulk.as_ref()), at_once),
            ("expedited", has_no_fast, expedited, "it has no such tier"),
            ("watched", !watches, span(self.watched.as_ref()), "only INTELLIGENT_TIERING watches"),
        ];
        wrong.into_iter().find_map(|(key, wrong, at, why)| Some((key, at.filter(|_| wrong)?, why)))
    }
}

/// AWS's list, with what is said.
pub(super) fn prices(price: Price, classes: &Classes) -> Prices {
    let mut prices = Prices::default();
    if let Some(Currency(currency)) = price.currency {
        prices.currency = currency;
    }
    for (class, said) in classes.all() {
        change(prices.of_mut(class), said);
    }
    prices
}

fn change(price: &mut ClassPrice, said: &OfClass) {
    let set = |rate: &mut Rate, said: Option<Amount>| *rate = said.map_or(*rate, |said| said.0);
    let bare = |said: Option<&Spanned<Amount>>| said.map(|said| *said.get_ref());
    let tier = |tier: &mut TierPrice, said: Option<&Spanned<Tier>>| {
        let said = said.map(|said| *said.get_ref()).unwrap_or_default();
        set(&mut tier.gb, said.gb);
        set(&mut tier.requests, said.requests);
    };
    set(&mut price.gb_month, said.gb_month);
    set(&mut price.puts, said.puts);
    set(&mut price.gets, said.gets);
    set(&mut price.transitions, said.transitions);
    set(&mut price.watched, bare(said.watched.as_ref()));
    match &mut price.retrieval {
        Retrieval::AtOnce(gb) => set(gb, bare(said.retrieval.as_ref())),
        Retrieval::Restored { expedited, standard, bulk } => {
            if let Some(expedited) = expedited {
                tier(expedited, said.expedited.as_ref());
            }
            tier(standard, said.standard.as_ref());
            tier(bulk, said.bulk.as_ref());
        }
    }
    let size = |known: &mut u64, said: Option<Size>| *known = said.map_or(*known, |said| said.0);
    size(&mut price.minimum_bytes, said.minimum_size);
    size(&mut price.overhead_bytes, said.overhead);
    size(&mut price.overhead_standard_bytes, said.overhead_standard);
    price.minimum_days = said.minimum_days.map_or(price.minimum_days, |days| days.0);
}
