//! The workloads that any S3 server can be asked for, and the run against the appliance alone.

use crate::report::Report;
use crate::target::{Payload, Target};
use crate::workload::Shot;
use crate::{RunArguments, process};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::time::Duration;
use wire::{Appliance, Connection, Launch};

/// All workloads, in the order in which each finds what it reads.
pub(crate) const ALL: [&str; 9] =
    ["put4k", "put4k-one", "get4k", "head", "list", "mixed", "put16m", "get16m", "mixed-sizes"];

/// Small objects that are read.
const SMALL: usize = 2000;
/// Large objects that are read.
const LARGE: usize = 8;
/// Objects of many sizes that are read.
const SIZED: usize = 96;
const SMALL_BYTES: usize = 4096;
const LARGE_BYTES: usize = 16 << 20;
/// Of `mixed-sizes`, in bytes: from 4 KiB to 10 MiB, each about twice the one before.
const SIZES: [usize; 12] = [
    4 << 10,
    8 << 10,
    16 << 10,
    32 << 10,
    64 << 10,
    128 << 10,
    256 << 10,
    512 << 10,
    1 << 20,
    2 << 20,
    5 << 20,
    10 << 20,
];
/// Keys that are written, before they are written over.
const PUTS: usize = 40_000;

/// Starts an appliance in a fresh directory.
pub(crate) async fn start(arguments: &RunArguments, scratch: &Path) -> Result<(Appliance, Launch)> {
    let args = arguments.server_args.clone();
    let launch = Launch { args, ..Launch::new(arguments.binary.clone(), scratch)? };
    Ok((launch.start().await?, launch))
}

/// Measures the chosen workloads against an appliance of their own.
pub(crate) async fn run(arguments: &RunArguments, scratch: &Path, report: &mut Report) -> Result<()> {
    let (appliance, launch) = start(arguments, scratch).await?;
    let target = Target::of(&appliance).context("the server ended")?;
    report.idle_rss_mib = f64::from(u32::try_from(process::resident_kib(target.pid)?.0)?) / 1024.0;
    fill(&target, &arguments.workloads).await?;
    for name in &arguments.workloads {
        let connections = connections(name, arguments.connections);
        let workload =
            arguments.workload(name, target.address, target.pid, connections, shots(&target, name)?);
        let figures = workload.run().await.with_context(|| format!("{name}\n{}", launch.log_tail()))?;
        ensure!(figures.failed == 0, "{name}: {} of {} requests failed", figures.failed, figures.requests);
        report.figures.push(figures);
    }
    appliance.terminate(Duration::from_mins(1)).await?;
    Ok(())
}

/// How many connections a workload takes, of those for small requests.
pub(crate) fn connections(workload: &str, small: usize) -> usize {
    match workload {
        _ if workload.ends_with("16m") => small.div_ceil(8),
        _ if workload.ends_with("-one") => 1,
        _ => small,
    }
}

/// Makes the bucket and what the workloads read.
pub(crate) async fn fill(target: &Target, workloads: &[String]) -> Result<()> {
    let mut connection = Connection::open(target.address).await?;
    target.put(&mut connection, "", &Payload::empty()).await?;
    let wants = |names: &[&str]| workloads.iter().any(|name| names.contains(&name.as_str()));
    if wants(&["get4k", "head", "list", "mixed"]) {
        let small = Payload::of(3, SMALL_BYTES);
        for n in 0..SMALL {
            target.put(&mut connection, &small_key(n), &small).await?;
        }
    }
    if wants(&["get16m"]) {
        let large = Payload::of(4, LARGE_BYTES);
        for n in 0..LARGE {
            target.put(&mut connection, &large_key(n), &large).await?;
        }
    }
    if wants(&["mixed-sizes"]) {
        for (at, size) in SIZES.into_iter().enumerate() {
            let payload = Payload::of(5, size);
            for n in (at..SIZED).step_by(SIZES.len()) {
                target.put(&mut connection, &sized_key(n), &payload).await?;
            }
        }
    }
    Ok(())
}

fn small_key(n: usize) -> String {
    format!("small/{n:06}")
}

fn large_key(n: usize) -> String {
    format!("large/{n:06}")
}

fn sized_key(n: usize) -> String {
    format!("sized/{n:06}")
}

/// The requests of a workload, signed; to be sent within a quarter of an hour.
pub(crate) fn shots(target: &Target, workload: &str) -> Result<Vec<Shot>> {
    let nothing = Payload::empty();
    let read = |method, key: &str| target.shot(method, key, &[], &nothing);
    let list = |max: &str| {
        target.shot("GET", "", &[("list-type", "2"), ("max-keys", max), ("prefix", "small/")], &nothing)
    };
    let writes = |kind: &str, count: usize, length: usize| -> Vec<Shot> {
        let payload = Payload::of(6, length);
        (0..count).map(|n| target.shot("PUT", &format!("{kind}/{n:06}"), &[], &payload)).collect()
    };
    Ok(match workload {
        "put4k" => writes("put4k", PUTS, SMALL_BYTES),
        "put4k-one" => writes("put4k-one", SMALL, SMALL_BYTES),
        "put16m" => writes("put16m", 4 * LARGE, LARGE_BYTES),
        "get4k" => (0..SMALL).map(|n| read("GET", &small_key(n))).collect(),
        "head" => (0..SMALL).map(|n| read("HEAD", &small_key(n))).collect(),
        "get16m" => (0..LARGE).map(|n| read("GET", &large_key(n))).collect(),
        "list" => vec![list("1000")],
        "mixed" => {
            let puts = writes("mixed", SMALL, SMALL_BYTES);
            let mix = puts.into_iter().enumerate().flat_map(|(n, put)| {
                let mut shots: Vec<Shot> =
                    (0..6).map(|m| read("GET", &small_key((n * 7 + m * 311) % SMALL))).collect();
                shots.extend([put, read("HEAD", &small_key(n))]);
                if n % 4 == 0 {
                    shots.push(list("100"));
                }
                shots
            });
            mix.collect()
        }
        "mixed-sizes" => mixed_sizes(target),
        other => bail!("no workload is called {other}; there are {}", ALL.join(", ")),
    })
}

/// The verb at each of twenty places: 45 % GET, 30 % HEAD, 15 % PUT, 10 % DELETE, spread out. Each DELETE follows the PUT of
/// its key, four places before or more.
const TWENTY: [&str; 20] = [
    "PUT", "GET", "HEAD", "GET", "PUT", "GET", "HEAD", "GET", "HEAD", "DELETE", "GET", "HEAD", "GET", "PUT",
    "GET", "HEAD", "GET", "DELETE", "HEAD", "GET",
];

fn mixed_sizes(target: &Target) -> Vec<Shot> {
    let nothing = Payload::empty();
    let payloads = SIZES.map(|size| Payload::of(7, size));
    let mut shots = Vec::new();
    for round in 0..100 * SIZES.len() {
        let (mut put, mut deleted) = (0, 0);
        for (place, verb) in TWENTY.into_iter().enumerate() {
            let own = |count: usize| format!("mix/{round:04}-{count}");
            shots.push(match verb {
                "PUT" => {
                    put += 1;
                    target.shot(verb, &own(put), &[], &payloads[(round + put * 5) % SIZES.len()])
                }
                "DELETE" => {
                    deleted += 1;
                    target.shot(verb, &own(deleted), &[], &nothing)
                }
                _ => target.shot(verb, &sized_key((round * 7 + place * 29) % SIZED), &[], &nothing),
            });
        }
    }
    shots
}

#[cfg(test)]
mod tests {
    use super::{SIZED, SIZES, TWENTY, connections, shots};
    use crate::target::Target;
    use wire::Signing;

    fn target() -> Target {
        let signing =
            Signing { access_key: "k".to_owned(), secret: "s".to_owned(), region: "us-east-1".to_owned() };
        Target { address: "127.0.0.1:1".parse().unwrap(), signing, pid: 1 }
    }

    #[test]
    fn the_mixed_load_is_of_the_shares_that_it_names() {
        let share = |verb: &str| TWENTY.iter().filter(|at| **at == verb).count() * 5;
        assert_eq!(["GET", "HEAD", "PUT", "DELETE"].map(share), [45, 30, 15, 10]);
    }

    #[test]
    fn the_mixed_load_deletes_only_what_it_wrote_before_and_writes_every_size() {
        let shots = shots(&target(), "mixed-sizes").unwrap();
        let mut written = std::collections::BTreeSet::new();
        let mut sizes = std::collections::BTreeSet::new();
        let mut read = std::collections::BTreeSet::new();
        for shot in &shots {
            let head = String::from_utf8(shot.head.clone()).unwrap();
            let mut words = head.split(' ');
            let (verb, path) = (words.next().unwrap(), words.next().unwrap().to_owned());
            match verb {
                "PUT" => {
                    sizes.insert(shot.body.len());
                    written.insert(path);
                }
                "DELETE" => assert!(written.remove(&path), "{path}"),
                _ => {
                    read.insert(path);
                }
            }
        }
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), SIZES);
        assert_eq!(read.len(), SIZED);
    }

    #[test]
    fn large_bodies_take_an_eighth_of_the_connections() {
        assert_eq!(
            ["put4k", "put4k-one", "put16m", "get16m"].map(|name| connections(name, 64)),
            [64, 1, 8, 8]
        );
    }
}
