//! `[[topic]]` and `[events]`: who is told of events, and how many may wait.

use super::raw;
use crate::exit::Failure;
use crate::text::{parse_duration, quote_sh};
use client::{Secret, WebhookOptions};
use engine::outbox::{KEPT_BY_DEFAULT, TopicName};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most topics of an appliance.
const TOPICS_MAX: usize = 64;
/// How many events wait when it is not said.
const WAITING_MAX: u64 = 1_000_000;

/// Who is told of events.
#[derive(Clone, Debug)]
pub(crate) struct EventsConfig {
    pub(crate) topics: Vec<TopicConfig>,
    /// Events that wait at the most, of all topics together.
    pub(crate) waiting_max: u64,
}

/// A topic, as configured.
#[derive(Clone, Debug)]
pub(crate) struct TopicConfig {
    pub(crate) name: TopicName,
    pub(crate) webhook: WebhookOptions,
    /// How long an event waits.
    pub(crate) kept: Duration,
}

impl TopicConfig {
    /// The receiver's scheme and host; its path and query may hold a secret.
    pub(crate) fn address(&self) -> String {
        self.webhook.address().unwrap_or_default()
    }
}

type Bad<'a> = &'a dyn Fn(&str, String) -> Failure;

pub(super) fn events(
    topics: Vec<raw::Topic>,
    events: &raw::Events,
    bad: Bad<'_>,
) -> Result<EventsConfig, Failure> {
    if topics.len() > TOPICS_MAX {
        return Err(bad("topic", format!("{} are not in 0..={TOPICS_MAX}", topics.len())));
    }
    let waiting_max = events.waiting.unwrap_or(WAITING_MAX);
    if !(1_000..=10_000_000).contains(&waiting_max) {
        return Err(bad("events.waiting", format!("{waiting_max} is not in 1000..=10000000")));
    }
    let mut all: Vec<TopicConfig> = Vec::new();
    for raw in topics {
        let topic = topic(raw, bad)?;
        if all.iter().any(|other| other.name == topic.name) {
            return Err(bad("topic.name", format!("{} stands twice", topic.name)));
        }
        all.push(topic);
    }
    Ok(EventsConfig { topics: all, waiting_max })
}

fn topic(raw: raw::Topic, bad: Bad<'_>) -> Result<TopicConfig, Failure> {
    let name: TopicName = raw.name.parse().map_err(|_| {
        bad("topic.name", format!("{:?} is not 1..={} of A-Z, a-z, 0-9, - and _", raw.name, TopicName::MAX))
    })?;
    let absolute = |key: &str, path: Option<PathBuf>| match path {
        Some(path) if !path.is_absolute() => {
            Err(bad(key, format!("{} of topic {name} is not an absolute path", path.display())))
        }
        path => Ok(path),
    };
    let secret_file = absolute("topic.secret-file", raw.secret_file)?;
    let (key, text) = match (raw.secret, secret_file) {
        (Some(text), None) => ("topic.secret", text),
        (None, Some(file)) => ("topic.secret-file", read_secret(&file)?),
        (Some(_), Some(_)) => {
            return Err(bad("topic.secret", format!("topic {name} has a secret-file, too")));
        }
        (None, None) => {
            return Err(bad(
                "topic.secret",
                format!("topic {name} has none, and no secret-file: nothing goes unsigned"),
            ));
        }
    };
    let secret: Secret = text.parse().map_err(|error| bad(key, format!("of topic {name}, {error}")))?;
    let timeout = within("topic.timeout", raw.timeout, Duration::from_secs(10), (1, 60), bad)?;
    let week = KEPT_BY_DEFAULT;
    let kept = within("topic.keep", raw.keep, week, (3_600, 30 * 86_400), bad)?;
    let webhook = WebhookOptions {
        url: raw.url,
        secret,
        allow_private: raw.allow_private,
        ca_file: absolute("topic.ca-file", raw.ca_file)?,
        timeout,
    };
    webhook.check().map_err(|error| bad("topic.url", format!("of topic {name}, {error}")))?;
    Ok(TopicConfig { name, webhook, kept })
}

pub(super) fn within(
    key: &str,
    text: Option<String>,
    default: Duration,
    (least_s, most_s): (u64, u64),
    bad: Bad<'_>,
) -> Result<Duration, Failure> {
    let Some(text) = text else { return Ok(default) };
    let duration = parse_duration(&text).map_err(|why| bad(key, why))?;
    let range = Duration::from_secs(least_s)..=Duration::from_secs(most_s);
    if range.contains(&duration) {
        return Ok(duration);
    }
    let shown = crate::text::show_duration;
    Err(bad(key, format!("{text} is not in {}..={}", shown(*range.start()), shown(*range.end()))))
}

/// A secret that others can read is none.
fn read_secret(file: &Path) -> Result<String, Failure> {
    let shown = file.display();
    let failed = |error: std::io::Error| Failure::usage(format!("read topic.secret-file {shown}: {error}"));
    let mode = std::fs::metadata(file).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o027 != 0 {
        let text = format!("use topic.secret-file {shown}: its mode is {mode:04o}, so others can read it");
        return Err(Failure::usage(text).hint(format!("chmod 600 {}", quote_sh(&shown.to_string()))));
    }
    std::fs::read_to_string(file).map_err(failed)
}
