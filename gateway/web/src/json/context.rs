//! What a request of the JSON protocol says of itself to the conditions of policies, with the keys of who asks in front.
//!
//! What is the service's own its core answers.

use crate::connection::Facts;
use crate::server::Peer;
use engine::clock::Timestamp;
use http::request;
use security::Principal;
use security::policy::{Context, Purse};

/// A request, as policies see it.
#[derive(Debug)]
pub(crate) struct RequestContext {
    pub(super) principal: Principal,
    pub(super) head: request::Parts,
    pub(super) peer: Peer,
    pub(super) now: Timestamp,
    /// Of the verified scope.
    pub(super) region: String,
    pub(super) purse: Purse,
}

impl RequestContext {
    fn facts(&self) -> Facts<'_> {
        let Self { ref head, peer, now, ref region, .. } = *self;
        Facts { head, peer, now, region, account: self.principal.account() }
    }
}

impl Context for RequestContext {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        if !self.principal.visit(key, self.now, each)
            && let Some(value) = self.facts().of(key)
        {
            each(&value);
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.purse.spend(steps)
    }
}
