//! The actions that a statement is about, as they are compared.
//!
//! ```text
//!   asked ─► folded once, two marks ─► sieve of each statement: 16 bytes, side by side ─► patterns of the few that may be about it
//! ```
//! Case means nothing in an action: patterns have none, and what is asked loses it once for all policies. Most statements of an identity are about
//! other actions. A statement's sieve says so without a look at the statement: a bit for each action that it names whole, and one for each
//! service of which it names some by a wildcard. A bit may be another's, too: patterns decide.

use super::context::Context;
use super::pattern::{Pattern, Syntax, fold};

/// An action that is asked about.
#[derive(Debug)]
pub(super) struct AskedAction {
    /// Without case.
    folded: String,
    /// The marks of it and of its service.
    marks: Sieve,
}

impl AskedAction {
    pub(super) fn new(action: &str) -> Self {
        let folded = if action.is_ascii() { action.to_ascii_lowercase() } else { fold(action) };
        let service = folded.split_once(':').map_or(&*folded, |(service, _)| service);
        Self { marks: Sieve { whole: mark(&folded), services: mark(service) }, folded }
    }
}

/// Which actions a statement can be about: a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sieve {
    whole: u64,
    services: u64,
}

impl Sieve {
    /// Whether the statement may be about it.
    pub(super) const fn may_take(self, asked: &AskedAction) -> bool {
        self.whole & asked.marks.whole | self.services & asked.marks.services != 0
    }
}

/// One of 64 bits for a text, by its FNV-1a hash.
fn mark(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    1 << ((hash ^ (hash >> 32)) & 63)
}

/// A statement's Action or `NotAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Actions {
    negated: bool,
    list: Box<[Pattern]>,
    /// Services, in lower case, of which it can take in an action; `None`: of any. A service has no wildcards.
    services: Option<Box<[Box<str>]>>,
}

impl Actions {
    pub(super) fn new(negated: bool, list: Box<[Pattern]>) -> Self {
        let mut services: Vec<Box<str>> = Vec::new();
        for pattern in &list {
            let service = pattern.as_str().split_once(':').map(|(service, _)| service.to_ascii_lowercase());
            let Some(service) = service.filter(|_| !negated) else {
                return Self { negated, list, services: None };
            };
            if !services.iter().any(|known| **known == *service) {
                services.push(service.into());
            }
        }
        Self { negated, list, services: Some(services.into()).filter(|_| !negated) }
    }

    /// What lets through all that it can be about.
    pub(super) fn sieve(&self) -> Sieve {
        let mut sieve = Sieve { whole: 0, services: 0 };
        for pattern in &self.list {
            let text = pattern.as_str().to_ascii_lowercase();
            match text.split_once(':').filter(|_| !self.negated) {
                Some(_) if pattern.is_fixed() => sieve.whole |= mark(&text),
                Some((service, _)) => sieve.services |= mark(service),
                None => sieve.services = u64::MAX,
            }
        }
        // All but none.
        if self.list.is_empty() { Sieve { whole: u64::MAX, services: u64::MAX } } else { sieve }
    }

    /// Whether it takes an action in. It has no variables: `context` counts what looking costs.
    pub(super) fn take(&self, asked: &AskedAction, context: &dyn Context) -> bool {
        let named = self.list.iter().any(|pattern| pattern.takes_folded(&asked.folded, context));
        named != self.negated
    }

    /// Whether it could be about anything of that service.
    pub(super) fn may_be_of(&self, service: &str) -> bool {
        if self.negated {
            let all = format!("{service}:*");
            let is_all =
                |pattern: &Pattern| pattern.as_str() == "*" || pattern.as_str().eq_ignore_ascii_case(&all);
            return !self.list.iter().any(is_all);
        }
        self.services.as_ref().is_none_or(|all| all.iter().any(|known| known.eq_ignore_ascii_case(service)))
    }

    /// As they were written.
    pub(super) fn list(&self) -> &[Pattern] {
        &self.list
    }

    /// Bytes that it takes in memory beside itself, about.
    pub(super) fn heap_bytes(&self) -> usize {
        let services = self.services.as_deref().unwrap_or_default();
        size_of_val(&*self.list)
            + self.list.iter().map(Pattern::heap_bytes).sum::<usize>()
            + size_of_val(services)
            + services.iter().map(|service| service.len()).sum::<usize>()
    }
}

/// `*`, or a service and a name that may have wildcards.
pub(super) fn action(text: &str) -> Result<Pattern, String> {
    let refused = || format!("{text:?} is no action: * is, or SERVICE:NAME like s3:GetObject or s3:Get*");
    if text != "*" {
        let (service, name) = text.split_once(':').ok_or_else(refused)?;
        let is_service = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let is_name = |c: char| c.is_ascii_alphanumeric() || "*?-_".contains(c);
        if service.is_empty()
            || name.is_empty()
            || !service.chars().all(is_service)
            || !name.chars().all(is_name)
        {
            return Err(refused());
        }
    }
    Pattern::parse(text, Syntax { wildcards: true, variables: false, folds: true })
}

#[cfg(test)]
mod tests {
    use super::{Actions, AskedAction, action};
    use crate::policy::NoContext;

    #[test]
    fn a_sieve_lets_through_whatever_a_statement_is_about() {
        let asked_names = [
            "s3:GetObject",
            "S3:getobjectACL",
            "kms:Decrypt",
            "iam:GetUser",
            "s3",
            "",
            "s3:\u{212a}x",
            "a:b:c",
        ];
        let patterns = [
            "*",
            "s3:*",
            "s3:GetObject",
            "S3:Get*",
            "s3:*Object",
            "kms:Decrypt",
            "iam:?etUser",
            "a:*",
            "s3:kx",
        ];
        let mut kept_out = 0;
        for negated in [false, true] {
            for one in patterns {
                for other in patterns {
                    let list: Vec<_> = [one, other].map(|text| action(text).unwrap()).into();
                    let actions = Actions::new(negated, list.clone().into());
                    for name in asked_names {
                        let asked = AskedAction::new(name);
                        let named =
                            list.iter().any(|pattern| pattern.matches(name, &NoContext) == Some(true));
                        assert_eq!(
                            actions.take(&asked, &NoContext),
                            named != negated,
                            "{one} {other} {name}"
                        );
                        let may = actions.sieve().may_take(&asked);
                        assert!(may || !actions.take(&asked, &NoContext), "{negated} {one} {other} {name}");
                        kept_out += usize::from(!may);
                    }
                }
            }
        }
        assert!(kept_out > 100, "{kept_out}");
    }
}
