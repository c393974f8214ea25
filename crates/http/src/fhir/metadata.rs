//! `GET /r4/metadata`: what is so, and nothing that is not. Needs no credentials.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use lethe_fhir::ResourceType;
use serde_json::{Value, json};

use crate::{App, bulk::system_operations, edge::reply};

/// Where the definition of `$purge` is served; its address is its canonical URL.
pub const PURGE_DEFINITION_PATH: &str = "/r4/OperationDefinition/lethe-purge";

/// When what is stated here last changed.
const STATED_ON: &str = "2026-11-23";

/// The CapabilityStatement.
pub async fn capabilities(State(app): State<Arc<App>>) -> Response {
    reply(StatusCode::OK, capability_statement(&app.public_url).to_string())
}

/// The OperationDefinition of `$purge`.
pub async fn purge_definition(State(app): State<Arc<App>>) -> Response {
    reply(StatusCode::OK, operation_definition(&app.public_url).to_string())
}

fn capability_statement(public_url: &str) -> Value {
    let resources: Vec<Value> = ResourceType::all().map(resource_capability).collect();
    let purge = json!({
        "name": "purge",
        "definition": format!("{public_url}{PURGE_DEFINITION_PATH}"),
        "documentation": "POST /r4/$purge starts a job that removes resources with all their versions, and the Provenance and Binary that go along. GET, PUT and DELETE on /r4/$purge/{job id} tell of it, retry and cancel it. GET /r4/$purge lists jobs."
    });
    let operations: Vec<Value> = std::iter::once(purge).chain(system_operations(public_url)).collect();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": STATED_ON,
        "publisher": "Lethe",
        "kind": "instance",
        "software": { "name": "Lethe", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "A FHIR R4 server whose centre is an asynchronous, irreversible bulk purge", "url": format!("{public_url}/r4") },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "security": {
                "cors": false,
                "service": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "OAuth" }] }],
                "description": "A bearer token of /oauth2/token acts for one user. The headers client_id, client_secret and x-oneup-user-id act for one user, or with the value 'client' for all of a client's users: reads and $purge only. Every resource lives in one user's account, and nothing crosses accounts."
            },
            "resource": resources,
            "interaction": [{ "code": "transaction" }, { "code": "batch" }, { "code": "history-system" }],
            "operation": operations
        }]
    })
}

fn resource_capability(resource_type: ResourceType) -> Value {
    let codes = ["read", "vread", "update", "delete", "history-instance", "history-type", "create", "search-type"];
    let interactions: Vec<Value> = codes.iter().map(|code| json!({ "code": code })).collect();
    json!({
        "type": resource_type.name(),
        "interaction": interactions,
        "versioning": "versioned",
        "readHistory": true,
        "updateCreate": true,
        "conditionalCreate": false,
        "conditionalRead": "not-match",
        "conditionalUpdate": false,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "logical", "local"],
        "searchParam": [
            { "name": "_id", "type": "token", "definition": "http://hl7.org/fhir/SearchParameter/Resource-id" },
            { "name": "_lastUpdated", "type": "date", "definition": "http://hl7.org/fhir/SearchParameter/Resource-lastUpdated" }
        ]
    })
}

fn operation_definition(public_url: &str) -> Value {
    let optional = |name: &str, value_type: &str, documentation: &str| json!({ "name": name, "use": "in", "min": 0, "max": "1", "type": value_type, "documentation": documentation });
    json!({
        "resourceType": "OperationDefinition",
        "id": "lethe-purge",
        "url": format!("{public_url}{PURGE_DEFINITION_PATH}"),
        "name": "Purge",
        "title": "Bulk purge",
        "status": "active",
        "kind": "operation",
        "date": STATED_ON,
        "publisher": "Lethe",
        "description": "Starts a job that removes, for good, every resource of the account whose current version was stored before the kick-off and fits the parameters: all its versions and index rows, every Provenance whose targets are all purged, and every Binary that nothing remaining refers to. Answers at once with the job as JSON. Any parameter that is unknown, repeated or empty is refused with 400, and nothing starts.",
        "affectsState": true,
        "code": "purge",
        "system": true,
        "type": false,
        "instance": false,
        "parameter": [
            optional("_type", "string", "Resource types, separated by commas; absent: all"),
            optional("_before", "string", "A FHIR date, dateTime (with a time zone) or instant: only resources whose meta.lastUpdated is strictly less"),
            optional("_includeDeleted", "boolean", "true: also the history of resources that a FHIR delete left behind"),
            optional("_reason", "string", "Text of up to 1,000 characters that is kept with the job")
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_stated_and_the_operation_leads_to_its_definition() {
        let statement = capability_statement("http://h:1");
        assert_eq!(statement["rest"][0]["resource"].as_array().map(Vec::len), Some(146));
        assert_eq!(statement["rest"][0]["operation"][0]["definition"], operation_definition("http://h:1")["url"]);
    }
}
