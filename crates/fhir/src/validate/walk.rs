//! The walk over a resource and its structure, side by side.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    format::{self, Fault},
    place::Place,
    rules::contained_ids,
    suggest::{clipped, nearest},
};
use crate::{
    Issue, IssueType, Resource, ResourceType, Severity, limits,
    structure::{Element, ElementType, Member, Primitive, Structure, ValueSet},
};

/// Codes of a value set that are named to whoever sent another one.
const CODES_NAMED_MAX: usize = 16;

/// Names and values are quoted up to here.
pub(super) const QUOTED_CHARS_MAX: usize = 60;

pub(super) struct Walk<'a> {
    issues: Vec<Issue>,
    /// Ids of what is contained in the resource that is being walked.
    pub(super) contained: HashSet<&'a str>,
    pub(super) is_within_contained: bool,
    levels: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn over(resource: &'a Resource) -> Vec<Issue> {
        let content = resource.content();
        let mut walk = Self { issues: Vec::new(), contained: contained_ids(content), is_within_contained: false, levels: 0 };
        walk.object(content, Structure::of(resource.resource_type), &Place::root(resource.resource_type.name()));
        walk.issues
    }

    pub(super) fn report(&mut self, place: &Place<'_>, code: IssueType, text: String) {
        if !self.is_full() {
            self.issues.push(Issue { severity: Severity::Error, code, text, expression: vec![place.to_string()] });
        }
    }

    fn is_full(&self) -> bool {
        self.issues.len() >= limits::ISSUES_MAX
    }

    pub(super) fn object(&mut self, object: &'a Map<String, Value>, structure: &'static Structure, place: &Place<'_>) {
        // No parsed resource comes here: depth is looked at before. A resource that was built in code might.
        if self.levels >= limits::JSON_DEPTH_MAX {
            return self.report(place, IssueType::TooLong, format!("nested more than {} levels deep", limits::JSON_DEPTH_MAX));
        }
        self.levels += 1;
        let mut seen = 0_u64;
        for (name, value) in object {
            if self.is_full() {
                return;
            }
            let bare = name.strip_prefix('_').unwrap_or(name);
            let Some(member) = structure.member(bare) else {
                if !(name == "resourceType" && structure.name().parse::<ResourceType>().is_ok()) {
                    self.unknown(name, structure, place);
                }
                continue;
            };
            let element = structure.element(member);
            let bit = 1 << member.index();
            if element.is_choice && seen & bit != 0 {
                self.second_choice(object, name, member, structure, place);
            }
            seen |= bit;
            let place = place.child(member.name());
            if bare.len() == name.len() {
                self.value(value, object, member, element, &place);
            } else {
                self.sibling(value, object, member, element, &place);
            }
        }
        let missing = structure.required() & !seen;
        if missing != 0 {
            self.missing(missing, structure, place);
        }
        match structure.name() {
            "Extension" => self.extension(object, structure, place),
            "Reference" => self.reference(object, place),
            _ => {}
        }
        self.levels -= 1;
    }

    fn unknown(&mut self, name: &str, structure: &'static Structure, place: &Place<'_>) {
        let shown = clipped(name, QUOTED_CHARS_MAX);
        let bare = name.strip_prefix('_').unwrap_or(name);
        let types: Vec<&str> = structure
            .members()
            .iter()
            .filter(|member| structure.element(member).is_choice && structure.element(member).name == bare)
            .map(Member::name)
            .collect();
        let advice = if let [first, .., last] = types[..] {
            format!("its name ends with its type, as in '{first}' or '{last}'")
        } else if let Some(near) = nearest(bare, structure.members().iter().map(Member::name)) {
            format!("did you mean '{near}'?")
        } else {
            "what FHIR has no element for goes into an extension".to_owned()
        };
        let text = format!("{} has no element '{shown}': {advice}", structure.name());
        let is_plain = shown.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_plain && !shown.is_empty() {
            self.report(&place.child(&shown), IssueType::Structure, text);
        } else {
            self.report(place, IssueType::Structure, text);
        }
    }

    /// A choice was met before: by its sibling `_name`, which is right, or by a second type.
    fn second_choice(
        &mut self,
        object: &Map<String, Value>,
        name: &str,
        member: &Member,
        structure: &'static Structure,
        place: &Place<'_>,
    ) {
        let earlier = object.keys().take_while(|earlier| *earlier != name);
        let mut others = earlier.filter_map(|earlier| structure.member(earlier.strip_prefix('_').unwrap_or(earlier)));
        if let Some(other) = others.find(|other| other.index() == member.index() && other.name() != member.name()) {
            let element = structure.element(member).name;
            let text = format!("'{element}[x]' has one type, but both '{}' and '{}' are there: leave one out", other.name(), member.name());
            self.report(&place.child(member.name()), IssueType::Structure, text);
        }
    }

    fn missing(&mut self, missing: u64, structure: &'static Structure, place: &Place<'_>) {
        let elements = structure.elements().iter().enumerate().filter(|(index, _)| missing & (1 << index) != 0);
        for (index, element) in elements {
            let mut members = structure.members().iter().filter(|member| member.index() == index);
            let text = if element.is_choice {
                let names: Vec<&str> = members.map(Member::name).take(CODES_NAMED_MAX).collect();
                format!("'{}[x]' is missing: {} needs one of {}", element.name, structure.name(), names.join(", "))
            } else if let Some(ElementType::Code(value_set)) = members.next().map(Member::element_type) {
                format!("'{}' is missing: {} needs it, as {}", element.name, structure.name(), allowed(value_set))
            } else {
                format!("'{}' is missing: {} needs it", element.name, structure.name())
            };
            self.report(&place.child(element.name), IssueType::Required, text);
        }
    }

    fn value(&mut self, value: &'a Value, object: &'a Map<String, Value>, member: &Member, element: &Element, place: &Place<'_>) {
        let kind = member.element_type();
        match (element.repeats, value) {
            (true, Value::Array(items)) if items.is_empty() => self.empty(place, "array"),
            (true, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    // Only what a sibling says something about may have no value of its own.
                    let is_excused = || is_primitive(kind) && sibling_of(object, member, index).is_some_and(Value::is_object);
                    if !(item.is_null() && is_excused()) {
                        self.one(item, kind, &place.item(index));
                    }
                }
            }
            (true, other) => {
                let text = format!("'{}' may repeat: write it as an array, [ … ], even for one; this is {}", place.name(), kind_of(other));
                self.report(place, IssueType::Structure, text);
            }
            (false, Value::Array(_)) => {
                self.report(place, IssueType::Structure, format!("'{}' does not repeat: write it without [ ]", place.name()));
            }
            (false, value) => self.one(value, kind, place),
        }
    }

    fn one(&mut self, value: &'a Value, kind: ElementType, place: &Place<'_>) {
        match kind {
            ElementType::Primitive(primitive) => {
                self.primitive(value, primitive, place);
            }
            ElementType::Code(value_set) => self.code(value, value_set, place),
            ElementType::Structure(structure) => match value {
                Value::Object(object) if object.is_empty() => self.empty(place, "object"),
                Value::Object(object) => self.object(object, structure, place),
                other => self.wrong_kind(other, &format!("an object ({})", structure.name()), place),
            },
            ElementType::Resource => self.resource_within(value, place),
        }
    }

    /// Whether it is as it should be.
    fn primitive(&mut self, value: &Value, primitive: Primitive, place: &Place<'_>) -> bool {
        match format::fault(primitive, value) {
            None => return true,
            Some(Fault::Kind(expected)) => self.wrong_kind(value, &format!("{expected} ({})", primitive.name()), place),
            Some(Fault::Form(expected)) => {
                let shown = match value {
                    Value::String(text) => clipped(text, QUOTED_CHARS_MAX),
                    other => other.to_string(),
                };
                self.report(
                    place,
                    IssueType::Value,
                    format!("'{}' is '{}'; expected is {expected}", place.name(), clipped(&shown, QUOTED_CHARS_MAX)),
                );
            }
        }
        false
    }

    fn code(&mut self, value: &Value, value_set: &ValueSet, place: &Place<'_>) {
        if self.primitive(value, Primitive::Code, place)
            && let Some(code) = value.as_str()
            && !value_set.codes().contains(&code)
        {
            let near = nearest(code, value_set.codes().iter().copied()).map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
            let shown = clipped(code, QUOTED_CHARS_MAX);
            self.report(
                place,
                IssueType::CodeInvalid,
                format!("'{}' is '{shown}'; expected is {}{near}", place.name(), allowed(value_set)),
            );
        }
    }

    /// `_name`: id and extensions of a primitive.
    fn sibling(&mut self, value: &'a Value, object: &'a Map<String, Value>, member: &Member, element: &Element, place: &Place<'_>) {
        if !is_primitive(member.element_type()) {
            let text =
                format!("'_{0}' stands beside a string, number or boolean only: '{0}' takes 'id' and 'extension' itself", member.name());
            return self.report(place, IssueType::Structure, text);
        }
        let Some(structure) = Structure::named("Element") else { return };
        let kind = ElementType::Structure(structure);
        match (element.repeats, value) {
            (true, Value::Array(items)) if items.is_empty() => self.empty(place, "array"),
            (true, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    if !item.is_null() {
                        self.one(item, kind, &place.item(index));
                    } else if object.get(member.name()).and_then(|values| values.get(index)).is_none() {
                        self.report(
                            &place.item(index),
                            IssueType::Structure,
                            format!("neither '{0}' nor '_{0}' has a value here", member.name()),
                        );
                    }
                }
            }
            (true, other) => {
                let text = format!(
                    "'_{}' may repeat: write it as an array, [ … ], with null where nothing is said; this is {}",
                    member.name(),
                    kind_of(other)
                );
                self.report(place, IssueType::Structure, text);
            }
            (false, value) => self.one(value, kind, place),
        }
    }

    fn empty(&mut self, place: &Place<'_>, kind: &str) {
        self.report(place, IssueType::Structure, format!("'{}' is an empty {kind}: leave it out if it has no value", place.name()));
    }

    pub(super) fn wrong_kind(&mut self, found: &Value, expected: &str, place: &Place<'_>) {
        self.report(place, IssueType::Structure, format!("'{}' must be {expected}; this is {}", place.name(), kind_of(found)));
    }
}

fn is_primitive(kind: ElementType) -> bool {
    matches!(kind, ElementType::Primitive(_) | ElementType::Code(_))
}

fn sibling_of<'v>(object: &'v Map<String, Value>, member: &Member, index: usize) -> Option<&'v Value> {
    object.get(&format!("_{}", member.name())).and_then(|siblings| siblings.get(index))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null: leave it out if it has no value",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn allowed(value_set: &ValueSet) -> String {
    let codes = value_set.codes();
    let named = codes.iter().take(CODES_NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    match codes.len().checked_sub(CODES_NAMED_MAX) {
        None | Some(0) => format!("one of {named}"),
        Some(more) => format!("one of the {} codes of '{}': {named} and {more} more", codes.len(), value_set.name()),
    }
}
