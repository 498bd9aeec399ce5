//! What every request says to the conditions of policies, whichever service it is for: where it comes from and when.
//!
//! Where it comes from is what the connection knows, never a header (`X-Forwarded-For` is anybody's to write).

use crate::server::Peer;
use engine::clock::Timestamp;
use http::header::{HeaderName, REFERER, USER_AGENT};
use http::request;
use security::{AccountId, AmzDate};

/// A request, as far as its connection and its head's first lines go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) head: &'a request::Parts,
    pub(crate) peer: Peer,
    pub(crate) now: Timestamp,
    /// Of the verified scope.
    pub(crate) region: &'a str,
    /// Whose is what is asked about, where a service tells it.
    pub(crate) account: Option<AccountId>,
}

impl Facts<'_> {
    /// The value of a condition key, in lower case.
    pub(crate) fn of(&self, key: &str) -> Option<String> {
        Some(match key {
            "aws:currenttime" => AmzDate::from_timestamp(self.now).extended(),
            "aws:epochtime" => self.now.as_secs().to_string(),
            "aws:securetransport" => self.peer.tls.is_some().to_string(),
            "aws:sourceip" => self.peer.ip.to_canonical().to_string(),
            "aws:useragent" => self.first(USER_AGENT)?.to_owned(),
            "aws:referer" => self.first(REFERER)?.to_owned(),
            "aws:requestedregion" => self.region.to_owned(),
            "aws:resourceaccount" => self.account?.to_string(),
            "aws:viaawsservice" | "aws:principalisawsservice" => "false".to_owned(),
            _ => return None,
        })
    }

    /// The first of a header's lines, where several can stand and none is what the operation goes by.
    fn first(&self, name: HeaderName) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
    }
}
