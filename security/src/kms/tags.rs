//! Tags of keys.

use super::allow::Wants;
use super::change::{Change, again};
use super::error::{Code, KmsError, Result};
use super::find::Found;
use super::model::{Asks, Page, Paging};
use super::row::{self, KeyRow};
use super::{Kms, limit};
use crate::identity::Tag;

fn wrong(message: impl Into<String>) -> KmsError {
    KmsError::new(Code::Tag, message)
}

/// Tags that may stand together on a key.
pub(super) fn check(tags: &[Tag]) -> Result<()> {
    let mut keys = std::collections::HashSet::new();
    for Tag { key, value } in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(wrong("A tag has a key of 1 to 128 characters and a value of at most 256."));
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return Err(wrong("Tag keys that begin with aws: are AWS's own."));
        }
        if !keys.insert(key) {
            return Err(wrong(format!("The tag key {key} stands twice.")));
        }
    }
    if tags.len() > limit::TAGS {
        return Err(KmsError::new(Code::LimitExceeded, format!("A key has at most {} tags.", limit::TAGS)));
    }
    let bytes: usize = tags.iter().map(|tag| tag.key.len() + tag.value.len()).sum();
    if bytes > limit::TAG_BYTES {
        return Err(KmsError::new(
            Code::LimitExceeded,
            format!("All tags of a key have at most {} bytes.", limit::TAG_BYTES),
        ));
    }
    Ok(())
}

/// As conditions ask for them.
pub(super) fn pairs(tags: &[Tag]) -> Vec<(String, String)> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

impl Kms {
    /// Tags a key, over those that it has of the same keys.
    pub async fn tag_key(&self, asks: &Asks<'_>, key: &str, tags: &[Tag]) -> Result<()> {
        check(tags)?;
        let edit = |row: &mut KeyRow| {
            row.tags.retain(|old| !tags.iter().any(|new| new.key == old.key));
            row.tags.extend_from_slice(tags);
        };
        self.change_tags(asks, key, (&Wants::control("kms:TagResource"), &pairs(tags)), edit).await
    }

    /// Takes tags off a key.
    pub async fn untag_key(&self, asks: &Asks<'_>, key: &str, keys: &[&str]) -> Result<()> {
        let said = keys.iter().map(|key| ("aws:tagkeys", (*key).to_owned())).collect();
        let wants = Wants { said, ..Wants::control("kms:UntagResource") };
        let edit = |row: &mut KeyRow| row.tags.retain(|tag| !keys.contains(&tag.key.as_str()));
        self.change_tags(asks, key, (&wants, &[]), edit).await
    }

    async fn change_tags(
        &self,
        asks: &Asks<'_>,
        key: &str,
        (wants, said): (&Wants<'_>, &[(String, String)]),
        edit: impl Fn(&mut KeyRow),
    ) -> Result<()> {
        again(|| async {
            let found: Found = self.find(asks, key, false).await?;
            self.allow_tagged(asks, &found, wants, said).await?;
            found.stays()?;
            let mut change: Change = self.change(found.account, &*found.snapshot);
            let mut row = found.row.clone();
            edit(&mut row);
            check(&row.tags)?;
            change.unchanged(found.row_key());
            change.unchanged(row::policy(found.account, found.id));
            change.put(found.row_key(), &row);
            self.apply(change).await
        })
        .await
    }

    /// The tags of a key.
    pub async fn tags_of_key(&self, asks: &Asks<'_>, key: &str, paging: Paging<'_>) -> Result<Page<Tag>> {
        let found = self.find(asks, key, false).await?;
        self.allow(asks, &found, &Wants::control("kms:ListResourceTags")).await?;
        let mut tags = found.row.tags;
        if let Some(after) = paging.after {
            let behind = tags.iter().position(|tag| tag.key == after).map_or(tags.len(), |at| at + 1);
            tags.drain(..behind);
        }
        let more = tags.len() > paging.limit;
        tags.truncate(paging.limit);
        Ok(Page::of((tags, more), |tag| tag.key.clone()))
    }
}
