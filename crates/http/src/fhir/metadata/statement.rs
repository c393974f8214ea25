//! The CapabilityStatement.

use std::collections::BTreeMap;

use lethe_fhir::ResourceType;
use lethe_search::definitions::{Parameter, ParameterKind, canonical, compartments, parameters};
use serde_json::{Value, json};

use super::operations::{Level, OPERATIONS};
use crate::bulk::{system_operations, type_operation};

/// When what is stated here last changed.
pub const STATED_ON: &str = "2026-11-23";

/// What can be done with resources of every type.
const TYPE_INTERACTIONS: [&str; 9] =
    ["read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"];

/// What can be done with everything.
const SYSTEM_INTERACTIONS: [&str; 4] = ["transaction", "batch", "history-system", "search-system"];

/// Parameters of every type that the table of types does not hold, since they are answered without index values.
const COMMON: [(&str, &str); 5] =
    [("_id", "token"), ("_lastUpdated", "date"), ("_text", "string"), ("_content", "string"), ("_list", "string")];

/// What is so.
pub fn statement(public_url: &str, has_cors: bool) -> Value {
    let referring = referring();
    let resources: Vec<Value> =
        ResourceType::all().map(|own| resource(public_url, own, referring.get(&own).map(Vec::as_slice).unwrap_or_default())).collect();
    let own = OPERATIONS.iter().filter(|operation| operation.level == Level::System).map(|operation| operation.capability(public_url));
    let operations: Vec<Value> = own.chain(system_operations(public_url)).collect();
    let compartments: Vec<String> =
        compartments().map(|owner| format!("http://hl7.org/fhir/CompartmentDefinition/{}", owner.name().to_ascii_lowercase())).collect();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": STATED_ON,
        "publisher": "Lethe",
        "kind": "instance",
        "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
        "software": { "name": "Lethe", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "A FHIR R4 server whose centre is an asynchronous, irreversible bulk purge", "url": format!("{public_url}/r4") },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json", "application/fhir+json"],
        "rest": [{
            "mode": "server",
            "security": {
                "cors": has_cors,
                "service": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "OAuth" }] }],
                "description": "A bearer token of /oauth2/token acts for one user. The headers client_id, client_secret and x-oneup-user-id act for one user, or with the value 'client' for all of a client's users: reads, searches and $purge only. Every resource lives in one user's account, and nothing crosses accounts."
            },
            "resource": resources,
            "interaction": codes(&SYSTEM_INTERACTIONS),
            "searchParam": common(ResourceType::PROVENANCE).collect::<Vec<_>>(),
            "operation": operations,
            "compartment": compartments,
        }]
    })
}

fn codes(interactions: &[&str]) -> Vec<Value> {
    interactions.iter().map(|code| json!({ "code": code })).collect()
}

fn resource(public_url: &str, own: ResourceType, referring: &[String]) -> Value {
    let of_type = parameters(own).iter().filter(|parameter| !parameter.code.starts_with('_'));
    let of_type = of_type.map(|parameter| search_parameter(own, parameter.code, kind_name(parameter.kind)));
    let search_parameters: Vec<Value> = common(own).chain(of_type).collect();
    let includes: Vec<String> = references(own).map(|parameter| format!("{own}:{}", parameter.code)).collect();
    let ours = OPERATIONS.iter().filter(|operation| operation.is_of(own)).map(|operation| operation.capability(public_url));
    let operations: Vec<Value> = ours.chain(type_operation(own)).collect();
    let mut resource = json!({
        "type": own.name(),
        "interaction": codes(&TYPE_INTERACTIONS),
        "versioning": "versioned-update",
        "readHistory": true,
        "updateCreate": true,
        "conditionalCreate": true,
        "conditionalRead": "not-match",
        "conditionalUpdate": true,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical", "local"],
        "searchParam": search_parameters,
        "operation": operations,
    });
    if !includes.is_empty() {
        resource["searchInclude"] = json!(std::iter::once("*".to_owned()).chain(includes).collect::<Vec<_>>());
    }
    if !referring.is_empty() {
        resource["searchRevInclude"] = json!(referring);
    }
    resource
}

fn references(own: ResourceType) -> impl Iterator<Item = &'static Parameter> {
    parameters(own).iter().filter(|parameter| parameter.kind == ParameterKind::Reference)
}

/// For each type, the parameters that can lead to it.
fn referring() -> BTreeMap<ResourceType, Vec<String>> {
    let mut referring: BTreeMap<ResourceType, Vec<String>> = BTreeMap::new();
    for source in ResourceType::all() {
        for parameter in references(source) {
            for target in &parameter.targets {
                referring.entry(*target).or_default().push(format!("{source}:{}", parameter.code));
            }
        }
    }
    referring
}

/// Those of every type, which a search over several can have.
fn common(own: ResourceType) -> impl Iterator<Item = Value> {
    let in_table = parameters(own).iter().filter(|parameter| parameter.code.starts_with('_'));
    let in_table = in_table.map(move |parameter| search_parameter(own, parameter.code, kind_name(parameter.kind)));
    COMMON.iter().map(move |(code, kind)| search_parameter(own, code, kind)).chain(in_table)
}

fn search_parameter(own: ResourceType, code: &str, kind: &str) -> Value {
    let mut parameter = json!({ "name": code, "type": kind });
    if let Some(definition) = canonical(own, code) {
        parameter["definition"] = json!(definition);
    }
    parameter
}

/// As <https://hl7.org/fhir/R4/valueset-search-param-type.html> has it.
fn kind_name(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Number => "number",
        ParameterKind::Date => "date",
        ParameterKind::String => "string",
        ParameterKind::Token => "token",
        ParameterKind::Reference => "reference",
        ParameterKind::Composite => "composite",
        ParameterKind::Quantity => "quantity",
        ParameterKind::Uri => "uri",
        ParameterKind::Position => "special",
    }
}

#[cfg(test)]
mod tests {
    use lethe_fhir::{Resource, validate};

    use super::*;

    #[test]
    fn the_statement_is_built_as_fhir_has_it_and_names_every_type() {
        let statement = statement("http://h:1", false);
        assert_eq!(statement["rest"][0]["resource"].as_array().map(Vec::len), Some(146));
        assert_eq!(validate(&Resource::from_json(statement).unwrap()), []);
    }
}
