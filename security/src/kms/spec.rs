//! What keys are: their specs, what they are for, and the algorithms that follow from both. Source: "Key spec reference" of the KMS
//! developer guide and the model `kms/2014-11-01`.

/// Words of the model with their numbers on disk.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $number:literal $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $(#[doc = concat!("`", $word, "`")] $(#[$of])* $variant = $number,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As the wire has it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// By its word on the wire.
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

/// Words that rows have, by their numbers.
macro_rules! stored {
    ($($name:ident)*) => {
        $(impl $name {
            pub(super) fn of_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| *known as u8 == number)
            }
        })*
    };
}

stored! { KeySpec KeyUsage Origin Manager KeyState }

words! {
    /// What a key is made of.
    KeySpec {
        Symmetric = 1 "SYMMETRIC_DEFAULT",
        Hmac224 = 2 "HMAC_224",
        Hmac256 = 3 "HMAC_256",
        Hmac384 = 4 "HMAC_384",
        Hmac512 = 5 "HMAC_512",
        Rsa2048 = 6 "RSA_2048",
        Rsa3072 = 7 "RSA_3072",
        Rsa4096 = 8 "RSA_4096",
        P256 = 9 "ECC_NIST_P256",
        P384 = 10 "ECC_NIST_P384",
        P521 = 11 "ECC_NIST_P521",
        Secp256k1 = 12 "ECC_SECG_P256K1",
    }
}

words! {
    /// What a key is for.
    KeyUsage {
        Encrypt = 1 "ENCRYPT_DECRYPT",
        Sign = 2 "SIGN_VERIFY",
        Mac = 3 "GENERATE_VERIFY_MAC",
        Agreement = 4 "KEY_AGREEMENT",
    }
}

words! {
    /// Where a key's material comes from.
    Origin {
        Own = 1 "AWS_KMS",
        External = 2 "EXTERNAL",
    }
}

words! {
    /// Who manages a key.
    Manager {
        Service = 1 "AWS",
        Customer = 2 "CUSTOMER",
    }
}

words! {
    /// What may be done with a key now.
    KeyState {
        Enabled = 1 "Enabled",
        Disabled = 2 "Disabled",
        PendingDeletion = 3 "PendingDeletion",
        PendingImport = 4 "PendingImport",
    }
}

words! {
    /// How something is encrypted.
    EncryptionAlgorithm {
        Symmetric = 1 "SYMMETRIC_DEFAULT",
        OaepSha1 = 2 "RSAES_OAEP_SHA_1",
        OaepSha256 = 3 "RSAES_OAEP_SHA_256",
    }
}

words! {
    /// How something is authenticated.
    MacAlgorithm {
        Sha224 = 1 "HMAC_SHA_224",
        Sha256 = 2 "HMAC_SHA_256",
        Sha384 = 3 "HMAC_SHA_384",
        Sha512 = 4 "HMAC_SHA_512",
    }
}

words! {
    /// How something is signed.
    SigningAlgorithm {
        PssSha256 = 1 "RSASSA_PSS_SHA_256",
        PssSha384 = 2 "RSASSA_PSS_SHA_384",
        PssSha512 = 3 "RSASSA_PSS_SHA_512",
        Pkcs1Sha256 = 4 "RSASSA_PKCS1_V1_5_SHA_256",
        Pkcs1Sha384 = 5 "RSASSA_PKCS1_V1_5_SHA_384",
        Pkcs1Sha512 = 6 "RSASSA_PKCS1_V1_5_SHA_512",
        EcdsaSha256 = 7 "ECDSA_SHA_256",
        EcdsaSha384 = 8 "ECDSA_SHA_384",
        EcdsaSha512 = 9 "ECDSA_SHA_512",
    }
}

words! {
    /// What a grant can give. The order is the model's.
    GrantOperation {
        Decrypt = 0 "Decrypt",
        Encrypt = 1 "Encrypt",
        GenerateDataKey = 2 "GenerateDataKey",
        GenerateDataKeyWithoutPlaintext = 3 "GenerateDataKeyWithoutPlaintext",
        ReEncryptFrom = 4 "ReEncryptFrom",
        ReEncryptTo = 5 "ReEncryptTo",
        Sign = 6 "Sign",
        Verify = 7 "Verify",
        GetPublicKey = 8 "GetPublicKey",
        CreateGrant = 9 "CreateGrant",
        RetireGrant = 10 "RetireGrant",
        DescribeKey = 11 "DescribeKey",
        GenerateDataKeyPair = 12 "GenerateDataKeyPair",
        GenerateDataKeyPairWithoutPlaintext = 13 "GenerateDataKeyPairWithoutPlaintext",
        GenerateMac = 14 "GenerateMac",
        VerifyMac = 15 "VerifyMac",
        DeriveSharedSecret = 16 "DeriveSharedSecret",
    }
}

impl KeySpec {
    /// What keys of it may be for; the first where nobody says.
    pub const fn usages(self) -> &'static [KeyUsage] {
        match self {
            Self::Symmetric => &[KeyUsage::Encrypt],
            Self::Hmac224 | Self::Hmac256 | Self::Hmac384 | Self::Hmac512 => &[KeyUsage::Mac],
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[KeyUsage::Encrypt, KeyUsage::Sign],
            Self::P256 | Self::P384 | Self::P521 => &[KeyUsage::Sign, KeyUsage::Agreement],
            Self::Secp256k1 => &[KeyUsage::Sign],
        }
    }

    /// Whether it has a public half.
    pub const fn is_asymmetric(self) -> bool {
        matches!(
            self,
            Self::Rsa2048
                | Self::Rsa3072
                | Self::Rsa4096
                | Self::P256
                | Self::P384
                | Self::P521
                | Self::Secp256k1
        )
    }

    /// How long the material is, where it is random bytes and nothing else.
    pub(super) const fn bytes(self) -> Option<usize> {
        Some(match self {
            Self::Symmetric | Self::Hmac256 => 32,
            Self::Hmac224 => 28,
            Self::Hmac384 => 48,
            Self::Hmac512 => 64,
            _ => return None,
        })
    }

    /// What it encrypts with.
    pub const fn encryption_algorithms(self) -> &'static [EncryptionAlgorithm] {
        match self {
            Self::Symmetric => &[EncryptionAlgorithm::Symmetric],
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => {
                &[EncryptionAlgorithm::OaepSha1, EncryptionAlgorithm::OaepSha256]
            }
            _ => &[],
        }
    }

    /// What it signs with.
    pub const fn signing_algorithms(self) -> &'static [SigningAlgorithm] {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[
                SigningAlgorithm::Pkcs1Sha256,
                SigningAlgorithm::Pkcs1Sha384,
                SigningAlgorithm::Pkcs1Sha512,
                SigningAlgorithm::PssSha256,
                SigningAlgorithm::PssSha384,
                SigningAlgorithm::PssSha512,
            ],
            Self::P256 | Self::Secp256k1 => &[SigningAlgorithm::EcdsaSha256],
            Self::P384 => &[SigningAlgorithm::EcdsaSha384],
            Self::P521 => &[SigningAlgorithm::EcdsaSha512],
            _ => &[],
        }
    }

    /// What it authenticates with.
    pub const fn mac_algorithms(self) -> &'static [MacAlgorithm] {
        match self {
            Self::Hmac224 => &[MacAlgorithm::Sha224],
            Self::Hmac256 => &[MacAlgorithm::Sha256],
            Self::Hmac384 => &[MacAlgorithm::Sha384],
            Self::Hmac512 => &[MacAlgorithm::Sha512],
            _ => &[],
        }
    }
}

impl GrantOperation {
    const fn bit(self) -> u32 {
        1 << (self as u8)
    }

    /// Whether it takes an encryption context.
    pub(super) const fn takes_context(self) -> bool {
        matches!(
            self,
            Self::Decrypt
                | Self::Encrypt
                | Self::GenerateDataKey
                | Self::GenerateDataKeyWithoutPlaintext
                | Self::ReEncryptFrom
                | Self::ReEncryptTo
                | Self::GenerateDataKeyPair
                | Self::GenerateDataKeyPairWithoutPlaintext
        )
    }

    /// Whether a grant can give it on such a key.
    pub(super) fn suits(self, spec: KeySpec, usage: KeyUsage) -> bool {
        match self {
            Self::CreateGrant | Self::RetireGrant | Self::DescribeKey => true,
            Self::GetPublicKey => spec.is_asymmetric(),
            Self::Sign | Self::Verify => usage == KeyUsage::Sign,
            Self::GenerateMac | Self::VerifyMac => usage == KeyUsage::Mac,
            Self::DeriveSharedSecret => usage == KeyUsage::Agreement,
            Self::Decrypt | Self::Encrypt | Self::ReEncryptFrom | Self::ReEncryptTo => {
                usage == KeyUsage::Encrypt
            }
            Self::GenerateDataKey
            | Self::GenerateDataKeyWithoutPlaintext
            | Self::GenerateDataKeyPair
            | Self::GenerateDataKeyPairWithoutPlaintext => spec == KeySpec::Symmetric,
        }
    }
}

/// Operations of a grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantOperations(u32);

impl GrantOperations {
    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    pub(super) fn of_bits(bits: u32) -> Option<Self> {
        let known = GrantOperation::ALL.iter().fold(0, |all, one| all | one.bit());
        (bits & !known == 0).then_some(Self(bits))
    }

    /// Whether it is one of them.
    pub const fn has(self, one: GrantOperation) -> bool {
        self.0 & one.bit() != 0
    }

    /// Whether all of them are among those.
    pub(super) const fn within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = GrantOperation> {
        GrantOperation::ALL.iter().copied().filter(move |one| self.has(*one))
    }

    /// Whether there are any that take an encryption context.
    pub(super) fn have_context(self) -> bool {
        self.iter().any(GrantOperation::takes_context)
    }
}

impl FromIterator<GrantOperation> for GrantOperations {
    fn from_iter<I: IntoIterator<Item = GrantOperation>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |bits, one| bits | one.bit()))
    }
}
