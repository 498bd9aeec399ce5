//! A CA of the appliance's own, and the certificate that it issues to the doors, in DIR/tls.
//!
//! ```text
//!   ca.key 0600 ─► ca.pem 0644 ─► server.pem 0600 (key and certificate in one file, so that they always go together)
//! ```
//!
//! The CA is made once and never replaced: clients hold its certificate. The doors' certificate is issued anew at a start, or an hourly look, that
//! finds it missing, near its end ([`RENEW_WITHIN`]), without a name that it should have, or not of this CA.
//!
//! A crash leaves each file whole, old or absent. `ca.key` alone gets its `ca.pem` again, from the same key: what clients hold
//! stays right. `ca.pem` alone serves until the doors' certificate has to be issued anew; then the start says so.

use super::names::{Name, Names};
use super::{Facts, Secured, Source, read_chain, read_key, refuse_open, show_time};
use crate::exit::{Exit, Failure};
use crate::layout::{TLS_CA, TLS_CA_KEY, TLS_DIR, TLS_SERVER};
use crate::text::quote_sh;
use anyhow::Context;
use engine::clock::Timestamp;
use engine::file as durable;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

const DAY: Duration = Duration::from_hours(24);
/// How long the CA holds: about ten years.
const CA_HOLDS: Duration = Duration::from_hours(24 * 3650);
/// How long the doors' certificate holds. Clients that limit it at all allow 398 days.
const SERVER_HOLDS: Duration = Duration::from_hours(24 * 397);
/// A start or a look that finds less than this left issues another.
const RENEW_WITHIN: Duration = Duration::from_hours(24 * 90);
/// Certificates hold from a day before they are made, for clients whose clock is slow.
const BACKDATED: Duration = DAY;

/// Opens what is in DIR/tls, and makes what is missing.
pub(crate) fn open(dir: &Path, appliance: &str, wanted: &Names, now: Timestamp) -> anyhow::Result<Secured> {
    let [ca, ca_key, server] = [TLS_CA, TLS_CA_KEY, TLS_SERVER].map(|name| dir.join(name));
    let tls = dir.join(TLS_DIR);
    match fs::DirBuilder::new().mode(0o700).create(&tls) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(anyhow::Error::from(error).context(format!("create {}", tls.display())));
        }
        _ => {}
    }
    make_ca(&ca, &ca_key, appliance, now)?;
    let root = read_chain(&ca)
        .and_then(|mut chain| Facts::read(&chain[0]).map(|facts| (chain.swap_remove(0), facts)))
        .map_err(|why| broken(&ca, &why, &tls))?;
    let (root, facts) = root;
    if !facts.holds(now) {
        let text = format!(
            "use the CA {}: it holds from {} to {}",
            ca.display(),
            show_time(facts.not_before),
            show_time(facts.not_after)
        );
        return Err(Failure::new(Exit::Error, text)
            .hint(format!(
                "if the clock is right: rm -r {} and start again; then give the new ca.pem to every client",
                quote_sh(&tls.display().to_string())
            ))
            .into());
    }
    let why = if server.try_exists()? {
        refuse_open(&server)?;
        match load(&server, &ca) {
            Ok((secured, certificate)) => {
                match stale(&secured.facts, &certificate, (&root, &facts), wanted, now) {
                    None => return Ok(secured),
                    Some(why) => why,
                }
            }
            Err(why) => why,
        }
    } else {
        "there was none".to_owned()
    };
    issue(&server, (&ca, &root, &facts), &ca_key, wanted, now)
        .with_context(|| format!("issue a TLS certificate ({why})"))?;
    tracing::info!(because = why, "issued a TLS certificate");
    let (secured, _) = load(&server, &ca).map_err(|why| broken(&server, &why, &tls))?;
    Ok(secured)
}

fn broken(path: &Path, why: &str, tls: &Path) -> Failure {
    let hint = format!(
        "put it back from a copy; or rm -r {} and start again, then give the new ca.pem to every client",
        quote_sh(&tls.display().to_string())
    );
    Failure::new(Exit::Error, format!("use {}: {why}", path.display())).hint(hint)
}

/// Makes what is missing of the CA.
fn make_ca(ca: &Path, ca_key: &Path, appliance: &str, now: Timestamp) -> anyhow::Result<()> {
    if !ca.try_exists()? {
        let key = if ca_key.try_exists()? {
            load_ca_key(ca_key)?
        } else {
            let key = KeyPair::generate().context("make the CA's key")?;
            durable::replace(ca_key, key.serialize_pem().as_bytes())?;
            key
        };
        let params = ca_params(appliance, now)?;
        let certificate = params.self_signed(&key).context("make the CA's certificate")?;
        durable::replace(ca, certificate.pem().as_bytes())?;
    }
    // Clients of other users may be given it.
    fs::set_permissions(ca, fs::Permissions::from_mode(0o644))
        .with_context(|| format!("chmod 644 {}", ca.display()))
}

fn load_ca_key(path: &Path) -> anyhow::Result<KeyPair> {
    refuse_open(path)?;
    let pem = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    KeyPair::from_pem(&pem).with_context(|| format!("use the CA's key {}", path.display()))
}

fn at(time: Timestamp) -> anyhow::Result<OffsetDateTime> {
    Ok(OffsetDateTime::from_unix_timestamp(time.as_millis().div_euclid(1000))?)
}

fn before(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

fn ca_params(appliance: &str, now: Timestamp) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "firn");
    params.distinguished_name.push(DnType::CommonName, format!("firn CA of {appliance}"));
    // It issues to doors, not to other CAs.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (at(before(now, BACKDATED))?, at(now.plus(CA_HOLDS))?);
    Ok(params)
}

/// Issues the doors' certificate, for a new key.
fn issue(
    server: &Path,
    (ca, root, ca_facts): (&Path, &CertificateDer<'_>, &Facts),
    ca_key: &Path,
    wanted: &Names,
    now: Timestamp,
) -> anyhow::Result<()> {
    let tls = server.parent().unwrap_or(server);
    if !ca_key.try_exists()? {
        let why = "the CA's key is not beside it, so no certificate can be issued";
        return Err(broken(ca, why, tls).into());
    }
    let signing = load_ca_key(ca_key)?;
    if signing.public_key_raw() != ca_facts.public_key {
        return Err(broken(ca, &format!("its key is not {}", ca_key.display()), tls).into());
    }
    let issuer = Issuer::from_ca_cert_der(root, signing).context("read the CA")?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "firn");
    params.distinguished_name.push(DnType::CommonName, "firn");
    params.subject_alt_names = wanted
        .iter()
        .map(|name| match name {
            Name::Host(host) => host.as_str().try_into().map(SanType::DnsName),
            Name::Address(address) => Ok(SanType::IpAddress(*address)),
        })
        .collect::<Result<_, _>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let until = now.plus(SERVER_HOLDS).min(ca_facts.not_after);
    (params.not_before, params.not_after) = (at(before(now, BACKDATED))?, at(until)?);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(durable::replace(server, (key.serialize_pem() + &certificate.pem()).as_bytes())?)
}

fn load(server: &Path, ca: &Path) -> Result<(Secured, CertificateDer<'static>), String> {
    let (chain, key) = (read_chain(server)?, read_key(server)?);
    let certificate = chain[0].clone();
    Ok((Secured::new(chain, key, Source::Own { ca: ca.to_owned() })?, certificate))
}

/// Why a certificate is to be issued anew.
fn stale(
    facts: &Facts,
    certificate: &CertificateDer<'_>,
    (root, ca_facts): (&CertificateDer<'static>, &Facts),
    wanted: &Names,
    now: Timestamp,
) -> Option<String> {
    // Near the CA's own end another would hold no longer.
    let outlived = facts.left(now) < RENEW_WITHIN && facts.not_after < ca_facts.not_after;
    if !facts.holds(now) || outlived {
        return Some(format!(
            "the last one holds from {} to {}",
            show_time(facts.not_before),
            show_time(facts.not_after)
        ));
    }
    let lacks = facts.names.lacks(wanted);
    if !lacks.is_empty() {
        let lacks: Vec<String> = lacks.iter().map(Name::to_string).collect();
        return Some(format!("the last one lacks {}", lacks.join(", ")));
    }
    believed(certificate, root, now).err().map(|error| format!("the last one is not this CA's: {error}"))
}

/// Whether a client that holds the CA believes the certificate.
fn believed(
    certificate: &CertificateDer<'_>,
    root: &CertificateDer<'static>,
    now: Timestamp,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let name = ServerName::IpAddress(rustls::pki_types::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST.into()));
    let seconds = u64::try_from(now.as_millis() / 1000).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier.verify_server_cert(certificate, &[], &name, &[], now).map(drop)
}
