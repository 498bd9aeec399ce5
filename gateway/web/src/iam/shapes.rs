//! Shapes of IAM's parameters, as its API model (2010-05-08) has them.

use crate::query::shape::{
    ENDLESS, Shape, alias, anything, description, digits, document, latin, name, opt, path, path_prefix,
    policy_path, req, serial, tag, text, version_id, word,
};

pub(super) const PATH: Shape = text("pathType", (1, 512), r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)", path);
pub(super) const USER_NAME: Shape = text("userNameType", (1, 64), r"[\w+=,.@-]+", name);
pub(super) const ARN: Shape = text("arnType", (20, 2048), "", anything);
pub(super) const TAG_KEY: Shape = text("tagKeyType", (1, 128), r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+", tag);
pub(super) const TAG_VALUE: Shape = text("tagValueType", (0, 256), r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", tag);
pub(super) const TAG: Shape = Shape::Structure(&[req("Key", &TAG_KEY), req("Value", &TAG_VALUE)]);
pub(super) const TAGS: Shape = Shape::List { of: &TAG, min: 0, max: 50 };
pub(super) const EXISTING_USER_NAME: Shape = text("existingUserNameType", (1, 128), r"[\w+=,.@-]+", name);
pub(super) const PATH_PREFIX: Shape =
    text("pathPrefixType", (1, 512), r"\u002F[\u0021-\u007F]*", path_prefix);
pub(super) const MARKER: Shape = text("markerType", (1, 320), r"[\u0020-\u00FF]+", latin);
pub(super) const MAX_ITEMS: Shape = Shape::Number { name: "maxItemsType", min: 1, max: 1000 };
pub(super) const GROUP_NAME: Shape = text("groupNameType", (1, 128), r"[\w+=,.@-]+", name);
pub(super) const ROLE_NAME: Shape = text("roleNameType", (1, 64), r"[\w+=,.@-]+", name);
pub(super) const POLICY_DOCUMENT: Shape =
    text("policyDocumentType", (1, 131_072), r"[\u0009\u000A\u000D\u0020-\u00FF]+", document);
pub(super) const ROLE_DESCRIPTION: Shape =
    text("roleDescriptionType", (0, 1000), r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*", description);
pub(super) const ROLE_MAX_SESSION_DURATION: Shape =
    Shape::Number { name: "roleMaxSessionDurationType", min: 3600, max: 43200 };
pub(super) const POLICY_NAME: Shape = text("policyNameType", (1, 128), r"[\w+=,.@-]+", name);
pub(super) const POLICY_PATH: Shape =
    text("policyPathType", (1, 512), r"((/[A-Za-z0-9\.,\+@=_-]+)*)/", policy_path);
pub(super) const POLICY_DESCRIPTION: Shape = text("policyDescriptionType", (0, 1000), "", anything);
pub(super) const POLICY_SCOPE: Shape =
    Shape::Choice { name: "policyScopeType", words: &["All", "AWS", "Local"] };
pub(super) const POLICY_USAGE: Shape =
    Shape::Choice { name: "PolicyUsageType", words: &["PermissionsPolicy", "PermissionsBoundary"] };
pub(super) const POLICY_VERSION_ID: Shape =
    text("policyVersionIdType", (0, ENDLESS), r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?", version_id);
pub(super) const ENTITY: Shape = Shape::Choice {
    name: "EntityType",
    words: &["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"],
};
pub(super) const TAG_KEYS: Shape = Shape::List { of: &TAG_KEY, min: 0, max: 50 };
pub(super) const ACCESS_KEY_ID: Shape = text("accessKeyIdType", (16, 128), r"[\w]+", word);
pub(super) const STATUS: Shape =
    Shape::Choice { name: "statusType", words: &["Active", "Inactive", "Expired"] };
pub(super) const ACCOUNT_ALIAS: Shape =
    text("accountAliasType", (3, 63), "^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$", alias);
pub(super) const SIMULATION_POLICIES: Shape = Shape::List { of: &POLICY_DOCUMENT, min: 0, max: ENDLESS };
pub(super) const POLICY_IDENTIFIER_POLICY: Shape = Shape::Choice {
    name: "PolicyIdentifierPolicyType",
    words: &["inline", "aws-managed", "user-managed", "permission-boundary", "scp", "rcp"],
};
pub(super) const ATTACHMENT: Shape =
    Shape::Choice { name: "AttachmentType", words: &["user", "group", "role"] };
pub(super) const ATTACHMENT_NAME: Shape = text("AttachmentName", (1, 128), r"[\w+=,.@-]+", name);
pub(super) const INLINE_POLICY_IDENTIFIER: Shape = Shape::Structure(&[
    req("PolicyName", &POLICY_NAME),
    req("AttachmentType", &ATTACHMENT),
    req("AttachmentName", &ATTACHMENT_NAME),
]);
pub(super) const POLICY_IDENTIFIER: Shape = Shape::Structure(&[
    opt("PolicyType", &POLICY_IDENTIFIER_POLICY),
    opt("PolicyArn", &ARN),
    opt("InlinePolicyIdentifier", &INLINE_POLICY_IDENTIFIER),
]);
pub(super) const POLICY_EXCLUSIONS: Shape = Shape::List { of: &POLICY_IDENTIFIER, min: 0, max: 256 };
pub(super) const ACTION_NAME: Shape = text("ActionNameType", (3, 128), "", anything);
pub(super) const ACTION_NAMES: Shape = Shape::List { of: &ACTION_NAME, min: 0, max: ENDLESS };
pub(super) const RESOURCE_NAME: Shape = text("ResourceNameType", (1, 2048), "", anything);
pub(super) const RESOURCE_NAMES: Shape = Shape::List { of: &RESOURCE_NAME, min: 0, max: ENDLESS };
pub(super) const CONTEXT_KEY_NAME: Shape = text("ContextKeyNameType", (5, 256), "", anything);
pub(super) const CONTEXT_KEY_VALUE: Shape = text("ContextKeyValueType", (0, ENDLESS), "", anything);
pub(super) const CONTEXT_KEY_VALUES: Shape = Shape::List { of: &CONTEXT_KEY_VALUE, min: 0, max: ENDLESS };
pub(super) const CONTEXT_KEY_TYPE_ENUM: Shape = Shape::Choice {
    name: "ContextKeyTypeEnum",
    words: &[
        "string",
        "stringList",
        "numeric",
        "numericList",
        "boolean",
        "booleanList",
        "ip",
        "ipList",
        "binary",
        "binaryList",
        "date",
        "dateList",
    ],
};
pub(super) const CONTEXT_ENTRY: Shape = Shape::Structure(&[
    opt("ContextKeyName", &CONTEXT_KEY_NAME),
    opt("ContextKeyValues", &CONTEXT_KEY_VALUES),
    opt("ContextKeyType", &CONTEXT_KEY_TYPE_ENUM),
]);
pub(super) const CONTEXT_ENTRIES: Shape = Shape::List { of: &CONTEXT_ENTRY, min: 0, max: ENDLESS };
pub(super) const RESOURCE_HANDLING_OPTION: Shape = text("ResourceHandlingOptionType", (1, 64), "", anything);
pub(super) const ORDERED_ORGANIZATION_POLICY: Shape =
    Shape::Structure(&[opt("ServiceControlPolicyInputList", &SIMULATION_POLICIES)]);
pub(super) const ORGANIZATION_POLICIES: Shape =
    Shape::List { of: &ORDERED_ORGANIZATION_POLICY, min: 0, max: 7 };
pub(super) const OPEN_ID_CONNECT_PROVIDER_URL: Shape =
    text("OpenIDConnectProviderUrlType", (1, 255), "", anything);
pub(super) const CLIENT_ID: Shape = text("clientIDType", (1, 255), "", anything);
pub(super) const CLIENT_IDS: Shape = Shape::List { of: &CLIENT_ID, min: 0, max: ENDLESS };
pub(super) const THUMBPRINT: Shape = text("thumbprintType", (40, 40), "", anything);
pub(super) const THUMBPRINTS: Shape = Shape::List { of: &THUMBPRINT, min: 0, max: ENDLESS };
pub(super) const ASSIGNMENT_STATUS: Shape =
    Shape::Choice { name: "assignmentStatusType", words: &["Assigned", "Unassigned", "Any"] };
pub(super) const SERVICE_NAME: Shape = text("serviceName", (0, ENDLESS), "", anything);
pub(super) const PASSWORD: Shape =
    text("passwordType", (1, 128), r"[\u0009\u000A\u000D\u0020-\u00FF]+", document);
pub(super) const MINIMUM_PASSWORD_LENGTH: Shape =
    Shape::Number { name: "minimumPasswordLengthType", min: 6, max: 128 };
pub(super) const MAX_PASSWORD_AGE: Shape = Shape::Number { name: "maxPasswordAgeType", min: 1, max: 1095 };
pub(super) const PASSWORD_REUSE_PREVENTION: Shape =
    Shape::Number { name: "passwordReusePreventionType", min: 1, max: 24 };
pub(super) const SERIAL_NUMBER: Shape = text("serialNumberType", (9, 256), r"[\w+=/:,.@-]+", serial);
pub(super) const AUTHENTICATION_CODE: Shape = text("authenticationCodeType", (6, 6), r"[\d]+", digits);
pub(super) const VIRTUAL_MFA_DEVICE_NAME: Shape =
    text("virtualMFADeviceName", (1, ENDLESS), r"[\w+=,.@-]+", name);
pub(super) const GRANULARITY: Shape =
    Shape::Choice { name: "AccessAdvisorUsageGranularityType", words: &["SERVICE_LEVEL", "ACTION_LEVEL"] };
pub(super) const JOB_ID: Shape = text("jobIDType", (36, 36), "", anything);
