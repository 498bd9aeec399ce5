//! Randomness, from outside: the operating system's in production, seeded in tests.

use std::cell::RefCell;
use zeroize::{Zeroize, Zeroizing};

/// A source of random bytes. Ids, keys and nonces all come from here.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// Fills `out` with bytes that nobody can predict.
    ///
    /// Never fails: where the operating system has none to give, the process ends, because going on would reuse nonces.
    fn fill(&self, out: &mut [u8]);

    /// Fills `out`, a part of an id that must not be met again; never for keys and nonces. It may be drawn ahead, which is
    /// cheaper, but a machine resumed twice from one snapshot of its memory is given the same bytes twice.
    fn fill_id(&self, out: &mut [u8]) {
        self.fill(out);
    }
}

/// AWS-LC's generator, seeded by the operating system.
///
/// A draw costs about a microsecond whatever its length (the processor is asked for fresh entropy each time), and a PUT makes
/// several ids. So each thread draws 512 bytes for them at once and hands them out; what was handed out is wiped.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

/// What a thread draws at once; more than half of it is drawn for itself.
const DRAWN_BYTES: usize = 512;

/// Random bytes that nobody has had yet: those from `next` on.
struct Drawn {
    bytes: Zeroizing<[u8; DRAWN_BYTES]>,
    next: usize,
}

thread_local! {
    static DRAWN: RefCell<Drawn> =
        RefCell::new(Drawn { bytes: Zeroizing::new([0; DRAWN_BYTES]), next: DRAWN_BYTES });
}

impl Drawn {
    fn hand_out(&mut self, out: &mut [u8]) {
        if DRAWN_BYTES - self.next < out.len() {
            draw(&mut *self.bytes);
            self.next = 0;
        }
        let given = &mut self.bytes[self.next..][..out.len()];
        out.copy_from_slice(given);
        given.zeroize();
        self.next += out.len();
    }
}

fn draw(out: &mut [u8]) {
    if aws_lc_rs::rand::fill(out).is_err() {
        tracing::error!("no randomness to be had from the operating system: stopping");
        std::process::abort();
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        draw(out);
    }

    fn fill_id(&self, out: &mut [u8]) {
        // A thread that is ending may have none left to draw from.
        if out.len() > DRAWN_BYTES / 2 || DRAWN.try_with(|drawn| drawn.borrow_mut().hand_out(out)).is_err() {
            draw(out);
        }
    }
}

/// A seeded source for tests: SHA-256 over seed and counter, the same bytes for the same calls in the same order.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: std::sync::atomic::AtomicU64,
}

impl SeededEntropy {
    /// Starts at the beginning of this seed's stream.
    pub const fn new(seed: u64) -> Self {
        Self { seed, counter: std::sync::atomic::AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let count = self.counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut input = [0; 16];
            input[..8].copy_from_slice(&self.seed.to_le_bytes());
            input[8..].copy_from_slice(&count.to_le_bytes());
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &input);
            chunk.copy_from_slice(&digest.as_ref()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DRAWN, DRAWN_BYTES, Entropy, SystemEntropy};
    use std::collections::HashSet;

    #[test]
    fn bytes_are_handed_out_once_whatever_their_number_and_thread() {
        let draw = || -> Vec<[u8; 8]> {
            let mut found = Vec::new();
            for len in [8, 16, 24, 40, DRAWN_BYTES / 2, DRAWN_BYTES / 2 + 8, DRAWN_BYTES, 4096].repeat(9) {
                let mut out = vec![0; len];
                SystemEntropy.fill_id(&mut out);
                found.extend_from_slice(out.as_chunks().0);
            }
            found
        };
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(!all.contains(&[0; 8]));
    }

    #[test]
    fn what_was_handed_out_is_wiped() {
        let mut out = [0; 32];
        SystemEntropy.fill_id(&mut out);
        DRAWN.with_borrow(|drawn| {
            assert_eq!(drawn.bytes[..drawn.next], [0; DRAWN_BYTES][..drawn.next]);
            assert!(drawn.bytes[drawn.next..].iter().any(|byte| *byte != 0));
        });
    }
}
