//! What the CapabilityStatement says of bulk jobs, and the definition of `$import`. That of `$export` is HL7's.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use lethe_fhir::ResourceType;
use serde_json::{Value, json};

use crate::{App, edge::reply};

/// Where the definition of `$import` is served; its address is its canonical URL.
pub const IMPORT_DEFINITION_PATH: &str = "/r4/OperationDefinition/lethe-import";

/// What the whole system does.
pub fn system_operations(public_url: &str) -> [Value; 2] {
    [
        json!({
            "name": "export",
            "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
            "documentation": "GET or POST /r4/$export with 'Prefer: respond-async' starts an export of the account as it is now; parameters are _type, _since, _typeFilter, _outputFormat and, by patients or by a Group, patient. GET or POST /r4/Patient/$export exports what is in the compartment of any patient, /r4/Group/{id}/$export what is in those of the Group's members. GET and DELETE on /r4/$export/{job id} tell of it and remove it. Files are read from the store when they are fetched: what was purged meanwhile is missing from them, so that a file can have fewer lines than its count."
        }),
        json!({
            "name": "import",
            "definition": format!("{public_url}{IMPORT_DEFINITION_PATH}"),
            "documentation": "POST /r4/$import stores the lines of an NDJSON body as they arrive. GET /r4/$import lists imports, GET and DELETE on /r4/$import/{job id} tell of one and cancel it."
        }),
    ]
}

/// What is done with a type, or with one resource of it.
pub fn type_operation(own: ResourceType) -> Option<Value> {
    match own {
        ResourceType::PATIENT => Some(json!({
            "name": "export",
            "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export",
            "documentation": "GET or POST /r4/Patient/$export: what is in the compartment of any patient"
        })),
        ResourceType::GROUP => Some(json!({
            "name": "export",
            "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export",
            "documentation": "GET or POST /r4/Group/{id}/$export: what is in the compartments of the Group's members"
        })),
        _ => None,
    }
}

/// The OperationDefinition of `$import`.
pub async fn import_definition(State(app): State<Arc<App>>) -> Response {
    reply(StatusCode::OK, operation_definition(&app.public_url).to_string())
}

fn operation_definition(public_url: &str) -> Value {
    json!({
        "resourceType": "OperationDefinition",
        "id": "lethe-import",
        "url": format!("{public_url}{IMPORT_DEFINITION_PATH}"),
        "name": "Import",
        "title": "Bulk import",
        "status": "active",
        "kind": "operation",
        "publisher": "Lethe",
        "description": "Stores the resources of a body of NDJSON ('Content-Type: application/fhir+ndjson', also 'Content-Encoding: gzip'), one a line, each as by PUT, or as by POST if it has no id. Lines are stored in batches as they arrive; a line that is refused keeps none of the others from being stored. Answers when the body ends: 200 and JSON with the job's counts and an OperationOutcome that names refused lines. If the call breaks off, the job is failed and says up to which line it came. One import at a time for an account.",
        "affectsState": true,
        "code": "import",
        "system": true,
        "type": false,
        "instance": false,
        "parameter": [{
            "name": "_after",
            "use": "in",
            "min": 0,
            "max": "1",
            "type": "integer",
            "documentation": "So many lines of the body are left out, since an earlier import has read them"
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_leads_to_its_definition() {
        let [_, import] = system_operations("http://h:1");
        assert_eq!(import["definition"], operation_definition("http://h:1")["url"]);
    }
}
