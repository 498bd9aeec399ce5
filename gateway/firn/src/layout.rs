//! The names of what lies in an appliance's directory: each said here once. docs/formats/directory.md says what they hold.

/// What makes a directory an appliance.
pub(crate) const MARKER: &str = "firn.json";
/// Held while a process has the directory open.
pub(crate) const LOCK: &str = "lock";
/// The access keys.
pub(crate) const CREDENTIALS: &str = "credentials";
/// The admin door's token.
pub(crate) const ADMIN_TOKEN: &str = "admin-token";
/// What wraps the key table's keys.
pub(crate) const MASTER_KEY: &str = "master.key";
/// The public half of the recovery key.
pub(crate) const RECIPIENT: &str = "recovery.pub";
/// The catalog's directory.
pub(crate) const CATALOG: &str = "catalog";
/// There while a directory is made from a zone's copy of the catalog: what it has of one by then is in part.
pub(crate) const RECOVERING: &str = "recovering";
/// The local pool, unless it has a disk of its own.
pub(crate) const POOL: &str = "pools/local";
/// Packs of vaults, unless media are named.
pub(crate) const VAULT: &str = "vault";
/// Where packs are made.
pub(crate) const VAULT_MAKING: &str = "vault-making";
/// Which directories of further zones the data directory took.
pub(crate) const ZONES: &str = "zones.json";
/// What was read from remote pools, one directory each; made anew by every start.
pub(crate) const CACHE: &str = "cache";
/// What is so while a server runs.
pub(crate) const RUN: &str = "run";
/// The TLS certificates of the appliance's own.
pub(crate) const TLS_DIR: &str = "tls";
/// What clients believe.
pub(crate) const TLS_CA: &str = "tls/ca.pem";
/// What issues certificates.
pub(crate) const TLS_CA_KEY: &str = "tls/ca.key";
/// What the doors prove themselves with: key and certificate.
pub(crate) const TLS_SERVER: &str = "tls/server.pem";
/// The URLs of the doors while they are open.
pub(crate) const DOORS: &str = "run/doors.json";
/// The configuration file of the last start, where it had one.
pub(crate) const STARTED_WITH: &str = "run/config";
/// The address of the S3 door while it is open.
pub(crate) const HTTP_ADDR: &str = "run/http.addr";
/// The address of the admin door while it is open.
pub(crate) const ADMIN_ADDR: &str = "run/admin.addr";

/// Files that only their owner may read or write.
pub(crate) const SECRETS: [&str; 3] = [CREDENTIALS, ADMIN_TOKEN, MASTER_KEY];
/// The small files that a recovered appliance needs again, or its clients do.
pub(crate) const ATTACHED: [&str; 8] =
    [MARKER, CREDENTIALS, ADMIN_TOKEN, MASTER_KEY, RECIPIENT, ZONES, TLS_CA, TLS_CA_KEY];
