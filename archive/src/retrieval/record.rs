//! A job's row: docs/formats/retrieval-jobs.md.

use super::job::{Failure, Job, JobId, JobState, Subject, VaultId};
use super::{Depth, Label, MicroDollars, Tier};
use crate::inventory::{Description, Format, MAX_ARCHIVE_ID_BYTES, Selection};
use crate::tree_hash::ByteRange;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use std::time::Duration;

const MAX_TOPIC_BYTES: usize = 1024;

impl Record for Job {
    const NAME: &'static str = "retrieval job";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.id.as_bytes()).fixed(self.vault.as_bytes());
        write_subject(&self.subject, out);
        out.u8(match self.tier {
            Tier::Expedited => 1,
            Tier::Standard => 2,
            Tier::Bulk => 3,
        });
        out.u8(match self.depth {
            Depth::Flexible => 1,
            Depth::Deep => 2,
        });
        out.text(self.description.as_str()).text(&self.topic);
        for at in [self.created, self.deadline, self.not_before, self.quoted, self.eta] {
            out.i64(at.as_millis());
        }
        let keep_ms = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        out.u64(self.bytes.get()).u64(self.read.get()).u64(keep_ms).u64(self.cost.get());
        write_state(&self.state, out);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self {
            id: JobId::from_bytes(fields.fixed()?),
            vault: VaultId::from_bytes(fields.fixed()?),
            subject: read_subject(fields)?,
            tier: match fields.u8()? {
                1 => Tier::Expedited,
                2 => Tier::Standard,
                3 => Tier::Bulk,
                other => return Err(fields.corrupt(format!("tier {other}"))),
            },
            depth: match fields.u8()? {
                1 => Depth::Flexible,
                2 => Depth::Deep,
                other => return Err(fields.corrupt(format!("depth {other}"))),
            },
            description: read_description(fields)?,
            topic: read_text(fields, "a topic", MAX_TOPIC_BYTES)?,
            created: time(fields)?,
            deadline: time(fields)?,
            not_before: time(fields)?,
            quoted: time(fields)?,
            eta: time(fields)?,
            bytes: ByteCount::new(fields.u64()?),
            read: ByteCount::new(fields.u64()?),
            keep: Duration::from_millis(fields.u64()?),
            cost: MicroDollars::new(fields.u64()?),
            state: read_state(fields)?,
        })
    }
}

fn write_subject(subject: &Subject, out: &mut RecordWriter) {
    match subject {
        Subject::Archive { archive, range: None } => {
            out.u8(1).text(archive);
        }
        Subject::Archive { archive, range: Some(range) } => {
            out.u8(2).text(archive).u64(range.first()).u64(range.last());
        }
        Subject::Inventory { format, selection } => {
            out.u8(match format {
                Format::Json => 3,
                Format::Csv => 4,
            });
            for at in [selection.start, selection.end] {
                out.u8(at.is_some().into()).i64(at.unwrap_or_default().as_millis());
            }
            // 0 is no limit that can be asked for, an empty text no marker.
            out.u64(selection.limit.unwrap_or(0));
            out.text(&selection.marker.as_ref().map(ToString::to_string).unwrap_or_default());
        }
    }
}

fn read_subject(fields: &mut RecordReader<'_>) -> Result<Subject> {
    let kind = fields.u8()?;
    let format = match kind {
        1 | 2 => {
            let archive = read_text(fields, "an archive's id", MAX_ARCHIVE_ID_BYTES)?;
            let range = if kind == 2 { Some(read_range(fields)?) } else { None };
            return Ok(Subject::Archive { archive, range });
        }
        3 => Format::Json,
        4 => Format::Csv,
        other => return Err(fields.corrupt(format!("subject {other}"))),
    };
    let mut dates = [None; 2];
    for date in &mut dates {
        let there = fields.u8()?;
        let at = time(fields)?;
        *date = match (there, at) {
            (1, at) => Some(at),
            (0, at) if at == Timestamp::default() => None,
            _ => return Err(fields.corrupt("a date that is there and is not")),
        };
    }
    let limit = Some(fields.u64()?).filter(|limit| *limit > 0);
    let marker = match fields.text()? {
        "" => None,
        text => Some(text.parse().map_err(|_| fields.corrupt("a marker out of form"))?),
    };
    let selection = Selection { start: dates[0], end: dates[1], limit, marker };
    Ok(Subject::Inventory { format, selection })
}

fn read_range(fields: &mut RecordReader<'_>) -> Result<ByteRange> {
    let (first, last) = (fields.u64()?, fields.u64()?);
    ByteRange::new(first, last).map_err(|error| fields.corrupt(error.to_string()))
}

fn write_state(state: &JobState, out: &mut RecordWriter) {
    match state {
        JobState::Queued => {
            out.u8(1);
        }
        JobState::Staging => {
            out.u8(2);
        }
        JobState::Waiting { label } => {
            out.u8(3).text(label.as_str());
        }
        JobState::Held => {
            out.u8(4);
        }
        JobState::Ready { since, until } => {
            out.u8(5).i64(since.as_millis()).i64(until.as_millis());
        }
        JobState::Expired { since } => {
            out.u8(6).i64(since.as_millis());
        }
        JobState::Failed { since, why } => {
            out.u8(7).i64(since.as_millis()).u8(match why {
                Failure::Cancelled => 1,
                Failure::Deleted => 2,
                Failure::Damaged => 3,
            });
        }
    }
}

fn read_state(fields: &mut RecordReader<'_>) -> Result<JobState> {
    Ok(match fields.u8()? {
        1 => JobState::Queued,
        2 => JobState::Staging,
        3 => {
            let label: Result<Label, _> = fields.text()?.parse();
            JobState::Waiting { label: label.map_err(|error| fields.corrupt(error.to_string()))? }
        }
        4 => JobState::Held,
        5 => JobState::Ready { since: time(fields)?, until: time(fields)? },
        6 => JobState::Expired { since: time(fields)? },
        7 => {
            let since = time(fields)?;
            let why = match fields.u8()? {
                1 => Failure::Cancelled,
                2 => Failure::Deleted,
                3 => Failure::Damaged,
                other => return Err(fields.corrupt(format!("failure {other}"))),
            };
            JobState::Failed { since, why }
        }
        other => return Err(fields.corrupt(format!("state {other}"))),
    })
}

fn read_description(fields: &mut RecordReader<'_>) -> Result<Description> {
    Description::new(fields.text()?).map_err(|error| fields.corrupt(error.to_string()))
}

fn read_text(fields: &mut RecordReader<'_>, what: &str, most: usize) -> Result<String> {
    let text = fields.text()?;
    if text.len() > most {
        return Err(fields.corrupt(format!("{what} of {} bytes", text.len())));
    }
    Ok(text.to_owned())
}

fn time(fields: &mut RecordReader<'_>) -> Result<Timestamp> {
    Ok(Timestamp::from_millis(fields.i64()?))
}
