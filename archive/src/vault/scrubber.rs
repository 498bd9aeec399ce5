//! Each byte of every pack is looked at once in a month, the longest unseen first.
//!
//! ```text
//!   every hour: packs' rows ─► the longest unseen of them ─► due? ─► scrubbed, mended ─► when it was looked at, as a row
//!                                                             └─ not before the last one's share of the time has passed
//! ```
//! A pack is due half a month after it was sealed or looked at, and all packs together are read within half a month: so none is unseen for
//! longer than a month, and where packs came all at once their turns are spread. A pack whose medium is away is passed by until it is here.
//!
//! # What a crash leaves
//! A pack that is looked at again.
//!
//! # Limits
//! One pack a tick; [`HELD`] packs are held in memory between two looks at the rows.

use super::change::Change;
use super::rows::{PackRow, PackState};
use super::scrub::PackHealth;
use super::{Error, Result, Vault, Vaults, tables};
use crate::pack::PackId;
use crate::retrieval::MediumId;
use engine::BoxFuture;
use engine::catalog::Write;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use engine::worker::{Progress, Worker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Days after which each byte was looked at.
const PERIOD_DAYS: u32 = 30;
/// How often rows are read for packs that are due, and how soon after a start.
const LOOK: Duration = Duration::from_hours(1);
const FIRST_LOOK: Duration = Duration::from_mins(5);
const REST: Duration = Duration::from_mins(1);
/// Packs that are due, and known at once.
const HELD: usize = 1_000;
/// Rows of packs that are read together.
const PAGE: usize = 1_000;
/// Packs that have lost bytes, and are remembered for who asks.
const LOST_MAX: usize = 1_000;

/// When a pack was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScrubRow {
    pub(super) at: Timestamp,
    /// Every byte was what it was, or is now.
    pub(super) is_whole: bool,
}

impl Record for ScrubRow {
    const NAME: &'static str = "scrub row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.at.as_millis()).u8(u8::from(self.is_whole));
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let at = Timestamp::from_millis(fields.i64()?);
        match fields.u8()? {
            whole @ (0 | 1) => Ok(Self { at, is_whole: whole == 1 }),
            other => Err(fields.corrupt(format!("whole {other}"))),
        }
    }
}

/// What scrubs came to since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubTotals {
    /// Packs that were looked at.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that were mended.
    pub mended: u64,
    /// Those that have lost bytes, a thousand at the most.
    pub lost: BTreeSet<PackId>,
    /// The longest that a pack was not looked at, by the last look at the rows.
    pub unseen_since: Option<Timestamp>,
}

/// Worker `vault-scrubber`; its unit is packs.
pub(super) struct Scrubber {
    vaults: Arc<Vaults>,
    /// When rows are read next, by boot time.
    look_at: Option<Duration>,
    /// Those that are due, the longest unseen first.
    due: BTreeSet<(Timestamp, PartitionId, PackId)>,
    /// Bytes of all packs, by the last look.
    all: u64,
    /// Before when none is read, by boot time.
    not_before: Duration,
    trouble: Option<String>,
}

impl Scrubber {
    pub(super) fn new(vaults: Arc<Vaults>) -> Self {
        let (due, not_before) = (BTreeSet::new(), Duration::ZERO);
        Self { vaults, look_at: None, due, all: 0, not_before, trouble: None }
    }

    /// Half of the time in which each byte is looked at.
    fn half(&self) -> Duration {
        self.vaults.day.saturating_mul(PERIOD_DAYS) / 2
    }

    async fn step(&mut self) -> engine::Result<Progress> {
        let now = self.vaults.clock.boottime();
        // A start has other things to do.
        let look_at = *self.look_at.get_or_insert(now + FIRST_LOOK.min(self.half()));
        if now >= look_at {
            self.look_at = Some(now + LOOK.min(self.half()));
            self.look().await.map_err(Error::reported)?;
        }
        let Some((seen, home, pack)) = self.due.first().copied().filter(|_| now >= self.not_before) else {
            let until = self.look_at.unwrap_or(now).min(self.not_before.max(now + Duration::from_secs(1)));
            let until = if self.due.is_empty() { self.look_at.unwrap_or(now) } else { until };
            return Ok(Progress::Idle {
                rest: until.saturating_sub(now).clamp(Duration::from_millis(10), REST),
            });
        };
        self.due.remove(&(seen, home, pack));
        let Some(vault) = self.vaults.at_home(home) else { return Ok(Progress::More { done: 0 }) };
        let bytes = self.vaults.scrub_due(&vault, pack).await.map_err(Error::reported)?;
        if let Some(bytes) = bytes {
            // Its share of the time in which all of them are read.
            let all = u128::from(self.all.max(bytes).max(1));
            let share_ms = self.half().as_millis() * u128::from(bytes) / all;
            self.not_before = now + Duration::from_millis(u64::try_from(share_ms).unwrap_or(u64::MAX));
        }
        let lost = self.vaults.scrubs.lock().lost.len();
        self.trouble =
            (lost > 0).then(|| format!("{lost} packs of vaults have lost bytes: the log names them"));
        Ok(Progress::More { done: u64::from(bytes.is_some()) })
    }

    /// Reads rows for the packs that are due.
    async fn look(&mut self) -> Result<()> {
        let vaults = Arc::clone(&self.vaults);
        let homes: Vec<Arc<Vault>> = vaults.known.read().homes.values().cloned().collect();
        let (now, half) = (vaults.clock.now(), self.half());
        let (mut all, mut unseen, mut here) = (0_u64, None::<Timestamp>, BTreeMap::<MediumId, bool>::new());
        self.due.clear();
        for vault in homes {
            let snapshot = vaults.at(vault.home).await?;
            let mut start: Option<Vec<u8>> = None;
            loop {
                let page = vaults.page(&*snapshot, tables::PACKS, (b"", start.as_deref()), PAGE).await?;
                let keys = page.rows.iter().map(|(key, _)| tables::SCRUBBED.key(key.clone()));
                let seen = snapshot.multi_get(keys.collect()).await?;
                for ((key, raw), seen) in page.rows.iter().zip(seen) {
                    // What can't be read was told by the start.
                    let Ok(row) = PackRow::from_bytes(raw) else { continue };
                    if row.state != PackState::Kept {
                        continue;
                    }
                    all = all.saturating_add(row.bytes);
                    let seen = seen.and_then(|raw| ScrubRow::from_bytes(&raw).ok()).map(|row| row.at);
                    let seen = seen.unwrap_or(row.sealed);
                    unseen = Some(unseen.map_or(seen, |before| before.min(seen)));
                    let is_here = if let Some(is_here) = here.get(&row.medium) {
                        *is_here
                    } else {
                        let is_here = vaults.media.look(row.medium).await.is_ok();
                        here.insert(row.medium, is_here);
                        is_here
                    };
                    if is_here && now.since(seen) >= half {
                        self.due.insert((seen, vault.home, PackId::from_bytes(tables::read_id(key)?)));
                        if self.due.len() > HELD {
                            self.due.pop_last();
                        }
                    }
                }
                start = page.rows.last().map(|(key, _)| engine::catalog::key_after(key).to_vec());
                start = start.filter(|_| page.more);
                if start.is_none() {
                    break;
                }
            }
        }
        self.all = all;
        vaults.scrubs.lock().unseen_since = unseen;
        Ok(())
    }
}

impl Worker for Scrubber {
    fn name(&self) -> &'static str {
        "vault-scrubber"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::default()
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(self.step())
    }
}

impl Vaults {
    /// What scrubs came to since the start.
    pub fn scrubs(&self) -> ScrubTotals {
        self.scrubs.lock().clone()
    }

    /// Looks at a pack whose time has come, and mends it. Bytes that were read; `None`: it is gone, or can't be read now.
    async fn scrub_due(self: &Arc<Self>, vault: &Arc<Vault>, pack: PackId) -> Result<Option<u64>> {
        let snapshot = self.at(vault.home).await?;
        let Some(raw) = snapshot.get(tables::of_pack(tables::PACKS, pack)).await? else { return Ok(None) };
        let found = self.scrub_row(vault, (pack, &raw), true).await?;
        Ok(found.filter(|found| found.health != PackHealth::Away).map(|found| found.bytes))
    }

    /// What was found of a pack is counted, and when it was is kept. A row that can't be written, as on a full disk, has it looked at again.
    pub(super) async fn note_scrub(
        &self,
        vault: &Vault,
        pack: PackId,
        (health, bytes): (PackHealth, u64),
    ) -> Result<()> {
        if health == PackHealth::Away {
            return Ok(());
        }
        let is_whole = matches!(health, PackHealth::Whole | PackHealth::Mended);
        {
            let mut scrubs = self.scrubs.lock();
            scrubs.packs += 1;
            scrubs.bytes = scrubs.bytes.saturating_add(bytes);
            scrubs.mended += u64::from(health == PackHealth::Mended);
            if is_whole {
                scrubs.lost.remove(&pack);
            } else if health == PackHealth::Lost && scrubs.lost.len() < LOST_MAX {
                scrubs.lost.insert(pack);
            }
        }
        if health == PackHealth::Lost {
            tracing::error!(vault = vault.name.as_str(), home = %vault.home, %pack, "a pack has lost bytes");
        }
        let snapshot = self.at(vault.home).await?;
        let key = tables::of_pack(tables::PACKS, pack);
        let row = ScrubRow { at: self.clock.now(), is_whole };
        let noted = Write::Put(tables::of_pack(tables::SCRUBBED, pack), row.to_bytes());
        let change = Change::default().unchanged(key.clone()).writes([noted]);
        if snapshot.get(key).await?.is_some()
            && let Err(error) = self.try_commit(vault.home, &*snapshot, change).await
        {
            tracing::debug!(%pack, %error, "when a pack was looked at is not kept");
        }
        Ok(())
    }
}
