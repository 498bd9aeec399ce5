//! What a fuzz target is: with `--cfg fuzzing` a body for libFuzzer, which a nightly compiler wants; else a program that any compiler makes, which
//! changes a kept corpus by chance and runs the same body over what comes of it, without looking at what the body does.
//!
//! ```text
//!   TARGET [--rounds N] [--seed N] CORPUS…
//! ```
//!
//! The unit tests do the same with few rounds: [`over`]. An input that fails is written to the temporary directory, and named with the seed. Bounded: inputs are files of at most [`INPUT_MAX`] bytes, and so is
//! what comes of them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Bytes of an input.
pub const INPUT_MAX: usize = 64 << 10;
/// Inputs where nobody says how many.
const ROUNDS: u64 = 1_000_000;
/// How often it is said how far it is.
const TELL_EVERY: u64 = 250_000;

/// The program of a fuzz target. The crate that has it begins with `#![cfg_attr(fuzzing, no_main)]`.
#[macro_export]
macro_rules! target {
    ($check:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $check(input));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::main($check)
        }
    };
}

/// The program without libFuzzer.
pub fn main(check: fn(&[u8])) -> ExitCode {
    let outcome = Wish::of(std::env::args().skip(1)).and_then(|wish| run(&wish, check));
    let mut out = std::io::stderr().lock();
    let (text, code) = match outcome {
        Ok(count) => (format!("{count} inputs, nothing found"), ExitCode::SUCCESS),
        Err(said) => (said, ExitCode::FAILURE),
    };
    // Nobody may be reading any more.
    let _unheard = writeln!(out, "{text}");
    code
}

/// Rounds of a unit test.
const ROUNDS_OF_A_TEST: u64 = 2_000;

/// What a unit test does: the corpus as it is kept, then `FIRN_ROUNDS` changes of it by the chance of `FIRN_SEED`.
///
/// # Panics
/// Where one fails, or the corpus can't be read.
pub fn over(corpus: impl Into<PathBuf>, check: fn(&[u8])) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let rounds = number("FIRN_ROUNDS").unwrap_or(ROUNDS_OF_A_TEST);
    let wish = Wish { rounds, seed: number("FIRN_SEED").unwrap_or(0), corpora: vec![corpus.into()] };
    if let Err(said) = run(&wish, check) {
        panic!("{said}");
    }
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    rounds: u64,
    seed: u64,
    corpora: Vec<PathBuf>,
}

impl Wish {
    fn of(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut wish = Self { rounds: ROUNDS, seed: 0, corpora: Vec::new() };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let number = match word.as_str() {
                "--rounds" => &mut wish.rounds,
                "--seed" => &mut wish.seed,
                _ => {
                    wish.corpora.push(word.into());
                    continue;
                }
            };
            let text = words.next().unwrap_or_default();
            *number = text.parse().map_err(|_| format!("{word} wants a number, not `{text}`"))?;
        }
        if wish.corpora.is_empty() {
            return Err("name the corpus: a directory of inputs, below fuzz/corpus".to_owned());
        }
        Ok(wish)
    }
}

/// Runs it; how many inputs there were.
fn run(wish: &Wish, check: fn(&[u8])) -> Result<u64, String> {
    let corpus = read(&wish.corpora)?;
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(wish.seed));
    let as_kept = corpus.iter().map(Clone::clone).enumerate();
    let mut count = 0;
    for (at, input) in as_kept {
        count += 1;
        judge(check, &input, || format!("the {}. of the corpus", at + 1))?;
    }
    for round in 0..wish.rounds {
        let input = chance.change(&corpus);
        count += 1;
        judge(check, &input, || format!("round {round} of seed {}", wish.seed))?;
        if count % TELL_EVERY == 0 {
            let _unheard = writeln!(std::io::stderr().lock(), "{count} inputs");
        }
    }
    Ok(count)
}

fn read(corpora: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| format!("read {}: {error}", path.display());
    let mut inputs = Vec::new();
    for corpus in corpora {
        let entries = std::fs::read_dir(corpus).map_err(|error| failed(corpus, &error))?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|error| failed(corpus, &error))?.path());
        }
        // A seed means the same on every machine.
        paths.sort();
        for path in paths {
            let mut input = std::fs::read(&path).map_err(|error| failed(&path, &error))?;
            input.truncate(INPUT_MAX);
            inputs.push(input);
        }
    }
    if inputs.is_empty() { Err("the corpus is empty".to_owned()) } else { Ok(inputs) }
}

/// Runs one; a panic becomes where the input lies.
fn judge(check: fn(&[u8]), input: &[u8], which: impl Fn() -> String) -> Result<(), String> {
    // What panicked is used no more.
    if catch_unwind(AssertUnwindSafe(|| check(input))).is_ok() {
        return Ok(());
    }
    let path = std::env::temp_dir().join(format!("found-input-{}", std::process::id()));
    let kept = match std::fs::write(&path, input) {
        Ok(()) => format!("it is in {}", path.display()),
        Err(error) => format!("it could not be written: {error}; {input:?}"),
    };
    Err(format!("{} fails: {kept}", which()))
}

struct Chance(ChaCha8Rng);

impl Chance {
    /// A number below this one; 0 below 0.
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.0.next_u64() % limit).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.0.next_u64().to_le_bytes()[0]
    }

    /// A range of so many places, at most `most` long.
    fn range(&mut self, length: usize, most: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        from..(from + self.below(most + 1)).min(length)
    }

    /// One of the corpus, changed a few times.
    fn change(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(6) {
            self.step(&mut input, corpus);
        }
        input.truncate(INPUT_MAX);
        input
    }

    fn step(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        /// What readers decide by.
        const TELLING: [&[u8]; 12] = [
            b"\0",
            b"\xff",
            b"\n",
            b"\r\n",
            b"%",
            b"&",
            b"=",
            b"<",
            b">",
            b"\"",
            b"\\u0000",
            b"-9223372036854775808",
        ];
        let length = input.len();
        match self.below(8) {
            0 if length > 0 => {
                let at = self.below(length);
                input[at] = self.byte();
            }
            1 if length > 0 => {
                let at = self.below(length);
                input[at] ^= 1 << self.below(8);
            }
            2 => drop(input.drain(self.range(length, 64))),
            3 => {
                let (again, at) = (input[self.range(length, 64)].to_vec(), self.below(length + 1));
                drop(input.splice(at..at, again));
            }
            4 => {
                let other = &corpus[self.below(corpus.len())];
                let piece = other[self.range(other.len(), 256)].to_vec();
                let place = self.range(length, 16);
                drop(input.splice(place, piece));
            }
            5 => {
                let other = &corpus[self.below(corpus.len())];
                input.truncate(self.below(length + 1));
                input.extend_from_slice(&other[self.below(other.len() + 1)..]);
            }
            6 => {
                let (at, word) = (self.below(length + 1), TELLING[self.below(TELLING.len())]);
                drop(input.splice(at..at, word.iter().copied()));
            }
            _ => {
                let (at, byte) = (self.below(length + 1), self.byte());
                input.insert(at, byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chance, INPUT_MAX, Wish, run};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use std::collections::HashSet;

    fn wish(words: &[&str]) -> Result<Wish, String> {
        Wish::of(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn a_wish_names_its_corpus() {
        let asked = wish(&["--rounds", "7", "a", "--seed", "3", "b"]).unwrap();
        assert_eq!((asked.rounds, asked.seed, asked.corpora.len()), (7, 3, 2));
        for (words, says) in
            [(&["--rounds", "7"][..], "name the corpus"), (&["a", "--seed", "x"], "a number, not `x`")]
        {
            assert!(wish(words).unwrap_err().contains(says));
        }
    }

    #[test]
    fn a_seed_changes_the_corpus_in_its_own_way_and_within_bounds() {
        let corpus = [b"<a>something</a>".to_vec(), Vec::new(), vec![7; INPUT_MAX]];
        let made = |seed| {
            let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed));
            (0..1_000).map(|_| chance.change(&corpus)).collect::<Vec<_>>()
        };
        assert!(made(1) == made(1) && made(1) != made(2));
        assert!(made(1).iter().all(|input| input.len() <= INPUT_MAX));
        assert!(made(1).iter().collect::<HashSet<_>>().len() > 700, "most are new");
    }

    #[test]
    fn each_of_the_corpus_and_each_change_is_run_once() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let asked = Wish { rounds: 10, seed: 0, corpora: vec![dir.path().to_owned()] };
        assert_eq!(run(&asked, |_| ()).unwrap(), 12);
        super::over(dir.path(), |_| ());
        let empty = tempfile::tempdir().unwrap();
        let nothing = Wish { corpora: vec![empty.path().to_owned()], ..asked };
        assert!(run(&nothing, |_| ()).unwrap_err().contains("empty"));
    }
}
