//! Rounds of work that end in a crash, each followed by a verification of everything.
//!
//! ```text
//!   mount (power cuts only) ─► start ─► verify ─► workers run ─► kill −9, or cut and then kill ─► unmount ─┐
//!      ▲                                                                                                   │
//!      └───────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Where the catalog has a copy in a zone, the data directory is lost before every third round and made anew from that zone.
//!
//! A few rounds of power cuts fall into the start itself: recovery must survive being cut, too. Where there is a remote pool its store
//! is killed in every third round before the server is, or loses its power with it, and is still away when some servers start.

use crate::calls::{Caller, request, with_query};
use crate::layout::{Far, Layout, shares_with};
use crate::space;
use crate::verify;
use crate::worker::{PLAIN, VERSIONED, Worker};
use anyhow::{Context, Result, ensure};
use powercut::{PowerCut, Seeded};
use std::ops::AddAssign;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use wire::{Appliance, Launch};

/// Operations of one worker in one round, at most.
const OPERATIONS_MAX: u64 = 400;
/// How long an armed cut is waited for before the power goes anyway.
const CUT_PATIENCE: Duration = Duration::from_secs(20);

/// What a soak is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) binary: PathBuf,
    pub(crate) server_args: Vec<String>,
    pub(crate) scratch: PathBuf,
    pub(crate) seed: u64,
    pub(crate) rounds: u64,
    pub(crate) workers: u64,
    pub(crate) power_cuts: bool,
    /// Not [`Layout::Mixed`].
    pub(crate) layout: Layout,
    /// Space is checked after this many rounds, and after the last.
    pub(crate) space_every: u64,
    /// How long a server may take to start, to answer and to stop.
    pub(crate) patience: Duration,
}

/// What a soak did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) rounds: u64,
    pub(crate) acknowledged: u64,
    pub(crate) unknown: u64,
    pub(crate) space_checks: u64,
    pub(crate) cuts_in_recovery: u64,
    pub(crate) data_at_stake: u64,
    pub(crate) data_torn: u64,
    pub(crate) names_at_stake: u64,
    pub(crate) store_kills: u64,
    pub(crate) objects_checked: u64,
    /// Data directories that were lost and made from a zone.
    pub(crate) homes_lost: u64,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        self.space_checks += other.space_checks;
        self.cuts_in_recovery += other.cuts_in_recovery;
        self.data_at_stake += other.data_at_stake;
        self.data_torn += other.data_torn;
        self.names_at_stake += other.names_at_stake;
        self.store_kills += other.store_kills;
        self.objects_checked += other.objects_checked;
        self.homes_lost += other.homes_lost;
    }
}

/// A soak under way.
pub(crate) struct Soak {
    plan: Plan,
    dirs: Dirs,
    /// The store of the remote pool.
    far: Option<Far>,
    /// The data directory was made from a zone, and no server has run on it yet.
    is_made: bool,
    workers: Vec<Worker>,
    report: Report,
}

/// A worker that has worked or verified, and what stopped it before it was done.
struct Ended {
    worker: Worker,
    outcome: Result<Option<String>>,
}

/// Where things are. `data` is below the mountpoint when power is cut.
struct Dirs {
    backing: PathBuf,
    mountpoint: PathBuf,
    launch: Launch,
}

impl Soak {
    pub(crate) fn new(plan: Plan) -> Result<Self> {
        let backing = plan.scratch.join("backing");
        let mountpoint = plan.scratch.join("mnt");
        std::fs::create_dir_all(&backing)?;
        std::fs::create_dir_all(&mountpoint)?;
        // The least segments: they fill, are compacted and recycled within a soak, and every crash leaves some half full.
        let config = plan.scratch.join("firn.toml");
        let seed = Seeded::new(plan.seed);
        let far = plan.layout.has_far();
        // The disk, and what it shows before it is mounted for the first time.
        let (disk, made) =
            if plan.power_cuts { (&mountpoint, &backing) } else { (&plan.scratch, &plan.scratch) };
        let far = far.then(|| Far::new(&plan, disk, &mut seed.fork(0))).transpose()?;
        let mut text = "[engine]\nsegment = \"16MiB\"\n".to_owned();
        text.push_str(&plan.layout.zones(made, disk)?);
        text.extend(far.iter().map(Far::zone));
        std::fs::write(&config, text)?;
        let mut args = vec!["--config".to_owned(), config.display().to_string()];
        args.extend(plan.server_args.iter().cloned());
        let launch = Launch {
            binary: plan.binary.clone(),
            dir: disk.join("data"),
            log: plan.scratch.join("server.log"),
            http: wire::ANY_PORT.to_owned(),
            args,
            patience: plan.patience,
        };
        let workers = (0..plan.workers).map(|number| Worker::new(number, &seed)).collect();
        let dirs = Dirs { backing, mountpoint, launch };
        Ok(Self { dirs, far, is_made: false, workers, plan, report: Report::default() })
    }

    /// Runs all rounds; the error names the round and the seed.
    pub(crate) async fn run(mut self) -> Result<Report> {
        self.set_up().await.context("set up")?;
        for round in 0..self.plan.rounds {
            let outcome = self.round(round).await;
            outcome.with_context(|| {
                format!(
                    "round {round} of seed {}; the server's log ends:\n{}",
                    self.plan.seed,
                    self.dirs.launch.log_tail()
                )
            })?;
            self.report.rounds += 1;
        }
        let outcome = self.last_look().await;
        outcome.with_context(|| format!("the last verification of seed {}", self.plan.seed))?;
        Ok(self.report)
    }

    /// Creates the buckets, in a round that nothing disturbs.
    async fn set_up(&mut self) -> Result<()> {
        let layer = self.mount(0)?;
        if let Some(far) = &mut self.far {
            far.set_up().await?;
        }
        let appliance = self.dirs.launch.start().await?;
        let mut caller = Caller::new(&appliance);
        for bucket in [PLAIN, VERSIONED] {
            caller.must(&request("PUT", bucket, ""), &[]).await?;
        }
        let xml = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        caller.must(&with_query("PUT", VERSIONED, "", &[("versioning", "")]), xml.as_bytes()).await?;
        let on = format!(r#"{{"action":"on","bucket":"{VERSIONED}"}}"#);
        let (code, text) = appliance.admin("POST", "/v1/dedup", &on).await?;
        ensure!(code == 200, "deduplication is not switched on: {code} {text}");
        appliance.kill().await?;
        self.end_far(layer.is_some()).await?;
        self.unmount(layer).await
    }

    async fn round(&mut self, round: u64) -> Result<()> {
        let mut chance = Seeded::new(self.plan.seed).fork(1 + round);
        let layer = self.mount(chance.next())?;
        self.lose_home(&mut chance).await.context("lose the data directory")?;
        let during_start = chance.chance(1, 8);
        let layer = match layer {
            Some(layer) if during_start => return self.cut_during_start(layer, &mut chance).await,
            layer => layer,
        };
        let appliance = self.start(&mut chance).await?;
        self.verify(&appliance).await?;
        if round % self.plan.space_every == self.plan.space_every - 1 {
            self.check_space(&appliance).await?;
        }
        if let Some(layer) = &layer {
            layer.cut_after(1 + chance.below(3000));
        }
        let done = Arc::new(AtomicU64::new(0));
        let working = self.work(&appliance, &done);
        match &layer {
            Some(layer) => self.until_cut(layer, appliance, working).await?,
            None => self.until_killed(&mut chance, appliance, working, &done).await?,
        }
        self.report.acknowledged += done.load(Ordering::Relaxed);
        self.unmount(layer).await
    }

    /// Loses the data directory where a zone has all that it had, and makes another one from that.
    async fn lose_home(&mut self, chance: &mut Seeded) -> Result<()> {
        if !self.plan.layout.copies_catalog() || !chance.chance(1, 3) {
            return Ok(());
        }
        let dir = self.dirs.launch.dir.clone();
        let Some(zone) = shares_with(&dir)? else { return Ok(()) };
        std::fs::remove_dir_all(&dir)?;
        let mut command = tokio::process::Command::new(&self.plan.binary);
        let made = command.arg("recover").arg(&dir).arg("--from-zone").arg(&zone).output().await?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "no data directory is made from {}: {said}", zone.display());
        self.is_made = true;
        self.report.homes_lost += 1;
        Ok(())
    }

    /// Starts the server, and before or after it the store of its remote pool, if that was killed.
    async fn start(&mut self, chance: &mut Seeded) -> Result<Appliance> {
        let Some(far) = &mut self.far else {
            let mut launch = self.dirs.launch.clone();
            launch.args.extend(self.is_made.then(|| "--accept-loss".to_owned()));
            let appliance = launch.start().await?;
            self.is_made = false;
            return Ok(appliance);
        };
        if !chance.chance(1, 2) {
            far.start().await?;
        }
        let appliance = self.dirs.launch.start().await?;
        far.start().await?;
        Ok(appliance)
    }

    /// Lets the power go while the server starts: whatever it had done by then, the next start finds everything.
    async fn cut_during_start(&mut self, layer: PowerCut, chance: &mut Seeded) -> Result<()> {
        layer.cut_after(chance.below(200));
        match self.start(chance).await {
            Ok(appliance) => appliance.kill().await?,
            Err(error) => ensure!(layer.stats().cut.is_some(), "it did not start, with power: {error:#}"),
        }
        layer.cut()?;
        self.end_far(true).await?;
        self.report.cuts_in_recovery += 1;
        self.unmount(Some(layer)).await
    }

    /// Starts all workers.
    fn work(&mut self, appliance: &Appliance, done: &Arc<AtomicU64>) -> JoinSet<Ended> {
        let mut working = JoinSet::new();
        for mut worker in self.workers.drain(..) {
            let (caller, done) = (Caller::new(appliance), Arc::clone(done));
            working.spawn(async move {
                let outcome = worker.run(caller, OPERATIONS_MAX, done).await;
                Ended { worker, outcome }
            });
        }
        working
    }

    /// Waits for the armed cut (or cuts), then kills the server, then waits for the workers to notice.
    async fn until_cut(
        &mut self,
        layer: &PowerCut,
        appliance: Appliance,
        working: JoinSet<Ended>,
    ) -> Result<()> {
        tokio::task::block_in_place(|| layer.wait_for_cut(CUT_PATIENCE));
        layer.cut()?;
        appliance.kill().await?;
        self.end_far(true).await?;
        self.gather(all(working).await)
    }

    /// Kills the store of the remote pool where it stands on the mount that goes.
    async fn end_far(&mut self, power_cuts: bool) -> Result<()> {
        if let Some(far) = self.far.as_mut().filter(|far| power_cuts && far.is_running()) {
            far.kill().await?;
            self.report.store_kills += 1;
        }
        Ok(())
    }

    /// Kills the server after a random number of operations, in some rounds the store of its remote pool before it.
    async fn until_killed(
        &mut self,
        chance: &mut Seeded,
        appliance: Appliance,
        mut working: JoinSet<Ended>,
        done: &AtomicU64,
    ) -> Result<()> {
        let target = chance.below(OPERATIONS_MAX / 2 * self.plan.workers);
        let far_target = chance.chance(1, 3).then(|| chance.below(target + 1));
        let deadline = wire::elapsed() + CUT_PATIENCE;
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        // Those that stopped by themselves, because the store has what they asked for, say.
        let mut ended = Vec::new();
        while done.load(Ordering::Relaxed) < target && wire::elapsed() < deadline && !working.is_empty() {
            if let Some(far) = &mut self.far
                && far.is_running()
                && far_target.is_some_and(|target| done.load(Ordering::Relaxed) >= target)
            {
                far.kill().await?;
                self.report.store_kills += 1;
            }
            tokio::select! {
                _tick = ticks.tick() => {}
                joined = working.join_next() => ended.extend(joined),
            }
        }
        appliance.kill().await?;
        while let Some(joined) = working.join_next().await {
            ended.push(joined);
        }
        self.gather(ended)
    }

    fn gather(&mut self, all: Vec<Result<Ended, JoinError>>) -> Result<()> {
        let mut violation = None;
        for ended in all {
            let Ended { worker, outcome } = ended?;
            match outcome {
                Ok(stopped) => self.report.unknown += u64::from(stopped.is_some()),
                Err(error) => violation = Some(error.context(format!("worker {}", worker.number))),
            }
            self.workers.push(worker);
        }
        self.workers.sort_by_key(|worker| worker.number);
        violation.map_or(Ok(()), Err)
    }

    async fn verify(&mut self, appliance: &Appliance) -> Result<()> {
        let mut verifying = JoinSet::new();
        for mut worker in self.workers.drain(..) {
            let mut caller = Caller::new(appliance);
            verifying.spawn(async move {
                let outcome = verify::worker(&mut worker, &mut caller).await.map(|()| None);
                Ended { worker, outcome }
            });
        }
        self.gather(all(verifying).await).context("verify after the crash")
    }

    async fn check_space(&mut self, appliance: &Appliance) -> Result<()> {
        let named = space::check(appliance, &self.workers).await.context("look for leaked space")?;
        self.report.space_checks += 1;
        if let Some(far) = &self.far {
            let kills = usize::try_from(self.report.rounds).unwrap_or(usize::MAX) + 1;
            let checked = far.check(&named, kills).await.context("look for leaked objects")?;
            ensure!(checked > 0, "nothing was ever uploaded");
            self.report.objects_checked += checked as u64;
        }
        Ok(())
    }

    /// After the last crash: verifies, checks the space, and stops in good order.
    async fn last_look(&mut self) -> Result<()> {
        let layer = self.mount(0)?;
        let appliance = self.start(&mut Seeded::new(self.plan.seed)).await?;
        self.verify(&appliance).await?;
        self.check_space(&appliance).await?;
        let status = appliance.terminate(self.plan.patience).await?;
        ensure!(status.success(), "SIGTERM ended the server with {status}");
        self.end_far(layer.is_some()).await?;
        self.unmount(layer).await
    }

    fn mount(&self, seed: u64) -> Result<Option<PowerCut>> {
        if !self.plan.power_cuts {
            return Ok(None);
        }
        Ok(Some(PowerCut::mount(&self.dirs.backing, &self.dirs.mountpoint, seed)?))
    }

    async fn unmount(&mut self, layer: Option<PowerCut>) -> Result<()> {
        let Some(layer) = layer else { return Ok(()) };
        let stats = tokio::task::spawn_blocking(|| layer.unmount()).await??;
        if let Some(cut) = stats.cut {
            self.report.data_at_stake += cut.data_at_stake;
            self.report.data_torn += cut.data_torn;
            self.report.names_at_stake += cut.names_at_stake;
        }
        Ok(())
    }
}

/// Everybody, once they are done.
async fn all(mut working: JoinSet<Ended>) -> Vec<Result<Ended, JoinError>> {
    let mut ended = Vec::new();
    while let Some(joined) = working.join_next().await {
        ended.push(joined);
    }
    ended
}
