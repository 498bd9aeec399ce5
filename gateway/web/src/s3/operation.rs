//! The one table of S3's operations: name, IAM action, and what it needs besides.
//!
//! The router answers with an [`Operation`], the door asks `decide` with its action, the access log and the metrics carry
//! its name. An operation that the table knows and the door does not do is answered with `NotImplemented`.

use security::{Action, Permission};

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
    ($($name:ident $action:literal $need:ident;)*) => {
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

            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

operations! {
    AbortMultipartUpload "s3:AbortMultipartUpload" Upload;
    CompleteMultipartUpload "s3:PutObject" UploadWrite;
    CopyObject "s3:PutObject" BucketWrite;
    CorsPreflight "s3:GetBucketCORS" BucketOwner;
    CreateBucket "s3:CreateBucket" Account;
    CreateBucketMetadataConfiguration "s3:CreateBucketMetadataTableConfiguration" BucketOwner;
    CreateBucketMetadataTableConfiguration "s3:CreateBucketMetadataTableConfiguration" BucketOwner;
    CreateMultipartUpload "s3:PutObject" BucketWrite;
    CreateSession "s3express:CreateSession" BucketOwner;
    DeleteBucket "s3:DeleteBucket" BucketOwner;
    DeleteBucketAnalyticsConfiguration "s3:PutAnalyticsConfiguration" BucketOwner;
    DeleteBucketCors "s3:PutBucketCORS" BucketOwner;
    DeleteBucketEncryption "s3:PutEncryptionConfiguration" BucketOwner;
    DeleteBucketIntelligentTieringConfiguration "s3:PutIntelligentTieringConfiguration" BucketOwner;
    DeleteBucketInventoryConfiguration "s3:PutInventoryConfiguration" BucketOwner;
    DeleteBucketLifecycle "s3:PutLifecycleConfiguration" BucketOwner;
    DeleteBucketMetadataConfiguration "s3:DeleteBucketMetadataTableConfiguration" BucketOwner;
    DeleteBucketMetadataTableConfiguration "s3:DeleteBucketMetadataTableConfiguration" BucketOwner;
    DeleteBucketMetricsConfiguration "s3:PutMetricsConfiguration" BucketOwner;
    DeleteBucketOwnershipControls "s3:PutBucketOwnershipControls" BucketOwner;
    DeleteBucketPolicy "s3:DeleteBucketPolicy" BucketOwner;
    DeleteBucketReplication "s3:PutReplicationConfiguration" BucketOwner;
    DeleteBucketTagging "s3:PutBucketTagging" BucketOwner;
    DeleteBucketWebsite "s3:DeleteBucketWebsite" BucketOwner;
    DeleteObject "s3:DeleteObject" BucketWrite;
    DeleteObjectAnnotation "s3:DeleteObjectAnnotation" BucketOwner;
    DeleteObjectTagging "s3:DeleteObjectTagging" BucketOwner;
    DeleteObjects "s3:DeleteObject" BucketWrite;
    DeletePublicAccessBlock "s3:PutBucketPublicAccessBlock" BucketOwner;
    GetBucketAbac "s3:GetBucketAbac" BucketOwner;
    GetBucketAccelerateConfiguration "s3:GetAccelerateConfiguration" BucketOwner;
    GetBucketAcl "s3:GetBucketAcl" BucketReadAcp;
    GetBucketAnalyticsConfiguration "s3:GetAnalyticsConfiguration" BucketOwner;
    GetBucketCors "s3:GetBucketCORS" BucketOwner;
    GetBucketEncryption "s3:GetEncryptionConfiguration" BucketOwner;
    GetBucketIntelligentTieringConfiguration "s3:GetIntelligentTieringConfiguration" BucketOwner;
    GetBucketInventoryConfiguration "s3:GetInventoryConfiguration" BucketOwner;
    GetBucketLifecycleConfiguration "s3:GetLifecycleConfiguration" BucketOwner;
    GetBucketLocation "s3:GetBucketLocation" BucketOwner;
    GetBucketLogging "s3:GetBucketLogging" BucketOwner;
    GetBucketMetadataConfiguration "s3:GetBucketMetadataTableConfiguration" BucketOwner;
    GetBucketMetadataTableConfiguration "s3:GetBucketMetadataTableConfiguration" BucketOwner;
    GetBucketMetricsConfiguration "s3:GetMetricsConfiguration" BucketOwner;
    GetBucketNotificationConfiguration "s3:GetBucketNotification" BucketOwner;
    GetBucketOwnershipControls "s3:GetBucketOwnershipControls" BucketOwner;
    GetBucketPolicy "s3:GetBucketPolicy" BucketOwner;
    GetBucketPolicyStatus "s3:GetBucketPolicyStatus" BucketOwner;
    GetBucketReplication "s3:GetReplicationConfiguration" BucketOwner;
    GetBucketRequestPayment "s3:GetBucketRequestPayment" BucketOwner;
    GetBucketTagging "s3:GetBucketTagging" BucketOwner;
    GetBucketVersioning "s3:GetBucketVersioning" BucketOwner;
    GetBucketWebsite "s3:GetBucketWebsite" BucketOwner;
    GetObject "s3:GetObject" ObjectRead;
    GetObjectAcl "s3:GetObjectAcl" ObjectReadAcp;
    GetObjectAnnotation "s3:GetObjectAnnotation" BucketOwner;
    GetObjectAttributes "s3:GetObjectAttributes" ObjectRead;
    GetObjectLegalHold "s3:GetObjectLegalHold" BucketOwner;
    GetObjectLockConfiguration "s3:GetBucketObjectLockConfiguration" BucketOwner;
    GetObjectRetention "s3:GetObjectRetention" BucketOwner;
    GetObjectTagging "s3:GetObjectTagging" BucketOwner;
    GetObjectTorrent "s3:GetObjectTorrent" BucketOwner;
    GetPublicAccessBlock "s3:GetBucketPublicAccessBlock" BucketOwner;
    HeadBucket "s3:ListBucket" BucketRead;
    HeadObject "s3:GetObject" ObjectRead;
    ListBucketAnalyticsConfigurations "s3:GetAnalyticsConfiguration" BucketOwner;
    ListBucketIntelligentTieringConfigurations "s3:GetIntelligentTieringConfiguration" BucketOwner;
    ListBucketInventoryConfigurations "s3:GetInventoryConfiguration" BucketOwner;
    ListBucketMetricsConfigurations "s3:GetMetricsConfiguration" BucketOwner;
    ListBuckets "s3:ListAllMyBuckets" Account;
    ListDirectoryBuckets "s3express:ListAllMyDirectoryBuckets" Account;
    ListMultipartUploads "s3:ListBucketMultipartUploads" BucketRead;
    ListObjectAnnotations "s3:ListObjectAnnotations" BucketOwner;
    ListObjectVersions "s3:ListBucketVersions" BucketRead;
    ListObjects "s3:ListBucket" BucketRead;
    ListObjectsV2 "s3:ListBucket" BucketRead;
    ListParts "s3:ListMultipartUploadParts" Upload;
    PostObject "s3:PutObject" BucketWrite;
    PutBucketAbac "s3:PutBucketAbac" BucketOwner;
    PutBucketAccelerateConfiguration "s3:PutAccelerateConfiguration" BucketOwner;
    PutBucketAcl "s3:PutBucketAcl" BucketWriteAcp;
    PutBucketAnalyticsConfiguration "s3:PutAnalyticsConfiguration" BucketOwner;
    PutBucketCors "s3:PutBucketCORS" BucketOwner;
    PutBucketEncryption "s3:PutEncryptionConfiguration" BucketOwner;
    PutBucketIntelligentTieringConfiguration "s3:PutIntelligentTieringConfiguration" BucketOwner;
    PutBucketInventoryConfiguration "s3:PutInventoryConfiguration" BucketOwner;
    PutBucketLifecycleConfiguration "s3:PutLifecycleConfiguration" BucketOwner;
    PutBucketLogging "s3:PutBucketLogging" BucketOwner;
    PutBucketMetricsConfiguration "s3:PutMetricsConfiguration" BucketOwner;
    PutBucketNotificationConfiguration "s3:PutBucketNotification" BucketOwner;
    PutBucketOwnershipControls "s3:PutBucketOwnershipControls" BucketOwner;
    PutBucketPolicy "s3:PutBucketPolicy" BucketOwner;
    PutBucketReplication "s3:PutReplicationConfiguration" BucketOwner;
    PutBucketRequestPayment "s3:PutBucketRequestPayment" BucketOwner;
    PutBucketTagging "s3:PutBucketTagging" BucketOwner;
    PutBucketVersioning "s3:PutBucketVersioning" BucketOwner;
    PutBucketWebsite "s3:PutBucketWebsite" BucketOwner;
    PutObject "s3:PutObject" BucketWrite;
    PutObjectAcl "s3:PutObjectAcl" ObjectWriteAcp;
    PutObjectAnnotation "s3:PutObjectAnnotation" BucketOwner;
    PutObjectLegalHold "s3:PutObjectLegalHold" BucketOwner;
    PutObjectLockConfiguration "s3:PutBucketObjectLockConfiguration" BucketOwner;
    PutObjectRetention "s3:PutObjectRetention" BucketOwner;
    PutObjectTagging "s3:PutObjectTagging" BucketOwner;
    PutPublicAccessBlock "s3:PutBucketPublicAccessBlock" BucketOwner;
    RenameObject "s3:PutObject" BucketOwner;
    RestoreObject "s3:RestoreObject" BucketOwner;
    SelectObjectContent "s3:GetObject" BucketOwner;
    UpdateBucketMetadataAnnotationTableConfiguration "s3:UpdateBucketMetadataAnnotationTableConfiguration" BucketOwner;
    UpdateBucketMetadataInventoryTableConfiguration "s3:UpdateBucketMetadataInventoryTableConfiguration" BucketOwner;
    UpdateBucketMetadataJournalTableConfiguration "s3:UpdateBucketMetadataJournalTableConfiguration" BucketOwner;
    UpdateObjectEncryption "s3:UpdateObjectEncryption" BucketOwner;
    UploadPart "s3:PutObject" UploadWrite;
    UploadPartCopy "s3:PutObject" UploadWrite;
    WriteGetObjectResponse "s3-object-lambda:WriteGetObjectResponse" Account;
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
