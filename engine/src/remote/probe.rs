//! Whether a store does what a remote pool needs: one round trip of every call, and a name is really written only once.

use super::Remote;
use crate::entropy::Entropy;
use crate::id::random_bytes;
use crate::{Error, Result};
use bytes::Bytes;

/// Names below this belong to probes, whoever left them.
pub const PREFIX: &str = "probe/";
const BODY: &[u8] = b"firn probe: this object is removed again at once\n";

/// Tries everything on an object of its own and removes it. What does not work is [`Error::Invalid`] with what to do;
/// a store that does not answer is its own error. Cut short it leaves an object below [`PREFIX`].
pub async fn round_trip(store: &dyn Remote, place: &str, entropy: &dyn Entropy) -> Result<()> {
    let name = format!("{PREFIX}{}", hex::encode(random_bytes::<16>(entropy)));
    store.put(&name, vec![Bytes::from_static(BODY)]).await?;
    let tried = calls(store, &name, place).await;
    let removed = store.delete(&name).await;
    tried.and(removed)?;
    match store.get(&name, 0..1).await {
        Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(unfit(place, "an object that was deleted is still there")),
    }
}

async fn calls(store: &dyn Remote, name: &str, place: &str) -> Result<()> {
    match store.put(name, vec![Bytes::from_static(b"twice")]).await {
        Err(Error::Conflict { .. }) => {}
        Err(error) => return Err(error),
        Ok(()) => {
            return Err(unfit(
                place,
                "conditional writes (If-None-Match: *) do not work: a name was written twice",
            ));
        }
    }
    let whole = store.get(name, 0..BODY.len() as u64).await?;
    let part = store.get(name, 5..10).await?;
    if *whole != *BODY || *part != BODY[5..10] {
        return Err(unfit(place, "what was written, or a range of it, does not come back"));
    }
    let listed = store.list(name, "", 2).await?;
    if !listed.iter().any(|object| object.name == name && object.bytes.get() == BODY.len() as u64) {
        return Err(unfit(place, "an object that was written is not listed"));
    }
    Ok(())
}

fn unfit(place: &str, what: &str) -> Error {
    Error::Invalid(format!("use {place} as a remote pool: {what}; use a store that has S3's own semantics"))
}

#[cfg(test)]
mod tests {
    use super::super::memory::{Flaw, MemoryRemote};
    use super::round_trip;
    use crate::entropy::SeededEntropy;

    #[tokio::test]
    async fn a_store_that_does_not_do_what_a_pool_needs_is_refused_and_one_that_does_is_left_as_it_was() {
        let entropy = SeededEntropy::new(90);
        let store = MemoryRemote::default();
        round_trip(&store, "there", &entropy).await.unwrap();
        assert!(store.names().is_empty());
        for (flaw, says) in [
            (Flaw::Overwrites, "conditional writes"),
            (Flaw::Flips, "does not come back"),
            (Flaw::ListsNothing, "is not listed"),
            (Flaw::KeepsDeleted, "is still there"),
            (Flaw::Down, "no answer"),
        ] {
            let store = MemoryRemote::default();
            store.set(Some(flaw));
            let error = round_trip(&store, "there", &entropy).await.unwrap_err().to_string();
            assert!(error.contains(says), "{flaw:?}: {error}");
        }
    }
}
