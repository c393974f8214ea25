//! What of each datatype counts, for each kind of parameter (<https://hl7.org/fhir/R4/search.html#table>).

use lethe_fhir::{LocalBases, Reference};
use serde_json::{Map, Value};

use super::{Found, amount, moment};
use crate::{
    Facet, PathId,
    definitions::{Datatype, ParameterKind},
    value,
};

/// A code and its system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub system: Option<&'a str>,
    pub code: &'a str,
}

/// Reads one value.
pub(super) fn value(value: &Value, path: PathId, kind: ParameterKind, datatype: Datatype, found: &mut Found<'_>) {
    match value {
        Value::Object(own) => object(own, path, kind, datatype, found),
        Value::String(text) if datatype == Datatype::Text && !text.is_empty() => self::text(text, path, kind, found),
        Value::Bool(is_true) if datatype == Datatype::Boolean => found.push(path, value::token(None, truth(*is_true))),
        Value::Number(number) if datatype == Datatype::Number => {
            if let Some(number) = amount::finite(number) {
                found.push(path, value::number(number).to_vec());
            }
        }
        _ => {}
    }
}

/// Reads one value that is a text.
fn text(text: &str, path: PathId, kind: ParameterKind, found: &mut Found<'_>) {
    match kind {
        ParameterKind::String => string(text, path, found),
        ParameterKind::Uri => found.push(path, value::uri(text)),
        ParameterKind::Token => found.push(path, value::token(None, text)),
        ParameterKind::Reference => {
            if let Some(bytes) = reference_or_url(text, found.bases) {
                found.push(path, bytes);
            }
        }
        ParameterKind::Date => {
            if let Some(date) = moment::date(text) {
                found.push(path, value::date(Some(date.low), Some(date.high)).to_vec());
            }
        }
        ParameterKind::Number | ParameterKind::Quantity | ParameterKind::Position | ParameterKind::Composite => {}
    }
}

/// A text, and all of it beside if the index has only its beginning.
fn string(text: &str, path: PathId, found: &mut Found<'_>) {
    found.push(path, value::string(text));
    for piece in value::pieces_of_long(text) {
        found.push_if_room(path.with(Facet::Text), piece);
    }
}

/// Reads one value that is an object.
pub(super) fn object(object: &Map<String, Value>, path: PathId, kind: ParameterKind, datatype: Datatype, found: &mut Found<'_>) {
    match kind {
        ParameterKind::Token => {
            object_tokens(object, datatype, &mut |token| found.push(path, value::token(token.system, token.code)));
            token_texts(object, datatype, &mut |text| found.push(path.with(Facet::Text), value::token_text(text)));
            if datatype == Datatype::Identifier {
                identifier_of_type(object, path.with(Facet::Identifier), found);
            }
        }
        ParameterKind::Reference => reference(object, path, found),
        ParameterKind::String => {
            let parts: &[&str] = match datatype {
                Datatype::HumanName => &["text", "family", "given", "prefix", "suffix"],
                Datatype::Address => &["text", "line", "city", "district", "state", "postalCode", "country"],
                _ => &[],
            };
            for part in parts {
                each(object.get(*part), &mut |value| {
                    if let Value::String(text) = value
                        && !text.is_empty()
                    {
                        string(text, path, found);
                    }
                });
            }
        }
        ParameterKind::Date => {
            if let Some((low, high)) = moment::span(object, datatype) {
                found.push(path, value::date(low, high).to_vec());
            }
        }
        ParameterKind::Number | ParameterKind::Quantity => amount::read(object, path, kind, datatype, found),
        ParameterKind::Position => {
            let degrees = |name: &str| object.get(name).and_then(Value::as_number).and_then(amount::finite);
            if let (Some(latitude), Some(longitude)) = (degrees("latitude"), degrees("longitude")) {
                found.push(path, value::position(latitude, longitude).to_vec());
            }
        }
        ParameterKind::Uri | ParameterKind::Composite => {}
    }
}

/// What is read of a resource as a whole.
pub(super) fn resource(resource: &Map<String, Value>, path: PathId, datatype: Datatype, found: &mut Found<'_>) {
    match datatype {
        Datatype::Deceased => {
            let is_deceased = resource.get("deceasedBoolean") == Some(&Value::Bool(true)) || resource.contains_key("deceasedDateTime");
            found.push(path, value::token(None, truth(is_deceased)));
        }
        Datatype::FirstComposition => first_entry(resource, "Composition", path, found),
        Datatype::FirstMessageHeader => first_entry(resource, "MessageHeader", path, found),
        _ => {}
    }
}

/// What a document or message is about, by its id and by the URL that the Bundle gives it.
fn first_entry(bundle: &Map<String, Value>, expected: &str, path: PathId, found: &mut Found<'_>) {
    let Some(entry) = bundle.get("entry").and_then(|entries| entries.get(0)) else { return };
    let of_resource = |name: &str| entry.get("resource").and_then(|inner| inner.get(name)).and_then(Value::as_str);
    if of_resource("resourceType") != Some(expected) {
        return;
    }
    let own = of_resource("id").map(|id| format!("{expected}/{id}"));
    let url = entry.get("fullUrl").and_then(Value::as_str);
    for text in own.as_deref().into_iter().chain(url) {
        if let Some(bytes) = reference_value(text, found.bases) {
            found.push(path, bytes);
        }
    }
}

/// The codes of one value.
pub(super) fn each_token<'v>(value: &'v Value, datatype: Datatype, visit: &mut impl FnMut(Token<'v>)) {
    match value {
        Value::Object(object) => object_tokens(object, datatype, visit),
        Value::String(code) if datatype == Datatype::Text && !code.is_empty() => visit(Token { system: None, code }),
        Value::Bool(is_true) if datatype == Datatype::Boolean => visit(Token { system: None, code: truth(*is_true) }),
        _ => {}
    }
}

fn truth(is_true: bool) -> &'static str {
    if is_true { "true" } else { "false" }
}

fn object_tokens<'v>(object: &'v Map<String, Value>, datatype: Datatype, visit: &mut impl FnMut(Token<'v>)) {
    match datatype {
        Datatype::Coding => visit_token(text_of(object, "system"), text_of(object, "code"), visit),
        Datatype::CodeableConcept => each(object.get("coding"), &mut |coding| {
            if let Value::Object(coding) = coding {
                visit_token(text_of(coding, "system"), text_of(coding, "code"), visit);
            }
        }),
        Datatype::Identifier => visit_token(text_of(object, "system"), text_of(object, "value"), visit),
        Datatype::ContactPoint => visit_token(None, text_of(object, "value"), visit),
        _ => {}
    }
}

fn visit_token<'v>(system: Option<&'v str>, code: Option<&'v str>, visit: &mut impl FnMut(Token<'v>)) {
    if let Some(code) = code {
        visit(Token { system, code });
    }
}

fn token_texts<'v>(object: &'v Map<String, Value>, datatype: Datatype, visit: &mut impl FnMut(&'v str)) {
    let mut visit_named = |object: &'v Map<String, Value>, name: &str| {
        if let Some(text) = text_of(object, name) {
            visit(text);
        }
    };
    match datatype {
        Datatype::Coding => visit_named(object, "display"),
        Datatype::CodeableConcept => {
            visit_named(object, "text");
            each(object.get("coding"), &mut |coding| {
                if let Value::Object(coding) = coding {
                    visit_named(coding, "display");
                }
            });
        }
        Datatype::Identifier => {
            if let Some(Value::Object(of_type)) = object.get("type") {
                visit_named(of_type, "text");
            }
        }
        _ => {}
    }
}

/// `:of-type`.
fn identifier_of_type(identifier: &Map<String, Value>, path: PathId, found: &mut Found<'_>) {
    let (Some(own), Some(Value::Object(of_type))) = (text_of(identifier, "value"), identifier.get("type")) else { return };
    object_tokens(of_type, Datatype::CodeableConcept, &mut |token| {
        if let Some(system) = token.system {
            found.push(path, value::identifier_of_type(system, token.code, own));
        }
    });
}

fn reference(object: &Map<String, Value>, path: PathId, found: &mut Found<'_>) {
    let target = text_of(object, "reference").and_then(|text| reference_value(text, found.bases));
    if target.is_none() && object.keys().any(|name| name != "id" && name != "extension") {
        // One that leads nowhere, such as to a contained resource, or is only displayed, is not missing.
        found.push(path.with(Facet::Text), value::token_text(""));
    }
    if let Some(id) = text_of(object, "reference").and_then(|text| text.strip_prefix('#'))
        && let Some((resource_type, values)) = found.contained.and_then(|contained| contained.get(id, found.links, found.bases))
    {
        found.push(path, value::reference_contained(resource_type));
        if let Some(values) = values {
            found.push_if_room(path.with(Facet::Text), value::contained(resource_type, &values));
        }
    }
    if let Some(bytes) = target {
        found.push(path, bytes);
    }
    if let Some(Value::Object(identifier)) = object.get("identifier") {
        object_tokens(identifier, Datatype::Identifier, &mut |token| {
            found.push(path.with(Facet::Identifier), value::token(token.system, token.code));
        });
    }
}

/// How a `Reference.reference` stands in the index, without its version. `None` for what cannot be found by it: a contained resource, a
/// conditional reference, no reference at all.
#[must_use]
pub fn reference_value(text: &str, bases: &LocalBases) -> Option<Vec<u8>> {
    match Reference::parse(text, bases).ok()? {
        Reference::Local(local) => Some(value::reference(&local)),
        Reference::Foreign => Some(value::reference_elsewhere(text.split_once("/_history/").map_or(text, |(resource, _)| resource))),
        Reference::Contained | Reference::Conditional => None,
    }
}

/// How a canonical or a uri stands in the index of a reference: as what it leads to here, or else as it is, a canonical with its version.
#[must_use]
pub fn reference_or_url(text: &str, bases: &LocalBases) -> Option<Vec<u8>> {
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let url = text.split_once('|').map_or(text, |(url, _)| url);
    Some(match Reference::parse(url, bases) {
        Ok(Reference::Local(local)) => value::reference(&local),
        _ => value::reference_elsewhere(text),
    })
}

/// A member's text, if it is one and not empty.
pub(super) fn text_of<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Each item of a list, or the one value.
pub(super) fn each<'v>(value: Option<&'v Value>, visit: &mut impl FnMut(&'v Value)) {
    match value {
        Some(Value::Array(items)) => items.iter().for_each(visit),
        Some(single) => visit(single),
        None => {}
    }
}
