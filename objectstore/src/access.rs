//! Who may do what to buckets and objects: the facts that [`decide`] wants, read at the version of the rows that are then used.
//!
//! ```text
//!   admit      name ─► bucket, its owner, policy and list ─► decide ─► the name, bound to this very bucket
//!   read       row ─► policy, owner and list beside it ─► decide ─► bytes  (with `asks` in the request)
//!   write      writer, list asked for ─► ownership, blocks ─► owner and list beside the new row
//! ```
//!
//! # Invariants
//! - An admitted name stands for the bucket that was admitted: if another one takes the name meanwhile, the call finds nothing.
//! - What a reader is told of an object is decided by the row that holds it, never by one read before.
//! - An object without an owner of its own is the bucket owner's; one without a list of its own has the private one. Both are so
//!   in a bucket whose lists are off, whatever stands in its rows.

use crate::event::EventType;
use crate::keyring::refused;
use crate::record::ObjectRow;
use crate::setting::{BucketAcl, BucketPolicy, ObjectOwnership, OwnershipControls, PublicAccessBlock};
use crate::store::View;
use crate::transact::Attempt;
use crate::{
    AmendRequest, BucketName, Error, GetRequest, ObjectInfo, ObjectKey, ObjectStore, Result, Subresources,
    Tags, WriteQuestions,
};
use parking_lot::Mutex;
use security::decide::{Decision, Facts, Question, Resource, Shared};
use security::policy::{Context, NoContext};
use security::{AccessList, AccountId, Action, CannedAcl, CanonicalUser, Permission, Principal, decide};
use std::borrow::Cow;
use std::sync::Arc;

/// The access list that a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListWish {
    /// None: the private one.
    #[default]
    Default,
    /// One by its name.
    Canned(CannedAcl),
    /// Grants.
    Grants(AccessList),
}

impl ListWish {
    /// As a bucket's list.
    pub fn of_bucket(&self, owner: AccountId) -> AccessList {
        match self {
            Self::Default => AccessList::private(owner),
            Self::Canned(canned) => canned.of_bucket(owner.into()),
            Self::Grants(list) => list.clone(),
        }
    }
}

/// Who writes an object, and the access list asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    /// Who; `None` for the bucket's owner.
    pub by: Option<CanonicalUser>,
    /// The list.
    pub list: ListWish,
}

impl Writer {
    /// Leaves nothing beside an object of this account's bucket, whatever its ownership.
    fn is_plain(&self, owner: AccountId) -> bool {
        self.list == ListWish::Default && self.by.is_none_or(|by| by == owner.into())
    }
}

/// What is asked of a key at the version that a commit is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asks<'a> {
    name: &'a BucketName,
    questions: &'a WriteQuestions,
    /// Tags of the object to be that its request does not say itself.
    unsaid: Option<&'a Tags>,
}

impl<'a> Asks<'a> {
    pub(crate) const fn new(name: &'a BucketName, questions: &'a WriteQuestions) -> Self {
        Self { name, questions, unsaid: None }
    }

    /// The same for an object that gets these tags besides.
    pub(crate) const fn with(self, unsaid: Option<&'a Tags>) -> Self {
        Self { unsaid, ..self }
    }
}

/// At which revision of the bucket's configuration a writer's own question was answered last, and by whom, as they were then: what else
/// another attempt finds changed, it does not hang on.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<Option<(u64, Principal)>>);

impl Asked {
    /// Whether it is to be put by them at this revision, of which it is taken to be answered then: who is denied makes no other attempt.
    pub(crate) fn is_due(&self, revision: u64, by: &Principal) -> bool {
        let before = self.0.lock().replace((revision, by.clone()));
        before.is_none_or(|(known, who)| known != revision || !who.is_same(by))
    }
}

/// What a question to a bucket is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About<'a> {
    /// The bucket.
    Bucket,
    /// A key of it: an object to be written, deleted, or asked about without a look at its row.
    Key(&'a str),
    /// Objects of it that are asked about one by one later on: here only where there is no policy, for then all have one answer.
    Objects,
}

/// A bucket that may be used as asked.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Its name, bound to this bucket.
    pub bucket: BucketName,
    /// Who owns it.
    pub owner: AccountId,
}

/// What conditions may ask of an object that is there: `s3:ExistingObjectTag/NAME`.
struct Existing<'a>(&'a Tags);

impl Context for Existing<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        let Some(name) = key.strip_prefix("s3:existingobjecttag/") else { return };
        // Keys are compared without regard to case, in whatever letters.
        let found = self.0.iter().filter(|(known, _)| *known == name || known.to_lowercase() == name);
        found.for_each(|(_, value)| each(value));
    }
}

/// Tags that a request sets without saying them: `s3:RequestObjectTag/NAME` and `s3:RequestObjectTagKeys`.
struct Requested<'a>(&'a Tags);

impl Context for Requested<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        if key == "s3:requestobjecttagkeys" {
            self.0.iter().for_each(|(name, _)| each(name));
        }
        let Some(name) = key.strip_prefix("s3:requestobjecttag/") else { return };
        let found = self.0.iter().filter(|(known, _)| *known == name || known.to_lowercase() == name);
        found.for_each(|(_, value)| each(value));
    }
}

/// A request for an object that is not there, as the listing that would tell so: its prefix is the key.
struct Listed<'a> {
    request: &'a dyn Context,
    key: &'a str,
}

impl Context for Listed<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        match key {
            "s3:prefix" => each(self.key),
            _ => self.request.visit(key, each),
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.request.spend(steps)
    }
}

/// Who owns an object and what is granted on it, as S3 shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectAccess {
    /// The owner.
    pub owner: CanonicalUser,
    /// The list.
    pub list: AccessList,
}

/// What holds in a bucket at the version of a view.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    owner: AccountId,
    ownership: ObjectOwnership,
    block: PublicAccessBlock,
    policy: Option<Arc<BucketPolicy>>,
    /// Of the configuration.
    revision: u64,
}

impl Rules {
    /// The revision of the bucket's configuration that says so.
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether access lists, and owners beside the bucket's, mean anything.
    pub(crate) fn lists_count(&self) -> bool {
        self.ownership != ObjectOwnership::BucketOwnerEnforced
    }

    /// The owner of an object, where it is not the bucket's.
    pub(crate) fn other_owner(&self, owner: Option<CanonicalUser>) -> Option<CanonicalUser> {
        owner.filter(|_| self.lists_count())
    }

    /// What stands beside an object that `writer` writes.
    pub(crate) fn place(&self, writer: &Writer, beside: &mut Subresources) -> Result<()> {
        if writer.is_plain(self.owner) {
            return Ok(());
        }
        let bucket_owner = CanonicalUser::from(self.owner);
        if !self.lists_count() {
            return self.refuse_list(&writer.list);
        }
        let writer_owns = self.ownership == ObjectOwnership::ObjectWriter
            || writer.list != ListWish::Canned(CannedAcl::BucketOwnerFullControl);
        let owner = writer.by.filter(|_| writer_owns).unwrap_or(bucket_owner);
        self.set_list(&writer.list, owner, beside)?;
        beside.owner = Some(owner).filter(|owner| *owner != bucket_owner);
        Ok(())
    }

    /// Replaces the list of an object that is there. Its owner stays.
    fn replace(&self, wish: &ListWish, beside: &mut Subresources) -> Result<()> {
        if !self.lists_count() {
            return self.refuse_list(wish);
        }
        self.set_list(wish, beside.owner.unwrap_or(self.owner.into()), beside)
    }

    fn set_list(&self, wish: &ListWish, owner: CanonicalUser, beside: &mut Subresources) -> Result<()> {
        let list = match wish {
            ListWish::Default => AccessList::private(owner),
            ListWish::Canned(canned) => canned.of_object(owner, self.owner.into()),
            ListWish::Grants(list) => list.clone(),
        };
        self.refuse_public(&list)?;
        beside.access_list = Some(list).filter(|list| !list.is_private(owner));
        Ok(())
    }

    /// Where lists are off, only what changes nothing may be asked for: full control for the bucket's owner, and `private`, which
    /// rclone and s3cmd always ask for (AWS refuses that one).
    fn refuse_list(&self, wish: &ListWish) -> Result<()> {
        match wish {
            ListWish::Default | ListWish::Canned(CannedAcl::BucketOwnerFullControl | CannedAcl::Private) => {
                Ok(())
            }
            ListWish::Grants(list) if list.is_private(self.owner.into()) => Ok(()),
            ListWish::Canned(_) | ListWish::Grants(_) => Err(Error::AccessListsOff),
        }
    }

    fn refuse_public(&self, list: &AccessList) -> Result<()> {
        if self.block.block_public_acls && list.is_public() { Err(Error::AccessDenied) } else { Ok(()) }
    }

    /// What decides about an object.
    fn of_object<'a>(&self, beside: &'a Subresources) -> (CanonicalUser, Option<Cow<'a, AccessList>>) {
        if !self.lists_count() {
            return (self.owner.into(), None);
        }
        let owner = beside.owner.unwrap_or(self.owner.into());
        let list = match &beside.access_list {
            Some(list) => Cow::Borrowed(list),
            None => Cow::Owned(AccessList::private(owner)),
        };
        (owner, Some(list))
    }

    /// Refuses who may not do to an object what was asked.
    pub(crate) fn check_object(
        &self,
        question: &Question,
        (bucket, key): (&BucketName, &ObjectKey),
        beside: &Subresources,
    ) -> Result<()> {
        // What no list can grant is the bucket owner's, whoever owns the object.
        let (owner, list) = match question.permission {
            Some(_) => self.of_object(beside),
            None => (self.owner.into(), None),
        };
        let existing = Existing(&beside.tags);
        let facts = self.facts(owner, list.as_deref(), &existing);
        let resource = Resource::Object { bucket: bucket.as_str(), key: key.as_str() };
        allowed(decide(question, resource, &facts))
    }

    /// Refuses who may not do to a key what no list can grant, whatever is there.
    pub(crate) fn check_key(
        &self,
        question: &Question,
        (bucket, key): (&BucketName, &ObjectKey),
    ) -> Result<()> {
        let facts = self.facts(self.owner.into(), None, &NoContext);
        let resource = Resource::Object { bucket: bucket.as_str(), key: key.as_str() };
        allowed(decide(question, resource, &facts))
    }

    fn facts<'a>(
        &'a self,
        owner: CanonicalUser,
        list: Option<&'a AccessList>,
        context: &'a dyn Context,
    ) -> Facts<'a> {
        let shared = self.policy.as_deref().map(|set| Shared {
            policy: set.policy(),
            pins: set.pins(),
            account: self.owner,
            restricted: set.is_public() && self.block.restrict_public_buckets,
        });
        Facts { owner, list, ignore_public: self.block.ignore_public_acls, shared, context }
    }

    /// Who owns an object and what is granted on it.
    pub(crate) fn show(&self, beside: &Subresources) -> ObjectAccess {
        let (owner, list) = self.of_object(beside);
        ObjectAccess { owner, list: list.map_or_else(|| AccessList::private(owner), Cow::into_owned) }
    }
}

fn allowed(decision: Decision) -> Result<()> {
    if decision.allowed() { Ok(()) } else { Err(Error::AccessDenied) }
}

impl ObjectStore {
    /// What holds in a bucket at the version of a view. Costs nothing where nothing was ever set.
    pub(crate) async fn rules(&self, view: &View) -> Result<Rules> {
        self.rules_with(view, self.setting_at::<BucketPolicy>(view).await?).await
    }

    async fn rules_with(&self, view: &View, policy: Option<Arc<BucketPolicy>>) -> Result<Rules> {
        let ownership = self.setting_at::<OwnershipControls>(view).await?;
        let block = self.setting_at::<PublicAccessBlock>(view).await?;
        Ok(Rules {
            owner: view.bucket.account,
            ownership: ownership.map_or_else(ObjectOwnership::default, |controls| controls.ownership()),
            block: block.map_or_else(PublicAccessBlock::default, |block| *block),
            policy,
            revision: view.config.revision,
        })
    }

    /// Finds a bucket and decides the question, if it is the bucket's to answer. The name in the answer stands for this bucket
    /// alone.
    pub async fn admit(
        &self,
        name: &BucketName,
        question: Option<&Question>,
        about: About<'_>,
    ) -> Result<Admitted> {
        if let Some(bucket) = name.bound().or_else(|| self.remembered(name))
            && question.is_none_or(|asked| self.is_free(bucket, &asked.principal))
        {
            return Ok(Admitted { bucket: name.bound_to(bucket), owner: bucket.account });
        }
        let view = self.view(name).await?;
        if let Some(question) = question {
            allowed(self.decided(&view, name, question, about).await?)?;
        }
        Ok(Admitted { bucket: name.bound_to(view.bucket), owner: view.bucket.account })
    }

    /// What a bucket answers a question, without an error where it denies.
    pub async fn decide(&self, name: &BucketName, question: &Question, about: About<'_>) -> Result<Decision> {
        match name.bound().or_else(|| self.remembered(name)) {
            Some(bucket) if self.is_free(bucket, &question.principal) => Ok(Decision::Allow),
            _ => self.decided(&self.view(name).await?, name, question, about).await,
        }
    }

    /// Who owns a bucket.
    pub async fn bucket_owner(&self, name: &BucketName) -> Result<AccountId> {
        match self.remembered(name) {
            Some(bucket) => Ok(bucket.account),
            None => Ok(self.view(name).await?.bucket.account),
        }
    }

    /// Whether the bucket owner's root asks for what nobody else can own: nothing but a policy takes anything from it.
    pub(crate) async fn is_own(
        &self,
        view: &View,
        question: &Question,
        beside: &Subresources,
    ) -> Result<bool> {
        let owns = beside.owner.is_none() && question.principal.is_root_of(view.bucket.account);
        Ok(owns && self.setting_at::<BucketPolicy>(view).await?.is_none())
    }

    async fn decided(
        &self,
        view: &View,
        name: &BucketName,
        question: &Question,
        about: About<'_>,
    ) -> Result<Decision> {
        let policy = self.setting_at::<BucketPolicy>(view).await?;
        if policy.is_none() && question.principal.is_root_of(view.bucket.account) {
            return Ok(Decision::Allow);
        }
        let rules = self.rules_with(view, policy).await?;
        // Whose own policies count is asked about each object, too.
        if about == About::Objects && (rules.policy.is_some() || question.principal.identity().is_some()) {
            return Ok(Decision::Allow);
        }
        let list = if rules.lists_count() { self.setting_at::<BucketAcl>(view).await? } else { None };
        let facts = rules.facts(rules.owner.into(), list.as_ref().map(|list| &list.0), &NoContext);
        let bucket = name.as_str();
        let resource = match about {
            About::Key(key) => Resource::Object { bucket, key },
            About::Bucket | About::Objects => Resource::Bucket(bucket),
        };
        Ok(decide(question, resource, &facts))
    }

    /// Refuses who may not write the key, as the bucket is at the version that the commit is checked against: whatever was denied since the
    /// request was let in is denied. `names`: a condition tells of more than that there is an object, so that it is for who may read it;
    /// it is told of `there`, if that is there.
    pub(crate) async fn ask_again(
        &self,
        (view, key): (&View, &ObjectKey),
        (asks, asked): (&Asks<'_>, &Asked),
        there: Option<&ObjectRow>,
        names: bool,
    ) -> Result<()> {
        let Asks { name, questions, unsaid } = *asks;
        let WriteQuestions { writes, reads } = questions;
        // As whoever asks is by now: a user's policies may be others, or the user or key gone.
        let now = writes.principal.renewed().await.map_err(refused)?.ok_or(Error::AccessDenied)?;
        // Nobody can have set a policy, and have been told so, at the version of the view: memory would know.
        if self.is_free(view.bucket, &writes.principal)
            && there.is_none_or(|row| row.subresources.owner.is_none())
        {
            return Ok(());
        }
        if asked.is_due(view.config.revision, &now) {
            let writes = writes.by(&now);
            allowed(self.decided(view, name, &writes, About::Key(key.as_str())).await?)?;
            if let Some(tags) = unsaid.filter(|tags| !tags.is_empty()) {
                self.check_request_tags(view, (name, key), &writes, tags).await?;
            }
        }
        match reads {
            Some(reads) if names => {
                let nothing = Subresources::default();
                let beside = there.map_or(&nothing, |row| &row.subresources);
                self.rules(view).await?.check_object(&reads.by(&now), (name, key), beside)
            }
            _ => Ok(()),
        }
    }

    /// What an object that was found answers a question which no list grants.
    pub async fn decide_object(
        &self,
        (name, key): (&BucketName, &ObjectKey),
        question: &Question,
        beside: &Subresources,
    ) -> Result<bool> {
        let bucket = name.bound().or_else(|| self.remembered(name));
        if bucket.is_some_and(|bucket| self.is_free(bucket, &question.principal)) {
            return Ok(true);
        }
        let rules = self.rules(&self.view(name).await?).await?;
        match rules.check_object(question, (name, key), beside) {
            Ok(()) => Ok(true),
            Err(Error::AccessDenied) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Refuses who may not write an object with these tags, which its request did not say itself.
    pub(crate) async fn check_request_tags(
        &self,
        view: &View,
        (bucket, key): (&BucketName, &ObjectKey),
        asks: &Question,
        tags: &Tags,
    ) -> Result<()> {
        let rules = self.rules(view).await?;
        let list = if rules.lists_count() { self.setting_at::<BucketAcl>(view).await? } else { None };
        let requested = Requested(tags);
        let facts = rules.facts(rules.owner.into(), list.as_ref().map(|list| &list.0), &requested);
        let resource = Resource::Object { bucket: bucket.as_str(), key: key.as_str() };
        allowed(decide(asks, resource, &facts))?;
        allowed(decide(&asks.about(Action::new("s3:PutObjectTagging"), None), resource, &facts))
    }

    /// The same where the key was looked for already.
    pub async fn tell_absent(
        &self,
        (name, key): (&BucketName, &ObjectKey),
        asks: &Question,
        absent: Error,
    ) -> Error {
        match self.view(name).await {
            Ok(view) => self.told(&view, (name, key), Some(asks), absent).await,
            Err(error) => error,
        }
    }

    /// What a reader is told of an object that is not there: only who may list the bucket learns it, and who is forbidden to read it
    /// does not.
    pub(crate) async fn told(
        &self,
        view: &View,
        (name, key): (&BucketName, &ObjectKey),
        asks: Option<&Question>,
        absent: Error,
    ) -> Error {
        let Some(asks) = asks else { return absent };
        match self.may_know(view, (name, key), asks).await {
            Ok(true) => absent,
            Ok(false) => Error::AccessDenied,
            Err(error) => error,
        }
    }

    async fn may_know(
        &self,
        view: &View,
        (name, key): (&BucketName, &ObjectKey),
        asks: &Question,
    ) -> Result<bool> {
        if self.is_own(view, asks, &Subresources::default()).await? {
            return Ok(true);
        }
        let rules = self.rules(view).await?;
        let list = if rules.lists_count() { self.setting_at::<BucketAcl>(view).await? } else { None };
        let reads = rules.facts(rules.owner.into(), None, &NoContext);
        let object = Resource::Object { bucket: name.as_str(), key: key.as_str() };
        if decide(asks, object, &reads).forbidden() {
            return Ok(false);
        }
        let lists = asks.about(Action::new("s3:ListBucket"), Some(Permission::Read));
        let listed = Listed { request: &*lists.context, key: key.as_str() };
        let facts = rules.facts(rules.owner.into(), list.as_ref().map(|list| &list.0), &listed);
        Ok(decide(&lists, Resource::Bucket(name.as_str()), &facts).allowed())
    }

    /// Checks early what [`Rules::place`] decides in the commit, so that no body is sent for nothing.
    pub(crate) async fn check_writer(&self, view: &View, writer: &Writer) -> Result<()> {
        if writer.is_plain(view.bucket.account) {
            return Ok(());
        }
        self.rules(view).await?.place(writer, &mut Subresources::default())
    }

    /// What stands beside an object that `writer` writes, decided at the version of a view.
    pub(crate) async fn placed(
        &self,
        view: &View,
        writer: &Writer,
        given: &Subresources,
    ) -> Result<Subresources> {
        let mut beside = given.clone();
        if !writer.is_plain(view.bucket.account) {
            self.rules(view).await?.place(writer, &mut beside)?;
        }
        Ok(beside)
    }

    /// A bucket's access list, as S3 shows it: its owner's alone where lists are off.
    pub async fn bucket_acl(&self, name: &BucketName) -> Result<AccessList> {
        let view = self.view(name).await?;
        let list = if self.rules(&view).await?.lists_count() {
            self.setting_at::<BucketAcl>(&view).await?
        } else {
            None
        };
        Ok(list.map_or_else(|| AccessList::private(view.bucket.account), |list| list.0.clone()))
    }

    /// Replaces a bucket's access list.
    pub async fn set_bucket_acl(&self, name: &BucketName, wish: &ListWish) -> Result<()> {
        self.transact(|| async {
            let view = self.view(name).await?;
            let rules = self.rules(&view).await?;
            if !rules.lists_count() {
                return rules.refuse_list(wish).map(Attempt::Answer);
            }
            let list = wish.of_bucket(rules.owner);
            rules.refuse_public(&list)?;
            let list = Some(BucketAcl(list)).filter(|list| !list.0.is_private(rules.owner.into()));
            self.try_set(&view, list.as_ref()).await
        })
        .await
    }

    /// Sets a bucket's policy, if the block of public access lets it.
    pub async fn set_policy(&self, name: &BucketName, policy: &BucketPolicy) -> Result<()> {
        self.transact(|| async {
            let view = self.view(name).await?;
            if policy.is_public() && self.rules(&view).await?.block.block_public_policy {
                return Err(Error::AccessDenied);
            }
            self.try_set(&view, Some(policy)).await
        })
        .await
    }

    /// Sets a bucket's ownership controls, or deletes them with `None`. Switching lists off is refused while the bucket's own
    /// grants anything to others, as in S3.
    pub async fn set_ownership(&self, name: &BucketName, ownership: Option<ObjectOwnership>) -> Result<()> {
        let controls = ownership.map_or(OwnershipControls::Deleted, OwnershipControls::Rule);
        self.transact(|| async {
            let view = self.view(name).await?;
            if ownership == Some(ObjectOwnership::BucketOwnerEnforced) {
                let list = self.setting_at::<BucketAcl>(&view).await?;
                if list.is_some_and(|list| list.0.names_others_than(view.bucket.account)) {
                    return Err(Error::AccessListInTheWay);
                }
            }
            self.try_set(&view, Some(&controls)).await
        })
        .await
    }

    /// An object, who owns it, and what is granted on it.
    pub async fn object_acl(&self, request: &GetRequest) -> Result<(ObjectInfo, ObjectAccess)> {
        let GetRequest { bucket, key, version, asks, .. } = request;
        let found = self.find_for(bucket, key, *version, asks.as_ref()).await?;
        let access = self.rules(&found.view).await?.show(&found.info.subresources);
        Ok((found.info, access))
    }

    /// Replaces an object's access list, if the asker may; `owner`, where it is given, must be the object's.
    pub async fn set_object_acl(
        &self,
        request: &AmendRequest,
        asks: &Question,
        (wish, owner): (&ListWish, Option<CanonicalUser>),
    ) -> Result<Option<crate::VersionName>> {
        self.amend_by(request, EventType::ACL_PUT, Some(asks), |beside, rules| {
            rules.check_object(asks, (&request.bucket, &request.key), beside)?;
            if owner.is_some_and(|owner| owner != rules.of_object(beside).0) {
                return Err(Error::AccessDenied);
            }
            rules.replace(wish, beside)
        })
        .await
    }
}
