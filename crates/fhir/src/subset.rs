//! What `_summary` and `_elements` leave of a resource (<https://hl7.org/fhir/R4/search.html#summary>).
//!
//! What is left is as valid as the whole was: what is mandatory stays wherever its parent stays, so do elements that could turn the meaning
//! around, an object is never emptied, and of what is contained that stays to which something still refers.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::{
    ResourceType,
    structure::{Element, ElementType, Structure},
};

const TAG_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
const TAG_CODE: &str = "SUBSETTED";

/// Which part of a resource is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subset {
    /// `_summary=true`: the elements of the summary, at every level.
    Summary,
    /// `_summary=text`: narrative, id, meta and what is mandatory at the top.
    Text,
    /// `_summary=data`: all but the narrative.
    Data,
    /// `_elements`.
    Elements(Elements),
}

/// The elements that `_elements` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elements {
    /// Whose, if it was said, and the name as in the definition: `value`, not `valueQuantity`.
    names: Vec<(Option<ResourceType>, &'static str)>,
}

/// A name in `_elements` is no element.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "'_elements': {} is no top-level element of {}: give names such as 'status' or 'value', separated by commas",
    .names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", "), .of
)]
pub struct UnknownElements {
    /// The names, clipped; at most ten.
    pub names: Vec<String>,
    /// Of what they were expected to be elements.
    pub of: String,
}

impl Elements {
    /// Reads `_elements`: `name,birthDate`, for a choice `value` or `valueQuantity`, with or without a type before it, `Patient.name`.
    ///
    /// A name without type must be an element of at least one of `types`, those that the answer may hold.
    ///
    /// # Errors
    /// [`UnknownElements`]; an empty name is one too.
    pub fn parse(list: &str, types: &[ResourceType]) -> Result<Self, UnknownElements> {
        let (mut names, mut unknown) = (Vec::new(), Vec::new());
        for name in list.split(',').map(str::trim) {
            let (owner, bare) = match name.split_once('.').map(|(owner, bare)| (owner.parse::<ResourceType>(), bare)) {
                Some((Ok(owner), bare)) => (Some(owner), bare),
                _ => (None, name),
            };
            // No element, yet clients name it; it stays anyway, as the id does.
            let bare = if bare == "resourceType" { "id" } else { bare };
            let owners = owner.as_slice().iter().chain(if owner.is_none() { types } else { &[] });
            match owners.filter(|owner| types.contains(owner)).find_map(|owner| element_named(Structure::of(*owner), bare)) {
                // More than once is once: the list does not grow with what is sent.
                Some(element) if !names.contains(&(owner, element.name)) => names.push((owner, element.name)),
                Some(_) => {}
                None if unknown.len() < 10 => unknown.push(name.chars().take(60).collect()),
                None => {}
            }
        }
        if unknown.is_empty() { Ok(Self { names }) } else { Err(UnknownElements { names: unknown, of: listed(types) }) }
    }

    /// Whether anything was said about this type; if not, its resources stay whole.
    fn concern(&self, resource_type: ResourceType) -> bool {
        self.names.iter().any(|(owner, _)| owner.is_none_or(|owner| owner == resource_type))
    }

    fn contain(&self, resource_type: ResourceType, element: &Element) -> bool {
        self.names.iter().any(|(owner, name)| *name == element.name && owner.is_none_or(|owner| owner == resource_type))
    }
}

impl Subset {
    /// The subset that `_summary` asks for. `false` and `count` are none: everything, and nothing but a number.
    #[must_use]
    pub fn of_summary(word: &str) -> Option<Self> {
        match word {
            "true" => Some(Self::Summary),
            "text" => Some(Self::Text),
            "data" => Some(Self::Data),
            _ => None,
        }
    }

    /// Leaves the subset of a resource and tags it as incomplete. Members keep their order, numbers their digits.
    pub fn apply(&self, resource_type: ResourceType, resource: &mut Map<String, Value>) {
        let structure = Structure::of(resource_type);
        match self {
            Self::Summary => {
                resource.retain(|name, value| {
                    is_frame(name)
                        || element_of(structure, name).is_some_and(in_summary) && {
                            summarize(value, structure, name);
                            true
                        }
                });
                drop_unreferenced(resource);
            }
            Self::Text => {
                resource.retain(|name, _| {
                    is_frame(name) || name == "text" || element_of(structure, name).is_some_and(|element| element.is_required)
                });
                drop_unreferenced(resource);
            }
            Self::Data => {
                resource.shift_remove("text");
            }
            Self::Elements(elements) if elements.concern(resource_type) => {
                let is_asked = resource.contains_key("contained") && elements.names.iter().any(|(_, name)| *name == "contained");
                let stays = |element: &Element| element.is_required || element.is_modifier || elements.contain(resource_type, element);
                resource.retain(|name, _| is_frame(name) || element_of(structure, name).is_some_and(stays));
                if !is_asked {
                    drop_unreferenced(resource);
                }
            }
            Self::Elements(_) => return,
        }
        tag(resource);
    }
}

/// What every subset has; and what is contained, until it is known who refers to it.
fn is_frame(name: &str) -> bool {
    matches!(name, "resourceType" | "id" | "meta" | "contained")
}

fn element_of(structure: &'static Structure, name: &str) -> Option<&'static Element> {
    structure.member(name.strip_prefix('_').unwrap_or(name)).map(|member| structure.element(member))
}

/// By its name in the definition or in JSON.
fn element_named(structure: &'static Structure, name: &str) -> Option<&'static Element> {
    let by_definition = structure.elements().iter().find(|element| element.name == name);
    by_definition.or_else(|| structure.member(name).map(|member| structure.element(member)))
}

fn in_summary(element: &Element) -> bool {
    element.is_summary || element.is_required || element.is_modifier
}

/// Takes out of the value of a member what is not in the summary.
fn summarize(value: &mut Value, structure: &'static Structure, name: &str) {
    match (structure.member(name).map(|member| member.element_type()), value) {
        // An extension means nothing in parts; only those that modify come here.
        (Some(ElementType::Structure(inner)), _) if inner.name() == "Extension" => {}
        (Some(ElementType::Structure(inner)), Value::Array(items)) => items.iter_mut().for_each(|item| summarize_object(item, inner)),
        (Some(ElementType::Structure(inner)), value) => summarize_object(value, inner),
        // Resources within stay as they are: their elements were not asked about.
        (Some(ElementType::Primitive(_) | ElementType::Code(_) | ElementType::Resource) | None, _) => {}
    }
}

fn summarize_object(value: &mut Value, structure: &'static Structure) {
    let Value::Object(object) = value else { return };
    let stays = |name: &str| element_of(structure, name).is_some_and(in_summary);
    // Nothing would be left of it: an empty object is not FHIR.
    if !object.keys().any(|name| stays(name)) {
        return;
    }
    object.retain(|name, value| {
        stays(name) && {
            summarize(value, structure, name);
            true
        }
    });
}

/// Removes what is contained and not needed by what is left.
fn drop_unreferenced(resource: &mut Map<String, Value>) {
    let Some(Value::Array(mut contained)) = resource.get_mut("contained").map(Value::take) else {
        resource.shift_remove("contained");
        return;
    };
    let mut is_kept = vec![false; contained.len()];
    {
        let mut by_id: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, inner) in contained.iter().enumerate() {
            by_id.entry(inner.get("id").and_then(Value::as_str).unwrap_or_default()).or_default().push(index);
        }
        let mut wanted = Vec::new();
        resource.values().for_each(|value| collect_local(value, &mut wanted));
        // One that is needed may need others. Each id is followed once, since it is taken out.
        while let Some(id) = wanted.pop() {
            for index in by_id.remove(id).unwrap_or_default() {
                is_kept[index] = true;
                collect_local(&contained[index], &mut wanted);
            }
        }
    }
    let mut is_kept = is_kept.into_iter();
    contained.retain(|_| is_kept.next().unwrap_or(false));
    if contained.is_empty() {
        resource.shift_remove("contained");
    } else {
        resource.insert("contained".to_owned(), Value::Array(contained));
    }
}

/// The `x` of each `#x`.
fn collect_local<'v>(value: &'v Value, ids: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => ids.extend(text.strip_prefix('#')),
        Value::Array(items) => items.iter().for_each(|item| collect_local(item, ids)),
        Value::Object(members) => members.values().for_each(|member| collect_local(member, ids)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Says that this is not the whole, so that nobody stores it over the whole.
fn tag(resource: &mut Map<String, Value>) {
    if !resource.get("meta").is_some_and(Value::is_object) {
        let after_id = resource.keys().take_while(|name| matches!(name.as_str(), "resourceType" | "id")).count();
        resource.shift_remove("meta");
        resource.shift_insert(after_id.min(resource.len()), "meta".to_owned(), json!({}));
    }
    let Some(Value::Object(meta)) = resource.get_mut("meta") else { return };
    let tags = meta.entry("tag").or_insert_with(|| json!([]));
    if let Value::Array(tags) = tags
        && !tags.iter().any(|tag| tag["system"] == TAG_SYSTEM && tag["code"] == TAG_CODE)
    {
        tags.push(json!({ "system": TAG_SYSTEM, "code": TAG_CODE, "display": "subsetted" }));
    }
}

fn listed(types: &[ResourceType]) -> String {
    match types {
        [one] => one.to_string(),
        [first, second] => format!("{first} or {second}"),
        _ => "any type that the answer may hold".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Resource, validate};

    const TAG: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED","display":"subsetted"}"#;

    fn left(subset: &Subset, json: &str) -> String {
        let Value::Object(mut resource) = serde_json::from_str(json).unwrap() else { panic!("{json}") };
        let resource_type = resource["resourceType"].as_str().unwrap().parse().unwrap();
        subset.apply(resource_type, &mut resource);
        let text = Value::Object(resource).to_string();
        let parsed = Resource::parse(text.as_bytes()).unwrap();
        assert_eq!(validate(&parsed), Vec::new(), "what is left is valid: {text}");
        text.replace(TAG, "TAG")
    }

    fn elements(list: &str, of: &str) -> Result<Subset, UnknownElements> {
        let types: Vec<ResourceType> = of.split(',').map(|name| name.parse().unwrap()).collect();
        Elements::parse(list, &types).map(Subset::Elements)
    }

    const PATIENT: &str = r##"{"resourceType":"Patient","id":"p","meta":{"versionId":"2","profile":["x"]},"text":{"status":"empty","div":"<div>x</div>"},
        "contained":[{"resourceType":"Organization","id":"o","name":"O","partOf":{"reference":"#q"}},{"resourceType":"Organization","id":"q","name":"Q"},
        {"resourceType":"Practitioner","id":"d"}],"active":true,"name":[{"family":"F","extension":[{"url":"u","valueDecimal":1.50}]}],
        "birthDate":"1990","_birthDate":{"extension":[{"url":"u","valueDecimal":1.50}]},"maritalStatus":{"text":"m"},
        "generalPractitioner":[{"reference":"#d"}],"managingOrganization":{"reference":"#o"},"link":[{"other":{"display":"y"},"type":"refer"}]}"##;

    #[test]
    fn a_summary_has_what_the_definition_marks_at_every_level() {
        assert_eq!(
            left(&Subset::Summary, PATIENT),
            r##"{"resourceType":"Patient","id":"p","meta":{"versionId":"2","profile":["x"],"tag":[TAG]},"contained":[{"resourceType":"Organization","id":"o","name":"O","partOf":{"reference":"#q"}},{"resourceType":"Organization","id":"q","name":"Q"}],"active":true,"name":[{"family":"F"}],"birthDate":"1990","_birthDate":{"extension":[{"url":"u","valueDecimal":1.50}]},"managingOrganization":{"reference":"#o"},"link":[{"other":{"display":"y"},"type":"refer"}]}"##
        );
        let cases = [
            // An Attachment's data is not in the summary, what is mandatory is, and so is what modifies.
            (
                r#"{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"contentType":"a/b","data":"QUJD","title":"t"}}]}"#,
                r#"{"resourceType":"DocumentReference","meta":{"tag":[TAG]},"status":"current","content":[{"attachment":{"contentType":"a/b","title":"t"}}]}"#,
            ),
            (
                r#"{"resourceType":"Provenance","id":"v","target":[{"display":"t"}],"recorded":"2024-01-01T00:00:00Z","activity":{"text":"a"},"agent":[{"role":[{"text":"r"}],"who":{"display":"w"}}]}"#,
                r#"{"resourceType":"Provenance","id":"v","meta":{"tag":[TAG]},"target":[{"display":"t"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"w"}}]}"#,
            ),
            (
                r#"{"resourceType":"Basic","code":{"text":"c"},"extension":[{"url":"u","valueCode":"c"}],"modifierExtension":[{"url":"u","valueCode":"c"}]}"#,
                r#"{"resourceType":"Basic","meta":{"tag":[TAG]},"code":{"text":"c"},"modifierExtension":[{"url":"u","valueCode":"c"}]}"#,
            ),
            // Nothing would be left of the code: it stays whole.
            (
                r#"{"resourceType":"Basic","code":{"extension":[{"url":"u","valueCode":"c"}]}}"#,
                r#"{"resourceType":"Basic","meta":{"tag":[TAG]},"code":{"extension":[{"url":"u","valueCode":"c"}]}}"#,
            ),
        ];
        for (whole, expected) in cases {
            assert_eq!(left(&Subset::Summary, whole), expected);
        }
    }

    #[test]
    fn text_and_data_part_the_narrative_from_the_rest() {
        assert_eq!(
            left(&Subset::Text, PATIENT),
            r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"2","profile":["x"],"tag":[TAG]},"text":{"status":"empty","div":"<div>x</div>"}}"#
        );
        let data = left(&Subset::Data, PATIENT);
        assert!(!data.contains("<div>") && data.contains("maritalStatus") && data.contains(r##""reference":"#d""##), "{data}");
        assert!(
            left(&Subset::Text, r#"{"resourceType":"Basic","code":{"text":"c"},"author":{"display":"x"}}"#)
                .ends_with(r#""code":{"text":"c"}}"#)
        );
    }

    #[test]
    fn named_elements_stay_with_what_is_mandatory_or_modifies() {
        let observation = r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"valueQuantity":{"value":1.50},"_issued":{"id":"x"},"note":[{"text":"n"}]}"#;
        for list in ["value", "valueQuantity", " value , value", "Observation.value"] {
            assert_eq!(
                left(&elements(list, "Observation").unwrap(), observation),
                r#"{"resourceType":"Observation","meta":{"tag":[TAG]},"status":"final","code":{"text":"c"},"valueQuantity":{"value":1.50}}"#,
                "{list}"
            );
        }
        let name = left(&elements("name", "Patient").unwrap(), PATIENT);
        assert!(name.contains(r#""active":true,"name":[{"family":"F","extension""#) && name.ends_with(r#""type":"refer"}]}"#), "{name}");
        assert!(!name.contains("birthDate") && !name.contains("contained"), "{name}");
        let contained = left(&elements("contained", "Patient").unwrap(), PATIENT);
        assert!(contained.contains(r#""id":"d""#) && !contained.contains("birthDate"), "{contained}");
    }

    #[test]
    fn elements_of_one_type_leave_the_others_whole() {
        let subset = elements("Patient.name", "Patient,Observation").unwrap();
        let basic = r#"{"resourceType":"Basic","code":{"text":"c"},"created":"2024"}"#;
        assert_eq!(left(&subset, basic), basic);
        assert!(!left(&subset, PATIENT).contains("birthDate"));
        assert!(
            !left(&elements("name,status", "Patient,Observation").unwrap(), PATIENT).contains("birthDate"),
            "each name is known to one of them"
        );
    }

    #[test]
    fn names_that_are_no_elements_are_named() {
        let message = |list: &str, of: &str| elements(list, of).unwrap_err().to_string();
        assert!(message("name,nmae,name.family", "Patient").contains("'nmae', 'name.family' is no top-level element of Patient"));
        for list in ["", "name,", "Observation.name", "Patient.status", "Foo.name", "resourcetype"] {
            assert!(elements(list, "Patient").is_err(), "{list:?}");
        }
        assert_eq!(elements("resourceType", "Patient").unwrap(), elements("id", "Patient").unwrap(), "what stays anyway may be named");
        assert!(message("x", "Patient,Observation").contains("of Patient or Observation"));
        assert!(message(&vec!["x".repeat(1_000); 1_000].join(","), "Patient").len() < 1_000);
    }

    #[test]
    fn the_tag_is_added_once_beside_others() {
        let tagged = format!(r#"{{"resourceType":"Basic","meta":{{"tag":[{{"code":"a"}},{TAG}]}},"code":{{"text":"c"}}}}"#);
        assert_eq!(left(&Subset::Data, &tagged), tagged.replace(TAG, "TAG"));
        let other = r#"{"resourceType":"Basic","id":"b","code":{"text":"c"},"meta":{"tag":[{"code":"a"}]}}"#;
        assert_eq!(left(&Subset::Data, other), other.replace(r#""a"}"#, r#""a"},TAG"#));
    }

    #[test]
    fn summaries_go_by_their_words() {
        assert_eq!(["true", "text", "data"].map(Subset::of_summary), [Some(Subset::Summary), Some(Subset::Text), Some(Subset::Data)]);
        assert_eq!(["false", "count", "True", ""].map(Subset::of_summary), [None, None, None, None]);
    }
}
