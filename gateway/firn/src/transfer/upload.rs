//! Files to objects.
//!
//! Up to two parts a file goes in one request; a larger one in parts, several at once. Before it begins, an upload of the
//! same key that an interrupted run left behind is looked for: parts whose size and MD5 are those of the file's are kept.
//! A file that changes while it is read fails, and nothing is made of it.

use super::run::{Done, Shared};
use super::taken::{FileState, Taken};
use anyhow::Context;
use bytes::Bytes;
use client::{CompletedPart, Crc64, OpenUpload, PartEntry, PutOptions, md5_etag, multipart_etag};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// S3's limit of parts.
const PARTS_MAX: u64 = 10_000;
const MIB: u64 = 1 << 20;

/// The size of the parts of a file: the asked-for size, or larger where 10,000 of them would not do.
pub(super) fn part_size(asked: u64, size: u64) -> u64 {
    asked.max(size.div_ceil(PARTS_MAX).next_multiple_of(MIB))
}

/// Uploads one file.
pub(super) async fn file(
    shared: &Shared,
    path: &Path,
    bucket: &str,
    key: &str,
) -> anyhow::Result<(Done, Taken)> {
    let source = Source::open(path).await?;
    let options = PutOptions {
        content_type: content_type(path).map(str::to_owned),
        storage_class: shared.settings.storage_class.clone(),
        if_absent: shared.settings.if_absent,
        ..PutOptions::default()
    };
    let (size, taken) = (source.state.size(), Taken::File(source.state));
    if size <= shared.settings.part_size * 2 {
        let _permit = shared.permits.acquire().await?;
        let body = source.read(0, size).await?;
        source.still_the_same().await?;
        shared.client.put_object(bucket, key, body, &options).await?;
        shared.progress.moved(size);
        return Ok((Done { bytes: size, ..Done::default() }, taken));
    }
    Ok((in_parts(shared, &source, bucket, key, &options).await?, taken))
}

async fn in_parts(
    shared: &Shared,
    source: &Source,
    bucket: &str,
    key: &str,
    options: &PutOptions,
) -> anyhow::Result<Done> {
    let part_size = part_size(shared.settings.part_size, source.state.size());
    let (upload, held) = match find_open(shared, bucket, key).await {
        Some(found) => found,
        None => (shared.client.create_upload(bucket, key, options).await?, HashMap::new()),
    };
    match send(shared, source, &upload, &held, part_size, options).await {
        Err(error) if is_for_good(&error) => {
            // The first error is the one to tell.
            match shared.client.abort_upload(&upload).await {
                Ok(()) => Err(error.context("complete it, which was given up: its parts are removed again")),
                Err(_) => Err(error),
            }
        }
        ended => ended,
    }
}

/// Whether the same upload would end with the same error for as long as the bucket is as it is: its parts would lie there for
/// nothing.
fn is_for_good(error: &anyhow::Error) -> bool {
    let said = error.chain().find_map(|cause| cause.downcast_ref::<client::Error>());
    matches!(
        said.and_then(client::Error::code),
        Some("QuotaExceeded" | "PreconditionFailed" | "EntityTooLarge")
    )
}

async fn send(
    shared: &Shared,
    source: &Source,
    upload: &OpenUpload,
    held: &HashMap<u32, PartEntry>,
    part_size: u64,
    options: &PutOptions,
) -> anyhow::Result<Done> {
    let (bucket, key) = (&*upload.bucket, &*upload.key);
    let numbers = 1..=u32::try_from(source.state.size().div_ceil(part_size))?;
    let mut parts: Vec<(CompletedPart, bool)> = stream::iter(numbers)
        .map(|number| one_part(shared, source, upload, number, part_size, held.get(&number)))
        .buffer_unordered(shared.settings.jobs)
        .try_collect()
        .await?;
    source.still_the_same().await?;
    parts.sort_by_key(|(part, _)| part.number);
    let parts_resumed = parts.iter().filter(|(_, resumed)| *resumed).count() as u64;
    let parts: Vec<_> = parts.into_iter().map(|(part, _)| part).collect();
    let _permit = shared.permits.acquire().await?;
    let result = shared.client.complete_upload(upload, &parts, options).await?;
    verify_etag(&parts, &result.etag, bucket, key)?;
    Ok(Done { bytes: source.state.size(), parts_resumed, ..Done::default() })
}

async fn one_part(
    shared: &Shared,
    source: &Source,
    upload: &OpenUpload,
    number: u32,
    part_size: u64,
    held: Option<&PartEntry>,
) -> anyhow::Result<(CompletedPart, bool)> {
    let _permit = shared.permits.acquire().await?;
    let start = u64::from(number - 1) * part_size;
    let length = part_size.min(source.state.size() - start);
    let body = source.read(start, length).await?;
    if let Some(held) = held.filter(|held| held.size == length) {
        let etag = md5_etag(&body);
        if held.etag.eq_ignore_ascii_case(&etag) {
            shared.progress.moved(length);
            let crc64 = upload.with_crc64.then(|| Crc64::of(&body));
            return Ok((CompletedPart { number, etag, crc64 }, true));
        }
    }
    let part = shared.client.upload_part(upload, number, body).await?;
    shared.progress.moved(length);
    Ok((part, false))
}

/// The newest upload of this key that is under way and fits, with its parts. Not finding one, for whatever reason, is no
/// failure: the upload then begins anew.
async fn find_open(
    shared: &Shared,
    bucket: &str,
    key: &str,
) -> Option<(OpenUpload, HashMap<u32, PartEntry>)> {
    let with_crc64 = shared.client.checksums() == client::Checksums::WhenSupported;
    let wanted = if with_crc64 { "CRC64NVME" } else { "" };
    let uploads = shared.client.list_uploads(bucket, key).await.ok()?;
    let found =
        uploads.into_iter().rev().find(|upload| upload.key == key && upload.checksum_algorithm == wanted)?;
    let upload =
        OpenUpload { bucket: bucket.to_owned(), key: key.to_owned(), upload_id: found.upload_id, with_crc64 };
    let parts = shared.client.list_parts(&upload).await.ok()?;
    Some((upload, parts.into_iter().map(|part| (part.number, part)).collect()))
}

/// The endpoint's ETag has to be the one that our parts make, where they are plain MD5s.
fn verify_etag(parts: &[CompletedPart], etag: &str, bucket: &str, key: &str) -> anyhow::Result<()> {
    let Some(expected) = multipart_etag(parts.iter().map(|part| part.etag.as_str())) else { return Ok(()) };
    let looks_alike = etag.len() == expected.len() && etag.contains('-');
    if looks_alike && !etag.eq_ignore_ascii_case(&expected) {
        return Err(client::Error::Integrity {
            what: format!("s3://{bucket}/{key}"),
            detail: format!("its ETag is {etag}, our parts make {expected}"),
        }
        .into());
    }
    Ok(())
}

/// Whether a file, uploaded in one piece or in parts of this size, would get this ETag.
pub(super) fn has_etag(path: &Path, etag: &str, part_size: u64) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let piece = if etag.contains('-') { part_size } else { u64::MAX };
    let mut parts = Vec::new();
    loop {
        let mut md5 = client::RunningMd5::default();
        let mut left = piece;
        let mut buffer = vec![0; 256 << 10];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let got = file.read(&mut buffer[..want])?;
            if got == 0 {
                break;
            }
            md5.update(&buffer[..got]);
            left -= got as u64;
        }
        if left == piece && !parts.is_empty() {
            break;
        }
        parts.push(md5.etag());
        if left > 0 {
            break;
        }
    }
    let ours =
        if etag.contains('-') { multipart_etag(parts.iter().map(String::as_str)) } else { parts.pop() };
    Ok(ours.is_some_and(|ours| ours.eq_ignore_ascii_case(etag)))
}

/// A file that is being read, and what it was when that began.
struct Source {
    file: Arc<File>,
    state: FileState,
}

impl Source {
    async fn open(path: &Path) -> anyhow::Result<Self> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || {
            let file = File::open(&path)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(std::io::Error::other("it is no regular file"));
            }
            Ok(Self { state: FileState::of(&metadata)?, file: Arc::new(file) })
        })
        .await?
        .context("open the file")
    }

    async fn read(&self, start: u64, length: u64) -> anyhow::Result<Bytes> {
        let file = self.file.clone();
        let length = usize::try_from(length)?;
        let bytes = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, start).map(|()| bytes)
        });
        Ok(bytes.await?.context("read the file")?.into())
    }

    async fn still_the_same(&self) -> anyhow::Result<()> {
        let file = self.file.clone();
        let metadata = tokio::task::spawn_blocking(move || file.metadata()).await??;
        if FileState::of(&metadata)? != self.state {
            return Err(crate::exit::Failure::new(
                crate::exit::Exit::Conflict,
                "read the file: it changed meanwhile",
            )
            .into());
        }
        Ok(())
    }
}

/// The content type that a name's ending stands for.
pub(super) fn content_type(path: &Path) -> Option<&'static str> {
    objectstore::content_type_of(path.to_str()?)
}

#[cfg(test)]
mod tests {
    use super::{CompletedPart, MIB, Shared, Source, has_etag, part_size, verify_etag};
    use crate::transfer::progress::Progress;
    use crate::transfer::run::Settings;
    use client::{md5_etag, multipart_etag};
    use std::io::Write;
    use std::sync::Arc;

    #[test]
    fn parts_grow_so_that_ten_thousand_suffice() {
        assert_eq!(part_size(8 * MIB, 100 * MIB), 8 * MIB);
        let tib = 1 << 40;
        let size = part_size(8 * MIB, 5 * tib);
        assert!((5_u64 * tib).div_ceil(size) <= 10_000, "{size}");
    }

    #[tokio::test]
    async fn a_file_that_changes_while_it_is_read_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let at = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        std::fs::write(&path, b"before").unwrap();
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_modified(at(1_000)).unwrap();
        let source = Source::open(&path).await.unwrap();
        source.still_the_same().await.unwrap();
        // The same length, another time.
        file.write_all(b"behind").unwrap();
        file.set_modified(at(1_001)).unwrap();
        source.still_the_same().await.unwrap_err();
        // Another length, the same time.
        file.write_all(b"more").unwrap();
        file.set_modified(at(1_000)).unwrap();
        source.still_the_same().await.unwrap_err();
    }

    #[test]
    fn a_small_file_that_changes_before_it_is_sent_becomes_no_object() {
        // One thread for files, so that what is asked for behind the opening is done behind it.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().max_blocking_threads(1).build().unwrap().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("f");
            std::fs::write(&path, b"before").unwrap();
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
            let change = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            // Nobody is there: what is sent ends with another error.
            let shared = nobody_there();
            let held = shared.permits.acquire().await.unwrap();
            let mut upload = std::pin::pin!(super::file(&shared, &path, "b", "k"));
            assert!(futures_util::poll!(&mut upload).is_pending());
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            assert!(futures_util::poll!(&mut upload).is_pending(), "it is open, and waits for its turn");
            // The same length, another time.
            change.set_modified(at).unwrap();
            drop(held);
            let error = upload.await.unwrap_err();
            assert_eq!(crate::exit::of(&error), crate::exit::Exit::Conflict, "{error:#}");
            assert!(format!("{error:#}").contains("it changed meanwhile"), "{error:#}");
        });
    }

    fn nobody_there() -> Shared {
        let endpoint = client::Endpoint::parse("http://127.0.0.1:9").unwrap();
        let mut settings = client::Settings::new(endpoint, "us-east-1", None);
        settings.retries.attempts_max = 1;
        let (clock, entropy) = (engine::clock::SystemClock, engine::entropy::SeededEntropy::new(1));
        Shared {
            client: client::Client::new(settings, Arc::new(clock), Arc::new(entropy)).unwrap(),
            settings: Settings {
                jobs: 1,
                part_size: MIB,
                storage_class: None,
                if_absent: false,
                dry_run: false,
                move_source: false,
                led_to: Arc::default(),
            },
            progress: Progress::new(false),
            pending: crate::settle::pair().0,
            permits: tokio::sync::Semaphore::new(1),
            last: std::sync::Mutex::default(),
        }
    }

    #[test]
    fn an_entity_tag_that_our_parts_do_not_make_is_refused() {
        let parts = [md5_etag(b"a"), md5_etag(b"b")];
        let whole = multipart_etag(parts.iter().map(String::as_str)).unwrap();
        let parts: Vec<_> =
            (1..).zip(parts).map(|(number, etag)| CompletedPart { number, etag, crc64: None }).collect();
        let verify = |etag: &str| verify_etag(&parts, etag, "b", "k");
        verify(&whole).unwrap();
        verify(&whole.to_uppercase()).unwrap();
        let other = multipart_etag([md5_etag(b"a"), md5_etag(b"c")].iter().map(String::as_str)).unwrap();
        verify(&other).unwrap_err();
        // One of another form says nothing about the bytes.
        verify("an-endpoint-of-its-own-mind").unwrap();
    }

    #[test]
    fn a_file_knows_the_etag_that_it_would_get() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"aaaabbbbcc").unwrap();
        assert!(has_etag(&path, &md5_etag(b"aaaabbbbcc"), 4).unwrap());
        let parts = [md5_etag(b"aaaa"), md5_etag(b"bbbb"), md5_etag(b"cc")];
        let etag = multipart_etag(parts.iter().map(String::as_str)).unwrap();
        assert!(has_etag(&path, &etag, 4).unwrap());
        assert!(!has_etag(&path, &etag, 5).unwrap());
        std::fs::write(&path, b"aaaabbbb").unwrap();
        let even = multipart_etag(parts[..2].iter().map(String::as_str)).unwrap();
        assert!(has_etag(&path, &even, 4).unwrap());
        std::fs::write(&path, b"").unwrap();
        assert!(has_etag(&path, &md5_etag(b""), 4).unwrap());
    }
}
