//! The compartments of patients, as R4 defines them (<https://hl7.org/fhir/R4/compartmentdefinition-patient.html>).

use lethe_fhir::{LogicalId, ResourceType};

use crate::{
    Entries, PathId,
    definitions::{compartment, parameter},
    value,
};

/// Whether resources of a type can be in the compartment of a patient.
#[must_use]
pub fn is_in_patient_compartments(resource_type: ResourceType) -> bool {
    compartment(ResourceType::PATIENT, resource_type).is_some_and(|codes| !codes.is_empty())
}

/// The patients in whose compartments a resource is, by what its index values say; a Patient is in its own.
#[must_use]
pub fn patients_of(resource_type: ResourceType, id: &LogicalId, values: &Entries<'_>) -> Vec<LogicalId> {
    let mut patients = Vec::new();
    if resource_type == ResourceType::PATIENT {
        patients.push(id.clone());
    }
    for path in paths_to_patient(resource_type) {
        let local = values.clone().of_path(path).filter_map(value::referred);
        patients.extend(local.filter(|target| target.resource_type == ResourceType::PATIENT).map(|target| target.id));
    }
    patients
}

/// The paths by which resources of a type belong to a patient.
pub(crate) fn paths_to_patient(resource_type: ResourceType) -> impl Iterator<Item = PathId> {
    let codes = compartment(ResourceType::PATIENT, resource_type).unwrap_or_default();
    let uses = codes.iter().filter_map(move |code| parameter(resource_type, code)).flat_map(|parameter| &parameter.uses);
    uses.filter(|path_use| path_use.only_target.is_none_or(|only| only == ResourceType::PATIENT)).map(|path_use| path_use.path)
}

#[cfg(test)]
mod tests {
    use lethe_fhir::{LocalBases, Resource};

    use super::*;
    use crate::extract;

    fn patients(json: &str) -> Vec<String> {
        let resource = Resource::parse(json.as_bytes()).unwrap();
        let values = extract(&resource, &LocalBases::new(["https://here.example.org"])).unwrap();
        patients_of(resource.resource_type, resource.id.as_ref().unwrap(), &values.iter()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_resource_is_in_the_compartment_of_each_patient_that_r4_names() {
        let cases: [(&str, &[&str]); 8] = [
            (r#"{"resourceType":"Patient","id":"a"}"#, &["a"]),
            (r#"{"resourceType":"Patient","id":"a","link":[{"other":{"reference":"Patient/b"},"type":"seealso"}]}"#, &["a", "b"]),
            (r#"{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/a"}}"#, &["a"]),
            (
                r#"{"resourceType":"Observation","id":"o","subject":{"reference":"https://here.example.org/r4/Patient/a/_history/2"}}"#,
                &["a"],
            ),
            (
                r#"{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/0190a6e2-7c1b-7000-8000-00000000abcd"}}"#,
                &["0190a6e2-7c1b-7000-8000-00000000abcd"],
            ),
            (r#"{"resourceType":"Observation","id":"o","subject":{"reference":"https://else.example.org/r4/Patient/a"}}"#, &[]),
            (r#"{"resourceType":"Observation","id":"o","subject":{"reference":"Group/a"}}"#, &[]),
            (r#"{"resourceType":"Medication","id":"m","manufacturer":{"reference":"Patient/a"}}"#, &[]),
        ];
        for (json, expected) in cases {
            assert_eq!(patients(json), expected, "{json}");
        }
    }
}
