//! Parameters of the query protocol as they come: an `application/x-www-form-urlencoded` body, or the query of a GET.
//!
//! Strict: what is not percent-encoded UTF-8, stands twice, or is named like nothing that the protocol has, is refused, so that no two
//! readers of one request see two things. Bounded: [`BODY_MAX`], [`PARAMETERS_MAX`], [`NAME_MAX`].
//!
//! Whoever reads a parameter takes it out; what is left at the end was not known, and [`Form::finish`] refuses it: a parameter that a
//! newer SDK sends, and that would change what is asked for, is never ignored.

use super::error::QueryError;
use engine::unit::ByteCount;
use security::sigv4::query_pairs;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Bytes of a request's body. A policy document of 131,072 characters is at most three times as long when it is encoded.
pub(crate) const BODY_MAX: ByteCount = ByteCount::mib(1);
/// Parameters of one request, members of lists included.
const PARAMETERS_MAX: usize = 2_048;
/// Characters of a parameter's name.
const NAME_MAX: usize = 256;

/// What a signature in the query brings along.
const OF_SIGNATURES: [&str; 8] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

/// Parameters that nobody has read yet, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    /// Those of a body.
    pub(crate) fn of_body(body: &[u8]) -> Result<Self, QueryError> {
        if ByteCount::from(body.len()) > BODY_MAX {
            return Err(QueryError::too_large(BODY_MAX));
        }
        let text = std::str::from_utf8(body).map_err(|_| QueryError::malformed("The body is not UTF-8."))?;
        Self::parse(text, &[])
    }

    /// Those of a URL, without what signs it.
    pub(crate) fn of_url(query: &str) -> Result<Self, QueryError> {
        Self::parse(query, &OF_SIGNATURES)
    }

    fn parse(text: &str, skip: &[&str]) -> Result<Self, QueryError> {
        // Counted before anything is decoded.
        if text.bytes().filter(|byte| *byte == b'&').count() >= PARAMETERS_MAX {
            return Err(QueryError::malformed(format!("A request has at most {PARAMETERS_MAX} parameters.")));
        }
        let pairs = query_pairs(text)
            .map_err(|_| QueryError::malformed("The parameters are not percent-encoded UTF-8."))?;
        let mut known = BTreeMap::new();
        for (name, value) in pairs {
            if skip.contains(&name.as_str()) {
                continue;
            }
            let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(named) {
                return Err(QueryError::malformed(
                    "A parameter's name is 1 to 256 letters, digits, dots, dashes and underscores.",
                ));
            }
            match known.entry(name) {
                Entry::Vacant(place) => drop(place.insert(value)),
                Entry::Occupied(place) => {
                    let message = format!("The parameter {} was given more than once.", place.key());
                    return Err(QueryError::malformed(message));
                }
            }
        }
        Ok(Self(known))
    }

    /// Takes a parameter out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Whether there is one whose name begins so.
    pub(crate) fn has_below(&self, prefix: &str) -> bool {
        self.first_below(prefix).is_some()
    }

    fn first_below(&self, prefix: &str) -> Option<&str> {
        let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
        self.0
            .range::<str, _>(from)
            .next()
            .map(|(name, _)| name.as_str())
            .filter(|name| name.starts_with(prefix))
    }

    /// How many members a list has: `PREFIX1…` to `PREFIXn…`, without a gap and without another way to write a number.
    pub(crate) fn members(&self, prefix: &str) -> Result<usize, QueryError> {
        let mut numbers: Vec<usize> = Vec::new();
        let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
        for (name, _) in self.0.range::<str, _>(from) {
            let Some(rest) = name.strip_prefix(prefix) else { break };
            let digits = rest.split('.').next().unwrap_or_default();
            let plain = !digits.starts_with('0') && digits.len() <= 4;
            let number =
                digits.parse().ok().filter(|_| plain && digits.bytes().all(|byte| byte.is_ascii_digit()));
            let Some(number) = number else {
                return Err(QueryError::malformed(format!(
                    "{name} is no member of a list: they are numbered from 1 to {PARAMETERS_MAX}."
                )));
            };
            numbers.push(number);
        }
        numbers.sort_unstable();
        numbers.dedup();
        match numbers.last() {
            Some(last) if *last != numbers.len() => Err(QueryError::malformed(format!(
                "The members of {} are not numbered without a gap.",
                prefix.trim_end_matches('.')
            ))),
            _ => Ok(numbers.len()),
        }
    }

    /// All of it was read.
    pub(crate) fn finish(self, operation: &str) -> Result<(), QueryError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(unknown) => Err(QueryError::unknown_parameter(&unknown, operation)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BODY_MAX, Form};

    fn code(body: &str) -> &'static str {
        Form::of_body(body.as_bytes()).map_or_else(|error| error.code(), |_| "")
    }

    #[test]
    fn parameters_are_decoded_and_taken_once() {
        let mut form = Form::of_body(b"Action=GetUser&UserName=a%2Bb+c%C3%A9&Empty=&&Bare").unwrap();
        assert_eq!(form.take("UserName").as_deref(), Some("a+b cé"));
        assert_eq!(form.take("UserName"), None);
        assert_eq!((form.take("Empty").as_deref(), form.take("Bare").as_deref()), (Some(""), Some("")));
        assert_eq!(form.clone().finish("GetUser").unwrap_err().code(), "InvalidQueryParameter");
        form.take("Action");
        form.finish("GetUser").unwrap();
    }

    #[test]
    fn what_two_readers_could_read_two_ways_is_refused() {
        for bad in [
            "a=%",
            "a=%4",
            "a=%zz",
            "a=%ff",
            "a=1&a=1",
            "a=1&%61=2",
            "=1",
            "a b=1",
            "a%00=1",
            "a%5B0%5D=1",
            "é=1",
            &format!("{}=1", "a".repeat(257)),
            &"a&".repeat(2_048),
        ] {
            assert_eq!(code(bad), "MalformedQueryString", "{}", &bad[..bad.len().min(20)]);
        }
        assert_eq!(Form::of_body(b"a=\xff").unwrap_err().code(), "MalformedQueryString");
        let long = usize::try_from(BODY_MAX.get()).unwrap();
        assert_eq!(code(&format!("a={}", "b".repeat(long - 2))), "");
        assert_eq!(code(&format!("a={}", "b".repeat(long))), "RequestEntityTooLarge");
    }

    #[test]
    fn what_signs_a_url_is_none_of_its_parameters() {
        let url = "Action=GetCallerIdentity&X-Amz-Signature=1&X-Amz-Date=2&X-Amz-Security-Token=3";
        let mut form = Form::of_url(url).unwrap();
        assert_eq!(form.take("Action").as_deref(), Some("GetCallerIdentity"));
        form.finish("GetCallerIdentity").unwrap();
        // In a body they sign nothing.
        assert!(Form::of_body(b"X-Amz-Signature=1").unwrap().finish("x").is_err());
    }

    #[test]
    fn members_are_counted_without_gaps_and_bombs() {
        let members = |text: &str| {
            Form::of_body(text.as_bytes()).unwrap().members("T.member.").map_err(|error| error.code())
        };
        assert_eq!(members("T.member.1=a&T.member.2=b"), Ok(2));
        assert_eq!(members("T.member.1.Key=a&T.member.1.Value=b&T.member.2.Key=c"), Ok(2));
        assert_eq!(members("T=&U.member.1=a"), Ok(0));
        let eleven: Vec<String> = (1..=11).map(|at| format!("T.member.{at}=x")).collect();
        assert_eq!(members(&eleven.join("&")), Ok(11));
        for bad in [
            "T.member.2=a",
            "T.member.1=a&T.member.3=b",
            "T.member.0=a",
            "T.member.01=a",
            "T.member.-1=a",
            "T.member.=a",
            "T.member.x=a",
            "T.member.4294967297=a",
            "T.member.99999999999999999999=a",
            "T.member.1=a&T.member.2147483647=b",
        ] {
            assert_eq!(members(bad), Err("MalformedQueryString"), "{bad}");
        }
    }
}
