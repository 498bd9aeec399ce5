//! Users at the store: what their policies say counts again when a write is committed.

use super::between::{Pair, in_every_gap};
use crate::record::{IngestRow, IngestState};
use crate::world::{World, key};
use crate::{About, BucketName, Error, Origin, PutRequest, Subresources, Versioning, WriteQuestions, Writer};
use engine::catalog::record::Record as _;
use engine::clock::Timestamp;
use security::credentials::{AccessKeyId, Bearer, CredentialLookup as _, File};
use security::decide::{Action, Question};
use security::identity::{Identities, KeyOwner, NewUser, Owner, Parts};
use security::{AccountId, Principal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const READS: &str = r#"{"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}"#;
const WRITES: &str = r#"{"Statement":{"Effect":"Allow","Action":["s3:Put*","s3:Get*"],"Resource":"*"}}"#;

struct Case {
    world: World,
    account: AccountId,
    ids: Arc<Identities>,
    key: AccessKeyId,
    name: BucketName,
}

impl Case {
    async fn new(seed: u64) -> Self {
        let world = World::new(seed).await;
        let (ids, key) = alice(&world).await;
        let name = world.create("bucket", Versioning::Off).await;
        Self { account: world.parts().account, world, ids, key, name }
    }

    async fn signs(&self) -> Principal {
        signs(&self.ids, self.account, &self.key).await
    }

    fn asks(who: &Principal, action: &'static str) -> Question {
        Question::new(who.clone(), Action::new(action), None)
    }
}

/// A user who may write, and its key.
pub(super) async fn alice(world: &World) -> (Arc<Identities>, AccessKeyId) {
    let parts = world.parts();
    let account = parts.account;
    let roots = File::parse(
        "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI\n",
        account,
    );
    let ids = Identities::open(Parts {
        catalog: parts.catalog.clone(),
        keys: parts.keys.clone(),
        clock: parts.clock.clone(),
        entropy: parts.entropy.clone(),
        roots: Arc::new(roots.unwrap()),
        region: "us-east-1".to_owned(),
    })
    .await
    .unwrap();
    ids.create_user(account, NewUser { name: "alice", ..NewUser::default() }).await.unwrap();
    ids.put_inline(account, Owner::User("alice"), "p", WRITES).await.unwrap();
    let key = ids.create_access_key(account, KeyOwner::User("alice")).await.unwrap().key.id;
    (ids, key)
}

pub(super) async fn signs(ids: &Identities, account: AccountId, key: &AccessKeyId) -> Principal {
    let holder = ids.lookup(key.as_str()).unwrap().holder;
    let bearer = Bearer { account, holder: &holder, access_key_id: key, service: "s3" };
    ids.principal(bearer).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_user_is_let_in_by_its_own_policies_bucket_by_bucket_and_key_by_key() {
    let case = Case::new(301).await;
    let who = case.signs().await;
    let decides = async |action, about| {
        case.world.store.decide(&case.name, &Case::asks(&who, action), about).await.unwrap().allowed()
    };
    assert!(
        decides("s3:PutObject", About::Key("k")).await && !decides("s3:DeleteObject", About::Key("k")).await
    );
    assert!(decides("s3:DeleteObject", About::Objects).await, "each object is asked about later on");
    let denied =
        case.world.store.admit(&case.name, Some(&Case::asks(&who, "s3:DeleteBucket")), About::Bucket).await;
    assert!(matches!(denied, Err(Error::AccessDenied)));
}

#[tokio::test]
async fn a_write_that_was_let_in_is_not_committed_once_its_user_may_not() {
    for (change, written) in [
        ("nothing", true),
        ("another", true),
        ("policy", false),
        ("group", false),
        ("key", false),
        ("inactive", false),
    ] {
        let case = Case::new(302).await;
        let (store, ids, account) = (&case.world.store, &case.ids, case.account);
        let asks = WriteQuestions { writes: Case::asks(&case.signs().await, "s3:PutObject"), reads: None };
        let request = PutRequest { asks: Some(asks), ..PutRequest::new(case.name.clone(), key("k")) };
        let mut upload = store.put(request).await.unwrap();
        upload.write(bytes::Bytes::from_static(b"body")).await.unwrap();
        let user = KeyOwner::User("alice");
        match change {
            "another" => {
                ids.create_user(account, NewUser { name: "bob", ..NewUser::default() })
                    .await
                    .map(drop)
                    .unwrap();
            }
            "policy" => ids.put_inline(account, Owner::User("alice"), "p", READS).await.unwrap(),
            "group" => {
                ids.create_group(account, "g", None).await.unwrap();
                let deny = WRITES.replace("Allow", "Deny");
                ids.put_inline(account, Owner::Group("g"), "d", &deny).await.unwrap();
                ids.add_to_group(account, "g", "alice").await.unwrap();
            }
            "key" => ids.delete_access_key(account, user, case.key.as_str()).await.unwrap(),
            "inactive" => {
                let inactive = security::identity::KeyStatus::Inactive;
                ids.update_access_key(account, user, case.key.as_str(), inactive).await.unwrap();
            }
            _ => {}
        }
        let finished = upload.finish(crate::Expect::default()).await;
        assert_eq!(finished.is_ok(), written, "{change}");
        if let Err(error) = finished {
            assert!(matches!(error, Error::AccessDenied), "{change}: {error}");
        }
    }
}

#[tokio::test]
async fn a_write_by_a_roots_key_is_not_committed_once_the_key_is_ended() {
    for ended in [false, true] {
        let mut case = Case::new(303).await;
        let made = case.ids.create_access_key(case.account, KeyOwner::Root).await.unwrap().key.id;
        case.key = made;
        let asks = WriteQuestions { writes: Case::asks(&case.signs().await, "s3:PutObject"), reads: None };
        let request = PutRequest { asks: Some(asks), ..PutRequest::new(case.name.clone(), key("k")) };
        let mut upload = case.world.store.put(request).await.unwrap();
        upload.write(bytes::Bytes::from_static(b"body")).await.unwrap();
        if ended {
            let (root, inactive) = (KeyOwner::Root, security::identity::KeyStatus::Inactive);
            case.ids.update_access_key(case.account, root, case.key.as_str(), inactive).await.unwrap();
        }
        let finished = upload.finish(crate::Expect::default()).await;
        assert_eq!(finished.is_ok(), !ended);
        if let Err(error) = finished {
            assert!(matches!(error, Error::AccessDenied), "{error}");
        }
    }
}

#[tokio::test]
async fn an_archives_row_says_of_no_root_what_a_user_did() {
    let case = Case::new(304).await;
    let root = Principal::Root(case.account);
    for (who, kept) in [
        (case.signs().await, None),
        (root.clone(), Some(root)),
        (Principal::Anonymous, Some(Principal::Anonymous)),
    ] {
        let row = IngestRow {
            state: IngestState::Publishing,
            begun: Timestamp::default(),
            bucket: "bucket".to_owned(),
            if_absent: false,
            subresources: Subresources::default(),
            writer: Writer::default(),
            origin: Origin { principal: Some(who), ..Origin::default() },
        };
        assert_eq!(IngestRow::from_bytes(&row.to_bytes()).unwrap().origin.principal, kept);
    }
}

#[tokio::test]
async fn another_attempt_asks_again_where_who_asks_is_another_by_then() {
    let pair = Pair::new(303).await;
    let (ids, id) = alice(&pair.fast).await;
    let account = pair.fast.parts().account;
    let name = pair.fast.create("bucket", Versioning::Off).await;
    let denied = AtomicUsize::new(0);
    in_every_gap(async |n| {
        ids.put_inline(account, Owner::User("alice"), "p", WRITES).await.unwrap();
        let who = signs(&ids, account, &id).await;
        let at = format!("k{n}");
        // Somebody is faster, so that there is another attempt, and is told before it that the user may no more.
        let (fast, theirs, ids) = (pair.fast.clone(), (name.clone(), at.clone()), ids.clone());
        let step = async move {
            ids.put_inline(account, Owner::User("alice"), "p", READS).await.unwrap();
            fast.put(&theirs.0, &theirs.1, "theirs").await;
        };
        let asks = WriteQuestions { writes: Case::asks(&who, "s3:PutObject"), reads: None };
        let request = PutRequest { asks: Some(asks), ..PutRequest::new(name.clone(), key(&at)) };
        let Some(outcome) = pair.with_step_at(n, step, pair.slow.put_with(request, "ours")).await else {
            return false;
        };
        assert_eq!(pair.fast.get(&name, &at).await.unwrap(), "theirs", "gap {n}: {outcome:?}");
        denied.fetch_add(usize::from(matches!(outcome, Err(Error::AccessDenied))), Ordering::Relaxed);
        true
    })
    .await;
    assert!(denied.into_inner() > 0);
}
