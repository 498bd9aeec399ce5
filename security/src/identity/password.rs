//! Passwords: the rules of an account for them, and their hashes.
//!
//! A hash is argon2id (RFC 9106) of 19 MiB and two passes, the first choice of OWASP's cheat sheet for so much memory; what it was made with
//! stands beside it, so that later ones may take more. Hashes are made on threads for what blocks, a few at a time: whoever tries passwords
//! by the thousand costs neither the memory of thousands nor the threads that serve others.

use super::error::{Code, IdentityError, Result};
use super::limit;
use argon2::{Algorithm, Argon2, Params, Version};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::entropy::Entropy;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// What a new hash is made with: KiB, passes, lanes.
const COST: Cost = Cost { memory_kib: 19_456, passes: 2, lanes: 1 };
/// What no hash of a row may ask for.
const COST_MAX: Cost = Cost { memory_kib: 1 << 20, passes: 64, lanes: 16 };
const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;
/// Hashes that are made at once, and that may wait for their turn.
const AT_ONCE: usize = 2;
const WAITING_MAX: usize = 64;
/// What counts as a symbol: the page of `UpdateAccountPasswordPolicy` has them.
const SYMBOLS: &str = "!@#$%^&*()_+-=[]{}|'";

/// What an account asks of passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "IAM's own fields")]
pub struct PasswordPolicy {
    /// Characters at the least: 6 to 128.
    pub length_min: u32,
    /// One of ``!@#$%^&*()_+-=[]{}|'`` at the least.
    pub symbols: bool,
    /// A digit.
    pub numbers: bool,
    /// A letter from A to Z.
    pub uppercase: bool,
    /// A letter from a to z.
    pub lowercase: bool,
    /// Every user may change its own, whatever its policies say by omission.
    pub users_may_change: bool,
    /// After so many days another one is needed: 1 to 1,095.
    pub age_max_days: Option<u32>,
    /// None of so many before may come again: 1 to 24.
    pub reuse_prevented: Option<u32>,
    /// One that is too old is an administrator's to replace.
    pub hard_expiry: Option<bool>,
}

impl Default for PasswordPolicy {
    /// What stands for parameters that are not given.
    fn default() -> Self {
        Self {
            length_min: 6,
            symbols: false,
            numbers: false,
            uppercase: false,
            lowercase: false,
            users_may_change: false,
            age_max_days: None,
            reuse_prevented: None,
            hard_expiry: None,
        }
    }
}

fn violates(what: impl Into<String>) -> IdentityError {
    IdentityError::new(Code::PasswordPolicyViolation, what)
}

impl PasswordPolicy {
    /// Within the bounds of the model.
    pub(super) fn checked(self) -> Result<Self> {
        let within = (6..=limit::PASSWORD_CHARS).contains(&self.length_min)
            && self.age_max_days.is_none_or(|days| (1..=1_095).contains(&days))
            && self.reuse_prevented.is_none_or(|count| (1..=limit::PASSWORDS_KEPT).contains(&count));
        if within { Ok(self) } else { Err(IdentityError::invalid("A value is out of its range.")) }
    }
}

/// Whether a password may be a user's. Without rules of the account AWS's own hold: eight characters, of three kinds of four, and not the
/// user's name.
pub(super) fn check(policy: Option<&PasswordPolicy>, password: &str, user: &str) -> Result<()> {
    let chars = password.chars().count();
    let has = |of: fn(char) -> bool| password.chars().any(of);
    let kinds = [
        (has(|c| c.is_ascii_uppercase()), "an uppercase letter"),
        (has(|c| c.is_ascii_lowercase()), "a lowercase letter"),
        (has(|c| c.is_ascii_digit()), "a number"),
        (has(|c| SYMBOLS.contains(c)), "a symbol"),
    ];
    if u32::try_from(chars).is_ok_and(|chars| chars > limit::PASSWORD_CHARS) {
        return Err(violates(format!("Password should have at most {} characters", limit::PASSWORD_CHARS)));
    }
    let Some(policy) = policy else {
        return if chars < 8 {
            Err(violates("Password should have a minimum length of 8"))
        } else if kinds.iter().filter(|(has, _)| *has).count() < 3 {
            Err(violates(
                "Password should have three of: uppercase letters, lowercase letters, numbers, symbols",
            ))
        } else if password.eq_ignore_ascii_case(user) {
            Err(violates("Password should not be the user's name"))
        } else {
            Ok(())
        };
    };
    if usize::try_from(policy.length_min).is_ok_and(|min| chars < min) {
        return Err(violates(format!("Password should have a minimum length of {}", policy.length_min)));
    }
    let wanted = [policy.uppercase, policy.lowercase, policy.numbers, policy.symbols];
    match kinds.iter().zip(wanted).find(|((has, _), wanted)| *wanted && !has) {
        Some(((_, kind), _)) => Err(violates(format!("Password should have at least {kind}"))),
        None => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

/// A password's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "beside what it was made with")]
pub(super) struct Hash {
    pub(super) cost: Cost,
    pub(super) salt: [u8; SALT_LEN],
    pub(super) hash: [u8; HASH_LEN],
}

impl Hash {
    fn computed(password: &str, cost: Cost, salt: [u8; SALT_LEN]) -> crate::Result<Self> {
        let wrong = |_| crate::Error::Corrupt { what: "password", detail: "its hash is of no form".into() };
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(HASH_LEN)).map_err(wrong)?;
        let mut hash = [0; HASH_LEN];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.as_bytes(), &salt, &mut hash)
            .map_err(wrong)?;
        Ok(Self { cost, salt, hash })
    }

    /// Whether a password is the one, in time that depends on the hash's cost alone.
    fn is_of(&self, password: &str) -> crate::Result<bool> {
        let found = Self::computed(password, self.cost, self.salt)?;
        let difference = found.hash.iter().zip(&self.hash).fold(0_u8, |all, (a, b)| all | (a ^ b));
        Ok(std::hint::black_box(difference) == 0)
    }
}

/// A user's passwords, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hashes(pub(super) Vec<Hash>);

impl Record for Hashes {
    const NAME: &'static str = "password hashes";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.count(self.0.len());
        for Hash { cost, salt, hash } in &self.0 {
            out.u32(cost.memory_kib).u32(cost.passes).u32(cost.lanes).fixed(salt).fixed(hash);
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let count = fields.count()?;
        let mut hashes = Vec::with_capacity(count.min(32));
        for _ in 0..count {
            let cost = Cost { memory_kib: fields.u32()?, passes: fields.u32()?, lanes: fields.u32()? };
            let within = cost.memory_kib <= COST_MAX.memory_kib
                && cost.passes <= COST_MAX.passes
                && cost.lanes <= COST_MAX.lanes;
            if !within {
                return Err(fields.corrupt("a hash that costs more than any"));
            }
            hashes.push(Hash { cost, salt: fields.fixed()?, hash: fields.fixed()? });
        }
        if hashes.is_empty() { Err(fields.corrupt("no hash")) } else { Ok(Self(hashes)) }
    }
}

/// Makes hashes, a few at a time.
pub(super) struct Hasher {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// What stands in for the password of who has none: as dear as any, and nobody's.
    nobodys: Hash,
    /// How many were made.
    #[cfg(test)]
    pub(super) made: AtomicUsize,
}

impl Hasher {
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        let (mut salt, mut hash) = ([0; SALT_LEN], [0; HASH_LEN]);
        entropy.fill(&mut salt);
        entropy.fill(&mut hash);
        let nobodys = Hash { cost: COST, salt, hash };
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: AtomicUsize::new(0),
            nobodys,
            #[cfg(test)]
            made: AtomicUsize::new(0),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> crate::Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(IdentityError::new(
                Code::ServiceFailure,
                "Too many passwords are being looked at. Try again.",
            ));
        }
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        let closed = || IdentityError::from(engine::Error::Closed);
        let turn = turn.map_err(|_| closed())?;
        #[cfg(test)]
        self.made.fetch_add(1, Ordering::AcqRel);
        // Who stops waiting leaves a hash that is made to its end: its turn ends with it.
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        Ok(done.await.map_err(|_| closed())??)
    }

    /// The hash of a new password.
    pub(super) async fn hash(&self, password: &str, entropy: &dyn Entropy) -> Result<Hash> {
        let mut salt = [0; SALT_LEN];
        entropy.fill(&mut salt);
        let password = Zeroizing::new(password.to_owned());
        self.run(move || Hash::computed(&password, COST, salt)).await
    }

    /// Whether a password is that of a hash; of no hash it is never, and takes as long.
    pub(super) async fn verifies(&self, password: &str, hash: Option<&Hash>) -> Result<bool> {
        let (password, is_somebodys) = (Zeroizing::new(password.to_owned()), hash.is_some());
        let hash = hash.unwrap_or(&self.nobodys).clone();
        Ok(self.run(move || hash.is_of(&password)).await? && is_somebodys)
    }

    /// Whether a password is that of one of these.
    pub(super) async fn is_among(&self, password: &str, hashes: &[Hash]) -> Result<bool> {
        for hash in hashes {
            if self.verifies(password, Some(hash)).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::{COST, Cost, Hash, Hasher, Hashes, PasswordPolicy, check};
    use crate::identity::Code;
    use engine::catalog::record::Record as _;
    use engine::entropy::SeededEntropy;

    #[test]
    fn passwords_are_held_to_their_rules() {
        let says = |policy: Option<&PasswordPolicy>, password: &str| {
            check(policy, password, "alice").map_err(|error| (error.code, error.message))
        };
        for good in ["Abcdefg1", "abcdefg1!", "ABCDEFG1!", "Größe 123"] {
            says(None, good).unwrap();
        }
        for bad in ["", "Abcdef1", "abcdefgh", "Abcdefgh", "ALICE", &"aB1".repeat(43)] {
            assert_eq!(says(None, bad).unwrap_err().0, Code::PasswordPolicyViolation, "{bad}");
        }
        let plain = PasswordPolicy { length_min: 10, ..PasswordPolicy::default() };
        says(Some(&plain), "aaaaaaaaaa").unwrap();
        assert!(says(Some(&plain), "aaaaaaaaa").unwrap_err().1.contains("10"));
        for (policy, missing) in [
            (PasswordPolicy { symbols: true, ..plain }, "symbol"),
            (PasswordPolicy { numbers: true, ..plain }, "number"),
            (PasswordPolicy { uppercase: true, ..plain }, "uppercase"),
        ] {
            assert!(says(Some(&policy), "aaaaaaaaaa").unwrap_err().1.contains(missing));
            says(Some(&policy), "aaaaaaaaA1!").unwrap();
        }
        for wrong in [
            PasswordPolicy { length_min: 5, ..plain },
            PasswordPolicy { length_min: 129, ..plain },
            PasswordPolicy { age_max_days: Some(0), ..plain },
            PasswordPolicy { age_max_days: Some(1_096), ..plain },
            PasswordPolicy { reuse_prevented: Some(25), ..plain },
        ] {
            assert_eq!(wrong.checked().unwrap_err().code, Code::ValidationError);
        }
    }

    /// As another implementation (the reference's, by argon2-cffi) has it.
    #[test]
    fn a_hash_is_of_its_password_alone() {
        let cheap = Cost { memory_kib: 64, passes: 2, lanes: 1 };
        let hash = Hash::computed("password", cheap, *b"0123456789abcdef").unwrap();
        assert_eq!(
            hex::encode(hash.hash),
            "fb83b5711fd91df630b63677dee62ccd13ee6f0c4897d856b49542b9b1e9975b"
        );
        assert!(hash.is_of("password").unwrap());
        assert!(!hash.is_of("passwore").unwrap());
        assert_ne!(hash.hash, Hash::computed("password", cheap, *b"0123456789abcdeg").unwrap().hash);
        assert_ne!(
            hash.hash,
            Hash::computed("password", Cost { passes: 3, ..cheap }, hash.salt).unwrap().hash
        );
    }

    #[test]
    fn hashes_that_would_cost_too_much_are_no_hashes() {
        let hash = Hash { cost: COST, salt: [1; 16], hash: [2; 32] };
        let bytes = Hashes(vec![hash.clone()]).to_bytes();
        assert_eq!(Hashes::from_bytes(&bytes).unwrap(), Hashes(vec![hash.clone()]));
        let dear = Hash { cost: Cost { memory_kib: u32::MAX, ..COST }, ..hash };
        Hashes::from_bytes(&Hashes(vec![dear]).to_bytes()).unwrap_err();
        Hashes::from_bytes(&Hashes(Vec::new()).to_bytes()).unwrap_err();
    }

    #[tokio::test]
    async fn nobody_has_the_password_of_nobody() {
        let entropy = SeededEntropy::new(1);
        let hasher = Hasher::new(&entropy);
        assert!(!hasher.verifies("", None).await.unwrap());
        let hash = hasher.hash("pass", &entropy).await.unwrap();
        assert_eq!(hash.cost, hasher.nobodys.cost, "it takes as long");
        assert!(hasher.verifies("pass", Some(&hash)).await.unwrap());
        assert!(hasher.is_among("pass", &[hasher.nobodys.clone(), hash]).await.unwrap());
    }
}
