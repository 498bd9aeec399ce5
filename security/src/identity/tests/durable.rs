//! Identities on the durable catalog: what was acknowledged is there in what a kill leaves.

use super::{ALLOW, EXAMPLE_KEY, own};
use crate::credentials::{CredentialLookup as _, File};
use crate::identity::{
    Identities, Issuer, KeyOwner, KeyStatus, NewPolicy, NewProvider, NewRole, NewUser, Owner, Parts,
};
use crate::keys::{FileCustodian, KeyTable};
use engine::catalog::{Options, RocksCatalog};
use engine::clock::{Clock, SystemClock};
use engine::entropy::{Entropy, SystemEntropy};
use engine::fault::Faults;
use std::path::Path;
use std::sync::Arc;

/// Identities in a directory, and what they stand on.
async fn open(dir: &Path) -> (Arc<Identities>, Arc<RocksCatalog>) {
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
        (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let options = Options {
        log_file_bytes: 5 << 20,
        reserve_bytes: 0,
        ..Options::new(clock.clone(), entropy.clone(), Arc::new(Faults::default()))
    };
    let catalog = RocksCatalog::open(dir.join("catalog"), options).unwrap();
    let path = dir.join("master.key");
    let custodian = if path.exists() {
        FileCustodian::load(&path, entropy.clone())
    } else {
        FileCustodian::generate(&path, entropy.clone())
    };
    let custodian = Arc::new(custodian.unwrap());
    let keys = KeyTable::open(catalog.clone(), custodian, entropy.clone(), clock.clone()).await.unwrap();
    let profile =
        format!("[default]\naws_access_key_id = {EXAMPLE_KEY}\naws_secret_access_key = wJalrXUtnFEMI\n");
    let roots = Arc::new(File::parse(&profile, own()).unwrap());
    let region = "us-east-1".to_owned();
    let parts = Parts { catalog: catalog.clone(), keys, clock, entropy, roots, region };
    (Identities::open(parts).await.unwrap(), catalog)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else if entry.file_name() != "LOCK" {
            std::fs::copy(from, to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill() {
    const TRUST: &str =
        r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let (ids, catalog) = open(&live).await;
    let mut step = 0;
    let mut secret = None;
    while step < 9 {
        match step {
            0 => drop(ids.create_user(own(), NewUser { name: "a", ..NewUser::default() }).await.unwrap()),
            1 => {
                let made = ids.create_access_key(own(), KeyOwner::User("a")).await.unwrap();
                secret = Some((made.key.id, made.secret));
            }
            2 => drop(ids.create_group(own(), "g", None).await.unwrap()),
            3 => ids.add_to_group(own(), "g", "a").await.unwrap(),
            4 => {
                let new = NewPolicy { name: "p", document: ALLOW, ..NewPolicy::default() };
                let arn = ids.create_policy(own(), new).await.unwrap().arn;
                ids.attach(own(), Owner::Group("g"), &arn).await.unwrap();
            }
            5 => ids.put_inline(own(), Owner::User("a"), "i", ALLOW).await.unwrap(),
            6 => {
                let new = NewRole { name: "r", trust: TRUST, ..NewRole::default() };
                drop(ids.create_role(own(), new).await.unwrap());
            }
            7 => ids.update_user(own(), "a", Some("b"), None).await.unwrap(),
            _ => {
                let (id, _) = secret.as_ref().unwrap();
                let (user, inactive) = (KeyOwner::User("b"), KeyStatus::Inactive);
                ids.update_access_key(own(), user, id.as_str(), inactive).await.unwrap();
            }
        }
        // As a kill leaves it.
        let killed = dir.path().join(format!("killed-{step}"));
        copy(&live, &killed);
        let (left, rows) = open(&killed).await;
        assert_eq!(left.world.load().told(), ids.world.load().told(), "{step}");
        super::rows::assert_sound(&*rows).await;
        if let Some((id, secret)) = secret.as_ref().filter(|_| step < 8) {
            assert_eq!(left.lookup(id.as_str()).unwrap().secret, *secret);
        }
        let marker = std::fs::read(killed.join("catalog/format")).unwrap();
        assert_eq!(marker[8], 4, "an older firn is kept out");
        rows.close();
        step += 1;
    }
    catalog.close();
}

/// One more step of a user who gets a password and a second factor.
async fn step(ids: &Identities, step: u32) {
    use super::devices::code_of;
    use crate::identity::totp::step_of;
    use crate::identity::{PasswordPolicy, SignIn};
    const SERIAL: &str = "arn:aws:iam::111122223333:mfa/phone";
    let now = step_of(SystemClock.now());
    let asked = |code, password| SignIn {
        account: "111122223333",
        user: "a",
        password,
        code,
        new_password: None,
        duration_secs: None,
        from: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    };
    match step {
        0 => drop(ids.create_user(own(), NewUser { name: "a", ..NewUser::default() }).await.unwrap()),
        1 => ids.set_password_policy(own(), PasswordPolicy::default()).await.unwrap(),
        2 => drop(ids.create_login(own(), "a", "password-1", false).await.unwrap()),
        3 => drop(ids.create_device(own(), None, "phone", &[]).await.unwrap()),
        4 => {
            let codes = [code_of(ids, now - 100, "/phone").await, code_of(ids, now - 99, "/phone").await];
            ids.enable_device(own(), "a", SERIAL, [&codes[0], &codes[1]]).await.unwrap();
        }
        5 => {
            let code = code_of(ids, now - 98, "/phone").await;
            // A code of before would be taken for a right one if its taking were lost.
            drop(ids.sign_in(asked(Some(&code), "password-1")).await);
        }
        6 => ids.update_login(own(), "a", Some("password-2"), Some(false)).await.unwrap(),
        7 => ids.deactivate_device(own(), "a", SERIAL).await.unwrap(),
        8 => ids.delete_device(own(), SERIAL).await.unwrap(),
        9 => drop(ids.sign_in(asked(None, "password-2")).await.unwrap()),
        10 => ids.delete_login(own(), "a").await.unwrap(),
        _ => ids.delete_user(own(), "a").await.unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_of_passwords_and_second_factors_is_there_after_a_kill() {
    use crate::identity::login_row::{DEVICES, DEVICES_OF, LOGINS, PASSWORD_POLICIES};
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let (ids, catalog) = open(&live).await;
    for number in 0..12 {
        step(&ids, number).await;
        let killed = dir.path().join(format!("killed-{number}"));
        copy(&live, &killed);
        let (left, rows) = open(&killed).await;
        super::rows::assert_sound(&*rows).await;
        for table in [LOGINS, DEVICES, DEVICES_OF, PASSWORD_POLICIES] {
            let (was, is) =
                (super::rows::rows(&*catalog, table).await, super::rows::rows(&*rows, table).await);
            assert_eq!(was, is, "{number}");
        }
        drop(left);
        let marker = std::fs::read(killed.join("catalog/format")).unwrap();
        assert_eq!(marker[8], if number == 0 { 4 } else { 14 }, "an older firn is kept out");
        rows.close();
    }
    catalog.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_of_providers_is_there_after_a_kill() {
    use crate::identity::providers::PROVIDERS;
    const ARN: &str = "arn:aws:iam::111122223333:oidc-provider/login.test";
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let (ids, catalog) = open(&live).await;
    let issuer = Issuer::parse("https://login.test").unwrap();
    let new = NewProvider { issuer: &issuer, clients: &["a"], thumbprints: &[], tags: &[] };
    for number in 0..4 {
        match number {
            0 => drop(ids.create_provider(own(), new).await.unwrap()),
            1 => ids.add_client(own(), ARN, "b").await.unwrap(),
            2 => ids.remove_client(own(), ARN, "a").await.unwrap(),
            _ => ids.delete_provider(own(), ARN).await.unwrap(),
        }
        let killed = dir.path().join(format!("killed-{number}"));
        copy(&live, &killed);
        let (left, rows) = open(&killed).await;
        super::rows::assert_sound(&*rows).await;
        let (was, is) =
            (super::rows::rows(&*catalog, PROVIDERS).await, super::rows::rows(&*rows, PROVIDERS).await);
        assert_eq!(was, is, "{number}");
        assert_eq!(is.len(), usize::from(number < 3));
        drop(left);
        rows.close();
    }
    catalog.close();
}
