//! Holds as they are answered.

use axum::{http::StatusCode, response::Response};
use lethe_fhir::{Instant, ResourceType};
use lethe_purge::holds::HoldTarget;
use lethe_store::Hold;
use serde_json::{Value, json};

use crate::purge::plain_json;

/// One hold; with `warning`, if there is reason for one.
pub fn answer_hold(status: StatusCode, hold: &Hold, warning: Option<&str>) -> Response {
    let mut answer = json!({ "hold": hold_json(hold) });
    if let Some(warning) = warning {
        answer["warning"] = json!(warning);
    }
    let mut response = plain_json(&answer);
    *response.status_mut() = status;
    response
}

/// What a list of holds has of each.
pub fn hold_json(hold: &Hold) -> Value {
    let target = hold.target.as_ref().and_then(|target| match target {
        HoldTarget::Account => None,
        HoldTarget::Patient(id) => Some(format!("{}/{id}", ResourceType::PATIENT)),
        HoldTarget::Resource(resource_type, id) => Some(format!("{resource_type}/{id}")),
    });
    let time = |instant: Option<Instant>| instant.map(|instant| instant.to_string());
    json!({
        "id": hold.hold_id.to_string(),
        "oneup_user_id": hold.account_id,
        "kind": hold.kind,
        "target": target,
        "reason": hold.reason,
        "setBy": hold.set_by,
        "setOn": hold.set_on.to_string(),
        "until": time(hold.until),
        "liftedBy": hold.lifted_by,
        "endedOn": time(hold.ended_on),
    })
}
