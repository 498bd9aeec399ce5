//! Archives that are taken apart: which objects come of them, what the answer says, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::world::{Answer, Client, Who, World, ask, call, content_md5};
use engine::unit::ByteCount;
use objectstore::{BucketName, ObjectOwnership, QuotaLimits};
use security::sign::PayloadHash;

const EXTRACT: (&str, &str) = ("x-amz-meta-snowball-auto-extract", "true");
const IGNORE: (&str, &str) = ("x-amz-meta-minio-snowball-ignore-errors", "true");

/// An entry's name, type and body.
pub(crate) type Entry<'e> = (&'e str, u8, &'e [u8]);

pub(crate) fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, kind, body) in entries {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..136].copy_from_slice(format!("{:011o}\0", body.len()).as_bytes());
        block[136..148].copy_from_slice(format!("{:011o}\0", 1_700_000_000).as_bytes());
        block[148..156].fill(b' ');
        block[156] = *kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&block);
        archive.extend_from_slice(body);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.extend_from_slice(&[0; 1024]);
    archive
}

struct Case {
    world: World,
    client: Client,
}

impl Case {
    async fn new() -> Self {
        let world = World::new().await;
        let client = world.with_bucket().await;
        Self { world, client }
    }

    async fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        call(&self.world, &mut self.client, (method, path), headers, body).await
    }

    /// Sends an archive, with these headers besides.
    async fn put(&mut self, headers: &[(&str, &str)], archive: &[u8]) -> Answer {
        let answer = self.call("PUT", "/bucket/in/a.tar", &[&[EXTRACT][..], headers].concat(), archive).await;
        if answer.header("connection") == Some("close") {
            self.client = self.world.connect().await;
        }
        answer
    }

    async fn get(&mut self, key: &str) -> Answer {
        self.call("GET", &format!("/bucket/{key}"), &[], b"").await
    }

    async fn keys(&mut self) -> Vec<String> {
        let listed = self.call("GET", "/bucket?list-type=2", &[], b"").await;
        let text = listed.text().to_owned();
        text.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned()).collect()
    }

    async fn report(&mut self) -> serde_json::Value {
        serde_json::from_slice(&self.get("in/a.tar.report.json").await.body).unwrap()
    }
}

#[tokio::test]
async fn an_archive_becomes_one_object_an_entry() {
    let mut case = Case::new().await;
    let large = vec![b'l'; 700_000];
    let entries: [Entry<'_>; 4] =
        [("d/", b'5', b""), ("d/a.json", b'0', b"{}"), ("./large", b'0', &large), ("empty", b'0', b"")];
    let archive = tar(&entries);
    let md5 = content_md5(&archive);
    let answer = case.put(&[("content-md5", &md5), ("x-amz-meta-project", "ice")], &archive).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.is_empty(), "S3's PutObject answers nothing");
    let etag = answer.header("etag").unwrap().trim_matches('"').to_owned();
    assert_eq!(etag.len(), 32, "{etag}");
    let told = |name: &str| answer.header(&format!("x-firn-ingest-{name}")).map(str::to_owned);
    assert_eq!(told("objects").as_deref(), Some("4"));
    assert_eq!(told("bytes").as_deref(), Some("700002"));
    assert_eq!((told("skipped").as_deref(), told("refused").as_deref()), (Some("0"), Some("0")));
    assert_eq!(told("report"), None);
    assert_eq!(case.keys().await, ["d/", "d/a.json", "empty", "large"]);
    let json = case.get("d/a.json").await;
    assert_eq!((json.text(), json.header("content-type")), ("{}", Some("application/json")));
    assert_eq!(json.header("x-amz-meta-mtime"), Some("1700000000"));
    assert_eq!(json.header("x-amz-meta-project"), Some("ice"));
    assert_eq!(json.header("x-amz-meta-snowball-auto-extract"), None, "an instruction is no metadata");
    assert_eq!(case.get("large").await.body, large);
    assert_eq!(case.get("empty").await.header("content-length"), Some("0"));
    // The same archive has the same tag, and asked not to, no directories.
    let asked = [
        ("x-amz-meta-minio-snowball-prefix", "/p/q"),
        ("x-amz-meta-minio-snowball-ignore-dirs", "true"),
        ("x-amz-meta-firn-ingest-report", "always"),
    ];
    let again = case.put(&asked, &archive).await;
    assert_eq!(again.header("etag").unwrap().trim_matches('"'), etag);
    assert_eq!(again.header("x-firn-ingest-report"), Some("in/a.tar.report.json"));
    let keys = case.keys().await;
    assert!(keys.contains(&"p/q/d/a.json".to_owned()) && !keys.contains(&"p/q/d/".to_owned()), "{keys:?}");
    let report = case.report().await;
    assert_eq!((&report["objects"], &report["archive"]), (&3.into(), &"in/a.tar".into()), "{report}");
}

#[tokio::test]
async fn an_archive_without_its_end_mark_is_taken_and_told_or_refused_as_asked() {
    let mut case = Case::new().await;
    let archive = tar(&[("a", b'0', b"x"), ("b", b'0', b"y")]);
    // Cut exactly behind an entry; minio-go sends the like on purpose.
    let cut = &archive[..archive.len() - 1024];
    let required = ("x-amz-meta-firn-ingest-end", "required");
    let refused = case.put(&[required], cut).await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidRequest"));
    assert!(refused.text().contains("end mark"), "{}", refused.text());
    assert_eq!(case.keys().await, Vec::<String>::new());
    let always = ("x-amz-meta-firn-ingest-report", "always");
    for (body, more, end) in [
        (cut, &[][..], Some("missing")),
        (cut, &[always], Some("missing")),
        (&archive, &[always, required], None),
        // One block of zeros is where the end begins.
        (&archive[..archive.len() - 512], &[required], None),
    ] {
        let taken = case.put(more, body).await;
        assert_eq!((taken.status, taken.header("x-firn-ingest-end")), (200, end), "{}", taken.text());
        assert_eq!(taken.header("x-firn-ingest-objects"), Some("2"));
        if more.contains(&always) {
            assert_eq!(case.report().await["end_mark"], end.is_none());
        }
    }
}

#[tokio::test]
async fn without_the_metadata_an_archive_is_an_object() {
    let mut case = Case::new().await;
    let archive = tar(&[("a", b'0', b"x")]);
    for value in ["false", "1", ""] {
        let plain = [("x-amz-meta-snowball-auto-extract", value)];
        assert_eq!(case.call("PUT", "/bucket/a.tar", &plain, &archive).await.status, 200, "{value}");
    }
    assert_eq!(case.keys().await, ["a.tar"]);
    assert_eq!(case.get("a.tar").await.body, archive);
}

#[tokio::test]
async fn a_wrong_digest_of_an_archive_leaves_nothing() {
    let mut case = Case::new().await;
    let archive = tar(&[("a", b'0', b"x"), ("b", b'0', &[7; 9_000])]);
    for wrong in [
        ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
    ] {
        let refused = case.put(&[wrong], &archive).await;
        assert_eq!((refused.status, refused.code()), (400, "BadDigest"), "{wrong:?}");
        assert_eq!(case.keys().await, Vec::<String>::new());
    }
    let hash = PayloadHash::Sha256([7; 32]);
    case.client.send(&case.world.signed_as(hash, ("PUT", "/bucket/a.tar"), &[EXTRACT], &archive)).await;
    assert_eq!(case.client.answer().await.unwrap().code(), "XAmzContentSHA256Mismatch");
    assert_eq!(case.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_entry_that_is_refused_refuses_the_archive_unless_errors_are_ignored() {
    let mut case = Case::new().await;
    let long = "k".repeat(99);
    let hostile: [(Entry<'_>, &str); 6] = [
        (("../up", b'0', b"x"), "InvalidArgument"),
        (("/abs", b'0', b"x"), "InvalidArgument"),
        (("a//b", b'0', b"x"), "InvalidArgument"),
        (("good", b'0', b"again"), "InvalidRequest"),
        (("hard", b'1', b""), "InvalidRequest"),
        ((&long, b'0', b"x"), "KeyTooLongError"),
    ];
    let prefix = ("x-amz-meta-minio-snowball-prefix", &*"p".repeat(950));
    for (entry, code) in &hostile {
        let archive = tar(&[("good", b'0', b"first"), *entry]);
        let headers: &[_] = if *code == "KeyTooLongError" { &[prefix] } else { &[] };
        let refused = case.put(headers, &archive).await;
        assert_eq!((refused.status, refused.code()), (400, *code), "{entry:?}: {}", refused.text());
        assert!(refused.text().contains("Nothing of the archive was stored."), "{}", refused.text());
        assert!(refused.text().contains(&format!("<Entry>{}</Entry>", entry.0)), "{}", refused.text());
    }
    assert_eq!(case.keys().await, Vec::<String>::new());
    let mut entries: Vec<Entry<'_>> =
        vec![("good", b'0', b"first"), ("link", b'2', b""), ("pipe", b'6', b"")];
    entries.extend(hostile[..5].iter().map(|(entry, _)| *entry));
    let answer = case.put(&[IGNORE], &tar(&entries)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-firn-ingest-objects"), Some("1"));
    assert_eq!(answer.header("x-firn-ingest-skipped"), Some("2"));
    assert_eq!(answer.header("x-firn-ingest-refused"), Some("5"));
    assert_eq!(case.keys().await, ["good", "in/a.tar.report.json"]);
    assert_eq!(case.get("good").await.text(), "first", "the first of one name");
    let report = case.report().await;
    let lines = report["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 7, "{report}");
    assert_eq!(
        (&lines[0]["name"], &lines[0]["result"], &lines[0]["entry"]),
        (&"link".into(), &"skipped".into(), &2.into())
    );
    assert_eq!((&lines[2]["name"], &lines[2]["code"]), (&"../up".into(), &"InvalidArgument".into()));
    assert!(lines.iter().all(|line| line["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
}

/// A prefix takes nothing more from one moment on, in every gap of a request: what the report says is what became of the archive.
#[tokio::test]
async fn a_report_says_what_was_refused_of_late_or_why_there_is_none() {
    let full = QuotaLimits { bytes: Some(ByteCount::new(1)), objects: None, warn_percent: 80 };
    let asked = [("x-amz-meta-firn-ingest-report", "always"), IGNORE, ("x-amz-tagging", "team=ice")];
    let archive = tar(&[("a", b'0', b"xx"), ("p/late", b'0', b"yyy")]);
    // Of the entry, of the report itself.
    for prefix in ["p/", "in/"] {
        let (mut refused, mut kept) = (0, 0);
        for gap in 0..200 {
            let mut case = Case::new().await;
            let (store, gaps) = (case.world.store.clone(), case.world.gate.gaps.clone());
            let bucket = BucketName::parse("bucket").unwrap();
            gaps.arm(gap, async move {
                store.set_quota(&bucket, prefix, full).await.unwrap();
            });
            let answer = case.put(&asked, &archive).await;
            if gaps.disarm() {
                break;
            }
            assert_eq!(answer.status, 200, "{prefix}, gap {gap}: {}", answer.text());
            let told = |name: &str| answer.header(&format!("x-firn-ingest-{name}")).map(str::to_owned);
            let keys = case.keys().await;
            let has = |key: &str| keys.iter().any(|known| known == key);
            let (objects, bytes) = if has("p/late") { ("2", "5") } else { ("1", "2") };
            assert!(has("a"), "{prefix}, gap {gap}: {keys:?}");
            assert_eq!((told("objects").as_deref(), told("bytes").as_deref()), (Some(objects), Some(bytes)));
            if prefix == "in/" {
                assert!(has("p/late"), "gap {gap}: {keys:?}");
                assert_eq!(told("refused").as_deref(), Some("0"));
                let error = told("report-error");
                assert_eq!(error.is_some(), !has("in/a.tar.report.json"), "gap {gap}: {keys:?}");
                assert!(error.is_none_or(|code| code == "QuotaExceeded"));
            } else {
                let late = u64::from(!has("p/late"));
                assert_eq!(told("refused"), Some(late.to_string()), "gap {gap}");
                assert_eq!(told("report").as_deref(), Some("in/a.tar.report.json"), "gap {gap}");
                let report = case.report().await;
                let head = case.call("HEAD", "/bucket/in/a.tar.report.json", &[], b"").await;
                assert_eq!(head.header("x-amz-tagging-count"), Some("1"), "gap {gap}");
                assert_eq!(report["refused"], late, "gap {gap}: {report}");
                assert_eq!(report["objects"], 2 - late, "gap {gap}: {report}");
                assert_eq!(report["lines"].as_array().unwrap().len() as u64, late, "gap {gap}: {report}");
            }
            *(if keys.len() == 3 { &mut kept } else { &mut refused }) += 1;
        }
        assert!(refused > 1 && kept > 0, "{prefix}: {refused} {kept}");
    }
}

#[tokio::test]
async fn what_is_no_whole_archive_is_refused_whatever_is_ignored() {
    let mut case = Case::new().await;
    let good = tar(&[("a", b'0', b"x")]);
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    let joined = [good.clone(), good.clone()].concat();
    for bad in [&b"PK\x03\x04 is not tar"[..], b"some text", &good[..600], &flipped, &joined] {
        let refused = case.put(&[IGNORE], bad).await;
        assert_eq!((refused.status, refused.code()), (400, "InvalidRequest"), "{}", refused.text());
    }
    assert_eq!(case.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_archive_in_parts_or_in_a_form_is_not_kept_as_it_is() {
    let mut case = Case::new().await;
    let begun = case.call("POST", "/bucket/a.tar?uploads", &[EXTRACT], b"").await;
    assert_eq!((begun.status, begun.code()), (501, "NotImplemented"), "{}", begun.text());
    assert!(begun.text().contains("multipart threshold"), "{}", begun.text());
    let ordinary = [("x-amz-meta-snowball-auto-extract", "false")];
    assert_eq!(case.call("POST", "/bucket/a.tar?uploads", &ordinary, b"").await.status, 200);

    // A form that anybody may send, so that nothing but what it asks for can refuse it.
    let world = World::owned_by(ObjectOwnership::ObjectWriter).await;
    let mut client = world.connect().await;
    let open = [("x-amz-acl", "public-read-write")];
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket"), &open, b"").await.status, 200);
    for (value, status) in [("true", 501), ("false", 204)] {
        let field = |(name, text)| {
            format!("--f\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
        };
        let mut form: String = [("key", "a.tar"), (EXTRACT.0, value)].map(field).concat();
        form +=
            "--f\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nhello\r\n--f--\r\n";
        let length = form.len();
        let head =
            "POST /bucket HTTP/1.1\r\nhost: {host}\r\ncontent-type: multipart/form-data; boundary=f\r\n";
        client.send_text(&format!("{head}content-length: {length}\r\n\r\n{form}")).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, status, "{value}: {}", answer.text());
        if status == 501 {
            assert_eq!(answer.code(), "NotImplemented");
            assert!(answer.text().contains("PutObject"), "the next step: {}", answer.text());
            client = world.connect().await;
            let kept = call(&world, &mut client, ("GET", "/bucket/a.tar"), &[], b"").await;
            assert_eq!(kept.status, 404, "{}", kept.text());
        }
    }
}

#[tokio::test]
async fn conditions_are_asked_of_each_object() {
    let mut case = Case::new().await;
    let archive = tar(&[("a", b'0', b"new"), ("b", b'0', b"new")]);
    assert_eq!(case.call("PUT", "/bucket/b", &[], b"old").await.status, 200);
    let absent = ("if-none-match", "*");
    let refused = case.put(&[absent], &archive).await;
    assert_eq!((refused.status, refused.code()), (412, "PreconditionFailed"));
    assert_eq!(case.keys().await, ["b"]);
    let taken = case.put(&[absent, IGNORE], &archive).await;
    assert_eq!((taken.status, taken.header("x-firn-ingest-objects")), (200, Some("1")), "{}", taken.text());
    assert_eq!(case.get("b").await.text(), "old");
    for of_one in [("if-match", "*"), ("if-match", "\"00000000000000000000000000000000\"")] {
        let refused = case.put(&[of_one], &archive).await;
        assert_eq!((refused.status, refused.code()), (501, "NotImplemented"));
    }
}

#[tokio::test]
async fn each_entry_is_written_by_whoever_may_write_its_key_and_told() {
    let world = World::owned_by(ObjectOwnership::ObjectWriter).await;
    let mut client = world.with_bucket().await;
    let archive = tar(&[("a", b'0', b"x"), ("b", b'0', b"y")]);
    let put = ("PUT", "/bucket/a.tar");
    for who in [Who::Other, Who::Nobody] {
        let refused = ask(&world, &mut client, who, put, (&[EXTRACT], &archive)).await;
        assert_eq!((refused.status, refused.code()), (403, "AccessDenied"), "{who:?}");
    }
    let open = [("x-amz-acl", "public-read-write"), ("content-length", "0")];
    assert_eq!(ask(&world, &mut client, Who::Root, ("PUT", "/bucket?acl"), (&open, b"")).await.status, 200);
    let rule = "<NotificationConfiguration><TopicConfiguration><Topic>arn:aws:sns:us-east-1:111122223333:told</Topic>\
                <Event>s3:ObjectCreated:*</Event></TopicConfiguration></NotificationConfiguration>";
    let set = ("PUT", "/bucket?notification");
    assert_eq!(ask(&world, &mut client, Who::Root, set, (&[], rule.as_bytes())).await.status, 200);
    world.events().await;
    let tagged = [EXTRACT, ("x-amz-acl", "private")];
    assert_eq!(ask(&world, &mut client, Who::Other, put, (&tagged, &archive)).await.status, 200);
    // They are the writer's, not the bucket owner's.
    assert_eq!(ask(&world, &mut client, Who::Other, ("GET", "/bucket/a"), (&[], b"")).await.text(), "x");
    assert_eq!(ask(&world, &mut client, Who::Root, ("GET", "/bucket/a"), (&[], b"")).await.status, 403);
    let mut told: Vec<String> = world
        .events()
        .await
        .iter()
        .map(|event| {
            let record = &event["Records"][0];
            assert_eq!(record["eventName"], "ObjectCreated:Put");
            record["s3"]["object"]["key"].as_str().unwrap().to_owned()
        })
        .collect();
    told.sort();
    assert_eq!(told, ["a", "b"]);
}

#[tokio::test]
async fn tags_class_and_lock_of_the_request_are_each_objects() {
    let mut case = Case::new().await;
    let lock = [("x-amz-bucket-object-lock-enabled", "true"), ("content-length", "0")];
    assert_eq!(case.call("PUT", "/locked", &lock, b"").await.status, 200);
    let archive = tar(&[("a", b'0', b"x")]);
    let md5 = content_md5(&archive);
    let asked = [
        EXTRACT,
        ("content-md5", &*md5),
        ("x-amz-tagging", "team=ice"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-object-lock-legal-hold", "ON"),
        ("x-amz-meta-firn-ingest-report", "always"),
    ];
    let answer = case.call("PUT", "/locked/a.tar", &asked, &archive).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let head = case.call("HEAD", "/locked/a", &[], b"").await;
    assert_eq!(head.header("x-amz-tagging-count"), Some("1"));
    assert_eq!(head.header("x-amz-storage-class"), Some("STANDARD_IA"));
    assert_eq!(head.header("x-amz-object-lock-legal-hold"), Some("ON"));
    assert!(head.header("x-amz-version-id").is_some());
    // The report has the tags and the hold, and the class of no entry.
    let report = case.call("HEAD", "/locked/a.tar.report.json", &[], b"").await;
    assert_eq!(report.header("x-amz-tagging-count"), Some("1"));
    assert_eq!(report.header("x-amz-object-lock-legal-hold"), Some("ON"));
    assert_eq!(report.header("x-amz-storage-class"), None);
    let unproven = case.call("PUT", "/locked/a.tar", &[EXTRACT, asked[4]], &archive).await;
    assert_eq!((unproven.status, unproven.code()), (400, "InvalidRequest"));
}
