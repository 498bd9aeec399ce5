//! Endpoint, region and credentials, found where every AWS tool looks for them.
//!
//! Order, first wins: what the command line says; `AWS_*` variables; the profile in the credentials and config files. A
//! profile named on the command line goes before keys in the environment, one named by `AWS_PROFILE` does not. Without
//! any credentials requests go unsigned.

use crate::endpoint::{Endpoint, Style};
use crate::error::{Error, Result};
use crate::retry::{Listener, Retries};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What signs requests. `Debug` never shows the secrets.
#[derive(Clone)]
pub struct Credentials {
    /// The access key's id.
    pub access_key_id: String,
    /// The secret that goes with it.
    pub secret_access_key: String,
    /// The session's token, for temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.access_key_id)
    }
}

/// Whether uploads carry an additional checksum where nothing demands one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// CRC64NVME on every upload, verified on every download that has it.
    WhenSupported,
    /// None: for endpoints that refuse the headers (`AWS_REQUEST_CHECKSUM_CALCULATION=when_required`).
    WhenRequired,
}

/// What named the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointFrom {
    /// The command line, or the caller.
    Flag,
    /// This variable.
    Variable(&'static str),
    /// `endpoint_url` of the profile.
    Profile,
    /// Nothing: it is AWS's own.
    Nothing,
}

impl std::fmt::Display for EndpointFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("--endpoint"),
            Self::Variable(name) => f.write_str(name),
            Self::Profile => f.write_str("endpoint_url of the profile"),
            Self::Nothing => f.write_str("AWS itself, for nothing names another"),
        }
    }
}

/// Everything that a client needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to send requests.
    pub endpoint: Endpoint,
    /// What named it.
    pub endpoint_from: EndpointFrom,
    /// A PEM file of the certificates that an `https` endpoint's must go back to, instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// The region in the signature's scope.
    pub region: String,
    /// Who signs; nobody: unsigned requests.
    pub credentials: Option<Credentials>,
    /// How often to try.
    pub retries: Retries,
    /// Whether uploads carry CRC64NVME.
    pub checksums: Checksums,
    /// How long to wait for an answer to begin, and for each piece of it to follow.
    pub answer_within: Duration,
    /// Who is told why a call takes long, if anybody.
    pub listener: Option<Listener>,
}

/// What the command line said; it wins over everything else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--endpoint`.
    pub endpoint: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
    /// `--ca-bundle`.
    pub ca_bundle: Option<PathBuf>,
    /// `--region`.
    pub region: Option<String>,
    /// `--no-sign-request`.
    pub anonymous: bool,
}

/// Looks a variable up; the process's environment in production, a map in tests.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Settings for an endpoint with defaults for the rest.
    pub fn new(endpoint: Endpoint, region: impl Into<String>, credentials: Option<Credentials>) -> Self {
        Self {
            endpoint,
            endpoint_from: EndpointFrom::Flag,
            ca_bundle: None,
            region: region.into(),
            credentials,
            retries: Retries::default(),
            checksums: Checksums::WhenSupported,
            answer_within: Duration::from_mins(1),
            listener: None,
        }
    }

    /// Finds everything.
    pub fn resolve(overrides: &Overrides, env: Environment<'_>) -> Result<Self> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let files = Files::read(overrides, &env)?;
        let region = overrides
            .region
            .clone()
            .or_else(|| env("AWS_REGION"))
            .or_else(|| env("AWS_DEFAULT_REGION"))
            .or_else(|| files.value("region"))
            .unwrap_or_else(|| "us-east-1".to_owned());
        let variable = |name| env(name).map(|url| (url, EndpointFrom::Variable(name)));
        let named = overrides
            .endpoint
            .clone()
            .map(|url| (url, EndpointFrom::Flag))
            .or_else(|| variable("AWS_ENDPOINT_URL_S3"))
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .or_else(|| files.value("endpoint_url").map(|url| (url, EndpointFrom::Profile)));
        let (endpoint, endpoint_from) = match named {
            Some((url, from)) => (Endpoint::parse(&url)?, from),
            None => (Endpoint::aws(&region)?, EndpointFrom::Nothing),
        };
        let endpoint = match env("FIRN_ADDRESSING_STYLE").as_deref() {
            None | Some("auto") => endpoint,
            Some("path") => endpoint.with_style(Style::Path),
            Some("virtual") => endpoint.with_style(Style::Virtual),
            Some(other) => {
                return Err(Error::Invalid(format!(
                    "read FIRN_ADDRESSING_STYLE: {other:?} is none of auto, path, virtual"
                )));
            }
        };
        let credentials =
            if overrides.anonymous { None } else { credentials(overrides.profile.is_some(), &files, &env)? };
        let mut settings = Self { endpoint_from, ..Self::new(endpoint, region, credentials) };
        settings.ca_bundle = overrides
            .ca_bundle
            .clone()
            .or_else(|| env("AWS_CA_BUNDLE").or_else(|| files.value("ca_bundle")).map(PathBuf::from));
        if env("AWS_REQUEST_CHECKSUM_CALCULATION").is_some_and(|v| v.eq_ignore_ascii_case("when_required")) {
            settings.checksums = Checksums::WhenRequired;
        }
        if let Some(text) = env("AWS_MAX_ATTEMPTS") {
            settings.retries.attempts_max =
                text.parse().ok().filter(|n| (1..=50).contains(n)).ok_or_else(|| {
                    Error::Invalid(format!("read AWS_MAX_ATTEMPTS: {text:?} is not in 1..=50"))
                })?;
        }
        Ok(settings)
    }
}

fn credentials(
    profile_first: bool,
    files: &Files,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Credentials>> {
    let from_env = || match (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")) {
        (Some(access_key_id), Some(secret_access_key)) => Ok(Some(Credentials {
            access_key_id,
            secret_access_key,
            session_token: env("AWS_SESSION_TOKEN"),
        })),
        (None, None) => Ok(None),
        _ => Err(Error::Invalid(
            "sign requests: only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set".to_owned(),
        )),
    };
    if profile_first { files.credentials() } else { Ok(from_env()?.or(files.credentials()?)) }
}

/// The chosen profile of both files.
struct Files {
    profile: String,
    asked_for: bool,
    credentials_path: Option<PathBuf>,
    credentials: BTreeMap<String, String>,
    config: BTreeMap<String, String>,
}

impl Files {
    fn read(overrides: &Overrides, env: &impl Fn(&str) -> Option<String>) -> Result<Self> {
        let named = overrides.profile.clone().or_else(|| env("AWS_PROFILE"));
        let asked_for = named.is_some();
        let profile = named.unwrap_or_else(|| "default".to_owned());
        let home = env("HOME").map(PathBuf::from);
        let path = |variable: &str, name: &str| {
            env(variable)
                .map(PathBuf::from)
                .or_else(|| home.as_ref().map(|home| home.join(".aws").join(name)))
        };
        let credentials_path = path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config_path = path("AWS_CONFIG_FILE", "config");
        let in_config = if profile == "default" { profile.clone() } else { format!("profile {profile}") };
        // Where the variables say who signs, files that can't be read are none.
        let has_keys =
            !asked_for && env("AWS_ACCESS_KEY_ID").is_some() && env("AWS_SECRET_ACCESS_KEY").is_some();
        let read = |path: Option<&Path>, wanted: &str| match section(path, wanted) {
            Err(_) if has_keys => Ok(BTreeMap::new()),
            outcome => outcome,
        };
        let credentials = read(credentials_path.as_deref(), &profile)?;
        let config = read(config_path.as_deref(), &in_config)?;
        Ok(Self { profile, asked_for, credentials_path, credentials, config })
    }

    fn value(&self, name: &str) -> Option<String> {
        self.credentials
            .get(name)
            .or_else(|| self.config.get(name))
            .filter(|value| !value.is_empty())
            .cloned()
    }

    fn credentials(&self) -> Result<Option<Credentials>> {
        match (self.value("aws_access_key_id"), self.value("aws_secret_access_key")) {
            (Some(access_key_id), Some(secret_access_key)) => Ok(Some(Credentials {
                access_key_id,
                secret_access_key,
                session_token: self.value("aws_session_token"),
            })),
            _ if !self.asked_for => Ok(None),
            _ => {
                let place = self.credentials_path.as_deref().unwrap_or(Path::new("~/.aws/credentials"));
                let there = if place.exists() { "" } else { ", which is not there" };
                Err(Error::Invalid(format!(
                    "sign requests: profile {:?} has no keys in {}{there}",
                    self.profile,
                    place.display()
                )))
            }
        }
    }
}

/// One section of an AWS ini file; a missing file is an empty one.
fn section(path: Option<&Path>, wanted: &str) -> Result<BTreeMap<String, String>> {
    let Some(path) = path else { return Ok(BTreeMap::new()) };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => {
            return Err(Error::Invalid(format!(
                "read {}: {error}; HOME, AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE say where it lies",
                path.display()
            )));
        }
    };
    Ok(parse_section(&text, wanted))
}

fn parse_section(text: &str, wanted: &str) -> BTreeMap<String, String> {
    let mut inside = false;
    let mut values = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.split_whitespace().eq(wanted.split_whitespace());
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside) {
            values.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::{Checksums, EndpointFrom, Overrides, Settings, parse_section};

    fn resolve(overrides: &Overrides, vars: &[(&str, &str)]) -> crate::Result<Settings> {
        let lookup = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Settings::resolve(overrides, &lookup)
    }

    #[test]
    fn command_line_then_environment_then_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(
            &path,
            "[default]\naws_access_key_id = FILE\naws_secret_access_key=s\nregion = eu-north-1\n\
             [two]\naws_access_key_id = TWO\naws_secret_access_key = t\nendpoint_url = http://two:1\n",
        )
        .unwrap();
        let file = ("AWS_SHARED_CREDENTIALS_FILE", path.to_str().unwrap());
        let key = |settings: Settings| settings.credentials.unwrap().access_key_id;

        let plain = resolve(&Overrides::default(), &[file]).unwrap();
        assert_eq!(plain.region, "eu-north-1");
        assert_eq!(plain.endpoint.to_string(), "https://s3.eu-north-1.amazonaws.com");
        assert_eq!((plain.endpoint_from, plain.ca_bundle.clone()), (EndpointFrom::Nothing, None));
        assert_eq!(key(plain), "FILE");

        let env = [
            file,
            ("AWS_ACCESS_KEY_ID", "ENV"),
            ("AWS_SECRET_ACCESS_KEY", "e"),
            ("AWS_PROFILE", "two"),
            ("AWS_ENDPOINT_URL", "http://env:1"),
            ("AWS_CA_BUNDLE", "/env.pem"),
        ];
        let from_env = resolve(&Overrides::default(), &env).unwrap();
        assert_eq!(from_env.endpoint.to_string(), "http://env:1");
        assert!(matches!(from_env.endpoint_from, EndpointFrom::Variable(_)));
        assert_eq!(from_env.ca_bundle.as_deref(), Some("/env.pem".as_ref()));
        assert_eq!(key(from_env), "ENV");

        let flags = Overrides {
            profile: Some("two".to_owned()),
            endpoint: Some("http://flag:1".to_owned()),
            ca_bundle: Some("/flag.pem".into()),
            ..Overrides::default()
        };
        let from_flags = resolve(&flags, &env).unwrap();
        assert_eq!(from_flags.endpoint.to_string(), "http://flag:1");
        assert_eq!(from_flags.ca_bundle.as_deref(), Some("/flag.pem".as_ref()));
        assert_eq!(key(from_flags), "TWO");
    }

    #[test]
    fn missing_profiles_and_half_pairs_are_refused() {
        let gone = ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials");
        resolve(&Overrides { profile: Some("nope".to_owned()), ..Overrides::default() }, &[gone])
            .unwrap_err();
        resolve(&Overrides::default(), &[gone, ("AWS_ACCESS_KEY_ID", "A")]).unwrap_err();
        resolve(&Overrides::default(), &[gone, ("AWS_MAX_ATTEMPTS", "0")]).unwrap_err();
        let anonymous = resolve(&Overrides::default(), &[gone]).unwrap();
        assert!(anonymous.credentials.is_none());
        assert_eq!(anonymous.checksums, Checksums::WhenSupported);
    }

    #[test]
    fn files_that_can_not_be_read_are_none_where_the_variables_have_the_keys() {
        let dir = tempfile::tempdir().unwrap();
        // A directory is no file, whoever asks: root may read what has no mode.
        let unreadable = ("AWS_SHARED_CREDENTIALS_FILE", dir.path().to_str().unwrap());
        let config = ("AWS_CONFIG_FILE", dir.path().to_str().unwrap());
        let keys = [("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "e")];
        let settings = resolve(&Overrides::default(), &[unreadable, config, keys[0], keys[1]]).unwrap();
        assert_eq!(settings.credentials.unwrap().access_key_id, "ENV");
        let refused = resolve(&Overrides::default(), &[unreadable]).unwrap_err().to_string();
        assert!(refused.contains("AWS_SHARED_CREDENTIALS_FILE"), "{refused}");
        let named = Overrides { profile: Some("p".to_owned()), ..Overrides::default() };
        resolve(&named, &[unreadable, config, keys[0], keys[1]]).unwrap_err();
    }

    #[test]
    fn sections_are_told_apart() {
        let text = "# c\n[profile  a]\nregion=x\n[b]\nregion=y\n";
        assert_eq!(parse_section(text, "profile a")["region"], "x");
        assert_eq!(parse_section(text, "b")["region"], "y");
        assert!(parse_section(text, "c").is_empty());
    }
}
