//! A job as JSON. The keys as printed in the contract come first, in exactly that order; our own come after.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use lethe_auth::Scope;
use lethe_fhir::{Instant, ResourceType};
use lethe_purge::{
    Counts, Phase, Selection,
    preview::{PreviewCounts, Stays},
};
use lethe_store::{JobId, Preview, PurgeJob};
use serde_json::{Map, Value, json};

use crate::{
    App,
    edge::{reply, with_header},
};

/// How long a client should wait before it asks again, in seconds.
const RETRY_AFTER_S: &str = "1";

/// Where a job tells its status.
pub fn status_url(app: &App, job_id: JobId) -> String {
    format!("{}/r4/$purge/{job_id}", app.public_url)
}

/// The answer to a kick-off.
pub fn answer_kick_off(app: &App, job: &PurgeJob) -> Response {
    answer(app, job, json!({ "job": kick_off_json(job) }))
}

/// The answer to status, retry and cancel.
pub fn answer_status(app: &App, job: &PurgeJob) -> Response {
    answer(app, job, json!({ "job": status_json(job) }))
}

/// A JSON answer that is no FHIR resource.
pub fn plain_json(json: &Value) -> Response {
    let mut response = reply(StatusCode::OK, json.to_string());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

fn answer(app: &App, job: &PurgeJob, json: Value) -> Response {
    let response = with_header(plain_json(&json), header::CONTENT_LOCATION, &status_url(app, job.job_id));
    if job.state.is_ended() {
        return response;
    }
    progress_headers(response, job)
}

/// When to ask again, and how far a job in progress has come.
pub fn progress_headers(response: Response, job: &PurgeJob) -> Response {
    let response = with_header(response, header::RETRY_AFTER, RETRY_AFTER_S);
    with_header(response, HeaderName::from_static("x-progress"), &progress(job))
}

/// `1200/1568`: resources that have their outcome, of those planned. A failure is none: a retry may still remove them.
fn progress(job: &PurgeJob) -> String {
    match job.initialized_on {
        None => "planning".to_owned(),
        Some(_) => {
            let totals = job.totals();
            format!("{}/{}", totals.deleted + totals.spared + totals.held, totals.planned)
        }
    }
}

fn user_id(owner: &Scope) -> String {
    match owner {
        Scope::Account { account_id, .. } => account_id.to_string(),
        Scope::Client { .. } => "client".to_owned(),
    }
}

fn type_list(job: &PurgeJob) -> Vec<&'static str> {
    type_names(&job.selection)
}

fn type_names(selection: &Selection) -> Vec<&'static str> {
    selection.types.as_deref().map(names).unwrap_or_default()
}

fn names(types: &[ResourceType]) -> Vec<&'static str> {
    types.iter().map(|resource_type| resource_type.name()).collect()
}

fn time(instant: Option<Instant>) -> Value {
    instant.map_or(Value::Null, |instant| Value::String(instant.to_string()))
}

fn kick_off_json(job: &PurgeJob) -> Value {
    json!({
        "userId": user_id(&job.owner),
        "clientId": job.owner.client_id(),
        "typeList": type_list(job),
        "beforeDate": time(job.selection.before),
        "id": job.job_id.to_string(),
        "status": job.state.status(),
        "retryCount": job.retry_count,
        "createdOn": job.created_on.to_string(),
        "completedOn": null,
        "lastUpdated": null,
        "resourceCount": null,
        "deletedCount": null,
        "initializedOn": null,
    })
}

/// What a list of jobs holds of each.
pub fn status_json(job: &PurgeJob) -> Value {
    let totals = job.totals();
    // A number that is not known yet is null, never 0.
    let planned = |number: u64| job.initialized_on.map_or(Value::Null, |_| json!(number));
    json!({
        "id": job.job_id.to_string(),
        "clientId": job.owner.client_id(),
        "userId": user_id(&job.owner),
        "status": job.state.status(),
        "retryCount": job.retry_count,
        "createdOn": job.created_on.to_string(),
        "completedOn": time(job.completed_on),
        "lastUpdated": time(job.last_updated),
        "resourceCount": planned(totals.planned),
        "deletedCount": totals.deleted,
        "typeList": type_list(job),
        "beforeDate": time(job.selection.before),
        "initializedOn": time(job.initialized_on),
        "completedBatches": job.batches.completed,
        "failedBatches": job.batches.failed,
        "totalBatches": planned(job.batches.total),
        "sparedCount": totals.spared,
        "heldCount": totals.held,
        "failedCount": totals.failed,
        "phase": phase(job.phase),
        "includeDeleted": job.selection.include_deleted,
        "level": job.selection.level.stored(),
        "filteredTypes": names(&job.selection.filtered_types),
        "reason": job.reason,
        "holds": job.holds.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "counts": counts_by_type(&job.counts),
        "failures": failures(job),
        "failure": job.failure,
    })
}

/// A preview. What a job has, too, has the same name.
pub fn preview_json(owner: &Scope, selection: &Selection, preview: &Preview) -> Value {
    let sum = |of: fn(&PreviewCounts) -> u64| preview.counts.iter().map(|(_, counts)| of(counts)).sum::<u64>();
    let along = |wanted: ResourceType| {
        preview.counts.iter().filter(|(resource_type, _)| *resource_type == wanted).map(|(_, counts)| counts.along).sum::<u64>()
    };
    let counts: Map<String, Value> = preview
        .counts
        .iter()
        .map(|(resource_type, counts)| {
            let PreviewCounts { planned, held, along, versions, bytes } = counts;
            let json = json!({
                "planned": planned, "held": held, "removed": counts.removed(), "goAlong": along, "versions": versions, "bytes": bytes,
            });
            (resource_type.to_string(), json)
        })
        .collect();
    let Stays { not_before, deleted, needed_provenance, needed_binary } = preview.stays;
    json!({ "preview": {
        "clientId": owner.client_id(),
        "userId": user_id(owner),
        "typeList": type_names(selection),
        "beforeDate": time(selection.before),
        "includeDeleted": selection.include_deleted,
        "level": selection.level.stored(),
        "filteredTypes": names(&selection.filtered_types),
        "digest": preview.digest.to_string(),
        "resourceCount": sum(|counts| counts.planned),
        "heldCount": sum(|counts| counts.held),
        "removedCount": sum(PreviewCounts::removed),
        "versionCount": sum(|counts| counts.versions),
        "byteCount": sum(|counts| counts.bytes),
        "provenanceAlong": along(ResourceType::PROVENANCE),
        "binaryAlong": along(ResourceType::BINARY),
        "holds": preview.holds.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "counts": counts,
        "stays": {
            "onHold": sum(|counts| counts.held),
            "notBefore": not_before,
            "deletedHistory": deleted,
            "neededProvenance": needed_provenance,
            "neededBinary": needed_binary,
        },
    }})
}

fn phase(phase: Phase) -> &'static str {
    phase.stored()
}

fn counts_by_type(counts: &[(ResourceType, Counts)]) -> Value {
    let by_type: Map<String, Value> = counts
        .iter()
        .map(|(resource_type, counts)| {
            let Counts { planned, deleted, spared, held, failed } = counts;
            let json = json!({ "planned": planned, "deleted": deleted, "spared": spared, "held": held, "failed": failed });
            (resource_type.to_string(), json)
        })
        .collect();
    Value::Object(by_type)
}

fn failures(job: &PurgeJob) -> Vec<Value> {
    job.failures
        .iter()
        .map(|failure| {
            json!({
                "batch": failure.batch,
                "type": failure.resource_type.name(),
                "attempts": failure.attempts,
                "cause": failure.cause,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use lethe_auth::{AccountId, ClientId};
    use lethe_fhir::LocalBases;
    use lethe_jobs::JobState;
    use lethe_purge::Seq;
    use lethe_store::{BatchFailure, BatchTally};

    use super::*;

    fn job() -> PurgeJob {
        let at = |ms: i64| Instant::from_unix_ms(1_690_835_974_575 + ms);
        let patient: ResourceType = "Patient".parse().unwrap();
        PurgeJob {
            job_id: "f707145c-7c51-44ae-8bcd-9a55bff81974".parse().unwrap(),
            owner: Scope::Account { client_id: ClientId("c123".to_owned()), account_id: AccountId(251) },
            selection: Selection { types: Some(vec![patient]), ..Selection::default() },
            bases: LocalBases::default(),
            reason: None,
            watermark: Seq(9),
            state: JobState::Running,
            phase: Phase::Execute,
            retry_count: 0,
            created_on: at(0),
            initialized_on: Some(at(1)),
            last_updated: Some(at(2)),
            completed_on: None,
            counts: vec![
                (ResourceType::BINARY, Counts { planned: 100, deleted: 90, spared: 3, held: 2, failed: 1 }),
                (patient, Counts { planned: 1_468, deleted: 1_104, ..Counts::default() }),
            ],
            batches: BatchTally { total: 2, completed: 1, failed: 0 },
            holds: vec![uuid::Uuid::nil()],
            failures: vec![BatchFailure { batch: 2, resource_type: patient, attempts: 5, cause: "disk full".to_owned() }],
            failure: None,
            has_question: false,
        }
    }

    #[test]
    fn a_kick_off_is_answered_byte_for_byte_as_printed() {
        let job = PurgeJob { state: JobState::Queued, initialized_on: None, last_updated: None, counts: Vec::new(), ..job() };
        assert_eq!(
            json!({ "job": kick_off_json(&job) }).to_string(),
            concat!(
                r#"{"job":{"userId":"251","clientId":"c123","typeList":["Patient"],"beforeDate":null,"#,
                r#""id":"f707145c-7c51-44ae-8bcd-9a55bff81974","status":"in progress","retryCount":0,"createdOn":"2023-07-31T20:39:34.575Z","#,
                r#""completedOn":null,"lastUpdated":null,"resourceCount":null,"deletedCount":null,"initializedOn":null}}"#
            )
        );
    }

    #[test]
    fn a_status_begins_byte_for_byte_as_printed() {
        let text = status_json(&job()).to_string();
        let printed = concat!(
            r#"{"id":"f707145c-7c51-44ae-8bcd-9a55bff81974","clientId":"c123","userId":"251","status":"in progress","retryCount":0,"#,
            r#""createdOn":"2023-07-31T20:39:34.575Z","completedOn":null,"lastUpdated":"2023-07-31T20:39:34.577Z","#,
            r#""resourceCount":1568,"deletedCount":1194,"typeList":["Patient"],"beforeDate":null,"#,
            r#""initializedOn":"2023-07-31T20:39:34.576Z","completedBatches":1,"failedBatches":0,"totalBatches":2"#
        );
        assert!(text.starts_with(printed), "{text}");
        let json = status_json(&job());
        assert_eq!((&json["sparedCount"], &json["heldCount"], &json["failedCount"]), (&json!(3), &json!(2), &json!(1)));
        assert_eq!(json["counts"]["Patient"]["deleted"], 1_104);
        assert_eq!(json["failures"][0]["cause"], "disk full");
        assert_eq!(json["holds"], json!(["00000000-0000-0000-0000-000000000000"]));
    }

    #[test]
    fn before_the_plan_is_stored_its_numbers_are_null_and_progress_says_so() {
        let job = PurgeJob { initialized_on: None, counts: Vec::new(), batches: BatchTally::default(), ..job() };
        let json = status_json(&job);
        assert_eq!((&json["resourceCount"], &json["totalBatches"], &json["initializedOn"]), (&Value::Null, &Value::Null, &Value::Null));
        assert_eq!(json["deletedCount"], 0);
        assert_eq!(progress(&job), "planning");
    }

    #[test]
    fn progress_counts_what_has_its_outcome() {
        assert_eq!(progress(&job()), "1199/1568", "what failed has none");
    }

    #[test]
    fn a_client_wide_job_of_every_type_says_so() {
        let selection = Selection { before: Some(Instant::from_unix_ms(0)), ..Selection::default() };
        let job = PurgeJob { owner: Scope::Client { client_id: ClientId("c123".to_owned()) }, selection, ..job() };
        let json = status_json(&job);
        assert_eq!((&json["userId"], &json["typeList"]), (&json!("client"), &json!([])));
        assert_eq!(json["beforeDate"], "1970-01-01T00:00:00.000Z");
    }
}
