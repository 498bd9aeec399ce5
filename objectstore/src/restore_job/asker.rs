//! For whom a job asks: rights are those of now, the circumstances those of the request that began it.
//!
//! ```text
//!   Question of the request ─► AskedBy: root, or a key · what it said ─► row ─► … ─► the principal as it is now ─► Question of an object
//! ```
//!
//! # Invariants
//! - A key that is not active any more, or whose user is gone, asks for nothing more: the job stops.
//! - Each object is asked about by itself, with its tags, by the policies of now: what is denied of a single object is not restored.
//! - A session begins no job: its token, which says what it may and for how long, is nowhere kept.

use super::row::JobRow;
use crate::{Error, ObjectStore, Origin, Result};
use engine::clock::Timestamp;
use security::credentials::{Bearer, CredentialLookup, Holder};
use security::decide::{Action, Question};
use security::policy::{Context, Purse};
use security::{AccountId, AmzDate, Principal};
use std::sync::Arc;

/// Keys of conditions whose values are kept of the request. What is the principal's own, and the time, are those of now.
pub(super) const SAID: [&str; 11] = [
    "aws:referer",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:sourceip",
    "aws:useragent",
    "aws:viaawsservice",
    "aws:principalisawsservice",
    "s3:authtype",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:tlsversion",
];

/// Bytes of them.
const SAID_BYTES_MAX: usize = 4 << 10;

/// By whom a job was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AskedBy {
    /// The root of an account, by a key of the credentials file.
    Root(AccountId),
    /// Whoever an access key stands for.
    Key(AccountId, String),
}

impl AskedBy {
    pub(super) fn of(principal: &Principal) -> Result<Self> {
        match principal {
            Principal::Anonymous => Err(Error::AccessDenied),
            Principal::Root(account) => Ok(Self::Root(*account)),
            Principal::Identity(identity) => match identity.access_key() {
                Some(key) if !identity.is_session() => {
                    Ok(Self::Key(identity.account(), key.as_str().to_owned()))
                }
                _ => Err(Error::InvalidRequest {
                    detail: "A session ends before a job of many restores may: ask for each object, or with a key of a user.",
                }),
            },
        }
    }
}

/// What the request of a job says of itself to conditions.
pub(super) fn said(context: &dyn Context) -> Result<Vec<(String, String)>> {
    let mut said = Vec::new();
    for key in SAID {
        context.visit(key, &mut |value| {
            // Each has one value.
            if said.last().is_none_or(|(known, _)| known != key) {
                said.push((key.to_owned(), value.to_owned()));
            }
        });
    }
    if said.iter().map(|(_, value)| value.len()).sum::<usize>() > SAID_BYTES_MAX {
        return Err(Error::InvalidRequest {
            detail: "The request's headers are too long for a job to keep.",
        });
    }
    Ok(said)
}

/// What an object's question says besides.
struct Said {
    principal: Principal,
    pairs: Arc<[(String, String)]>,
    now: Timestamp,
    purse: Purse,
}

impl Context for Said {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        if self.principal.visit(key, self.now, each) {
            return;
        }
        match key {
            "aws:currenttime" => each(&AmzDate::from_timestamp(self.now).extended()),
            "aws:epochtime" => each(&self.now.as_secs().to_string()),
            _ => {
                self.pairs.iter().filter(|(known, _)| known == key).for_each(|(_, value)| each(value));
            }
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.purse.spend(steps)
    }
}

/// Who asks in a job's name, as they are now.
pub(super) struct Asker {
    principal: Principal,
    pairs: Arc<[(String, String)]>,
    now: Timestamp,
    origin: Origin,
}

impl Asker {
    /// The question of one object.
    pub(super) fn question(&self) -> Question {
        let context = Said {
            principal: self.principal.clone(),
            pairs: Arc::clone(&self.pairs),
            now: self.now,
            purse: Purse::default(),
        };
        Question {
            context: Arc::new(context),
            ..Question::new(self.principal.clone(), Action::new("s3:RestoreObject"), None)
        }
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin.clone()
    }
}

impl ObjectStore {
    /// By what keys of jobs are found to be somebody's. Said once; until it is, jobs of keys wait.
    pub fn find_askers_by(&self, credentials: Arc<dyn CredentialLookup>) {
        let _already = self.restore_jobs.credentials.set(credentials);
    }

    /// Who asks in a job's name; `Err` within: nobody any more, and why.
    pub(super) async fn asker(&self, row: &JobRow) -> Result<Result<Asker, &'static str>> {
        let credentials = self.restore_jobs.credentials.get();
        let principal = match &row.by {
            AskedBy::Root(account) => {
                if credentials.is_some_and(|known| !known.has_account(*account)) {
                    return Ok(Err("the account that asked for it is none any more"));
                }
                Principal::Root(*account)
            }
            AskedBy::Key(account, key) => {
                const GONE: &str = "the access key that asked for it is not active any more";
                let credentials = credentials.ok_or(engine::Error::Closed)?;
                let Ok(id) = key.parse() else { return Ok(Err(GONE)) };
                let Some(found) = credentials.lookup(key) else { return Ok(Err(GONE)) };
                if found.account != *account {
                    return Ok(Err(GONE));
                }
                if found.holder == Holder::Root {
                    Principal::Root(*account)
                } else {
                    let holder = &found.holder;
                    let bearer = Bearer { account: *account, holder, access_key_id: &id, service: "s3" };
                    let principal = credentials.principal(bearer).await.map_err(crate::keyring::refused)?;
                    let Some(principal) = principal else { return Ok(Err(GONE)) };
                    principal
                }
            }
        };
        let source = row.said.iter().find(|(key, _)| key == "aws:sourceip");
        let origin = Origin {
            principal: Some(principal.clone()),
            source: source.and_then(|(_, ip)| ip.parse().ok()),
            request_id: row.request_id,
            ..Origin::default()
        };
        Ok(Ok(Asker { principal, pairs: row.said.clone().into(), now: self.clock.now(), origin }))
    }
}
