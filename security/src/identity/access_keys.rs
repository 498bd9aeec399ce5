//! Access keys.

use super::{
    AccessKey, Identities, KeyOwner, KeyStatus, LastUsed, NewAccessKey, Page, Paging, Result, unbuilt,
};
use crate::AccountId;

impl Identities {
    /// Makes an active access key. `LimitExceeded` where there are two. The answer is the only time that its secret is shown.
    pub async fn create_access_key(&self, account: AccountId, owner: KeyOwner<'_>) -> Result<NewAccessKey> {
        Err(unbuilt())
    }

    /// The access keys of somebody. Keys of root that stand in the credentials file are among them.
    pub async fn access_keys(
        &self,
        account: AccountId,
        owner: KeyOwner<'_>,
        paging: Paging<'_>,
    ) -> Result<Page<AccessKey>> {
        Err(unbuilt())
    }

    /// Says whether a key may be used. `UnmodifiableEntity` for one that stands in the credentials file.
    pub async fn update_access_key(
        &self,
        account: AccountId,
        owner: KeyOwner<'_>,
        id: &str,
        status: KeyStatus,
    ) -> Result<()> {
        Err(unbuilt())
    }

    /// Ends an access key.
    pub async fn delete_access_key(&self, account: AccountId, owner: KeyOwner<'_>, id: &str) -> Result<()> {
        Err(unbuilt())
    }

    /// Whose a key is, and when it was used last.
    pub async fn access_key_last_used(&self, account: AccountId, id: &str) -> Result<LastUsed> {
        Err(unbuilt())
    }
}
