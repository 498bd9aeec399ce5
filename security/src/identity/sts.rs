//! Sessions: sealed tokens, without rows.

use super::{AssumeRole, CallerIdentity, FederationToken, Identities, Result, Session, Temporary, unbuilt};
use crate::{AccountId, Principal};

impl Identities {
    /// A session of a role. Asks the role's trust policy and, where that hands on, the policies of who asks; nothing has to be asked before.
    pub async fn assume_role(&self, asked: AssumeRole<'_>) -> Result<Session> {
        Err(unbuilt())
    }

    /// A session of a user or root itself. Needs no permission; sessions get none.
    pub async fn session_token(&self, who: &Principal, duration_secs: Option<u32>) -> Result<Temporary> {
        Err(unbuilt())
    }

    /// A session of a user or root for somebody else. `sts:GetFederationToken` on [`Session::arn`]'s form has to be asked before.
    pub async fn federation_token(&self, asked: FederationToken<'_>) -> Result<Session> {
        Err(unbuilt())
    }

    /// Who asks. Needs no permission, and no policy can deny it.
    pub fn caller_identity(&self, who: &Principal) -> Result<CallerIdentity> {
        Err(unbuilt())
    }

    /// Whose account an access key is of, temporary ones included.
    pub async fn access_key_account(&self, id: &str) -> Result<AccountId> {
        Err(unbuilt())
    }
}
