//! What R4's definitions say about an element that a patch meets: its names in JSON, its type, whether it is a list.

use serde_json::{Map, Value};

use super::{PatchError, error::cut};
use crate::{
    ResourceType,
    structure::{Element, ElementType, Member, Primitive, Structure},
};

/// Of what type something is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Structure(&'static Structure),
    Primitive(Primitive),
    /// The definitions do not have it.
    Unknown,
}

/// A member of an object, by its name in JSON.
pub(super) struct NamedMember<'a> {
    pub(super) name: &'a str,
    /// `None` if the definitions do not have it.
    pub(super) definition: Option<(&'static Element, &'static Member)>,
}

impl Kind {
    /// That of a resource.
    pub(super) fn of_resource(resource: &Value) -> Self {
        let resource_type = resource.get("resourceType").and_then(Value::as_str).and_then(|name| name.parse::<ResourceType>().ok());
        resource_type.map_or(Self::Unknown, |resource_type| Self::Structure(Structure::of(resource_type)))
    }

    /// That of a member with this value.
    pub(super) fn of(member: &Member, value: Option<&Value>) -> Self {
        match member.element_type() {
            ElementType::Primitive(primitive) => Self::Primitive(primitive),
            ElementType::Code(_) => Self::Primitive(Primitive::Code),
            ElementType::Structure(structure) => Self::Structure(structure),
            ElementType::Resource => value.map_or(Self::Unknown, Self::of_resource),
        }
    }

    /// What it consists of. A primitive has id and extensions, beside its value.
    pub(super) fn structure(self) -> Option<&'static Structure> {
        match self {
            Self::Structure(structure) => Some(structure),
            Self::Primitive(_) => Structure::named("Element"),
            Self::Unknown => None,
        }
    }

    /// For messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Structure(structure) => structure.name(),
            Self::Primitive(primitive) => primitive.name(),
            Self::Unknown => "this element",
        }
    }

    /// Whether it is of the type, or of one that is made from it.
    pub(super) fn is(self, type_name: &str) -> bool {
        match self {
            Self::Structure(structure) => {
                let is_resource = structure.name().parse::<ResourceType>().is_ok();
                structure.name() == type_name
                    || match type_name {
                        "BackboneElement" => structure.name().contains('.'),
                        "Element" => !is_resource,
                        "Resource" => is_resource,
                        "DomainResource" => is_resource && structure.member("contained").is_some(),
                        "Quantity" => is_quantity(structure.name()),
                        _ => false,
                    }
            }
            Self::Primitive(primitive) => {
                let wanted = primitive_named(type_name);
                wanted == Some(primitive) || wanted.is_some() && wanted == base_of(primitive) || type_name == "Element"
            }
            Self::Unknown => false,
        }
    }
}

/// Whether R4 has the type.
pub(super) fn is_type(name: &str) -> bool {
    Structure::named(name).is_some() || primitive_named(name).is_some() || ["Resource", "DomainResource"].contains(&name)
}

/// The quantities that are written like a `Quantity`.
pub(super) fn is_quantity(name: &str) -> bool {
    ["Quantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity"].contains(&name)
}

/// By FHIR's name, or by FHIRPath's, which begins with a capital.
pub(super) fn primitive_named(name: &str) -> Option<Primitive> {
    Primitive::named(name).or_else(|| {
        let (first, rest) = name.split_at_checked(1)?;
        Primitive::named(&(first.to_ascii_lowercase() + rest))
    })
}

fn base_of(primitive: Primitive) -> Option<Primitive> {
    match primitive {
        Primitive::Code | Primitive::Id | Primitive::Markdown => Some(Primitive::String),
        Primitive::Url | Primitive::Canonical | Primitive::Uuid | Primitive::Oid => Some(Primitive::Uri),
        Primitive::UnsignedInt | Primitive::PositiveInt => Some(Primitive::Integer),
        _ => None,
    }
}

/// The members of `object` that FHIRPath calls `name`: of a choice those that are there, otherwise the one, be it there or not.
pub(super) fn members_named<'a>(structure: Option<&'static Structure>, name: &'a str, object: &Map<String, Value>) -> Vec<NamedMember<'a>> {
    let defined = structure.and_then(|structure| defined(structure, name));
    match defined {
        Some(members) => {
            let is_there = |name: &str| object.contains_key(name) || object.contains_key(&format!("_{name}"));
            let is_choice = members.len() > 1;
            let members = members.into_iter().filter(|(_, member)| !is_choice || is_there(member.name()));
            members.map(|(element, member)| NamedMember { name: member.name(), definition: Some((element, member)) }).collect()
        }
        None if object.contains_key(name) && name != "resourceType" && !name.starts_with('_') => {
            vec![NamedMember { name, definition: None }]
        }
        None => Vec::new(),
    }
}

/// The element that FHIRPath calls `name`, with its members in JSON; or the one member that JSON calls so.
pub(super) fn defined(structure: &'static Structure, name: &str) -> Option<Vec<(&'static Element, &'static Member)>> {
    if let Some(place) = structure.elements().iter().position(|element| element.name == name) {
        let members = structure.members().iter().filter(|member| member.index() == place);
        return Some(members.map(|member| (structure.element(member), member)).collect());
    }
    structure.member(name).map(|member| vec![(structure.element(member), member)])
}

/// The refusal of a name that the definitions do not have.
pub(super) fn no_element(kind: Kind, name: &str) -> PatchError {
    let known: Vec<&str> = kind.structure().into_iter().flat_map(Structure::elements).map(|element| element.name).collect();
    PatchError::does_not_apply(
        format!("{} has no element '{}'", kind.name(), cut(name)),
        if known.is_empty() { "name one that it has".to_owned() } else { format!("it has {}", cut(&known.join(", "))) },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_choices_lead_to_what_is_there() {
        let object = json!({"valueString": "x", "_valueInteger": {}, "nonsense": 1, "resourceType": "Observation"});
        let observation = Structure::named("Observation");
        let named = |name| -> Vec<String> {
            members_named(observation, name, object.as_object().unwrap()).iter().map(|member| member.name.to_owned()).collect()
        };
        assert_eq!(named("value"), ["valueInteger", "valueString"]);
        assert_eq!(named("effective"), Vec::<String>::new());
        assert_eq!(named("valueQuantity"), ["valueQuantity"], "JSON's name is taken too");
        assert_eq!(named("nonsense"), ["nonsense"], "what is there can be reached, to remove it");
        for name in ["resourceType", "_valueInteger", "other"] {
            assert_eq!(named(name), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn types_include_what_is_made_from_them() {
        let structure = |name| Kind::Structure(Structure::named(name).unwrap());
        for (kind, name, expected) in [
            (structure("Age"), "Quantity", true),
            (structure("HumanName"), "Element", true),
            (structure("HumanName"), "Resource", false),
            (structure("Patient.contact"), "BackboneElement", true),
            (structure("Patient"), "DomainResource", true),
            (structure("Bundle"), "DomainResource", false),
            (structure("Bundle"), "Resource", true),
            (Kind::Primitive(Primitive::Code), "string", true),
            (Kind::Primitive(Primitive::Code), "String", true),
            (Kind::Primitive(Primitive::String), "code", false),
            (Kind::Primitive(Primitive::DateTime), "DateTime", true),
            (Kind::Unknown, "Element", false),
        ] {
            assert_eq!(kind.is(name), expected, "{} is {name}", kind.name());
        }
        assert!(is_type("Quantity") && is_type("Boolean") && is_type("Resource") && !is_type("quantity") && !is_type("é"));
    }
}
