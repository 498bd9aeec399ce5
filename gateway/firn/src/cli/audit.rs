//! Verbs of the audit trail.

use super::options::Connected;
use super::uri::Location;
use crate::text::{parse_duration, parse_moment};
use clap::{Args, Subcommand};
use engine::clock::Timestamp;
use std::path::PathBuf;
use std::time::Duration;

/// A moment, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(Timestamp),
    Ago(Duration),
}

impl When {
    /// The moment, seen from now.
    pub(crate) fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(ago))
            }
        }
    }
}

fn parse_when(text: &str) -> Result<When, String> {
    parse_duration(text)
        .map(When::Ago)
        .or_else(|_| parse_moment(text).map(When::At))
        .map_err(|why| format!("{why}, or how long ago, like 2h"))
}

/// Between when and when.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Span {
    /// From this moment on: 2026-12-31, 2026-12-31T12:00:00Z, or how long ago: 2h.
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub(crate) since: Option<When>,
    /// Up to this moment.
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub(crate) until: Option<When>,
}

/// Which events.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct EventFilter {
    /// Only calls of this operation: CreateUser.
    #[arg(long, value_name = "NAME")]
    pub(crate) event_name: Option<String>,
    /// Only calls of this user; of a role's session by the session's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Only calls about this: a bucket's name, BUCKET/KEY, an ARN or what stands behind its last slash.
    #[arg(long, value_name = "NAME")]
    pub(crate) resource: Option<String>,
    /// Only calls that this access key signed.
    #[arg(long, value_name = "ID")]
    pub(crate) access_key: Option<String>,
}

/// `firn audit search`.
#[derive(Debug, Args)]
pub(crate) struct AuditSearch {
    #[command(flatten)]
    pub(crate) filter: EventFilter,
    #[command(flatten)]
    pub(crate) span: Span,
    /// So many events at the most, the newest of them.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

/// `firn audit tail`.
#[derive(Debug, Args)]
pub(crate) struct AuditTail {
    #[command(flatten)]
    pub(crate) filter: EventFilter,
    /// So many events that are there already.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) lines: u32,
    /// Go on with what comes, until Ctrl-C.
    #[arg(long, short)]
    pub(crate) follow: bool,
}

/// `firn audit verify`.
#[derive(Debug, Args)]
pub(crate) struct AuditVerify {
    /// Where a trail's files are: s3://BUCKET/PREFIX, or a directory with a copy of them.
    #[arg(value_name = "PLACE", conflicts_with = "trail")]
    pub(crate) place: Option<Location>,
    /// A trail, by its name or ARN: its own bucket and prefix.
    #[arg(long, value_name = "NAME")]
    pub(crate) trail: Option<String>,
    #[command(flatten)]
    pub(crate) span: Span,
    /// A PEM file with the public keys to believe, as `firn audit keys` prints them, instead of asking the endpoint.
    #[arg(long, value_name = "FILE")]
    pub(crate) public_keys: Option<PathBuf>,
}

/// `firn audit keys`.
#[derive(Debug, Args)]
pub(crate) struct AuditKeys {
    #[command(flatten)]
    pub(crate) span: Span,
}

/// `firn audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List events of the last 90 days, newest first.
    Search(Connected<AuditSearch>),
    /// Print the newest events, the last one last; with --json one document a line.
    Tail(Connected<AuditTail>),
    /// Prove a trail's files by its signed digests: what was altered, removed or exchanged is listed, and ends with 7.
    Verify(Connected<AuditVerify>),
    /// Print the public keys that sign digests, in PEM: kept elsewhere, they prove a trail without its appliance.
    Keys(Connected<AuditKeys>),
}

#[cfg(test)]
mod tests {
    use super::{When, parse_when};
    use engine::clock::Timestamp;
    use std::time::Duration;

    #[test]
    fn a_moment_is_a_day_a_time_or_so_long_ago() {
        assert_eq!(parse_when("2h"), Ok(When::Ago(Duration::from_hours(2))));
        let at = Timestamp::from_millis(1_798_718_400_000);
        assert_eq!(parse_when("2026-12-31T12:00:00Z"), Ok(When::At(at)));
        assert_eq!(When::Ago(Duration::from_secs(1)).at(at), Timestamp::from_millis(1_798_718_399_000));
        for bad in ["", "yesterday", "2"] {
            assert!(parse_when(bad).unwrap_err().ends_with("or how long ago, like 2h"), "{bad}");
        }
    }
}
