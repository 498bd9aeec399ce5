//! Events as S3 writes them. Source: "Event message structure" of the S3 user guide.

use super::{EventType, Occasion, Origin};
use crate::record::{ObjectRow, Stored};
use crate::{BucketName, ObjectKey, VersionName};
use engine::clock::Timestamp;
use security::{AccountId, Arn, Principal};
use serde_json::{Value, json};

/// What an event says.
pub(super) struct Event<'a> {
    pub(super) region: &'a str,
    /// The id of the rule that wants it.
    pub(super) rule: &'a str,
    /// Whose the bucket is.
    pub(super) owner: AccountId,
    pub(super) occasion: &'a Occasion<'a>,
    pub(super) key: &'a ObjectKey,
    /// The version that came, changed or went.
    pub(super) row: &'a ObjectRow,
    pub(super) version: Option<VersionName>,
    pub(super) at: Timestamp,
    pub(super) sequence: u64,
}

/// One record, in a list as S3 has it.
pub(super) fn event(event: &Event<'_>) -> Vec<u8> {
    let Occasion { what, bucket, origin } = event.occasion;
    let name = what.as_str().strip_prefix("s3:").unwrap_or(what.as_str());
    // S3 counts a version up where it tells more than it did at first.
    let version = if what.creates_or_removes() { "2.1" } else { "2.3" };
    let record = json!({
        "eventVersion": version,
        "eventSource": "aws:s3",
        "awsRegion": event.region,
        "eventTime": iso(event.at),
        "eventName": name,
        "userIdentity": { "principalId": principal(origin.principal.as_ref()) },
        "requestParameters": {
            "sourceIPAddress": origin.source.map_or_else(|| "s3.amazonaws.com".to_owned(), |ip| ip.to_string()),
        },
        "responseElements": { "x-amz-request-id": request_id(origin), "x-amz-id-2": &*origin.host_id },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": event.rule,
            "bucket": {
                "name": bucket.as_str(),
                "ownerIdentity": { "principalId": event.owner.to_string() },
                "arn": Arn::bucket(bucket.as_str()).to_string(),
            },
            "object": object(event),
        },
    });
    let mut record = record;
    if let Some((stored, until)) = restored(event) {
        record["glacierEventData"] = json!({ "restoreEventData": {
            "lifecycleRestorationExpiryTime": iso(until),
            "lifecycleRestoreStorageClass": stored.class.as_str(),
        } });
    }
    json!({ "Records": [record] }).to_string().into_bytes()
}

/// Of a restore that has come to its end: until when the copy is there.
fn restored<'a>(event: &'a Event<'_>) -> Option<(&'a Stored, Timestamp)> {
    let stored = event.row.stored.as_ref().filter(|_| event.occasion.what == EventType::RESTORED)?;
    Some((stored, stored.cold?.restore?.until?))
}

/// Of what went S3 says no size and tag; a sequencer has what came or went.
fn object(event: &Event<'_>) -> Value {
    let what = event.occasion.what;
    let mut object = json!({ "key": encoded(event.key.as_str()) });
    if let Some(stored) = event.row.stored.as_ref().filter(|_| !what.removes()) {
        object["eTag"] = stored.etag.to_string().into();
        if what.creates_or_removes() {
            object["size"] = stored.size().get().into();
        }
    }
    if let Some(version) = event.version {
        object["versionId"] = version.to_string().into();
    }
    if what.creates_or_removes() {
        object["sequencer"] = format!("{:016X}", event.sequence).into();
    }
    object
}

/// What each topic of a configuration is told when it is set.
pub(super) fn test(bucket: &BucketName, origin: &Origin, now: Timestamp) -> Vec<u8> {
    let event = json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": iso(now),
        "Bucket": bucket.as_str(),
        "RequestId": request_id(origin),
        "HostId": &*origin.host_id,
    });
    event.to_string().into_bytes()
}

fn principal(principal: Option<&Principal>) -> String {
    match principal {
        None => "s3.amazonaws.com".to_owned(),
        Some(Principal::Anonymous) => "Anonymous".to_owned(),
        Some(known) => format!("AWS:{}", known.user_id()),
    }
}

fn request_id(origin: &Origin) -> &str {
    std::str::from_utf8(&origin.request_id).unwrap_or_default().trim_matches('\0')
}

/// `2009-10-12T17:50:30.123Z`
fn iso(time: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

/// As a form's value is encoded: a blank is a plus.
fn encoded(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
                out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{encoded, iso};
    use engine::clock::Timestamp;

    #[test]
    fn keys_are_encoded_as_a_forms_values_are() {
        assert_eq!(encoded("a/red flower+é%\0.jpg"), "a/red+flower%2B%C3%A9%25%00.jpg");
    }

    #[test]
    fn times_have_their_milliseconds() {
        assert_eq!(iso(Timestamp::from_millis(1_255_369_830_007)), "2009-10-12T17:50:30.007Z");
        assert_eq!(iso(Timestamp::from_millis(1_255_369_830_000)), "2009-10-12T17:50:30.000Z");
    }
}
