//! S3 calls, each answered, refused, or of unknown outcome.

use std::net::SocketAddr;
use std::time::Duration;
use wire::{Answer, Appliance, Connection, Request, Signing, Sink};

/// An answer that takes longer is a violation of its own: the server hangs.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// 2xx: acknowledged.
    Done(Answer),
    /// 3xx or 4xx: refused, nothing changed.
    Refused(Answer),
    /// No answer, or 5xx: it may have happened or not.
    Unknown(String),
}

/// Sends requests on one connection that it reopens when it must.
#[derive(Debug)]
pub(crate) struct Caller {
    address: SocketAddr,
    signing: Signing,
    connection: Option<Connection>,
    answer_within: Duration,
}

impl Caller {
    pub(crate) fn new(appliance: &Appliance) -> Self {
        Self { answer_within: appliance.patience, ..Self::at(appliance.http, appliance.signing.clone()) }
    }

    /// Speaks to any endpoint.
    pub(crate) const fn at(address: SocketAddr, signing: Signing) -> Self {
        Self { address, signing, connection: None, answer_within: ANSWER_WITHIN }
    }

    /// The same, for what may take as long as another server takes not to answer.
    #[must_use]
    pub(crate) const fn patient(mut self) -> Self {
        self.answer_within = self.answer_within.saturating_mul(5);
        self
    }

    /// One request, sent once.
    pub(crate) async fn call(&mut self, request: &Request, body: &[u8]) -> Outcome {
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(self.address).await,
        };
        let mut connection = match connection {
            Ok(connection) => connection,
            Err(error) => return Outcome::Unknown(format!("connect: {error}")),
        };
        let hash = wire::sha256_hex(body);
        let host = self.address.to_string();
        let head = self.signing.head(&host, request, body.len(), &hash, wire::unix_seconds());
        match tokio::time::timeout(self.answer_within, connection.exchange(&head, body, Sink::Keep)).await {
            Ok(Ok(answer)) => {
                if answer.header("connection") != Some("close") {
                    self.connection = Some(connection);
                }
                match answer.status {
                    200..300 => Outcome::Done(answer),
                    500.. => Outcome::Unknown(format!("{} {}", answer.status, answer.text())),
                    _ => Outcome::Refused(answer),
                }
            }
            Ok(Err(error)) => Outcome::Unknown(error.to_string()),
            Err(_) => Outcome::Unknown(format!("no answer in {:?}", self.answer_within)),
        }
    }

    /// A request that must be answered with 2xx, as when verifying.
    pub(crate) async fn must(&mut self, request: &Request, body: &[u8]) -> anyhow::Result<Answer> {
        match self.call(request, body).await {
            Outcome::Done(answer) => Ok(answer),
            Outcome::Refused(answer) => {
                anyhow::bail!("{} {}: {} {}", request.method, request.path, answer.status, answer.text())
            }
            Outcome::Unknown(text) => anyhow::bail!("{} {}: {text}", request.method, request.path),
        }
    }
}

/// `method /bucket/key`
pub(crate) fn request(method: &'static str, bucket: &str, key: &str) -> Request {
    let path = if key.is_empty() { format!("/{bucket}") } else { format!("/{bucket}/{key}") };
    Request { method, path, ..Request::default() }
}

/// A request with query parameters.
pub(crate) fn with_query(
    method: &'static str,
    bucket: &str,
    key: &str,
    query: &[(&'static str, &str)],
) -> Request {
    let query = query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Request { query, ..request(method, bucket, key) }
}

/// The text of each `<tag>…</tag>`, in order; entities resolved.
pub(crate) fn elements(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find(&open) {
        let inside = &rest[start + open.len()..];
        let Some(end) = inside.find(&close) else { break };
        found.push(inside[..end].to_owned());
        rest = &inside[end + close.len()..];
    }
    found
}

/// The first `<tag>`'s text.
pub(crate) fn element(xml: &str, tag: &str) -> Option<String> {
    elements(xml, tag).into_iter().next().map(|text| unescape(&text))
}

/// XML's five entities, and the numeric ones that servers use for quotes.
pub(crate) fn unescape(text: &str) -> String {
    let named =
        [("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">")];
    let text = named.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::{element, elements, unescape};

    #[test]
    fn finds_elements_in_order() {
        let xml = "<L><Key>a</Key><E><Key>b&amp;c</Key></E><Open>";
        assert_eq!(elements(xml, "Key"), ["a", "b&amp;c"]);
        assert_eq!(element(xml, "Key").unwrap(), "a");
        assert_eq!(element(xml, "Open"), None);
        assert_eq!(unescape("&quot;b&amp;c&quot;"), "\"b&c\"");
    }
}
