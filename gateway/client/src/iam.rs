//! Calls of IAM: a form in, XML out; listings page by page to their end.

use crate::Client;
use crate::call::Call;
use crate::endpoint::encode_query;
use crate::error::{Error, Result};
use crate::xml::Element;
use bytes::Bytes;
use http::Method;

/// The only version of IAM's API.
const VERSION: &str = "2010-05-08";
/// Pages of one listing that are asked for at the most: a million things.
const PAGES_MAX: usize = 1_000;

/// A thing as IAM tells of it: elements by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described(Element);

impl Described {
    /// The text of an element.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.text_of(name)
    }

    /// A policy's document, which comes percent-encoded.
    pub fn document(&self, name: &str) -> Option<String> {
        let text = percent_encoding::percent_decode_str(self.text(name)?);
        Some(text.decode_utf8_lossy().into_owned())
    }

    /// What is in an element.
    pub fn child(&self, name: &str) -> Option<Self> {
        self.0.child(name).cloned().map(Self)
    }

    /// What a list holds.
    pub fn members(&self, name: &str) -> Vec<Self> {
        let list = self.0.child(name);
        list.map(|list| list.all("member").cloned().map(Self).collect()).unwrap_or_default()
    }

    /// Its own text, where it is one of a list of texts.
    pub fn own_text(&self) -> &str {
        &self.0.text
    }
}

impl Client {
    /// Asks IAM for an operation; what its result says, nothing of one that has none.
    pub async fn iam(&self, operation: &'static str, parameters: &[(&str, &str)]) -> Result<Described> {
        let named = [("Action", operation), ("Version", VERSION)];
        let form = encode_query(named.into_iter().chain(parameters.iter().copied()));
        let call = Call::new(operation, Method::POST).form("iam", Bytes::from(form));
        let (root, _) = self.send_xml(&call).await?;
        let result =
            root.children.into_iter().find(|child| child.name.strip_suffix("Result") == Some(operation));
        Ok(Described(result.unwrap_or_default()))
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
            all.extend(lists.iter().flat_map(|list| page.members(list)));
            let goes_on = page.text("IsTruncated") == Some("true");
            match page.text("Marker").filter(|_| goes_on) {
                Some(next) => marker = Some(next.to_owned()),
                None => return Ok(all),
            }
        }
        let detail = format!("its listing has more than {PAGES_MAX} pages");
        Err(Error::Protocol { operation, detail })
    }
}
