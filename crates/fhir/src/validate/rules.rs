//! The few rules beyond shape: resources within resources, extensions, references.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    place::Place,
    suggest::{clipped, nearest},
    walk::{QUOTED_CHARS_MAX, Walk},
};
use crate::{IssueType, ResourceType, structure::Structure};

impl<'a> Walk<'a> {
    pub(super) fn resource_within(&mut self, value: &'a Value, place: &Place<'_>) {
        let Value::Object(object) = value else { return self.wrong_kind(value, "a resource, an object with 'resourceType'", place) };
        let Some(name) = object.get("resourceType").and_then(Value::as_str) else {
            let text = "'resourceType' is missing: say which resource this is, for example \"resourceType\": \"Patient\"";
            return self.report(place, IssueType::Required, text.to_owned());
        };
        let Ok(resource_type) = name.parse::<ResourceType>() else {
            let near = nearest(name, ResourceType::all().map(ResourceType::name))
                .map(|near| format!("; did you mean '{near}'?"))
                .unwrap_or_default();
            let text = format!("'{}' is not a resource type of R4{near}", clipped(name, QUOTED_CHARS_MAX));
            return self.report(place, IssueType::Value, text);
        };
        let structure = Structure::of(resource_type);
        if place.name() == "contained" {
            self.contained(object, structure, place);
        } else {
            // A world of its own: what is contained out there is not contained in here.
            let outer = std::mem::replace(&mut self.contained, contained_ids(object));
            let was_within = std::mem::take(&mut self.is_within_contained);
            self.object(object, structure, place);
            self.contained = outer;
            self.is_within_contained = was_within;
        }
    }

    /// The rules dom-2 and dom-4 (<https://hl7.org/fhir/R4/domainresource.html>).
    fn contained(&mut self, object: &'a Map<String, Value>, structure: &'static Structure, place: &Place<'_>) {
        if self.is_within_contained {
            return self.report(
                place,
                IssueType::Structure,
                "a contained resource contains no other: put both into the outermost resource".to_owned(),
            );
        }
        for name in ["versionId", "lastUpdated"] {
            if object.get("meta").and_then(|meta| meta.get(name)).is_some() {
                let text = format!("a contained resource has no 'meta.{name}': it has no versions of its own");
                self.report(&place.child("meta").child(name), IssueType::Structure, text);
            }
        }
        if !object.contains_key("id") {
            let text = "'id' is missing: the resource that contains this one refers to it as '#id'".to_owned();
            self.report(&place.child("id"), IssueType::Required, text);
        }
        self.is_within_contained = true;
        self.object(object, structure, place);
        self.is_within_contained = false;
    }

    /// The rule ext-1 (<https://hl7.org/fhir/R4/extensibility.html>).
    pub(super) fn extension(&mut self, object: &Map<String, Value>, structure: &'static Structure, place: &Place<'_>) {
        let is_value = |name: &String| {
            structure.member(name.strip_prefix('_').unwrap_or(name)).is_some_and(|member| structure.element(member).is_choice)
        };
        match (object.keys().any(is_value), object.contains_key("extension")) {
            (true, true) => {
                let text = "an extension has either a value or extensions, not both: move the value into one of these".to_owned();
                self.report(place, IssueType::Structure, text);
            }
            (false, false) => {
                self.report(
                    place,
                    IssueType::Required,
                    "an extension needs a value, such as 'valueString', or extensions of its own".to_owned(),
                );
            }
            (true, false) | (false, true) => {}
        }
    }

    /// That it says something, and the rule ref-1 (<https://hl7.org/fhir/R4/references.html>).
    pub(super) fn reference(&mut self, object: &Map<String, Value>, place: &Place<'_>) {
        const SAYING: [&str; 5] = ["reference", "identifier", "display", "extension", "_reference"];
        if !SAYING.iter().any(|name| object.contains_key(*name)) {
            self.report(place, IssueType::Required, "a Reference needs 'reference', 'identifier' or 'display'".to_owned());
        }
        // '#' alone is the resource that contains this one.
        if let Some(id) =
            object.get("reference").and_then(Value::as_str).and_then(|text| text.strip_prefix('#')).filter(|id| !id.is_empty())
            && !self.contained.contains(id)
        {
            let text = format!("'#{}' is not among the contained resources: add it to 'contained'", clipped(id, QUOTED_CHARS_MAX));
            self.report(&place.child("reference"), IssueType::Value, text);
        }
    }
}

/// What a reference `#id` may lead to.
pub(super) fn contained_ids(resource: &Map<String, Value>) -> HashSet<&str> {
    let contained = resource.get("contained").and_then(Value::as_array);
    contained.into_iter().flatten().filter_map(|inner| inner.get("id").and_then(Value::as_str)).collect()
}
