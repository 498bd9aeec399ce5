//! Requests that somebody else has built and signed, over this client's connections: what a remote pool's store sends.
//!
//! Nothing is tried again here, and every wait is bounded as for the client's own calls.

use crate::error::Result;
use crate::payload::Payload;
use crate::settings::Settings;
use crate::transport::Transport;
use bytes::Bytes;
use engine::clock::Clock;
use http::{Request, Response};
use std::sync::Arc;

/// Connections to one endpoint.
#[derive(Clone, Debug)]
pub struct Wire {
    transport: Transport,
}

impl Wire {
    /// Connections to the endpoint of these settings; nothing is sent yet.
    pub fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let ca_bundle = settings.ca_bundle.as_deref();
        let transport = Transport::new(&settings.endpoint, ca_bundle, clock, settings.answer_within)?;
        Ok(Self { transport })
    }

    /// Sends a request and takes the whole answer, of at most `answer_max` bytes, whatever its status.
    pub async fn send(&self, request: Request<Bytes>, answer_max: usize) -> Result<Response<Bytes>> {
        let length = request.body().len() as u64;
        let answer = self.transport.send("request", request.map(Payload::from), length).await?;
        let (parts, mut body) = answer.into_parts();
        let body = self.transport.collect("request", &mut body, answer_max).await?;
        Ok(Response::from_parts(parts, body))
    }
}
