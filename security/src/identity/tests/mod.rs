//! Identities over a catalog in memory.

mod advisor;
mod decisions;
mod devices;
mod doors;
mod doubts;
mod durable;
mod goldens;
mod logins;
mod operations;
mod races;
mod report;
mod rows;
mod sessions;
mod simulate;
mod sizes;
mod web_identity;

use super::{Identities, KeyOwner, NewPolicy, NewUser, Parts};
use crate::credentials::{AccessKeyId, Bearer, CredentialLookup as _, File, Holder};
use crate::keys::{FileCustodian, KeyTable};
use crate::{AccountId, Principal};
use engine::catalog::{Catalog, Commit, Layout, Limits, MemoryCatalog, Snapshot, Version};
use engine::clock::{ManualClock, Timestamp};
use engine::entropy::SeededEntropy;
use engine::id::PartitionId;
use engine::testing::Gate;
use engine::{BoxFuture, Result};
use parking_lot::Mutex;
use std::sync::Arc;

pub(super) const ALLOW: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}"#;
pub(super) const DENY: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}"#;
pub(super) const EXAMPLE_KEY: &str = "AKIAIOSFODNN7EXAMPLE";

pub(super) fn own() -> AccountId {
    "111122223333".parse().unwrap()
}

pub(super) fn other() -> AccountId {
    "444455556666".parse().unwrap()
}

/// A catalog that writes down what is committed.
pub(super) struct Noting {
    rows: MemoryCatalog,
    pub(super) layouts: Mutex<Vec<(usize, Layout)>>,
}

impl Catalog for Noting {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }
    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>> {
        Box::pin(async move {
            let noted = (commit.writes.len(), commit.layout);
            let done = self.rows.commit(commit).await?;
            self.layouts.lock().push(noted);
            Ok(done)
        })
    }
}

/// An appliance's identities, and another owner of the same rows.
pub(super) struct Bench {
    pub(super) noting: Arc<Noting>,
    pub(super) gate: Arc<Gate>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) ids: Arc<Identities>,
    pub(super) others: Arc<Identities>,
    roots: Arc<File>,
    keys: Arc<KeyTable>,
    seed: u64,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let entropy = Arc::new(SeededEntropy::new(3));
        let custodian = FileCustodian::generate(&dir.path().join("master.key"), entropy.clone()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let noting = Arc::new(Noting { rows: MemoryCatalog::default(), layouts: Mutex::default() });
        let gate = Gate::before(noting.clone());
        let text = format!(
            "[default]\naws_access_key_id = {EXAMPLE_KEY}\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n\
             [other]\naws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY\n\
             aws_account_id = 444455556666\n"
        );
        let roots = Arc::new(File::parse(&text, own()).unwrap());
        let keys = KeyTable::open(noting.clone(), Arc::new(custodian), entropy, clock.clone()).await.unwrap();
        let open = |catalog: Arc<dyn Catalog>, seed| Self::identities(catalog, &keys, &clock, &roots, seed);
        let (ids, others) = (open(gate.clone(), 5).await, open(noting.clone(), 6).await);
        Self { noting, gate, clock, ids, others, roots, keys, seed: 7, _dir: dir }
    }

    async fn identities(
        catalog: Arc<dyn Catalog>,
        keys: &Arc<KeyTable>,
        clock: &Arc<ManualClock>,
        roots: &Arc<File>,
        seed: u64,
    ) -> Arc<Identities> {
        let entropy = Arc::new(SeededEntropy::new(seed));
        let (keys, clock, roots) = (keys.clone(), clock.clone(), roots.clone());
        let region = "us-east-1".to_owned();
        Identities::open(Parts { catalog, keys, clock, entropy, roots, region }).await.unwrap()
    }

    /// Identities that were opened just now.
    pub(super) async fn reopened(&mut self) -> Arc<Identities> {
        self.seed += 1;
        Self::identities(self.noting.clone(), &self.keys, &self.clock, &self.roots, self.seed).await
    }

    pub(super) async fn user(&self, name: &str) -> super::User {
        self.ids.create_user(own(), NewUser { name, ..NewUser::default() }).await.unwrap()
    }

    pub(super) async fn policy(&self, name: &str, document: &str) -> String {
        let new = NewPolicy { name, document, ..NewPolicy::default() };
        self.ids.create_policy(own(), new).await.unwrap().arn
    }

    pub(super) async fn key(&self, user: &str) -> AccessKeyId {
        self.ids.create_access_key(own(), KeyOwner::User(user)).await.unwrap().key.id
    }

    /// Who signs with this key.
    pub(super) async fn signs(&self, key: &AccessKeyId) -> Option<Principal> {
        let found = self.ids.lookup(key.as_str())?;
        self.bears(key, found.account, &found.holder).await
    }

    /// Who a session is.
    pub(super) async fn session(&self, session: &super::Temporary) -> Option<Principal> {
        use engine::clock::Clock as _;
        let found = self.ids.session(session.id.as_str(), &session.token, self.clock.now()).ok()?;
        assert_eq!(found.secret, session.secret);
        self.bears(&session.id, found.account, &found.holder).await
    }

    async fn bears(&self, key: &AccessKeyId, account: AccountId, holder: &Holder) -> Option<Principal> {
        if *holder == Holder::Root {
            return Some(Principal::Root(account));
        }
        self.ids.principal(Bearer { account, holder, access_key_id: key, service: "s3" }).await.unwrap()
    }
}

/// Whether somebody may read an object of an account.
pub(super) fn reads(who: &Principal, owner: AccountId) -> bool {
    let context = crate::policy::NoContext;
    who.may("s3:GetObject", "arn:aws:s3:::bucket/key", owner, &context).is_allowed()
}
