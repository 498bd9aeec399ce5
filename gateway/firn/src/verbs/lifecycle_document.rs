//! Lifecycle rules as aws-cli takes them, in S3's XML: what is sent is the same whichever form a file has.

use serde_json::Value;
use std::fmt::Write as _;

/// The document of `{"Rules": […]}`. What is wrong is told with its place: of XML, S3 says no more than that something is.
pub(super) fn to_xml(json: &Value) -> Result<String, String> {
    let rules = json.get("Rules").and_then(Value::as_array);
    let only = json.as_object().is_some_and(|fields| fields.len() == 1);
    let rules = rules.filter(|_| only).ok_or("it is not {\"Rules\": […]}, as aws-cli takes it")?;
    if rules.is_empty() {
        return Err("there is no rule in it; firn lifecycle rm takes all away".to_owned());
    }
    let mut out = String::from("<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (at, rule) in rules.iter().enumerate() {
        let place = format!("Rules[{at}]");
        element(&mut out, ("Rule", &place), rule)?;
        match rule["Status"].as_str() {
            Some("Enabled" | "Disabled") => {}
            Some(other) => {
                return Err(format!("{place}.Status: {other:?} is neither \"Enabled\" nor \"Disabled\""));
            }
            None => return Err(format!("{place}: it has no Status, \"Enabled\" or \"Disabled\"")),
        }
    }
    out.push_str("</LifecycleConfiguration>");
    Ok(out)
}

/// What each of a list is called.
fn one_of(list: &str) -> Option<&'static str> {
    match list {
        "Tags" => Some("Tag"),
        "Transitions" => Some("Transition"),
        "NoncurrentVersionTransitions" => Some("NoncurrentVersionTransition"),
        _ => None,
    }
}

/// The fields of an element; none of one that holds text.
fn fields_of(element: &str) -> Option<&'static [&'static str]> {
    Some(match element {
        "Rule" => &[
            "ID",
            "Prefix",
            "Filter",
            "Status",
            "Expiration",
            "NoncurrentVersionExpiration",
            "AbortIncompleteMultipartUpload",
            "Transitions",
            "NoncurrentVersionTransitions",
        ],
        "Filter" => &["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And"],
        "And" => &["Prefix", "Tags", "ObjectSizeGreaterThan", "ObjectSizeLessThan"],
        "Tag" => &["Key", "Value"],
        "Expiration" => &["Days", "Date", "ExpiredObjectDeleteMarker"],
        "NoncurrentVersionExpiration" => &["NoncurrentDays", "NewerNoncurrentVersions"],
        "AbortIncompleteMultipartUpload" => &["DaysAfterInitiation"],
        "Transition" => &["Days", "Date", "StorageClass"],
        "NoncurrentVersionTransition" => &["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"],
        _ => return None,
    })
}

/// Writes what has a name, and a place for whoever mends it. Fields have at most four levels, so this ends.
fn element(out: &mut String, (name, place): (&str, &str), value: &Value) -> Result<(), String> {
    // Writing to a string cannot fail.
    match (value, one_of(name), fields_of(name)) {
        (Value::Array(items), Some(one), _) => {
            for (at, item) in items.iter().enumerate() {
                element(out, (one, &format!("{place}[{at}]")), item)?;
            }
            return Ok(());
        }
        (_, Some(_), _) => return Err(format!("{place} is no list")),
        (Value::Object(fields), None, Some(known)) => {
            let _infallible = write!(out, "<{name}>");
            for (field, value) in fields {
                if !known.contains(&field.as_str()) {
                    return Err(format!("{place}: {field:?} is none of its fields: {}", known.join(", ")));
                }
                element(out, (field, &format!("{place}.{field}")), value)?;
            }
        }
        (_, None, Some(known)) => return Err(format!("{place} is no object with {}", known.join(", "))),
        (Value::String(text), None, None) => {
            let _infallible = write!(out, "<{name}>");
            for c in text.chars() {
                match c {
                    '&' => out.push_str("&amp;"),
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    c => out.push(c),
                }
            }
        }
        (Value::Number(_) | Value::Bool(_), None, None) => {
            let _infallible = write!(out, "<{name}>{value}");
        }
        (Value::Null, None, None) => return Err(format!("{place} is null")),
        (Value::Array(_) | Value::Object(_), None, None) => {
            return Err(format!("{place} is neither text nor a number"));
        }
    }
    let _infallible = write!(out, "</{name}>");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::to_xml;
    use serde_json::json;

    #[test]
    fn what_aws_cli_takes_is_sent_as_aws_cli_sends_it() {
        let rules = json!({ "Rules": [{
            "ID": "a&b",
            "Filter": { "And": { "Prefix": "p/", "Tags": [{ "Key": "k", "Value": "v" }, { "Key": "l", "Value": "" }] } },
            "Status": "Enabled",
            "Expiration": { "Days": 3 },
        }, { "Prefix": "", "Status": "Disabled", "Expiration": { "ExpiredObjectDeleteMarker": true } }] });
        let expected = "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule>\
            <Expiration><Days>3</Days></Expiration><Filter><And><Prefix>p/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>\
            <Tag><Key>l</Key><Value></Value></Tag></And></Filter><ID>a&amp;b</ID><Status>Enabled</Status></Rule><Rule>\
            <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration><Prefix></Prefix>\
            <Status>Disabled</Status></Rule></LifecycleConfiguration>";
        assert_eq!(to_xml(&rules).unwrap(), expected);
        for (rule, told) in [
            (
                json!({ "Expiration": { "Dayz": 3 } }),
                "Rules[0].Expiration: \"Dayz\" is none of its fields: Days, Date",
            ),
            (json!({ "Status": "enabled" }), "Rules[0].Status: \"enabled\" is neither \"Enabled\""),
            (json!({ "ID": "x" }), "Rules[0]: it has no Status"),
            (json!({ "Filter": "p/" }), "Rules[0].Filter is no object with Prefix, Tag"),
            (
                json!({ "Filter": { "And": { "Tags": [{ "Kee": 1 }] } } }),
                "Rules[0].Filter.And.Tags[0]: \"Kee\"",
            ),
            (json!({ "Transitions": { "Days": 1 } }), "Rules[0].Transitions is no list"),
            (
                json!({ "Expiration": { "Days": [3] } }),
                "Rules[0].Expiration.Days is neither text nor a number",
            ),
            (json!({ "ID": null }), "Rules[0].ID is null"),
        ] {
            let refused = to_xml(&json!({ "Rules": [rule] })).unwrap_err();
            assert!(refused.starts_with(told), "{refused}");
        }
        for bad in [
            json!([]),
            json!({ "Rules": [] }),
            json!({ "Rules": {} }),
            json!({ "Rules": [], "Other": 1 }),
            json!({ "Rules": [{ "a<b": 1 }] }),
            json!({ "Rules": [{ "ID": null }] }),
            json!({ "Rules": [{ "ID": [1] }] }),
        ] {
            to_xml(&bad).unwrap_err();
        }
    }
}
