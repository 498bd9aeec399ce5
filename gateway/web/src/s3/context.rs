//! What a request says of itself to the conditions of a policy.
//!
//! A look at the request by key, when a policy asks: a bucket without a policy costs nothing but the reference to it. Of the request's
//! own words only those count that the operation has (`operation_keys.rs`), and they are read as the operation reads them: by the same
//! functions, from the head alone or from the body alone. Where it comes from, `connection` says.

use super::date;
use super::headers;
use super::managed;
use super::operation::Operation;
use super::ops;
use super::query::Query;
use crate::connection::Facts;
use crate::server::Peer;
use crate::state::State;
use engine::clock::Timestamp;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::request;
use objectstore::{BucketName, EncryptedBy, ObjectKey, StorageClass, UploadId};
use security::policy::{Context, Purse};
use security::sigv4::{Authenticated, Via, query_pairs};
use security::{AmzDate, Principal};
use std::sync::{Arc, OnceLock};

const DAY_MS: i64 = 86_400_000;

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// Not at all.
    Not,
    /// In its head.
    Header,
    /// In its query.
    Query,
    /// By the policy of a form.
    Form,
    /// The same, as before 2014.
    OldForm,
}

impl Signed {
    pub(crate) fn of(who: &Authenticated) -> Self {
        match who {
            Authenticated::Anonymous => Self::Not,
            Authenticated::Signed(signed) if signed.via == Via::Query => Self::Query,
            Authenticated::Signed(_) => Self::Header,
        }
    }

    /// When a URL was signed, in seconds.
    pub(crate) fn at(self, query: &Query) -> Option<i64> {
        let date = query.get("X-Amz-Date").filter(|_| self == Self::Query)?;
        Some(AmzDate::parse(date)?.secs())
    }
}

/// From what the decisions about a request are paid.
#[derive(Debug)]
pub(crate) enum Paid {
    /// Its own purse.
    Own(Purse),
    /// The purse of the request that it is a part of: a copy's source, an archive's entry.
    By(Arc<RequestContext>),
}

impl Paid {
    /// By a request, if there is one.
    pub(crate) fn by(request: Option<Arc<RequestContext>>) -> Self {
        request.map_or_else(|| Self::Own(Purse::default()), Self::By)
    }

    fn purse(&self) -> &Purse {
        match self {
            Self::Own(purse) => purse,
            Self::By(request) => request.paid.purse(),
        }
    }
}

/// A request, as policies see it.
#[derive(Debug)]
pub(crate) struct RequestContext {
    pub(crate) operation: Operation,
    pub(crate) principal: Principal,
    pub(crate) signed: Signed,
    /// When its URL was signed, in seconds: also of what it reads besides, which has another query.
    pub(crate) signed_at: Option<i64>,
    pub(crate) head: Arc<request::Parts>,
    pub(crate) query: Arc<Query>,
    pub(crate) peer: Peer,
    pub(crate) now: Timestamp,
    /// The class and encryption of the upload that a part goes to, or that is completed: what its beginning said holds for all of it. Read when a policy
    /// may ask for it.
    pub(crate) upload_class: OnceLock<(StorageClass, EncryptedBy)>,
    /// The ARN of the managed key that its headers name, as its name was understood when policies were asked; `None`: it means none. Empty where
    /// they name none.
    pub(crate) named_key: OnceLock<Option<String>>,
    pub(crate) state: Arc<State>,
    /// From what its decisions are paid.
    pub(crate) paid: Paid,
}

impl RequestContext {
    /// A header as operations read it: who sends one that they refuse is refused.
    fn said(&self, name: &str) -> Option<&str> {
        headers::text(&self.head.headers, name).ok().flatten()
    }

    /// Conditions, likewise.
    fn listed(&self, name: &HeaderName) -> Option<String> {
        Some(headers::list(&self.head.headers, name).ok()??.into_owned())
    }

    /// Tags that the request sets by its header. A copy has its source's, of which the store knows, unless it says otherwise.
    fn tags(&self) -> Vec<(String, String)> {
        let counts = self.operation != Operation::CopyObject
            || self.said("x-amz-tagging-directive") == Some("REPLACE");
        let said = self.said("x-amz-tagging").filter(|_| counts);
        said.and_then(|text| query_pairs(text).ok()).unwrap_or_default()
    }

    /// What the source of this copy is asked: a read of that version.
    pub(crate) fn of_source(self: &Arc<Self>, version: Option<&str>) -> Self {
        Self {
            operation: Operation::GetObject,
            principal: self.principal.clone(),
            signed: self.signed,
            signed_at: self.signed_at,
            head: Arc::clone(&self.head),
            query: Arc::new(Query::of(version.map(|version| ("versionId", version)))),
            peer: self.peer,
            now: self.now,
            upload_class: OnceLock::new(),
            named_key: OnceLock::new(),
            state: Arc::clone(&self.state),
            paid: Paid::By(Arc::clone(self)),
        }
    }

    /// Reads the class of the upload that it is about, unless it is known.
    pub(crate) async fn read_upload_class(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
    ) -> objectstore::Result<()> {
        if self.upload_class.get().is_none() {
            match self.state.store.upload_class(bucket, key, upload).await {
                Ok(class) => drop(self.upload_class.set(class)),
                Err(objectstore::Error::NoSuchUpload) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// It is about one more key.
    pub(crate) fn earn(&self) {
        self.paid.purse().earn();
    }

    fn of_connection(&self, key: &str) -> Option<String> {
        // Whose a bucket is the store says.
        let Self { ref head, peer, now, ref state, .. } = *self;
        let facts = Facts { head, peer, now, region: &state.region, account: None };
        if let Some(value) = facts.of(key) {
            return Some(value);
        }
        Some(match key {
            "s3:authtype" => match self.signed {
                Signed::Not => return None,
                Signed::Header => "REST-HEADER",
                Signed::Query => "REST-QUERY-STRING",
                Signed::Form | Signed::OldForm => "POST",
            }
            .to_owned(),
            "s3:signatureversion" => match self.signed {
                Signed::Not => return None,
                Signed::OldForm => "AWS",
                Signed::Header | Signed::Query | Signed::Form => "AWS4-HMAC-SHA256",
            }
            .to_owned(),
            "s3:signatureage" => {
                let age = self.now.as_millis() - self.signed_at? * 1000;
                age.max(0).to_string()
            }
            "s3:tlsversion" => self.peer.tls.as_ref()?.version.strip_prefix("TLSv")?.to_owned(),
            "s3:x-amz-content-sha256" => self.said("x-amz-content-sha256")?.to_owned(),
            _ => return None,
        })
    }

    fn of_operation(&self, key: &str) -> Option<String> {
        let name = key.strip_prefix("s3:")?;
        Some(match name {
            "prefix" | "delimiter" | "max-keys" => self.query.get(name)?.to_owned(),
            "versionid" => self.query.get("versionId")?.to_owned(),
            "if-match" => self.listed(&IF_MATCH)?,
            // What S3 knows of it: that there must be no such object. A tag may let an object be replaced.
            "if-none-match" => self.listed(&IF_NONE_MATCH).filter(|tags| tags == "*")?,
            "objectcreationoperation" => self.operation.creates().to_string(),
            "x-amz-server-side-encryption" if self.operation.is_of_upload() => {
                match &self.upload_class.get()?.1 {
                    EncryptedBy::Appliance => "AES256".to_owned(),
                    EncryptedBy::Managed(_) => managed::KMS.to_owned(),
                    EncryptedBy::Customer => return None,
                }
            }
            "x-amz-server-side-encryption-aws-kms-key-id" if self.operation.is_of_upload() => {
                match &self.upload_class.get()?.1 {
                    EncryptedBy::Managed(key) => key.arn.clone(),
                    _ => return None,
                }
            }
            // In one spelling, whichever of a key's names the request has.
            "x-amz-server-side-encryption-aws-kms-key-id" => {
                let named = self.named_key.get().cloned().flatten();
                named.map_or_else(|| self.said(managed::KEY_ID).map(str::to_owned), Some)?
            }
            "x-amz-storage-class" if self.operation.is_of_upload() => self.upload_class.get()?.0.to_string(),
            "x-amz-copy-source" => {
                let (bucket, key, _) = ops::copied(&self.head.headers)?;
                format!("{bucket}/{key}")
            }
            "object-lock-remaining-retention-days" => {
                let until = date::parse_iso(self.said("x-amz-object-lock-retain-until-date")?)?;
                remaining_days(until, self.now).to_string()
            }
            // In one spelling, whichever of those that the write takes it has.
            "object-lock-retain-until-date" => {
                date::iso_exact(date::parse_iso(self.said("x-amz-object-lock-retain-until-date")?)?)
            }
            "object-lock-mode" | "object-lock-legal-hold" => self.said(&format!("x-amz-{name}"))?.to_owned(),
            name if name.starts_with("x-amz-") => self.said(name)?.to_owned(),
            _ => return None,
        })
    }
}

/// Whole days from now on, a part of one counted as one.
pub(crate) fn remaining_days(until: Timestamp, now: Timestamp) -> i64 {
    (until.as_millis() - now.as_millis()).max(0).saturating_add(DAY_MS - 1) / DAY_MS
}

impl Context for RequestContext {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        if self.principal.visit(key, self.now, each) {
            return;
        }
        if let Some(value) = self.of_connection(key) {
            return each(&value);
        }
        if !self.operation.has_key(key) || self.operation.body_has_key(key) {
            return;
        }
        if key == "s3:requestobjecttagkeys" {
            self.tags().iter().for_each(|(name, _)| each(name));
        } else if let Some(wanted) = key.strip_prefix("s3:requestobjecttag/") {
            let tags = self.tags();
            tags.iter().filter(|(name, _)| name.to_lowercase() == wanted).for_each(|(_, value)| each(value));
        } else if let Some(value) = self.of_operation(key) {
            each(&value);
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.paid.purse().spend(steps)
    }
}

/// A request whose body has said more: what the body says, its head never does ([`Operation::body_has_key`]).
pub(crate) struct Further {
    request: Arc<dyn Context>,
    /// Keys in lower case, in place of the request's own.
    said: Vec<(String, String)>,
}

impl Further {
    pub(crate) fn over(request: &Arc<dyn Context>, said: Vec<(String, String)>) -> Arc<dyn Context> {
        Arc::new(Self { request: Arc::clone(request), said })
    }
}

impl Context for Further {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        let mut own = self.said.iter().filter(|(known, _)| known == key).peekable();
        if own.peek().is_none() {
            return self.request.visit(key, each);
        }
        own.for_each(|(_, value)| each(value));
    }

    fn spend(&self, steps: usize) -> bool {
        self.request.spend(steps)
    }
}

/// Keys of tags that a body sets.
pub(crate) fn keys_of_tags<'t>(tags: impl Iterator<Item = (&'t str, &'t str)>) -> Vec<(String, String)> {
    let mut said = Vec::new();
    for (name, value) in tags {
        said.push((format!("s3:requestobjecttag/{}", name.to_lowercase()), value.to_owned()));
        said.push(("s3:requestobjecttagkeys".to_owned(), name.to_owned()));
    }
    said
}
