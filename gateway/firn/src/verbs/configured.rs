//! Parts of `config check`: what a configuration says of vaults, of a remote pool, of topics, and of how an endpoint is reached.

use crate::backup::Access;
use crate::config::{RemoteConfig, TopicConfig, VaultConfig};
use crate::text::show_duration;
use archive::retrieval::MediumKind;
use archive::vault::MediumOptions;
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
}

impl From<VaultConfig> for Vaults {
    fn from(vaults: VaultConfig) -> Self {
        Self {
            pack_bytes: vaults.packing.capacity,
            pack_after_ms: millis(vaults.packing.patience),
            media: vaults.media.into_iter().map(Medium::from).collect(),
        }
    }
}

impl fmt::Display for Vaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = show_duration(Duration::from_millis(self.pack_after_ms));
        write!(
            f,
            "on, a preview; packs of {}, after {after} at the latest",
            ByteCount::new(self.pack_bytes)
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
        Self { name, kind, path, capacity_bytes: medium.capacity.map(ByteCount::get) }
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} at {}", self.name, self.kind, self.path)?;
        match self.capacity_bytes {
            Some(bytes) => write!(f, ", up to {}", ByteCount::new(bytes)),
            None => Ok(()),
        }
    }
}
