//! An archive that is being taken apart: what its entries share, and each entry that waits for its name.

use super::fields::{get_bool, get_envelope, get_managed_envelope, put_bool, put_envelope};
use super::object::Stored;
use super::subresources::{get_subresources, put_subresources};
use super::{get_access_list, get_user, put_access_list, put_user};
use crate::envelope::Envelope;
use crate::id::IngestId;
use crate::{ListWish, ObjectKey, Origin, Subresources, Writer};
use bytes::Bytes;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use security::{CannedAcl, CanonicalUser, Principal};

/// How far an ingest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IngestState {
    /// Entries are being staged. Where nobody does so any more, none of them gets a name.
    Receiving,
    /// The archive was whole: every entry gets its name, whoever gives it.
    Publishing,
    /// Its entries are released.
    Dropped,
}

/// An archive that is being taken apart, and what all of its objects have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IngestRow {
    pub(crate) state: IngestState,
    pub(crate) begun: Timestamp,
    /// The bucket's name, for events.
    pub(crate) bucket: String,
    /// Only keys under which there is nothing.
    pub(crate) if_absent: bool,
    pub(crate) subresources: Subresources,
    pub(crate) writer: Writer,
    pub(crate) origin: Origin,
}

const CANNED: u8 = 1;
const GRANTS: u8 = 2;

fn put_wish(out: &mut RecordWriter, wish: &ListWish) {
    match wish {
        ListWish::Default => {
            out.u8(0);
        }
        ListWish::Canned(canned) => {
            out.u8(CANNED).text(canned.as_str());
        }
        ListWish::Grants(list) => put_access_list(out.u8(GRANTS), list),
    }
}

fn get_wish(fields: &mut RecordReader<'_>) -> Result<ListWish> {
    match fields.u8()? {
        0 => Ok(ListWish::Default),
        CANNED => {
            let name = fields.text()?;
            let known = CannedAcl::ALL.into_iter().find(|canned| canned.as_str() == name);
            known.map(ListWish::Canned).ok_or_else(|| fields.corrupt("an unknown access list"))
        }
        GRANTS => get_access_list(fields).map(ListWish::Grants),
        other => Err(fields.corrupt(format!("access list of kind {other}"))),
    }
}

fn put_optional_user(out: &mut RecordWriter, user: Option<CanonicalUser>) {
    put_bool(out, user.is_some());
    if let Some(user) = user {
        put_user(out, user);
    }
}

fn get_optional_user(fields: &mut RecordReader<'_>) -> Result<Option<CanonicalUser>> {
    if get_bool(fields)? { get_user(fields).map(Some) } else { Ok(None) }
}

fn put_origin(out: &mut RecordWriter, origin: &Origin) {
    // Of a user or session there is no account to tell of: its root did not ask.
    let told = origin.principal.as_ref().filter(|who| who.is_root() || **who == Principal::Anonymous);
    put_optional_user(out, told.map(Principal::canonical_user));
    out.text(&origin.source.map(|source| source.to_string()).unwrap_or_default());
    out.fixed(&origin.request_id).text(&origin.host_id);
}

fn get_origin(fields: &mut RecordReader<'_>) -> Result<Origin> {
    let principal = get_optional_user(fields)?.map(|user| match user {
        CanonicalUser::Anonymous => Principal::Anonymous,
        CanonicalUser::Account(account) => Principal::Root(account),
    });
    let source = match fields.text()? {
        "" => None,
        text => Some(text.parse().map_err(|_| fields.corrupt("an impossible address"))?),
    };
    let request_id = fields.fixed()?;
    Ok(Origin { principal, source, request_id, host_id: fields.text()?.into(), by_form: false })
}

impl Record for IngestRow {
    const NAME: &'static str = "ingest row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u8(match self.state {
            IngestState::Receiving => 0,
            IngestState::Publishing => 1,
            IngestState::Dropped => 2,
        });
        out.i64(self.begun.as_millis()).text(&self.bucket);
        put_bool(out, self.if_absent);
        put_bool(out, !self.subresources.is_none());
        if !self.subresources.is_none() {
            put_subresources(out, &self.subresources);
        }
        put_optional_user(out, self.writer.by);
        put_wish(out, &self.writer.list);
        put_origin(out, &self.origin);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let state = match fields.u8()? {
            0 => IngestState::Receiving,
            1 => IngestState::Publishing,
            2 => IngestState::Dropped,
            other => return Err(fields.corrupt(format!("state {other}"))),
        };
        let begun = Timestamp::from_millis(fields.i64()?);
        let bucket = fields.text()?.into();
        let if_absent = get_bool(fields)?;
        let subresources =
            if get_bool(fields)? { get_subresources(fields)? } else { Subresources::default() };
        let writer = Writer { by: get_optional_user(fields)?, list: get_wish(fields)? };
        Ok(Self { state, begun, bucket, if_absent, subresources, writer, origin: get_origin(fields)? })
    }
}

/// An entry whose bytes are there. Authenticated as parts are, over partition, ingest and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StagedRow {
    pub(crate) stored: Stored,
    /// The sealed data key.
    pub(crate) sealed: Bytes,
}

impl StagedRow {
    /// What the seal is bound to.
    pub(crate) fn additional_data(
        &self,
        partition: PartitionId,
        ingest: IngestId,
        key: &ObjectKey,
    ) -> Vec<u8> {
        let mut aad = b"firn staged row\0".to_vec();
        aad.extend_from_slice(partition.as_bytes());
        aad.extend_from_slice(ingest.as_bytes());
        aad.extend_from_slice(&(key.as_bytes().len() as u64).to_le_bytes());
        aad.extend_from_slice(key.as_bytes());
        aad.extend_from_slice(&Self { sealed: Bytes::new(), stored: self.stored.clone() }.to_bytes());
        aad
    }
}

impl Record for StagedRow {
    const NAME: &'static str = "staged row";
    const VERSION: u8 = 3;

    /// Without an envelope it is what it was before there were any.
    fn version(&self) -> u8 {
        match self.stored.envelope {
            Envelope::Appliance => 1,
            Envelope::Customer | Envelope::CustomerParts => 2,
            Envelope::Managed { .. } | Envelope::ManagedParts { .. } => 3,
        }
    }

    fn encode(&self, out: &mut RecordWriter) {
        self.stored.encode(out);
        if self.stored.envelope.is_closed() {
            put_envelope(out, self.stored.envelope);
        }
        out.bytes(&self.sealed);
    }

    fn decode(version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let mut stored = Stored::decode(fields)?;
        match version {
            2 => stored.envelope = get_envelope(fields)?,
            3 => stored.envelope = get_managed_envelope(fields)?,
            _ => {}
        }
        Ok(Self { stored, sealed: Bytes::copy_from_slice(fields.bytes()?) })
    }
}
