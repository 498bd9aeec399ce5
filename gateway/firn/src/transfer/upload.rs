//! Files to objects.
//!
//! Up to two parts a file goes in one request; a larger one in parts, several at once. Before it begins, the same upload is looked for
//! among those that this client noted (`noted`): parts that the endpoint holds, with the size and MD5 of the file's, are kept. Where they
//! can't be listed it begins anew. Nobody else's upload of the key goes on here, whatever it holds. A file that changes while it is read fails, and nothing is made of it.

use super::noted::{Note, Plan};
use super::report::Done;
use super::run::{Settings, Shared};
use super::taken::{FileState, Taken};
use anyhow::Context;
use bytes::Bytes;
use client::{CompletedPart, Crc64, ObjectRef, OpenUpload, PartEntry, PutOptions, md5_etag, multipart_etag};
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

/// Up to two parts go in one request.
pub(super) const fn goes_in_parts(settings: &Settings, size: u64) -> bool {
    size > settings.part_size * 2
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
    if !goes_in_parts(&shared.settings, size) {
        let _permit = shared.permits.acquire().await?;
        let body = source.read(0, size).await?;
        source.still_the_same().await?;
        let put = shared.client.put_object(bucket, key, body.clone(), &options).await?;
        shared.progress.moved(size);
        let proven = put.verified
            || (shared.settings.move_source && has_sum(shared, bucket, key, size, Crc64::of(&body)).await?);
        return Ok((Done { bytes: size, unverified: !proven, unproven: !proven, ..Done::default() }, taken));
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
    let plan = plan_of(shared, source, (bucket, key), options, part_size);
    let (upload, held, note) = match look_for(shared, &plan, bucket, key).await? {
        Begun::There(upload, held, note) => (upload, held, Some(note)),
        begun => {
            let upload = shared.client.create_upload(bucket, key, options).await?;
            if let Begun::Hidden(former, note, why) = begun {
                give_up(shared, &former, note, &why).await?;
            }
            let note = begin(shared, plan, &upload).await?;
            (upload, HashMap::new(), note)
        }
    };
    let sent = send(shared, source, &upload, &held, part_size, options).await;
    // Of a file that changed no part may be what it is then.
    let ended = match sent {
        Err(error) if is_for_good(&error) || source.still_the_same().await.is_err() => {
            // The first error is the one to tell.
            match shared.client.abort_upload(&upload).await {
                Ok(()) => Err(error.context("complete it, which was given up: its parts are removed again")),
                // It can't go on, whoever removes it.
                Err(_) => Err(error),
            }
        }
        // What was sent waits for the next run.
        Err(error) => return Err(error),
        sent => sent,
    };
    if let Some(note) = note {
        tokio::task::spawn_blocking(move || note.remove()).await?;
    }
    ended
}

/// What makes an upload this one and no other.
fn plan_of(
    shared: &Shared,
    source: &Source,
    (bucket, key): (&str, &str),
    options: &PutOptions,
    part_size: u64,
) -> Plan {
    let client = &shared.client;
    let endpoint = client.endpoint().to_string();
    let numbers = [
        part_size.to_string(),
        source.state.size().to_string(),
        source.state.modified_nanos().to_string(),
        (client.checksums() == client::Checksums::WhenSupported).to_string(),
    ];
    let said = [&options.content_type, &options.storage_class].map(|text| text.clone().unwrap_or_default());
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    let beside = [pairs(&options.metadata), pairs(&options.kept), options.tags.clone()].map(|pairs| {
        let count = pairs.len().to_string();
        std::iter::once(count).chain(pairs.into_iter().flat_map(|(name, value)| [name, value]))
    });
    let beside: Vec<String> = beside.into_iter().flatten().collect();
    let access_key = client.access_key_id().unwrap_or_default();
    let first = ["1", &endpoint, access_key, bucket, key];
    let rest = numbers.iter().chain(&said).chain(&beside).map(String::as_str);
    Plan::of(first.into_iter().chain(rest))
}

/// Notes an upload that was begun, so that it can go on.
async fn begin(shared: &Shared, plan: Plan, upload: &OpenUpload) -> anyhow::Result<Option<Note>> {
    let notes = Arc::clone(&shared.notes);
    let place = format!("{} s3://{}/{}", shared.client.endpoint(), upload.bucket, upload.key);
    let (id, now) = (upload.upload_id.clone(), shared.clock.now());
    let begun = tokio::task::spawn_blocking(move || notes.begin(&plan, (place, id), now)).await?;
    Ok(begun.unwrap_or_else(|error| {
        if let Some(text) = shared.notes.tell(&error) {
            shared.say(&text);
        }
        None
    }))
}

/// Whether an object is known by its size and checksum to be these bytes.
async fn has_sum(shared: &Shared, bucket: &str, key: &str, size: u64, sum: Crc64) -> anyhow::Result<bool> {
    let head = shared.client.head_object(&ObjectRef::latest(bucket, key)).await?;
    Ok(head.size == size && head.crc64 == Some(sum))
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
    let size = source.state.size();
    let result = shared.client.complete_upload(upload, &parts, options).await?;
    let whole = parts.iter().try_fold(Crc64::default(), |whole, part| Some(whole.then(part.crc64?)));
    let proven = match whole {
        _ if result.verified => true,
        Some(whole) if shared.settings.move_source => {
            has_sum(shared, &upload.bucket, &upload.key, size, whole).await?
        }
        _ => false,
    };
    Ok(Done { bytes: size, parts_resumed, unverified: !proven, unproven: !proven, ..Done::default() })
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
            return Ok((CompletedPart { number, etag, crc64, verified: true, etag_is_md5: true }, true));
        }
    }
    let part = shared.client.upload_part(upload, number, body).await?;
    shared.progress.moved(length);
    Ok((part, false))
}

/// What there is of an upload that this client noted.
enum Begun {
    /// Nothing, or nothing any more: it begins anew.
    Not,
    /// It is open, with these parts.
    There(OpenUpload, HashMap<u32, PartEntry>, Note),
    /// Its parts can't be asked for, and why: it begins anew.
    Hidden(OpenUpload, Note, String),
}

/// Looks for the same upload, where this client began it.
async fn look_for(shared: &Shared, plan: &Plan, bucket: &str, key: &str) -> anyhow::Result<Begun> {
    let (notes, plan) = (Arc::clone(&shared.notes), plan.clone());
    let found = tokio::task::spawn_blocking(move || notes.find(&plan)).await?;
    let Some((note, upload_id)) = found else { return Ok(Begun::Not) };
    let with_crc64 = shared.client.checksums() == client::Checksums::WhenSupported;
    let upload = OpenUpload { bucket: bucket.to_owned(), key: key.to_owned(), upload_id, with_crc64 };
    let parts = match shared.client.list_parts(&upload).await {
        Ok(parts) => parts,
        Err(error) if error.code() == Some("NoSuchUpload") => return Ok(Begun::Not),
        Err(client::Error::Service(said)) if is_hidden(&said) => {
            return Ok(Begun::Hidden(upload, note, said.code));
        }
        // It may be there: a note of another in its place would leave its parts there for good.
        Err(error) => return Err(error.into()),
    };
    Ok(Begun::There(upload, parts.into_iter().map(|part| (part.number, part)).collect(), note))
}

/// Whether parts can't be listed, now or later: a right of its own lets one, which who only writes lacks, and not every endpoint can.
fn is_hidden(said: &client::ServiceError) -> bool {
    matches!(said.code.as_str(), "AccessDenied" | "NotImplemented" | "MethodNotAllowed")
        || matches!(said.status, 405 | 501)
}

/// Gives an upload up whose parts can't be asked for, once another has begun in its place.
async fn give_up(shared: &Shared, former: &OpenUpload, note: Note, why: &str) -> anyhow::Result<()> {
    // Who may not list parts may not be allowed this either.
    let stay = if shared.client.abort_upload(former).await.is_ok() {
        String::new()
    } else {
        let place = crate::text::quote_sh(&format!("s3://{}/{}", former.bucket, former.key));
        format!("; they stay there until somebody removes them: firn rm --uploads {place}")
    };
    shared.say(&crate::text::printable(&format!(
        "firn: s3://{}/{} begins anew: the parts that an interrupted run sent can't be listed ({why}){stay}",
        former.bucket, former.key
    )));
    Ok(tokio::task::spawn_blocking(move || note.remove()).await?)
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
    use super::{MIB, Settings, Shared, Source, has_etag, part_size};
    use crate::transfer::progress::Progress;
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
            progress: Progress::new(false, Arc::new(clock)),
            pending: crate::settle::pair().0,
            permits: tokio::sync::Semaphore::new(1),
            last: std::sync::Mutex::default(),
            notes: Arc::new(crate::transfer::noted::Notes::of(Err("there are none".to_owned()))),
            clock: Arc::new(clock),
            output: crate::report::Output { json: false, quiet: true },
        }
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
