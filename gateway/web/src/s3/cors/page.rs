//! A page of another origin, as its browser's request tells of it, and what the browser is told in turn.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method};
use objectstore::{Cors, CorsMatch};

/// What a request says of the page that sent it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    origin: String,
    /// `Access-Control-Request-Method`, else the request's own.
    method: Option<String>,
    /// `Access-Control-Request-Headers`, in lower case.
    headers: Vec<String>,
}

impl Page {
    /// `None` for a request that no page of another origin sent.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let origin = only(headers, ORIGIN).filter(|origin| !origin.is_empty())?;
        let own = (*method != Method::OPTIONS).then(|| method.as_str());
        let asked = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let asked = asked.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
        Some(Self {
            origin: origin.to_owned(),
            method: only(headers, ACCESS_CONTROL_REQUEST_METHOD).or(own).map(str::to_owned),
            headers: asked.map(|name| name.trim().to_ascii_lowercase()).filter(|n| !n.is_empty()).collect(),
        })
    }

    /// The method that the page wants to use, if it is known.
    pub(crate) fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// The rule that lets it, if any does.
    pub(crate) fn rule<'c>(&self, cors: &'c Cors) -> Option<CorsMatch<'c>> {
        let headers: Vec<&str> = self.headers.iter().map(String::as_str).collect();
        cors.matching(&self.origin, self.method()?, &headers)
    }

    /// Tells the browser what the rule lets the page do.
    pub(crate) fn allow(&self, found: CorsMatch<'_>, head: &mut HeaderMap) {
        let CorsMatch { rule, any_origin } = found;
        if any_origin {
            head.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            set(head, ACCESS_CONTROL_ALLOW_ORIGIN, &self.origin);
            head.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        let methods: Vec<&str> = rule.methods.iter().map(|method| method.as_str()).collect();
        set(head, ACCESS_CONTROL_ALLOW_METHODS, &methods.join(", "));
        if !rule.exposed.is_empty() {
            set(head, ACCESS_CONTROL_EXPOSE_HEADERS, &rule.exposed.join(", "));
        }
        if let Some(age) = rule.max_age_secs {
            head.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age));
        }
    }

    /// Tells it the headers that it asked for: after a rule let it send all of them.
    pub(crate) fn allow_headers(&self, head: &mut HeaderMap) {
        if !self.headers.is_empty() {
            set(head, ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(", "));
        }
    }
}

/// What is set came in a header, or was checked when the rule was set.
fn set(head: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        head.insert(name, value);
    }
}

/// The text of a header that stands once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() { None } else { first.to_str().ok().map(str::trim) }
}

#[cfg(test)]
mod tests {
    use super::Page;
    use http::{HeaderMap, HeaderValue, Method};

    fn page(method: &Method, lines: &[(&'static str, &'static str)]) -> Option<Page> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Page::of(method, &headers)
    }

    #[test]
    fn a_request_comes_from_a_page_when_it_names_one_origin() {
        assert!(page(&Method::GET, &[]).is_none());
        assert!(page(&Method::GET, &[("origin", "")]).is_none());
        assert!(page(&Method::GET, &[("origin", "http://a"), ("origin", "http://b")]).is_none());
        let plain = page(&Method::PUT, &[("origin", "http://a")]).unwrap();
        assert_eq!((plain.origin.as_str(), plain.method.as_deref()), ("http://a", Some("PUT")));
        let asking = [
            ("origin", "http://a"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "X-A, x-b,"),
            ("access-control-request-headers", "x-c"),
        ];
        let asking = page(&Method::OPTIONS, &asking).unwrap();
        assert_eq!(
            (asking.method.as_deref(), asking.headers),
            (Some("GET"), ["x-a", "x-b", "x-c"].map(str::to_owned).to_vec())
        );
        assert_eq!(page(&Method::OPTIONS, &[("origin", "http://a")]).unwrap().method, None);
    }
}
