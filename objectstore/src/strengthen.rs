//! Bytes in one zone that come to be named by a class that is kept in more.
//!
//! A copy moves no bytes, so an object of STANDARD may come to refer to what was written for `ONEZONE_IA`. Before it does,
//! every blob below it gets the copies that the store keeps. A crash, or a copy that fails after it, leaves more copies than were asked
//! for, never fewer.

use crate::envelope::Keys;
use crate::pages::Pages;
use crate::read::Found;
use crate::record::{Content, Extent};
use crate::{ObjectStore, Result, StorageClass};
use engine::blob::Copies;

impl ObjectStore {
    /// Sees to it that an extent of a source has the copies of the class that is to refer to it. Nothing else of the source is looked at:
    /// each of the thousands of parts that are copied from one object pays for its own bytes.
    pub(crate) async fn keep_for(&self, source: &Found, extent: Extent, class: StorageClass) -> Result<()> {
        let enough = source.info.class.copies() == Copies::Configured || class.copies() == Copies::One;
        if enough || !self.blobs.has_known_several_zones() {
            return Ok(());
        }
        let mut todo: Vec<(Extent, Option<Keys>)> = vec![(extent, source.of_pages())];
        while let Some((extent, keys)) = todo.pop() {
            match extent.content {
                Content::Empty | Content::Inline { .. } => {}
                Content::Blob { home, blob } => self.blobs.keep_configured(home, blob).await?,
                Content::Manifest { .. } => {
                    let pieces = Pages::pieces(self, &extent, keys.as_ref()).await?.into_iter();
                    todo.extend(pieces.map(|(_, piece, key)| (piece, Some(key.into()))));
                }
            }
        }
        Ok(())
    }
}
