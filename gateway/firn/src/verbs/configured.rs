//! Parts of `config check`: what a configuration says of vaults, of a remote pool, of topics, and of how an endpoint is reached.

use crate::backup::Access;
use crate::config::{RemoteConfig, TopicConfig, VaultConfig};
use crate::text::show_duration;
use archive::retrieval::MediumKind;
use archive::vault::MediumOptions;
use client::FetcherOptions;
use engine::remote::Window;
use engine::unit::ByteCount;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

fn shown(path: Option<PathBuf>) -> Option<String> {
    path.map(|path| path.display().to_string())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How another endpoint is reached; what is none comes from where AWS tools look.
#[derive(Debug, Serialize)]
pub(super) struct Reached {
    endpoint: Option<String>,
    region: Option<String>,
    profile: Option<String>,
    credentials_file: Option<String>,
    ca_bundle: Option<String>,
}

impl From<Access> for Reached {
    fn from(access: Access) -> Self {
        let Access { endpoint, profile, ca_bundle, credentials_file, region } = access;
        Self {
            endpoint,
            region,
            profile,
            credentials_file: shown(credentials_file),
            ca_bundle: shown(ca_bundle),
        }
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.endpoint.as_deref().unwrap_or("where AWS tools look"))?;
        for (name, value) in [
            ("region", &self.region),
            ("profile", &self.profile),
            ("credentials", &self.credentials_file),
            ("believing", &self.ca_bundle),
        ] {
            if let Some(value) = value {
                write!(f, ", {name} {value}")?;
            }
        }
        Ok(())
    }
}

/// A limit of uploads, for some hours.
#[derive(Debug, Serialize)]
struct Limit {
    from_hour: u8,
    to_hour: u8,
    bytes_per_second: u64,
}

impl From<&Window> for Limit {
    fn from(window: &Window) -> Self {
        let Window { from_hour, to_hour, bytes_per_second } = *window;
        Self { from_hour, to_hour, bytes_per_second: bytes_per_second.get() }
    }
}

/// A remote pool, beside its name and place.
#[derive(Debug, Serialize)]
pub(super) struct RemotePool {
    at: Reached,
    scrub: bool,
    cache_bytes: u64,
    cache_directory: Option<String>,
    upload_limits: Vec<Limit>,
}

impl From<RemoteConfig> for RemotePool {
    fn from(remote: RemoteConfig) -> Self {
        Self {
            at: remote.access.into(),
            scrub: remote.scrubbed,
            cache_bytes: remote.cache.get(),
            cache_directory: shown(remote.cache_dir),
            upload_limits: remote.schedule.0.iter().map(Limit::from).collect(),
        }
    }
}

impl fmt::Display for RemotePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}; {} of cache", self.at, ByteCount::new(self.cache_bytes))?;
        if let Some(dir) = &self.cache_directory {
            write!(f, " in {dir}")?;
        }
        for Limit { from_hour, to_hour, bytes_per_second } in &self.upload_limits {
            write!(f, "; {from_hour:02}-{to_hour:02} UTC {}/s", ByteCount::new(*bytes_per_second))?;
        }
        if self.scrub { f.write_str("; scrubbed") } else { Ok(()) }
    }
}

/// A topic. What signs is a secret, and so may the path of its URL be.
#[derive(Debug, Serialize)]
pub(super) struct Topic {
    name: String,
    address: String,
    allow_private: bool,
    ca_file: Option<String>,
    timeout_ms: u64,
    keep_ms: u64,
}

impl From<&TopicConfig> for Topic {
    fn from(topic: &TopicConfig) -> Self {
        Self {
            name: topic.name.to_string(),
            address: topic.address(),
            allow_private: topic.webhook.allow_private,
            ca_file: shown(topic.webhook.ca_file.clone()),
            timeout_ms: millis(topic.webhook.timeout),
            keep_ms: millis(topic.kept),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duration = |ms| show_duration(Duration::from_millis(ms));
        let (timeout, keep) = (duration(self.timeout_ms), duration(self.keep_ms));
        write!(f, "{} to {}, {timeout} an attempt, kept for {keep}", self.name, self.address)?;
        if let Some(file) = &self.ca_file {
            write!(f, ", believing {file}")?;
        }
        if self.allow_private { f.write_str(", private addresses too") } else { Ok(()) }
    }
}

/// Vaults, and where their packs lie.
#[derive(Debug, Serialize)]
pub(super) struct Vaults {
    pack_bytes: u64,
    pack_after_ms: u64,
    free_per_day_bytes: u64,
    /// Per cent that are deleted.
    compact_above: u8,
    compact_a_day_bytes: u64,
    /// None is one, in the data directory.
    pub(super) media: Vec<Medium>,
}

/// A medium.
#[derive(Debug, Serialize)]
pub(super) struct Medium {
    name: String,
    kind: &'static str,
    path: String,
    capacity_bytes: Option<u64>,
    write_once: bool,
}

impl From<VaultConfig> for Vaults {
    fn from(vaults: VaultConfig) -> Self {
        Self {
            pack_bytes: vaults.packing.capacity,
            pack_after_ms: millis(vaults.packing.patience),
            free_per_day_bytes: vaults.free_per_day.get(),
            compact_above: vaults.packing.compact_above,
            compact_a_day_bytes: vaults.packing.compact_a_day,
            media: vaults.media.into_iter().map(Medium::from).collect(),
        }
    }
}

impl fmt::Display for Vaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = show_duration(Duration::from_millis(self.pack_after_ms));
        let [pack, free, day] =
            [self.pack_bytes, self.free_per_day_bytes, self.compact_a_day_bytes].map(ByteCount::new);
        write!(f, "on, a preview; packs of {pack}, after {after} at the latest; FreeTier is {free} a day")?;
        write!(
            f,
            "; packs that are deleted by more than {} % are compacted, {day} a day",
            self.compact_above
        )?;
        if self.media.is_empty() { f.write_str(", in the data directory") } else { Ok(()) }
    }
}

impl From<MediumOptions> for Medium {
    fn from(medium: MediumOptions) -> Self {
        let kind = match medium.kind {
            MediumKind::Disk => "disk",
            MediumKind::SpunDown => "spun-down",
            MediumKind::Shelf => "shelf",
            MediumKind::Remote => "remote",
            MediumKind::Tape => "tape",
        };
        let (name, path) = (medium.label.to_string(), medium.path.display().to_string());
        let capacity_bytes = medium.capacity.map(ByteCount::get);
        Self { name, kind, path, capacity_bytes, write_once: medium.write_once }
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} at {}", self.name, self.kind, self.path)?;
        if let Some(bytes) = self.capacity_bytes {
            write!(f, ", up to {}", ByteCount::new(bytes))?;
        }
        if self.write_once { f.write_str(", written once") } else { Ok(()) }
    }
}

/// How issuers of tokens are asked for their keys.
#[derive(Debug, Serialize)]
pub(super) struct Issuers {
    allow_private: bool,
    ca_file: Option<String>,
    plain_http: Vec<String>,
    timeout_ms: u64,
}

impl From<FetcherOptions> for Issuers {
    fn from(options: FetcherOptions) -> Self {
        let FetcherOptions { allow_private, ca_file, plain_http, timeout } = options;
        Self { allow_private, ca_file: shown(ca_file), plain_http, timeout_ms: millis(timeout) }
    }
}

impl fmt::Display for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked over TLS, {} a fetch", show_duration(Duration::from_millis(self.timeout_ms)))?;
        if let Some(file) = &self.ca_file {
            write!(f, ", believing {file}")?;
        }
        if !self.plain_http.is_empty() {
            write!(f, ", without TLS {}", self.plain_http.join(", "))?;
        }
        if self.allow_private { f.write_str(", at private addresses too") } else { Ok(()) }
    }
}
