//! Queries against resources as they are indexed: what is written on one side is what is looked for on the other.

use lethe_fhir::{LocalBases, Resource};
use serde_json::{Value, json};

use super::*;
use crate::{extract::extract, value};

/// Whether a resource is found, by its index values alone.
fn is_found(resource: &Value, query: &str) -> bool {
    let bases = LocalBases::new(["http://here.org"]);
    let resource = Resource::parse(resource.to_string().as_bytes()).unwrap();
    let values = extract(&resource, &bases).unwrap();
    let pairs: Vec<(String, String)> =
        query.split('&').map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()).collect();
    let search =
        Search::parse(resource.resource_type, &pairs, Strictness::Strict, &bases).unwrap_or_else(|error| panic!("{query}: {error}"));
    search.criteria.iter().all(|criterion| criterion.holds_for(values.iter()).unwrap_or_else(|| panic!("{query}: {criterion:?}")))
}

fn check(resource: &Value, cases: &[(&str, bool)]) {
    for (query, expected) in cases {
        assert_eq!(is_found(resource, query), *expected, "{query}");
    }
}

#[test]
fn an_observation_is_found_by_what_it_says() {
    let observation = json!({
        "resourceType": "Observation",
        "meta": { "tag": [{ "system": "urn:tags", "code": "blue" }], "profile": ["http://p.org/vital|1.0"], "source": "urn:machine:7" },
        "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "29463-7", "display": "Body weight" }], "text": "Weight at home" },
        "subject": { "reference": "Patient/p1", "identifier": { "system": "urn:mrn", "value": "12" } },
        "encounter": { "reference": "http://else.org/Encounter/9" },
        "effectiveDateTime": "2024-03-15T10:00:00+02:00",
        "valueQuantity": { "value": 72.5, "unit": "kilo", "system": "http://unitsofmeasure.org", "code": "kg" },
        "component": [{
            "code": { "coding": [{ "system": "http://loinc.org", "code": "8480-6" }] },
            "valueQuantity": { "value": 120, "system": "http://unitsofmeasure.org", "code": "mm[Hg]" },
        }],
    });
    check(
        &observation,
        &[
            ("status=final", true),
            ("status=http://hl7.org/fhir/observation-status|final", true),
            ("status=urn:x|final", false),
            ("status:not=final", false),
            ("status:not=amended,registered", true),
            ("code=29463-7", true),
            ("code=http://loinc.org|29463-7", true),
            ("code=http://loinc.org|", true),
            ("code=|29463-7", false),
            ("code=9-9,29463-7", true),
            ("code:text=weig", true),
            ("code:text=at home", true),
            ("code:text=ight", false),
            ("combo-code=8480-6", true),
            ("code=8480-6", false),
            ("code:missing=false&category:missing=true", true),
            ("category:missing=false", false),
            ("subject=p1", true),
            ("subject=Patient/p1", true),
            ("subject:Patient=p1", true),
            ("subject=Group/p1", false),
            ("subject=http://here.org/r4/Patient/p1", true),
            ("patient=p1", true),
            ("subject:identifier=urn:mrn|12", true),
            ("subject:identifier=urn:mrn|13", false),
            ("encounter=http://else.org/Encounter/9", true),
            ("encounter=9", false),
            ("encounter:missing=false", true),
            ("date=2024-03-15", true),
            ("date=2024-03-15T08:00:00", true),
            ("date=gt2024-03-15", false),
            ("date=ge2024-03&date=lt2024-04", true),
            ("value-quantity=72.5", true),
            ("value-quantity=72", false),
            ("value-quantity=7.2e1", false),
            ("value-quantity=gt72", true),
            ("value-quantity=72.5||kg", true),
            ("value-quantity=72.5||kilo", true),
            ("value-quantity=72.5||g", false),
            ("value-quantity=72500|http://unitsofmeasure.org|g", true),
            ("value-quantity=72.5|http://unitsofmeasure.org|kg", true),
            ("value-quantity=72.5|http://unitsofmeasure.org|g", false),
            ("value-quantity=le72.5|http://unitsofmeasure.org|kg", true),
            ("value-quantity=lt72500|http://unitsofmeasure.org|g", false),
            ("code-value-quantity=http://loinc.org|29463-7$gt70", true),
            ("code-value-quantity=29463-7$gt70000|http://unitsofmeasure.org|g", true),
            ("code-value-quantity=http://loinc.org|29463-7$lt70000|http://unitsofmeasure.org|g", false),
            ("code-value-quantity=29463-7$72.5||kilo", true),
            ("code-value-quantity=8480-6$120", false),
            ("component-code-value-quantity=8480-6$120||mm[Hg]", true),
            ("combo-code-value-quantity=8480-6$ge120", true),
            ("combo-code-value-quantity=8480-6$72.5", false),
            ("combo-code-value-quantity=http://loinc.org|$ge120", true),
            ("combo-code-value-quantity=http://loinc.org|$gt120", false),
            ("combo-code-value-quantity=urn:x|$ge120", false),
            ("code-value-quantity=http://loinc.org|$gt70000|http://unitsofmeasure.org|g", true),
            ("code-value-quantity=http://loinc.org|$gt70000|http://unitsofmeasure.org|m", false),
            ("code-value-quantity=http://loinc.org|$72.5||kilo", true),
            ("_tag=urn:tags|blue", true),
            ("_tag:not=blue", false),
            ("_profile=http://p.org/vital", true),
            ("_profile=http://p.org/vital|1.0", true),
            ("_profile=http://p.org/vital|2.0", false),
            ("_source=urn:machine:7", true),
        ],
    );
}

#[test]
fn a_system_alone_stands_in_either_part_of_a_composite() {
    let observation = json!({
        "resourceType": "Observation",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8302-2" }, { "code": "bare" }] },
        "valueCodeableConcept": { "coding": [{ "system": "http://snomed.info/sct", "code": "260385009" }] },
    });
    check(
        &observation,
        &[
            ("code-value-concept=8302-2$260385009", true),
            ("code-value-concept=http://loinc.org|$260385009", true),
            ("code-value-concept=8302-2$http://snomed.info/sct|", true),
            ("code-value-concept=8302-2$http://loinc.org|", false),
            ("code-value-concept=http://loinc.org|$http://snomed.info/sct|", true),
            ("code-value-concept=http://snomed.info/sct|$http://snomed.info/sct|", false),
            ("code-value-concept=http://loinc.org|8302-2$http://snomed.info/sct|", true),
            ("code-value-concept=http://loinc.org|bare$http://snomed.info/sct|", false),
            ("code-value-concept=|bare$http://snomed.info/sct|", true),
            ("code-value-concept=830$http://snomed.info/sct|", false),
            ("code-value-concept=http://loinc.org|$26038", false),
        ],
    );
    let document = json!({
        "resourceType": "DocumentReference",
        "relatesTo": [{ "code": "replaces", "target": { "reference": "DocumentReference/ab" } }],
    });
    check(
        &document,
        &[
            ("relationship=http://hl7.org/fhir/document-relationship-type|$DocumentReference/ab", true),
            ("relationship=http://hl7.org/fhir/document-relationship-type|$DocumentReference/a", false),
            ("relationship=urn:x|$DocumentReference/ab", false),
            ("relationship=replaces$DocumentReference/ab", true),
            ("relationship=replaces$DocumentReference/a", false),
        ],
    );
}

#[test]
fn all_of_a_long_text_is_looked_through() {
    let beginning = "Ångström goes on and on ".repeat(10);
    let cases = |length: usize| {
        let middle = "x".repeat(length);
        let name = format!("{beginning}{middle} the NEEDLE at the énd");
        let (at_end, too_long) = (format!("{beginning}{middle} the needle"), format!("{beginning}{middle} the needles"));
        // The hash of a text that was cut is no part of it.
        let hash = value::string(&name)[224..256].to_vec();
        let hash = if length > 0 { String::from_utf8(hash).unwrap() } else { "absent".to_owned() };
        [
            (format!("name={beginning}"), true),
            (format!("name={at_end}"), true),
            (format!("name={too_long}"), false),
            (format!("name=nothing,{at_end}"), true),
            ("name:contains=the needle at THE end".to_owned(), true),
            ("name:contains=needle,nothing".to_owned(), true),
            (format!("name:contains=on {middle} the"), true),
            ("name:contains=needles".to_owned(), false),
            ("name:contains=angstrom goes".to_owned(), true),
            (format!("name:contains={}", &hash[..6]), false),
            (format!("name={beginning}{}", &hash[..6]), false),
            (format!("name:exact={name}"), true),
            (format!("name:exact={name}s"), false),
            (format!("name:exact={at_end}"), false),
        ]
        .map(|(query, expected)| (name.clone(), query, expected))
    };
    // Around 256 bytes, and more than one piece. A query is at most 4,096 bytes long.
    for length in (0..30).chain([1_000, 70_000]) {
        for (name, query, expected) in cases(length) {
            if query.len() < 4_000 {
                let questionnaire = json!({ "resourceType": "Questionnaire", "status": "draft", "name": name });
                assert_eq!(is_found(&questionnaire, &query), expected, "{length}: {query}");
            }
        }
    }
}

#[test]
fn a_range_is_compared_as_a_whole() {
    let years = |value: u32| json!({ "value": value, "unit": "years", "system": "http://unitsofmeasure.org", "code": "a" });
    let condition = |low: Option<u32>, high: Option<u32>| {
        let mut range = json!({});
        for (name, end) in [("low", low), ("high", high)] {
            if let Some(end) = end {
                range[name] = years(end);
            }
        }
        json!({ "resourceType": "Condition", "onsetRange": range })
    };
    // From 20 to 30, from 20, to 30, from 20 to 20.
    let cases = [
        ("25", [false, false, false, false]),
        ("20", [false, false, false, true]),
        ("2e1", [false, false, false, true]),
        ("ne25", [true, true, true, true]),
        ("ne20", [true, true, true, false]),
        ("gt25", [true, true, true, false]),
        ("gt30", [false, true, false, false]),
        ("ge30", [true, true, true, false]),
        ("lt20", [false, false, true, false]),
        ("le20", [true, true, true, true]),
        ("lt25", [true, true, true, true]),
        ("sa19", [true, true, false, true]),
        ("sa20", [false, false, false, false]),
        ("eb31", [true, false, true, true]),
        ("eb30", [false, false, false, true]),
        ("ap25", [true, true, true, false]),
        ("ap40", [false, true, false, false]),
        ("ge30|http://unitsofmeasure.org|a", [true, true, true, false]),
        ("ge360|http://unitsofmeasure.org|mo", [true, true, true, false]),
        ("gt361|http://unitsofmeasure.org|mo", [false, true, false, false]),
        ("ge30||years", [true, true, true, false]),
        ("ge30||months", [false, false, false, false]),
        ("ge30|http://unitsofmeasure.org|", [true, true, true, false]),
        ("ge30|http://unitsofmeasure.org|kg", [false, false, false, false]),
    ];
    let resources = [condition(Some(20), Some(30)), condition(Some(20), None), condition(None, Some(30)), condition(Some(20), Some(20))];
    for (sought, expected) in cases {
        for (resource, expected) in resources.iter().zip(expected) {
            assert_eq!(is_found(resource, &format!("onset-age={sought}")), expected, "{sought} {resource}");
        }
    }
    check(&resources[0], &[("onset-age:missing=false", true), ("abatement-age:missing=true", true)]);
    let risk = json!({ "resourceType": "RiskAssessment", "prediction": [{ "probabilityRange": { "low": { "value": 0.1 }, "high": { "value": 0.5 } } }] });
    check(&risk, &[("probability=gt0.4", true), ("probability=gt0.5", false), ("probability=0.1", false), ("probability=lt0.2", true)]);
    let context = json!({ "resourceType": "ValueSet", "useContext": [{ "code": { "system": "urn:c", "code": "age" }, "valueRange": { "low": years(1), "high": years(17) } }] });
    check(
        &context,
        &[
            ("context-quantity=gt16", true),
            ("context-quantity=gt17", false),
            ("context-type-quantity=age$gt16", true),
            ("context-type-quantity=age$gt17", false),
            ("context-type-quantity=urn:c|age$lt2||years", true),
            ("context-type-quantity=urn:c|$lt24|http://unitsofmeasure.org|mo", true),
            ("context-type-quantity=urn:c|$lt12|http://unitsofmeasure.org|mo", false),
            ("context-type-quantity=urn:d|age$gt16", false),
        ],
    );
}

#[test]
fn a_patient_is_found_by_name_identifier_and_birth() {
    let patient = json!({
        "resourceType": "Patient",
        "active": true,
        "gender": "female",
        "birthDate": "1970-05",
        "name": [{ "family": "Müller-Lüdenscheidt", "given": ["Änne", "Eva"], "text": "Dr. Änne" }],
        "identifier": [{
            "system": "urn:mrn", "value": "A|1",
            "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR" }], "text": "Medical record" },
        }],
        "telecom": [{ "system": "phone", "value": "555 1234" }],
        "address": [{ "city": "Köln", "postalCode": "50667", "line": ["Domplatz 1"] }],
        "managingOrganization": { "reference": "Organization/o1" },
    });
    check(
        &patient,
        &[
            ("active=true", true),
            ("active=false", false),
            ("gender=female", true),
            ("birthdate=1970", true),
            ("birthdate=1970-05-01", false),
            ("birthdate=ap1970-05-01", true),
            ("birthdate=ge1970-05-30", true),
            ("name=anne", true),
            ("family=mull", true),
            ("family=ludenscheidt", false),
            ("family:contains=ludenscheidt", true),
            ("family:exact=Müller-Lüdenscheidt", true),
            ("family:exact=müller-lüdenscheidt", false),
            (r"identifier=urn:mrn|A\|1", true),
            ("identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|A\\|1", true),
            ("identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|A", false),
            ("identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0131|MR|A\\|1", false),
            ("identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|M|A\\|1", false),
            ("identifier:text=medical", true),
            ("phone=555 1234", true),
            ("email:missing=true", true),
            ("address=koln", true),
            ("address-postalcode=506", true),
            ("organization=o1", true),
            ("organization=o2,o1", true),
            ("deceased=false", true),
            ("deceased=true", false),
        ],
    );
}

#[test]
fn canonicals_urls_positions_and_sequences_are_found() {
    let value_set = json!({
        "resourceType": "ValueSet", "status": "active", "url": "http://v.org/a/b", "version": "2",
        "compose": { "include": [{ "system": "http://loinc.org", "valueSet": ["http://v.org/c|3"] }] },
    });
    check(
        &value_set,
        &[
            ("url=http://v.org/a/b", true),
            ("url=http://v.org/a", false),
            ("url:below=http://v.org/a", true),
            ("url:above=http://v.org/a/b/c", true),
            ("url:contains=org/a", true),
            ("reference=http://loinc.org", true),
        ],
    );
    let response = json!({ "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "http://q.org/a|1" });
    check(
        &response,
        &[
            ("questionnaire=http://q.org/a", true),
            ("questionnaire=http://q.org/a|1", true),
            ("questionnaire=http://q.org/a|2", false),
            ("questionnaire:below=http://q.org", true),
        ],
    );
    let location = json!({ "resourceType": "Location", "position": { "latitude": 52.52, "longitude": 13.405 } });
    check(&location, &[("near=52.4|13.1|30|km", true), ("near=52.4|13.1|20|km", false), ("near:missing=false", true)]);
    let sequence = json!({
        "resourceType": "MolecularSequence", "coordinateSystem": 0,
        "referenceSeq": { "chromosome": { "coding": [{ "system": "urn:c", "code": "1" }] }, "windowStart": 10, "windowEnd": 20 },
    });
    check(
        &sequence,
        &[
            ("window-start=10", true),
            ("chromosome-window-coordinate=1$10$20", true),
            ("chromosome-window-coordinate=urn:c|1$ge10$le19", false),
            ("chromosome-window-coordinate=urn:c|1$ge10$le20", true),
        ],
    );
    let document = json!({
        "resourceType": "DocumentReference", "status": "current", "content": [{ "attachment": { "url": "Binary/1" } }],
        "relatesTo": [{ "code": "replaces", "target": { "reference": "DocumentReference/10" } }],
    });
    check(
        &document,
        &[
            ("relationship=replaces$DocumentReference/10", true),
            ("relationship=replaces$DocumentReference/1", false),
            ("relationship=http://hl7.org/fhir/document-relationship-type|replaces$DocumentReference/10", true),
            ("relationship=urn:x|replaces$DocumentReference/10", false),
            ("relation=replaces&relatesto=DocumentReference/10", true),
        ],
    );
}
