//! For each type a tree of the members that lead to values.

use std::{collections::BTreeMap, sync::LazyLock};

use lethe_fhir::ResourceType;
use serde_json::{Map, Value};

use super::{Found, composite::Composite, read};
use crate::{
    PathId,
    definitions::{self, Datatype, ParameterKind, Path, Reading},
};

static TREES: LazyLock<Vec<Node>> = LazyLock::new(|| ResourceType::all().map(|of| Node::of(definitions::paths(of))).collect());

/// The tree of a type.
pub(super) fn of(resource_type: ResourceType) -> &'static Node {
    // OK because there is one for every type, and types are numbered from 1.
    &TREES[usize::from(resource_type.code()) - 1]
}

/// What to do with an element.
#[derive(Default)]
pub(super) struct Node {
    /// In the order of names.
    members: Vec<(&'static str, Node)>,
    /// What counts only where a member has a value.
    conditions: Vec<Condition>,
    /// Values to be read here.
    values: Vec<ToRead>,
    /// Composites whose root is here.
    composites: Vec<Composite>,
}

struct Condition {
    member: &'static str,
    value: &'static str,
    then: Node,
}

struct ToRead {
    path: PathId,
    kind: ParameterKind,
    datatype: Datatype,
}

impl Node {
    fn of(paths: &[Path]) -> Self {
        let mut root = Builder::default();
        for path in paths {
            match &path.reading {
                Reading::Leaves(leaves) => {
                    for leaf in leaves {
                        root.at(leaf.json).values.push(ToRead { path: path.id, kind: path.kind, datatype: leaf.datatype });
                    }
                }
                Reading::Composite { root: json, components } => root.at(json).composites.push(Composite::of(path.id, components)),
            }
        }
        root.build()
    }

    /// Everything below a resource.
    pub(super) fn walk_resource(&self, resource: &Map<String, Value>, found: &mut Found<'_>) {
        for one in &self.values {
            read::resource(resource, one.path, one.datatype, found);
        }
        self.walk_object(resource, resource, found);
    }

    fn walk(&self, value: &Value, resource: &Map<String, Value>, found: &mut Found<'_>) {
        if let Value::Array(items) = value {
            for item in items {
                // FHIR has no lists of lists.
                if !item.is_array() {
                    self.walk(item, resource, found);
                }
            }
            return;
        }
        for one in &self.values {
            read::value(value, one.path, one.kind, one.datatype, found);
        }
        if let Value::Object(object) = value {
            self.walk_object(object, resource, found);
        }
    }

    fn walk_object(&self, object: &Map<String, Value>, resource: &Map<String, Value>, found: &mut Found<'_>) {
        if found.is_over {
            return;
        }
        for composite in &self.composites {
            composite.read(object, resource, found);
        }
        if !self.members.is_empty() {
            for (name, value) in object {
                if let Ok(at) = self.members.binary_search_by(|(own, _)| (*own).cmp(name.as_str())) {
                    self.members[at].1.walk(value, resource, found);
                }
            }
        }
        for condition in &self.conditions {
            if object.get(condition.member).and_then(Value::as_str) == Some(condition.value) {
                for one in &condition.then.values {
                    read::object(object, one.path, one.kind, one.datatype, found);
                }
                condition.then.walk_object(object, resource, found);
            }
        }
    }
}

/// A node that grows.
#[derive(Default)]
struct Builder {
    members: BTreeMap<&'static str, Builder>,
    conditions: BTreeMap<(&'static str, &'static str), Builder>,
    values: Vec<ToRead>,
    composites: Vec<Composite>,
}

impl Builder {
    /// The node that `json` leads to.
    fn at(&mut self, json: &'static str) -> &mut Self {
        let mut node = self;
        for step in json.split('.').filter(|step| !step.is_empty()) {
            let (name, condition) = step.split_once('[').unwrap_or((step, ""));
            node = node.members.entry(name).or_default();
            if let Some(condition) = condition.trim_end_matches(']').split_once('=') {
                node = node.conditions.entry(condition).or_default();
            }
        }
        node
    }

    fn build(self) -> Node {
        let members = self.members.into_iter().map(|(name, node)| (name, node.build())).collect();
        let conditions = self.conditions.into_iter().map(|((member, value), node)| Condition { member, value, then: node.build() });
        Node { members, conditions: conditions.collect(), values: self.values, composites: self.composites }
    }
}
