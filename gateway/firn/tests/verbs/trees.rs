//! Trees as people have them: with links into themselves, an appliance in their midst, and what is neither file nor directory.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::start;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

fn keys(appliance: &crate::support::Appliance, place: &str) -> Vec<String> {
    let listed = appliance.ok(&["ls", "-r", place, "--json"]).out;
    let key = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["key"].as_str().unwrap().to_owned()
    };
    listed.lines().map(key).collect()
}

/// Twenty files, twenty links to them behind them by name, a link to a link, one to a directory of the tree.
fn tree_with_links(root: &Path) {
    fs::create_dir_all(root.join("dir")).unwrap();
    fs::write(root.join("dir/deep"), "deep").unwrap();
    for n in 0..20 {
        fs::write(root.join(format!("f{n:02}")), format!("file {n}")).unwrap();
        symlink(format!("f{n:02}"), root.join(format!("z{n:02}"))).unwrap();
    }
    symlink("z00", root.join("zz")).unwrap();
    symlink("dir", root.join("zzz")).unwrap();
}

#[test]
fn a_tree_with_links_to_its_own_files_is_moved_whole() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://trees"]);
    let tree = root.path().join("tree");
    tree_with_links(&tree);
    let tree = tree.to_str().unwrap();
    let moved = appliance.run(&["mv", "-r", tree, "s3://trees/t", "--jobs", "1"]);
    assert_eq!(moved.code, 0, "{moved:?}");
    assert!(moved.out.starts_with("42 moved, 1 copied (behind links, which stay)"), "{moved:?}");
    assert_eq!(keys(&appliance, "s3://trees").len(), 43);
    for (key, bytes) in [("f07", "file 7"), ("z07", "file 7"), ("zz", "file 0"), ("zzz/deep", "deep")] {
        assert_eq!(appliance.ok(&["cat", &format!("s3://trees/t/{key}")]).out, bytes, "{key}");
    }
    // What was behind a link to a directory stays where the link is; its own tree has gone.
    let left: Vec<_> = fs::read_dir(tree).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["zzz"]);
}

#[test]
fn where_a_link_could_not_be_moved_what_it_leads_to_stays_for_the_next_run() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://trees"]);
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("a"), "bytes").unwrap();
    fs::write(tree.join("b"), "alone").unwrap();
    // No key has so many bytes: its upload fails, and that of its target does not.
    let deep = (0..5).fold(tree.clone(), |dir, _| dir.join("d".repeat(220)));
    fs::create_dir_all(&deep).unwrap();
    symlink(tree.join("a"), deep.join("z")).unwrap();
    let args = ["mv", "-r", tree.to_str().unwrap(), "s3://trees/t"];
    let moved = appliance.run(&args);
    assert_eq!(moved.code, 3, "{moved:?}");
    assert!(moved.out.contains("a link leads to it that was not moved: it stays"), "{moved:?}");
    assert!(moved.out.contains("1 moved, 2 failed"), "{moved:?}");
    assert!(tree.join("a").exists() && !tree.join("b").exists());
    fs::remove_dir_all(tree.join("d".repeat(220))).unwrap();
    symlink("a", tree.join("z")).unwrap();
    appliance.ok(&args);
    assert!(!tree.exists(), "the same command does the rest");
    assert_eq!(appliance.ok(&["cat", "s3://trees/t/z"]).out, "bytes");
}

#[test]
fn a_dry_run_of_a_move_says_what_would_be_moved() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://trees"]);
    let tree = root.path().join("tree");
    tree_with_links(&tree);
    let dry = appliance.ok(&["mv", "-r", "--dry-run", tree.to_str().unwrap(), "s3://trees/t"]);
    let copied: Vec<_> = dry.err.lines().filter(|line| !line.starts_with("would move ")).collect();
    assert!(copied.len() == 1 && copied[0].starts_with("would upload "), "{dry:?}");
    assert!(copied[0].ends_with("/zzz/deep to s3://trees/t/zzz/deep"), "{dry:?}");
    assert!(dry.out.contains("42 to move, 1 to copy (behind links, which stay)"), "{dry:?}");
}

#[test]
fn an_appliance_in_a_tree_is_not_uploaded_with_it() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://trees"]);
    let project = root.path();
    for name in ["data.log", "data.notify"] {
        let _made_by_the_start = fs::remove_file(project.join(name));
    }
    fs::write(project.join("a.txt"), "a").unwrap();
    symlink("data", project.join("linked")).unwrap();
    let here = project.to_str().unwrap();
    for verb in [&["sync"][..], &["cp", "-r"]] {
        let sent = appliance.run(&[verb, &[here, "s3://trees/p"]].concat());
        assert_eq!(sent.code, 3, "{sent:?}");
        for name in ["data", "linked"] {
            let said = format!(
                "failed: {name}: read it: an appliance lies there, with its keys (firn.json); --exclude leaves it out"
            );
            assert!(sent.out.contains(&said), "{said}: {sent:?}");
        }
        assert_eq!(keys(&appliance, "s3://trees"), ["p/a.txt"]);
    }
    let sync = ["sync", here, "s3://trees/p", "--exclude", "data", "--exclude", "linked"];
    let left_out = appliance.ok(&sync);
    assert!(left_out.out.contains("1 the same already"), "{left_out:?}");
    // Named itself it is refused before anything is done.
    let own = project.join("data");
    for verb in [&["sync"][..], &["cp", "-r"], &["mv", "-r"]] {
        let sent = appliance.run(&[verb, &[own.to_str().unwrap(), "s3://trees/own"]].concat());
        assert!(sent.code == 2 && sent.err.contains("an appliance lies there, with its keys"), "{sent:?}");
        assert!(sent.err.contains("backup.target"), "{sent:?}");
    }
    assert_eq!(keys(&appliance, "s3://trees"), ["p/a.txt"]);
    assert!(own.join("master.key").exists());
}

/// The files of a tree, and when each was written last.
fn state(root: &Path) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let ours = |path: &Path| {
        !path
            .components()
            .any(|part| ["run", "catalog", "pools"].map(std::ffi::OsStr::new).contains(&part.as_os_str()))
    };
    let files = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
    let files =
        files.filter(|entry| entry.file_type().is_file() && ours(entry.path().strip_prefix(root).unwrap()));
    files.map(|entry| (entry.path().to_owned(), entry.metadata().unwrap().modified().unwrap())).collect()
}

#[test]
fn an_appliance_is_no_place_to_write_to_and_nothing_in_it_is_one_to_read_from() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://trees"]);
    let (project, home) = (root.path(), appliance.dir().to_owned());
    let file = project.join("ok.txt");
    fs::write(&file, "mine").unwrap();
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://trees/x/ok.txt"]);
    symlink("data", project.join("linked")).unwrap();
    let before = state(&home);
    let at = |name: &str| project.join(name).to_str().unwrap().to_owned();
    let mut refused = Vec::new();
    for place in ["data", "data/pools/local", "data/new/deep", "linked", "linked/new"] {
        for more in [&[][..], &["--delete"], &["--delete", "--allow-empty", "--dry-run"]] {
            refused.push(
                [
                    &["sync".to_owned(), "s3://trees/x".to_owned(), at(place)][..],
                    &more.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(),
                ]
                .concat(),
            );
        }
        refused.push(["cp", "-r", "s3://trees/x", &at(place)].map(str::to_owned).to_vec());
        refused.push(["mv", "-r", "s3://trees/x", &at(place)].map(str::to_owned).to_vec());
        refused.push(["cp", "s3://trees/x/ok.txt", &at(place)].map(str::to_owned).to_vec());
        refused.push(["mv", "s3://trees/x/ok.txt", &at(place)].map(str::to_owned).to_vec());
    }
    refused.push(["cp", "s3://trees/x/ok.txt", &at("data/firn.json")].map(str::to_owned).to_vec());
    for place in ["data/catalog", "linked/pools"] {
        for verb in [&["sync"][..], &["cp", "-r"], &["mv", "-r"]] {
            let verb = verb.iter().map(|text| (*text).to_owned());
            refused.push(verb.chain([at(place), "s3://trees/own".to_owned()]).collect());
        }
    }
    for name in ["data/master.key", "linked/credentials"] {
        refused.push(["cp", &at(name), "s3://trees/own"].map(str::to_owned).to_vec());
        refused.push(["mv", &at(name), "s3://trees/own"].map(str::to_owned).to_vec());
    }
    for args in &refused {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ran = appliance.run(&args);
        assert!(
            ran.code == 2 && ran.err.contains("an appliance lies there, with its keys"),
            "{args:?}: {ran:?}"
        );
    }
    assert!(state(&home) == before, "nothing in it is another");
    assert_eq!(keys(&appliance, "s3://trees"), ["x/ok.txt"]);
}

#[test]
fn bodies_and_a_backup_on_other_disks_are_an_appliances_too() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://trees"]);
    let mounted = root.path().join("mnt");
    let life = format!("backup/lives/{:015}-{:016x}/base/1.age", 1, 2);
    let pool = "{\"format\":\"firn pool\",\"version\":1}\n";
    let zone = "{\"format\":\"firn zone\",\"version\":1}\n";
    let files = [
        ("pool/owner.json", pool),
        ("pool/1.seg", "x"),
        ("zone/zone.json", zone),
        ("zone/1.seg", "x"),
        (&life, "x"),
    ];
    for (name, text) in files {
        let path = mounted.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let (before, here) = (state(&mounted), mounted.to_str().unwrap());
    for args in [
        &["sync", "--delete", "--allow-empty", "s3://trees/none", here][..],
        &["sync", here, "s3://trees/x"],
        &["mv", "-r", here, "s3://trees/x"],
    ] {
        let ran = appliance.run(args);
        assert!(ran.code == 3 || args[1] == "--delete", "{args:?}: {ran:?}");
    }
    for name in ["pool", "pool/1.seg", "zone/new", "backup/lives"] {
        let ran = appliance.run(&[
            "sync",
            "--delete",
            "--allow-empty",
            "s3://trees/none",
            &format!("{here}/{name}"),
        ]);
        assert!(ran.code == 2 && ran.err.contains("an appliance's b"), "{name}: {ran:?}");
    }
    assert!(state(&mounted) == before);
    assert!(keys(&appliance, "s3://trees").is_empty());
}

#[test]
fn a_tree_that_comes_writes_over_no_appliance_below_its_target() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://trees"]);
    let (project, home) = (root.path(), appliance.dir().to_owned());
    let file = project.join("a.txt");
    fs::write(&file, "mine").unwrap();
    symlink("data", project.join("linked")).unwrap();
    for key in ["a.txt", "data/admin-token", "data/new/file", "linked/master.key", "z/b.txt"] {
        appliance.ok(&["cp", file.to_str().unwrap(), &format!("s3://trees/x/{key}")]);
    }
    let (before, here) = (state(&home), project.to_str().unwrap());
    fs::write(project.join("gone"), "x").unwrap();
    let told = ["data/admin-token", "data/new/file", "linked/master.key"];
    let mut downloaded = Vec::new();
    for args in [
        &["cp", "-r", "s3://trees/x", here][..],
        &["sync", "s3://trees/x", here],
        &["sync", "--delete", "s3://trees/x", here, "--exclude", "data.*"],
        &["sync", "--delete", "s3://trees/x", here, "--exclude", "data.*"],
    ] {
        let ran = appliance.run(&[args, &["--json"]].concat());
        assert_eq!(ran.code, 3, "{args:?}: {ran:?}");
        let report = ran.json();
        let failed = report["failed"].as_array().unwrap();
        let names: Vec<_> = failed.iter().map(|failed| failed["name"].as_str().unwrap()).collect();
        assert_eq!(names, told, "{args:?}");
        assert!(
            failed[0]["error"].as_str().unwrap().contains("write it: an appliance lies there"),
            "{report}"
        );
        downloaded.push(report["downloaded"].as_u64().unwrap());
        assert!(state(&home) == before, "{args:?}");
    }
    assert_eq!(downloaded, [2, 0, 0, 0], "what is there comes once");
    assert!(!project.join("gone").exists(), "what else is not in the source goes");
    appliance.ok(&["sync", "s3://trees/x", here, "--exclude", "data/*", "--exclude", "linked/*"]);
    // A move of the tree around it leaves it as it is, its empty directories, too.
    fs::create_dir(home.join("empty")).unwrap();
    let moved =
        ["mv", "-r", here, "s3://trees/y", "--exclude", "data", "--exclude", "linked", "--exclude", "data.*"];
    appliance.ok(&moved);
    assert!(home.join("empty").exists() && state(&home) == before);
}

/// A link to a file, a link to a directory in one, and a hard link are ways into an appliance, too.
#[test]
fn no_link_to_what_is_an_appliances_is_written_through_or_read() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://trees"]);
    let (project, home) = (root.path(), appliance.dir().to_owned());
    let file = project.join("a.txt");
    fs::write(&file, "EVIL").unwrap();
    for key in ["a.txt", "credentials", "hard", "master.key"] {
        appliance.ok(&["cp", file.to_str().unwrap(), &format!("s3://trees/x/{key}")]);
    }
    let tree = project.join("some/tree");
    fs::create_dir_all(&tree).unwrap();
    for name in ["credentials", "master.key"] {
        symlink(home.join(name), tree.join(name)).unwrap();
    }
    symlink(home.join("catalog"), tree.join("rows")).unwrap();
    fs::hard_link(home.join("credentials"), tree.join("hard")).unwrap();
    fs::write(tree.join("twice"), "mine").unwrap();
    fs::hard_link(tree.join("twice"), tree.join("twice2")).unwrap();
    let here = tree.to_str().unwrap();
    // Neither the environment nor the working directory says where the appliance is.
    let run = |args: &[&str]| -> crate::support::Ran {
        appliance.command(args).env_remove("FIRN_DIR").output().unwrap().into()
    };
    let names = |report: &serde_json::Value| -> Vec<String> {
        let failed = report["failed"].as_array().unwrap().iter();
        failed.map(|failed| failed["name"].as_str().unwrap().to_owned()).collect()
    };
    let before = state(&home);
    for verb in [&["cp", "-r"][..], &["sync"], &["sync", "--delete"], &["mv", "-r"]] {
        let sent = run(&[verb, &[here, "s3://trees/up", "--json"]].concat());
        assert_eq!(sent.code, 3, "{sent:?}");
        assert_eq!(names(&sent.json()), ["credentials", "hard", "master.key", "rows"], "{verb:?}");
        assert_eq!(keys(&appliance, "s3://trees/up"), ["up/twice", "up/twice2"]);
    }
    for name in ["credentials", "hard", "master.key"] {
        let sent = run(&["cp", tree.join(name).to_str().unwrap(), "s3://trees/one"]);
        assert!(sent.code == 2 && sent.err.contains("appliance"), "{name}: {sent:?}");
    }
    fs::remove_file(tree.join("hard")).unwrap();
    for verb in [&["cp", "-r"][..], &["sync"], &["sync", "--dry-run"]] {
        let came = run(&[verb, &["s3://trees/x", here, "--json"]].concat());
        assert_eq!(came.code, 3, "{came:?}");
        assert_eq!(names(&came.json()), ["credentials", "master.key"], "{verb:?}");
        assert!(state(&home) == before, "{verb:?}");
    }
    let moved = run(&["mv", "-r", "s3://trees/x", here]);
    assert!(moved.code == 3 && state(&home) == before, "{moved:?}");
    assert_eq!(keys(&appliance, "s3://trees/x"), ["x/credentials", "x/master.key"], "their sources stay");
}

/// Whoever writes to a bucket chooses names, firn's own for its temporary files among them.
#[test]
fn an_object_that_is_called_like_a_temporary_file_comes_stays_and_goes_like_others() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://trees"]);
    let (file, tree) = (root.path().join("f"), root.path().join("tree"));
    fs::write(&file, "precious").unwrap();
    let name = format!(".firn-partial-{}", "0".repeat(32));
    appliance.ok(&["cp", file.to_str().unwrap(), &format!("s3://trees/x/{name}")]);
    let here = tree.to_str().unwrap();
    assert!(appliance.ok(&["mv", "-r", "s3://trees/x", here]).out.starts_with("1 moved"));
    let kept = || fs::read_to_string(tree.join(&name)).unwrap_or_default() == "precious";
    assert!(kept());
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://trees/y/a"]);
    appliance.ok(&["sync", "s3://trees/y", here]);
    assert!(kept(), "it is no stale download");
    assert!(appliance.ok(&["cp", "-r", here, "s3://trees/z"]).out.starts_with("2 uploaded"));
    appliance.ok(&["sync", "--delete", here, "s3://trees/z"]);
    assert_eq!(keys(&appliance, "s3://trees/z"), [format!("z/{name}"), "z/a".to_owned()]);
    // One that it would be called, of the object that comes.
    let digest = client::md5_etag(b"b");
    for part in [format!(".firn-partial-{digest}"), "b".to_owned()] {
        appliance.ok(&["cp", file.to_str().unwrap(), &format!("s3://trees/w/{part}")]);
    }
    let to = root.path().join("to");
    appliance.ok(&["sync", "s3://trees/w", to.to_str().unwrap()]);
    assert_eq!(fs::read_dir(to).unwrap().count(), 2);
}

#[test]
fn what_can_have_no_key_says_how_it_is_left_out() {
    use std::os::unix::ffi::OsStrExt;
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://trees"]);
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("a"), "a").unwrap();
    fs::write(tree.join(std::ffi::OsStr::from_bytes(b"bad\xff")), "b").unwrap();
    std::os::unix::net::UnixListener::bind(tree.join("sock")).unwrap();
    symlink(".", tree.join("loop")).unwrap();
    let tree = tree.to_str().unwrap();
    let sent = appliance.run(&["sync", tree, "s3://trees"]);
    assert_eq!(sent.code, 3, "{sent:?}");
    assert!(sent.out.contains("sock: read it: it is no regular file; --exclude leaves it out"), "{sent:?}");
    assert!(sent.out.contains("loop: read it: it is a link back to "), "{sent:?}");
    assert!(sent.out.contains("which it lies in; --exclude leaves it out"), "{sent:?}");
    assert!(sent.out.contains("it is not UTF-8; rename it, or --exclude with a *"), "{sent:?}");
    appliance.ok(&[
        "sync",
        tree,
        "s3://trees",
        "--exclude",
        "sock",
        "--exclude",
        "bad*",
        "--exclude",
        "loop",
    ]);
}

#[test]
fn a_tree_that_was_removed_in_a_bucket_with_versions_comes_back() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://back", "--versioning"]);
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..30 {
        fs::write(tree.join(format!("{n:02}")), n.to_string()).unwrap();
    }
    appliance.ok(&["sync", tree.to_str().unwrap(), "s3://back/u"]);
    // One that was removed before, and written anew since, has nothing to bring back.
    appliance.ok(&["rm", "s3://back/u/07"]);
    fs::write(tree.join("07"), "new").unwrap();
    appliance.ok(&["cp", tree.join("07").to_str().unwrap(), "s3://back/u/07"]);
    let removed = appliance.ok(&["rm", "-r", "s3://back/u"]);
    let said = format!("{}{}", removed.out, removed.err);
    assert!(said.contains("firn undelete -r s3://back/u"), "{removed:?}");
    let gone = appliance.run(&["cp", "-r", "s3://back/u", root.path().join("got").to_str().unwrap()]);
    assert!(gone.code == 4 && gone.err.contains("firn undelete -r s3://back/u"), "{gone:?}");
    let dry = appliance.ok(&["undelete", "-r", "--dry-run", "s3://back/u"]);
    assert!(dry.out.contains("30"), "{dry:?}");
    let back = appliance.ok(&["undelete", "-r", "s3://back/u"]);
    assert!(back.out.contains("30"), "{back:?}");
    assert_eq!(keys(&appliance, "s3://back").len(), 30);
    assert_eq!(appliance.ok(&["cat", "s3://back/u/07"]).out, "new");
    assert_eq!(appliance.ok(&["undelete", "-r", "s3://back/u", "--json"]).json()["restored"], 0);
    appliance.ok(&["rm", "s3://back/u/03"]);
    appliance.ok(&["undelete", "s3://back/u/03"]);
    assert_eq!(appliance.ok(&["cat", "s3://back/u/03"]).out, "3");
    assert_eq!(appliance.run(&["undelete", "s3://back/u/nope"]).code, 4);
}
