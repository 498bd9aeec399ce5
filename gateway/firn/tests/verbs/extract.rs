//! `cp --extract`: archives that become objects.

use super::start;
use std::fs;
use std::process::Command;

#[test]
fn an_archive_becomes_objects_below_the_target() {
    let (root, appliance) = start();
    let top = root.path().join("tree");
    fs::create_dir_all(top.join("d")).unwrap();
    for number in 0..40 {
        fs::write(top.join(format!("d/{number}.json")), format!("{{\"n\":{number}}}")).unwrap();
    }
    fs::write(top.join("large"), vec![7; 3_000_000]).unwrap();
    std::os::unix::fs::symlink("large", top.join("link")).unwrap();
    appliance.ok(&["mb", "s3://many"]);
    for (name, pack) in [("plain.tar", "--format=posix"), ("packed.tgz", "--gzip")] {
        let archive = root.path().join(name);
        let made =
            Command::new("tar").arg(pack).arg("-cf").arg(&archive).arg("-C").arg(&top).arg(".").status();
        assert!(made.unwrap().success());
        let archive = archive.to_str().unwrap();
        let told = appliance.ok(&["cp", "--extract", archive, "s3://many/in/", "--json"]).json();
        assert_eq!(
            (&told["objects"], &told["skipped"], &told["refused"]),
            (&41.into(), &1.into(), &0.into())
        );
        assert_eq!(told["report"], format!("s3://many/in/{name}.report.json"));
        assert_eq!(
            (&told["entries"][0]["name"], &told["entries"][0]["result"]),
            (&"./link".into(), &"skipped".into())
        );
        assert_eq!(appliance.ok(&["cat", "s3://many/in/d/7.json"]).out, "{\"n\":7}");
        let stat = appliance.ok(&["stat", "s3://many/in/large", "--json"]).json();
        assert_eq!(stat["size"], 3_000_000);
        appliance.ok(&["sync", "s3://many/in/", root.path().join("back").to_str().unwrap()]);
        assert_eq!(fs::read(root.path().join("back/d/39.json")).unwrap(), b"{\"n\":39}");
        appliance.ok(&["rm", "-r", "s3://many/in/"]);
    }
    let archive = root.path().join("plain.tar");
    let archive = archive.to_str().unwrap();
    appliance.ok(&["cp", archive, "s3://many/d/7.json"]);
    let refused = appliance.run(&["cp", "--extract", "--no-clobber", archive, "s3://many"]);
    assert_eq!(refused.code, 8, "{}", refused.err);
    assert!(refused.err.contains("./d/7.json"), "{}", refused.err);
    let partly = appliance.run(&["cp", "--extract", "--no-clobber", "--skip-refused", archive, "s3://many"]);
    assert_eq!(partly.code, 3, "{}", partly.err);
    assert!(
        partly.out.contains("refused: ./d/7.json") && partly.out.contains("40 objects"),
        "{}",
        partly.out
    );
}

#[test]
fn what_is_no_archive_is_refused_and_nothing_is_stored() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://none"]);
    let file = root.path().join("text");
    fs::write(&file, "no archive").unwrap();
    let file = file.to_str().unwrap();
    let refused = appliance.run(&["cp", "--extract", file, "s3://none/"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("archive") && refused.err.contains("tar -czf"), "{}", refused.err);
    for wrong in [
        &["cp", "--extract", "s3://none/a", "s3://none/b"][..],
        &["cp", "--extract", "-", "s3://none/"],
        &["cp", "--extract", "/", "s3://none/"],
        &["cp", "--extract", "-r", file, "s3://none/"],
        &["cp", "--skip-refused", file, "s3://none/"],
    ] {
        assert_eq!(appliance.run(wrong).code, 2, "{wrong:?}");
    }
    assert_eq!(appliance.ok(&["ls", "-r", "s3://none"]).out, "");
}
