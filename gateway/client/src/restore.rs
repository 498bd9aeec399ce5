//! Bringing back what is archived.

use crate::Client;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::object::ObjectRef;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// What selects restores of all below a prefix, which firn alone has.
const JOBS: &str = "firn-restore";

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

    /// Begins a job that restores all below a prefix. `id` is drawn by whoever asks: asking again begins no other one. An endpoint that
    /// is no firn refuses it, whatever it takes it for: it is a form's POST without a form.
    pub async fn begin_restore_job(
        &self,
        (bucket, prefix, id): (&str, &str, &str),
        days: u32,
        tier: &str,
    ) -> Result<Value> {
        let body = json!({ "id": id, "tier": tier, "days": days }).to_string();
        let call = Call::new("BeginRestoreJob", Method::POST).bucket(bucket).query(JOBS, prefix);
        self.restore_document(&call.body(body.into()), "restore_job").await
    }

    /// A job. `prefix`: as far as it is known.
    pub async fn restore_job(&self, bucket: &str, id: &str, prefix: &str) -> Result<Value> {
        let call = Call::new("GetRestoreJob", Method::GET).bucket(bucket).query(JOBS, id);
        self.restore_document(&call.query("prefix", prefix), "restore_job").await
    }

    /// The jobs of a bucket whose prefixes begin so.
    pub async fn restore_jobs(&self, bucket: &str, prefix: &str) -> Result<Value> {
        let call = Call::new("ListRestoreJobs", Method::GET).bucket(bucket).query(JOBS, "");
        self.restore_document(&call.query("prefix", prefix), "restore_jobs").await
    }

    /// Ends a job; what it asked for stays asked for.
    pub async fn cancel_restore_job(&self, bucket: &str, id: &str, prefix: &str) -> Result<Value> {
        let call = Call::new("CancelRestoreJob", Method::DELETE).bucket(bucket).query(JOBS, prefix);
        self.restore_document(&call.query("id", id), "restore_job").await
    }

    /// A page of what restoring a prefix would come to.
    pub async fn estimate_restore(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Value> {
        let call = Call::new("EstimateRestore", Method::GET).bucket(bucket).query(JOBS, "estimate");
        let call = call.query("prefix", prefix).query_some("after", after);
        self.restore_document(&call, "restore_estimate").await
    }

    async fn restore_document(&self, call: &Call<'_>, member: &'static str) -> Result<Value> {
        let (mut said, _) = self.send_json(call, &[member]).await?;
        Ok(said[member].take())
    }
}
