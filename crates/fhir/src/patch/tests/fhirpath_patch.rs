//! FHIRPath Patch: what FHIR's test cases for it (<https://github.com/FHIR/fhir-test-cases>, r4/patch and r5/patch) ask for, in our own
//! words, and what they leave open.

use serde_json::{Value, json};

use crate::{
    limits,
    patch::{PatchError, PatchErrorKind, fhirpath_patch::apply},
};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// An operation from its parts, each a name and what the part holds.
fn operation(parts: &[(&str, Value)]) -> Value {
    let part = |(name, content): &(&str, Value)| {
        let mut part = json!({"name": name});
        part.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
        part
    };
    json!({"name": "operation", "part": parts.iter().map(part).collect::<Vec<_>>()})
}

fn kind(kind: &str, path: &str) -> [(&'static str, Value); 2] {
    [("type", json!({"valueCode": kind})), ("path", json!({"valueString": path}))]
}

fn add(path: &str, name: &str, value: Value) -> Value {
    let [kind, path] = kind("add", path);
    operation(&[kind, path, ("name", json!({"valueString": name})), ("value", value)])
}

fn insert(path: &str, index: usize, value: Value) -> Value {
    let [kind, path] = kind("insert", path);
    operation(&[kind, path, ("index", json!({"valueInteger": index})), ("value", value)])
}

fn delete(path: &str) -> Value {
    operation(&kind("delete", path))
}

fn replace(path: &str, value: Value) -> Value {
    let [kind, path] = kind("replace", path);
    operation(&[kind, path, ("value", value)])
}

fn shift(path: &str, source: usize, destination: usize) -> Value {
    let [kind, path] = kind("move", path);
    operation(&[kind, path, ("source", json!({"valueInteger": source})), ("destination", json!({"valueInteger": destination}))])
}

fn parameters(operations: &[Value]) -> Value {
    json!({"resourceType": "Parameters", "parameter": operations})
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

/// The members of a Patient, with its type before them.
fn patient(members: &str) -> Value {
    let comma = if members.is_empty() { "" } else { "," };
    json(&format!(r#"{{"resourceType":"Patient"{comma}{members}}}"#))
}

fn check(cases: &[(&str, &str, Vec<Value>, &str)]) {
    for (what, before, operations, after) in cases {
        assert_eq!(patched(&patient(before), &parameters(operations)).unwrap(), patient(after).to_string(), "{what}");
    }
}

#[test]
fn single_elements_are_added_replaced_and_deleted() {
    let date = |date| json!({"valueDate": date});
    let contact = |members: &str| format!(r#""contact":[{{{members}}}]"#);
    let named = contact(r#""name":{"text":"A"},"gender":"male""#);
    check(&[
        ("no operation", r#""active":true"#, vec![], r#""active":true"#),
        (
            "replace a primitive",
            r#""birthDate":"1970","active":true"#,
            vec![replace("Patient.birthDate", date("1980"))],
            r#""birthDate":"1980","active":true"#,
        ),
        ("delete a primitive", r#""birthDate":"1970""#, vec![delete("Patient.birthDate")], ""),
        ("add a primitive", "", vec![add("Patient", "birthDate", date("1970"))], r#""birthDate":"1970""#),
        ("delete what is not there", "", vec![delete("Patient.birthDate"), delete("Patient.contact[3].name.family")], ""),
        (
            "replace within",
            &named,
            vec![replace("Patient.contact[0].gender", json!({"valueCode": "female"}))],
            &contact(r#""name":{"text":"A"},"gender":"female""#),
        ),
        (
            "replace deeper",
            &named,
            vec![replace("Patient.contact[0].name.text", json!({"valueString": "B"}))],
            &contact(r#""name":{"text":"B"},"gender":"male""#),
        ),
        ("delete within", &named, vec![delete("Patient.contact[0].gender")], &contact(r#""name":{"text":"A"}"#)),
        ("delete the last within", &named, vec![delete("Patient.contact[0].name.text")], &contact(r#""gender":"male""#)),
        ("delete the last of all", &named, vec![delete("Patient.contact[0].name.text"), delete("Patient.contact.gender")], ""),
        ("add within", &contact(r#""name":{"text":"A"}"#), vec![add("Patient.contact[0]", "gender", json!({"valueCode": "male"}))], &named),
        (
            "add a complex one",
            "",
            vec![add("Patient", "maritalStatus", json!({"valueCodeableConcept": {"text": "m"}}))],
            r#""maritalStatus":{"text":"m"}"#,
        ),
        (
            "replace a complex one, its id too",
            r#""maritalStatus":{"id":"1","text":"m"}"#,
            vec![replace("Patient.maritalStatus", json!({"valueCodeableConcept": {"id": "2", "text": "n"}}))],
            r#""maritalStatus":{"id":"2","text":"n"}"#,
        ),
        ("delete a complex one", r#""maritalStatus":{"text":"m"}"#, vec![delete("Patient.maritalStatus")], ""),
        (
            "add what has no type of its own",
            "",
            vec![add("Patient", "contact", json!({"part": [{"name": "name", "valueHumanName": {"text": "A"}}]}))],
            r#""contact":[{"name":{"text":"A"}}]"#,
        ),
        (
            "replace what has no type of its own",
            &named,
            vec![replace("Patient.contact[0]", json!({"part": [{"name": "gender", "valueCode": "other"}]}))],
            &contact(r#""gender":"other""#),
        ),
        ("delete what has no type of its own", &named, vec![delete("Patient.contact[0]")], ""),
        (
            "one operation sees what the one before did",
            &contact(r#""name":{"text":"A"}"#),
            vec![
                add("Patient.contact[0]", "gender", json!({"valueCode": "male"})),
                add("Patient", "contact", json!({"part": [{"name": "gender", "valueCode": "male"}]})),
            ],
            r#""contact":[{"name":{"text":"A"},"gender":"male"},{"gender":"male"}]"#,
        ),
        (
            "the narrative is a string in JSON",
            r#""text":{"status":"generated","div":"<div>A</div>"},"name":[{"family":"A"}]"#,
            vec![
                replace("Patient.text.div", json!({"valueString": "<div>B</div>"})),
                replace("Patient.name[0].family", json!({"valueString": "B"})),
            ],
            r#""text":{"status":"generated","div":"<div>B</div>"},"name":[{"family":"B"}]"#,
        ),
        (
            "add a contained resource",
            "",
            vec![add("Patient", "contained", json!({"resource": {"resourceType": "Basic"}}))],
            r#""contained":[{"resourceType":"Basic"}]"#,
        ),
    ]);
}

#[test]
fn lists_grow_shrink_and_are_put_in_order() {
    let list = |values: &[u8]| {
        let items: Vec<String> = values.iter().map(|value| format!(r#"{{"system":"s","value":"{value}"}}"#)).collect();
        format!(r#""identifier":[{}],"active":true"#, items.join(","))
    };
    let new = || json!({"valueIdentifier": {"system": "s", "value": "9"}});
    let value = |value| json!({"valueString": value});
    let moved = |source, destination| vec![shift("Patient.identifier", source, destination)];
    check(&[
        (
            "items keep their places when they change",
            &list(&[1, 2]),
            vec![replace("Patient.identifier[0].value", value("2")), replace("Patient.identifier[1].value", value("1"))],
            &list(&[2, 1]),
        ),
        ("add", &list(&[1, 2]), vec![add("Patient", "identifier", new())], &list(&[1, 2, 9])),
        ("the first is a list too", "", vec![add("Patient", "identifier", new())], r#""identifier":[{"system":"s","value":"9"}]"#),
        ("insert within", &list(&[1, 2]), vec![insert("Patient.identifier", 1, new())], &list(&[1, 9, 2])),
        ("insert in front", &list(&[1, 2]), vec![insert("Patient.identifier", 0, new())], &list(&[9, 1, 2])),
        ("insert behind", &list(&[1, 2]), vec![insert("Patient.identifier", 2, new())], &list(&[1, 2, 9])),
        ("delete the first", &list(&[1, 2, 3]), vec![delete("Patient.identifier[0]")], &list(&[2, 3])),
        ("delete within", &list(&[1, 2, 3]), vec![delete("Patient.identifier[1]")], &list(&[1, 3])),
        ("delete the last", &list(&[1, 2, 3]), vec![delete("Patient.identifier.last()")], &list(&[1, 2])),
        ("delete the only one", &list(&[1]), vec![delete("Patient.identifier.where(value = '1')")], r#""active":true"#),
        ("replace one", &list(&[1, 2]), vec![replace("Patient.identifier.where(value = '1')", new())], &list(&[9, 2])),
        ("move 3 to 1", &list(&[1, 2, 3, 4]), moved(3, 1), &list(&[1, 4, 2, 3])),
        ("move 3 to 0", &list(&[1, 2, 3, 4]), moved(3, 0), &list(&[4, 1, 2, 3])),
        ("move 3 to 2", &list(&[1, 2, 3, 4]), moved(3, 2), &list(&[1, 2, 4, 3])),
        ("move 0 to 3", &list(&[1, 2, 3, 4]), moved(0, 3), &list(&[2, 3, 4, 1])),
        ("move nowhere", &list(&[1, 2]), moved(1, 1), &list(&[1, 2])),
        ("move twice", &list(&[1, 2, 3, 4]), [moved(1, 0), moved(2, 1)].concat(), &list(&[2, 3, 1, 4])),
        ("turn around", &list(&[1, 2, 3, 4]), [moved(3, 0), moved(3, 1), moved(3, 2)].concat(), &list(&[4, 3, 2, 1])),
        (
            "a list within one of several",
            r#""name":[{"family":"A"},{"given":["x","y"]}]"#,
            vec![insert("Patient.name.given", 1, value("z")), shift("Patient.name.where(family.empty()).given", 2, 0)],
            r#""name":[{"family":"A"},{"given":["y","x","z"]}]"#,
        ),
    ]);
}

#[test]
fn a_primitive_and_its_extensions_stay_together() {
    let extended = r#""birthDate":"1970","_birthDate":{"extension":[{"url":"u","valueCode":"x"}]}"#;
    let given = |content: &str| format!(r#""name":[{{{content}}}]"#);
    let abc = given(r#""given":["a","b","c"],"_given":[null,{"id":"b"},null]"#);
    let text = |text| json!({"valueString": text});
    check(&[
        ("delete takes both", extended, vec![delete("Patient.birthDate")], ""),
        ("replace takes both", extended, vec![replace("Patient.birthDate", json!({"valueDate": "1980"}))], r#""birthDate":"1980""#),
        (
            "replace brings both",
            r#""birthDate":"1970""#,
            vec![replace("Patient.birthDate", json!({"_valueDate": {"id": "x"}}))],
            r#""_birthDate":{"id":"x"}"#,
        ),
        ("delete of the extension leaves the value", extended, vec![delete("Patient.birthDate.extension('u')")], r#""birthDate":"1970""#),
        (
            "within the extension",
            extended,
            vec![replace("Patient.birthDate.extension('u').value", json!({"valueString": "y"}))],
            r#""birthDate":"1970","_birthDate":{"extension":[{"url":"u","valueString":"y"}]}"#,
        ),
        (
            "add an extension to a primitive",
            r#""birthDate":"1970""#,
            vec![add(
                "Patient.birthDate",
                "extension",
                json!({"part": [{"name": "url", "valueUri": "u"}, {"name": "value", "valueCode": "x"}]}),
            )],
            extended,
        ),
        ("delete one of a list", &abc, vec![delete("Patient.name.given[1]")], &given(r#""given":["a","c"]"#)),
        ("delete before it", &abc, vec![delete("Patient.name.given[0]")], &given(r#""given":["b","c"],"_given":[{"id":"b"},null]"#)),
        (
            "insert before it",
            &abc,
            vec![insert("Patient.name.given", 0, text("z"))],
            &given(r#""given":["z","a","b","c"],"_given":[null,null,{"id":"b"},null]"#),
        ),
        (
            "add behind it",
            &abc,
            vec![add("Patient.name", "given", text("d"))],
            &given(r#""given":["a","b","c","d"],"_given":[null,{"id":"b"},null,null]"#),
        ),
        ("move it", &abc, vec![shift("Patient.name.given", 1, 0)], &given(r#""given":["b","a","c"],"_given":[{"id":"b"},null,null]"#)),
        ("replace it", &abc, vec![replace("Patient.name.given[1]", text("z"))], &given(r#""given":["a","z","c"]"#)),
        (
            "replace another with both",
            &abc,
            vec![replace("Patient.name.given.last()", json!({"valueString": "z", "_valueString": {"id": "z"}}))],
            &given(r#""given":["a","b","z"],"_given":[null,{"id":"b"},{"id":"z"}]"#),
        ),
        ("take the id of one of a list", &abc, vec![delete("Patient.name.given[1].id")], &given(r#""given":["a","b","c"]"#)),
        (
            "give one of a list an id",
            &given(r#""given":["a","b"]"#),
            vec![add("Patient.name.given[1]", "id", text("x"))],
            &given(r#""given":["a","b"],"_given":[null,{"id":"x"}]"#),
        ),
        (
            "one without a value goes when its extensions go",
            &given(r#""given":["a",null],"_given":[null,{"id":"b"}]"#),
            vec![delete("Patient.name.given[1].id")],
            &given(r#""given":["a"]"#),
        ),
    ]);
}

#[test]
fn the_type_of_a_choice_follows_the_value() {
    let observation = |members: &str| json(&format!(r#"{{"resourceType":"Observation",{members}"status":"final"}}"#));
    let quantity = || json!({"valueQuantity": json(r#"{"value":1.50}"#)});
    let cases = [
        (
            "add",
            "",
            add("Observation", "value", quantity()),
            r#"{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.50}}"#,
        ),
        (
            "add by JSON's name",
            "",
            add("Observation", "valueQuantity", quantity()),
            r#"{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.50}}"#,
        ),
        (
            "replace",
            r#""valueQuantity":{},"#,
            replace("Observation.value", quantity()),
            r#"{"resourceType":"Observation","valueQuantity":{"value":1.50},"status":"final"}"#,
        ),
        (
            "replace by another type, at the same place",
            r#""valueString":"x","_valueString":{"id":"x"},"#,
            replace("Observation.value", quantity()),
            r#"{"resourceType":"Observation","valueQuantity":{"value":1.50},"status":"final"}"#,
        ),
        (
            "delete",
            r#""valueString":"x","_valueString":{"id":"x"},"#,
            delete("Observation.value"),
            r#"{"resourceType":"Observation","status":"final"}"#,
        ),
        (
            "within",
            r#""valueQuantity":{"value":2},"#,
            replace("Observation.value.value", json!({"valueDecimal": json("1.50")})),
            r#"{"resourceType":"Observation","valueQuantity":{"value":1.50},"status":"final"}"#,
        ),
        (
            "within, by type",
            r#""valueQuantity":{"value":2},"#,
            add("Observation.value.ofType(Quantity)", "unit", json!({"valueString": "mg"})),
            r#"{"resourceType":"Observation","valueQuantity":{"value":2,"unit":"mg"},"status":"final"}"#,
        ),
    ];
    for (what, before, operation, after) in cases {
        assert_eq!(patched(&observation(before), &parameters(&[operation])).unwrap(), after, "{what}");
    }
    let specimen = json(r#"{"resourceType":"Specimen"}"#);
    let processing = json!({"part": [
        {"name": "description", "valueString": "d"},
        {"name": "time", "valueDateTime": "2021-08-13T07:44:38.342+00:00"},
        {"name": "extension", "part": [{"name": "url", "valueUri": "u"}, {"name": "value", "valueReference": {"reference": "Device/1"}}]},
    ]});
    assert_eq!(
        patched(&specimen, &parameters(&[add("Specimen", "processing", processing)])).unwrap(),
        r#"{"resourceType":"Specimen","processing":[{"description":"d","timeDateTime":"2021-08-13T07:44:38.342+00:00","extension":[{"url":"u","valueReference":{"reference":"Device/1"}}]}]}"#
    );
}

#[test]
fn what_cannot_be_done_is_told_and_changes_nothing() {
    let resource = patient(
        r#""id":"p","meta":{"versionId":"1"},"active":true,"name":[{"given":["a","b"]},{"given":["c"]}],"identifier":[{"use":"official"}],"multipleBirthInteger":2"#,
    );
    let text = || json!({"valueString": "x"});
    let cases = [
        (add("Patient.identifier.where(use = 'official').period", "end", json!({"valueDate": "2021"})), "the path leads to nothing"),
        (add("Patient.name", "family", text()), "the path leads to 2 elements"),
        (add("Patient", "active", json!({"valueBoolean": false})), "'active' is there already"),
        (add("Patient", "multipleBirth", json!({"valueBoolean": false})), "'multipleBirthInteger' is there already"),
        (add("Patient", "birthdate", json!({"valueDate": "1970"})), "Patient has no element 'birthdate'; it has id"),
        (add("Patient.active", "value", text()), "boolean has no element 'value'"),
        (add("Patient", "resourceType", text()), "Patient has no element 'resourceType'"),
        (add("Patient", "deceased", text()), "its type is one of Boolean, DateTime"),
        (replace("Patient.birthDate", json!({"valueDate": "1970"})), "the path leads to nothing"),
        (replace("Patient.name.given", text()), "the path leads to 3 elements"),
        (replace("Patient.active", text()), "'active' cannot be a valueString; give 'valueBoolean'"),
        (replace("Patient", json!({"resource": {"resourceType": "Patient"}})), "leads to the resource itself"),
        (delete("Patient"), "leads to the resource itself"),
        (delete("Patient.name"), "the path leads to 2 elements"),
        (delete("Patient.nmae"), "Patient has no element 'nmae'"),
        (delete("Practitioner.name"), "begins with 'Practitioner', and this is a Patient"),
        (insert("Patient.telecom", 0, json!({"valueContactPoint": {}})), "the path leads to nothing; 'add' what"),
        (insert("Patient.identifier", 2, json!({"valueIdentifier": {}})), "'index' is 2, and the list has 1 elements; give 0 to 1"),
        (insert("Patient.identifier", usize::MAX, json!({"valueIdentifier": {}})), "give 0 to 1"),
        (insert("Patient.active", 0, json!({"valueBoolean": true})), "'active' is no list"),
        (insert("Patient.name.given", 0, text()), "the path leads to 2 elements"),
        (insert("Patient.identifier", 0, json!({"valueHumanName": {}})), "give 'valueIdentifier'"),
        (shift("Patient.name", 0, 2), "'destination' is 2, and the list has 2 elements; give 0 to 1"),
        (shift("Patient.name", 5, 0), "'source' is 5"),
        (replace("Patient.id", json!({"valueId": "q"})), "the id of a resource cannot be changed"),
        (delete("Patient.id"), "the id of a resource cannot be changed"),
        (delete("Patient.meta.versionId"), "set by the server alone"),
        (add("Patient.meta", "lastUpdated", json!({"valueInstant": "2020-01-01T00:00:00Z"})), "set by the server alone"),
        (replace("Patient.meta", json!({"valueMeta": {"versionId": "2"}})), "set by the server alone"),
    ];
    for (operation, expected) in cases {
        let error = patched(&resource, &parameters(&[delete("Patient.gender"), operation.clone()])).unwrap_err();
        assert!(error.to_string().contains(expected), "{operation}: {error}");
        assert_eq!((error.kind, error.operation), (PatchErrorKind::DoesNotApply, Some(1)), "{error}");
        assert_eq!(error.path.as_deref(), operation["part"][1]["valueString"].as_str());
    }
    let same = [replace("Patient.id", json!({"valueId": "p"})), replace("Patient.meta", json!({"valueMeta": {"source": "s"}}))];
    assert!(patched(&resource, &parameters(&same)).unwrap().contains(r#""meta":{"source":"s","versionId":"1"}"#));
}

#[test]
fn what_is_not_understood_is_told() {
    let part = |parts: &[(&str, Value)]| parameters(&[operation(parts)]);
    let text = || json!({"valueString": "x"});
    let [kind_add, path] = kind("add", "Patient");
    let cases = [
        (json!([]), "a FHIRPath Patch is a Parameters resource"),
        (json!({"resourceType": "Patient"}), "a FHIRPath Patch is a Parameters resource"),
        (json!({"resourceType": "Parameters", "parameter": {}}), "'parameter' is not an array"),
        (parameters(&[json!({"name": "x"})]), "not named 'operation'"),
        (parameters(&[json!({"name": "operation"})]), "no array 'part'"),
        (parameters(&[json!({"name": "operation", "part": [7]})]), "'' is no part of an operation; the parts are type, path"),
        (part(&[("pth", text())]), "'pth' is no part of an operation"),
        (part(&[("path", text())]), "the part 'type' is missing"),
        (part(std::slice::from_ref(&kind_add)), "the part 'path' is missing"),
        (part(&[kind_add.clone(), kind_add.clone()]), "the part 'type' stands twice"),
        (part(&[("type", json!({})), path.clone()]), "the part 'type': a value is missing"),
        (part(&[("type", json!({"valueInteger": 1})), path.clone()]), "the part 'type' is not text; give it as 'valueCode'"),
        (part(&[kind_add.clone(), path.clone(), ("value", text())]), "the part 'name' is missing"),
        (part(&[kind_add.clone(), path.clone(), ("name", text())]), "the part 'value' is missing"),
        (
            part(&[kind_add.clone(), path.clone(), ("name", text()), ("value", json!({"valueFoo": 1}))]),
            "the part 'value': 'valueFoo' is no value",
        ),
        (part(&[kind_add, path.clone(), ("name", text()), ("index", text())]), "'add' takes no part 'index'; remove it"),
        (part(&[("type", json!({"valueCode": "upsert"})), path]), "'upsert' is no operation; 'type' is add"),
        (parameters(&[insert("Patient.name[0]", 0, text())]), "does not end in the name of a list"),
        (parameters(&[shift("Patient.name.where(use = 'x')", 0, 1)]), "does not end in the name of a list"),
        (parameters(&[delete("Patient.name.")]), "the path ends too early"),
        (parameters(&[delete("Patient.managingOrganization.resolve().name")]), "does not follow references"),
        (parameters(&[delete("'x'")]), "the path yields a value"),
    ];
    for (patch, expected) in cases {
        let error = patched(&patient(""), &patch).unwrap_err();
        assert!(error.to_string().contains(expected), "{patch}: {error}");
        assert_eq!(error.kind, PatchErrorKind::Malformed, "{error}");
    }
    for index in [json!({"valueInteger": -1}), json!({"valueDecimal": 1.5}), text()] {
        let [kind, path] = kind("insert", "Patient.name");
        let error = patched(&patient(""), &part(&[kind, path, ("index", index), ("value", text())])).unwrap_err();
        assert!(error.to_string().contains("the part 'index' is no index"), "{error}");
    }
    assert_eq!(patched(&patient(""), &json!({"resourceType": "Parameters"})).unwrap(), r#"{"resourceType":"Patient"}"#);
}

#[test]
fn hostile_patches_end_at_a_limit() {
    let many = vec![delete("Patient.active"); limits::PATCH_OPERATIONS_MAX + 1];
    let nested = format!("Patient{}", ".where(name.exists(name".repeat(40));
    let deep = (0..63).fold(
        json!({"name": "extension", "part": [{"name": "url", "valueUri": "u"}]}),
        |inner, _| json!({"name": "extension", "part": [inner]}),
    );
    let cases = [
        (many, "1001 operations; at most 1000"),
        (vec![delete(&format!("Patient.{}", "x".repeat(1_000)))], "1008 characters; at most 1000"),
        (vec![delete(&nested)], "nested more than 20 times"),
        (vec![add("Patient", "extension", json!({"part": [deep]}))], "nested more than 64 levels"),
        (vec![add("Patient", "language", json!({"valueCode": "x".repeat(limits::RESOURCE_BYTES_MAX)}))], "at most 16777216 are accepted"),
        (vec![delete("Patient.name.given.where($this = 'x')")], "over 100001 elements at a time; at most 100000"),
    ];
    let resource = json!({"resourceType": "Patient", "name": [{"given": vec!["x"; limits::PATCH_ELEMENTS_MAX + 1]}]});
    for (operations, expected) in cases {
        let error = patched(&resource, &parameters(&operations)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind, PatchErrorKind::OverLimit, "{error}");
    }
}

#[test]
fn what_is_stored_wrongly_can_be_reached() {
    let resource = json!({"resourceType": "Patient", "nonsense": {"a": [1, 2]}, "name": {"family": "A"}, "birthDate": ["1970"]});
    let after = patched(&resource, &parameters(&[delete("Patient.nonsense.a[0]"), delete("Patient.name"), delete("Patient.birthDate")]));
    assert_eq!(after.unwrap(), r#"{"resourceType":"Patient","nonsense":{"a":[2]}}"#);
    let error = patched(&resource, &parameters(&[add("Patient", "name", json!({"valueHumanName": {}}))])).unwrap_err();
    assert!(error.to_string().contains("'/name' is not a list in the resource's JSON"), "{error}");
    let unknown = json!({"resourceType": "Nonsense", "a": [1]});
    let grown = patched(
        &unknown,
        &parameters(&[add("Nonsense", "a", json!({"valueInteger": 2})), add("Nonsense", "b", json!({"valueCode": "c"}))]),
    );
    assert_eq!(grown.unwrap(), r#"{"resourceType":"Nonsense","a":[1,2],"b":"c"}"#);
}
