//! What a bucket's website shows: documents, redirects and pages of errors, to anybody who may read its objects.
//!
//! ```text
//!   bucket.s3-website.… ─► redirect all? a rule for the key? ─► 30x
//!                       ─► key, or key and index document ─► 200, or 301 where the object says so
//!                            └─ 403, 404 ─► a directory? 302 ─► a rule for the error? 30x ─► the error document, or HTML
//! ```
//!
//! Invariants: nothing here is signed, and nothing is shown that an unsigned GET of the same object would not be; GET and HEAD
//! alone. Errors are HTML.

use super::answer::{Answer, empty, html, set};
use super::audited::Turned;
use super::code::Code;
use super::context::Signed;
use super::error::S3Error;
use super::logged::Notes;
use super::operation::Operation;
use super::ops;
use super::percent;
use super::query::Query;
use super::target::Target;
use super::{Call, access, cors};
use crate::config::Config;
use crate::server::Peer;
use crate::state::State;
use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LOCATION, RANGE,
};
use http::{Method, StatusCode, request};
use objectstore::{Redirect, WebProtocol, Website};
use security::Principal;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

/// Where an object sends who visits it.
const REDIRECT_OF_OBJECT: &str = "x-amz-website-redirect-location";

/// A visitor and the bucket's website.
pub(super) struct Visit {
    pub(super) config: Arc<Config>,
    pub(super) state: Arc<State>,
    pub(super) head: Arc<request::Parts>,
    pub(super) target: Target,
    pub(super) host: String,
    pub(super) peer: Peer,
    /// What the bucket's log wants to know.
    pub(super) notes: Option<Notes>,
    pub(super) id: super::request_id::RequestId,
}

impl Visit {
    /// Answers it; `turned` is the error that became a page, or a redirect to one.
    pub(super) async fn answer(mut self, turned: &mut Option<Turned>) -> Result<Answer, S3Error> {
        if self.head.method == Method::OPTIONS {
            return cors::preflight(&self.state, &self.target, &self.head.headers).await;
        }
        if !matches!(self.head.method, Method::GET | Method::HEAD) {
            return Err(S3Error::new(Code::MethodNotAllowed)
                .field("Method", self.head.method.as_str())
                .field("ResourceType", "OBJECT"));
        }
        let website = self.state.store.setting::<Website>(&self.target.bucket()?).await?;
        let website = website.ok_or_else(|| S3Error::new(Code::NoSuchWebsiteConfiguration))?;
        let key = self.target.key.clone().unwrap_or_default();
        if let Some(redirect) = website.redirect(&key, None) {
            return Ok(self.send_on(&redirect));
        }
        let Website::Documents { index, error: page, .. } = &*website else {
            return Err(S3Error::new(Code::InternalError));
        };
        let is_directory = key.is_empty() || key.ends_with('/');
        let document = if is_directory { format!("{key}{index}") } else { key.clone() };
        let error = match self.object(&document).await {
            Ok(answer) => return Ok(sent_by_object(answer)),
            Err(error) => error,
        };
        if !matches!(error.status(), StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
            return Err(error);
        }
        if !is_directory && self.object(&format!("{key}/{index}")).await.is_ok() {
            let mut answer = empty(StatusCode::FOUND);
            set(answer.headers_mut(), LOCATION, &directory(&key));
            return Ok(answer);
        }
        *turned = Some(Turned::of(&error));
        if let Some(redirect) = website.redirect(&key, Some(error.status().as_u16())) {
            return Ok(self.send_on(&redirect));
        }
        match page {
            Some(page) => self.error_page(page, error).await,
            None => Err(error),
        }
    }

    /// An object, to whoever visits: nobody that is known.
    async fn object(&self, key: &str) -> Result<Answer, S3Error> {
        let operation =
            if self.head.method == Method::HEAD { Operation::HeadObject } else { Operation::GetObject };
        let (mut target, query) = (self.target.clone(), Arc::new(Query::default()));
        target.key = Some(key.to_owned());
        let principal = Principal::Anonymous;
        let asking = access::Asking {
            principal,
            operation,
            target: &mut target,
            query: &query,
            head: &self.head,
            signed: Signed::Not,
            peer: self.peer,
            part_of: None,
        };
        let asker = access::admit(&self.state, asking).await?;
        if let Some(notes) = &self.notes {
            asker.note(&self.state, operation, &target, notes).await;
        }
        let call = Call {
            config: Arc::clone(&self.config),
            state: Arc::clone(&self.state),
            head: Arc::clone(&self.head),
            target,
            query,
            operation,
            asker,
            signed: Signed::Not,
            owner_id: OnceLock::new(),
            form_key: OnceLock::new(),
            form_asker: OnceLock::new(),
            form_claimed: OnceLock::new(),
            batch: OnceLock::new(),
            rules: OnceLock::new(),
            host: self.host.clone(),
            peer: self.peer,
            notes: self.notes.clone(),
            id: self.id,
        };
        // Nobody is let in who can't be charged where the requester pays.
        ops::charged(&call).await?;
        ops::object(&call).await
    }

    /// The bucket's own page for an error, with the error's status.
    async fn error_page(&mut self, page: &str, error: S3Error) -> Result<Answer, S3Error> {
        // They are about what was asked for, not about the page.
        for name in [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
            Arc::make_mut(&mut self.head).headers.remove(name);
        }
        match self.object(page).await {
            Ok(mut answer) => {
                *answer.status_mut() = error.status();
                Ok(answer)
            }
            Err(second) => {
                Err(error.field(SECOND_CODE, second.code()).field(SECOND_MESSAGE, second.message()))
            }
        }
    }

    fn send_on(&self, redirect: &Redirect) -> Answer {
        let protocol = redirect.protocol.map_or(self.config.scheme(), WebProtocol::as_str);
        let host = redirect.host.as_deref().unwrap_or(&self.host);
        let query = self.head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let to = format!("{protocol}://{host}/{}{query}", percent::encode(&redirect.key));
        let mut answer =
            empty(StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::MOVED_PERMANENTLY));
        set(answer.headers_mut(), LOCATION, &to);
        answer
    }
}

/// The path of a key as a directory. A key that begins with a slash must not become the name of a host (`//host/`).
fn directory(key: &str) -> String {
    match key.strip_prefix('/') {
        Some(rest) => format!("/%2F{}/", percent::encode(rest)),
        None => format!("/{}/", percent::encode(key)),
    }
}

/// 301 where the object has a place of its own to send to.
fn sent_by_object(answer: Answer) -> Answer {
    let Some(to) = answer.headers().get(REDIRECT_OF_OBJECT).cloned() else { return answer };
    let mut sent = empty(StatusCode::MOVED_PERMANENTLY);
    sent.headers_mut().insert(LOCATION, to);
    sent
}

/// Fields that are shown apart: the bucket's own page could not be shown either.
const SECOND_CODE: &str = "SecondCode";
const SECOND_MESSAGE: &str = "SecondMessage";

/// The page of an error, as S3's looks.
pub(super) fn page(error: &S3Error, request_id: &str, host_id: &str) -> Answer {
    let title =
        format!("{} {}", error.status().as_u16(), error.status().canonical_reason().unwrap_or_default());
    let mut out = format!("<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n");
    let mut item = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _infallible = writeln!(out, "<li>{name}: {}</li>", escape(value));
    };
    item("Code", error.code());
    item("Message", error.message());
    let (mut second_code, mut second_message) = (None, "");
    for (name, value) in error.fields() {
        match *name {
            SECOND_CODE => second_code = Some(value.as_str()),
            SECOND_MESSAGE => second_message = value,
            name => item(name, value),
        }
    }
    item("RequestId", request_id);
    item("HostId", host_id);
    out.push_str("</ul>\n");
    if let Some(code) = second_code {
        let _infallible = write!(
            out,
            "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n<ul>\n<li>Code: \
             {}</li>\n<li>Message: {}</li>\n</ul>\n",
            escape(code),
            escape(second_message)
        );
    }
    out.push_str("<hr/>\n</body>\n</html>\n");
    html(error.status(), out)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{Code, S3Error, directory, escape, page};
    use http::header::CONTENT_TYPE;

    #[test]
    fn a_directory_is_a_path_of_the_same_host() {
        for (key, path) in [("a b", "/a%20b/"), ("/evil.example", "/%2Fevil.example/"), ("//e", "/%2F/e/")] {
            assert_eq!(directory(key), path);
        }
    }

    #[test]
    fn a_page_of_an_error_shows_no_markup_of_its_visitor() {
        let error = S3Error::new(Code::NoSuchKey).field("Key", "<script>\"&\"</script>");
        let answer = page(&error, "ID", "HOST");
        assert_eq!(
            (answer.status().as_u16(), answer.headers()[CONTENT_TYPE].to_str().unwrap()),
            (404, "text/html; charset=utf-8")
        );
        let text = String::from_utf8(answer.into_body().into_document().to_vec()).unwrap();
        let expected = "<h1>404 Not Found</h1>\n<ul>\n<li>Code: NoSuchKey</li>\n<li>Message: The specified key does not \
             exist.</li>\n<li>Key: &lt;script&gt;&quot;&amp;&quot;&lt;/script&gt;</li>\n<li>RequestId: ID</li>\n\
             <li>HostId: HOST</li>\n</ul>\n<hr/>\n";
        assert!(text.contains(expected), "{text}");
        assert_eq!(escape("a"), "a");
    }
}
