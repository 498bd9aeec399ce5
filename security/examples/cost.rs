//! What verifying a request, deciding by policies and sealing a data key cost, in microseconds of one core.
//!
//! `cargo run --release -p security --example cost`

use engine::catalog::MemoryCatalog;
use engine::clock::{Clock, SystemClock, Timestamp};
use engine::entropy::{Entropy, SystemEntropy};
use http::request::Parts;
use security::credentials::{Bearer, CredentialLookup as _, File};
use security::identity::{self, Identities, KeyOwner, NewPolicy, NewUser, Owner};
use security::keys::{FileCustodian, KeyScope, KeyTable};
use security::policy::{self, Asked, Caller, Form, GivenContext, Sources};
use security::sign::{PayloadHash, Signer};
use security::sigv4::{Authenticated, Policy, RequestHead, SigningKeys, authenticate};
use security::{AccountId, PrincipalContext};
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_773_500_966_000);

fn main() -> Result<(), Box<dyn Error>> {
    let account: AccountId = "111122223333".parse()?;
    let directory = tempfile::tempdir()?;
    let file = File::generate(&directory.path().join("credentials"), account, "us-east-1", &SystemEntropy)?;
    let profile = file.profile("default").ok_or("no profile")?;
    let signer = Signer {
        access_key_id: profile.access_key_id.clone(),
        secret: profile.credential.secret.clone(),
        session_token: None,
        region: "us-east-1".to_owned(),
        service: "s3".to_owned(),
    };
    requests(&file, &signer)?;
    policies(account)?;
    tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
        let keys = sealing(account, &directory).await?;
        users(account, file, keys).await
    })
}

fn requests(file: &File, signer: &Signer) -> Result<(), Box<dyn Error>> {
    let uri = "http://127.0.0.1:9000/datasets/imagenet/train/n01440764/n01440764_10026.JPEG";
    let mut get = http::Request::get(uri).body(())?.into_parts().0;
    signer.sign(&mut get, PayloadHash::Empty, NOW)?;
    get.headers.insert("user-agent", "Boto3/1.43 md/Botocore#1.43 ua/2.1 os/linux lang/python#3.11".parse()?);
    let mut put = http::Request::put(format!("{uri}?x-id=PutObject"))
        .header("content-type", "image/jpeg")
        .header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")
        .header("x-amz-storage-class", "STANDARD")
        .header("x-amz-meta-source", "camera 7, east gate")
        .header("x-amz-checksum-crc32c", "sOO8/Q==")
        .header("x-amz-sdk-checksum-algorithm", "CRC32C")
        .body(())?
        .into_parts()
        .0;
    signer.sign(&mut put, PayloadHash::Sha256([7; 32]), NOW)?;
    let url = signer.presign("GET", &uri.parse()?, &http::HeaderMap::new(), Duration::from_hours(1), NOW)?;
    let presigned = http::Request::get(url).header("host", "127.0.0.1:9000").body(())?.into_parts().0;
    let keys = SigningKeys::default();
    for (name, parts) in [("GET, header", &get), ("PUT, header", &put), ("GET, presigned", &presigned)] {
        measure(&format!("verify {name}"), 200_000, || verify(file, &keys, parts))?;
    }
    measure("verify GET, key not remembered", 50_000, || verify(file, &SigningKeys::default(), &get))?;
    measure("sign GET", 50_000, || {
        signer.sign(&mut get, PayloadHash::Empty, NOW)?;
        Ok(())
    })
}

fn verify(file: &File, keys: &SigningKeys, parts: &Parts) -> Result<(), Box<dyn Error>> {
    let head = RequestHead {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    };
    match black_box(authenticate(&head, file, &Policy::new("us-east-1", NOW, keys)))? {
        Authenticated::Signed(_) => Ok(()),
        Authenticated::Anonymous => Err("not signed".into()),
    }
}

/// Ten policies of ordinary size: eight that are about other services and buckets, one that denies, and the last one allows.
fn policies(account: AccountId) -> Result<(), Box<dyn Error>> {
    let document = |statement: &str| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{statement},{{"Effect":"Allow","Action":["iam:Get*","iam:List*","sts:*"],
            "Resource":"*"}},{{"Effect":"Allow","Action":"kms:Decrypt","Resource":"arn:aws:kms:*:111122223333:key/*"}}]}}"#
        );
        policy::Policy::parse(&text, Form::Identity, 10_240)
    };
    let mut all = Vec::new();
    for bucket in 0..8 {
        all.push(document(&format!(
            r#"{{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:ListBucket"],"Resource":
            ["arn:aws:s3:::team-{bucket}","arn:aws:s3:::team-{bucket}/*"]}}"#
        ))?);
    }
    all.push(document(
        r#"{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#,
    )?);
    all.push(document(
        r#"{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::datasets/*","Condition":{"IpAddress":
        {"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]}}}"#,
    )?);
    let identity: Vec<&policy::Policy> = all.iter().collect();
    let context =
        GivenContext::default().with("aws:SourceIp", ["192.168.3.4"]).with("aws:SecureTransport", ["true"]);
    let asked = Asked {
        caller: Caller::User { account, arn: "arn:aws:iam::111122223333:user/alice" },
        action: "s3:GetObject",
        resource: "arn:aws:s3:::datasets/imagenet/train/n01440764/n01440764_10026.JPEG",
        context: &context,
    };
    let sources = Sources { identity: &identity, owner: Some(account), ..Sources::default() };
    measure("decide, ten policies of three statements", 400_000, || {
        if black_box(policy::evaluate(&asked, &sources)).is_allowed() { Ok(()) } else { Err("denied".into()) }
    })
}

/// Who a user is that comes under ten policies, once it is known, and what that user may.
async fn users(account: AccountId, file: File, keys: Arc<KeyTable>) -> Result<(), Box<dyn Error>> {
    let ids = Identities::open(identity::Parts {
        catalog: Arc::new(MemoryCatalog::default()),
        keys,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        roots: Arc::new(file),
        region: "us-east-1".to_owned(),
    })
    .await?;
    ids.create_user(account, NewUser { name: "alice", ..NewUser::default() }).await?;
    for number in 0..10 {
        let (name, service) = (format!("p{number}"), ["s3", "ec2", "sqs"][number % 3]);
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["{service}:Get*","{service}:List*"],
            "Resource":["arn:aws:{service}:::team-{number}/*","arn:aws:{service}:::datasets/*"]}},{{"Effect":"Deny",
            "Action":"{service}:Delete*","Resource":"*","Condition":{{"Bool":{{"aws:SecureTransport":"false"}}}}}}]}}"#
        );
        let arn = ids
            .create_policy(account, NewPolicy { name: &name, document: &document, ..NewPolicy::default() });
        ids.attach(account, Owner::User("alice"), &arn.await?.arn).await?;
    }
    let key = ids.create_access_key(account, KeyOwner::User("alice")).await?.key.id;
    let found = ids.lookup(key.as_str()).ok_or("no key")?;
    measure("look a user's key up", 400_000, || {
        black_box(ids.lookup(key.as_str()).ok_or("no key")?);
        Ok(())
    })?;
    let bearer = Bearer { account, holder: &found.holder, access_key_id: &key, service: "s3" };
    let who = ids.principal(bearer).await?.ok_or("nobody")?;
    let mut waker = std::task::Context::from_waker(std::task::Waker::noop());
    measure("who signs, a user who is known", 400_000, || {
        match ids.principal(bearer).as_mut().poll(&mut waker) {
            std::task::Poll::Ready(found) => {
                black_box(found?);
                Ok(())
            }
            std::task::Poll::Pending => Err("it is not known".into()),
        }
    })?;
    let context = GivenContext::default().with("aws:SecureTransport", ["true"]);
    let object = "arn:aws:s3:::datasets/imagenet/train/n01440764/n01440764_10026.JPEG";
    measure("decide, a user of ten policies", 400_000, || {
        let context = PrincipalContext::new(&who, NOW, &context);
        let verdict = black_box(who.may("s3:GetObject", object, account, &context));
        if verdict.is_allowed() { Ok(()) } else { Err("denied".into()) }
    })
}

async fn sealing(account: AccountId, directory: &tempfile::TempDir) -> Result<Arc<KeyTable>, Box<dyn Error>> {
    let entropy = Arc::new(SystemEntropy);
    let custodian = FileCustodian::generate(&directory.path().join("master.key"), entropy.clone())?;
    let catalog = Arc::new(MemoryCatalog::default());
    let table = KeyTable::open(catalog, Arc::new(custodian), entropy, Arc::new(SystemClock)).await?;
    let scope = KeyScope::s3(account);
    table.prepare(scope).await?;
    let (key, row) = ([7; 32], [9; 200]);
    let sealed = table.seal(scope, &key, &row)?;
    measure("seal 32 bytes, 200 of additional data", 400_000, || {
        black_box(table.seal(scope, &key, &row)?);
        Ok(())
    })?;
    measure("unseal", 400_000, || {
        black_box(table.unseal(&sealed, &row)?);
        Ok(())
    })?;
    let raw = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_256_GCM, &key).map_err(|_| "key")?;
    let raw = aws_lc_rs::aead::LessSafeKey::new(raw);
    measure("AES-256-GCM alone", 400_000, || {
        let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key([1; 12]);
        let mut data = key;
        let tag = raw.seal_in_place_separate_tag(nonce, aws_lc_rs::aead::Aad::from(&row[..]), &mut data);
        let tag = tag.map_err(|_| "seal")?;
        black_box(tag.as_ref());
        Ok(())
    })?;
    measure("12 random bytes", 400_000, || {
        let mut nonce = [0; 12];
        SystemEntropy.fill(&mut nonce);
        black_box(nonce);
        Ok(())
    })?;
    Ok(table)
}

/// The best of five rounds, so that a busy machine tells little lies only.
#[expect(clippy::print_stdout, reason = "its only purpose")]
fn measure(
    name: &str,
    times: u32,
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = SystemClock.boottime();
        for _ in 0..times / 5 {
            work()?;
        }
        best = best.min(SystemClock.boottime().saturating_sub(start));
    }
    println!("{name:40} {:6.2} µs", best.as_secs_f64() * 1e6 / f64::from(times / 5));
    Ok(())
}
