//! Users, groups, roles, policies and keys, as people make and remove them.

use crate::start;
use crate::support::{Appliance, Ran};
use std::fs;

/// A verb with the keys of a user.
pub(crate) fn run_as(appliance: &Appliance, key: &serde_json::Value, args: &[&str]) -> Ran {
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    let mut command = appliance.command(args);
    command.env("AWS_ACCESS_KEY_ID", text("access_key_id"));
    command.env("AWS_SECRET_ACCESS_KEY", text("secret_access_key")).output().unwrap().into()
}

#[test]
fn a_user_is_let_in_and_put_out_by_verbs_alone() {
    let (root, appliance) = start();
    let document = root.path().join("reads.json");
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["s3:List*","iam:Get*"],"Resource":"*"}}"#;
    fs::write(&document, text).unwrap();
    let made = appliance.ok(&["user", "create", "ann", "--path", "/lab/"]);
    assert!(
        made.out.starts_with("created the user ann (arn:aws:iam::") && made.out.contains(":user/lab/ann)"),
        "{made:?}"
    );
    assert!(made.out.contains("next: firn policy attach POLICY --user ann; firn key create --user ann"));
    let key = appliance.ok(&["key", "create", "--user", "ann", "--json"]).json();
    assert_eq!(run_as(&appliance, &key, &["ls"]).code, 5, "nothing lets her");
    appliance.ok(&["policy", "create", "reads", document.to_str().unwrap()]);
    let attached = appliance.ok(&["policy", "attach", "reads", "--user", "ann"]);
    assert!(attached.out.starts_with("attached the policy to ann (arn:aws:iam::"), "{attached:?}");
    assert_eq!(run_as(&appliance, &key, &["ls"]).code, 0);
    let denied = run_as(&appliance, &key, &["user", "create", "bob"]);
    assert!(
        denied.code == 5 && denied.err.contains("is not authorized to perform: iam:CreateUser"),
        "{denied:?}"
    );
    let shown = appliance.ok(&["policy", "show", "reads", "--json"]).json();
    assert_eq!(shown["document"], serde_json::from_str::<serde_json::Value>(text).unwrap());

    let id = key["access_key_id"].as_str().unwrap();
    assert!(appliance.ok(&["key", "ls", "--user", "ann"]).out.contains(id));
    let own = appliance.ok(&["key", "ls"]).out;
    assert!(own.starts_with("unknown ") && own.contains("(root)"), "{own}");
    let own = appliance.ok(&["key", "ls", "--json"]).json();
    assert!(own[0]["access_key_id"].is_string() && own[0]["created"].is_null(), "{own}");
    appliance.ok(&["key", "disable", id, "--user", "ann"]);
    assert_eq!(run_as(&appliance, &key, &["ls"]).code, 5);
    appliance.ok(&["key", "enable", id, "--user", "ann"]);
    assert_eq!(run_as(&appliance, &key, &["ls"]).code, 0);

    appliance.ok(&["group", "create", "readers"]);
    let added = appliance.ok(&["group", "add", "readers", "ann"]);
    assert_eq!(added.out, "added to the group: ann (readers)\n");
    let added = appliance.ok(&["group", "add", "readers", "ann", "--json"]).json();
    assert_eq!(added, serde_json::json!({ "user": "ann", "group": "readers" }));
    let attached = appliance.ok(&["policy", "attach", "reads", "--user", "ann", "--json"]).json();
    assert_eq!((&attached["user"], attached["policy_arn"].as_str().is_some()), (&"ann".into(), true));
    assert!(appliance.ok(&["group", "members", "readers"]).out.contains("ann"));
    let held = appliance.run(&["user", "rm", "ann"]);
    assert_eq!(held.code, 8, "{held:?}");
    assert!(
        held.err.contains("remove the user ann") && held.err.contains("firn user rm -r ann --dry-run"),
        "{held:?}"
    );
    let told = appliance.ok(&["user", "rm", "ann", "-r", "--dry-run"]);
    let wanted = format!(
        "would remove the access key {id} of ann\nwould remove ann from the group readers\n\
         would remove the attached policy reads of ann\nwould remove the user ann\n"
    );
    assert_eq!(told.out, wanted);
    assert!(appliance.ok(&["user", "ls"]).out.contains("ann"), "it was only told");
    let removed = appliance.ok(&["user", "rm", "ann", "-r", "--json"]).json();
    assert_eq!((removed["removed"].as_array().unwrap().len(), &removed["dry_run"]), (4, &false.into()));
    assert_eq!(
        removed["removed"][0],
        serde_json::json!({ "kind": "access_key", "user": "ann", "access_key_id": id })
    );
    assert_eq!(removed["removed"][3], serde_json::json!({ "kind": "user", "user": "ann" }));
    assert_eq!(run_as(&appliance, &key, &["ls"]).code, 5);
    assert_eq!(appliance.ok(&["user", "ls"]).out, "none\n");
    appliance.ok(&["policy", "rm", "reads"]);
    appliance.ok(&["group", "rm", "readers"]);
}

#[test]
fn what_is_not_there_and_what_is_there_already_end_as_documented() {
    let (root, appliance) = start();
    let says = |args: &[&str], code, said: &str| {
        let ran = appliance.run(args);
        assert!(ran.code == code && ran.err.contains(said), "{args:?}: {ran:?}");
    };
    says(&["user", "rm", "nobody"], 4, "firn user ls");
    assert_eq!(appliance.run(&["policy", "show", "none"]).code, 4);
    appliance.ok(&["group", "create", "team"]);
    says(&["group", "create", "TEAM"], 8, "firn group ls");
    says(&["group", "add", "team", "nobody"], 4, "firn user ls");
    says(&["policy", "attach", "AmazonS3ReadOnlyAccess", "--user", "nobody"], 4, "firn user ls");
    says(&["key", "disable", "AKIAIOSFODNN7EXAMPLE"], 4, "--user NAME");
    says(&["key", "rm", "AKIAIOSFODNN7EXAMPLE"], 4, "--user NAME");
    says(&["key", "disable", "AKIAIOSFODNN7EXAMPLE", "--user", "nobody"], 4, "firn key ls --user nobody");
    let document = root.path().join("policy.json");
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    fs::write(&document, text).unwrap();
    let document = document.to_str().unwrap();
    let made = appliance.ok(&["policy", "create", "all", document, "--json"]).json();
    assert_eq!((&made["kind"], &made["name"]), (&"policy".into(), &"all".into()));
    says(&["policy", "create", "all", document], 8, "firn policy show all");
    appliance.ok(&["user", "create", "jon"]);
    let attached = appliance.ok(&["policy", "attach", "all", "--user", "jon", "--json"]).json();
    assert_eq!(attached, serde_json::json!({ "user": "jon", "policy_arn": made["arn"] }));
    assert_eq!(appliance.run(&["user", "create", "a b"]).code, 2);
    assert_eq!(appliance.run(&["policy", "attach", "p"]).code, 2, "to nobody");
    let role = appliance.ok(&["role", "create", "job", "--trust", "*", "--json"]).json();
    assert!(role["arn"].as_str().unwrap().ends_with(":role/job"));
    let refused = appliance.run(&["role", "create", "other", "--trust", "somebody"]);
    assert!(refused.code == 2 && refused.err.contains("MalformedPolicyDocument"), "{refused:?}");
}

#[test]
fn an_action_that_matches_nothing_is_warned_about() {
    let (root, appliance) = start();
    let write = |name: &str, statement: &str| {
        let path = root.path().join(name);
        fs::write(&path, format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mistyped =
        write("mistyped", r#"{"Effect":"Allow","Action":["s3:PutObjet","s3:GetObject"],"Resource":"*"}"#);
    let right = write("right", r#"{"Effect":"Allow","Action":["s3:Put*","iam:*"],"Resource":"*"}"#);
    let says = r#"Statement[0].Action: "s3:PutObjet" is no action that firn knows: it matches nothing"#;
    let made = appliance.ok(&["policy", "create", "one", &mistyped]);
    assert!(
        made.err == format!("warning: {says}\n") && made.out.starts_with("created the policy one"),
        "{made:?}"
    );
    let made = appliance.ok(&["policy", "create", "two", &mistyped, "--json"]);
    assert!(made.json()["warnings"] == serde_json::json!([says]) && made.err.is_empty(), "{made:?}");
    let made = appliance.ok(&["policy", "create", "three", &right]);
    assert!(made.err.is_empty(), "{made:?}");
    assert!(appliance.ok(&["policy", "create", "four", &right, "--json"]).json().get("warnings").is_none());
    let trust = r#"{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["sts:AssumeRole","sts:AssumRole"]}"#;
    let made = appliance.ok(&["role", "create", "job", "--trust-policy", &write("trust", trust)]);
    assert!(made.err.contains(r#"warning: Statement[0].Action: "sts:AssumRole""#), "{made:?}");
}

/// A verb that reads lines from stdin.
fn typed(appliance: &Appliance, args: &[&str], lines: &str) -> Ran {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut command = appliance.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_user_signs_in_by_a_password() {
    let (_root, appliance) = start();
    appliance.ok(&["user", "create", "ann"]);
    appliance.ok(&["policy", "attach", "arn:aws:iam::aws:policy/AdministratorAccess", "--user", "ann"]);
    let set = ["user", "password", "ann", "--once", "--password-stdin"];
    assert_eq!(typed(&appliance, &set, "short\n").code, 2, "not as the rules have it");
    let made = typed(&appliance, &set, "Correct-horse-1\n");
    assert!(made.code == 0 && made.out.contains("next: eval \"$(firn login ann)\""), "{made:?}");
    let login = ["login", "ann", "--password-stdin"];
    let wrong = typed(&appliance, &login, "Correct-horse-2\n");
    assert!(wrong.code == 5 && wrong.out.is_empty(), "{wrong:?}");
    let first = typed(&appliance, &login, "Correct-horse-1\n");
    assert!(first.code == 5 && first.err.contains("--new-password"), "{first:?}");
    let new = [&login[..], &["--new-password"]].concat();
    let changed = typed(&appliance, &new, "Correct-horse-1\nBattery-staple-2\n");
    assert!(changed.code == 0 && changed.out.contains("export AWS_SESSION_TOKEN="), "{changed:?}");
    let json = typed(&appliance, &[&login[..], &["--json"]].concat(), "Battery-staple-2\n").json();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    assert!(text("arn").ends_with(":user/ann"));
    let mut command = appliance.command(&["user", "ls"]);
    command.env("AWS_ACCESS_KEY_ID", text("access_key_id"));
    command.env("AWS_SECRET_ACCESS_KEY", text("secret_access_key"));
    let listed: Ran = command.env("AWS_SESSION_TOKEN", text("session_token")).output().unwrap().into();
    assert!(listed.code == 0 && listed.out.contains("ann"), "{listed:?}");
    // It goes with its user.
    assert_eq!(appliance.run(&["user", "rm", "ann"]).code, 8);
    let removed = appliance.ok(&["user", "rm", "-r", "ann"]);
    assert!(removed.out.contains("removed the password of ann"), "{removed:?}");
    assert_eq!(typed(&appliance, &login, "Battery-staple-2\n").code, 5);
}
