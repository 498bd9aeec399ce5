//! What a base says of itself, and how things are named at the target (docs/formats/backup.md).

use super::Recipient;
use crate::catalog::Version;
use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::{Error, Result, file};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The newest manifest format that this binary reads and the one that it writes.
const FORMAT: u32 = 1;
/// The latest beginning of a life that its name has room for.
const LIFE_MS_MAX: i64 = 999_999_999_999_999;

/// One span of an appliance's existence between creation or recovery and the loss of its disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Life(String);

impl Life {
    /// A new life. It sorts behind every earlier one, whatever the clock says.
    pub(super) fn new(now: Timestamp, newest: Option<&Self>, entropy: &dyn Entropy) -> Self {
        let mut random = [0; 8];
        entropy.fill(&mut random);
        let after = newest
            .and_then(|life| life.0.split_once('-')?.0.parse::<i64>().ok())
            // Nothing sorts behind the last one that can be written: somebody put it there.
            .filter(|ms| *ms < LIFE_MS_MAX)
            .map_or(0, |ms| ms + 1);
        Self(format!("{:015}-{:016x}", now.as_millis().max(after), u64::from_be_bytes(random)))
    }

    /// The newest life among the names at a target.
    pub(super) fn newest(names: &[String]) -> Option<Self> {
        let lives = names.iter().filter_map(|name| match Name::parse(name) {
            Some(Name::Base(life, _) | Name::Log(life, _)) => Some(life),
            None => None,
        });
        lives.max()
    }

    /// The last version that any of these names says is there; 0 where none does.
    pub(super) fn last_version(names: &[String]) -> Version {
        let versions = names.iter().filter_map(|name| match Name::parse(name) {
            Some(Name::Base(_, version)) => Some(version),
            Some(Name::Log(_, chunk)) => Some(chunk.last),
            None => None,
        });
        versions.max().unwrap_or(0)
    }

    /// As it is written in names.
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// The life that the file at `path` names, if there is one: none in a new or a recovered appliance.
    pub(super) fn load(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) if Name::parse(&Self(text.clone()).base_name(0)).is_some() => Ok(Some(Self(text))),
            Ok(text) => {
                Err(Error::Corrupt { what: path.display().to_string(), detail: format!("content {text:?}") })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    /// Makes `path` name this life.
    pub(super) fn store(&self, path: &Path) -> Result<()> {
        file::replace(path, self.0.as_bytes())
    }

    pub(super) fn base_name(&self, version: Version) -> String {
        format!("lives/{}/base/{version:020}.age", self.0)
    }

    pub(super) fn log_name(&self, chunk: &ChunkName) -> String {
        format!("lives/{}/log/{:020}-{:020}.age", self.0, chunk.first, chunk.last)
    }

    /// One file of a checkpoint. Its name has the key it is sealed to: after a new key nothing that only the old one opens
    /// is taken for it. It belongs to this life: what another one prunes is not what this one needs.
    pub(super) fn file_name(&self, recipient: &Recipient, hash: &str) -> String {
        format!("{}{}/{hash}.age", self.file_prefix(), recipient.tag())
    }

    /// All that it wrote.
    pub(super) fn prefix(&self) -> String {
        format!("lives/{}/", self.0)
    }

    pub(super) fn file_prefix(&self) -> String {
        format!("lives/{}/file/", self.0)
    }

    pub(super) fn base_prefix(&self) -> String {
        format!("lives/{}/base/", self.0)
    }

    pub(super) fn log_prefix(&self) -> String {
        format!("lives/{}/log/", self.0)
    }
}

/// The versions of a log chunk, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChunkName {
    pub(super) first: Version,
    pub(super) last: Version,
}

/// Names at the target, parsed. Names that are none of ours are ignored: a target may hold other people's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Base(Life, Version),
    Log(Life, ChunkName),
}

impl Name {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix("lives/")?.strip_suffix(".age")?.split('/');
        let (life, kind, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let life = Life(life.to_owned());
        if parts.next().is_some() {
            return None;
        }
        match kind {
            "base" => Some(Self::Base(life, rest.parse().ok()?)),
            "log" => {
                let (first, last) = rest.split_once('-')?;
                let chunk = ChunkName { first: first.parse().ok()?, last: last.parse().ok()? };
                (chunk.first <= chunk.last).then_some(Self::Log(life, chunk))
            }
            _ => None,
        }
    }
}

/// One file of a catalog checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Path inside the checkpoint: plain names joined by `/`.
    pub(super) name: String,
    /// BLAKE3 of the content, hex.
    pub(super) blake3: String,
    /// Length of the content in bytes.
    pub(super) bytes: u64,
}

/// A small file of the data directory that a recovered appliance needs again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attachment {
    /// Plain file name inside the data directory.
    pub(super) name: String,
    /// Permission bits, such as 0o600.
    pub(super) mode: u32,
    /// Content, hex.
    #[serde(with = "hex_bytes")]
    pub(super) hex: Vec<u8>,
}

/// The content is a secret more often than not.
impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attachment({}, {:o}, {} bytes)", self.name, self.mode, self.hex.len())
    }
}

/// A complete base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    pub(super) version: Version,
    pub(super) taken_at_ms: Timestamp,
    pub(super) files: Vec<FileEntry>,
    pub(super) attachments: Vec<Attachment>,
}

impl Manifest {
    pub(super) fn new(
        version: Version,
        taken_at: Timestamp,
        files: Vec<FileEntry>,
        attachments: Vec<Attachment>,
    ) -> Self {
        Self { format: FORMAT, version, taken_at_ms: taken_at, files, attachments }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::Invalid(format!("encode the backup manifest: {error}")))
    }

    /// Refuses newer formats by name, and every file name that is more than a plain name.
    pub(super) fn decode(what: &str, bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let corrupt = |detail: String| Error::Corrupt { what: format!("backup manifest {what}"), detail };
        let head: Head = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        if head.format > FORMAT {
            let what = format!("backup manifest {what}");
            return Err(Error::Newer { what, found: head.format, supported: FORMAT });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        let names =
            manifest.files.iter().map(|f| &f.name).chain(manifest.attachments.iter().map(|a| &a.name));
        for name in names {
            let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
            if !name.split('/').all(plain) {
                return Err(corrupt(format!("file name {name:?}")));
            }
        }
        Ok(manifest)
    }
}

mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Attachment, ChunkName, FileEntry, Life, Manifest, Name};
    use crate::Error;
    use crate::clock::Timestamp;
    use crate::entropy::SeededEntropy;

    const GOLDEN: &str = concat!(
        r#"{"format":1,"version":7,"taken_at_ms":1500,"files":[{"name":"rows/12.sst","blake3":"ab","bytes":3}],"#,
        r#""attachments":[{"name":"master.key","mode":384,"hex":"00ff"}]}"#
    );

    fn manifest() -> Manifest {
        let file = FileEntry { name: "rows/12.sst".into(), blake3: "ab".into(), bytes: 3 };
        let attachment = Attachment { name: "master.key".into(), mode: 0o600, hex: vec![0, 255] };
        Manifest::new(7, Timestamp::from_millis(1500), vec![file], vec![attachment])
    }

    #[test]
    fn golden_manifest() {
        assert_eq!(String::from_utf8(manifest().encode().unwrap()).unwrap(), GOLDEN);
        assert_eq!(Manifest::decode("x", GOLDEN.as_bytes()).unwrap(), manifest());
        let newer = GOLDEN.replace(r#""format":1"#, r#""format":2,"more":[]"#);
        assert!(matches!(Manifest::decode("x", newer.as_bytes()), Err(Error::Newer { found: 2, .. })));
        for bad in ["../x", "", "/etc/passwd", "a/../b", "a//b", ".."] {
            let hostile = GOLDEN.replace("rows/12.sst", bad);
            assert!(matches!(Manifest::decode("x", hostile.as_bytes()), Err(Error::Corrupt { .. })), "{bad}");
        }
    }

    #[test]
    fn names_sort_as_numbers_do_and_parse_back() {
        let entropy = SeededEntropy::new(1);
        let early = Life::new(Timestamp::from_millis(9), None, &entropy);
        let late = Life::new(Timestamp::from_millis(10), Some(&early), &entropy);
        let clock_set_back = Life::new(Timestamp::from_millis(1), Some(&late), &entropy);
        assert!(early < late && late < clock_set_back);
        let names =
            [late.base_name(1), clock_set_back.base_name(1), early.base_name(2), "file/x.age".to_owned()];
        assert_eq!(Life::newest(&names), Some(clock_set_back));
        let chunk = ChunkName { first: 9, last: 10 };
        assert_eq!(Name::parse(&early.log_name(&chunk)), Some(Name::Log(early.clone(), chunk)));
        assert_eq!(Name::parse(&late.base_name(12)), Some(Name::Base(late.clone(), 12)));
        assert!(late.base_name(9) < late.base_name(10));
        assert_eq!(Life::last_version(&[late.base_name(3), late.log_name(&chunk), "x".to_owned()]), 10);
        let last = Life("999999999999999-0000000000000000".to_owned());
        assert_eq!(Life::new(Timestamp::from_millis(9), Some(&last), &entropy).0.len(), last.0.len());
        for foreign in [
            "lives/a/base/x.age",
            "lives/a/log/2-1.age",
            "lives/a/b/c/d.age",
            "lives/a/file/t/ab.age",
            "notes.txt",
        ] {
            assert_eq!(Name::parse(foreign), None, "{foreign}");
        }
    }
}
