//! The page that people read, docs/cloudtrail-actions.md, made of the table; and what has to hold of every row.

use super::SERVICE;
use crate::json::page::parameters;
use crate::json::{About, State};
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn page() -> String {
    let mut out = String::from(
        "# Actions, resources and parameters of CloudTrail\n\n\
         What policies name for each operation, and what it takes. Made of the rows in `gateway/web/src/cloudtrail`:\n\
         `FIRN_WRITE_DOCS=1 cargo test -p web the_page_of_cloudtrail` writes it. Tests walk it over the wire: each operation is denied by\n\
         default.\n\n\
         A parameter with `?` may be left out. A trail is named by its name or its ARN, and is one of the account that asks: its policies decide,\n\
         over `arn:aws:cloudtrail:REGION:ACCOUNT:trail/NAME`. The bucket's policy decides whether a trail may write there (docs/semantics.md).\n\n\
         | operation | actions | resource | parameters |\n|---|---|---|---|\n",
    );
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in SERVICE.rows() {
        if let State::Missing(why) = row.state {
            missing.entry(why).or_default().push(row.name);
            continue;
        }
        let about = if row.about == About::Trail { "trail" } else { "`*`" };
        let actions: Vec<String> = row.actions.iter().map(|action| format!("`{action}`")).collect();
        let _infallible = writeln!(
            out,
            "| {} | {} | {about} | {} |",
            row.name,
            actions.join(", "),
            parameters(row.parameters)
        );
    }
    out.push_str("\nAnswered with `UnsupportedOperationException`:\n\n| operations | because |\n|---|---|\n");
    for (why, mut names) in missing {
        names.sort_unstable();
        let _infallible = writeln!(out, "| {} | {why} |", names.join(", "));
    }
    out
}

#[test]
fn the_page_of_cloudtrail_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cloudtrail-actions.md");
    if std::env::var_os("FIRN_WRITE_DOCS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), page(), "run it with FIRN_WRITE_DOCS=1");
}

#[test]
fn every_operation_of_the_model_has_one_row() {
    let mut names: Vec<&str> = SERVICE.rows().map(|row| row.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!((all, names.len()), (60, 60));
    assert_eq!(SERVICE.rows().filter(|row| matches!(row.state, State::Done(_))).count(), 16);
}
