//! What every verb is given: output, time, randomness, and a client when it asks for one.

use crate::cli::{AdminDir, Connection, Remote};
use crate::directory::read_marker;
use crate::doors::Doors;
use crate::exit::{Exit, Failure};
use crate::layout::{ADMIN_TOKEN, STARTED_WITH};
use crate::report::Output;
use crate::settle::Pending;
use client::{Admin, Client, EndpointFrom, Listener, Settings};
use engine::clock::{Clock, SystemClock};
use engine::entropy::{Entropy, SystemEntropy};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// One run of the command line.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) output: Output,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Held by whoever has something to take away before the process ends.
    pub(crate) pending: Pending,
    connection: Connection,
    /// The endpoint that this run has used, for errors.
    used: Arc<OnceLock<Used>>,
}

/// The endpoint of a run.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    pub(crate) url: String,
    pub(crate) from: EndpointFrom,
}

impl Session {
    pub(crate) fn new(
        connection: Connection,
        output: Output,
        used: Arc<OnceLock<Used>>,
        pending: Pending,
    ) -> Self {
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        Self { output, clock, entropy, pending, connection, used }
    }

    /// The same for a verb that says itself how to connect; what it leaves open was said before the verb.
    pub(crate) fn to(&self, connection: Connection) -> Self {
        Self {
            output: self.output,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            pending: self.pending.clone(),
            connection: connection.or(&self.connection),
            used: Arc::clone(&self.used),
        }
    }

    /// A client of the endpoint that the command line or the environment names.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let overrides = client::Overrides {
            endpoint: self.connection.at.endpoint.clone(),
            profile: self.connection.at.profile.clone(),
            ca_bundle: self.connection.at.ca_bundle.clone(),
            region: self.connection.region.clone(),
            anonymous: self.connection.no_sign_request,
        };
        let mut settings = Settings::resolve(&overrides, &variable)?;
        let output = self.output;
        settings.listener = Some(Listener(Arc::new(move |error| {
            output.note(&format!("firn: still trying: {}", crate::text::printable(&error.to_string())));
        })));
        let used = Used { url: settings.endpoint.to_string(), from: settings.endpoint_from };
        if used.from == EndpointFrom::Nothing {
            self.output.note(&format!("firn: no endpoint is named, so this goes to AWS ({})", used.url));
        }
        // The first one is the one that errors are about.
        let _already = self.used.set(used);
        Ok(Client::new(settings, self.clock.clone(), self.entropy.clone())?)
    }

    /// The endpoint that was asked, once one was.
    pub(crate) fn used(&self) -> Option<&Used> {
        self.used.get()
    }

    /// The endpoint that the command line names before the verb.
    pub(crate) fn endpoint(&self) -> &Remote {
        &self.connection.at
    }

    /// A client of an appliance's admin door: the directory's, or the one that the environment names.
    pub(crate) fn admin(&self, dir: &AdminDir) -> anyhow::Result<Admin> {
        let flag = self.connection.at.ca_bundle.clone();
        let named = || variable("AWS_CA_BUNDLE").filter(|file| !file.is_empty()).map(PathBuf::from);
        let (url, token, ca_bundle) =
            match (dir.named(), variable("FIRN_ADMIN_URL"), variable("FIRN_ADMIN_TOKEN_FILE")) {
                (None, Some(url), Some(file)) => {
                    let hint = "FIRN_ADMIN_TOKEN_FILE names it: copy the appliance's DIR/admin-token there";
                    (url, read_token(Path::new(&file), named_text, hint)?, None)
                }
                (None, Some(url), None) => {
                    return Err(Failure::usage(format!(
                        "ask the admin door at {url}: there is no token for it"
                    ))
                    .hint("set FIRN_ADMIN_TOKEN_FILE as well, or name the appliance's directory")
                    .into());
                }
                (dir, ..) => {
                    let dir = dir.cloned().unwrap_or_else(default_dir);
                    let doors = Doors::read(&dir)?;
                    let hint = "restart the appliance: a start makes one where there is none";
                    (doors.admin.url, read_token(&dir.join(ADMIN_TOKEN), read_text, hint)?, doors.ca_bundle)
                }
            };
        let ca_bundle = flag.or(ca_bundle).or_else(named);
        Ok(Admin::new(&url, &token, ca_bundle.as_deref(), self.clock.clone())?)
    }
}

/// A variable of the environment; one that is not UTF-8 counts as unset.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Bytes of an admin token, and far more: what is longer is something else.
const TOKEN_BYTES_MAX: u64 = 4 << 10;

/// The directory that is meant when none is named.
pub(crate) fn default_dir() -> PathBuf {
    PathBuf::from("./data")
}

/// What a running appliance left in its directory, in one of the files in `run/`.
pub(crate) fn read_run(dir: &Path, file: &str) -> Result<String, Failure> {
    let path = dir.join(file);
    let text = read_text(&path).map_err(|error| {
        let text = format!("find a running appliance in {}: read {file}: {error}", dir.display());
        // Starting a server there would make a new appliance: not the step after a path that was mistyped.
        if let Err(failure) = read_marker(dir)
            && failure.exit == Exit::NotFound
        {
            return failure;
        }
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Exit::NotFound,
            std::io::ErrorKind::PermissionDenied => {
                return Failure::new(Exit::Denied, text).hint(as_its_owner(dir));
            }
            _ => Exit::Error,
        };
        Failure::new(exit, text).hint(how_to_start(dir))
    })?;
    Ok(text.trim().to_owned())
}

/// The versions, first and last, that a recovery of this directory left to another key and that nobody has given up: no start
/// takes it.
pub(crate) fn lost_to_another_key(dir: &Path) -> Option<(u64, u64)> {
    let recovered = engine::backup::Recovered::read(dir).ok()??;
    recovered.other_key.filter(|_| !recovered.loss_accepted)
}

/// The next step where an appliance does not run. One that a former recovery key brought back is not to be started.
pub(crate) fn how_to_start(dir: &Path) -> String {
    if lost_to_another_key(dir).is_some() {
        return "do not start it: it was recovered with a former key; recover again with the newer one"
            .to_owned();
    }
    format!("start it: {}", start_line(dir))
}

/// The command that starts the appliance in a directory, with the configuration file of its last start: without, its pool may
/// be elsewhere.
pub(crate) fn start_line(dir: &Path) -> String {
    let line = format!("firn server {}", crate::text::quote_sh(&dir.display().to_string()));
    match read_text(&dir.join(STARTED_WITH)) {
        Ok(file) if !file.is_empty() => format!("{line} --config {}", crate::text::quote_sh(&file)),
        _ => line,
    }
}

/// The next step for whoever may not look into a directory.
pub(crate) fn as_its_owner(dir: &Path) -> String {
    let shown = crate::text::quote_sh(&dir.display().to_string());
    format!(
        "it belongs to another user: run this as that one (ls -ld {shown} says who), by sudo -u for example"
    )
}

/// The text of what should be a regular file.
fn read_text(path: &Path) -> std::io::Result<String> {
    String::from_utf8(engine::file::read_regular(path)?).map_err(std::io::Error::other)
}

/// The text of what the user names: a pipe will do, as with `<(pass firn)`.
fn named_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > TOKEN_BYTES_MAX {
        return Err(std::io::Error::other("it is too long for an admin token; name the file that holds one"));
    }
    Ok(text)
}

fn read_token(
    path: &Path,
    read: fn(&Path) -> std::io::Result<String>,
    where_missing: &str,
) -> Result<String, Failure> {
    read(path).map(|text| text.trim().to_owned()).map_err(|error| {
        let text = format!("read the admin token {}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                Failure::new(Exit::Denied, text).hint(as_its_owner(path.parent().unwrap_or(path)))
            }
            std::io::ErrorKind::NotFound => Failure::new(Exit::NotFound, text).hint(where_missing),
            _ => Failure::new(Exit::Error, text),
        }
    })
}
