//! Inventory configurations as S3 keeps, lists, shows and refuses them. What reports say: `objectstore::tests::inventory`.

use crate::world::{ACCOUNT, Client, OTHER_ACCOUNT, Who, World, ask, call};

fn document(id: &str, destination: &str, rest: &str) -> String {
    format!(
        "<InventoryConfiguration><Id>{id}</Id><IsEnabled>true</IsEnabled><Destination><S3BucketDestination>{destination}\
         </S3BucketDestination></Destination>{rest}</InventoryConfiguration>"
    )
}

const TO: &str = "<Bucket>arn:aws:s3:::target</Bucket><Format>CSV</Format>";
const DAILY: &str = "<IncludedObjectVersions>Current</IncludedObjectVersions><Schedule><Frequency>Daily</Frequency></Schedule>";

async fn put(world: &World, client: &mut Client, id: &str, document: &str) -> (u16, String, String) {
    let path = format!("/bucket?inventory&id={id}");
    let answer = call(world, client, ("PUT", &path), &[], document.as_bytes()).await;
    (answer.status, answer.code().to_owned(), answer.text().to_owned())
}

async fn world() -> (World, Client) {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    call(&world, &mut client, ("PUT", "/target"), &[], b"").await;
    (world, client)
}

#[tokio::test]
async fn inventory_configurations_are_kept_shown_listed_and_removed() {
    let (world, mut client) = world().await;
    let absent = call(&world, &mut client, ("GET", "/bucket?inventory&id=a"), &[], b"").await;
    assert_eq!((absent.status, absent.code()), (404, "NoSuchConfiguration"));
    let full = format!(
        "<Id>full</Id><IsEnabled>false</IsEnabled><Destination><S3BucketDestination><AccountId>{ACCOUNT}</AccountId>\
         <Bucket>arn:aws:s3:::target</Bucket><Encryption><SSE-S3/></Encryption><Format>CSV</Format><Prefix>p/q</Prefix>\
         </S3BucketDestination></Destination><Filter><Prefix>a&amp;b</Prefix></Filter>\
         <IncludedObjectVersions>All</IncludedObjectVersions><OptionalFields><Field>Size</Field><Field>ETag</Field>\
         <Field>ObjectOwner</Field></OptionalFields><Schedule><Frequency>Weekly</Frequency></Schedule>"
    );
    let whole = format!("<InventoryConfiguration>{full}</InventoryConfiguration>");
    assert_eq!(put(&world, &mut client, "full", &whole).await.0, 200);
    let shown = call(&world, &mut client, ("GET", "/bucket?inventory&id=full"), &[], b"").await;
    assert!(shown.text().contains(&full), "{}", shown.text());
    for number in 0..101 {
        let id = format!("{number:03}");
        let (status, _, text) = put(&world, &mut client, &id, &document(&id, TO, DAILY)).await;
        assert_eq!(status, 200, "{text}");
    }
    let first = call(&world, &mut client, ("GET", "/bucket?inventory"), &[], b"").await;
    let count = |text: &str| text.matches("<InventoryConfiguration>").count();
    assert_eq!(count(first.text()), 100);
    assert!(first.text().contains("<IsTruncated>true</IsTruncated>"), "{}", first.text());
    let (_, rest) = first.text().split_once("<NextContinuationToken>").unwrap();
    let token = rest.split_once('<').unwrap().0;
    let path = format!("/bucket?inventory&continuation-token={token}");
    let second = call(&world, &mut client, ("GET", &path), &[], b"").await;
    assert_eq!(count(second.text()), 2);
    assert!(
        second.text().contains("<IsTruncated>false") && second.text().contains(&full),
        "{}",
        second.text()
    );
    let wrong = call(&world, &mut client, ("GET", "/bucket?inventory&continuation-token=!"), &[], b"").await;
    assert_eq!((wrong.status, wrong.code()), (400, "InvalidArgument"));
    for (status, code) in [(204, ""), (404, "NoSuchConfiguration")] {
        let gone = call(&world, &mut client, ("DELETE", "/bucket?inventory&id=full"), &[], b"").await;
        assert_eq!((gone.status, gone.code()), (status, code));
    }
}

#[tokio::test]
async fn inventories_that_can_not_be_made_are_refused() {
    let (world, mut client) = world().await;
    ask(&world, &mut client, Who::Other, ("PUT", "/others"), (&[], b"")).await;
    let to = |more: &str| format!("<Bucket>arn:aws:s3:::target</Bucket>{more}");
    let fields = |name: &str| format!("{DAILY}<OptionalFields><Field>{name}</Field></OptionalFields>");
    for (bad, status, code, says) in [
        (document("b", TO, DAILY), 400, "IdMismatch", "does not match"),
        (document("a", &to("<Format>ORC</Format>"), DAILY), 501, "NotImplemented", "ask for CSV"),
        (document("a", &to("<Format>Parquet</Format>"), DAILY), 501, "NotImplemented", "ask for CSV"),
        (document("a", &to("<Format>TSV</Format>"), DAILY), 400, "MalformedXML", ""),
        (
            document(
                "a",
                &to("<Format>CSV</Format><Encryption><SSE-KMS><KeyId>k</KeyId></SSE-KMS></Encryption>"),
                DAILY,
            ),
            501,
            "NotImplemented",
            "SSE-S3",
        ),
        (document("a", TO, &fields("LifecycleExpirationDate")), 501, "NotImplemented", "when rules act"),
        (document("a", TO, &fields("IntelligentTieringAccessTier")), 501, "NotImplemented", "no tiers"),
        (document("a", TO, &fields("Colour")), 400, "MalformedXML", ""),
        (document("a", TO, ""), 400, "MalformedXML", ""),
        (document("a", TO, &DAILY.replace("Daily", "Hourly")), 400, "MalformedXML", ""),
        (document("a", &TO.replace("arn:aws:s3:::", ""), DAILY), 400, "InvalidArgument", "ARN of a bucket"),
        (document("a", &TO.replace("target", "absent"), DAILY), 400, "InvalidArgument", "does not exist"),
        (document("a", &TO.replace("target", "others"), DAILY), 400, "InvalidArgument", "not the account's"),
        (
            document("a", &format!("<AccountId>{OTHER_ACCOUNT}</AccountId>{TO}"), DAILY),
            400,
            "InvalidArgument",
            "not the account's",
        ),
    ] {
        let (got, got_code, text) = put(&world, &mut client, "a", &bad).await;
        assert!(got == status && got_code == code && text.contains(says), "{bad}: {text}");
    }
    let (status, code, _) = put(&world, &mut client, "", &document("", TO, DAILY)).await;
    assert_eq!((status, code.as_str()), (400, "InvalidArgument"));
    for who in [Who::Other, Who::Nobody] {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = ask(&world, &mut client, who, (method, "/bucket?inventory&id=a"), (&[], b"")).await;
            assert_eq!((answer.status, answer.code()), (403, "AccessDenied"), "{method} of {who:?}");
        }
    }
}
