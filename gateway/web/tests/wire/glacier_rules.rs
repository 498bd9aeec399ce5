//! What decides about a vault and can't be read: a Deny that hangs on it holds all the same.

use crate::glacier_walk::Scene;
use crate::iam_world::Key;
use crate::world::ACCOUNT;
use engine::catalog::{Family, Table};

/// Rows of docs/formats/vault.md.
const SETTINGS: Table = Table { family: Family::Record, tag: 0x54 };
const ARCHIVES: Table = Table { family: Family::Record, tag: 0x55 };
const TAGS: u8 = 3;

/// A policy of the vault that denies deletions under a condition.
fn denying(condition: &str) -> String {
    let arn = format!("arn:aws:glacier:us-east-1:{ACCOUNT}:vaults/v");
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"s","Effect":"Deny","Principal":"*","Action":"glacier:DeleteArchive","Resource":"{arn}","Condition":{condition}}}]}}"#
    )
}

const YOUNG: &str = r#"{"NumericLessThan":{"glacier:ArchiveAgeInDays":"365"}}"#;
const HELD: &str = r#"{"StringEquals":{"glacier:ResourceTag/Hold":"yes"}}"#;

#[tokio::test]
async fn a_deny_holds_while_the_age_or_the_tags_that_it_hangs_on_can_not_be_read() {
    let mut scene = Scene::new().await;
    let root = Key::root();
    let tags = br#"{"Tags":{"Hold":"yes"}}"#;
    assert_eq!(scene.send(&root, "POST", "/-/vaults/v/tags?operation=add", tags).await.status, 204);
    let path = format!("/-/vaults/v/archives/{}", scene.archive(b"what is kept").await);
    for (condition, table, prefix) in [(YOUNG, ARCHIVES, &[][..]), (HELD, SETTINGS, &[TAGS][..])] {
        scene.set(&denying(condition)).await;
        let denied = scene.send(&root, "DELETE", &path, b"").await;
        assert_eq!(denied.status, 403, "{}", denied.text());
        // A row that fails once: what is done afterwards reads it well.
        for times in [1, usize::MAX] {
            scene.world.gate.torn.tear(table, prefix, times);
            let failed = scene.send(&root, "DELETE", &path, b"").await;
            assert_eq!(failed.status, 500, "{condition} {times}: {}", failed.text());
            assert!(!failed.text().contains("torn"), "{}", failed.text());
            let left = scene.world.gate.torn.mend();
            assert_eq!(left, times - 1, "the row was asked for");
        }
        let denied = scene.send(&root, "DELETE", &path, b"").await;
        assert_eq!(denied.status, 403, "the archive is there: {}", denied.text());
    }
    assert_eq!(scene.send(&root, "DELETE", "/-/vaults/v/access-policy", b"").await.status, 204);
    assert_eq!(scene.send(&root, "DELETE", &path, b"").await.status, 204, "it was there all the time");
}
