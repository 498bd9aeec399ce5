//! The credential report: a line for each user, made every four hours at the most.

use super::devices::enable;
use super::{Bench, other, own};
use crate::identity::{Code, KeyOwner, KeyStatus, PasswordPolicy};
use std::time::Duration;

/// The fields of a line. No name here has a comma but one.
fn fields<'a>(report: &'a str, user: &str) -> Vec<&'a str> {
    let line = report.lines().find(|line| line.starts_with(&format!("{user},"))).unwrap();
    line.split(',').collect()
}

#[tokio::test]
async fn a_report_has_a_line_for_the_root_and_each_user_and_is_made_every_four_hours() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    assert_eq!(ids.credential_report(own()).await.unwrap_err().code, Code::ReportNotPresent);
    for name in ["plain", "whole", "a,b"] {
        bench.user(name).await;
    }
    let policy = PasswordPolicy { age_max_days: Some(10), ..PasswordPolicy::default() };
    ids.set_password_policy(own(), policy).await.unwrap();
    ids.create_login(own(), "whole", "password-1", false).await.unwrap();
    enable(&bench, "whole", "phone").await;
    let first = bench.key("whole").await;
    bench.clock.advance(Duration::from_secs(10));
    bench.key("whole").await;
    ids.update_access_key(own(), KeyOwner::User("whole"), first.as_str(), KeyStatus::Inactive).await.unwrap();
    assert!(ids.make_credential_report(own()).await.unwrap());
    let report = ids.credential_report(own()).await.unwrap();
    let text = &*report.content;
    let columns = text.lines().next().unwrap().split(',').count();
    assert_eq!((columns, text.lines().count()), (22, 5));
    let whole = fields(text, "whole");
    assert_eq!(whole.len(), 22);
    let at = |secs: i64| format!("2023-11-14T22:13:{}+00:00", 20 + secs);
    assert_eq!(whole[1..3], ["arn:aws:iam::111122223333:user/whole", at(0).as_str()]);
    assert_eq!(whole[3..8], ["true", "no_information", at(0).as_str(), "2023-11-24T22:13:20+00:00", "true"]);
    assert_eq!(whole[8..13], ["false", at(0).as_str(), "N/A", "N/A", "N/A"]);
    assert_eq!(whole[13..15], ["true", at(10).as_str()]);
    let plain = fields(text, "plain");
    assert_eq!(
        plain[3..14],
        ["false", "N/A", "N/A", "N/A", "false", "false", "N/A", "N/A", "N/A", "N/A", "false"]
    );
    assert_eq!(fields(text, "<root_account>")[7..10], ["false", "true", "N/A"], "the key of the file");
    assert!(text.contains("\n\"a,b\",\"arn:aws:iam::111122223333:user/a,b\","), "{text}");
    // Not anew within four hours, whatever has changed, and of this account alone.
    bench.user("later").await;
    bench.clock.advance(Duration::from_secs(4 * 3600 - 1));
    assert!(!ids.make_credential_report(own()).await.unwrap());
    assert_eq!(ids.credential_report(own()).await.unwrap(), report);
    assert_eq!(ids.credential_report(other()).await.unwrap_err().code, Code::ReportNotPresent);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(ids.credential_report(own()).await.unwrap_err().code, Code::ReportExpired);
    assert!(ids.make_credential_report(own()).await.unwrap());
    let anew = ids.credential_report(own()).await.unwrap();
    assert!(anew.content.contains("\nlater,") && anew.generated > report.generated);
}
