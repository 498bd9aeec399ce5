//! A second evaluator, literal and slow, over the JSON itself: what the compiled one is compared with. It shares no code with it but the
//! types of the answer.
//!
//! Documents that it is given are well-formed; it never refuses any.

use crate::AccountId;
use crate::policy::{Caller, Context, Missing, Verdict};
use base64::Engine as _;
use serde_json::Value;
use std::net::IpAddr;

pub(crate) struct Case<'a> {
    pub(crate) caller: Caller<'a>,
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) context: &'a dyn Context,
    pub(crate) identity: &'a [Value],
    pub(crate) boundary: Option<&'a Value>,
    pub(crate) session: Option<&'a Value>,
    pub(crate) of_resource: Option<&'a Value>,
    pub(crate) owner: AccountId,
    pub(crate) resource_decides: bool,
}

/// What the two have to agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    Denied,
    NotAllowed(Missing),
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed(_) | Verdict::AllowedAsRoot => Self::Allowed,
            Verdict::Denied(_) | Verdict::TooCostly => Self::Denied,
            Verdict::NotAllowed(missing) => Self::NotAllowed(missing),
        }
    }
}

/// Whether the text is of the pattern's form, by trying everything.
fn glob(pattern: &[Token], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((Token::Any, rest)) => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        Some((Token::One, rest)) => !text.is_empty() && glob(rest, &text[1..]),
        Some((Token::Char(c), rest)) => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

#[derive(Clone, Copy, Debug)]
enum Token {
    Any,
    One,
    Char(char),
}

/// Puts in what variables say; `None` where one says nothing.
fn tokens(text: &str, wildcards: bool, variables: bool, context: &dyn Context) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        if variables && chars[at] == '$' && chars.get(at + 1) == Some(&'{') {
            let end = at + chars[at..].iter().position(|c| *c == '}').unwrap();
            let inner: String = chars[at + 2..end].iter().collect();
            let value = match inner.as_str() {
                "*" | "?" | "$" => Some(inner.clone()),
                _ => {
                    let (key, default) = match inner.split_once(',') {
                        Some((key, text)) => (key.trim(), Some(text.trim().trim_matches('\'').to_owned())),
                        None => (inner.as_str(), None),
                    };
                    let values = values_of(key, context);
                    if let [one] = values.as_slice() { Some(one.clone()) } else { default }
                }
            };
            out.extend(value?.chars().map(Token::Char));
            at = end + 1;
            continue;
        }
        out.push(match chars[at] {
            '*' if wildcards => Token::Any,
            '?' if wildcards => Token::One,
            c => Token::Char(c),
        });
        at += 1;
    }
    Some(out)
}

fn values_of(key: &str, context: &dyn Context) -> Vec<String> {
    let mut all = Vec::new();
    context.visit(&key.to_lowercase(), &mut |value| all.push(value.to_owned()));
    all
}

fn list(value: &Value) -> Vec<String> {
    let one = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    value.as_array().map_or_else(|| vec![one(value)], |items| items.iter().map(one).collect())
}

fn parts(text: &str) -> Vec<String> {
    let (mut all, mut inside) = (vec![String::new()], false);
    for c in text.chars() {
        inside = (inside || c == '{') && c != '}';
        if c == ':' && !inside && all.len() < 6 {
            all.push(String::new());
        } else {
            all.last_mut().unwrap().push(c);
        }
    }
    all
}

/// Whether an ARN is of a pattern's form: `None` where a variable that decides says nothing.
fn arn_matches(pattern: &str, arn: &str, variables: bool, context: &dyn Context) -> Option<bool> {
    if pattern == "*" {
        return Some(true);
    }
    let (patterns, parts) = (parts(pattern), parts(arn));
    if parts.len() != 6 || parts[0] != "arn" {
        return None;
    }
    let answers: Vec<Option<bool>> = patterns
        .iter()
        .zip(&parts)
        .map(|(pattern, part)| {
            let tokens = tokens(pattern, true, variables, context)?;
            Some(glob(&tokens, &part.chars().collect::<Vec<_>>()))
        })
        .collect();
    if answers.contains(&Some(false)) {
        Some(false)
    } else {
        answers.into_iter().collect::<Option<Vec<_>>>().map(|_| true)
    }
}

/// One value of the policy against one of the request, by the plain operator; `None` where they can't be compared.
fn compares(
    operator: &str,
    known: &str,
    value: &str,
    variables: bool,
    context: &dyn Context,
) -> Option<bool> {
    let text = |wildcards: bool, folds: bool| {
        let fold = |text: &str| -> String {
            if folds { text.chars().flat_map(char::to_lowercase).collect() } else { text.to_owned() }
        };
        let tokens = tokens(known, wildcards, variables, context)?;
        let tokens: Vec<Token> = tokens
            .into_iter()
            .flat_map(|token| match token {
                Token::Char(c) if folds => c.to_lowercase().map(Token::Char).collect(),
                token => vec![token],
            })
            .collect();
        Some(glob(&tokens, &fold(value).chars().collect::<Vec<_>>()))
    };
    // The generator writes whole numbers and dates in seconds only: here they are floats.
    let numbers = known.parse::<f64>().ok().zip(value.parse::<f64>().ok());
    let number = |holds: fn(f64, f64) -> bool| numbers.map(|(known, value)| holds(value, known));
    match operator {
        "StringEquals" => text(false, false),
        "StringEqualsIgnoreCase" => text(false, true),
        "StringLike" => text(true, false),
        "NumericEquals" | "DateEquals" => number(|a, b| (a - b).abs() < 0.5),
        "NumericLessThan" | "DateLessThan" => number(|a, b| a < b),
        "NumericLessThanEquals" | "DateLessThanEquals" => number(|a, b| a <= b),
        "NumericGreaterThan" | "DateGreaterThan" => number(|a, b| a > b),
        "NumericGreaterThanEquals" | "DateGreaterThanEquals" => number(|a, b| a >= b),
        "Bool" => {
            let boolean = |text: &str| text.to_lowercase().parse::<bool>().ok();
            boolean(known).zip(boolean(value)).map(|(known, value)| known == value)
        }
        "BinaryEquals" => {
            let bytes = |text| base64::engine::general_purpose::STANDARD.decode(text).ok();
            bytes(known).zip(bytes(value)).map(|(known, value)| known == value)
        }
        "IpAddress" => {
            let (network, bits) = known.split_once('/').unwrap_or((known, "32"));
            let bits: u32 = bits.parse().unwrap();
            let number = |text: &str| match text.parse() {
                Ok(IpAddr::V4(address)) => Some(u64::from(u32::from(address))),
                _ => None,
            };
            let same = |(a, b): (u64, u64)| a >> (32 - bits) == b >> (32 - bits);
            value.parse::<IpAddr>().ok()?;
            Some(number(network).zip(number(value)).is_some_and(same))
        }
        "ArnLike" => arn_matches(known, value, variables, context),
        other => panic!("{other}"),
    }
}

fn condition(
    name: &str,
    key: &str,
    known: &Value,
    allows: bool,
    variables: bool,
    context: &dyn Context,
) -> bool {
    let (set, bare) = match name.split_once(':') {
        Some((set, bare)) => (set, bare),
        None => ("", name),
    };
    let if_exists = bare.ends_with("IfExists");
    let bare = bare.trim_end_matches("IfExists");
    let values = values_of(key, context);
    if bare == "Null" {
        return list(known).contains(&values.is_empty().to_string());
    }
    let (plain, negated) = match bare {
        "StringNotEquals" => ("StringEquals", true),
        "StringNotEqualsIgnoreCase" => ("StringEqualsIgnoreCase", true),
        "StringNotLike" => ("StringLike", true),
        "NumericNotEquals" => ("NumericEquals", true),
        "DateNotEquals" => ("DateEquals", true),
        "NotIpAddress" => ("IpAddress", true),
        "ArnEquals" => ("ArnLike", false),
        "ArnNotEquals" | "ArnNotLike" => ("ArnLike", true),
        other => (other, false),
    };
    if values.is_empty() {
        return if_exists || set == "ForAllValues" || (set.is_empty() && negated);
    }
    let hits: Vec<bool> = values
        .iter()
        .map(|value| {
            let answers: Vec<Option<bool>> =
                list(known).iter().map(|known| compares(plain, known, value, variables, context)).collect();
            let matched = answers.contains(&Some(true));
            if negated { !(matched || allows && answers.contains(&None)) } else { matched }
        })
        .collect();
    match set {
        "ForAllValues" => hits.iter().all(|hit| *hit),
        "ForAnyValue" => hits.iter().any(|hit| *hit),
        _ if negated => hits.iter().all(|hit| *hit),
        _ => hits.iter().any(|hit| *hit),
    }
}

/// How far a principal element reaches the caller: 3 itself, 2 whose session it is, 1 its account, 0 not at all.
fn principal(value: &Value, caller: Caller<'_>) -> u8 {
    let own_account = |text: &str| {
        let account = caller.account().map(|account| account.to_string());
        account.is_some_and(|account| text == account || text == format!("arn:aws:iam::{account}:root"))
    };
    let (arn, behind) = match caller {
        Caller::User { arn, .. } => (arn, ""),
        Caller::Session { arn, role: behind, .. } | Caller::Federated { arn, user: behind, .. } => {
            (arn, behind)
        }
        _ => ("", ""),
    };
    let mut best = 0;
    let everybody = value.as_str() == Some("*");
    let of_aws = value.get("AWS").map(list).unwrap_or_default();
    for name in of_aws.iter().map(String::as_str).chain(everybody.then_some("*")) {
        best = best.max(match name {
            "*" => 3,
            name if name == arn => 3,
            name if own_account(name) && matches!(caller, Caller::Root(_)) => 3,
            name if !behind.is_empty() && name == behind => 2,
            name if own_account(name) => 1,
            _ => 0,
        });
    }
    for name in value.get("CanonicalUser").map(list).unwrap_or_default() {
        if caller.account().is_some_and(|account| account.canonical_user_id() == name) {
            best = best.max(if matches!(caller, Caller::Root(_)) { 3 } else { 1 });
        }
    }
    let service = value.get("Service").map(list).unwrap_or_default();
    if let Caller::Service(name) = caller
        && service.iter().any(|known| known == name)
    {
        best = 3;
    }
    best
}

fn not_principal(value: &Value, caller: Caller<'_>, bounded: bool) -> bool {
    let names = value.get("AWS").map(list).unwrap_or_default();
    if value.as_str() == Some("*") || names.iter().any(|name| name == "*") {
        return false;
    }
    let whole = match caller {
        Caller::Anonymous => false,
        Caller::Service(_) | Caller::Provided { .. } => principal(value, caller) > 0,
        _ => {
            let account = caller.account().unwrap();
            let has = |text: &str| names.iter().any(|name| name == text);
            let canonical = value.get("CanonicalUser").map(list).unwrap_or_default();
            let account_named = has(&account.to_string())
                || has(&format!("arn:aws:iam::{account}:root"))
                || canonical.contains(&account.canonical_user_id());
            account_named
                && match caller {
                    Caller::User { arn, .. } => has(arn),
                    Caller::Session { arn, role: behind, .. }
                    | Caller::Federated { arn, user: behind, .. } => has(arn) && has(behind),
                    _ => true,
                }
        }
    };
    !whole || bounded
}

/// 0 for a statement that is not about the case, else how far it reaches.
fn reaches(statement: &Value, version: &str, case: &Case<'_>) -> u8 {
    let allows = statement["Effect"] == "Allow";
    let variables = version == "2012-10-17";
    let action = |value: &Value| {
        list(value).iter().any(|pattern| {
            let tokens = tokens(&pattern.to_lowercase(), true, false, case.context).unwrap();
            glob(&tokens, &case.action.to_lowercase().chars().collect::<Vec<_>>())
        })
    };
    let acts = match (statement.get("Action"), statement.get("NotAction")) {
        (Some(named), _) => action(named),
        (_, Some(named)) => !action(named),
        _ => panic!("no action"),
    };
    let resource = |value: &Value| -> Vec<Option<bool>> {
        list(value)
            .iter()
            .map(|pattern| arn_matches(pattern, case.resource, variables, case.context))
            .collect()
    };
    let about = match (statement.get("Resource"), statement.get("NotResource")) {
        (Some(named), _) => resource(named).contains(&Some(true)),
        (_, Some(named)) => {
            let answers = resource(named);
            !(answers.contains(&Some(true)) || allows && answers.contains(&None))
        }
        _ => true,
    };
    let conditions = statement.get("Condition").and_then(Value::as_object).into_iter().flatten();
    let holds = conditions.into_iter().all(|(name, keys)| {
        keys.as_object()
            .unwrap()
            .iter()
            .all(|(key, known)| condition(name, key, known, allows, variables, case.context))
    });
    if !(acts && about && holds) {
        return 0;
    }
    match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(named), _) => principal(named, case.caller),
        (_, Some(named)) => 3 * u8::from(not_principal(named, case.caller, case.boundary.is_some())),
        _ => 3,
    }
}

/// Whether a policy denies, and how far its Allows reach.
fn says(policy: &Value, case: &Case<'_>) -> (bool, u8) {
    let version = policy.get("Version").and_then(Value::as_str).unwrap_or("2008-10-17");
    let one = [policy["Statement"].clone()];
    let statements = policy["Statement"].as_array().map_or(&one[..], Vec::as_slice);
    let (mut denies, mut best) = (false, 0);
    for statement in statements {
        let reach = reaches(statement, version, case);
        if statement["Effect"] == "Deny" {
            denies |= reach > 0;
        } else {
            best = best.max(reach);
        }
    }
    (denies, best)
}

/// AWS's order, said once more.
pub(crate) fn decide(case: &Case<'_>) -> Outcome {
    let all = case.identity.iter().chain(case.boundary).chain(case.session).chain(case.of_resource);
    if all.into_iter().any(|policy| says(policy, case).0) {
        return Outcome::Denied;
    }
    let allows = |policy: &Value| says(policy, case).1 > 0;
    let root = matches!(case.caller, Caller::Root(_));
    let identity = root || case.identity.iter().any(allows);
    let reach = case.of_resource.map_or(0, |policy| says(policy, case).1);
    let own = case.caller.account() == Some(case.owner);
    if case.caller.account().is_none() {
        return if reach > 0 { Outcome::Allowed } else { Outcome::NotAllowed(Missing::Resource) };
    }
    if own && reach == 3 {
        return Outcome::Allowed;
    }
    if reach == 0 && (!own || case.resource_decides) {
        return Outcome::NotAllowed(Missing::Resource);
    }
    if !(identity || own && reach == 2) {
        return Outcome::NotAllowed(if reach > 0 { Missing::Identity } else { Missing::Everywhere });
    }
    if case.boundary.is_some_and(|policy| !allows(policy)) {
        return Outcome::NotAllowed(Missing::Boundary);
    }
    let federated = matches!(case.caller, Caller::Federated { .. });
    if case.session.map_or(federated, |policy| !allows(policy)) {
        return Outcome::NotAllowed(Missing::Session);
    }
    Outcome::Allowed
}
