//! Keys in the envelope of a managed key (SSE-KMS).
//!
//! ```text
//!   write  managed key ─ GenerateDataKey(context) ─┬─► key that wraps ─► wrapped keys ┐
//!                                                  └─► the same, encrypted ───────────┴─► sealed with the row
//!   read   the row's seal ─► encrypted key ─ Decrypt(context), for who asks ─► key that unwraps ─► keys
//! ```
//!
//! What stands inside the row's seal, a record of version 1 (`docs/formats/objectstore-rows.md`): the managed key's ARN, whether it is used as
//! a bucket key, the encrypted key, the pairs of the encryption context, the wrapped keys.
//!
//! # Invariants
//! - The managed key is asked at each use, for whoever asks, at rows from after that: nothing that it opened outlives the request.
//! - The context says whose bytes they are: `aws:s3:arn` is the object's, or with a bucket key the bucket's.
//! - What the appliance writes of its own accord (logs, reports, trails) has nobody who could be asked, and is its own to open.
//!
//! # Limits
//! [`CONTEXT_BYTES_MAX`] of context that a request adds.

use super::{EncryptedBy, Envelope, Keys, Material, corrupt, not_applicable, of_manifest};
use crate::keyring::refused;
use crate::setting::{DefaultKey, Encryption};
use crate::store::View;
use crate::{BucketName, Error, ObjectKey, ObjectStore, Result};
use bytes::Bytes;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::codec::DataKey;
use security::envelope::CustomerKey;
use security::kms::{self, EncryptionContext, KmsError};
use security::{Arn, Question};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes of names and values that a request may add to the context: it is kept in the object's row.
pub const CONTEXT_BYTES_MAX: usize = 8 << 10;
/// The pair of the context that says whose bytes they are.
const WHOSE: &str = "aws:s3:arn";
/// The key that S3 uses where nobody names one.
const OWN_KEY: &str = "alias/aws/s3";

/// A managed key that an object's keys are wrapped by, as answers show it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ManagedKey {
    /// Its ARN.
    pub arn: String,
    /// It is used as a bucket key: the context names the bucket, not the object.
    pub bucket_key: bool,
}

/// Which managed key a request wants new bytes to be wrapped by, and how.
#[derive(Clone, Debug, Default)]
pub struct ManagedWish {
    /// Id, alias or ARN; what is no ARN is of the account that asks. `None`: the account's own for S3, made when it is asked for first.
    pub key: Option<String>,
    /// The ARN of the key that the decision about the request rests on, where the name does not say it: an alias that was turned since is refused.
    pub decided: Option<String>,
    /// What the context has besides whose the bytes are.
    pub context: Vec<(String, String)>,
    /// Whether it is used as a bucket key; `None`: as the bucket says.
    pub bucket_key: Option<bool>,
}

/// How new bytes are to be encrypted.
#[derive(Clone, Debug, Default)]
pub enum Encrypts {
    /// As the bucket says.
    #[default]
    AsBucket,
    /// The same, but for this.
    AsBucketBut {
        /// Whether a managed key is used as a bucket key.
        bucket_key: bool,
    },
    /// By the appliance's keys.
    Appliance,
    /// By the appliance's keys, in the envelope of a managed key.
    Managed(Box<ManagedWish>),
}

/// What is put around the keys of new bytes.
pub(crate) enum Encloser {
    /// A key that came along.
    Customer(CustomerKey),
    /// A data key of a managed key.
    Managed(Box<Wrapping>),
}

/// A data key that a managed key gave for one use.
pub(crate) struct Wrapping {
    key: CustomerKey,
    /// The same, encrypted by the managed key.
    encrypted: Vec<u8>,
    context: EncryptionContext,
    by: Arc<ManagedKey>,
}

impl Encloser {
    /// Whose key it is.
    pub(crate) fn by(&self) -> EncryptedBy {
        match self {
            Self::Customer(_) => EncryptedBy::Customer,
            Self::Managed(wrapping) => EncryptedBy::Managed(Arc::clone(&wrapping.by)),
        }
    }
}

/// Whose key it is, the appliance's included.
pub(crate) fn whose(encloser: Option<&Encloser>) -> EncryptedBy {
    encloser.map(Encloser::by).unwrap_or_default()
}

/// What a request says of the keys of new bytes.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) customer: Option<&'a CustomerKey>,
    pub(crate) encryption: &'a Encrypts,
    /// Who asks. `None`: the appliance.
    pub(crate) asks: Option<&'a Question>,
}

/// What the seal of a row holds, but for a manifest's key in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Enclosed {
    pub(crate) by: ManagedKey,
    pub(crate) encrypted: Bytes,
    pub(crate) context: EncryptionContext,
    pub(crate) wrapped: Bytes,
}

impl Record for Enclosed {
    const NAME: &'static str = "keys in a managed key's envelope";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.text(&self.by.arn).u8(u8::from(self.by.bucket_key)).bytes(&self.encrypted);
        out.count(self.context.iter().count());
        for (name, value) in &self.context {
            out.text(name).text(value);
        }
        out.bytes(&self.wrapped);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let arn = fields.text()?.to_owned();
        let bucket_key = match fields.u8()? {
            0 => false,
            1 => true,
            other => return Err(fields.corrupt(format!("flag {other}"))),
        };
        let encrypted = Bytes::copy_from_slice(fields.bytes()?);
        let mut pairs = Vec::new();
        for _ in 0..fields.count()? {
            pairs.push((fields.text()?.to_owned(), fields.text()?.to_owned()));
        }
        let context =
            EncryptionContext::kept(pairs).map_err(|_| fields.corrupt("a context that is too large"))?;
        let wrapped = Bytes::copy_from_slice(fields.bytes()?);
        Ok(Self { by: ManagedKey { arn, bucket_key }, encrypted, context, wrapped })
    }
}

/// What a managed key did not do, as the store's error.
impl From<KmsError> for Error {
    fn from(error: KmsError) -> Self {
        match (error.code.of_s3(), error.cause) {
            (Some(_), _) => Self::KeyRefused { code: error.code, message: error.message },
            (None, Some(cause)) => refused(cause),
            (None, None) => Self::Engine(engine::Error::Corrupt {
                what: "use of a managed key".into(),
                detail: format!("{}: {}", error.code, error.message),
            }),
        }
    }
}

impl Material {
    /// The manifest's key, if one is in front, and what a managed key's envelope holds.
    fn enclosed(&self, envelope: Envelope) -> Result<(Option<DataKey>, Enclosed)> {
        let Self::Closed(raw) = self else { return Err(corrupt("keys that are in no envelope".to_owned())) };
        let (manifest, raw) = match envelope {
            Envelope::ManagedParts { .. } => {
                let (key, raw) = of_manifest(raw)?;
                (Some(key), raw)
            }
            _ => (None, &raw[..]),
        };
        Ok((manifest, Enclosed::from_bytes(raw)?))
    }

    /// Whose key it is, as answers show it.
    pub(crate) fn by(&self, envelope: Envelope) -> Result<EncryptedBy> {
        match envelope {
            Envelope::Appliance => Ok(EncryptedBy::Appliance),
            Envelope::Customer | Envelope::CustomerParts => Ok(EncryptedBy::Customer),
            Envelope::Managed { .. } | Envelope::ManagedParts { .. } => {
                Ok(EncryptedBy::Managed(Arc::new(self.enclosed(envelope)?.1.by)))
            }
        }
    }
}

impl ObjectStore {
    /// The context of an object's key.
    fn context(
        (bucket, key): (&BucketName, &ObjectKey),
        bucket_key: bool,
        added: &[(String, String)],
    ) -> Result<EncryptionContext> {
        let whose = if bucket_key {
            Arn::bucket(bucket.as_str())
        } else {
            Arn::object(bucket.as_str(), key.as_str())
        };
        let whose = whose.to_string();
        let bytes: usize = added.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > CONTEXT_BYTES_MAX {
            return Err(Error::InvalidArgument {
                name: "x-amz-server-side-encryption-context",
                detail: "The encryption context is larger than 8 KiB.",
            });
        }
        // Conditions don't tell another spelling of the name from it.
        let is_another =
            |name: &str, value: &str| name.to_lowercase() == WHOSE && (name != WHOSE || value != whose);
        if added.iter().any(|(name, value)| is_another(name, value)) {
            return Err(Error::InvalidArgument {
                name: "x-amz-server-side-encryption-context",
                detail: "aws:s3:arn is the object's ARN, or with a bucket key the bucket's. Leave it out.",
            });
        }
        let pairs = added.iter().cloned().chain([(WHOSE.to_owned(), whose)]);
        Ok(EncryptionContext::new(pairs)?)
    }

    /// What keys of new bytes are put into, by what the request says and else the bucket. A managed key is asked for a data key here.
    pub(crate) async fn encloser(
        &self,
        view: &View,
        at: (&BucketName, &ObjectKey),
        wanted: Wanted<'_>,
    ) -> Result<Option<Encloser>> {
        self.admit_key(view, wanted.customer).await?;
        if let Some(key) = wanted.customer {
            return Ok(Some(Encloser::Customer(key.clone())));
        }
        if matches!(wanted.encryption, Encrypts::Appliance) {
            return Ok(None);
        }
        let set = self.setting_at::<Encryption>(view).await?;
        let default = set.as_deref();
        let (wish, asks) = match (wanted.encryption, wanted.asks) {
            (Encrypts::Managed(wish), Some(asks)) => (ManagedWish::clone(wish), asks),
            (Encrypts::Managed(_), None) => return Err(Error::AccessDenied),
            (_, Some(asks)) => match default.map(|set| &set.key) {
                Some(DefaultKey::Managed(key)) => {
                    self.knows_defaults.store(true, Ordering::Relaxed);
                    let bucket_key = match wanted.encryption {
                        Encrypts::AsBucketBut { bucket_key } => Some(*bucket_key),
                        _ => None,
                    };
                    (ManagedWish { key: key.clone(), bucket_key, ..ManagedWish::default() }, asks)
                }
                Some(DefaultKey::Appliance) | None => return Ok(None),
            },
            (_, None) => return Ok(None),
        };
        let bucket_key = wish.bucket_key.unwrap_or_else(|| default.is_some_and(|set| set.bucket_key));
        let context = Self::context(at, bucket_key, &wish.context)?;
        let name = wish.key.as_deref().unwrap_or(OWN_KEY);
        let kms = self.managed_keys()?;
        let via = self.service();
        let asks = kms::Asks::new(&asks.principal, &*asks.context, "").by(&via);
        // Boxed: most requests have no managed key, and are not to be as large as if they had.
        let given = Box::pin(kms.generate_data_key(&asks, name, &context)).await?;
        if wish.decided.is_some_and(|decided| decided != given.key_arn) {
            return Err(Error::KeyRefused {
                code: kms::Code::InvalidState,
                message: "The alias was turned to another key while the request was decided. Try again."
                    .to_owned(),
            });
        }
        let key = CustomerKey::new(*given.plaintext);
        let by = Arc::new(ManagedKey { arn: given.key_arn, bucket_key });
        Ok(Some(Encloser::Managed(Box::new(Wrapping { key, encrypted: given.ciphertext, context, by }))))
    }

    /// Keys in the envelope of a data key that a managed key gave.
    pub(crate) fn enclosed_by(&self, keys: &Keys, wrapping: &Wrapping) -> Result<(Envelope, Material)> {
        let wrapped = keys.with_bytes(|raw| wrapping.key.wrap(&*self.entropy, raw)).map_err(refused)?;
        let enclosed = Enclosed {
            by: ManagedKey::clone(&wrapping.by),
            encrypted: wrapping.encrypted.clone().into(),
            context: wrapping.context.clone(),
            wrapped: wrapped.into(),
        };
        let envelope = Envelope::Managed { bucket_key: wrapping.by.bucket_key };
        Ok((envelope, Material::Closed(enclosed.to_bytes())))
    }

    /// The keys of an envelope, for whoever brings what it wants: a key that came along, or the right to a managed one.
    pub(crate) async fn open_envelope(
        &self,
        (envelope, material): (Envelope, &Material),
        brought: Option<&CustomerKey>,
        asks: Option<&Question>,
    ) -> Result<Keys> {
        if !envelope.is_managed() {
            return material.open(envelope, brought);
        }
        if brought.is_some() {
            return Err(not_applicable());
        }
        let asks = asks.ok_or(Error::AccessDenied)?;
        let (manifest, enclosed) = material.enclosed(envelope)?;
        let kms = self.managed_keys()?;
        let via = self.service();
        let asks = kms::Asks::new(&asks.principal, &*asks.context, "").by(&via);
        let plain = Box::pin(kms.decrypt(&asks, &enclosed.encrypted, &enclosed.context)).await?;
        let keys = CustomerKey::new(*plain).unwrap(&enclosed.wrapped).map_err(refused)?;
        let keys = Keys::read(&keys.ok_or_else(|| corrupt("its managed key gave another key".to_owned()))?)?;
        Ok(match manifest {
            Some(data) => Keys { data, parts: Some(keys.data) },
            None => keys,
        })
    }

    fn managed_keys(&self) -> Result<&kms::Kms> {
        self.kms.as_deref().ok_or(Error::InvalidRequest { detail: "there are no managed keys here" })
    }

    /// As conditions of keys name the service that asks for somebody.
    fn service(&self) -> String {
        format!("s3.{}.amazonaws.com", self.region())
    }

    /// Whether bytes may have to be written anew for a managed key. Of what buckets say it is known once one has said so in this process.
    pub fn may_enclose(&self, encryption: &Encrypts) -> bool {
        match encryption {
            Encrypts::Appliance => false,
            Encrypts::Managed(_) => true,
            Encrypts::AsBucket | Encrypts::AsBucketBut { .. } => self.knows_defaults.load(Ordering::Relaxed),
        }
    }

    /// Whether new objects of a bucket are wrapped by a managed key where their requests say nothing.
    pub async fn defaults_to_managed(&self, bucket: &BucketName) -> Result<bool> {
        let set = self.setting::<Encryption>(bucket).await?;
        Ok(set.is_some_and(|set| matches!(set.key, DefaultKey::Managed(_))))
    }
}
