//! The file as it is written, before anything in it is believed.

use super::prices::{Classes, Price};
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Raw {
    pub(super) region: Option<String>,
    pub(super) new_bucket_ownership: Option<String>,
    pub(super) http: Http,
    pub(super) tls: Tls,
    pub(super) admin: Admin,
    pub(super) engine: Engine,
    pub(super) pool: Pool,
    pub(super) zone: Vec<Zone>,
    pub(super) copies: Copies,
    pub(super) topic: Vec<Topic>,
    pub(super) events: Events,
    pub(super) access_logs: AccessLogs,
    pub(super) oidc: Oidc,
    pub(super) backup: Backup,
    pub(super) log: Log,
    pub(super) vault: Vault,
    pub(super) medium: Vec<Medium>,
    pub(super) price: Price,
    pub(super) class: Classes,
}

/// Issuers of tokens that sessions are given for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Oidc {
    pub(super) allow_private: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) plain_http: Vec<String>,
    pub(super) timeout: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Vault {
    pub(super) enabled: bool,
    pub(super) pack: Option<String>,
    pub(super) pack_after: Option<String>,
    pub(super) free_per_day: Option<String>,
    pub(super) compact_above: Option<u8>,
    pub(super) compact_a_day: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Medium {
    pub(super) name: String,
    pub(super) kind: Option<String>,
    pub(super) path: PathBuf,
    pub(super) capacity: Option<String>,
    #[serde(default)]
    pub(super) write_once: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Http {
    pub(super) listen: Option<String>,
    pub(super) insecure: bool,
    pub(super) base_domains: Option<Vec<String>>,
    pub(super) website_domains: Option<Vec<String>>,
    pub(super) legacy_form_signatures: bool,
    pub(super) connections: Option<u64>,
    pub(super) bodies: Option<String>,
    pub(super) drain: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Tls {
    pub(super) self_signed: bool,
    pub(super) names: Option<Vec<String>>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Admin {
    pub(super) listen: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Engine {
    pub(super) cache: Option<String>,
    pub(super) segment: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Log {
    pub(super) level: Option<String>,
    pub(super) format: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Pool {
    pub(super) directory: Option<PathBuf>,
}

/// One of the local kind says directories, one of kind `s3` the rest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) kind: Option<String>,
    pub(super) directory: Option<PathBuf>,
    #[serde(default)]
    pub(super) directories: Vec<PathBuf>,
    pub(super) endpoint: Option<String>,
    pub(super) bucket: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) region: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) ca_bundle: Option<PathBuf>,
    pub(super) keep_local: Option<bool>,
    pub(super) scrub: Option<bool>,
    pub(super) cache: Option<String>,
    pub(super) cache_directory: Option<PathBuf>,
    #[serde(default)]
    pub(super) upload_limit: Vec<UploadLimit>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct UploadLimit {
    pub(super) hours: String,
    pub(super) bytes_per_second: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Copies {
    pub(super) count: Option<u64>,
    pub(super) short: Option<String>,
    pub(super) catalog: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) secret: Option<String>,
    #[serde(default)]
    pub(super) secret_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) allow_private: bool,
    #[serde(default)]
    pub(super) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) timeout: Option<String>,
    #[serde(default)]
    pub(super) keep: Option<String>,
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Topic({})", self.name)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Events {
    pub(super) waiting: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct AccessLogs {
    pub(super) every: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Backup {
    pub(super) target: Option<String>,
    pub(super) every: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) ca_bundle: Option<PathBuf>,
}
