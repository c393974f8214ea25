//! An element of a resource's JSON, and the place where it lies.
//!
//! A primitive has its value in a member and its id and extensions in another, whose name begins with `_`; a list of primitives is two arrays
//! (<https://hl7.org/fhir/R4/json.html#primitive>). A node stands for both.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::{
    PatchError,
    json_pointer::Step,
    kind::{Kind, NamedMember, defined, members_named, no_element},
};
use crate::structure::ElementType;

/// An element.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) value: Option<&'a Value>,
    /// Of a primitive: id and extensions.
    pub(super) extra: Option<&'a Value>,
    pub(super) kind: Kind,
    /// Whether the path alone says of which kind it is; otherwise another resource of the same type may have another kind here.
    is_certain: bool,
    /// `None` for the resource itself.
    place: Option<Rc<Place>>,
}

#[derive(Debug)]
struct Place {
    parent: Option<Rc<Place>>,
    /// Whether the parent is a primitive, and this lies among its id and extensions.
    is_in_extra: bool,
    /// What the parent is.
    owner: Kind,
    name: Rc<str>,
    index: Option<usize>,
}

/// Where an element lies: in an object, under a name, and there perhaps in a list.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) object: Vec<Step>,
    /// Of what kind the object is.
    pub(super) owner: Kind,
    /// In JSON, without `_`.
    pub(super) name: String,
    pub(super) index: Option<usize>,
}

impl<'a> Node<'a> {
    /// The resource.
    pub(super) fn root(resource: &'a Value) -> Self {
        Self { value: Some(resource), extra: None, kind: Kind::of_resource(resource), is_certain: true, place: None }
    }

    /// Whether it is the resource that is patched.
    pub(super) fn is_root(&self) -> bool {
        self.place.is_none()
    }

    /// Whether its children lie among a primitive's id and extensions.
    pub(super) fn is_primitive(&self) -> bool {
        !matches!(self.value, Some(Value::Object(_)))
    }

    /// The object that holds the children.
    fn object(&self) -> Option<&'a Map<String, Value>> {
        match (self.value, self.extra) {
            (Some(Value::Object(object)), _) | (_, Some(Value::Object(object))) => Some(object),
            _ => None,
        }
    }

    /// The children of this name, in order. `spend` is told how many there may be before they are gathered.
    ///
    /// # Errors
    /// No resource of this type can have any; or that of `spend`.
    pub(super) fn children(&self, name: &str, spend: impl FnOnce(usize) -> Result<(), PatchError>) -> Result<Vec<Node<'a>>, PatchError> {
        let structure = self.kind.structure();
        let members = self.object().map(|object| (object, members_named(structure, name, object)));
        let is_defined = structure.is_none_or(|structure| defined(structure, name).is_some());
        match members {
            Some((object, members)) if is_defined || !members.is_empty() => {
                spend(members.iter().map(|member| count_in(object, member.name)).sum())?;
                Ok(members.iter().flat_map(|member| self.children_in(object, member)).collect())
            }
            _ if is_defined || !self.is_certain => Ok(Vec::new()),
            _ => Err(no_element(self.kind, name)),
        }
    }

    fn children_in(&self, object: &'a Map<String, Value>, member: &NamedMember) -> Vec<Node<'a>> {
        let extra_name = format!("_{}", member.name);
        let (value, extra) = (object.get(member.name), object.get(&extra_name));
        let name: Rc<str> = Rc::from(member.name);
        let is_fixed = member.definition.is_some_and(|(element, member)| {
            // A choice, or any resource, decides only with its content.
            !element.is_choice && !matches!(member.element_type(), ElementType::Resource)
        });
        let child = |value: Option<&'a Value>, extra: Option<&'a Value>, index| {
            let value = value.filter(|value| !value.is_null());
            let extra = extra.filter(|extra| !extra.is_null());
            if value.is_none() && extra.is_none() {
                return None;
            }
            let place =
                Place { parent: self.place.clone(), is_in_extra: self.is_primitive(), owner: self.kind, name: Rc::clone(&name), index };
            let kind = member.definition.map_or(Kind::Unknown, |(_, member)| Kind::of(member, value));
            Some(Node { value, extra, kind, is_certain: self.is_certain && is_fixed, place: Some(Rc::new(place)) })
        };
        if !matches!((value, extra), (Some(Value::Array(_)), _) | (None, Some(Value::Array(_)))) {
            return child(value, extra, None).into_iter().collect();
        }
        let values = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let extras = extra.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let count = values.len().max(extras.len());
        (0..count).filter_map(|index| child(values.get(index), extras.get(index), Some(index))).collect()
    }

    /// Where it lies; `None` for the resource.
    pub(super) fn location(&self) -> Option<Location> {
        let place = self.place.as_ref()?;
        let object = steps_into(place.parent.as_ref(), place.is_in_extra);
        Some(Location { object, owner: place.owner, name: place.name.to_string(), index: place.index })
    }

    /// The steps to the object that holds its children; of a primitive it may be missing.
    pub(super) fn steps_to_children(&self) -> Vec<Step> {
        steps_into(self.place.as_ref(), self.is_primitive())
    }
}

/// How many elements there are at most.
fn count_in(object: &Map<String, Value>, name: &str) -> usize {
    let count = |value: Option<&Value>| value.map_or(0, |value| value.as_array().map_or(1, Vec::len));
    count(object.get(name)).max(count(object.get(&format!("_{name}"))))
}

/// The steps to the object of an element, or of its id and extensions.
fn steps_into(place: Option<&Rc<Place>>, is_extra: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut next, mut is_extra) = (place, is_extra);
    while let Some(place) = next {
        steps.extend(place.index.map(Step::Item));
        steps.push(Step::Member(if is_extra { format!("_{}", place.name) } else { place.name.to_string() }));
        (next, is_extra) = (place.parent.as_ref(), place.is_in_extra);
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::json_pointer::shown, *};

    #[test]
    fn children_of_all_kinds_know_where_they_lie() {
        let patient = json!({
            "resourceType": "Patient",
            "birthDate": "1970-01-01",
            "_birthDate": {"extension": [{"url": "u", "valueString": "x"}]},
            "name": [{"given": ["a", null, "c"], "_given": [null, {"id": "i"}]}],
            "contained": [{"resourceType": "Observation", "valueQuantity": {"value": 1}}],
        });
        let find = |path: &[&str]| {
            let mut nodes = vec![Node::root(&patient)];
            for name in path {
                nodes = nodes.iter().flat_map(|node| node.children(name, |_| Ok(())).unwrap()).collect();
            }
            let place = |node: &Node| {
                let at = node.location().unwrap();
                format!("{} {} {:?} {}", shown(&at.object), at.name, at.index, node.kind.name())
            };
            nodes.iter().map(place).collect::<Vec<_>>()
        };
        assert_eq!(find(&["birthDate"]), [" birthDate None date"]);
        assert_eq!(find(&["birthDate", "extension", "value"]), ["/_birthDate/extension/0 valueString None string"]);
        assert_eq!(
            find(&["name", "given"]),
            ["/name/0 given Some(0) string", "/name/0 given Some(1) string", "/name/0 given Some(2) string"]
        );
        assert_eq!(find(&["name", "given", "id"]), ["/name/0/_given/1 id None string"]);
        assert_eq!(find(&["contained", "value", "value"]), ["/contained/0/valueQuantity value None decimal"]);
        assert_eq!(find(&["contained", "birthDate"]), Vec::<String>::new(), "another contained resource could have it");
        assert_eq!(find(&["gender"]), Vec::<String>::new());
        let root = Node::root(&patient);
        for (node, name) in [(&root, "gendre"), (&root, "resourceType"), (&root.children("name", |_| Ok(())).unwrap()[0], "birthDate")] {
            let message = node.children(name, |_| Ok(())).unwrap_err().to_string();
            assert!(message.contains(&format!("has no element '{name}'; it has id")), "{message}");
        }
    }
}
