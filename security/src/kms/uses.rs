//! What keys that encrypt do: texts, data keys, and texts from one key to another.

use super::allow::Wants;
use super::cipher::{self, Names};
use super::error::{Code, KmsError, Result};
use super::find::{Found, not_allowed};
use super::model::{Asks, DataKey, Decrypt, Encrypt, KeyPair, Opened, ReEncrypt, Sealed};
use super::spec::{EncryptionAlgorithm, GrantOperation, KeySpec, KeyUsage};
use super::{EncryptionContext, Kms, asymmetric, limit};
use crate::AccountId;
use zeroize::Zeroizing;

impl Asks<'_> {
    /// What it would come to is known.
    pub(super) fn go_on(&self) -> Result<()> {
        if !self.dry_run {
            return Ok(());
        }
        let message = "The request would have succeeded, but the DryRun option is set.";
        Err(KmsError::new(Code::DryRun, message))
    }
}

/// What a key is used for.
struct Use<'a> {
    action: &'static str,
    operation: GrantOperation,
    context: &'a EncryptionContext,
    algorithm: EncryptionAlgorithm,
    said: Vec<(&'static str, String)>,
}

impl<'a> Use<'a> {
    fn new(
        action: &'static str,
        operation: GrantOperation,
        (context, algorithm): (&'a EncryptionContext, Option<EncryptionAlgorithm>),
    ) -> Self {
        let algorithm = algorithm.unwrap_or(EncryptionAlgorithm::Symmetric);
        Self { action, operation, context, algorithm, said: Vec::new() }
    }
}

fn check_context(context: &EncryptionContext, algorithm: EncryptionAlgorithm) -> Result<()> {
    if context.is_empty() || algorithm == EncryptionAlgorithm::Symmetric {
        return Ok(());
    }
    Err(KmsError::invalid("An encryption context goes with SYMMETRIC_DEFAULT alone."))
}

impl Kms {
    /// Decides, and finds the key fit.
    async fn use_key(&self, asks: &Asks<'_>, found: &Found, wanted: Use<'_>) -> Result<()> {
        let Use { action, operation, context, algorithm, mut said } = wanted;
        said.push(("kms:encryptionalgorithm", algorithm.as_str().to_owned()));
        let wants = Wants {
            operation: Some(operation),
            context: Some(context),
            said,
            crosses: true,
            ..Wants::control(action)
        };
        self.allow(asks, found, &wants).await?;
        let name = action.strip_prefix("kms:").unwrap_or(action);
        found.is_for(KeyUsage::Encrypt, name)?;
        if !found.row.spec.encryption_algorithms().contains(&algorithm) {
            let message = format!(
                "Algorithm {} and key spec {} are incompatible.",
                algorithm.as_str(),
                found.row.spec.as_str()
            );
            return Err(KmsError::new(Code::InvalidKeyUsage, message));
        }
        found.usable()
    }

    fn seal_under(
        &self,
        found: &Found,
        material: &super::find::Material,
        (context, plaintext): (&EncryptionContext, &[u8]),
    ) -> Result<Sealed> {
        let names = Names { account: found.account, key: found.id, backing: found.row.current };
        let ciphertext = cipher::seal(&material.bytes, names, context, plaintext, &*self.parts.entropy)?;
        Ok(Sealed {
            ciphertext,
            key_arn: found.arn.clone(),
            material_id: material.id.clone(),
            algorithm: EncryptionAlgorithm::Symmetric,
        })
    }

    /// Encrypts what was decided.
    async fn encrypt_under(
        &self,
        found: &Found,
        (context, plaintext): (&EncryptionContext, &[u8]),
        algorithm: EncryptionAlgorithm,
    ) -> Result<Sealed> {
        let material = self.material(found, found.row.current).await?;
        if algorithm == EncryptionAlgorithm::Symmetric {
            return self.seal_under(found, &material, (context, plaintext));
        }
        let (bytes, plain) = (material.bytes, Zeroizing::new(plaintext.to_vec()));
        let ciphertext =
            self.aside(found.account, move || asymmetric::encrypt(&bytes, algorithm, &plain)).await?;
        Ok(Sealed { ciphertext, key_arn: found.arn.clone(), material_id: material.id, algorithm })
    }

    /// What takes a processor for longer than others should wait, with a key of this account.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        account: AccountId,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.working.run(account, work).await
    }

    /// Encrypts at most 4,096 bytes.
    pub async fn encrypt(&self, asks: &Asks<'_>, wanted: Encrypt<'_>) -> Result<Sealed> {
        let Encrypt { key, plaintext, context, algorithm } = wanted;
        if plaintext.is_empty() || plaintext.len() > limit::PLAINTEXT {
            return Err(KmsError::invalid(format!("A plaintext has 1 to {} bytes.", limit::PLAINTEXT)));
        }
        let wanted = Use::new("kms:Encrypt", GrantOperation::Encrypt, (context, algorithm));
        let algorithm = wanted.algorithm;
        check_context(context, algorithm)?;
        let found = self.find(asks, key, true).await?;
        self.use_key(asks, &found, wanted).await?;
        asks.go_on()?;
        self.encrypt_under(&found, (context, plaintext), algorithm).await
    }

    /// The key that a ciphertext is of, and the number of its backing key.
    async fn source_of(&self, asks: &Asks<'_>, wanted: &Decrypt<'_>) -> Result<(Found, u32)> {
        let algorithm = wanted.algorithm.unwrap_or(EncryptionAlgorithm::Symmetric);
        check_context(wanted.context, algorithm)?;
        if algorithm != EncryptionAlgorithm::Symmetric {
            let key = wanted
                .key
                .ok_or_else(|| KmsError::invalid("KeyId is required with this EncryptionAlgorithm."))?;
            let found = self.find(asks, key, true).await?;
            let current = found.row.current;
            return Ok((found, current));
        }
        let names = Names::of(wanted.ciphertext);
        if let Some(key) = wanted.key {
            let found = self.find(asks, key, true).await?;
            let is_its = |names: &Names| names.key == found.id && names.account == found.account;
            return match names {
                Ok(names) if is_its(&names) => Ok((found, names.backing)),
                // Only who may use the key that is named is told that the ciphertext is another's.
                outcome => {
                    let wanted = Use::new("kms:Decrypt", GrantOperation::Decrypt, (wanted.context, None));
                    self.use_key(asks, &found, wanted).await?;
                    let message =
                        "The key ID in the request does not identify a CMK that can perform this operation.";
                    outcome.and(Err(KmsError::new(Code::IncorrectKey, message)))
                }
            };
        }
        let names = names?;
        self.read_grant_tokens(asks.grant_tokens)?;
        let found = self.at(self.snapshot().await?, names.account, names.key).await?;
        Ok((found.ok_or_else(not_allowed)?, names.backing))
    }

    async fn decrypt_under(
        &self,
        found: &Found,
        (backing, wanted): (u32, Decrypt<'_>),
    ) -> Result<(Zeroizing<Vec<u8>>, String)> {
        let material = self.material(found, backing).await?;
        let algorithm = wanted.algorithm.unwrap_or(EncryptionAlgorithm::Symmetric);
        let plain = if algorithm == EncryptionAlgorithm::Symmetric {
            cipher::open(&material.bytes, wanted.context, wanted.ciphertext)?
        } else {
            let (bytes, ciphertext) = (material.bytes, wanted.ciphertext.to_vec());
            self.aside(found.account, move || asymmetric::decrypt(&bytes, algorithm, &ciphertext)).await?
        };
        Ok((plain, material.id))
    }

    /// Decrypts, with the context that it was encrypted with.
    pub async fn decrypt_text(&self, asks: &Asks<'_>, wanted: Decrypt<'_>) -> Result<Opened> {
        let (found, backing) = self.source_of(asks, &wanted).await?;
        let used = Use::new("kms:Decrypt", GrantOperation::Decrypt, (wanted.context, wanted.algorithm));
        let algorithm = used.algorithm;
        self.use_key(asks, &found, used).await?;
        asks.go_on()?;
        let (plaintext, material_id) = self.decrypt_under(&found, (backing, wanted)).await?;
        Ok(Opened { plaintext, key_arn: found.arn, material_id, algorithm })
    }

    /// Encrypts under another key, or with another context, what nobody sees meanwhile. The source's ARN and material, and what came of it.
    pub async fn re_encrypt(&self, asks: &Asks<'_>, wanted: ReEncrypt<'_>) -> Result<(Opened, Sealed)> {
        let (from, backing) = self.source_of(asks, &wanted.source).await?;
        let to = self.find(asks, wanted.key, true).await?;
        let same = (from.account, from.id) == (to.account, to.id);
        let said = || vec![("kms:reencryptonsamekey", same.to_string())];
        let source = wanted.source;
        let used =
            Use::new("kms:ReEncryptFrom", GrantOperation::ReEncryptFrom, (source.context, source.algorithm));
        let source_algorithm = used.algorithm;
        self.use_key(asks, &from, Use { said: said(), ..used }).await?;
        let used =
            Use::new("kms:ReEncryptTo", GrantOperation::ReEncryptTo, (wanted.context, wanted.algorithm));
        let algorithm = used.algorithm;
        check_context(wanted.context, algorithm)?;
        self.use_key(asks, &to, Use { said: said(), ..used }).await?;
        asks.go_on()?;
        let (plain, material_id) = self.decrypt_under(&from, (backing, source)).await?;
        let sealed = self.encrypt_under(&to, (wanted.context, &plain), algorithm).await?;
        let source = Opened {
            plaintext: Zeroizing::default(),
            key_arn: from.arn,
            material_id,
            algorithm: source_algorithm,
        };
        Ok((source, sealed))
    }

    /// Random bytes, and the same encrypted. `shown`: whoever asks gets to see them.
    pub async fn data_key(
        &self,
        asks: &Asks<'_>,
        (key, context): (&str, &EncryptionContext),
        (length, shown): (usize, bool),
    ) -> Result<(Opened, Sealed)> {
        if length == 0 || length > limit::DATA_KEY {
            return Err(KmsError::invalid(format!("A data key has 1 to {} bytes.", limit::DATA_KEY)));
        }
        let found = self.find(asks, key, true).await?;
        let (action, operation) = if shown {
            ("kms:GenerateDataKey", GrantOperation::GenerateDataKey)
        } else {
            ("kms:GenerateDataKeyWithoutPlaintext", GrantOperation::GenerateDataKeyWithoutPlaintext)
        };
        self.use_key(asks, &found, Use::new(action, operation, (context, None))).await?;
        asks.go_on()?;
        let mut plaintext = Zeroizing::new(vec![0; length]);
        self.parts.entropy.fill(&mut plaintext);
        let sealed =
            self.encrypt_under(&found, (context, &plaintext), EncryptionAlgorithm::Symmetric).await?;
        let (key_arn, material_id) = (sealed.key_arn.clone(), sealed.material_id.clone());
        Ok((Opened { plaintext, key_arn, material_id, algorithm: sealed.algorithm }, sealed))
    }

    /// A pair of keys, its private half encrypted too. `shown`: whoever asks gets to see that.
    pub async fn data_key_pair(
        &self,
        asks: &Asks<'_>,
        (key, context): (&str, &EncryptionContext),
        (spec, shown): (KeySpec, bool),
    ) -> Result<KeyPair> {
        if !spec.is_asymmetric() {
            return Err(KmsError::invalid(format!("{} is no spec of a pair of keys.", spec.as_str())));
        }
        let found = self.find(asks, key, true).await?;
        let (action, operation) = if shown {
            ("kms:GenerateDataKeyPair", GrantOperation::GenerateDataKeyPair)
        } else {
            ("kms:GenerateDataKeyPairWithoutPlaintext", GrantOperation::GenerateDataKeyPairWithoutPlaintext)
        };
        let said = vec![("kms:datakeypairspec", spec.as_str().to_owned())];
        let used = Use { said, ..Use::new(action, operation, (context, None)) };
        self.use_key(asks, &found, used).await?;
        asks.go_on()?;
        let private = self.make(found.account, spec).await?;
        let public = asymmetric::public(spec, &private)?;
        let sealed = self.encrypt_under(&found, (context, &private), EncryptionAlgorithm::Symmetric).await?;
        Ok(KeyPair { private, sealed, public })
    }

    /// Random bytes, whatever keys there are.
    pub fn random(&self, asks: &Asks<'_>, length: usize) -> Result<Zeroizing<Vec<u8>>> {
        self.allow_account(asks, "kms:GenerateRandom")?;
        if length == 0 || length > limit::DATA_KEY {
            return Err(KmsError::invalid(format!("NumberOfBytes is 1 to {}.", limit::DATA_KEY)));
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        self.parts.entropy.fill(&mut bytes);
        Ok(bytes)
    }

    /// A data key of 32 bytes for what a service keeps. `key` is an id, alias or ARN; what is no ARN is of the principal's account. A service's
    /// own alias (`alias/aws/s3`, with [`Asks::by`] that service) is made with its key when it is asked for first.
    pub async fn generate_data_key(
        &self,
        asks: &Asks<'_>,
        key: &str,
        context: &EncryptionContext,
    ) -> Result<DataKey> {
        let (opened, sealed) = self.data_key(asks, (key, context), (32, true)).await?;
        let mut plaintext = Zeroizing::new([0; 32]);
        plaintext.copy_from_slice(&opened.plaintext);
        Ok(DataKey { plaintext, ciphertext: sealed.ciphertext, key_arn: sealed.key_arn })
    }

    /// The data key that [`generate_data_key`](Self::generate_data_key) gave, asked anew: who may no longer, or when the key is disabled, gets
    /// nothing.
    pub async fn decrypt(
        &self,
        asks: &Asks<'_>,
        ciphertext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Zeroizing<[u8; 32]>> {
        let wanted = Decrypt { key: None, ciphertext, context, algorithm: None };
        let opened = self.decrypt_text(asks, wanted).await?;
        let mut plaintext = Zeroizing::new([0; 32]);
        if opened.plaintext.len() != plaintext.len() {
            return Err(KmsError::ciphertext());
        }
        plaintext.copy_from_slice(&opened.plaintext);
        Ok(plaintext)
    }
}
