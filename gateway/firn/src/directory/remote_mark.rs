//! The mark of a remote pool, and what the data directory knows of it: the form and the list are those of zones.

use super::marker::Marker;
use super::pool_owner;
use super::zones::{Taken, ZoneOwner};
use crate::layout::ZONES;
use bytes::Bytes;
use std::path::Path;

/// A mark as it is to be.
pub(crate) struct RemoteMark(ZoneOwner);

impl RemoteMark {
    /// That of this data directory for a zone.
    pub(crate) fn of(dir: &Path, marker: &Marker, zone: &str) -> anyhow::Result<Self> {
        let incarnation = pool_owner::own(dir)?.map(|own| own.incarnation()).unwrap_or_default();
        let (account, created, zone) = (marker.account, marker.created, zone.to_owned());
        Ok(Self(ZoneOwner { account, created, incarnation, zone }))
    }

    /// Of which life of the directory it is.
    pub(crate) fn incarnation(&self) -> u128 {
        self.0.incarnation
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Bytes {
        self.0.encode().into()
    }

    /// The incarnation that a remote zone was marked with last, if it was taken.
    pub(crate) fn taken(dir: &Path, zone: &str) -> anyhow::Result<Option<u128>> {
        Ok(Taken::load(dir)?.of_zone(zone))
    }

    /// Why a place with such a mark is not to be used.
    pub(crate) fn refuse_another(&self, found: &[u8], taken: Option<u128>) -> Result<(), String> {
        let path = Path::new("its mark owner.json");
        let there =
            ZoneOwner::decode(found, path).map_err(|failure| format!("can't be used: {}", failure.text))?;
        let own = &self.0;
        if (there.account, there.created) != (own.account, own.created) {
            return Err(format!(
                "belongs to the appliance of account {}, which would lose its bodies; name a prefix of its own",
                there.account
            ));
        }
        if there.zone != own.zone {
            return Err(format!("is zone {} of this appliance; name a prefix of its own", there.zone));
        }
        let is_left = taken.is_none_or(|left| left == there.incarnation);
        if !is_left && there.incarnation != own.incarnation {
            return Err(
                "was taken over by another directory of this appliance; start that one, and not this one"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Notes in the data directory that the zone was taken, and where it is.
    pub(crate) fn note(&self, dir: &Path, zone: &str, place: &str) -> anyhow::Result<()> {
        let before = Taken::load(dir)?;
        let after = before.with_remote(zone, place, self.0.incarnation);
        if after != before {
            engine::file::replace(&dir.join(ZONES), after.encode().as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::zones::{Taken, ZoneOwner};
    use super::RemoteMark;
    use engine::clock::Timestamp;

    fn mark(incarnation: u128) -> RemoteMark {
        RemoteMark(ZoneOwner {
            account: "123456789012".parse().unwrap(),
            created: Timestamp::from_millis(5),
            incarnation,
            zone: "cloud".to_owned(),
        })
    }

    #[test]
    fn a_place_is_used_by_its_own_and_by_the_recovered_one_and_by_nobody_else() {
        let own = mark(7);
        let judge = |found: &RemoteMark, taken| own.refuse_another(&found.bytes(), taken);
        for (found, taken, fine) in [
            (7, None, true),
            (7, Some(7), true),
            (7, Some(6), true),
            (6, Some(6), true),
            (6, None, true),
            (8, Some(6), false),
            (8, Some(7), false),
        ] {
            assert_eq!(judge(&mark(found), taken).is_ok(), fine, "{found} {taken:?}");
        }
        let mut other = mark(7);
        other.0.account = "999999999999".parse().unwrap();
        assert!(judge(&other, None).unwrap_err().contains("999999999999"));
        let mut other = mark(7);
        other.0.zone = "attic".to_owned();
        assert!(judge(&other, None).unwrap_err().contains("attic"));
        assert!(own.refuse_another(b"{}", None).unwrap_err().contains("owner.json"));
    }

    #[test]
    fn a_remote_zone_is_noted_once_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(RemoteMark::taken(dir.path(), "cloud").unwrap(), None);
        mark(7).note(dir.path(), "cloud", "s3://a").unwrap();
        mark(8).note(dir.path(), "cloud", "s3://b").unwrap();
        assert_eq!(RemoteMark::taken(dir.path(), "cloud").unwrap(), Some(8));
        let taken = Taken::load(dir.path()).unwrap();
        assert!(taken.encode().contains(r#"[["cloud","s3://b","00000000000000000000000000000008"]]"#));
    }
}
