//! The CapabilityStatement, walked: everything that it lists is called, and what it does not list is refused.

use axum::http::StatusCode;
use lethe_search::definitions::{ParameterKind, parameter};
use serde_json::{Value, json};

use crate::caller::{Caller, header_text};
use crate::test_server::{Answer, TestServer};

/// So many parameters go into one call. Each of them is named if it is refused.
const AT_ONCE: usize = 10;

const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");

fn texts(list: &Value, member: &str) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

async fn rest(caller: &Caller<'_>) -> Value {
    let statement = caller.server.send(axum::http::Request::builder().uri("/r4/metadata"), "").await;
    assert_eq!(statement.status, StatusCode::OK, "without credentials");
    statement.json()["rest"][0].clone()
}

fn assert_served(what: &str, answer: &Answer, expected: StatusCode) {
    assert_eq!(answer.status, expected, "{what}: {}", answer.text);
}

#[tokio::test]
async fn every_interaction_of_every_type_is_served() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let rest = rest(&caller).await;
    let types = rest["resource"].as_array().unwrap();
    assert_eq!(types.len(), 146);
    for listed in types {
        let name = listed["type"].as_str().unwrap();
        let body = json!({ "resourceType": name, "id": "x1" }).to_string();
        assert_served(name, &caller.put(&format!("/r4/{name}/x1"), &body).await, StatusCode::CREATED);
        for interaction in texts(&listed["interaction"], "code") {
            let what = format!("{name} {interaction}");
            let no_headers: &[(&str, &str)] = &[];
            let json_patch: &[(&str, &str)] = &[JSON_PATCH];
            let (method, path, body, headers, expected) = match interaction.as_str() {
                "read" => ("GET", "/x1", "", no_headers, StatusCode::OK),
                "vread" => ("GET", "/x1/_history/1", "", no_headers, StatusCode::OK),
                "update" => ("PUT", "/x1", body.as_str(), no_headers, StatusCode::OK),
                "patch" => ("PATCH", "/x1", r#"[{"op":"add","path":"/language","value":"en"}]"#, json_patch, StatusCode::OK),
                "delete" => ("DELETE", "/x2", "", no_headers, StatusCode::NO_CONTENT),
                "history-instance" => ("GET", "/x1/_history", "", no_headers, StatusCode::OK),
                "history-type" => ("GET", "/_history", "", no_headers, StatusCode::OK),
                "create" => ("POST", "", body.as_str(), no_headers, StatusCode::CREATED),
                "search-type" => ("GET", "", "", no_headers, StatusCode::OK),
                other => panic!("{name}: {other} is listed and not walked"),
            };
            assert_served(&what, &caller.call(method, &format!("/r4/{name}{path}"), headers, body).await, expected);
        }
        assert_eq!(
            (&listed["versioning"], &listed["readHistory"], &listed["updateCreate"]),
            (&json!("versioned-update"), &json!(true), &json!(true))
        );
        assert_eq!((&listed["conditionalCreate"], &listed["conditionalUpdate"]), (&json!(true), &json!(true)));
        assert_eq!((&listed["conditionalDelete"], &listed["conditionalRead"]), (&json!("single"), &json!("not-match")));
        let conditional = format!("/r4/{name}?_id=none");
        assert_served(name, &caller.call("POST", &format!("/r4/{name}"), &[("if-none-exist", "_id=x1")], &body).await, StatusCode::OK);
        let created = caller.put(&conditional, &json!({ "resourceType": name }).to_string()).await;
        assert_served(name, &created, StatusCode::CREATED);
        assert_served(name, &caller.delete(&conditional).await, StatusCode::NO_CONTENT);
        let patched =
            caller.call("PATCH", &format!("/r4/{name}?_id=x1"), &[JSON_PATCH], r#"[{"op":"add","path":"/language","value":"de"}]"#).await;
        assert_served(name, &patched, StatusCode::OK);
        let read = caller.get(&format!("/r4/{name}/x1")).await;
        let known = caller.call("GET", &format!("/r4/{name}/x1"), &[("if-none-match", header_text(&read, "etag"))], "").await;
        assert_served(name, &known, StatusCode::NOT_MODIFIED);
    }
    for interaction in texts(&rest["interaction"], "code") {
        let answer = match interaction.as_str() {
            "transaction" | "batch" => caller.post("/r4", &json!({ "resourceType": "Bundle", "type": interaction }).to_string()).await,
            "history-system" => caller.get("/r4/_history").await,
            "search-system" => caller.get("/r4?_count=1").await,
            other => panic!("{other} is listed and not walked"),
        };
        assert_served(&interaction, &answer, StatusCode::OK);
    }
}

/// A value that a parameter of this type can have.
fn plausible(resource_type: &str, name: &str, kind: &str) -> String {
    let of_kind = |kind: &str| match kind {
        "number" => "1",
        "date" => "ge2020-01",
        "string" => "x",
        "token" => "http://x|y",
        "reference" => "x1",
        "quantity" => "5.4|http://unitsofmeasure.org|mg",
        "uri" => "http://x",
        "special" => "52.5|13.4|10|km",
        other => panic!("{resource_type}?{name} has the type {other}"),
    };
    if kind != "composite" {
        return match name {
            "_id" | "_list" => "x1".to_owned(),
            _ => of_kind(kind).to_owned(),
        };
    }
    let components = &parameter(resource_type.parse().unwrap(), name).unwrap().components;
    let value = |kind: &ParameterKind| match kind {
        ParameterKind::Number => of_kind("number"),
        ParameterKind::Date => "2020",
        ParameterKind::String => of_kind("string"),
        ParameterKind::Token => of_kind("token"),
        ParameterKind::Reference => "Patient/x1",
        ParameterKind::Quantity => of_kind("quantity"),
        ParameterKind::Uri => of_kind("uri"),
        ParameterKind::Composite | ParameterKind::Position => panic!("no component of {resource_type}?{name}"),
    };
    components.iter().map(value).collect::<Vec<_>>().join("$")
}

fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace('|', "%7C").replace('&', "%26").replace('+', "%2B")
}

#[tokio::test]
async fn every_search_parameter_is_searched_by_and_has_its_definition() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let rest = rest(&caller).await;
    let mut walked = 0;
    for listed in rest["resource"].as_array().unwrap() {
        let name = listed["type"].as_str().unwrap();
        let parameters = listed["searchParam"].as_array().unwrap();
        for chunk in parameters.chunks(AT_ONCE) {
            let query: Vec<String> = chunk
                .iter()
                .map(|parameter| {
                    let (code, kind) = (parameter["name"].as_str().unwrap(), parameter["type"].as_str().unwrap());
                    let has_definition =
                        parameter["definition"].as_str().is_some_and(|url| url.starts_with("http://hl7.org/fhir/SearchParameter/"));
                    assert!(has_definition || code == "_list", "{name}?{code}");
                    format!("{code}={}", encoded(&plausible(name, code, kind)))
                })
                .collect();
            let path = format!("/r4/{name}?{}", query.join("&"));
            assert_served(&path, &caller.get(&path).await, StatusCode::OK);
            walked += chunk.len();
        }
    }
    assert!(walked > 2_500, "{walked}");
    for parameter in rest["searchParam"].as_array().unwrap() {
        let (code, kind) = (parameter["name"].as_str().unwrap(), parameter["type"].as_str().unwrap());
        let path = format!("/r4?_type=Patient,Observation&{code}={}", encoded(&plausible("Patient", code, kind)));
        assert_served(&path, &caller.get(&path).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn every_include_can_be_asked_for() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let rest = rest(&caller).await;
    let (mut forward, mut reverse) = (0, 0);
    for listed in rest["resource"].as_array().unwrap() {
        let name = listed["type"].as_str().unwrap();
        caller.stored(&format!("/r4/{name}/x1"), &json!({ "resourceType": name, "id": "x1" }).to_string()).await;
        for (parameter, member, count) in [("_include", "searchInclude", &mut forward), ("_revinclude", "searchRevInclude", &mut reverse)] {
            let includes = names(&listed[member]);
            for chunk in includes.chunks(AT_ONCE * 2) {
                let query: Vec<String> = chunk.iter().map(|include| format!("{parameter}={include}")).collect();
                let path = format!("/r4/{name}?_id=x1&{}", query.join("&"));
                assert_served(&path, &caller.get(&path).await, StatusCode::OK);
            }
            *count += includes.len();
        }
    }
    assert!(forward > 400 && reverse > 2_000, "{forward} {reverse}");
}

#[tokio::test]
async fn every_operation_is_served_and_defined() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let rest = rest(&caller).await;
    let mut definitions = std::collections::BTreeSet::new();
    for listed in rest["resource"].as_array().unwrap() {
        let name = listed["type"].as_str().unwrap();
        let body = json!({ "resourceType": name, "id": "x1" }).to_string();
        caller.stored(&format!("/r4/{name}/x1"), &body).await;
        for operation in listed["operation"].as_array().into_iter().flatten() {
            definitions.insert(operation["definition"].as_str().unwrap().to_owned());
            let calls = match operation["name"].as_str().unwrap() {
                "everything" => vec![("GET", format!("/r4/{name}/x1/$everything"), ""), ("POST", format!("/r4/{name}/x1/$everything"), "")],
                "validate" => vec![
                    ("POST", format!("/r4/{name}/$validate"), body.as_str()),
                    ("POST", format!("/r4/{name}/x1/$validate"), body.as_str()),
                    ("GET", format!("/r4/{name}/x1/$validate"), ""),
                ],
                "export" => {
                    let path = if name == "Group" { "/r4/Group/x1/$export".to_owned() } else { format!("/r4/{name}/$export") };
                    let answer = caller.call("GET", &path, &[("prefer", "respond-async")], "").await;
                    assert_served(&path, &answer, StatusCode::ACCEPTED);
                    let status = answer.headers["content-location"].to_str().unwrap().strip_prefix("http://lethe.test").unwrap();
                    assert_served(status, &caller.delete(status).await, StatusCode::ACCEPTED);
                    continue;
                }
                "purge" => {
                    let path = format!("/r4/{name}/x1/$purge");
                    assert_served(&path, &caller.get(&format!("{path}-preview")).await, StatusCode::OK);
                    let answer = caller.call("POST", &path, &[("prefer", "respond-async")], "").await;
                    assert_served(&path, &answer, StatusCode::ACCEPTED);
                    let status = answer.headers["content-location"].to_str().unwrap().strip_prefix("http://lethe.test").unwrap();
                    assert_served(status, &caller.delete(status).await, StatusCode::ACCEPTED);
                    continue;
                }
                other => panic!("{name}: {other} is listed and not walked"),
            };
            for (method, path, body) in calls {
                assert_served(&path, &caller.call(method, &path, &[], body).await, StatusCode::OK);
            }
        }
    }
    for operation in rest["operation"].as_array().unwrap() {
        definitions.insert(operation["definition"].as_str().unwrap().to_owned());
        let name = operation["name"].as_str().unwrap();
        let answer = caller.call("GET", &format!("/r4/${name}"), &[("prefer", "respond-async")], "").await;
        assert!(answer.status.is_success(), "{name}: {} {}", answer.status, answer.text);
    }
    for definition in definitions {
        // That of $export is HL7's own.
        let Some(path) = definition.strip_prefix("http://lethe.test") else { continue };
        let answer = caller.get(path).await;
        assert_eq!((answer.status, &answer.json()["url"]), (StatusCode::OK, &json!(definition)), "{}", answer.text);
    }
}

#[tokio::test]
async fn formats_compartments_and_patches_are_as_listed() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let statement = caller.get("/r4/metadata").await.json();
    for format in names(&statement["format"]) {
        let path = format!("/r4/Patient?_format={}", encoded(&format));
        assert_served(&format, &caller.get(&path).await, StatusCode::OK);
    }
    caller.stored("/r4/Patient/x1", r#"{"resourceType":"Patient","id":"x1","active":true}"#).await;
    let parameters = json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": [
        { "name": "type", "valueCode": "delete" }, { "name": "path", "valueString": "Patient.gender" }] }] });
    let json_patch = json!([{ "op": "test", "path": "/active", "value": true }]);
    for format in names(&statement["patchFormat"]) {
        let body = if format == JSON_PATCH.1 { &json_patch } else { &parameters };
        let answer = caller.call("PATCH", "/r4/Patient/x1", &[("content-type", &format)], &body.to_string()).await;
        assert_served(&format, &answer, StatusCode::OK);
    }
    let compartments = names(&statement["rest"][0]["compartment"]);
    assert_eq!(compartments.len(), 5);
    for compartment in compartments {
        let owner = compartment.rsplit('/').next().unwrap();
        let name =
            ["Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"].into_iter().find(|name| name.to_lowercase() == owner);
        let path = format!("/r4/{}/x1/*", name.unwrap());
        assert_served(&path, &caller.get(&path).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_not_listed_is_refused() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let listed = rest(&caller).await.to_string();
    for (method, path, unlisted) in [
        ("GET", "/r4/Patient?_filter=x", "\"_filter\""),
        ("GET", "/r4/Patient?code=x", "\"Patient-code\""),
        ("GET", "/r4/Patient?_query=x", "\"_query\""),
        ("GET", "/r4/Patient?_include=Patient:gender", "\"Patient:gender\""),
        ("GET", "/r4/Medication?_revinclude=Observation:subject", "\"Observation:medication\""),
        ("GET", "/r4/Observation/x1/$everything", "\"observation-everything\""),
        ("GET", "/r4/Observation/$lastn", "\"lastn\""),
        ("POST", "/r4/Patient/$match", "\"match\""),
        ("POST", "/r4/Patient/x1/$graph", "\"graph\""),
        ("POST", "/r4/$convert", "\"convert\""),
        ("GET", "/r4/Group/x1/Observation", "CompartmentDefinition/group"),
        ("GET", "/r4/Patient?_format=xml", "\"xml\""),
        ("GET", "/r4/Patiant", "\"Patiant\""),
    ] {
        let answer = caller.call(method, path, &[], "").await;
        let is_refused = matches!(
            answer.status,
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_ACCEPTABLE
        );
        assert!(is_refused, "{method} {path}: {} {}", answer.status, answer.text);
        assert!(!listed.contains(unlisted), "{unlisted}");
    }
}
