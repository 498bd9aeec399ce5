//! A `[[zone]]` of kind `s3`: a remote pool.

use super::raw;
use super::zones::{ZoneConfig, is_name};
use crate::backup::Access;
use crate::exit::Failure;
use crate::text::parse_size;
use engine::blob::{CACHE_MIN, LOCAL_ZONE};
use engine::remote::{Schedule, Window};
use engine::unit::ByteCount;
use std::path::PathBuf;

/// The cache where nothing else is said.
const CACHE_DEFAULT: ByteCount = ByteCount::gib(1);

/// A remote pool, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteConfig {
    /// Its zone's name.
    pub(crate) name: String,
    pub(crate) bucket: String,
    /// Without slashes at its ends; empty for the whole bucket.
    pub(crate) prefix: String,
    pub(crate) access: Access,
    /// Local copies stay beside it.
    pub(crate) keeps_local: bool,
    /// The scrubber reads its objects, too.
    pub(crate) scrubbed: bool,
    /// Bytes of what was read that are kept; 0 is none.
    pub(crate) cache: ByteCount,
    /// Where; `DIR/cache/NAME` when it is not said.
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) schedule: Schedule,
}

type Bad<'a> = &'a dyn Fn(&str, String) -> Failure;

pub(super) fn is_remote(zone: &raw::Zone) -> bool {
    zone.kind.as_deref() == Some("s3")
}

/// Refuses in a zone of directories what only one of kind `s3` says.
pub(super) fn refuse_keys(zone: &raw::Zone, bad: Bad<'_>) -> Result<(), Failure> {
    if let Some(kind) = zone.kind.as_deref().filter(|kind| *kind != "local") {
        return Err(bad("zone.kind", format!("{kind:?} is none of \"local\", \"s3\"")));
    }
    let orphans = [
        ("endpoint", zone.endpoint.is_some()),
        ("bucket", zone.bucket.is_some()),
        ("prefix", zone.prefix.is_some()),
        ("region", zone.region.is_some()),
        ("profile", zone.profile.is_some()),
        ("credentials-file", zone.credentials_file.is_some()),
        ("ca-bundle", zone.ca_bundle.is_some()),
        ("keep-local", zone.keep_local.is_some()),
        ("scrub", zone.scrub.is_some()),
        ("cache", zone.cache.is_some()),
        ("cache-directory", zone.cache_directory.is_some()),
        ("upload-limit", !zone.upload_limit.is_empty()),
    ];
    match orphans.into_iter().find(|(_, there)| *there) {
        Some((key, _)) => {
            let why = format!("zone {} is not of kind \"s3\"", zone.name);
            Err(bad(&format!("zone.{key}"), why))
        }
        None => Ok(()),
    }
}

/// The remote pool, if there is one.
pub(super) fn remote(
    far: Vec<raw::Zone>,
    near: &[ZoneConfig],
    bad: Bad<'_>,
) -> Result<Option<RemoteConfig>, Failure> {
    if far.len() > 1 {
        return Err(bad("zone.kind", format!("{} zones are of kind \"s3\"; there may be one", far.len())));
    }
    let Some(zone) = far.into_iter().next() else { return Ok(None) };
    let name = zone.name;
    if !is_name(&name) {
        return Err(bad("zone.name", format!("{name:?} is not 1..=32 of a-z, 0-9 and -")));
    }
    let is_taken = near.iter().any(|other| other.name == name) || (near.is_empty() && name == LOCAL_ZONE);
    if is_taken {
        return Err(bad("zone.name", format!("{name} stands twice, or is the local pool's")));
    }
    if zone.directory.is_some() || !zone.directories.is_empty() {
        return Err(bad("zone.directory", format!("zone {name} is of kind \"s3\" and has no directories")));
    }
    let Some(bucket) = zone.bucket.filter(|bucket| !bucket.is_empty() && !bucket.contains('/')) else {
        return Err(bad("zone.bucket", format!("zone {name} is of kind \"s3\" and names no bucket")));
    };
    let prefix = zone.prefix.unwrap_or_default().trim_matches('/').to_owned();
    let plain = |part: &str| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty() && !matches!(part, "." | "..") && part.bytes().all(fine)
    };
    if !prefix.is_empty() && !prefix.split('/').all(plain) {
        return Err(bad(
            "zone.prefix",
            format!("{prefix:?} is not parts of a-z, A-Z, 0-9, -, _ and . with / between"),
        ));
    }
    let cache = match zone.cache {
        None => CACHE_DEFAULT,
        Some(text) => ByteCount::new(parse_size(&text).map_err(|why| bad("zone.cache", why))?),
    };
    if cache != ByteCount::ZERO && cache < CACHE_MIN {
        return Err(bad("zone.cache", format!("{cache} is neither 0 nor {CACHE_MIN} or more")));
    }
    if let Some(dir) = zone.cache_directory.as_ref().filter(|dir| !dir.is_absolute()) {
        return Err(bad("zone.cache-directory", format!("{} is not an absolute path", dir.display())));
    }
    if let Some(region) = &zone.region {
        super::check_region(region).map_err(|why| bad("zone.region", why))?;
    }
    let windows = zone.upload_limit.iter().map(|limit| window(limit, bad)).collect::<Result<_, _>>()?;
    Ok(Some(RemoteConfig {
        name,
        bucket,
        prefix,
        access: Access {
            endpoint: zone.endpoint,
            profile: zone.profile,
            ca_bundle: zone.ca_bundle,
            credentials_file: zone.credentials_file,
            region: zone.region,
        },
        keeps_local: zone.keep_local.unwrap_or(false),
        scrubbed: zone.scrub.unwrap_or(false),
        cache,
        cache_dir: zone.cache_directory,
        schedule: Schedule(windows),
    }))
}

/// `{ hours = "08-18", bytes-per-second = "20MiB" }`.
fn window(limit: &raw::UploadLimit, bad: Bad<'_>) -> Result<Window, Failure> {
    let hours = &limit.hours;
    let hour = |text: &str, most: u8| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u8>().ok().filter(|hour| digits && *hour <= most)
    };
    let range = hours.split_once('-').and_then(|(from, to)| Some((hour(from, 23)?, hour(to, 24)?)));
    let Some((from_hour, to_hour)) = range.filter(|(from, to)| from != to) else {
        let why = format!("{hours:?} is no range of hours of UTC like \"08-18\", \"22-06\" or \"00-24\"");
        return Err(bad("zone.upload-limit.hours", why));
    };
    let bytes = parse_size(&limit.bytes_per_second)
        .map_err(|why| bad("zone.upload-limit.bytes-per-second", format!("{why}; \"0\" is a pause")))?;
    if bytes != 0 && bytes < 16 << 10 {
        let why = format!("{} is neither 0 nor 16KiB or more", limit.bytes_per_second);
        return Err(bad("zone.upload-limit.bytes-per-second", why));
    }
    Ok(Window { from_hour, to_hour, bytes_per_second: ByteCount::new(bytes) })
}

#[cfg(test)]
mod tests {
    use crate::config::{Overrides, load};
    use engine::unit::ByteCount;
    use std::path::Path;

    fn read(text: &str) -> Result<crate::config::Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("firn.toml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path), &Overrides::default()).map_err(|failure| failure.text)
    }

    fn zone(rest: &str) -> String {
        format!("[[zone]]\nname = \"cloud\"\nkind = \"s3\"\n{rest}\n")
    }

    #[test]
    fn a_remote_pool_is_read_whole() {
        let text = zone(
            r#"endpoint = "http://127.0.0.1:9000"
bucket = "vault"
prefix = "/firn/a/"
region = "eu-1"
credentials-file = "/etc/firn/cloud"
profile = "firn"
keep-local = true
scrub = true
cache = "64MiB"
cache-directory = "/mnt/ssd/cache"
upload-limit = [{ hours = "08-18", bytes-per-second = "20MiB" }, { hours = "22-6", bytes-per-second = "0" }]"#,
        );
        let remote = read(&text).unwrap().remote.unwrap();
        assert_eq!(
            (remote.name.as_str(), remote.bucket.as_str(), remote.prefix.as_str()),
            ("cloud", "vault", "firn/a")
        );
        assert!(remote.keeps_local && remote.scrubbed && remote.cache == ByteCount::mib(64));
        assert_eq!(remote.cache_dir.as_deref(), Some(Path::new("/mnt/ssd/cache")));
        assert_eq!(remote.access.profile.as_deref(), Some("firn"));
        assert_eq!(remote.access.region.as_deref(), Some("eu-1"));
        let windows = &remote.schedule.0;
        assert_eq!(
            (windows[0].from_hour, windows[0].to_hour, windows[0].bytes_per_second),
            (8, 18, ByteCount::mib(20))
        );
        assert_eq!(
            (windows[1].from_hour, windows[1].to_hour, windows[1].bytes_per_second),
            (22, 6, ByteCount::ZERO)
        );
        let config =
            read(&format!("{}[[zone]]\nname = \"a\"\ndirectory = \"/mnt/a\"\n", zone("bucket = \"b\"")))
                .unwrap();
        let remote = config.remote.unwrap();
        assert!(config.zones.len() == 1 && !remote.keeps_local && !remote.scrubbed);
        assert_eq!(remote.cache, ByteCount::gib(1));
    }

    #[test]
    fn what_a_remote_pool_can_not_be_is_refused_by_its_key() {
        let fine = "bucket = \"b\"\n";
        for (text, says) in [
            (zone(""), "zone.bucket"),
            (zone("bucket = \"b/p\""), "zone.bucket"),
            (zone(&format!("{fine}directory = \"/mnt\"")), "zone.directory"),
            (zone(&format!("{fine}prefix = \"a//b\"")), "zone.prefix"),
            (zone(&format!("{fine}prefix = \"../b\"")), "zone.prefix"),
            (zone(&format!("{fine}cache = \"1MiB\"")), "zone.cache"),
            (zone(&format!("{fine}cache-directory = \"here\"")), "zone.cache-directory"),
            (zone(&format!("{fine}region = \"EU\"")), "zone.region"),
            (zone(&format!("{fine}{fine}")), "duplicate key"),
            (zone(&format!("{fine}colour = 1")), "unknown field"),
            (format!("{0}{0}", zone(fine)), "there may be one"),
            (zone(fine).replace("cloud", "local"), "zone.name"),
            (zone(fine).replace("\"s3\"", "\"gcs\""), "zone.kind"),
            ("[[zone]]\nname = \"a\"\ndirectory = \"/a\"\nbucket = \"b\"".to_owned(), "zone.bucket"),
            (
                zone(&format!("{fine}upload-limit = [{{ hours = \"8\", bytes-per-second = \"1MiB\" }}]")),
                "zone.upload-limit.hours",
            ),
            (
                zone(&format!("{fine}upload-limit = [{{ hours = \"8-8\", bytes-per-second = \"1MiB\" }}]")),
                "zone.upload-limit.hours",
            ),
            (
                zone(&format!("{fine}upload-limit = [{{ hours = \"8-25\", bytes-per-second = \"1MiB\" }}]")),
                "zone.upload-limit.hours",
            ),
            (
                zone(&format!("{fine}upload-limit = [{{ hours = \"8-9\", bytes-per-second = \"1\" }}]")),
                "16KiB",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
