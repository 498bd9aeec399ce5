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
use engine::entropy::Entropy;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, StatusCode, request};
use security::audit::{Category, Event, Failure, Resource, bounded};
use security::credentials::AccessKeyId;
use security::sigv4::RequestHead;
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
    /// Refused for want of a right, or of a good signature.
    pub(crate) denied: bool,
    pub(crate) status: StatusCode,
    /// Empty where it went well.
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
}

impl Told<'_> {
    /// It went well.
    pub(crate) const WELL: Self = Self { denied: false, status: StatusCode::OK, code: "", message: "" };

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

/// Whether an operation changes nothing, by its name. Sessions are given out without a change: AWS's records call these reads.
pub(crate) fn reads(name: &str) -> bool {
    let begins = ["AssumeRole", "Get", "List", "Head", "Describe", "Lookup", "Select", "Simulate"];
    begins.iter().any(|begin| name.starts_with(begin))
}

/// Whether an operation gives something out, or makes it, that its record names.
pub(crate) fn gives(name: &str) -> bool {
    !reads(name) || matches!(name, "GetFederationToken" | "GetSessionToken") || name.starts_with("AssumeRole")
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
    /// The key that it claims to be signed with, before that is verified.
    pub(crate) claimed: Option<String>,
    pub(crate) principal: Option<Principal>,
    /// Somebody who has not signed, and whom a provider of this account vouches for: as a record has it.
    pub(crate) vouched: Option<(Value, AccountId)>,
    pub(crate) parameters: Value,
    pub(crate) answered: Value,
    pub(crate) resources: Vec<Resource>,
    /// Whose it is that is asked about, if that is another one's.
    pub(crate) owners: Vec<AccountId>,
}

impl Said {
    /// The other accounts that what is asked about belongs to. Only those that are there have a record, and only of what was done or denied:
    /// nobody writes into a neighbour's history by names that are nothing.
    fn owners(&mut self, state: &State, told: Told<'_>) -> Vec<AccountId> {
        let mut owners = std::mem::take(&mut self.owners);
        let counts = told.code.is_empty() || told.denied;
        owners.retain(|owner| counts && state.credentials.has_account(*owner));
        owners
    }
}

/// The key that a request claims to be signed with, as a record has it.
pub(crate) fn claimed(head: &request::Parts) -> Option<String> {
    let claimed = security::sigv4::claimed_key(&RequestHead {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
    });
    claimed.map(|key| short(&key).to_owned())
}

/// As much of a name as any real one has.
pub(crate) fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(CLAIMED_BYTES_MAX)).unwrap_or(text)
}

/// Bytes of an access key's id at the most.
const CLAIMED_BYTES_MAX: usize = 128;

/// A resource, by its ARN.
pub(crate) fn resource(kind: &'static str, arn: &str) -> Resource {
    let account = arn.split(':').nth(4).and_then(|account| account.parse().ok());
    Resource { kind, arn: bounded(arn).to_owned(), account }
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
        "firn" => "firn.amazonaws.com",
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
    if call.operation == "Unknown" && !told.denied {
        return Ok(());
    }
    let mut fields = call.seen.fields(call.request_id);
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("requestParameters", std::mem::take(&mut said.parameters));
    put("responseElements", std::mem::take(&mut said.answered));
    let also = said.owners(state, told);
    let key = call.access_key_id.or(said.claimed.as_deref());
    let (user, account) = match said.vouched.take() {
        Some(vouched) => vouched,
        None => who(state, said.principal.as_ref(), key).await,
    };
    let event = Event {
        account,
        also,
        at: state.clock.now(),
        category: Category::Management,
        denied: told.denied,
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

/// Who asked, and whose record it is: where nobody is known, that of the account whose key is claimed, if there is such a key, or the appliance's.
pub(crate) async fn who(
    state: &State,
    principal: Option<&Principal>,
    key: Option<&str>,
) -> (Value, AccountId) {
    if let Some(principal) = principal {
        let account = principal.account().unwrap_or(state.account);
        return (Event::user_identity(principal, key), account);
    }
    // Whose signature was not good, or whose rights were not looked at yet.
    let mut user = json!({ "type": "Unknown", "principalId": "", "accountId": "" });
    let Some(key) = key else { return (user, state.account) };
    user["accessKeyId"] = key.into();
    if key.parse::<AccessKeyId>().is_err() {
        return (user, state.account);
    }
    match state.identities.access_key_account(key).await {
        Ok(account) => {
            user["accountId"] = account.to_string().into();
            (user, account)
        }
        Err(_) => (user, state.account),
    }
}

/// Keeps a record that has to be there before the answer; an error where it is not.
pub(crate) async fn settle(state: &State, event: Event, status: StatusCode) -> Result<(), Trouble> {
    let changes_nothing =
        (event.read_only && !gives(&event.name)) || event.denied || status.is_server_error();
    match state.audit.keep(event).await {
        Ok(()) => Ok(()),
        Err(unkept) if changes_nothing && !unkept.trail => Ok(()),
        Err(unkept) => Err(if unkept.full { Trouble::Full } else { Trouble::Own }),
    }
}

/// The id of a request as services other than S3 have it: a UUID, random.
pub(crate) fn request_id(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 16];
    entropy.fill_id(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}
