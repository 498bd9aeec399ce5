//! `ListObjects`, both versions.

use super::{Next, Order, RollUp, common_prefix};
use crate::record::ObjectRow;
use crate::{Error, ListAfter, ListPage, ListRequest, ObjectKey, ObjectStore, PAGE_MAX, Result, tables};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{key_after, prefix_end};

/// Where the rows after a page begin, as its token says it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    AfterKey(String),
    AfterPrefix(String),
}

impl Place {
    fn start(&self) -> Bytes {
        match self {
            Self::AfterKey(key) => key_after(key.as_bytes()),
            Self::AfterPrefix(prefix) => prefix_end(prefix.as_bytes()),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::AfterKey(text) | Self::AfterPrefix(text) => text,
        }
    }

    fn token(&self) -> String {
        let kind = match self {
            Self::AfterKey(_) => b'k',
            Self::AfterPrefix(_) => b'p',
        };
        let raw: Vec<u8> = [b'1', kind].into_iter().chain(self.text().bytes()).collect();
        URL_SAFE_NO_PAD.encode(raw)
    }

    fn parse(token: &str) -> Result<Self> {
        let wrong = Error::InvalidArgument {
            name: "continuation-token",
            detail: "the continuation token provided is incorrect",
        };
        let Ok(raw) = URL_SAFE_NO_PAD.decode(token) else { return Err(wrong) };
        match raw.as_slice() {
            [b'1', kind, text @ ..] if !text.is_empty() && text.len() <= crate::KEY_BYTES_MAX => {
                match (kind, String::from_utf8(text.to_vec())) {
                    (b'k', Ok(text)) => Ok(Self::AfterKey(text)),
                    (b'p', Ok(text)) => Ok(Self::AfterPrefix(text)),
                    _ => Err(wrong),
                }
            }
            _ => Err(wrong),
        }
    }
}

impl ObjectStore {
    /// A page of live objects.
    pub async fn list_objects(&self, request: ListRequest) -> Result<ListPage> {
        let view = self.view(&request.bucket).await?;
        let rules = self.rules(&view).await?;
        let after = match &request.after {
            ListAfter::Start => None,
            ListAfter::Token(token) => Some(Place::parse(token)?),
            ListAfter::Key(text) if text.is_empty() => None,
            ListAfter::Key(text) => {
                let rolled = common_prefix(&request.prefix, &request.delimiter, text) == Some(text);
                Some(if rolled { Place::AfterPrefix(text.clone()) } else { Place::AfterKey(text.clone()) })
            }
        };
        let max = request.max_keys.min(PAGE_MAX);
        let mut page = ListPage::default();
        if max == 0 {
            return Ok(page);
        }
        let prefix = Bytes::copy_from_slice(request.prefix.as_bytes());
        let end = prefix_end(&prefix);
        let start = after.as_ref().map_or(prefix.clone(), |place| place.start().max(prefix));
        let folds = (request.prefix.as_str(), request.delimiter.as_str());
        let mut rows = RollUp::new(&*view.snapshot, &ORDER, (start, end), folds, max);
        let mut last = None;
        loop {
            match rows.next().await? {
                Next::End => return Ok(page),
                Next::Full => {
                    page.next = last.as_ref().map(Place::token);
                    page.next_marker = last.map(|place| place.text().to_owned());
                    return Ok(page);
                }
                Next::Prefix(rolled) => {
                    page.common_prefixes.push(rolled.clone());
                    last = Some(Place::AfterPrefix(rolled));
                }
                Next::Row(key, _, row) => {
                    let row = ObjectRow::from_bytes(&row)?;
                    let stored = row.stored.as_ref().ok_or_else(|| engine::Error::Corrupt {
                        what: "current row".into(),
                        detail: "a delete marker".into(),
                    })?;
                    let owner = rules.other_owner(row.subresources.owner);
                    page.entries.push(stored.entry(ObjectKey::parse(&key)?, row.modified, owner));
                    last = Some(Place::AfterKey(key));
                }
            }
        }
    }
}

const ORDER: Order = Order {
    table: tables::CURRENT,
    object_key: |row_key| tables::text(row_key.to_vec()),
    behind: |prefix| prefix_end(prefix.as_bytes()),
};

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn tokens_are_opaque_and_checked() {
        for place in [Place::AfterKey("a/b".into()), Place::AfterPrefix("é/".into())] {
            assert_eq!(Place::parse(&place.token()).unwrap(), place);
        }
        for bad in ["", "a", "!!!", "MWs", "Mmthc", &"A".repeat(4_000)] {
            Place::parse(bad).unwrap_err();
        }
    }
}
