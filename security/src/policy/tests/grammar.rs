//! What is taken, what is refused, and the place that is told.

use crate::policy::{DOCUMENT_BYTES_MAX, Form, Policy};

fn refusal(text: &str, form: Form) -> (String, String) {
    let error = Policy::parse(text, form, DOCUMENT_BYTES_MAX).expect_err(text);
    (error.place.to_string(), error.detail)
}

fn statement(inner: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:*","Resource":"*"}},{inner}]}}"#
    )
}

#[test]
fn every_element_is_taken_alone_and_as_a_list() {
    for text in [
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
        r#"{"Version":"2008-10-17","Id":"x","Statement":[{"Sid":"a1","Effect":"Deny","NotAction":["s3:Get*","iam:?"],
            "NotResource":["arn:aws:s3:::a","arn:aws:s3:*:*:b/${x"]}]}"#,
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":
            "arn:aws:s3:::home/${aws:username}/*","Condition":{"Bool":{"aws:SecureTransport":true},"NumericLessThan":
            {"s3:max-keys":[10,"20"]},"ForAnyValue:StringEqualsIfExists":{"aws:TagKeys":["a","b"]},"Null":{"aws:TokenIssueTime":
            "true"},"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z","aws:EpochTime":1767225600}}}]}"#,
    ] {
        Policy::parse(text, Form::Identity, DOCUMENT_BYTES_MAX)
            .unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    let trust = r#"{"Statement":{"Effect":"Allow","Principal":{"Federated":"id.example"},"Action":"sts:AssumeRoleWithWebIdentity",
        "Condition":{"StringEquals":{"id.example:aud":"firn"}}}}"#;
    let trust = Policy::parse(trust, Form::Trust, DOCUMENT_BYTES_MAX).unwrap();
    assert_eq!((trust.parties().count(), trust.keys().next().unwrap().what), (1, "id.example:aud"));
}

#[test]
fn json_that_is_none_is_refused_with_its_line_and_column() {
    for (text, place, detail) in [
        ("", "line 1, column 0", "EOF"),
        ("{\n  \"Version\": \"2012-10-17\",\n}", "line 3, column 1", "trailing comma"),
        ("{\"Statement\":[]} x", "line 1, column 18", "trailing characters"),
        ("{\"Id\":\"a\",\n\"Id\":\"b\"}", "line 2, column 4", "\"Id\" stands twice"),
        (
            "{\"Statement\":{\"Condition\":{\"Bool\":{\"a\":1,\"a\":2}}}}",
            "line 1, column 44",
            "\"a\" stands twice",
        ),
    ] {
        let (found, said) = refusal(text, Form::Identity);
        assert_eq!(found, place, "{text}: {said}");
        assert!(said.contains(detail), "{said}");
    }
    let deep = "[".repeat(100_000);
    assert!(refusal(&deep[..60_000], Form::Identity).1.contains("recursion limit"));
}

#[test]
fn what_is_not_of_the_grammar_is_refused_with_its_place() {
    for (inner, place, detail) in [
        (r#""a""#, "Statement[1]", "a string is no object"),
        (r#"{"Action":"*","Resource":"*"}"#, "Statement[1]", "Effect is missing"),
        (
            r#"{"Effect":"allow","Action":"*","Resource":"*"}"#,
            "Statement[1].Effect",
            "\"allow\" is no effect",
        ),
        (r#"{"Effect":"Allow","Resource":"*"}"#, "Statement[1]", "Action or NotAction is missing"),
        (r#"{"Effect":"Allow","Action":"*"}"#, "Statement[1]", "Resource or NotResource is missing"),
        (r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#, "Statement[1].Action", "the list is empty"),
        (
            r#"{"Effect":"Allow","Action":["s3:*","GetObject"],"Resource":"*"}"#,
            "Statement[1].Action[1]",
            "no action",
        ),
        (r#"{"Effect":"Allow","Action":"*:Get","Resource":"*"}"#, "Statement[1].Action", "no action"),
        (r#"{"Effect":"Allow","Action":7,"Resource":"*"}"#, "Statement[1].Action", "a number is no string"),
        (
            r#"{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}"#,
            "Statement[1]",
            "exclude one another",
        ),
        (r#"{"Effect":"Allow","Action":"*","Resource":"bucket"}"#, "Statement[1].Resource", "no ARN"),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":["*","arn:aws:s3:${aws:x}::b"]}"#,
            "Statement[1].Resource[1]",
            "before its last part",
        ),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${a"}"#,
            "Statement[1].Resource",
            "does not end",
        ),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Resources":"*"}"#,
            "Statement[1]",
            "\"Resources\" is not known",
        ),
        (
            r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#,
            "Statement[1].Principal",
            "no such element",
        ),
        (
            r#"{"Sid":"a b","Effect":"Allow","Action":"*","Resource":"*"}"#,
            "Statement[1].Sid",
            "letters and digits",
        ),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":[]}"#,
            "Statement[1].Condition",
            "no object",
        ),
    ] {
        let (found, said) = refusal(&statement(inner), Form::Identity);
        assert_eq!(found, place, "{inner}: {said}");
        assert!(said.contains(detail), "{inner}: {said}");
    }
    for (text, place) in [
        ("[]", "document"),
        (r#"{"Version":"2012-10-17"}"#, "document"),
        (r#"{"Version":"2012-10-18","Statement":[]}"#, "Version"),
        (r#"{"Statement":[]}"#, "Statement"),
        (r#"{"Statement":"x"}"#, "Statement"),
        (r#"{"Name":"x"}"#, "document"),
    ] {
        assert_eq!(refusal(text, Form::Identity).0, place, "{text}");
    }
    let nobody = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    assert_eq!(
        refusal(nobody, Form::Resource),
        ("Statement".into(), "Principal or NotPrincipal is missing".into())
    );
    let all_but = r#"{"Statement":{"Effect":"Allow","NotPrincipal":"*","Action":"*","Resource":"*"}}"#;
    assert_eq!(refusal(all_but, Form::Resource).0, "Statement.NotPrincipal");
}

#[test]
fn condition_keys_of_providers_begin_with_their_urls() {
    for key in
        ["login.test:sub", "login.test/realms/a_b-c:sub", "login.test/:aud", "localhost:8080/realms/ml:amr"]
    {
        let condition = format!(r#"{{"StringEquals":{{"{key}":"${{{key}}}"}}}}"#);
        let text = statement(&format!(
            r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#
        ));
        Policy::parse(&text, Form::Identity, 10_000).unwrap();
    }
}

#[test]
fn conditions_are_read_strictly() {
    let with = |condition: &str| {
        statement(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#))
    };
    for (condition, place, detail) in [
        (r#"{"StringIs":{"a:b":"c"}}"#, "StringIs", "no condition operator"),
        (r#"{"stringequals":{"a:b":"c"}}"#, "stringequals", "no condition operator"),
        (r#"{"NullIfExists":{"a:b":"true"}}"#, "NullIfExists", "stands alone"),
        (r#"{"ForEachValue:StringLike":{"a:b":"c"}}"#, "ForEachValue:StringLike", "no condition operator"),
        (r#"{"StringLike":"c"}"#, "StringLike", "no object of condition keys"),
        (r#"{"StringLike":{"username":"c"}}"#, "StringLike.username", "no condition key"),
        (r#"{"StringLike":{"a b:c":"c"}}"#, "StringLike.a b:c", "no condition key"),
        (r#"{"StringLike":{"a/b":"c"}}"#, "StringLike.a/b", "no condition key"),
        (r#"{"StringLike":{"a:b":[]}}"#, "StringLike.a:b", "the list is empty"),
        (r#"{"StringLike":{"a:b":["c",{}]}}"#, "StringLike.a:b[1]", "an object can not be compared with"),
        (r#"{"StringLike":{"a:b":null}}"#, "StringLike.a:b", "null can not"),
        (r#"{"StringLike":{"a:b":"x","A:B":"y"}}"#, "StringLike.A:B", "stands twice"),
        (r#"{"NumericEquals":{"a:b":["1","one"]}}"#, "NumericEquals.a:b[1]", "no number"),
        (r#"{"DateEquals":{"a:b":"soon"}}"#, "DateEquals.a:b", "no date"),
        (r#"{"Bool":{"a:b":"yes"}}"#, "Bool.a:b", "no boolean"),
        (r#"{"BinaryEquals":{"a:b":"*"}}"#, "BinaryEquals.a:b", "no base64"),
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}"#, "IpAddress.aws:SourceIp", "no address"),
        (r#"{"IpAddress":{"aws:SourceIp":"${aws:x}"}}"#, "IpAddress.aws:SourceIp", "no address"),
        (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:s3"}}"#, "ArnLike.aws:SourceArn", "no ARN"),
    ] {
        let (found, said) = refusal(&with(condition), Form::Identity);
        assert_eq!(found, format!("Statement[1].Condition.{place}"), "{said}");
        assert!(said.contains(detail), "{said}");
    }
}

#[test]
fn documents_are_bounded() {
    let long = format!(
        r#"{{"Id":"{}","Statement":{{"Effect":"Allow","Action":"*","Resource":"*"}}}}"#,
        "x".repeat(2_000)
    );
    Policy::parse(&long, Form::Identity, long.len()).unwrap();
    let error = Policy::parse(&long, Form::Identity, long.len() - 1).unwrap_err();
    assert!(error.to_string().starts_with("document: 20"), "{error}");
    let many = |count: usize| {
        let one = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
        format!(r#"{{"Statement":[{}]}}"#, vec![one; count].join(","))
    };
    Policy::parse(&many(1_000), Form::Identity, DOCUMENT_BYTES_MAX).unwrap();
    assert_eq!(refusal(&many(1_001), Form::Identity).0, "Statement");
}

#[test]
fn whoever_sets_a_document_can_be_told_what_in_it_means_nothing() {
    let text = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:Fetch*","kms:*"],"Resource":
        ["arn:aws:s3:::bucket/*","arn:aws:s3:::other","arn:aws:s3:::*","arn:aws:s3:::buck?t"]}]}"#;
    let policy = Policy::parse(text, Form::Resource, DOCUMENT_BYTES_MAX).unwrap();
    let beside = policy.actions_beside(&["s3:GetObject", "s3:PutObject"]);
    assert_eq!(beside.iter().map(|named| named.what).collect::<Vec<_>>(), ["s3:Fetch*", "kms:*"]);
    assert_eq!(beside[0].place.to_string(), "Statement[0].Action");
    assert_eq!(policy.resources_beside("s3", "bucket").len(), 1);
    assert_eq!(policy.resources_beside("s3", "another").len(), 3, "all but arn:aws:s3:::*");
}
