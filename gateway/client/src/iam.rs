//! Calls of IAM: a form in, XML out; listings page by page to their end.

use crate::Client;
use crate::call::Call;
use crate::endpoint::encode_query;
use crate::error::{Error, Result};
use crate::list::IN_CIRCLES;
use crate::xml::Element;
use bytes::Bytes;
use http::Method;

/// The only version of IAM's API.
const VERSION: &str = "2010-05-08";
/// The only version of STS's.
const STS_VERSION: &str = "2011-06-15";
/// Pages of one listing that are asked for at the most: a million things.
const PAGES_MAX: usize = 1_000;

/// A thing as IAM tells of it: elements by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// What was asked for.
    operation: &'static str,
    element: Element,
}

impl Described {
    fn of(&self, element: &Element) -> Self {
        Self { operation: self.operation, element: element.clone() }
    }

    fn lacks(&self, name: &str) -> Error {
        let detail = format!("{} lacks {name}", self.element.name);
        Error::Protocol { operation: self.operation, detail }
    }

    /// The text of an element.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.element.text_of(name)
    }

    /// The text of an element without which the answer is none.
    pub fn require(&self, name: &str) -> Result<&str> {
        self.text(name).filter(|text| !text.is_empty()).ok_or_else(|| self.lacks(name))
    }

    /// A policy's document, which comes percent-encoded.
    pub fn document(&self, name: &str) -> Result<String> {
        let text = percent_encoding::percent_decode_str(self.require(name)?);
        Ok(text.decode_utf8_lossy().into_owned())
    }

    /// What is in an element without which the answer is none.
    pub fn require_child(&self, name: &str) -> Result<Self> {
        self.element.child(name).map(|child| self.of(child)).ok_or_else(|| self.lacks(name))
    }

    /// What a list holds.
    pub fn members(&self, name: &str) -> Result<Vec<Self>> {
        let list = self.element.child(name).ok_or_else(|| self.lacks(name))?;
        Ok(list.all("member").map(|member| self.of(member)).collect())
    }

    /// Its own text, where it is one of a list of texts.
    pub fn own_text(&self) -> Result<&str> {
        let text = self.element.text.as_str();
        if text.is_empty() { Err(self.lacks("a text")) } else { Ok(text) }
    }
}

impl Client {
    /// Asks IAM for an operation; what its result says, nothing of one that has none. The answer is that operation's, or an error.
    pub async fn iam(&self, operation: &'static str, parameters: &[(&str, &str)]) -> Result<Described> {
        let named = [("Action", operation), ("Version", VERSION)];
        let form = encode_query(named.into_iter().chain(parameters.iter().copied()));
        let call = Call::new(operation, Method::POST).form("iam", Bytes::from(form));
        let (root, _) = self.send_xml(&call, &format!("{operation}Response")).await?;
        let result =
            root.children.into_iter().find(|child| child.name.strip_suffix("Result") == Some(operation));
        let none = || Element { name: format!("{operation}Result"), ..Element::default() };
        Ok(Described { operation, element: result.unwrap_or_else(none) })
    }

    /// Asks an appliance for a session by a password; the request must not be signed. What its result says.
    pub async fn sign_in(&self, parameters: &[(&str, &str)]) -> Result<Described> {
        let operation = "FirnSignIn";
        let named = [("Action", operation), ("Version", STS_VERSION)];
        let form = encode_query(named.into_iter().chain(parameters.iter().copied()));
        let call = Call::new(operation, Method::POST).form("sts", Bytes::from(form));
        let (root, _) = self.send_xml(&call, "FirnSignInResponse").await?;
        let lacks = || Error::Protocol { operation, detail: "its answer lacks a result".to_owned() };
        let element = root.children.into_iter().find(|child| child.name == "FirnSignInResult");
        Ok(Described { operation, element: element.ok_or_else(lacks)? })
    }

    /// All of a listing, from these of its lists.
    pub async fn iam_list(
        &self,
        operation: &'static str,
        lists: &[&str],
        parameters: &[(&str, &str)],
    ) -> Result<Vec<Described>> {
        let mut all = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut asked = parameters.to_vec();
            asked.push(("MaxItems", "1000"));
            if let Some(marker) = &marker {
                asked.push(("Marker", marker));
            }
            let page = self.iam(operation, &asked).await?;
            for list in lists {
                all.extend(page.members(list)?);
            }
            let goes_on = page.element.is_truncated();
            if !goes_on.map_err(|detail| Error::Protocol { operation, detail })? {
                return Ok(all);
            }
            let next = Some(page.require("Marker")?.to_owned());
            if next == marker {
                return Err(Error::Protocol { operation, detail: IN_CIRCLES.to_owned() });
            }
            marker = next;
        }
        let detail = format!("its listing has more than {PAGES_MAX} pages");
        Err(Error::Protocol { operation, detail })
    }
}
