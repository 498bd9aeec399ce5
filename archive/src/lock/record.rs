//! The rows of locks and guards: docs/formats/vault-locks.md.

use super::guard::{Guard, HoldName};
use super::vault::{LockId, LockPolicy, VaultLock};
use bytes::Bytes;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;

impl Record for VaultLock {
    const NAME: &'static str = "vault lock";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        match self {
            Self::Open => {
                out.u8(0);
            }
            Self::InProgress { id, policy, created } => {
                out.u8(1).fixed(id.as_bytes()).i64(created.as_millis()).bytes(policy.as_bytes());
            }
            Self::Locked { id, policy, created, locked } => {
                out.u8(2).fixed(id.as_bytes()).i64(created.as_millis()).i64(locked.as_millis());
                out.bytes(policy.as_bytes());
            }
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let state = fields.u8()?;
        if state == 0 {
            return Ok(Self::Open);
        }
        let id = LockId::from_bytes(fields.fixed()?);
        let created = Timestamp::from_millis(fields.i64()?);
        match state {
            1 => Ok(Self::InProgress { id, policy: policy(fields)?, created }),
            2 => {
                let locked = Timestamp::from_millis(fields.i64()?);
                Ok(Self::Locked { id, policy: policy(fields)?, created, locked })
            }
            other => Err(fields.corrupt(format!("state {other}"))),
        }
    }
}

fn policy(fields: &mut RecordReader<'_>) -> Result<LockPolicy> {
    let bytes = Bytes::copy_from_slice(fields.bytes()?);
    LockPolicy::new(bytes).map_err(|error| fields.corrupt(error.to_string()))
}

impl Record for Guard {
    const NAME: &'static str = "vault guard";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u64(self.least_days).count(self.holds.len());
        for hold in &self.holds {
            out.text(hold.as_str());
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let mut guard = Self { least_days: fields.u64()?, ..Self::default() };
        for _ in 0..fields.count()? {
            let name = HoldName::new(fields.text()?).map_err(|error| fields.corrupt(error.to_string()))?;
            let sorted = guard.holds.last().is_none_or(|last| *last < name);
            guard = guard.hold(name).map_err(|error| fields.corrupt(error.to_string()))?;
            if !sorted {
                return Err(fields.corrupt("holds out of order"));
            }
        }
        Ok(guard)
    }
}
