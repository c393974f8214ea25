//! Small resources, good and bad.

use serde_json::{Value, json};

use crate::{Issue, IssueType, Resource, limits, validate};

fn issues(json: &Value) -> Vec<Issue> {
    let resource = Resource::parse(json.to_string().as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"));
    validate(&resource)
}

/// `Observation.status: 'status' is missing …`, one line each.
fn report(json: &Value) -> Vec<String> {
    issues(json).iter().map(|issue| format!("{}: {}", issue.expression.join(","), issue.text)).collect()
}

/// One that uses most of what there is.
fn observation() -> Value {
    json!({
        "resourceType": "Observation",
        "id": "o1",
        "meta": { "versionId": "1", "lastUpdated": "2024-01-01T00:00:00Z", "profile": ["http://example.org/p|1"], "tag": [{ "code": "a" }] },
        "text": { "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>" },
        "contained": [{ "resourceType": "Patient", "id": "p", "birthDate": "1990", "_birthDate": { "extension": [{ "url": "u", "valueTime": "10:00:00" }] } }],
        "extension": [{ "url": "http://example.org/e", "extension": [{ "url": "a", "_valueString": { "extension": [{ "url": "b", "valueBoolean": true }] } }] }],
        "status": "final",
        "_status": { "id": "s" },
        "code": { "coding": [{ "system": "http://loinc.org", "code": "1-8", "userSelected": false }] },
        "subject": { "reference": "#p" },
        "effectiveDateTime": "2024-01-01T10:00:00.5+01:00",
        "component": [
            { "code": { "text": "a" }, "valueQuantity": { "value": 1.50, "comparator": "<" } },
            { "code": { "text": "b" }, "valueString": "x", "_valueString": { "id": "v" }, "referenceRange": [{ "text": "r" }] }
        ]
    })
}

#[test]
fn well_built_resources_have_no_issues() {
    let good = [
        observation(),
        json!({ "resourceType": "Basic", "code": { "text": "x" }, "meta": {} }),
        json!({ "resourceType": "Binary", "contentType": "text/plain", "data": "QUJD" }),
        json!({ "resourceType": "Patient", "name": [{ "given": ["a", null, "c"], "_given": [null, { "id": "x" }] }] }),
        json!({ "resourceType": "Patient", "name": [{ "given": [null], "_given": [{ "extension": [{ "url": "u", "valueCode": "c" }] }] }] }),
        json!({ "resourceType": "Observation", "code": { "text": "x" }, "_status": { "extension": [{ "url": "u", "valueCode": "unknown" }] } }),
        json!({ "resourceType": "Parameters", "parameter": [{ "name": "a", "resource": observation(), "part": [{ "name": "b", "valueAge": { "value": 1 } }] }] }),
        json!({ "resourceType": "Bundle", "type": "collection", "entry": [{ "fullUrl": "urn:uuid:1", "resource": observation() }] }),
        json!({ "resourceType": "Questionnaire", "status": "draft", "item": [{ "linkId": "1", "type": "group", "item": [{ "linkId": "2", "type": "string" }] }] }),
        json!({ "resourceType": "Provenance", "recorded": "2024-01-01T00:00:00Z", "target": [{ "display": "x" }], "agent": [{ "who": { "identifier": { "value": "x" } } }] }),
        // No expansion lists the media types: any code is taken.
        json!({ "resourceType": "Patient", "photo": [{ "contentType": "image/x" }] }),
    ];
    for json in good {
        assert_eq!(report(&json), Vec::<String>::new(), "{json}");
    }
}

#[test]
fn each_fault_is_named_with_its_place_and_what_would_be_right() {
    use IssueType::{CodeInvalid, Required, Structure, Value as Wrong};
    let patient = |members: Value| {
        let mut json = json!({ "resourceType": "Patient" });
        json.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        json
    };
    let extended = |extension: Value| patient(json!({ "extension": [extension] }));
    let cases = [
        (patient(json!({ "birthdate": "1990" })), Structure, "Patient.birthdate", "did you mean 'birthDate'?"),
        (patient(json!({ "contact": [{ "sex": 1 }] })), Structure, "Patient.contact[0].sex", "Patient.contact has no element 'sex'"),
        (patient(json!({ "a b": 1 })), Structure, "Patient", "no element 'a b'"),
        (patient(json!({ "": 1 })), Structure, "Patient", "no element ''"),
        (patient(json!({ "deceased": true })), Structure, "Patient.deceased", "as in 'deceasedBoolean' or 'deceasedDateTime'"),
        (patient(json!({ "name": { "family": "x" } })), Structure, "Patient.name", "write it as an array"),
        (patient(json!({ "gender": ["male"] })), Structure, "Patient.gender", "without [ ]"),
        (patient(json!({ "name": ["x"] })), Structure, "Patient.name[0]", "must be an object (HumanName); this is a string"),
        (
            patient(json!({ "active": "true" })),
            Structure,
            "Patient.active",
            "must be true or false without quotes (boolean); this is a string",
        ),
        (patient(json!({ "birthDate": null })), Structure, "Patient.birthDate", "null: leave it out"),
        (patient(json!({ "birthDate": "1990-13" })), Wrong, "Patient.birthDate", "'birthDate' is '1990-13'; expected is a date: YYYY"),
        (patient(json!({ "multipleBirthInteger": 1.5 })), Wrong, "Patient.multipleBirthInteger", "'1.5'; expected is a whole number"),
        (patient(json!({ "name": [{ "family": "" }] })), Wrong, "Patient.name[0].family", "not empty"),
        (patient(json!({ "name": [] })), Structure, "Patient.name", "empty array"),
        (patient(json!({ "name": [{ "given": ["a"] }, {}] })), Structure, "Patient.name[1]", "empty object"),
        (
            patient(json!({ "gender": "femal" })),
            CodeInvalid,
            "Patient.gender",
            "one of male, female, other, unknown; did you mean 'female'?",
        ),
        (
            patient(json!({ "deceasedBoolean": true, "multipleBirthBoolean": true, "deceasedDateTime": "2024" })),
            Structure,
            "Patient.deceasedDateTime",
            "both 'deceasedBoolean' and 'deceasedDateTime'",
        ),
        (patient(json!({ "_birthDate": {} })), Structure, "Patient.birthDate", "empty object"),
        (patient(json!({ "_birthDate": { "url": "x" } })), Structure, "Patient.birthDate.url", "Element has no element 'url'"),
        (patient(json!({ "_name": [{ "id": "x" }] })), Structure, "Patient.name", "beside a string, number or boolean only"),
        (
            patient(json!({ "name": [{ "given": ["a", null], "_given": [{ "id": "x" }] }] })),
            Structure,
            "Patient.name[0].given[1]",
            "this is null",
        ),
        (
            patient(json!({ "name": [{ "_given": [{ "id": "x" }, null] }] })),
            Structure,
            "Patient.name[0].given[1]",
            "neither 'given' nor '_given'",
        ),
        (patient(json!({ "name": [{ "_given": { "id": "x" } }] })), Structure, "Patient.name[0].given", "as an array"),
        (patient(json!({ "link": [{ "type": "refer" }] })), Required, "Patient.link[0].other", "'other' is missing: Patient.link needs it"),
        (
            json!({ "resourceType": "Observation", "code": { "text": "x" } }),
            Required,
            "Observation.status",
            "as one of registered, preliminary, final",
        ),
        (
            json!({ "resourceType": "MedicationAdministration", "status": "completed", "subject": { "display": "x" }, "effectiveDateTime": "2024" }),
            Required,
            "MedicationAdministration.medication",
            "needs one of medicationCodeableConcept, medicationReference",
        ),
        (extended(json!({ "valueString": "x" })), Required, "Patient.extension[0].url", "'url' is missing"),
        (extended(json!({ "url": "u" })), Required, "Patient.extension[0]", "needs a value"),
        (
            extended(json!({ "url": "u", "valueId": "x", "extension": [{ "url": "v", "valueId": "x" }] })),
            Structure,
            "Patient.extension[0]",
            "not both",
        ),
        (
            patient(json!({ "managingOrganization": { "type": "Organization" } })),
            Required,
            "Patient.managingOrganization",
            "needs 'reference'",
        ),
        (
            patient(json!({ "managingOrganization": { "reference": "#x" } })),
            Wrong,
            "Patient.managingOrganization.reference",
            "'#x' is not among",
        ),
        (patient(json!({ "contained": [{ "resourceType": "Patient" }] })), Required, "Patient.contained[0].id", "'id' is missing"),
        (
            patient(
                json!({ "contained": [{ "resourceType": "Patient", "id": "a", "contained": [{ "resourceType": "Patient", "id": "b" }] }] }),
            ),
            Structure,
            "Patient.contained[0].contained[0]",
            "contains no other",
        ),
        (
            patient(json!({ "contained": [{ "resourceType": "Patient", "id": "a", "meta": { "versionId": "1" } }] })),
            Structure,
            "Patient.contained[0].meta.versionId",
            "no versions of its own",
        ),
        (
            json!({ "resourceType": "Bundle", "type": "batch", "entry": [{ "resource": { "resourceType": "Patient", "active": 1 } }] }),
            Structure,
            "Bundle.entry[0].resource.active",
            "without quotes",
        ),
        (
            json!({ "resourceType": "Parameters", "parameter": [{ "name": "a", "resource": { "resourceType": "Patent" } }] }),
            Wrong,
            "Parameters.parameter[0].resource",
            "did you mean 'Patient'?",
        ),
        (
            json!({ "resourceType": "Bundle", "type": "batch", "entry": [{ "resource": { "id": "x" } }] }),
            Required,
            "Bundle.entry[0].resource",
            "'resourceType' is missing",
        ),
    ];
    for (json, code, expression, text) in cases {
        let found = issues(&json);
        assert_eq!(found.len(), 1, "{json}: {:?}", report(&json));
        assert_eq!((found[0].code, found[0].expression.join(",").as_str()), (code, expression), "{json}: {}", found[0].text);
        assert!(found[0].text.contains(text), "{json}: {}", found[0].text);
    }
}

#[test]
fn a_bundle_within_a_contained_resource_is_a_world_of_its_own() {
    let inner = json!({ "resourceType": "Patient", "managingOrganization": { "reference": "#o" }, "contained": [{ "resourceType": "Organization", "id": "o" }] });
    let with = |entry: Value| json!({ "resourceType": "Bundle", "type": "collection", "entry": [{ "resource": entry }, { "resource": { "resourceType": "Patient", "managingOrganization": { "reference": "#o" } } }] });
    assert_eq!(report(&with(inner)).len(), 1, "the second entry has no #o");
}

#[test]
fn whatever_takes_the_place_of_a_value_is_found() {
    let good = observation();
    let mut found = 0;
    for pointer in pointers(&good, "") {
        for wrong in [json!(null), json!({}), json!([[1]])] {
            let mut json = good.clone();
            *json.pointer_mut(&pointer).unwrap() = wrong;
            // What parsing refuses, or takes out because the server sets it, does not come here.
            if let Ok(resource) = Resource::parse(json.to_string().as_bytes())
                && !pointer.starts_with("/meta/versionId")
                && !pointer.starts_with("/meta/lastUpdated")
                && !(pointer == "/meta" && resource.content().get("meta").is_none())
            {
                assert!(!validate(&resource).is_empty(), "{pointer}: {json}");
                found += 1;
            }
        }
    }
    assert!(found > 150, "{found}");
}

fn pointers(json: &Value, prefix: &str) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match json {
        Value::Object(members) => members.iter().map(|(name, value)| (format!("{prefix}/{name}"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (format!("{prefix}/{index}"), value)).collect(),
        _ => Vec::new(),
    };
    inner.into_iter().flat_map(|(path, value)| [vec![path.clone()], pointers(value, &path)].concat()).collect()
}

#[test]
fn a_resource_that_is_wrong_all_over_is_left_after_a_hundred_issues() {
    let names: Vec<Value> = (0..5_000).map(|_| json!({ "family": 1, "given": [null, null] })).collect();
    assert_eq!(issues(&json!({ "resourceType": "Patient", "name": names })).len(), limits::ISSUES_MAX);
    let many: serde_json::Map<String, Value> = (0..5_000).map(|number| (format!("name{number}"), Value::Null)).collect();
    let resource = [json!({ "resourceType": "Patient" }).as_object().unwrap().clone(), many].into_iter().flatten().collect();
    assert_eq!(issues(&Value::Object(resource)).len(), limits::ISSUES_MAX);
}

#[test]
fn a_resource_that_was_built_too_deep_is_told_so() {
    let mut resource = Resource::parse(br#"{"resourceType":"Patient"}"#).unwrap();
    let mut extension = json!({ "url": "u", "valueCode": "c" });
    for _ in 0..200 {
        extension = json!({ "url": "u", "extension": [extension] });
    }
    resource.content_mut().insert("extension".to_owned(), json!([extension]));
    let found = validate(&resource);
    assert_eq!((found.len(), found[0].code), (1, IssueType::TooLong), "{}", found[0].text);
}
