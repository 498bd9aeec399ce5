//! The access advisor.

use super::shapes::{ARN, GRANULARITY, JOB_ID, MARKER, MAX_ITEMS};
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Principal("Arn"),
        parameters: &[req("Arn", &ARN), opt("Granularity", &GRANULARITY)],
        writes: true,
        errors: &["InvalidInput", "NoSuchEntity"],
        state: done!(generate),
        ..row!("iam", "GenerateServiceLastAccessedDetails")
    },
    Row {
        about: About::Account,
        parameters: &[req("JobId", &JOB_ID), opt("MaxItems", &MAX_ITEMS), opt("Marker", &MARKER)],
        errors: &["InvalidInput", "NoSuchEntity"],
        state: done!(get),
        ..row!("iam", "GetServiceLastAccessedDetails")
    },
];

async fn generate(call: &Call) -> Result<Reply, QueryError> {
    if call.args.text("Granularity") == Some("ACTION_LEVEL") {
        let message = "The last use is kept by service, not by action: SERVICE_LEVEL.";
        return Err(QueryError::invalid_input(message));
    }
    let job = call.shared.identities.find_last_accessed(call.account, call.args.needed("Arn")).await?;
    let mut reply = call.result();
    reply.text("JobId", &job);
    Ok(reply)
}

async fn get(call: &Call) -> Result<Reply, QueryError> {
    let found = call.shared.identities.last_accessed(call.account, call.args.needed("JobId"))?;
    let paging = call.paging();
    let behind = paging.after.and_then(|after| found.services.iter().position(|one| one.namespace == after));
    let rest = found.services.get(behind.map_or(0, |at| at + 1)..).unwrap_or_default();
    let page = rest.get(..paging.limit).unwrap_or(rest);
    let mut reply = call.result();
    reply.text("JobStatus", "COMPLETED");
    reply.text("JobType", "SERVICE_LEVEL");
    reply.time("JobCreationDate", found.at);
    reply.time("JobCompletionDate", found.at);
    reply.list("ServicesLastAccessed", page, |reply, service| {
        reply.text("ServiceName", service.name);
        reply.text("ServiceNamespace", service.namespace);
        if let Some((at, arn, region)) = &service.last {
            reply.time("LastAuthenticated", *at);
            reply.text("LastAuthenticatedEntity", arn);
            reply.text("LastAuthenticatedRegion", region);
        }
        reply.value("TotalAuthenticatedEntities", service.users);
    });
    call.paged(&mut reply, page.last().filter(|_| page.len() < rest.len()).map(|one| one.namespace))?;
    Ok(reply)
}
