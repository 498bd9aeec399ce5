//! `DIR/credentials`: the access keys of an appliance, readable by every AWS tool.

use super::{AccessKeyId, Credential, CredentialLookup, SecretKey, ini};
use crate::{AccountId, Error, Result};
use engine::entropy::Entropy;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// One profile: a name and the credential that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// `default`
    pub name: String,
    /// The public half.
    pub access_key_id: AccessKeyId,
    /// Account and secret.
    pub credential: Credential,
}

/// The parsed credentials file. Each profile is the root of an account: its own, or the appliance's.
#[derive(Clone, Debug, Default)]
pub struct File {
    profiles: Vec<Profile>,
    by_key: HashMap<String, usize>,
}

impl File {
    /// Reads a file that only its owner may read or write. Profiles that name no account belong to `default_account`.
    pub fn load(path: &Path, default_account: AccountId) -> Result<Self> {
        let bytes = read_private(path)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::Parse { what: "credentials", detail: "it is not text".to_owned() })?;
        Self::parse(text, default_account)
    }

    /// Reads the file's text.
    pub fn parse(text: &str, default_account: AccountId) -> Result<Self> {
        let mut file = Self::default();
        for section in ini::parse(text)? {
            let missing = |name: &str| Error::Parse {
                what: "credentials",
                detail: format!("profile {}: {name} is missing", section.name),
            };
            let wanted = |name: &'static str| section.get(name).ok_or_else(|| missing(name));
            let access_key_id: AccessKeyId = wanted("aws_access_key_id")?.parse()?;
            let secret = SecretKey::parse(wanted("aws_secret_access_key")?)?;
            let account = section.get("aws_account_id").map_or(Ok(default_account), str::parse)?;
            file.add(Profile {
                name: section.name.to_owned(),
                access_key_id,
                credential: Credential::of_root(account, secret),
            })?;
        }
        Ok(file)
    }

    /// Draws a new access key for `account` and writes it as the default profile of a new file, durably, mode 0600. An
    /// existing file is left alone and refused.
    pub fn generate(path: &Path, account: AccountId, region: &str, entropy: &dyn Entropy) -> Result<Self> {
        let mut file = Self::default();
        file.add(Profile {
            name: "default".to_owned(),
            access_key_id: AccessKeyId::random(entropy),
            credential: Credential::of_root(account, SecretKey::random(entropy)),
        })?;
        write_private(path, file.render(region).as_bytes())?;
        Ok(file)
    }

    /// The file's text.
    fn render(&self, region: &str) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str("# The access keys of this firn appliance. Keep this file to yourself (mode 0600).\n");
        for profile in &self.profiles {
            // Writing to a String can't fail.
            let _infallible = write!(
                text,
                "[{}]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_account_id = {}\nregion = {region}\n",
                profile.name,
                profile.access_key_id,
                profile.credential.secret.expose(),
                profile.credential.account,
            );
        }
        text
    }

    fn add(&mut self, profile: Profile) -> Result<()> {
        let id = profile.access_key_id.to_string();
        if self.by_key.insert(id, self.profiles.len()).is_some() {
            let detail = format!("profile {}: its access key stands there twice", profile.name);
            return Err(Error::Parse { what: "credentials", detail });
        }
        self.profiles.push(profile);
        Ok(())
    }

    /// All profiles, in the order of the file.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// One profile by name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }
}

impl CredentialLookup for File {
    fn lookup(&self, access_key_id: &str) -> Option<Credential> {
        let index = *self.by_key.get(access_key_id)?;
        self.profiles.get(index).map(|profile| profile.credential.clone())
    }

    fn accounts(&self) -> Vec<AccountId> {
        let all: BTreeSet<AccountId> =
            self.profiles.iter().map(|profile| profile.credential.account).collect();
        all.into_iter().collect()
    }

    fn has_account(&self, account: AccountId) -> bool {
        self.profiles.iter().any(|profile| profile.credential.account == account)
    }

    fn keys_of(&self, account: AccountId) -> Vec<AccessKeyId> {
        let of_account = self.profiles.iter().filter(|profile| profile.credential.account == account);
        of_account.map(|profile| profile.access_key_id.clone()).collect()
    }
}

/// Reads a secret file after making sure that nobody but its owner can.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let io = |source| engine::Error::io("read", path, source);
    let mut file = engine::file::open_regular(path).map_err(io)?;
    // The open file is asked, not the name, so that nobody can swap it in between.
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::LooseMode { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    (&mut file).take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Creates a secret file, durably: the bytes are synced under another name, which then takes the right one, so that a crash
/// leaves the whole file or none.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    // The directory's lock keeps others out meanwhile.
    if engine::file::create(path, bytes)? { Ok(()) } else { Err(Error::Exists(path.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::File;
    use crate::credentials::CredentialLookup as _;
    use crate::{Error, ErrorKind};
    use engine::entropy::SeededEntropy;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    const TEXT: &str = "# comment\n[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n\
        aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\nregion = eu-west-1\n\n\
        [ other ]\nAWS_ACCESS_KEY_ID = AKIAI44QH8DHBEXAMPLE\n; comment\naws_account_id = 444455556666\n\
        aws_secret_access_key = je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY==\n";

    #[test]
    fn profiles_map_to_accounts() {
        let own = "111122223333".parse().unwrap();
        let file = File::parse(TEXT, own).unwrap();
        assert_eq!(file.profiles().len(), 2);
        assert_eq!(file.lookup("AKIAIOSFODNN7EXAMPLE").unwrap().account, own);
        let other = file.profile("other").unwrap();
        assert_eq!(other.credential.account.to_string(), "444455556666");
        assert_eq!(other.credential.secret.expose(), "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY==");
        assert_eq!(file.lookup("AKIAI44QH8DHBEXAMPLE").unwrap(), other.credential);
        assert_eq!(file.accounts(), [own, other.credential.account]);
        assert!(file.lookup("AKIAIOSFODNN7EXAMPLF").is_none());
        assert!(!format!("{file:?}").contains("wJalr"), "debug output shows no secret");
    }

    #[test]
    fn refuses_what_is_no_credentials_file_and_quotes_no_secret() {
        let key = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\n";
        let secret = "aws_secret_access_key = wJalrXUtnFEMI\n";
        for bad in [
            "aws_access_key_id = AKIAIOSFODNN7EXAMPLE".to_owned(),
            format!("[a\n{key}{secret}"),
            format!("[]\n{key}{secret}"),
            format!("[a]\n{key}"),
            format!("[a]\n{secret}"),
            format!("[a]\n{key}{key}{secret}"),
            format!("[a]\n{key}{secret}[a]\n"),
            format!("[a]\n{key}{secret}[b]\n{key}{secret}"),
            format!("[a]\n{key}aws_secret_access_key wJalrXUtnFEMI\n"),
            format!("[a]\n{key}aws_secret_access_key = short\n"),
            format!("[a]\n{key}aws_secret_access_key = wJalrXUtnFEMI blank\n"),
            format!("[a]\naws_access_key_id = AKIA-OSFODNN7EXAMPLE\n{secret}"),
            format!("[a]\n{key}{secret}aws_account_id = 12\n"),
        ] {
            let error = File::parse(&bad, "111122223333".parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
            assert!(!error.to_string().contains("wJalr"), "{error}");
        }
    }

    #[test]
    fn a_generated_file_is_private_loads_again_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let account = "111122223333".parse().unwrap();
        // What a crash while it was written may have left does not stand in the way.
        fs::write(dir.path().join("credentials.new"), "torn").unwrap();
        let file = File::generate(&path, account, "us-east-1", &SeededEntropy::new(7)).unwrap();
        let profile = file.profile("default").unwrap();
        assert_eq!(profile.access_key_id.as_str().len(), 20);
        assert!(profile.access_key_id.as_str().starts_with("AKIA"));
        assert_eq!(profile.credential.secret.expose().len(), 40);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let again = File::load(&path, "999999999999".parse().unwrap()).unwrap();
        assert_eq!(again.profiles(), file.profiles());
        let before = fs::read(&path).unwrap();
        let refused = File::generate(&path, account, "us-east-1", &SeededEntropy::new(8)).unwrap_err();
        assert!(matches!(refused, Error::Exists(_)));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn new_keys_are_on_the_disk_whole_before_anybody_is_told_them() {
        let account = "111122223333".parse().unwrap();
        let drawn = std::cell::RefCell::new(None);
        powercut::at_every_step(
            "new_keys_are_on_the_disk_whole_before_anybody_is_told_them",
            |_| {},
            |dir| {
                let path = dir.join("credentials");
                let made = File::generate(&path, account, "us-east-1", &SeededEntropy::new(7));
                *drawn.borrow_mut() = made.ok().map(|file| file.profiles().to_vec());
            },
            |dir, cut| match (File::load(&dir.join("credentials"), account), drawn.borrow().as_ref()) {
                (Ok(found), Some(told)) => assert_eq!(found.profiles(), told, "{cut}"),
                (Ok(found), None) => assert_eq!(found.profiles().len(), 1, "{cut}"),
                (Err(error), told) => {
                    assert!(!dir.join("credentials").exists() && told.is_none(), "{cut}: {error}");
                }
            },
        );
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        fs::write(&path, TEXT).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o601, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = File::load(&path, "111122223333".parse().unwrap()).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            File::load(&path, "111122223333".parse().unwrap()).unwrap();
        }
    }
}
