//! The copies of one blob under way: the same records, to as many zones at once.
//!
//! ```text
//!   record ─┬─► leg of zone a ─► lane ─┐
//!           └─► leg of zone b ─► lane ─┴─► all durable ─► the places of each copy
//!   a leg fails ─► the others go on ─► at the end: its records, from a leg that holds, into another zone
//!                                      └► no other zone ─► refused, or accepted and marked for repair ([`Short`])
//! ```
//!
//! # Invariants
//! - What [`settle`](Spread::settle) accepts is durable in every leg that is left.
//! - Two legs never share a zone.
//! - Blobs of one company share the lane of each zone, as long as it is in no trouble.
//! - Where there is one leg, it is what it would be without zones: its error is the write's error, and nothing is copied.
//!
//! A crash leaves records that no row names.

use super::copies::{Fate, hopeful, look_in};
use super::row::{BlobCopy, Copies};
use super::{BlobStore, Short};
use crate::id::{BlobId, PartitionId};
use crate::pool::{Draft, Hold, Lane, Placed, Pool, RecordAt, Zone, ZoneId, again};
use crate::{Error, Result};
use futures_util::future::join_all;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Blobs that one hand writes one after the other: they go to the same lanes, so that one sync makes several of them durable.
#[derive(Clone, Default)]
pub struct Company(Arc<Mutex<Vec<Seat>>>);

/// Where the blobs of a company go in a zone.
struct Seat {
    zone: ZoneId,
    pool: Arc<Pool>,
    lane: Lane,
}

impl Company {
    /// The first of them chooses, and whoever finds that place in trouble chooses anew.
    fn leg(&self, zone: &Zone) -> Result<Leg> {
        let mut seats = self.0.lock();
        seats.retain(|seat| seat.zone != zone.id || !seat.pool.is_troubled());
        let mut leg = Leg::new(zone)?;
        if let Some(seat) = seats.iter().find(|seat| seat.zone == zone.id) {
            (leg.pool, leg.large) = (Arc::clone(&seat.pool), Some(seat.lane.clone()));
            return Ok(leg);
        }
        let lane = leg.pool.large_lane();
        leg.large = Some(lane.clone());
        seats.push(Seat { zone: zone.id, pool: Arc::clone(&leg.pool), lane });
        Ok(leg)
    }
}

/// The legs of a blob.
pub(super) struct Spread {
    home: PartitionId,
    blob: BlobId,
    pub(super) wanted: Copies,
    pub(super) company: Option<Company>,
    /// Chosen with the first record.
    legs: Vec<Leg>,
    /// Zones that failed on the way, and the first one's error.
    lost: Vec<ZoneId>,
    error: Option<Error>,
    records: u32,
}

/// One zone's copy.
struct Leg {
    zone: ZoneId,
    pool: Arc<Pool>,
    /// Once the blob has outgrown the small lane.
    large: Option<Lane>,
    /// The record before, while its lane still writes it.
    in_flight: Option<oneshot::Receiver<Result<Placed>>>,
    placed: Vec<Placed>,
    failed: Option<Error>,
}

/// Copies that are durable.
pub(super) struct Landed {
    pub(super) copies: Vec<BlobCopy>,
    pub(super) holds: Vec<Hold>,
    /// Fewer than are wanted.
    pub(super) short: bool,
}

impl Leg {
    fn new(zone: &Zone) -> Result<Self> {
        let pool = Arc::clone(zone.pool()?);
        Ok(Self { zone: zone.id, pool, large: None, in_flight: None, placed: Vec::new(), failed: None })
    }

    async fn await_in_flight(&mut self) -> Result<()> {
        if let Some(answer) = self.in_flight.take() {
            match answer.await.map_err(|_| Error::Closed)? {
                Ok(placed) => self.placed.push(placed),
                Err(error) => self.failed = Some(error),
            }
        }
        Ok(())
    }

    async fn send(&mut self, draft: Draft) -> Result<()> {
        let lane = self.large.get_or_insert_with(|| self.pool.large_lane()).clone();
        self.in_flight = Some(lane.append(draft).await?);
        Ok(())
    }

    /// Everything that was placed is durable when this returns without a failure.
    async fn sync(&mut self) {
        let Some(lane) = &self.large else { return };
        let outcome = lane.sync().await;
        self.synced(outcome);
    }

    /// Its lane was synced behind its last record.
    fn synced(&mut self, outcome: Result<()>) {
        let lost = self.placed.iter().find(|placed| placed.hold.segment().has_failed());
        self.failed = match (outcome, lost) {
            (Ok(()), None) => return,
            (Ok(()), Some(lost)) => {
                let source = std::io::Error::other("a sync failed before the blob was sealed");
                Some(Error::io("write segment", &lost.hold.segment().path, source))
            }
            (Err(error), _) => Some(error),
        };
    }
}

impl Spread {
    pub(super) fn new(home: PartitionId, blob: BlobId) -> Self {
        let (legs, lost) = (Vec::new(), Vec::new());
        let (wanted, company) = (Copies::Configured, None);
        Self { home, blob, wanted, company, legs, lost, error: None, records: 0 }
    }

    /// Index of the next record.
    pub(super) const fn next_index(&self) -> u32 {
        self.records
    }

    fn begin(&mut self, store: &BlobStore) -> Result<()> {
        if !self.legs.is_empty() {
            return Ok(());
        }
        let wanted = store.count_of(self.wanted);
        let mut takers = store.zones.takers();
        let sound = takers.iter().filter(|zone| !zone.is_troubled()).count();
        // Whoever accepts fewer copies does not wait for a zone that is known not to work.
        if store.short == Short::Accept && sound > 0 {
            takers.truncate(sound);
        }
        takers.truncate(wanted);
        if takers.is_empty() || (takers.len() < wanted && store.short == Short::Refuse) {
            return Err(Error::TooFewZones { wanted, there: takers.len() });
        }
        let leg = |zone: &Zone| match &self.company {
            Some(company) => company.leg(zone),
            None => Leg::new(zone),
        };
        self.legs = takers.into_iter().map(leg).collect::<Result<_>>()?;
        Ok(())
    }

    /// Waits until the record before is written, or has failed, everywhere.
    pub(super) async fn await_in_flight(&mut self) -> Result<()> {
        for leg in &mut self.legs {
            leg.await_in_flight().await?;
        }
        self.drop_failed()
    }

    /// Lets go of legs that failed; an error when none is left.
    fn drop_failed(&mut self) -> Result<()> {
        if self.legs.iter().all(|leg| leg.failed.is_none()) {
            return Ok(());
        }
        for mut leg in std::mem::take(&mut self.legs) {
            match leg.failed.take() {
                None => self.legs.push(leg),
                Some(error) => {
                    if !self.legs.is_empty() || !self.lost.is_empty() {
                        tracing::warn!(blob = %self.blob, dir = %leg.pool.allocator.dir().display(), %error,
                            "a zone failed during a write");
                    }
                    self.lost.push(leg.zone);
                    self.error.get_or_insert(error);
                }
            }
        }
        match &self.error {
            Some(_) if self.legs.is_empty() => Err(self.error.take().unwrap_or(Error::Closed)),
            _ => Ok(()),
        }
    }

    /// Hands a record to the large lanes, once the one before is written.
    pub(super) async fn send(&mut self, store: &BlobStore, draft: Draft) -> Result<()> {
        self.begin(store)?;
        self.await_in_flight().await?;
        self.records += 1;
        let Some((last, others)) = self.legs.split_last_mut() else { return Err(Error::Closed) };
        for leg in others {
            leg.send(draft.clone()).await?;
        }
        last.send(draft).await
    }

    /// Writes the one record of a small blob; it is durable when this returns.
    pub(super) async fn send_small(&mut self, store: &BlobStore, draft: Draft) -> Result<()> {
        self.begin(store)?;
        self.records += 1;
        let Some((last, others)) = self.legs.split_last_mut() else { return Err(Error::Closed) };
        for leg in others {
            leg.in_flight = Some(leg.pool.small.append(draft.clone()).await?);
        }
        last.in_flight = Some(last.pool.small.append(draft).await?);
        self.await_in_flight().await
    }

    /// Makes everything sent durable.
    pub(super) async fn sync(&mut self) -> Result<()> {
        self.await_in_flight().await?;
        if let [only] = self.legs.as_mut_slice() {
            only.sync().await;
        } else {
            join_all(self.legs.iter_mut().map(Leg::sync)).await;
        }
        self.drop_failed()
    }

    /// Makes everything sent of all of these durable, with one sync of each lane of large blobs.
    pub(super) async fn sync_all(mut all: Vec<&mut Self>) -> Result<()> {
        let mut lanes: Vec<Lane> = Vec::new();
        for spread in &mut all {
            spread.await_in_flight().await?;
            for lane in spread.legs.iter().filter_map(|leg| leg.large.as_ref()) {
                if !lanes.iter().any(|known| known.is(lane)) {
                    lanes.push(lane.clone());
                }
            }
        }
        let outcomes = join_all(lanes.iter().map(Lane::sync)).await;
        for spread in all {
            for leg in &mut spread.legs {
                let Some(own) = &leg.large else { continue };
                let outcome = lanes.iter().zip(&outcomes).find(|(lane, _)| lane.is(own));
                if let Some((_, outcome)) = outcome {
                    leg.synced(outcome.as_ref().map_err(again).copied());
                }
            }
            spread.drop_failed()?;
        }
        Ok(())
    }

    /// Makes up for zones that failed on the way, or says that they are missing.
    pub(super) async fn settle(mut self, store: &BlobStore) -> Result<Landed> {
        if self.records == 0 {
            // Nothing to keep: it is nowhere, in as many copies as anybody wants.
            let copies = vec![BlobCopy { zone: ZoneId::FIRST, places: Vec::new() }];
            return Ok(Landed { copies, holds: Vec::new(), short: false });
        }
        let wanted = store.count_of(self.wanted);
        while self.legs.len() < wanted {
            let Some(leg) = self.replacement(store).await? else { break };
            self.legs.push(leg);
        }
        let short = self.legs.len() < wanted;
        if short && store.short == Short::Refuse {
            let there = self.legs.len();
            return Err(self.error.take().unwrap_or(Error::TooFewZones { wanted, there }));
        }
        let mut landed = Landed { copies: Vec::new(), holds: Vec::new(), short };
        for leg in self.legs {
            let places: Vec<RecordAt> = leg.placed.iter().map(|placed| placed.at).collect();
            landed.copies.push(BlobCopy { zone: leg.zone, places });
            landed.holds.extend(leg.placed.into_iter().map(|placed| placed.hold));
        }
        Ok(landed)
    }

    /// The same records in one more zone; `None` when no other zone takes them.
    async fn replacement(&mut self, store: &BlobStore) -> Result<Option<Leg>> {
        for zone in store.zones.takers() {
            if self.lost.contains(&zone.id) || self.legs.iter().any(|leg| leg.zone == zone.id) {
                continue;
            }
            match self.copy_to(zone).await {
                Ok(leg) => return Ok(Some(leg)),
                Err(Error::Closed) => return Err(Error::Closed),
                Err(error) => {
                    tracing::warn!(blob = %self.blob, zone = %zone.name, %error, "a zone can't stand in for another");
                    self.lost.push(zone.id);
                }
            }
        }
        Ok(None)
    }

    async fn copy_to(&self, zone: &Zone) -> Result<Leg> {
        let mut to = Leg::new(zone)?;
        for index in 0..self.records as usize {
            let draft = self.read_back(index).await?;
            to.await_in_flight().await?;
            to.send(draft).await?;
        }
        to.await_in_flight().await?;
        to.sync().await;
        match to.failed.take() {
            Some(error) => Err(error),
            None => Ok(to),
        }
    }

    /// A record as one of the legs holds it, verified.
    async fn read_back(&self, index: usize) -> Result<Draft> {
        let mut failed = None;
        for leg in &self.legs {
            let Some(placed) = leg.placed.get(index) else { continue };
            match look_in(Arc::clone(placed.hold.segment()), self.blob, placed.at).await? {
                Fate::Sound((frame, bytes)) => return Ok(Draft::again(self.home, &frame, bytes)),
                Fate::Damaged(error) | Fate::Unreadable(error) | Fate::Away(error) => {
                    failed = Some(hopeful(failed, error));
                }
            }
        }
        Err(failed.unwrap_or(Error::Closed))
    }
}
