//! What else an operation asks for, and which condition keys its request has: the rest of the table of `operation.rs`.
//!
//! Source: "Actions, resources, and condition keys for Amazon S3" of the service authorization reference, and the pages of the
//! operations in the API reference. A key that an operation doesn't have is absent from its request, whatever headers a client sends.

use super::operation::Operation as Op;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Another action, and when it is asked for.
pub(crate) type Further = (&'static str, &'static str);

/// Keys of every request to S3, besides those of `aws:`.
pub(crate) const OF_ALL: [&str; 6] = [
    "s3:authType",
    "s3:ResourceAccount",
    "s3:signatureAge",
    "s3:signatureversion",
    "s3:TlsVersion",
    "s3:x-amz-content-sha256",
];

/// Keys of `aws:` that a request can have.
#[cfg(test)]
pub(crate) const OF_AWS: [&str; 16] = [
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalType",
    "aws:Referer",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:SecureTransport",
    "aws:SourceIp",
    "aws:UserAgent",
    "aws:userid",
    "aws:username",
    "aws:ViaAWSService",
    "aws:PrincipalTag/NAME",
];

const GRANTS: &[&str] = &[
    "s3:x-amz-acl",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
];
const OWNERSHIP: &[&str] = &["s3:x-amz-object-ownership"];
const EXISTING: &[&str] = &["s3:ExistingObjectTag/NAME"];
const VERSION: &[&str] = &["s3:VersionId"];
const LISTS: &[&str] = &["s3:delimiter", "s3:max-keys", "s3:prefix"];
const REQUEST_TAGS: &[&str] = &["s3:RequestObjectTag/NAME", "s3:RequestObjectTagKeys"];
const RETENTION: &[&str] =
    &["s3:object-lock-mode", "s3:object-lock-remaining-retention-days", "s3:object-lock-retain-until-date"];
const HOLD: &[&str] = &["s3:object-lock-legal-hold"];
const COPIES: &[&str] = &["s3:x-amz-copy-source", "s3:x-amz-metadata-directive"];
const CREATES: &[&str] = &["s3:ObjectCreationOperation"];
/// What an upload has from its beginning.
const OF_UPLOAD: &[&str] = &[
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-storage-class",
];
const INVENTORY: &[&str] = &["s3:InventoryAccessibleOptionalFields"];
const IF_MATCH: &[&str] = &["s3:if-match"];
const WRITES: &[&str] = &[
    "s3:if-match",
    "s3:if-none-match",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-storage-class",
    "s3:x-amz-website-redirect-location",
];

/// Keys that S3 knows and that no request here has, as none of S3's own has that comes through no access point and grant and pauses no
/// replication: a policy may name them, and they are answered truly. What S3 knows besides, of requests that are made here too
/// (`s3:BucketTag/…`, and where a bucket is to be, which is here: `s3:locationconstraint`), no policy may name.
pub(crate) const ABSENT: [&str; 7] = [
    "s3:AccessGrantsInstanceArn",
    "s3:AccessPointNetworkOrigin",
    "s3:AccessPointTag/NAME",
    "s3:DataAccessPointAccount",
    "s3:DataAccessPointArn",
    "s3:destinationRegion",
    "s3:isReplicationPauseRequest",
];

const TAGS_ASKED: Further = ("s3:PutObjectTagging", "with `x-amz-tagging`");
const RETENTION_ASKED: Further = ("s3:PutObjectRetention", "with a retention");
const HOLD_ASKED: Further = ("s3:PutObjectLegalHold", "with a legal hold");
const LIST_ASKED: Further = (
    "s3:PutObjectAcl",
    "with an access list: must not be denied, and allowed by the policies of a user that asks",
);
const OF_NEW_BUCKET: [Further; 2] = [
    ("s3:PutBucketAcl", "with an access list"),
    ("s3:PutBucketOwnershipControls", "with `x-amz-object-ownership`"),
];
const NAMED_ASKED: Further = ("s3:GetObject", "where a condition names an ETag, size or time");
const NAMED_VERSION_ASKED: Further = ("s3:GetObjectVersion", "instead, of a named version");
const DELIVERED_ASKED: Further = ("s3:PutObject", "at the destination");
const BYPASS: Further = ("s3:BypassGovernanceRetention", "to bypass governance retention");
const SHOWN: [Further; 4] = [
    ("s3:ListBucket", "to be told that there is no such key"),
    ("s3:GetObjectTagging", "to be shown the number of tags"),
    ("s3:GetObjectRetention", "to be shown the retention"),
    ("s3:GetObjectLegalHold", "to be shown the legal hold"),
];

impl Op {
    /// Keys of its own, as S3 writes them, in groups.
    pub(crate) const fn keys(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::GetObject
            | Self::HeadObject
            | Self::GetObjectAttributes
            | Self::GetObjectAcl
            | Self::GetObjectTagging
            | Self::DeleteObjectTagging => &[EXISTING, VERSION],
            Self::PutObjectTagging => &[EXISTING, REQUEST_TAGS, VERSION],
            Self::PutObjectAcl => &[EXISTING, VERSION, GRANTS],
            Self::PutBucketAcl => &[GRANTS],
            Self::CreateBucket => &[GRANTS, OWNERSHIP],
            Self::DeleteObject | Self::DeleteObjects => &[VERSION, IF_MATCH],
            Self::ListObjects | Self::ListObjectsV2 | Self::ListObjectVersions => &[LISTS],
            Self::PutObject | Self::PostObject | Self::CreateMultipartUpload => {
                &[CREATES, GRANTS, HOLD, REQUEST_TAGS, RETENTION, WRITES]
            }
            Self::CopyObject => &[CREATES, GRANTS, COPIES, HOLD, REQUEST_TAGS, RETENTION, WRITES],
            Self::UploadPart => &[CREATES, OF_UPLOAD],
            Self::UploadPartCopy => &[CREATES, COPIES, OF_UPLOAD],
            Self::CompleteMultipartUpload => &[CREATES, IF_MATCH, &["s3:if-none-match"], OF_UPLOAD],
            Self::PutBucketInventoryConfiguration => &[INVENTORY],
            Self::PutObjectRetention => &[RETENTION, VERSION],
            Self::PutObjectLegalHold => &[HOLD, VERSION],
            Self::GetObjectRetention | Self::GetObjectLegalHold => &[VERSION],
            _ => &[],
        }
    }

    /// Whether its request has a key of its own; `key` in lower case. Keys with a name behind a slash are asked for by what is before it.
    pub(crate) fn has_key(self, key: &str) -> bool {
        self.keys().iter().copied().flatten().any(|known| is_key(known, key))
    }

    /// Those of them that its body says, whatever stands in its head.
    const fn keys_of_body(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::DeleteObjects => &[VERSION, IF_MATCH],
            Self::PutBucketInventoryConfiguration => &[INVENTORY],
            Self::PutObjectLegalHold => &[HOLD],
            Self::PutObjectRetention => &[RETENTION],
            Self::PutObjectTagging => &[REQUEST_TAGS],
            _ => &[],
        }
    }

    /// Whether its body alone has a key; `key` in lower case.
    pub(crate) fn body_has_key(self, key: &str) -> bool {
        self.keys_of_body().iter().copied().flatten().any(|known| is_key(known, key))
    }

    /// Whether an object comes of it, where it has `s3:ObjectCreationOperation` at all.
    pub(crate) const fn creates(self) -> bool {
        matches!(self, Self::PutObject | Self::PostObject | Self::CopyObject | Self::CompleteMultipartUpload)
    }

    /// Whether it goes by what an upload has from its beginning.
    pub(crate) const fn is_of_upload(self) -> bool {
        matches!(self, Self::UploadPart | Self::UploadPartCopy | Self::CompleteMultipartUpload)
    }

    /// What else it asks for, and when: for the page that people read, and for what such an action may be conditioned by; its code asks.
    pub(crate) const fn further(self) -> &'static [Further] {
        match self {
            Self::GetObject | Self::HeadObject => &SHOWN,
            Self::PutObject => &[TAGS_ASKED, RETENTION_ASKED, HOLD_ASKED, LIST_ASKED, NAMED_ASKED],
            Self::PostObject | Self::CreateMultipartUpload => {
                &[TAGS_ASKED, RETENTION_ASKED, HOLD_ASKED, LIST_ASKED]
            }
            Self::CompleteMultipartUpload => &[NAMED_ASKED],
            Self::CopyObject => &[
                ("s3:GetObject", "on the source"),
                ("s3:GetObjectVersion", "on the source, instead, where it names a version"),
                ("s3:GetObjectTagging", "on the source, where its tags are copied"),
                ("s3:PutObjectTagging", "with tags, or where the source's are copied"),
                RETENTION_ASKED,
                HOLD_ASKED,
                LIST_ASKED,
                NAMED_ASKED,
            ],
            Self::UploadPartCopy => &[
                ("s3:GetObject", "on the source"),
                ("s3:GetObjectVersion", "on the source, instead, where it names a version"),
            ],
            Self::GetObjectAttributes => {
                &[("s3:GetObject", "too"), ("s3:GetObjectVersion", "too, instead, of a named version")]
            }
            Self::DeleteObjects => &[
                ("s3:DeleteObjectVersion", "instead, of a key with a version"),
                BYPASS,
                NAMED_ASKED,
                NAMED_VERSION_ASKED,
            ],
            Self::DeleteObject => &[BYPASS, NAMED_ASKED, NAMED_VERSION_ASKED],
            Self::CreateBucket => &OF_NEW_BUCKET,
            Self::PutObjectRetention => &[BYPASS],
            Self::PutBucketInventoryConfiguration | Self::PutBucketLogging => &[DELIVERED_ASKED],
            _ => &[],
        }
    }
}

/// Whether a key in lower case is one as S3 writes it.
pub(crate) fn is_key(known: &str, key: &str) -> bool {
    match known.strip_suffix("NAME") {
        Some(before) => key.get(..before.len()).is_some_and(|start| start.eq_ignore_ascii_case(before)),
        None => known.eq_ignore_ascii_case(key),
    }
}

/// Whether a policy may ask for a key: all of `aws:`, and of `s3:` what S3 knows.
pub(crate) fn is_known(key: &str) -> bool {
    let of_operations = || Op::ALL.iter().any(|operation| operation.has_key(key));
    key.starts_with("aws:")
        || OF_ALL.iter().chain(&ABSENT).any(|known| is_key(known, key))
        || (key.starts_with("s3:") && of_operations())
}

/// Actions of S3 that no operation here has, and that a policy may name.
pub(crate) const ACTIONS_BESIDE: [&str; 12] = [
    "s3:GetObjectVersionForReplication",
    "s3:GetObjectVersionTorrent",
    "s3:InitiateReplication",
    "s3:ListTagsForResource",
    "s3:ObjectOwnerOverrideToBucketOwner",
    "s3:PauseReplication",
    "s3:ReplicateDelete",
    "s3:ReplicateObject",
    "s3:ReplicateTags",
    "s3:TagResource",
    "s3:UntagResource",
    "s3:BypassGovernanceRetention",
];

/// Actions that are asked with the write's own request, and so with all that it says.
const WITH_THE_WRITE: [&str; 5] = [
    "s3:BypassGovernanceRetention",
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
];

/// Whether a condition on a key, in lower case, can say something of a request that asks for each of these actions. Of an action that no
/// operation here has, whatever S3 knows: there is nothing to protect. Looked up once for each key that S3 has.
pub(crate) fn can_ask(actions: &[&str]) -> impl Fn(&str) -> Arc<[bool]> + use<> {
    let asks = |operation: &Op, action: &str| {
        [false, true].iter().any(|versioned| operation.action_of(*versioned).as_str() == action)
            || (WITH_THE_WRITE.contains(&action)
                && operation.further().iter().any(|(more, _)| *more == action))
    };
    let of_action = |action: &&str| -> Vec<Op> {
        Op::ALL.iter().copied().filter(|operation| asks(operation, action)).collect()
    };
    let operations: Vec<Vec<Op>> = actions.iter().map(of_action).collect();
    let of_key = move |key: &str| -> Arc<[bool]> {
        let of_all = key.starts_with("aws:") || OF_ALL.iter().chain(&ABSENT).any(|known| is_key(known, key));
        let has = |of: &Vec<Op>| of_all || of.is_empty() || of.iter().any(|operation| operation.has_key(key));
        operations.iter().map(has).collect()
    };
    let names: BTreeSet<&str> =
        Op::ALL.iter().flat_map(|operation| operation.keys()).copied().flatten().copied().collect();
    let known: RefCell<HashMap<&str, Arc<[bool]>>> = RefCell::default();
    move |key| match names.iter().find(|name| is_key(name, key)) {
        Some(name) => Arc::clone(known.borrow_mut().entry(*name).or_insert_with(|| of_key(key))),
        None => of_key(key),
    }
}

/// Every action that a bucket's policy may name.
pub(crate) fn actions() -> Vec<&'static str> {
    let of_operations =
        Op::ALL.iter().flat_map(|operation| [false, true].map(|versioned| operation.action_of(versioned)));
    let mut all: Vec<&str> = of_operations.map(security::Action::as_str).chain(ACTIONS_BESIDE).collect();
    all.retain(|action| action.starts_with("s3:"));
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::{ABSENT, OF_ALL, OF_AWS, Op, actions, can_ask, is_key, is_known};
    use crate::s3::operation::Kind;
    use std::fmt::Write as _;

    /// The page that people read.
    fn page() -> String {
        let code = |names: &mut dyn Iterator<Item = &str>| {
            names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let mut out = String::from(
            "# Actions, resources and condition keys of S3\n\n\
             What a bucket's policy names for each operation. Made of the table in `gateway/web/src/s3/operation.rs` and \
             `operation_keys.rs`:\n`FIRN_WRITE_DOCS=1 cargo test -p web the_page_of_actions` writes it. A test walks it over the wire: \
             a Deny of its action denies each\noperation, and a Deny of all others lets it pass.\n\n\
             Any request can have: ",
        );
        let _infallible = writeln!(out, "{}.\n", code(&mut OF_AWS.into_iter().chain(OF_ALL)));
        out.push_str("Known, but of no request here: ");
        let _infallible = writeln!(out, "{}.\n", code(&mut ABSENT.into_iter()));
        out.push_str(
            "| operation | action | of a named version | resource | besides | keys of its own |\n|---|---|---|---|---|---|\n",
        );
        for operation in Op::ALL {
            let (plain, versioned) = (operation.action().as_str(), operation.action_of(true).as_str());
            let of_version = if plain == versioned { String::new() } else { format!("`{versioned}`") };
            let kind = match operation.kind() {
                Kind::Account => "",
                Kind::Bucket => "bucket",
                Kind::Object => "object",
            };
            let besides: Vec<String> =
                operation.further().iter().map(|(action, when)| format!("`{action}` {when}")).collect();
            let mut keys: Vec<&str> = operation.keys().iter().copied().flatten().copied().collect();
            keys.sort_unstable_by_key(|key| key.to_lowercase());
            let _infallible = writeln!(
                out,
                "| {} | `{plain}` | {of_version} | {kind} | {} | {} |",
                operation.name(),
                besides.join("; "),
                code(&mut keys.into_iter())
            );
        }
        out
    }

    #[test]
    fn the_page_of_actions_is_the_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/s3-actions.md");
        if std::env::var_os("FIRN_WRITE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page(), "run it with FIRN_WRITE_DOCS=1");
    }

    #[test]
    fn keys_are_known_without_regard_to_case_and_by_their_beginnings() {
        assert!(is_key("s3:ExistingObjectTag/NAME", "s3:existingobjecttag/team"));
        assert!(!is_key("s3:ExistingObjectTag/NAME", "s3:existingobjecttag"));
        for (key, known) in [
            ("s3:prefix", true),
            ("s3:versionid", true),
            ("s3:x-amz-grant-read", true),
            ("s3:dataaccesspointarn", true),
            ("s3:objectcreationoperation", true),
            ("s3:buckettag/team", false),
            ("s3:locationconstraint", false),
            ("s3:x-amz-object-ownership", true),
            ("aws:principalorgid", true),
            ("s3:authtype", true),
            ("s3:prefixes", false),
            ("kms:viaservice", false),
            ("s3:x-amz-meta-team", false),
        ] {
            assert_eq!(is_known(key), known, "{key}");
        }
        assert!(Op::ListObjectsV2.has_key("s3:prefix") && !Op::GetObject.has_key("s3:prefix"));
        assert!(Op::PutObject.has_key("s3:requestobjecttag/a") && !Op::GetObject.has_key("s3:x-amz-acl"));
    }

    #[test]
    fn a_condition_is_for_actions_whose_requests_have_its_key() {
        for (action, key, can) in [
            ("s3:PutObject", "s3:x-amz-server-side-encryption", true),
            ("s3:PutObject", "s3:x-amz-copy-source", true),
            ("s3:GetObject", "s3:x-amz-server-side-encryption", false),
            ("s3:GetObject", "s3:x-amz-copy-source", false),
            ("s3:GetObjectVersion", "s3:versionid", true),
            ("s3:GetObject", "s3:existingobjecttag/team", true),
            ("s3:PutObject", "s3:existingobjecttag/team", false),
            ("s3:ListBucket", "s3:prefix", true),
            ("s3:ListBucket", "s3:existingobjecttag/team", false),
            ("s3:DeleteObjectVersion", "s3:versionid", true),
            ("s3:PutObjectTagging", "s3:requestobjecttag/a", true),
            ("s3:PutObjectAcl", "s3:x-amz-acl", true),
            ("s3:BypassGovernanceRetention", "s3:object-lock-remaining-retention-days", true),
            ("s3:PutBucketTagging", "s3:authtype", true),
            ("s3:PutBucketTagging", "aws:sourceip", true),
            ("s3:PutBucketTagging", "s3:dataaccesspointarn", true),
            ("s3:PutBucketTagging", "s3:prefix", false),
            ("s3:ReplicateObject", "s3:x-amz-storage-class", true),
        ] {
            let ask = can_ask(&["s3:ListAllMyBuckets", action]);
            assert_eq!([ask(key)[1], ask(key)[1]], [can; 2], "{action} {key}");
        }
    }

    #[test]
    fn what_is_asked_for_besides_is_an_action_too() {
        let known = actions();
        assert!(known.windows(2).all(|pair| pair[0] < pair[1]) && known.len() > 80);
        for operation in Op::ALL {
            for (action, _) in operation.further() {
                assert!(known.contains(action), "{action} of {}", operation.name());
            }
        }
    }
}
