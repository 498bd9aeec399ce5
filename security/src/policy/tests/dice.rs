//! Random policies and requests, of few words so that they meet: the compiled evaluator answers as the literal one does.

use super::reference::{Case, Outcome, decide};
use crate::AccountId;
use crate::policy::{Asked, Caller, Form, GivenContext, Policy, Sources, evaluate};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use serde_json::{Map, Value, json};

const ACTIONS: [&str; 7] =
    ["s3:GetObject", "s3:PutObject", "s3:Get*", "S3:get?bject", "*", "s3:*", "kms:Decrypt"];
const ARNS: [&str; 9] = [
    "*",
    "arn:aws:s3:::bucket/*",
    "arn:aws:s3:::bucket/a",
    "arn:aws:s3:::*",
    "arn:aws:s3:*:*:bucket/?",
    "arn:*:s3:::bucket/${aws:username}",
    "arn:aws:s3:::bucket/${aws:userid, 'a'}*",
    "arn:aws:s3:::${s3:prefix}/*",
    "arn:aws:kms:::bucket/a",
];
const OWN: &str = "111122223333";
const OTHER: &str = "444455556666";
const PARTIES: [&str; 7] = [
    "*",
    OWN,
    "arn:aws:iam::111122223333:root",
    OTHER,
    "arn:aws:iam::111122223333:user/alice",
    "arn:aws:iam::111122223333:role/reader",
    "arn:aws:sts::111122223333:assumed-role/reader/s",
];
const TEXTS: [&str; 10] = [
    "a",
    "A",
    "al?ce",
    "alice",
    "b*",
    "${aws:username}",
    "${aws:userid, 'b'}",
    "Ünder",
    "${*}",
    "${aws:none}",
];
const KEYS: [&str; 7] = [
    "aws:username",
    "AWS:UserId",
    "aws:TagKeys",
    "s3:prefix",
    "aws:SourceIp",
    "aws:none",
    "aws:PrincipalArn",
];
const OPERATORS: [&str; 25] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "Null",
];

/// Throws of dice, from a list that shrinks well: 0 behind its end.
struct Dice<'a>(&'a [u8]);

impl Dice<'_> {
    fn below(&mut self, sides: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % sides
    }

    fn one<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len())]
    }

    /// One, or a list.
    fn some(&mut self, words: &[&str]) -> Value {
        match self.below(3) {
            0 => json!([self.one(words), self.one(words)]),
            1 => json!([self.one(words)]),
            _ => json!(self.one(words)),
        }
    }

    fn principal(&mut self) -> Value {
        match self.below(5) {
            0 => json!("*"),
            1 => json!({"CanonicalUser": OWN.parse::<AccountId>().unwrap().canonical_user_id()}),
            2 => json!({"AWS": self.some(&PARTIES), "Service": "logs.example"}),
            _ => json!({"AWS": self.some(&PARTIES)}),
        }
    }

    fn condition(&mut self) -> (String, Value) {
        let bare = self.one(&OPERATORS);
        let words: &[&str] = match bare {
            text if text.starts_with("String") => &TEXTS,
            text if text.starts_with("Numeric") || text.starts_with("Date") => &["0", "5", "10", "-3"],
            "Bool" | "Null" => &["true", "false"],
            "BinaryEquals" => &["YWxpY2U=", "YQ==", ""],
            "IpAddress" | "NotIpAddress" => &["10.0.0.0/8", "10.0.0.7", "192.168.0.0/16"],
            _ => &[
                "*",
                "arn:aws:iam::*:user/${aws:username}",
                "arn:aws:iam::111122223333:*",
                "arn:aws:iam:::x",
            ],
        };
        let keys: Map<String, Value> = [(self.one(&KEYS).to_owned(), self.some(words))].into_iter().collect();
        let set = if bare == "Null" { "" } else { self.one(&["", "", "ForAllValues:", "ForAnyValue:"]) };
        let if_exists = if bare == "Null" { "" } else { self.one(&["", "", "IfExists"]) };
        (format!("{set}{bare}{if_exists}"), keys.into())
    }

    fn statement(&mut self, form: Form) -> Value {
        let mut members = Map::new();
        let effect = self.one(&["Allow", "Allow", "Deny"]);
        members.insert("Effect".into(), effect.into());
        let negated = self.below(6) == 0;
        members.insert(if negated { "NotAction" } else { "Action" }.into(), self.some(&ACTIONS));
        let negated = self.below(6) == 0;
        members.insert(if negated { "NotResource" } else { "Resource" }.into(), self.some(&ARNS));
        if form == Form::Resource {
            let negated = effect == "Deny" && self.below(3) == 0;
            members.insert(if negated { "NotPrincipal" } else { "Principal" }.into(), self.principal());
        }
        let conditions: Map<_, _> = (0..[0, 0, 1, 2][self.below(4)]).map(|_| self.condition()).collect();
        if !conditions.is_empty() {
            members.insert("Condition".into(), conditions.into());
        }
        members.into()
    }

    fn policy(&mut self, form: Form) -> Value {
        let version = self.one(&["2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17"]);
        let statements: Vec<Value> = (0..=self.below(3)).map(|_| self.statement(form)).collect();
        json!({"Version": version, "Statement": statements})
    }

    fn maybe(&mut self, form: Form) -> Option<Value> {
        (self.below(3) == 0).then(|| self.policy(form))
    }

    fn context(&mut self) -> GivenContext {
        let mut context = GivenContext::default();
        for (key, words) in [
            ("aws:username", &["alice", "a", "b*"][..]),
            ("aws:userid", &["a", "10", "YQ=="]),
            ("s3:prefix", &["bucket", "5", "true", "Ünder"]),
            ("aws:sourceip", &["10.0.0.7", "10.9.9.9", "192.168.0.1", "8.8.8.8"]),
            ("aws:principalarn", &["arn:aws:iam::111122223333:user/alice", "arn:aws:iam:::x", "none"]),
        ] {
            if self.below(4) > 0 {
                context = context.with(key, [self.one(words)]);
            }
        }
        let tags: Vec<&str> = (0..self.below(3)).map(|_| self.one(&["a", "alice", "b", "5"])).collect();
        context.with("aws:tagkeys", tags)
    }
}

fn caller(throw: usize) -> Caller<'static> {
    let account = OWN.parse().unwrap();
    match throw {
        0 => Caller::Anonymous,
        1 => Caller::Root(account),
        2 => Caller::User { account, arn: "arn:aws:iam::111122223333:user/alice" },
        3 => Caller::Session {
            account,
            arn: "arn:aws:sts::111122223333:assumed-role/reader/s",
            role: "arn:aws:iam::111122223333:role/reader",
        },
        4 => Caller::Federated {
            account,
            arn: "arn:aws:sts::111122223333:federated-user/bob",
            user: "arn:aws:iam::111122223333:user/alice",
        },
        _ => Caller::Service("logs.example"),
    }
}

fn compile(policy: &Value, form: Form) -> Policy {
    Policy::parse(&policy.to_string(), form, 1 << 16).unwrap_or_else(|error| panic!("{error}: {policy}"))
}

/// Every outcome that random cases are to reach; checked by hand-made bytes below, so that the dice are known to be fair enough.
fn play(bytes: &[u8]) -> (Outcome, Outcome) {
    let mut dice = Dice(bytes);
    let caller = caller(dice.below(6));
    let owner: AccountId = dice.one(&[OWN, OWN, OTHER]).parse().unwrap();
    let action = dice.one(&["s3:GetObject", "s3:PutObject", "kms:Decrypt"]);
    let resource = dice.one(&["arn:aws:s3:::bucket/a", "arn:aws:s3:::bucket/b/c", "arn:aws:s3:::alice/x"]);
    let context = dice.context();
    let identity: Vec<Value> = (0..dice.below(3)).map(|_| dice.policy(Form::Identity)).collect();
    let (boundary, session) = (dice.maybe(Form::Identity), dice.maybe(Form::Identity));
    let of_resource = (dice.below(3) > 0).then(|| dice.policy(Form::Resource));
    let resource_decides = dice.below(4) == 0;

    let compiled: Vec<Policy> = identity.iter().map(|policy| compile(policy, Form::Identity)).collect();
    let refs: Vec<&Policy> = compiled.iter().collect();
    let of_boundary = boundary.as_ref().map(|policy| compile(policy, Form::Identity));
    let of_session = session.as_ref().map(|policy| compile(policy, Form::Identity));
    let session_refs: Option<Vec<&Policy>> = of_session.as_ref().map(|policy| vec![policy]);
    let compiled_resource = of_resource.as_ref().map(|policy| compile(policy, Form::Resource));
    let sources = Sources {
        identity: &refs,
        boundary: of_boundary.as_ref(),
        session: session_refs.as_deref(),
        resource: compiled_resource.as_ref(),
        owner: Some(owner),
        resource_decides,
    };
    let verdict = evaluate(&Asked { caller, action, resource, context: &context }, &sources);
    let case = Case {
        caller,
        action,
        resource,
        context: &context,
        identity: &identity,
        boundary: boundary.as_ref(),
        session: session.as_ref(),
        of_resource: of_resource.as_ref(),
        owner,
        resource_decides,
    };
    (verdict.into(), decide(&case))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_compiled_form_decides_as_the_document_says(bytes in proptest::collection::vec(any::<u8>(), 0..220)) {
        let (compiled, literal) = play(&bytes);
        prop_assert_eq!(compiled, literal);
    }

    #[test]
    fn no_text_ends_in_a_panic(text in "[\\[\\]{}\":,*?$ a-zA-Z0-9:'/-]{0,120}") {
        for form in [Form::Identity, Form::Resource, Form::Trust] {
            let _parsed = Policy::parse(&text, form, 1 << 16);
        }
        let document = json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": text, "Resource": text,
            "Condition": {"StringLike": {"aws:username": text}, "DateEquals": {"a:b": text}, "IpAddress": {"a:b": text}}}});
        let _parsed = Policy::parse(&document.to_string(), Form::Resource, 1 << 16);
    }
}

#[test]
fn the_dice_reach_every_outcome() {
    use crate::policy::Missing::{Boundary, Everywhere, Identity, Resource, Session};
    let mut reached = std::collections::HashMap::new();
    let mut state = 1_u64;
    for _ in 0..6_000 {
        let bytes: Vec<u8> = (0..220)
            .map(|_| {
                // SplitMix64, as published.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (mixed ^ (mixed >> 31)).to_le_bytes()[0]
            })
            .collect();
        let (compiled, literal) = play(&bytes);
        assert_eq!(compiled, literal, "{bytes:?}");
        *reached.entry(format!("{compiled:?}")).or_insert(0) += 1;
    }
    let not = |missing| format!("{:?}", Outcome::NotAllowed(missing));
    let wanted = [Everywhere, Identity, Resource, Boundary, Session].map(not);
    for outcome in wanted.into_iter().chain(["Allowed".to_owned(), "Denied".to_owned()]) {
        assert!(reached.get(&outcome).is_some_and(|count| *count >= 20), "{outcome}: {reached:?}");
    }
}
