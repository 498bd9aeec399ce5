//! Lifecycle rules of a bucket.

use crate::Client;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::xml::Element;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use md5::{Digest as _, Md5};

/// A rule, as an endpoint shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleRule {
    /// Its name.
    pub id: String,
    /// Whether it acts.
    pub enabled: bool,
    /// Keys that begin with it.
    pub prefix: String,
    /// Objects with all of these tags.
    pub tags: Vec<(String, String)>,
    /// Objects of more bytes.
    pub larger: Option<u64>,
    /// Objects of fewer bytes.
    pub smaller: Option<u64>,
    /// What it does: an action and its parameters, as the document has them, in order.
    pub actions: Vec<(String, Vec<(String, String)>)>,
}

impl LifecycleRule {
    fn of(rule: &Element) -> Self {
        let mut read = Self {
            id: rule.text_of("ID").unwrap_or_default().to_owned(),
            enabled: rule.text_of("Status") == Some("Enabled"),
            prefix: rule.text_of("Prefix").unwrap_or_default().to_owned(),
            ..Self::default()
        };
        if let Some(filter) = rule.child("Filter") {
            let filter = filter.child("And").unwrap_or(filter);
            let size = |name| filter.text_of(name).and_then(|text| text.parse().ok());
            filter.text_of("Prefix").unwrap_or_default().clone_into(&mut read.prefix);
            read.tags = filter
                .all("Tag")
                .map(|tag| {
                    let text = |name| tag.text_of(name).unwrap_or_default().to_owned();
                    (text("Key"), text("Value"))
                })
                .collect();
            (read.larger, read.smaller) = (size("ObjectSizeGreaterThan"), size("ObjectSizeLessThan"));
        }
        let said = ["ID", "Status", "Prefix", "Filter"];
        for action in rule.children.iter().filter(|child| !said.contains(&child.name.as_str())) {
            let parameters = action.children.iter().map(|child| (child.name.clone(), child.text.clone()));
            read.actions.push((action.name.clone(), parameters.collect()));
        }
        read
    }
}

impl Client {
    /// Replaces a bucket's rules by those of a document.
    pub async fn set_bucket_lifecycle(&self, bucket: &str, document: String) -> Result<()> {
        let digest = STANDARD.encode(Md5::digest(document.as_bytes()));
        let call = Call::new("PutBucketLifecycleConfiguration", Method::PUT)
            .bucket(bucket)
            .query("lifecycle", "")
            .header("content-md5", &digest)?
            .xml_body(document);
        self.send_bucket(&call).await.map(drop)
    }

    /// A bucket's rules; `None` where it has none.
    pub async fn bucket_lifecycle(&self, bucket: &str) -> Result<Option<Vec<LifecycleRule>>> {
        let call =
            Call::new("GetBucketLifecycleConfiguration", Method::GET).bucket(bucket).query("lifecycle", "");
        match self.send_xml(&call, "LifecycleConfiguration").await {
            Ok((root, _)) => Ok(Some(root.all("Rule").map(LifecycleRule::of).collect())),
            Err(Error::Service(error)) if error.code == "NoSuchLifecycleConfiguration" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a bucket's rules away.
    pub async fn remove_bucket_lifecycle(&self, bucket: &str) -> Result<()> {
        let call = Call::new("DeleteBucketLifecycle", Method::DELETE).bucket(bucket).query("lifecycle", "");
        self.send_bare(&call, &[StatusCode::NO_CONTENT]).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::LifecycleRule;
    use crate::xml::Element;

    #[test]
    fn rules_are_read_in_both_forms() {
        let read = |inner: &str| {
            let rule = format!("<Rule><ID>a</ID><Status>Enabled</Status>{inner}</Rule>");
            LifecycleRule::of(&Element::parse(rule.as_bytes()).unwrap())
        };
        let old = read("<Prefix>p/</Prefix><Expiration><Days>3</Days></Expiration>");
        assert!(old.enabled && old.prefix == "p/");
        let days = [("Days".to_owned(), "3".to_owned())].to_vec();
        assert_eq!(old.actions, [("Expiration".to_owned(), days)]);
        let both = read(
            "<Filter><And><Prefix>q</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>5\
             </ObjectSizeGreaterThan></And></Filter>",
        );
        assert_eq!((both.prefix.as_str(), both.larger, both.smaller), ("q", Some(5), None));
        assert_eq!(both.tags, [("k".to_owned(), "v".to_owned())]);
    }
}
