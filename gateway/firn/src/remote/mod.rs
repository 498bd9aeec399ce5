//! The remote pool of the configuration: its store, whose it is, and what a start demands of it.
//!
//! ```text
//!   [[zone]] kind = "s3" ─► credentials ─► object_store over our own connections ─► Bucket
//!   start: Bucket ─► claim: whose mark is there? ─► a round trip of every call ─► engine::blob's remote pool
//!          does not answer, and was taken before ─► the same before its first write
//! ```
//!
//! # Invariants
//! - Nothing is written to, listed in or deleted from a place before its mark was read and found to be ours.
//! - A start refuses a store that answers and is not what it should be; one that does not answer, or only that it is out of order,
//!   when it was never taken.
//! - A process whose place was taken over by another directory of its appliance notices within a minute, and writes and deletes
//!   nothing there any more.

mod bucket;
mod claim;
mod connector;
#[cfg(test)]
mod tests;

use crate::config::RemoteConfig;
use crate::directory::Marker;
use crate::exit::{Exit, Failure};
use crate::layout::CACHE;
use anyhow::Context;
use bucket::Bucket;
use claim::{Claim, Claimed};
use engine::blob::{CacheOptions, RemoteOptions};
use engine::clock::Clock;
use engine::entropy::Entropy;
use engine::unit::ByteCount;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a start waits for a store that was taken before: what is local is served without it.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Opens the store of a remote pool and makes sure of it, as far as it answers.
pub(crate) async fn open(
    dir: &Path,
    marker: &Marker,
    config: &RemoteConfig,
    (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
) -> anyhow::Result<RemoteOptions> {
    let name = &config.name;
    let settings =
        config.access.settings().with_context(|| format!("find the credentials of zone {name}"))?;
    if settings.credentials.is_none() {
        let text = format!("use zone {name}: there are no credentials for it");
        let hint = "name a credentials-file and profile in its [[zone]], or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        return Err(Failure::usage(text).hint(hint).into());
    }
    let bucket = Bucket::new(&settings, config, clock.clone())?;
    let place = bucket.place().to_owned();
    let claim = Claim::new(dir, marker, name, &place, entropy.clone())?;
    let was_taken = claim.was_taken()?;
    let bucket = Arc::new(Claimed::new(bucket, claim, clock.clone()));
    let proof = async { bucket.prove().await.map(drop) };
    let (outcome, is_late) = tokio::select! {
        outcome = proof => (outcome, false),
        () = clock.sleep(START_WITHIN), if was_taken => {
            let reason = format!("no answer within {} s", START_WITHIN.as_secs());
            (Err(engine::Error::Remote { op: "reach", place: place.clone(), reason }), true)
        }
    };
    if let Err(error) = outcome {
        let is_refused = !is_late && (matches!(error, engine::Error::Invalid(_)) || bucket.was_refused());
        if is_refused || !was_taken {
            let exit = if is_refused { Exit::Conflict } else { Exit::Error };
            let hint = if is_refused {
                "mend what the text names: endpoint, bucket, prefix, region and credentials of the [[zone]]"
            } else {
                "a remote pool has to answer when it is taken: look at the endpoint, and at the way to it"
            };
            return Err(Failure::new(exit, format!("use zone {name} at {place}: {error}")).hint(hint).into());
        }
        tracing::error!(
            zone = name,
            place,
            %error,
            "the remote pool does not answer: what is written stays local, and bodies that lie there alone can't be read"
        );
    }
    let cache_dir = config.cache_dir.clone().unwrap_or_else(|| dir.join(CACHE).join(name));
    let cache =
        (config.cache != ByteCount::ZERO).then_some(CacheOptions { dir: cache_dir, bytes: config.cache });
    Ok(RemoteOptions {
        name: name.clone(),
        place,
        store: bucket,
        keeps_local: config.keeps_local,
        scrubbed: config.scrubbed,
        cache,
        schedule: config.schedule.clone(),
    })
}
