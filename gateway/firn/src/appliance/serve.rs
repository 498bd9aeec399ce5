//! `firn server`: from the command line to open doors, and back.
//!
//! The doors' addresses are taken before anything is made, and listened to once everything is open.
//!
//! The first SIGTERM or SIGINT closes the doors for new connections and lets open requests finish, for at most
//! `http.drain`; then the workers' ticks end and the catalog closes. A second signal ends the process at once, which
//! loses nothing that was acknowledged: neither does SIGKILL.

use super::access_logs;
use super::audit;
use super::banner::{Banner, Secrets};
use super::catalog_copy;
use super::descriptors::{self, Descriptors};
use super::events::EventMetrics;
use super::home::{Home, Wish};
use super::logging::{self, Logging};
use super::open::Appliance;
use super::quotas;
use super::status::Facts;
use crate::cli::Server as Args;
use crate::config::{self, Config};
use crate::directory::refuse_bodies_of_another;
use crate::doors::Doors;
use crate::exit::{Exit, Failure};
use crate::layout::{ADMIN_ADDR, DOORS, HTTP_ADDR};
use crate::session::as_its_owner;
use crate::tls::{self, Live, Load, Names, Renewal, Secured, Wish as TlsWish};
use anyhow::Context;
use client::Fetcher;
use engine::clock::{Clock, SystemClock};
use engine::entropy::{Entropy, SystemEntropy};
use engine::unit::ByteCount;
use prometheus_client::registry::Registry;
use security::identity::Issuers;
use std::io::IsTerminal;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use web::{AdminToken, Limits, Places, Server, State};

/// Runs an appliance until it is told to stop.
pub(crate) async fn run(args: &Args, quiet: bool) -> anyhow::Result<Exit> {
    refuse_absent_doors(args)?;
    let overrides = args.overrides(quiet);
    let config = config::load(args.config.as_deref(), &overrides)?;
    let logging = logging::start(&config.log)?;
    Descriptors::raise(config.connections_max);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let shows_secrets =
        logging::for_people(&config.log) && !args.no_secret && std::io::stderr().is_terminal();
    let wish = Wish {
        region: config.region.clone(),
        debug_day: args.debug_day,
        shows_secrets,
        accept_loss: args.accept_loss,
    };
    refuse_unreachable(&args.dir)?;
    if let TlsWish::Given { certificate, key } = &config.tls {
        tls::given(certificate, key, clock.now())?;
    }
    // Before anything is made in the directory: a recovery needs it empty.
    refuse_bodies_of_another(&args.dir, &config)?;
    let places = take_places(&config)?;
    let home = Home::open(&args.dir, &wish, &*clock, &entropy)?;
    home.remember_config(args.config.as_deref())?;
    if home.is_new {
        say_new(&home, &config, &logging);
    }
    if shows_secrets {
        show_secrets(&home, &logging);
    }
    let renewal = certificates(&config, &home)
        .map(|load| anyhow::Ok((Live::new(load(clock.now())?), load)))
        .transpose()?;
    // Signals are caught from here on: an interrupted start ends as an interrupted run does.
    let stop = Stop::listen()?;
    let appliance = Arc::new(Appliance::open(home, &config, clock, entropy).await?);
    let served = serve(&appliance, &config, (places, renewal), &logging, stop).await;
    appliance.home.retract(DOORS);
    appliance.home.retract(HTTP_ADDR);
    appliance.home.retract(ADMIN_ADDR);
    appliance.close().await;
    served?;
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

/// Takes the doors' addresses before anything is made: who can't have them has made no appliance, and seen no key.
fn take_places(config: &Config) -> Result<Places, Failure> {
    Places::take(config.http, config.admin).map_err(refused_place)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn refused_place(error: std::io::Error) -> Failure {
    let (exit, hint) = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            (Exit::Error, "another process has that port: choose another with --http and --admin")
        }
        std::io::ErrorKind::AddrNotAvailable => {
            (Exit::Usage, "this machine does not have that address: ip addr shows those that it has")
        }
        std::io::ErrorKind::PermissionDenied => (
            Exit::Denied,
            "ports below 1024 want CAP_NET_BIND_SERVICE: choose another with --http and --admin",
        ),
        _ => (Exit::Error, "choose other addresses with --http and --admin"),
    };
    Failure::new(exit, error.to_string()).hint(hint)
}

async fn serve(
    appliance: &Arc<Appliance>,
    config: &Config,
    (places, renewal): (Places, Option<(Arc<Live>, Load)>),
    logging: &Logging,
    stop: Stop,
) -> anyhow::Result<()> {
    let facts = Facts::new(appliance.clone());
    let home = &appliance.home;
    let mut registry = Registry::default();
    logging.register(&mut registry);
    quotas::register(&mut registry, &appliance.store);
    access_logs::register(&mut registry, &appliance.store);
    audit::register(&mut registry, &appliance.audit);
    catalog_copy::register(&mut registry, &appliance.catalog, &appliance.copying);
    registry.register_collector(Box::new(EventMetrics::new(appliance.outbox.clone())));
    let bodies_max = config.bodies_max.unwrap_or_else(config::of_bodies);
    if let Some(memory) = config::of_machine().filter(|memory| *memory < bodies_max) {
        tracing::warn!("http.bodies is {bodies_max}, more than the {memory} of memory that there is");
    }
    let mut limits = Limits { drain_timeout: config.drain, bodies_max, ..Limits::default() };
    let parts = web::Parts {
        store: appliance.store.clone(),
        credentials: appliance.identities.clone(),
        identities: appliance.identities.clone(),
        issuers: issuers(config, &appliance.clock)?,
        kms: appliance.kms.clone(),
        audit: appliance.audit.clone(),
        account: home.marker.account,
        region: home.marker.region.clone(),
        clock: appliance.clock.clone(),
        entropy: appliance.entropy.clone(),
        admin_token: AdminToken::new(&home.admin_token),
        status: facts.clone(),
        debug_day: home.marker.debug_day,
        registry,
    };
    let state = State::new(parts, &limits);
    if let Some(vaults) = &appliance.vaults {
        state.open_vaults(vaults.clone());
    }
    limits.connections_max = Descriptors::allowed().connections(
        config.connections_max,
        limits.admin_connections_max,
        descriptors::open_now(),
    )?;
    facts.bodies_are_of(&state);
    let live = renewal.as_ref().map(|(live, _)| Arc::clone(live));
    let secured = live.as_ref().map(|live| live.now());
    let secured = secured.as_ref();
    // The admin door of this machine alone stays plain: nothing on the way can read it, and probes stay easy.
    let admin_secured = secured.filter(|_| !config.admin.ip().is_loopback());
    let identity = |secured: Option<&Secured>| secured.map(|secured| secured.identity.clone());
    let doors = web::Config {
        http: config.http,
        admin: config.admin,
        http_tls: identity(secured),
        admin_tls: identity(admin_secured),
        base_domains: config.base_domains.clone(),
        website_domains: config.website_domains.clone(),
        legacy_forms: config.legacy_forms,
        new_bucket_ownership: config.new_bucket_ownership,
        limits,
    };
    let server = Server::open(doors, state, places).map_err(refused_place)?;
    let (http, admin) = (server.http_addr()?, server.admin_addr()?);
    let doors = Doors::new((http, secured), (admin, admin_secured));
    facts.opened((http, &doors.s3), (admin, &doors.admin), live);
    if let Some((live, load)) = renewal {
        let worker = Renewal::new(live, load, appliance.clock.clone());
        appliance.workers.spawn(Box::new(worker), appliance.clock.clone()).context("start a worker")?;
    }
    home.announce_doors(&doors)?;
    home.announce(HTTP_ADDR, http)?;
    home.announce(ADMIN_ADDR, admin)?;
    say_hello(appliance, config, logging, &doors);
    notify(&[sd_notify::NotifyState::Ready]);
    server.serve(stop.first()).await;
    Ok(())
}

/// Who vouches for people that are known elsewhere. Nobody is asked before a token comes.
fn issuers(config: &Config, clock: &Arc<dyn Clock>) -> Result<Arc<Issuers>, Failure> {
    let fetcher = Fetcher::new(config.oidc.clone(), clock.clone())
        .map_err(|error| Failure::usage(format!("use oidc.ca-file: {error}")))?;
    Ok(Arc::new(Issuers::new(Arc::new(fetcher), clock.clone())))
}

/// What loads the doors' certificate, where they are to speak TLS.
fn certificates(config: &Config, home: &Home) -> Option<Load> {
    match config.tls.clone() {
        TlsWish::Off => None,
        TlsWish::Given { certificate, key } => {
            Some(Arc::new(move |now| Ok(tls::given(&certificate, &key, now)?)))
        }
        TlsWish::Own { names } => {
            let domains = config.base_domains.iter().chain(&config.website_domains);
            let names = Names::of_appliance(&[config.http, config.admin], domains, &names);
            let (dir, account) = (home.dir.clone(), home.marker.account.to_string());
            Some(Arc::new(move |now| tls::own(&dir, &account, &names, now)))
        }
    }
}

/// Who mistyped a path, or has not mounted a disk, is to see it at once: what is stored next lies elsewhere than all before.
fn say_new(home: &Home, config: &Config, logging: &Logging) {
    let (dir, account) = (&home.dir, &home.marker.account);
    if logging::for_people(&config.log) {
        logging.say(&format!("made a new appliance, which is empty, in {}\n", dir.display()));
    } else {
        tracing::info!(directory = %dir.display(), %account, "made a new appliance, which is empty");
    }
    let disk = |path: &std::path::Path| {
        let there = path.ancestors().find_map(|above| std::fs::metadata(above).ok());
        there.map(|metadata| std::os::unix::fs::MetadataExt::dev(&metadata))
    };
    if let Some(pool) = config.pool_dir.as_deref().filter(|pool| disk(pool) == disk(dir)) {
        tracing::warn!(
            "pool.directory {} is on the disk of the data directory: if it is to have its own, stop, mount that, and start over",
            pool.display()
        );
    }
}

/// A secret belongs on a terminal or in its file, never in a log.
fn show_secrets(home: &Home, logging: &Logging) {
    let profile = home.credentials.profile("default").filter(|_| home.key_is_new);
    let secrets = Secrets {
        dir: &home.dir,
        access: profile.map(|profile| (profile.access_key_id.as_str(), profile.credential.secret.expose())),
        recovery: home.new_recovery_key.as_ref().map(engine::backup::RecoveryKey::reveal),
    };
    logging.say(&secrets.render());
}

fn say_hello(appliance: &Appliance, config: &Config, logging: &Logging, doors: &Doors) {
    let home = &appliance.home;
    let marker = &home.marker;
    if let Some(day) = marker.debug_day {
        tracing::warn!(debug_day_ms = day.as_millis(), "rehearsal: calendar days are shorter than real ones");
    }
    if !logging::for_people(&config.log) {
        let (http, admin) = (&doors.s3.url, &doors.admin.url);
        tracing::info!(http, admin, region = marker.region, account = %marker.account, "ready");
        return;
    }
    let free = rustix::fs::statvfs(&home.dir)
        .ok()
        .map(|stat| ByteCount::new(stat.f_bavail.saturating_mul(stat.f_frsize)));
    let banner = Banner {
        dir: &home.dir,
        doors,
        region: &marker.region,
        account: marker.account.to_string(),
        free,
        debug_day: marker.debug_day,
        backup: appliance
            .backup
            .as_ref()
            .map(|backup| backup.status().target)
            .ok_or(appliance.how_to_back_up()),
        vaults: appliance.vaults.is_some(),
        copy: appliance.copying.banner(&appliance.blobs.zones(), &appliance.catalog.copy_status()),
        insecure: config.tls == TlsWish::Off
            && !(config.http.ip().is_loopback() && config.admin.ip().is_loopback()),
    };
    logging.say(&banner.render());
}

/// No directory, or one that only another user may look into.
fn refuse_unreachable(dir: &std::path::Path) -> Result<(), Failure> {
    let Err(error) = std::fs::read_dir(dir) else { return Ok(()) };
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            let text = format!("open {}: {error}", dir.display());
            Err(Failure::new(Exit::Denied, text).hint(as_its_owner(dir)))
        }
        std::io::ErrorKind::NotADirectory => {
            let text = format!("use {}: it is no directory", dir.display());
            Err(Failure::usage(text).hint("name a directory that is empty or not there yet"))
        }
        _ => Ok(()),
    }
}

fn refuse_absent_doors(args: &Args) -> Result<(), Failure> {
    for (flag, addr) in [("--nbd", args.nbd), ("--iscsi", args.iscsi)] {
        if let Some(addr) = addr {
            return Err(Failure::usage(format!("listen on {flag} {addr}: this door is not in this version"))
                .hint(format!("leave {flag} out")));
        }
    }
    Ok(())
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "failed to tell systemd");
    }
}

/// The signals that end an appliance.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        Ok(Self { terminate, interrupt })
    }

    /// Completes at the first signal; from then on a second one ends the process.
    async fn first(mut self) {
        self.next().await;
        tracing::info!("stopping: open requests may finish; a second signal ends at once");
        notify(&[sd_notify::NotifyState::Stopping]);
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("stopping at once");
            std::process::exit(i32::from(Exit::Interrupted as u8));
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
