//! Passwords and second factors over the wire: who gets in by them, what policies say of it, and what nobody learns.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::audit::{records, records_of};
use crate::iam_world::{Key, Post, ask, document, element, form, give, iam, says, signed, sts, user};
use crate::world::{ACCOUNT, Answer, Client, OTHER_ACCESS_KEY, OTHER_ACCOUNT, OTHER_SECRET_KEY, World, call};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::clock::Clock as _;
use std::time::Duration;

const PASSWORD: &str = "Correct-horse-1";

/// What an authenticator app has of a device.
struct Phone {
    serial: String,
    seed: Vec<u8>,
}

impl Phone {
    async fn new(world: &World, client: &mut Client, name: &str) -> Self {
        let named = [("VirtualMFADeviceName", name)];
        let made = iam(world, client, &Key::root(), "CreateVirtualMFADevice", &named).await;
        let text = STANDARD.decode(element(made.text(), "Base32StringSeed").unwrap()).unwrap();
        let picture = STANDARD.decode(element(made.text(), "QRCodePNG").unwrap()).unwrap();
        assert!(picture.starts_with(b"\x89PNG"));
        let (mut seed, mut held, mut bits) = (Vec::new(), 0_u32, 0);
        for letter in text {
            let value =
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter).unwrap();
            held = (held << 5) | u32::try_from(value).unwrap();
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                seed.push(u8::try_from((held >> bits) & 0xff).unwrap());
            }
        }
        assert_eq!(seed.len(), 20);
        Self { serial: element(made.text(), "SerialNumber").unwrap().to_owned(), seed }
    }

    /// The code of so many steps from now.
    fn shows(&self, world: &World, off: i64) -> String {
        let step = world.clock.now().as_secs() / 30 + off;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.seed);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let at = usize::from(tag.as_ref()[19] & 15);
        let digits = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", digits % 1_000_000)
    }

    async fn enable(&self, world: &World, client: &mut Client, user: &str) {
        let codes = (self.shows(world, -1), self.shows(world, 0));
        let asked = [
            ("UserName", user),
            ("SerialNumber", &self.serial),
            ("AuthenticationCode1", &codes.0),
            ("AuthenticationCode2", &codes.1),
        ];
        iam(world, client, &Key::root(), "EnableMFADevice", &asked).await;
    }
}

/// Another code is shown; connections are not given up yet.
fn next_step(world: &World) {
    world.clock.advance(Duration::from_secs(31));
}

/// Another code than that one.
fn other(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

async fn s3(world: &World, client: &mut Client, key: &Key, (method, path): (&str, &str)) -> Answer {
    let post = Post { service: "s3", method, path, content_type: "", ..Post::default() };
    client.send(&signed(world, key, post, b"")).await;
    client.answer().await.unwrap()
}

/// Signs in, without a signature.
async fn sign_in(world: &World, client: &mut Client, parameters: &[(&str, &str)]) -> Answer {
    sign_in_with(world, client, "", parameters).await
}

/// The same with another header, its line's end included.
async fn sign_in_with(
    world: &World,
    client: &mut Client,
    header: &str,
    parameters: &[(&str, &str)],
) -> Answer {
    let named = [("Action", "FirnSignIn"), ("Version", "2011-06-15")];
    let body = form(&[&named[..], parameters].concat());
    let kind = "content-type: application/x-www-form-urlencoded; charset=utf-8";
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\n{header}{kind}\r\ncontent-length: {length}\r\n\r\n{body}",
        world.http
    );
    client.send(request.as_bytes()).await;
    client.answer().await.unwrap()
}

async fn with_password(world: &World, client: &mut Client, name: &str) {
    let login = [("UserName", name), ("Password", PASSWORD)];
    iam(world, client, &Key::root(), "CreateLoginProfile", &login).await;
}

#[tokio::test]
async fn policies_that_ask_for_a_second_factor_are_met_by_a_code_that_is_taken_once() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    assert_eq!(call(&world, c, ("PUT", "/bucket"), &[], b"").await.status, 200);
    let alice = user(&world, c, "alice").await;
    let condition = r#"{"Effect":"Allow","Action":["s3:ListAllMyBuckets","iam:ListUsers"],"Resource":"*",
        "Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}}"#;
    give(&world, c, "alice", condition).await;
    let phone = Phone::new(&world, c, "phone").await;
    phone.enable(&world, c, "alice").await;
    next_step(&world);
    assert_eq!(s3(&world, c, &alice, ("GET", "/")).await.status, 403);
    let plain = Key::of(&sts(&world, c, &alice, "GetSessionToken", &[]).await);
    assert_eq!(s3(&world, c, &plain, ("GET", "/")).await.status, 403);
    let code = phone.shows(&world, 0);
    for (serial, code) in [
        (Some(phone.serial.as_str()), None),
        (None, Some(code.as_str())),
        (Some(phone.serial.as_str()), Some(other(&code))),
    ] {
        let shown = [("SerialNumber", serial), ("TokenCode", code)];
        let shown: Vec<_> = shown.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let answer = ask(&world, c, &alice, ("sts", "GetSessionToken"), &shown).await;
        assert_eq!((answer.status, answer.code()), (403, "AccessDenied"), "{shown:?}");
    }
    let shown = [("SerialNumber", phone.serial.as_str()), ("TokenCode", code.as_str())];
    let session = Key::of(&sts(&world, c, &alice, "GetSessionToken", &shown).await);
    assert_eq!(s3(&world, c, &session, ("GET", "/")).await.status, 200);
    iam(&world, c, &session, "ListUsers", &[]).await;
    let replayed = ask(&world, c, &alice, ("sts", "GetSessionToken"), &shown).await;
    assert_eq!((replayed.status, replayed.code()), (403, "AccessDenied"), "{}", replayed.text());
    let found = records(&world, c, "ListUsers").await;
    assert_eq!(found[0]["userIdentity"]["sessionContext"]["attributes"]["mfaAuthenticated"], "true");
    // It gets old.
    world.clock.advance(Duration::from_mins(61));
    let mut client = world.connect().await;
    assert_eq!(s3(&world, &mut client, &session, ("GET", "/")).await.status, 403);
}

#[tokio::test]
async fn a_role_that_asks_for_a_second_factor_is_assumed_with_its_code() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    let alice = user(&world, c, "alice").await;
    let phone = Phone::new(&world, c, "phone").await;
    phone.enable(&world, c, "alice").await;
    next_step(&world);
    let trust = document(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:user/alice"}},"Action":"sts:AssumeRole",
        "Condition":{{"Bool":{{"aws:MultiFactorAuthPresent":"true"}}}}}}"#
    ));
    let named = [("RoleName", "job"), ("AssumeRolePolicyDocument", trust.as_str())];
    iam(&world, c, &Key::root(), "CreateRole", &named).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/job");
    let asked = [("RoleArn", arn.as_str()), ("RoleSessionName", "one")];
    assert_eq!(ask(&world, c, &alice, ("sts", "AssumeRole"), &asked).await.code(), "AccessDenied");
    let code = phone.shows(&world, 0);
    let shown = [("SerialNumber", phone.serial.as_str()), ("TokenCode", code.as_str())];
    let with_code = [&asked[..], &shown].concat();
    sts(&world, c, &alice, "AssumeRole", &with_code).await;
    assert_eq!(ask(&world, c, &alice, ("sts", "AssumeRole"), &with_code).await.code(), "AccessDenied");
    // Codes are guessed no faster here than anywhere.
    next_step(&world);
    let code = phone.shows(&world, 0);
    let wrong = [asked[0], asked[1], shown[0], ("TokenCode", other(&code))];
    for _ in 0..20 {
        assert_eq!(ask(&world, c, &alice, ("sts", "AssumeRole"), &wrong).await.status, 403);
    }
    let right = [shown[0], ("TokenCode", code.as_str())];
    let answer = ask(&world, c, &alice, ("sts", "GetSessionToken"), &right).await;
    assert!(answer.code() == "AccessDenied" && answer.text().contains("Try again in"), "{}", answer.text());
}

#[tokio::test]
async fn a_password_signs_in_without_a_signature_and_says_nothing_of_who_is_there() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    let alice = user(&world, c, "alice").await;
    give(&world, c, "alice", &says("Allow", r#"["s3:ListAllMyBuckets","iam:GetUser"]"#)).await;
    with_password(&world, c, "alice").await;
    user(&world, c, "bob").await;
    let asked = [("UserName", "alice"), ("Password", PASSWORD)];
    let answer = sign_in(&world, c, &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(element(answer.text(), "Arn"), Some(format!("arn:aws:iam::{ACCOUNT}:user/alice").as_str()));
    let session = Key::of(&answer);
    assert_eq!(s3(&world, c, &session, ("GET", "/")).await.status, 200);
    let shown = iam(&world, c, &session, "GetUser", &[]).await;
    assert!(element(shown.text(), "PasswordLastUsed").is_some());
    let mut told = Vec::new();
    for (name, password) in [("alice", "wrong-1"), ("bob", PASSWORD), ("nobody", PASSWORD), ("no/body", "x")]
    {
        let answer = sign_in(&world, c, &[("UserName", name), ("Password", password)]).await;
        told.push((
            answer.status,
            answer.code().to_owned(),
            element(answer.text(), "Message").unwrap().to_owned(),
        ));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0, told[0].1.as_str()), (403, "AccessDenied"));
    // A password that was typed in the wrong place is in no record, and no password ever.
    let found = records(&world, c, "FirnSignIn").await;
    let names: Vec<_> = found.iter().map(|record| record["requestParameters"]["userName"].as_str()).collect();
    assert_eq!(names, [None, None, Some("bob"), Some("alice"), Some("alice")]);
    assert_eq!(found[4]["responseElements"]["credentials"]["accessKeyId"], session.id);
    assert_eq!(found[4]["userIdentity"]["arn"], format!("arn:aws:iam::{ACCOUNT}:user/alice"));
    assert_eq!(
        (&found[4]["userIdentity"]["type"], &found[3]["userIdentity"]["type"]),
        (&"IAMUser".into(), &"Unknown".into())
    );
    let whole = format!("{found:?} {:?}", records(&world, c, "CreateLoginProfile").await);
    for secret in [PASSWORD, "wrong-1", session.secret.as_str(), session.token.as_deref().unwrap()] {
        assert!(!whole.contains(secret), "{whole}");
    }
    // What needs a signature gets none by being asked beside it.
    let unsigned = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 43\r\n\r\n\
         Action=GetCallerIdentity&Version=2011-06-15",
        world.http
    );
    c.send(unsigned.as_bytes()).await;
    assert_eq!(c.answer().await.unwrap().code(), "MissingAuthenticationToken");
    assert_eq!(sign_in(&world, c, &[("UserName", "alice")]).await.code(), "ValidationError");
    let more = [asked[0], asked[1], ("Policy", "{}")];
    assert_eq!(sign_in(&world, c, &more).await.code(), "InvalidQueryParameter");
    drop(alice);
}

#[tokio::test]
async fn an_account_is_told_who_signs_in_and_who_tries_to() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    let theirs = Key { id: OTHER_ACCESS_KEY.to_owned(), secret: OTHER_SECRET_KEY.to_owned(), token: None };
    iam(&world, c, &theirs, "CreateUser", &[("UserName", "carol")]).await;
    let login = [("UserName", "carol"), ("Password", PASSWORD)];
    iam(&world, c, &theirs, "CreateLoginProfile", &login).await;
    for (password, status) in [("wrong-1", 403), (PASSWORD, 200)] {
        let asked = [("Account", OTHER_ACCOUNT), ("UserName", "carol"), ("Password", password)];
        assert_eq!(sign_in(&world, c, &asked).await.status, status);
    }
    let found = records_of(&world, c, &theirs, "FirnSignIn").await;
    let names: Vec<_> = found.iter().map(|record| record["userIdentity"]["userName"].as_str()).collect();
    assert_eq!(names, [Some("carol"); 2], "{found:?}");
    assert_eq!(found[0]["userIdentity"]["type"], "IAMUser");
    assert!(records(&world, c, "FirnSignIn").await.is_empty(), "that is nobody else's");
}

/// A plain form can be sent from any page, with its reader's network in front of whatever listens on this machine.
#[tokio::test]
async fn a_page_of_another_site_signs_nobody_in() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    user(&world, c, "alice").await;
    with_password(&world, c, "alice").await;
    let right = [("UserName", "alice"), ("Password", PASSWORD)];
    for header in
        ["origin: https://evil.test\r\n", "sec-fetch-site: cross-site\r\n", "sec-fetch-site: same-site\r\n"]
    {
        for password in [PASSWORD, "wrong-1"].repeat(4) {
            let asked = [right[0], ("Password", password)];
            let answer = sign_in_with(&world, c, header, &asked).await;
            assert_eq!((answer.status, answer.code()), (403, "AccessDenied"), "{header}");
        }
    }
    assert_eq!(
        sign_in_with(&world, c, "sec-fetch-site: same-origin\r\n", &right).await.status,
        200,
        "none of them counts"
    );
}

#[tokio::test]
async fn passwords_are_guessed_a_few_at_a_time_whoevers_they_are() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    user(&world, c, "alice").await;
    with_password(&world, c, "alice").await;
    for name in ["alice", "nobody"] {
        let mut waits = 0;
        for _ in 0..12 {
            let answer = sign_in(&world, c, &[("UserName", name), ("Password", "wrong-1")]).await;
            assert_eq!((answer.status, answer.code()), (403, "AccessDenied"));
            waits += usize::from(answer.text().contains("Try again in"));
        }
        assert_eq!(waits, 6, "{name}");
    }
    let right = [("UserName", "alice"), ("Password", PASSWORD)];
    assert!(sign_in(&world, c, &right).await.text().contains("Try again in"));
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(sign_in(&world, c, &right).await.status, 200);
}

#[tokio::test]
async fn a_second_factor_and_a_new_password_are_asked_for_at_the_sign_in() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    user(&world, c, "alice").await;
    with_password(&world, c, "alice").await;
    let phone = Phone::new(&world, c, "phone").await;
    phone.enable(&world, c, "alice").await;
    next_step(&world);
    let asked = [("UserName", "alice"), ("Password", PASSWORD)];
    assert_eq!(sign_in(&world, c, &asked).await.code(), "AccessDenied");
    let reset = [("UserName", "alice"), ("PasswordResetRequired", "true")];
    iam(&world, c, &Key::root(), "UpdateLoginProfile", &reset).await;
    let code = phone.shows(&world, 0);
    let shown = [asked[0], asked[1], ("TokenCode", code.as_str())];
    assert_eq!(sign_in(&world, c, &shown).await.code(), "PasswordResetRequired");
    let weak = [&shown[..], &[("NewPassword", "short")]].concat();
    assert_eq!(sign_in(&world, c, &weak).await.code(), "PasswordPolicyViolation");
    let better = [&shown[..], &[("NewPassword", "Battery-staple-2")]].concat();
    let answer = sign_in(&world, c, &better).await;
    assert_eq!(element(answer.text(), "PasswordChanged"), Some("true"), "{}", answer.text());
    assert_eq!(sign_in(&world, c, &better).await.code(), "AccessDenied", "code and password are of before");
}

#[tokio::test]
async fn an_account_lets_its_users_change_their_own_password_and_nothing_of_others() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    let (alice, root) = (user(&world, c, "alice").await, Key::root());
    user(&world, c, "bob").await;
    with_password(&world, c, "alice").await;
    let change = [("OldPassword", PASSWORD), ("NewPassword", "Battery-staple-2")];
    assert_eq!(ask(&world, c, &alice, ("iam", "ChangePassword"), &change).await.code(), "AccessDenied");
    assert_eq!(ask(&world, c, &root, ("iam", "ChangePassword"), &change).await.code(), "InvalidUserType");
    let rules =
        [("AllowUsersToChangePassword", "true"), ("MinimumPasswordLength", "10"), ("MaxPasswordAge", "90")];
    iam(&world, c, &root, "UpdateAccountPasswordPolicy", &rules).await;
    let shown = iam(&world, c, &alice, "GetAccountPasswordPolicy", &[]).await;
    for (name, value) in
        [("MinimumPasswordLength", "10"), ("ExpirePasswords", "true"), ("RequireSymbols", "false")]
    {
        assert_eq!(element(shown.text(), name), Some(value));
    }
    let weak = [change[0], ("NewPassword", "short")];
    let answer = ask(&world, c, &alice, ("iam", "ChangePassword"), &weak).await;
    assert_eq!((answer.status, answer.code()), (400, "PasswordPolicyViolation"));
    give(&world, c, "alice", &says("Deny", "\"iam:ChangePassword\"")).await;
    assert_eq!(ask(&world, c, &alice, ("iam", "ChangePassword"), &change).await.code(), "AccessDenied");
    give(&world, c, "alice", &says("Allow", "\"s3:ListAllMyBuckets\"")).await;
    iam(&world, c, &alice, "ChangePassword", &change).await;
    assert_eq!(sign_in(&world, c, &[("UserName", "alice"), ("Password", PASSWORD)]).await.status, 403);
    let signed_in = sign_in(&world, c, &[("UserName", "alice"), ("Password", "Battery-staple-2")]).await;
    let session = Key::of(&signed_in);
    // Keys, passwords and second factors of others, by a key and by a sign-in, for whom may look after its own alone.
    let own = format!(
        r#"{{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"}}"#
    );
    give(&world, c, "alice", &own).await;
    let serial = format!("arn:aws:iam::{ACCOUNT}:mfa/phone");
    for key in [&alice, &session] {
        for (operation, more) in [
            ("CreateAccessKey", vec![]),
            ("CreateLoginProfile", vec![("Password", PASSWORD)]),
            ("UpdateLoginProfile", vec![("Password", PASSWORD)]),
            ("DeleteLoginProfile", vec![]),
            ("DeactivateMFADevice", vec![("SerialNumber", serial.as_str())]),
            (
                "EnableMFADevice",
                vec![
                    ("SerialNumber", serial.as_str()),
                    ("AuthenticationCode1", "123456"),
                    ("AuthenticationCode2", "123456"),
                ],
            ),
        ] {
            let asked = [vec![("UserName", "bob")], more].concat();
            let answer = ask(&world, c, key, ("iam", operation), &asked).await;
            assert_eq!((answer.status, answer.code()), (403, "AccessDenied"), "{operation}");
        }
        iam(&world, c, key, "GetLoginProfile", &[]).await;
    }
    iam(&world, c, &session, "CreateAccessKey", &[]).await;
}
