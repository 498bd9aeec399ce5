//! The petabyte, and who wants what of it when.

use crate::dice::Dice;
use archive::retrieval::{
    Costs, Depth, Extent, JobId, Label, Medium, MediumId, MediumKind, Request, StationId, Tier, Timetable,
    VaultId,
};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use std::time::Duration;

/// Media.
pub const MEDIA: u64 = 100;
/// Drives.
pub const DRIVES: u16 = 4;
/// Requests.
pub const REQUESTS: usize = 7_581;
/// How much each medium holds: together a petabyte.
pub const CAPACITY: u64 = 10_000_000_000_000;
/// The one station.
pub const STATION: StationId = StationId(1);
/// When the day begins.
pub const MIDNIGHT: Timestamp = Timestamp::from_millis(1_800_000_000_000);

const HOUR_MS: u64 = 3_600_000;

/// What a drive and medium take.
pub const COSTS: Costs = Costs {
    mount: Duration::from_mins(1),
    unmount: Duration::from_secs(30),
    seek_base: Duration::from_secs(2),
    seek_full: Duration::from_mins(1),
    read_per_second: ByteCount::new(300_000_000),
    linger: None,
};

/// The id of a medium.
pub fn medium_id(number: u64) -> MediumId {
    MediumId::from_bytes((u128::from(number) + 1).to_be_bytes())
}

/// All of the media.
///
/// # Panics
/// Never: the labels are good.
pub fn media() -> Vec<Medium> {
    (0..MEDIA)
        .map(|number| Medium {
            id: medium_id(number),
            label: format!("P{number:03}").parse::<Label>().expect("a good label"),
            kind: MediumKind::Tape,
            station: STATION,
            capacity: ByteCount::new(CAPACITY),
            costs: COSTS,
            here: true,
        })
        .collect()
}

/// How many of a hundred requests are of each tier.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Percent.
    pub expedited: u64,
    /// Percent; the rest is bulk.
    pub standard: u64,
}

/// The mix that the figures are for.
pub const MIX: Mix = Mix { expedited: 1, standard: 34 };

/// The day's requests, in the order of their arrival.
pub fn day(dice: &mut Dice, mix: Mix, count: usize) -> Vec<Request> {
    let mut wanted: Vec<(u64, Tier, u64)> = Vec::new();
    while wanted.len() < count {
        let (at, tier) = (moment(dice), tier(dice, mix));
        // A campaign has 40 on average: one in 281 beginnings makes an eighth of all requests.
        if tier != Tier::Expedited && dice.below(281) == 0 {
            let first = dice.below(MEDIA);
            for _ in 0..20 + dice.below(41) {
                wanted.push((at + dice.below(HOUR_MS / 6), tier, (first + dice.below(2)) % MEDIA));
            }
        } else {
            wanted.push((at, tier, dice.below(MEDIA)));
        }
    }
    wanted.truncate(count);
    wanted.sort_by_key(|(at, ..)| *at);
    wanted.into_iter().enumerate().map(|(number, wanted)| request(dice, number, wanted)).collect()
}

/// A moment of the day: hours from 8 to 20 count five times.
fn moment(dice: &mut Dice) -> u64 {
    let weighed = dice.below((12 + 5 * 12) * HOUR_MS);
    if weighed < 60 * HOUR_MS {
        return 8 * HOUR_MS + weighed / 5;
    }
    let night = weighed - 60 * HOUR_MS;
    if night < 8 * HOUR_MS { night } else { night + 12 * HOUR_MS }
}

fn tier(dice: &mut Dice, mix: Mix) -> Tier {
    match dice.below(100) {
        percent if percent < mix.expedited => Tier::Expedited,
        percent if percent < mix.expedited + mix.standard => Tier::Standard,
        _ => Tier::Bulk,
    }
}

fn request(dice: &mut Dice, number: usize, (at, tier, medium): (u64, Tier, u64)) -> Request {
    let len = match tier {
        Tier::Expedited => dice.magnitude(1_000_000, 250_000_000),
        Tier::Standard | Tier::Bulk => dice.magnitude(10_000_000, 20_000_000_000),
    };
    let created = MIDNIGHT.plus(Duration::from_millis(at));
    let window = Timetable::default().window(Depth::Flexible, tier);
    Request {
        job: JobId::from_bytes((number as u128 + 1).to_be_bytes()),
        vault: VaultId::from_bytes([7; 16]),
        tier,
        created,
        deadline: created.plus(window.map_or(Duration::ZERO, |window| window.latest)),
        not_before: created,
        provisioned: false,
        extents: vec![Extent { medium: medium_id(medium), offset: dice.below(CAPACITY - len), len }],
    }
}
