//! Mistakes that people make, and what they read then: a path, a bucket or a word that is none, a trial before the real thing.

use crate::start;
use crate::support::{Ran, firn, run};
use std::fs;

fn says(ran: &Ran, code: i32, parts: &[&str], never: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    let said = format!("{}{}", ran.out, ran.err);
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    for part in never {
        assert!(!said.contains(part), "{part:?} is in {said}");
    }
}

#[test]
fn a_path_that_is_no_appliance_gets_no_advice_that_does_harm() {
    let root = tempfile::tempdir().unwrap();
    let (file, none) = (root.path().join("file"), root.path().join("none"));
    fs::write(&file, "x").unwrap();
    for place in [root.path(), &file, &none] {
        let place = place.to_str().unwrap();
        for verb in ["doctor", "status", "env"] {
            let ran = run(&[verb, place]);
            says(&ran, 4, &["there is no firn.json", "is the path right?"], &["chmod", "sudo", "start it:"]);
        }
    }
    assert!(!none.exists(), "nothing is made");
}

#[test]
fn a_variable_that_is_empty_names_no_directory() {
    let root = tempfile::tempdir().unwrap();
    // Something is there, so that no server is about to make it.
    fs::create_dir(root.path().join("data")).unwrap();
    fs::write(root.path().join("data/mine"), "x").unwrap();
    for verb in [&["doctor"][..], &["status"], &["env"], &["quota", "ls"]] {
        let ran: Ran =
            firn().args(verb).current_dir(root.path()).env("FIRN_DIR", "").output().unwrap().into();
        says(&ran, 4, &["data: there is no firn.json"], &[]);
    }
}

#[test]
fn a_bucket_that_is_mistyped_is_not_called_a_key_that_is_not_there() {
    let (root, appliance) = start();
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..40 {
        fs::write(tree.join(n.to_string()), "x").unwrap();
    }
    let (tree, down) = (tree.to_str().unwrap(), root.path().join("down"));
    for args in [
        &["stat", "s3://nosuch/x"][..],
        &["rm", "s3://nosuch/x"],
        &["rm", "s3://nosuch/x", "--version-id", "null"],
        &["mv", "s3://nosuch/x", "s3://nosuch/y"],
        &["cp", "s3://nosuch/x", down.to_str().unwrap()],
        &["cat", "s3://nosuch/x"],
        &["cat", "s3://nosuch/x", "--range", "0-1"],
        &["stat", "s3://nosuch"],
    ] {
        says(
            &appliance.run(args),
            4,
            &["find the bucket s3://nosuch", "firn ls"],
            &["prefixes need", "PREFIX"],
        );
    }
    says(&appliance.run(&["where", "s3://nosuch/x"]), 4, &["see which buckets there are: firn ls"], &[]);
    for args in [&["stat", "s3://up"][..], &["stat", "s3://up/x"], &["rm", "s3://up/x"], &["rb", "s3://up"]] {
        says(&appliance.run(args), 2, &["3 to 63 of a-z"], &["https"]);
    }
    let all = appliance.run(&["cp", "-r", tree, "s3://nosuch/"]);
    says(&all, 4, &["NoSuchBucket", "firn mb"], &["failed: "]);
    // A key that is not there is one all the same.
    appliance.ok(&["mb", "s3://there"]);
    says(&appliance.run(&["stat", "s3://there/x"]), 4, &["find s3://there/x"], &["find the bucket"]);
    says(&appliance.run(&["quota", "rm", "s3://there"]), 4, &["see which there are: firn quota ls"], &[]);
    says(&appliance.run(&["quota", "set", "s3://nosuch", "--objects", "1"]), 4, &["firn ls"], &[]);
    says(&appliance.run(&["dedup", "on", "s3://nosuch"]), 4, &["firn ls"], &[]);
}

#[test]
fn who_lacks_a_right_is_told_so_and_a_tree_of_refusals_ends_early() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://theirs"]);
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..300 {
        fs::write(tree.join(n.to_string()), "x").unwrap();
    }
    let tree = tree.to_str().unwrap();
    appliance.ok(&["cp", "-r", tree, "s3://theirs/t"]);
    appliance.ok(&["user", "create", "ann"]);
    appliance.ok(&["policy", "attach", "AmazonS3ReadOnlyAccess", "--user", "ann"]);
    let key = appliance.ok(&["key", "create", "--user", "ann", "--json"]).json();
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    let (id, secret) = (text("access_key_id"), text("secret_access_key"));
    let as_ann = |args: &[&str]| -> Ran {
        let mut command = appliance.command(args);
        command.env("AWS_ACCESS_KEY_ID", &id).env("AWS_SECRET_ACCESS_KEY", &secret);
        command.output().unwrap().into()
    };
    let file = format!("{tree}/1");
    for args in [
        &["cp", &file, "s3://theirs/ann"][..],
        &["rm", "s3://theirs/t/1"],
        &["mb", "s3://anns"],
        &["user", "ls"],
    ] {
        says(&as_ann(args), 5, &[id.as_str(), "firn policy attach"], &["set the credentials"]);
    }
    let all = as_ann(&["cp", "-r", tree, "s3://theirs/u"]);
    says(
        &all,
        5,
        &["failed to begin: 0 done, ", " left", "firn policy attach", "failed: and "],
        &["300 failed"],
    );
    let report = as_ann(&["cp", "-r", tree, "s3://theirs/u", "--json"]).json();
    let failed = report["failed_count"].as_u64().unwrap();
    assert!((99..120).contains(&failed), "{failed}");
    says(&as_ann(&["rm", "-r", "s3://theirs/t"]), 3, &["firn policy attach"], &[]);
    says(&appliance.run(&["rm", "s3://theirs"]), 2, &["firn rm -r s3://theirs", "firn rb s3://theirs"], &[]);
    let wrong = appliance.run(&["cp", "-r", tree, "s3://mm/"]);
    says(&wrong, 2, &["\"mm\" is no bucket's name", "3 to 63 of a-z"], &["300 failed"]);
    says(&appliance.run(&["cat", "s3://theirs/t/none"]), 4, &["firn ls s3://theirs/t/"], &["BUCKET"]);
    says(&appliance.run(&["ls", "s3://nosuch"]), 4, &["firn mb s3://nosuch"], &["NAME"]);
    let none: Ran = firn().args(["cp", "a", "b"]).output().unwrap().into();
    says(&none, 2, &["between two local places"], &["goes to AWS"]);
}

#[test]
fn what_lifecycle_does_not_find_or_take_is_named_with_its_next_step() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://rules"]);
    let file = root.path().join("rules.json");
    let file = file.to_str().unwrap();
    let never = ["lifecycle show"];
    let preview = ["lifecycle", "preview", "s3://nobuckt", "--as-of", "2099-01-01"];
    says(&appliance.run(&preview), 4, &["find the bucket s3://nobuckt", "firn ls"], &never);
    let preview = ["lifecycle", "preview", "s3://rules", "--as-of", "2099-01-01"];
    let none = ["find lifecycle rules of s3://rules", "firn lifecycle set s3://rules FILE"];
    says(&appliance.run(&preview), 4, &none, &never);
    says(&appliance.run(&["lifecycle", "run", "s3://nobuckt"]), 4, &["s3://nobuckt", "firn ls"], &never);

    let typo = r#"{"Rules":[{"ID":"x","Status":"Enabled","Filter":{"Prefix":""},"Expiration":{"Dayz":3}}]}"#;
    fs::write(file, typo).unwrap();
    let told = ["Rules[0].Expiration: \"Dayz\" is none of its fields: Days, Date"];
    says(&appliance.run(&["lifecycle", "set", "s3://rules", file]), 2, &told, &["XML"]);
    let preview = ["lifecycle", "preview", "s3://rules", "--as-of", "2099-01-01", "--rules", file];
    says(&appliance.run(&preview), 2, &told, &["XML", "admin door"]);
    fs::write(file, "<LifecycleConfiguration><Rule/></LifecycleConfiguration>").unwrap();
    let set = appliance.run(&["lifecycle", "set", "s3://rules", file]);
    says(&set, 2, &["MalformedXML", "rules in JSON"], &[]);
    says(&appliance.run(&preview), 2, &["use the rules: "], &["ask the admin door"]);

    fs::write(file, typo.replace("Dayz", "Days")).unwrap();
    let set = appliance.ok(&["lifecycle", "set", "s3://rules", file, "--json"]).json();
    assert_eq!(set[0]["actions"][0]["days"], 3, "{set}");
    let explained = appliance.run(&["lifecycle", "explain", "s3://rules/a/none"]);
    says(&explained, 4, &["find s3://rules/a/none", "firn ls --versions s3://rules/a/"], &never);
}

#[test]
fn a_verb_that_lacks_is_told_in_json_too() {
    let ran = run(&["--json", "config"]);
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((ran.code, &error["error"]), (2, &"know what to do: no verb is named".into()), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("check"), "{error}");
}

#[test]
fn a_trial_names_what_would_go_and_says_each_thing_once() {
    let (root, appliance) = start();
    let file = root.path().join("f");
    fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    appliance.ok(&["mb", "s3://trial"]);
    appliance.ok(&["cp", file, "s3://trial/a"]);
    appliance.ok(&["cp", file, "s3://trial/b"]);
    let one = appliance.ok(&["rm", "--dry-run", "s3://trial/a"]);
    assert!(one.err.contains("would remove s3://trial/a"), "{one:?}");
    let all = appliance.ok(&["rm", "-r", "--dry-run", "--json", "s3://trial"]).json();
    let keys: Vec<_> =
        all["would_remove"].as_array().unwrap().iter().map(|gone| gone["key"].clone()).collect();
    assert_eq!(keys, ["a", "b"]);
    let bucket = appliance.ok(&["rb", "--force", "--dry-run", "--json", "s3://trial"]);
    assert_eq!(bucket.out.matches("\"dry_run\"").count(), 1, "{bucket:?}");
}

#[test]
fn what_was_done_is_said_in_the_words_of_what_was_asked() {
    let (root, appliance) = start();
    let file = root.path().join("f");
    fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    let made = appliance.ok(&["mb", "s3://words", "--json"]).json();
    assert_eq!((&made["created"], &made["versioning_begins"]), (&true.into(), &false.into()));
    says(&appliance.ok(&["mb", "s3://words", "--versioning"]), 0, &["versions are on from now"], &[]);
    says(&appliance.ok(&["mb", "s3://words", "--versioning"]), 0, &["with versions"], &["from now"]);
    appliance.ok(&["cp", file, "s3://words/a"]);
    says(&appliance.run(&["cp", "--no-clobber", file, "s3://words/a"]), 8, &["it is there"], &[]);
    says(&appliance.ok(&["mv", "s3://words/a", "s3://words/b"]), 0, &["1 moved"], &["copied"]);
    let counted = appliance.ok(&["mv", "--json", "s3://words/b", "s3://words/a"]).json();
    assert_eq!((&counted["copied"], &counted["moved"]), (&1.into(), &1.into()));
    assert_eq!(appliance.ok(&["cp", "--json", "s3://words/a", "s3://words/b"]).json()["moved"], 0);
    let removed = appliance.ok(&["rm", "s3://words/b"]);
    let marker = removed.err.split_whitespace().skip_while(|word| *word != "--version-id").nth(1).unwrap();
    let back = appliance.ok(&["rm", "s3://words/b", "--version-id", marker]);
    says(&back, 0, &["removed 1 delete marker"], &["object"]);
    let cold = appliance.run(&["cp", file, "s3://words/c", "--storage-class", "FROSTY"]);
    says(&cold, 2, &["--storage-class FROSTY", "ONEZONE_IA", "DEEP_ARCHIVE"], &[]);
    appliance.ok(&["cp", file, "s3://words/cold", "--storage-class", "GLACIER"]);
    let restore = |more: &[&str]| {
        let told = appliance.ok(&[&["restore", "s3://words/cold", "--json"][..], more].concat()).json();
        ["asked", "bytes"].map(|name| told[name].as_u64().unwrap())
    };
    let size = fs::metadata(file).unwrap().len();
    for more in [&["--dry-run"][..], &[]] {
        assert_eq!(restore(more), [1, size], "{more:?}");
    }
    for more in [&["--dry-run"][..], &["-r", "--dry-run"], &[]] {
        assert_eq!(restore(more), [0, 0], "{more:?}");
    }
    let link = appliance.ok(&["share", "s3://words/b"]);
    says(&link, 0, &["on this machine alone", "--endpoint", "that was not looked at"], &[]);
    let link = appliance.ok(&["share", "s3://words/b", "--endpoint", "http://192.0.2.7:9000"]);
    says(&link, 0, &["http://192.0.2.7:9000/words/b"], &["on this machine alone"]);
}

#[test]
fn what_is_left_out_or_too_much_is_named_before_anything_is_asked() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://words"]);
    says(&appliance.run(&["cp", "-", "s3://words"]), 2, &["firn cp - s3://words/NAME"], &[]);
    says(&appliance.run(&["audit", "verify"]), 2, &["--trail NAME", "s3://BUCKET/PREFIX"], &[]);
    says(&appliance.run(&["top", "--interval", "0s"]), 2, &["less than 100ms"], &[]);
    says(&appliance.run(&["login", "ann", "--expires", "1m"]), 2, &["15m to 36h"], &["FirnSignIn"]);
    let config = root.path().join("firn.toml");
    fs::write(&config, "http = \"127.0.0.1:9000\"\n").unwrap();
    says(
        &run(&["config", "check", config.to_str().unwrap()]),
        2,
        &["a section with keys of its own, [http]"],
        &["struct"],
    );
}

#[test]
fn a_link_to_nothing_is_called_one_and_can_be_left_out() {
    let (root, appliance) = start();
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "x").unwrap();
    std::os::unix::fs::symlink("missing", tree.join("dangling")).unwrap();
    let tree = tree.to_str().unwrap();
    appliance.ok(&["mb", "s3://links"]);
    let ran = appliance.run(&["cp", "-r", tree, "s3://links/t"]);
    says(&ran, 3, &["a link to nothing", "--exclude"], &["os error"]);
    appliance.ok(&["cp", "-r", tree, "s3://links/t", "--exclude", "dangling"]);
}

#[test]
fn a_level_that_is_none_is_refused_before_the_server_starts_and_quiet_is_quiet() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    for level in ["loud", "bogus="] {
        let ran = run(&["server", dir.to_str().unwrap(), "--log", level, "--http", "127.0.0.1:0"]);
        says(&ran, 2, &["is no level"], &[]);
    }
    let file = root.path().join("firn.toml");
    fs::write(&file, "[log]\nlevel = \"inof\"\n").unwrap();
    says(&run(&["config", "check", file.to_str().unwrap()]), 2, &["is no level"], &[]);
    assert!(!dir.exists());
    let quiet = crate::support::Appliance::start(&dir, &["-q"]);
    quiet.ok(&["ls"]);
    assert_eq!(quiet.terminate(), 0);
    let log = fs::read_to_string(dir.with_extension("log")).unwrap();
    assert!(!log.contains("INFO"), "{log}");
}

#[test]
fn a_key_that_was_made_while_no_backup_ran_asks_for_a_restart_and_not_for_another_key() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("firn.toml");
    fs::write(&config, format!("[backup]\ntarget = {:?}\n", root.path().join("target"))).unwrap();
    let dir = root.path().join("data");
    let appliance = crate::support::Appliance::start(&dir, &["--config", config.to_str().unwrap()]);
    let place = dir.to_str().unwrap();
    says(&appliance.ok(&["status", place]), 0, &["firn backup key"], &[]);
    says(&appliance.ok(&["backup", "key", place]), 0, &["no backup runs yet; restart"], &[]);
    says(&appliance.ok(&["status", place]), 0, &["restart: a recovery key was made"], &["firn backup key"]);
    says(&appliance.run(&["backup", "now", place]), 8, &["restart"], &["firn backup key"]);
    says(&appliance.run(&["doctor", place]), 1, &["restart the server"], &["firn backup key"]);
}

#[test]
fn manuals_of_verbs_have_their_names() {
    let page = run(&["man", "quota", "set"]);
    says(&page, 0, &["firn-quota-set", "\"firn "], &["\"quota "]);
    assert_eq!(run(&["man", "quota set"]).out, page.out);
    says(&run(&["man", "quota", "nothing"]), 2, &["no such verb"], &[]);
}
