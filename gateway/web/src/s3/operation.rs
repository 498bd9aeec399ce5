//! The one table of S3's operations: name, IAM action, and what it stands on.
//!
//! The router answers with an [`Operation`], the door asks `decide` with its action, the access log and the metrics carry
//! its name. An operation that the table knows and the door does not do is answered with `NotImplemented`.

use security::decide::Action;

macro_rules! operations {
    ($($name:ident $action:literal;)*) => {
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

            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

operations! {
    AbortMultipartUpload "s3:AbortMultipartUpload";
    CompleteMultipartUpload "s3:PutObject";
    CopyObject "s3:PutObject";
    CorsPreflight "s3:GetBucketCORS";
    CreateBucket "s3:CreateBucket";
    CreateBucketMetadataConfiguration "s3:CreateBucketMetadataTableConfiguration";
    CreateBucketMetadataTableConfiguration "s3:CreateBucketMetadataTableConfiguration";
    CreateMultipartUpload "s3:PutObject";
    CreateSession "s3express:CreateSession";
    DeleteBucket "s3:DeleteBucket";
    DeleteBucketAnalyticsConfiguration "s3:PutAnalyticsConfiguration";
    DeleteBucketCors "s3:PutBucketCORS";
    DeleteBucketEncryption "s3:PutEncryptionConfiguration";
    DeleteBucketIntelligentTieringConfiguration "s3:PutIntelligentTieringConfiguration";
    DeleteBucketInventoryConfiguration "s3:PutInventoryConfiguration";
    DeleteBucketLifecycle "s3:PutLifecycleConfiguration";
    DeleteBucketMetadataConfiguration "s3:DeleteBucketMetadataTableConfiguration";
    DeleteBucketMetadataTableConfiguration "s3:DeleteBucketMetadataTableConfiguration";
    DeleteBucketMetricsConfiguration "s3:PutMetricsConfiguration";
    DeleteBucketOwnershipControls "s3:PutBucketOwnershipControls";
    DeleteBucketPolicy "s3:DeleteBucketPolicy";
    DeleteBucketReplication "s3:PutReplicationConfiguration";
    DeleteBucketTagging "s3:PutBucketTagging";
    DeleteBucketWebsite "s3:DeleteBucketWebsite";
    DeleteObject "s3:DeleteObject";
    DeleteObjectTagging "s3:DeleteObjectTagging";
    DeleteObjects "s3:DeleteObject";
    DeletePublicAccessBlock "s3:PutBucketPublicAccessBlock";
    GetBucketAbac "s3:GetBucketAbac";
    GetBucketAccelerateConfiguration "s3:GetAccelerateConfiguration";
    GetBucketAcl "s3:GetBucketAcl";
    GetBucketAnalyticsConfiguration "s3:GetAnalyticsConfiguration";
    GetBucketCors "s3:GetBucketCORS";
    GetBucketEncryption "s3:GetEncryptionConfiguration";
    GetBucketIntelligentTieringConfiguration "s3:GetIntelligentTieringConfiguration";
    GetBucketInventoryConfiguration "s3:GetInventoryConfiguration";
    GetBucketLifecycleConfiguration "s3:GetLifecycleConfiguration";
    GetBucketLocation "s3:GetBucketLocation";
    GetBucketLogging "s3:GetBucketLogging";
    GetBucketMetadataConfiguration "s3:GetBucketMetadataTableConfiguration";
    GetBucketMetadataTableConfiguration "s3:GetBucketMetadataTableConfiguration";
    GetBucketMetricsConfiguration "s3:GetMetricsConfiguration";
    GetBucketNotificationConfiguration "s3:GetBucketNotification";
    GetBucketOwnershipControls "s3:GetBucketOwnershipControls";
    GetBucketPolicy "s3:GetBucketPolicy";
    GetBucketPolicyStatus "s3:GetBucketPolicyStatus";
    GetBucketReplication "s3:GetReplicationConfiguration";
    GetBucketRequestPayment "s3:GetBucketRequestPayment";
    GetBucketTagging "s3:GetBucketTagging";
    GetBucketVersioning "s3:GetBucketVersioning";
    GetBucketWebsite "s3:GetBucketWebsite";
    GetObject "s3:GetObject";
    GetObjectAcl "s3:GetObjectAcl";
    GetObjectAttributes "s3:GetObjectAttributes";
    GetObjectLegalHold "s3:GetObjectLegalHold";
    GetObjectLockConfiguration "s3:GetBucketObjectLockConfiguration";
    GetObjectRetention "s3:GetObjectRetention";
    GetObjectTagging "s3:GetObjectTagging";
    GetObjectTorrent "s3:GetObjectTorrent";
    GetPublicAccessBlock "s3:GetBucketPublicAccessBlock";
    HeadBucket "s3:ListBucket";
    HeadObject "s3:GetObject";
    ListBucketAnalyticsConfigurations "s3:GetAnalyticsConfiguration";
    ListBucketIntelligentTieringConfigurations "s3:GetIntelligentTieringConfiguration";
    ListBucketInventoryConfigurations "s3:GetInventoryConfiguration";
    ListBucketMetricsConfigurations "s3:GetMetricsConfiguration";
    ListBuckets "s3:ListAllMyBuckets";
    ListMultipartUploads "s3:ListBucketMultipartUploads";
    ListObjectVersions "s3:ListBucketVersions";
    ListObjects "s3:ListBucket";
    ListObjectsV2 "s3:ListBucket";
    ListParts "s3:ListMultipartUploadParts";
    PostObject "s3:PutObject";
    PutBucketAbac "s3:PutBucketAbac";
    PutBucketAccelerateConfiguration "s3:PutAccelerateConfiguration";
    PutBucketAcl "s3:PutBucketAcl";
    PutBucketAnalyticsConfiguration "s3:PutAnalyticsConfiguration";
    PutBucketCors "s3:PutBucketCORS";
    PutBucketEncryption "s3:PutEncryptionConfiguration";
    PutBucketIntelligentTieringConfiguration "s3:PutIntelligentTieringConfiguration";
    PutBucketInventoryConfiguration "s3:PutInventoryConfiguration";
    PutBucketLifecycleConfiguration "s3:PutLifecycleConfiguration";
    PutBucketLogging "s3:PutBucketLogging";
    PutBucketMetricsConfiguration "s3:PutMetricsConfiguration";
    PutBucketNotificationConfiguration "s3:PutBucketNotification";
    PutBucketOwnershipControls "s3:PutBucketOwnershipControls";
    PutBucketPolicy "s3:PutBucketPolicy";
    PutBucketReplication "s3:PutReplicationConfiguration";
    PutBucketRequestPayment "s3:PutBucketRequestPayment";
    PutBucketTagging "s3:PutBucketTagging";
    PutBucketVersioning "s3:PutBucketVersioning";
    PutBucketWebsite "s3:PutBucketWebsite";
    PutObject "s3:PutObject";
    PutObjectAcl "s3:PutObjectAcl";
    PutObjectLegalHold "s3:PutObjectLegalHold";
    PutObjectLockConfiguration "s3:PutBucketObjectLockConfiguration";
    PutObjectRetention "s3:PutObjectRetention";
    PutObjectTagging "s3:PutObjectTagging";
    PutPublicAccessBlock "s3:PutBucketPublicAccessBlock";
    RenameObject "s3:PutObject";
    RestoreObject "s3:RestoreObject";
    SelectObjectContent "s3:GetObject";
    UpdateBucketMetadataInventoryTableConfiguration "s3:UpdateBucketMetadataInventoryTableConfiguration";
    UpdateBucketMetadataJournalTableConfiguration "s3:UpdateBucketMetadataJournalTableConfiguration";
    UpdateObjectEncryption "s3:UpdateObjectEncryption";
    UploadPart "s3:PutObject";
    UploadPartCopy "s3:PutObject";
    WriteGetObjectResponse "s3-object-lambda:WriteGetObjectResponse";
}

#[cfg(test)]
mod tests {
    use super::Operation;

    #[test]
    fn every_operation_names_an_action() {
        assert!(Operation::ALL.len() > 100);
        for operation in Operation::ALL {
            assert!(operation.action().as_str().starts_with("s3"), "{}", operation.name());
        }
        assert_eq!(Operation::GetObject.action().as_str(), "s3:GetObject");
    }
}
