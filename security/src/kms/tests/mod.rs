//! Managed keys over a catalog in memory.

mod doubts;
mod durable;
mod exercise;
mod goldens;
mod grants;
mod imports;
mod lives;
mod rights;
mod told;
mod uses;

use super::{Asks, Encrypt, EncryptionContext, Kms, KmsError, NewKey, Opened, Parts, Sealed};
use crate::credentials::{AccessKeyId, Bearer, CredentialLookup as _, File};
use crate::identity::{self, Identities, KeyOwner, NewUser, Owner};
use crate::keys::{FileCustodian, KeyTable};
use crate::policy::NoContext;
use crate::{AccountId, Principal};
use engine::catalog::{Catalog, MemoryCatalog, Scan, Table};
use engine::clock::compliance::ComplianceClock;
use engine::clock::{ManualClock, Timestamp};
use engine::entropy::SeededEntropy;
use engine::id::PartitionId;
use std::sync::Arc;

pub(super) const OTHER_ROOT: &str = "arn:aws:iam::444455556666:root";

pub(super) fn own() -> AccountId {
    "111122223333".parse().unwrap()
}

pub(super) fn other() -> AccountId {
    "444455556666".parse().unwrap()
}

/// An appliance's keys, and who may use them.
pub(super) struct Bench {
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) ids: Arc<Identities>,
    pub(super) kms: Arc<Kms>,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self::over(Arc::new(MemoryCatalog::default())).await
    }

    pub(super) async fn over(catalog: Arc<dyn Catalog>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let entropy = Arc::new(SeededEntropy::new(3));
        let custodian = FileCustodian::generate(&dir.path().join("master.key"), entropy.clone()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let profiles = "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI\n\
             [other]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = je7MtGbClwBF\naws_account_id = 444455556666\n";
        let roots = Arc::new(File::parse(profiles, own()).unwrap());
        let keys = KeyTable::open(catalog.clone(), Arc::new(custodian), entropy.clone(), clock.clone());
        let keys = keys.await.unwrap();
        let region = "us-east-1".to_owned();
        let parts = identity::Parts {
            catalog: catalog.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            roots,
            region: region.clone(),
        };
        let ids = Identities::open(parts).await.unwrap();
        let compliance = ComplianceClock::open(catalog.clone(), clock.clone()).await.unwrap();
        let parts = Parts {
            catalog: catalog.clone(),
            keys,
            identities: ids.clone(),
            clock: clock.clone(),
            compliance,
            entropy,
            region,
        };
        Self { catalog, clock, ids, kms: Kms::new(parts), _dir: dir }
    }

    /// A user with these statements, and who they are now.
    pub(super) async fn user(&self, name: &str, statements: &str) -> User {
        self.user_of(own(), name, statements).await
    }

    pub(super) async fn user_of(&self, account: AccountId, name: &str, statements: &str) -> User {
        self.ids.create_user(account, NewUser { name, ..NewUser::default() }).await.unwrap();
        if !statements.is_empty() {
            self.ids.put_inline(account, Owner::User(name), "p", &document(statements)).await.unwrap();
        }
        let key = self.ids.create_access_key(account, KeyOwner::User(name)).await.unwrap().key.id;
        User(key)
    }

    pub(super) async fn who(&self, user: &User) -> Principal {
        let found = self.ids.lookup(user.0.as_str()).unwrap();
        let bearer =
            Bearer { account: found.account, holder: &found.holder, access_key_id: &user.0, service: "kms" };
        self.ids.principal(bearer).await.unwrap().unwrap()
    }

    /// A key of the account's root, with the default policy or another one; its ARN.
    pub(super) async fn key(&self, policy: Option<&str>) -> String {
        let new = NewKey { policy, bypass_lockout_check: true, ..NewKey::default() };
        self.kms.create_key(&root(), &new).await.unwrap().arn
    }

    pub(super) async fn encrypt(&self, who: &Asks<'_>, key: &str) -> Result<Sealed, KmsError> {
        self.encrypt_with(who, key, &EncryptionContext::NONE).await
    }

    pub(super) async fn encrypt_with(
        &self,
        who: &Asks<'_>,
        key: &str,
        context: &EncryptionContext,
    ) -> Result<Sealed, KmsError> {
        self.kms.encrypt(who, Encrypt { key, plaintext: b"text", context, algorithm: None }).await
    }

    pub(super) async fn decrypt(&self, who: &Asks<'_>, ciphertext: &[u8]) -> Result<Opened, KmsError> {
        self.decrypt_with(who, ciphertext, &EncryptionContext::NONE).await
    }

    pub(super) async fn decrypt_with(
        &self,
        who: &Asks<'_>,
        ciphertext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Opened, KmsError> {
        self.kms.decrypt_text(who, super::Decrypt { key: None, ciphertext, context, algorithm: None }).await
    }

    /// Does all that is due.
    pub(super) async fn work(&self) {
        while let engine::worker::Progress::More { .. } = self.kms.due(None).await.unwrap() {}
    }

    /// How many rows of a table there are.
    pub(super) async fn rows(&self, table: Table) -> usize {
        let snapshot = self.catalog.snapshot(PartitionId::ROOT).await.unwrap();
        snapshot.scan(Scan::prefix(table, b"", 1_000)).await.unwrap().rows.len()
    }
}

pub(super) struct User(AccessKeyId);

/// The root of the account asks.
pub(super) fn root() -> Asks<'static> {
    static ROOT: std::sync::OnceLock<Principal> = std::sync::OnceLock::new();
    asks(ROOT.get_or_init(|| Principal::Root(own())))
}

pub(super) fn asks(who: &Principal) -> Asks<'_> {
    Asks::new(who, &NoContext, "id")
}

pub(super) fn document(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

pub(super) fn says(effect: &str, actions: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":{actions},"Resource":"{resource}"}}"#)
}

/// A statement of a key's policy.
pub(super) fn tells(effect: &str, principal: &str, actions: &str) -> String {
    format!(
        r#"{{"Effect":"{effect}","Principal":{{"AWS":"{principal}"}},"Action":{actions},"Resource":"*"}}"#
    )
}

pub(super) fn arn(user: &str) -> String {
    format!("arn:aws:iam::{}:user/{user}", own())
}

pub(super) fn delegates() -> String {
    tells("Allow", &format!("arn:aws:iam::{}:root", own()), "\"kms:*\"")
}

pub(super) fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    EncryptionContext::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))).unwrap()
}

pub(super) fn code<T>(outcome: Result<T, KmsError>) -> &'static str {
    match outcome {
        Ok(_) => "done",
        Err(error) => error.code.as_str(),
    }
}
