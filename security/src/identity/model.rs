//! What goes into operations on identities and what comes out, by IAM's own names.

use super::oidc::{Issuer, WebIdentity};
use crate::credentials::{AccessKeyId, SecretKey};
use crate::policy::Context;
use crate::{AccountId, Principal};
use engine::clock::Timestamp;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// A page of a listing, in the order of names without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins, for [`Paging::after`]; `None` at the end. Tells names: seal it before it leaves.
    pub next: Option<String>,
}

/// Which page of a listing.
#[derive(Clone, Copy, Debug)]
pub struct Paging<'a> {
    /// [`Page::next`] of the page before.
    pub after: Option<&'a str>,
    /// At most this many, 1 to 1,000.
    pub limit: usize,
}

impl Default for Paging<'_> {
    /// The first page, of 100.
    fn default() -> Self {
        Self { after: None, limit: 100 }
    }
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 1 to 128 characters; one is the same as another in whatever case.
    pub key: String,
    /// 0 to 256 characters.
    pub value: String,
}

/// What kind of thing has a name of its own in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A user.
    User = 1,
    /// A group.
    Group = 2,
    /// A role.
    Role = 3,
    /// A managed policy.
    Policy = 4,
}

/// One of the things that policies are attached to, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner<'a> {
    /// A user.
    User(&'a str),
    /// A group.
    Group(&'a str),
    /// A role.
    Role(&'a str),
}

impl<'a> Owner<'a> {
    /// Which kind it is of.
    pub const fn kind(self) -> Kind {
        match self {
            Self::User(_) => Kind::User,
            Self::Group(_) => Kind::Group,
            Self::Role(_) => Kind::Role,
        }
    }

    /// What it is called.
    pub const fn name(self) -> &'a str {
        match self {
            Self::User(name) | Self::Group(name) | Self::Role(name) => name,
        }
    }
}

/// One of the things that have tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tagged<'a> {
    /// A user, by its name.
    User(&'a str),
    /// A role, by its name.
    Role(&'a str),
    /// A managed policy, by its ARN.
    Policy(&'a str),
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `alice`
    pub name: String,
    /// `/` or `/division/`
    pub path: String,
    /// `AIDA…`
    pub id: String,
    /// `arn:aws:iam::ACCOUNT:user/division/alice`
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
    /// In the order in which they were set. Listings show none, as AWS's don't.
    pub tags: Vec<Tag>,
    /// When it signed in by its password last. Listings don't show it.
    pub password_used: Option<Timestamp>,
}

/// That a user may sign in by a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginProfile {
    /// Whose.
    pub user: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether another password has to be set at the next sign-in.
    pub reset_required: bool,
}

/// A code of a second factor.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The device: `arn:aws:iam::ACCOUNT:mfa/NAME`
    pub serial: &'a str,
    /// Six digits.
    pub code: &'a str,
}

/// A virtual second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `arn:aws:iam::ACCOUNT:mfa/lab/phone`
    pub serial: String,
    /// Whose it is, without tags, and since when.
    pub user: Option<(User, Timestamp)>,
    /// In the order in which they were set.
    pub tags: Vec<Tag>,
}

/// A new second factor: the only time that its seed is shown.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Its ARN.
    pub serial: String,
    /// Without its path.
    pub name: String,
    /// The seed in base 32, as authenticator apps take it.
    pub seed: Zeroizing<String>,
    /// In the order in which they were set.
    pub tags: Vec<Tag>,
}

/// Somebody who signs in by a password.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// The account, by number or alias.
    pub account: &'a str,
    /// The user's name.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
    /// A code of one of its second factors; none where it has none.
    pub code: Option<&'a str>,
    /// What its password is to be from now on, where another has to be set.
    pub new_password: Option<&'a str>,
    /// 900 to 129,600; 43,200 if `None`
    pub duration_secs: Option<u32>,
    /// Where from.
    pub from: IpAddr,
}

/// Who signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// What signs for it.
    pub credentials: Temporary,
    /// The user's ARN.
    pub arn: String,
    /// The user's id.
    pub id: String,
    /// Whose the user is.
    pub account: AccountId,
    /// Whether the password was replaced.
    pub password_changed: bool,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `admins`
    pub name: String,
    /// `/` or `/division/`
    pub path: String,
    /// `AGPA…`
    pub id: String,
    /// `arn:aws:iam::ACCOUNT:group/division/admins`
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `reader`
    pub name: String,
    /// `/` or `/division/`
    pub path: String,
    /// `AROA…`
    pub id: String,
    /// `arn:aws:iam::ACCOUNT:role/division/reader`
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its trust policy, as it was set.
    pub trust: String,
    /// What it is for.
    pub description: Option<String>,
    /// How long a session of it may last.
    pub max_session_secs: u32,
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
    /// In the order in which they were set.
    pub tags: Vec<Tag>,
    /// When it was assumed last, and in which region.
    pub last_used: Option<(Timestamp, String)>,
}

/// A managed policy, without its documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedPolicy {
    /// `ReadDatasets`
    pub name: String,
    /// `/` or `/division/`
    pub path: String,
    /// `ANPA…`
    pub id: String,
    /// `arn:aws:iam::ACCOUNT:policy/division/ReadDatasets`
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// When a version was made or chosen last.
    pub updated: Timestamp,
    /// `v1`
    pub default_version: String,
    /// To how many users, groups and roles it is attached.
    pub attachments: u32,
    /// Of how many users and roles it is the boundary.
    pub boundaries: u32,
    /// Whether it can be attached: all can.
    pub attachable: bool,
    /// What it is for.
    pub description: Option<String>,
    /// In the order in which they were set.
    pub tags: Vec<Tag>,
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// `v3`
    pub id: String,
    /// Whether it is the one that counts.
    pub is_default: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Its text, as it was set. Listings leave it out.
    pub document: Option<String>,
}

/// A policy as it is attached to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedPolicy {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
}

/// Somebody whom a policy is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyHolder {
    /// User, group or role.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub id: String,
}

/// Whether a policy is attached, or a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// Attached.
    Attached,
    /// A permissions boundary.
    Boundary,
}

/// Whose managed policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PolicyScope {
    /// All.
    #[default]
    All,
    /// Those of AWS's names, which are in the binary.
    Aws,
    /// The account's own.
    Local,
}

/// Which managed policies.
#[derive(Clone, Copy, Debug, Default)]
pub struct PolicyFilter<'a> {
    /// Whose.
    pub scope: PolicyScope,
    /// Those alone that are attached, or boundaries if `usage` says so.
    pub only_attached: bool,
    /// Those alone whose path begins so.
    pub path_prefix: Option<&'a str>,
    /// What for; both if `None`.
    pub usage: Option<Usage>,
}

/// Whom a policy is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct HolderFilter<'a> {
    /// Users, groups or roles alone.
    pub kind: Option<Kind>,
    /// What for; both if `None`.
    pub usage: Option<Usage>,
    /// Those alone whose path begins so.
    pub path_prefix: Option<&'a str>,
}

/// Whom an access key is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyOwner<'a> {
    /// The account's root.
    Root,
    /// A user.
    User(&'a str),
}

/// Whether an access key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyStatus {
    /// It may.
    Active,
    /// Not now.
    Inactive,
}

/// An access key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// The public half.
    pub id: AccessKeyId,
    /// Whose: `None` is the account's root.
    pub user: Option<String>,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// When it was made.
    pub created: Timestamp,
}

/// A new access key: the only time that the secret is shown.
#[derive(Clone, Debug)]
pub struct NewAccessKey {
    /// What is kept.
    pub key: AccessKey,
    /// The secret.
    pub secret: SecretKey,
}

/// When a key was used last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUsed {
    /// The user; `None` is the account's root.
    pub user: Option<String>,
    /// When, in which region, for which service. `None`: never.
    pub used: Option<(Timestamp, String, String)>,
}

/// A user to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewUser<'a> {
    /// 1 to 64 letters, digits and `+=,.@-_`
    pub name: &'a str,
    /// `/` if `None`
    pub path: Option<&'a str>,
    /// The ARN of a managed policy.
    pub boundary: Option<&'a str>,
    /// At most 50.
    pub tags: &'a [Tag],
}

/// A role to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRole<'a> {
    /// 1 to 64 letters, digits and `+=,.@-_`
    pub name: &'a str,
    /// `/` if `None`
    pub path: Option<&'a str>,
    /// Who may assume it.
    pub trust: &'a str,
    /// What it is for.
    pub description: Option<&'a str>,
    /// 3,600 to 43,200; 3,600 if `None`
    pub max_session_secs: Option<u32>,
    /// The ARN of a managed policy.
    pub boundary: Option<&'a str>,
    /// At most 50.
    pub tags: &'a [Tag],
}

/// A managed policy to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewPolicy<'a> {
    /// 1 to 128 letters, digits and `+=,.@-_`
    pub name: &'a str,
    /// `/` if `None`
    pub path: Option<&'a str>,
    /// Its first version.
    pub document: &'a str,
    /// What it is for.
    pub description: Option<&'a str>,
    /// At most 50.
    pub tags: &'a [Tag],
}

/// How many of everything an account has, and may have: by the names of `GetAccountSummary`.
pub type Summary = Vec<(&'static str, u64)>;

/// A role to be assumed.
#[derive(Clone, Copy)]
pub struct AssumeRole<'a> {
    /// Who asks.
    pub who: &'a Principal,
    /// What the request says of itself. Keys of the principal and of these parameters (`sts:ExternalId`, `sts:RoleSessionName`,
    /// `aws:RequestTag/…`, …) are put in front of it.
    pub context: &'a dyn Context,
    /// `arn:aws:iam::ACCOUNT:role/reader`
    pub role: &'a str,
    /// 2 to 64 letters, digits and `+=,.@-_`
    pub session_name: &'a str,
    /// What the role's owner gave to who asks.
    pub external_id: Option<&'a str>,
    /// Who is behind it.
    pub source_identity: Option<&'a str>,
    /// 900 to the role's longest; 3,600 if `None`
    pub duration_secs: Option<u32>,
    /// What bounds it.
    pub bounds: SessionBounds<'a>,
    /// At most 50.
    pub tags: &'a [Tag],
    /// Keys of those that go on to sessions of this session.
    pub transitive: &'a [&'a str],
    /// A code of a second factor of who asks.
    pub shown: Option<Shown<'a>>,
}

/// A provider to be.
#[derive(Clone, Copy, Debug)]
pub struct NewProvider<'a> {
    /// Whose tokens they are.
    pub issuer: &'a Issuer,
    /// For whom they are made; at most 100.
    pub clients: &'a [&'a str],
    /// Of certificates, in hexadecimal digits; at most 5. They are kept and shown.
    pub thumbprints: &'a [&'a str],
    /// At most 50.
    pub tags: &'a [Tag],
}

/// An OIDC provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// `arn:aws:iam::ACCOUNT:oidc-provider/login.example`
    pub arn: String,
    /// Its URL, without the scheme.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// For whom its tokens are taken.
    pub clients: Vec<String>,
    /// Of certificates.
    pub thumbprints: Vec<String>,
    /// In the order in which they were set.
    pub tags: Vec<Tag>,
}

/// A role to be assumed by whom a provider vouches for.
#[derive(Clone, Copy)]
pub struct AssumeRoleWithWebIdentity<'a> {
    /// Who that is.
    pub identity: &'a WebIdentity,
    /// What the request says of itself.
    pub context: &'a dyn Context,
    /// `arn:aws:iam::ACCOUNT:role/reader`
    pub role: &'a str,
    /// 2 to 64 letters, digits and `+=,.@-_`
    pub session_name: &'a str,
    /// 900 to the role's longest; 3,600 if `None`
    pub duration_secs: Option<u32>,
    /// What bounds it.
    pub bounds: SessionBounds<'a>,
}

/// What bounds a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionBounds<'a> {
    /// A document.
    pub policy: Option<&'a str>,
    /// ARNs of at most 10 managed policies of the session's account.
    pub policy_arns: &'a [&'a str],
}

/// A session for somebody else.
#[derive(Clone, Copy)]
pub struct FederationToken<'a> {
    /// Who asks: a user, or root.
    pub who: &'a Principal,
    /// 2 to 32 letters, digits and `+=,.@-_`
    pub name: &'a str,
    /// 900 to 129,600; 43,200 if `None`, of root 3,600
    pub duration_secs: Option<u32>,
    /// What bounds it.
    pub bounds: SessionBounds<'a>,
    /// At most 50.
    pub tags: &'a [Tag],
}

/// Temporary credentials.
#[derive(Clone, Debug)]
pub struct Temporary {
    /// `ASIA…`
    pub id: AccessKeyId,
    /// The secret.
    pub secret: SecretKey,
    /// What goes along with each request.
    pub token: String,
    /// Until when.
    pub expires: Timestamp,
}

/// A session that was made.
#[derive(Clone, Debug)]
pub struct Session {
    /// What signs for it.
    pub credentials: Temporary,
    /// `arn:aws:sts::ACCOUNT:assumed-role/reader/NAME` or `…:federated-user/NAME`
    pub arn: String,
    /// `AROA…:NAME` or `ACCOUNT:NAME`
    pub id: String,
    /// How much of what fits it takes, in hundredths.
    pub packed_percent: u32,
    /// Who is behind it.
    pub source_identity: Option<String>,
}

/// Who asks, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The account.
    pub account: AccountId,
    /// Its ARN.
    pub arn: String,
    /// `aws:userid`
    pub user_id: String,
}
