//! Jobs that restore all below a prefix: firn's own, at the door of S3 so that its policies decide.
//!
//! | request | is asked as | does |
//! |---|---|---|
//! | `POST /BUCKET?firn-restore=PREFIX`, JSON: `id`, `tier`, `days` | `RestoreObject` of `PREFIX*`, and `ListBucket` of the prefix | begins one |
//! | `DELETE /BUCKET?firn-restore=PREFIX&id=ID` | `RestoreObject` of `PREFIX*` | ends it |
//! | `GET /BUCKET?firn-restore` and a `prefix` | `ListBucket` | those of the bucket below the prefix |
//! | `GET /BUCKET?firn-restore=ID` | `ListBucket` | one |
//! | `GET /BUCKET?firn-restore=estimate` with `prefix`, `after` | `ListBucket` | counts a page |
//!
//! What a policy says of single objects is asked when each of them is asked for.

use super::{Proof, proven_bytes};
use crate::s3::Call;
use crate::s3::answer::{Answer, json};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::date;
use crate::s3::error::S3Error;
use crate::s3::operation::Operation;
use crate::s3::query::Query;
use crate::s3::target::Target;
use engine::unit::ByteCount;
use http::{Method, StatusCode};
use objectstore::{
    About, EstimatePage, NewRestoreJob, RestoreJob, RestoreJobCounts, RestoreJobId, RestoreTier, StorageClass,
};
use security::Permission;
use security::decide::Action;
use serde::Deserialize;
use serde_json::{Value, json as document};

/// The parameter that asks for jobs.
const PARAMETER: &str = "firn-restore";
const LIST: Action = Action::new("s3:ListBucket");
/// Bytes of a request.
const BODY_MAX: ByteCount = ByteCount::kib(4);

/// Names what a request that begins or ends a job is decided about: all that begins like the prefix.
pub(in crate::s3) fn name(operation: Operation, target: &mut Target, query: &Query) {
    if operation == Operation::RestoreObject && target.key.is_none() {
        target.key = query.get(PARAMETER).map(|prefix| format!("{prefix}*"));
    }
}

/// Whether a request is about jobs.
pub(super) fn is_meant(call: &Call) -> bool {
    // No request about an object is taken with it.
    call.query.has(PARAMETER)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    id: String,
    tier: String,
    days: u32,
}

/// Begins or ends one.
pub(super) async fn change(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let (bucket, store) = (call.target.bucket()?, &call.state.store);
    let prefix = call.query.get(PARAMETER).unwrap_or_default();
    if call.head.method == Method::DELETE {
        let id: RestoreJobId = call.query.get("id").unwrap_or_default().parse()?;
        let job = store.cancel_restore_job(&bucket, id, prefix).await?;
        return Ok(json(StatusCode::OK, document!({ "restore_job": shown(&job) }).to_string()));
    }
    let raw = proven_bytes(call, body, Proof::Optional, BODY_MAX).await?;
    let asked: Asked = serde_json::from_slice(&raw)
        .map_err(|error| S3Error::with(Code::InvalidRequest, format!("The job can't be read: {error}.")))?;
    let tier: RestoreTier = asked
        .tier
        .parse()
        .map_err(|_| S3Error::argument("tier", &asked.tier, "A tier is Expedited, Standard or Bulk"))?;
    // Its counts tell what a listing would.
    let lists = call.asks_with(vec![("s3:prefix".to_owned(), prefix.to_owned())]);
    let lists = lists.about(LIST, Some(Permission::Read));
    if !store.decide(&bucket, &lists, About::Bucket).await?.allowed() {
        return Err(S3Error::new(Code::AccessDenied));
    }
    let new = NewRestoreJob {
        id: asked.id.parse()?,
        bucket,
        prefix: prefix.to_owned(),
        tier,
        days: asked.days,
        origin: call.origin(),
    };
    let job = store.begin_restore_job(&new, &call.asker.question).await?;
    Ok(json(StatusCode::ACCEPTED, document!({ "restore_job": shown(&job) }).to_string()))
}

/// Shows jobs, or what one would come to.
pub(super) async fn show(call: &Call) -> Result<Answer, S3Error> {
    let (bucket, store) = (call.target.bucket()?, &call.state.store);
    let prefix = call.query.get("prefix").unwrap_or_default();
    let said = match call.query.get(PARAMETER).unwrap_or_default() {
        "" => {
            let jobs = store.restore_jobs(&bucket, prefix).await?;
            document!({ "restore_jobs": jobs.iter().map(shown).collect::<Vec<_>>() })
        }
        "estimate" => {
            let page = store.estimate_restore(&bucket, prefix, call.query.get("after")).await?;
            document!({ "restore_estimate": estimate(call, &page)? })
        }
        id => {
            let job = store.restore_job(&bucket, id.parse()?).await?;
            if !job.prefix.starts_with(prefix) {
                return Err(objectstore::Error::NoSuchRestoreJob.into());
            }
            document!({ "restore_job": shown(&job) })
        }
    };
    Ok(json(StatusCode::OK, said.to_string()))
}

fn shown(job: &RestoreJob) -> Value {
    let RestoreJobCounts {
        seen,
        asked,
        asked_bytes,
        under_way,
        under_way_bytes,
        there,
        there_bytes,
        not_archived,
        newer,
        slower,
        failed,
        ready,
        ready_bytes,
        pending,
        pending_bytes,
    } = job.counts;
    let failures = job.failures.iter().map(|(key, error)| document!({ "key": key, "error": error }));
    document!({
        "job": format!("{}/{}", job.bucket, job.id),
        "bucket": job.bucket,
        "prefix": job.prefix,
        "tier": job.tier.name().to_lowercase(),
        "days": job.days,
        "begun_at": date::iso(job.asked),
        "by": job.who,
        "state": job.state.name(),
        "ended_at": job.end.as_ref().map(|end| date::iso(end.at)),
        "cancelled": job.end.as_ref().is_some_and(|end| end.cancelled),
        "stopped": job.end.as_ref().map(|end| end.why.as_str()).filter(|why| !why.is_empty()),
        "waits_for": Some(job.waits.as_str()).filter(|waits| !waits.is_empty()),
        "eta": job.eta.map(date::iso),
        "eta_ms": job.eta.map(engine::clock::Timestamp::as_millis),
        "counted_at": job.counted.map(date::iso),
        "seen": seen,
        "asked": asked,
        "asked_bytes": asked_bytes,
        "under_way": under_way,
        "under_way_bytes": under_way_bytes,
        "there": there,
        "there_bytes": there_bytes,
        "not_archived": not_archived,
        "newer": newer,
        "slower": slower,
        "failed_count": failed,
        "failed": failures.collect::<Vec<_>>(),
        "ready": ready,
        "ready_bytes": ready_bytes,
        "pending": pending,
        "pending_bytes": pending_bytes,
        "lost": job.lost(),
    })
}

fn estimate(call: &Call, page: &EstimatePage) -> Result<Value, S3Error> {
    let takes = |class: StorageClass| -> Result<Value, S3Error> {
        let mut tiers = serde_json::Map::new();
        for tier in RestoreTier::ALL {
            let takes = call.state.store.restore_takes(class, tier)?;
            let ms = takes.and_then(|takes| u64::try_from(takes.as_millis()).ok());
            tiers.insert(tier.name().to_lowercase(), document!(ms));
        }
        Ok(Value::Object(tiers))
    };
    let classes = page.classes.iter().map(|(class, row)| {
        Ok(document!({
            "class": class.as_str(),
            "ask": row.ask,
            "ask_bytes": row.ask_bytes,
            "vault": row.vault,
            "vault_bytes": row.vault_bytes,
            "under_way": row.under_way,
            "there": row.there,
            "takes_ms": takes(*class)?,
        }))
    });
    let media = page.media.iter();
    let media =
        media.map(|(label, (count, away))| document!({ "label": label, "objects": count, "away": away }));
    Ok(document!({
        "classes": classes.collect::<Result<Vec<_>, S3Error>>()?,
        "not_archived": page.not_archived,
        "damaged": page.damaged,
        "media": media.collect::<Vec<_>>(),
        "after": page.after,
    }))
}
