//! Sharing bytes: a second owner of what lies somewhere already. No body byte is written.
//!
//! ```text
//!   inline          its ciphertext is copied, a row of at most 4 KiB
//!   home = here     one commit: the source's reference still there, ours added, with the version
//!   home elsewhere  home: reference + INTENT ─► here: version + FOREIGN, no FENCE ─► home: INTENT gone
//! ```
//!
//! # Invariants
//! - A reference is added only by a commit that checks an existing one, so what has none never gets one again.
//! - An intent is dropped only when its owner's commit is known to be there, or fenced off for ever.
//!
//! A crash between the steps leaves an intent, which the `copy-intents` worker settles.

use crate::change::Change;
use crate::id::OwnerId;
use crate::publish::Expected;
use crate::record::{Content, Extent, ForeignRow, IntentRow};
use crate::stack::blob_owner;
use crate::store::{Active, Bucket};
use crate::transact::Attempt;
use crate::{ObjectStore, Result, tables};
use engine::blob::{reference, share};
use engine::catalog::record::Record;
use engine::catalog::{Commit, Durability, Key, Write};
use engine::id::PartitionId;

/// A second hold on some bytes, to be committed with what names it.
pub(crate) struct Share {
    pub(crate) extent: Extent,
    pub(crate) writes: Vec<Write>,
    pub(crate) expect: Vec<(Key, Expected)>,
    /// The partition that holds an intent.
    intent: Option<PartitionId>,
    _active: Active,
}

/// The row by which an owner holds a blob or manifest, in its home.
fn hold(content: &Content, owner: OwnerId) -> Result<Option<Key>> {
    Ok(match content {
        Content::Empty | Content::Inline { .. } => None,
        Content::Blob { blob, .. } => Some(reference(*blob, &blob_owner(owner)?)),
        Content::Manifest { manifest, .. } => Some(tables::manifest_ref(*manifest, owner)),
    })
}

fn take_hold(content: &Content, owner: OwnerId) -> Result<Vec<Write>> {
    Ok(match content {
        Content::Empty | Content::Inline { .. } => Vec::new(),
        Content::Blob { blob, .. } => share(*blob, &blob_owner(owner)?),
        Content::Manifest { manifest, .. } => {
            vec![Write::Put(tables::manifest_ref(*manifest, owner), tables::PRESENT)]
        }
    })
}

impl ObjectStore {
    /// Prepares a second hold on an extent whose owner lives in `source`, for a row in `destination`. `None`: the source is
    /// gone.
    pub(crate) async fn share(
        &self,
        source: PartitionId,
        extent: Extent,
        destination: Bucket,
    ) -> Result<Option<Share>> {
        let owner = self.owner();
        let mut share = Share {
            extent: Extent { owner, ..extent },
            writes: Vec::new(),
            expect: Vec::new(),
            intent: None,
            _active: self.activate(*owner.as_bytes()),
        };
        if let Content::Inline { .. } = extent.content {
            let row = tables::of_owner(tables::BODY, extent.owner);
            let Some(body) = self.catalog.snapshot(source).await?.get(row).await? else { return Ok(None) };
            share.writes.push(Write::Put(tables::of_owner(tables::BODY, owner), body));
            return Ok(Some(share));
        }
        let (Some(home), Some(held)) = (extent.content.home(), hold(&extent.content, extent.owner)?) else {
            return Ok(Some(share));
        };
        if home == destination.partition {
            share.expect.push((held, Expected::Present));
            share.writes.extend(take_hold(&extent.content, owner)?);
            return Ok(Some(share));
        }
        if !self.announce(home, held, &share.extent, destination).await? {
            return Ok(None);
        }
        share.intent = Some(home);
        share.expect.push((tables::of_owner(tables::FENCES, owner), Expected::Absent));
        let foreign = ForeignRow { content: extent.content };
        share.writes.push(Write::Put(tables::of_owner(tables::FOREIGN, owner), foreign.to_bytes()));
        Ok(Some(share))
    }

    /// Takes the hold in its home, with an intent. `false`: the source's own hold is gone.
    async fn announce(
        &self,
        home: PartitionId,
        held: Key,
        extent: &Extent,
        destination: Bucket,
    ) -> Result<bool> {
        let intent = IntentRow {
            content: extent.content,
            destination: destination.partition,
            created: self.clock.now(),
        };
        let mut writes = take_hold(&extent.content, extent.owner)?;
        writes.push(Write::Put(tables::of_owner(tables::INTENTS, extent.owner), intent.to_bytes()));
        self.transact(|| async {
            let snapshot = self.catalog.snapshot(home).await?;
            if snapshot.get(held.clone()).await?.is_none() {
                return Ok(Attempt::Answer(false));
            }
            // Once the intent is there, or may be, the worker looks after it if we do not.
            let change = Change::new(Vec::new(), writes.clone()).unchanged(held.clone()).dirty();
            Ok(Attempt::Commit(change.at(home, &*snapshot), true))
        })
        .await
    }

    /// The version is there: the intent has served. Failing to say so leaves work for the worker, no more.
    pub(crate) async fn confirm(&self, share: &Share) {
        let Some(home) = share.intent else { return };
        let row = tables::of_owner(tables::INTENTS, share.extent.owner);
        let confirmed = async {
            let read_version = self.catalog.snapshot(home).await?.read_version();
            let commit = Commit {
                writes: vec![Write::Delete(row)],
                durability: Durability::Relaxed,
                ..Commit::new(home, read_version)
            };
            self.catalog.commit(commit).await
        };
        if let Err(error) = confirmed.await {
            tracing::debug!(%error, "an intent stays for the worker");
        }
    }
}
