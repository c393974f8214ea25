//! Whatever is sent, the answer is one of FHIR's, soon, and the server serves on.
//!
//! `LETHE_FUZZ_CASES` raises the number of cases of each property.

use axum::http::StatusCode;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::caller::Caller;
use crate::test_server::{Answer, TestServer};

const CASES: u32 = 150;

/// Parts of which hostile and harmless addresses are made.
const ADDRESSES: [&str; 24] = [
    "Patient",
    "Patient/a",
    "Patient/b",
    "Observation?code=x",
    "Patient?identifier=x|y",
    "Patient/a/_history/1",
    "Patient/",
    "/Patient",
    "",
    "?",
    "Nope/a",
    "Patient?_id=a&_id=b",
    "Patient/$everything",
    "urn:uuid:1",
    "urn:uuid:2",
    "#x",
    "http://lethe.test/r4/Patient/a",
    "http://else.org/Patient/a",
    "Patient/a?x=y",
    "metadata",
    "_history",
    "Patient/ä",
    "Patient/%zz",
    "../../x",
];

fn address() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(&ADDRESSES[..]).prop_map(str::to_owned), 1 => "[ -~äß€\u{0}]{0,40}"]
}

/// A value that may stand anywhere.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        address().prop_map(Value::from),
        "[a-z0-9-]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let names = select(
            &[
                "reference",
                "resourceType",
                "id",
                "meta",
                "identifier",
                "value",
                "url",
                "entry",
                "system",
                "extension",
                "contained",
                "target",
            ][..],
        );
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((names, inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into())
        ]
    })
}

fn resource() -> impl Strategy<Value = Value> {
    let types = select(&["Patient", "Observation", "Provenance", "Binary", "Parameters", "Bundle", "Nope"][..]);
    let members = ["subject", "link", "target", "parameter", "entry", "data", "meta", "text", "identifier", "name", "code", "id"];
    (types, vec((select(members.to_vec()), junk()), 0..5)).prop_map(|(resource_type, members)| {
        let mut resource = json!({ "resourceType": resource_type });
        for (name, value) in members {
            resource[name] = value;
        }
        resource
    })
}

fn entry() -> impl Strategy<Value = Value> {
    let methods = select(&["POST", "PUT", "GET", "DELETE", "PATCH", "HEAD", "get", "NOPE"][..]);
    let conditions = ["ifNoneExist", "ifMatch", "ifNoneMatch", "ifModifiedSince", "x"];
    (methods, address(), address(), resource(), vec((select(conditions.to_vec()), junk()), 0..2), any::<u8>()).prop_map(
        |(method, url, full_url, resource, more, shape)| {
            let mut entry = json!({ "fullUrl": full_url, "resource": resource, "request": { "method": method, "url": url } });
            for (name, value) in more {
                entry["request"][name] = value;
            }
            // Now and then a part is missing.
            match shape % 8 {
                0 => drop(entry.as_object_mut().map(|entry| entry.remove("resource"))),
                1 => drop(entry.as_object_mut().map(|entry| entry.remove("request"))),
                2 => drop(entry.as_object_mut().map(|entry| entry.remove("fullUrl"))),
                _ => {}
            }
            entry
        },
    )
}

/// Runs a property over one server.
fn hold<S: Strategy>(strategy: S, property: impl AsyncFn(&Caller<'_>, S::Value))
where
    S::Value: std::fmt::Debug,
{
    let cases = std::env::var("LETHE_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(async { TestServer::start() });
    let caller = runtime.block_on(Caller::new(&server));
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |value| {
        runtime.block_on(property(&caller, value));
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    let alive = runtime.block_on(caller.get("/r4/Patient?_count=1"));
    assert_eq!(alive.status, StatusCode::OK, "the server serves on");
    for check in runtime.block_on(server.store.check()).unwrap() {
        assert!(check.violations.is_none_or(|violations| violations == 0), "{check:?}");
    }
}

/// An answer that a client can act on: not a defect, and FHIR, unless it is empty.
fn assert_is_fhir(answer: &Answer, what: &str) {
    assert!(!answer.status.is_server_error(), "{}: {} for {what}", answer.status, answer.text);
    if !answer.text.is_empty() {
        let json: Value = serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error}: {} for {what}", answer.text));
        assert!(json["resourceType"].is_string() || json.get("error").is_some(), "{} for {what}", answer.text);
    }
}

#[test]
fn bundles() {
    let kinds = select(&["transaction", "batch", "collection", "x"][..]);
    hold((kinds, vec(entry(), 0..6)), async |caller, (kind, entries)| {
        let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": entries }).to_string();
        let answer = caller.post("/r4", &bundle).await;
        assert_is_fhir(&answer, &bundle);
        if kind == "transaction" && !answer.status.is_success() {
            assert_eq!(answer.json()["resourceType"], "OperationOutcome", "{bundle}");
        }
    });
}

#[test]
fn bodies_cut_anywhere() {
    hold((vec(entry(), 1..4), any::<Index>(), any::<u8>()), async |caller, (entries, at, byte)| {
        let mut bytes = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries }).to_string().into_bytes();
        let at = at.index(bytes.len());
        if byte % 2 == 0 {
            bytes.truncate(at)
        } else {
            bytes[at] = byte
        }
        let body = String::from_utf8_lossy(&bytes).into_owned();
        if !body.is_empty() {
            assert_is_fhir(&caller.post("/r4", &body).await, &body);
        }
    });
}

#[test]
fn queries() {
    let names = [
        "_id",
        "_lastUpdated",
        "_sort",
        "_count",
        "_include",
        "_revinclude",
        "_has:Observation:patient:code",
        "_has",
        "_summary",
        "_elements",
        "_total",
        "_page",
        "_type",
        "_text",
        "_list",
        "name",
        "name:exact",
        "birthdate",
        "identifier",
        "general-practitioner",
        "general-practitioner.name",
        "link:Patient.name",
        "_tag:not",
        "phone:missing",
        "x",
        "name:x",
        "address:contains",
        "_filter",
        ":",
        "..",
    ];
    let name = prop_oneof![5 => select(names.to_vec()).prop_map(str::to_owned), 1 => "[ -~ä]{0,20}"];
    let value = prop_oneof![3 => "(eq|ge|ap)?[0-9]{0,5}(-[0-9]{1,2})?(\\||,|\\$|\\\\)?[a-zA-Z0-9:|.*-]{0,14}", 1 => "[ -~äß€]{0,30}", 1 => address()];
    hold(vec((name, value), 0..5), async |caller, pairs| {
        let mut query = form(&pairs);
        for path in ["/r4/Patient", "/r4", "/r4/Patient/a/Observation"] {
            assert_is_fhir(&caller.get(&format!("{path}?{query}")).await, &query);
        }
        query.push('&');
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("prefer", "handling=lenient")];
        assert_is_fhir(&caller.call("POST", "/r4/Patient/_search", &headers, &query).await, &query);
    });
}

fn form(pairs: &[(String, String)]) -> String {
    let escape = |text: &str| {
        text.bytes()
            .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect::<String>()
    };
    pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

#[test]
fn patches() {
    let paths = prop_oneof![3 => select(&["/name/0/family", "/name", "/name/-", "", "/id", "/meta", "/x/y", "/name/99999999999999999999"][..]).prop_map(str::to_owned),
        1 => "[ -~]{0,20}"];
    let operation = (select(&["add", "remove", "replace", "move", "copy", "test", "x"][..]), paths.clone(), paths, junk())
        .prop_map(|(op, path, from, value)| json!({ "op": op, "path": path, "from": from, "value": value }));
    let fhirpath = select(
        &["Patient.name", "Patient.name[0].given", "Patient.name.where(family = 'x')", "Patient", "Patient.id", "Patient.(", "name'"][..],
    );
    let parameter = (select(&["add", "insert", "delete", "replace", "move", "x"][..]), fhirpath, junk()).prop_map(|(kind, path, value)| {
        json!({ "name": "operation", "part": [{ "name": "type", "valueCode": kind }, { "name": "path", "valueString": path },
            { "name": "name", "valueString": "given" }, { "name": "value", "valueString": value }, { "name": "index", "valueInteger": 0 }] })
    });
    hold((vec(operation, 0..4), vec(parameter, 0..3)), async |caller, (operations, parameters)| {
        caller.stored("/r4/Patient/a", r#"{"resourceType":"Patient","id":"a","name":[{"family":"x","given":["y"]}]}"#).await;
        let patch = Value::from(operations).to_string();
        assert_is_fhir(&caller.call("PATCH", "/r4/Patient/a", &[("content-type", "application/json-patch+json")], &patch).await, &patch);
        let patch = json!({ "resourceType": "Parameters", "parameter": parameters }).to_string();
        assert_is_fhir(&caller.call("PATCH", "/r4/Patient/a", &[], &patch).await, &patch);
        let left = caller.get("/r4/Patient/a").await.json();
        assert_eq!((&left["resourceType"], &left["id"]), (&json!("Patient"), &json!("a")), "what a patch cannot change");
    });
}
