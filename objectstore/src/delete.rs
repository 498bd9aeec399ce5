//! DELETE: a marker on top, or one version taken out.

use crate::access::{Asked, Asks};
use crate::event::{EventType, Occasion};
use crate::lookup::named;
use crate::publish::{Draft, Published};
use crate::record::ObjectRow;
use crate::stack::Stack;
use crate::store::{Bucket, View};
use crate::transact::Attempt;
use crate::{
    DeleteOutcome, DeleteRequest, ObjectStore, Result, VersionName, VersionSelector, Versioning, tables,
};
use engine::catalog::record::Record;
use engine::catalog::{Scan, key_after};
use futures_util::{StreamExt, stream};

/// Deletes of one request that are under way at once: enough to share syncs.
const AT_ONCE: usize = 64;

impl ObjectStore {
    /// Deletes one object or version. What is not there is deleted already.
    pub async fn delete(&self, request: DeleteRequest) -> Result<DeleteOutcome> {
        let bucket = self.view(&request.bucket).await?.bucket;
        self.delete_in(bucket, &request).await
    }

    /// Deletes many, each on its own: results in the order asked for.
    pub async fn delete_many(&self, requests: Vec<DeleteRequest>) -> Vec<Result<DeleteOutcome>> {
        stream::iter(requests).map(|request| self.delete(request)).buffered(AT_ONCE).collect().await
    }

    async fn delete_in(&self, bucket: Bucket, request: &DeleteRequest) -> Result<DeleteOutcome> {
        let asked = Asked::default();
        self.transact(|| async {
            let _turn = self.queue(bucket.partition, &request.key).await;
            self.try_delete(bucket, request, &asked).await
        })
        .await
    }

    async fn try_delete(
        &self,
        bucket: Bucket,
        request: &DeleteRequest,
        asked: &Asked,
    ) -> Result<Attempt<DeleteOutcome>> {
        let (view, stack) = self.stack(bucket, &request.key).await?;
        let versioning = view.config.versioning;
        if request.version == VersionSelector::Latest && versioning != Versioning::Off {
            let mut draft = Draft::marker(bucket, &request.key, &request.conditions);
            draft.tells = Some(request.occasion(EventType::MARKER));
            draft.asks = request.asks();
            let published = self.try_publish(&draft, asked, &view, &stack).await?;
            let version = |marker: Option<Published>| marker.and_then(|marker| marker.shown);
            return Ok(published.map(|marker| DeleteOutcome { version: version(marker), marker: true }));
        }
        let row = named(&view, &stack, request.version).await?;
        let shown = match request.version {
            VersionSelector::Latest => None,
            VersionSelector::Null => Some(VersionName::Null),
            VersionSelector::Id(id) => Some(VersionName::Id(id)),
        };
        if let Some(asks) = request.asks() {
            let names = request.conditions.name_what_is_there();
            self.ask_again((&view, &request.key), (&asks, asked), row.as_ref(), names).await?;
        }
        request.conditions.check(row.as_ref())?;
        let Some(row) = row else {
            return Ok(Attempt::Answer(DeleteOutcome { version: shown, marker: false }));
        };
        self.refuse_locked(&view, &row, request.bypass_governance).await?;
        let next = next_below(&view, &stack, &row).await?;
        let mut change = stack.remove(&row, next.as_ref())?.freeing();
        let gone = (&request.key, &row, self.clock.now());
        self.tell(&view, &request.occasion(EventType::DELETE), gone, &mut change).await?;
        // Where no versions are kept nothing is left of the key.
        let looks = match versioning {
            Versioning::Off => self.index_gone(&view, &request.key, &row).await?,
            _ => self.index_change(&view, &request.key).await?,
        };
        change.writes.extend(looks);
        let won = self.try_change_key(&view, &request.key, change).await?;
        Ok(Attempt::won(won, DeleteOutcome { version: shown, marker: row.stored.is_none() }))
    }
}

/// The version below the top one, when that is the one to go.
pub(crate) async fn next_below(view: &View, stack: &Stack, row: &ObjectRow) -> Result<Option<ObjectRow>> {
    if stack.top.as_ref().is_none_or(|top| top.version != row.version) {
        return Ok(None);
    }
    let mut scan = Scan::prefix(tables::VERSIONS, &tables::versions_of(&stack.key), 1);
    scan.start = key_after(&tables::version(&stack.key, row.version).bytes);
    let page = view.snapshot.scan(scan).await?;
    Ok(page.rows.first().map(|(_, raw)| ObjectRow::from_bytes(raw)).transpose()?)
}

impl DeleteRequest {
    fn asks(&self) -> Option<Asks<'_>> {
        self.asks.as_ref().map(|asks| Asks::new(&self.bucket, asks))
    }

    fn occasion(&self, what: EventType) -> Occasion<'_> {
        Occasion { what, bucket: &self.bucket, origin: &self.origin }
    }
}
