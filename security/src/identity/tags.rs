//! Tags of users, roles and managed policies.

use super::{Identities, Page, Paging, Result, Tag, Tagged, unbuilt};
use crate::AccountId;

impl Identities {
    /// Sets tags, new or in place of those of that key.
    pub async fn tag(&self, account: AccountId, what: Tagged<'_>, tags: &[Tag]) -> Result<()> {
        Err(unbuilt())
    }

    /// Takes tags away; keys that are not there are passed over.
    pub async fn untag(&self, account: AccountId, what: Tagged<'_>, keys: &[&str]) -> Result<()> {
        Err(unbuilt())
    }

    /// The tags.
    pub async fn tags(&self, account: AccountId, what: Tagged<'_>, paging: Paging<'_>) -> Result<Page<Tag>> {
        Err(unbuilt())
    }
}
