//! Topics: what messages are addressed to, and who takes them.

use crate::{BoxFuture, Error, Result};
use bytes::Bytes;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The name of a topic: 1 to 256 of letters, digits, `-` and `_`, as SNS has them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Characters at the most.
    pub const MAX: usize = 256;

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TopicName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=Self::MAX).contains(&text.len()) && text.bytes().all(fine) {
            return Ok(Self(text.into()));
        }
        Err(Error::Invalid(format!("use {text:?} as a topic: 1 to {} of A-Z, a-z, 0-9, - and _", Self::MAX)))
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {self}")
    }
}

/// One message on its way.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The same at every attempt, and of no other message.
    pub id: &'a str,
    /// What it says.
    pub body: &'a Bytes,
}

/// Takes messages to a receiver.
pub trait Courier: Send + Sync {
    /// One attempt, bounded in time. `Ok` once the receiver has said that it has the message; `Err` says why it has not, and the
    /// same message is tried again later.
    fn deliver<'a>(&'a self, letter: Letter<'a>) -> BoxFuture<'a, Result<(), String>>;

    /// Where it takes them, for `status`; without secrets.
    fn address(&self) -> String;
}

/// Who takes the messages of a topic.
#[derive(Clone)]
pub struct Subscriber {
    /// Which topic.
    pub topic: TopicName,
    /// How.
    pub courier: Arc<dyn Courier>,
    /// How long a message waits before it is given up.
    pub kept: Duration,
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.topic, self.courier.address())
    }
}

#[cfg(test)]
mod tests {
    use super::TopicName;

    #[test]
    fn names_are_as_sns_has_them() {
        for good in ["a", "Team_1-x", &"a".repeat(256)] {
            assert_eq!(good.parse::<TopicName>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a.fifo", "é", &"a".repeat(257)] {
            bad.parse::<TopicName>().unwrap_err();
        }
    }
}
