//! What a request of the query protocol says of itself to the conditions of policies.
//!
//! Keys of the principal are put in front by `security`.

use super::read::Args;
use super::table::Row;
use super::target::Target;
use crate::connection::Facts;
use crate::server::Peer;
use engine::clock::Timestamp;
use http::request;
use security::AccountId;
use security::policy::{Context, Purse};
use std::sync::Arc;

/// A request, as policies see it.
#[derive(Debug)]
pub(crate) struct RequestContext {
    head: Arc<request::Parts>,
    peer: Peer,
    now: Timestamp,
    /// Of the verified scope.
    region: String,
    row: &'static Row,
    /// Whose is what is asked about.
    account: AccountId,
    /// Keys of the operation, in lower case, with their values.
    said: Vec<(String, String)>,
    purse: Purse,
}

impl RequestContext {
    pub(super) fn new(
        (head, peer): (Arc<request::Parts>, Peer),
        (now, region): (Timestamp, String),
        (row, account): (&'static Row, AccountId),
        said: Vec<(String, String)>,
    ) -> Self {
        Self { head, peer, now, region, row, account, said, purse: Purse::default() }
    }

    /// Where it came from.
    pub(crate) const fn peer(&self) -> Peer {
        self.peer
    }

    /// As they came.
    pub(crate) fn headers(&self) -> &http::HeaderMap {
        &self.head.headers
    }

    fn facts(&self) -> Facts<'_> {
        let Self { ref head, peer, now, ref region, account, .. } = *self;
        Facts { head, peer, now, region, account: Some(account) }
    }
}

impl Context for RequestContext {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        if let Some(value) = self.facts().of(key) {
            return each(&value);
        }
        if self.row.has_key(key) {
            self.said.iter().filter(|(known, _)| known == key).for_each(|(_, value)| each(value));
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.purse.spend(steps)
    }
}

/// What parameters and what they are about say to conditions.
pub(super) fn said(args: &Args, target: Option<&Target>) -> Vec<(String, String)> {
    let mut said = Vec::new();
    let mut add = |key: &str, value: &str| said.push((key.to_owned(), value.to_owned()));
    for tag in args.structures("Tags") {
        let (key, value) = (tag.needed("Key"), tag.needed("Value"));
        add(&format!("aws:requesttag/{}", key.to_lowercase()), value);
        add("aws:tagkeys", key);
    }
    for key in args.texts("TagKeys") {
        add("aws:tagkeys", key);
    }
    if let Some(arn) = args.text("PolicyArn") {
        add("iam:policyarn", arn);
    }
    let of_target = target.and_then(|target| target.boundary.as_deref());
    if let Some(arn) = args.text("PermissionsBoundary").or(of_target) {
        add("iam:permissionsboundary", arn);
    }
    for tag in target.map(|target| &*target.tags).unwrap_or_default() {
        for prefix in ["aws", "iam"] {
            add(&format!("{prefix}:resourcetag/{}", tag.key.to_lowercase()), &tag.value);
        }
    }
    said
}
