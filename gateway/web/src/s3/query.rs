//! The query, decoded once, by the function that the signature is verified with.

use super::code::Code;
use super::error::S3Error;
use security::sigv4::query_pairs;

/// Parameters of one request.
const PAIRS_MAX: usize = 64;

/// Decoded parameters in the order they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Splits and decodes a raw query.
    pub(crate) fn parse(raw: &str) -> Result<Self, S3Error> {
        let pairs = query_pairs(raw).map_err(S3Error::from)?;
        if pairs.len() > PAIRS_MAX {
            return Err(S3Error::new(Code::InvalidURI));
        }
        Ok(Self(pairs))
    }

    /// Of these parameters.
    pub(crate) fn of<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The first value of a parameter; `""` when it stands without one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that says something.
    pub(crate) fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Names and values, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn decodes_values_and_refuses_the_undecodable() {
        let query = Query::parse("acl&prefix=a%2Fb+c%2B&empty=&x=1&x=2").unwrap();
        assert_eq!(query.get("acl"), Some(""));
        assert_eq!(query.get("prefix"), Some("a/b c+"));
        assert_eq!(query.non_empty("empty"), None);
        assert_eq!(query.get("x"), Some("1"));
        assert!(!query.has("y"));
        assert_eq!(query.pairs().last(), Some(("x", "2")));
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", &"a&".repeat(65)] {
            Query::parse(bad).unwrap_err();
        }
    }
}
