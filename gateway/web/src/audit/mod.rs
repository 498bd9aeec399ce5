//! Calls as the audit trail has them: what a door knows of a request, chosen field by field, becomes an [`Event`], kept before the answer goes.
//!
//! ```text
//!   door ─► what is known of the call, how it ended ─► Event ─┬─ management, or denied: durable before the answer, or 503 in its place
//!                                                            └─ data: if a trail takes any, once the answer is out
//! ```
//! `allow.rs` has which parameters and members of answers are written; what is in neither of its lists is not. Where nothing can be written, as on
//! a full disk, an answer that changes nothing goes out all the same unless a trail promises its record: it is counted as lost.

pub(crate) mod allow;

use crate::failure::Trouble;
use crate::server::Peer;
use crate::state::State;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, StatusCode};
use security::audit::{Category, Event, Failure, Resource, bounded};
use security::{AccountId, Principal};
use serde_json::{Map, Value, json};

/// The head of a request, as far as a record has it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    peer: Peer,
    user_agent: String,
    host: Option<String>,
}

impl Seen {
    pub(crate) fn of(headers: &HeaderMap, peer: Peer) -> Self {
        let text = |name| {
            let value: Option<&http::HeaderValue> = headers.get(name);
            value.map(|value| bounded(&String::from_utf8_lossy(value.as_bytes())).to_owned())
        };
        Self { peer, user_agent: text(USER_AGENT).unwrap_or_default(), host: text(HOST) }
    }

    pub(crate) fn fields(&self, request_id: &str) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| {
            fields.insert(name.to_owned(), value);
        };
        put("sourceIPAddress", json!(self.peer.ip.to_canonical().to_string()));
        put("userAgent", json!(self.user_agent));
        put("requestID", json!(request_id));
        if let Some(tls) = self.peer.tls {
            let host = self.host.as_deref();
            put(
                "tlsDetails",
                json!({ "tlsVersion": tls.version, "cipherSuite": tls.suite, "clientProvidedHostHeader": host }),
            );
        }
        fields
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) status: StatusCode,
    /// Empty where it went well.
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
}

impl Told<'_> {
    /// It went well.
    pub(crate) const WELL: Self = Self { status: StatusCode::OK, code: "", message: "" };

    /// Refused for want of a right, or of a good signature.
    pub(crate) fn is_denial(&self) -> bool {
        let proofs = [
            "AccessDenied",
            "ExpiredToken",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignature",
            "InvalidToken",
            "MissingAuthenticationToken",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "UnrecognizedClient",
            "AuthorizationHeaderMalformed",
            "AuthorizationQueryParametersError",
        ];
        proofs.iter().any(|proof| self.code.starts_with(proof))
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        // What quotes values may quote secrets.
        let message = Some(self.message).filter(|text| !text.is_empty() && allow::may_quote(self.code));
        (!self.code.is_empty())
            .then(|| Failure { code: self.code.to_owned(), message: message.map(str::to_owned) })
    }
}

/// What is told where a record can't be kept.
pub(crate) const UNRECORDED: &str = "The audit trail could not keep a record of the request. Look before you try again: what was asked for may be done.";

/// What is logged of it.
pub(crate) const UNRECORDED_CAUSE: &str = "no record of the request could be kept by the audit trail";

/// What an answer's head says of what was done.
pub(crate) fn answered(head: &HeaderMap) -> Map<String, Value> {
    let said = allow::ANSWERED.iter().filter_map(|name| {
        let value = head.get(*name)?;
        Some(((*name).to_owned(), json!(String::from_utf8_lossy(value.as_bytes()))))
    });
    said.collect()
}

/// Whether an operation changes nothing, by its name.
pub(crate) fn reads(name: &str) -> bool {
    let begins = ["Get", "List", "Head", "Describe", "Lookup", "Select", "Simulate"];
    begins.iter().any(|begin| name.starts_with(begin))
}

/// Operations of KMS that change nothing: they use keys.
pub(crate) fn uses_key(name: &str) -> bool {
    let uses = [
        "Decrypt",
        "DeriveSharedSecret",
        "Encrypt",
        "GenerateDataKey",
        "GenerateMac",
        "GenerateRandom",
        "ReEncrypt",
        "Sign",
        "Verify",
    ];
    uses.iter().any(|begin| name.starts_with(begin))
}

/// A call of a service other than S3, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) principal: Option<Principal>,
    pub(crate) parameters: Value,
    pub(crate) answered: Value,
    pub(crate) resources: Vec<Resource>,
    /// Whose it is that is asked about, if that is another one's.
    pub(crate) owner: Option<AccountId>,
}

/// A call of a service other than S3, over.
pub(crate) struct Call<'a> {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) request_id: &'a str,
    pub(crate) seen: &'a Seen,
    pub(crate) access_key_id: Option<&'a str>,
}

/// `kms.amazonaws.com`
fn source(service: &str) -> &'static str {
    match service {
        "iam" => "iam.amazonaws.com",
        "sts" => "sts.amazonaws.com",
        "kms" => "kms.amazonaws.com",
        "glacier" => "glacier.amazonaws.com",
        "cloudtrail" => "cloudtrail.amazonaws.com",
        _ => "s3.amazonaws.com",
    }
}

/// Keeps the record of a call of a service other than S3. Without one the call must not be answered.
pub(crate) async fn keep(
    state: &State,
    call: Call<'_>,
    said: &mut Said,
    told: Told<'_>,
) -> Result<(), Trouble> {
    let denied = told.is_denial();
    if call.operation == "Unknown" && !denied {
        return Ok(());
    }
    let mut fields = call.seen.fields(call.request_id);
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("requestParameters", std::mem::take(&mut said.parameters));
    put("responseElements", std::mem::take(&mut said.answered));
    let (user, account) = who(state, said.principal.as_ref(), call.access_key_id);
    let event = Event {
        account,
        also: said.owner,
        at: state.clock.now(),
        category: Category::Management,
        denied,
        read_only: reads(call.operation) || (call.service == "kms" && uses_key(call.operation)),
        source: source(call.service),
        name: call.operation.into(),
        resources: std::mem::take(&mut said.resources),
        user,
        failure: told.failure(),
        fields,
    };
    settle(state, event, told.status).await
}

/// Who asked, and whose record it is: where nobody is known, the appliance's.
pub(crate) fn who(state: &State, principal: Option<&Principal>, key: Option<&str>) -> (Value, AccountId) {
    let account = principal.and_then(Principal::account).unwrap_or(state.account);
    let user = if let Some(principal) = principal {
        Event::user_identity(principal, key)
    } else {
        // Whose signature was not good, or whose rights were not looked at yet.
        let mut user = json!({ "type": "Unknown", "principalId": "", "accountId": "" });
        if let Some(key) = key {
            user["accessKeyId"] = key.into();
        }
        user
    };
    (user, account)
}

/// Keeps a record that has to be there before the answer; an error where it is not.
pub(crate) async fn settle(state: &State, event: Event, status: StatusCode) -> Result<(), Trouble> {
    let changes_nothing = event.read_only || event.denied || status.is_server_error();
    match state.audit.keep(event).await {
        Ok(()) => Ok(()),
        Err(unkept) if changes_nothing && !unkept.trail => Ok(()),
        Err(unkept) => Err(if unkept.full { Trouble::Full } else { Trouble::Own }),
    }
}
