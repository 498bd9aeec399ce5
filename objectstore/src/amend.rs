//! Changing what stands beside a version (tags and the like) without touching its bytes.
//!
//! The row is authenticated with all that stands in it, so a change opens its seal and seals it again, and the commit checks
//! that nobody changed the key meanwhile. The version keeps its name, its place and its Last-Modified, as in S3.

use crate::access::Rules;
use crate::lookup::{by_id, null_row};
use crate::record::ObjectRow;
use crate::store::{ATTEMPTS_MAX, Bucket, View, contended};
use crate::{AmendRequest, Error, ObjectStore, Result, Subresources, VersionName, VersionSelector, tables};
use bytes::Bytes;

impl ObjectStore {
    /// Lets `change` change a version's subresources and answers the version's name. `change` may be called again when somebody
    /// else changed the key meanwhile; its error ends the call with nothing changed.
    pub async fn amend(
        &self,
        request: &AmendRequest,
        mut change: impl FnMut(&mut Subresources) -> Result<()> + Send,
    ) -> Result<Option<VersionName>> {
        self.amend_by(request, |beside, _| change(beside)).await
    }

    /// The same, of a change that depends on what holds in the bucket.
    pub(crate) async fn amend_by(
        &self,
        request: &AmendRequest,
        change: impl FnMut(&mut Subresources, &Rules) -> Result<()> + Send,
    ) -> Result<Option<VersionName>> {
        let bucket = self.view(&request.bucket, Vec::new()).await?.bucket;
        self.amend_in(bucket, request, change).await
    }

    /// The same in a bucket that was found before, and in no other one that has its name by now.
    pub(crate) async fn amend_in(
        &self,
        bucket: Bucket,
        request: &AmendRequest,
        mut change: impl FnMut(&mut Subresources, &Rules) -> Result<()> + Send,
    ) -> Result<Option<VersionName>> {
        for _ in 0..ATTEMPTS_MAX {
            let _turn = self.queue(bucket.partition, &request.key).await;
            let view = self.key_view(bucket, &request.key).await?;
            let stack = self.stack(&request.key, &view).await?;
            let row = self.row_to_amend(request, &view, stack.top.as_ref()).await?;
            let mut subresources = row.subresources.clone();
            change(&mut subresources, &self.rules(&view).await?)?;
            let shown = row.shown(view.config.versioning);
            if subresources == row.subresources {
                return Ok(shown);
            }
            let aad = row.additional_data(bucket.partition, &request.key);
            let data_key = self.keys.unseal(&row.sealed, &aad)?;
            let mut amended = ObjectRow { subresources, sealed: Bytes::new(), ..row };
            let aad = amended.additional_data(bucket.partition, &request.key);
            amended.sealed = self.keys.seal(bucket.account, data_key.as_ref(), &aad)?;
            if self.commit_change(&view, stack.replace(&amended)).await? {
                return Ok(shown);
            }
        }
        Err(contended())
    }

    async fn row_to_amend(
        &self,
        request: &AmendRequest,
        view: &View,
        top: Option<&ObjectRow>,
    ) -> Result<ObjectRow> {
        let row = match request.version {
            VersionSelector::Latest => {
                let top = top.cloned().ok_or(Error::NoSuchKey { marker: None })?;
                if top.stored.is_none() {
                    return Err(Error::NoSuchKey { marker: Some(top.name()) });
                }
                top
            }
            VersionSelector::Null => null_row(view, &request.key).await?.ok_or(Error::NoSuchVersion)?,
            VersionSelector::Id(id) => {
                let row = view.snapshot.get(tables::version(&request.key, id)).await?;
                by_id(row.as_deref())?.ok_or(Error::NoSuchVersion)?
            }
        };
        if row.stored.is_none() {
            return Err(Error::IsDeleteMarker { version: row.name(), modified: row.modified });
        }
        Ok(row)
    }
}
