//! First come, first served: what the scheduler is compared with.

use crate::dice::Dice;
use crate::requests::{CAPACITY, COSTS};
use archive::retrieval::{MediumId, Request};
use engine::unit::ByteCount;
use std::collections::VecDeque;

/// What first come, first served comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// How often a medium was mounted.
    pub mounts: usize,
    /// Requests that were done after their deadline.
    pub late: usize,
}

#[derive(Clone, Debug, Default)]
struct Drive {
    medium: Option<MediumId>,
    head: u64,
    free_at: i64,
    /// Of the medium that it has, in their order.
    next: VecDeque<usize>,
}

/// Serves all requests, in their order.
pub fn serve(seed: u64, drives: u16, requests: &[Request]) -> Served {
    let mut dice = Dice::new(seed ^ 0x5EED);
    let mut drives = vec![Drive::default(); usize::from(drives)];
    let mut served = Served::default();
    for (number, request) in requests.iter().enumerate() {
        let medium = request.extents.first().map(|extent| extent.medium);
        let arrived = request.created.as_millis();
        // The drive that has the medium when the request's turn has come, else the one that is free first. A turn comes when a drive
        // is free; until then drives go on with what they were given.
        let turn = drives.iter().map(|drive| drive.free_at).min().unwrap_or(0).max(arrived);
        let has = drives.iter().position(|drive| drive.medium == medium);
        let first = (0..drives.len()).min_by_key(|drive| drives[*drive].free_at).unwrap_or(0);
        let drive = &mut drives[has.unwrap_or(first)];
        drive.next.push_back(number);
        let mut at = drive.free_at.max(turn);
        if drive.medium != medium {
            let unmount = if drive.medium.is_some() { COSTS.unmount } else { std::time::Duration::ZERO };
            at += spent(&mut dice, unmount + COSTS.mount);
            (drive.medium, drive.head) = (medium, 0);
            served.mounts += 1;
        }
        for extent in &request.extents {
            let way = COSTS.seek(drive.head, extent.offset, ByteCount::new(CAPACITY));
            at += spent(&mut dice, way + COSTS.read(extent.len));
            drive.head = extent.offset + extent.len;
        }
        drive.free_at = at;
        served.late += usize::from(at > request.deadline.as_millis());
    }
    served
}

fn spent(dice: &mut Dice, cost: std::time::Duration) -> i64 {
    let ms = dice.about(u64::try_from(cost.as_millis()).unwrap_or(u64::MAX));
    i64::try_from(ms).unwrap_or(i64::MAX)
}
