//! The canonical URLs of HL7's definitions of search parameters.

use std::{collections::HashMap, sync::LazyLock};

use lethe_fhir::ResourceType;

/// Those that are shared by types, or named otherwise; by type and code.
static NAMES: LazyLock<HashMap<(&str, &str), &str>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for line in include_str!("names.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        if let (Some(name), Some(code)) = (words.next(), words.next()) {
            names.extend(words.map(|type_name| ((type_name, code), name)));
        }
    }
    names
});

/// Where HL7 defines the parameter `code` of a type, if it does: `_list` and `_has` have no definition in R4.
#[must_use]
pub fn canonical(resource_type: ResourceType, code: &str) -> Option<String> {
    let name = match code {
        "_id" | "_lastUpdated" | "_profile" | "_security" | "_source" | "_tag" | "_content" => format!("Resource-{}", &code[1..]),
        "_text" => "DomainResource-text".to_owned(),
        _ if code.starts_with('_') => return None,
        _ => match NAMES.get(&(resource_type.name(), code)) {
            Some(name) => (*name).to_owned(),
            None => format!("{resource_type}-{code}"),
        },
    };
    Some(format!("http://hl7.org/fhir/SearchParameter/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::parameter;

    #[test]
    fn parameters_lead_to_their_definitions() {
        let of = |type_name: &str, code: &str| canonical(type_name.parse().unwrap(), code);
        for (type_name, code, name) in [
            ("Patient", "name", "Patient-name"),
            ("Patient", "birthdate", "individual-birthdate"),
            ("Observation", "code", "clinical-code"),
            ("Observation", "value-quantity", "Observation-value-quantity"),
            ("ValueSet", "url", "conformance-url"),
            ("Patient", "_id", "Resource-id"),
            ("Patient", "_text", "DomainResource-text"),
        ] {
            assert_eq!(of(type_name, code), Some(format!("http://hl7.org/fhir/SearchParameter/{name}")), "{type_name} {code}");
        }
        assert_eq!(of("Patient", "_list"), None);
    }

    #[test]
    fn every_name_belongs_to_a_parameter() {
        for (type_name, code) in NAMES.keys() {
            assert!(parameter(type_name.parse().unwrap(), code).is_some(), "{type_name} {code}");
        }
        assert!(NAMES.len() > 300);
    }
}
