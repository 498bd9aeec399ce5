//! Object lock: a bucket's configuration, an object's retention and legal hold, and the headers that carry them.
//!
//! What may be set is the store's to decide; here is what it is called, and which right a caller needs for it.

use super::{Proof, amend, document, required, said, version};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, set_amz, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::context::remaining_days;
use crate::s3::date;
use crate::s3::error::S3Error;
use crate::s3::operation::Operation;
use crate::xml::{Element, XmlWriter};
use http::{HeaderMap, StatusCode};
use objectstore::{
    About, BucketName, DefaultRetention, ErrorKind, GetRequest, LockMode, ObjectInfo, ObjectKey, ObjectLock,
    Period, Retention, Subresources,
};
use security::decide::{Action, Question};

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const HOLD: &str = "x-amz-object-lock-legal-hold";

const PUT_RETENTION: Action = Operation::PutObjectRetention.action();
const PUT_HOLD: Action = Operation::PutObjectLegalHold.action();
const GET_RETENTION: Action = Operation::GetObjectRetention.action();
const GET_HOLD: Action = Operation::GetObjectLegalHold.action();
const BYPASS: Action = Action::new("s3:BypassGovernanceRetention");

fn malformed() -> S3Error {
    S3Error::new(Code::MalformedXML)
}

/// `GetObjectLockConfiguration`.
pub(super) async fn configuration(call: &Call) -> Result<Answer, S3Error> {
    let lock = call.state.store.setting::<ObjectLock>(&call.target.bucket()?).await?;
    let lock = lock.ok_or_else(|| S3Error::new(Code::ObjectLockConfigurationNotFoundError))?;
    let mut out = XmlWriter::document("ObjectLockConfiguration");
    out.text("ObjectLockEnabled", "Enabled");
    if let Some(default) = lock.default {
        out.start("Rule");
        out.start("DefaultRetention");
        out.text("Mode", default.mode.as_str());
        match default.period {
            Period::Days(days) => out.value("Days", days),
            Period::Years(years) => out.value("Years", years),
        }
    }
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `PutObjectLockConfiguration`: turns object lock on where versions are kept, or changes the default retention.
pub(super) async fn set_configuration(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let bucket = call.target.bucket()?;
    let root = required(document(call, body, Proof::Required).await?)?;
    let lock = ObjectLock::new(parse_configuration(&root)?)?;
    call.state.store.set(&bucket, Some(&lock)).await?;
    Ok(empty(StatusCode::OK))
}

fn parse_configuration(root: &Element) -> Result<Option<DefaultRetention>, S3Error> {
    let root = root.expect("ObjectLockConfiguration")?.only(&["ObjectLockEnabled", "Rule"])?;
    if root.child_text("ObjectLockEnabled")? != Some("Enabled") {
        return Err(malformed());
    }
    let Some(rule) = root.child("Rule")? else { return Ok(None) };
    let default = rule.only(&["DefaultRetention"])?.child("DefaultRetention")?.ok_or_else(malformed)?;
    let default = default.only(&["Mode", "Days", "Years"])?;
    let mode = default.child_text("Mode")?.and_then(LockMode::parse).ok_or_else(malformed)?;
    let period = match (default.child_text("Days")?, default.child_text("Years")?) {
        (Some(days), None) => Period::Days(count(days)?),
        (None, Some(years)) => Period::Years(count(years)?),
        _ => return Err(malformed()),
    };
    Ok(Some(DefaultRetention { mode, period }))
}

/// A whole number; one that no period can have is the store's to refuse.
fn count(text: &str) -> Result<u32, S3Error> {
    let number: i64 = text.parse().map_err(|_| malformed())?;
    Ok(u32::try_from(number).unwrap_or(if number < 0 { 0 } else { u32::MAX }))
}

/// `GetObjectRetention`.
pub(super) async fn retention(call: &Call) -> Result<Answer, S3Error> {
    let info = locked_object(call).await?;
    let retention = info.subresources.retention;
    let retention = retention.ok_or_else(|| S3Error::new(Code::NoSuchObjectLockConfiguration))?;
    let mut out = XmlWriter::document("Retention");
    out.text("Mode", retention.mode.as_str());
    out.text("RetainUntilDate", &date::iso_exact(retention.until));
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `PutObjectRetention`.
pub(super) async fn set_retention(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let root = required(document(call, body, Proof::Required).await?)?;
    let retention = parse_retention(&root)?;
    let mut said = Vec::new();
    if let Some(Retention { mode, until }) = retention {
        let days = remaining_days(until, call.state.clock.now());
        said.push(("s3:object-lock-mode".to_owned(), mode.as_str().to_owned()));
        said.push(("s3:object-lock-retain-until-date".to_owned(), date::iso_exact(until)));
        said.push(("s3:object-lock-remaining-retention-days".to_owned(), days.to_string()));
    }
    call.require_with(said.clone()).await?;
    let asks = call.asks_with(said);
    let bypass = asks_to_bypass(call)? && call.decision(&asks.about(BYPASS, None)).await?.allowed();
    call.state.store.set_retention(&amend(call)?, Some(&asks), (retention, bypass)).await?;
    Ok(empty(StatusCode::OK))
}

/// An empty element takes the retention away.
fn parse_retention(root: &Element) -> Result<Option<Retention>, S3Error> {
    let root = root.expect("Retention")?.only(&["Mode", "RetainUntilDate"])?;
    match (root.child_text("Mode")?, root.child_text("RetainUntilDate")?) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => {
            let mode = LockMode::parse(mode).ok_or_else(malformed)?;
            Ok(Some(Retention { mode, until: date::parse_iso(until).ok_or_else(malformed)? }))
        }
        _ => Err(malformed()),
    }
}

/// `GetObjectLegalHold`.
pub(super) async fn legal_hold(call: &Call) -> Result<Answer, S3Error> {
    let info = locked_object(call).await?;
    let hold = info.subresources.legal_hold;
    let hold = hold.ok_or_else(|| S3Error::new(Code::NoSuchObjectLockConfiguration))?;
    let mut out = XmlWriter::document("LegalHold");
    out.text("Status", on_or_off(hold));
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `PutObjectLegalHold`.
pub(super) async fn set_legal_hold(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let root = required(document(call, body, Proof::Required).await?)?;
    let root = root.expect("LegalHold")?.only(&["Status"])?;
    let on = root.child_text("Status")?.and_then(parse_hold).ok_or_else(malformed)?;
    let said = vec![("s3:object-lock-legal-hold".to_owned(), on_or_off(on).to_owned())];
    call.require_with(said.clone()).await?;
    call.state.store.set_legal_hold(&amend(call)?, Some(&call.asks_with(said)), on).await?;
    Ok(empty(StatusCode::OK))
}

/// An object of a bucket that has object lock.
async fn locked_object(call: &Call) -> Result<ObjectInfo, S3Error> {
    let bucket = call.target.bucket()?;
    let key = call.target.key()?;
    let mut request = GetRequest::new(bucket.clone(), key.clone());
    request.version = version(call)?;
    let info = match call.state.store.peek(&request).await {
        Ok(info) => info,
        Err(absent) if absent.kind() == ErrorKind::NotFound => {
            let asks = &call.asker.question;
            return Err(call.state.store.tell_absent((&bucket, &key), asks, absent).await.into());
        }
        Err(error) => return Err(error.into()),
    };
    match call.state.store.setting::<ObjectLock>(&bucket).await? {
        Some(_) => Ok(info),
        None => Err(S3Error::with(Code::InvalidRequest, "Bucket is missing Object Lock Configuration")),
    }
}

const fn on_or_off(hold: bool) -> &'static str {
    if hold { "ON" } else { "OFF" }
}

fn parse_hold(text: &str) -> Option<bool> {
    match text {
        "ON" => Some(true),
        "OFF" => Some(false),
        _ => None,
    }
}

/// Whether the request may weaken governance retentions: it says so, and its principal has the right to.
pub(super) async fn bypass(call: &Call) -> Result<bool, S3Error> {
    Ok(asks_to_bypass(call)? && call.may(BYPASS).await?)
}

fn asks_to_bypass(call: &Call) -> Result<bool, S3Error> {
    flag(call, "x-amz-bypass-governance-retention")
}

/// The same for one key of several, about which `asks` was asked.
pub(super) async fn bypass_of(
    call: &Call,
    bucket: &BucketName,
    key: &ObjectKey,
    asks: &Question,
) -> Result<bool, S3Error> {
    if !asks_to_bypass(call)? {
        return Ok(false);
    }
    let question = asks.about(BYPASS, None);
    let decision = call.state.store.decide(bucket, &question, About::Key(key.as_str())).await?;
    Ok(decision.allowed())
}

/// Whether a bucket is to have object lock from its beginning, and versions with it, if its principal may set both.
pub(super) fn of_new_bucket(call: &Call) -> Result<bool, S3Error> {
    let locked = flag(call, "x-amz-bucket-object-lock-enabled")?;
    if locked {
        call.require_of_account(Operation::PutObjectLockConfiguration.action())?;
        call.require_of_account(Operation::PutBucketVersioning.action())?;
    }
    Ok(locked)
}

/// A header that is true or false; false where it is left out.
fn flag(call: &Call, name: &'static str) -> Result<bool, S3Error> {
    match said(call, name)? {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(other) => Err(S3Error::argument(name, other, "The value is neither true nor false")),
    }
}

/// What the headers of a write say of the lock of the version to be, if its principal may say so.
pub(super) async fn of_headers(call: &Call, beside: &mut Subresources) -> Result<(), S3Error> {
    (beside.retention, beside.legal_hold) = parse_headers(|name| said(call, name))?;
    if beside.retention.is_some() {
        call.require(PUT_RETENTION).await?;
    }
    if beside.legal_hold.is_some() {
        call.require(PUT_HOLD).await?;
    }
    Ok(())
}

fn parse_headers<'c>(
    said: impl Fn(&'static str) -> Result<Option<&'c str>, S3Error>,
) -> Result<(Option<Retention>, Option<bool>), S3Error> {
    let (mode, until) = (said(MODE)?, said(UNTIL)?);
    let retention = match (mode, until) {
        (None, None) => None,
        (Some(mode), Some(until)) => Some(Retention {
            mode: LockMode::parse(mode)
                .ok_or_else(|| S3Error::argument(MODE, mode, "Unknown wormMode directive."))?,
            until: date::parse_iso(until).ok_or_else(|| {
                let message = "The retain until date must be provided in ISO 8601 format";
                S3Error::argument(UNTIL, until, message)
            })?,
        }),
        (mode, _) => {
            let missing = if mode.is_some() { UNTIL } else { MODE };
            let message =
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied";
            return Err(S3Error::argument(missing, "", message));
        }
    };
    let hold = said(HOLD)?.map(|text| {
        parse_hold(text)
            .ok_or_else(|| S3Error::argument(HOLD, text, "Legal Hold must be either of 'ON' or 'OFF'"))
    });
    Ok((retention, hold.transpose()?))
}

/// Shows an object's lock to whoever may see it.
pub(super) async fn show(call: &Call, head: &mut HeaderMap, beside: &Subresources) -> Result<(), S3Error> {
    if let Some(retention) = beside.retention
        && call.may(GET_RETENTION).await?
    {
        set_amz(head, MODE, retention.mode.as_str());
        set_amz(head, UNTIL, &date::iso_exact(retention.until));
    }
    if let Some(hold) = beside.legal_hold
        && call.may(GET_HOLD).await?
    {
        set_amz(head, HOLD, on_or_off(hold));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Element, parse_configuration, parse_headers, parse_retention};
    use engine::clock::Timestamp;
    use objectstore::{DefaultRetention, LockMode, Period, Retention};

    fn root(text: &str) -> Element {
        Element::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn configurations_are_read_strictly() {
        let read = |inner: &str| {
            let text = format!("<ObjectLockConfiguration>{inner}</ObjectLockConfiguration>");
            parse_configuration(&root(&text)).map_err(|error| error.code())
        };
        let on = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>";
        let rule =
            |inner: &str| read(&format!("{on}<Rule><DefaultRetention>{inner}</DefaultRetention></Rule>"));
        assert_eq!(read(on), Ok(None));
        let days = DefaultRetention { mode: LockMode::Governance, period: Period::Days(7) };
        assert_eq!(rule("<Mode>GOVERNANCE</Mode><Days>7</Days>"), Ok(Some(days)));
        let years = DefaultRetention { mode: LockMode::Compliance, period: Period::Years(1) };
        assert_eq!(rule("<Years>1</Years><Mode>COMPLIANCE</Mode>"), Ok(Some(years)));
        for (days, count) in [("-1", 0), ("0", 0), ("99999999999", u32::MAX)] {
            let read = rule(&format!("<Mode>GOVERNANCE</Mode><Days>{days}</Days>")).unwrap().unwrap();
            assert_eq!(read.period, Period::Days(count), "left to the store to refuse");
        }
        for bad in [
            "",
            "<ObjectLockEnabled>Disabled</ObjectLockEnabled>",
            "<ObjectLockEnabled>enabled</ObjectLockEnabled>",
            &format!("{on}{on}"),
            &format!("{on}<Rule/>"),
            &format!("{on}<Rule>x</Rule>"),
        ] {
            assert_eq!(read(bad), Err("MalformedXML"), "{bad}");
        }
        for bad in [
            "",
            "<Mode>GOVERNANCE</Mode>",
            "<Days>1</Days>",
            "<Mode>governance</Mode><Days>1</Days>",
            "<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>",
            "<Mode>GOVERNANCE</Mode><Days>1.5</Days>",
            "<Mode>GOVERNANCE</Mode><Days/>",
            "<Mode>GOVERNANCE</Mode><Weeks>1</Weeks>",
        ] {
            assert_eq!(rule(bad), Err("MalformedXML"), "{bad}");
        }
    }

    #[test]
    fn a_retention_is_whole_or_none() {
        let read = |inner: &str| {
            parse_retention(&root(&format!("<Retention>{inner}</Retention>"))).map_err(|error| error.code())
        };
        assert_eq!(read(""), Ok(None));
        let until = Timestamp::from_millis(1_893_456_000_000);
        let whole = Retention { mode: LockMode::Compliance, until };
        let date = "<RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>";
        assert_eq!(read(&format!("<Mode>COMPLIANCE</Mode>{date}")), Ok(Some(whole)));
        for bad in [
            date,
            "<Mode>COMPLIANCE</Mode>",
            &format!("<Mode>abc</Mode>{date}"),
            "<Mode>COMPLIANCE</Mode><RetainUntilDate>tomorrow</RetainUntilDate>",
            "<Mode>COMPLIANCE</Mode><RetainUntilDate/>",
            "<Mode>COMPLIANCE</Mode><RetainUntilDate>2030-01-01</RetainUntilDate>",
        ] {
            assert_eq!(read(bad), Err("MalformedXML"), "{bad}");
        }
    }

    #[test]
    fn headers_name_a_mode_with_its_date_and_a_hold() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            let said = |name| Ok(pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value));
            parse_headers(said).map_err(|error| error.code())
        };
        assert_eq!(read(&[]), Ok((None, None)));
        assert_eq!(read(&[(super::HOLD, "OFF")]), Ok((None, Some(false))));
        let (mode, until) = ((super::MODE, "GOVERNANCE"), (super::UNTIL, "2030-01-01T00:00:00.000Z"));
        let retention =
            Retention { mode: LockMode::Governance, until: Timestamp::from_millis(1_893_456_000_000) };
        assert_eq!(read(&[mode, until, (super::HOLD, "ON")]), Ok((Some(retention), Some(true))));
        for bad in [
            &[mode][..],
            &[until],
            &[(super::MODE, "governance"), until],
            &[mode, (super::UNTIL, "soon")],
            &[(super::HOLD, "on")],
        ] {
            assert_eq!(read(bad), Err("InvalidArgument"), "{bad:?}");
        }
    }
}
