//! Shapes of STS's parameters, as its API model (2011-06-15) has them.

use crate::query::shape::{
    ENDLESS, Shape, anything, digits, document, name, opt, printable, req, serial, tag, text, word,
};

pub(super) const ARN: Shape = text(
    "arnType",
    (20, 2048),
    r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+",
    printable,
);
pub(super) const ROLE_SESSION_NAME: Shape = text("roleSessionNameType", (2, 64), r"[\w+=,.@-]*", name);
pub(super) const POLICY_DESCRIPTOR: Shape = Shape::Structure(&[opt("arn", &ARN)]);
pub(super) const POLICY_DESCRIPTORS: Shape = Shape::List { of: &POLICY_DESCRIPTOR, min: 0, max: ENDLESS };
pub(super) const UNRESTRICTED_SESSION_POLICY_DOCUMENT: Shape = text(
    "unrestrictedSessionPolicyDocumentType",
    (1, ENDLESS),
    r"[\u0009\u000A\u000D\u0020-\u00FF]+",
    document,
);
pub(super) const ROLE_DURATION_SECONDS: Shape =
    Shape::Number { name: "roleDurationSecondsType", min: 900, max: 43200 };
pub(super) const TAG_KEY: Shape = text("tagKeyType", (1, 128), r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+", tag);
pub(super) const TAG_VALUE: Shape = text("tagValueType", (0, 256), r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", tag);
pub(super) const TAG: Shape = Shape::Structure(&[req("Key", &TAG_KEY), req("Value", &TAG_VALUE)]);
pub(super) const TAGS: Shape = Shape::List { of: &TAG, min: 0, max: 50 };
pub(super) const TAG_KEYS: Shape = Shape::List { of: &TAG_KEY, min: 0, max: 50 };
pub(super) const EXTERNAL_ID: Shape = text("externalIdType", (2, 1224), r"[\w+=,.@:\/-]*", serial);
pub(super) const SERIAL_NUMBER: Shape = text("serialNumberType", (9, 256), r"[\w+=/:,.@-]*", serial);
pub(super) const TOKEN_CODE: Shape = text("tokenCodeType", (6, 6), r"[\d]*", digits);
pub(super) const SOURCE_IDENTITY: Shape = text("sourceIdentityType", (2, 64), r"[\w+=,.@-]*", name);
pub(super) const CONTEXT_ASSERTION: Shape = text("contextAssertionType", (4, 2048), "", anything);
pub(super) const PROVIDED_CONTEXT: Shape =
    Shape::Structure(&[opt("ProviderArn", &ARN), opt("ContextAssertion", &CONTEXT_ASSERTION)]);
pub(super) const PROVIDED_CONTEXTSS: Shape = Shape::List { of: &PROVIDED_CONTEXT, min: 1, max: 5 };
pub(super) const MINIMUM_SESSION_TOKEN_SIZE: Shape =
    Shape::Number { name: "minimumSessionTokenSizeType", min: 0, max: 4096 };
pub(super) const DURATION_SECONDS: Shape =
    Shape::Number { name: "durationSecondsType", min: 900, max: 129_600 };
pub(super) const USER_NAME: Shape = text("userNameType", (2, 32), r"[\w+=,.@-]*", name);
pub(super) const SESSION_POLICY_DOCUMENT: Shape =
    text("sessionPolicyDocumentType", (1, 2048), r"[\u0009\u000A\u000D\u0020-\u00FF]+", document);
pub(super) const ACCESS_KEY_ID: Shape = text("accessKeyIdType", (16, 128), r"[\w]*", word);
pub(super) const CLIENT_TOKEN: Shape = text("clientTokenType", (4, 20_000), "", anything);
pub(super) const URL: Shape = text("urlType", (4, 2048), "", anything);
/// Of an operation of firn's own.
pub(super) const SIGN_IN_ACCOUNT: Shape = text("firnAccountType", (1, 63), "", anything);
pub(super) const SIGN_IN_NAME: Shape = text("firnUserNameType", (1, 128), "", anything);
pub(super) const PASSWORD: Shape =
    text("firnPasswordType", (1, 128), r"[\u0009\u000A\u000D\u0020-\u00FF]+", document);
