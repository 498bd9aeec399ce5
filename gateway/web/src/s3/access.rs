//! Who asks, and whether they may: the door's one question of a request, put before a byte of its body is asked for.
//!
//! ```text
//!   operation ─► what it needs ─┬─ of an account ─► decide here
//!                               ├─ of a bucket ───► ObjectStore::admit: its policy, its access list
//!                               ├─ of an upload ──► admit, and who began it
//!                               └─ of an object ──► the bucket alone; the question goes along and is put to the row that is read
//! ```
//!
//! What a policy says of each key of a request, or of what its body says, is asked once that is known; where the bucket has no policy
//! all keys have one answer, which is given here.
//!
//! From then on the target's bucket is the one that was admitted, whatever takes its name meanwhile.

use super::Call;
use super::code::Code;
use super::context::{Further, Paid, RequestContext, Signed};
use super::error::S3Error;
use super::logged::Notes;
use super::managed;
use super::operation::{Kind, Need, Operation};
use super::query::Query;
use super::target::Target;
use crate::server::Peer;
use crate::state::State;
use http::request;
use objectstore::{
    About, BucketName, ObjectKey, Subresources, UploadId, VersionSelector, WriteConditions, WriteQuestions,
};
use security::decide::{Action, Decision, Facts, Question, Resource};
use security::policy::Context;
use security::{AccountId, Arn, CanonicalUser, Permission, Principal, decide};
use std::sync::{Arc, OnceLock};

/// Who asks, once they may.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// Who.
    pub(crate) principal: Principal,
    /// Who owns the bucket; the asker's account where the request is about none.
    pub(crate) owner: AccountId,
    /// What is asked of the object that the request names.
    pub(crate) question: Question,
    /// What the request says of itself; the context of its question.
    request: Arc<RequestContext>,
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
    pub(crate) query: &'a Arc<Query>,
    /// What else it says.
    pub(crate) head: &'a Arc<request::Parts>,
    /// How it is signed.
    pub(crate) signed: Signed,
    /// Where it comes from.
    pub(crate) peer: Peer,
    /// The request that it is a part of, which pays for its decisions.
    pub(crate) part_of: Option<Arc<RequestContext>>,
}

impl Operation {
    /// What its bucket is asked about.
    fn about(self, target: &Target) -> About<'_> {
        match (self, target.key.as_deref()) {
            (
                Self::DeleteObjects
                | Self::GetObjectTagging
                | Self::PutObjectTagging
                | Self::DeleteObjectTagging
                | Self::PutObjectRetention
                | Self::PutObjectLegalHold
                | Self::PutBucketInventoryConfiguration,
                _,
            ) => About::Objects,
            (operation, Some(key)) if operation.kind() == Kind::Object => About::Key(key),
            _ => About::Bucket,
        }
    }
}

/// Decides whether the request may go on.
pub(crate) async fn admit(state: &Arc<State>, asking: Asking<'_>) -> Result<Asker, S3Error> {
    let Asking { principal, operation, target, query, head, signed, peer, part_of } = asking;
    let need = match operation {
        // Grants of a list are for what is on top; a version is its bucket owner's to delete.
        Operation::DeleteObject if query.has("versionId") => Need::BucketOwner,
        other => other.need(),
    };
    let action = operation.action_of(query.has("versionId"));
    let request = RequestContext {
        operation,
        principal: principal.clone(),
        signed,
        signed_at: signed.at(query),
        head: Arc::clone(head),
        query: Arc::clone(query),
        peer,
        now: state.clock.now(),
        upload_class: OnceLock::new(),
        named_key: OnceLock::new(),
        state: Arc::clone(state),
        paid: Paid::by(part_of),
    };
    if operation.is_of_upload() {
        let bucket = state.store.admit(&target.bucket()?, None, About::Bucket).await?.bucket;
        target.bind(bucket);
        read_upload_class(state, &request, target).await?;
    }
    if let Some(named) = managed::named(state, &request.principal, &request.head.headers).await? {
        let _set_once = request.named_key.set(named);
    }
    let request = Arc::new(request);
    let context: Arc<dyn Context> = Arc::<RequestContext>::clone(&request);
    let question = Question { principal: principal.clone(), action, permission: need.permission(), context };
    if need == Need::Account {
        let account = principal.account().ok_or_else(denied)?;
        if !decide(&question, of_account(target, account), &Facts::owned_by(account)).allowed() {
            return Err(denied());
        }
        return Ok(Asker { principal, owner: account, question, request });
    }
    let name = target.bucket()?;
    // The bucket does not answer for an upload, nor for an object that is there; a form says itself who sends it.
    let answered_below = operation == Operation::PostObject
        || matches!(need, Need::Upload | Need::ObjectRead | Need::ObjectReadAcp | Need::ObjectWriteAcp);
    let asked_here = Some(&question).filter(|_| !answered_below);
    let admitted = state.store.admit(&name, asked_here, operation.about(target)).await?;
    target.bind(admitted.bucket);
    let asker = Asker { principal: principal.clone(), owner: admitted.owner, question, request };
    let whose = match need {
        // Its initiator may, if the policy doesn't deny it, and whoever the policy lets.
        Need::Upload => {
            let about = operation.about(target);
            match state.store.decide(&target.bucket()?, &asker.question, about).await? {
                Decision::Allow => false,
                Decision::Deny => true,
                Decision::Forbid => return Err(denied()),
            }
        }
        // What the owner's account may write, its users may whom their policies let: they were asked.
        Need::UploadWrite => asker.principal.account() != Some(asker.owner),
        _ => false,
    };
    if whose {
        check_initiator(state, &asker, target, query, need).await?;
    }
    if operation == Operation::CreateMultipartUpload && asker.principal == Principal::Anonymous {
        let message = "Anonymous users cannot initiate multipart uploads. Please authenticate.";
        return Err(S3Error::with(Code::AccessDenied, message));
    }
    Ok(asker)
}

/// What is asked of an account: its service, or a bucket to be.
fn of_account(target: &Target, account: AccountId) -> Resource<'_> {
    target.bucket.as_deref().map_or(Resource::Account(account), Resource::Bucket)
}

fn denied() -> S3Error {
    S3Error::new(Code::AccessDenied)
}

/// Reads the class of the upload that a request is about, where its bucket has a policy that could ask for it.
async fn read_upload_class(state: &State, request: &RequestContext, target: &Target) -> Result<(), S3Error> {
    let upload = request.query.get("uploadId").unwrap_or_default().parse::<UploadId>();
    let (bucket, Ok(key), Ok(upload)) = (target.bucket()?, target.key(), upload) else { return Ok(()) };
    if request.principal.identity().is_some() || state.store.has_policy(&bucket).await? {
        request.read_upload_class(&bucket, &key, upload).await?;
    }
    Ok(())
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
        Ok(initiator) if asker.is_initiator(initiator, target) => Ok(()),
        // Who may write may know which uploads there are not.
        Err(error @ objectstore::Error::NoSuchUpload) if need == Need::UploadWrite => Err(error.into()),
        Ok(_) | Err(objectstore::Error::NoSuchUpload) => Err(denied()),
        Err(error) => Err(error.into()),
    }
}

impl Asker {
    /// Whether an upload is of whoever asks: of its account, and a user's own policies let it.
    fn is_initiator(&self, initiator: CanonicalUser, target: &Target) -> bool {
        let own = self.principal.account().is_some_and(|account| initiator == account.into());
        own && self.lets_itself(target, self.question.action)
    }

    /// Whether its own policies let whoever asks do this to the object of a request: they always let a root, and nobody who has none to ask.
    fn lets_itself(&self, target: &Target, action: Action) -> bool {
        let Some(account) = self.principal.account() else { return false };
        let bucket = target.bucket.as_deref().unwrap_or_default();
        let arn = Arn::object(bucket, target.key.as_deref().unwrap_or_default()).to_string();
        self.principal.may(action.as_str(), &arn, account, &*self.question.context).is_allowed()
    }

    /// `AccessDenied` unless what is written may have an access list, of which the bucket says this. Nobody must be denied it; a user or
    /// session has to be allowed it, too, by the bucket or by its own policies.
    pub(super) fn may_share(&self, decision: Decision, target: &Target) -> Result<(), S3Error> {
        let asks = self.principal.identity().is_some();
        let lets = || !asks || self.lets_itself(target, Operation::PutObjectAcl.action());
        if decision.allowed() || (!decision.forbidden() && lets()) { Ok(()) } else { Err(denied()) }
    }

    /// Says whether it is an access list that lets the request in: whether without one it would be let in.
    pub(crate) async fn note(&self, state: &State, operation: Operation, target: &Target, notes: &Notes) {
        if self.principal.is_root_of(self.owner) || operation.need().permission().is_none() {
            return;
        }
        let Ok(bucket) = target.bucket() else { return };
        let without = self.question.about(self.question.action, None);
        let decision = state.store.decide(&bucket, &without, operation.about(target)).await;
        if !decision.is_ok_and(Decision::allowed) {
            notes.acl_required();
        }
    }

    /// The request, for what is a part of it.
    pub(crate) fn request(&self) -> &Arc<RequestContext> {
        &self.request
    }

    /// What is asked again when the write is committed; `names`: a condition names what is there.
    pub(crate) fn writes(&self, writes: Question, version: Option<&str>, names: bool) -> WriteQuestions {
        let action = Operation::GetObject.action_of(version.is_some());
        let reads = names.then(|| Question {
            context: Arc::new(self.request.of_source(version)),
            ..self.question.about(action, Some(Permission::Read))
        });
        WriteQuestions { writes, reads }
    }

    /// The question of a copy's source.
    pub(crate) fn reads_source(&self, version: VersionSelector, named: Option<&str>) -> Question {
        let action = Operation::GetObject.action_of(version != VersionSelector::Latest);
        let context = Arc::new(self.request.of_source(named));
        Question { context, ..self.question.about(action, Some(Permission::Read)) }
    }
}

impl Asker {
    /// `AccessDenied` unless whoever asks may do this to a key too. An access list must not be denied, and needs no right of its own but of a
    /// user's: the account that writes an object owns it, or gives all to the bucket's owner.
    pub(crate) async fn require(
        &self,
        state: &State,
        bucket: &BucketName,
        (key, action): (&str, Action),
    ) -> Result<(), S3Error> {
        let question = self.question.about(action, None);
        let decision = state.store.decide(bucket, &question, About::Key(key)).await?;
        if action == Operation::PutObjectAcl.action() {
            return self.may_share(decision, &Target::of_object(bucket.as_str(), key));
        }
        if decision.allowed() { Ok(()) } else { Err(denied()) }
    }
}

impl Call {
    /// What the target's policy, and owning it, say of another action; a list grants none of them.
    pub(crate) async fn decision(&self, question: &Question) -> Result<Decision, S3Error> {
        let bucket = self.target.bucket()?;
        let about = self.target.key.as_deref().map_or(About::Bucket, About::Key);
        Ok(self.state.store.decide(&bucket, question, about).await?)
    }

    /// What is asked again when the object that the request stores gets its name.
    pub(crate) fn stores(&self, conditions: &WriteConditions) -> WriteQuestions {
        self.asker.writes(self.asker.question.clone(), None, conditions.name_a_tag())
    }

    /// Whether whoever asks may do this to the object that was found, besides what the operation itself needs.
    pub(crate) async fn may_of(&self, action: Action, beside: &Subresources) -> Result<bool, S3Error> {
        let (bucket, key) = (self.target.bucket()?, self.target.key()?);
        let question = self.asker.question.about(action, None);
        Ok(self.state.store.decide_object((&bucket, &key), &question, beside).await?)
    }

    /// Whether whoever asks may do this besides what the operation itself needs.
    pub(crate) async fn may(&self, action: Action) -> Result<bool, S3Error> {
        Ok(self.decision(&self.asker.question.about(action, None)).await?.allowed())
    }

    /// `AccessDenied` unless whoever asks may do this too.
    pub(crate) async fn require(&self, action: Action) -> Result<(), S3Error> {
        if self.may(action).await? { Ok(()) } else { Err(denied()) }
    }

    /// The request's own question, with what its body says.
    pub(crate) fn asks_with(&self, said: Vec<(String, String)>) -> Question {
        let mut question = self.asker.question.clone();
        question.context = Further::over(&self.asker.question.context, said);
        question
    }

    /// `AccessDenied` unless the request may go on with what its body says.
    pub(crate) async fn require_with(&self, said: Vec<(String, String)>) -> Result<(), S3Error> {
        if self.decision(&self.asks_with(said)).await?.allowed() { Ok(()) } else { Err(denied()) }
    }

    /// The request's question about one key of several, if the answer is yes.
    pub(crate) async fn may_key(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        (version, etag): (Option<&str>, Option<&str>),
    ) -> Result<Question, S3Error> {
        self.asker.request.earn();
        let action = Operation::DeleteObject.action_of(version.is_some());
        let permission = if version.is_some() { None } else { Some(Permission::Write) };
        let mut question = self.asker.question.about(action, permission);
        let said = [("s3:versionid", version), ("s3:if-match", etag)];
        let said = said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
        question.context = Further::over(&self.asker.question.context, said.collect());
        let decision = self.state.store.decide(bucket, &question, About::Key(key.as_str())).await?;
        if decision.allowed() { Ok(question) } else { Err(denied()) }
    }

    /// Whether the account of whoever asks lets them do this to what is not there yet: a bucket to be.
    pub(crate) fn require_of_account(&self, action: Action) -> Result<(), S3Error> {
        let question = self.asker.question.about(action, None);
        let owner = self.asker.owner;
        let decision = decide(&question, of_account(&self.target, owner), &Facts::owned_by(owner));
        if decision.allowed() { Ok(()) } else { Err(denied()) }
    }
}
