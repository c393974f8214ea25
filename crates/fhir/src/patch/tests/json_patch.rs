//! JSON Patch: what RFC 6902 asks for (its appendix A by number), what FHIR adds, and hostile patches.

use serde_json::{Value, json};

use crate::{
    limits,
    patch::{PatchError, PatchErrorKind, json_patch::apply},
};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Applies, and looks that an error leaves everything as it was, to the letter.
fn patched(resource: &Value, patch: &Value) -> Result<String, PatchError> {
    let mut after = resource.clone();
    let outcome = apply(&mut after, patch);
    if outcome.is_err() {
        assert_eq!(after.to_string(), resource.to_string());
    }
    outcome.map(|()| after.to_string())
}

#[test]
fn operations_do_what_the_rfc_says() {
    let cases = [
        ("A.1 a new member", r#"{"color":"red"}"#, r#"[{"op":"add","path":"/size","value":7}]"#, r#"{"color":"red","size":7}"#),
        ("A.2 a new item", r#"{"n":[1,3]}"#, r#"[{"op":"add","path":"/n/1","value":2}]"#, r#"{"n":[1,2,3]}"#),
        ("A.3 less a member", r#"{"a":1,"b":2,"c":3}"#, r#"[{"op":"remove","path":"/b"}]"#, r#"{"a":1,"c":3}"#),
        ("A.4 less an item", r#"{"n":[1,2,3]}"#, r#"[{"op":"remove","path":"/n/1"}]"#, r#"{"n":[1,3]}"#),
        ("A.5 another value, same place", r#"{"a":1,"b":2}"#, r#"[{"op":"replace","path":"/a","value":[]}]"#, r#"{"a":[],"b":2}"#),
        (
            "A.6 a member moves",
            r#"{"from":{"x":1,"y":2},"to":{"z":3}}"#,
            r#"[{"op":"move","from":"/from/y","path":"/to/w"}]"#,
            r#"{"from":{"x":1},"to":{"z":3,"w":2}}"#,
        ),
        ("A.7 an item moves", r#"["a","x","b","c"]"#, r#"[{"op":"move","from":"/1","path":"/3"}]"#, r#"["a","b","c","x"]"#),
        (
            "A.8 tests hold",
            r#"{"a":"x","n":[1,2]}"#,
            r#"[{"op":"test","path":"/a","value":"x"},{"op":"test","path":"/n/1","value":2}]"#,
            r#"{"a":"x","n":[1,2]}"#,
        ),
        ("A.10 an object within", r#"{"a":1}"#, r#"[{"op":"add","path":"/b","value":{"c":{}}}]"#, r#"{"a":1,"b":{"c":{}}}"#),
        ("A.11 what is unknown is ignored", r#"{}"#, r#"[{"op":"add","path":"/a","value":1,"why":"?"}]"#, r#"{"a":1}"#),
        ("A.14 ~ before /", r#"{"/":1,"~1":2}"#, r#"[{"op":"test","path":"/~01","value":2}]"#, r#"{"/":1,"~1":2}"#),
        ("A.16 an array as an item", r#"{"n":["a"]}"#, r#"[{"op":"add","path":"/n/-","value":["b","c"]}]"#, r#"{"n":["a",["b","c"]]}"#),
        ("add puts in place of a member", r#"{"a":1,"b":2}"#, r#"[{"op":"add","path":"/a","value":null}]"#, r#"{"a":null,"b":2}"#),
        ("add behind the last", r#"[1]"#, r#"[{"op":"add","path":"/1","value":2}]"#, "[1,2]"),
        (
            "copy",
            r#"{"a":{"x":[1]}}"#,
            r#"[{"op":"copy","from":"/a/x","path":"/b"},{"op":"remove","path":"/a/x/0"}]"#,
            r#"{"a":{"x":[]},"b":[1]}"#,
        ),
        ("copy of everything into itself", r#"{"a":1}"#, r#"[{"op":"copy","from":"","path":"/b"}]"#, r#"{"a":1,"b":{"a":1}}"#),
        ("a move onto itself", r#"{"a":1,"b":2}"#, r#"[{"op":"move","from":"/a","path":"/a"}]"#, r#"{"a":1,"b":2}"#),
        ("a move upwards", r#"{"a":{"b":1},"c":2}"#, r#"[{"op":"move","from":"/a/b","path":"/a"}]"#, r#"{"a":1,"c":2}"#),
        ("everything", r#"{"a":1}"#, r#"[{"op":"replace","path":"","value":{"b":2}}]"#, r#"{"b":2}"#),
        ("an item", "[1,2,3]", r#"[{"op":"replace","path":"/2","value":4}]"#, "[1,2,4]"),
        ("numbers are tested by value", r#"{"a":1.50}"#, r#"[{"op":"test","path":"/a","value":15e-1}]"#, r#"{"a":1.50}"#),
        (
            "objects are tested in any order",
            r#"{"a":{"x":1,"y":2}}"#,
            r#"[{"op":"test","path":"/a","value":{"y":2,"x":1}}]"#,
            r#"{"a":{"x":1,"y":2}}"#,
        ),
        ("an empty patch", r#"{"a":1}"#, "[]", r#"{"a":1}"#),
        (
            "digits stay as they came",
            r#"{"v":1.50,"w":123456789012345678901234567890.10}"#,
            r#"[{"op":"add","path":"/x","value":2.000},{"op":"copy","from":"/w","path":"/y"},{"op":"move","from":"/v","path":"/z"}]"#,
            r#"{"w":123456789012345678901234567890.10,"x":2.000,"y":123456789012345678901234567890.10,"z":1.50}"#,
        ),
    ];
    for (what, resource, patch, expected) in cases {
        assert_eq!(patched(&json(resource), &json(patch)).unwrap(), json(expected).to_string(), "{what}");
    }
}

#[test]
fn what_cannot_be_done_is_told_and_changes_nothing() {
    use PatchErrorKind::{DoesNotApply, Malformed, TestFailed};
    let cases = [
        (r#"{"op":"test","path":"/a","value":"y"}"#, TestFailed, "A.9 the test found another string"),
        (r#"{"op":"add","path":"/nowhere/b","value":1}"#, DoesNotApply, "A.12 '' has no member 'nowhere'"),
        (r#"{"op":"test","path":"/n/0","value":"1"}"#, TestFailed, "A.15 the test found the JSON kind number, not string"),
        (r#"{"op":"test","path":"/b","value":1}"#, TestFailed, "the test found nothing"),
        (r#"{"op":"test","path":"/n/-","value":1}"#, TestFailed, "the test found nothing"),
        (r#"{"op":"add","path":"/n/3","value":1}"#, DoesNotApply, "'/n' has 2 items, and none at index 3"),
        (r#"{"op":"add","path":"/a/b","value":1}"#, DoesNotApply, "'/a' is neither an object nor an array"),
        (r#"{"op":"remove","path":"/b"}"#, DoesNotApply, "has no member 'b'"),
        (r#"{"op":"remove","path":"/n/-"}"#, DoesNotApply, "none at index 2"),
        (r#"{"op":"remove","path":""}"#, DoesNotApply, "cannot be removed"),
        (r#"{"op":"replace","path":"/b","value":1}"#, DoesNotApply, "has no member 'b'"),
        (r#"{"op":"replace","path":"/n/2","value":1}"#, DoesNotApply, "none at index 2"),
        (r#"{"op":"move","from":"/b","path":"/c"}"#, DoesNotApply, "has no member 'b'"),
        (r#"{"op":"move","from":"/b","path":"/b"}"#, DoesNotApply, "has no member 'b'"),
        (r#"{"op":"move","from":"/n","path":"/n/0"}"#, Malformed, "cannot be moved into itself"),
        (r#"{"op":"copy","from":"/n/5","path":"/c"}"#, DoesNotApply, "none at index 5"),
        (r#"{"op":"move","path":"/c"}"#, Malformed, "'from' is missing"),
        (r#"{"op":"copy","from":"a","path":"/c"}"#, Malformed, "'from': a JSON Pointer begins with '/'"),
        (r#"{"op":"add","path":"/c"}"#, Malformed, "'add' needs 'value'"),
        (r#"{"op":"add","value":1}"#, Malformed, "'path' is missing"),
        (r#"{"op":"remove","path":1}"#, Malformed, "'path' is not a string"),
        (r#"{"path":"/a"}"#, Malformed, "'op' is missing; it is add, remove"),
        (r#"{"op":"merge","path":"/a"}"#, Malformed, "'merge' is no operation"),
        (r#"{"op":"remove","path":"/a~"}"#, Malformed, "followed by 0 or 1"),
        ("7", Malformed, "an operation is an object"),
    ];
    let resource = json(r#"{"a":"x","n":[1,2]}"#);
    for (operation, kind, expected) in cases {
        let patch = json(&format!(r#"[{{"op":"add","path":"/first","value":1}},{operation}]"#));
        let error = patched(&resource, &patch).unwrap_err();
        let expected = expected.trim_start_matches(|first: char| first == 'A' || first == '.' || first.is_ascii_digit()).trim_start();
        assert!(error.to_string().contains(expected), "{operation}: {error}");
        assert_eq!((error.kind, error.operation), (kind, Some(1)), "{operation}");
        assert_eq!(error.path.as_deref(), json(operation).get("path").and_then(Value::as_str), "{operation}");
    }
    let error = patched(&resource, &json(r#"{"op":"remove","path":"/a"}"#)).unwrap_err();
    assert_eq!((error.kind, error.operation), (Malformed, None));
}

#[test]
fn what_the_server_sets_stays() {
    let resource = json!({"resourceType": "Patient", "id": "p", "meta": {"versionId": "3", "lastUpdated": "t", "tag": []}, "active": true});
    let refused = [
        r#"{"op":"replace","path":"/resourceType","value":"Person"}"#,
        r#"{"op":"remove","path":"/resourceType"}"#,
        r#"{"op":"replace","path":"/id","value":"q"}"#,
        r#"{"op":"add","path":"/id","value":null}"#,
        r#"{"op":"move","from":"/id","path":"/x"}"#,
        r#"{"op":"copy","from":"/active","path":"/id"}"#,
        r#"{"op":"replace","path":"/meta/versionId","value":"4"}"#,
        r#"{"op":"remove","path":"/meta/lastUpdated"}"#,
        r#"{"op":"replace","path":"/meta","value":{"versionId":"4"}}"#,
        r#"{"op":"replace","path":"","value":{"resourceType":"Patient","id":"q"}}"#,
        r#"{"op":"replace","path":"","value":{"resourceType":"Patient","id":"p","meta":{"lastUpdated":"u"}}}"#,
        r#"{"op":"replace","path":"","value":null}"#,
    ];
    for operation in refused {
        let error = patched(&resource, &json(&format!("[{operation}]"))).unwrap_err();
        assert_eq!(error.kind, PatchErrorKind::DoesNotApply, "{operation}");
        assert!(error.to_string().contains("cannot be changed") || error.to_string().contains("by the server alone"), "{error}");
    }
    let allowed = [
        (r#"[{"op":"test","path":"/meta/versionId","value":"3"}]"#, resource.to_string()),
        (r#"[{"op":"replace","path":"/id","value":"p"},{"op":"add","path":"/meta/versionId","value":"3"}]"#, resource.to_string()),
        (
            r#"[{"op":"replace","path":"/meta","value":{"profile":["x"]}}]"#,
            r#"{"resourceType":"Patient","id":"p","meta":{"profile":["x"],"versionId":"3","lastUpdated":"t"},"active":true}"#.to_owned(),
        ),
        (
            r#"[{"op":"remove","path":"/meta"}]"#,
            r#"{"resourceType":"Patient","id":"p","active":true,"meta":{"versionId":"3","lastUpdated":"t"}}"#.to_owned(),
        ),
    ];
    for (patch, expected) in allowed {
        assert_eq!(patched(&resource, &json(patch)).unwrap(), expected, "{patch}");
    }
    let odd = json!({"resourceType": "Patient", "id": {"a": [1]}});
    for operation in [r#"{"op":"add","path":"/id/b","value":1}"#, r#"{"op":"remove","path":"/id/a/0"}"#] {
        assert!(patched(&odd, &json(&format!("[{operation}]"))).unwrap_err().to_string().contains("cannot be changed"));
    }
    let without = json!({"resourceType": "Patient"});
    for patch in [r#"[{"op":"add","path":"/id","value":"x"}]"#, r#"[{"op":"add","path":"/meta","value":{"versionId":"1"}}]"#] {
        assert!(patched(&without, &json(patch)).is_err(), "{patch}");
    }
}

#[test]
fn copies_of_copies_end_at_the_limit() {
    let doubling = |n: usize| json!({"op": "copy", "from": "", "path": format!("/c{n}")});
    let patch: Vec<Value> = (0..40).map(doubling).collect();
    let error = patched(&json!({"text": "x".repeat(1_000)}), &json!(patch)).unwrap_err();
    assert_eq!(error.kind, PatchErrorKind::OverLimit);
    assert!(error.to_string().contains("at most 16777216"), "{error}");
    assert!(error.operation.unwrap() < 20, "{error}");
    // Nesting by copying into itself.
    let nesting: Vec<Value> = (0..100).map(|n| json!({"op": "copy", "from": "/a", "path": format!("{}/a", "/a".repeat(n + 1))})).collect();
    let error = patched(&json!({"a": {}}), &json!(nesting)).unwrap_err();
    assert_eq!(error.kind, PatchErrorKind::OverLimit, "{error}");
}

#[test]
fn limits_are_told() {
    let many = vec![json!({"op": "test", "path": "", "value": {}}); limits::PATCH_OPERATIONS_MAX + 1];
    let long = json!([{"op": "remove", "path": format!("/{}", "x".repeat(1_000))}]);
    let deep = json!([{"op": "add", "path": "/x", "value": (0..64).fold(json!(1), |value, _| json!([value]))}]);
    let large = json!([{"op": "add", "path": "/x", "value": "x".repeat(limits::RESOURCE_BYTES_MAX)}]);
    for (patch, expected) in [
        (json!(many), "1001 operations; at most 1000"),
        (long, "1001 characters; at most 1000"),
        (deep, "more than 64 levels"),
        (large, "at most 16777216"),
    ] {
        let error = patched(&json!({}), &patch).unwrap_err();
        assert_eq!(error.kind, PatchErrorKind::OverLimit);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let fits = vec![json!({"op": "test", "path": "", "value": {}}); limits::PATCH_OPERATIONS_MAX];
    assert!(patched(&json!({}), &json!(fits)).is_ok());
}
