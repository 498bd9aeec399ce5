//! `PostObject`: an upload by a browser's form.
//!
//! ```text
//!   form's fields (≤ 20 KiB) ─► signature over the policy ─► policy ─► decide ─► a call as PutObject has it
//!   form's file ──────────────────────────────────────────────────────────────► its body, as it comes
//! ```
//!
//! The one operation that reads of its body before it knows who asks: the form itself says so. What a field sets is what the
//! header of its name sets on a PUT, and is checked by the same code; headers of the request itself set nothing.

use super::complete::location;
use super::{charged, extract, put, tagging, tell_charged};
use crate::audit;
use crate::budget::Sender;
use crate::s3::Call;
use crate::s3::access::{Asker, Asking};
use crate::s3::answer::{Answer, empty, set, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::context::Signed;
use crate::s3::customer::Shown;
use crate::s3::error::S3Error;
use crate::s3::operation::Operation;
use crate::s3::query::Query;
use crate::s3::target::Target;
use crate::s3::{access, guard, headers, percent};
use crate::xml::{Element, XmlWriter};
use engine::unit::ByteCount;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERER, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, request};
use objectstore::Uploaded;
use security::form::{
    Decoder, Event, Fields, FileHead, FormError, LengthRange, Policy, authenticate, boundary,
};
use security::{Principal, sigv4};
use std::sync::Arc;

/// Fields that stand for a header of their name; so do all of `x-amz-`.
const HEADERS: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
];

/// Fields of the signature; no header of a PUT.
const OF_SIGNATURES: [&str; 5] =
    ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature"];

/// A form on its way in.
struct Form<'b> {
    decoder: Decoder,
    body: &'b mut RequestBody,
}

impl Form<'_> {
    /// What comes next; never [`Event::NeedMore`].
    async fn next(&mut self) -> Result<Event, S3Error> {
        loop {
            match self.decoder.event()? {
                Event::NeedMore => match self.body.next().await? {
                    Some(bytes) => self.decoder.push(&bytes),
                    None => self.decoder.finish()?,
                },
                event => return Ok(event),
            }
        }
    }

    /// All fields before the file.
    async fn fields(&mut self) -> Result<(Fields, FileHead), S3Error> {
        let mut fields = Fields::default();
        loop {
            match self.next().await? {
                Event::Field { name, value } => fields.add(&name, value)?,
                Event::File(file) => return Ok((fields, file)),
                Event::NeedMore | Event::Data(_) | Event::End => return Err(FormError::Files.into()),
            }
        }
    }
}

/// What of a form is in memory when its file begins: its fields, of 20 KiB, and the piece in which the file begins.
const BESIDE_THE_FILE: ByteCount = ByteCount::kib(20 + 256);

/// `PostObject`.
pub(super) async fn object(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let bucket = call.target.bucket()?;
    call.state.store.head_bucket(&bucket).await?;
    let content_type = headers::text(&call.head.headers, CONTENT_TYPE)?.unwrap_or_default();
    let mut form = Form { decoder: Decoder::new(&boundary(content_type)?), body };
    let (mut fields, file) = form.fields().await?;
    fields.name_the_file(&file.name)?;
    if let Some(claimed) = claimed(&fields) {
        let _set_once = call.form_claimed.set(claimed.to_owned());
    }
    let (principal, range) = allowed(call, bucket.as_str(), &fields).await?;
    let mut target = call.target.clone();
    target.key = Some(fields.get("key").unwrap_or_default().to_owned());
    let query = Arc::new(Query::default());
    let head = Arc::new(as_head(call, &fields)?);
    let signed = match (&principal, fields.get("x-amz-algorithm")) {
        (Principal::Anonymous, _) => Signed::Not,
        (_, Some(_)) => Signed::Form,
        (_, None) => Signed::OldForm,
    };
    let (operation, peer) = (Operation::PutObject, call.peer);
    let part_of = Some(Arc::clone(call.asker.request()));
    call.note(|notes| notes.principal(principal.clone()));
    let named = fields.get("key").unwrap_or_default().to_owned();
    let _set_once = call.form_asker.set((principal.clone(), named));
    let asking = Asking {
        principal,
        operation,
        target: &mut target,
        query: &query,
        head: &head,
        signed,
        peer,
        part_of,
    };
    if let Some(key) = fields.get("key") {
        call.note(|notes| notes.key(key));
    }
    let asker = access::admit(&call.state, asking).await?;
    if let Some(notes) = &call.notes {
        asker.note(&call.state, operation, &target, notes).await;
    }
    let inner = as_put(call, (target, head), (asker, signed))?;
    extract::refuse(&inner.head.headers)?;
    let charged = charged(&inner).await?;
    let started = put::begin(&inner, None).await?;
    // Nothing comes behind a form.
    let expect = started.digests.expect(&HeaderMap::new())?;
    if let Some(key) = call.form_key.get() {
        form.body.signed_by(Sender::Key(key.clone()));
    }
    // A file is no longer than its form.
    let memory = started.upload.memory(form.body.length()) + BESIDE_THE_FILE;
    let hold = form.body.reserve(&call.state.bodies, memory).await?;
    let mut upload = started.upload.charged_to(hold);
    let mut size = 0;
    loop {
        match form.next().await? {
            Event::Data(bytes) => {
                size += bytes.len() as u64;
                check_at_most(size, range)?;
                upload.write(bytes).await?;
            }
            Event::End => break,
            Event::NeedMore | Event::Field { .. } | Event::File(_) => return Err(FormError::Files.into()),
        }
    }
    check_at_least(size, range)?;
    let uploaded = upload.finish(expect).await?;
    call.note(|notes| notes.size(uploaded.size));
    let mut answer = answer(&inner, &fields, &uploaded, started.shown.as_ref());
    if charged {
        tell_charged(answer.headers_mut());
    }
    Ok(answer)
}

/// Who asks, and how large the file may be.
async fn allowed(
    call: &Call,
    bucket: &str,
    fields: &Fields,
) -> Result<(Principal, Option<LengthRange>), S3Error> {
    let state = &call.state;
    let now = state.clock.now();
    let verifier = sigv4::Policy::new(&state.region, now, &state.signing_keys);
    let signed = authenticate(fields, &*state.credentials, &verifier, call.config.legacy_forms);
    let signed = signed.map_err(|refused| S3Error::from(refused).refusing())?;
    let Some(signed) = signed else { return Ok((Principal::Anonymous, None)) };
    // For the access log, whatever the policy says.
    let _set_once = call.form_key.set(signed.access_key_id.clone());
    let principal = signed.principal(&*state.credentials).await;
    let principal = principal.map_err(|refused| S3Error::from(refused).refusing())?;
    let named = fields.get("key").unwrap_or_default().to_owned();
    let _set_once = call.form_asker.set((principal.clone(), named));
    let policy = Policy::parse(fields.get("policy").unwrap_or_default())?;
    policy.check(bucket, fields, now)?;
    Ok((principal, policy.length()))
}

/// The key that a form claims to be signed with.
fn claimed(fields: &Fields) -> Option<&str> {
    let of_scope = fields.get("x-amz-credential").and_then(|credential| credential.split('/').next());
    of_scope.or_else(|| fields.get("awsaccesskeyid")).filter(|key| !key.is_empty()).map(audit::short)
}

fn check_at_most(size: u64, range: Option<LengthRange>) -> Result<(), S3Error> {
    match range {
        Some(range) if size > range.max => Err(S3Error::new(Code::EntityTooLarge)
            .field("ProposedSize", size.to_string())
            .field("MaxSizeAllowed", range.max.to_string())),
        _ => Ok(()),
    }
}

fn check_at_least(size: u64, range: Option<LengthRange>) -> Result<(), S3Error> {
    match range {
        Some(range) if size < range.min => Err(S3Error::new(Code::EntityTooSmall)
            .field("ProposedSize", size.to_string())
            .field("MinSizeAllowed", range.min.to_string())),
        _ => Ok(()),
    }
}

/// The PUT that the form stands for.
fn as_put(
    call: &Call,
    (target, head): (Target, Arc<request::Parts>),
    (asker, signed): (Asker, Signed),
) -> Result<Call, S3Error> {
    if target.key.as_deref().is_none_or(str::is_empty) {
        return Err(FormError::missing("key").into());
    }
    guard::check_headers(&head, asker.owner)?;
    Ok(Call { head, target, query: Arc::default(), asker, signed, ..call.clone() })
}

/// The head of that PUT: headers as the fields have them, and who sends it from where.
fn as_head(call: &Call, fields: &Fields) -> Result<request::Parts, S3Error> {
    let mut head = blank();
    head.headers = header_map(fields)?;
    for name in [REFERER, USER_AGENT] {
        if let Some(value) = call.head.headers.get(&name) {
            head.headers.insert(name, value.clone());
        }
    }
    Ok(head)
}

fn blank() -> request::Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::POST;
    head
}

fn header_map(fields: &Fields) -> Result<HeaderMap, S3Error> {
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter() {
        let of_header =
            HEADERS.contains(&name) || (name.starts_with("x-amz-") && !OF_SIGNATURES.contains(&name));
        let (name, value) = match name {
            "acl" => ("x-amz-acl", value.to_owned()),
            "tagging" => ("x-amz-tagging", tag_query(value)?),
            name if of_header => (name, value.to_owned()),
            _ => continue,
        };
        let (Ok(header), Ok(text)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        else {
            return Err(S3Error::argument(name, "", "The field's value can not stand in a header."));
        };
        map.append(header, text);
    }
    Ok(map)
}

/// The field has the document of `PutObjectTagging`; the header has its tags as a query.
fn tag_query(document: &str) -> Result<String, S3Error> {
    let tags = tagging::tag_set(&Element::parse(document.as_bytes())?)?;
    let pair =
        |(key, value): &(String, String)| format!("{}={}", percent::encode(key), percent::encode(value));
    Ok(tags.iter().map(pair).collect::<Vec<_>>().join("&"))
}

fn answer(call: &Call, fields: &Fields, uploaded: &Uploaded, shown: Option<&Shown>) -> Answer {
    let location = location(call);
    let (bucket, key) =
        (call.target.bucket.as_deref().unwrap_or_default(), call.target.key.as_deref().unwrap_or_default());
    let redirect = fields.get("success_action_redirect").or_else(|| fields.get("redirect"));
    if let Some(to) = redirect.and_then(|url| redirect_to(url, bucket, key, uploaded)) {
        let mut answer = empty(StatusCode::SEE_OTHER);
        put::describe(answer.headers_mut(), uploaded, shown);
        answer.headers_mut().insert(LOCATION, to);
        return answer;
    }
    let mut answer = match fields.get("success_action_status") {
        Some("200") => empty(StatusCode::OK),
        Some("201") => {
            let mut out = XmlWriter::plain("PostResponse");
            out.text("Location", &location);
            out.text("Bucket", bucket);
            out.text("Key", key);
            out.etag(uploaded.etag);
            xml(StatusCode::CREATED, out.finish())
        }
        _ => empty(StatusCode::NO_CONTENT),
    };
    put::describe(answer.headers_mut(), uploaded, shown);
    set(answer.headers_mut(), LOCATION, &location);
    answer
}

/// The URL with bucket, key and ETag behind it; nothing where it is none that a browser could go to.
fn redirect_to(url: &str, bucket: &str, key: &str, uploaded: &Uploaded) -> Option<HeaderValue> {
    let parsed: http::Uri = url.parse().ok()?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.host().is_none_or(str::is_empty) {
        return None;
    }
    let join = if parsed.query().is_some() { '&' } else { '?' };
    let key = percent::encode(key);
    let text = format!("{url}{join}bucket={bucket}&key={key}&etag=%22{}%22", uploaded.etag);
    HeaderValue::from_str(&text).ok()
}
