//! S3's error codes: name, HTTP status and the message S3 sends with it.

use http::StatusCode;

macro_rules! codes {
    (@shown $name:ident) => { stringify!($name) };
    (@shown $name:ident $shown:literal) => { $shown };
    ($($name:ident $status:literal $message:literal $(as $shown:literal)?;)*) => {
        /// An S3 error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Code { $(#[doc = concat!("`", $message, "`")] $name,)* }

        impl Code {
            /// The code as it stands in the error document.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => codes!(@shown $name $($shown)?),)* }
            }

            /// The message S3 sends when there is nothing more particular to say.
            pub(crate) const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }

            const fn number(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    AccessControlListNotSupported 400 "The bucket does not allow ACLs";
    AccessDenied 403 "Access Denied";
    AccessForbidden 403 "CORSResponse: CORS is not enabled for this bucket.";
    BadDigest 400 "The Content-MD5 you specified did not match what we received.";
    BadRequest 400 "An error occurred when parsing the HTTP request.";
    BucketAlreadyExists 409 "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.";
    BucketAlreadyOwnedByYou 409 "Your previous request to create the named bucket succeeded and you already own it.";
    BucketNotEmpty 409 "The bucket you tried to delete is not empty";
    EntityTooLarge 400 "Your proposed upload exceeds the maximum allowed size";
    EntityTooSmall 400 "Your proposed upload is smaller than the minimum allowed size";
    GlacierExpeditedRetrievalNotAvailable 503 "Glacier expedited retrievals are currently not available. Try again later.";
    IdMismatch 400 "Document ID does not match the specified configuration ID.";
    IllegalLocationConstraintException 400 "The specified location constraint is incompatible for the region specific endpoint this request was sent to.";
    IncompleteBody 400 "You did not provide the number of bytes specified by the Content-Length HTTP header";
    InternalError 500 "We encountered an internal error. Please try again.";
    InvalidBucketAclWithObjectOwnership 400 "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
    InvalidArgument 400 "Invalid Argument";
    InvalidBucketName 400 "The specified bucket is not valid.";
    InvalidBucketState 409 "The request is not valid with the current state of the bucket.";
    InvalidEncryptionAlgorithmError 400 "The encryption request you specified is not valid. The valid value is AES256.";
    InvalidDigest 400 "The Content-MD5 you specified was invalid.";
    InvalidObjectState 403 "The operation is not valid for the object's storage class";
    InvalidPart 400 "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
    InvalidPartOrder 400 "The list of parts was not in ascending order. Parts must be ordered by part number.";
    InvalidRedirectLocation 400 "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.";
    InvalidRange 416 "The requested range is not satisfiable";
    InvalidRequest 400 "Invalid Request";
    InvalidTargetBucketForLogging 400 "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group.";
    InvalidTag 400 "The tag provided was not a valid tag.";
    InvalidRetentionPeriod 400 "The default retention period must be 1 to 36500 days or 1 to 100 years.";
    InvalidStorageClass 400 "The storage class you specified is not valid";
    InvalidURI 400 "Couldn't parse the specified URI.";
    KeyTooLongError 400 "Your key is too long";
    KmsDisabled 400 "The key is disabled." as "KMS.DisabledException";
    KmsInvalidCiphertext 400 "The managed key does not open the object's key." as "KMS.InvalidCiphertextException";
    KmsInvalidKeyUsage 400 "The key is not for encryption." as "KMS.InvalidKeyUsageException";
    KmsInvalidState 400 "The key's state does not allow it." as "KMS.KMSInvalidStateException";
    KmsLimitExceeded 400 "A quota of managed keys is used up." as "KMS.LimitExceededException";
    KmsNotFound 400 "There is no such key." as "KMS.NotFoundException";
    MalformedACLError 400 "The ACL that you provided was not well formed or did not validate against our published schema";
    MalformedPolicy 400 "The policy is not valid.";
    MalformedXML 400 "The XML you provided was not well-formed or did not validate against our published schema";
    MaxMessageLengthExceeded 400 "Your request was too big.";
    MetadataTooLarge 400 "Your metadata headers exceed the maximum allowed metadata size";
    MetadataConfigurationNotFound 404 "The metadata configuration does not exist.";
    MethodNotAllowed 405 "The specified method is not allowed against this resource.";
    MissingContentLength 411 "You must provide the Content-Length HTTP header.";
    MissingSecurityHeader 400 "Your request was missing a required header";
    MissingRequestBodyError 400 "Request Body is empty";
    NoSuchBucket 404 "The specified bucket does not exist";
    NoSuchBucketPolicy 404 "The bucket policy does not exist";
    NoSuchConfiguration 404 "The specified configuration does not exist.";
    NoSuchCORSConfiguration 404 "The CORS configuration does not exist";
    NoSuchKey 404 "The specified key does not exist.";
    NoSuchLifecycleConfiguration 404 "The lifecycle configuration does not exist";
    NoSuchObjectLockConfiguration 404 "The specified object does not have a ObjectLock configuration";
    NoSuchPublicAccessBlockConfiguration 404 "The public access block configuration was not found";
    NoSuchTagSet 404 "The TagSet does not exist";
    NoSuchUpload 404 "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    NoSuchVersion 404 "The specified version does not exist.";
    NoSuchWebsiteConfiguration 404 "The specified bucket does not have a website configuration";
    NotImplemented 501 "A header you provided implies functionality that is not implemented";
    NotModified 304 "Not Modified";
    ObjectLockConfigurationNotFoundError 404 "Object Lock configuration does not exist for this bucket";
    OperationAborted 409 "A conflicting conditional operation is currently in progress against this resource. Please try again.";
    OwnershipControlsNotFoundError 404 "The bucket ownership controls were not found";
    PreconditionFailed 412 "At least one of the pre-conditions you specified did not hold";
    QuotaExceeded 403 "The quota of the bucket leaves no room for this write.";
    ReplicationConfigurationNotFoundError 404 "The replication configuration was not found";
    RequestHeaderSectionTooLarge 400 "Your request header section exceeds the maximum allowed size.";
    RequestTimeout 400 "Your socket connection to the server was not read from or written to within the timeout period.";
    RequestURITooLong 414 "The request URI is longer than the server reads.";
    ServiceUnavailable 503 "Service is unable to handle request.";
    RestoreAlreadyInProgress 409 "Object restore is already in progress";
    SlowDown 503 "Please reduce your request rate.";
    StorageFull 507 "The storage has no room left for this request. Delete something or add space.";
    TooManyConfigurations 400 "You are attempting to create a new configuration but have already reached the 1,000-configuration limit.";
    TooManyBuckets 400 "You have attempted to create more buckets than allowed";
    UnexpectedContent 400 "This request does not support content";
    UnresolvableGrantByEmailAddress 400 "The e-mail address you provided does not match any account on record.";
}

/// What the document of an error names, besides its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Nothing,
    Bucket,
    Key,
    Region,
}

impl Code {
    /// What S3 names in a document with this code.
    pub(crate) const fn names(self) -> Names {
        match self {
            Self::NoSuchKey | Self::NoSuchVersion => Names::Key,
            Self::BucketAlreadyExists
            | Self::BucketAlreadyOwnedByYou
            | Self::BucketNotEmpty
            | Self::InvalidBucketName
            | Self::InvalidBucketState
            | Self::MetadataConfigurationNotFound
            | Self::NoSuchBucket
            | Self::NoSuchBucketPolicy
            | Self::NoSuchConfiguration
            | Self::NoSuchCORSConfiguration
            | Self::NoSuchLifecycleConfiguration
            | Self::NoSuchObjectLockConfiguration
            | Self::NoSuchPublicAccessBlockConfiguration
            | Self::NoSuchTagSet
            | Self::NoSuchWebsiteConfiguration
            | Self::ObjectLockConfigurationNotFoundError
            | Self::QuotaExceeded
            | Self::ReplicationConfigurationNotFoundError
            | Self::TooManyBuckets
            | Self::OwnershipControlsNotFoundError => Names::Bucket,
            // What is about nothing but the request.
            _ => Names::Nothing,
        }
    }

    /// The HTTP status that goes with it.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.number()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::Code;
    use http::StatusCode;

    #[test]
    fn every_code_has_a_status_of_its_own_and_a_message() {
        for code in Code::ALL {
            let expected_500 = *code == Code::InternalError;
            assert_eq!(code.status() == StatusCode::INTERNAL_SERVER_ERROR, expected_500, "{code:?}");
            assert!(!code.message().is_empty(), "{code:?}");
        }
        assert_eq!(Code::NoSuchKey.as_str(), "NoSuchKey");
        assert_eq!(Code::InvalidRange.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    }
}
