//! The bytes of jobs.

use super::super::{Failure, Job, JobState, Subject};
use super::{T0, after, job};
use crate::inventory::{Format, Marker, Place, Selection};
use engine::Error;
use engine::catalog::record::Record;

fn samples() -> Vec<Job> {
    let selection = Selection {
        start: Some(T0),
        end: None,
        limit: Some(7),
        marker: Some(Marker::after(Place { created: T0, archive: "a".into() })),
    };
    let subjects = [
        Subject::Archive { archive: "archive-1".into(), range: None },
        Subject::Inventory { format: Format::Csv, selection },
        Subject::Inventory { format: Format::Json, selection: Selection::default() },
    ];
    let states = [
        JobState::Queued,
        JobState::Staging,
        JobState::Waiting { label: "P001".parse().unwrap() },
        JobState::Held,
        JobState::Ready { since: T0, until: after(24) },
        JobState::Expired { since: T0 },
        JobState::Failed { since: T0, why: Failure::Deleted },
    ];
    let of_states = states.into_iter().map(job);
    let of_subjects = subjects.into_iter().map(|subject| Job { subject, ..job(JobState::Queued) });
    of_states.chain(of_subjects).collect()
}

#[test]
fn jobs_have_their_golden_bytes() {
    let golden = concat!(
        "01",                               // version
        "6a6f622d6a6f622d6a6f622d6a6f622d", // job
        "7661756c747661756c747661756c742d", // vault
        "0209617263686976652d31",           // a range of archive-1
        "0000000000000000ffff0f0000000000", // 0 to 1048575
        "02",                               // standard
        "01",                               // flexible
        "0f666f722074686520\
         22636f75727422", // for the "court"
        "2461726e3a6177733a736e733a75732d656173742d313a3132333435363738393031323a74", // topic
        "0068e5cf8b010000",                 // created
        "8010f8d08b010000",                 // deadline
    );
    let bytes = job(JobState::Ready { since: T0, until: after(24) }).to_bytes();
    let text = hex::encode(&bytes);
    assert!(text.starts_with(golden), "{text}");
    let rest = concat!(
        "80338ad08b010000", // not before
        "0022c1d08b010000", // quoted
        "0022c1d08b010000", // eta
        "0000100000000000", // bytes
        "0000040000000000", // read
        "005c260500000000", // kept for a day
        "3c00000000000000", // 60 millionths of a dollar
        "05",               // ready
        "0068e5cf8b010000", // since
        "00c40bd58b010000", // until
    );
    assert_eq!(&text[golden.len()..], rest);
}

#[test]
fn what_was_written_is_read_and_newer_cut_and_impossible_rows_are_refused() {
    for job in samples() {
        let bytes = job.to_bytes();
        assert_eq!(Job::from_bytes(&bytes).unwrap(), job);
        for cut in 0..bytes.len() {
            assert!(matches!(Job::from_bytes(&bytes[..cut]), Err(Error::Corrupt { .. })), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 0x40;
            assert!(Job::from_bytes(&flipped).ok().is_none_or(|other| other != job), "byte {at}");
        }
        let mut newer = bytes.to_vec();
        newer[0] = Job::VERSION + 1;
        assert!(matches!(Job::from_bytes(&newer), Err(Error::Newer { .. })));
        newer[0] = 1;
        newer.push(0);
        assert!(matches!(Job::from_bytes(&newer), Err(Error::Corrupt { .. })));
    }
}
