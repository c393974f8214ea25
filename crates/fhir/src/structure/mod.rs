//! Of what elements R4's resources and data types consist: names, types, cardinality, summary and modifier flags, codes of required bindings.
//!
//! The facts are in `r4.txt`, which `cargo xtask codegen structure` makes from HL7's StructureDefinitions; it is read once, when first asked.

mod primitive;
mod table;

use std::fmt;

pub use primitive::Primitive;
use table::TABLE;

use crate::ResourceType;

/// A resource, a data type, or a part of one such as `Observation.component`.
#[derive(Default)]
pub struct Structure {
    name: &'static str,
    elements: Vec<Element>,
    /// Sorted by name.
    members: Vec<Member>,
    required: u64,
}

/// One element of a [`Structure`]. A choice such as `value[x]` is one element with a [`Member`] for each of its types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its name; of a choice without `[x]`.
    pub name: &'static str,
    /// Whether the JSON name ends with the type: `value[x]`.
    pub is_choice: bool,
    /// Whether at least one must be there.
    pub is_required: bool,
    /// Whether there may be several, so that JSON has an array.
    pub repeats: bool,
    /// Whether it belongs to the summary.
    pub is_summary: bool,
    /// Whether it may turn the meaning of others around, so that it must not be left out unseen.
    pub is_modifier: bool,
}

/// What an element is called in JSON, and of what type it is then: `valueQuantity`, for example.
pub struct Member {
    name: &'static str,
    element: u8,
    kind: Kind,
}

/// As [`ElementType`], by place in the table.
#[derive(Clone, Copy)]
enum Kind {
    Primitive(Primitive),
    Code(u16),
    Structure(u16),
    Resource,
}

/// Of what type a member is.
#[derive(Clone, Copy, Debug)]
pub enum ElementType {
    /// A string, number or boolean of a certain form.
    Primitive(Primitive),
    /// A code of a value set and of no other.
    Code(&'static ValueSet),
    /// A data type or a part.
    Structure(&'static Structure),
    /// Any resource: `contained`, `Bundle.entry.resource`.
    Resource,
}

/// The codes that a required binding allows.
#[derive(Default)]
pub struct ValueSet {
    name: &'static str,
    /// In HL7's order.
    codes: Vec<&'static str>,
}

impl Structure {
    /// That of a resource.
    #[must_use]
    pub fn of(resource_type: ResourceType) -> &'static Self {
        TABLE.of(resource_type)
    }

    /// By name: `Patient`, `HumanName`, `Observation.component`. What another part is made of goes by that part's name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLE.named(name)
    }

    /// As [`Structure::named`] takes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// In the order of the definition, with what is inherited first. At most 64.
    #[must_use]
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// Every name that JSON may have here, in alphabetical order, without `_name` and `resourceType`.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What `name` is in JSON.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        let place = self.members.binary_search_by(|member| member.name.cmp(name)).ok()?;
        self.members.get(place)
    }

    /// The element to which one of the own members belongs.
    #[must_use]
    pub fn element(&self, member: &Member) -> &Element {
        &self.elements[member.index()]
    }

    /// The required elements: bit n stands for element n.
    #[must_use]
    pub fn required(&self) -> u64 {
        self.required
    }
}

impl Member {
    /// The name in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The place of its element in [`Structure::elements`].
    #[must_use]
    pub fn index(&self) -> usize {
        usize::from(self.element)
    }

    /// The type.
    #[must_use]
    pub fn element_type(&self) -> ElementType {
        TABLE.resolve(self.kind)
    }
}

impl ValueSet {
    /// The last part of its URL: `administrative-gender`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// In HL7's order.
    #[must_use]
    pub fn codes(&self) -> &[&'static str] {
        &self.codes
    }
}

impl fmt::Debug for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Structure({})", self.name)
    }
}

impl fmt::Debug for ValueSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueSet({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(name: &str) -> &'static Structure {
        Structure::named(name).unwrap_or_else(|| panic!("no {name}"))
    }

    #[test]
    fn members_have_type_cardinality_and_flags() {
        // structure, JSON name, element, type, (required, repeats, summary, modifier)
        let cases = [
            ("Patient", "gender", "gender", "Code(ValueSet(administrative-gender))", (false, false, true, false)),
            ("Patient", "deceasedBoolean", "deceased", "Primitive(Boolean)", (false, false, true, true)),
            ("Patient", "id", "id", "Primitive(Id)", (false, false, true, false)),
            ("Patient", "contained", "contained", "Resource", (false, true, false, false)),
            ("Observation", "code", "code", "Structure(Structure(CodeableConcept))", (true, false, true, false)),
            ("Observation", "component", "component", "Structure(Structure(Observation.component))", (false, true, true, false)),
            (
                "Observation.component",
                "referenceRange",
                "referenceRange",
                "Structure(Structure(Observation.referenceRange))",
                (false, true, false, false),
            ),
            (
                "Observation.component",
                "modifierExtension",
                "modifierExtension",
                "Structure(Structure(Extension))",
                (false, true, true, true),
            ),
            ("Timing", "repeat", "repeat", "Structure(Structure(Timing.repeat))", (false, false, true, false)),
            ("Age", "value", "value", "Primitive(Decimal)", (false, false, true, false)),
            ("Extension", "valueMeta", "value", "Structure(Structure(Meta))", (false, false, false, false)),
            ("Extension", "url", "url", "Primitive(Uri)", (true, false, false, false)),
            ("Bundle.entry", "resource", "resource", "Resource", (false, false, true, false)),
            ("Narrative", "div", "div", "Primitive(Xhtml)", (true, false, false, false)),
            ("Provenance", "target", "target", "Structure(Structure(Reference))", (true, true, true, false)),
        ];
        for (name, json_name, element_name, element_type, flags) in cases {
            let structure = structure(name);
            let member = structure.member(json_name).unwrap_or_else(|| panic!("{name}.{json_name}"));
            let element = structure.element(member);
            assert_eq!((member.name(), element.name), (json_name, element_name));
            assert_eq!(format!("{:?}", member.element_type()), element_type, "{name}.{json_name}");
            assert_eq!((element.is_required, element.repeats, element.is_summary, element.is_modifier), flags, "{name}.{json_name}");
        }
    }

    #[test]
    fn what_is_no_name_in_json_is_not_found() {
        for (name, json_name) in [
            ("Patient", "deceased"),
            ("Patient", "deceased[x]"),
            ("Patient", "deceasedString"),
            ("Binary", "text"),
            ("Period", "modifierExtension"),
        ] {
            assert!(structure(name).member(json_name).is_none(), "{name}.{json_name}");
        }
        for name in ["", "-", "string", "Patient.name", "patient"] {
            assert!(Structure::named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn every_resource_type_has_its_structure() {
        for resource_type in ResourceType::all() {
            let structure = Structure::of(resource_type);
            assert_eq!(structure.name(), resource_type.name());
            assert_eq!(structure.elements().first().map(|element| element.name), Some("id"), "what is inherited is first");
        }
    }

    #[test]
    fn an_open_choice_has_all_types() {
        let structure = structure("Parameters.parameter");
        assert_eq!(structure.members().iter().filter(|member| structure.element(member).is_choice).count(), 50);
    }
}
