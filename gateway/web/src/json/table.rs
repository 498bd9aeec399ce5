//! What a service of the JSON protocol is: its table of operations, a row each. From the rows come the router, the reading of parameters, the
//! page of actions, and the walks of the tests. An operation that the model has and firn does not stands in the table too, with the reason.

use super::Call;
use super::error::JsonError;
use super::read::Args;
use super::shape::Param;
use engine::BoxFuture;
use security::Principal;
use security::audit::Resource;

/// A service.
#[derive(Debug)]
pub(crate) struct Service {
    /// As scopes and actions name it: `kms`.
    pub(crate) name: &'static str,
    /// What `X-Amz-Target` begins with: any of these.
    pub(crate) targets: &'static [&'static str],
    /// What a request is about, as records name it; in that region.
    pub(crate) resources: fn(&Args, &Principal, &str) -> Vec<Resource>,
    /// What an answer says that it was about.
    pub(crate) made: fn(&serde_json::Value) -> Vec<Resource>,
    /// It may be another account's, which has a record then.
    pub(crate) of_others: bool,
    /// Its rows, in groups.
    pub(crate) groups: &'static [&'static [Row]],
}

impl Service {
    /// All rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &'static Row> + use<> {
        self.groups.iter().copied().flatten()
    }

    /// The row of an operation. Names are compared as they are written.
    pub(crate) fn find(&self, operation: &str) -> Option<&'static Row> {
        self.rows().find(|row| row.name == operation)
    }
}

/// What the action of an operation is about, as policies name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// Nothing in particular: a policy says `*`.
    Account,
    /// A key of one's own account, by its policy.
    Key,
    /// A key, of another account too.
    AnyKey,
    /// An alias, by the policies of who asks, and the keys that it stands for, by theirs.
    Alias,
    /// A trail of one's own account.
    Trail,
}

/// What becomes of an operation.
#[derive(Clone, Copy)]
pub(crate) enum State {
    /// It is done, by this function.
    Done(Handler),
    /// It is refused, for this reason.
    Missing(&'static str),
}

/// Does an operation.
pub(crate) type Handler = for<'c> fn(&'c Call) -> BoxFuture<'c, Result<serde_json::Value, JsonError>>;

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done(_) => f.write_str("Done"),
            Self::Missing(why) => write!(f, "Missing({why})"),
        }
    }
}

/// An operation.
#[derive(Debug)]
pub(crate) struct Row {
    /// `CreateKey`
    pub(crate) name: &'static str,
    /// What policies are asked: `kms:CreateKey`. Most have one.
    pub(crate) actions: &'static [&'static str],
    /// What its actions are about.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page of actions has it"))]
    pub(crate) about: About,
    /// Whether a grant gives it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page of actions has it"))]
    pub(crate) granted: bool,
    /// Its parameters.
    pub(crate) parameters: &'static [Param],
    /// What becomes of it.
    pub(crate) state: State,
}

/// The row of an operation before anything is said of it.
macro_rules! row {
    ($service:literal, $name:literal) => {
        $crate::json::Row {
            name: $name,
            actions: &[concat!($service, ":", $name)],
            about: $crate::json::About::Key,
            granted: false,
            parameters: &[],
            state: $crate::json::State::Missing("it is not built yet"),
        }
    };
}
pub(crate) use row;

/// Rows of operations that are not done, all for one reason.
macro_rules! missing {
    ($service:literal, $why:literal, $($name:literal),* $(,)?) => {
        &[$($crate::json::Row {
            state: $crate::json::State::Missing($why),
            ..$crate::json::row!($service, $name)
        },)*]
    };
}
pub(crate) use missing;

/// The function of a row.
macro_rules! done {
    ($function:path) => {
        $crate::json::State::Done(|call| Box::pin($function(call)))
    };
}
pub(crate) use done;
