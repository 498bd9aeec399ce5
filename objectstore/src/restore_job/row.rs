//! What is kept of a job: docs/formats/objectstore-rows.md has the byte table.

use super::{AskedBy, RestoreJob, RestoreJobCounts, RestoreJobEnd, RestoreJobId, RestoreJobState};
use crate::RestoreTier;
use bytes::Bytes;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use security::AccountId;

/// A job and what its worker needs besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobRow {
    pub(crate) job: RestoreJob,
    /// By whom, as the rights of each object are asked about.
    pub(crate) by: AskedBy,
    /// What the request said of itself to the conditions of policies.
    pub(crate) said: Vec<(String, String)>,
    /// The request's id, for the events.
    pub(crate) request_id: [u8; 16],
    /// Where the walk goes on among the rows of `CURRENT`; empty at its beginning.
    pub(crate) cursor: Bytes,
}

fn put_time(out: &mut RecordWriter, time: Option<Timestamp>) {
    out.u8(u8::from(time.is_some()));
    if let Some(time) = time {
        out.i64(time.as_millis());
    }
}

fn get_time(fields: &mut RecordReader<'_>) -> Result<Option<Timestamp>> {
    match fields.u8()? {
        0 => Ok(None),
        1 => Ok(Some(Timestamp::from_millis(fields.i64()?))),
        other => Err(fields.corrupt(format!("flag {other}"))),
    }
}

fn put_pairs(out: &mut RecordWriter, pairs: &[(String, String)]) {
    out.u32(u32::try_from(pairs.len()).unwrap_or(u32::MAX));
    for (name, value) in pairs {
        out.text(name).text(value);
    }
}

fn get_pairs(fields: &mut RecordReader<'_>, max: usize) -> Result<Vec<(String, String)>> {
    let count = fields.u32()? as usize;
    if count > max {
        return Err(fields.corrupt(format!("{count} pairs")));
    }
    (0..count).map(|_| Ok((fields.text()?.to_owned(), fields.text()?.to_owned()))).collect()
}

fn put_counts(out: &mut RecordWriter, counts: &RestoreJobCounts) {
    for number in counts.numbers() {
        out.u64(number);
    }
}

fn get_counts(fields: &mut RecordReader<'_>) -> Result<RestoreJobCounts> {
    let mut numbers = [0; RestoreJobCounts::NUMBERS];
    for number in &mut numbers {
        *number = fields.u64()?;
    }
    Ok(RestoreJobCounts::of(numbers))
}

impl Record for JobRow {
    const NAME: &'static str = "restore job";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        let RestoreJob { id, bucket, prefix, tier, days, asked, who, .. } = &self.job;
        let RestoreJob { state, end, counts, counted, eta, waits, failures, .. } = &self.job;
        out.fixed(id.as_bytes()).text(bucket).text(prefix);
        let number = (1..).zip(RestoreTier::ALL).find(|(_, known)| known == tier);
        out.u8(number.map_or(0, |(number, _)| number)).u32(*days).i64(asked.as_millis()).text(who);
        match &self.by {
            AskedBy::Root(account) => out.u8(0).fixed(&account.to_bytes()).text(""),
            AskedBy::Key(account, key) => out.u8(1).fixed(&account.to_bytes()).text(key),
        };
        put_pairs(out, &self.said);
        out.fixed(&self.request_id);
        out.u8(match state {
            RestoreJobState::Asking => 0,
            RestoreJobState::Waiting => 1,
            RestoreJobState::Ended => 2,
        });
        out.bytes(&self.cursor);
        put_counts(out, counts);
        put_time(out, *counted);
        put_time(out, *eta);
        out.text(waits);
        put_pairs(out, failures);
        put_time(out, end.as_ref().map(|end| end.at));
        if let Some(end) = end {
            out.u8(u8::from(end.cancelled)).text(&end.why);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let id = RestoreJobId::from_bytes(fields.fixed()?);
        let (bucket, prefix) = (fields.text()?.to_owned(), fields.text()?.to_owned());
        let number = fields.u8()?;
        let tier = usize::from(number).checked_sub(1).and_then(|at| RestoreTier::ALL.get(at)).copied();
        let tier = tier.ok_or_else(|| fields.corrupt(format!("tier {number}")))?;
        let (days, asked) = (fields.u32()?, Timestamp::from_millis(fields.i64()?));
        let who = fields.text()?.to_owned();
        let kind = fields.u8()?;
        let account = AccountId::from_bytes(fields.fixed()?);
        let account = account.map_err(|error| fields.corrupt(error.to_string()))?;
        let key = fields.text()?.to_owned();
        let by = match kind {
            0 => AskedBy::Root(account),
            1 => AskedBy::Key(account, key),
            other => return Err(fields.corrupt(format!("asked by kind {other}"))),
        };
        let said = get_pairs(fields, super::asker::SAID.len())?;
        let request_id = fields.fixed()?;
        let state = match fields.u8()? {
            0 => RestoreJobState::Asking,
            1 => RestoreJobState::Waiting,
            2 => RestoreJobState::Ended,
            other => return Err(fields.corrupt(format!("state {other}"))),
        };
        let cursor = Bytes::copy_from_slice(fields.bytes()?);
        let counts = get_counts(fields)?;
        let (counted, eta) = (get_time(fields)?, get_time(fields)?);
        let waits = fields.text()?.to_owned();
        let failures = get_pairs(fields, super::FAILURES_MAX)?;
        let end = match get_time(fields)? {
            None => None,
            Some(at) => {
                Some(RestoreJobEnd { at, cancelled: fields.u8()? == 1, why: fields.text()?.to_owned() })
            }
        };
        if (state == RestoreJobState::Ended) != end.is_some() {
            return Err(fields.corrupt("an end that is none"));
        }
        let job = RestoreJob {
            id,
            bucket,
            prefix,
            tier,
            days,
            asked,
            who,
            state,
            end,
            counts,
            counted,
            eta,
            waits,
            failures,
        };
        Ok(Self { job, by, said, request_id, cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::JobRow;
    use crate::restore_job::{AskedBy, RestoreJob, RestoreJobCounts, RestoreJobEnd, RestoreJobId};
    use crate::{RestoreJobState, RestoreTier};
    use bytes::Bytes;
    use engine::catalog::record::Record as _;
    use engine::clock::Timestamp;
    use std::fmt::Write as _;

    fn row() -> JobRow {
        let mut numbers = [0; RestoreJobCounts::NUMBERS];
        for (at, number) in (1..).zip(&mut numbers) {
            *number = at;
        }
        JobRow {
            job: RestoreJob {
                id: RestoreJobId::from_bytes(*b"0123456789abcdef"),
                bucket: "bkt".to_owned(),
                prefix: "a/".to_owned(),
                tier: RestoreTier::Bulk,
                days: 7,
                asked: Timestamp::from_millis(1),
                who: "w".to_owned(),
                state: RestoreJobState::Ended,
                end: Some(RestoreJobEnd {
                    at: Timestamp::from_millis(2),
                    cancelled: true,
                    why: "y".to_owned(),
                }),
                counts: RestoreJobCounts::of(numbers),
                counted: Some(Timestamp::from_millis(3)),
                eta: None,
                waits: String::new(),
                failures: vec![("k".to_owned(), "f".to_owned())],
            },
            by: AskedBy::Key("111122223333".parse().unwrap(), "AKIA".to_owned()),
            said: vec![("aws:sourceip".to_owned(), "::1".to_owned())],
            request_id: *b"REQUESTREQUEST00",
            cursor: Bytes::from_static(b"a/b\0"),
        }
    }

    /// Written once, read for ever.
    const GOLDEN: &str = include_str!("golden.hex");

    #[test]
    fn golden_job() {
        let row = row();
        let raw = row.to_bytes();
        let hex = raw.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        assert_eq!(hex, GOLDEN.trim());
        assert_eq!(JobRow::from_bytes(&raw).unwrap(), row);
        for cut in 0..raw.len() {
            JobRow::from_bytes(&raw[..cut]).unwrap_err();
        }
        let mut open = row;
        open.job.end = None;
        JobRow::from_bytes(&open.to_bytes()).unwrap_err();
        open.job.state = RestoreJobState::Asking;
        open.by = AskedBy::Root("111122223333".parse().unwrap());
        assert_eq!(JobRow::from_bytes(&open.to_bytes()).unwrap(), open);
    }
}
