//! Quotas: what an account and each of its entities may have. Source: *IAM and AWS STS quotas* of the IAM user guide; where AWS raises one
//! on request, the raised one, since nobody can be asked here.

/// Users of an account.
pub(super) const USERS: i64 = 5_000;
/// Groups of an account.
pub(super) const GROUPS: i64 = 500;
/// Roles of an account.
pub(super) const ROLES: i64 = 5_000;
/// Managed policies of an account.
pub(super) const POLICIES: i64 = 5_000;
/// Groups of a user.
pub(super) const GROUPS_OF_USER: i64 = 10;
/// Access keys of a user, or of a root.
pub(super) const KEYS: i64 = 2;
/// OIDC providers of an account.
pub(super) const PROVIDERS: i64 = 100;
/// Client IDs of an OIDC provider.
pub(super) const CLIENTS: usize = 100;
/// Bytes of all of them: with 20 KiB of tags they fit a row.
pub(super) const CLIENT_BYTES: usize = 32 << 10;
/// Thumbprints of an OIDC provider.
pub(super) const THUMBPRINTS: usize = 5;
/// Second factors of a user.
pub(super) const DEVICES_OF_USER: i64 = 8;
/// Second factors of an account, those that are nobody's too.
pub(super) const DEVICES: i64 = USERS;
/// Characters of a password.
pub(super) const PASSWORD_CHARS: u32 = 128;
/// Passwords of a user that are remembered, the one that counts included.
pub(super) const PASSWORDS_KEPT: u32 = 24;
/// Managed policies of a user or role, or of a group.
pub(super) const ATTACHED: i64 = 20;
/// The same, of a group.
pub(super) const ATTACHED_TO_GROUP: i64 = 10;
/// Versions of a managed policy.
pub(super) const VERSIONS: i64 = 5;
/// Characters of a managed policy, without blanks.
pub(super) const MANAGED_CHARS: usize = 6_144;
/// Characters of all inline policies of a user.
pub(super) const INLINE_CHARS_OF_USER: i64 = 2_048;
/// The same, of a group.
pub(super) const INLINE_CHARS_OF_GROUP: i64 = 5_120;
/// The same, of a role.
pub(super) const INLINE_CHARS_OF_ROLE: i64 = 10_240;
/// Characters of a trust policy.
pub(super) const TRUST_CHARS: usize = 4_096;
/// Bytes of a trust policy with its blanks: it stands in its role's row, beside tags.
pub(super) const TRUST_BYTES: usize = 16 << 10;
/// Bytes of all tags of a user, role or policy. 50 of 128 and 256 letters of ASCII fit. With a trust policy of so many bytes, whom it
/// names, and a description, a role's row has 55 KiB at the most, of the 64 that a row may have.
pub(super) const TAG_BYTES: usize = 20 << 10;
/// Characters of a session's policy, blanks and all.
pub(super) const SESSION_CHARS: usize = 2_048;
/// Managed policies of a session.
pub(super) const SESSION_POLICIES: usize = 10;
/// Items of a page.
pub(super) const PAGE: usize = 1_000;
