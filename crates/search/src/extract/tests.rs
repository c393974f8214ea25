//! What is read of each datatype, as tables.

use proptest::prelude::*;

use lethe_fhir::{FhirDate, Instant, LocalBases, LocalReference, Resource, ResourceType};

use super::*;
use crate::{Facet, definitions, value};

const BASE: &str = "https://fhir.example.org";

/// The values of one parameter, in all facets.
fn found(json: &str, code: &str) -> Vec<(Facet, Vec<u8>)> {
    let resource = Resource::parse(json.as_bytes()).unwrap();
    let values = extract(&resource, &LocalBases::new([BASE])).unwrap();
    let parameter = definitions::parameter(resource.resource_type, code).unwrap_or_else(|| panic!("{code}"));
    let is_used = |path: PathId| parameter.uses.iter().any(|one| one.path == path.with(Facet::Value));
    values.iter().filter(|(path, _)| is_used(*path)).map(|(path, value)| (path.facet(), value.to_vec())).collect()
}

/// Compares what is found of one element with what is expected, in any order.
fn check(resource_type: &str, members: &str, code: &str, expected: &[(Facet, Vec<u8>)]) {
    let json = format!(r#"{{"resourceType":"{resource_type}",{members}}}"#);
    let (mut found, mut expected) = (found(&json, code), expected.to_vec());
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{code} of {json}");
}

fn plain(values: impl IntoIterator<Item = Vec<u8>>) -> Vec<(Facet, Vec<u8>)> {
    values.into_iter().map(|value| (Facet::Value, value)).collect()
}

fn local(resource_type: &str, id: &str) -> Vec<u8> {
    value::reference(&LocalReference { resource_type: resource_type.parse().unwrap(), id: id.parse().unwrap() })
}

fn date(text: &str) -> FhirDate {
    text.parse().unwrap()
}

fn span(low: Option<&str>, high: Option<&str>) -> Vec<u8> {
    value::date(low.map(|text| date(text).low), high.map(|text| date(text).high)).to_vec()
}

#[test]
fn tokens_are_codes_with_their_systems_and_texts() {
    let (s, t) = (Some("http://s"), Some("http://t"));
    let concept = r#"{"coding":[{"system":"http://s","code":"a","display":"An A"},{"system":"http://t","code":"b"},{"display":"only text"},{"code":""}],"text":"Both"}"#;
    let expected = [
        (Facet::Value, value::token(s, "a")),
        (Facet::Value, value::token(t, "b")),
        (Facet::Text, value::token_text("An A")),
        (Facet::Text, value::token_text("only text")),
        (Facet::Text, value::token_text("Both")),
    ];
    check("Observation", &format!(r#""code":{concept}"#), "code", &expected);
    check("Observation", &format!(r#""category":[{concept}]"#), "category", &expected);
    check("Observation", &format!(r#""component":[{{"code":{concept}}}]"#), "combo-code", &expected);
    check("Observation", r#""status":"final""#, "status", &plain([value::token(None, "final")]));
    check("Patient", r#""active":true"#, "active", &plain([value::token(None, "true")]));
    check("Patient", r#""active":false"#, "active", &plain([value::token(None, "false")]));
    check("Patient", r#""meta":{"tag":[{"system":"http://s","code":"x"}]}"#, "_tag", &plain([value::token(s, "x")]));
    check("Encounter", r#""class":{"system":"http://s","code":"AMB"}"#, "class", &plain([value::token(s, "AMB")]));
}

#[test]
fn identifiers_are_tokens_and_know_their_types() {
    let typed = r#""identifier":[{"system":"http://s","value":"1","type":{"text":"Record","coding":[{"system":"http://t","code":"MR"},{"code":"XX"}]}}]"#;
    let expected = [
        (Facet::Value, value::token(Some("http://s"), "1")),
        (Facet::Text, value::token_text("Record")),
        (Facet::Identifier, value::identifier_of_type("http://t", "MR", "1")),
    ];
    check("Patient", typed, "identifier", &expected);
    check("Patient", r#""identifier":[{"system":"http://s"},{"value":"2"}]"#, "identifier", &plain([value::token(None, "2")]));
}

#[test]
fn only_telecoms_of_the_asked_system_count() {
    let telecom = r#""telecom":[{"system":"phone","value":"1"},{"system":"email","value":"a@b"},{"value":"2"}]"#;
    check("Patient", telecom, "phone", &plain([value::token(None, "1")]));
    check("Patient", telecom, "email", &plain([value::token(None, "a@b")]));
    check("Patient", telecom, "telecom", &plain(["1", "2", "a@b"].map(|text| value::token(None, text))));
}

#[test]
fn whether_somebody_is_deceased_is_always_known() {
    let cases = [
        (r#""active":true"#, "false"),
        (r#""deceasedBoolean":false"#, "false"),
        (r#""deceasedBoolean":true"#, "true"),
        (r#""deceasedDateTime":"2020""#, "true"),
    ];
    for (members, expected) in cases {
        check("Patient", members, "deceased", &plain([value::token(None, expected)]));
    }
}

#[test]
fn references_lead_here_or_elsewhere() {
    let cases = [
        ("Patient/p", Some(local("Patient", "p"))),
        ("Patient/p/_history/3", Some(local("Patient", "p"))),
        ("https://fhir.example.org/r4/Patient/p", Some(local("Patient", "p"))),
        ("http://else.org/Patient/p/_history/3", Some(value::reference_elsewhere("http://else.org/Patient/p"))),
        ("urn:uuid:0b0e", Some(value::reference_elsewhere("urn:uuid:0b0e"))),
        ("#p", None),
        ("Patient?identifier=1", None),
        ("nothing", None),
    ];
    let is_there = (Facet::Text, value::token_text(""));
    for (text, expected) in cases {
        let members = format!(r#""subject":{{"reference":"{text}","display":"x"}}"#);
        let expected = expected.map_or_else(|| is_there.clone(), |value| (Facet::Value, value));
        check("Observation", &members, "subject", std::slice::from_ref(&expected));
        check("Observation", &members, "patient", &[expected]);
    }
    let logical = r#""subject":{"type":"Patient","identifier":{"system":"http://s","value":"1"}}"#;
    check("Observation", logical, "subject", &[is_there.clone(), (Facet::Identifier, value::token(Some("http://s"), "1"))]);
    check("Observation", r#""subject":{"display":"x"}"#, "subject", &[is_there]);
    check("Observation", r#""subject":{"id":"a","extension":[{"url":"http://x"}]}"#, "subject", &[]);
}

#[test]
fn canonicals_keep_their_version_unless_they_lead_here() {
    let cases = [
        ("http://else.org/Questionnaire/q|2", value::reference_elsewhere("http://else.org/Questionnaire/q|2")),
        ("https://fhir.example.org/r4/Questionnaire/q|2", local("Questionnaire", "q")),
    ];
    for (text, expected) in cases {
        check("QuestionnaireResponse", &format!(r#""questionnaire":"{text}""#), "questionnaire", &plain([expected]));
    }
    let artifacts = r#""relatedArtifact":[{"type":"depends-on","resource":"http://a"},{"type":"successor","resource":"http://b"}]"#;
    check("Measure", artifacts, "depends-on", &plain([value::reference_elsewhere("http://a")]));
    check("Measure", r#""url":"http://m""#, "url", &plain([value::uri("http://m")]));
    check("Measure", r#""meta":{"profile":["http://p|1"]}"#, "_profile", &plain([value::uri("http://p|1")]));
}

#[test]
fn the_first_entry_of_a_bundle_is_what_it_is_about() {
    let urn = "urn:uuid:0190a6e2-7c1b-7000-8000-00000000abcd";
    let bundle = format!(
        r#""type":"document","entry":[{{"fullUrl":"{urn}","resource":{{"resourceType":"Composition","id":"c"}}}},{{"resource":{{}}}}]"#
    );
    check("Bundle", &bundle, "composition", &plain([local("Composition", "c"), value::reference_elsewhere(urn)]));
    check("Bundle", &bundle, "message", &[]);
    check("Bundle", r#""entry":[]"#, "message", &[]);
}

#[test]
fn each_part_of_a_name_or_an_address_is_a_string() {
    let name = r#""name":[{"use":"official","text":"A B","family":"B","given":["A","C"],"prefix":["Dr"],"suffix":["X"]}]"#;
    check("Patient", name, "name", &plain(["A B", "B", "A", "C", "Dr", "X"].map(value::string)));
    check("Patient", name, "given", &plain(["A", "C"].map(value::string)));
    let address =
        r#""address":[{"text":"t","line":["l1","l2"],"city":"c","district":"d","state":"s","postalCode":"p","country":"y","use":"home"}]"#;
    check("Patient", address, "address", &plain(["t", "l1", "l2", "c", "d", "s", "p", "y"].map(value::string)));
    check("Patient", address, "address-city", &plain([value::string("c")]));
    check("Observation", r#""valueCodeableConcept":{"text":"High"}"#, "value-string", &plain([value::string("High")]));
}

#[test]
fn times_are_the_spans_that_they_stand_for() {
    let year = span(Some("2020"), Some("2020"));
    let cases = [
        (r#""effectiveDateTime":"2020""#, vec![year]),
        (r#""effectiveInstant":"2020-01-01T00:00:00Z""#, vec![span(Some("2020-01-01T00:00:00Z"), Some("2020-01-01T00:00:00Z"))]),
        (r#""effectiveDateTime":"2020-01-01T00:00:00""#, vec![span(Some("2020-01-01T00:00:00Z"), Some("2020-01-01T00:00:00Z"))]),
        (r#""effectivePeriod":{"start":"2020"}"#, vec![span(Some("2020"), None)]),
        (r#""effectivePeriod":{"end":"2020"}"#, vec![span(None, Some("2020"))]),
        (r#""effectivePeriod":{}"#, vec![]),
        (r#""effectiveTiming":{"event":["2021","2020-05"]}"#, vec![span(Some("2020-05"), Some("2021"))]),
        (r#""effectiveTiming":{"event":["2021"],"repeat":{"boundsPeriod":{"start":"2020"}}}"#, vec![span(Some("2020"), None)]),
        (r#""effectiveTiming":{"repeat":{"frequency":1}}"#, vec![]),
        (r#""effectiveDateTime":"yesterday""#, vec![]),
        (r#""effectiveDateTime":2020"#, vec![]),
    ];
    for (members, expected) in cases {
        check("Observation", members, "date", &plain(expected));
    }
    assert_eq!(date("2020").low, Instant::from_unix_ms(1_577_836_800_000), "the control");
}

#[test]
fn quantities_are_kept_as_written_and_in_base_units() {
    let ucum = Some("http://unitsofmeasure.org");
    let gram = (Facet::Canonical, value::canonical_quantity(0.005, "g"));
    let milligrams = (Facet::Value, value::quantity(5.0, ucum, Some("mg"), Some("milligram")));
    let written = r#"{"value":5.0,"unit":"milligram","system":"http://unitsofmeasure.org","code":"mg"}"#;
    check("Observation", &format!(r#""valueQuantity":{written}"#), "value-quantity", &[milligrams.clone(), gram.clone()]);
    check("Observation", &format!(r#""valueSampledData":{{"origin":{written}}}"#), "combo-value-quantity", &[milligrams, gram]);
    check(
        "Observation",
        r#""valueQuantity":{"value":1,"unit":"x"}"#,
        "value-quantity",
        &plain([value::quantity(1.0, None, None, Some("x"))]),
    );
    check("Observation", r#""valueQuantity":{"unit":"x"}"#, "value-quantity", &[]);
    check("Observation", r#""valueQuantity":{"value":1e999,"unit":"x"}"#, "value-quantity", &[]);
    let end = |number| value::quantity(number, None, None, None);
    let range = |low: Option<f64>, high: Option<f64>| {
        let (low, high) = (low.map(end), high.map(end));
        [(Facet::Identifier, value::range(value::RANGE_WRITTEN, low.as_deref(), high.as_deref()))]
    };
    let both = r#""onsetRange":{"low":{"value":1},"high":{"value":2}}"#;
    check("Condition", both, "onset-age", &range(Some(1.0), Some(2.0)));
    check("Condition", r#""onsetRange":{"low":{"value":1},"high":{"unit":"a"}}"#, "onset-age", &range(Some(1.0), None));
    check("Condition", r#""onsetRange":{"low":{"value":1},"high":{"value":1}}"#, "onset-age", &plain([end(1.0)]));
    check("Condition", r#""onsetRange":{"low":{"unit":"a"}}"#, "onset-age", &[]);
    // Ends that cannot be compared in one unit are compared as they are written.
    let years = |number: f64, code| value::quantity(number, Some("http://unitsofmeasure.org"), Some(code), None);
    let mixed = r#""onsetRange":{"low":{"value":1,"system":"http://unitsofmeasure.org","code":"a"},"high":{"value":2,"system":"http://unitsofmeasure.org","code":"kg"}}"#;
    let written = value::range(value::RANGE_WRITTEN, Some(&years(1.0, "a")), Some(&years(2.0, "kg")));
    check("Condition", mixed, "onset-age", &[(Facet::Identifier, written)]);
    let money = value::quantity(9.5, Some("urn:iso:std:iso:4217"), Some("EUR"), None);
    check("Invoice", r#""totalNet":{"value":9.50,"currency":"EUR"}"#, "totalnet", &plain([money]));
}

#[test]
fn numbers_and_positions_are_read() {
    let number = |number| value::number(number).to_vec();
    check("RiskAssessment", r#""prediction":[{"probabilityDecimal":0.25}]"#, "probability", &plain([number(0.25)]));
    let range = r#""prediction":[{"probabilityRange":{"low":{"value":1},"high":{"value":2}}}]"#;
    let expected = value::range(value::RANGE_WRITTEN, Some(&number(1.0)), Some(&number(2.0)));
    check("RiskAssessment", range, "probability", &[(Facet::Identifier, expected)]);
    let position = r#""position":{"latitude":52.5,"longitude":13.4}"#;
    check("Location", position, "near", &plain([value::position(52.5, 13.4).to_vec()]));
    check("Location", r#""position":{"latitude":52.5}"#, "near", &[]);
}

#[test]
fn composites_hold_what_stands_together() {
    let (s, quantity) = (Some("http://s"), |number| value::quantity(number, None, None, None));
    let of = |code, further: &[&[u8]]| value::composite(code, s, further);
    let members = r#""code":{"coding":[{"system":"http://s","code":"a"},{"system":"http://s","code":"b"}]},"valueQuantity":{"value":1},
        "component":[{"code":{"coding":[{"system":"http://s","code":"c"}]},"valueQuantity":{"value":2}},{"code":{"coding":[{"system":"http://s","code":"d"}]}}]"#;
    check("Observation", members, "code-value-quantity", &plain([of("a", &[&quantity(1.0)]), of("b", &[&quantity(1.0)])]));
    check("Observation", members, "component-code-value-quantity", &plain([of("c", &[&quantity(2.0)])]));
    let all = [of("a", &[&quantity(1.0)]), of("b", &[&quantity(1.0)]), of("c", &[&quantity(2.0)])];
    check("Observation", members, "combo-code-value-quantity", &plain(all));
    let concept = r#""code":{"coding":[{"system":"http://s","code":"a"}]},"valueCodeableConcept":{"coding":[{"code":"x"}],"text":"X"}"#;
    check("Observation", concept, "code-value-concept", &plain([of("a", &[&value::composite_token(None, "x")])]));
    let relates = r#""relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/d"}}]"#;
    let expected = value::composite("replaces", None, &[&local("DocumentReference", "d")]);
    check("DocumentReference", relates, "relationship", &plain([expected]));
    let sequence =
        r#""referenceSeq":{"chromosome":{"coding":[{"system":"http://s","code":"1"}]}},"variant":[{"start":5,"end":7},{"start":6}]"#;
    let expected = of("1", &[&value::number(5.0), &value::number(7.0)]);
    check("MolecularSequence", sequence, "chromosome-variant-coordinate", &plain([expected]));
}

#[test]
fn what_is_not_of_the_expected_shape_is_passed_over() {
    let json = r#"{"resourceType":"Observation","code":"x","status":{"a":1},"category":[["x"],null,5],"subject":[],"effectivePeriod":"2020",
        "valueQuantity":{"value":"5"},"component":{"code":[[]]},"identifier":[{"value":7,"type":[]}]}"#;
    let values = extract(&Resource::parse(json.as_bytes()).unwrap(), &LocalBases::default()).unwrap();
    assert_eq!(values.iter().count(), 0);
}

#[test]
fn too_many_values_and_too_large_ones_are_refused() {
    let with = |given: String| {
        let json = format!(r#"{{"resourceType":"Patient","name":[{{"given":[{given}]}}]}}"#);
        extract(&Resource::parse(json.as_bytes()).unwrap(), &LocalBases::default())
    };
    // Each is found by name, given and phonetic, the first and last of which share a path; deceased is one more.
    let names = |count: usize| (0..count).map(|number| format!(r#""{number}""#)).collect::<Vec<_>>().join(",");
    assert_eq!(with(names(9_999)).unwrap().iter().count(), 19_999);
    assert_eq!(with(names(10_001)), Err(TooManyValues));
    let long = (0..9_000).map(|number| format!(r#""{number}{}""#, "X".repeat(250))).collect::<Vec<_>>().join(",");
    assert_eq!(with(long), Err(TooManyValues));
    assert!(TooManyValues.to_string().contains("20000, or 4 MiB"));
}

#[test]
fn combinations_of_a_composite_are_bounded() {
    let codings = |name: &str| (0..60).map(|number| format!(r#"{{"code":"{name}{number}"}}"#)).collect::<Vec<_>>().join(",");
    let json = format!(
        r#"{{"resourceType":"Observation","code":{{"coding":[{}]}},"valueCodeableConcept":{{"coding":[{}]}}}}"#,
        codings("a"),
        codings("b")
    );
    assert_eq!(found(&json, "code-value-concept").len(), 1_000);
}

#[test]
fn work_does_not_grow_with_the_square_of_a_resource() {
    // Read anew for each of the variants, the codings would make 2 · 10^8 steps.
    let (codings, variants) = (vec!["{}"; 100_000].join(","), vec!["{}"; 2_000].join(","));
    let json = format!(
        r#"{{"resourceType":"MolecularSequence","referenceSeq":{{"chromosome":{{"coding":[{codings}]}}}},"variant":[{variants}]}}"#
    );
    let resource = Resource::parse(json.as_bytes()).unwrap();
    assert_eq!(extract(&resource, &LocalBases::default()).unwrap().iter().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the shape, nothing panics, and the same resource is always found by the same.
    #[test]
    fn any_json_is_read_without_harm(name in "[a-z]{1,12}", texts in prop::collection::vec(any::<String>(), 1..6), shape in 0..4_usize) {
        let mut value = serde_json::Value::from(texts.clone());
        for _ in 0..shape {
            value = serde_json::json!({ "coding": [value.clone()], "value": value.clone(), "code": value, "system": texts[0] });
        }
        for resource_type in ["Observation", "Patient", "MolecularSequence", "Bundle", "Location"] {
            let members = ["code", "name", "subject", "identifier", "valueQuantity", "variant", "referenceSeq", "entry", "position", "meta", &name];
            let mut content = serde_json::Map::new();
            for member in members {
                let own = if member == "meta" { serde_json::json!({ "tag": value }) } else { value.clone() };
                content.insert(member.to_owned(), own);
            }
            content.insert("resourceType".to_owned(), resource_type.into());
            content.remove("id");
            let resource = Resource::from_json(content.into()).unwrap();
            let found = extract(&resource, &LocalBases::default());
            prop_assert_eq!(&found, &extract(&resource, &LocalBases::default()));
        }
    }

    /// Units come from anybody.
    #[test]
    fn any_unit_is_read_without_harm(unit in "[a-zA-Z0-9./*^(){}\\[\\]'%_+-]{0,60}", value in any::<f64>()) {
        if let Some((number, unit)) = canonical_unit(value, &unit) {
            prop_assert!(number.is_finite() && !unit.is_empty());
        }
    }
}

#[test]
fn every_type_has_a_tree() {
    for resource_type in ResourceType::all() {
        let json = format!(r#"{{"resourceType":"{resource_type}","meta":{{"source":"urn:x"}}}}"#);
        let expected = if resource_type.name() == "Patient" { 2 } else { 1 };
        let resource = Resource::parse(json.as_bytes()).unwrap();
        assert_eq!(extract(&resource, &LocalBases::default()).unwrap().iter().count(), expected, "{resource_type}");
    }
}

#[test]
fn what_is_contained_is_kept_with_the_reference_to_it() {
    let json = |medication: &str| {
        format!(
            r##"{{"resourceType":"MedicationRequest","contained":[{{"resourceType":"Medication","id":"m","status":"active","ingredient":[{{"itemReference":{{"reference":"#s"}}}}]}},
            {{"resourceType":"Substance","id":"s","status":"inactive"}},{{"resourceType":"Medication","id":"m","status":"twice"}}],"medicationReference":{{"reference":"{medication}"}}}}"##
        )
    };
    let kind = |name: &str| name.parse::<ResourceType>().unwrap();
    let inner = |entries: Vec<(Facet, Vec<u8>)>, facet: Facet, of: &str| -> IndexValues {
        let all: Vec<_> = entries
            .iter()
            .filter(|(own, _)| *own == facet)
            .filter_map(|(_, value)| value::contained_values(value, kind(of).code()))
            .collect();
        assert_eq!(all.len(), 1, "{entries:?}");
        IndexValues::from_stored(all[0].to_vec())
    };
    let path = |of: &str, code: &str| definitions::parameter(kind(of), code).unwrap().uses[0].path;
    let entries = found(&json("#m"), "medication");
    assert!(entries.contains(&(Facet::Value, value::reference_contained(kind("Medication")))), "{entries:?}");
    let medication = inner(entries, Facet::Text, "Medication");
    assert_eq!(medication.iter().of_path(path("Medication", "status")).collect::<Vec<_>>(), [value::token(None, "active")]);
    let to_substance = medication.iter().filter(|(own, _)| own.with(Facet::Value) == path("Medication", "ingredient"));
    let substance = inner(to_substance.map(|(path, value)| (path.facet(), value.to_vec())).collect(), Facet::Text, "Substance");
    assert_eq!(substance.iter().of_path(path("Substance", "status")).collect::<Vec<_>>(), [value::token(None, "inactive")]);
    assert_eq!(found(&json("#x"), "medication"), [(Facet::Text, value::token_text(""))], "it is there, and leads nowhere");
}

#[test]
fn nothing_is_refused_for_what_only_helps_to_find_it() {
    let text: String = (0..180_000).map(|number| format!("{number} ")).collect();
    let json = |names: usize| {
        let aliases: Vec<String> = (0..names).map(|number| format!("\"{number}{text}\"")).collect();
        format!(r#"{{"resourceType":"Organization","alias":[{}]}}"#, aliases.join(","))
    };
    let kept = |names: usize| {
        found(&json(names), "name").iter().filter(|(facet, _)| *facet == Facet::Text).map(|(_, value)| value.len()).sum::<usize>()
    };
    assert!(kept(1) > 1 << 20, "the control");
    assert!(kept(8) <= VALUE_BYTES_MAX / 2);
}

#[test]
fn what_is_contained_in_circles_has_an_end() {
    let next = |number: usize| {
        format!(r##"{{"resourceType":"Patient","id":"p{number}","link":[{{"other":{{"reference":"#p{}"}}}}]}}"##, (number + 1) % 500)
    };
    let contained: Vec<String> = (0..500).map(next).collect();
    let links: Vec<String> = (0..500).map(|number| format!(r##"{{"other":{{"reference":"#p{number}"}}}}"##)).collect();
    let json = format!(r#"{{"resourceType":"Patient","contained":[{}],"link":[{}]}}"#, contained.join(","), links.join(","));
    assert!(found(&json, "link").len() > 1);
    let large = format!(
        r##"{{"resourceType":"Patient","contained":[{{"resourceType":"Patient","id":"p","name":[{{"text":"{}"}}]}}],"link":[{{"other":{{"reference":"#p"}}}}]}}"##,
        "x".repeat(70_000)
    );
    let entries = found(&large, "link");
    assert!(entries.iter().all(|(_, value)| value.len() < 100), "too large to be kept twice");
    assert!(entries.contains(&(Facet::Value, value::reference_contained(ResourceType::PATIENT))));
}
