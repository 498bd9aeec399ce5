//! Names, paths and ARNs: read once, strictly. Source: the patterns of IAM's API model.

use super::error::{Code, IdentityError, Result};
use super::{Kind, Tag, limit};
use crate::{AccountId, Arn};

/// Longest path, both slashes counted.
const PATH_MAX: usize = 512;
/// Most tags of one thing.
const TAGS_MAX: usize = 50;

/// Letters, digits and `+=,.@-_`.
fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@-_".contains(&byte))
}

/// A name within its kind's bounds.
fn bounded<'a>(what: &str, text: &'a str, (min, max): (usize, usize)) -> Result<&'a str> {
    if (min..=max).contains(&text.len()) && is_name(text) {
        return Ok(text);
    }
    Err(IdentityError::invalid(format!(
        "The specified value for {what} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_- \
         and have {min} to {max} of them"
    )))
}

impl Kind {
    const fn parameter(self) -> &'static str {
        match self {
            Self::User => "userName",
            Self::Group => "groupName",
            Self::Role => "roleName",
            Self::Policy => "policyName",
        }
    }

    /// Longest name.
    const fn name_max(self) -> usize {
        match self {
            Self::User | Self::Role => 64,
            Self::Group | Self::Policy => 128,
        }
    }

    /// A name to be given.
    pub(super) fn new_name(self, text: &str) -> Result<&str> {
        bounded(self.parameter(), text, (1, self.name_max()))
    }

    /// The name of something that is there, maybe: one is another in whatever case.
    pub(super) fn known_name(self, text: &str) -> Result<String> {
        // Longer than any is none, and says so by what it is not.
        bounded(self.parameter(), text, (1, 128)).map(str::to_ascii_lowercase)
    }
}

/// The name of an inline policy.
pub(super) fn policy_name(text: &str) -> Result<&str> {
    bounded("policyName", text, (1, 128))
}

/// The name of a second factor.
pub(super) fn device_name(text: &str) -> Result<&str> {
    bounded("virtualMFADeviceName", text, (1, 226))
}

/// The name of a role's session, or the source identity of one.
pub(super) fn session_name<'a>(what: &str, text: &'a str) -> Result<&'a str> {
    bounded(what, text, (2, 64))
}

/// The name of somebody who is let in for a while.
pub(super) fn federated_name(text: &str) -> Result<&str> {
    bounded("name", text, (2, 32))
}

/// `/`, or begun and ended by slashes, of printable ASCII.
pub(super) fn path(text: Option<&str>) -> Result<&str> {
    let text = text.unwrap_or("/");
    let ok = text.len() <= PATH_MAX
        && (text == "/" || (text.len() > 2 && text.starts_with('/') && text.ends_with('/')))
        && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if ok {
        return Ok(text);
    }
    Err(IdentityError::invalid(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / \
         characters.",
    ))
}

/// What a path begins with.
pub(super) fn path_prefix(text: Option<&str>) -> Result<&str> {
    let text = text.unwrap_or("/");
    if text.len() <= PATH_MAX
        && text.starts_with('/')
        && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
    {
        return Ok(text);
    }
    Err(IdentityError::invalid("The specified value for pathPrefix is invalid. It must begin with /."))
}

/// The ARN of somebody or something of an account.
pub(super) fn arn(account: AccountId, kind: Kind, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{}{path}{name}", kind.word())
}

/// The parts of an ARN of IAM: account (`None`: AWS's own), path, name.
pub(super) fn split_arn(text: &str, kind: Kind) -> Result<(Option<AccountId>, &str, &str)> {
    let refused = || {
        let what = kind.word();
        IdentityError::invalid(format!(
            "ARN {text} is not valid: arn:aws:iam::ACCOUNT:{what}/NAME is wanted."
        ))
    };
    let rest = text.strip_prefix("arn:aws:iam::").filter(|_| text.len() <= 2048).ok_or_else(refused)?;
    let (account, resource) = rest.split_once(':').ok_or_else(refused)?;
    let account = match account {
        "aws" => None,
        number => Some(number.parse().map_err(|_| refused())?),
    };
    let below =
        resource.strip_prefix(kind.word()).filter(|below| below.starts_with('/')).ok_or_else(refused)?;
    let (path, name) = below.split_at(below.rfind('/').map_or(0, |at| at + 1));
    if !(1..=kind.name_max()).contains(&name.len()) || !is_name(name) || self::path(Some(path)).is_err() {
        return Err(refused());
    }
    Ok((account, path, name))
}

/// The ARN of a session of a role.
pub(super) fn session_arn(account: AccountId, role: &str, session: &str) -> String {
    format!("arn:aws:sts::{account}:assumed-role/{role}/{session}")
}

/// The ARN of a session for somebody else.
pub(super) fn federated_arn(account: AccountId, name: &str) -> String {
    format!("arn:aws:sts::{account}:federated-user/{name}")
}

/// The ARN of an account's root.
pub(super) fn root_arn(account: AccountId) -> String {
    Arn::root(account).to_string()
}

/// So many tags, of so many bytes, fit an entity.
pub(super) fn check_tags_size(tags: &[Tag]) -> Result<()> {
    if tags.len() > TAGS_MAX {
        return Err(IdentityError::over("TagsPerResource", TAGS_MAX));
    }
    if tags.iter().map(|tag| tag.key.len() + tag.value.len()).sum::<usize>() > limit::TAG_BYTES {
        return Err(IdentityError::over("bytes of tags", limit::TAG_BYTES));
    }
    Ok(())
}

/// Tags as they may be set at once: no two of one key in whatever case.
pub(super) fn check_tags(tags: &[Tag]) -> Result<()> {
    check_tags_size(tags)?;
    let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
    for (at, tag) in tags.iter().enumerate() {
        let (key, value) = (tag.key.chars().count(), tag.value.chars().count());
        if !(1..=128).contains(&key) || value > 256 || !tag.key.chars().chain(tag.value.chars()).all(allowed)
        {
            return Err(IdentityError::invalid(format!(
                "tags.{}: a key has 1 to 128 letters, digits, blanks and _.:/=+-@, a value up to 256",
                at + 1
            )));
        }
        if tag.key.to_lowercase().starts_with("aws:") {
            let message = "Tag keys that begin with aws: are reserved for system use.";
            return Err(IdentityError::new(Code::InvalidInput, message));
        }
        let lower = tag.key.to_lowercase();
        if tags[..at].iter().any(|other| other.key.to_lowercase() == lower) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(IdentityError::new(Code::InvalidInput, message));
        }
    }
    Ok(())
}

/// An account's alias: 3 to 63 lower-case letters, digits and hyphens between them.
pub(super) fn alias(text: &str) -> Result<&str> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ok = (3..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
        // It could be taken for an account.
        && (text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()));
    if ok {
        return Ok(text);
    }
    Err(IdentityError::invalid(
        "The specified value for accountAlias is invalid. It must be 3 to 63 lowercase letters, digits and single hyphens between \
         them, and no account's number.",
    ))
}

#[cfg(test)]
mod tests {
    use super::{alias, arn, check_tags, path, split_arn};
    use crate::identity::{Kind, Tag};

    #[test]
    fn names_and_paths_are_read_strictly() {
        for good in ["a", "Alice.B+c=d,e@f-g_h"] {
            assert_eq!(Kind::User.new_name(good).unwrap(), good);
        }
        for bad in ["", "a b", "a/b", "é", "a:b", &"x".repeat(65)] {
            Kind::User.new_name(bad).unwrap_err();
        }
        Kind::Group.new_name(&"x".repeat(128)).unwrap();
        assert_eq!(Kind::User.known_name("Alice").unwrap(), "alice");
        for good in [None, Some("/"), Some("/a/"), Some("/a/b!~/")] {
            path(good).unwrap();
        }
        for bad in ["", "a", "/a", "a/", "//", "/a b/", "/\u{7f}/"] {
            path(Some(bad)).unwrap_err();
        }
    }

    #[test]
    fn arns_are_taken_apart_as_they_are_made() {
        let account = "111122223333".parse().unwrap();
        for (path, name) in [("/", "p"), ("/a/b/", "p.q")] {
            let text = arn(account, Kind::Policy, path, name);
            assert_eq!(split_arn(&text, Kind::Policy).unwrap(), (Some(account), path, name));
            split_arn(&text, Kind::Role).unwrap_err();
        }
        let of_aws = "arn:aws:iam::aws:policy/ReadOnlyAccess";
        assert_eq!(split_arn(of_aws, Kind::Policy).unwrap(), (None, "/", "ReadOnlyAccess"));
        for bad in [
            "",
            "p",
            "arn:aws:iam::1:policy/p",
            "arn:aws:iam::111122223333:policy/",
            "arn:aws:iam::111122223333:policy",
        ] {
            split_arn(bad, Kind::Policy).unwrap_err();
        }
    }

    #[test]
    fn tags_and_aliases_have_their_forms() {
        let tag = |key: &str, value: &str| Tag { key: key.into(), value: value.into() };
        check_tags(&[tag("Team", "a b"), tag("é", "")]).unwrap();
        for bad in [
            vec![tag("a", "1"), tag("A", "2")],
            vec![tag("", "x")],
            vec![tag("aws:x", "y")],
            vec![tag("a", "<")],
        ] {
            check_tags(&bad).unwrap_err();
        }
        check_tags(&(0..51).map(|n| tag(&n.to_string(), "")).collect::<Vec<_>>()).unwrap_err();
        alias("my-company").unwrap();
        for bad in ["ab", "-ab", "ab-", "a--b", "Abc", "123456789012", "a.b"] {
            alias(bad).unwrap_err();
        }
    }
}
