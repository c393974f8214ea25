//! `$everything` of a patient and of an encounter.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::pages::{ids, pages_from};
use crate::test_server::TestServer;

async fn record(caller: &Caller<'_>) {
    let of_patient = |resource_type: &str, id: &str, more: Value| {
        let mut resource = json!({ "resourceType": resource_type, "id": id, "status": "final", "subject": { "reference": "Patient/pat" } });
        resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        resource
    };
    let resources = [
        json!({ "resourceType": "Practitioner", "id": "doc" }),
        json!({ "resourceType": "Practitioner", "id": "stranger" }),
        json!({ "resourceType": "Organization", "id": "clinic" }),
        json!({ "resourceType": "Medication", "id": "med" }),
        json!({ "resourceType": "Binary", "id": "scan", "contentType": "text/plain", "data": "eA==" }),
        json!({ "resourceType": "Patient", "id": "pat", "generalPractitioner": [{ "reference": "Practitioner/doc" }],
                "managingOrganization": { "reference": "Organization/clinic" } }),
        json!({ "resourceType": "Patient", "id": "other" }),
        of_patient("Encounter", "enc", json!({ "participant": [{ "individual": { "reference": "Practitioner/doc" } }] })),
        of_patient("Observation", "obs", json!({ "encounter": { "reference": "Encounter/enc" } })),
        of_patient("MedicationRequest", "req", json!({ "medicationReference": { "reference": "Medication/med" } })),
        of_patient("DocumentReference", "document", json!({ "content": [{ "attachment": { "url": "Binary/scan" } }] })),
        json!({ "resourceType": "Observation", "id": "foreign", "subject": { "reference": "Patient/other" },
                "performer": [{ "reference": "Practitioner/stranger" }] }),
    ];
    caller.stored_together(resources).await;
}

/// Matches and what goes along, of all pages.
async fn all(caller: &Caller<'_>, path: &str) -> (Vec<String>, BTreeSet<String>) {
    let pages = pages_from(caller, path).await;
    (pages.iter().flat_map(|page| ids(page, "match")).collect(), pages.iter().flat_map(|page| ids(page, "include")).collect())
}

const MEMBERS: [&str; 5] = ["Patient/pat", "DocumentReference/document", "Encounter/enc", "MedicationRequest/req", "Observation/obs"];
const ALONG: [&str; 4] = ["Binary/scan", "Medication/med", "Organization/clinic", "Practitioner/doc"];

#[tokio::test]
async fn everything_is_the_patient_the_compartment_and_what_those_refer_to() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    record(&caller).await;
    let along = ALONG.map(str::to_owned).into();
    for query in ["", "?_count=1", "?_count=2", "?_pretty=true"] {
        let (matches, included) = all(&caller, &format!("/r4/Patient/pat/$everything{query}")).await;
        assert_eq!((matches, &included), (MEMBERS.map(str::to_owned).to_vec(), &along), "{query}");
    }
    let posted = caller.post("/r4/Patient/pat/$everything", "").await;
    assert_eq!(ids(&posted.json(), "match"), MEMBERS, "{}", posted.text);
    let (matches, included) = all(&caller, "/r4/Encounter/enc/$everything").await;
    assert_eq!(matches, ["Encounter/enc", "Observation/obs"]);
    assert_eq!(included, ["Patient/pat", "Practitioner/doc"].map(str::to_owned).into());
}

#[tokio::test]
async fn everything_can_be_narrowed_by_type_and_time() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    record(&caller).await;
    server.clock.advance_ms(3_600_000);
    caller.stored("/r4/Observation/obs", r#"{"resourceType":"Observation","id":"obs","subject":{"reference":"Patient/pat"}}"#).await;
    caller.stored("/r4/Medication/med", r#"{"resourceType":"Medication","id":"med"}"#).await;
    for (query, matches, included) in [
        ("_type=Observation", &["Observation/obs"][..], &[][..]),
        ("_type=Practitioner", &[], &["Practitioner/doc"]),
        ("_type=Patient,Practitioner&_count=1", &["Patient/pat"], &["Practitioner/doc"]),
        ("_type=Observation&_type=Encounter", &["Encounter/enc", "Observation/obs"], &[]),
        ("_since=2023-11-14T23:00:00Z", &["Observation/obs"], &["Medication/med"]),
        ("_since=2023-11-14T23:00:00Z&_type=Observation,Encounter", &["Observation/obs"], &[]),
        ("_since=2023-11-14T22:00:00Z&_type=Medication", &[], &["Medication/med"]),
    ] {
        let found = all(&caller, &format!("/r4/Patient/pat/$everything?{query}")).await;
        let expected = (matches.iter().map(|id| (*id).to_owned()).collect(), included.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(found, expected, "{query}");
    }
    let parameters = json!({ "resourceType": "Parameters", "parameter": [{ "name": "_count", "valueInteger": 1 }, { "name": "_type", "valueCode": "Observation" }] });
    let posted = caller.post("/r4/Patient/pat/$everything", &parameters.to_string()).await.json();
    assert_eq!(ids(&posted, "match"), ["Observation/obs"]);
}

#[tokio::test]
async fn everything_of_nobody_and_wrong_parameters_are_refused() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    record(&caller).await;
    let neighbour = Caller::of(&server, caller.client.clone(), "neighbour").await;
    caller.delete("/r4/Patient/other").await;
    for (path, status) in [
        ("/r4/Patient/nobody/$everything", StatusCode::NOT_FOUND),
        ("/r4/Patient/other/$everything", StatusCode::GONE),
        ("/r4/Observation/obs/$everything", StatusCode::NOT_FOUND),
        ("/r4/Patient/pat/$everything?_typ=Patient", StatusCode::BAD_REQUEST),
        ("/r4/Patient/pat/$everything?_type=Patiant", StatusCode::BAD_REQUEST),
        ("/r4/Patient/pat/$everything?_count=0", StatusCode::BAD_REQUEST),
        ("/r4/Patient/pat/$everything?_since=yesterday", StatusCode::BAD_REQUEST),
        ("/r4/Patient/pat/$everything?start=spring", StatusCode::BAD_REQUEST),
        ("/r4/Patient/pat/$everything?start=2024&start=2025", StatusCode::BAD_REQUEST),
        ("/r4/Encounter/enc/$everything?start=2024", StatusCode::BAD_REQUEST),
        ("/r4/Patient/$everything", StatusCode::BAD_REQUEST),
        ("/r4/Patient/pat/$everything?_page=x", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(caller.get(path).await.status, status, "{path}");
    }
    assert_eq!(neighbour.get("/r4/Patient/pat/$everything").await.status, StatusCode::NOT_FOUND);
    let for_all = caller.as_client("GET", "/r4/Patient/pat/$everything", "").await.json();
    assert_eq!(ids(&for_all, "match"), MEMBERS);
}

#[tokio::test]
async fn everything_can_be_of_the_care_between_two_dates() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let subject = json!({ "reference": "Patient/pat" });
    let of = |resource_type: &str, id: &str, element: &str, value: Value| {
        let mut resource = json!({ "resourceType": resource_type, "id": id, "subject": subject });
        resource[element] = value;
        resource
    };
    caller
        .stored_together([
            json!({ "resourceType": "Patient", "id": "pat" }),
            of("Condition", "old", "onsetDateTime", json!("2019-05-05")),
            of("Encounter", "long", "period", json!({ "start": "2019-01-01", "end": "2021-01-01" })),
            of("MedicationRequest", "new", "authoredOn", json!("2022-02-02")),
            of("Observation", "middle", "effectiveDateTime", json!("2020-06-15T10:00:00Z")),
            of("Observation", "undated", "status", json!("final")),
            of("Procedure", "edge", "performedDateTime", json!("2020-12-31")),
        ])
        .await;
    let always = ["Patient/pat", "Observation/undated"];
    for (query, expected) in [
        ("start=2020-01-01", &["Encounter/long", "MedicationRequest/new", "Observation/middle", "Procedure/edge"][..]),
        ("end=2020-12-31", &["Condition/old", "Encounter/long", "Observation/middle", "Procedure/edge"]),
        ("start=2020-01-01&end=2020-12-31", &["Encounter/long", "Observation/middle", "Procedure/edge"]),
        ("start=2020-06-16&end=2020-12-30", &["Encounter/long"]),
        ("start=2030", &[]),
        ("end=2020&_type=Observation&_count=1", &["Observation/middle"]),
    ] {
        let (matches, _) = all(&caller, &format!("/r4/Patient/pat/$everything?{query}")).await;
        let is_of_type = |id: &&str| !query.contains("_type") || id.starts_with("Observation/");
        let expected: BTreeSet<String> = expected.iter().chain(&always).copied().filter(is_of_type).map(str::to_owned).collect();
        assert_eq!((matches.len(), matches.into_iter().collect::<BTreeSet<_>>()), (expected.len(), expected), "{query}");
    }
}
