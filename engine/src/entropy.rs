//! Randomness, from outside: the operating system's in production, seeded in tests.

/// A source of random bytes. Ids, keys and nonces all come from here.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// Fills `out` with bytes that nobody can predict.
    ///
    /// Never fails: where the operating system has none to give, the process ends, because going on would reuse nonces.
    fn fill(&self, out: &mut [u8]);
}

/// AWS-LC's generator, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        if aws_lc_rs::rand::fill(out).is_err() {
            tracing::error!("no randomness to be had from the operating system: stopping");
            std::process::abort();
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
