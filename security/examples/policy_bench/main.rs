//! What a decision costs for somebody with ten managed policies of ordinary size: `cargo xtask bench policy`.
//!
//! Users, roles and sessions are made as a door makes them, so that policies are compiled as they are for a request: once, when something
//! changes. One measured step is [`Principal::verdict`] with a context of fourteen keys beside the principal's own. `policy_bench CASE COUNT` asks a case COUNT times and says
//! nothing, for what measures a process (`perf stat`): what 0 times cost, taken from what 100,000 do, leaves 100,000 decisions.

mod policies;

use engine::catalog::MemoryCatalog;
use engine::clock::{ManualClock, Timestamp};
use engine::entropy::SystemEntropy;
use security::credentials::{Bearer, CredentialLookup as _, File};
use security::identity::{
    self, AssumeRole, Identities, KeyOwner, NewPolicy, NewRole, NewUser, Owner, Pins, SessionBounds, Tag,
};
use security::keys::{FileCustodian, KeyTable};
use security::policy::{Form, GivenContext, Policy, Sources, Verdict};
use security::{AccountId, Principal, PrincipalContext};
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NOW: Timestamp = Timestamp::from_millis(1_773_500_966_000);
const ROUNDS: u32 = 50;
const TIMES: u64 = 2_000;

/// What is asked.
struct Case {
    name: &'static str,
    /// Of the role's session, which has a boundary and a policy of its own besides; else of the user.
    session: bool,
    /// The bucket has a policy.
    shared: bool,
    action: &'static str,
    resource: &'static str,
    is_right: fn(Verdict) -> bool,
}

const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const OBJECT: &str = "arn:aws:s3:::datasets/imagenet/train/n01440764/n01440764_10026.JPEG";

/// Policies are asked in the order of their ids, which are of chance: a Deny in the last statement of one ends the decision somewhere.
fn cases() -> [Case; 9] {
    let of = |name, action, resource, is_right| Case {
        name,
        session: false,
        shared: false,
        action,
        resource,
        is_right,
    };
    let allowed: fn(Verdict) -> bool = Verdict::is_allowed;
    let denied: fn(Verdict) -> bool = |verdict| matches!(verdict, Verdict::Denied(_));
    let missing: fn(Verdict) -> bool = |verdict| matches!(verdict, Verdict::NotAllowed(_));
    [
        of("get-last", "s3:GetObject", OBJECT, allowed),
        of("get-home", "s3:GetObject", "arn:aws:s3:::corp-homes/home/alice/notes/2026/november.md", allowed),
        of("put-ingest", "s3:PutObject", "arn:aws:s3:::ingest-eu/2026/11/30/batch-000123.parquet", allowed),
        of("deny-last", "s3:GetObject", "arn:aws:s3:::datasets/private/people.csv", denied),
        of(
            "deny-first",
            "cloudtrail:StopLogging",
            "arn:aws:cloudtrail:us-east-1:111122223333:trail/main",
            denied,
        ),
        of("nothing-allows", "s3:GetObject", "arn:aws:s3:::payroll/2026/11/salaries.csv", missing),
        of(
            "decrypt",
            "kms:Decrypt",
            "arn:aws:kms:us-east-1:111122223333:key/aaaaaaaa-12ab-34cd-56ef-1234567890ab",
            allowed,
        ),
        Case { session: true, ..of("session", "s3:GetObject", OBJECT, allowed) },
        Case { session: true, shared: true, ..of("session-bucket", "s3:GetObject", OBJECT, allowed) },
    ]
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let account: AccountId = "111122223333".parse()?;
    let directory = tempfile::tempdir()?;
    let bench = runtime.block_on(Bench::new(account, &directory))?;
    match words.as_slice() {
        [] => cases().iter().try_for_each(|case| bench.measure(case)),
        [name, count] => {
            let case = cases().into_iter().find(|case| case.name == *name).ok_or("no such case")?;
            (0..count.parse::<u32>()?).try_for_each(|_| bench.ask(&case))
        }
        _ => Err("policy_bench, or policy_bench CASE COUNT".into()),
    }
}

struct Bench {
    account: AccountId,
    user: Principal,
    session: Principal,
    bucket: Policy,
    context: GivenContext,
}

impl Bench {
    async fn new(account: AccountId, directory: &tempfile::TempDir) -> Result<Self> {
        let ids = identities(account, directory).await?;
        let tags = [
            Tag { key: "team".into(), value: "vision".into() },
            Tag { key: "cost-center".into(), value: "4711".into() },
        ];
        ids.create_user(account, NewUser { name: "alice", tags: &tags, ..NewUser::default() }).await?;
        let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;
        let role = NewRole { name: "analyst-1", trust, tags: &tags, ..NewRole::default() };
        ids.create_role(account, role).await?;
        for (name, document) in policies::MANAGED {
            let made =
                ids.create_policy(account, NewPolicy { name, document, ..NewPolicy::default() }).await?;
            ids.attach(account, Owner::User("alice"), &made.arn).await?;
            ids.attach(account, Owner::Role("analyst-1"), &made.arn).await?;
        }
        let boundary = NewPolicy { name: "boundary", document: policies::BOUNDARY, ..NewPolicy::default() };
        let boundary = ids.create_policy(account, boundary).await?;
        ids.set_boundary(account, Owner::Role("analyst-1"), &boundary.arn).await?;
        let key = ids.create_access_key(account, KeyOwner::User("alice")).await?.key.id;
        let context = GivenContext::default()
            .with("aws:SourceIp", ["192.168.3.4"])
            .with("aws:SecureTransport", ["true"])
            .with("aws:ViaAWSService", ["false"])
            .with("aws:RequestedRegion", ["us-east-1"])
            .with("aws:CurrentTime", ["2026-11-30T10:00:00Z"])
            .with("aws:EpochTime", ["1796032800"])
            .with("aws:UserAgent", ["Boto3/1.43 md/Botocore#1.43 ua/2.1 os/linux lang/python#3.11"])
            .with("aws:ResourceAccount", ["111122223333"])
            .with("kms:ViaService", ["s3.us-east-1.amazonaws.com"])
            .with("kms:CallerAccount", ["111122223333"])
            .with("s3:TlsVersion", ["1.3"])
            .with("s3:x-amz-storage-class", ["STANDARD"])
            .with("s3:x-amz-server-side-encryption", ["aws:kms"])
            .with("s3:x-amz-server-side-encryption-aws-kms-key-id", [KEY]);
        let user = signs(&ids, account, &key).await?;
        let session = ids
            .assume_role(AssumeRole {
                who: &user,
                context: &context,
                role: "arn:aws:iam::111122223333:role/analyst-1",
                session_name: "job",
                external_id: None,
                source_identity: None,
                duration_secs: None,
                bounds: SessionBounds { policy: Some(policies::SESSION), policy_arns: &[] },
                tags: &[],
                transitive: &[],
                shown: None,
            })
            .await?;
        let id = &session.credentials.id;
        let found = ids.session(id.as_str(), &session.credentials.token, NOW);
        let found = found.map_err(|error| format!("{error:?}"))?;
        let bearer = Bearer { account, holder: &found.holder, access_key_id: id, service: "s3" };
        let session = ids.principal(bearer).await?.ok_or("no session")?;
        let bucket = Policy::parse(policies::BUCKET, Form::Resource, 20 << 10)?;
        Ok(Self { account, user, session, bucket, context })
    }

    /// One decision, as a door asks for it.
    fn ask(&self, case: &Case) -> Result<()> {
        let who = if case.session { &self.session } else { &self.user };
        let context = PrincipalContext::new(who, NOW, &self.context);
        let resource = case.shared.then_some(&self.bucket);
        let sources = Sources { resource, owner: Some(self.account), ..Sources::default() };
        let verdict = who.verdict(case.action, case.resource, &context, (&sources, Pins::nobody()));
        if (case.is_right)(black_box(verdict)) {
            Ok(())
        } else {
            Err(format!("{}: {verdict:?}", case.name).into())
        }
    }

    /// The best of some rounds by the processor's time of this thread, so that a busy machine tells little lies only: what shares the core still
    /// slows it down.
    #[expect(clippy::print_stdout, reason = "its only purpose")]
    fn measure(&self, case: &Case) -> Result<()> {
        let mut best = u64::MAX;
        for _ in 0..ROUNDS {
            let start = processor_ns()?;
            for _ in 0..TIMES {
                self.ask(case)?;
            }
            best = best.min(processor_ns()?.saturating_sub(start));
        }
        println!("{:16} {:6} ns", case.name, best / TIMES);
        Ok(())
    }
}

/// What the processor has spent on this thread.
fn processor_ns() -> Result<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(told.split(' ').next().unwrap_or_default().parse()?)
}

async fn identities(account: AccountId, directory: &tempfile::TempDir) -> Result<Arc<Identities>> {
    let entropy = Arc::new(SystemEntropy);
    let file = File::generate(&directory.path().join("credentials"), account, "us-east-1", &SystemEntropy)?;
    let custodian = FileCustodian::generate(&directory.path().join("master.key"), entropy.clone())?;
    let catalog = Arc::new(MemoryCatalog::default());
    let clock = Arc::new(ManualClock::new(NOW));
    let keys = KeyTable::open(catalog.clone(), Arc::new(custodian), entropy.clone(), clock.clone()).await?;
    let roots = Arc::new(file);
    let region = "us-east-1".to_owned();
    Ok(Identities::open(identity::Parts { catalog, keys, clock, entropy, roots, region }).await?)
}

async fn signs(
    ids: &Identities,
    account: AccountId,
    key: &security::credentials::AccessKeyId,
) -> Result<Principal> {
    let found = ids.lookup(key.as_str()).ok_or("no key")?;
    let bearer = Bearer { account, holder: &found.holder, access_key_id: key, service: "s3" };
    Ok(ids.principal(bearer).await?.ok_or("nobody")?)
}
