//! The one table of S3's operations: name, IAM action, what it needs besides, and the kind of resource that a policy names.
//!
//! The router answers with an [`Operation`], the door asks `decide` with its action, the access log and the metrics carry
//! its name. An operation that the table knows and the door does not do is answered with `NotImplemented`. What is asked for besides,
//! and the condition keys, stand in `operation_keys.rs`; docs/s3-actions.md is made of both.

use security::{Action, Permission};

/// What the ARN in a policy names that an operation's action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing that has a policy: the service as an account has it.
    Account,
    /// `arn:aws:s3:::BUCKET`
    Bucket,
    /// `arn:aws:s3:::BUCKET/KEY`
    Object,
}

/// What an operation needs besides its action: whose it is, or which permission of which access list grants it. Source: the
/// mapping of permissions to actions in "Access control list (ACL) overview" of the S3 user guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// An account, for what is the account's own.
    Account,
    /// To own the bucket. No list grants it.
    BucketOwner,
    /// READ on the bucket.
    BucketRead,
    /// WRITE on the bucket.
    BucketWrite,
    /// `READ_ACP` on the bucket.
    BucketReadAcp,
    /// `WRITE_ACP` on the bucket.
    BucketWriteAcp,
    /// READ on the object.
    ObjectRead,
    /// `READ_ACP` on the object.
    ObjectReadAcp,
    /// `WRITE_ACP` on the object.
    ObjectWriteAcp,
    /// To have begun the upload, or to own the bucket.
    Upload,
    /// The same, and WRITE on the bucket.
    UploadWrite,
}

impl Need {
    /// The permission of a list that grants it; `None` where none can.
    pub(crate) const fn permission(self) -> Option<Permission> {
        match self {
            Self::Account | Self::BucketOwner | Self::Upload => None,
            Self::BucketRead | Self::ObjectRead => Some(Permission::Read),
            Self::BucketWrite | Self::UploadWrite => Some(Permission::Write),
            Self::BucketReadAcp | Self::ObjectReadAcp => Some(Permission::ReadAcp),
            Self::BucketWriteAcp | Self::ObjectWriteAcp => Some(Permission::WriteAcp),
        }
    }
}

macro_rules! operations {
    ($($name:ident $action:literal $need:ident $kind:ident;)*) => {
        /// An S3 operation, by its API name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Operation { $(#[doc = concat!("`", $action, "`")] $name,)* }

        impl Operation {
            /// The API's name: `GetObject`.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The IAM action that a policy names: `s3:GetObject`.
            pub(crate) const fn action(self) -> Action {
                match self { $(Self::$name => Action::new($action),)* }
            }

            /// What it needs besides.
            pub(crate) const fn need(self) -> Need {
                match self { $(Self::$name => Need::$need,)* }
            }

            /// What its action is about.
            pub(crate) const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// All of them, by name.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

operations! {
    AbortMultipartUpload "s3:AbortMultipartUpload" Upload Object;
    CompleteMultipartUpload "s3:PutObject" UploadWrite Object;
    CopyObject "s3:PutObject" BucketWrite Object;
    CorsPreflight "s3:GetBucketCORS" BucketOwner Bucket;
    CreateBucket "s3:CreateBucket" Account Bucket;
    CreateBucketMetadataConfiguration "s3:CreateBucketMetadataTableConfiguration" BucketOwner Bucket;
    CreateBucketMetadataTableConfiguration "s3:CreateBucketMetadataTableConfiguration" BucketOwner Bucket;
    CreateMultipartUpload "s3:PutObject" BucketWrite Object;
    CreateSession "s3express:CreateSession" BucketOwner Bucket;
    DeleteBucket "s3:DeleteBucket" BucketOwner Bucket;
    DeleteBucketAnalyticsConfiguration "s3:PutAnalyticsConfiguration" BucketOwner Bucket;
    DeleteBucketCors "s3:PutBucketCORS" BucketOwner Bucket;
    DeleteBucketEncryption "s3:PutEncryptionConfiguration" BucketOwner Bucket;
    DeleteBucketIntelligentTieringConfiguration "s3:PutIntelligentTieringConfiguration" BucketOwner Bucket;
    DeleteBucketInventoryConfiguration "s3:PutInventoryConfiguration" BucketOwner Bucket;
    DeleteBucketLifecycle "s3:PutLifecycleConfiguration" BucketOwner Bucket;
    DeleteBucketMetadataConfiguration "s3:DeleteBucketMetadataTableConfiguration" BucketOwner Bucket;
    DeleteBucketMetadataTableConfiguration "s3:DeleteBucketMetadataTableConfiguration" BucketOwner Bucket;
    DeleteBucketMetricsConfiguration "s3:PutMetricsConfiguration" BucketOwner Bucket;
    DeleteBucketOwnershipControls "s3:PutBucketOwnershipControls" BucketOwner Bucket;
    DeleteBucketPolicy "s3:DeleteBucketPolicy" BucketOwner Bucket;
    DeleteBucketReplication "s3:PutReplicationConfiguration" BucketOwner Bucket;
    DeleteBucketTagging "s3:PutBucketTagging" BucketOwner Bucket;
    DeleteBucketWebsite "s3:DeleteBucketWebsite" BucketOwner Bucket;
    DeleteObject "s3:DeleteObject" BucketWrite Object;
    DeleteObjectAnnotation "s3:DeleteObjectAnnotation" BucketOwner Object;
    DeleteObjectTagging "s3:DeleteObjectTagging" BucketOwner Object;
    DeleteObjects "s3:DeleteObject" BucketWrite Object;
    DeletePublicAccessBlock "s3:PutBucketPublicAccessBlock" BucketOwner Bucket;
    GetBucketAbac "s3:GetBucketAbac" BucketOwner Bucket;
    GetBucketAccelerateConfiguration "s3:GetAccelerateConfiguration" BucketOwner Bucket;
    GetBucketAcl "s3:GetBucketAcl" BucketReadAcp Bucket;
    GetBucketAnalyticsConfiguration "s3:GetAnalyticsConfiguration" BucketOwner Bucket;
    GetBucketCors "s3:GetBucketCORS" BucketOwner Bucket;
    GetBucketEncryption "s3:GetEncryptionConfiguration" BucketOwner Bucket;
    GetBucketIntelligentTieringConfiguration "s3:GetIntelligentTieringConfiguration" BucketOwner Bucket;
    GetBucketInventoryConfiguration "s3:GetInventoryConfiguration" BucketOwner Bucket;
    GetBucketLifecycleConfiguration "s3:GetLifecycleConfiguration" BucketOwner Bucket;
    GetBucketLocation "s3:GetBucketLocation" BucketOwner Bucket;
    GetBucketLogging "s3:GetBucketLogging" BucketOwner Bucket;
    GetBucketMetadataConfiguration "s3:GetBucketMetadataTableConfiguration" BucketOwner Bucket;
    GetBucketMetadataTableConfiguration "s3:GetBucketMetadataTableConfiguration" BucketOwner Bucket;
    GetBucketMetricsConfiguration "s3:GetMetricsConfiguration" BucketOwner Bucket;
    GetBucketNotificationConfiguration "s3:GetBucketNotification" BucketOwner Bucket;
    GetBucketOwnershipControls "s3:GetBucketOwnershipControls" BucketOwner Bucket;
    GetBucketPolicy "s3:GetBucketPolicy" BucketOwner Bucket;
    GetBucketPolicyStatus "s3:GetBucketPolicyStatus" BucketOwner Bucket;
    GetBucketReplication "s3:GetReplicationConfiguration" BucketOwner Bucket;
    GetBucketRequestPayment "s3:GetBucketRequestPayment" BucketOwner Bucket;
    GetBucketTagging "s3:GetBucketTagging" BucketOwner Bucket;
    GetBucketVersioning "s3:GetBucketVersioning" BucketOwner Bucket;
    GetBucketWebsite "s3:GetBucketWebsite" BucketOwner Bucket;
    GetObject "s3:GetObject" ObjectRead Object;
    GetObjectAcl "s3:GetObjectAcl" ObjectReadAcp Object;
    GetObjectAnnotation "s3:GetObjectAnnotation" BucketOwner Object;
    GetObjectAttributes "s3:GetObjectAttributes" ObjectRead Object;
    GetObjectLegalHold "s3:GetObjectLegalHold" BucketOwner Object;
    GetObjectLockConfiguration "s3:GetBucketObjectLockConfiguration" BucketOwner Bucket;
    GetObjectRetention "s3:GetObjectRetention" BucketOwner Object;
    GetObjectTagging "s3:GetObjectTagging" BucketOwner Object;
    GetObjectTorrent "s3:GetObjectTorrent" BucketOwner Object;
    GetPublicAccessBlock "s3:GetBucketPublicAccessBlock" BucketOwner Bucket;
    HeadBucket "s3:ListBucket" BucketRead Bucket;
    HeadObject "s3:GetObject" ObjectRead Object;
    ListBucketAnalyticsConfigurations "s3:GetAnalyticsConfiguration" BucketOwner Bucket;
    ListBucketIntelligentTieringConfigurations "s3:GetIntelligentTieringConfiguration" BucketOwner Bucket;
    ListBucketInventoryConfigurations "s3:GetInventoryConfiguration" BucketOwner Bucket;
    ListBucketMetricsConfigurations "s3:GetMetricsConfiguration" BucketOwner Bucket;
    ListBuckets "s3:ListAllMyBuckets" Account Account;
    ListDirectoryBuckets "s3express:ListAllMyDirectoryBuckets" Account Account;
    ListMultipartUploads "s3:ListBucketMultipartUploads" BucketRead Bucket;
    ListObjectAnnotations "s3:ListObjectAnnotations" BucketOwner Object;
    ListObjectVersions "s3:ListBucketVersions" BucketRead Bucket;
    ListObjects "s3:ListBucket" BucketRead Bucket;
    ListObjectsV2 "s3:ListBucket" BucketRead Bucket;
    ListParts "s3:ListMultipartUploadParts" Upload Object;
    PostObject "s3:PutObject" BucketWrite Object;
    PutBucketAbac "s3:PutBucketAbac" BucketOwner Bucket;
    PutBucketAccelerateConfiguration "s3:PutAccelerateConfiguration" BucketOwner Bucket;
    PutBucketAcl "s3:PutBucketAcl" BucketWriteAcp Bucket;
    PutBucketAnalyticsConfiguration "s3:PutAnalyticsConfiguration" BucketOwner Bucket;
    PutBucketCors "s3:PutBucketCORS" BucketOwner Bucket;
    PutBucketEncryption "s3:PutEncryptionConfiguration" BucketOwner Bucket;
    PutBucketIntelligentTieringConfiguration "s3:PutIntelligentTieringConfiguration" BucketOwner Bucket;
    PutBucketInventoryConfiguration "s3:PutInventoryConfiguration" BucketOwner Bucket;
    PutBucketLifecycleConfiguration "s3:PutLifecycleConfiguration" BucketOwner Bucket;
    PutBucketLogging "s3:PutBucketLogging" BucketOwner Bucket;
    PutBucketMetricsConfiguration "s3:PutMetricsConfiguration" BucketOwner Bucket;
    PutBucketNotificationConfiguration "s3:PutBucketNotification" BucketOwner Bucket;
    PutBucketOwnershipControls "s3:PutBucketOwnershipControls" BucketOwner Bucket;
    PutBucketPolicy "s3:PutBucketPolicy" BucketOwner Bucket;
    PutBucketReplication "s3:PutReplicationConfiguration" BucketOwner Bucket;
    PutBucketRequestPayment "s3:PutBucketRequestPayment" BucketOwner Bucket;
    PutBucketTagging "s3:PutBucketTagging" BucketOwner Bucket;
    PutBucketVersioning "s3:PutBucketVersioning" BucketOwner Bucket;
    PutBucketWebsite "s3:PutBucketWebsite" BucketOwner Bucket;
    PutObject "s3:PutObject" BucketWrite Object;
    PutObjectAcl "s3:PutObjectAcl" ObjectWriteAcp Object;
    PutObjectAnnotation "s3:PutObjectAnnotation" BucketOwner Object;
    PutObjectLegalHold "s3:PutObjectLegalHold" BucketOwner Object;
    PutObjectLockConfiguration "s3:PutBucketObjectLockConfiguration" BucketOwner Bucket;
    PutObjectRetention "s3:PutObjectRetention" BucketOwner Object;
    PutObjectTagging "s3:PutObjectTagging" BucketOwner Object;
    PutPublicAccessBlock "s3:PutBucketPublicAccessBlock" BucketOwner Bucket;
    RenameObject "s3:PutObject" BucketOwner Object;
    RestoreObject "s3:RestoreObject" BucketOwner Object;
    SelectObjectContent "s3:GetObject" BucketOwner Object;
    UpdateBucketMetadataAnnotationTableConfiguration "s3:UpdateBucketMetadataAnnotationTableConfiguration" BucketOwner Bucket;
    UpdateBucketMetadataInventoryTableConfiguration "s3:UpdateBucketMetadataInventoryTableConfiguration" BucketOwner Bucket;
    UpdateBucketMetadataJournalTableConfiguration "s3:UpdateBucketMetadataJournalTableConfiguration" BucketOwner Bucket;
    UpdateObjectEncryption "s3:UpdateObjectEncryption" BucketOwner Object;
    UploadPart "s3:PutObject" UploadWrite Object;
    UploadPartCopy "s3:PutObject" UploadWrite Object;
    WriteGetObjectResponse "s3-object-lambda:WriteGetObjectResponse" Account Account;
}

impl Operation {
    /// The action of a request that names a version, or does not: S3 has an action of its own for a version's.
    pub(crate) const fn action_of(self, versioned: bool) -> Action {
        match (self, versioned) {
            (Self::GetObject | Self::HeadObject, true) => Action::new("s3:GetObjectVersion"),
            (Self::GetObjectAcl, true) => Action::new("s3:GetObjectVersionAcl"),
            (Self::PutObjectAcl, true) => Action::new("s3:PutObjectVersionAcl"),
            (Self::GetObjectAttributes, true) => Action::new("s3:GetObjectVersionAttributes"),
            (Self::GetObjectTagging, true) => Action::new("s3:GetObjectVersionTagging"),
            (Self::PutObjectTagging, true) => Action::new("s3:PutObjectVersionTagging"),
            (Self::DeleteObjectTagging, true) => Action::new("s3:DeleteObjectVersionTagging"),
            (Self::DeleteObject, true) => Action::new("s3:DeleteObjectVersion"),
            _ => self.action(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Need, Operation};

    #[test]
    fn every_operation_names_an_action() {
        assert!(Operation::ALL.len() > 100);
        for operation in Operation::ALL {
            assert!(operation.action().as_str().starts_with("s3"), "{}", operation.name());
        }
    }

    #[test]
    fn what_is_done_to_a_named_version_has_an_action_of_its_own() {
        let own = [
            (Operation::GetObject, "s3:GetObject", "s3:GetObjectVersion"),
            (Operation::HeadObject, "s3:GetObject", "s3:GetObjectVersion"),
            (Operation::GetObjectAcl, "s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
            (Operation::PutObjectAcl, "s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
            (Operation::GetObjectAttributes, "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"),
            (Operation::GetObjectTagging, "s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
            (Operation::PutObjectTagging, "s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
            (Operation::DeleteObjectTagging, "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"),
            (Operation::DeleteObject, "s3:DeleteObject", "s3:DeleteObjectVersion"),
        ];
        for operation in Operation::ALL {
            let (plain, versioned) = (operation.action_of(false), operation.action_of(true));
            assert_eq!(plain, operation.action());
            match own.iter().find(|(with_own, ..)| with_own == operation) {
                Some((_, one, other)) => assert_eq!((plain.as_str(), versioned.as_str()), (*one, *other)),
                None => assert_eq!(plain, versioned, "{}", operation.name()),
            }
        }
    }

    #[test]
    fn no_list_grants_what_is_the_owners() {
        for operation in Operation::ALL {
            let name = operation.name();
            // Whatever is set on a bucket, lists and the ownership that switches them off aside, is for its owner alone.
            let configures =
                name.contains("Configuration") || name.contains("Policy") || name.contains("Controls");
            if configures
                || name.contains("PublicAccess")
                || name.contains("Retention")
                || name == "DeleteBucket"
            {
                assert_eq!(operation.need(), Need::BucketOwner, "{name}");
            }
            if operation.need().permission().is_none() {
                assert!(
                    matches!(operation.need(), Need::Account | Need::BucketOwner | Need::Upload),
                    "{name}"
                );
            }
        }
    }
}
