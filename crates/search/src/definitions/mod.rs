//! R4's search parameters and compartments: which exist for a type, and on which paths their values lie.
//!
//! `r4.txt` holds them; `cargo xtask codegen search` makes it from HL7's definitions.

mod canonical;
mod parameter;
mod table;

use lethe_fhir::ResourceType;

pub use canonical::canonical;
pub use parameter::{Parameter, ParameterKind, PathUse};
pub(crate) use table::{Component, Datatype, Path, Reading};

use crate::PathId;
use table::TABLE;

/// In the codes of a [`compartment`]: the resource that the compartment belongs to is itself in it.
pub const ITSELF: &str = "{def}";

/// The parameters of a type, in the order of their codes. `_id`, `_lastUpdated`, `_text`, `_content` and what steers a search are not among them.
#[must_use]
pub fn parameters(resource_type: ResourceType) -> &'static [Parameter] {
    &TABLE.of(resource_type).parameters
}

/// One parameter of a type.
#[must_use]
pub fn parameter(resource_type: ResourceType, code: &str) -> Option<&'static Parameter> {
    let all = parameters(resource_type);
    all.binary_search_by(|parameter| parameter.code.cmp(code)).ok().map(|at| &all[at])
}

/// The types that have a compartment: Device, Encounter, Patient, Practitioner, RelatedPerson.
pub fn compartments() -> impl Iterator<Item = ResourceType> {
    TABLE.compartments.keys().copied()
}

/// The codes of the parameters by which a resource belongs to a compartment, one of which is enough; [`ITSELF`] is none but that.
/// Empty: resources of this type are never in it. `None`: `compartment` has no compartment.
#[must_use]
pub fn compartment(compartment: ResourceType, resource_type: ResourceType) -> Option<&'static [&'static str]> {
    let members = TABLE.compartments.get(&compartment)?;
    Some(members.get(&resource_type).map_or(&[], Vec::as_slice))
}

/// A path for people: `component.value[x]`. Empty for a path that the type does not have.
#[must_use]
pub fn path_name(resource_type: ResourceType, path: PathId) -> &'static str {
    let own = paths(resource_type).iter().find(|own| own.id == path.with(crate::Facet::Value));
    own.map_or("", |own| own.name.as_str())
}

/// Of which kind the values of a path are; `None` for a path that the type does not have.
#[must_use]
pub fn path_kind(resource_type: ResourceType, path: PathId) -> Option<ParameterKind> {
    paths(resource_type).iter().find(|own| own.id == path.with(crate::Facet::Value)).map(|own| own.kind)
}

/// The paths of a type.
pub(crate) fn paths(resource_type: ResourceType) -> &'static [Path] {
    &TABLE.of(resource_type).paths
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Facet, SortWidth};

    fn named(name: &str) -> ResourceType {
        name.parse().unwrap()
    }

    #[test]
    fn every_line_of_the_table_is_understood() {
        assert_eq!(TABLE.damaged, Vec::<&str>::new());
    }

    #[test]
    fn every_parameter_of_r4_leads_to_a_path_of_its_kind() {
        let (mut own, mut common) = (0, 0);
        for resource_type in ResourceType::all() {
            for parameter in parameters(resource_type) {
                assert!(!parameter.uses.is_empty(), "{resource_type}?{}", parameter.code);
                for one in &parameter.uses {
                    let path = paths(resource_type).iter().find(|path| path.id == one.path);
                    assert_eq!(path.map(|path| path.kind), Some(parameter.kind), "{resource_type}?{}", parameter.code);
                }
                assert_eq!(parameter.components.is_empty(), parameter.kind != ParameterKind::Composite);
                assert_eq!(parameter.targets.is_empty(), parameter.kind != ParameterKind::Reference, "{resource_type}?{}", parameter.code);
                if parameter.code.starts_with('_') { common += 1 } else { own += 1 }
            }
        }
        // HL7's bundle holds 1,375 definitions, which are 1,706 when each is counted for every type that it names; five are of all types
        // and answered without index values.
        assert_eq!((own, common), (1_706 - 5 - 4, 4 * 146));
    }

    #[test]
    fn numbers_of_paths_are_unique_and_fit_their_bytes() {
        for resource_type in ResourceType::all() {
            let numbers: BTreeSet<PathId> = paths(resource_type).iter().map(|path| path.id).collect();
            assert_eq!(numbers.len(), paths(resource_type).len(), "{resource_type}");
            assert!(numbers.iter().all(|id| id.facet() == Facet::Value && id.0 >= 4));
        }
    }

    #[test]
    fn parameters_that_read_the_same_share_a_path() {
        let paths = |code: &str| parameter(named("Observation"), code).unwrap().uses.iter().map(|one| one.path).collect::<Vec<_>>();
        assert_eq!(paths("code")[0], paths("combo-code")[0]);
        assert_eq!(paths("component-code")[0], paths("combo-code")[1]);
        assert_eq!(paths("subject"), paths("patient"));
        assert_eq!(paths("value-quantity")[0], paths("combo-value-quantity")[0]);
        let patient = parameter(named("Observation"), "patient").unwrap();
        assert_eq!((patient.uses[0].only_target, patient.targets.as_slice()), (Some(named("Patient")), &[named("Patient")][..]));
    }

    #[test]
    fn codes_know_the_only_system_that_they_can_have() {
        let system = |code: &str| parameter(named("Patient"), code).unwrap().uses[0].implied_system;
        assert_eq!(system("gender"), Some("http://hl7.org/fhir/administrative-gender"));
        assert_eq!(system("active"), None);
        let relationship = parameter(named("DocumentReference"), "relationship").unwrap();
        assert_eq!(relationship.uses[0].implied_system, Some("http://hl7.org/fhir/document-relationship-type"));
        assert_eq!(relationship.components, [ParameterKind::Token, ParameterKind::Reference]);
    }

    #[test]
    fn compartments_say_by_what_a_resource_belongs_to_them() {
        let names: Vec<&str> = compartments().map(ResourceType::name).collect();
        assert_eq!(names, ["Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"]);
        let cases = [
            ("Patient", "Observation", Some(&["subject", "performer"][..])),
            ("Encounter", "Encounter", Some(&[ITSELF])),
            ("Patient", "Medication", Some(&[])),
            ("Group", "Patient", None),
        ];
        for (of, member, expected) in cases {
            assert_eq!(compartment(named(of), named(member)), expected, "{of} {member}");
        }
        for of in compartments() {
            for member in ResourceType::all() {
                for code in compartment(of, member).unwrap() {
                    assert!(*code == ITSELF || parameter(member, code).is_some(), "{of}: {member}?{code}");
                }
            }
        }
    }

    #[test]
    fn paths_have_names_for_messages() {
        let name = |code: &str| path_name(named("Observation"), parameter(named("Observation"), code).unwrap().uses[0].path);
        let cases = [
            ("code", "code"),
            ("date", "effective[x]"),
            ("component-value-quantity", "component.value[x]"),
            ("code-value-string", "(code, valueString)"),
        ];
        for (code, expected) in cases {
            assert_eq!(name(code), expected);
        }
        assert_eq!(path_name(named("Observation"), PathId(9_999)), "");
    }

    #[test]
    fn kinds_without_an_order_are_not_sorted_by() {
        let sort = |code: &str| parameter(named("Observation"), code).unwrap().sort_paths();
        assert!(sort("code-value-string").is_none());
        let date = sort("date").unwrap();
        assert_eq!((date[0].ascending_at, date[0].descending_at, date[0].width), (1, 9, SortWidth::Bytes(8)));
        assert_eq!(sort("value-quantity").unwrap()[0].width, SortWidth::Bytes(8));
        assert_eq!(sort("combo-code").unwrap().len(), 2);
    }
}
