//! Names of a trail's files: what they are, whose, and of when.

use engine::clock::Timestamp;

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A digest of a trail of this name.
    Digest(String),
    /// Records.
    Log,
}

/// A file, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) kind: Kind,
    /// When a digest's time ended; in which minute a file of records was begun.
    pub(crate) at: Timestamp,
}

fn moment(text: &str, form: &str) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime(form, text).ok()?;
    let at = jiff::tz::Offset::UTC.to_timestamp(time).ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

impl Name {
    /// Of a key or a path; `None` for what is no trail's.
    pub(crate) fn of(key: &str) -> Option<Self> {
        let file = key.rsplit('/').next()?.strip_suffix(".json.gz")?;
        let owned = str::to_owned;
        if let Some((account, rest)) = file.split_once("_CloudTrail-Digest_") {
            let (rest, time) = rest.rsplit_once('_')?;
            // The trail's home, behind its name.
            let (rest, _) = rest.rsplit_once('_')?;
            let (region, trail) = rest.split_once('_')?;
            let at = moment(time, "%Y%m%dT%H%M%SZ")?;
            let kind = Kind::Digest(owned(trail));
            return Some(Self { account: owned(account), region: owned(region), kind, at });
        }
        let (account, rest) = file.split_once("_CloudTrail_")?;
        let mut parts = rest.split('_');
        let (region, time, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
            return None;
        };
        let at = moment(time, "%Y%m%dT%H%MZ")?;
        Some(Self { account: owned(account), region: owned(region), kind: Kind::Log, at })
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Name};

    #[test]
    fn files_are_told_by_their_names() {
        let digest = Name::of(
            "p/AWSLogs/000000000001/CloudTrail-Digest/us-east-1/2026/11/30/000000000001_CloudTrail-Digest_us-east-1_my_trail_us-east-1_20261130T064500Z.json.gz",
        )
        .unwrap();
        assert_eq!((digest.account.as_str(), digest.region.as_str()), ("000000000001", "us-east-1"));
        assert_eq!(digest.kind, Kind::Digest("my_trail".to_owned()));
        assert_eq!(digest.at.as_millis(), 1_796_021_100_000);
        let log =
            Name::of("000000000001_CloudTrail_us-east-1_20261130T0645Z_AbCdEfGh01234567.json.gz").unwrap();
        assert_eq!((log.kind, log.at.as_millis()), (Kind::Log, 1_796_021_100_000));
        for other in [
            "AWSLogs/x.json.gz",
            "1_CloudTrail_us-east-1_20261130T0645Z.json.gz",
            "1_CloudTrail_us-east-1_20261330T0645Z_A.json.gz",
            "1_CloudTrail-Digest_us-east-1_20261130T064500Z.json.gz",
            "1_CloudTrail_us-east-1_20261130T0645Z_A.json",
        ] {
            assert_eq!(Name::of(other), None, "{other}");
        }
    }
}
