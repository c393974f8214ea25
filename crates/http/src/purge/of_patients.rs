//! `POST /r4/Patient/{id}/$purge` and `POST /r4/Group/{id}/$purge`, and the previews of both: as FHIR R6 has them
//! (<https://build.fhir.org/patient-operation-purge.html>, <https://build.fhir.org/group-operation-purge.html>). The jobs are those of any purge.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::Response,
};
use lethe_auth::Scope;
use lethe_fhir::{InvalidLogicalId, Issue, IssueType, LocalBases, LogicalId, OperationOutcome, ResourceType, Severity};
use lethe_jobs::JobState;
use lethe_purge::{PurgeLevel, request::PurgeRequest};
use lethe_search::{export::ExportQuestion, patient_compartment::is_in_patient_compartments};
use lethe_store::{PreviewQuery, PurgeJob, StoreError};
use serde_json::{Map, Value, json};

use super::{
    asked::Whose,
    cancel::wait_for_end,
    kick_off::start,
    parameters::read_request,
    preview::look,
    respond_async::{answer_accepted, in_words, prefers_async},
    wire::{plain_json, progress_headers, status_url},
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{HostBases, reply, with_header},
    error::ApiError,
};

/// How long a caller who did not ask for `respond-async` waits for the end of the job, in seconds; then it is told where to look.
const WAIT_S_MAX: u64 = 20;

/// Of what is in the compartment of a patient.
pub async fn kick_off_patient(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    kick_off(&app, scope, Whose::Patient(logical_id(&id)?), bases, request).await
}

/// Of what is in the compartments of a Group's members.
pub async fn kick_off_group(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    kick_off(&app, scope, Whose::Group(logical_id(&id)?), bases, request).await
}

/// What a purge of a patient would remove now.
pub async fn preview_patient(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    preview(&app, scope, Whose::Patient(logical_id(&id)?), bases, request).await
}

/// What a purge of a Group's members would remove now.
pub async fn preview_group(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    preview(&app, scope, Whose::Group(logical_id(&id)?), bases, request).await
}

async fn kick_off(app: &App, scope: Scope, whose: Whose, bases: LocalBases, request: Request) -> Result<Response, ApiError> {
    let (parts, request) = read_request(request).await?;
    demand_there(app, &scope, &whose, &request).await?;
    let members = unresolved(app, &scope, &whose, &bases).await?;
    let job = start(app, scope.clone(), request, whose, bases).await?;
    let mut more: Vec<Issue> = members.into_iter().map(|text| issue(Severity::Warning, IssueType::NotFound, text)).collect();
    if prefers_async(&parts.headers) {
        more.extend(staying(app, &job).await?);
        return Ok(answer_accepted(app, &job, more));
    }
    let job = wait_for_end(app, &scope, job, WAIT_S_MAX).await?;
    more.extend(staying(app, &job).await?);
    answer(app, &job, more)
}

async fn preview(app: &App, scope: Scope, whose: Whose, bases: LocalBases, request: Request) -> Result<Response, ApiError> {
    let (_, request) = read_request(request).await?;
    demand_there(app, &scope, &whose, &request).await?;
    let (query, mut json) = look(app, scope, &request, whose, bases).await?;
    let outside: Map<String, Value> =
        outside(app, &query.owner).await?.into_iter().map(|(outside, resources)| (outside.to_string(), json!(resources))).collect();
    json["preview"]["stays"]["inNoCompartment"] = Value::Object(outside);
    json["preview"]["unresolvedMembers"] = json!(app.store.unresolved_members(&query).await?);
    Ok(plain_json(&json))
}

/// Looks whether there is such a patient or Group in the one account that is meant.
async fn demand_there(app: &App, scope: &Scope, whose: &Whose, request: &PurgeRequest) -> Result<(), ApiError> {
    let (resource_type, id) = match whose {
        Whose::System => return Ok(()),
        Whose::Patient(id) => (ResourceType::PATIENT, id),
        Whose::Group(id) => (ResourceType::GROUP, id),
    };
    if scope.account_id().is_none() {
        let text = format!(
            "'x-oneup-user-id: client' stands for all users, and a {resource_type} belongs to one: name the user by number; nothing was started"
        );
        return Err(ApiError::bad(IssueType::BusinessRule, text));
    }
    let found = match app.store.read(scope, resource_type, id).await {
        // It is there, and a purge of it reads no content.
        Err(StoreError::Damaged { .. }) if resource_type == ResourceType::PATIENT => return Ok(()),
        found => found?,
    };
    match found {
        None => Err(ApiError::NotFound(format!("there is no {resource_type} with this id; nothing was started"))),
        Some(found) if found.body.is_some() || (resource_type == ResourceType::PATIENT && request.include_deleted) => Ok(()),
        Some(_) if resource_type == ResourceType::PATIENT => Err(ApiError::Gone(
            "the Patient was deleted, and nothing was started: with '_includeDeleted=true' its compartment is purged, and with it the history of \
             what was deleted"
                .to_owned(),
        )),
        Some(_) => Err(ApiError::Gone(
            "the Group was deleted, so that it has no members; nothing was started: purge its former members one by one".to_owned(),
        )),
    }
}

async fn unresolved(app: &App, scope: &Scope, whose: &Whose, bases: &LocalBases) -> Result<Vec<String>, ApiError> {
    let Whose::Group(id) = whose else { return Ok(Vec::new()) };
    let question = ExportQuestion { group: Some(id.clone()), ..ExportQuestion::default() };
    let query = PreviewQuery { owner: scope.clone(), selection: Default::default(), question, bases: bases.clone() };
    Ok(app.store.unresolved_members(&query).await?)
}

/// What is stored of types that are in no patient's compartment. A Binary is left out: it goes along with the last that refers to it.
async fn outside(app: &App, scope: &Scope) -> Result<Vec<(ResourceType, u64)>, ApiError> {
    let mut totals = app.store.totals(scope).await?;
    totals.retain(|(stored, resources)| *resources > 0 && *stored != ResourceType::BINARY && !is_in_patient_compartments(*stored));
    Ok(totals)
}

/// Says what stays of an account, if a job is of patients, since it is in no compartment.
pub async fn staying(app: &App, job: &PurgeJob) -> Result<Option<Issue>, ApiError> {
    if job.selection.level == PurgeLevel::System {
        return Ok(None);
    }
    let told: Vec<String> =
        outside(app, &job.owner).await?.into_iter().map(|(outside, resources)| format!("{resources} {outside}")).collect();
    let text = if told.is_empty() {
        "nothing is stored of types that are in no patient's compartment".to_owned()
    } else {
        format!(
            "what is in no patient's compartment stays: {} (https://hl7.org/fhir/R4/compartmentdefinition-patient.html)",
            told.join(", ")
        )
    };
    Ok(Some(issue(Severity::Information, IssueType::Informational, text)))
}

/// Says of a purge of a Group that there was nobody to purge.
pub fn found_nobody(job: &PurgeJob) -> Option<Issue> {
    let is_nobody = job.selection.level == PurgeLevel::Group && job.state == JobState::Successful && job.totals().planned == 0;
    let text =
        "nothing was there to remove: when this was asked for, no member of the Group was a patient here of whom anything is selected";
    is_nobody.then(|| issue(Severity::Warning, IssueType::NotFound, text.to_owned()))
}

fn answer(app: &App, job: &PurgeJob, more: Vec<Issue>) -> Result<Response, ApiError> {
    let json = outcome(job.state, in_words(app, job), more)?;
    let response = with_header(reply(StatusCode::OK, json.to_string()), header::CONTENT_LOCATION, &status_url(app, job.job_id));
    Ok(if job.state.is_ended() { response } else { progress_headers(response, job) })
}

/// R6 calls the outcomes `success` and `incomplete`. R4 does not know `success` as the code of an issue, and its readers refuse what they do not
/// know: there it is `informational`, with R6's code beside the text.
fn outcome(state: JobState, text: String, more: Vec<Issue>) -> Result<Value, ApiError> {
    let first = match state {
        JobState::Queued | JobState::Running | JobState::Canceling => IssueType::Incomplete,
        JobState::Successful | JobState::Canceled => IssueType::Informational,
        JobState::Failed => return Err(ApiError::JobFailed(text)),
    };
    let mut issues = vec![issue(Severity::Information, first, text)];
    issues.extend(more);
    let mut json = OperationOutcome { issues }.to_json();
    if state == JobState::Successful {
        json["issue"][0]["details"]["coding"] = json!([{ "system": "http://hl7.org/fhir/issue-type", "code": "success" }]);
    }
    Ok(json)
}

fn issue(severity: Severity, code: IssueType, text: String) -> Issue {
    Issue { severity, code, text, expression: Vec::new() }
}

fn logical_id(text: &str) -> Result<LogicalId, ApiError> {
    text.parse().map_err(|error: InvalidLogicalId| ApiError::NotFound(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_of_r4_and_tells_what_r6_calls_it() {
        let told = |state| {
            let json = outcome(state, "x".to_owned(), Vec::new()).ok()?;
            let issue = &json["issue"][0];
            Some((issue["code"].as_str()?.to_owned(), issue["details"]["coding"][0]["code"].as_str().map(str::to_owned)))
        };
        let (incomplete, informational) = ("incomplete".to_owned(), "informational".to_owned());
        assert_eq!(told(JobState::Successful), Some((informational.clone(), Some("success".to_owned()))));
        assert_eq!(told(JobState::Canceled), Some((informational, None)), "not all was removed");
        for state in [JobState::Queued, JobState::Running, JobState::Canceling] {
            assert_eq!(told(state), Some((incomplete.clone(), None)));
        }
        assert_eq!(told(JobState::Failed), None);
    }
}
