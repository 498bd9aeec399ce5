//! Lifecycle rules as aws-cli takes them, in S3's XML: what is sent is the same whichever form a file has.

use serde_json::Value;
use std::fmt::Write as _;

/// Objects within objects.
const DEPTH_MAX: usize = 8;

/// The document of `{"Rules": […]}`.
pub(super) fn to_xml(json: &Value) -> Result<String, String> {
    let rules = json.get("Rules").and_then(Value::as_array);
    let only = json.as_object().is_some_and(|fields| fields.len() == 1);
    let rules = rules.filter(|_| only).ok_or("it is not {\"Rules\": […]}, as aws-cli takes it")?;
    let mut out = String::from("<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for rule in rules {
        element(&mut out, "Rule", rule, 0)?;
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

fn element(out: &mut String, name: &str, value: &Value, depth: usize) -> Result<(), String> {
    if depth == DEPTH_MAX {
        return Err("it is nested too deep".to_owned());
    }
    // Writing to a string cannot fail.
    match value {
        Value::Array(items) => {
            let one = one_of(name).ok_or_else(|| format!("{name} is a list"))?;
            for item in items {
                element(out, one, item, depth + 1)?;
            }
            return Ok(());
        }
        Value::Object(fields) => {
            let _infallible = write!(out, "<{name}>");
            for (field, value) in fields {
                if field.is_empty() || !field.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(format!("{field:?} is no field"));
                }
                element(out, field, value, depth + 1)?;
            }
        }
        Value::String(text) => {
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
        Value::Number(_) | Value::Bool(_) => {
            let _infallible = write!(out, "<{name}>{value}");
        }
        Value::Null => return Err(format!("{name} is null")),
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
        for bad in [
            json!([]),
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
