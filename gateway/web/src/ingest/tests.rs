//! The reader over archives that are made here, the kept corpus, and what chance makes of both.

use super::Inflate;
use super::archive::{Entry, Event, Kind, Scanner};
use crate::checks;
use bytes::Bytes;
use engine::entropy::{Entropy as _, SeededEntropy};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

/// An archive under construction.
#[derive(Clone, Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn block(mut self, name: &[u8], kind: u8, size: u64, change: impl FnOnce(&mut [u8; 512])) -> Self {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name);
        block[100..108].copy_from_slice(b"0000644\0");
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[136..148].copy_from_slice(format!("{:011o}\0", 1_700_000_000).as_bytes());
        block[148..156].fill(b' ');
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        change(&mut block);
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.0.extend_from_slice(body);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, body: &[u8]) -> Self {
        self.block(name.as_bytes(), b'0', body.len() as u64, |_| ()).body(body)
    }

    fn extension(self, kind: u8, body: &[u8]) -> Self {
        self.block(b"ext", kind, body.len() as u64, |_| ()).body(body)
    }

    fn pax(self, pairs: &[(&str, &str)]) -> Self {
        let record = |(name, value): &(&str, &str)| {
            let rest = name.len() + value.len() + 3;
            let length =
                (rest + 1..rest + 10).find(|length| length - length.to_string().len() == rest).unwrap();
            format!("{length} {name}={value}\n")
        };
        self.extension(b'x', pairs.iter().map(record).collect::<String>().as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn read(archive: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, &'static str> {
    let (mut scanner, mut entries) = (Scanner::new(), Vec::new());
    scanner.push(Bytes::copy_from_slice(archive));
    loop {
        match scanner.event().map_err(|error| error.what)? {
            Event::NeedMore => break,
            Event::Entry(entry) => entries.push((entry, Vec::new())),
            Event::Data(data) => entries.last_mut().unwrap().1.extend_from_slice(&data),
            Event::EntryEnd => {}
        }
    }
    scanner.finish().map_err(|error| error.what)?;
    checks::archive(archive);
    Ok(entries)
}

fn names(archive: &[u8]) -> Result<Vec<String>, &'static str> {
    let name = |(entry, _): &(Entry, Vec<u8>)| String::from_utf8_lossy(&entry.name).into_owned();
    read(archive).map(|entries| entries.iter().map(name).collect())
}

#[test]
fn names_come_from_the_header_that_says_most() {
    let long = "d/".repeat(200) + "f";
    let gnu = |block: &mut [u8; 512]| block[257..265].copy_from_slice(b"ustar  \0");
    let prefixed = |block: &mut [u8; 512]| block[345..350].copy_from_slice(b"first");
    let archive = Tar::default()
        .file("plain", b"1")
        .block(b"second", b'0', 0, prefixed)
        .block(b"gnu", b'0', 0, |block| {
            prefixed(block);
            gnu(block);
        })
        .extension(b'L', format!("{long}\0").as_bytes())
        .file("cut", b"22")
        .pax(&[("path", "by pax é"), ("mtime", "12.5")])
        .file("cut", b"333")
        .end();
    let entries = read(&archive).unwrap();
    let found: Vec<_> = entries.iter().map(|(entry, body)| (&*entry.name, body.len())).collect();
    let wanted: [(&[u8], usize); 5] =
        [(b"plain", 1), (b"first/second", 0), (b"gnu", 0), (long.as_bytes(), 2), ("by pax é".as_bytes(), 3)];
    assert_eq!(found, wanted);
    assert_eq!(entries[0].0.modified.as_deref(), Some("1700000000"));
    assert_eq!(entries[4].0.modified.as_deref(), Some("12.5"));
}

#[test]
fn what_is_no_file_is_said_to_be_what_it_is() {
    use Kind::{Directory, File, Refused, Skipped};
    let mut tar = Tar::default().block(b"old/", 0, 0, |block| block[257..265].fill(0)).file("f", b"x");
    for kind in *b"1234567V" {
        tar = tar.block(b"e", kind, 0, |_| ());
    }
    let tar = tar
        .pax(&[("GNU.sparse.major", "1")])
        .file("sparse", b"map")
        .block(b"g", b'S', 3, |block| block[482] = 1);
    let mut map = [0; 512];
    map[0] = b'1';
    let archive = tar.body(&map).body(b"abc").file("last", b"y").end();
    let kinds: Vec<_> = read(&archive).unwrap().into_iter().map(|(entry, _)| entry.kind).collect();
    assert!(
        matches!(
            kinds[..],
            [
                Directory,
                File,
                Refused(_),
                Skipped(_),
                Skipped(_),
                Skipped(_),
                Directory,
                Skipped(_),
                File,
                Skipped(_),
                Refused(_),
                Refused(_),
                File
            ]
        ),
        "{kinds:?}"
    );
}

#[test]
fn what_readers_would_understand_differently_is_refused() {
    let file = || Tar::default().file("a", b"x");
    let sized = |kind: u8| Tar::default().block(b"a", kind, 1, |_| ()).body(b"x");
    for (archive, why) in [
        (Tar::default().pax(&[("size", "2")]).file("a", b"x").end(), "two headers disagree"),
        (
            Tar::default().pax(&[("path", "p")]).extension(b'L', b"l\0").file("a", b"x").end(),
            "two extended headers say",
        ),
        (Tar::default().pax(&[("path", "p")]).pax(&[("path", "q")]).file("a", b"").end(), "of one kind"),
        (Tar::default().extension(b'L', b"l\0").extension(b'L', b"m\0").file("a", b"").end(), "of one kind"),
        (Tar::default().extension(b'L', b"l\0m\0").file("a", b"").end(), "a long name that is none"),
        (Tar::default().pax(&[("path", "p")]).end(), "without an entry"),
        (Tar::default().pax(&[("path", "p")]).0, "cut off"),
        (Tar::default().extension(b'g', b"12 path=a/b\n").file("a", b"").end(), "a global header"),
        (Tar::default().extension(b'g', b"22 minio.metadata.A=b\n").file("a", b"").end(), "a global header"),
        (Tar::default().extension(b'x', b"garbage").file("a", b"").end(), "an extended header"),
        (Tar::default().block(b"a", b'x', 1 << 20, |_| ()).0, "more than 64 KiB"),
        (sized(b'1').end(), "no data"),
        (sized(b'2').end(), "no data"),
        (sized(b'5').end(), "no data"),
        (Tar::default().file("a/", b"x").end(), "no data"),
        (Tar::default().block(b"a", b'Z', 0, |_| ()).end(), "not known"),
        (Tar::default().block(b"a", b'M', 0, |_| ()).end(), "another volume"),
        (Tar::default().block(b"a", b'0', 0, |block| block[124] = b'9').end(), "a size that"),
        (Tar::default().block(b"a", b'0', 0, |block| block[124..136].fill(0xff)).end(), "a size that"),
        (
            Tar::default()
                .block(b"a", b'0', 0, |b| {
                    b[263..265].fill(0);
                    b[345] = b'p';
                })
                .end(),
            "differently",
        ),
        ([file().end(), file().end()].concat(), "behind its end"),
        (file().0[..700].to_vec(), "cut off"),
        (file().block(b"b", b'0', 9, |_| ()).body(b"12345").0[..1536 + 5].to_vec(), "cut off"),
        (b"no archive at all, but some text".repeat(40), "checksum"),
    ] {
        let found = names(&archive).unwrap_err();
        assert!(found.contains(why), "{found:?} for {why:?}");
        checks::archive(&archive);
    }
    let mut flipped = file().end();
    flipped[0] ^= 1;
    assert!(names(&flipped).unwrap_err().contains("checksum"));
}

#[test]
fn what_all_readers_understand_is_taken() {
    assert_eq!(names(b"").unwrap(), Vec::<String>::new());
    assert_eq!(names(&[0; 10_240]).unwrap(), Vec::<String>::new());
    // Without its end, as some writers leave it, and with the owners of all entries said once.
    let open = Tar::default().extension(b'g', b"12 comment=a\n13 uname=root\n").file("a", b"x").0;
    let open_names = names(&open);
    assert!(open_names.is_err(), "its lengths are wrong");
    let open = Tar::default().extension(b'g', b"13 comment=a\n14 uname=root\n").file("a", b"x").0;
    assert_eq!(names(&open).unwrap(), ["a"]);
    // Sizes that agree, and a size in base-256.
    let large = |block: &mut [u8; 512]| {
        block[124..136].fill(0);
        (block[124], block[135]) = (0x80, 3);
    };
    let archive = Tar::default().pax(&[("size", "3")]).block(b"a", b'0', 3, large).body(b"xyz").end();
    assert_eq!(read(&archive).unwrap()[0].1, b"xyz");
}

/// Unpacks what came in pieces of `step` bytes.
fn unpack(packed: &[u8], step: usize) -> Result<Vec<u8>, String> {
    let (mut inflate, mut out) = (Inflate::new(), Vec::new());
    let mut drain = |inflate: &mut Inflate| -> Result<(), String> {
        while let Some(piece) = inflate.piece()? {
            assert!(piece.len() <= step.max(1 << 20), "a piece of {} bytes", piece.len());
            out.extend_from_slice(&piece);
        }
        Ok(())
    };
    for piece in packed.chunks(step) {
        inflate.push(Bytes::copy_from_slice(piece));
        drain(&mut inflate)?;
    }
    inflate.end()?;
    drain(&mut inflate)?;
    out.extend_from_slice(&inflate.close()?);
    Ok(out)
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededEntropy::new(seed).fill(&mut bytes);
    bytes
}

#[test]
fn packings_are_told_by_their_first_bytes_and_unpacked_whole() {
    let small = Tar::default().file("a", b"x").end();
    let large = Tar::default().file("a", &random(1, 700_000)).file("b", &vec![7; 3_000_000]).end();
    for plain in [&small, &large] {
        let zstd = zstd::encode_all(&plain[..], 3).unwrap();
        let members = [gzip(&plain[..600]), gzip(&plain[600..])].concat();
        let frames = [
            &zstd::encode_all(&plain[..600], 1).unwrap()[..],
            b"\x50\x2a\x4d\x18\x03\0\0\0abc",
            &zstd::encode_all(&plain[600..], 1).unwrap()[..],
        ]
        .concat();
        for packed in [plain.clone(), gzip(plain), zstd, members, frames] {
            for step in [packed.len(), 100_000, 97] {
                assert!(unpack(&packed, step).unwrap() == *plain, "in pieces of {step}");
            }
            if packed != *plain {
                for cut in [packed.len() - 1, packed.len() / 2, 20] {
                    let refused = unpack(&packed[..cut], 4096).unwrap_err();
                    assert!(refused.contains("stream"), "cut at {cut}: {refused}");
                }
            }
        }
    }
    // A name that is another format's magic is a name all the same.
    let odd = Tar::default().file("BZh91", b"x").end();
    assert_eq!(unpack(&odd, 512).unwrap(), odd);
    for (start, name) in [
        (&b"PK\x03\x04"[..], "ZIP"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\xff\x06\0\0S2sTwO", "S2"),
    ] {
        assert!(unpack(&[start, &[1; 600][..]].concat(), 512).unwrap_err().contains(name), "{name}");
        assert!(unpack(start, 512).unwrap_err().contains(name), "{name}");
    }
}

#[test]
fn bombs_end_before_they_burst() {
    // 80 MiB of zeros in 80 KiB, and in less.
    let zeros = vec![0; 80 << 20];
    for packed in [gzip(&zeros), zstd::encode_all(&zeros[..], 1).unwrap()] {
        let refused = unpack(&packed, 64 << 10).unwrap_err();
        assert!(refused.contains("250 times"), "{refused}");
    }
    // As many streams as a pigz, a pzstd or a bgzip makes, but not one for a few bytes.
    let plain = Tar::default().file("a", &random(3, 300_000)).end();
    let skipped = b"\x50\x2a\x4d\x18\0\0\0\0".to_vec();
    for (empty, packed) in [
        (gzip(b""), gzip(&plain)),
        (zstd::encode_all(&b""[..], 1).unwrap(), zstd::encode_all(&plain[..], 1).unwrap()),
        (skipped, zstd::encode_all(&plain[..], 1).unwrap()),
    ] {
        let few = [empty.repeat(900), packed.clone()].concat();
        for step in [few.len(), 1_000, 7] {
            assert!(unpack(&few, step).unwrap() == plain, "in pieces of {step}");
        }
        let many = [empty.repeat(3_000), packed].concat();
        assert!(unpack(&many, 64 << 10).unwrap_err().contains("more streams"), "{} bytes each", empty.len());
    }
    let members: Vec<u8> = plain.chunks(400).flat_map(gzip).collect();
    assert!(unpack(&members, 64 << 10).unwrap() == plain);
    // A window that would hold 128 MiB.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.set_parameter(zstd::stream::raw::CParameter::WindowLog(27)).unwrap();
    encoder.write_all(&random(2, 9 << 20)).unwrap();
    assert!(unpack(&encoder.finish().unwrap(), 64 << 10).unwrap_err().contains("zstd"));
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/archive");
    let entries = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn the_kept_corpus_is_read_or_refused() {
    let corpus = corpus();
    assert!(corpus.len() >= 10, "where is the corpus?");
    for (name, archive) in corpus {
        checks::archive(&archive);
        // What others wrote is taken; what was made to deceive is named so.
        let outcome = read(&archive);
        assert_eq!(outcome.is_err(), name.starts_with("seed-bad"), "{name}: {outcome:?}");
    }
}

/// Bytes changed, blocks moved, doubled and left out.
#[test]
fn mutations_of_the_corpus_are_read_or_refused() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, rounds) = (number("FIRN_SEED").unwrap_or(0), number("FIRN_ROUNDS").unwrap_or(3_000));
    let (corpus, chance) = (corpus(), SeededEntropy::new(seed));
    let below = |limit: usize| {
        let mut raw = [0; 8];
        chance.fill(&mut raw);
        usize::try_from(u64::from_le_bytes(raw) % limit.max(1) as u64).unwrap()
    };
    for round in 0..rounds {
        let mut archive = corpus[below(corpus.len())].1.clone();
        for _ in 0..=below(4) {
            let blocks = archive.len() / 512;
            match below(5) {
                0 | 1 if !archive.is_empty() => {
                    let at = below(archive.len());
                    archive[at] = u8::try_from(below(256)).unwrap();
                }
                2 if blocks > 1 => {
                    let (from, to) = (below(blocks) * 512, below(blocks) * 512);
                    archive.copy_within(from..from + 512, to);
                }
                3 if blocks > 0 => {
                    let at = below(blocks) * 512;
                    archive.drain(at..at + 512);
                }
                _ => archive.truncate(below(archive.len() + 1)),
            }
            // Half of the headers get the checksum that they would have.
            for at in (0..archive.len() / 512).map(|at| at * 512) {
                if below(2) == 0 && archive[at + 257..at + 262] == *b"ustar" {
                    archive[at + 148..at + 156].fill(b' ');
                    let sum: u32 = archive[at..at + 512].iter().map(|byte| u32::from(*byte)).sum();
                    archive[at + 148..at + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                }
            }
        }
        let outcome = std::panic::catch_unwind(|| checks::archive(&archive));
        assert!(outcome.is_ok(), "FIRN_SEED={seed}, round {round}: {archive:?}");
    }
}
