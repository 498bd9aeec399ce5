//! `RestoreObject`: an archived version is to be readable for some days.

use super::{Proof, document, required, version};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, set_amz};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::date;
use crate::s3::error::S3Error;
use crate::xml::{Element, XmlWriter};
use engine::clock::Timestamp;
use http::{HeaderMap, StatusCode};
use objectstore::{RestoreOutcome, RestoreRequest, RestoreState, RestoreTier};

/// What is asked for of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    days: u32,
    tier: RestoreTier,
}

/// `RestoreObject`: 202 where it begins, 200 where it is there already.
pub(super) async fn object(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let root = required(document(call, body, Proof::Optional).await?)?;
    let Asked { days, tier } = parse(&root)?;
    let request = RestoreRequest {
        bucket: call.target.bucket()?,
        key: call.target.key()?,
        version: version(call)?,
        days,
        tier,
        origin: call.origin(),
    };
    match call.state.store.restore(&request, Some(&call.asker.question)).await? {
        RestoreOutcome::Begun => Ok(empty(StatusCode::ACCEPTED)),
        RestoreOutcome::There(_) => Ok(empty(StatusCode::OK)),
    }
}

fn parse(root: &Element) -> Result<Asked, S3Error> {
    let malformed = || S3Error::new(Code::MalformedXML);
    let known =
        ["Days", "GlacierJobParameters", "Type", "Tier", "Description", "SelectParameters", "OutputLocation"];
    let root = root.expect("RestoreRequest")?.only(&known)?;
    for select in ["Type", "SelectParameters", "OutputLocation"] {
        if root.child(select)?.is_some() {
            let message = "Selecting from an archived object is not implemented: restore it, and read what you want of it.";
            return Err(S3Error::with(Code::NotImplemented, message).field("Element", select));
        }
    }
    let days = root.child_text("Days")?.ok_or_else(malformed)?.trim();
    let digits = days.strip_prefix('-').unwrap_or(days);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    // What is no number of days, the store refuses.
    let days = if digits.len() < days.len() { 0 } else { digits.parse().unwrap_or(u32::MAX) };
    let parameters = root.child("GlacierJobParameters")?;
    let tier = match parameters {
        Some(parameters) => parameters.only(&["Tier"])?.child_text("Tier")?,
        None => root.child_text("Tier")?,
    };
    let tier = tier.map_or(Ok(RestoreTier::Standard), str::parse).map_err(|_| malformed())?;
    Ok(Asked { days, tier })
}

/// `x-amz-restore`: of what is restored by now, or being.
pub(super) fn show(head: &mut HeaderMap, restore: Option<RestoreState>, now: Timestamp) {
    match restore {
        Some(RestoreState::UnderWay) => set_amz(head, "x-amz-restore", "ongoing-request=\"true\""),
        Some(RestoreState::Until(until)) if until > now => {
            let text = format!("ongoing-request=\"false\", expiry-date=\"{}\"", date::http(until));
            set_amz(head, "x-amz-restore", &text);
        }
        _ => {}
    }
}

/// `RestoreStatus` of a listing's entry, likewise.
pub(super) fn write(out: &mut XmlWriter, restore: Option<RestoreState>, now: Timestamp) {
    match restore {
        Some(RestoreState::UnderWay) => {
            out.start("RestoreStatus");
            out.value("IsRestoreInProgress", true);
            out.end();
        }
        Some(RestoreState::Until(until)) if until > now => {
            out.start("RestoreStatus");
            out.value("IsRestoreInProgress", false);
            out.text("RestoreExpiryDate", &date::iso(until));
            out.end();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, parse};
    use crate::xml::Element;
    use objectstore::RestoreTier;

    fn read(inner: &str) -> Result<Asked, &'static str> {
        let text = format!("<RestoreRequest>{inner}</RestoreRequest>");
        parse(&Element::parse(text.as_bytes()).unwrap()).map_err(|error| error.code())
    }

    #[test]
    fn a_restore_says_its_days_and_a_tier() {
        let asked = |days, tier| Ok(Asked { days, tier });
        let job = |tier: &str| format!("<GlacierJobParameters><Tier>{tier}</Tier></GlacierJobParameters>");
        assert_eq!(read("<Days>3</Days>"), asked(3, RestoreTier::Standard));
        assert_eq!(read(&format!("<Days>3</Days>{}", job("Bulk"))), asked(3, RestoreTier::Bulk));
        assert_eq!(read("<Days>1</Days><Tier>Expedited</Tier>"), asked(1, RestoreTier::Expedited));
        assert_eq!(read("<Days>-1</Days>"), asked(0, RestoreTier::Standard), "the store's to refuse");
        assert_eq!(read("<Days>99999999999</Days>"), asked(u32::MAX, RestoreTier::Standard));
        for (bad, code) in [
            ("", "MalformedXML"),
            ("<Days/>", "MalformedXML"),
            ("<Days>x</Days>", "MalformedXML"),
            ("<Days>1</Days><Weeks>1</Weeks>", "MalformedXML"),
            ("<Days>1</Days><Tier>Fast</Tier>", "MalformedXML"),
            ("<Type>SELECT</Type>", "NotImplemented"),
        ] {
            assert_eq!(read(bad), Err(code), "{bad}");
        }
    }
}
