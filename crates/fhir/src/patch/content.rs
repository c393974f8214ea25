//! The value that an operation of a FHIRPath Patch brings, and its JSON at the place where it is to go.
//!
//! It is a `value[x]`, a `resource`, or, for what has no name of its own, parts within parts
//! (<https://hl7.org/fhir/R4/fhirpatch.html#anonymous>).

use serde_json::{Map, Value};

use super::{
    PatchError,
    error::cut,
    kind::{Kind, defined, is_quantity, no_element, primitive_named},
};
use crate::{
    limits,
    structure::{Element, ElementType, Member, Primitive, Structure},
};

/// A value as the patch gives it.
#[derive(Debug)]
pub(super) enum Content<'a> {
    /// `valueHumanName`, or of a primitive also `_valueString`; the type as the name ends.
    Typed { type_name: &'a str, value: Option<&'a Value>, extra: Option<&'a Value> },
    /// `part`
    Parts(&'a [Value]),
    /// `resource`
    Resource(&'a Value),
}

/// A value as JSON has it: of a primitive, id and extensions lie apart.
#[derive(Debug, Default)]
pub(super) struct NewElement {
    pub(super) value: Option<Value>,
    pub(super) extra: Option<Value>,
}

/// An element of the definitions, by one of its names in JSON.
pub(super) type Definition = (&'static Element, &'static Member);

impl<'a> Content<'a> {
    /// Takes it out of a part.
    pub(super) fn parse(part: &'a Map<String, Value>) -> Result<Self, PatchError> {
        let parameter = Structure::named("Parameters.parameter");
        let mut typed: Option<(&str, Option<&Value>, Option<&Value>)> = None;
        for (name, content) in part {
            let (json_name, is_extra) = name.strip_prefix('_').map_or((name.as_str(), false), |name| (name, true));
            let Some(type_name) = json_name.strip_prefix("value") else { continue };
            if parameter.is_none_or(|parameter| parameter.member(json_name).is_none()) {
                return Err(PatchError::malformed(format!("'{}' is no value of a parameter", cut(name)), "write it like 'valueString'"));
            }
            let (other, value, extra) = typed.get_or_insert((type_name, None, None));
            if *other != type_name {
                return Err(several_values());
            }
            *(if is_extra { extra } else { value }) = Some(content);
        }
        match (typed, part.get("part"), part.get("resource")) {
            (Some((type_name, value, extra)), None, None) => Ok(Self::Typed { type_name, value, extra }),
            (None, Some(Value::Array(parts)), None) => Ok(Self::Parts(parts)),
            (None, Some(_), None) => Err(PatchError::malformed("'part' is not an array", "it has an object for each element")),
            (None, None, Some(resource)) => Ok(Self::Resource(resource)),
            (None, None, None) => Err(PatchError::malformed(
                "a value is missing",
                "give it as value[x], such as 'valueString', as 'resource', or, for what has no type of its own, as 'part'",
            )),
            _ => Err(several_values()),
        }
    }

    /// Which element of `owner` it is that FHIRPath calls `name`; of a choice, the type of this value decides. `None` if the definitions do
    /// not have the owner.
    pub(super) fn definition(&self, owner: Kind, name: &str) -> Result<Option<Definition>, PatchError> {
        let Some(structure) = owner.structure() else {
            return Ok(None);
        };
        let candidates = defined(structure, name).ok_or_else(|| no_element(owner, name))?;
        if let [only] = candidates.as_slice() {
            return Ok(Some(*only));
        }
        let by_type = |type_name: &str| {
            let json_name = format!("{name}{type_name}");
            candidates.iter().find(|(_, member)| member.name() == json_name).copied()
        };
        let chosen = match self {
            Self::Typed { type_name, .. } => by_type(type_name),
            Self::Parts(_) | Self::Resource(_) => None,
        };
        chosen.map(Some).ok_or_else(|| {
            let types: Vec<&str> = candidates.iter().filter_map(|(_, member)| member.name().strip_prefix(name)).collect();
            PatchError::does_not_apply(
                format!("'{}' of {} cannot be {}", cut(name), owner.name(), self.shown()),
                format!("its type is one of {}: give 'value' with the type in its name", cut(&types.join(", "))),
            )
        })
    }

    /// The JSON, for an element of the definitions, or for one that they do not have.
    pub(super) fn build(&self, definition: Option<Definition>) -> Result<NewElement, PatchError> {
        self.build_within(definition, limits::JSON_DEPTH_MAX)
    }

    fn build_within(&self, definition: Option<Definition>, levels: usize) -> Result<NewElement, PatchError> {
        let Some((_, member)) = definition else {
            return match self {
                Self::Typed { value, extra, .. } => Ok(NewElement { value: value.cloned(), extra: extra.cloned() }),
                Self::Parts(parts) => Ok(NewElement { value: Some(object_of(parts, Kind::Unknown, levels)?), extra: None }),
                Self::Resource(resource) => Ok(NewElement { value: Some((*resource).clone()), extra: None }),
            };
        };
        let wrong = || {
            let expected = expected_for(member.element_type());
            PatchError::does_not_apply(format!("'{}' cannot be {}", member.name(), self.shown()), expected)
        };
        let primitive = match member.element_type() {
            ElementType::Primitive(primitive) => primitive,
            ElementType::Code(_) => Primitive::Code,
            ElementType::Structure(structure) => {
                let value = match self {
                    Self::Typed { type_name, value: Some(value @ Value::Object(_)), extra: None }
                        if *type_name == structure.name() || is_quantity(type_name) && is_quantity(structure.name()) =>
                    {
                        (*value).clone()
                    }
                    Self::Parts(parts) => object_of(parts, Kind::Structure(structure), levels)?,
                    _ => return Err(wrong()),
                };
                return Ok(NewElement { value: Some(value), extra: None });
            }
            ElementType::Resource => {
                return match self {
                    Self::Resource(resource) if resource.get("resourceType").is_some() => {
                        Ok(NewElement { value: Some((*resource).clone()), extra: None })
                    }
                    _ => Err(wrong()),
                };
            }
        };
        match self {
            Self::Typed { type_name, value, extra } => {
                let is_of_kind = primitive_named(type_name).is_some_and(|given| JsonKind::of(given) == JsonKind::of(primitive))
                    && value.is_none_or(|value| JsonKind::of(primitive).has(value))
                    && extra.is_none_or(Value::is_object);
                if is_of_kind { Ok(NewElement { value: value.cloned(), extra: extra.cloned() }) } else { Err(wrong()) }
            }
            Self::Parts(parts) => Ok(NewElement { value: None, extra: Some(object_of(parts, Kind::Primitive(primitive), levels)?) }),
            Self::Resource(_) => Err(wrong()),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Typed { type_name, .. } => format!("a value{}", cut(type_name)),
            Self::Parts(_) => "given as parts".to_owned(),
            Self::Resource(_) => "a resource".to_owned(),
        }
    }
}

/// How JSON writes a primitive.
#[derive(PartialEq)]
enum JsonKind {
    Boolean,
    Number,
    Text,
}

impl JsonKind {
    fn of(primitive: Primitive) -> Self {
        match primitive {
            Primitive::Boolean => Self::Boolean,
            Primitive::Decimal | Primitive::Integer | Primitive::UnsignedInt | Primitive::PositiveInt => Self::Number,
            Primitive::Base64Binary
            | Primitive::Canonical
            | Primitive::Code
            | Primitive::Date
            | Primitive::DateTime
            | Primitive::Id
            | Primitive::Instant
            | Primitive::Markdown
            | Primitive::Oid
            | Primitive::String
            | Primitive::Time
            | Primitive::Uri
            | Primitive::Url
            | Primitive::Uuid
            | Primitive::Xhtml => Self::Text,
        }
    }

    fn has(&self, value: &Value) -> bool {
        match self {
            Self::Boolean => value.is_boolean(),
            Self::Number => value.is_number(),
            Self::Text => value.is_string(),
        }
    }
}

/// An object from parts, each of which is an element of it.
fn object_of(parts: &[Value], owner: Kind, levels: usize) -> Result<Value, PatchError> {
    let Some(levels) = levels.checked_sub(1) else {
        return Err(PatchError::over_limit(
            format!("the parts are nested more than {} levels deep", limits::JSON_DEPTH_MAX),
            "let them lie less deep within each other",
        ));
    };
    let mut members = Map::new();
    for part in parts {
        let name = part.get("name").and_then(Value::as_str);
        let (Value::Object(part), Some(name)) = (part, name) else {
            return Err(PatchError::malformed("a part has no name", r#"write it like {"name": "text", "valueString": "…"}"#));
        };
        let content = Content::parse(part)?;
        let definition = content.definition(owner, name)?;
        let new = content.build_within(definition, levels)?;
        let json_name = definition.map_or(name, |(_, member)| member.name());
        let extra_name = format!("_{json_name}");
        if definition.is_some_and(|(element, _)| element.repeats) {
            let count = list(&mut members, json_name).len().max(list(&mut members, &extra_name).len());
            push(&mut members, json_name, count, new.value);
            push(&mut members, &extra_name, count, new.extra);
            continue;
        }
        if members.contains_key(json_name) || members.contains_key(&extra_name) {
            return Err(PatchError::malformed(format!("the part '{}' stands twice", cut(name)), "there is only one: give one"));
        }
        members.extend(new.value.map(|value| (json_name.to_owned(), value)));
        members.extend(new.extra.map(|extra| (extra_name, extra)));
    }
    if members.is_empty() {
        return Err(PatchError::malformed("there are no parts", "give a part for each element"));
    }
    Ok(Value::Object(members))
}

fn list<'m>(members: &'m mut Map<String, Value>, name: &str) -> &'m [Value] {
    members.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Puts an item at `index`, or nothing where there is nothing to keep in step with.
fn push(members: &mut Map<String, Value>, name: &str, index: usize, item: Option<Value>) {
    if item.is_none() && !members.contains_key(name) {
        return;
    }
    if let Value::Array(items) = members.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
        items.resize(index, Value::Null);
        items.push(item.unwrap_or_default());
    }
}

fn expected_for(element_type: ElementType) -> String {
    match element_type {
        ElementType::Primitive(Primitive::Xhtml) => "give 'valueString'".to_owned(),
        ElementType::Primitive(primitive) => {
            let (first, rest) = primitive.name().split_at(1);
            format!("give 'value{}{rest}'", first.to_ascii_uppercase())
        }
        ElementType::Code(_) => "give 'valueCode'".to_owned(),
        ElementType::Structure(structure) if is_value(structure) => format!("give 'value{}'", structure.name()),
        ElementType::Structure(structure) => format!("give the elements of {} as 'part'", structure.name()),
        ElementType::Resource => "give a resource with its type, as 'resource'".to_owned(),
    }
}

fn is_value(structure: &Structure) -> bool {
    Structure::named("Parameters.parameter").is_some_and(|parameter| parameter.member(&format!("value{}", structure.name())).is_some())
}

fn several_values() -> PatchError {
    PatchError::malformed("there is more than one value", "give one: value[x], 'resource' or 'part'")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn built(structure: &str, name: &str, part: &Value) -> Result<String, String> {
        let build = || {
            let content = Content::parse(part.as_object().unwrap())?;
            let definition = content.definition(Kind::Structure(Structure::named(structure).unwrap()), name)?.unwrap();
            let new = content.build(Some(definition))?;
            Ok(json!({definition.1.name(): new.value, format!("_{}", definition.1.name()): new.extra}).to_string())
        };
        build().map_err(|error: PatchError| error.to_string())
    }

    #[test]
    fn values_become_the_json_of_their_element() {
        let cases = [
            ("Patient", "birthDate", json!({"valueDate": "1970"}), r#"{"birthDate":"1970","_birthDate":null}"#),
            ("Patient", "birthDate", json!({"_valueDate": {"id": "x"}}), r#"{"birthDate":null,"_birthDate":{"id":"x"}}"#),
            ("Patient", "gender", json!({"valueString": "male"}), r#"{"gender":"male","_gender":null}"#),
            ("Narrative", "div", json!({"valueString": "<div/>"}), r#"{"div":"<div/>","_div":null}"#),
            ("Observation", "value", json!({"valueQuantity": {"value": 1}}), r#"{"valueQuantity":{"value":1},"_valueQuantity":null}"#),
            ("Observation", "valueQuantity", json!({"valueAge": {"value": 1}}), r#"{"valueQuantity":{"value":1},"_valueQuantity":null}"#),
            (
                "Patient",
                "contained",
                json!({"resource": {"resourceType": "Basic"}}),
                r#"{"contained":{"resourceType":"Basic"},"_contained":null}"#,
            ),
            (
                "Patient",
                "contact",
                json!({"part": [
                    {"name": "relationship", "valueCodeableConcept": {"text": "r"}},
                    {"name": "name", "part": [{"name": "given", "valueString": "A"}, {"name": "given", "valueString": "B", "_valueString": {"id": "b"}}]},
                    {"name": "gender", "valueCode": "male"},
                ]}),
                r#"{"contact":{"relationship":[{"text":"r"}],"name":{"given":["A","B"],"_given":[null,{"id":"b"}]},"gender":"male"},"_contact":null}"#,
            ),
            (
                "Specimen",
                "processing",
                json!({"part": [
                    {"name": "time", "valueDateTime": "2020"},
                    {"name": "extension", "part": [{"name": "url", "valueUri": "u"}, {"name": "value", "valueReference": {"reference": "Device/1"}}]},
                ]}),
                r#"{"processing":{"timeDateTime":"2020","extension":[{"url":"u","valueReference":{"reference":"Device/1"}}]},"_processing":null}"#,
            ),
            (
                "Patient",
                "birthDate",
                json!({"part": [{"name": "extension", "part": [{"name": "url", "valueUri": "u"}]}]}),
                r#"{"birthDate":null,"_birthDate":{"extension":[{"url":"u"}]}}"#,
            ),
        ];
        for (structure, name, part, expected) in cases {
            assert_eq!(built(structure, name, &part).as_deref(), Ok(expected), "{structure}.{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let cases = [
            ("Patient", "birthDate", json!({"valueBoolean": true}), "'birthDate' cannot be a valueBoolean; give 'valueDate'"),
            ("Patient", "birthDate", json!({"valueDate": 1970}), "'birthDate' cannot be a valueDate"),
            ("Patient", "birthDate", json!({"valueDate": null}), "'birthDate' cannot be a valueDate"),
            ("Patient", "active", json!({"valueString": "true"}), "give 'valueBoolean'"),
            ("Patient", "name", json!({"valueIdentifier": {}}), "'name' cannot be a valueIdentifier; give 'valueHumanName'"),
            ("Patient", "name", json!({"valueHumanName": "x"}), "'name' cannot be a valueHumanName"),
            ("Patient", "contact", json!({"valueHumanName": {}}), "give the elements of Patient.contact as 'part'"),
            ("Patient", "contained", json!({"valueString": "x"}), "give a resource"),
            ("Patient", "contained", json!({"resource": {}}), "give a resource with its type"),
            ("Patient", "gendre", json!({"valueCode": "x"}), "Patient has no element 'gendre'"),
            ("Patient", "resourceType", json!({"valueCode": "x"}), "Patient has no element 'resourceType'"),
            ("Patient", "contact", json!({"part": [{"name": "nme", "valueString": "x"}]}), "Patient.contact has no element 'nme'"),
            ("Patient", "contact", json!({"part": [{"valueString": "x"}]}), "a part has no name"),
            ("Patient", "contact", json!({"part": ["x"]}), "a part has no name"),
            ("Patient", "contact", json!({"part": {}}), "'part' is not an array"),
            ("Patient", "contact", json!({"part": []}), "there are no parts"),
            (
                "Patient",
                "contact",
                json!({"part": [{"name": "gender", "valueCode": "x"}, {"name": "gender", "valueCode": "x"}]}),
                "'gender' stands twice",
            ),
            (
                "Observation",
                "value",
                json!({"valueAddress": {}}),
                "'value' of Observation cannot be a valueAddress; its type is one of Boolean, ",
            ),
            ("Observation", "value", json!({"part": []}), "cannot be given as parts"),
            ("Patient", "gender", json!({"valueFoo": 1}), "'valueFoo' is no value of a parameter"),
            ("Patient", "gender", json!({"valueCode": "x", "valueString": "x"}), "more than one value"),
            ("Patient", "gender", json!({"valueCode": "x", "part": []}), "more than one value"),
            ("Patient", "gender", json!({"name": "value"}), "a value is missing"),
        ];
        for (structure, name, part, expected) in cases {
            let message = built(structure, name, &part).unwrap_err();
            assert!(message.contains(expected), "{part}: {message}");
        }
    }

    #[test]
    fn parts_within_parts_end_at_the_limit() {
        let nested = |times: usize| {
            (0..times).fold(
                json!({"name": "extension", "part": [{"name": "url", "valueUri": "u"}]}),
                |inner, _| json!({"name": "extension", "part": [inner]}),
            )
        };
        assert!(built("Patient", "extension", &nested(63)).is_ok());
        assert!(built("Patient", "extension", &nested(64)).unwrap_err().contains("nested more than 64"));
    }
}
