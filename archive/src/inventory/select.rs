//! Which archives an inventory lists: a date range, a limit, and where the one before ended.

use super::{InvalidParameter, MAX_ARCHIVE_ID_BYTES};
use engine::clock::Timestamp;
use std::fmt;
use std::str::FromStr;

/// Where an archive stands in a vault's order: by creation, then by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it was made.
    pub created: Timestamp,
    /// Its id.
    pub archive: String,
}

/// Where an inventory ended: opaque to who is given it, hexadecimal, with a check so that what was never given is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker(Place);

const MARKER_VERSION: u8 = 1;

impl Marker {
    /// After this place.
    pub fn after(place: Place) -> Self {
        Self(place)
    }

    fn check(body: &[u8]) -> [u8; 4] {
        crc_fast::crc32_iscsi(body).to_be_bytes()
    }

    fn read(raw: &[u8]) -> Option<Self> {
        let (body, check) = raw.split_last_chunk::<4>()?;
        let (version, fields) = body.split_first()?;
        let (created, archive) = fields.split_first_chunk::<8>()?;
        if *version != MARKER_VERSION || Self::check(body) != *check || archive.len() > MAX_ARCHIVE_ID_BYTES {
            return None;
        }
        let archive = std::str::from_utf8(archive).ok()?.to_owned();
        Some(Self(Place { created: Timestamp::from_millis(i64::from_be_bytes(*created)), archive }))
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = vec![MARKER_VERSION];
        body.extend_from_slice(&self.0.created.as_millis().to_be_bytes());
        body.extend_from_slice(self.0.archive.as_bytes());
        let check = Self::check(&body);
        write!(f, "{}{}", hex::encode(&body), hex::encode(check))
    }
}

impl FromStr for Marker {
    type Err = InvalidParameter;

    fn from_str(text: &str) -> Result<Self, InvalidParameter> {
        let short = text.len() <= 2 * (1 + 8 + MAX_ARCHIVE_ID_BYTES + 4);
        let raw = if short { hex::decode(text).ok() } else { None };
        raw.and_then(|raw| Self::read(&raw)).ok_or_else(|| {
            InvalidParameter::new(
                "Marker",
                "it is not one that an inventory job of this vault gave; begin without one",
            )
        })
    }
}

/// What an inventory lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Archives made at this time or later.
    pub start: Option<Timestamp>,
    /// Archives made before this time.
    pub end: Option<Timestamp>,
    /// So many at the most.
    pub limit: Option<u64>,
    /// Those behind this place.
    pub marker: Option<Marker>,
}

/// What becomes of an archive that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// It is listed.
    Yes,
    /// It is not.
    No,
    /// It is not, nor is any behind it; where a limit ended the list, this marker goes on.
    End(Option<Marker>),
}

impl Selection {
    /// From a job's parameters, as the request has them.
    pub fn parse(
        start: Option<&str>,
        end: Option<&str>,
        limit: Option<&str>,
        marker: Option<&str>,
    ) -> Result<Self, InvalidParameter> {
        let start = start.map(|text| time("StartDate", text)).transpose()?;
        let end = end.map(|text| time("EndDate", text)).transpose()?;
        if let (Some(start), Some(end)) = (start, end)
            && start >= end
        {
            return Err(InvalidParameter::new("EndDate", "it must be later than StartDate"));
        }
        let limit = limit.map(read_limit).transpose()?;
        Ok(Self { start, end, limit, marker: marker.map(str::parse).transpose()? })
    }

    /// The first place that could be listed: where to begin reading rows. None is the vault's beginning.
    pub fn begins(&self) -> Option<Place> {
        let dated = self.start.map(|created| Place { created, archive: String::new() });
        let marked = self.marker.as_ref().map(|marker| marker.0.clone());
        dated.max(marked)
    }

    /// Whether the archive at `place` is listed, of which `listed` are already and the last stands at `last`.
    pub fn judge(&self, place: &Place, listed: u64, last: Option<&Place>) -> Selected {
        if self.end.is_some_and(|end| place.created >= end) {
            return Selected::End(None);
        }
        if self.start.is_some_and(|start| place.created < start)
            || self.marker.as_ref().is_some_and(|marker| *place <= marker.0)
        {
            return Selected::No;
        }
        if self.limit.is_some_and(|limit| listed >= limit) {
            return Selected::End(last.cloned().map(Marker::after));
        }
        Selected::Yes
    }
}

fn time(name: &'static str, text: &str) -> Result<Timestamp, InvalidParameter> {
    let utc = text.ends_with('Z') && text.contains('T') && text.len() <= 35;
    let at: Option<jiff::Timestamp> = if utc { text.parse().ok() } else { None };
    at.map(|at| Timestamp::from_millis(at.as_millisecond())).ok_or_else(|| {
        InvalidParameter::new(name, format!("{text:?} is not of the form 2013-03-20T17:03:43Z"))
    })
}

fn read_limit(text: &str) -> Result<u64, InvalidParameter> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|limit| digits && *limit > 0)
        .ok_or_else(|| InvalidParameter::new("Limit", format!("{text:?} is not a number of 1 or more")))
}
