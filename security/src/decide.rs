//! The one question every door asks before it acts: may this principal do this to that?
//!
//! ```text
//!   door ─► Question (who, what, which permission of a list would do) ─┐
//!   store ─► Resource, Facts (owner, access list, blocks) ─────────────┴─► decide ─► Allow | Deny
//! ```
//!
//! Pure: no clock, no I/O. A door makes one question a request; who has the facts at hand answers it, at the version of the
//! rows that it is about to use. Today's rule: the root of the owning account may do everything, everybody else what the
//! access list grants, if lists mean anything there. Policies extend [`decide`], [`Question`] and [`Facts`] without changing
//! its callers.

use crate::{AccessList, AccountId, Arn, CanonicalUser, Permission};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody that we know: an unsigned request.
    Anonymous,
    /// The root user of an account.
    Root(AccountId),
}

impl Principal {
    /// The account that it belongs to.
    pub const fn account(self) -> Option<AccountId> {
        match self {
            Self::Anonymous => None,
            Self::Root(account) => Some(account),
        }
    }

    /// Whether it is the root of this account.
    pub fn is_root_of(self, account: AccountId) -> bool {
        self == Self::Root(account)
    }

    /// Who owns what it makes, and whom grants name.
    pub const fn canonical_user(self) -> CanonicalUser {
        match self {
            Self::Anonymous => CanonicalUser::Anonymous,
            Self::Root(account) => CanonicalUser::Account(account),
        }
    }
}

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
    /// Answer `AccessDenied` and do nothing.
    Deny,
}

impl Decision {
    /// Whether to go on.
    pub fn allowed(self) -> bool {
        self == Self::Allow
    }
}

/// What a request asks, as far as the request itself says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who.
    pub principal: Principal,
    /// What.
    pub action: Action,
    /// The permission of the resource's access list that grants it; `None` where no list can.
    pub permission: Option<Permission>,
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
    /// Its name across services.
    pub fn arn(&self) -> Arn {
        match self {
            Self::Account(account) => Arn::root(*account),
            Self::Bucket(bucket) => Arn::bucket(bucket),
            Self::Object { bucket, key } => Arn::object(bucket, key),
        }
    }
}

/// What is known of the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Who owns it. Creating something asks with the account that will own it.
    pub owner: CanonicalUser,
    /// Its access list; `None` where lists are switched off, or there can be none.
    pub list: Option<&'a AccessList>,
    /// What the list grants to the public does not count.
    pub ignore_public: bool,
}

impl Facts<'_> {
    /// Of something that has no list, or whose list means nothing.
    pub fn owned_by(owner: impl Into<CanonicalUser>) -> Self {
        Self { owner: owner.into(), list: None, ignore_public: false }
    }
}

/// May it be done?
pub fn decide(question: &Question, _resource: Resource<'_>, facts: &Facts<'_>) -> Decision {
    let Question { principal, permission, .. } = question;
    // Nobody is the owner of what was stored without a signature: such objects have their list alone.
    let is_owner = principal.account().is_some_and(|account| facts.owner == account.into());
    let granted =
        |(list, wanted): (&AccessList, Permission)| list.allows(*principal, wanted, facts.ignore_public);
    if is_owner || facts.list.zip(*permission).is_some_and(granted) {
        Decision::Allow
    } else {
        Decision::Deny
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Facts, Principal, Question, Resource, decide};
    use crate::{AccessList, AccountId, CanonicalUser, Grant, Grantee, Permission};

    const OBJECT: Resource<'_> = Resource::Object { bucket: "b", key: "k" };

    fn own() -> AccountId {
        "111122223333".parse().unwrap()
    }

    fn other() -> AccountId {
        "444455556666".parse().unwrap()
    }

    fn asks(principal: Principal, permission: Option<Permission>) -> Question {
        Question { principal, action: Action::new("s3:GetObject"), permission }
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
        let with = |list, ignore_public| Facts { owner: own().into(), list: Some(list), ignore_public };
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
            let facts = Facts { owner: CanonicalUser::Anonymous, list: Some(&list), ignore_public };
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
        assert_eq!(Resource::Account(own()).arn().to_string(), "arn:aws:iam::111122223333:root");
    }
}
