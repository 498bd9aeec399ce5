//! Calls of services that speak JSON, as `CloudTrail` and KMS do: a document in, a document out.

use crate::Client;
use crate::call::{Call, header_text};
use crate::error::Result;
use bytes::Bytes;
use http::Method;
use serde_json::Value;

/// Such a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonService {
    /// What requests are signed for.
    name: &'static str,
    /// What stands before an operation's name.
    target: &'static str,
}

impl JsonService {
    /// `CloudTrail`.
    pub const CLOUD_TRAIL: Self =
        Self { name: "cloudtrail", target: "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101" };
    /// KMS.
    pub const KMS: Self = Self { name: "kms", target: "TrentService" };
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonAnswer {
    /// What it says.
    pub body: Value,
    /// The endpoint's id of the request; empty when it gave none.
    pub request_id: String,
}

impl Client {
    /// Asks a service for an operation. The answer is an object that has these members, or an error; where none are named it may be nothing.
    pub async fn json(
        &self,
        service: JsonService,
        operation: &'static str,
        body: &Value,
        members: &[&str],
    ) -> Result<JsonAnswer> {
        let target = format!("{}.{operation}", service.target);
        let call =
            Call::new(operation, Method::POST).json(service.name, &target, Bytes::from(body.to_string()))?;
        let (body, headers) = self.send_json(&call, members).await?;
        let request_id = header_text(&headers, "x-amzn-requestid").unwrap_or_default().to_owned();
        Ok(JsonAnswer { body, request_id })
    }
}
