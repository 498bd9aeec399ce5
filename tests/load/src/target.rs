//! A server that speaks S3: firn or one that is compared with it.

use crate::workload::Shot;
use anyhow::{Result, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use wire::{Appliance, Connection, Request, Signing, Sink};

/// The bucket of all workloads.
const BUCKET: &str = "load";

/// Where requests go, and who signs them.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) signing: Signing,
    pub(crate) pid: u32,
}

/// A body and its hash, so that many requests share both.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    bytes: Arc<Vec<u8>>,
    hash: String,
}

impl Payload {
    /// So many equal bytes.
    pub(crate) fn of(byte: u8, length: usize) -> Self {
        let bytes = vec![byte; length];
        Self { hash: wire::sha256_hex(&bytes), bytes: Arc::new(bytes) }
    }

    /// No body.
    pub(crate) fn empty() -> Self {
        Self::of(0, 0)
    }
}

impl Target {
    pub(crate) fn of(appliance: &Appliance) -> Option<Self> {
        Some(Self { address: appliance.http, signing: appliance.signing.clone(), pid: appliance.pid()? })
    }

    /// A signed request for a key of the bucket, or for the bucket where the key is empty.
    pub(crate) fn shot(
        &self,
        method: &'static str,
        key: &str,
        query: &[(&'static str, &str)],
        payload: &Payload,
    ) -> Shot {
        let path = if key.is_empty() { format!("/{BUCKET}") } else { format!("/{BUCKET}/{key}") };
        let query = query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.sign(&Request { method, path, query, headers: Vec::new() }, payload)
    }

    fn sign(&self, request: &Request, payload: &Payload) -> Shot {
        let (host, now) = (self.address.to_string(), wire::unix_seconds());
        let head = self.signing.head(&host, request, payload.bytes.len(), &payload.hash, now);
        Shot { head, body: Arc::clone(&payload.bytes) }
    }

    /// Writes an object, or makes the bucket where the key is empty.
    pub(crate) async fn put(&self, connection: &mut Connection, key: &str, payload: &Payload) -> Result<()> {
        let shot = self.shot("PUT", key, &[], payload);
        let answer = connection.exchange(&shot.head, &shot.body, Sink::Keep).await?;
        ensure!(answer.status == 200, "PUT {key}: {} {}", answer.status, answer.text());
        Ok(())
    }

    /// Whether it answers a signed request.
    pub(crate) async fn is_ready(&self) -> bool {
        let request = Request { method: "GET", path: "/".to_owned(), ..Request::default() };
        let shot = self.sign(&request, &Payload::empty());
        let Ok(mut connection) = Connection::open(self.address).await else { return false };
        let answer = connection.exchange(&shot.head, &shot.body, Sink::Count).await;
        answer.is_ok_and(|answer| answer.status == 200)
    }
}
