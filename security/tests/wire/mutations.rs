//! What an attacker can do to a request that somebody else signed: nothing that matters.

use crate::botocore::requests;
use crate::request::{Dice, NOW, Request, rounds, seed, time, verify_at};
use security::sigv4::Authenticated;
use std::collections::BTreeMap;

/// What a signature covers, read by rules written down here a second time, without the verifier's code.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    method: String,
    path: Vec<u8>,
    query: Vec<(Vec<u8>, Vec<u8>)>,
    headers: BTreeMap<String, Vec<Vec<u8>>>,
    authorization: Vec<String>,
}

fn percent(text: &str, plus: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
                at += 2;
            }
            b'+' if plus => out.push(b' '),
            other => out.push(other),
        }
        at += 1;
    }
    out
}

fn meaning(request: &Request) -> Meaning {
    let authorization = request.header("authorization").unwrap_or_default();
    let mut parts: Vec<String> =
        authorization.trim().replacen(' ', ",", 1).split(',').map(|part| part.trim().to_owned()).collect();
    parts.sort();
    let mut query: Vec<_> = request
        .query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
        .map(|(name, value)| (percent(name, true), percent(value, true)))
        .collect();
    query.sort();
    let of_query = query.iter().find(|(name, _)| name == b"X-Amz-SignedHeaders");
    let of_query = of_query.map(|(_, value)| String::from_utf8(value.clone()).unwrap());
    let of_header = parts.iter().find_map(|part| part.strip_prefix("SignedHeaders=").map(str::to_owned));
    let mut headers: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for name in of_header.or(of_query).unwrap_or_default().split(';') {
        let values: Vec<Vec<u8>> = request
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| {
                let words = value.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty());
                words.collect::<Vec<_>>().join(&b' ')
            })
            .collect();
        // A header that is empty and one that is not there are signed alike.
        if values.iter().any(|value| !value.is_empty()) {
            headers.insert(name.to_owned(), values);
        }
    }
    let path = if request.path.is_empty() { b"/".to_vec() } else { percent(&request.path, false) };
    Meaning { method: request.method.clone(), path, query, headers, authorization: parts }
}

/// Replaces, inserts or removes one byte of `bytes`; half the new bytes are at home in a head.
fn edit(bytes: &mut Vec<u8>, dice: &mut Dice) {
    const AT_HOME: &[u8] = b"abcxyzABC0123456789 \t%+/=&;,:-_.~?\"";
    let at = dice.below(bytes.len() + 1);
    let byte = if dice.below(2) == 0 { AT_HOME[dice.below(AT_HOME.len())] } else { dice.byte() };
    match dice.below(3) {
        0 if at < bytes.len() => bytes[at] = byte,
        1 if at < bytes.len() => drop(bytes.remove(at)),
        _ => bytes.insert(at, byte),
    }
}

/// One byte of one of the request's parts is another; `None` where that part can't be such bytes in HTTP.
fn mutate(request: &Request, dice: &mut Dice) -> Option<Request> {
    let mut changed = request.clone();
    let text = |text: &mut String, dice: &mut Dice| {
        let mut bytes = std::mem::take(text).into_bytes();
        edit(&mut bytes, dice);
        *text = String::from_utf8(bytes).ok()?;
        Some(())
    };
    let which = dice.below(3 + 2 * changed.headers.len());
    match which {
        0 => text(&mut changed.method, dice)?,
        1 => text(&mut changed.path, dice)?,
        2 => text(&mut changed.query, dice)?,
        other => {
            let (name, value) = &mut changed.headers[(other - 3) / 2];
            if other % 2 == 0 { text(name, dice)? } else { edit(value, dice) }
        }
    }
    changed.header_map().map(|_| changed)
}

#[test]
fn a_request_with_one_byte_changed_is_refused_unless_it_still_means_the_same() {
    let originals: Vec<Request> = requests().into_iter().map(|(_, request, _)| request).collect();
    let (mut dice, mut tried, mut same, mut unsigned) = (Dice::new(seed()), 0, 0, 0);
    let rounds = rounds(10_000);
    while tried < rounds {
        let original = &originals[dice.below(originals.len())];
        let Some(changed) = mutate(original, &mut dice) else { continue };
        tried += 1;
        match verify_at(&changed, NOW) {
            Err(error) => assert!(!error.code().is_empty() && error.status().is_client_error()),
            // What says it is signed was broken: an anonymous request, which may do nothing that the signer may.
            Ok(Authenticated::Anonymous) => unsigned += 1,
            Ok(Authenticated::Signed(_)) => {
                assert_eq!(meaning(&changed), meaning(original), "{original:#?}\nbecame {changed:#?}");
                same += 1;
            }
        }
    }
    // Trailing blanks, the case of percent digits, unsigned headers: some change nothing, and most do.
    assert!(same > 0 && same < tried / 4, "{same} of {tried} mean the same");
    assert!(unsigned > 0 && unsigned < tried / 4, "{unsigned} of {tried} are not signed");
}

#[test]
fn a_signature_is_good_for_its_window_and_no_longer() {
    let (_, request, _) = requests().into_iter().find(|(name, ..)| name == "header 1").unwrap();
    let base = time(NOW).as_secs();
    for (offset, good) in [(0, true), (900, true), (-900, true), (901, false), (-901, false)] {
        let now =
            security::AmzDate::from_timestamp(engine::clock::Timestamp::from_millis((base + offset) * 1000));
        let outcome = verify_at(&request, now.as_str());
        assert_eq!(outcome.is_ok(), good, "{offset}");
        if let Err(error) = outcome {
            assert_eq!(error.code(), "RequestTimeTooSkewed");
        }
    }
}
