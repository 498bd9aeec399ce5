//! Request ids: what a client quotes and the access log is searched for.

use engine::entropy::Entropy;
use std::fmt;

/// The id of one request, `x-amz-request-id`: 16 characters of Crockford's alphabet, random.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId([u8; 16]);

impl RequestId {
    /// A new id.
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let mut id = [0; 16];
        entropy.fill_id(&mut id);
        for byte in &mut id {
            *byte = ALPHABET[usize::from(*byte & 31)];
        }
        Self(id)
    }

    /// As events carry it.
    pub(crate) const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        // The alphabet is ASCII; the fallback is unreachable and harmless.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::RequestId;
    use engine::entropy::SeededEntropy;

    #[test]
    fn ids_differ_and_fit_a_header() {
        let entropy = SeededEntropy::new(7);
        let (a, b) = (RequestId::random(&entropy), RequestId::random(&entropy));
        assert_ne!(a.as_str(), b.as_str());
        assert!(a.as_str().len() == 16 && a.as_str().bytes().all(|c| c.is_ascii_alphanumeric()));
    }
}
