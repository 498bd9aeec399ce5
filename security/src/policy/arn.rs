//! ARNs and their patterns, part by part: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
//!
//! A wildcard stays within its part; that of the last one takes in colons and slashes. Source: "Amazon Resource Name (ARN) condition
//! operators" (`reference_policies_elements_condition_operators`) and "IAM JSON policy elements: Resource" of the IAM user guide.

use super::context::Context;
use super::pattern::{BOX_BYTES, Pattern, Syntax};

/// The parts of an ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArnParts<'a>([&'a str; 6]);

impl<'a> ArnParts<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        split(text).filter(|parts| parts[0] == "arn").map(Self)
    }
}

/// Colons within `${…}` divide nothing.
fn split(text: &str) -> Option<[&str; 6]> {
    let mut parts = [""; 6];
    let (mut part, mut start, mut inside) = (0, 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'$' if text.as_bytes().get(at + 1) == Some(&b'{') => inside = true,
            b'}' => inside = false,
            b':' if !inside && part < 5 => {
                parts[part] = text.get(start..at)?;
                (part, start) = (part + 1, at + 1);
            }
            _ => {}
        }
    }
    parts[part] = text.get(start..)?;
    (part == 5).then_some(parts)
}

/// A pattern of ARNs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ArnPattern {
    /// `*`
    Any,
    /// One of six parts.
    Parts(Box<[Pattern; 6]>),
}

impl ArnPattern {
    /// Reads `*` or an ARN whose parts may have wildcards. With `last_alone` a variable may stand in the last part only.
    pub(super) fn parse(text: &str, variables: bool, last_alone: bool) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let parts = split(text).filter(|parts| parts[0] == "arn");
        let parts = parts.ok_or_else(|| {
            format!("{text:?} is no ARN: * is, or arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE")
        })?;
        if parts[5].is_empty() {
            return Err(format!("{text:?} names nothing behind its account"));
        }
        let syntax = Syntax { wildcards: true, variables, folds: false };
        let mut patterns = Vec::with_capacity(6);
        for (at, part) in parts.into_iter().enumerate() {
            let pattern = Pattern::parse(part, syntax)?;
            if last_alone && at < 5 && pattern.has_variable() {
                return Err(format!("{text:?} has a policy variable before its last part"));
            }
            patterns.push(pattern);
        }
        let patterns: [Pattern; 6] = patterns.try_into().map_err(|_| "an ARN has six parts".to_owned())?;
        Ok(Self::Parts(Box::new(patterns)))
    }

    /// Whether an ARN is of its form; `None` where that hangs on a variable without a value.
    pub(super) fn matches(&self, arn: ArnParts<'_>, context: &dyn Context) -> Option<bool> {
        let Self::Parts(patterns) = self else { return Some(true) };
        let mut all = Some(true);
        // The last part differs most often.
        for (pattern, part) in patterns.iter().zip(arn.0).rev() {
            match pattern.matches(part, context) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => all = None,
            }
        }
        all
    }

    /// Whether an ARN is surely of its form: most are not, which the beginning of their last part says, whatever variables have.
    pub(super) fn is_match(&self, arn: ArnParts<'_>, context: &dyn Context) -> bool {
        let Self::Parts(patterns) = self else { return true };
        patterns.iter().zip(arn.0).rev().all(|(pattern, part)| pattern.is_match(part, context))
    }

    /// Bytes that it takes in memory beside itself, about.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Any => 0,
            Self::Parts(parts) => {
                BOX_BYTES + size_of_val(&**parts) + parts.iter().map(Pattern::heap_bytes).sum::<usize>()
            }
        }
    }

    /// Whether it names one thing alone.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Self::Parts(parts) if parts.iter().all(Pattern::is_fixed))
    }

    /// Whether it could name something of this partition and service, without region and account, that begins so.
    pub(super) fn could_begin(&self, service: &str, resource: &str) -> bool {
        let Self::Parts(parts) = self else { return true };
        let whole = |at: usize, text: &str| parts[at].matches(text, &super::NoContext) != Some(false);
        whole(1, "aws") && whole(2, service) && whole(3, "") && whole(4, "") && parts[5].could_begin(resource)
    }

    /// Whether it could name exactly this, likewise.
    pub(super) fn could_be(&self, service: &str, resource: &str) -> bool {
        self.could_begin(service, resource)
            && match self {
                Self::Any => true,
                Self::Parts(parts) => parts[5].matches(resource, &super::NoContext) != Some(false),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::{ArnParts, ArnPattern};
    use crate::policy::{GivenContext, NoContext};

    fn matches(pattern: &str, arn: &str) -> Option<bool> {
        let pattern = ArnPattern::parse(pattern, true, false).unwrap();
        pattern.matches(ArnParts::parse(arn).unwrap(), &NoContext)
    }

    #[test]
    fn wildcards_stay_within_their_part() {
        let object = "arn:aws:s3:::bucket/a/b:c";
        for (pattern, expected) in [
            ("*", true),
            ("arn:aws:s3:::*", true),
            ("arn:aws:s3:*:*:bucket/*", true),
            ("arn:*:s3:::bucket/a/b:c", true),
            ("arn:aws:s3:::bucket/a/b:?", true),
            ("arn:aws:s3:::bucket", false),
            ("arn:aws:*:::*", true),
            ("arn:aws:s3:eu:*:bucket/*", false),
            ("arn:aws:iam:::bucket/*", false),
        ] {
            assert_eq!(matches(pattern, object), Some(expected), "{pattern}");
        }
        assert_eq!(matches("arn:aws:s3:::${aws:username}/*", object), None);
        assert_eq!(matches("arn:aws:iam:::${aws:username}/*", object), Some(false), "whatever its value");
        let context = GivenContext::default().with("aws:username", ["bucket"]);
        let pattern = ArnPattern::parse("arn:aws:s3:::${aws:username}/*", true, true).unwrap();
        assert_eq!(pattern.matches(ArnParts::parse(object).unwrap(), &context), Some(true));
    }

    #[test]
    fn what_is_no_arn_is_refused() {
        for bad in
            ["", "bucket", "arn:aws:s3", "arn:aws:s3:::", "urn:aws:s3:::b", "arn:aws:s3::${aws:username}"]
        {
            assert!(ArnPattern::parse(bad, true, true).is_err(), "{bad}");
        }
        assert!(ArnPattern::parse("arn:aws:s3:${aws:x}::b", true, true).is_err());
        assert!(ArnPattern::parse("arn:aws:s3:${aws:x}::b", true, false).is_ok());
        assert!(ArnParts::parse("arn:aws:s3:::b").is_some() && ArnParts::parse("arn:aws:s3::b").is_none());
    }
}
