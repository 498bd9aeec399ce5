//! The one question every door asks before it acts: may this principal do this to that?
//!
//! Pure: no clock, no I/O. Today's rule is the one that holds in an account without users and policies: its root may do
//! everything to what the account owns, everybody else nothing. Policies extend [`decide`] without changing its callers.

use crate::AccountId;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody that we know: an unsigned request.
    Anonymous,
    /// The root user of an account.
    Root(AccountId),
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

/// May `principal` do the action to something that `owner` owns?
///
/// Creating something asks with the account that will own it.
pub fn decide(principal: &Principal, _action: Action, owner: AccountId) -> Decision {
    match principal {
        Principal::Root(account) if *account == owner => Decision::Allow,
        Principal::Root(_) | Principal::Anonymous => Decision::Deny,
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Principal, decide};

    #[test]
    fn root_may_all_in_its_own_account_and_nothing_elsewhere() {
        let (own, other) = ("111122223333".parse().unwrap(), "444455556666".parse().unwrap());
        let action = Action::new("s3:PutObject");
        assert!(decide(&Principal::Root(own), action, own).allowed());
        assert!(!decide(&Principal::Root(other), action, own).allowed());
        assert!(!decide(&Principal::Anonymous, action, own).allowed());
    }
}
