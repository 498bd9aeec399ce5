//! What a certificate says of itself: its names, and from when until when it holds.

use super::names::{Name, Names};
use engine::clock::Timestamp;
use rustls::pki_types::CertificateDer;
use std::net::IpAddr;
use std::time::Duration;
use x509_parser::extensions::GeneralName;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) names: Names,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// The key that it is about, as the certificate encodes it.
    pub(super) public_key: Vec<u8>,
}

impl Facts {
    /// Reads a certificate; an error is a lowercase fragment.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|error| format!("it is no X.509 certificate: {error}"))?;
        let said = parsed
            .subject_alternative_name()
            .map_err(|error| format!("its names can't be read: {error}"))?
            .map(|extension| extension.value.general_names.as_slice())
            .unwrap_or_default();
        let at =
            |time: x509_parser::time::ASN1Time| Timestamp::from_millis(time.timestamp().saturating_mul(1000));
        Ok(Self {
            names: said.iter().filter_map(name).collect(),
            not_before: at(parsed.validity().not_before),
            not_after: at(parsed.validity().not_after),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
        })
    }

    /// How long it still holds; nothing when it has expired.
    pub(crate) fn left(&self, now: Timestamp) -> Duration {
        self.not_after.since(now)
    }

    /// Whether it holds at this time.
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

fn name(said: &GeneralName<'_>) -> Option<Name> {
    match said {
        GeneralName::DNSName(name) => Some(Name::Host(name.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
            .ok()
            .map(Name::Address),
        _ => None,
    }
}
