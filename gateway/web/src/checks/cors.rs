//! What must hold of any CORS document and any page that asks.
//!
//! Lines: method, `Origin`, `Access-Control-Request-Method`, `Access-Control-Request-Headers` (empty: the header is not there); the
//! rest is the document.

use crate::s3::cors::{Page, document};
use crate::xml::Element;
use engine::catalog::record::Record as _;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method};
use objectstore::{Cors, CorsRule};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The document is no configuration.
    Refused,
    /// No page asks, or no rule lets it.
    NoRule,
    /// A rule lets the page.
    Allowed,
}

/// Never a panic; what is set is kept and shown as it was set; a page is let by the first rule that fits it, as a second and slower
/// reading of the rules has it, and credentials go to an origin that is named alone.
pub(crate) fn check(input: &[u8]) -> Outcome {
    let mut lines = input.splitn(5, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, origin, asked, named) = (line(), line(), line(), line());
    let Ok(root) = Element::parse(line()) else { return Outcome::Refused };
    let Ok(cors) = document::read(&root) else { return Outcome::Refused };
    let kept = Cors::from_bytes(&cors.to_bytes()).expect("what was kept is not read");
    assert_eq!(kept, cors, "kept as another one");
    let shown = document::write(&cors);
    let shown = Element::parse(shown.as_bytes()).expect("what is shown is not read");
    assert_eq!(document::read(&shown).expect("what is shown is refused"), cors, "shown as another one");

    let method = Method::from_bytes(method).unwrap_or(Method::GET);
    let mut headers = HeaderMap::new();
    for (name, value) in
        [(ORIGIN, origin), (ACCESS_CONTROL_REQUEST_METHOD, asked), (ACCESS_CONTROL_REQUEST_HEADERS, named)]
    {
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_bytes(value)) {
            headers.insert(name, value);
        }
    }
    let Some(page) = Page::of(&method, &headers) else { return Outcome::NoRule };
    let found = page.rule(&cors);
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let origin = text(ORIGIN).expect("a page without an origin");
    let own = (method != Method::OPTIONS).then_some(method.as_str());
    let first = text(ACCESS_CONTROL_REQUEST_METHOD).or(own).and_then(|wanted| {
        let named = text(ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
        cors.rules().iter().position(|rule| lets(rule, origin, wanted, named))
    });
    let at = found.and_then(|found| cors.rules().iter().position(|rule| std::ptr::eq(rule, found.rule)));
    assert_eq!(at, first, "another rule");
    let Some(found) = found else { return Outcome::NoRule };

    let mut told = HeaderMap::new();
    page.allow(found, &mut told);
    let to = told.get(ACCESS_CONTROL_ALLOW_ORIGIN).expect("no origin is told");
    let credentials = told.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS);
    let anybody = found.rule.origins.iter().find(|pattern| fits(pattern.as_bytes(), origin.as_bytes()));
    assert_eq!(anybody.is_some_and(|pattern| pattern == "*"), !credentials, "credentials for anybody");
    assert_eq!(to.as_bytes(), if credentials { origin.as_bytes() } else { b"*" });
    assert!(told.contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    assert_eq!(told.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS), !found.rule.exposed.is_empty());
    Outcome::Allowed
}

fn lets(rule: &CorsRule, origin: &str, method: &str, named: &str) -> bool {
    let lower = |text: &str| text.trim().to_ascii_lowercase().into_bytes();
    let mut asked = named.split(',').map(lower).filter(|name| !name.is_empty());
    rule.origins.iter().any(|pattern| fits(pattern.as_bytes(), origin.as_bytes()))
        && rule.methods.iter().any(|allowed| allowed.as_str() == method)
        && asked.all(|name| {
            rule.headers.iter().any(|pattern| fits(pattern.to_ascii_lowercase().as_bytes(), &name))
        })
}

/// Byte by byte, a star for any bytes or none.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|taken| fits(rest, &text[taken..])),
        (Some((byte, pattern)), Some((other, text))) => byte == other && fits(pattern, text),
        (Some(_), None) | (None, Some(_)) => false,
    }
}
