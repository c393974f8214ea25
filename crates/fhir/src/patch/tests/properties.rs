//! What holds for every patch on every resource: no panic, all or nothing, and what the server sets stays.

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::patch::{PatchError, fhirpath_patch, json_patch, path};

/// Names that meet what the definitions know, what they do not know, and what is protected.
const NAMES: [&str; 16] = [
    "resourceType",
    "id",
    "meta",
    "versionId",
    "active",
    "birthDate",
    "_birthDate",
    "name",
    "given",
    "_given",
    "extension",
    "url",
    "valueString",
    "contained",
    "multipleBirthInteger",
    "é~/ ",
];

/// What paths consist of, in any order.
const PATH_PARTS: [&str; 34] = [
    "Patient",
    ".",
    "name",
    "given",
    "birthDate",
    "extension",
    "value",
    "contained",
    "multipleBirth",
    "meta",
    "id",
    "[0]",
    "[1]",
    "[",
    "]",
    ".where(",
    "use = 'x'",
    "$this",
    ")",
    "(",
    ".exists()",
    ".first()",
    ".last()",
    ".not()",
    ".extension('u')",
    ".ofType(string)",
    " and ",
    " or ",
    " = ",
    " != ",
    "'x'",
    "1.50",
    "@2020",
    " is Patient",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        select(vec!["1.50", "0", "-1e400", "12345678901234567890.10"]).prop_map(|digits| serde_json::from_str(digits).unwrap()),
        select(vec!["", "x", "u", "Patient", "a\u{0}\"é"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((select(NAMES.to_vec()), inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

fn any_pointer() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        select(NAMES.to_vec()).prop_map(|name| name.replace('~', "~0").replace('/', "~1")),
        select(vec!["0", "1", "2", "-", "01", "~", "99999999999999999999999"]).prop_map(str::to_owned),
    ];
    prop_oneof![9 => prop::collection::vec(token, 0..4).prop_map(|tokens| tokens.iter().map(|token| format!("/{token}")).collect()), 1 => any::<String>()]
}

fn any_json_operation() -> impl Strategy<Value = Value> {
    let op = select(vec!["add", "remove", "replace", "move", "copy", "test"]);
    (op, any_pointer(), any_pointer(), any_json())
        .prop_map(|(op, path, from, value)| json!({"op": op, "path": path, "from": from, "value": value}))
}

/// A Patient with elements that the paths below meet.
fn any_patient() -> impl Strategy<Value = Value> {
    let given = select(vec![json!("x"), json!("y"), Value::Null]);
    let extra = select(vec![Value::Null, json!({"id": "i"}), json!({"extension": [{"url": "u", "valueString": "x"}]})]);
    let name = prop::collection::vec((given, extra), 1..4).prop_map(|items| {
        let (given, extras): (Vec<Value>, Vec<Value>) = items.into_iter().unzip();
        match extras.iter().all(Value::is_null) {
            true => json!({"given": given, "use": "usual"}),
            false => json!({"given": given, "_given": extras}),
        }
    });
    prop::collection::vec(name, 1..3).prop_map(|names| {
        json!({
            "resourceType": "Patient",
            "id": "p",
            "meta": {"versionId": "1", "lastUpdated": "t"},
            "name": names,
            "birthDate": "1970",
            "_birthDate": {"extension": [{"url": "u", "valueString": "x"}]},
            "multipleBirthInteger": 2,
            "contained": [{"resourceType": "Patient", "active": true}],
        })
    })
}

fn any_path() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::collection::vec(select(PATH_PARTS.to_vec()), 0..12).prop_map(|parts| parts.concat()),
        5 => select(vec![
            "Patient", "Patient.name", "Patient.name[0]", "Patient.name.given", "Patient.name[0].given", "Patient.name[0].given[1]",
            "Patient.name.given.last().extension('u').value", "Patient.name[0].given[0].id", "Patient.birthDate", "Patient.birthDate.extension",
            "Patient.birthDate.extension.value", "Patient.multipleBirth", "Patient.contained[0].active", "Patient.contained", "Patient.meta",
            "Patient.meta.versionId", "Patient.id", "Patient.name.where(given.exists($this = 'y'))", "Patient.name.where(use = 'usual').use",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn any_fhirpath_operation() -> impl Strategy<Value = Value> {
    let kind = select(vec!["add", "insert", "delete", "replace", "move"]);
    let name = select(vec!["given", "extension", "id", "birthDate", "multipleBirth", "name", "active", "contained", "nothing"]);
    let value = select(vec![
        json!({"valueString": "z"}),
        json!({"valueBoolean": true}),
        json!({"valueInteger": 3}),
        json!({"_valueString": {"id": "z"}}),
        json!({"valueHumanName": {"given": ["z"]}}),
        json!({"valueMeta": {"source": "s"}}),
        json!({"valueExtension": {"url": "u", "valueString": "z"}}),
        json!({"resource": {"resourceType": "Basic"}}),
        json!({"part": [{"name": "given", "valueString": "z"}, {"name": "given", "_valueString": {"id": "z"}}]}),
    ]);
    prop_oneof![
        (kind, any_path(), name, value, 0..4_usize, 0..4_usize).prop_map(|(kind, path, name, value, source, destination)| operation(
            kind,
            &path,
            name,
            value,
            source,
            destination
        )),
        any_fitting_operation(),
    ]
}

/// What the Patients above can mostly take.
fn any_fitting_operation() -> impl Strategy<Value = Value> {
    let text = || json!({"valueString": "z"});
    let name = || json!({"part": [{"name": "given", "valueString": "z"}, {"name": "given", "_valueString": {"id": "z"}}]});
    let fitting = select(vec![
        ("add", "Patient", "name", name()),
        ("add", "Patient", "active", json!({"valueBoolean": true, "_valueBoolean": {"id": "z"}})),
        ("add", "Patient.name[0]", "given", text()),
        ("add", "Patient.name[0]", "given", json!({"_valueString": {"id": "z"}})),
        ("add", "Patient.name[0].given[0]", "extension", json!({"valueExtension": {"url": "u", "valueString": "z"}})),
        ("add", "Patient.name[0].given.last()", "id", text()),
        ("insert", "Patient.name[0].given", "", text()),
        ("insert", "Patient.name[0].given", "", json!({"_valueString": {"id": "z"}})),
        ("insert", "Patient.name", "", name()),
        ("insert", "Patient.birthDate.extension", "", json!({"valueExtension": {"url": "u", "valueString": "z"}})),
        ("replace", "Patient.name[0].given[0]", "", text()),
        ("replace", "Patient.name[0].given[0]", "", json!({"_valueString": {"id": "z"}})),
        ("replace", "Patient.name[0]", "", name()),
        ("replace", "Patient.birthDate", "", json!({"valueDate": "1980"})),
        ("replace", "Patient.multipleBirth", "", json!({"_valueBoolean": {"id": "z"}})),
        ("replace", "Patient.meta", "", json!({"valueMeta": {"source": "s"}})),
        ("delete", "Patient.name[0].given.last()", "", json!({})),
        ("delete", "Patient.name[0].given[0]", "", json!({})),
        ("delete", "Patient.name.given.extension('u')", "", json!({})),
        ("delete", "Patient.name.given[0].id", "", json!({})),
        ("delete", "Patient.birthDate.extension.value", "", json!({})),
        ("delete", "Patient.contained[0].active", "", json!({})),
        ("move", "Patient.name", "", json!({})),
        ("move", "Patient.name[0].given", "", json!({})),
    ]);
    (fitting, 0..3_usize, 0..3_usize)
        .prop_map(|((kind, path, name, value), source, destination)| operation(kind, path, name, value, source, destination))
}

fn operation(kind: &str, path: &str, name: &str, mut value: Value, source: usize, destination: usize) -> Value {
    let mut parts = vec![json!({"name": "type", "valueCode": kind}), json!({"name": "path", "valueString": path})];
    if kind == "add" {
        parts.push(json!({"name": "name", "valueString": name}));
    }
    if ["add", "insert", "replace"].contains(&kind) {
        value["name"] = json!("value");
        parts.push(value);
    }
    for (owner, name, index) in [("insert", "index", source), ("move", "source", source), ("move", "destination", destination)] {
        if owner == kind {
            parts.push(json!({"name": name, "valueInteger": index}));
        }
    }
    json!({"name": "operation", "part": parts})
}

/// Applies, and looks at what must hold whatever comes of it.
fn applied(apply: fn(&mut Value, &Value) -> Result<(), PatchError>, resource: &Value, patch: &Value) -> Option<Value> {
    let mut after = resource.clone();
    if let Err(error) = apply(&mut after, patch) {
        assert_eq!(after.to_string(), resource.to_string(), "{error}");
        assert!(!error.to_string().is_empty());
        return None;
    }
    for name in ["resourceType", "id"] {
        assert_eq!(after.get(name), resource.get(name), "{name}");
    }
    for name in ["versionId", "lastUpdated"] {
        let of = |resource: &Value| resource.get("meta").and_then(|meta| meta.get(name)).cloned();
        assert!(of(&after) == of(resource) || after.get("meta").is_some_and(|meta| !meta.is_object()) || !after.is_object(), "{name}");
    }
    Some(after)
}

/// No empty object or list, and both arrays of a list of primitives equally long.
fn is_tidy(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty() && items.iter().all(is_tidy),
        Value::Object(members) => {
            let is_level = |(name, value): (&String, &Value)| match (members.get(&format!("_{name}")), value) {
                (Some(Value::Array(extras)), Value::Array(items)) => extras.len() == items.len(),
                _ => true,
            };
            !members.is_empty() && members.values().all(is_tidy) && members.iter().all(is_level)
        }
        _ => true,
    }
}

proptest! {
    #[test]
    fn a_json_patch_applies_whole_or_not_at_all(
        resource in prop_oneof![any_patient(), any_json()], patch in prop::collection::vec(any_json_operation(), 0..4)) {
        applied(json_patch::apply, &resource, &json!(patch));
    }

    #[test]
    fn any_json_as_a_patch_is_only_refused_or_applied(resource in any_patient(), patch in any_json()) {
        applied(json_patch::apply, &resource, &patch);
        applied(fhirpath_patch::apply, &resource, &patch);
        applied(fhirpath_patch::apply, &patch, &json!({"resourceType": "Parameters", "parameter": patch}));
    }

    #[test]
    fn a_fhirpath_patch_applies_whole_or_not_at_all(
        resource in prop_oneof![any_patient(), any_json()],
        operations in prop::collection::vec(any_fhirpath_operation(), 1..4),
    ) {
        applied(fhirpath_patch::apply, &resource, &json!({"resourceType": "Parameters", "parameter": operations}));
    }

    #[test]
    fn one_operation_leaves_the_json_tidy(resource in any_patient(), operation in any_fhirpath_operation()) {
        if let Some(after) = applied(fhirpath_patch::apply, &resource, &json!({"resourceType": "Parameters", "parameter": [operation]})) {
            prop_assert!(is_tidy(&after), "{after}");
        }
    }

    #[test]
    fn any_text_as_a_path_is_only_refused_or_understood(text in any::<String>(), parts in any_path()) {
        let _ = (path::parse(&text), path::parse(&parts));
    }
}
