//! What packs cost: a deposit with deduplication, encryption and parity, a restore of all of it, a scrub without a key, parity
//! alone. In seconds of CPU; everything runs in one thread.
//!
//! `cargo run --release -p archive --example pack_bench -- SCRATCH PATH… [--level N] [--apart]`
//!
//! Each file below the PATHs is an archive; `--apart` deduplicates nothing. Packs go to SCRATCH, which must be an empty directory and is
//! emptied again. Files are read once before anything is measured.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use archive::chunk::{ChunkId, Cutter};
use archive::pack::{
    ArchiveId, Dedup, Entry, GroupId, Head, IndexKey, IndexKeyId, KeyFor, KeyId, Known, Open, Options, Pack,
    PackId, Packs, Reader, Run, Sealed, Session, Subkeys, VaultId, scrub,
};
use archive::parity::{Encoder, Geometry};
use engine::clock::Timestamp;
use engine::codec::DataKey;
use engine::entropy::SystemEntropy;
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

type Outcome<T> = Result<T, Box<dyn Error>>;

const VAULT: IndexKey = IndexKey { id: IndexKeyId::from_bytes([1; 16]), key: DataKey::from_bytes([1; 32]) };

#[derive(Debug, Default)]
struct Memory {
    keys: Mutex<HashMap<KeyId, DataKey>>,
    chunks: Mutex<HashMap<ChunkId, (PackId, Run)>>,
    packs: Mutex<HashMap<PackId, Arc<Reader>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Subkeys for Memory {
    fn fresh(&self, _: PackId, _: KeyFor) -> engine::Result<(KeyId, DataKey)> {
        let (id, key) = (KeyId::random(&SystemEntropy), DataKey::random(&SystemEntropy));
        locked(&self.keys).insert(id, key.clone());
        Ok((id, key))
    }

    fn find(&self, id: KeyId) -> engine::Result<Option<DataKey>> {
        Ok(locked(&self.keys).get(&id).cloned())
    }

    fn abandon(&self, _: PackId) -> engine::Result<()> {
        Ok(())
    }
}

impl Known for Memory {
    fn find(&self, id: &ChunkId) -> engine::Result<Option<(PackId, Run)>> {
        Ok(locked(&self.chunks).get(id).copied())
    }
}

impl Packs for Memory {
    fn reader(&self, pack: PackId) -> engine::Result<Arc<Reader>> {
        let found = locked(&self.packs).get(&pack).cloned();
        found.ok_or_else(|| engine::Error::NotFound { what: "pack", id: pack.to_string() })
    }
}

/// CPU seconds of this process.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn say(line: &str) {
    let _closed = writeln!(std::io::stdout(), "{line}");
}

fn gather(path: &Path, files: &mut Vec<(PathBuf, u64)>) -> Outcome<()> {
    let kind = std::fs::symlink_metadata(path)?;
    if kind.is_dir() {
        let entries: Result<Vec<_>, _> = std::fs::read_dir(path)?.collect();
        let mut paths: Vec<PathBuf> = entries?.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        return paths.iter().try_for_each(|path| gather(path, files));
    }
    if kind.is_file() {
        files.push((path.to_owned(), kind.len()));
    }
    Ok(())
}

fn archive_of(number: usize) -> ArchiveId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
    ArchiveId::from_bytes(bytes)
}

struct Bench {
    memory: Arc<Memory>,
    options: Options,
    scratch: PathBuf,
    sealed: Vec<Pack<Sealed>>,
    open: Option<Pack<Open>>,
}

impl Bench {
    fn begin(&mut self) -> Outcome<Pack<Open>> {
        if let Some(pack) = self.open.take() {
            return Ok(pack);
        }
        let keys: Arc<dyn Subkeys> = Arc::clone(&self.memory) as _;
        Ok(Pack::begin(&self.scratch, self.options.clone(), keys, Arc::new(SystemEntropy))?)
    }

    fn seal(&mut self, pack: Pack<Open>) -> Outcome<()> {
        let sealed = pack.seal(&VAULT, Timestamp::from_millis(0))?;
        let mut known = locked(&self.memory.chunks);
        for chunk in sealed.chunks() {
            let run = Run { pack: 0, frame: chunk.frame, at: chunk.at, length: chunk.length };
            known.insert(chunk.id, (sealed.id(), run));
        }
        drop(known);
        self.sealed.push(sealed);
        Ok(())
    }

    /// Deposits a file, in as many packs as it takes.
    fn deposit(&mut self, number: usize, path: &Path, buffer: &mut [u8]) -> Outcome<()> {
        let mut file = File::open(path)?;
        let mut head = Head {
            archive: archive_of(number),
            created: Timestamp::from_millis(0),
            description: Vec::new(),
            note: Vec::new(),
            offset: 0,
            outside: false,
            lead: 0,
        };
        let (mut filled, mut used) = (file.read(buffer)?, 0);
        loop {
            let mut pack = self.begin()?;
            let Some(mut deposit) = pack.deposit(head.clone())? else {
                self.seal(pack)?;
                continue;
            };
            loop {
                if used == filled {
                    (filled, used) = (file.read(buffer)?, 0);
                }
                if filled == 0 {
                    deposit.finish_part([0; 32], [0; 32])?;
                    self.open = Some(pack);
                    return Ok(());
                }
                let taken = deposit.write(&buffer[used..filled])?;
                used += taken;
                if taken == 0 {
                    break;
                }
            }
            head.offset = deposit.suspend([0; 32])?;
            self.seal(pack)?;
            // What was beyond the last whole MiB comes again.
            file.seek(SeekFrom::Start(head.offset))?;
            (filled, used) = (0, 0);
        }
    }

    fn restore(&self, each: &mut dyn FnMut(&Entry, &[u8]) -> engine::Result<()>) -> Outcome<u64> {
        let mut bytes = 0;
        let mut session = Session::new(&*self.memory, &*self.memory)?;
        for pack in &self.sealed {
            let reader = self.memory.reader(pack.id())?;
            for entry in &reader.index().archives {
                let length = session.about(&reader, entry)?.length;
                session.read(&reader, entry, 0..length, &mut |piece| {
                    bytes += piece.len() as u64;
                    each(entry, piece)
                })?;
            }
        }
        Ok(bytes)
    }

    fn report(&mut self, files: &[(PathBuf, u64)]) -> Outcome<()> {
        let raw: u64 = files.iter().map(|(_, length)| length).sum();
        let mut buffer = vec![0; 4 << 20];
        for (path, _) in files {
            let mut file = File::open(path)?;
            while file.read(&mut buffer)? > 0 {}
        }
        let start = cpu();
        for (path, _) in files {
            let mut file = File::open(path)?;
            while file.read(&mut buffer)? > 0 {}
        }
        let reading = cpu() - start;
        let start = cpu();
        for (number, (path, _)) in files.iter().enumerate() {
            self.deposit(number, path, &mut buffer)?;
        }
        if let Some(pack) = self.open.take() {
            self.seal(pack)?;
        }
        let spent = cpu() - start;
        let stored: u64 = self.sealed.iter().map(|pack| pack.layout().total_bytes()).sum();
        let percent = stored as f64 * 100.0 / raw as f64;
        say(&format!(
            "deposit    {:.2} CPU-s for {:.3} GB in {} files ({reading:.2} of it reads); {} packs of {:.3} GB, {percent:.1} %",
            spent,
            raw as f64 / 1e9,
            files.len(),
            self.sealed.len(),
            stored as f64 / 1e9
        ));
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
        say(&format!("memory     {peak}: with the names and keys of all files and chunks"));
        self.open_all()?;
        let start = cpu();
        let bytes = self.restore(&mut |_, _| Ok(()))?;
        say(&format!("restore    {:.2} CPU-s for {:.3} GB", cpu() - start, bytes as f64 / 1e9));
        self.compare(files)?;
        let (start, mut scrubbed) = (cpu(), 0);
        for pack in &self.sealed {
            let found = scrub(&File::open(pack.path())?, Some(pack.id()))?;
            assert!(found.is_whole(), "a pack is damaged");
            scrubbed += found.bytes;
        }
        say(&format!(
            "scrub      {:.2} GB/s, page cache to verdict",
            scrubbed as f64 / 1e9 / (cpu() - start)
        ));
        parity()
    }

    fn open_all(&self) -> Outcome<()> {
        let start = cpu();
        let mut archives = 0;
        for pack in &self.sealed {
            let reader =
                Reader::open(Arc::new(File::open(pack.path())?), pack.id(), self.options.vault, &VAULT)?;
            archives += reader.index().archives.len();
            locked(&self.memory.packs).insert(pack.id(), Arc::new(reader));
        }
        say(&format!(
            "index      {:.3} CPU-s to have {archives} archives from the packs again",
            cpu() - start
        ));
        Ok(())
    }

    /// What comes back is what the files have.
    fn compare(&self, files: &[(PathBuf, u64)]) -> Outcome<()> {
        let mut hashes: HashMap<ArchiveId, blake3::Hasher> = HashMap::new();
        self.restore(&mut |entry, piece| {
            hashes.entry(entry.archive).or_default().update(piece);
            Ok(())
        })?;
        for (number, (path, _)) in files.iter().enumerate() {
            let found = hashes.entry(archive_of(number)).or_default().finalize();
            let mut wanted = blake3::Hasher::new();
            wanted.update_reader(File::open(path)?)?;
            assert!(wanted.finalize() == found, "{} came back as something else", path.display());
        }
        Ok(())
    }
}

fn parity() -> Outcome<()> {
    let geometry = Geometry::of(65_536).ok_or("no geometry")?;
    let mut data = vec![0; 256 << 20];
    engine::entropy::Entropy::fill(&SystemEntropy, &mut data[..1 << 20]);
    for start in 1..256 {
        data.copy_within(0..1 << 20, start << 20);
    }
    let start = cpu();
    let mut encoder = Encoder::new(geometry.stripes());
    for band in data.chunks(encoder.band_bytes()) {
        encoder.add(band);
    }
    let mut bytes = 0;
    encoder.finish(geometry, |cell| {
        bytes += cell.len();
        Ok::<_, Box<dyn Error>>(())
    })?;
    say(&format!(
        "parity     {:.2} GB/s of data, {bytes} bytes made",
        data.len() as f64 / 1e9 / (cpu() - start)
    ));
    Ok(())
}

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let scratch = PathBuf::from(words.next().ok_or("usage: pack_bench SCRATCH PATH… [--level N] [--apart]")?);
    let memory = Arc::new(Memory::default());
    let mut options = Options::new(VaultId::from_bytes([0; 16]));
    let known: Arc<dyn Known> = Arc::clone(&memory) as _;
    options.dedup = Some(Dedup {
        group: GroupId::from_bytes([3; 16]),
        cutter: Cutter::new(&DataKey::from_bytes([2; 32])),
        known,
    });
    let mut files = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--level" => options.level = words.next().ok_or("--level wants a number")?.parse()?,
            "--apart" => options.dedup = None,
            path => gather(Path::new(path), &mut files)?,
        }
    }
    if std::fs::read_dir(&scratch)?.next().is_some() {
        return Err("SCRATCH is not empty".into());
    }
    let mut bench = Bench { memory, options, scratch, sealed: Vec::new(), open: None };
    let outcome = bench.report(&files);
    for pack in &bench.sealed {
        std::fs::remove_file(pack.path())?;
    }
    outcome
}
