//! The page that people read, docs/kms-actions.md, made of the table; and what has to hold of every row.

use super::SERVICE;
use crate::json::page::parameters;
use crate::json::{About, State};
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn page() -> String {
    let mut out = String::from(
        "# Actions, resources, condition keys and parameters of KMS\n\n\
         What policies name for each operation, and what it takes. Made of the rows in `gateway/web/src/kms`:\n\
         `FIRN_WRITE_DOCS=1 cargo test -p web the_page_of_kms` writes it. Tests walk it over the wire: each operation is denied by default\n\
         and by a Deny of its action.\n\n\
         A parameter with `?` may be left out. Lengths are of characters, or of bytes before base64. A key is named by its id, its ARN or, where\n\
         it is used, by an alias; what is no ARN is of the account that asks. The key's policy is the root of trust: it allows, or it hands on to\n\
         the account, whose own policies allow. *any key*: keys of other accounts too, by their ARN. *grant*: a grant can give it.\n\n\
         Conditions can ask, besides what any request has (docs/iam-actions.md), for `aws:ResourceTag/NAME`, `aws:RequestTag/NAME`, `aws:TagKeys`,\n",
    );
    let keys: Vec<String> = security::kms::CONDITION_KEYS.iter().map(|key| format!("`{key}`")).collect();
    let _infallible =
        writeln!(out, "{}. A key policy that asks for another key of KMS is refused.\n", keys.join(", "));
    out.push_str("| operation | actions | resource | grant | parameters |\n|---|---|---|---|---|\n");
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in SERVICE.rows() {
        if let State::Missing(why) = row.state {
            missing.entry(why).or_default().push(row.name);
            continue;
        }
        let about = match row.about {
            About::Account => "`*`",
            About::Key => "key",
            About::AnyKey => "any key",
            About::Alias => "alias, and key",
            About::Trail => unreachable!("of another service"),
        };
        let actions: Vec<String> = row.actions.iter().map(|action| format!("`{action}`")).collect();
        let grant = if row.granted { "yes" } else { "" };
        let _infallible = writeln!(
            out,
            "| {} | {} | {about} | {grant} | {} |",
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
fn the_page_of_kms_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kms-actions.md");
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
    assert_eq!((all, names.len()), (56, 56));
    assert_eq!(SERVICE.rows().filter(|row| matches!(row.state, State::Done(_))).count(), 45);
    for row in SERVICE.rows() {
        assert!(row.actions.iter().all(|action| action.starts_with("kms:")), "{}", row.name);
        let takes = |name: &str| row.parameters.iter().any(|param| param.name == name);
        let is_of_key = ["KeyId", "CiphertextBlob", "GrantToken"].into_iter().any(takes);
        let done = matches!(row.state, State::Done(_));
        assert!(!done || !matches!(row.about, About::Key | About::AnyKey) || is_of_key, "{}", row.name);
    }
}
