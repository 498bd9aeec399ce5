//! Policies as people write them: of AWS's own examples the kinds, of the sizes that are usual.
//!
//! Ten of identities (5 to 15 statements each, 92 together), a boundary, a session's and a bucket's.

/// Names and documents of what is attached to the user and to the role.
pub(crate) const MANAGED: [(&str, &str); 10] = [
    ("guardrails", GUARDRAILS),
    ("self-service", SELF_SERVICE),
    ("home", HOME),
    ("keys", KEYS),
    ("ingest", INGEST),
    ("by-tags", BY_TAGS),
    ("bucket-care", BUCKET_CARE),
    ("archives", ARCHIVES),
    ("other-services", OTHER_SERVICES),
    ("datasets", DATASETS),
];

/// Denies what nobody may: 6 statements.
const GUARDRAILS: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"OnlyTls","Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},
{"Sid":"OnlyFromHere","Effect":"Deny","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":
 ["10.0.0.0/8","172.16.0.0/12","192.168.0.0/16","2001:db8::/32"]},"Bool":{"aws:ViaAWSService":"false"}}},
{"Sid":"NoTrailChanges","Effect":"Deny","Action":["cloudtrail:StopLogging","cloudtrail:DeleteTrail","cloudtrail:UpdateTrail",
 "cloudtrail:PutEventSelectors"],"Resource":"*"},
{"Sid":"NoKeyDeletion","Effect":"Deny","Action":["kms:ScheduleKeyDeletion","kms:DisableKey","kms:DeleteImportedKeyMaterial"],
 "Resource":"arn:aws:kms:*:111122223333:key/*"},
{"Sid":"NoBypass","Effect":"Deny","Action":["s3:BypassGovernanceRetention","s3:PutBucketObjectLockConfiguration"],"Resource":"*"},
{"Sid":"SecondFactor","Effect":"Deny","NotAction":["iam:CreateVirtualMFADevice","iam:EnableMFADevice","iam:ListMFADevices",
 "iam:ResyncMFADevice","sts:GetSessionToken","sts:AssumeRole","s3:Get*","s3:List*","s3:Put*","s3:Delete*","s3:AbortMultipartUpload","kms:*"],"Resource":"*",
 "Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}]}"#;

/// AWS's "manage your own credentials": 9 statements.
const SELF_SERVICE: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"ViewAccount","Effect":"Allow","Action":["iam:GetAccountPasswordPolicy","iam:ListVirtualMFADevices","iam:ListUsers"],"Resource":"*"},
{"Sid":"OwnPassword","Effect":"Allow","Action":["iam:ChangePassword","iam:GetUser","iam:GetLoginProfile","iam:UpdateLoginProfile"],
 "Resource":"arn:aws:iam::*:user/${aws:username}"},
{"Sid":"OwnKeys","Effect":"Allow","Action":["iam:CreateAccessKey","iam:DeleteAccessKey","iam:ListAccessKeys","iam:UpdateAccessKey",
 "iam:GetAccessKeyLastUsed"],"Resource":"arn:aws:iam::*:user/${aws:username}"},
{"Sid":"OwnCertificates","Effect":"Allow","Action":["iam:DeleteSigningCertificate","iam:ListSigningCertificates",
 "iam:UpdateSigningCertificate","iam:UploadSigningCertificate"],"Resource":"arn:aws:iam::*:user/${aws:username}"},
{"Sid":"OwnSshKeys","Effect":"Allow","Action":["iam:DeleteSSHPublicKey","iam:GetSSHPublicKey","iam:ListSSHPublicKeys",
 "iam:UpdateSSHPublicKey","iam:UploadSSHPublicKey"],"Resource":"arn:aws:iam::*:user/${aws:username}"},
{"Sid":"OwnDevice","Effect":"Allow","Action":["iam:CreateVirtualMFADevice"],"Resource":"arn:aws:iam::*:mfa/*"},
{"Sid":"OwnDevices","Effect":"Allow","Action":["iam:DeactivateMFADevice","iam:EnableMFADevice","iam:ListMFADevices","iam:ResyncMFADevice"],
 "Resource":"arn:aws:iam::*:user/${aws:username}"},
{"Sid":"OwnTags","Effect":"Allow","Action":["iam:ListUserTags"],"Resource":"arn:aws:iam::*:user/${aws:username}"},
{"Sid":"Roles","Effect":"Allow","Action":"sts:AssumeRole","Resource":["arn:aws:iam::111122223333:role/analyst-*",
 "arn:aws:iam::444455556666:role/shared/reader"]}]}"#;

/// A home of one's own in a shared bucket: 7 statements.
const HOME: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"Console","Effect":"Allow","Action":["s3:GetBucketLocation","s3:ListAllMyBuckets"],"Resource":"*"},
{"Sid":"ListRoot","Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::corp-homes","Condition":{"StringEquals":
 {"s3:prefix":["","home/"],"s3:delimiter":["/"]}}},
{"Sid":"ListOwn","Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::corp-homes","Condition":{"StringLike":
 {"s3:prefix":["home/${aws:username}/*","home/${aws:username}"]}}},
{"Sid":"Own","Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion","s3:PutObject","s3:DeleteObject","s3:GetObjectTagging",
 "s3:PutObjectTagging","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"Resource":"arn:aws:s3:::corp-homes/home/${aws:username}/*"},
{"Sid":"Team","Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],
 "Resource":"arn:aws:s3:::corp-homes/teams/${aws:PrincipalTag/team}/*"},
{"Sid":"Public","Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::corp-homes/public/*","arn:aws:s3:::corp-www/*"]},
{"Sid":"NoPrograms","Effect":"Deny","Action":"s3:PutObject","Resource":["arn:aws:s3:::corp-homes/*.exe","arn:aws:s3:::corp-homes/*.dll"]}]}"#;

/// Use of managed keys: 8 statements.
const KEYS: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"Look","Effect":"Allow","Action":["kms:ListAliases","kms:ListKeys"],"Resource":"*"},
{"Sid":"Describe","Effect":"Allow","Action":["kms:DescribeKey","kms:GetKeyPolicy","kms:GetKeyRotationStatus","kms:ListGrants",
 "kms:ListResourceTags"],"Resource":"arn:aws:kms:*:111122223333:key/*"},
{"Sid":"ThroughS3","Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"arn:aws:kms:us-east-1:111122223333:key/*",
 "Condition":{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com","kms:CallerAccount":"111122223333"}}},
{"Sid":"OfOneContext","Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*"],
 "Resource":["arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
 "Condition":{"StringEquals":{"kms:EncryptionContext:project":["apollo","gemini"]}}},
{"Sid":"ByAlias","Effect":"Allow","Action":"kms:GenerateDataKey","Resource":"arn:aws:kms:*:111122223333:key/*",
 "Condition":{"ForAnyValue:StringLike":{"kms:ResourceAliases":["alias/team-*","alias/shared"]}}},
{"Sid":"Sign","Effect":"Allow","Action":["kms:Sign","kms:Verify","kms:GetPublicKey"],"Resource":"arn:aws:kms:*:111122223333:key/*",
 "Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}},
{"Sid":"GrantsForServices","Effect":"Allow","Action":["kms:CreateGrant","kms:RevokeGrant"],"Resource":"*",
 "Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}},
{"Sid":"NotElsewhere","Effect":"Deny","Action":"kms:*","Resource":"*","Condition":{"StringNotEqualsIfExists":
 {"aws:RequestedRegion":["us-east-1","eu-central-1"]}}}]}"#;

/// What comes in: 10 statements.
const INGEST: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"List","Effect":"Allow","Action":["s3:ListBucket","s3:ListBucketMultipartUploads","s3:GetBucketLocation"],
 "Resource":["arn:aws:s3:::ingest-eu","arn:aws:s3:::ingest-us"]},
{"Sid":"Put","Effect":"Allow","Action":["s3:PutObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],
 "Resource":["arn:aws:s3:::ingest-eu/*","arn:aws:s3:::ingest-us/*"]},
{"Sid":"OnlyEncrypted","Effect":"Deny","Action":"s3:PutObject","Resource":["arn:aws:s3:::ingest-eu/*","arn:aws:s3:::ingest-us/*"],
 "Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}},
{"Sid":"OnlyByThatKey","Effect":"Deny","Action":"s3:PutObject","Resource":["arn:aws:s3:::ingest-eu/*","arn:aws:s3:::ingest-us/*"],
 "Condition":{"ArnNotEqualsIfExists":{"s3:x-amz-server-side-encryption-aws-kms-key-id":
 "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}}},
{"Sid":"NoLists","Effect":"Deny","Action":["s3:PutObject","s3:PutObjectAcl"],"Resource":"*","Condition":{"StringEquals":
 {"s3:x-amz-acl":["public-read","public-read-write","authenticated-read"]}}},
{"Sid":"ByClass","Effect":"Deny","Action":"s3:PutObject","Resource":"arn:aws:s3:::ingest-*/*","Condition":{"StringNotEqualsIfExists":
 {"s3:x-amz-storage-class":["STANDARD","STANDARD_IA","GLACIER"]}}},
{"Sid":"ByTag","Effect":"Allow","Action":"s3:PutObjectTagging","Resource":"arn:aws:s3:::ingest-*/*","Condition":
 {"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["source","batch","owner"]}}},
{"Sid":"Copies","Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::ingest-done/*","Condition":{"StringLike":
 {"s3:x-amz-copy-source":["/ingest-eu/*","/ingest-us/*"]}}},
{"Sid":"Daily","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::ingest-??/daily/20??-??-??/*.parquet"},
{"Sid":"Clean","Effect":"Allow","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::ingest-*/tmp/*","Condition":{"DateLessThan":
 {"aws:CurrentTime":"2027-01-01T00:00:00Z"}}}]}"#;

/// By tags of who asks and of what there is: 8 statements.
const BY_TAGS: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"SameTeam","Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::shared-*/*",
 "Condition":{"StringEquals":{"s3:ExistingObjectTag/team":"${aws:PrincipalTag/team}"}}},
{"Sid":"NotSecret","Effect":"Deny","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"*","Condition":
 {"StringEquals":{"s3:ExistingObjectTag/classification":["secret","top-secret"]},
  "StringNotEquals":{"aws:PrincipalTag/clearance":"secret"}}},
{"Sid":"OwnCosts","Effect":"Allow","Action":["s3:PutObject","s3:PutObjectTagging"],"Resource":"arn:aws:s3:::shared-*/*","Condition":
 {"StringEquals":{"s3:RequestObjectTag/cost-center":"${aws:PrincipalTag/cost-center}"}}},
{"Sid":"NoOtherTags","Effect":"Deny","Action":"s3:PutObjectTagging","Resource":"arn:aws:s3:::shared-*/*","Condition":
 {"ForAnyValue:StringNotEquals":{"s3:RequestObjectTagKeys":["team","cost-center","classification"]}}},
{"Sid":"VaultsOfTeam","Effect":"Allow","Action":["glacier:InitiateJob","glacier:GetJobOutput","glacier:DescribeJob"],
 "Resource":"arn:aws:glacier:*:111122223333:vaults/*","Condition":{"StringEquals":
 {"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}},
{"Sid":"UsersOfTeam","Effect":"Allow","Action":["iam:GetUser","iam:ListUserTags"],"Resource":"arn:aws:iam::111122223333:user/*",
 "Condition":{"StringEquals":{"iam:ResourceTag/team":"${aws:PrincipalTag/team}"}}},
{"Sid":"TagSessions","Effect":"Allow","Action":["sts:TagSession","sts:AssumeRole"],"Resource":"arn:aws:iam::111122223333:role/team/*",
 "Condition":{"StringLike":{"aws:RequestTag/team":"${aws:PrincipalTag/team, 'none'}"}}},
{"Sid":"NoRetag","Effect":"Deny","Action":["iam:TagUser","iam:UntagUser","iam:TagRole","iam:UntagRole"],"Resource":"*"}]}"#;

/// Settings of buckets: 12 statements.
const BUCKET_CARE: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"Read","Effect":"Allow","Action":["s3:GetBucketAcl","s3:GetBucketCORS","s3:GetBucketLogging","s3:GetBucketNotification",
 "s3:GetBucketPolicy","s3:GetBucketPolicyStatus","s3:GetBucketPublicAccessBlock","s3:GetBucketTagging","s3:GetBucketVersioning",
 "s3:GetBucketWebsite","s3:GetEncryptionConfiguration","s3:GetInventoryConfiguration","s3:GetLifecycleConfiguration",
 "s3:GetReplicationConfiguration"],"Resource":"arn:aws:s3:::*"},
{"Sid":"Lifecycle","Effect":"Allow","Action":["s3:PutLifecycleConfiguration","s3:PutInventoryConfiguration"],
 "Resource":["arn:aws:s3:::ingest-*","arn:aws:s3:::shared-*","arn:aws:s3:::corp-www"]},
{"Sid":"Cors","Effect":"Allow","Action":"s3:PutBucketCORS","Resource":"arn:aws:s3:::corp-www"},
{"Sid":"Site","Effect":"Allow","Action":["s3:PutBucketWebsite","s3:DeleteBucketWebsite"],"Resource":"arn:aws:s3:::corp-www"},
{"Sid":"Site2","Effect":"Allow","Action":["s3:PutObject","s3:DeleteObject","s3:ListBucket"],"Resource":["arn:aws:s3:::corp-www",
 "arn:aws:s3:::corp-www/*"]},
{"Sid":"Tagging","Effect":"Allow","Action":"s3:PutBucketTagging","Resource":["arn:aws:s3:::ingest-*","arn:aws:s3:::shared-*"]},
{"Sid":"Versioning","Effect":"Allow","Action":"s3:PutBucketVersioning","Resource":"arn:aws:s3:::*","Condition":{"StringEquals":
 {"aws:ResourceAccount":"111122223333"}}},
{"Sid":"Events","Effect":"Allow","Action":"s3:PutBucketNotification","Resource":"arn:aws:s3:::ingest-*"},
{"Sid":"NotOpen","Effect":"Deny","Action":["s3:PutBucketPublicAccessBlock","s3:PutAccountPublicAccessBlock"],"Resource":"*"},
{"Sid":"NotGone","Effect":"Deny","Action":["s3:DeleteBucket","s3:DeleteBucketPolicy"],"Resource":["arn:aws:s3:::corp-*",
 "arn:aws:s3:::datasets"]},
{"Sid":"Make","Effect":"Allow","Action":"s3:CreateBucket","Resource":"arn:aws:s3:::scratch-${aws:username}-*","Condition":
 {"StringEquals":{"s3:LocationConstraint":["us-east-1","eu-central-1"]}}},
{"Sid":"Scratch","Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::scratch-${aws:username}-*",
 "arn:aws:s3:::scratch-${aws:username}-*/*"]}]}"#;

/// Vaults: 8 statements.
const ARCHIVES: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"List","Effect":"Allow","Action":["glacier:ListVaults","glacier:DescribeVault"],"Resource":"*"},
{"Sid":"Put","Effect":"Allow","Action":["glacier:UploadArchive","glacier:InitiateMultipartUpload","glacier:UploadMultipartPart",
 "glacier:CompleteMultipartUpload","glacier:AbortMultipartUpload"],"Resource":"arn:aws:glacier:*:111122223333:vaults/records-*"},
{"Sid":"Get","Effect":"Allow","Action":["glacier:InitiateJob","glacier:ListJobs","glacier:DescribeJob","glacier:GetJobOutput"],
 "Resource":"arn:aws:glacier:*:111122223333:vaults/records-*"},
{"Sid":"Old","Effect":"Allow","Action":"glacier:DeleteArchive","Resource":"arn:aws:glacier:*:111122223333:vaults/records-*",
 "Condition":{"NumericGreaterThan":{"glacier:ArchiveAgeInDays":"365"}}},
{"Sid":"NoDelete","Effect":"Deny","Action":["glacier:DeleteVault","glacier:AbortVaultLock","glacier:InitiateVaultLock"],"Resource":"*"},
{"Sid":"Restore","Effect":"Allow","Action":"s3:RestoreObject","Resource":["arn:aws:s3:::records-*/*","arn:aws:s3:::datasets/cold/*"]},
{"Sid":"Locks","Effect":"Allow","Action":["s3:GetObjectRetention","s3:GetObjectLegalHold","s3:PutObjectRetention"],
 "Resource":"arn:aws:s3:::records-*/*","Condition":{"NumericLessThanEquals":{"s3:object-lock-remaining-retention-days":"3650"}}},
{"Sid":"Read","Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::records-*","arn:aws:s3:::records-*/*"]}]}"#;

/// What an identity brings from elsewhere: 15 statements about services that are not asked here.
const OTHER_SERVICES: &str = r#"{"Version":"2012-10-17","Statement":[
{"Effect":"Allow","Action":["ec2:Describe*","ec2:GetConsoleOutput"],"Resource":"*"},
{"Effect":"Allow","Action":["ec2:StartInstances","ec2:StopInstances","ec2:RebootInstances"],"Resource":"arn:aws:ec2:*:111122223333:instance/*",
 "Condition":{"StringEquals":{"ec2:ResourceTag/owner":"${aws:username}"}}},
{"Effect":"Allow","Action":["autoscaling:Describe*"],"Resource":"*"},
{"Effect":"Allow","Action":["cloudwatch:Get*","cloudwatch:List*","cloudwatch:Describe*"],"Resource":"*"},
{"Effect":"Allow","Action":["logs:Get*","logs:Describe*","logs:FilterLogEvents"],"Resource":"*"},
{"Effect":"Allow","Action":["sns:Publish","sns:Subscribe"],"Resource":"arn:aws:sns:*:111122223333:team-*"},
{"Effect":"Allow","Action":["sqs:SendMessage","sqs:ReceiveMessage","sqs:DeleteMessage"],"Resource":"arn:aws:sqs:*:111122223333:team-*"},
{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:Query","dynamodb:PutItem"],"Resource":"arn:aws:dynamodb:*:111122223333:table/team-*",
 "Condition":{"ForAllValues:StringEquals":{"dynamodb:LeadingKeys":["${aws:username}"]}}},
{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:*:111122223333:function:team-*"},
{"Effect":"Allow","Action":["lambda:Get*","lambda:List*"],"Resource":"*"},
{"Effect":"Allow","Action":["athena:StartQueryExecution","athena:GetQueryExecution","athena:GetQueryResults"],"Resource":"*"},
{"Effect":"Allow","Action":["glue:GetDatabase","glue:GetTable","glue:GetPartitions"],"Resource":"*"},
{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchGetImage"],"Resource":"*"},
{"Effect":"Allow","Action":["cloudtrail:LookupEvents","cloudtrail:DescribeTrails","cloudtrail:GetTrailStatus"],"Resource":"*"},
{"Effect":"Deny","Action":"organizations:*","Resource":"*"}]}"#;

/// Data for analysts, and last of all what nobody may read: 9 statements.
const DATASETS: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"Find","Effect":"Allow","Action":["s3:ListBucket","s3:ListBucketVersions"],"Resource":"arn:aws:s3:::datasets","Condition":
 {"StringLike":{"s3:prefix":["imagenet/*","openimages/*","teams/${aws:PrincipalTag/team}/*"]},"NumericLessThanEquals":{"s3:max-keys":"1000"}}},
{"Sid":"Where","Effect":"Allow","Action":"s3:GetBucketLocation","Resource":"arn:aws:s3:::datasets"},
{"Sid":"Write","Effect":"Allow","Action":["s3:PutObject","s3:AbortMultipartUpload"],
 "Resource":"arn:aws:s3:::datasets/teams/${aws:PrincipalTag/team}/*"},
{"Sid":"Labels","Effect":"Allow","Action":"s3:GetObjectTagging","Resource":"arn:aws:s3:::datasets/*/labels/*.json"},
{"Sid":"Trash","Effect":"Allow","Action":["s3:DeleteObject","s3:DeleteObjectVersion"],"Resource":"arn:aws:s3:::datasets/teams/${aws:PrincipalTag/team}/tmp/*"},
{"Sid":"Samples","Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::datasets/*/samples/*","arn:aws:s3:::datasets/README*"]},
{"Sid":"Read","Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion","s3:GetObjectAttributes"],
 "Resource":["arn:aws:s3:::datasets/imagenet/*","arn:aws:s3:::datasets/openimages/*","arn:aws:s3:::datasets/private/*"],
 "Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]},"StringEquals":{"aws:PrincipalAccount":"111122223333"}}},
{"Sid":"Versions","Effect":"Deny","Action":"s3:DeleteObjectVersion","Resource":"arn:aws:s3:::datasets/imagenet/*"},
{"Sid":"Private","Effect":"Deny","Action":["s3:GetObject*","s3:PutObject*"],"Resource":"arn:aws:s3:::datasets/private/*"}]}"#;

/// A boundary: 5 statements.
pub(crate) const BOUNDARY: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"Services","Effect":"Allow","Action":["s3:*","kms:*","glacier:*","cloudtrail:Get*","cloudtrail:LookupEvents"],"Resource":"*"},
{"Sid":"Own","Effect":"Allow","Action":["iam:Get*","iam:List*","sts:*"],"Resource":"*"},
{"Sid":"NoBoundaries","Effect":"Deny","Action":["iam:DeleteUserPermissionsBoundary","iam:PutUserPermissionsBoundary",
 "iam:DeleteRolePermissionsBoundary","iam:PutRolePermissionsBoundary"],"Resource":"*"},
{"Sid":"NoPolicies","Effect":"Deny","Action":["iam:CreatePolicyVersion","iam:DeletePolicy","iam:SetDefaultPolicyVersion"],
 "Resource":"arn:aws:iam::111122223333:policy/boundary*"},
{"Sid":"Regions","Effect":"Deny","NotAction":["iam:*","sts:*","s3:ListAllMyBuckets"],"Resource":"*","Condition":{"StringNotEqualsIfExists":
 {"aws:RequestedRegion":["us-east-1","eu-central-1"]}}}]}"#;

/// A session's: 3 statements.
pub(crate) const SESSION: &str = r#"{"Version":"2012-10-17","Statement":[
{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion","s3:ListBucket"],"Resource":["arn:aws:s3:::datasets","arn:aws:s3:::datasets/*"]},
{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"},
{"Effect":"Deny","Action":"s3:Put*","Resource":"*"}]}"#;

/// A bucket's: 6 statements.
pub(crate) const BUCKET: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"Tls","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::datasets","arn:aws:s3:::datasets/*"],
 "Condition":{"Bool":{"aws:SecureTransport":"false"},"NumericLessThan":{"s3:TlsVersion":"1.2"}}},
{"Sid":"Partner","Effect":"Allow","Principal":{"AWS":["444455556666","arn:aws:iam::555566667777:role/partner/reader"]},
 "Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::datasets","arn:aws:s3:::datasets/openimages/*"]},
{"Sid":"Logs","Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject",
 "Resource":"arn:aws:s3:::datasets/logs/*","Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"},
 "ArnLike":{"aws:SourceArn":"arn:aws:s3:::ingest-*"}}},
{"Sid":"Account","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"s3:Get*","Resource":"arn:aws:s3:::datasets/*"},
{"Sid":"Admins","Effect":"Deny","Principal":"*","Action":["s3:DeleteObject*","s3:PutLifecycleConfiguration"],"Resource":
 ["arn:aws:s3:::datasets","arn:aws:s3:::datasets/*"],"Condition":{"StringNotLike":{"aws:PrincipalArn":
 ["arn:aws:iam::111122223333:role/admin/*","arn:aws:iam::111122223333:user/admin/*"]}}},
{"Sid":"Public","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::datasets/public/*"}]}"#;
