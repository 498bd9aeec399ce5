//! Access lists: who was granted what on a bucket or an object, as S3 has had it since before there were policies.
//!
//! Pure data and pure questions about it. Where a list is kept, and whether it means anything at all (ownership controls may
//! switch lists off), is the object store's; whether a request may go on is [`decide`](crate::decide::decide)'s.
//!
//! Limits: [`GRANTS_MAX`] grants a list. Grants to groups stand before those to users, otherwise in the order given.

mod canned;

pub use canned::CannedAcl;

use crate::{AccountId, CanonicalUser, Error, Principal, Result};
use std::fmt;
use std::str::FromStr;

/// Grants of one list at the most. Source: "Access control list (ACL) overview" of the S3 user guide.
pub const GRANTS_MAX: usize = 100;

/// What a grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// To list a bucket, to read an object.
    Read,
    /// To create, overwrite and delete objects in a bucket. Means nothing on an object.
    Write,
    /// To read the list itself.
    ReadAcp,
    /// To replace the list itself.
    WriteAcp,
    /// All four.
    FullControl,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::ReadAcp, Self::WriteAcp, Self::FullControl];

    /// S3's name: `READ_ACP`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
            Self::FullControl => "FULL_CONTROL",
        }
    }

    fn covers(self, wanted: Self) -> bool {
        self == wanted || self == Self::FullControl
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| Error::Parse {
            what: "permission",
            detail: format!("{text:?} is none of READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL"),
        })
    }
}

/// Whom a grant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grantee {
    /// Anybody, signed or not.
    AllUsers,
    /// Whoever signs, of whatever account.
    AuthenticatedUsers,
    /// The delivery of server access logs.
    LogDelivery,
    /// One account.
    User(CanonicalUser),
}

impl Grantee {
    const GROUPS: [Self; 3] = [Self::AllUsers, Self::AuthenticatedUsers, Self::LogDelivery];

    /// A group's URI; `None` for an account.
    pub const fn uri(self) -> Option<&'static str> {
        match self {
            Self::AllUsers => Some("http://acs.amazonaws.com/groups/global/AllUsers"),
            Self::AuthenticatedUsers => Some("http://acs.amazonaws.com/groups/global/AuthenticatedUsers"),
            Self::LogDelivery => Some("http://acs.amazonaws.com/groups/s3/LogDelivery"),
            Self::User(_) => None,
        }
    }

    /// The group of a URI.
    pub fn of_uri(uri: &str) -> Option<Self> {
        Self::GROUPS.into_iter().find(|group| group.uri() == Some(uri))
    }

    /// Whether it takes in people whom nobody chose: what blocks of public access mean by public.
    pub const fn is_public(self) -> bool {
        match self {
            Self::AllUsers | Self::AuthenticatedUsers | Self::User(CanonicalUser::Anonymous) => true,
            Self::LogDelivery | Self::User(CanonicalUser::Account(_)) => false,
        }
    }

    fn takes_in(self, principal: &Principal) -> bool {
        match self {
            Self::AllUsers => true,
            Self::AuthenticatedUsers => *principal != Principal::Anonymous,
            // Nobody asks as the group: logs are delivered from within.
            Self::LogDelivery => false,
            Self::User(user) => user == principal.canonical_user(),
        }
    }
}

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// Whom it is for.
    pub grantee: Grantee,
    /// What it allows.
    pub permission: Permission,
}

impl Grant {
    /// To an account.
    pub fn to(user: impl Into<CanonicalUser>, permission: Permission) -> Self {
        Self { grantee: Grantee::User(user.into()), permission }
    }
}

/// An access list: what is not granted is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList(Vec<Grant>);

impl AccessList {
    /// A list of these grants.
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Result<Self> {
        let mut grants: Vec<Grant> = grants.into_iter().collect();
        if grants.len() > GRANTS_MAX {
            let detail = format!("{} grants, {GRANTS_MAX} are allowed", grants.len());
            return Err(Error::Parse { what: "access list", detail });
        }
        // Stable: among groups, and among users, the order given stays.
        grants.sort_by_key(|grant| grant.grantee.uri().is_none());
        Ok(Self(grants))
    }

    /// The list that things have when none was asked for: everything to their owner, nothing to anybody else.
    pub fn private(owner: impl Into<CanonicalUser>) -> Self {
        Self(vec![Grant::to(owner, Permission::FullControl)])
    }

    /// Its grants: groups first.
    pub fn grants(&self) -> &[Grant] {
        &self.0
    }

    /// Whether it is what [`private`](Self::private) makes.
    pub fn is_private(&self, owner: CanonicalUser) -> bool {
        self.0 == [Grant::to(owner, Permission::FullControl)]
    }

    /// Whether it grants anything to the public.
    pub fn is_public(&self) -> bool {
        self.0.iter().any(|grant| grant.grantee.is_public())
    }

    /// Whether it grants anything to anybody but this account.
    pub fn names_others_than(&self, owner: AccountId) -> bool {
        self.0.iter().any(|grant| grant.grantee != Grantee::User(owner.into()))
    }

    /// Whether it grants the permission to this very grantee.
    pub fn grants_to(&self, grantee: Grantee, wanted: Permission) -> bool {
        self.0.iter().any(|grant| grant.grantee == grantee && grant.permission.covers(wanted))
    }

    /// Whether it grants the permission; `ignore_public` leaves out what it grants to the public.
    pub fn allows(&self, principal: &Principal, wanted: Permission, ignore_public: bool) -> bool {
        self.0.iter().any(|grant| {
            grant.permission.covers(wanted)
                && grant.grantee.takes_in(principal)
                && !(ignore_public && grant.grantee.is_public())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{AccessList, CannedAcl, GRANTS_MAX, Grant, Grantee, Permission};
    use crate::{AccountId, CanonicalUser, Principal};

    fn account(digit: u8) -> AccountId {
        char::from(b'0' + digit).to_string().repeat(12).parse().unwrap()
    }

    #[test]
    fn a_grant_allows_its_grantee_its_permission_and_nothing_else() {
        let (own, other, third) = (account(1), account(2), account(3));
        let (own, other_root, third) = (Principal::Root(own), Principal::Root(other), Principal::Root(third));
        for granted in Permission::ALL {
            let list = AccessList::new([Grant::to(other, granted)]).unwrap();
            for wanted in Permission::ALL {
                let covered = granted == wanted || granted == Permission::FullControl;
                assert_eq!(list.allows(&other_root, wanted, false), covered, "{granted} {wanted}");
                assert_eq!(
                    list.allows(&other_root, wanted, true),
                    covered,
                    "another account is not the public"
                );
                assert!(!list.allows(&third, wanted, false));
                assert!(!list.allows(&own, wanted, false));
                assert!(!list.allows(&Principal::Anonymous, wanted, false));
            }
        }
    }

    #[test]
    fn groups_take_in_whom_they_say() {
        for (grantee, signed, anonymous, public) in [
            (Grantee::AllUsers, true, true, true),
            (Grantee::AuthenticatedUsers, true, false, true),
            (Grantee::LogDelivery, false, false, false),
            (Grantee::User(CanonicalUser::Anonymous), false, true, true),
        ] {
            let list = AccessList::new([Grant { grantee, permission: Permission::Read }]).unwrap();
            assert_eq!(
                list.allows(&Principal::Root(account(2)), Permission::Read, false),
                signed,
                "{grantee:?}"
            );
            assert_eq!(list.allows(&Principal::Anonymous, Permission::Read, false), anonymous, "{grantee:?}");
            assert!(!list.allows(&Principal::Root(account(2)), Permission::Read, true), "ignored");
            assert!(!list.allows(&Principal::Anonymous, Permission::Read, true), "ignored");
            assert_eq!(list.is_public(), public, "{grantee:?}");
        }
        for group in Grantee::GROUPS {
            assert_eq!(Grantee::of_uri(group.uri().unwrap()), Some(group));
        }
        assert_eq!(Grantee::of_uri("http://acs.amazonaws.com/groups/global/Nobody"), None);
    }

    #[test]
    fn canned_lists_are_s3s() {
        let (writer, bucket): (CanonicalUser, CanonicalUser) = (account(1).into(), account(2).into());
        let text = |name: &str, owner, on_bucket: bool| {
            let canned: CannedAcl = name.parse().unwrap();
            let list = if on_bucket { canned.of_bucket(owner) } else { canned.of_object(owner, bucket) };
            let line = |grant: &Grant| {
                let who = match grant.grantee {
                    Grantee::User(user) if user == writer => "writer".to_owned(),
                    Grantee::User(_) => "bucket".to_owned(),
                    group => group.uri().unwrap().rsplit('/').next().unwrap().to_owned(),
                };
                format!("{who} {}", grant.permission)
            };
            list.grants().iter().map(line).collect::<Vec<_>>().join(", ")
        };
        let own = "writer FULL_CONTROL";
        for (name, on_object, on_bucket) in [
            ("private", "", ""),
            ("public-read", "AllUsers READ, ", "AllUsers READ, "),
            ("public-read-write", "AllUsers READ, AllUsers WRITE, ", "AllUsers READ, AllUsers WRITE, "),
            ("authenticated-read", "AuthenticatedUsers READ, ", "AuthenticatedUsers READ, "),
            ("aws-exec-read", "", ""),
            ("log-delivery-write", "", "LogDelivery WRITE, LogDelivery READ_ACP, "),
        ] {
            assert_eq!(text(name, writer, false), format!("{on_object}{own}"), "{name}");
            assert_eq!(text(name, writer, true), format!("{on_bucket}{own}"), "{name}");
        }
        assert_eq!(text("bucket-owner-read", writer, false), format!("{own}, bucket READ"));
        assert_eq!(text("bucket-owner-full-control", writer, false), format!("{own}, bucket FULL_CONTROL"));
        for name in ["bucket-owner-read", "bucket-owner-full-control"] {
            assert_eq!(text(name, bucket, false), "bucket FULL_CONTROL", "the bucket's owner writes");
            assert_eq!(text(name, writer, true), own, "means nothing on a bucket");
        }
        "public".parse::<CannedAcl>().unwrap_err();
        assert!(
            CannedAcl::ALL
                .into_iter()
                .all(|known| known.as_str().parse().is_ok_and(|read: CannedAcl| read == known))
        );
    }

    #[test]
    fn lists_are_bounded_and_name_groups_first() {
        let user = Grant::to(account(1), Permission::Read);
        let group = Grant { grantee: Grantee::AllUsers, permission: Permission::Read };
        let list = AccessList::new([user, group]).unwrap();
        assert_eq!(list.grants(), [group, user]);
        AccessList::new(vec![user; GRANTS_MAX]).unwrap();
        AccessList::new(vec![user; GRANTS_MAX + 1]).unwrap_err();
        assert!(AccessList::private(account(1)).is_private(account(1).into()));
        assert!(!AccessList::private(account(1)).names_others_than(account(1)));
        assert!(list.names_others_than(account(1)) && !list.is_private(account(1).into()));
        assert!(
            Permission::ALL
                .into_iter()
                .all(|known| known.as_str().parse().is_ok_and(|read: Permission| read == known))
        );
        "READ_".parse::<Permission>().unwrap_err();
    }
}
