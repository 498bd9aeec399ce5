//! The small files of an appliance that go into the catalog's copy and into the backup, as this process opened them.
//!
//! What was opened is what is handed on: `firn.json` and the master key from memory, credentials, admin token and CA as the start read them. Only what
//! verbs and starts change beside a running server, and what has a checksum of its own, is read again.

use super::marker::Marker;
use super::zones;
use crate::layout::{
    ADMIN_TOKEN, ATTACHED, CREDENTIALS, MARKER, MASTER_KEY, RECIPIENT, TLS_CA, TLS_CA_KEY, ZONES,
};
use engine::backup::Recipient;
use engine::small_files::SmallFiles;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use security::AccountId;
use security::credentials::File as Credentials;
use security::keys::FileCustodian;
use std::path::Path;
use zeroize::Zeroizing;

/// Those of an appliance that was opened.
pub(crate) fn small_files(dir: &Path, marker: &Marker, custodian: &FileCustodian) -> SmallFiles {
    let account = marker.account;
    let held = vec![
        (MARKER.to_owned(), Zeroizing::new(marker.encode().into_bytes())),
        (MASTER_KEY.to_owned(), custodian.file()),
    ];
    let names = ATTACHED.map(str::to_owned).to_vec();
    let reads = Box::new(move |name: &str, bytes: &[u8]| judge(name, bytes, account));
    SmallFiles::of_open(dir.to_owned(), (names, &[RECIPIENT, ZONES]), reads, held)
}

/// Why the bytes of a small file are not what a start would take, if so.
fn judge(name: &str, bytes: &[u8], account: AccountId) -> Result<(), String> {
    let text = || std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned());
    match name {
        MARKER => Marker::decode(bytes, name).map(drop).map_err(|failure| failure.to_string()),
        MASTER_KEY => FileCustodian::check(bytes).map_err(|error| error.to_string()),
        CREDENTIALS => match Credentials::parse(text()?, account) {
            Ok(file) if file.profiles().is_empty() => Err("no profile is in it".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        ADMIN_TOKEN => super::secrets::judge_token(text()?).map_err(str::to_owned),
        RECIPIENT => text()?.trim().parse::<Recipient>().map(drop).map_err(|error| error.to_string()),
        ZONES => zones::judge_list(bytes).map_err(|failure| failure.to_string()),
        TLS_CA => CertificateDer::from_pem_slice(bytes).map(drop).map_err(|error| error.to_string()),
        TLS_CA_KEY => PrivateKeyDer::from_pem_slice(bytes).map(drop).map_err(|error| error.to_string()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{judge, small_files};
    use crate::directory::Marker;
    use crate::layout::{ADMIN_TOKEN, ATTACHED, CREDENTIALS, MARKER, MASTER_KEY, RECIPIENT, ZONES};
    use engine::backup::RecoveryKey;
    use engine::clock::Timestamp;
    use engine::entropy::SeededEntropy;
    use security::credentials::File as Credentials;
    use security::keys::FileCustodian;
    use std::fs;
    use std::sync::Arc;

    #[test]
    fn each_small_file_is_judged_as_a_start_would_and_those_that_were_opened_are_held() {
        let dir = tempfile::tempdir().unwrap();
        let entropy = Arc::new(SeededEntropy::new(1));
        let marker = Marker {
            created: Timestamp::from_millis(1),
            region: "us-east-1".to_owned(),
            account: "123456789012".parse().unwrap(),
            debug_day: None,
        };
        let at = |name: &str| dir.path().join(name);
        fs::write(at(MARKER), marker.encode()).unwrap();
        let custodian = FileCustodian::generate(&at(MASTER_KEY), entropy.clone()).unwrap();
        Credentials::generate(&at(CREDENTIALS), marker.account, "us-east-1", &*entropy).unwrap();
        fs::write(at(ADMIN_TOKEN), "0123456789abcdef0123456789abcdef\n").unwrap();
        fs::write(at(RECIPIENT), format!("{}\n", RecoveryKey::generate().recipient())).unwrap();
        fs::write(at(ZONES), super::zones::Taken::default().encode()).unwrap();
        let files = small_files(dir.path(), &marker, &custodian);
        assert_eq!(files.faults(), []);
        let names = [MARKER, MASTER_KEY, CREDENTIALS, ADMIN_TOKEN, RECIPIENT, ZONES];
        for name in names {
            assert!(ATTACHED.contains(&name));
            let good = fs::read(at(name)).unwrap();
            judge(name, &good, marker.account).unwrap();
            for bad in [&good[..good.len() / 2], &[7; 53], &vec![0; good.len()]] {
                fs::write(at(name), bad).unwrap();
                assert_eq!(*files.read(name).unwrap().unwrap(), good, "{name}");
                let faults = files.faults();
                assert!(faults.len() == 1 && faults[0].name == name && !faults[0].reads, "{faults:?}");
            }
            fs::write(at(name), &good).unwrap();
        }
        // One bit of the key is enough.
        let mut key = fs::read(at(MASTER_KEY)).unwrap();
        key[20] ^= 1;
        assert!(judge(MASTER_KEY, &key, marker.account).unwrap_err().contains("checksum"));
        let other = FileCustodian::generate(&at("other"), entropy).unwrap();
        fs::write(at(MASTER_KEY), &*other.file()).unwrap();
        assert!(files.faults()[0].reads && *files.read(MASTER_KEY).unwrap().unwrap() == *custodian.file());
    }
}
