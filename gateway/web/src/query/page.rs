//! The page that people read, docs/iam-actions.md, made of the tables; and what has to hold of every row.

use super::shape::{ENDLESS, Param, Shape};
use super::table::{About, Row, Service, State};
use crate::{iam, sts};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const SERVICES: [&Service; 2] = [&iam::SERVICE, &sts::SERVICE];

/// Keys that any request can have, those of who asks included.
const OF_ALL: [&str; 20] = [
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:FederatedProvider",
    "aws:MultiFactorAuthAge",
    "aws:MultiFactorAuthPresent",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalTag/NAME",
    "aws:PrincipalType",
    "aws:Referer",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:SecureTransport",
    "aws:SourceIdentity",
    "aws:SourceIp",
    "aws:TokenIssueTime",
    "aws:UserAgent",
    "aws:userid",
    "aws:username",
];

fn resource(row: &Row) -> String {
    let required = |name: &str| row.parameters.iter().any(|known| known.name == name && known.required);
    match row.about {
        About::Account => "`*`".to_owned(),
        About::All(kind) => format!("`{kind}/`"),
        About::New(kind, parameter) => format!("{kind} `Path` `{parameter}`"),
        About::Named("user", parameter) if !required(parameter) => format!("user `{parameter}`, or who asks"),
        About::Named(kind, parameter) => format!("{kind} `{parameter}`"),
        About::Policy(parameter) => format!("policy `{parameter}`"),
        About::Principal(parameter) => format!("user, group or role `{parameter}`"),
        About::KeysUser(parameter) => format!("user of `{parameter}`"),
        About::Federated(parameter) => {
            format!("federated user `{parameter}`; with tags `sts:TagSession` too")
        }
        About::Trust(parameter) => format!("role `{parameter}`, and its trust policy"),
        About::Device(parameter) => format!("mfa `{parameter}`"),
        About::NewProvider(parameter) => format!("oidc-provider `{parameter}`, without its scheme"),
        About::Provider(parameter) => format!("oidc-provider `{parameter}`"),
        About::OwnUser => "user that asks".to_owned(),
        About::Oneself => "nothing: no policy is asked".to_owned(),
    }
}

fn size(min: usize, max: usize) -> String {
    if max == ENDLESS { format!("{min} and more") } else { format!("{min} to {max}") }
}

/// What a shape is called, and all named ones in it.
fn shape(shape: &'static Shape, known: &mut BTreeMap<&'static str, String>) -> String {
    match shape {
        Shape::Flag => "true or false".to_owned(),
        Shape::Number { name, min, max } => {
            known.insert(name, format!("a number, {min} to {max}"));
            (*name).to_owned()
        }
        Shape::Choice { name, words } => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            known.insert(name, format!("one of {}", words.join(", ")));
            (*name).to_owned()
        }
        Shape::Text(text) => {
            let pattern = text.pattern.replace('|', "\\|");
            let of = if pattern.is_empty() { String::new() } else { format!(", <code>{pattern}</code>") };
            known.insert(text.name, format!("{} characters{of}", size(text.min, text.max)));
            text.name.to_owned()
        }
        Shape::List { of, min, max } => format!("{} of ({})", size(*min, *max), self::shape(of, known)),
        Shape::Structure(fields) => parameters(fields, known),
    }
}

fn parameters(all: &'static [Param], known: &mut BTreeMap<&'static str, String>) -> String {
    let one = |parameter: &'static Param| {
        let optional = if parameter.required { "" } else { "?" };
        format!("`{}`{optional} {}", parameter.name, shape(parameter.shape, known))
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn listed(names: &[&str]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable_by_key(|name| name.to_lowercase());
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn table(out: &mut String, service: &Service) {
    let mut known = BTreeMap::new();
    let title = service.name.to_uppercase();
    let _infallible = writeln!(out, "\n## {title}, {}\n", service.version);
    out.push_str(
        "| operation | action | resource | changes | pages | keys of its own | parameters | errors of its own |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in service.rows() {
        let Row { name, action, keys, errors, .. } = row;
        if let State::Missing(why) = row.state {
            missing.entry(why).or_default().push(name);
            continue;
        }
        let parameters = parameters(row.parameters, &mut known);
        let yes = |is: bool| if is { "yes" } else { "" };
        let (changes, pages, resource) = (yes(row.writes), yes(row.is_paged()), resource(row));
        let (keys, errors) = (listed(keys), listed(errors));
        let _infallible = writeln!(
            out,
            "| {name} | `{action}` | {resource} | {changes} | {pages} | {keys} | {parameters} | {errors} |"
        );
    }
    let _infallible = writeln!(out, "\nShapes of {title}:\n\n| shape | what it takes |\n|---|---|");
    for (name, takes) in known {
        let _infallible = writeln!(out, "| {name} | {takes} |");
    }
    let _infallible =
        writeln!(out, "\nAnswered with `NotImplemented`:\n\n| operations of {title} | because |\n|---|---|");
    for (why, mut names) in missing {
        names.sort_unstable();
        let _infallible = writeln!(out, "| {} | {why} |", names.join(", "));
    }
}

fn page() -> String {
    let mut out = String::from(
        "# Actions, resources, condition keys and parameters of IAM and STS\n\n\
         What policies name for each operation, and what it takes. Made of the rows in `gateway/web/src/iam` and `gateway/web/src/sts`:\n\
         `FIRN_WRITE_DOCS=1 cargo test -p web the_page_of_iam` writes it. Tests walk it over the wire: each operation is denied by default, by\n\
         a Deny of its action, and let pass by an Allow of it; `tests/e2e/test_iam_model.py` compares it with the SDK's model, so that a newer\n\
         one shows what is missing.\n\n\
         A parameter with `?` may be left out. Lengths are of characters. What an operation has no parameter for is refused with\n\
         `InvalidQueryParameter`. Resources are ARNs of the account that asks: `arn:aws:iam::ACCOUNT:user/PATH/NAME`; renaming asks for the\n\
         new one, too. Every operation may answer with the codes of \"Common errors\" of the API references besides its own.\n\n\
         Any request can have: ",
    );
    let _infallible = writeln!(out, "{}.", listed(&OF_ALL));
    for service in SERVICES {
        table(&mut out, service);
    }
    out
}

#[test]
fn the_page_of_iam_is_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/iam-actions.md");
    if std::env::var_os("FIRN_WRITE_DOCS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), page(), "run it with FIRN_WRITE_DOCS=1");
}

#[test]
fn every_operation_has_one_row_and_each_row_finds_what_it_is_about() {
    for (service, operations, done) in [(&iam::SERVICE, 180, 117), (&sts::SERVICE, 12, 7)] {
        let mut names: Vec<&str> = service.rows().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), operations, "{}", service.name);
        assert_eq!(service.rows().filter(|row| matches!(row.state, State::Done(_))).count(), done);
        for row in service.rows() {
            assert_eq!(row.action, format!("{}:{}", service.name, row.name));
            assert_eq!(row.elements, [format!("{}Response", row.name), format!("{}Result", row.name)]);
            let required = |name: &str| row.parameters.iter().find(|known| known.name == name);
            match row.about {
                // The user that asks stands in for one that is not named.
                About::Named("user", name) => drop(required(name).unwrap()),
                About::New(_, name)
                | About::Named(_, name)
                | About::Trust(name)
                | About::Policy(name)
                | About::KeysUser(name)
                | About::Principal(name)
                | About::Device(name)
                | About::NewProvider(name)
                | About::Provider(name)
                | About::Federated(name) => {
                    assert!(required(name).unwrap().required, "{}", row.name);
                }
                About::Account | About::All(_) | About::OwnUser | About::Oneself => {}
            }
            let reads = ["Get", "List", "Simulate"].iter().any(|verb| row.name.starts_with(verb));
            let session = ["GetSessionToken", "GetFederationToken"].contains(&row.name);
            if matches!(row.state, State::Done(_)) {
                assert_eq!(row.writes, !reads || session, "{}", row.name);
            }
        }
    }
}
