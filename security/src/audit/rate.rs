//! How many denials of nobody known a trail takes: so many a minute from one address, and so many of all. Those beyond are counted, and a record
//! says how many there were and from where.
//!
//! Whoever has no key could else write into a trail's bucket without end. The history has each of them: its room is bounded otherwise.

use super::render::Rendered;
use crate::{AccountId, AmzDate};
use engine::clock::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// How long they are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// Denials of one address, and of all, that an account's trails take in that time.
pub(super) const OF_ONE: u32 = 60;
pub(super) const OF_ALL: u32 = 600;
/// Addresses that are counted apart.
const ADDRESSES_MAX: usize = 1_024;
/// Addresses that a record names.
const NAMED_MAX: usize = 10;

#[derive(Default)]
struct Count {
    taken: u32,
    spared: u64,
}

/// What an account's trails were asked to take.
struct Window {
    since: (Duration, Timestamp),
    taken: u32,
    spared: u64,
    addresses: HashMap<String, Count>,
}

impl Window {
    fn over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since.0) >= WINDOW
    }

    fn told(&self) -> Value {
        let spared = |(_, count): &(&String, &Count)| count.spared;
        let mut most: Vec<_> = self.addresses.iter().filter(|one| spared(one) > 0).collect();
        let addresses = most.len();
        most.sort_by_key(|one| std::cmp::Reverse(spared(one)));
        let named = most.iter().take(NAMED_MAX).map(|(address, count)| {
            json!({ "sourceIPAddress": if address.is_empty() { "others" } else { address }, "omittedEvents": count.spared })
        });
        json!({
            "omittedEvents": self.spared,
            "since": AmzDate::from_timestamp(self.since.1).extended(),
            "sourceIPAddresses": addresses,
            "most": named.collect::<Value>(),
            "reason": "more denials of unknown callers came than a trail takes: the event history has them",
        })
    }
}

/// By account. Accounts that have trails are few.
#[derive(Default)]
pub(super) struct Rate(HashMap<AccountId, Window>);

impl Rate {
    /// Whether an account's trails take this one; what is to be told of those before, if their time is over.
    pub(super) fn admit(
        &mut self,
        account: AccountId,
        event: &Rendered,
        now: (Duration, Timestamp),
    ) -> (bool, Option<Value>) {
        let Some(address) = &event.address else { return (true, None) };
        let told = self.0.get(&account).filter(|window| window.over(now.0)).map(Window::told);
        let told = told.filter(|told| told["omittedEvents"] != 0);
        self.0.retain(|whose, window| *whose != account || !window.over(now.0));
        let window = self.0.entry(account).or_insert_with(|| Window {
            since: now,
            taken: 0,
            spared: 0,
            addresses: HashMap::new(),
        });
        let is_apart = window.addresses.len() < ADDRESSES_MAX || window.addresses.contains_key(address);
        let of = window.addresses.entry(if is_apart { address.clone() } else { String::new() }).or_default();
        let takes = of.taken < OF_ONE && window.taken < OF_ALL;
        if takes {
            of.taken += 1;
            window.taken += 1;
        } else {
            of.spared += 1;
            window.spared += 1;
        }
        (takes, told)
    }

    /// What is to be told of those whose time is over, or of all.
    pub(super) fn over(&mut self, now: Duration, all: bool) -> Vec<(AccountId, Value)> {
        let mut told = Vec::new();
        self.0.retain(|account, window| {
            let over = all || window.over(now);
            if over && window.spared > 0 {
                told.push((*account, window.told()));
            }
            !over
        });
        told
    }
}
