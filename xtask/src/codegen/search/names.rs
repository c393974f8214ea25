//! Definitions that are not called by the type and the code of their parameter: shared by types, or named otherwise.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

const HEAD: &str = "\
# Search parameters of R4 whose definition is not called Type-code, made from hl7.fhir.r4.core 4.0.1 by `cargo xtask codegen search`. Do not
# edit. NAME CODE TYPE…, behind http://hl7.org/fhir/SearchParameter/.
";

/// Where HL7's definitions have their addresses.
const DEFINITIONS: &str = "http://hl7.org/fhir/SearchParameter/";

/// The lines of the list. Parameters of every type are left out: `lethe-search` names them itself.
pub fn render(parameters: &[Value]) -> Result<String> {
    let mut names: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for parameter in parameters {
        let (code, url) = (super::text(parameter, "code")?, super::text(parameter, "url")?);
        let name = url.strip_prefix(DEFINITIONS).with_context(|| format!("{url} is not below {DEFINITIONS}"))?;
        let bases = parameter["base"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let otherwise = bases.filter(|base| !code.starts_with('_') && name != format!("{base}-{code}"));
        names.entry((name, code)).or_default().extend(otherwise);
    }
    let mut text = HEAD.to_owned();
    for ((name, code), mut types) in names.into_iter().filter(|(_, types)| !types.is_empty()) {
        types.sort_unstable();
        text.push_str(&format!("{name} {code} {}\n", types.join(" ")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named_otherwise_is_listed_in_order() {
        let parameter = |name: &str, code: &str, base: &[&str]| json!({"url": format!("{DEFINITIONS}{name}"), "code": code, "base": base});
        let parameters = [
            parameter("individual-given", "given", &["Practitioner", "Patient"]),
            parameter("Patient-active", "active", &["Patient"]),
            parameter("clinical-code", "code", &["Observation"]),
            parameter("Resource-id", "_id", &["Resource"]),
        ];
        let lines = render(&parameters).unwrap();
        assert_eq!(lines.strip_prefix(HEAD), Some("clinical-code code Observation\nindividual-given given Patient Practitioner\n"));
        assert!(render(&[json!({"url": "http://else.org/x", "code": "x"})]).is_err());
    }
}
