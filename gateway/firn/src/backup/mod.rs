//! Backup from the binary's side: where to, to whose key, and the drill's other half.
//!
//! ```text
//!   [backup] in the configuration ─► Destination ─► engine::backup::Target
//!   DIR/recovery.pub ─► the key to seal to (`directory`)          the secret half: on paper, never here
//! ```

mod s3_target;

use crate::exit::Failure;
use anyhow::Context;
use client::{Client, Overrides, Settings};
use engine::backup::{DirectoryTarget, RecoveryKey, Target};
use engine::clock::Clock;
use engine::entropy::Entropy;
use s3_target::S3Target;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What the configuration says about the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Where to.
    pub(crate) destination: Destination,
    /// Time between two bases.
    pub(crate) every: Duration,
}

/// Where backups go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A directory on another disk or host.
    Directory(PathBuf),
    /// A bucket (and prefix) of an S3 endpoint, with the keys of a profile.
    S3 { bucket: String, prefix: String, access: Access },
}

/// How an S3 endpoint is reached; what is absent comes from where every AWS tool looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) endpoint: Option<String>,
    pub(crate) profile: Option<String>,
    /// A PEM file of the roots to believe instead of the system's.
    pub(crate) ca_bundle: Option<PathBuf>,
    /// An AWS credentials file of its own, which goes before keys in the environment.
    pub(crate) credentials_file: Option<PathBuf>,
    /// The region that requests are signed for.
    pub(crate) region: Option<String>,
}

impl Access {
    pub(crate) fn settings(&self) -> client::Result<Settings> {
        let overrides = Overrides {
            endpoint: self.endpoint.clone(),
            profile: self.profile.clone(),
            ca_bundle: self.ca_bundle.clone(),
            region: self.region.clone(),
            ..Overrides::default()
        };
        let file = self.credentials_file.as_ref().map(|file| file.display().to_string());
        let environment = |name: &str| match (name, &file) {
            ("AWS_SHARED_CREDENTIALS_FILE", Some(file)) => Some(file.clone()),
            ("AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN", Some(_)) => None,
            _ => crate::session::variable(name),
        };
        Settings::resolve(&overrides, &environment)
    }
}

impl Destination {
    /// From its text form: an absolute path, or `s3://bucket/prefix`.
    pub(crate) fn parse(text: &str, access: Access) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(format!("{text:?} names no bucket: write s3://bucket/prefix"));
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned(), access });
        }
        let path = PathBuf::from(text);
        if path.is_absolute() {
            Ok(Self::Directory(path))
        } else {
            Err(format!("{text:?} is neither an absolute path nor s3://bucket/prefix"))
        }
    }

    /// Opens it. A directory inside `data` is refused: it would be lost together with what it protects.
    pub(crate) fn open(
        &self,
        data: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> anyhow::Result<Arc<dyn Target>> {
        match self {
            Self::Directory(path) => {
                if path.starts_with(std::path::absolute(data)?) {
                    return Err(Failure::usage(format!(
                        "back up to {}: it lies inside the data directory and would be lost with it",
                        path.display()
                    ))
                    .hint("name a directory on another disk")
                    .into());
                }
                Ok(Arc::new(DirectoryTarget::open(path)?))
            }
            Self::S3 { bucket, prefix, access } => {
                let settings = access.settings().context("find the backup endpoint's credentials")?;
                let client = Client::new(settings, clock, entropy)?;
                Ok(Arc::new(S3Target::new(client, bucket.clone(), prefix)))
            }
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "directory {}", path.display()),
            Self::S3 { bucket, prefix, .. } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// A key as its owner has written it down: in a file, or on standard input for `-`.
pub(crate) fn read_key(file: &Path) -> anyhow::Result<RecoveryKey> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_line(&mut text).context("read the recovery key from standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("read the recovery key {}", file.display()))?
    };
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    use super::{Access, Destination};

    #[test]
    fn destinations_are_absolute_paths_or_buckets() {
        let parse = |text| Destination::parse(text, Access::default());
        assert_eq!(parse("/mnt/b"), Ok(Destination::Directory("/mnt/b".into())));
        let s3 = parse("s3://b/p/q").unwrap();
        assert!(matches!(&s3, Destination::S3 { bucket, prefix, .. } if bucket == "b" && prefix == "p/q"));
        assert_eq!(s3.to_string(), "s3://b/p/q");
        parse("s3:///p").unwrap_err();
        parse("relative").unwrap_err();
    }
}
