//! What a name takes in: one rule for all verbs that go below a prefix (docs/cli.md, "What a name takes in").
//!
//! | named | taken in |
//! |---|---|
//! | `s3://b/d3` | the key `d3`, and everything below `d3/`: never `d30` |
//! | `s3://b/d3/` | everything below `d3/` |
//! | `s3://b` | the bucket |
//! | `s3://b/d3` with `--prefix` | every key that begins with `d3` |
//!
//! Two of them are two lists, one after the other, in the order of the keys: `d3-x` and `d3.x` sort between `d3` and `d3/`,
//! and are passed over without being listed.

use crate::cli::S3Uri;
use crate::exit::{Exit, Failure};
use crate::text::{printable, quote_sh};
use client::{Client, List, ObjectEntry, Page, Pages, VersionEntry};
use std::collections::VecDeque;

/// What a name takes in.
#[derive(Debug)]
pub(crate) struct Scope {
    bucket: String,
    parts: Vec<Part>,
    /// What to say where there is nothing of it.
    missing: String,
}

#[derive(Debug)]
enum Part {
    /// One key.
    Key(String),
    /// All keys that begin like this.
    Prefix(String),
}

impl Scope {
    /// What a name takes in, or with `as_prefix` all keys that begin with it.
    pub(crate) fn of(uri: &S3Uri, as_prefix: bool) -> Self {
        let key = &uri.key;
        let (parts, missing) = if as_prefix || key.is_empty() {
            (vec![Part::Prefix(key.clone())], format!("find anything that begins with {uri}"))
        } else if key.ends_with('/') {
            (vec![Part::Prefix(key.clone())], format!("find anything below {uri}"))
        } else {
            let below = format!("{key}/");
            (
                vec![Part::Key(key.clone()), Part::Prefix(below)],
                format!("find {uri}, or anything below {uri}/"),
            )
        };
        Self { bucket: uri.bucket.clone(), parts, missing: printable(&missing) }
    }

    /// One key alone.
    pub(crate) fn key(uri: &S3Uri) -> Self {
        let missing = printable(&format!("find {uri}"));
        Self { bucket: uri.bucket.clone(), parts: vec![Part::Key(uri.key.clone())], missing }
    }

    /// All of a bucket.
    pub(crate) fn bucket(bucket: &str) -> Self {
        Self { bucket: bucket.to_owned(), parts: vec![Part::Prefix(String::new())], missing: String::new() }
    }

    /// The bucket that it is in.
    pub(crate) fn bucket_name(&self) -> &str {
        &self.bucket
    }

    /// A key in it, for a command to show: its own where it has one alone, else this word.
    pub(crate) fn key_or(&self, word: &str) -> String {
        let key = match &*self.parts {
            [Part::Key(key), ..] => key,
            _ => word,
        };
        quote_sh(&format!("s3://{}/{key}", self.bucket))
    }

    /// A part of it: a prefix to list by, and the only key that counts where it is one key.
    pub(crate) fn part(&self, at: usize) -> Option<(&str, Option<&str>)> {
        self.parts.get(at).map(|part| match part {
            Part::Key(key) => (key.as_str(), Some(key.as_str())),
            Part::Prefix(prefix) => (prefix.as_str(), None),
        })
    }

    /// The key of it that is one object, and what the others begin with.
    pub(crate) fn key_and_prefix(&self) -> (Option<&str>, Option<&str>) {
        let (mut key, mut prefix) = (None, None);
        for part in &self.parts {
            match part {
                Part::Key(one) => key = Some(one.as_str()),
                Part::Prefix(all) => prefix = Some(all.as_str()),
            }
        }
        (key, prefix)
    }

    /// Whether it is a whole bucket, which may well be empty.
    pub(crate) fn is_bucket(&self) -> bool {
        matches!(&*self.parts, [Part::Prefix(prefix)] if prefix.is_empty())
    }

    /// What to say when nothing was found.
    pub(crate) fn nothing(&self) -> Failure {
        let mut hint =
            format!("see what is there: firn ls -r {}", quote_sh(&format!("s3://{}", self.bucket)));
        if matches!(&*self.parts, [Part::Key(_), _]) {
            hint.push_str("; names that only begin like it need --prefix");
        }
        Failure::new(Exit::NotFound, self.missing.clone()).hint(hint)
    }

    /// Its objects, folded at the delimiter.
    pub(crate) fn objects<'a>(
        &'a self,
        client: &'a Client,
        delimiter: Option<&'a str>,
    ) -> Walk<'a, ObjectEntry> {
        // The key, and the one behind it.
        self.walk(delimiter, Some(2), move |list| client.objects(list), |object| &object.key)
    }

    /// Its versions and delete markers, folded at the delimiter.
    pub(crate) fn versions<'a>(
        &'a self,
        client: &'a Client,
        delimiter: Option<&'a str>,
    ) -> Walk<'a, VersionEntry> {
        self.walk(delimiter, None, move |list| client.versions(list), |version| &version.object.key)
    }

    fn walk<'a, T>(
        &'a self,
        delimiter: Option<&'a str>,
        key_page_max: Option<u16>,
        open: impl Fn(List<'a>) -> Pages<'a, T>,
        key: fn(&T) -> &str,
    ) -> Walk<'a, T> {
        let lists = self.parts.iter().map(|part| match part {
            // The key itself sorts before all others that begin with it: the first that is another one is the end.
            Part::Key(key) => {
                let list =
                    List { bucket: &self.bucket, prefix: key, delimiter: None, page_max: key_page_max };
                (open(list), Some(&**key))
            }
            Part::Prefix(prefix) => {
                (open(List { bucket: &self.bucket, prefix, delimiter, page_max: None }), None)
            }
        });
        Walk { lists: lists.collect(), key, found: false }
    }
}

/// The pages of a scope.
pub(crate) struct Walk<'a, T> {
    /// Each with the only key that counts in it.
    lists: VecDeque<(Pages<'a, T>, Option<&'a str>)>,
    key: fn(&T) -> &str,
    found: bool,
}

impl<T> Walk<'_, T> {
    /// The next page; `None` behind the last one.
    pub(crate) async fn next(&mut self) -> client::Result<Option<Page<T>>> {
        while let Some((pages, only)) = self.lists.front_mut() {
            let Some(mut page) = pages.next().await? else {
                self.lists.pop_front();
                continue;
            };
            if let Some(only) = *only {
                let past = page.entries.last().is_some_and(|last| (self.key)(last) != only);
                page.entries.retain(|entry| (self.key)(entry) == only);
                if past {
                    self.lists.pop_front();
                }
            }
            self.found |= !page.entries.is_empty() || !page.prefixes.is_empty();
            return Ok(Some(page));
        }
        Ok(None)
    }

    /// Whether anything was found so far.
    pub(crate) const fn found(&self) -> bool {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Scope};

    fn parts(uri: &str, as_prefix: bool) -> Vec<String> {
        let scope = Scope::of(&uri.parse().unwrap(), as_prefix);
        let text = |part: &Part| match part {
            Part::Key(key) => format!("={key}"),
            Part::Prefix(prefix) => format!("{prefix}*"),
        };
        scope.parts.iter().map(text).collect()
    }

    #[test]
    fn a_name_is_a_key_and_what_lies_below_it_unless_a_prefix_is_asked_for() {
        assert_eq!(parts("s3://b/d3", false), ["=d3", "d3/*"]);
        assert_eq!(parts("s3://b/d3/", false), ["d3/*"]);
        assert_eq!(parts("s3://b/d3", true), ["d3*"]);
        assert_eq!(parts("s3://b", false), ["*"]);
        assert!(Scope::of(&"s3://b".parse().unwrap(), false).is_bucket());
        assert!(!Scope::of(&"s3://b/d".parse().unwrap(), true).is_bucket());
    }
}
