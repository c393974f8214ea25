//! References inside a Bundle: from the names that its entries have in the Bundle to the ids that they get
//! (<https://hl7.org/fhir/R4/http.html#trules>).

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::{LocalBases, LogicalId, Reference, Resource, ResourceType};

/// Elements of the type string, code, id or markdown: text that looks like a name is only text there. Above all `Identifier.value`.
const PLAIN_TEXT: [&str; 12] =
    ["value", "valueString", "valueMarkdown", "valueCode", "valueId", "id", "display", "text", "description", "comment", "title", "name"];

/// What stands for what.
#[derive(Clone, Debug, Default)]
pub struct ReferenceMap(HashMap<String, String>);

impl ReferenceMap {
    /// Lets `name` stand for a resource. `false` if it stands for one already.
    pub fn add(&mut self, name: &str, resource_type: ResourceType, id: &LogicalId) -> bool {
        self.0.insert(name.to_owned(), format!("{resource_type}/{id}")).is_none()
    }

    /// Puts the real reference in the place of every name, in any element that can hold a URI, and in the links and images of narrative.
    pub fn rewrite(&self, resource: &mut Resource) {
        // A Bundle within the Bundle is a world of its own.
        if !self.0.is_empty() && resource.resource_type != ResourceType::BUNDLE {
            self.rewrite_members(resource.content_mut());
        }
    }

    fn rewrite_members(&self, members: &mut Map<String, Value>) {
        for (name, value) in members.iter_mut() {
            match value {
                Value::String(text) if name == "div" => self.rewrite_narrative(text),
                Value::String(_) if PLAIN_TEXT.contains(&name.as_str()) => {}
                _ => self.rewrite_value(value),
            }
        }
    }

    fn rewrite_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(reference) = self.resolve(text) {
                    *text = reference;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.rewrite_value(item)),
            Value::Object(members) if members.get("resourceType").is_none_or(|name| name != "Bundle") => self.rewrite_members(members),
            _ => {}
        }
    }

    fn resolve(&self, text: &str) -> Option<String> {
        // The condition of a conditional reference may hold a '#' of its own.
        if let Some(reference) = self.0.get(text) {
            return Some(reference.clone());
        }
        let (name, fragment) = text.split_once('#').map_or((text, None), |(name, fragment)| (name, Some(fragment)));
        let reference = self.0.get(name)?;
        Some(fragment.map_or_else(|| reference.clone(), |fragment| format!("{reference}#{fragment}")))
    }

    /// `href` and `src` of the XHTML, in either kind of quotes; everything else stays byte for byte.
    fn rewrite_narrative(&self, text: &mut String) {
        let mut rewritten = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(start) = next_link(rest) {
            let (before, from_value) = rest.split_at(start);
            rewritten.push_str(before);
            // OK because `next_link` points behind a quote, which is one byte.
            let quote = before.chars().next_back().unwrap_or('"');
            let end = from_value.find(quote).unwrap_or(from_value.len());
            let (link, after) = from_value.split_at(end);
            rewritten.push_str(self.resolve(link).as_deref().unwrap_or(link));
            rest = after;
        }
        rewritten.push_str(rest);
        *text = rewritten;
    }
}

/// Where the value of the next `href` or `src` begins.
fn next_link(text: &str) -> Option<usize> {
    ["href=\"", "href='", "src=\"", "src='"].iter().filter_map(|attribute| text.find(attribute).map(|at| at + attribute.len())).min()
}

/// The `Type?…` references of a resource. Those in Bundles and contained resources follow other rules.
#[must_use]
pub fn conditional_references<'a>(resource: &'a Resource, bases: &LocalBases) -> Vec<&'a str> {
    let mut found = Vec::new();
    if resource.resource_type != ResourceType::BUNDLE {
        for (_, value) in resource.content().iter().filter(|(name, _)| *name != "contained") {
            collect_conditional(value, bases, &mut found);
        }
    }
    found
}

fn collect_conditional<'a>(value: &'a Value, bases: &LocalBases, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_conditional(item, bases, found)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "reference" && matches!(Reference::parse(text, bases), Ok(Reference::Conditional)) => {
                        found.push(text);
                    }
                    other => collect_conditional(other, bases, found),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(json: &str) -> Value {
        let mut map = ReferenceMap::default();
        assert!(map.add("urn:uuid:a", "Patient".parse().unwrap(), &"p1".parse().unwrap()));
        assert!(!map.add("urn:uuid:a", "Patient".parse().unwrap(), &"p2".parse().unwrap()), "one name, one resource");
        map.add("urn:uuid:a", "Patient".parse().unwrap(), &"p1".parse().unwrap());
        map.add("urn:uuid:b", ResourceType::BINARY, &"b1".parse().unwrap());
        let mut resource = Resource::parse(json.as_bytes()).unwrap();
        map.rewrite(&mut resource);
        Value::Object(resource.content().clone())
    }

    #[test]
    fn names_become_references_wherever_a_uri_can_stand() {
        let json = rewritten(
            r#"{"resourceType":"DocumentReference","subject":{"reference":"urn:uuid:a"},"author":[{"reference":"urn:uuid:a#frag"}],
                "content":[{"attachment":{"url":"urn:uuid:b"}}],"extension":[{"url":"x","valueUri":"urn:uuid:b"}],
                "contained":[{"resourceType":"Basic","subject":{"reference":"urn:uuid:a"}}]}"#,
        );
        assert_eq!(json["subject"]["reference"], "Patient/p1");
        assert_eq!(json["author"][0]["reference"], "Patient/p1#frag");
        assert_eq!(json["content"][0]["attachment"]["url"], "Binary/b1");
        assert_eq!(json["extension"][0]["valueUri"], "Binary/b1");
        assert_eq!(json["contained"][0]["subject"]["reference"], "Patient/p1");
    }

    #[test]
    fn narrative_changes_in_its_links_and_nowhere_else() {
        let json = rewritten(
            r#"{"resourceType":"Patient","text":{"div":"<div>urn:uuid:a <a href=\"urn:uuid:a\">x</a><img src='urn:uuid:b'/><a href=\"http://x\">é</a> href="}}"#,
        );
        assert_eq!(
            json["text"]["div"],
            r#"<div>urn:uuid:a <a href="Patient/p1">x</a><img src='Binary/b1'/><a href="http://x">é</a> href="#
        );
    }

    #[test]
    fn identifiers_and_other_text_are_left_alone() {
        let json = rewritten(
            r#"{"resourceType":"Patient","identifier":[{"system":"urn:ietf:rfc:3986","value":"urn:uuid:a"}],"name":[{"text":"urn:uuid:a"}],
                "x":"urn:uuid:unknown"}"#,
        );
        assert_eq!(json["identifier"][0]["value"], "urn:uuid:a");
        assert_eq!(json["name"][0]["text"], "urn:uuid:a");
        assert_eq!(json["x"], "urn:uuid:unknown");
    }

    #[test]
    fn a_bundle_within_is_a_world_of_its_own() {
        let json = rewritten(r#"{"resourceType":"Bundle","entry":[{"fullUrl":"urn:uuid:a"}]}"#);
        assert_eq!(json["entry"][0]["fullUrl"], "urn:uuid:a");
    }

    #[test]
    fn conditional_references_are_found() {
        let found = |json: &str| {
            let resource = Resource::parse(json.as_bytes()).unwrap();
            conditional_references(&resource, &LocalBases::default()).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let json = r#"{"resourceType":"Observation","performer":[{"reference":"Patient/1"},{"reference":"Practitioner?identifier=x"}],
                       "subject":{"reference":"Patient?identifier=a#b"}}"#;
        assert_eq!(found(json), ["Practitioner?identifier=x", "Patient?identifier=a#b"]);
        assert!(found(r#"{"resourceType":"Observation","note":[{"text":"Practitioner?identifier=x"}]}"#).is_empty());
        assert!(
            found(r#"{"resourceType":"Observation","contained":[{"resourceType":"Basic","subject":{"reference":"Patient?a=b"}}]}"#)
                .is_empty()
        );
    }

    #[test]
    fn a_condition_with_a_number_sign_is_a_name_as_a_whole() {
        let mut map = ReferenceMap::default();
        map.add("Patient?identifier=a#b", "Patient".parse().unwrap(), &"p1".parse().unwrap());
        let mut resource = Resource::parse(br#"{"resourceType":"Basic","subject":{"reference":"Patient?identifier=a#b"}}"#).unwrap();
        map.rewrite(&mut resource);
        assert_eq!(resource.content()["subject"]["reference"], "Patient/p1");
    }
}
