//! Shapes of KMS's parameters, as its API model (2014-11-01) has them.

use crate::json::shape::{Shape, of, opt, req, text};

fn alias(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte))
}

fn principal(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c))
}

fn document(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}'))
}

fn latin(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\u{20}'..='\u{ff}'))
}

fn word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn described(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || ":/_.- \t\n\r\u{b}\u{c}".contains(c))
}

fn source_arn(text: &str) -> bool {
    text.starts_with("arn:aws")
}

fn service(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) && text.contains('.')
}

pub(super) const KEY_ID: Shape = text(1, 2_048);
pub(super) const ALIAS_NAME: Shape = of((1, 256), "^[a-zA-Z0-9:/_-]+$", alias);
pub(super) const DESCRIPTION: Shape = text(0, 8_192);
pub(super) const POLICY: Shape = of((1, 131_072), r"[\u0009\u000A\u000D\u0020-\u00FF]+", document);
pub(super) const POLICY_NAME: Shape = of((1, 128), r"[\w]+", word);
pub(super) const LIMIT: Shape = Shape::Number { min: 1, max: 1_000 };
pub(super) const MARKER: Shape = of((1, 1_024), r"[\u0020-\u00FF]*", latin);
const TAG_KEY: Shape = text(1, 128);
const TAG_VALUE: Shape = text(0, 256);
const TAG: Shape = Shape::Structure(&[req("TagKey", &TAG_KEY), req("TagValue", &TAG_VALUE)]);
pub(super) const TAGS: Shape = Shape::List { of: &TAG, min: 0, max: 50 };
pub(super) const TAG_KEYS: Shape = Shape::List { of: &TAG_KEY, min: 0, max: 50 };
pub(super) const USAGE: Shape = Shape::Choice(&[
    "SIGN_VERIFY",
    "ENCRYPT_DECRYPT",
    "GENERATE_VERIFY_MAC",
    "KEY_AGREEMENT",
    "ENCAPSULATE_DECAPSULATE",
]);
pub(super) const SPEC: Shape = Shape::Choice(&[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SYMMETRIC_DEFAULT",
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
    "ECC_NIST_EDWARDS25519",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
]);
pub(super) const MASTER_SPEC: Shape = Shape::Choice(&[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SYMMETRIC_DEFAULT",
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
]);
pub(super) const ORIGIN: Shape =
    Shape::Choice(&["AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"]);
pub(super) const STORE_ID: Shape = text(1, 64);
pub(super) const XKS_KEY_ID: Shape = text(1, 128);
pub(super) const WINDOW: Shape = Shape::Number { min: 1, max: 365 };
pub(super) const OWNERS: Shape =
    Shape::List { of: &Shape::Choice(&["SELF", "OTHER_ACCOUNTS_VIA_RAM"]), min: 1, max: 2 };
pub(super) const PLAINTEXT: Shape = Shape::Blob { min: 1, max: 4_096 };
pub(super) const CIPHERTEXT: Shape = Shape::Blob { min: 1, max: 6_144 };
pub(super) const PUBLIC_KEY: Shape = Shape::Blob { min: 1, max: 8_192 };
pub(super) const TOKEN: Shape = text(1, 8_192);
pub(super) const TOKENS: Shape = Shape::List { of: &TOKEN, min: 0, max: 10 };
pub(super) const ALGORITHM: Shape =
    Shape::Choice(&["SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"]);
pub(super) const BYTES: Shape = Shape::Number { min: 1, max: 1_024 };
pub(super) const DATA_KEY_SPEC: Shape = Shape::Choice(&["AES_256", "AES_128"]);
pub(super) const PAIR_SPEC: Shape = Shape::Choice(&[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SM2",
    "ECC_NIST_EDWARDS25519",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
]);
pub(super) const RECIPIENT: Shape = Shape::Structure(&[
    opt("KeyEncryptionAlgorithm", &Shape::Choice(&["RSAES_OAEP_SHA_256"])),
    opt("AttestationDocument", &Shape::Blob { min: 1, max: 262_144 }),
]);
pub(super) const MODIFIERS: Shape =
    Shape::List { of: &Shape::Choice(&["IGNORE_CIPHERTEXT"]), min: 0, max: 16 };
pub(super) const MAC_ALGORITHM: Shape =
    Shape::Choice(&["HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512"]);
pub(super) const SIGNING_ALGORITHM: Shape = Shape::Choice(&[
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "ECDSA_SHA_256",
    "ECDSA_SHA_384",
    "ECDSA_SHA_512",
    "SM2DSA",
    "ML_DSA_SHAKE_256",
    "ED25519_SHA_512",
    "ED25519_PH_SHA_512",
]);
pub(super) const MESSAGE_TYPE: Shape = Shape::Choice(&["RAW", "DIGEST", "EXTERNAL_MU"]);
pub(super) const AGREEMENT: Shape = Shape::Choice(&["ECDH"]);
pub(super) const PRINCIPAL: Shape = of((1, 256), r"^[\w+=,.@:/-]+$", principal);
pub(super) const SERVICE_PRINCIPAL: Shape =
    of((1, 128), r"^([A-Za-z0-9\-]+)\.([A-Za-z0-9\-]+)(\.[A-Za-z0-9\-]+)+$", service);
pub(super) const GRANT_OPERATIONS: Shape = Shape::List {
    of: &Shape::Choice(&[
        "Decrypt",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncryptFrom",
        "ReEncryptTo",
        "Sign",
        "Verify",
        "GetPublicKey",
        "CreateGrant",
        "RetireGrant",
        "DescribeKey",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
        "GenerateMac",
        "VerifyMac",
        "DeriveSharedSecret",
        "Encapsulate",
        "Decapsulate",
    ]),
    min: 0,
    max: 64,
};
const SOURCE_ARN: Shape = of((20, 512), "^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$", source_arn);
pub(super) const CONSTRAINTS: Shape = Shape::Structure(&[
    opt("EncryptionContextSubset", &Shape::Map),
    opt("EncryptionContextEquals", &Shape::Map),
    opt("SourceArn", &SOURCE_ARN),
]);
pub(super) const GRANT_NAME: Shape = of((1, 256), "^[a-zA-Z0-9:/_-]+$", alias);
pub(super) const GRANT_ID: Shape = text(1, 128);
pub(super) const PERIOD: Shape = Shape::Number { min: 90, max: 2_560 };
pub(super) const INCLUDE: Shape = Shape::Choice(&["ALL_KEY_MATERIAL", "ROTATIONS_ONLY"]);
pub(super) const WRAPPING_ALGORITHM: Shape = Shape::Choice(&[
    "RSAES_PKCS1_V1_5",
    "RSAES_OAEP_SHA_1",
    "RSAES_OAEP_SHA_256",
    "RSA_AES_KEY_WRAP_SHA_1",
    "RSA_AES_KEY_WRAP_SHA_256",
    "SM2PKE",
]);
pub(super) const WRAPPING_SPEC: Shape = Shape::Choice(&["RSA_2048", "RSA_3072", "RSA_4096", "SM2"]);
pub(super) const EXPIRATION: Shape = Shape::Choice(&["KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"]);
pub(super) const IMPORT_TYPE: Shape = Shape::Choice(&["NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"]);
pub(super) const MATERIAL_DESCRIPTION: Shape = of((0, 256), r"^[a-zA-Z0-9:/_\s.-]+$", described);
pub(super) const MATERIAL_ID: Shape = of((64, 64), "^[a-f0-9]+$", hexadecimal);
