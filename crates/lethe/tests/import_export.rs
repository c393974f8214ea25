//! `lethe import` and `lethe export`.

#![allow(clippy::unwrap_used)]

mod support;

use std::{collections::BTreeMap, fs, io::Write};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use support::Workplace;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Exports everything and returns the texts by `Type/id`.
fn exported(workplace: &Workplace, user_id: &str) -> BTreeMap<String, String> {
    let directory = format!("out-{}", fs::read_dir(workplace.path(".")).unwrap().count());
    workplace.json(&["export", "--user", user_id, &directory, "--json"]);
    let mut resources = BTreeMap::new();
    for file in fs::read_dir(workplace.path(&directory)).unwrap() {
        for line in fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let json: Value = serde_json::from_str(line).unwrap();
            resources.insert(format!("{}/{}", json["resourceType"].as_str().unwrap(), json["id"].as_str().unwrap()), line.to_owned());
        }
    }
    resources
}

#[test]
fn bad_lines_are_reported_with_file_and_line_and_the_rest_is_imported() {
    let workplace = Workplace::new();
    let (_, _, user_id) = workplace.add_user();
    let lines = [
        "\u{feff}{\"resourceType\":\"Patient\",\"id\":\"p1\"}",
        r#"{"resourceType":"Patient","id":"p2""#,
        "",
        r#"{"resourceType":"Patiant","id":"p3"}"#,
        r#"{"resourceType":"Observation","id":"o1","valueQuantity":{"value":1.50},"subject":{"reference":"Patient/p1"}}"#,
        r#"{"resourceType":"Observation","id":"o2","subject":{"reference":"p1"}}"#,
        r#"{"resourceType":"Observation","id":"o3","subject":{"reference":"Patient?identifier=x"}}"#,
        r#"{"resourceType":"Patient","id":"not allowed"}"#,
    ];
    workplace.write("in/a.ndjson", lines.join("\n"));
    workplace.write("in/b/c.ndjson.gz", gzip("{\"resourceType\":\"Patient\",\"id\":\"p9\"}\nnonsense\n"));
    workplace.write("in/notes.txt", "not looked at");

    let done = workplace.run(&["import", "--user", &user_id, "in", "--json"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    for expected in [
        "in/a.ndjson:2: the content is not valid JSON",
        "in/a.ndjson:4: 'Patiant' is not a FHIR R4 resource type",
        "in/a.ndjson:6: ",
        "in/a.ndjson:7: 'Patient?identifier=x' is a conditional reference",
        "in/a.ndjson:8: 'not allowed' is not a valid id",
        "in/b/c.ndjson.gz:2: the content is not valid JSON",
    ] {
        assert!(done.stderr.contains(expected), "{expected}: {}", done.stderr);
    }
    assert!(done.stderr.contains("at column 35") && !done.stderr.contains("at line 1"), "one number of a line: {}", done.stderr);
    let summary: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&summary["stored"], &summary["rejected"]), (&json!(3), &json!(6)));
    assert_eq!(summary["types"], json!({ "Observation": { "created": 1, "updated": 0 }, "Patient": { "created": 2, "updated": 0 } }));

    let resources = exported(&workplace, &user_id);
    assert_eq!(resources.keys().collect::<Vec<_>>(), ["Observation/o1", "Patient/p1", "Patient/p9"]);
    assert!(resources["Observation/o1"].contains(r#""value":1.50"#), "decimals keep their digits");

    let again = workplace.run(&["import", "--user", &user_id, "in", "--json", "--allow-rejects"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stdout.contains(r#""Patient":{"created":0,"updated":2}"#), "{again:?}");
}

#[test]
fn the_last_of_many_versions_wins_however_many_threads_parse() {
    let workplace = Workplace::new();
    let (_, _, user_id) = workplace.add_user();
    let lines: Vec<String> =
        (0..3_000).map(|n| format!(r#"{{"resourceType":"Basic","id":"b{}","code":{{"text":"version {n}"}}}}"#, n % 7)).collect();
    workplace.write("versions.ndjson", lines.join("\n"));
    let summary = workplace.json(&["import", "--user", &user_id, "versions.ndjson", "--json"]);
    assert_eq!(summary["types"]["Basic"], json!({ "created": 7, "updated": 2_993 }));
    let resources = exported(&workplace, &user_id);
    for n in 2_993..3_000 {
        let text = &resources[&format!("Basic/b{}", n % 7)];
        assert!(text.contains(&format!("\"version {n}\"")), "{text}");
    }
}

#[test]
fn bundles_are_unpacked_and_their_names_become_references() {
    let workplace = Workplace::new();
    let (_, _, user_id) = workplace.add_user();
    let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
        { "fullUrl": "urn:uuid:0", "resource": { "resourceType": "Observation", "id": "o1", "subject": { "reference": "urn:uuid:1" } },
          "request": { "method": "POST", "url": "Observation" } },
        { "fullUrl": "urn:uuid:1", "resource": { "resourceType": "Patient", "active": true } },
        { "request": { "method": "DELETE", "url": "Patient/x" } },
        { "resource": { "resourceType": "Basic", "id": "b1", "subject": { "reference": "nowhere" } } },
    ] });
    workplace.write("bundle.json.gz", gzip(&bundle.to_string()));
    workplace.write("document.json", r#"{"entry":[],"type":"document","resourceType":"Bundle","id":"d1"}"#);
    workplace.write("single.json", r#"{"type":[{"text":"x"}],"resourceType":"Encounter","id":"e1"}"#);
    workplace
        .write("broken.json", r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Basic","id":"b2"}},"#);
    let paths = ["bundle.json.gz", "document.json", "single.json", "broken.json"];
    let done = workplace.run(&[&["import", "--user", &user_id, "--json"], &paths[..]].concat());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("bundle.json.gz: entry[3]: 1 malformed reference"), "{}", done.stderr);
    assert!(done.stderr.contains("broken.json: the content is not valid JSON"), "{}", done.stderr);
    let summary: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&summary["stored"], &summary["skippedEntries"]), (&json!(4), &json!(1)));

    let resources = exported(&workplace, &user_id);
    let patient = resources.keys().find(|key| key.starts_with("Patient/")).unwrap();
    let observation: Value = serde_json::from_str(&resources["Observation/o1"]).unwrap();
    assert_eq!(observation["subject"]["reference"], patient.as_str());
    assert!(resources.contains_key("Bundle/d1") && resources.contains_key("Encounter/e1"), "{:?}", resources.keys());
}

#[test]
fn nothing_is_imported_for_nobody_and_no_export_overwrites() {
    let workplace = Workplace::new();
    let (_, _, user_id) = workplace.add_user();
    workplace.write("a.ndjson", r#"{"resourceType":"Patient","id":"p1"}"#);
    let done = workplace.run(&["import", "--user", "99", "a.ndjson"]);
    assert!(done.code == Some(1) && done.stderr.contains("there is no user 99"), "{done:?}");
    for path in ["missing.ndjson", "lethe-data"] {
        let done = workplace.run(&["import", "--user", &user_id, path]);
        assert!(done.code == Some(1) && done.stderr.contains(path) && done.stderr.contains("next:"), "{done:?}");
    }
    assert_eq!(workplace.run(&["import", "--user", &user_id, "a.ndjson"]).code, Some(0));
    assert_eq!(workplace.run(&["export", "--user", &user_id, "out"]).code, Some(0));
    let before = fs::read(workplace.path("out/Patient.ndjson")).unwrap();
    let again = workplace.run(&["export", "--user", &user_id, "out"]);
    assert!(again.code == Some(1) && again.stderr.contains("cannot be written"), "{again:?}");
    assert_eq!(fs::read(workplace.path("out/Patient.ndjson")).unwrap(), before);
}
