//! Events: what a bucket's owner wants to be told of, as S3 tells it.
//!
//! ```text
//!   change of a key ─► Occasion ─► the bucket's rule for it? ─► S3's JSON ─► Outbox::post ─► the change's own commit
//! ```
//!
//! # Invariants
//! - An event is decided by the rules that hold when its change commits, and is a row of that very commit: none without its
//!   change, no change without it, whatever crashes.
//! - A bucket on which nothing was ever set costs nothing here; of any other one look-up in memory.
//! - Events of one key leave in the order of its commits: the version of the snapshot that a commit is based on grows from one
//!   commit about a key to the next, for each checks that the key has not changed since. It is the event's `sequencer`.
//! - At most one rule fits an event: two that could are refused when they are set.

mod json;
mod kind;

pub use kind::EventType;

use crate::change::Change;
use crate::record::ObjectRow;
use crate::setting::{Notification, NotificationRule};
use crate::store::View;
use crate::{BucketName, ObjectKey, ObjectStore, Result};
use engine::clock::Timestamp;
use engine::outbox::Message;
use security::{Arn, Principal};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a change comes from, as its event says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who asked for it; `None` for the appliance itself.
    pub principal: Option<Principal>,
    /// From which address.
    pub source: Option<IpAddr>,
    /// The request's id, ASCII.
    pub request_id: [u8; 16],
    /// What else names the host that answered.
    pub host_id: Arc<str>,
    /// It came by a form.
    pub by_form: bool,
}

/// What happens to a key, and is told where a rule wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    pub(crate) what: EventType,
    pub(crate) bucket: &'a BucketName,
    pub(crate) origin: &'a Origin,
}

impl<'a> Occasion<'a> {
    /// An object comes with its bytes, by PUT or by a form.
    pub(crate) const fn of_put(bucket: &'a BucketName, origin: &'a Origin) -> Self {
        Self { what: if origin.by_form { EventType::POST } else { EventType::PUT }, bucket, origin }
    }
}

impl ObjectStore {
    /// Adds the event to a change, if the bucket's owner wants it. `at`: when the change happens.
    pub(crate) async fn tell(
        &self,
        view: &View,
        occasion: &Occasion<'_>,
        (key, row, at): (&ObjectKey, &ObjectRow, Timestamp),
        change: &mut Change,
    ) -> Result<()> {
        let Some((set, at_rule)) = self.wanted(view, occasion.what, key).await? else { return Ok(()) };
        let rule = &set.rules()[at_rule];
        let sequence = view.snapshot.read_version();
        let body = json::event(&json::Event {
            region: self.region(),
            rule: rule.id.as_str(),
            owner: view.bucket.account,
            occasion,
            key,
            row,
            version: row.shown(view.config.versioning),
            at,
            sequence,
        });
        self.post(change, rule, (sequence, key.as_bytes(), &body));
        Ok(())
    }

    /// The rule that wants an event of a key: the configuration and its index in there.
    async fn wanted(
        &self,
        view: &View,
        what: EventType,
        key: &ObjectKey,
    ) -> Result<Option<(Arc<Notification>, usize)>> {
        let Some(set) = self.setting_at::<Notification>(view).await? else { return Ok(None) };
        let at = set.rules().iter().position(|rule| rule.wants(what, key.as_str()));
        Ok(at.map(|at| (set, at)))
    }

    /// Whether the bucket's owner may want to be told of it.
    pub(crate) async fn is_told(&self, view: &View, what: Option<EventType>) -> Result<bool> {
        Ok(what.is_some() && self.setting_at::<Notification>(view).await?.is_some())
    }

    fn post(&self, change: &mut Change, rule: &NotificationRule, (sequence, key, body): (u64, &[u8], &[u8])) {
        let (writes, posted) = self.outbox.post(&Message { topic: &rule.topic, sequence, key, body });
        change.writes.extend(writes);
        change.posted.push(posted);
    }

    /// Whether somebody is named for a topic.
    pub fn has_topic(&self, topic: &engine::outbox::TopicName) -> bool {
        self.outbox.has_subscriber(topic)
    }

    /// The name of a topic of this appliance.
    pub fn topic_arn(&self, topic: &engine::outbox::TopicName) -> Arn {
        Arn::topic(self.region(), self.account, topic.as_str())
    }

    /// Sets what a bucket's owner wants to be told of, or nothing with `None`. With `tests` each topic of it is told so in the
    /// same commit, as S3 does.
    pub async fn set_notification(
        &self,
        name: &BucketName,
        value: Option<&Notification>,
        tests: Option<&Origin>,
    ) -> Result<()> {
        self.transact(|| async {
            let view = self.view(name).await?;
            let mut change = Change::default();
            if let (Some(value), Some(origin)) = (value, tests) {
                let body = json::test(name, origin, self.clock.now());
                let sequence = view.snapshot.read_version();
                for rule in value.first_of_each_topic() {
                    self.post(&mut change, rule, (sequence, b"", &body));
                }
            }
            self.try_set_with(&view, value, change).await
        })
        .await
    }
}
