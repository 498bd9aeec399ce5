//! The next step after an error: one line for people, and `hint` in JSON.

use crate::exit::Failure;
use client::{Admin, Error, ErrorKind, Trouble};

/// Where nobody listens: what `firn env` leads to when it fails.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9";

/// What to do about an error: the first cause that has a hint gives it.
pub(crate) fn of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.hint.clone();
        }
        if let Some(error) = cause.downcast_ref::<std::io::Error>() {
            return of_io(error).map(str::to_owned);
        }
        let error = cause.downcast_ref::<Error>()?;
        if error.operation() == Some(Admin::OPERATION) { of_admin(error) } else { of_s3(error) }
    })
}

fn of_io(error: &std::io::Error) -> Option<&'static str> {
    match error.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem => Some(
            "mount that file system writable; where it became read-only by itself, the kernel's log (dmesg) says why",
        ),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Some("make room on that disk (df -h says how full it is), or name a place on another one")
        }
        std::io::ErrorKind::PermissionDenied => Some(
            "ls -ld of it and of the directories above it says whose they are: run this as that one, or name a place of your own",
        ),
        _ => None,
    }
}

/// The next step of whoever may not do what they asked for.
pub(crate) fn of_denied(said: &client::ServiceError) -> String {
    match &said.signed_by {
        // An answer without a document says no more than that.
        Some(id) if !said.is_document => format!(
            "are these keys ({id}) that endpoint's? eval \"$(firn env DIR)\" sets an appliance's; if they are, a policy lets them do it: firn policy attach, by who administers it"
        ),
        Some(id) => format!(
            "no policy lets these keys ({id}) do it: who administers the endpoint gives one, on an appliance by firn policy attach"
        ),
        None => "set the credentials: eval \"$(firn env DIR)\"".to_owned(),
    }
}

fn of_s3(error: &Error) -> Option<String> {
    Some(match error {
        Error::Transport { endpoint, trouble, .. } => return Some(of_transport(endpoint, *trouble)),
        Error::Timeout { endpoint, .. } => format!("does {endpoint} answer others? firn status DIR, on its machine, says how it is"),
        Error::Protocol { .. } => {
            "is that an S3 endpoint? the S3 and the admin door of an appliance have ports of their own: eval \"$(firn env DIR)\""
                .to_owned()
        }
        // S3's own words: the code is that of every refusal.
        Error::Service(error) if error.message.contains("object lock") => {
            "what holds it, and until when: firn stat --version-id ID s3://BUCKET/KEY".to_owned()
        }
        // An answer of another protocol's server: none of S3's own words are in it.
        Error::Service(error) if error.code == "BadRequest" && !error.message.starts_with(WORDLESS) => return None,
        Error::Service(error) if matches!(error.code.as_str(), "AccessDenied" | "AccessDeniedException") => {
            of_denied(error)
        }
        Error::Service(error) if let Some(region) = expected_region(error) => {
            format!("sign for that region: --region {region}, or AWS_REGION={region}")
        }
        Error::Service(error) if let Some(bucket) = &error.bucket => of_bucket(&error.code, bucket)?,
        error => of_code(error.code()?)?.to_owned(),
    })
}

/// The region that a refusal says it wants.
fn expected_region(error: &client::ServiceError) -> Option<&str> {
    let (_, region) = error.message.split_once("expecting '")?;
    let region = region.split('\'').next()?;
    let is_one = !region.is_empty()
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    Some(region).filter(|_| is_one && error.message.contains("region"))
}

/// The same step where the bucket is known.
fn of_bucket(code: &str, bucket: &str) -> Option<String> {
    let bucket = crate::text::printable(bucket);
    let place = crate::text::quote_sh(&format!("s3://{bucket}"));
    Some(match code {
        "NoSuchBucket" => format!("{place} is not there; see which are: firn ls; make it: firn mb {place}"),
        "NoSuchKey" => format!("see what is there: firn ls -r {place}"),
        "BucketNotEmpty" => {
            format!(
                "see what is in it: firn ls --versions {place}; remove all of it: firn rb --force {place}"
            )
        }
        "InvalidBucketName" => format!("{bucket:?} is no bucket's name: {}", of_code("InvalidBucketName")?),
        // HEAD's answer has no words, and a door of TLS refuses any name.
        "BadRequest" if objectstore::BucketName::parse(&bucket).is_err() => {
            let rule = of_code("InvalidBucketName")?;
            format!("{bucket:?} is no bucket's name: {rule}; {}", of_code("BadRequest")?)
        }
        _ => of_code(code)?.to_owned(),
    })
}

/// How the client begins to say that an answer has no words.
const WORDLESS: &str = "the endpoint answered with status";

fn of_transport(endpoint: &str, trouble: Trouble) -> String {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
    match trouble {
        Trouble::Untrusted => {
            "believe the appliance's CA: eval \"$(firn env DIR)\", or AWS_CA_BUNDLE=DIR/tls/ca.pem; and use a name that its certificate has (firn status DIR)"
                .to_owned()
        }
        Trouble::NoTls => format!("the server there speaks no TLS: name it http://{host}"),
        Trouble::NoHttp => format!("the server there may speak TLS alone: name it https://{host}"),
        Trouble::Unreachable if endpoint == NOWHERE => {
            "firn env failed in this shell: once the server runs, again eval \"$(firn env DIR)\"".to_owned()
        }
        Trouble::Unreachable | Trouble::Broken if endpoint.ends_with(".amazonaws.com") => {
            "name the appliance's endpoint, if AWS is not what you mean: eval \"$(firn env DIR)\", or --endpoint".to_owned()
        }
        Trouble::Unreachable => format!(
            "is a server listening at {endpoint}? start one with `firn server DIR`, or name another with --endpoint"
        ),
        Trouble::Broken if endpoint.starts_with("http://") => {
            format!("the server there closed the connection: if it speaks TLS, name it https://{host}; else its log says why")
        }
        Trouble::Broken => "the server there closed the connection: its log says why".to_owned(),
    }
}

fn of_admin(error: &Error) -> Option<String> {
    Some(match error {
        Error::Transport { trouble: Trouble::Untrusted, .. } => {
            "believe the appliance's CA: --ca-bundle DIR/tls/ca.pem, or AWS_CA_BUNDLE".to_owned()
        }
        Error::Transport { trouble: Trouble::NoTls, endpoint, .. } => {
            format!("the admin door at {endpoint} speaks no TLS: FIRN_ADMIN_URL begins with http:// then")
        }
        Error::Transport { trouble: Trouble::NoHttp, endpoint, .. } => {
            format!("what listens at {endpoint} may speak TLS alone: FIRN_ADMIN_URL begins with https:// then")
        }
        Error::Transport { endpoint, .. } | Error::Timeout { endpoint, .. } => format!(
            "is the appliance running, with its admin door at {endpoint}? start it: firn server DIR; or name another one's directory"
        ),
        Error::Protocol { .. } => {
            "is that an admin door? the S3 and the admin door of an appliance have ports of their own: eval \"$(firn env DIR)\""
                .to_owned()
        }
        error if error.kind() == ErrorKind::Denied => {
            "the token is not that appliance's: name its directory, or give FIRN_ADMIN_TOKEN_FILE its DIR/admin-token; after that file was lost or changed, restart the appliance"
                .to_owned()
        }
        // The door says what is wrong.
        Error::Service(said) if said.code == "BadRequest" => {
            let steps = [("accept the bucket name", "InvalidBucketName"), ("read the version id", "NoSuchVersion")];
            let (_, code) = steps.into_iter().find(|(what, _)| said.message.contains(what))?;
            of_code(code)?.to_owned()
        }
        error => of_code(error.code()?)?.to_owned(),
    })
}

fn of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "AccessDenied"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "UnrecognizedClientException" => "set the credentials: eval \"$(firn env DIR)\"",
        "RequestTimeTooSkewed" => {
            "the clocks of this host and the server differ by more than 15 minutes: set them"
        }
        "NoSuchBucket" => "see which there are: firn ls; make one: firn mb s3://NAME",
        "NoSuchKey" => "see what is there: firn ls s3://BUCKET/PREFIX",
        "NoSuchVersion" => "see which there are: firn ls --versions s3://BUCKET/KEY",
        "BucketNotEmpty" => {
            "see what is in it: firn ls --versions s3://NAME; remove all of it: firn rb --force s3://NAME"
        }
        "InvalidBucketName" => "3 to 63 of a-z, 0-9, - and ., beginning and ending with a letter or digit",
        "BadRequest" => "if the server speaks TLS, the endpoint begins with https://",
        "MalformedXML" => {
            "rules in JSON, as aws-cli takes them, are looked through field by field: firn lifecycle set s3://BUCKET FILE"
        }
        "QuotaExceeded" => {
            "see what is left: firn quota ls; parts of unfinished uploads don't count, but hold room: firn ls --uploads s3://BUCKET"
        }
        "StorageFull" => {
            "delete something (firn rm), and try again: what was deleted just now is free within seconds; unfinished uploads hold room, too: firn ls --uploads s3://BUCKET, and firn rm --uploads"
        }
        "ServiceUnavailable" => {
            "the server takes no such request now: firn doctor DIR, on its machine, says why"
        }
        "SlowDown" => {
            "the server has no room for more at once: fewer (--jobs 2), or later; firn status DIR, on its machine, says what bodies hold"
        }
        "InvalidObjectState" => {
            "the object is archived: firn restore s3://BUCKET/KEY --tier standard --days 7 --wait"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::of;
    use client::{Admin, Error, ServiceError, Trouble};

    fn hint(operation: &'static str, endpoint: &str, trouble: Trouble) -> String {
        let error =
            Error::Transport { operation, endpoint: endpoint.to_owned(), trouble, detail: String::new() };
        of(&anyhow::Error::from(error).context("upload a file")).unwrap()
    }

    fn refused(code: &str, message: &str) -> String {
        let error = Error::Service(Box::new(ServiceError {
            operation: "PutObject",
            status: 403,
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: String::new(),
            is_document: true,
            ..ServiceError::default()
        }));
        of(&error.into()).unwrap()
    }

    #[test]
    fn a_full_quota_names_the_list_of_quotas_and_a_lock_is_no_matter_of_credentials() {
        assert!(refused("QuotaExceeded", "").starts_with("see what is left: firn quota ls"));
        assert!(refused("StorageFull", "").contains("firn rm --uploads"));
        assert!(refused("StorageFull", "").contains("free within seconds"));
        assert!(refused("MalformedXML", "").contains("firn lifecycle set"));
        assert!(refused("ServiceUnavailable", "").contains("firn doctor DIR"));
        assert!(refused("SlowDown", "").contains("--jobs"));
        assert!(refused("BadRequest", "the endpoint answered with status 400").contains("TLS"));
        assert!(refused("AccessDenied", "Access Denied").starts_with("set the credentials"));
        let locked = refused("AccessDenied", "Access Denied because object protected by object lock.");
        assert!(locked.contains("firn stat --version-id"), "{locked}");
    }

    #[test]
    fn who_lacks_a_right_is_not_sent_to_other_keys() {
        let denied = |signed_by: Option<&str>, is_document| {
            of(&Error::Service(Box::new(ServiceError {
                code: "AccessDenied".to_owned(),
                signed_by: signed_by.map(str::to_owned),
                is_document,
                ..ServiceError::default()
            }))
            .into())
            .unwrap()
        };
        let lacks = denied(Some("AKIAANN"), true);
        assert!(lacks.contains("AKIAANN") && lacks.contains("firn policy attach"), "{lacks}");
        assert!(!lacks.contains("firn env"), "{lacks}");
        // HEAD has no document: the keys may be another endpoint's.
        let unsaid = denied(Some("AKIAANN"), false);
        assert!(unsaid.contains("firn policy attach") && unsaid.contains("firn env"), "{unsaid}");
        assert!(denied(None, true).starts_with("set the credentials"));
        assert!(refused("SignatureDoesNotMatch", "").starts_with("set the credentials"));
    }

    #[test]
    fn a_name_that_is_none_and_a_region_of_anothers_have_their_step() {
        let said = |operation, code: &str, message: &str, bucket: Option<&str>| {
            let error = ServiceError {
                operation,
                status: 400,
                code: code.to_owned(),
                message: message.to_owned(),
                bucket: bucket.map(str::to_owned),
                ..ServiceError::default()
            };
            of(&Error::Service(Box::new(error)).into())
        };
        let wordless = "the endpoint answered with status 400";
        let head = |bucket| said("HeadObject", "BadRequest", wordless, Some(bucket)).unwrap();
        assert!(head("b").contains("3 to 63"), "{}", head("b"));
        assert!(head("good-name").contains("TLS"), "{}", head("good-name"));
        let admin = |message| said(Admin::OPERATION, "BadRequest", message, None);
        assert!(admin("accept the bucket name: 3 to 63").unwrap().contains("3 to 63"));
        assert!(admin("read the version id").unwrap().contains("firn ls --versions"));
        assert_eq!(admin("read the request: no"), None);
        let region = "The authorization header is malformed; the region 'eu' is wrong; expecting 'us-east-1'";
        let hint = said("ListBuckets", "AuthorizationHeaderMalformed", region, None).unwrap();
        assert!(hint.contains("--region us-east-1"), "{hint}");
        assert_eq!(said("ListBuckets", "AuthorizationHeaderMalformed", "expecting 'x y'", None), None);
    }

    #[test]
    fn a_disk_that_is_full_and_a_place_of_anothers_have_their_step() {
        let step =
            |kind: std::io::ErrorKind| of(&anyhow::Error::from(std::io::Error::from(kind)).context("write"));
        assert!(step(std::io::ErrorKind::StorageFull).unwrap().contains("make room"));
        assert!(step(std::io::ErrorKind::PermissionDenied).unwrap().contains("ls -ld"));
    }

    #[test]
    fn each_trouble_of_a_connection_has_its_step_and_the_admin_door_has_its_own() {
        let (s3, admin) = ("PutObject", Admin::OPERATION);
        assert!(hint(s3, "http://h:1", Trouble::Unreachable).contains("listening at http://h:1"));
        assert!(hint(s3, "http://h:1", Trouble::NoHttp).ends_with("name it https://h:1"));
        assert!(hint(s3, "https://h:1", Trouble::NoTls).ends_with("name it http://h:1"));
        assert!(hint(s3, "https://h:1", Trouble::Untrusted).contains("AWS_CA_BUNDLE=DIR/tls/ca.pem"));
        assert!(
            hint(s3, "https://s3.x.amazonaws.com", Trouble::Unreachable)
                .contains("if AWS is not what you mean")
        );
        for trouble in [Trouble::Unreachable, Trouble::Broken, Trouble::NoTls, Trouble::NoHttp] {
            let hint = hint(admin, "http://h:1", trouble);
            assert!(hint.contains("http://h:1") && !hint.contains("--endpoint"), "{hint}");
        }
    }
}
