//! Jobs and who may have them. What is planned has its tests in `schedule`.

mod admit;
mod desk;
mod job;
mod record;

use super::{Depth, Job, JobId, JobState, MicroDollars, Subject, Tier, VaultId};
use crate::inventory::Description;
use crate::tree_hash::ByteRange;
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use std::time::Duration;

const T0: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const HOUR: Duration = Duration::from_hours(1);

fn after(hours: u32) -> Timestamp {
    T0.plus(HOUR * hours)
}

/// A standard job in a vault that keeps AWS's timetable.
fn job(state: JobState) -> Job {
    Job {
        id: JobId::from_bytes(*b"job-job-job-job-"),
        vault: VaultId::from_bytes(*b"vaultvaultvault-"),
        subject: Subject::Archive {
            archive: "archive-1".into(),
            range: Some(ByteRange::new(0, (1 << 20) - 1).unwrap()),
        },
        tier: Tier::Standard,
        depth: Depth::Flexible,
        description: Description::new("for the \"court\"").unwrap(),
        topic: "arn:aws:sns:us-east-1:123456789012:t".into(),
        created: T0,
        deadline: after(5),
        not_before: after(3),
        quoted: after(4),
        eta: after(4),
        bytes: ByteCount::mib(1),
        read: ByteCount::kib(256),
        keep: HOUR * 24,
        cost: MicroDollars::new(60),
        state,
    }
}
