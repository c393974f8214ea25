//! Who is a member of a Group (<https://hl7.org/fhir/R4/group.html>): for exports and purges alike.
//!
//! Whoever is in doubt is none, and is told: a purge would otherwise take what the Group does not mean.

use std::collections::HashSet;

use lethe_fhir::{FhirDate, Instant, LocalBases, LocalReference, LogicalId, Reference, Resource, ResourceType};
use serde_json::Value;

/// What is told of a Group that has no members, none that are members now, or none that are here.
pub const NOBODY_HERE: &str = "no member of the Group is a patient here now, so that nothing is removed (one that is inactive, or whose period has \
                               not begun or is over, is no member)";

/// Why a member is not counted.
enum NoMember {
    /// The Group says so itself: nothing has to be told.
    NotNow,
    /// It cannot be decided, for this reason.
    Doubtful(&'static str),
}

/// The patients that are members of a Group at an instant, and what else is written there as a member, in words. Who is said to be inactive, or to
/// have been a member only before or only from later on, is neither.
#[must_use]
pub fn members_of(group: &Resource, bases: &LocalBases, at: Instant) -> (HashSet<LogicalId>, Vec<String>) {
    let (mut patients, mut others) = (HashSet::new(), Vec::new());
    let members = group.content().get("member").and_then(Value::as_array).into_iter().flatten();
    for (index, member) in members.enumerate() {
        let place = format!("Group.member[{index}]");
        match demand_member(member, at) {
            Ok(()) => {}
            Err(NoMember::NotNow) => continue,
            Err(NoMember::Doubtful(why)) => {
                others.push(format!("{place}{why}, so it does not count as a member"));
                continue;
            }
        }
        match member.get("entity").and_then(|entity| entity.get("reference")).and_then(Value::as_str) {
            None => others.push(format!("{place}.entity has no reference")),
            Some(text) => match Reference::parse(text, bases) {
                Ok(Reference::Local(LocalReference { resource_type: ResourceType::PATIENT, id })) => {
                    patients.insert(id);
                }
                _ => others.push(format!(
                    "{place}.entity refers to '{}', which is no Patient of this account",
                    text.chars().take(120).collect::<String>()
                )),
            },
        }
    }
    (patients, others)
}

/// Whether the Group counts it at an instant. Both ends of a period are within it, each as far as it is written: who was a member until
/// `2024-03` was so until the end of March (<https://hl7.org/fhir/R4/datatypes.html#Period>).
fn demand_member(member: &Value, at: Instant) -> Result<(), NoMember> {
    if member.get("modifierExtension").is_some() {
        return Err(NoMember::Doubtful(" has a modifierExtension, which is not understood here"));
    }
    match member.get("inactive") {
        None | Some(Value::Bool(false)) => {}
        Some(Value::Bool(true)) => return Err(NoMember::NotNow),
        Some(_) => return Err(NoMember::Doubtful(".inactive is neither true nor false")),
    }
    let Some(period) = member.get("period") else { return Ok(()) };
    let end_of = |name: &str, doubt| match period.get(name) {
        None => Ok(None),
        Some(text) => text.as_str().and_then(|text| text.parse::<FhirDate>().ok()).map(Some).ok_or(NoMember::Doubtful(doubt)),
    };
    let start = end_of("start", ".period.start is no date of FHIR")?;
    let end = end_of("end", ".period.end is no date of FHIR")?;
    let has_begun = start.is_none_or(|start| start.low <= at);
    let has_ended = end.is_some_and(|end| end.high <= at);
    if has_begun && !has_ended { Ok(()) } else { Err(NoMember::NotNow) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(json: &str) -> (HashSet<LogicalId>, Vec<String>) {
        let now = "2024-01-01T00:00:00Z".parse::<FhirDate>().unwrap().low;
        members_of(&Resource::parse(json.as_bytes()).unwrap(), &LocalBases::default(), now)
    }

    #[test]
    fn members_of_a_group_are_patients_or_told() {
        let (patients, others) = members(
            r#"{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/a"}},{"entity":{"reference":"Patient/b"},"inactive":true},
            {"entity":{"reference":"Practitioner/c"}},{"entity":{"display":"somebody"}},{"entity":{"reference":"https://else.org/r4/Patient/d"}}]}"#,
        );
        assert_eq!(patients, HashSet::from(["a".parse().unwrap()]));
        assert_eq!(others.len(), 3);
        assert!(others[0].contains("member[2]") && others[0].contains("Practitioner/c") && others[1].contains("member[3]"), "{others:?}");
    }

    #[test]
    fn a_member_is_one_within_its_period_and_whoever_is_in_doubt_is_none() {
        for (said, is_member, told) in [
            ("", true, ""),
            (r#","inactive":false"#, true, ""),
            (r#","inactive":true"#, false, ""),
            (r#","inactive":"true""#, false, "member[0].inactive is neither"),
            (r#","period":{}"#, true, ""),
            (r#","period":{"start":"2023","end":"2024"}"#, true, ""),
            (r#","period":{"end":"2023"}"#, false, ""),
            (r#","period":{"end":"2023-12-31"}"#, false, ""),
            // The end is within the period.
            (r#","period":{"end":"2024-01-01"}"#, true, ""),
            (r#","period":{"end":"2024-01-01T00:00:00Z"}"#, true, ""),
            (r#","period":{"end":"2023-12-31T23:59:59.999Z"}"#, false, ""),
            (r#","period":{"end":"2024-01-01T00:00:00+14:00"}"#, false, ""),
            (r#","period":{"start":"2024-01-01"}"#, true, ""),
            (r#","period":{"start":"2024-01-01T00:00:00.001Z"}"#, false, ""),
            (r#","period":{"start":"2025"}"#, false, ""),
            (r#","period":{"start":"2023","end":"2022"}"#, false, ""),
            (r#","period":{"start":"2023","end":"2025"},"inactive":true"#, false, ""),
            (r#","period":{"end":"soon"}"#, false, "member[0].period.end is no date"),
            (r#","period":{"end":"2025-01-01T10:00:00"}"#, false, "member[0].period.end is no date"),
            (r#","period":{"start":2023}"#, false, "member[0].period.start is no date"),
            (r#","period":{"end":null}"#, false, "member[0].period.end is no date"),
            (r#","modifierExtension":[{"url":"http://example.org/not"}]"#, false, "member[0] has a modifierExtension"),
        ] {
            let (patients, others) =
                members(&format!(r#"{{"resourceType":"Group","id":"g","member":[{{"entity":{{"reference":"Patient/a"}}{said}}}]}}"#));
            assert_eq!(patients.len(), usize::from(is_member), "{said}");
            assert_eq!(others.len(), usize::from(!told.is_empty()), "{said}: {others:?}");
            assert!(others.iter().all(|text| text.contains(told)), "{said}: {others:?}");
        }
        // Who was a member once, and is one again.
        let (patients, _) = members(
            r#"{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/a"},"period":{"end":"2020"}},{"entity":{"reference":"Patient/a"}}]}"#,
        );
        assert_eq!(patients.len(), 1);
    }
}
