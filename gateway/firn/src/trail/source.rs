//! Where a trail's files are: a bucket of any S3 endpoint, or a directory with a copy of one.

use super::name::Name;
use crate::exit::Failure;
use aws_lc_rs::digest;
use bytes::Bytes;
use client::{Client, ErrorKind, List, ObjectRef};
use engine::clock::Timestamp;
use flate2::read::MultiGzDecoder;
use std::fmt;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use walkdir::WalkDir;

/// Files of a list.
const FILES_MAX: usize = 1_000_000;
/// Bytes of a file as it lies there; of a digest and of a file of records once it is unpacked.
const STORED_MAX: u64 = 64 << 20;
const DIGEST_MAX: u64 = 64 << 20;
const LOG_MAX: u64 = 4 << 30;

/// Where they are.
pub(crate) enum Source {
    /// What lies below a prefix of a bucket.
    Bucket { client: Client, bucket: String, prefix: String },
    /// Files, by their paths below it.
    Directory(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket { bucket, prefix, .. } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Directory(root) => root.display().fmt(f),
        }
    }
}

/// A file by where it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// Empty where only a copy is known.
    pub(super) bucket: String,
    pub(super) key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bucket.is_empty() {
            f.write_str(&self.key)
        } else {
            write!(f, "s3://{}/{}", self.bucket, self.key)
        }
    }
}

/// A file of a list.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) place: Place,
    pub(super) name: Name,
    /// When it was last written, where a list says it.
    pub(super) written: Option<Timestamp>,
}

/// What was found where a file should be.
#[derive(Debug)]
pub(super) enum Got {
    /// Nothing.
    Missing,
    /// What no file of a trail is, and why.
    Unreadable(String),
    /// Its bytes as they lie there, and the signature beside them.
    Stored(Bytes, Option<String>),
}

fn too_many() -> anyhow::Error {
    Failure::usage(format!("list the trail's files: there are more than {FILES_MAX}"))
        .hint("name a longer prefix, or a directory further down")
        .into()
}

impl Source {
    /// Files of trails, in no order.
    pub(super) async fn list(&self) -> anyhow::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let mut take = |place: Place, written| {
            if let Some(name) = Name::of(&place.key) {
                listed.push(Listed { place, name, written });
            }
            if listed.len() > FILES_MAX { Err(too_many()) } else { Ok(()) }
        };
        match self {
            Self::Bucket { client, bucket, prefix } => {
                let list = List { bucket, prefix, ..List::default() };
                let mut pages = client.objects(list);
                while let Some(page) = pages.next().await? {
                    for entry in page.entries {
                        take(Place { bucket: bucket.clone(), key: entry.key }, entry.last_modified)?;
                    }
                }
            }
            Self::Directory(root) => {
                for entry in WalkDir::new(root) {
                    let entry = entry.map_err(std::io::Error::from)?;
                    let path = entry.path().strip_prefix(root).ok().and_then(Path::to_str);
                    if let Some(path) = path.filter(|_| entry.file_type().is_file()) {
                        take(Place { bucket: String::new(), key: path.to_owned() }, None)?;
                    }
                }
            }
        }
        Ok(listed)
    }

    /// Whether a file's signature lies beside it.
    pub(super) const fn has_signatures(&self) -> bool {
        matches!(self, Self::Bucket { .. })
    }

    /// Reads a file. An error is none of the file's.
    pub(super) async fn read(&self, place: &Place) -> anyhow::Result<Got> {
        let read = match self {
            Self::Bucket { client, .. } => read_object(client, place).await?,
            Self::Directory(root) => read_file(root, &place.key)?,
        };
        Ok(match read {
            None => Got::Missing,
            Some((stored, _)) if stored.len() as u64 > STORED_MAX => {
                Got::Unreadable(format!("it has more than {STORED_MAX} bytes, as no file of a trail has"))
            }
            Some((stored, signature)) => Got::Stored(stored, signature),
        })
    }
}

async fn read_object(client: &Client, place: &Place) -> anyhow::Result<Option<(Bytes, Option<String>)>> {
    let object = ObjectRef::latest(&place.bucket, &place.key);
    let mut download = match client.get_object(&object, None, None).await {
        Ok(download) => download,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let signature = download.head().metadata.get("signature").cloned();
    let mut stored = Vec::new();
    while let Some(piece) = download.next().await? {
        stored.extend_from_slice(&piece);
        if stored.len() as u64 > STORED_MAX {
            break;
        }
    }
    Ok(Some((stored.into(), signature)))
}

fn read_file(root: &Path, key: &str) -> anyhow::Result<Option<(Bytes, Option<String>)>> {
    let path = Path::new(key);
    // What a digest names is not looked for outside of the copy.
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Ok(None);
    }
    let file = match std::fs::File::open(root.join(path)) {
        Ok(file) => file,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(anyhow::Error::from(error).context(format!("read {}", root.join(path).display())));
        }
    };
    let mut stored = Vec::new();
    file.take(STORED_MAX + 1).read_to_end(&mut stored)?;
    Ok(Some((stored.into(), None)))
}

/// What a file of records says is hashed as it is unpacked, and never held.
pub(super) fn hash(stored: &[u8]) -> Result<String, String> {
    let mut sum = digest::Context::new(&digest::SHA256);
    each_piece(stored, LOG_MAX, |piece| sum.update(piece))?;
    Ok(hex::encode(sum.finish()))
}

/// What a digest says.
pub(super) fn unpack(stored: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    each_piece(stored, DIGEST_MAX, |piece| text.extend_from_slice(piece))?;
    Ok(text)
}

/// What is not packed is taken as it is: a copy may be unpacked.
fn each_piece(stored: &[u8], most: u64, mut take: impl FnMut(&[u8])) -> Result<(), String> {
    if !stored.starts_with(&[0x1f, 0x8b]) {
        take(stored);
        return Ok(());
    }
    // All that is behind one another, as gunzip reads it: what was put behind a file is part of it.
    let mut unpacked = MultiGzDecoder::new(stored);
    let (mut piece, mut taken) = (vec![0; 64 << 10], 0);
    loop {
        let read = unpacked.read(&mut piece).map_err(|why| format!("it can't be unpacked: {why}"))?;
        taken += read as u64;
        if taken > most {
            return Err(format!("it has more than {most} bytes once it is unpacked"));
        }
        match piece.get(..read) {
            Some(piece) if !piece.is_empty() => take(piece),
            _ => return Ok(()),
        }
    }
}
