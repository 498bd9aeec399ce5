//! Where the next page begins, sealed: a marker tells nothing of names, and none can be made up or taken along to another account or
//! operation.
//!
//! ```text
//!   base64url( nonce 12 ‖ AES-256-GCM(text) ‖ tag 16 )        additional data: account, operation
//! ```
//! The model allows a marker 320 characters, so that a text has 212 bytes at most.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::entropy::Entropy;
use security::AccountId;
use zeroize::Zeroizing;

/// Why there is no marker, or none that is of use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MarkerError {
    /// It is none that was given to this account by this operation.
    Refused,
    /// None could be made, for this reason of the appliance's.
    Unsealed(&'static str),
}

/// Seals and opens markers.
pub(crate) struct Markers(LessSafeKey);

impl std::fmt::Debug for Markers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Markers(…)")
    }
}

impl Markers {
    /// Under this key.
    pub(crate) fn new(key: &Zeroizing<[u8; 32]>) -> Self {
        // 32 bytes are what the algorithm takes.
        let key = UnboundKey::new(&AES_256_GCM, &**key);
        Self(LessSafeKey::new(key.unwrap_or_else(|_| unreachable!("32 bytes are a key"))))
    }

    /// A marker.
    pub(crate) fn seal(
        &self,
        entropy: &dyn Entropy,
        (account, operation): (AccountId, &str),
        text: &str,
    ) -> Result<String, MarkerError> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = text.as_bytes().to_vec();
        let aad = Aad::from([&account.to_bytes()[..], operation.as_bytes()].concat());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| MarkerError::Unsealed("a marker could not be sealed"))?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// What a marker says.
    pub(crate) fn open(
        &self,
        (account, operation): (AccountId, &str),
        marker: &str,
    ) -> Result<String, MarkerError> {
        let refused = || MarkerError::Refused;
        let bytes = URL_SAFE_NO_PAD.decode(marker).map_err(|_| refused())?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let aad = Aad::from([&account.to_bytes()[..], operation.as_bytes()].concat());
        let mut sealed = sealed.to_vec();
        let text = self.0.open_in_place(nonce, aad, &mut sealed).map_err(|_| refused())?;
        String::from_utf8(text.to_vec()).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::{MarkerError, Markers};
    use engine::entropy::SeededEntropy;
    use zeroize::Zeroizing;

    #[test]
    fn a_marker_is_good_for_what_gave_it_alone() {
        let (markers, entropy) = (Markers::new(&Zeroizing::new([7; 32])), SeededEntropy::new(3));
        let (own, other) = ("111122223333".parse().unwrap(), "444455556666".parse().unwrap());
        let text = "n".repeat(200);
        let marker = markers.seal(&entropy, (own, "ListUsers"), &text).unwrap();
        assert!(marker.len() <= 320 && !marker.contains("nnn"), "{}", marker.len());
        assert_eq!(markers.open((own, "ListUsers"), &marker).unwrap(), text);
        let refused = |scope, marker: &str| markers.open(scope, marker) == Err(MarkerError::Refused);
        assert!(refused((other, "ListUsers"), &marker));
        assert!(refused((own, "ListRoles"), &marker));
        assert!(refused((own, "ListUsers"), "alice"));
        assert!(refused((own, "ListUsers"), ""));
        for at in 0..marker.len() - 1 {
            let mut changed = marker.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            if changed != marker {
                assert!(refused((own, "ListUsers"), &changed), "{at}");
            }
        }
        assert!(Markers::new(&Zeroizing::new([8; 32])).open((own, "ListUsers"), &marker).is_err());
    }
}
