//! Material of a key that comes from outside: wrapped on its way, gone when it expires, and the same when it comes again.
//!
//! ```text
//!   GetParametersForImport ─► public key, token (sealed: private key, key, until when)      nothing is kept
//!   ImportKeyMaterial ◄─ wrapped material, token ─► backing key 1
//! ```

use super::allow::Wants;
use super::change::{Change, again};
use super::error::{Code, KmsError, Result};
use super::find::{Found, get};
use super::keys::{days_after, material_id};
use super::model::{Asks, Import, ToImport};
use super::row::{self, BackingRow, How, Task};
use super::spec::{EncryptionAlgorithm, KeySpec, KeyState, Origin};
use super::token::{ImportToken, Wrapping};
use super::{Kms, asymmetric};
use crate::AmzDate;
use engine::catalog::Snapshot;
use zeroize::Zeroizing;

/// The backing key of imported material.
const NUMBER: u32 = 1;
/// Days that imported material may be said to last.
const LASTS_DAYS: u32 = 365;

impl Found {
    fn imports(&self) -> Result<()> {
        if self.row.origin == Origin::External {
            return Ok(());
        }
        Err(KmsError::unsupported(format!(
            "{} origin is {} which is not valid for this operation.",
            self.arn,
            self.row.origin.as_str()
        )))
    }
}

impl Wrapping {
    fn of_word(word: &str) -> Result<Self> {
        match word {
            "RSAES_OAEP_SHA_1" => Ok(Self::OaepSha1),
            "RSAES_OAEP_SHA_256" => Ok(Self::OaepSha256),
            other => Err(KmsError::unsupported(format!(
                "Material is not imported with {other}: RSAES_OAEP_SHA_256 wraps it."
            ))),
        }
    }

    const fn algorithm(self) -> EncryptionAlgorithm {
        match self {
            Self::OaepSha1 => EncryptionAlgorithm::OaepSha1,
            Self::OaepSha256 => EncryptionAlgorithm::OaepSha256,
        }
    }
}

impl Kms {
    /// What material is wrapped with that is to be a key's, for a day.
    pub async fn parameters_for_import(
        &self,
        asks: &Asks<'_>,
        key: &str,
        (algorithm, spec): (&str, &str),
    ) -> Result<ToImport> {
        let said =
            vec![("kms:wrappingalgorithm", algorithm.to_owned()), ("kms:wrappingkeyspec", spec.to_owned())];
        let found = self.find(asks, key, false).await?;
        self.allow(asks, &found, &Wants { said, ..Wants::control("kms:GetParametersForImport") }).await?;
        found.imports()?;
        found.stays()?;
        let wrapping = Wrapping::of_word(algorithm)?;
        let spec = KeySpec::of_word(spec).filter(|spec| spec.as_str().starts_with("RSA_"));
        let spec = spec.ok_or_else(|| {
            KmsError::unsupported("Material is wrapped with RSA_2048, RSA_3072 or RSA_4096.")
        })?;
        let (public, private) = self.making.run(found.account, move || asymmetric::wrapping(spec)).await?;
        let expires = days_after(self.now(), 1);
        self.prepare(found.account).await?;
        let token = ImportToken { account: found.account, key: found.id, spec, wrapping, expires, private };
        Ok(ToImport { key_arn: found.arn, token: self.import_token(&token)?, public, valid_to: expires })
    }

    async fn unwrapped(&self, found: &Found, wanted: &Import<'_>) -> Result<Zeroizing<Vec<u8>>> {
        let token = self.open_import_token(wanted.token)?;
        if (token.account, token.key) != (found.account, found.id) {
            return Err(KmsError::new(Code::InvalidImportToken, "The import token is another key's."));
        }
        if self.now() >= token.expires {
            return Err(KmsError::new(Code::ExpiredImportToken, "The import token is older than 24 hours."));
        }
        let (private, ciphertext) = (token.private, wanted.material.to_vec());
        let algorithm = token.wrapping.algorithm();
        let material =
            self.aside(found.account, move || asymmetric::decrypt(&private, algorithm, &ciphertext)).await?;
        if Some(material.len()) != found.row.spec.bytes() {
            let message = format!("The material of {} is not of the length that its spec has.", found.arn);
            return Err(KmsError::new(Code::IncorrectKeyMaterial, message));
        }
        Ok(material)
    }

    async fn imported_at(&self, snapshot: &dyn Snapshot, found: &Found) -> Result<Option<BackingRow>> {
        get(snapshot, row::backing(found.account, found.id, NUMBER)).await
    }

    /// Gives a key its material, or the same again. The key's ARN, and what names the material.
    pub async fn import_key_material(&self, asks: &Asks<'_>, wanted: Import<'_>) -> Result<(String, String)> {
        let model =
            if wanted.valid_to.is_some() { "KEY_MATERIAL_EXPIRES" } else { "KEY_MATERIAL_DOES_NOT_EXPIRE" };
        let mut said = vec![("kms:expirationmodel", model.to_owned())];
        said.extend(wanted.valid_to.map(|at| ("kms:validto", AmzDate::from_timestamp(at).extended())));
        let wants = Wants { said, ..Wants::control("kms:ImportKeyMaterial") };
        let last = days_after(self.now(), LASTS_DAYS);
        if wanted.valid_to.is_some_and(|at| at <= self.now() || at > last) {
            return Err(KmsError::invalid("ValidTo lies ahead, and at most 365 days."));
        }
        again(|| async {
            let found = self.find(asks, wanted.key, false).await?;
            self.allow(asks, &found, &wants).await?;
            found.imports()?;
            found.stays()?;
            let material = self.unwrapped(&found, &wanted).await?;
            let id = material_id(found.id, &material);
            let before = self.imported_at(&*found.snapshot, &found).await?;
            let other = before.as_ref().is_some_and(|before| before.material_id != id)
                || wanted.material_id.is_some_and(|wanted| *wanted != hex::encode(id));
            if other && wanted.is_new && wanted.material_id.is_none() {
                return Err(KmsError::unsupported(
                    "A key whose material is imported gets no other material here.",
                ));
            }
            if other {
                let message =
                    "The key material in the request is not the key material that was imported before.";
                return Err(KmsError::new(Code::IncorrectKeyMaterial, message));
            }
            self.prepare(found.account).await?;
            let mut change: Change = self.change(found.account, &*found.snapshot);
            change.unchanged(found.row_key());
            change.unchanged(row::policy(found.account, found.id));
            change.unchanged(row::backing(found.account, found.id, NUMBER));
            if let Some(at) = before.and_then(|before| before.expires) {
                change.delete(row::due(at, found.account, found.id, Task::Expire));
            }
            let names = (found.account, found.id, NUMBER);
            self.put_backing(&mut change, names, How::Imported, &material, wanted.valid_to)?;
            if let Some(at) = wanted.valid_to {
                change.mark(row::due(at, found.account, found.id, Task::Expire));
            }
            let mut row = found.row.clone();
            // A key that somebody disabled is for who may enable it.
            if row.state == KeyState::PendingImport {
                row.state = KeyState::Enabled;
            }
            change.put(found.row_key(), &row);
            self.apply(change).await?;
            self.bell.notify_one();
            Ok((found.arn, hex::encode(id)))
        })
        .await
    }

    /// Takes a key's imported material away: its key waits for the same again.
    pub(super) fn forget_material(change: &mut Change, found: &Found, before: &BackingRow) {
        if let Some(at) = before.expires {
            change.delete(row::due(at, found.account, found.id, Task::Expire));
        }
        let row = BackingRow { sealed: None, expires: None, ..before.clone() };
        change.unchanged(row::backing(found.account, found.id, NUMBER));
        change.put(row::backing(found.account, found.id, NUMBER), &row);
        let mut row = found.row.clone();
        // What was disabled stays it: nobody has enabled it.
        if row.state == KeyState::Enabled {
            row.state = KeyState::PendingImport;
        }
        change.unchanged(found.row_key());
        change.put(found.row_key(), &row);
    }

    /// Takes a key's imported material away. The key's ARN, and what named the material.
    pub async fn delete_imported_key_material(
        &self,
        asks: &Asks<'_>,
        key: &str,
        material: Option<&str>,
    ) -> Result<(String, Option<String>)> {
        again(|| async {
            let found = self.find(asks, key, false).await?;
            self.allow(asks, &found, &Wants::control("kms:DeleteImportedKeyMaterial")).await?;
            found.imports()?;
            let before = self.imported_at(&*found.snapshot, &found).await?;
            let id = before.as_ref().map(|before| hex::encode(before.material_id));
            if material.is_some_and(|wanted| id.as_deref() != Some(wanted)) {
                return Err(KmsError::new(Code::NotFound, format!("{} has no such material.", found.arn)));
            }
            if let Some(before) = before.filter(|before| before.sealed.is_some()) {
                let mut change = self.change(found.account, &*found.snapshot);
                change.unchanged(row::policy(found.account, found.id));
                Self::forget_material(&mut change, &found, &before);
                self.apply(change).await?;
            }
            Ok((found.arn, id))
        })
        .await
    }
}
