//! Who asks, and whether they may: the door's one question of a request, put before a byte of its body is asked for.
//!
//! ```text
//!   operation ─► what it needs ─┬─ of an account ─► decide here
//!                               ├─ of a bucket ───► ObjectStore::admit
//!                               ├─ of an upload ──► admit, and who began it
//!                               └─ of an object ──► the bucket alone; the question goes along and is put to the row that is read
//! ```
//!
//! From then on the target's bucket is the one that was admitted, whatever takes its name meanwhile.

use super::code::Code;
use super::error::S3Error;
use super::logged::Notes;
use super::operation::{Need, Operation};
use super::query::Query;
use super::target::Target;
use crate::state::State;
use objectstore::{UploadId, VersionSelector};
use security::decide::{Facts, Question, Resource};
use security::{AccountId, Permission, Principal, decide};

/// Who asks, once they may.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// Who.
    pub(crate) principal: Principal,
    /// Who owns the bucket; the asker's account where the request is about none.
    pub(crate) owner: AccountId,
    /// What is asked of the object that the request names.
    pub(crate) question: Question,
}

/// A request of which it is not known yet whether it may go on.
pub(crate) struct Asking<'a> {
    /// Who.
    pub(crate) principal: Principal,
    /// What.
    pub(crate) operation: Operation,
    /// Of what. Its bucket is the one that was admitted, once the request is.
    pub(crate) target: &'a mut Target,
    /// Versions and uploads are named here.
    pub(crate) query: &'a Query,
}

/// Decides whether the request may go on.
pub(crate) async fn admit(state: &State, asking: Asking<'_>) -> Result<Asker, S3Error> {
    let Asking { principal, operation, target, query } = asking;
    let need = match operation {
        // Grants of a list are for what is on top; a version is its bucket owner's to delete.
        Operation::DeleteObject if query.has("versionId") => Need::BucketOwner,
        other => other.need(),
    };
    let action = operation.action_of(query.has("versionId"));
    let question = Question { principal, action, permission: need.permission() };
    if need == Need::Account {
        let account = principal.account().ok_or_else(denied)?;
        if !decide(&question, Resource::Account(account), &Facts::owned_by(account)).allowed() {
            return Err(denied());
        }
        return Ok(Asker { principal, owner: account, question });
    }
    let name = target.bucket()?;
    // The bucket does not answer for an upload, nor for an object that is there; a form says itself who sends it.
    let answered_below = operation == Operation::PostObject
        || matches!(need, Need::Upload | Need::ObjectRead | Need::ObjectReadAcp | Need::ObjectWriteAcp);
    let admitted = state.store.admit(&name, Some(&question).filter(|_| !answered_below)).await?;
    target.bind(admitted.bucket);
    let asker = Asker { principal, owner: admitted.owner, question };
    if matches!(need, Need::Upload | Need::UploadWrite) && !principal.is_root_of(asker.owner) {
        check_initiator(state, &asker, target, query, need).await?;
    }
    if operation == Operation::CreateMultipartUpload && principal == Principal::Anonymous {
        let message = "Anonymous users cannot initiate multipart uploads. Please authenticate.";
        return Err(S3Error::with(Code::AccessDenied, message));
    }
    Ok(asker)
}

fn denied() -> S3Error {
    S3Error::new(Code::AccessDenied)
}

/// An upload is its initiator's, besides the bucket's owner's.
async fn check_initiator(
    state: &State,
    asker: &Asker,
    target: &Target,
    query: &Query,
    need: Need,
) -> Result<(), S3Error> {
    let text = query.get("uploadId").unwrap_or_default();
    let Ok(upload) = text.parse::<UploadId>() else {
        return Err(S3Error::new(Code::NoSuchUpload).field("UploadId", text));
    };
    match state.store.upload_initiator(&target.bucket()?, &target.key()?, upload).await {
        Ok(initiator)
            if asker.principal != Principal::Anonymous && initiator == asker.principal.canonical_user() =>
        {
            Ok(())
        }
        // Who may write may know which uploads there are not.
        Err(error @ objectstore::Error::NoSuchUpload) if need == Need::UploadWrite => Err(error.into()),
        Ok(_) | Err(objectstore::Error::NoSuchUpload) => Err(denied()),
        Err(error) => Err(error.into()),
    }
}

impl Asker {
    /// Says whether it was an access list that let the request in: whoever is not the owner's root has no other way.
    pub(crate) fn note(&self, operation: Operation, notes: &Notes) {
        if !self.principal.is_root_of(self.owner) && operation.need().permission().is_some() {
            notes.acl_required();
        }
    }

    /// The question of a copy's source.
    pub(crate) fn reads_source(&self, version: VersionSelector) -> Question {
        Question {
            principal: self.principal,
            action: Operation::GetObject.action_of(version != VersionSelector::Latest),
            permission: Some(Permission::Read),
        }
    }
}
