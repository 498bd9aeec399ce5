//! What a request of the JSON protocol says of itself to the conditions of policies, with the keys of who asks in front.
//!
//! Where it comes from is what the connection knows, never a header. What is the service's own its core answers.

use crate::server::Peer;
use engine::clock::Timestamp;
use http::header::{HeaderName, REFERER, USER_AGENT};
use http::request;
use security::policy::{Context, Purse};
use security::{AmzDate, Principal};

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
    fn first(&self, name: HeaderName) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
    }

    fn of_connection(&self, key: &str) -> Option<String> {
        Some(match key {
            "aws:currenttime" => AmzDate::from_timestamp(self.now).extended(),
            "aws:epochtime" => self.now.as_secs().to_string(),
            "aws:securetransport" => self.peer.tls.is_some().to_string(),
            "aws:sourceip" => self.peer.ip.to_canonical().to_string(),
            "aws:useragent" => self.first(USER_AGENT)?.to_owned(),
            "aws:referer" => self.first(REFERER)?.to_owned(),
            "aws:requestedregion" => self.region.clone(),
            "aws:resourceaccount" => self.principal.account()?.to_string(),
            "aws:viaawsservice" | "aws:principalisawsservice" => "false".to_owned(),
            _ => return None,
        })
    }
}

impl Context for RequestContext {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        if !self.principal.visit(key, self.now, each)
            && let Some(value) = self.of_connection(key)
        {
            each(&value);
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.purse.spend(steps)
    }
}
