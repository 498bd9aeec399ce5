//! `cargo xtask bench AREA`: the measurements whose figures docs/benchmarks.md publishes. Never a timed test.

use crate::compile::Profile;
use crate::error::{Error, Result};
use crate::workspace::Workspace;
use crate::{compile, peers, process, say};

/// All areas.
const AREAS: [(&str, &str); 5] = [
    ("engine", "durable transactions, syncs per group, ingest, pages, reopening of the catalog"),
    (
        "s3",
        "requests per second and server CPU of the S3 door, beside a bare hyper server in the same run; with --peers \
         (or --peers=minio,versitygw,garage) beside other S3 servers too",
    ),
    (
        "growth",
        "server CPU per request with ten times the keys in a bucket and the parts of an object; pages of keys where nine of \
         ten have a delete marker",
    ),
    (
        "packs",
        "CPU-seconds of a deposit with deduplication, encryption and parity, of a restore, a scrub and parity alone: \
         `bench packs SCRATCH PATH…`, SCRATCH an empty directory",
    ),
    (
        "policy",
        "what a decision costs for somebody with ten managed policies, a session with a boundary and a bucket's policy: \
         `bench policy CASE COUNT` asks one so often and says nothing, for what measures a process",
    ),
];

/// Runs one area; what follows it on the command line goes to its program. Lists the areas when none is named.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result<()> {
    let Some((area, rest)) = words.split_first() else {
        for (name, what) in AREAS {
            say::result(&format!("{name:12} {what}\n"));
        }
        return Ok(());
    };
    if !AREAS.iter().any(|(name, _)| name == area) {
        return Err(Error::Usage(format!("`{area}` is not an area: `cargo xtask bench` lists them")));
    }
    let library = compile::prepare(workspace)?;
    let mut cargo = compile::cargo(workspace, &library);
    cargo.args(["run", "--locked", "--quiet", "--release"]);
    let example = match area.as_str() {
        "engine" => Some(("engine", "catalog_bench")),
        "packs" => Some(("archive", "pack_bench")),
        "policy" => Some(("security", "policy_bench")),
        _ => None,
    };
    if let Some((package, example)) = example {
        cargo.args(["--package", package, "--example", example, "--"]).args(rest);
    } else {
        let firn = compile::subject(workspace, &library, Profile::Dist)?;
        let command = if area == "growth" { "growth" } else { "run" };
        cargo.env("FIRN_BIN", firn).args(["--package", "load", "--", command]);
        cargo.args(peers::resolve(workspace, rest)?);
    }
    process::hand_over(&mut cargo)
}
