//! `POST /hold-management/v1/hold`: sets a hold. When it has been answered, nothing that it keeps is removed any more.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{FhirDate, Instant, IssueType, LogicalId, ResourceType};
use lethe_purge::holds::{HoldTarget, hold_text};
use lethe_store::{HOLDS_IN_FORCE_MAX, HoldAdded, NewHold, UserFilter, hold_warning};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{administrator::Administrator, wire::answer_hold};
use crate::{
    App,
    edge::{json_object, read_body},
    error::ApiError,
};

/// Bytes of the body: a few short texts.
const BODY_BYTES_MAX: usize = 64 << 10;

const MEMBERS: [&str; 6] = ["oneup_user_id", "kind", "target", "reason", "by", "until"];

/// Reads the body strictly and sets the hold.
pub async fn add(State(app): State<Arc<App>>, administrator: Administrator, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, BODY_BYTES_MAX).await?;
    let members = json_object(&bytes).map_err(|text| bad(IssueType::Structure, text))?;
    let hold = read(&members, app.clock.now())?;
    let filter = UserFilter { account_id: Some(hold.account_id), count: 1, ..UserFilter::default() };
    if app.store.users(&administrator.client_id, &filter).await?.is_empty() {
        return Err(no_such_user());
    }
    let set_by = format!("{} of client {}", hold.set_by, administrator.client_id);
    match app.store.add_hold(&NewHold { set_by, ..hold }).await? {
        HoldAdded::Added(hold) => {
            let scope = Scope::Account { client_id: administrator.client_id, account_id: hold.account_id };
            let warning = hold_warning(app.store.as_ref(), &scope, &hold).await;
            Ok(answer_hold(StatusCode::CREATED, &hold, warning.as_deref()))
        }
        HoldAdded::NoAccount => Err(no_such_user()),
        HoldAdded::TooMany => Err(ApiError::Conflict {
            text: format!(
                "{HOLDS_IN_FORCE_MAX} holds are in force in this account, and no more are kept; nothing was set: lift some, or set one of kind \
                 'account'"
            ),
            content_location: None,
        }),
    }
}

fn bad(code: IssueType, text: impl std::fmt::Display) -> ApiError {
    ApiError::bad(code, format!("{text}; nothing was set"))
}

fn no_such_user() -> ApiError {
    bad(IssueType::NotFound, "this client has no user of that oneup_user_id")
}

fn read(members: &Map<String, Value>, now: Instant) -> Result<NewHold, ApiError> {
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        let shown: String = unknown.chars().take(80).collect();
        return Err(bad(IssueType::NotSupported, format!("'{shown}' is not known: a hold has {}", MEMBERS.join(", "))));
    }
    let text = |name: &str| match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => hold_text(text).map(Some).map_err(|error| bad(IssueType::Value, format!("{name} {error}"))),
        Some(_) => Err(bad(IssueType::Value, format!("{name} must be a text"))),
    };
    let needed = |name: &str| text(name)?.ok_or_else(|| bad(IssueType::Required, format!("{name} is missing")));
    let account_id = match members.get("oneup_user_id") {
        Some(Value::Number(number)) => number.as_i64().map(AccountId),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let account_id =
        account_id.ok_or_else(|| bad(IssueType::Required, "oneup_user_id must be the number of the user whose account is meant"))?;
    Ok(NewHold {
        hold_id: Uuid::new_v4(),
        account_id,
        target: target(&needed("kind")?, text("target")?.as_deref())?,
        reason: needed("reason")?,
        set_by: needed("by")?,
        until: text("until")?.map(|until| read_until(&until, now)).transpose()?,
    })
}

fn target(kind: &str, target: Option<&str>) -> Result<HoldTarget, ApiError> {
    match (kind, target) {
        ("account", None) => Ok(HoldTarget::Account),
        ("account", Some(_)) => Err(bad(IssueType::Invalid, "a hold of kind 'account' keeps all of it: leave 'target' out")),
        ("patient", Some(text)) => match reference(text)? {
            (ResourceType::PATIENT, id) => Ok(HoldTarget::Patient(id)),
            (other, _) => {
                Err(bad(IssueType::Value, format!("a hold of kind 'patient' names a Patient, not a {other}: use kind 'resource'")))
            }
        },
        ("resource", Some(text)) => reference(text).map(|(resource_type, id)| HoldTarget::Resource(resource_type, id)),
        ("patient" | "resource", None) => Err(bad(IssueType::Required, "target is missing: Patient/id or Type/id")),
        _ => Err(bad(IssueType::Value, "kind must be account, patient (with its compartment) or resource")),
    }
}

fn reference(text: &str) -> Result<(ResourceType, LogicalId), ApiError> {
    let (name, id) = text.split_once('/').ok_or_else(|| bad(IssueType::Value, "target must be of the form Type/id"))?;
    let resource_type = name.parse().map_err(|error| bad(IssueType::Value, format!("target: {error}")))?;
    let id = id.parse().map_err(|error| bad(IssueType::Value, format!("target: {error}")))?;
    Ok((resource_type, id))
}

fn read_until(text: &str, now: Instant) -> Result<Instant, ApiError> {
    let until = text.parse::<FhirDate>().map_err(|error| bad(IssueType::Value, format!("until: {error}")))?.low;
    if until <= now {
        return Err(bad(IssueType::Value, format!("until: {until} is over: such a hold would keep nothing")));
    }
    Ok(until)
}
