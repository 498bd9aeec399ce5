//! Who asks, as policies name them. Source: "AWS JSON policy elements: Principal" and "… `NotPrincipal`" of the IAM user guide.

use super::error::{PolicyError, Spot};
use super::tree::Tree;
use crate::{AccountId, Arn};
use std::borrow::Cow;

/// Who asks, as policies see it; [`Principal`](crate::Principal) is who that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller<'a> {
    /// Nobody that is known: an unsigned request.
    Anonymous,
    /// The root user of an account.
    Root(AccountId),
    /// A user.
    User {
        /// Its account.
        account: AccountId,
        /// `arn:aws:iam::ACCOUNT:user/PATH/NAME`
        arn: &'a str,
    },
    /// A session of a role.
    Session {
        /// The role's account.
        account: AccountId,
        /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`
        arn: &'a str,
        /// `arn:aws:iam::ACCOUNT:role/PATH/ROLE`
        role: &'a str,
    },
    /// A session that a user got for somebody else (`GetFederationToken`).
    Federated {
        /// The user's account.
        account: AccountId,
        /// `arn:aws:sts::ACCOUNT:federated-user/NAME`
        arn: &'a str,
        /// The user's ARN.
        user: &'a str,
    },
    /// Somebody whom an identity provider vouches for, before they have a session.
    Provided {
        /// The provider, as trust policies name it.
        provider: &'a str,
    },
    /// A service: `delivery.logs.amazonaws.com`.
    Service(&'a str),
}

impl<'a> Caller<'a> {
    /// The account that the caller belongs to.
    pub const fn account(self) -> Option<AccountId> {
        match self {
            Self::Anonymous | Self::Provided { .. } | Self::Service(_) => None,
            Self::Root(account)
            | Self::User { account, .. }
            | Self::Session { account, .. }
            | Self::Federated { account, .. } => Some(account),
        }
    }

    /// What `aws:PrincipalArn` has: the role's of a session, of a federated one its own. Source: "AWS global condition context keys".
    pub fn principal_arn(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Anonymous | Self::Provided { .. } | Self::Service(_) => None,
            Self::Root(account) => Some(Arn::root(account).to_string().into()),
            Self::User { arn, .. } | Self::Session { role: arn, .. } | Self::Federated { arn, .. } => {
                Some(arn.into())
            }
        }
    }

    /// What `aws:PrincipalType` has.
    pub const fn principal_type(self) -> &'static str {
        match self {
            Self::Anonymous | Self::Provided { .. } => "Anonymous",
            Self::Root(_) => "Account",
            Self::User { .. } => "User",
            Self::Session { .. } => "AssumedRole",
            Self::Federated { .. } => "FederatedUser",
            Self::Service(_) => "Service",
        }
    }

    /// Its own ARN, and that of whose session it is.
    const fn arns(self) -> [Option<&'a str>; 2] {
        match self {
            Self::User { arn, .. } => [Some(arn), None],
            Self::Session { arn, role: of, .. } | Self::Federated { arn, user: of, .. } => {
                [Some(arn), Some(of)]
            }
            Self::Anonymous | Self::Root(_) | Self::Provided { .. } | Self::Service(_) => [None, None],
        }
    }
}

/// How far the Allow of a resource policy reaches whom it takes in. In order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// It names the account: what the account's own policies allow goes on from there.
    Account,
    /// It names the role or user whose session asks: boundary and session policy still bound it.
    Behind,
    /// It names the caller itself, or everybody.
    Caller,
}

/// Somebody that a policy names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// `*`
    Everybody,
    /// An account, by its number or its root's ARN.
    Account(AccountId),
    /// A user, role or session, by its ARN.
    Arn {
        /// Its account.
        account: AccountId,
        /// The ARN.
        arn: Box<str>,
    },
    /// A service.
    Service(Box<str>),
    /// An identity provider.
    Federated(Box<str>),
    /// An account, by S3's canonical user id.
    Canonical(Box<str>),
}

impl Party {
    fn parse(kind: &str, text: &str, spot: &Spot<'_>) -> Result<Self, PolicyError> {
        let refused = |detail: &str| Err(PolicyError::at(spot, format!("{text:?} {detail}")));
        if text.is_empty() {
            return refused("names nobody");
        }
        match kind {
            "AWS" if text == "*" => Ok(Self::Everybody),
            "AWS" if text.contains(['*', '?']) => refused(
                "has a wildcard: * alone can stand for everybody, with aws:PrincipalArn in a Condition for some",
            ),
            "AWS" => match text.parse().map(|account| (account, true)).or_else(|_| account_of(text)) {
                Ok((account, true)) => Ok(Self::Account(account)),
                Ok((account, false)) => Ok(Self::Arn { account, arn: text.into() }),
                Err(()) => refused(
                    "is no principal: *, an account's number, and the ARN of an account's root, of a user, role or session are",
                ),
            },
            "Service" => Ok(Self::Service(text.into())),
            "Federated" => Ok(Self::Federated(text.into())),
            "CanonicalUser" if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Self::Canonical(text.to_ascii_lowercase().into()))
            }
            "CanonicalUser" => refused("is no canonical user id: 64 hexadecimal digits are"),
            _ => refused("is of no kind of principal: AWS, Service, Federated and CanonicalUser are"),
        }
    }

    fn reach(&self, caller: Caller<'_>) -> Option<Reach> {
        let of_account = |is_own: bool| match caller {
            Caller::Root(_) if is_own => Some(Reach::Caller),
            _ => is_own.then_some(Reach::Account),
        };
        match self {
            Self::Everybody => Some(Reach::Caller),
            Self::Account(account) => of_account(caller.account() == Some(*account)),
            Self::Canonical(id) => {
                of_account(caller.account().is_some_and(|account| account.canonical_user_id() == **id))
            }
            Self::Arn { arn, .. } => match caller.arns() {
                [Some(own), _] if *own == **arn => Some(Reach::Caller),
                [_, Some(behind)] if *behind == **arn => Some(Reach::Behind),
                _ => None,
            },
            Self::Service(name) => (caller == Caller::Service(name)).then_some(Reach::Caller),
            Self::Federated(name) => (caller == Caller::Provided { provider: name }).then_some(Reach::Caller),
        }
    }
}

/// `arn:aws:iam::ID:root`, `…:user/…`, `…:role/…`, `arn:aws:sts::ID:assumed-role/ROLE/SESSION`, `…:federated-user/NAME`.
///
/// And whether it stands for the account itself, not for somebody of it who is called `…:root`.
fn account_of(text: &str) -> Result<(AccountId, bool), ()> {
    let arn: Arn = text.parse().map_err(|_| ())?;
    let named = |kind: &str| arn.resource().strip_prefix(kind).is_some_and(|name| !name.is_empty());
    let root = arn.service() == "iam" && arn.resource() == "root";
    let known = match arn.service() {
        "iam" => root || named("user/") || named("role/"),
        "sts" => {
            let session = arn.resource().strip_prefix("assumed-role/").and_then(|rest| rest.split_once('/'));
            session.is_some_and(|(role, name)| !role.is_empty() && !name.is_empty())
                || named("federated-user/")
        }
        _ => false,
    };
    arn.account().filter(|_| known && arn.region().is_empty()).map(|account| (account, root)).ok_or(())
}

/// A statement's Principal or `NotPrincipal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parties {
    pub(super) negated: bool,
    pub(super) list: Box<[Party]>,
}

impl Parties {
    /// Bytes that they take in memory beside themselves, about.
    pub(super) fn heap_bytes(&self) -> usize {
        let name = |party: &Party| match party {
            Party::Everybody | Party::Account(_) => 0,
            Party::Arn { arn: name, .. }
            | Party::Canonical(name)
            | Party::Service(name)
            | Party::Federated(name) => name.len(),
        };
        size_of_val(&*self.list) + self.list.iter().map(name).sum::<usize>()
    }

    pub(super) fn parse(tree: &Tree, negated: bool, spot: &Spot<'_>) -> Result<Self, PolicyError> {
        let mut list = Vec::new();
        match tree {
            Tree::Text(text) if text == "*" => list.push(Party::Everybody),
            Tree::Object(kinds) if !kinds.is_empty() => {
                for (kind, names) in kinds {
                    let spot = spot.member(kind);
                    for (at, name) in super::document::texts(names, &spot)?.into_iter().enumerate() {
                        let item = spot.item(at);
                        let spot = if matches!(names, Tree::List(_)) { &item } else { &spot };
                        list.push(Party::parse(kind, name, spot)?);
                    }
                }
            }
            other => {
                let detail = format!(
                    "{} names nobody: \"*\" does, or an object of AWS, Service, Federated, CanonicalUser",
                    other.kind()
                );
                return Err(PolicyError::at(spot, detail));
            }
        }
        Ok(Self { negated, list: list.into() })
    }

    /// Whether the statement takes the caller in, and how far. `bounded`: the caller has a permissions boundary.
    pub(super) fn reach(&self, caller: Caller<'_>, bounded: bool) -> Option<Reach> {
        if !self.negated {
            return self.list.iter().filter_map(|party| party.reach(caller)).max();
        }
        // Left out is only whom the list names whole: the caller, whose session it is, and the account. Whoever has a boundary never is
        // (as AWS documents it).
        let names = |wanted: &dyn Fn(&Party) -> bool| self.list.iter().any(wanted);
        let everybody = names(&|party| *party == Party::Everybody);
        let account = caller.account().is_none_or(|account| {
            names(&|party| match party {
                Party::Account(known) => *known == account,
                Party::Canonical(id) => account.canonical_user_id() == **id,
                _ => false,
            })
        });
        let itself = caller
            .arns()
            .into_iter()
            .flatten()
            .all(|own| names(&|party| matches!(party, Party::Arn { arn, .. } if **arn == *own)));
        let known = match caller {
            Caller::Anonymous => false,
            Caller::Service(_) | Caller::Provided { .. } => names(&|party| party.reach(caller).is_some()),
            _ => true,
        };
        let left_out = everybody || (known && account && itself && !bounded);
        (!left_out).then_some(Reach::Caller)
    }
}

#[cfg(test)]
mod tests {
    use super::{Caller, Parties, Party, Reach};
    use crate::AccountId;
    use crate::policy::error::Spot;
    use crate::policy::tree::Tree;

    fn own() -> AccountId {
        "111122223333".parse().unwrap()
    }

    fn parties(json: &str, negated: bool) -> Parties {
        Parties::parse(&Tree::parse(json).unwrap(), negated, &Spot::Document).unwrap()
    }

    fn user() -> Caller<'static> {
        Caller::User { account: own(), arn: "arn:aws:iam::111122223333:user/alice" }
    }

    fn session() -> Caller<'static> {
        Caller::Session {
            account: own(),
            arn: "arn:aws:sts::111122223333:assumed-role/reader/s",
            role: "arn:aws:iam::111122223333:role/reader",
        }
    }

    #[test]
    fn somebody_whose_name_ends_like_the_roots_is_not_the_account() {
        for arn in
            ["arn:aws:iam::111122223333:user/a:root", "arn:aws:sts::111122223333:federated-user/x:root"]
        {
            let parsed = parties(&format!(r#"{{"AWS":"{arn}"}}"#), false);
            assert_eq!(*parsed.list, [Party::Arn { account: own(), arn: arn.into() }]);
            assert_eq!(parsed.reach(Caller::Root(own()), false), None, "{arn}");
        }
    }

    #[test]
    fn a_principal_reaches_whom_it_names_and_as_far_as_it_names_them() {
        let root = Caller::Root(own());
        let other = Caller::Root("444455556666".parse().unwrap());
        let (everybody, account, by_arn) = (
            r#"{"AWS":"*"}"#,
            r#"{"AWS":"111122223333"}"#,
            r#"{"AWS":["444455556666","arn:aws:iam::111122223333:root"]}"#,
        );
        let canonical = format!(r#"{{"CanonicalUser":"{}"}}"#, own().canonical_user_id());
        for (json, caller, expected) in [
            (r#""*""#, Caller::Anonymous, Some(Reach::Caller)),
            (everybody, session(), Some(Reach::Caller)),
            (account, root, Some(Reach::Caller)),
            (account, user(), Some(Reach::Account)),
            (account, other, None),
            (account, Caller::Anonymous, None),
            (by_arn, session(), Some(Reach::Account)),
            (by_arn, other, Some(Reach::Caller)),
            (&canonical, root, Some(Reach::Caller)),
            (&canonical, user(), Some(Reach::Account)),
            (&canonical, other, None),
            (r#"{"AWS":"arn:aws:iam::111122223333:user/alice"}"#, user(), Some(Reach::Caller)),
            (r#"{"AWS":"arn:aws:iam::111122223333:user/alice"}"#, root, None),
            (r#"{"AWS":"arn:aws:iam::111122223333:role/reader"}"#, session(), Some(Reach::Behind)),
            (r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/reader/s"}"#, session(), Some(Reach::Caller)),
            (r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/reader/t"}"#, session(), None),
            (r#"{"Service":"x.amazonaws.com"}"#, Caller::Service("x.amazonaws.com"), Some(Reach::Caller)),
            (r#"{"Service":"x.amazonaws.com"}"#, Caller::Service("y.amazonaws.com"), None),
            (
                r#"{"Federated":"id.example"}"#,
                Caller::Provided { provider: "id.example" },
                Some(Reach::Caller),
            ),
        ] {
            assert_eq!(parties(json, false).reach(caller, false), expected, "{json} {caller:?}");
        }
    }

    #[test]
    fn not_principal_leaves_out_only_whom_it_names_whole() {
        let (user_arn, root) = ("arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:root");
        let session_arns = [
            "arn:aws:sts::111122223333:assumed-role/reader/s",
            "arn:aws:iam::111122223333:role/reader",
            root,
        ];
        let list = |names: &[&str]| parties(&format!(r#"{{"AWS":{names:?}}}"#), true);
        let applies =
            |names: &[&str], caller, bounded| list(names).reach(caller, bounded) == Some(Reach::Caller);
        assert!(!applies(&[root], Caller::Root(own()), false));
        assert!(applies(&[root], Caller::Root("444455556666".parse().unwrap()), false));
        assert!(applies(&[root], Caller::Anonymous, false) && applies(&[root], user(), false));
        assert!(applies(&[user_arn], user(), false), "the account is not named");
        assert!(!applies(&[user_arn, root], user(), false));
        assert!(applies(&[user_arn, root], user(), true), "a boundary");
        assert!(!applies(&session_arns, session(), false) && applies(&session_arns[1..], session(), false));
        assert!(!applies(&["*"], Caller::Anonymous, false));
    }

    #[test]
    fn what_names_nobody_is_refused_with_its_place() {
        let place = |json: &str| {
            let tree = Tree::parse(json).unwrap();
            Parties::parse(&tree, false, &Spot::Document).unwrap_err().place.to_string()
        };
        for (bad, at) in [
            (r#""alice""#, "document"),
            ("{}", "document"),
            ("[]", "document"),
            (r#"{"AWS":[]}"#, "AWS"),
            (r#"{"AWS":["111122223333","alice"]}"#, "AWS[1]"),
            (r#"{"AWS":"arn:aws:iam::111122223333:user/*"}"#, "AWS"),
            (r#"{"AWS":"arn:aws:iam::111122223333:group/a"}"#, "AWS"),
            (r#"{"AWS":"arn:aws:iam::tenant:root"}"#, "AWS"),
            (r#"{"AWS":"arn:aws:s3:::bucket"}"#, "AWS"),
            (r#"{"AWS":1}"#, "AWS"),
            (r#"{"CanonicalUser":"12"}"#, "CanonicalUser"),
            (r#"{"People":"x"}"#, "People"),
        ] {
            assert_eq!(place(bad), at, "{bad}");
        }
        let both = parties(r#"{"AWS":"111122223333","Service":["a","b"]}"#, false);
        assert_eq!(both.list.len(), 3);
        assert_eq!(both.list[0], Party::Account(own()));
    }
}
