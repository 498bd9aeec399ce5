//! Bringing back what is archived.

use crate::Client;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::object::ObjectRef;
use http::{Method, StatusCode};

/// What became of asking for an archived object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreAnswer {
    /// It is on its way.
    Begun,
    /// It is there already, and stays as long as was asked for now.
    There,
}

impl Client {
    /// Asks for an archived object: how soon (`Expedited`, `Standard`, `Bulk`), and for how many days.
    pub async fn restore_object(
        &self,
        object: ObjectRef<'_>,
        days: u32,
        tier: &str,
    ) -> Result<RestoreAnswer> {
        let document = format!(
            "<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Days>{days}</Days><GlacierJobParameters><Tier>{tier}\
             </Tier></GlacierJobParameters></RestoreRequest>"
        );
        let call = Call::new("RestoreObject", Method::POST)
            .key(object.bucket, object.key)
            .query("restore", "")
            .query_some("versionId", object.version)
            .xml_body(document);
        let answer = self.send(&call).await?;
        match answer.status() {
            StatusCode::ACCEPTED => Ok(RestoreAnswer::Begun),
            StatusCode::OK => Ok(RestoreAnswer::There),
            other => {
                Err(Error::Invalid(format!("restore {object}: the endpoint answered with status {other}")))
            }
        }
    }
}
