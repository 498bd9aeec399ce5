//! What a request says of itself, by condition key.

use std::collections::BTreeMap;

/// The request context: the values of condition keys. Source: "The request context" of the IAM user guide
/// (`reference_policies_elements_condition`).
///
/// Asked only where a policy names a key, so that a request to what has no policy builds nothing.
pub trait Context: Send + Sync {
    /// Hands each value of a key to `each`, none where the request has no such key. `key` is in lower case, as keys are compared
    /// without regard to case; the part behind a slash (a tag's name) is as the policy has it, in lower case too.
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str));

    /// Takes this many steps of comparing off what one decision may cost, and its request; false once that is used up. Endless where nobody
    /// counts. What stands in front of another context passes it on.
    fn spend(&self, _steps: usize) -> bool {
        true
    }

    /// The value of a key that has exactly one.
    fn single(&self, key: &str) -> Option<String> {
        let (mut found, mut count) = (None, 0_usize);
        self.visit(key, &mut |value| {
            count += 1;
            found = Some(value.to_owned());
        });
        found.filter(|_| count == 1)
    }
}

/// A request of which nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoContext;

impl Context for NoContext {
    fn visit(&self, _key: &str, _each: &mut dyn FnMut(&str)) {}
}

/// Keys and values as they were given: what a simulation asks with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenContext(BTreeMap<String, Vec<String>>);

impl GivenContext {
    /// With one more key.
    #[must_use]
    pub fn with<V: Into<String>>(mut self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.0.entry(key.to_lowercase()).or_default().extend(values.into_iter().map(Into::into));
        self
    }
}

impl Context for GivenContext {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        self.0.get(key).into_iter().flatten().for_each(|value| each(value));
    }
}
