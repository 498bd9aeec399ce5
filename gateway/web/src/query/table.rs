//! What a service of the query protocol is: its table of operations, a row each.
//!
//! A row says everything about an operation but what it does, and names the function that does it. From the rows come the router, the
//! reading of parameters (`read.rs`), the decision (`target.rs`, `context.rs`), the page docs/iam-actions.md, and the walks of the tests. An
//! operation that the model has and firn does not stands in the table too, with the reason.

use super::Call;
use super::answer::Reply;
use super::error::QueryError;
use super::shape::Param;
use engine::BoxFuture;

/// A service.
#[derive(Debug)]
pub(crate) struct Service {
    /// As scopes and actions name it: `iam`.
    pub(crate) name: &'static str,
    /// The only version of its API.
    pub(crate) version: &'static str,
    /// The namespace of its documents.
    pub(crate) namespace: &'static str,
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

/// Codes that any operation may answer with: "Common errors" of the API references, and the appliance's own trouble.
const OF_ALL: [&str; 7] = [
    "AccessDenied",
    "ConcurrentModification",
    "InternalFailure",
    "InvalidInput",
    "NotImplemented",
    "ServiceFailure",
    "ValidationError",
];

/// What the action of an operation is about, as policies name it. `NAME` of a parameter says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// Nothing in particular: a policy says `*`, or any ARN of the service in the account.
    Account,
    /// All of a kind: `user/`.
    All(&'static str),
    /// What is to be made: of this kind, with the path that the request says and the name of this parameter.
    New(&'static str, &'static str),
    /// What is there: of this kind, by the name in this parameter. Without it: the user that asks.
    Named(&'static str, &'static str),
    /// A managed policy, by its ARN in this parameter.
    Policy(&'static str),
    /// A user, group or role, by its ARN in this parameter.
    Principal(&'static str),
    /// The user whose access key this parameter names.
    KeysUser(&'static str),
    /// A federated user to be, by the name in this parameter.
    Federated(&'static str),
    /// A role, by its ARN in this parameter; its trust policy decides.
    Trust(&'static str),
    /// A second factor, by its ARN in this parameter.
    Device(&'static str),
    /// An OIDC provider to be, by the URL in this parameter.
    NewProvider(&'static str),
    /// An OIDC provider, by its ARN in this parameter.
    Provider(&'static str),
    /// The user that asks.
    OwnUser,
    /// Whoever asks, for itself. No policy is asked.
    Oneself,
}

/// What becomes of an operation.
#[derive(Clone, Copy)]
pub(crate) enum State {
    /// It is done, by this function.
    Done(Handler),
    /// It is answered with `NotImplemented`, for this reason.
    Missing(&'static str),
}

/// Does an operation.
pub(crate) type Handler = for<'c> fn(&'c Call) -> BoxFuture<'c, Result<Reply, QueryError>>;

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
    /// `CreateUser`
    pub(crate) name: &'static str,
    /// `iam:CreateUser`
    pub(crate) action: &'static str,
    /// `CreateUserResponse` and `CreateUserResult`
    pub(crate) elements: [&'static str; 2],
    /// What its action is about.
    pub(crate) about: About,
    /// Condition keys of its own, as AWS writes them; `NAME` stands for any tag's.
    pub(crate) keys: &'static [&'static str],
    /// Its parameters.
    pub(crate) parameters: &'static [Param],
    /// Whether it changes something.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page of actions has it"))]
    pub(crate) writes: bool,
    /// Whether it may be asked without a signature: it brings a proof of its own.
    pub(crate) open: bool,
    /// Codes that it answers with, besides those that every operation has.
    pub(crate) errors: &'static [&'static str],
    /// What becomes of it.
    pub(crate) state: State,
}

impl Row {
    /// Whether an error of its function's is one that its model has.
    pub(crate) fn may_answer(&self, code: &str) -> bool {
        self.errors.contains(&code) || OF_ALL.contains(&code)
    }

    /// Whether it comes in pages.
    pub(crate) fn is_paged(&self) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == "Marker")
    }

    /// Whether its request has a key of its own; `key` in lower case.
    pub(crate) fn has_key(&self, key: &str) -> bool {
        self.keys.iter().any(|known| match known.strip_suffix("NAME") {
            Some(before) => key.get(..before.len()).is_some_and(|start| start.eq_ignore_ascii_case(before)),
            None => known.eq_ignore_ascii_case(key),
        })
    }
}

/// The row of an operation before anything is said of it: `Row { about: …, state: …, ..row!("iam", "CreateUser") }`.
macro_rules! row {
    ($service:literal, $name:literal) => {
        $crate::query::Row {
            name: $name,
            action: concat!($service, ":", $name),
            elements: [concat!($name, "Response"), concat!($name, "Result")],
            about: $crate::query::About::Account,
            keys: &[],
            parameters: &[],
            writes: false,
            open: false,
            errors: &[],
            state: $crate::query::State::Missing("it is not built yet"),
        }
    };
}
pub(crate) use row;

/// Rows of operations that are not done, all for one reason: `missing!("iam", "why", "CreateSAMLProvider", …)`.
macro_rules! missing {
    ($service:literal, $why:literal, $($name:literal),* $(,)?) => {
        &[$($crate::query::Row {
            state: $crate::query::State::Missing($why),
            ..$crate::query::row!($service, $name)
        },)*]
    };
}
pub(crate) use missing;

/// The function of a row: `done!(create)`.
macro_rules! done {
    ($function:path) => {
        $crate::query::State::Done(|call| Box::pin($function(call)))
    };
}
pub(crate) use done;
