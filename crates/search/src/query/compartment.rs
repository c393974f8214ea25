//! Compartments: what belongs to one patient, encounter, practitioner, device or related person
//! (<https://hl7.org/fhir/R4/compartmentdefinition.html>).

use lethe_fhir::{LocalReference, ResourceType};

use super::{
    chain::{one_of, paths_to},
    error::{Fault, QueryError},
    known::parameter,
    suggest::listed,
};
use crate::{
    Criterion, Span,
    definitions::{ITSELF, compartment, compartments},
    value,
};

/// The types of which resources can be in the compartment of an `owner`; none if it has no compartment.
#[must_use]
pub fn compartment_types(owner: ResourceType) -> Vec<ResourceType> {
    ResourceType::all().filter(|member| compartment(owner, *member).is_some_and(|codes| !codes.is_empty())).collect()
}

/// What must hold of resources of a type that are in the compartment of `owner`.
///
/// # Errors
/// The owner's type has no compartment, or the member's type is in none of it.
pub fn in_compartment(owner: &LocalReference, member: ResourceType) -> Result<Criterion, QueryError> {
    let name = format!("{}/{}", owner.resource_type, owner.id);
    let Some(codes) = compartment(owner.resource_type, member) else {
        let fault = Fault::unsupported(format!("only {} have a compartment", listed(compartments().map(ResourceType::name))));
        return Err(fault.of(&name));
    };
    if codes.is_empty() {
        return Err(
            Fault::unsupported(format!("{member} is in no compartment of {}; search for it by itself", owner.resource_type)).of(&name)
        );
    }
    let target = value::reference(owner);
    let paths = codes.iter().filter_map(|code| parameter(member, code)).flat_map(|parameter| paths_to(parameter, owner.resource_type));
    let mut spans: Vec<Span> = Vec::new();
    for span in paths.map(|path| Span::single(path, target.clone())) {
        if !spans.contains(&span) {
            spans.push(span);
        }
    }
    let mut ways = Vec::new();
    if codes.contains(&ITSELF) && member == owner.resource_type {
        ways.push(Criterion::Ids(vec![owner.id.clone()]));
    }
    if !spans.is_empty() {
        ways.push(Criterion::AnyOf(spans));
    }
    Ok(one_of(ways))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(resource_type: &str) -> LocalReference {
        LocalReference { resource_type: resource_type.parse().unwrap(), id: "x".parse().unwrap() }
    }

    #[test]
    fn members_refer_to_the_owner_or_are_the_owner() {
        let criterion = |of: &str, member: &str| in_compartment(&owner(of), member.parse().unwrap());
        assert!(matches!(criterion("Patient", "Observation"), Ok(Criterion::AnyOf(spans)) if spans.len() == 2));
        assert_eq!(criterion("Encounter", "Encounter"), Ok(Criterion::Ids(vec!["x".parse().unwrap()])));
        assert!(criterion("Patient", "Medication").unwrap_err().text.contains("in no compartment"));
        assert!(criterion("Group", "Patient").unwrap_err().text.contains("Patient, Practitioner"));
    }

    #[test]
    fn the_types_of_a_compartment_can_all_be_asked_for() {
        let types = compartment_types("Patient".parse().unwrap());
        assert!(types.len() > 50);
        assert!(types.iter().all(|member| in_compartment(&owner("Patient"), *member).is_ok()));
        assert_eq!(compartment_types("Group".parse().unwrap()), []);
    }
}
