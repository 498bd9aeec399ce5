//! Events of an appliance: who takes them, and what `status`, `doctor` and `/metrics` say of it.

use super::open::Appliance;
use crate::config::{EventsConfig, TopicConfig};
use crate::exit::Failure;
use crate::report::finding::Finding;
use crate::report::status::Topic;
use crate::report::time::json_time;
use crate::text::show_duration;
use client::Webhook;
use engine::catalog::Catalog;
use engine::clock::{Clock, Timestamp};
use engine::entropy::Entropy;
use engine::outbox::{Options, Outbox, Subscriber, TopicStatus};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An outage that lasts so long is a fault; before that it is a note.
const OUTAGE: Duration = Duration::from_mins(5);

/// The outbox, with who takes the events of each configured topic.
pub(super) fn outbox(
    config: &EventsConfig,
    catalog: Arc<dyn Catalog>,
    (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
) -> anyhow::Result<Arc<Outbox>> {
    let subscriber = |topic: &TopicConfig| {
        let courier = Webhook::new(&topic.webhook, clock.clone())
            .map_err(|error| Failure::usage(format!("use topic {}: {error}", topic.name)))?;
        Ok(Subscriber { topic: topic.name.clone(), courier: Arc::new(courier), kept: topic.kept })
    };
    let subscribers = config.topics.iter().map(subscriber).collect::<anyhow::Result<_>>()?;
    Ok(Outbox::new(Options {
        catalog,
        clock: clock.clone(),
        entropy: entropy.clone(),
        subscribers,
        messages_max: config.waiting_max,
    }))
}

impl Appliance {
    /// What `status` says of each topic.
    pub(super) fn topics(&self) -> Vec<Topic> {
        let topic = |status: TopicStatus| Topic {
            topic: Some(status.topic.as_str().to_owned()),
            arn: Some(self.store.topic_arn(&status.topic).to_string()),
            configured: Some(status.address.is_some()),
            url: status.address,
            waiting: Some(status.waiting),
            oldest_waiting: json_time(status.oldest),
            delivered: Some(status.delivered),
            failed_attempts: Some(status.failed_attempts),
            failing_since: json_time(status.failing_since),
            last_error: status.last_error,
            lost: Some(status.lost),
        };
        self.outbox.status().into_iter().map(topic).collect()
    }

    /// What `doctor` says of events; nothing where there are none.
    pub(super) fn event_findings(&self) -> Vec<Finding> {
        judge(&self.outbox.status(), (self.outbox.waiting(), self.outbox.messages_max()), self.clock.now())
    }
}

fn judge(topics: &[TopicStatus], (waiting, max): (u64, u64), now: Timestamp) -> Vec<Finding> {
    let mut findings: Vec<Finding> = topics.iter().filter_map(|topic| judge_topic(topic, now)).collect();
    let topic_max = max / 2;
    for status in topics.iter().filter(|status| status.waiting >= topic_max / 10 * 9) {
        let text = format!(
            "{} events of topic {} wait, and no topic may have more than {topic_max}: what comes then is lost, and counted",
            status.waiting, status.topic
        );
        findings.push(Finding::fault("events", text, "bring its receiver back, or raise events.waiting"));
    }
    if waiting >= max / 10 * 9 {
        let text = format!("{waiting} of {max} events wait: what comes when it is full is lost, and counted");
        findings.push(Finding::fault("events", text, "bring the receivers back, or raise events.waiting"));
    }
    if findings.is_empty() && !topics.is_empty() {
        let delivered: u64 = topics.iter().map(|topic| topic.delivered).sum();
        findings
            .push(Finding::fine("events", format!("{delivered} delivered since the start, {waiting} wait")));
    }
    findings
}

fn judge_topic(status: &TopicStatus, now: Timestamp) -> Option<Finding> {
    let (topic, waiting) = (&status.topic, status.waiting);
    if status.lost_since_start > 0 {
        let text = format!("{} events of topic {topic} were lost since the start", status.lost_since_start);
        let fix = "have its receiver list the buckets anew; bring it back sooner, or raise events.waiting or topic.keep";
        return Some(Finding::fault("events", text, fix));
    }
    if status.address.is_none() {
        let text = format!("{waiting} events wait for topic {topic}, which is not configured");
        let fix =
            "put its [[topic]] back and restart, or take it out of the buckets' notification configurations";
        return (waiting > 0).then(|| Finding::fault("events", text, fix));
    }
    let (since, error) = (status.failing_since?, status.last_error.as_deref().unwrap_or("it is refused"));
    let lasts = now.since(since);
    let shown = show_duration(Duration::from_secs(lasts.as_secs()));
    let text = format!("{waiting} events of topic {topic} wait; for {shown} it fails to {error}");
    let fix = "bring its receiver back: what waits is tried again by itself, at least every 5 minutes";
    Some(if lasts >= OUTAGE {
        Finding::fault("events", text, fix)
    } else {
        Finding::note("events", text, fix)
    })
}

/// The label of all topics that nobody is named for, together. No topic can have this name.
const UNCLAIMED: &str = "(not configured)";

/// What `/metrics` says of events. The names of topics that the configuration has are labels; of others there is one sum, for they
/// come from wherever.
pub(super) struct EventMetrics(Arc<Outbox>);

impl EventMetrics {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self(outbox)
    }
}

impl fmt::Debug for EventMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventMetrics")
    }
}

/// One figure of a topic.
type Figure = fn(&TopicStatus) -> u64;

/// A figure of each configured topic, and the sum of the others if there are any.
fn by_label<'a>(topics: &'a [TopicStatus], value: &dyn Fn(&TopicStatus) -> u64) -> Vec<(&'a str, u64)> {
    let (named, others): (Vec<_>, Vec<_>) = topics.iter().partition(|status| status.address.is_some());
    let mut figures: Vec<_> = named.iter().map(|status| (status.topic.as_str(), value(status))).collect();
    if !others.is_empty() {
        figures.push((UNCLAIMED, others.iter().map(|status| value(status)).sum()));
    }
    figures
}

impl Collector for EventMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let topics = self.0.status();
        let mut metric = |name: &str, help: &str, kind: MetricType, value: &dyn Fn(&TopicStatus) -> u64| {
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (topic, number) in by_label(&topics, value) {
                let labels = [("topic", topic)];
                let labelled = family.encode_family(&labels)?;
                if matches!(kind, MetricType::Counter) {
                    ConstCounter::new(number).encode(labelled)?;
                } else {
                    ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX)).encode(labelled)?;
                }
            }
            Ok(())
        };
        metric("firn_events_waiting", "Events that wait for their receiver", MetricType::Gauge, &|s| {
            s.waiting
        })?;
        let counters: [(&str, &str, Figure); 3] = [
            ("firn_events_delivered", "Events delivered", |s| s.delivered),
            ("firn_events_failed_attempts", "Attempts to deliver that failed", |s| s.failed_attempts),
            ("firn_events_lost", "Events given up, or dropped because too many waited", |s| {
                s.lost_since_start
            }),
        ];
        counters
            .into_iter()
            .try_for_each(|(name, help, value)| metric(name, help, MetricType::Counter, &value))
    }
}

#[cfg(test)]
mod tests {
    use super::{by_label, judge};
    use engine::clock::Timestamp;
    use engine::outbox::TopicStatus;
    use std::time::Duration;

    #[test]
    fn topics_are_judged_by_what_was_lost_how_long_they_fail_and_how_many_wait() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let fine = TopicStatus {
            topic: "t".parse().unwrap(),
            address: Some("https://h.test/".to_owned()),
            waiting: 0,
            oldest: None,
            delivered: 7,
            failed_attempts: 0,
            failing_since: None,
            last_error: None,
            lost: 3,
            lost_since_start: 0,
        };
        let failing = TopicStatus {
            waiting: 5,
            failing_since: Some(now),
            last_error: Some("send to h.test: it answered 503".to_owned()),
            ..fine.clone()
        };
        let later = now.plus(Duration::from_mins(5));
        for (status, waiting, at, ok, says) in [
            (fine.clone(), 0, now, true, "7 delivered since the start, 0 wait"),
            (failing.clone(), 5, now, true, "it answered 503"),
            (failing.clone(), 5, later, false, "for 5m it fails to send to h.test"),
            (
                TopicStatus { lost_since_start: 2, ..fine.clone() },
                0,
                now,
                false,
                "2 events of topic t were lost",
            ),
            (
                TopicStatus { address: None, waiting: 4, ..fine.clone() },
                4,
                now,
                false,
                "4 events wait for topic t, which",
            ),
            (fine.clone(), 90, now, false, "90 of 100 events wait"),
            (
                TopicStatus { waiting: 45, ..fine.clone() },
                45,
                now,
                false,
                "45 events of topic t wait, and no",
            ),
        ] {
            let findings = judge(&[status], (waiting, 100), at);
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(findings[0].ok == ok && findings[0].detail.contains(says), "{findings:?}");
        }
        assert!(judge(&[], (0, 100), now).is_empty(), "nothing is said where nobody is told");
    }

    #[test]
    fn topics_that_are_not_configured_are_one_number() {
        let status = |name: &str, waiting, address: Option<&str>| TopicStatus {
            topic: name.parse().unwrap(),
            address: address.map(str::to_owned),
            waiting,
            oldest: None,
            delivered: 0,
            failed_attempts: 0,
            failing_since: None,
            last_error: None,
            lost: 0,
            lost_since_start: 0,
        };
        let topics = [status("a", 1, None), status("b", 2, Some("https://h.test")), status("c", 4, None)];
        assert_eq!(by_label(&topics, &|status| status.waiting), [("b", 2), ("(not configured)", 5)]);
        assert_eq!(by_label(&topics[1..2], &|status| status.waiting), [("b", 2)]);
        assert!("(not configured)".parse::<engine::outbox::TopicName>().is_err());
    }
}
