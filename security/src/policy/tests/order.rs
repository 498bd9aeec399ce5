//! AWS's order of evaluation, case by case. Sources: those that `evaluate` names.

use crate::AccountId;
use crate::policy::{
    Asked, Caller, Context, Form, GivenContext, KEY_STEPS, Layer, Missing, NoContext, Policy, Purse,
    REQUEST_STEPS_MAX, STEPS_MAX, Sources, StatementRef, Verdict, evaluate,
};
use std::sync::atomic::{AtomicUsize, Ordering};

const OBJECT: &str = "arn:aws:s3:::bucket/key";
const USER: &str = "arn:aws:iam::111122223333:user/alice";
const ROLE: &str = "arn:aws:iam::111122223333:role/reader";
const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/reader/s";

fn own() -> AccountId {
    "111122223333".parse().unwrap()
}

fn other() -> AccountId {
    "444455556666".parse().unwrap()
}

fn identity(text: &str) -> Policy {
    Policy::parse(text, Form::Identity, 1 << 14).unwrap()
}

/// A resource policy of one statement for `principal`.
fn shares(effect: &str, principal: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Principal":{{"AWS":"{principal}"}},"Action":"s3:*",
        "Resource":"*"}}}}"#
    );
    Policy::parse(&text, Form::Resource, 1 << 14).unwrap()
}

fn reads() -> Policy {
    identity(r#"{"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}"#)
}

fn writes() -> Policy {
    identity(r#"{"Statement":{"Effect":"Allow","Action":"s3:Put*","Resource":"*"}}"#)
}

fn denies() -> Policy {
    identity(
        r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:GetObject","Resource":"*"}]}"#,
    )
}

fn user() -> Caller<'static> {
    Caller::User { account: own(), arn: USER }
}

fn session() -> Caller<'static> {
    Caller::Session { account: own(), arn: SESSION, role: ROLE }
}

fn get(caller: Caller<'_>, sources: Sources<'_>) -> Verdict {
    let asked = Asked { caller, action: "s3:GetObject", resource: OBJECT, context: &NoContext };
    evaluate(&asked, &sources)
}

fn at(layer: Layer, index: usize) -> StatementRef {
    StatementRef { layer, index }
}

#[test]
fn a_deny_anywhere_is_the_end() {
    let (reads, denies, shared, shut) = (reads(), denies(), shares("Allow", "*"), shares("Deny", "*"));
    let owner = Some(own());
    let open = Sources { identity: &[&reads], resource: Some(&shared), owner, ..Sources::default() };
    assert!(get(user(), open).is_allowed());
    assert_eq!(
        get(user(), Sources { identity: &[&reads, &denies], ..open }),
        Verdict::Denied(at(Layer::Identity(1), 1))
    );
    assert_eq!(
        get(user(), Sources { boundary: Some(&denies), ..open }),
        Verdict::Denied(at(Layer::Boundary, 1))
    );
    assert_eq!(
        get(user(), Sources { session: Some(&[&denies]), ..open }),
        Verdict::Denied(at(Layer::Session(0), 1))
    );
    assert_eq!(
        get(user(), Sources { resource: Some(&shut), ..open }),
        Verdict::Denied(at(Layer::Resource, 0))
    );
    assert!(get(Caller::Root(own()), Sources { resource: Some(&shut), ..open }).is_denied(), "root too");
}

#[test]
fn in_one_account_the_identity_or_the_resource_allows() {
    let (reads, writes) = (reads(), writes());
    let owner = Some(own());
    for (policies, resource, expected) in [
        (&[][..], None, Verdict::NotAllowed(Missing::Everywhere)),
        (&[&writes][..], None, Verdict::NotAllowed(Missing::Everywhere)),
        (&[&writes, &reads][..], None, Verdict::Allowed(at(Layer::Identity(1), 0))),
        (&[][..], Some(shares("Allow", USER)), Verdict::Allowed(at(Layer::Resource, 0))),
        (&[][..], Some(shares("Allow", "*")), Verdict::Allowed(at(Layer::Resource, 0))),
        (&[][..], Some(shares("Allow", "111122223333")), Verdict::NotAllowed(Missing::Identity)),
        (&[&reads][..], Some(shares("Allow", "111122223333")), Verdict::Allowed(at(Layer::Identity(0), 0))),
        (&[][..], Some(shares("Allow", "444455556666")), Verdict::NotAllowed(Missing::Everywhere)),
    ] {
        let sources =
            Sources { identity: policies, resource: resource.as_ref(), owner, ..Sources::default() };
        assert_eq!(get(user(), sources), expected);
    }
    let root = get(Caller::Root(own()), Sources { owner, ..Sources::default() });
    assert_eq!(root, Verdict::AllowedAsRoot);
}

#[test]
fn boundaries_and_sessions_bound_but_not_what_a_resource_gives_to_the_caller_itself() {
    let (reads, writes) = (reads(), writes());
    let (to_user, to_role, to_session) =
        (shares("Allow", USER), shares("Allow", ROLE), shares("Allow", SESSION));
    let owner = Some(own());
    let base = Sources { owner, ..Sources::default() };
    let boundary = Verdict::NotAllowed(Missing::Boundary);
    let bound = Sources { identity: &[&reads], boundary: Some(&writes), ..base };
    assert_eq!(get(user(), bound), boundary);
    assert!(get(user(), Sources { boundary: Some(&reads), ..bound }).is_allowed());
    assert!(get(user(), Sources { resource: Some(&to_user), ..bound }).is_allowed(), "it names the user");
    assert_eq!(get(session(), Sources { resource: Some(&to_role), ..bound }), boundary, "it names the role");
    assert!(get(session(), Sources { resource: Some(&to_session), ..bound }).is_allowed());
    let within = Sources { session: Some(&[&writes]), ..base };
    let missing = Verdict::NotAllowed(Missing::Session);
    assert_eq!(get(session(), Sources { identity: &[&reads], ..within }), missing);
    assert_eq!(get(session(), Sources { resource: Some(&to_role), ..within }), missing);
    assert!(get(session(), Sources { resource: Some(&to_session), ..within }).is_allowed());
    let open = Sources { session: Some(&[&writes, &reads]), resource: Some(&to_role), ..base };
    assert_eq!(get(session(), open), Verdict::Allowed(at(Layer::Resource, 0)), "without an identity policy");
    let federated =
        Caller::Federated { account: own(), arn: "arn:aws:sts::111122223333:federated-user/bob", user: USER };
    assert_eq!(get(federated, Sources { resource: Some(&to_user), ..within }), missing);
    let itself = shares("Allow", "arn:aws:sts::111122223333:federated-user/bob");
    assert!(get(federated, Sources { resource: Some(&itself), ..within }).is_allowed());
}

/// "Permissions boundaries and session policies do not limit permissions granted using the `aws:PrincipalArn` condition key with a wildcard(*)
/// in the Principal element": `…_policy-eval-basics` and, of IAM role principals, `reference_policies_elements_principal`.
#[test]
fn what_everybody_gets_by_a_condition_on_the_role_is_bounded_by_a_deny_alone() {
    let (writes, denies) = (writes(), denies());
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*",
        "Condition":{{"ArnEquals":{{"aws:PrincipalArn":"{ROLE}"}}}}}}}}"#
    );
    let narrowed = Policy::parse(&text, Form::Resource, 1 << 14).unwrap();
    let ask = |arn: &str, boundary, session: Option<&Policy>| {
        let session = session.map(|policy| [policy]);
        let session = session.as_ref().map(|policies| &policies[..]);
        let context = GivenContext::default().with("aws:PrincipalArn", [arn]);
        let asked =
            Asked { caller: self::session(), action: "s3:GetObject", resource: OBJECT, context: &context };
        let sources = Sources {
            resource: Some(&narrowed),
            owner: Some(own()),
            boundary,
            session,
            ..Sources::default()
        };
        evaluate(&asked, &sources)
    };
    assert!(ask(ROLE, Some(&writes), Some(&writes)).is_allowed());
    assert!(!ask(SESSION, None, None).is_allowed(), "the key is the role's");
    assert!(ask(ROLE, Some(&denies), None).is_denied());
    assert!(ask(ROLE, None, Some(&denies)).is_denied());
}

#[test]
fn a_federated_user_whose_session_has_no_policy_may_what_names_it_alone() {
    let federated =
        Caller::Federated { account: own(), arn: "arn:aws:sts::111122223333:federated-user/bob", user: USER };
    let (reads, writes) = (reads(), writes());
    let itself = shares("Allow", "arn:aws:sts::111122223333:federated-user/bob");
    let (maker, account) = (shares("Allow", USER), shares("Allow", "111122223333"));
    let missing = Verdict::NotAllowed(Missing::Session);
    let base = Sources { identity: &[&reads], owner: Some(own()), ..Sources::default() };
    assert_eq!(get(federated, base), missing);
    assert!(get(session(), base).is_allowed(), "a role's may all that the role may");
    for resource in [&maker, &account] {
        assert_eq!(get(federated, Sources { resource: Some(resource), ..base }), missing);
    }
    assert!(get(federated, Sources { resource: Some(&itself), ..base }).is_allowed());
    let abroad = Sources { owner: Some(other()), resource: Some(&itself), ..base };
    assert_eq!(get(federated, abroad), missing, "there both sides allow");
    for (policies, expected) in [(&[&reads][..], None), (&[&writes], Some(missing)), (&[], Some(missing))] {
        let verdict = get(federated, Sources { session: Some(policies), ..base });
        assert_eq!(Some(verdict).filter(|verdict| !verdict.is_allowed()), expected);
    }
}

#[test]
fn across_accounts_both_sides_allow() {
    let (reads, writes, to_user, to_account) =
        (reads(), writes(), shares("Allow", USER), shares("Allow", "111122223333"));
    let base = Sources { owner: Some(other()), ..Sources::default() };
    for (policies, resource, expected) in [
        (&[&reads][..], None, Some(Missing::Resource)),
        (&[][..], Some(&to_user), Some(Missing::Identity)),
        (&[][..], Some(&to_account), Some(Missing::Identity)),
        (&[&reads][..], Some(&to_user), None),
        (&[&reads][..], Some(&to_account), None),
    ] {
        let verdict = get(user(), Sources { identity: policies, resource, ..base });
        assert_eq!(verdict, expected.map_or(Verdict::Allowed(at(Layer::Resource, 0)), Verdict::NotAllowed));
    }
    let bound = Sources { identity: &[&reads], resource: Some(&to_user), boundary: Some(&writes), ..base };
    assert_eq!(get(user(), bound), Verdict::NotAllowed(Missing::Boundary), "whomever the resource names");
    let root = Caller::Root(own());
    assert_eq!(get(root, base), Verdict::NotAllowed(Missing::Resource));
    assert!(get(root, Sources { resource: Some(&to_account), ..base }).is_allowed());
    let anonymous = |policy| get(Caller::Anonymous, Sources { resource: Some(policy), ..base });
    assert_eq!(anonymous(&to_account), Verdict::NotAllowed(Missing::Resource));
    assert!(anonymous(&shares("Allow", "*")).is_allowed());
}

#[test]
fn where_the_resource_decides_it_allows_or_hands_on() {
    fn ask(caller: Caller<'_>, identity: &[&Policy], resource: Option<&Policy>) -> Verdict {
        let base = Sources { owner: Some(own()), resource_decides: true, ..Sources::default() };
        get(caller, Sources { identity, resource, ..base })
    }
    let reads = reads();
    let (to_account, to_user, to_other) =
        (shares("Allow", "111122223333"), shares("Allow", USER), shares("Allow", "444455556666"));
    assert_eq!(ask(user(), &[&reads], None), Verdict::NotAllowed(Missing::Resource));
    assert_eq!(ask(user(), &[&reads], Some(&to_other)), Verdict::NotAllowed(Missing::Resource));
    assert_eq!(ask(user(), &[], Some(&to_account)), Verdict::NotAllowed(Missing::Identity));
    assert!(ask(user(), &[&reads], Some(&to_account)).is_allowed());
    assert!(ask(user(), &[], Some(&to_user)).is_allowed());
    let root = Caller::Root(own());
    assert_eq!(
        ask(root, &[], Some(&to_user)),
        Verdict::NotAllowed(Missing::Resource),
        "root of the account is none"
    );
    assert!(ask(root, &[], Some(&to_account)).is_allowed());
}

/// The tables of "Condition operators" and "Set operators" in the IAM user guide, and of what is said there of absent keys.
#[test]
fn conditions_hold_as_aws_documents_them() {
    let one = |key: &str, value: &str| GivenContext::default().with(key, [value]);
    let none = GivenContext::default();
    for (condition, context, expected) in [
        (r#""StringEquals":{"aws:username":["alice","bob"]}"#, one("aws:username", "bob"), true),
        (r#""StringEquals":{"aws:username":"alice"}"#, one("aws:username", "Alice"), false),
        (r#""StringEquals":{"aws:username":"al*"}"#, one("aws:username", "alice"), false),
        (r#""StringEqualsIgnoreCase":{"aws:username":"ALICE"}"#, one("aws:username", "alice"), true),
        // A sigma that ends a word is one.
        (r#""StringEqualsIgnoreCase":{"aws:username":"ΟΔΟΣ"}"#, one("aws:username", "ΟΔΟΣ"), true),
        (r#""StringNotEqualsIgnoreCase":{"aws:username":"ΟΔΟΣ"}"#, one("aws:username", "οδοσ"), false),
        (
            r#""StringLike":{"s3:prefix":["","home/","home/${aws:username}/*"]}"#,
            one("s3:prefix", "home/"),
            true,
        ),
        (r#""StringNotEquals":{"aws:username":["alice","bob"]}"#, one("aws:username", "bob"), false),
        (r#""StringNotEquals":{"aws:username":["alice","bob"]}"#, one("aws:username", "carol"), true),
        (r#""StringNotLike":{"aws:username":"b*"}"#, one("aws:username", "bob"), false),
        (r#""NumericLessThanEquals":{"s3:max-keys":"10"}"#, one("s3:max-keys", "10"), true),
        (r#""NumericLessThanEquals":{"s3:max-keys":"10"}"#, one("s3:max-keys", "9.5"), true),
        (r#""NumericLessThanEquals":{"s3:max-keys":"10"}"#, one("s3:max-keys", "11"), false),
        (r#""NumericLessThan":{"s3:max-keys":"10"}"#, one("s3:max-keys", "many"), false),
        (
            r#""DateLessThan":{"aws:CurrentTime":"2026-12-01T00:00:00Z"}"#,
            one("aws:CurrentTime", "2026-11-29T08:00:00Z"),
            true,
        ),
        (
            r#""DateGreaterThan":{"aws:CurrentTime":"2026-12-01"}"#,
            one("aws:CurrentTime", "2026-11-29T08:00:00Z"),
            false,
        ),
        (r#""Bool":{"aws:SecureTransport":"false"}"#, one("aws:SecureTransport", "false"), true),
        (r#""Bool":{"aws:SecureTransport":"false"}"#, none.clone(), false),
        (r#""BinaryEquals":{"a:key":"QmluYXJ5"}"#, one("a:key", "QmluYXJ5"), true),
        (
            r#""IpAddress":{"aws:SourceIp":["203.0.113.0/24","2001:DB8:1234:5678::/64"]}"#,
            one("aws:SourceIp", "203.0.113.9"),
            true,
        ),
        (
            r#""IpAddress":{"aws:SourceIp":"2001:DB8:1234:5678::/64"}"#,
            one("aws:SourceIp", "2001:db8:1234:5678::1"),
            true,
        ),
        (r#""NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}"#, one("aws:SourceIp", "203.0.113.9"), false),
        (
            r#""ArnEquals":{"aws:SourceArn":"arn:aws:sns:*:*:topic"}"#,
            one("aws:SourceArn", "arn:aws:sns:eu:1:topic"),
            true,
        ),
        (
            r#""ArnLike":{"aws:SourceArn":"arn:aws:sns:*:topic:*"}"#,
            one("aws:SourceArn", "arn:aws:sns:eu:1:topic"),
            false,
        ),
        (
            r#""ArnNotLike":{"aws:SourceArn":"arn:aws:sns:*:*:*"}"#,
            one("aws:SourceArn", "arn:aws:s3:::b"),
            true,
        ),
        (r#""Null":{"aws:TokenIssueTime":"true"}"#, none.clone(), true),
        (r#""Null":{"aws:TokenIssueTime":"true"}"#, one("aws:TokenIssueTime", "x"), false),
        (r#""Null":{"aws:TokenIssueTime":"false"}"#, one("aws:TokenIssueTime", "x"), true),
    ] {
        assert_eq!(holds("Allow", condition, &context), expected, "{condition} {context:?}");
    }
}

#[test]
fn absent_keys_and_sets_of_values_are_as_aws_documents_them() {
    let tags = |values: &[&str]| GivenContext::default().with("aws:TagKeys", values.to_vec());
    let one = |key: &str, value: &str| GivenContext::default().with(key, [value]);
    let none = GivenContext::default();
    for (condition, context, expected) in [
        // Keys that the request has not.
        (r#""StringEquals":{"aws:username":"alice"}"#, none.clone(), false),
        (r#""StringNotEquals":{"aws:username":"alice"}"#, none.clone(), true),
        (r#""StringEqualsIfExists":{"aws:username":"alice"}"#, none.clone(), true),
        (r#""StringEqualsIfExists":{"aws:username":"alice"}"#, one("aws:username", "bob"), false),
        (r#""ForAllValues:StringEquals":{"aws:TagKeys":"a"}"#, none.clone(), true),
        (r#""ForAnyValue:StringEquals":{"aws:TagKeys":"a"}"#, none.clone(), false),
        (r#""ForAnyValue:StringNotEquals":{"aws:TagKeys":"a"}"#, none.clone(), false),
        // Sets.
        (r#""ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}"#, tags(&["a", "b"]), true),
        (r#""ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}"#, tags(&["a", "c"]), false),
        (r#""ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}"#, tags(&["c", "b"]), true),
        (r#""ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}"#, tags(&["c", "d"]), false),
        (r#""ForAllValues:StringNotEquals":{"aws:TagKeys":["a"]}"#, tags(&["b", "c"]), true),
        (r#""ForAllValues:StringNotEquals":{"aws:TagKeys":["a"]}"#, tags(&["b", "a"]), false),
        (r#""ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}"#, tags(&["b", "a"]), true),
        // All operators and all keys at once.
        (
            r#""StringEquals":{"aws:username":"alice","s3:prefix":"x"},"Bool":{"aws:SecureTransport":"true"}"#,
            one("aws:username", "alice").with("s3:prefix", ["x"]).with("aws:SecureTransport", ["true"]),
            true,
        ),
        (
            r#""StringEquals":{"aws:username":"alice","s3:prefix":"x"},"Bool":{"aws:SecureTransport":"true"}"#,
            one("aws:username", "alice").with("s3:prefix", ["y"]).with("aws:SecureTransport", ["true"]),
            false,
        ),
    ] {
        assert_eq!(holds("Allow", condition, &context), expected, "{condition} {context:?}");
    }
}

fn holds(effect: &str, condition: &str, context: &dyn Context) -> bool {
    let policy = identity(&format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{{{condition}}}}}]}}"#
    ));
    let sources = Sources { identity: &[&policy], owner: Some(own()), ..Sources::default() };
    let asked = Asked { caller: user(), action: "s3:GetObject", resource: OBJECT, context };
    let verdict = evaluate(&asked, &sources);
    verdict.is_allowed() || verdict.is_denied()
}

#[test]
fn no_allow_comes_of_a_variable_without_a_value() {
    let known = GivenContext::default().with("s3:prefix", ["x"]);
    let condition = r#""StringNotEquals":{"s3:prefix":"${aws:username}"}"#;
    assert!(!holds("Allow", condition, &known) && holds("Deny", condition, &known));
    let default = r#""StringNotEquals":{"s3:prefix":"${aws:username, 'nobody'}"}"#;
    assert!(holds("Allow", default, &known));
    let beside = |effect: &str, context: &dyn Context| {
        let policy = identity(&format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"*","NotResource":
            "arn:aws:s3:::bucket/${{aws:username}}"}}}}"#
        ));
        let sources = Sources { identity: &[&policy], owner: Some(own()), ..Sources::default() };
        evaluate(&Asked { caller: user(), action: "s3:GetObject", resource: OBJECT, context }, &sources)
    };
    assert!(!beside("Allow", &known).is_allowed() && beside("Deny", &known).is_denied());
    let named = GivenContext::default().with("aws:username", ["alice"]);
    assert!(beside("Allow", &named).is_allowed());
}

#[test]
fn a_policy_is_public_unless_every_allow_for_everybody_is_narrowed() {
    let public = |principal: &str, condition: &str| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{principal},"Action":"s3:GetObject",
            "Resource":"*","Condition":{condition}}}}}"#
        );
        Policy::parse(&text, Form::Resource, 1 << 14).unwrap().is_public()
    };
    for (condition, expected) in [
        ("{}", true),
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","0.0.0.0/0"]}}"#, true),
        (r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}}"#, true),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, true),
        (r#"{"IpAddressIfExists":{"aws:SourceIp":"10.0.0.0/8"}}"#, true),
        (r#"{"StringEquals":{"aws:SourceVpc":"vpc-91237329"}}"#, false),
        (r#"{"StringLike":{"aws:SourceVpc":"vpc-*"}}"#, true),
        (r#"{"StringEquals":{"aws:SourceAccount":"${aws:username}"}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"aws:SourceVpc":"vpc-91237329"}}"#, true),
        (r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:eu:1:t"}}"#, false),
        (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:*"}}"#, true),
        (r#"{"StringLike":{"aws:Referer":"https://example.com/"}}"#, true),
        (r#"{"StringEquals":{"aws:userid":"AIDAEXAMPLE"}}"#, false),
        (r#"{"StringEquals":{"aws:userid":"AROAEXAMPLE:anybody"}}"#, true),
        (r#"{"StringEquals":{"aws:userid":["AIDAEXAMPLE","anonymous"]}}"#, true),
        (r#"{"StringEqualsIgnoreCase":{"aws:userid":"Anonymous"}}"#, true),
        (r#"{"Null":{"aws:SourceVpc":"false"}}"#, true),
    ] {
        assert_eq!(public(r#"{"AWS":"*"}"#, condition), expected, "{condition}");
        assert_eq!(public(r#""*""#, condition), expected, "{condition}");
        assert!(!public(r#"{"AWS":"111122223333"}"#, condition), "{condition}");
    }
    assert!(public(r#"{"AWS":["111122223333","*"]}"#, "{}"));
    let deny = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}}"#;
    assert!(!Policy::parse(deny, Form::Resource, 1 << 14).unwrap().is_public());
}

/// A text that is long enough to make each comparison dear.
struct Long(String);

impl Context for Long {
    fn visit(&self, _key: &str, each: &mut dyn FnMut(&str)) {
        each(&self.0);
    }
}

#[test]
fn what_costs_too_much_is_denied() {
    let pattern = |at: usize| format!(r#""*a?{at:03}*""#);
    let document = |patterns: usize| {
        let list: Vec<String> = (0..patterns).map(pattern).collect();
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*",
            "Condition":{{"StringNotLike":{{"aws:Referer":[{}]}}}}}}}}"#,
            list.join(",")
        );
        Policy::parse(&text, Form::Resource, 1 << 16).unwrap()
    };
    let ask = |policy: &Policy, length: usize| {
        let context = Long("b".repeat(length));
        let caller = Caller::Root(other());
        let asked = Asked { caller, action: "s3:GetObject", resource: OBJECT, context: &context };
        evaluate(&asked, &Sources { resource: Some(policy), ..Sources::default() })
    };
    assert!(ask(&document(100), 1_024).is_allowed(), "of the length of keys");
    let verdict = ask(&document(900), 16 << 10);
    assert_eq!(verdict, Verdict::TooCostly);
    assert!(verdict.is_denied() && !verdict.is_allowed());
}

#[test]
fn what_can_not_be_compared_allows_nothing_and_escapes_no_denial() {
    let ask = |effect: &str, condition: &str, value: &str| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"s3:Put*","Resource":"*"}},
            {{"Effect":"{effect}","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":{condition}}}]}}"#
        );
        let policy = Policy::parse(&text, Form::Resource, 1 << 14).unwrap();
        let context = GivenContext::default().with("aws:x", [value]);
        let caller = Caller::Root(other());
        let asked = Asked { caller, action: "s3:GetObject", resource: OBJECT, context: &context };
        evaluate(&asked, &Sources { resource: Some(&policy), ..Sources::default() })
    };
    for (condition, unreadable) in [
        (r#"{"NumericNotEquals":{"aws:x":"1"}}"#, "one"),
        (r#"{"DateNotEquals":{"aws:x":"2026-01-01"}}"#, "soon"),
        (r#"{"NotIpAddress":{"aws:x":"10.0.0.0/8"}}"#, "host"),
        (r#"{"ArnNotLike":{"aws:x":"arn:aws:s3:::*"}}"#, "bucket"),
    ] {
        assert!(!ask("Allow", condition, unreadable).is_allowed(), "{condition}");
        assert!(ask("Deny", condition, unreadable).is_denied(), "{condition}");
    }
    assert!(!ask("Allow", r#"{"ArnNotLike":{"aws:x":"*"}}"#, "bucket").is_allowed(), "all are of this form");
    assert!(!ask("Deny", r#"{"ArnNotLike":{"aws:x":"*"}}"#, "bucket").is_denied());
}

#[test]
fn what_stands_for_an_unreadable_document_denies_everything_to_everybody() {
    let policy = Policy::denying_all();
    for caller in [Caller::Anonymous, Caller::Root(own()), Caller::Root(other()), user(), session()] {
        assert!(
            get(caller, Sources { resource: Some(&policy), owner: Some(own()), ..Sources::default() })
                .is_denied()
        );
    }
    assert!(!policy.is_public());
}

/// A request that counts what its decisions cost together.
struct Counted(GivenContext, Purse);

impl Context for Counted {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        self.0.visit(key, each);
    }

    fn spend(&self, steps: usize) -> bool {
        self.1.spend(steps)
    }
}

#[test]
fn the_decisions_of_one_request_are_paid_from_one_purse() {
    let dear: Vec<String> = (0..90).map(|at| format!(r#""*a?{at:03}*""#)).collect();
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*",
        "Condition":{{"StringNotLike":{{"aws:Referer":[{}]}}}}}}}}"#,
        dear.join(",")
    );
    let dear = Policy::parse(&text, Form::Resource, 1 << 16).unwrap();
    let plain = shares("Allow", "*");
    let request = Counted(GivenContext::default().with("aws:Referer", ["b".repeat(2_000)]), Purse::default());
    let ask = |policy: &Policy| {
        let caller = Caller::Root(other());
        let asked = Asked { caller, action: "s3:GetObject", resource: OBJECT, context: &request };
        evaluate(&asked, &Sources { resource: Some(policy), ..Sources::default() })
    };
    let allowed = (0..1_000).take_while(|_| ask(&dear).is_allowed()).count();
    // 90 patterns of 7 characters and a text of 2,000.
    assert_eq!(allowed, REQUEST_STEPS_MAX / (90 * 2_007 + 16));
    assert_eq!(ask(&dear), Verdict::TooCostly);
    assert!(ask(&plain).is_allowed(), "what costs nothing is answered still");
    for _ in 0..=90 * 2_007 / KEY_STEPS {
        request.1.earn();
    }
    assert!(ask(&dear).is_allowed() && ask(&dear) == Verdict::TooCostly);
}

#[test]
fn a_decision_that_is_given_up_leaves_the_rest_of_the_purse_to_the_others() {
    let dear: Vec<String> = (0..900).map(|at| format!(r#""*a?{at:03}*""#)).collect();
    let text = format!(
        r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*",
        "Condition":{{"StringLike":{{"aws:Referer":[{}]}}}}}}}}"#,
        dear.join(",")
    );
    let policy = Policy::parse(&text, Form::Resource, 1 << 16).unwrap();
    let referer = "b".repeat(16_000);
    let request = Counted(GivenContext::default().with("aws:Referer", [referer]), Purse::default());
    let caller = Caller::Root(other());
    let asked = Asked { caller, action: "s3:GetObject", resource: OBJECT, context: &request };
    let sources = Sources { resource: Some(&policy), ..Sources::default() };
    assert_eq!(evaluate(&asked, &sources), Verdict::TooCostly);
    assert!(request.1.spend(REQUEST_STEPS_MAX - STEPS_MAX - 1), "it took no more than its own");
}

/// A request that counts the bytes that it hands out.
struct Handing(String, AtomicUsize);

impl Context for Handing {
    fn visit(&self, _key: &str, each: &mut dyn FnMut(&str)) {
        self.1.fetch_add(self.0.len(), Ordering::Relaxed);
        each(&self.0);
    }
}

#[test]
fn values_of_variables_are_paid_for_as_they_are_fetched() {
    let each = |of: &dyn Fn(usize) -> String| (0..1_400).map(of).collect::<Vec<_>>();
    let once = |text: String| format!(r#""arn:aws:s3:::bucket/{text}""#);
    for (resources, values) in [
        // One value that is used again and again.
        (once("${aws:Referer}".repeat(1_400)), 1),
        // As many as a decision can pay for.
        (once(each(&|at| format!("${{aws:Referer,'{at}'}}")).concat()), STEPS_MAX / 7_000 + 1),
        (each(&|at| once(format!("${{aws:Referer}}{at}"))).join(","), STEPS_MAX / 7_000 + 1),
    ] {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Principal":"*","Action":"*","Resource":[{resources}]}}}}"#
        );
        let policy = Policy::parse(&text, Form::Resource, 1 << 16).unwrap();
        let request = Handing("b".repeat(7_000), AtomicUsize::new(0));
        let caller = Caller::Root(other());
        let asked = Asked { caller, action: "s3:GetObject", resource: OBJECT, context: &request };
        evaluate(&asked, &Sources { resource: Some(&policy), ..Sources::default() });
        let handed = request.1.into_inner();
        assert!(handed <= values * 7_000, "{handed} bytes of {}", &text[..150]);
    }
}

#[test]
fn patterns_of_actions_are_counted_too() {
    let dear: Vec<String> = (0..1_200).map(|at| format!(r#""s3:*x?{at}*""#)).collect();
    let text = format!(
        r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":[{}],"Resource":"*"}}}}"#,
        dear.join(",")
    );
    let policy = Policy::parse(&text, Form::Resource, 1 << 16).unwrap();
    let request = Counted(GivenContext::default(), Purse::default());
    let caller = Caller::Root(other());
    let asked = Asked { caller, action: "s3:GetObject", resource: OBJECT, context: &request };
    let sources = Sources { resource: Some(&policy), owner: Some(other()), ..Sources::default() };
    let allowed = (0..1_000).take_while(|_| evaluate(&asked, &sources).is_allowed()).count();
    assert!((10..200).contains(&allowed), "{allowed}");
}

#[test]
fn a_condition_that_no_action_of_its_statement_has_is_found() {
    let has = |action: &str, key: &str| {
        key.starts_with("aws:") || (action, key) == ("s3:PutObject", "s3:x-amz-acl")
    };
    let vain = |action: &str, condition: &str| {
        let text = format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}},
            {{"Effect":"Deny","Principal":"*",{action},"Resource":"*","Condition":{condition}}}]}}"#
        );
        let policy = Policy::parse(&text, Form::Resource, 1 << 14).unwrap();
        let actions = ["s3:GetObject", "s3:PutObject"];
        let found = policy.keys_in_vain(&actions, |key| actions.map(|action| has(action, key)).into());
        found.map(|found| (found.place.to_string(), found.what.to_owned()))
    };
    let acl = r#"{"StringEquals":{"aws:userid":"x","s3:x-amz-acl":"private"}}"#;
    let place = Some(("Statement[1].Condition".to_owned(), "s3:x-amz-acl".to_owned()));
    assert_eq!(vain(r#""Action":"s3:Get*""#, acl), place);
    assert_eq!(vain(r#""NotAction":"s3:PutObject""#, acl), place);
    assert_eq!(vain(r#""Action":"s3:DeleteObject""#, acl), None, "about nothing");
    for action in
        [r#""Action":"s3:*""#, r#""Action":["s3:GetObject","s3:putobject"]"#, r#""NotAction":"s3:GetObject""#]
    {
        assert_eq!(vain(action, acl), None, "{action}");
    }
    assert_eq!(vain(r#""Action":"s3:Get*""#, r#"{"StringEquals":{"aws:userid":"x"}}"#), None);
}

#[test]
fn a_compiled_policy_says_of_each_of_its_lists_what_it_takes() {
    for element in [
        r#""Action":["s3:Get*"#.to_owned() + &r#"","s3:*"#.repeat(2_000) + r#""]"#,
        format!(r#""Action":"*","Resource":"arn:aws:s3:::{}""#, "?a".repeat(7_000)),
    ] {
        let resource = if element.contains("Resource") { "" } else { r#","Resource":"*""# };
        let text = format!(r#"{{"Statement":{{"Effect":"Deny","Principal":"*",{element}{resource}}}}}"#);
        let bytes = Policy::parse(&text, Form::Resource, 1 << 16).unwrap().heap_bytes();
        assert!(bytes > 5 * text.len() && bytes < 30 * text.len(), "{bytes} of {}", text.len());
    }
    let small = shares("Allow", "*").heap_bytes();
    assert!((200..2_000).contains(&small), "{small}");
}

#[test]
fn a_refusal_says_in_which_policy_it_is_or_which_is_missing() {
    let by = |layer| Verdict::Denied(StatementRef { layer, index: 0 });
    for (verdict, because) in [
        (by(Layer::Identity(2)), "with an explicit deny in an identity-based policy"),
        (by(Layer::Boundary), "with an explicit deny in a permissions boundary"),
        (by(Layer::Session(0)), "with an explicit deny in a session policy"),
        (by(Layer::Resource), "with an explicit deny in a resource-based policy"),
        (Verdict::NotAllowed(Missing::Everywhere), "because no identity-based policy allows the a:B action"),
        (Verdict::NotAllowed(Missing::Resource), "because no resource-based policy allows the a:B action"),
        (Verdict::NotAllowed(Missing::Boundary), "because no permissions boundary allows the a:B action"),
        (Verdict::TooCostly, "because its policies cost more to evaluate than a request may: shorten them"),
        (Verdict::AllowedAsRoot, "because it is reserved to the appliance"),
    ] {
        assert_eq!(verdict.because("a:B"), because);
    }
}
