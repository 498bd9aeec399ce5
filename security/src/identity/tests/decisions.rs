//! Random changes: what is in memory is what the rows say, and decides as a second evaluator does that reads all of them.

use super::rows::assert_sound;
use super::{ALLOW, Bench, DENY, other, own};
use crate::AccountId;
use crate::credentials::AccessKeyId;
use crate::identity::{Identities, KeyOwner, NewPolicy, NewUser, Owner, Paging, Pins, Result};
use crate::policy::tests::reference::{Case, Outcome, decide};
use crate::policy::{NoContext, Sources};
use engine::entropy::{Entropy, SeededEntropy};
use serde_json::Value;

const NAMES: [&str; 4] = ["a", "B", "c", "b"];
const DOCUMENTS: [&str; 5] = [
    ALLOW,
    DENY,
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}}"#,
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"s3:Put*","Resource":"*"}}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:GetObject","NotResource":"arn:aws:s3:::bucket/key"}]}"#,
];

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % end as u64).unwrap()
    }

    fn one<'a, T: ?Sized>(&self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

async fn act(ids: &Identities, dice: &Dice, account: AccountId) -> Result<()> {
    let (name, new_name, document) = (dice.one(&NAMES), dice.one(&NAMES), dice.one(&DOCUMENTS));
    let owner = if dice.below(2) == 0 { Owner::User(name) } else { Owner::Group(name) };
    let arn = match dice.below(5) {
        0 => "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess".to_owned(),
        _ => format!("arn:aws:iam::{account}:policy/{}", dice.one(&NAMES)),
    };
    match dice.below(22) {
        0..3 => ids.create_user(account, NewUser { name, ..NewUser::default() }).await.map(drop),
        3 | 4 => ids.create_group(account, name, None).await.map(drop),
        5 | 6 => {
            ids.create_policy(account, NewPolicy { name, document, ..NewPolicy::default() }).await.map(drop)
        }
        7 => ids.delete_user(account, name).await,
        8 => ids.delete_group(account, name).await,
        9 => ids.delete_policy(account, &arn).await,
        10 | 11 => ids.add_to_group(account, name, new_name).await,
        12 => ids.remove_from_group(account, name, new_name).await,
        13 | 14 => ids.attach(account, owner, &arn).await,
        15 => ids.detach(account, owner, &arn).await,
        16 => ids.put_inline(account, owner, new_name, document).await,
        17 => ids.delete_inline(account, owner, new_name).await,
        18 => match dice.below(2) {
            0 => ids.set_boundary(account, Owner::User(name), &arn).await,
            _ => ids.delete_boundary(account, Owner::User(name)).await,
        },
        19 => ids.create_policy_version(account, &arn, document, dice.below(2) == 0).await.map(drop),
        20 => match dice.below(2) {
            0 => ids.update_user(account, name, Some(new_name), None).await,
            _ => ids.update_group(account, name, Some(new_name), Some("/p/")).await,
        },
        _ => ids.set_default_version(account, &arn, dice.one(&["v1", "v2", "v3"])).await,
    }
}

async fn text_of(ids: &Identities, account: AccountId, arn: &str) -> Value {
    let version = ids.policy(account, arn).await.unwrap().default_version;
    let text = ids.policy_version(account, arn, &version).await.unwrap().document.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// All that somebody has, by the operations that show it.
async fn shown(ids: &Identities, account: AccountId, owner: Owner<'_>) -> Vec<Value> {
    let mut all = Vec::new();
    for name in ids.inlines(account, owner, Paging::default()).await.unwrap().items {
        all.push(serde_json::from_str(&ids.inline(account, owner, &name).await.unwrap()).unwrap());
    }
    for policy in ids.attached(account, owner, None, Paging::default()).await.unwrap().items {
        all.push(text_of(ids, account, &policy.arn).await);
    }
    if let Owner::User(name) = owner {
        for group in ids.groups_of(account, name, Paging::default()).await.unwrap().items {
            all.extend(Box::pin(shown(ids, account, Owner::Group(&group.name))).await);
        }
    }
    all
}

#[tokio::test]
async fn random_changes_leave_sound_rows_and_a_true_picture_that_decides_as_the_rows_say() {
    let seed = std::env::var("FIRN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_129);
    let dice = Dice(SeededEntropy::new(seed));
    let bench = Bench::new().await;
    let mut keys: Vec<(AccountId, String, AccessKeyId)> = Vec::new();
    let (mut done, mut allowed, mut denied) = (0, 0, 0);
    for step in 0..600 {
        let account = if dice.below(3) == 0 { other() } else { own() };
        done += usize::from(act(&bench.ids, &dice, account).await.is_ok());
        if step % 20 != 0 {
            continue;
        }
        assert_sound(&*bench.noting).await;
        bench.ids.assert_true().await;
        for user in bench.ids.users(account, None, Paging::default()).await.unwrap().items {
            let known = keys.iter().find(|(of, id, _)| *of == account && *id == user.id);
            let key = if let Some((_, _, key)) = known {
                key.clone()
            } else {
                let made = bench.ids.create_access_key(account, KeyOwner::User(&user.name)).await.unwrap();
                keys.push((account, user.id.clone(), made.key.id.clone()));
                made.key.id
            };
            let who = bench.signs(&key).await.unwrap();
            assert_eq!(who.arn().unwrap(), user.arn);
            let identity = shown(&bench.ids, account, Owner::User(&user.name)).await;
            let boundary = match &bench.ids.user(account, &user.name).await.unwrap().boundary {
                Some(arn) => Some(text_of(&bench.ids, account, arn).await),
                None => None,
            };
            for (action, resource) in [
                ("s3:GetObject", "arn:aws:s3:::bucket/key"),
                ("s3:GetObject", "arn:aws:s3:::other/key"),
                ("s3:PutObject", "arn:aws:s3:::bucket/key"),
                ("iam:GetUser", "arn:aws:iam::111122223333:user/a"),
            ] {
                let sources = Sources { owner: Some(account), ..Sources::default() };
                let verdict =
                    Outcome::from(who.verdict(action, resource, &NoContext, (&sources, Pins::nobody())));
                let case = Case {
                    caller: who.caller(),
                    action,
                    resource,
                    context: &NoContext,
                    identity: &identity,
                    boundary: boundary.as_ref(),
                    session: None,
                    of_resource: None,
                    owner: account,
                    resource_decides: false,
                };
                assert_eq!(
                    verdict,
                    decide(&case),
                    "FIRN_SEED={seed} {step} {user:?} {action} {identity:?} {boundary:?}"
                );
                allowed += usize::from(verdict == Outcome::Allowed);
                denied += usize::from(verdict == Outcome::Denied);
            }
        }
    }
    assert!(done > 150 && allowed > 20 && denied > 20, "FIRN_SEED={seed} {done} {allowed} {denied}");
}
