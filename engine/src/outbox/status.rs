//! What is told of a topic.

use super::topic::TopicName;
use crate::clock::Timestamp;

/// How a topic is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicStatus {
    /// Which.
    pub topic: TopicName,
    /// Where its messages go; `None` when nobody is named for it.
    pub address: Option<String>,
    /// Messages that wait.
    pub waiting: u64,
    /// When the oldest message that a last batch could not deliver was posted.
    pub oldest: Option<Timestamp>,
    /// Messages delivered since the start.
    pub delivered: u64,
    /// Attempts that failed since the start.
    pub failed_attempts: u64,
    /// Since when no batch was delivered whole, of the partition that fails for the longest; `None` when none does.
    pub failing_since: Option<Timestamp>,
    /// Why that partition's newest failed attempt did.
    pub last_error: Option<String>,
    /// Messages given up, or dropped because the outbox was full, ever.
    pub lost: u64,
    /// Those of them since the start.
    pub lost_since_start: u64,
}
