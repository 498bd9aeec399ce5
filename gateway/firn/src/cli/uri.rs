//! Names of places on the command line: `s3://bucket/key`, a path, or `-`.

use crate::exit::Failure;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// `s3://BUCKET/KEY`; the key may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct S3Uri {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl S3Uri {
    /// The key, which this verb needs.
    pub(crate) fn require_key(&self) -> Result<&str, Failure> {
        if self.key.is_empty() {
            return Err(Failure::usage(format!("name an object: {self} has no key")));
        }
        Ok(&self.key)
    }

    /// The bucket alone, which this verb needs.
    pub(crate) fn require_bucket_alone(&self) -> Result<&str, Failure> {
        if !self.key.is_empty() {
            return Err(Failure::usage(format!("name a bucket: {self} has a key")));
        }
        Ok(&self.bucket)
    }
}

impl FromStr for S3Uri {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let rest =
            text.strip_prefix("s3://").ok_or("it does not begin with s3://, as s3://BUCKET/KEY does")?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("it names no bucket: s3://BUCKET/KEY".to_owned());
        }
        if bucket.chars().any(|c| c.is_whitespace() || c.is_control() || "?#@:%".contains(c)) {
            return Err(format!("{bucket:?} is no bucket name"));
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

impl fmt::Display for S3Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// Where bytes come from or go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    S3(S3Uri),
    Path(PathBuf),
    /// `-`: stdin or stdout.
    Stream,
}

impl FromStr for Location {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("it is empty".to_owned()),
            "-" => Ok(Self::Stream),
            text if text.starts_with("s3://") => text.parse().map(Self::S3),
            text if text.starts_with("s3:") => {
                Err("it is neither s3://BUCKET/KEY nor a path; write ./s3:… for a file".to_owned())
            }
            text => Ok(Self::Path(text.into())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(uri) => uri.fmt(f),
            Self::Path(path) => path.display().fmt(f),
            Self::Stream => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Location, S3Uri};

    #[test]
    fn keys_stay_as_they_are() {
        for (text, bucket, key) in [
            ("s3://b", "b", ""),
            ("s3://b/", "b", ""),
            ("s3://b//k", "b", "/k"),
            ("s3://b/a/../c?x#y", "b", "a/../c?x#y"),
        ] {
            let uri: S3Uri = text.parse().unwrap();
            assert_eq!((uri.bucket.as_str(), uri.key.as_str()), (bucket, key));
        }
        for bad in ["b/k", "s3://", "s3:///k", "s3://a b/k", "s3://h:1/k"] {
            bad.parse::<S3Uri>().unwrap_err();
        }
    }

    #[test]
    fn a_dash_is_a_stream_and_the_rest_are_paths() {
        assert_eq!("-".parse::<Location>().unwrap(), Location::Stream);
        assert_eq!("./-".parse::<Location>().unwrap(), Location::Path("./-".into()));
        "s3://".parse::<Location>().unwrap_err();
        "s3:/b/k".parse::<Location>().unwrap_err();
        "".parse::<Location>().unwrap_err();
    }
}
