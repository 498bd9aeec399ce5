//! The newcomer's first run: from a clone to an appliance that holds real files, every byte of them verified.
//!
//! ```text
//!   packages ► RocksDB ► release binary ► firn server ./data ► first object (aws-cli)
//!     ► sync in: cargo's registry sources (many small), wheel and binary (some large) ► list ► sync out ► compare
//!     ► where the bytes lie ► an archive, two checkpoints, a quota, a lock, a restore (promises) ► what to try next
//! ```
//!
//! It can be run again: the appliance is found running, and of the trees what is in the bucket already is not sent twice. Never:
//! it stops the appliance, or removes anything from ./data.

mod appliance;
mod files;
mod promises;

use crate::compile::Profile;
use crate::error::{Error, Result};
use crate::say::{self, Stopwatch};
use crate::workspace::Workspace;
use crate::{compile, packages, process, python};
use appliance::{Appliance, Stays};
use files::{Tree, empty_directory};
use promises::Stage;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const BUCKET: &str = "s3://demo";

/// Runs all of it.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let whole = Stopwatch::start();
    say::line("firn's demo. On a machine of two cores the first run takes 10 to 14 minutes:");
    say::line(
        "  RocksDB 3 min 30 s to 4 min 30 s (once per machine), the release binary 6 min 30 s to 8 min 30 s; later runs take about 1.",
    );
    say::heading("1. packages and compilers");
    packages::ensure(&packages::for_demo())?;
    let clients = std::thread::scope(|scope| {
        // The network's work beside the compilers'.
        let clients = scope.spawn(|| python::ensure(workspace));
        let library = compile::prepare(workspace)?;
        say::heading("building the release binary");
        compile::firn(workspace, &library, Profile::Release)?;
        clients.join().map_err(|_| Error::failed("the installation of the Python clients panicked"))?
    })?;
    let (watch, appliance) = begin(workspace, &workspace.root.join("data"), Stays::LeftRunning)?;
    show(workspace, &clients, &appliance, watch)?;
    say::heading(&format!("done after {}; the appliance goes on running", say::duration(whole.elapsed())));
    // Nobody is left to tell when standard error is gone.
    drop(farewell(workspace, &appliance, &mut std::io::stderr().lock()));
    Ok(())
}

/// The same with the binary that is there, on an appliance of its own, which ends with it, and what is printed at the end is typed: for CI.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let clients = python::ensure(workspace)?;
    let data = workspace.target.join("demo/checked");
    empty_directory(&data)?;
    let (watch, appliance) = begin(workspace, &data, Stays::WithUs)?;
    let shown = show(workspace, &clients, &appliance, watch);
    let shown = shown.and_then(|()| try_next_steps(workspace, &appliance));
    shown.and(appliance.stop())?;
    std::fs::remove_dir_all(&data).map_err(|source| Error::at("remove", &data, source))
}

/// An appliance on this directory, and a watch that was started before it.
fn begin(workspace: &Workspace, data: &Path, stays: Stays) -> Result<(Stopwatch, Appliance)> {
    say::heading("2. the appliance");
    let scratch = workspace.target.join("demo");
    let binary = scratch.join("firn");
    install(&workspace.firn(Profile::Release), &binary)?;
    let watch = Stopwatch::start();
    Ok((watch, Appliance::ensure(&binary, data, &scratch.join("server.log"), stays)?))
}

fn show(workspace: &Workspace, clients: &Path, appliance: &Appliance, watch: Stopwatch) -> Result<()> {
    first_object(appliance, clients)?;
    say::line(format!("from the command to the first object: {}", say::duration(watch.elapsed())));

    say::heading("3. real files in");
    let sources = registry_sources()?;
    let scratch = workspace.target.join("demo");
    let large = scratch.join("large");
    gather_large(&appliance.binary, clients, &large)?;
    let sets = [("registry", sources), ("large", large)];
    let mut trees = Vec::new();
    for (name, directory) in &sets {
        let tree = Tree::walk(directory)?;
        sync_in(appliance, name, directory, &tree)?;
        trees.push(tree);
    }

    say::heading("4. list");
    list(appliance, &trees)?;

    say::heading("5. read back and compare every byte");
    for ((name, directory), tree) in sets.iter().zip(&trees) {
        verify(appliance, name, directory, tree, &scratch.join("back").join(name))?;
    }

    say::heading("6. where the bytes lie");
    if let Some((largest, smallest)) = trees.first().and_then(Tree::extremes) {
        for path in [largest, smallest] {
            process::run(&mut appliance.firn(&["where", &format!("{BUCKET}/registry/{}", path.display())]))?;
        }
    }
    process::run(&mut appliance.firn(&["du", BUCKET]))?;

    let stage = Stage { appliance, clients, scratch: &scratch.join("promises") };
    if let (Some((_, sources)), Some(tree)) = (sets.first(), trees.first()) {
        say::heading("7. an archive goes in as one request, its files or none");
        stage.archive(sources, tree)?;
    }
    say::heading("8. what two checkpoints have in common is stored once");
    stage.checkpoints()?;
    say::heading("9. a quota takes what fits and nothing more");
    stage.quota()?;
    say::heading("10. what is locked stays");
    stage.lock()?;
    say::heading("11. what is archived comes back when it is asked for");
    stage.archived()?;

    say::heading("12. how the appliance is");
    process::run(appliance.firn(&["status"]).arg(&appliance.directory))?;
    Ok(())
}

/// Copies the binary, so that a later build does not write into a running server's file.
fn install(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        crate::workspace::make_directory(parent)?;
    }
    let fresh = to.with_extension("new");
    std::fs::copy(from, &fresh).map_err(|source| Error::at("copy", from, source))?;
    std::fs::rename(&fresh, to).map_err(|source| Error::at("replace", to, source))
}

/// Makes the bucket, unless an earlier run did, and puts two versions of one object by aws-cli.
fn first_object(appliance: &Appliance, clients: &Path) -> Result<()> {
    let aws = clients.join("aws");
    if process::capture(&mut appliance.firn(&["--quiet", "stat", BUCKET])).is_err() {
        process::run(&mut appliance.firn(&["mb", "--versioning", BUCKET]))?;
    }
    for text in ["first version\n", "second version\n"] {
        let mut put = appliance.client(Path::new("sh"));
        put.args(["-c", "printf %s \"$1\" | \"$2\" s3 cp - s3://demo/hello.txt", "sh", text]).arg(&aws);
        process::run(&mut put)?;
    }
    let back = process::capture(appliance.client(&aws).args(["s3", "cp", "s3://demo/hello.txt", "-"]))?;
    if back != "second version\n" {
        return Err(Error::failed(format!("s3://demo/hello.txt reads {back:?}")));
    }
    process::run(&mut appliance.firn(&["ls", "--versions", "s3://demo/hello.txt"]))
}

/// Cargo's unpacked registry sources: thousands of small files that every machine with Rust has after a build.
fn registry_sources() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let sources = home.map(|home| home.join("registry/src")).filter(|path| path.is_dir());
    sources.ok_or_else(|| Error::failed("cargo's registry has no sources: CARGO_HOME points elsewhere"))
}

/// The binary itself, a wheel, and what the wheel carries.
fn gather_large(binary: &Path, clients: &Path, into: &Path) -> Result<()> {
    empty_directory(into)?;
    let name = into.join("firn");
    std::fs::copy(binary, &name).map_err(|source| Error::at("copy", binary, source))?;
    let mut pip = Command::new(clients.join("pip"));
    pip.args(["download", "--quiet", "--no-deps", "--only-binary=:all:", "scikit-learn", "--dest"]).arg(into);
    process::run(&mut pip)?;
    let brought = Tree::walk(into)?;
    let wheel = brought.names().find(|name| name.extension().is_some_and(|end| end == "whl"));
    let wheel = wheel.ok_or_else(|| Error::failed("pip brought no wheel of scikit-learn"))?;
    let mut unpack = Command::new(clients.join("python3"));
    unpack.args(["-m", "zipfile", "-e"]).arg(into.join(wheel)).arg(into.join("scikit-learn"));
    process::run(&mut unpack)
}

fn sync_in(appliance: &Appliance, name: &str, directory: &Path, tree: &Tree) -> Result<()> {
    let watch = Stopwatch::start();
    process::run(appliance.firn(&["sync"]).arg(directory).arg(format!("{BUCKET}/{name}/")))?;
    tell(&format!("{name} in"), tree, watch);
    Ok(())
}

fn tell(what: &str, tree: &Tree, watch: Stopwatch) {
    let time = watch.elapsed();
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    say::line(format!(
        "{what}: {} files, {} in {} ({}, {} files/s)",
        tree.count(),
        say::bytes(tree.bytes()),
        say::duration(time),
        say::rate(tree.bytes(), time),
        tree.count() as u64 * 1000 / millis,
    ));
}

fn list(appliance: &Appliance, trees: &[Tree]) -> Result<()> {
    let watch = Stopwatch::start();
    let text = process::capture(&mut appliance.firn(&["ls", "--recursive", "--json", BUCKET]))?;
    let listed = text.lines().count();
    let wanted = trees.iter().map(Tree::count).sum::<usize>() + 1;
    say::line(format!("{listed} keys listed in {}", say::duration(watch.elapsed())));
    if listed < wanted {
        return Err(Error::failed(format!("{wanted} files were sent and {listed} keys are listed")));
    }
    process::run(&mut appliance.firn(&["ls", BUCKET]))
}

fn verify(appliance: &Appliance, name: &str, sent: &Path, tree: &Tree, back: &Path) -> Result<()> {
    empty_directory(back)?;
    let watch = Stopwatch::start();
    process::run(appliance.firn(&["sync"]).arg(format!("{BUCKET}/{name}/")).arg(back))?;
    tell(&format!("{name} out"), tree, watch);
    tree.compare(sent, back)?;
    say::line(format!("{name}: all {} files are the same in every byte", tree.count()));
    empty_directory(back)
}

/// What to try next, each with what it is for: lines for sh.
fn next_steps(firn: &str, data: &str) -> [(String, &'static str); 6] {
    [
        (format!("eval \"$({firn} env {data})\""), "points aws, boto3, rclone and firn at it"),
        (format!("{firn} ls s3://demo/large/"), ""),
        (format!("{firn} quota ls ; {firn} dedup ls"), "of the last steps"),
        (format!("{firn} share s3://demo/hello.txt"), "a link for a browser"),
        (format!("{firn} doctor {data} ; {firn} status {data}"), ""),
        (
            format!("kill $(cat {data}/lock)"),
            "stop it; `firn server` with the same directory starts it again",
        ),
    ]
}

fn shown<'a>(workspace: &Workspace, path: &'a Path) -> std::path::Display<'a> {
    path.strip_prefix(&workspace.root).unwrap_or(path).display()
}

fn farewell(workspace: &Workspace, appliance: &Appliance, out: &mut dyn Write) -> std::io::Result<()> {
    let (binary, data) = (shown(workspace, &appliance.binary), shown(workspace, &appliance.directory));
    writeln!(out, "next:")?;
    for (line, purpose) in next_steps(&binary.to_string(), &data.to_string()) {
        let purpose = if purpose.is_empty() { String::new() } else { format!(" # {purpose}") };
        writeln!(out, "{}", format!("  {line:43}{purpose}").trim_end())?;
    }
    Ok(())
}

/// Types what is printed at the end, line by line as it stands there; but the appliance is not ended by the last one.
fn try_next_steps(workspace: &Workspace, appliance: &Appliance) -> Result<()> {
    let mut printed = Vec::new();
    farewell(workspace, appliance, &mut printed)
        .map_err(|error| Error::failed(format!("tell what is next: {error}")))?;
    let printed = String::from_utf8_lossy(&printed);
    say::line(printed.trim_end());
    let lines: Vec<&str> = printed.lines().skip(1).collect();
    let [env, rest @ .., last] = &lines[..] else {
        return Err(Error::failed(format!("the demo names no next steps at its end, but {printed:?}")));
    };
    if rest.is_empty() || !last.trim_start().starts_with("kill $(") {
        return Err(Error::failed(format!(
            "the demo does not end with steps and how to stop it, but {printed:?}"
        )));
    }
    let is_there = last.replacen("kill ", "kill -0 ", 1);
    for line in rest.iter().copied().chain([is_there.as_str()]) {
        let mut typed = Command::new("sh");
        // In front of it, as in the shell of whoever types them one after the other.
        typed.args(["-c", &format!("{env}\n{line}")]).current_dir(&workspace.root);
        process::run(&mut typed)?;
    }
    Ok(())
}
