//! `DIR/recovery.pub`: the public half of the recovery key, which backups are sealed to. One line, as age writes it.
//!
//! A crash while it is written leaves the old one, or none.

use crate::layout::RECIPIENT;
use anyhow::Context;
use engine::backup::Recipient;
use std::path::Path;

/// The key that backups are sealed to, if there is one yet.
pub(crate) fn recipient(dir: &Path) -> anyhow::Result<Option<Recipient>> {
    let path = dir.join(RECIPIENT);
    match engine::file::read_regular(&path)
        .and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other))
    {
        Ok(text) => Ok(Some(text.trim().parse().with_context(|| format!("read {}", path.display()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow::Error::from(error).context(format!("read {}", path.display()))),
    }
}

/// Keeps it.
pub(crate) fn store_recipient(dir: &Path, recipient: &Recipient) -> anyhow::Result<()> {
    Ok(engine::file::replace(&dir.join(RECIPIENT), format!("{recipient}\n").as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::{recipient, store_recipient};
    use engine::backup::RecoveryKey;

    #[test]
    fn the_public_half_is_kept_and_read_back_and_nonsense_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(recipient(dir.path()).unwrap().is_none());
        let key = RecoveryKey::generate().recipient();
        store_recipient(dir.path(), &key).unwrap();
        assert_eq!(recipient(dir.path()).unwrap().unwrap().to_string(), key.to_string());
        std::fs::write(dir.path().join("recovery.pub"), "age1nonsense\n").unwrap();
        let error = recipient(dir.path()).unwrap_err();
        assert!(format!("{error:#}").contains("recovery.pub"), "{error:#}");
    }

    #[test]
    fn a_power_cut_leaves_the_old_key_or_the_new_one() {
        let [old, new] = [(); 2].map(|()| RecoveryKey::generate().recipient());
        let name = "a_power_cut_leaves_the_old_key_or_the_new_one";
        powercut::at_every_step(
            name,
            |dir| store_recipient(dir, &old).unwrap(),
            |dir| drop(store_recipient(dir, &new)),
            |dir, cut| {
                let found = recipient(dir).unwrap_or_else(|error| panic!("{cut}: {error:#}"));
                let found = found.unwrap().to_string();
                assert!(found == new.to_string() || (found == old.to_string() && !cut.ended), "{cut}");
            },
        );
    }
}
