//! How the keys of a version's bytes are kept: by the appliance alone, or in an envelope that another key opens.
//!
//! ```text
//!   appliance        row ─ key table ─► data key [‖ the parts' secret]
//!   customer         row ─ key table ─► wrapped ─ customer's key ─► data key [‖ the parts' secret]
//!   customer, parts  row ─ key table ─► manifest's key ‖ wrapped ─ customer's key ─► the parts' secret
//!   managed          row ─ key table ─► [manifest's key ‖] wrapped ─ data key of a managed key ─► as the customer's
//! ```
//!
//! A completion names what others sent, without their key. So each part's own key is in its row under a secret that the upload's
//! beginning wrapped ([`masked`]), and stays so in the manifest's page: the manifest opens without the customer's key, its bytes don't.
//! What is copied from there takes the secret along. A managed key's envelope ([`managed`]) is closed in the same way by a data key that the
//! managed key gave.
//!
//! # Invariants
//! - A customer's key is in memory while its request is; what is kept of it is the tag of what it wrapped.
//! - What an envelope closes is on no disk but closed. Bytes that deduplication shares are never in one: their keys are the bucket's.

pub(crate) mod managed;

pub use managed::{CONTEXT_BYTES_MAX, Encrypts, ManagedKey, ManagedWish};
pub(crate) use managed::{Encloser, Wanted};

use crate::keyring::refused;
use crate::record::Content;
use crate::setting::Encryption;
use crate::store::View;
use crate::{Error, ObjectStore, Result};
use bytes::Bytes;
use engine::catalog::Layout;
use engine::codec::DataKey;
use security::envelope::{CustomerKey, masked};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Who has the key of an object's bytes, as S3 shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EncryptedBy {
    /// The appliance: what S3 calls SSE-S3.
    #[default]
    Appliance,
    /// The client, who brings it along with each request: SSE-C.
    Customer,
    /// The appliance, for whoever may use this managed key: SSE-KMS.
    Managed(Arc<ManagedKey>),
}

/// What a version's row says of its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// The key table's seal is all there is.
    #[default]
    Appliance,
    /// A customer's key wrapped them.
    Customer,
    /// A customer's key wrapped the secret of the parts.
    CustomerParts,
    /// A managed key's data key wrapped them.
    Managed { bucket_key: bool },
    /// A managed key's data key wrapped the secret of the parts.
    ManagedParts { bucket_key: bool },
}

impl Envelope {
    /// Whether anything but the key table is needed.
    pub(crate) fn is_closed(self) -> bool {
        self != Self::Appliance
    }

    /// Whether a managed key is asked to open it.
    pub(crate) const fn is_managed(self) -> bool {
        matches!(self, Self::Managed { .. } | Self::ManagedParts { .. })
    }

    /// The same around the secret of an upload's parts, when that completes.
    const fn of_parts(self) -> Self {
        match self {
            Self::Managed { bucket_key } | Self::ManagedParts { bucket_key } => {
                Self::ManagedParts { bucket_key }
            }
            Self::Customer | Self::CustomerParts => Self::CustomerParts,
            Self::Appliance => Self::Appliance,
        }
    }

    /// What whoever reads a row of it has to know.
    pub(crate) fn layout(self) -> Option<Layout> {
        if self.is_managed() { Some(Layout::MANAGED) } else { None }
    }
}

/// The keys of a version's bytes.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// Of the blob, the row or the manifest that it names.
    pub(crate) data: DataKey,
    /// What the keys in the manifest's own pages are under, if anything.
    pub(crate) parts: Option<DataKey>,
}

impl From<DataKey> for Keys {
    fn from(data: DataKey) -> Self {
        Self { data, parts: None }
    }
}

/// What a row's seal holds.
#[derive(Clone, Debug)]
pub(crate) enum Material {
    /// The keys themselves.
    Bare(Keys),
    /// What an envelope holds, as it is.
    Closed(Bytes),
}

const KEY: usize = DataKey::LEN;

fn corrupt(detail: String) -> Error {
    Error::Engine(engine::Error::Corrupt { what: "sealed data key".into(), detail })
}

impl Keys {
    /// One or two keys, one behind the other.
    fn read(raw: &[u8]) -> Result<Self> {
        let (keys, rest) = raw.as_chunks::<KEY>();
        let key = |bytes: &[u8; KEY]| DataKey::from_bytes(*bytes);
        match (keys, rest) {
            ([data], []) => Ok(Self { data: key(data), parts: None }),
            ([data, parts], []) => Ok(Self { data: key(data), parts: Some(key(parts)) }),
            _ => Err(corrupt(format!("{} bytes", raw.len()))),
        }
    }

    fn with_bytes<T>(&self, take: impl FnOnce(&[u8]) -> T) -> T {
        let Some(parts) = &self.parts else { return take(self.data.as_bytes()) };
        let mut both = Zeroizing::new([0; 2 * KEY]);
        both[..KEY].copy_from_slice(self.data.as_bytes());
        both[KEY..].copy_from_slice(parts.as_bytes());
        take(&*both)
    }
}

impl Material {
    /// What a seal of this envelope held; `None`: nothing, for there are no bytes to have a key.
    pub(crate) fn read(envelope: Envelope, sealed: &[u8]) -> Result<Option<Self>> {
        match envelope {
            Envelope::Appliance if sealed.is_empty() => Ok(None),
            Envelope::Appliance => Ok(Some(Self::Bare(Keys::read(sealed)?))),
            _ => Ok(Some(Self::Closed(Bytes::copy_from_slice(sealed)))),
        }
    }

    /// What is to be sealed.
    pub(crate) fn with_bytes<T>(&self, take: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Bare(keys) => keys.with_bytes(take),
            Self::Closed(raw) => take(raw),
        }
    }

    /// Whether a firn that knows of no envelopes could not read it.
    pub(crate) const fn is_new(&self) -> bool {
        matches!(self, Self::Closed(_) | Self::Bare(Keys { parts: Some(_), .. }))
    }

    /// The keys, for whoever brings the customer's key that the envelope wants, and nothing else than that. A managed key's opens by
    /// [`ObjectStore::open_envelope`].
    fn open(&self, envelope: Envelope, brought: Option<&CustomerKey>) -> Result<Keys> {
        match (self, brought) {
            (Self::Bare(keys), None) => Ok(keys.clone()),
            (Self::Bare(_), Some(_)) => Err(not_applicable()),
            (Self::Closed(_), None) => Err(missing()),
            (Self::Closed(raw), Some(key)) => match envelope {
                Envelope::Managed { .. } | Envelope::ManagedParts { .. } => Err(not_applicable()),
                Envelope::Appliance | Envelope::Customer => Keys::read(&unwrapped(key, raw)?),
                Envelope::CustomerParts => {
                    let (data, wrapped) = of_manifest(raw)?;
                    let Keys { data: parts, .. } = Keys::read(&unwrapped(key, wrapped)?)?;
                    Ok(Keys { data, parts: Some(parts) })
                }
            },
        }
    }

    /// The key of the manifest's pages, where it opens without the envelope. Those of its parts don't.
    pub(crate) fn of_pages(&self, envelope: Envelope) -> Option<DataKey> {
        match (self, envelope) {
            (Self::Bare(keys), _) => Some(keys.data.clone()),
            (Self::Closed(raw), Envelope::CustomerParts | Envelope::ManagedParts { .. }) => {
                of_manifest(raw).ok().map(|(data, _)| data)
            }
            (Self::Closed(_), _) => None,
        }
    }
}

/// What the row of a completed upload seals: the manifest's key, and behind it what the upload's beginning wrapped.
pub(crate) fn of_completion(
    manifest: DataKey,
    wrapped: Option<&(Envelope, Material)>,
) -> (Envelope, Material) {
    let Some((envelope, wrapped)) = wrapped else {
        return (Envelope::Appliance, Material::Bare(manifest.into()));
    };
    let closed = wrapped.with_bytes(|wrapped| [manifest.as_bytes(), wrapped].concat());
    (envelope.of_parts(), Material::Closed(closed.into()))
}

/// A manifest's key, and what is wrapped behind it.
fn of_manifest(raw: &[u8]) -> Result<(DataKey, &[u8])> {
    let (data, wrapped) =
        raw.split_first_chunk().ok_or_else(|| corrupt(format!("{} bytes of a manifest's", raw.len())))?;
    Ok((DataKey::from_bytes(*data), wrapped))
}

fn unwrapped(key: &CustomerKey, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    key.unwrap(wrapped).map_err(refused)?.ok_or_else(other_key)
}

/// The object is the appliance's to open, and a key came along.
pub(crate) const fn not_applicable() -> Error {
    Error::InvalidRequest { detail: "The encryption parameters are not applicable to this object." }
}

/// The object is the client's to open, and no key came along.
const fn missing() -> Error {
    Error::InvalidRequest {
        detail: "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the \
                 object.",
    }
}

/// Another key than the one that it was stored with. S3 itself answers 403 `AccessDenied`; Ceph's gateway and s3-tests this.
pub(crate) const fn other_key() -> Error {
    Error::InvalidRequest {
        detail: "The provided encryption parameters did not match the ones used originally.",
    }
}

/// A key of bytes that are named under a secret.
pub(crate) fn under(secret: &DataKey, content: &Content, key: &DataKey) -> DataKey {
    match content {
        Content::Empty => key.clone(),
        Content::Inline { blob } | Content::Blob { blob, .. } => masked(secret, blob.as_bytes(), key),
        Content::Manifest { manifest, .. } => masked(secret, manifest.as_bytes(), key),
    }
}

impl ObjectStore {
    /// Keys as they are to be sealed: in an envelope, where there is to be one.
    pub(crate) fn enclosed(&self, keys: Keys, by: Option<&Encloser>) -> Result<(Envelope, Material)> {
        let by = match by {
            None => return Ok((Envelope::Appliance, Material::Bare(keys))),
            Some(Encloser::Managed(wrapping)) => return self.enclosed_by(&keys, wrapping),
            Some(Encloser::Customer(by)) => by,
        };
        let wrapped = keys.with_bytes(|raw| by.wrap(&*self.entropy, raw)).map_err(refused)?;
        Ok((Envelope::Customer, Material::Closed(wrapped.into())))
    }

    /// An entity tag that tells nothing of the bytes.
    pub(crate) fn random_md5(&self) -> [u8; 16] {
        let mut md5 = [0; 16];
        self.entropy.fill_id(&mut md5);
        md5
    }

    /// Customers' keys are taken unless the bucket says that they are not.
    pub(crate) async fn admit_key(&self, view: &View, brought: Option<&CustomerKey>) -> Result<()> {
        if brought.is_none() {
            return Ok(());
        }
        let blocks = self.setting_at::<Encryption>(view).await?.and_then(|set| set.blocks_customer_keys);
        if blocks == Some(true) { Err(Error::AccessDenied) } else { Ok(()) }
    }
}

/// Whether an envelope can be put around the keys of the appliance's bytes: they are no one else's, and nothing that tells of the bytes
/// stands beside them. Packs share theirs with their bucket, and a manifest's pages have the checksums of its parts.
pub(crate) const fn can_be_enclosed(content: &Content) -> bool {
    !matches!(content, Content::Manifest { .. })
}
