//! What of a call is written into its record: names of parameters and of members of answers. Whatever is on neither list is not written; a test walks
//! the tables of operations, so that a new parameter has to be put on one of them.

/// Parameters that are written, with all below them that is on the list too.
pub(crate) static PARAMETERS: &[&str] = &[
    // IAM and STS.
    "AccessKeyId",
    "AccountAlias",
    "Account",
    "ActionNames",
    "AllUsers",
    "AllowUsersToChangePassword",
    "Arn",
    "AssignmentStatus",
    "AssumeRolePolicyDocument",
    "CallerArn",
    "ClientID",
    "ClientIDList",
    "ContextEntries",
    "ContextKeyName",
    "ContextKeyType",
    "ContextKeyValues",
    "Description",
    "DurationSeconds",
    "EntityFilter",
    "Granularity",
    "GroupName",
    "HardExpiry",
    "InlinePolicyIdentifier",
    "JobId",
    "AttachmentName",
    "AttachmentType",
    "Key",
    "MaxItems",
    "MaxPasswordAge",
    "MaxSessionDuration",
    "MinimumPasswordLength",
    "MinimumSessionTokenSize",
    "Name",
    "NewGroupName",
    "NewPath",
    "NewUserName",
    "OnlyAttached",
    "OpenIDConnectProviderArn",
    "PasswordResetRequired",
    "PasswordReusePrevention",
    "Path",
    "PathPrefix",
    "PermissionsBoundary",
    "PermissionsBoundaryPolicyInputList",
    "Policy",
    "PolicyArn",
    "PolicyArns",
    "PolicyDocument",
    "PolicyInputList",
    "PolicyName",
    "PolicySourceArn",
    "PolicyType",
    "PolicyUsageFilter",
    "ProviderArn",
    "ProviderId",
    "RequireLowercaseCharacters",
    "RequireNumbers",
    "RequireSymbols",
    "RequireUppercaseCharacters",
    "ResourceArns",
    "ResourceHandlingOption",
    "ResourceOwner",
    "ResourcePolicy",
    "RoleArn",
    "RoleName",
    "RoleSessionName",
    "Scope",
    "SerialNumber",
    "ServiceName",
    "SetAsDefault",
    "SourceIdentity",
    "Status",
    "TagKeys",
    "Tags",
    "ThumbprintList",
    "TransitiveTagKeys",
    "Url",
    "UserName",
    "Value",
    "VersionId",
    "VirtualMFADeviceName",
    "arn",
    // KMS.
    "AliasName",
    "BypassPolicyLockoutSafetyCheck",
    "Constraints",
    "CustomKeyStoreId",
    "CustomerMasterKeySpec",
    "DestinationEncryptionAlgorithm",
    "DestinationEncryptionContext",
    "DestinationKeyId",
    "DryRun",
    "DryRunModifiers",
    "EncryptionAlgorithm",
    "EncryptionContext",
    "EncryptionContextEquals",
    "EncryptionContextSubset",
    "ExpirationModel",
    "GrantId",
    "GranteePrincipal",
    "GranteeServicePrincipal",
    "ImportType",
    "IncludeKeyMaterial",
    "KeyAgreementAlgorithm",
    "KeyEncryptionAlgorithm",
    "KeyId",
    "KeyMaterialDescription",
    "KeyMaterialId",
    "KeyPairSpec",
    "KeySpec",
    "KeyUsage",
    "Limit",
    "MacAlgorithm",
    "MessageType",
    "MultiRegion",
    "NumberOfBytes",
    "Operations",
    "Origin",
    "PendingWindowInDays",
    "ResourceOwners",
    "RetiringPrincipal",
    "RetiringServicePrincipal",
    "RotationPeriodInDays",
    "SigningAlgorithm",
    "SourceArn",
    "SourceEncryptionAlgorithm",
    "SourceEncryptionContext",
    "SourceKeyId",
    "TagKey",
    "TagValue",
    "TargetKeyId",
    "ValidTo",
    "WrappingAlgorithm",
    "WrappingKeySpec",
    "XksKeyId",
    // CloudTrail.
    "AdvancedEventSelectors",
    "AttributeKey",
    "AttributeValue",
    "CloudWatchLogsLogGroupArn",
    "CloudWatchLogsRoleArn",
    "DataResources",
    "EnableLogFileValidation",
    "EndTime",
    "EndsWith",
    "Equals",
    "EventCategory",
    "EventSelectors",
    "ExcludeManagementEventSources",
    "Field",
    "FieldSelectors",
    "IncludeGlobalServiceEvents",
    "IncludeManagementEvents",
    "IsMultiRegionTrail",
    "IsOrganizationTrail",
    "KmsKeyId",
    "LookupAttributes",
    "MaxResults",
    "NotEndsWith",
    "NotEquals",
    "NotStartsWith",
    "ReadWriteType",
    "RecursiveLogging",
    "ResourceId",
    "ResourceIdList",
    "S3BucketName",
    "S3KeyPrefix",
    "SnsTopicName",
    "StartTime",
    "StartsWith",
    "TagsList",
    "TrailName",
    "Type",
    "Values",
    "includeShadowTrails",
    "trailNameList",
];

/// Parameters that are not written.
#[cfg(test)]
static HIDDEN: &[&str] = &[
    // Secrets, and what is as good as one: who reads records could ask as somebody else, or open what is enclosed.
    "AttestationDocument",
    "AuthenticationCode1",
    "AuthenticationCode2",
    "ContextAssertion",
    "ExternalId",
    "GrantToken",
    "GrantTokens",
    "ImportToken",
    "NewPassword",
    "OldPassword",
    "Password",
    "ProvidedContexts",
    "TokenCode",
    "WebIdentityToken",
    // What keys are used on, and what comes of it.
    "CiphertextBlob",
    "EncryptedKeyMaterial",
    "Mac",
    "Message",
    "Plaintext",
    "PublicKey",
    "Recipient",
    "Signature",
    // Where a page begins.
    "Marker",
    "NextToken",
    // Not done here.
    "OrderedOrganizationPolicyInputList",
    "PolicyExclusionList",
    "ServiceControlPolicyInputList",
];

/// Members of answers that are written, of what is not only looked at.
pub(crate) static MEMBERS: &[&str] = &[
    // IAM and STS.
    "AccessKey",
    "AccessKeyId",
    "Arn",
    "AssumedRoleId",
    "AssumedRoleUser",
    "AttachmentCount",
    "Audience",
    "CreateDate",
    "Credentials",
    "DefaultVersionId",
    "Description",
    "Expiration",
    "FederatedUser",
    "FederatedUserId",
    "Group",
    "GroupId",
    "GroupName",
    "IsAttachable",
    "JobId",
    "IsDefaultVersion",
    "LoginProfile",
    "MaxSessionDuration",
    "OpenIDConnectProviderArn",
    "PackedPolicySize",
    "PasswordResetRequired",
    "Path",
    "PermissionsBoundary",
    "PermissionsBoundaryArn",
    "PermissionsBoundaryType",
    "Policy",
    "PolicyId",
    "PolicyName",
    "PolicyVersion",
    "Provider",
    "Role",
    "RoleId",
    "RoleName",
    "SerialNumber",
    "SourceIdentity",
    "Status",
    "SubjectFromWebIdentityToken",
    "UpdateDate",
    "User",
    "UserId",
    "UserName",
    "VersionId",
    "VirtualMFADevice",
    // KMS.
    "AWSAccountId",
    "CreationDate",
    "CustomerMasterKeySpec",
    "DeletionDate",
    "Enabled",
    "EncryptionAlgorithms",
    "ExpirationModel",
    "GrantId",
    "KeyId",
    "KeyManager",
    "KeyMaterialId",
    "KeyMetadata",
    "KeySpec",
    "KeyState",
    "KeyUsage",
    "MacAlgorithms",
    "MultiRegion",
    "Origin",
    "PendingWindowInDays",
    "SigningAlgorithms",
    "ValidTo",
    // CloudTrail.
    "AdvancedEventSelectors",
    "DataResources",
    "EndsWith",
    "Equals",
    "EventSelectors",
    "ExcludeManagementEventSources",
    "Field",
    "FieldSelectors",
    "IncludeGlobalServiceEvents",
    "IncludeManagementEvents",
    "IsMultiRegionTrail",
    "IsOrganizationTrail",
    "LogFileValidationEnabled",
    "Name",
    "NotEndsWith",
    "NotEquals",
    "NotStartsWith",
    "ReadWriteType",
    "S3BucketName",
    "S3KeyPrefix",
    "StartsWith",
    "TrailARN",
    "Type",
    "Values",
];

/// Parameters of S3's queries that are written.
pub(crate) static QUERIES: &[&str] = &[
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "attributes",
    "continuation-token",
    "cors",
    "delete",
    "delimiter",
    "encoding-type",
    "encryption",
    "fetch-owner",
    "firn-restore",
    "id",
    "intelligent-tiering",
    "inventory",
    "key-marker",
    "legal-hold",
    "lifecycle",
    "list-type",
    "location",
    "logging",
    "marker",
    "max-buckets",
    "max-directory-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "part-number-marker",
    "partNumber",
    "policy",
    "policyStatus",
    "prefix",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "response-content-type",
    "restore",
    "retention",
    "select",
    "session",
    "start-after",
    "tagging",
    "torrent",
    "upload-id-marker",
    "uploadId",
    "uploads",
    "version-id-marker",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Headers of S3's requests that are written.
pub(crate) static HEADERS: &[&str] = &[
    "x-amz-acl",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-bypass-governance-retention",
    "x-amz-copy-source",
    "x-amz-expected-bucket-owner",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-metadata-directive",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-ownership",
    "x-amz-request-payer",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
    "x-amz-tagging-directive",
    // Glacier's.
    "x-amz-archive-size",
    "x-amz-glacier-version",
    "x-amz-part-size",
];

/// Headers of answers that are written.
pub(crate) static ANSWERED: &[&str] = &[
    "x-amz-archive-id",
    "x-amz-capacity-id",
    "x-amz-delete-marker",
    "x-amz-job-id",
    "x-amz-lock-id",
    "x-amz-multipart-upload-id",
    "x-amz-server-side-encryption",
    "x-amz-version-id",
];

/// Whether a parameter is written.
pub(crate) fn parameter(name: &str) -> bool {
    PARAMETERS.contains(&name)
}

/// Whether a member of an answer is written.
pub(crate) fn member(name: &str) -> bool {
    MEMBERS.contains(&name)
}

/// Whether the message of an error with this code is written: those that tell what is wrong with a value show it.
pub(crate) fn may_quote(code: &str) -> bool {
    let known = [
        "AccessDenied",
        "Bucket",
        "ConcurrentModification",
        "Conflict",
        "Delete",
        "Dependency",
        "Disabled",
        "EntityAlreadyExists",
        "ExpiredToken",
        "IDP",
        "InsufficientS3BucketPolicy",
        "Internal",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "KMSInvalidState",
        "LimitExceeded",
        "MaximumNumberOfTrails",
        "MissingAuthenticationToken",
        "NoSuch",
        "NotFound",
        "NotImplemented",
        "RequestTimeTooSkewed",
        "ResourceNotFound",
        "S3BucketDoesNotExist",
        "ServiceUnavailable",
        "SignatureDoesNotMatch",
        "InvalidSignature",
        "Throttling",
        "TrailAlreadyExists",
        "TrailNotFound",
        "UnrecognizedClient",
        "UnsupportedOperation",
    ];
    known.iter().any(|begin| code.starts_with(begin))
}

/// `UserName` as `userName`, as records have it.
pub(crate) fn lower(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// What is written of an answer in JSON.
pub(crate) fn of_json(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| member(name));
            Value::Object(kept.map(|(name, value)| (lower(name), of_json(value))).collect())
        }
        Value::Array(items) => items.iter().map(of_json).collect(),
        other => other.clone(),
    }
}

/// What is written of an answer in XML.
pub(crate) fn of_xml(element: &crate::xml::Element) -> serde_json::Value {
    use serde_json::Value;
    let children = element.children();
    if children.is_empty() {
        return element.leaf().map_or(Value::Null, Into::into);
    }
    if children.iter().all(|child| child.name() == "member") {
        return children.iter().map(of_xml).collect();
    }
    let kept = children.iter().filter(|child| member(child.name()));
    Value::Object(kept.map(|child| (lower(child.name()), of_xml(child))).collect())
}

#[cfg(test)]
mod tests {
    use super::{HIDDEN, MEMBERS, PARAMETERS};
    use crate::{cloudtrail, iam, json, kms, query, sts};

    fn names_of_json(parameters: &'static [json::shape::Param], names: &mut Vec<&'static str>) {
        fn inner(shape: &'static json::shape::Shape, names: &mut Vec<&'static str>) {
            match shape {
                json::shape::Shape::Structure(members) => names_of_json(members, names),
                json::shape::Shape::List { of, .. } => inner(of, names),
                _ => {}
            }
        }
        for parameter in parameters {
            names.push(parameter.name);
            inner(parameter.shape, names);
        }
    }

    fn names_of_query(parameters: &'static [query::shape::Param], names: &mut Vec<&'static str>) {
        fn inner(shape: &'static query::shape::Shape, names: &mut Vec<&'static str>) {
            match shape {
                query::shape::Shape::Structure(members) => names_of_query(members, names),
                query::shape::Shape::List { of, .. } => inner(of, names),
                _ => {}
            }
        }
        for parameter in parameters {
            names.push(parameter.name);
            inner(parameter.shape, names);
        }
    }

    #[test]
    fn every_parameter_of_every_operation_is_written_or_hidden_and_no_secret_is_written() {
        let mut names = Vec::new();
        for row in kms::SERVICE.rows().chain(cloudtrail::SERVICE.rows()) {
            names_of_json(row.parameters, &mut names);
        }
        for row in iam::SERVICE.rows().chain(sts::SERVICE.rows()) {
            names_of_query(row.parameters, &mut names);
        }
        assert!(names.len() > 200);
        for name in names {
            assert_ne!(
                PARAMETERS.contains(&name),
                HIDDEN.contains(&name),
                "{name} stands on one of the lists"
            );
        }
        let secrets = [
            "Secret",
            "Password",
            "Seed",
            "QRCode",
            "AuthenticationCode",
            "Plaintext",
            "TokenCode",
            "SessionToken",
            "IdentityToken",
            "PrivateKey",
            "Assertion",
            "Blob",
            "ImportToken",
        ];
        // Rules for secrets.
        let rules = [
            "AllowUsersToChangePassword",
            "MaxPasswordAge",
            "MinimumPasswordLength",
            "MinimumSessionTokenSize",
            "PasswordResetRequired",
            "PasswordReusePrevention",
            // Whom a token was about.
            "SubjectFromWebIdentityToken",
        ];
        for name in PARAMETERS.iter().chain(MEMBERS) {
            assert!(!secrets.iter().any(|secret| name.contains(secret)) || rules.contains(name), "{name}");
        }
    }
}
