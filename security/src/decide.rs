//! The one question every door asks before it acts: may this principal do this to that?
//!
//! ```text
//!   door ─► Question (who, what, which permission of a list would do, what the request says) ─┐
//!   store ─► Resource, Facts (owner, policy, access list, blocks) ────────────────────────────┴─► decide ─► Decision
//! ```
//!
//! Pure: no clock, no I/O. A door makes one question a request; who has the facts at hand answers it, at the version of the
//! rows that it is about to use. S3's order: what the bucket's policy denies is denied, to the root of its account too but for the
//! policy itself; then the root of the owning account may everything, and everybody else what the policy or the access list grants.
//! A policy grants nothing on an object that another account owns. Source: "How Amazon S3 authorizes a request" of the S3 user guide.
//!
//! A user or session needs its own policies beside that, unless a resource of its own account names it or everybody: a list that grants to
//! an account grants to nobody of it who has no policy.

use crate::identity::Pins;
use crate::policy::{Context, NoContext, Policy, Sources, Verdict};
use crate::{AccessList, AccountId, Arn, CanonicalUser, Permission, Principal};
use engine::clock::Timestamp;
use std::fmt;
use std::sync::Arc;

/// What is asked, as AWS names it: `s3:GetObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action(&'static str);

impl Action {
    /// An action by its AWS name.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// `s3:GetObject`
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Go on.
    Allow,
    /// Answer `AccessDenied` and do nothing: nothing allows it.
    Deny,
    /// The same, and a policy says so: nothing else can allow it.
    Forbid,
}

impl Decision {
    /// Whether to go on.
    pub fn allowed(self) -> bool {
        self == Self::Allow
    }

    /// Whether a policy denies it.
    pub fn forbidden(self) -> bool {
        self == Self::Forbid
    }
}

/// What a request asks, as far as the request itself says it.
#[derive(Clone)]
pub struct Question {
    /// Who.
    pub principal: Principal,
    /// What.
    pub action: Action,
    /// The permission of the resource's access list that grants it; `None` where no list can.
    pub permission: Option<Permission>,
    /// What the conditions of a policy are compared with.
    pub context: Arc<dyn Context>,
}

impl Question {
    /// Of a request of which nothing else is known: no condition of a policy finds a key.
    pub fn new(principal: Principal, action: Action, permission: Option<Permission>) -> Self {
        Self { principal, action, permission, context: Arc::new(NoContext) }
    }

    /// The same question by whoever asks as they are now: by their policies, and with their names and tags.
    #[must_use]
    pub fn by(&self, principal: &Principal) -> Self {
        if self.principal.is_same(principal) {
            return self.clone();
        }
        let context = Renewed { principal: principal.clone(), request: Arc::clone(&self.context) };
        Self {
            principal: principal.clone(),
            action: self.action,
            permission: self.permission,
            context: Arc::new(context),
        }
    }

    /// The same request's question about something else.
    #[must_use]
    pub fn about(&self, action: Action, permission: Option<Permission>) -> Self {
        Self { principal: self.principal.clone(), action, permission, context: Arc::clone(&self.context) }
    }
}

/// A request of somebody who is another by now.
struct Renewed {
    principal: Principal,
    request: Arc<dyn Context>,
}

impl Context for Renewed {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        // How long ago a second factor was shown is told as of when the request came, like all times.
        let of_request = key == "aws:multifactorauthage";
        if of_request || !self.principal.visit(key, Timestamp::default(), each) {
            self.request.visit(key, each);
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.request.spend(steps)
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { principal, action, permission, context: _ } = self;
        write!(f, "Question({principal:?}, {action:?}, {permission:?})")
    }
}

/// What it is about. Made into an ARN only where a text is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A service as an account has it: its list of buckets, a bucket to be.
    Account(AccountId),
    /// A bucket.
    Bucket(&'a str),
    /// An object, or a part or upload of it.
    Object {
        /// Its bucket.
        bucket: &'a str,
        /// Its key.
        key: &'a str,
    },
}

impl Resource<'_> {
    /// Its name across services. What is of S3 itself has one without a name, which `arn:aws:s3:::*` takes in.
    pub fn arn(&self) -> Arn {
        match self {
            Self::Account(_) => Arn::bucket(""),
            Self::Bucket(bucket) => Arn::bucket(bucket),
            Self::Object { bucket, key } => Arn::object(bucket, key),
        }
    }
}

/// A bucket's policy, and what is set beside it.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Whom it names by ARN.
    pub pins: &'a Pins,
    /// Whose the bucket is.
    pub account: AccountId,
    /// The policy is public, and the block of public access says that nobody but the account gets anything of such a bucket.
    pub restricted: bool,
}

/// What is known of the resource.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Who owns it. Creating something asks with the account that will own it.
    pub owner: CanonicalUser,
    /// Its access list; `None` where lists are switched off, or there can be none.
    pub list: Option<&'a AccessList>,
    /// What the list grants to the public does not count.
    pub ignore_public: bool,
    /// The policy that it comes under, if there is one.
    pub shared: Option<Shared<'a>>,
    /// What conditions may ask of the resource itself: tags of an object.
    pub context: &'a dyn Context,
}

impl Facts<'_> {
    /// Of something that has no list, or whose list means nothing.
    pub fn owned_by(owner: impl Into<CanonicalUser>) -> Self {
        Self { owner: owner.into(), list: None, ignore_public: false, shared: None, context: &NoContext }
    }
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, list, ignore_public, shared, context: _ } = self;
        write!(f, "Facts({owner:?}, {list:?}, {ignore_public}, {shared:?})")
    }
}

/// What no policy takes from the root of the bucket's account, so that nobody is locked out of a bucket for good, and none gives to another
/// account. Source: "Bucket
/// policies for Amazon S3" and `PutBucketPolicy` of its API reference.
const ALWAYS_ROOTS: [&str; 3] = ["s3:PutBucketPolicy", "s3:GetBucketPolicy", "s3:DeleteBucketPolicy"];

/// Keys of the resource, then those of the request.
struct Both<'a> {
    account: Option<AccountId>,
    resource: &'a dyn Context,
    request: &'a dyn Context,
}

impl Context for Both<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        match key {
            "aws:resourceaccount" | "s3:resourceaccount" => {
                if let Some(account) = self.account {
                    each(&account.to_string());
                }
            }
            _ => {
                self.resource.visit(key, each);
                self.request.visit(key, each);
            }
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.request.spend(steps)
    }
}

/// What policies say: those of whoever asks, and of the resource where there is one to be asked.
fn says(
    question: &Question,
    (resource, facts): (Resource<'_>, &Facts<'_>),
    (policy, owner): (Option<&Policy>, Option<AccountId>),
) -> Verdict {
    let Question { principal, action, context, .. } = question;
    let of_account = facts.shared.map(|shared| shared.account).or_else(|| facts.owner.account());
    let context = Both { account: of_account, resource: facts.context, request: &**context };
    let sources = Sources { resource: policy, owner, ..Sources::default() };
    let pins = facts.shared.map_or(Pins::nobody(), |shared| shared.pins);
    principal.verdict(action.as_str(), &resource.arn().to_string(), &context, (&sources, pins))
}

impl Shared<'_> {
    /// What stands above the policy's text: the root of the account has it always, and nobody of another account ever.
    fn settles(&self, question: &Question) -> Option<Decision> {
        let is_own = question.principal.account() == Some(self.account);
        if !ALWAYS_ROOTS.contains(&question.action.as_str()) {
            return None;
        }
        // Whoever could set it could allow himself everything.
        if !is_own {
            return Some(Decision::Forbid);
        }
        question.principal.is_root().then_some(Decision::Deny)
    }

    /// The policy is for nobody but the account.
    fn keeps_out(&self, principal: &Principal) -> bool {
        self.restricted && principal.account() != Some(self.account)
    }
}

/// May it be done?
pub fn decide(question: &Question, resource: Resource<'_>, facts: &Facts<'_>) -> Decision {
    let Question { principal, permission, .. } = question;
    let settled = facts.shared.and_then(|shared| shared.settles(question));
    if settled == Some(Decision::Forbid) {
        return Decision::Forbid;
    }
    // A root where there is no policy, and one that none is asked about, need no look at any text.
    let asks = settled.is_none() && (facts.shared.is_some() || principal.identity().is_some());
    let owner = facts.shared.map(|shared| shared.account).or_else(|| facts.owner.account());
    let policy = facts.shared.map(|shared| shared.policy);
    let verdict = asks.then(|| says(question, (resource, facts), (policy, owner)));
    let kept_out = settled.is_none() && facts.shared.is_some_and(|shared| shared.keeps_out(principal));
    if verdict.is_some_and(Verdict::is_denied) || kept_out {
        return Decision::Forbid;
    }
    // Its policy says nothing for a bucket of what another account owns in it.
    let shares = facts.shared.is_none_or(|shared| facts.owner == shared.account.into());
    if shares && verdict.is_some_and(Verdict::is_allowed) {
        return Decision::Allow;
    }
    // Nobody is the owner of what was stored without a signature: such objects have their list alone.
    let is_owner = principal.account().is_some_and(|account| facts.owner == account.into());
    let listed = |principal: &Principal| {
        let list = facts.list.zip(*permission);
        list.is_some_and(|(list, wanted)| list.allows(principal, wanted, facts.ignore_public))
    };
    let allowed = match principal {
        Principal::Identity(_) if !principal.is_root() => {
            // What a list of its account's gives to everybody it gives to this one, too. Anything else a list gives to the account.
            (is_owner && listed(&Principal::Anonymous))
                || ((is_owner || listed(principal))
                    && says(question, (resource, facts), (None, principal.account())).is_allowed())
        }
        _ => is_owner || listed(principal),
    };
    if allowed { Decision::Allow } else { Decision::Deny }
}

#[cfg(test)]
mod tests {
    use super::{Action, Decision, Facts, Question, Resource, Shared, decide};
    use crate::identity::Pins;
    use crate::policy::{Form, GivenContext, Policy};
    use crate::{AccessList, AccountId, CanonicalUser, Grant, Grantee, Permission, Principal};
    use std::sync::Arc;

    const OBJECT: Resource<'_> = Resource::Object { bucket: "b", key: "k" };

    fn own() -> AccountId {
        "111122223333".parse().unwrap()
    }

    fn other() -> AccountId {
        "444455556666".parse().unwrap()
    }

    fn asks(principal: Principal, permission: Option<Permission>) -> Question {
        Question::new(principal, Action::new("s3:GetObject"), permission)
    }

    fn policy(statements: &str) -> Policy {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        Policy::parse(&text, Form::Resource, 1 << 14).unwrap()
    }

    fn shares(effect: &str, principal: &str, action: &str) -> String {
        format!(
            r#"{{"Effect":"{effect}","Principal":{{"AWS":"{principal}"}},"Action":"{action}","Resource":"arn:aws:s3:::*"}}"#
        )
    }

    #[test]
    fn a_policy_grants_and_denies_and_its_denial_is_the_end() {
        let list =
            AccessList::new([Grant { grantee: Grantee::AllUsers, permission: Permission::Read }]).unwrap();
        let read = Some(Permission::Read);
        let ask = |principal: &Principal, statements: &str, list, owner: AccountId| {
            let policy = policy(statements);
            let shared =
                Some(Shared { policy: &policy, pins: Pins::nobody(), account: own(), restricted: false });
            let facts = Facts { list, shared, ..Facts::owned_by(owner) };
            decide(&asks(principal.clone(), read), OBJECT, &facts)
        };
        let (all, to_other, no) = (
            shares("Allow", "*", "s3:Get*"),
            shares("Allow", "444455556666", "s3:GetObject"),
            shares("Deny", "*", "s3:GetObject"),
        );
        let (root, guest, nobody) =
            (&Principal::Root(own()), &Principal::Root(other()), &Principal::Anonymous);
        assert!(ask(nobody, &all, None, own()).allowed());
        assert!(ask(guest, &to_other, None, own()).allowed());
        assert_eq!(ask(nobody, &to_other, None, own()), Decision::Deny);
        assert!(ask(root, &to_other, None, own()).allowed(), "the owner needs no grant");
        for principal in [root, guest, nobody] {
            let both = format!("{all},{no}");
            assert_eq!(ask(principal, &both, Some(&list), own()), Decision::Forbid, "{principal:?}");
        }
        // An object of another account: the bucket's policy takes, and gives nothing.
        assert_eq!(ask(nobody, &all, None, other()), Decision::Deny);
        assert_eq!(ask(root, &all, None, other()), Decision::Deny);
        assert!(ask(nobody, &all, Some(&list), other()).allowed(), "by its list");
        assert_eq!(ask(guest, &no, None, other()), Decision::Forbid, "its owner");
    }

    #[test]
    fn nobody_locks_the_root_of_the_account_out_of_the_policy_and_no_other_account_has_it() {
        let (denies, allows) = (policy(&shares("Deny", "*", "s3:*")), policy(&shares("Allow", "*", "s3:*")));
        let ask_of = |policy: &Policy, principal: &Principal, action| {
            let shared = Some(Shared { policy, pins: Pins::nobody(), account: own(), restricted: false });
            let facts = Facts { shared, ..Facts::owned_by(own()) };
            decide(
                &Question::new(principal.clone(), Action::new(action), None),
                Resource::Bucket("b"),
                &facts,
            )
        };
        let ask = |principal: &Principal, action| ask_of(&denies, principal, action);
        for principal in [&Principal::Root(other()), &Principal::Anonymous] {
            for action in ["s3:PutBucketPolicy", "s3:GetBucketPolicy", "s3:DeleteBucketPolicy"] {
                assert_eq!(ask_of(&allows, principal, action), Decision::Forbid, "{action}");
            }
            assert_eq!(ask_of(&allows, principal, "s3:ListBucket"), Decision::Allow);
        }
        for action in ["s3:PutBucketPolicy", "s3:GetBucketPolicy", "s3:DeleteBucketPolicy"] {
            assert_eq!(ask(&Principal::Root(own()), action), Decision::Allow, "{action}");
            assert_eq!(ask(&Principal::Root(other()), action), Decision::Forbid, "{action}");
        }
        for action in ["s3:GetBucketPolicyStatus", "s3:DeleteBucket", "s3:ListBucket"] {
            assert_eq!(ask(&Principal::Root(own()), action), Decision::Forbid, "{action}");
        }
    }

    #[test]
    fn a_restricted_bucket_is_its_accounts_alone() {
        let public =
            policy(&format!("{},{}", shares("Allow", "*", "s3:*"), shares("Allow", "444455556666", "s3:*")));
        let ask = |principal: &Principal, restricted| {
            let shared = Some(Shared { policy: &public, pins: Pins::nobody(), account: own(), restricted });
            decide(&asks(principal.clone(), None), OBJECT, &Facts { shared, ..Facts::owned_by(own()) })
        };
        for principal in [&Principal::Anonymous, &Principal::Root(other())] {
            assert_eq!((ask(principal, false), ask(principal, true)), (Decision::Allow, Decision::Forbid));
        }
        assert!(ask(&Principal::Root(own()), true).allowed());
    }

    #[test]
    fn conditions_ask_the_request_and_the_resource() {
        let policy = policy(
            r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":
            {"s3:ExistingObjectTag/class":"public","aws:ResourceAccount":"111122223333"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}"#,
        );
        let ask = |class: &str, address: &str| {
            let (of_object, of_request) = (
                GivenContext::default().with("s3:ExistingObjectTag/class", [class]),
                GivenContext::default().with("aws:SourceIp", [address]),
            );
            let question = Question { context: Arc::new(of_request), ..asks(Principal::Anonymous, None) };
            let shared =
                Some(Shared { policy: &policy, pins: Pins::nobody(), account: own(), restricted: false });
            let facts = Facts { shared, context: &of_object, ..Facts::owned_by(own()) };
            decide(&question, OBJECT, &facts).allowed()
        };
        assert!(ask("public", "10.0.0.1") && !ask("secret", "10.0.0.1") && !ask("public", "11.0.0.1"));
    }

    #[test]
    fn root_may_all_in_its_own_account_and_nothing_elsewhere() {
        for permission in [None, Some(Permission::Read)] {
            let allowed =
                |principal| decide(&asks(principal, permission), OBJECT, &Facts::owned_by(own())).allowed();
            assert!(allowed(Principal::Root(own())));
            assert!(!allowed(Principal::Root(other())));
            assert!(!allowed(Principal::Anonymous));
        }
    }

    #[test]
    fn a_list_grants_what_it_says_to_whom_it_says_where_it_counts() {
        let read = Some(Permission::Read);
        let public =
            AccessList::new([Grant { grantee: Grantee::AllUsers, permission: Permission::Read }]).unwrap();
        let shared = AccessList::new([Grant::to(other(), Permission::Read)]).unwrap();
        let with = |list, ignore_public| Facts { list: Some(list), ignore_public, ..Facts::owned_by(own()) };
        let ask = |principal, permission, facts: &Facts<'_>| {
            decide(&asks(principal, permission), OBJECT, facts).allowed()
        };
        assert!(ask(Principal::Anonymous, read, &with(&public, false)));
        assert!(!ask(Principal::Anonymous, read, &with(&public, true)), "blocked");
        assert!(!ask(Principal::Anonymous, Some(Permission::Write), &with(&public, false)));
        assert!(!ask(Principal::Anonymous, None, &with(&public, false)), "no list can grant it");
        assert!(
            ask(Principal::Root(other()), read, &with(&shared, true)),
            "another account is not the public"
        );
        assert!(!ask(Principal::Anonymous, read, &with(&shared, false)));
        // The owner needs no grant, and no list takes away what is the owner's.
        let nobody = AccessList::new([]).unwrap();
        assert!(ask(Principal::Root(own()), read, &with(&nobody, true)));
        assert!(ask(Principal::Root(own()), None, &with(&nobody, true)));
    }

    #[test]
    fn what_nobody_signed_for_belongs_to_its_list_alone() {
        let list = AccessList::private(CanonicalUser::Anonymous);
        for (ignore_public, allowed) in [(false, true), (true, false)] {
            let facts =
                Facts { list: Some(&list), ignore_public, ..Facts::owned_by(CanonicalUser::Anonymous) };
            let ask = |principal| decide(&asks(principal, Some(Permission::Read)), OBJECT, &facts).allowed();
            assert_eq!(ask(Principal::Anonymous), allowed);
            assert!(!ask(Principal::Root(own())));
        }
        let facts = Facts::owned_by(CanonicalUser::Anonymous);
        assert!(!decide(&asks(Principal::Anonymous, None), OBJECT, &facts).allowed());
    }

    #[test]
    fn resources_have_their_arns() {
        assert_eq!(OBJECT.arn().to_string(), "arn:aws:s3:::b/k");
        assert_eq!(Resource::Bucket("b").arn().to_string(), "arn:aws:s3:::b");
        assert_eq!(Resource::Account(own()).arn().to_string(), "arn:aws:s3:::");
    }
}
