//! A job's steps: it asks for a page of objects, or counts what can be read by now.
//!
//! ```text
//!   visit ─┬─ who asked? nobody any more ──────────────────────────────► ended
//!          ├─ asking: a page, AT_ONCE at a time, in the order of keys ─► cursor and counts, one commit
//!          │    └ the first one that has to wait: up to there, and WAIT later again; meanwhile it counts
//!          └─ waiting: a round over the prefix, a page a visit ────────► counts; none on its way: ended
//! ```
//! What a crash leaves: the cursor before the page. What was asked for of it says so itself: [`seen`].

use super::asker::Asker;
use super::{JobRow, RestoreJobCounts, RestoreJobEnd, RestoreJobState, bounded};
use crate::change::Change;
use crate::record::ObjectRow;
use crate::store::View;
use crate::{
    Error, ErrorKind, ObjectKey, ObjectStore, RestoreOutcome, RestoreRequest, RestoreTier, Result,
    StorageClass, VersionSelector, tables,
};
use bytes::Bytes;
use engine::catalog::record::Record as _;
use engine::catalog::{Page, Scan, key_after, prefix_end};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;

/// Rows of a page, whether they are asked for or counted.
const PAGE: usize = 1_000;
/// Objects of a page that are asked for; the page ends there.
pub(crate) const ASKS_MAX: usize = 256;
/// Those that are asked for at once: enough to share syncs.
const AT_ONCE: usize = 16;
/// How long a job waits that can't go on.
pub(crate) const WAIT: Duration = Duration::from_secs(30);
/// How long it rests between two rounds: ten times what one took, within these.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Restores on their way of a page whose ends are looked up.
const LOOKED_UP: usize = 8;

/// What a worker keeps of a job between two visits; a start begins anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memo {
    /// By boot time: before, it asks for nothing.
    asks_at: Duration,
    /// By boot time: before, no round begins.
    rounds_at: Duration,
    round: Option<Round>,
}

/// A count that is under way.
#[derive(Clone, Debug)]
struct Round {
    began: Duration,
    cursor: Bytes,
    ready: u64,
    ready_bytes: u64,
    pending: u64,
    pending_bytes: u64,
    eta: Option<Timestamp>,
}

/// What a visit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stepped {
    /// Something was done.
    Did,
    /// Its time has not come.
    Rests,
    /// The job is over: there is nothing more to do for it.
    Over,
}

/// How an object stands to a job, by its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    NotArchived,
    Newer,
    UnderWay,
    /// This job asked for it, before a crash.
    Ours,
    There,
    Ask(RestoreTier),
}

/// What became of asking for one.
enum Became {
    Begun,
    Is(Seen),
    Gone,
    Failed(Error),
    /// It can't go on here before something else is over.
    Waits(Error),
}

/// The tier that a class has.
pub(super) fn tier_of(class: StorageClass, tier: RestoreTier) -> RestoreTier {
    match (class, tier) {
        (StorageClass::DeepArchive, RestoreTier::Expedited) => RestoreTier::Standard,
        _ => tier,
    }
}

/// `until`: the end of what is restored by a request of now.
fn seen(row: &ObjectRow, job: &JobRow, (now, until): (Timestamp, Timestamp)) -> Seen {
    let Some(stored) = row.stored.as_ref().filter(|stored| stored.class.is_archived()) else {
        return Seen::NotArchived;
    };
    if row.modified > job.job.asked {
        return Seen::Newer;
    }
    let tier = tier_of(stored.class, job.job.tier);
    let Some(restore) = stored.cold.and_then(|cold| cold.restore) else { return Seen::Ask(tier) };
    let ours = restore.asked >= job.job.asked && restore.tier == tier && restore.days == job.job.days;
    match restore.until {
        Some(end) if end <= now => Seen::Ask(tier),
        _ if ours => Seen::Ours,
        Some(end) if end >= until => Seen::There,
        None if tier >= restore.tier => Seen::UnderWay,
        Some(_) | None => Seen::Ask(tier),
    }
}

impl RestoreJobCounts {
    fn count(&mut self, seen: Seen, bytes: u64) {
        let (count, sum) = match seen {
            Seen::NotArchived => return self.not_archived += 1,
            Seen::Newer => return self.newer += 1,
            Seen::Ours | Seen::Ask(_) => (&mut self.asked, &mut self.asked_bytes),
            Seen::UnderWay => (&mut self.under_way, &mut self.under_way_bytes),
            Seen::There => (&mut self.there, &mut self.there_bytes),
        };
        *count += 1;
        *sum += bytes;
    }
}

fn class_and_bytes(row: &ObjectRow) -> (StorageClass, u64) {
    row.stored.as_ref().map_or((StorageClass::Standard, 0), |stored| (stored.class, stored.extent.length))
}

impl ObjectStore {
    /// A page of what lies below a job's prefix, from a cursor on, and where the next one begins.
    pub(super) async fn page_below(
        &self,
        view: &View,
        (prefix, cursor): (&str, &Bytes),
    ) -> Result<(Page, Option<Bytes>)> {
        let prefix = Bytes::copy_from_slice(prefix.as_bytes());
        let end = prefix_end(&prefix);
        let start = prefix.max(cursor.clone());
        let scan = Scan { table: tables::CURRENT, start, end, limit: PAGE, reverse: false, keys_only: false };
        let page = view.snapshot.scan(scan.clone()).await?;
        let behind = scan.behind(&page).map(|scan| scan.start);
        Ok((page, behind))
    }

    /// A step of a job, if its time has come.
    pub(crate) async fn restore_job_step(
        self: &Arc<Self>,
        partition: PartitionId,
        mut row: JobRow,
        memo: &mut Memo,
    ) -> Result<Stepped> {
        if row.job.end.is_some() {
            return Ok(Stepped::Over);
        }
        let Some((name, bucket)) = self.bucket_in(partition, row.job.bucket.as_bytes()).await? else {
            // Its rows go with the bucket's.
            return Ok(Stepped::Over);
        };
        let Some((view, [])) = self.view_at(bucket, []).await? else { return Ok(Stepped::Over) };
        let now = self.clock.boottime();
        if row.job.state == RestoreJobState::Asking && memo.asks_at <= now {
            let asker = match self.asker(&row).await? {
                Ok(asker) => asker,
                Err(why) => {
                    let (at, why) = (self.clock.now(), why.to_owned());
                    row.end(RestoreJobEnd { at, cancelled: false, why });
                    self.keep_job(&view, &row).await?;
                    return Ok(Stepped::Did);
                }
            };
            if Box::pin(self.ask_page(&name.bound_to(bucket), &view, (&mut row, &asker))).await? {
                memo.asks_at = now + WAIT;
            }
            return Ok(Stepped::Did);
        }
        if memo.round.is_none() && memo.rounds_at > now {
            return Ok(Stepped::Rests);
        }
        self.count_page(&view, &mut row, memo).await?;
        Ok(Stepped::Did)
    }

    /// Writes a job's row, unless somebody else has: then the next visit sees why.
    async fn keep_job(&self, view: &View, row: &JobRow) -> Result<bool> {
        let key = tables::restore_job(row.job.id);
        let change = Change::default().unchanged(key.clone()).put(key, row.to_bytes()).freeing();
        self.try_commit(change.of(view)).await
    }

    /// Asks for what a page has of archived objects. `true`: it could not go on to the page's end.
    async fn ask_page(
        self: &Arc<Self>,
        name: &crate::BucketName,
        view: &View,
        (row, asker): (&mut JobRow, &Asker),
    ) -> Result<bool> {
        let (page, behind) = self.page_below(view, (&row.job.prefix, &row.cursor)).await?;
        let now = self.clock.now();
        let times = (now, self.calendar().days_after(now, row.job.days));
        let (mut tried, mut waits) = (0, None);
        let mut rows = page.rows.iter();
        let mut next = behind.unwrap_or_default();
        'page: loop {
            let mut chunk = Vec::with_capacity(AT_ONCE);
            // Objects that need no asking cost nothing: a chunk is of those that do.
            let mut to_ask = 0;
            while to_ask < AT_ONCE
                && let Some((raw, value)) = rows.next()
            {
                let one = ObjectRow::from_bytes(value);
                let is = one.as_ref().ok().map(|one| seen(one, row, times));
                to_ask += usize::from(matches!(is, Some(Seen::Ask(_))));
                chunk.push((raw, one, is));
            }
            if chunk.is_empty() {
                break;
            }
            tried += to_ask;
            let days = row.job.days;
            let became = chunk.iter().map(|(raw, one, is)| async move {
                match (one, is) {
                    (Ok(one), Some(Seen::Ask(tier))) => {
                        self.ask_one(name, view, (raw, one), (days, *tier), asker).await
                    }
                    (Ok(_), Some(is)) => Became::Is(*is),
                    (Err(error), _) => Became::Failed(Error::Engine(damaged(error))),
                    (Ok(_), None) => Became::Gone,
                }
            });
            let became = join_all(became).await;
            for ((raw, one, _), became) in chunk.iter().zip(became) {
                if let Became::Waits(error) = became {
                    next = Bytes::clone(raw);
                    waits = Some(error);
                    break 'page;
                }
                let key = String::from_utf8_lossy(raw);
                row.take(&key, one.as_ref().ok(), became);
            }
            if tried >= ASKS_MAX
                && rows.len() > 0
                && let Some((last, ..)) = chunk.last()
            {
                next = key_after(last);
                break;
            }
        }
        row.job.waits = waits.as_ref().map(|error| bounded(&error.to_string())).unwrap_or_default();
        row.cursor = next;
        if waits.is_none() && row.cursor.is_empty() {
            row.job.state = RestoreJobState::Waiting;
        }
        self.keep_job(view, row).await?;
        Ok(waits.is_some())
    }

    /// Asks for one object.
    async fn ask_one(
        self: &Arc<Self>,
        name: &crate::BucketName,
        view: &View,
        (raw, one): (&Bytes, &ObjectRow),
        (days, tier): (u32, RestoreTier),
        asker: &Asker,
    ) -> Became {
        let key = match tables::text(raw.to_vec()).map_err(Error::from).and_then(|key| ObjectKey::parse(&key))
        {
            Ok(key) => key,
            Err(error) => return Became::Failed(error),
        };
        let version = one.shown(view.config.versioning).map_or(VersionSelector::Latest, Into::into);
        let (bucket, origin) = (name.clone(), asker.origin());
        let request = RestoreRequest { bucket, key, version, days, tier, origin };
        match self.restore(&request, Some(&asker.question())).await {
            Ok(RestoreOutcome::Begun) => Became::Begun,
            Ok(RestoreOutcome::There(_)) => Became::Is(Seen::There),
            Err(Error::RestoreInProgress) => Became::Is(Seen::UnderWay),
            Err(Error::InvalidObjectState { .. }) => Became::Is(Seen::NotArchived),
            Err(
                Error::NoSuchKey { .. }
                | Error::NoSuchVersion
                | Error::IsDeleteMarker { .. }
                | Error::NoSuchBucket,
            ) => Became::Gone,
            Err(error) if error.kind() == ErrorKind::Unavailable => Became::Waits(error),
            Err(error) => Became::Failed(error),
        }
    }

    /// Counts a page of what can be read by now, and ends the job when nothing of it is on its way any more.
    async fn count_page(self: &Arc<Self>, view: &View, row: &mut JobRow, memo: &mut Memo) -> Result<()> {
        let (now, boot) = (self.clock.now(), self.clock.boottime());
        let round = memo.round.get_or_insert_with(|| Round {
            began: boot,
            cursor: Bytes::new(),
            ready: 0,
            ready_bytes: 0,
            pending: 0,
            pending_bytes: 0,
            eta: None,
        });
        let (page, mut behind) = self.page_below(view, (&row.job.prefix, &round.cursor)).await?;
        let mut jobs = Vec::new();
        for (raw, value) in &page.rows {
            // What was not asked for yet is not counted.
            if row.job.state == RestoreJobState::Asking && *raw >= row.cursor {
                behind = None;
                break;
            }
            let Ok(one) = ObjectRow::from_bytes(value) else { continue };
            let restore = one.cold().and_then(|cold| cold.restore);
            let Some(restore) = restore.filter(|_| one.modified <= row.job.asked) else { continue };
            let (_, bytes) = class_and_bytes(&one);
            match restore.until {
                None => {
                    round.pending += 1;
                    round.pending_bytes += bytes;
                    jobs.extend(restore.job);
                }
                Some(until) if until > now => {
                    round.ready += 1;
                    round.ready_bytes += bytes;
                }
                Some(_) => {}
            }
        }
        // Those that were asked for last come last, but for upgrades: a few of each page tell when the last is there.
        for job in jobs.into_iter().rev().take(LOOKED_UP) {
            // An expectation that is not known is no reason not to count.
            if let Ok(eta) = self.vaults()?.job_eta(view.bucket.partition, job).await {
                round.eta = round.eta.max(eta);
            }
        }
        if let Some(behind) = behind {
            round.cursor = behind;
            return Ok(());
        }
        let took = boot.saturating_sub(round.began);
        let Some(round) = memo.round.take() else { return Ok(()) };
        memo.rounds_at = boot + (took * 10).clamp(REST.0, REST.1);
        let counts = RestoreJobCounts {
            ready: round.ready,
            ready_bytes: round.ready_bytes,
            pending: round.pending,
            pending_bytes: round.pending_bytes,
            ..row.job.counts
        };
        let ends = row.job.state == RestoreJobState::Waiting && round.pending == 0;
        if !ends && counts == row.job.counts && round.eta == row.job.eta && row.job.counted.is_some() {
            return Ok(());
        }
        row.job.counts = counts;
        row.job.counted = Some(now);
        row.job.eta = round.eta;
        if ends {
            row.end(RestoreJobEnd { at: now, cancelled: false, why: String::new() });
        }
        self.keep_job(view, row).await?;
        Ok(())
    }
}

/// The same error, once more.
fn damaged(error: &engine::Error) -> engine::Error {
    engine::Error::Corrupt { what: "object row".into(), detail: error.to_string() }
}

impl JobRow {
    /// One more object is done with.
    fn take(&mut self, key: &str, one: Option<&ObjectRow>, became: Became) {
        let (class, bytes) = one.map_or((StorageClass::Standard, 0), class_and_bytes);
        let counts = &mut self.job.counts;
        counts.seen += 1;
        let seen = match became {
            Became::Begun => Seen::Ours,
            Became::Is(is) => is,
            // Waits are handled before.
            Became::Gone | Became::Waits(_) => return,
            Became::Failed(error) => return self.fail(key, &error),
        };
        counts.slower += u64::from(seen == Seen::Ours && tier_of(class, self.job.tier) != self.job.tier);
        counts.count(seen, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Seen, tier_of};
    use crate::{RestoreJobCounts, RestoreTier, StorageClass};

    #[test]
    fn what_has_no_such_tier_gets_the_fastest_that_it_has() {
        let (glacier, deep) = (StorageClass::Glacier, StorageClass::DeepArchive);
        assert_eq!(tier_of(glacier, RestoreTier::Expedited), RestoreTier::Expedited);
        assert_eq!(tier_of(deep, RestoreTier::Expedited), RestoreTier::Standard);
        assert_eq!(tier_of(deep, RestoreTier::Bulk), RestoreTier::Bulk);
    }

    #[test]
    fn counts_are_numbers_and_back_and_what_is_lost_is_what_is_nowhere() {
        let mut counts = RestoreJobCounts::default();
        for (seen, bytes) in [(Seen::Ours, 3), (Seen::There, 4), (Seen::UnderWay, 5), (Seen::Newer, 6)] {
            counts.count(seen, bytes);
        }
        assert_eq!((counts.wanted(), counts.lost(), counts.newer), (3, 3, 1));
        counts.pending = 2;
        assert_eq!((counts.lost(), RestoreJobCounts::of(counts.numbers())), (1, counts));
        counts.ready = 9;
        assert_eq!(counts.lost(), 0);
    }
}
