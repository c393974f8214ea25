//! Values that belong together: all combinations of what the components have inside one root element.

use serde_json::{Map, Value};

use super::{
    Found,
    read::{self, Token},
};
use crate::{
    Facet, PathId,
    definitions::{Component, Datatype, ParameterKind},
    value,
};

/// Combinations of one root element; further ones are left out.
const COMBINATIONS_MAX: usize = 1_000;

/// Items of lists that are looked at for one component of one root element; further ones are left out. Some components are read anew
/// for every root, so that without a limit the work would grow with the square of what is sent.
const ITEMS_MAX: usize = 1_000;

/// A composite's path, ready to be read.
pub(super) struct Composite {
    path: PathId,
    first: Vec<Place>,
    further: Vec<(ParameterKind, Vec<Place>)>,
}

/// Where a component lies.
struct Place {
    is_from_resource: bool,
    steps: Vec<&'static str>,
    datatype: Datatype,
}

impl Composite {
    pub(super) fn of(path: PathId, components: &[Component]) -> Self {
        let mut components = components.iter().map(|component| (component.kind, places(component)));
        let first = components.next().map(|(_, places)| places).unwrap_or_default();
        Self { path, first, further: components.collect() }
    }

    /// Reads the composite of one root element.
    pub(super) fn read(&self, root: &Map<String, Value>, resource: &Map<String, Value>, found: &mut Found<'_>) {
        let mut tokens: Vec<Token<'_>> = Vec::new();
        let mut items_left = ITEMS_MAX;
        for place in &self.first {
            place.visit(root, resource, &mut items_left, &mut |value, items_left| {
                each_token(value, place.datatype, items_left, &mut |token| tokens.push(token));
            });
        }
        if tokens.is_empty() {
            return;
        }
        let mut further: Vec<Vec<(Facet, Vec<u8>)>> = Vec::with_capacity(self.further.len());
        for (kind, places) in &self.further {
            let mut values: Vec<(Facet, Vec<u8>)> = Vec::new();
            let mut items_left = ITEMS_MAX;
            for place in places {
                place.visit(root, resource, &mut items_left, &mut |value, items_left| {
                    if *kind == ParameterKind::Token {
                        each_token(value, place.datatype, items_left, &mut |token| {
                            values.push((Facet::Value, value::composite_token(token.system, token.code)));
                        });
                    } else {
                        let mut inner = Found::new(found.bases);
                        read::value(value, self.path, *kind, place.datatype, &mut inner);
                        let counting = inner.values.into_iter().filter(|one| match one.path.facet() {
                            Facet::Value | Facet::Canonical => true,
                            // A Range.
                            Facet::Identifier => matches!(kind, ParameterKind::Number | ParameterKind::Quantity),
                            Facet::Text => false,
                        });
                        values.extend(counting.map(|one| (one.path.facet(), one.value)));
                    }
                });
            }
            if values.is_empty() {
                return;
            }
            further.push(values);
        }
        // A quantity is there twice, as it is written and in its canonical unit: what it is combined with is the same.
        let mut combinations: Vec<(Facet, Vec<&[u8]>)> = vec![(Facet::Value, Vec::new())];
        for values in &further {
            let pairs = combinations.iter().flat_map(|(facet, head)| {
                let fitting = values.iter().filter(move |(own, _)| *facet == Facet::Value || *own == Facet::Value);
                fitting.map(move |(own, value)| ((*own).max(*facet), [head.as_slice(), &[value.as_slice()]].concat()))
            });
            combinations = pairs.take(COMBINATIONS_MAX).collect();
        }
        let pairs = tokens.iter().flat_map(|token| combinations.iter().map(move |values| (token, values)));
        for (token, (facet, values)) in pairs.take(COMBINATIONS_MAX) {
            found.push(self.path.with(*facet), value::composite(token.code, token.system, values));
        }
    }
}

/// As [`read::each_token`], of so many codings.
fn each_token<'v>(value: &'v Value, datatype: Datatype, items_left: &mut usize, visit: &mut impl FnMut(Token<'v>)) {
    let codings = if datatype == Datatype::CodeableConcept { value.get("coding").and_then(Value::as_array) } else { None };
    match codings {
        Some(codings) => {
            for coding in codings.iter().take(*items_left) {
                *items_left -= 1;
                read::each_token(coding, Datatype::Coding, visit);
            }
        }
        None => read::each_token(value, datatype, visit),
    }
}

fn places(component: &Component) -> Vec<Place> {
    let place = |json: &'static str, datatype| {
        let rest = json.strip_prefix('^');
        Place { is_from_resource: rest.is_some(), steps: rest.unwrap_or(json).split('.').collect(), datatype }
    };
    component.leaves.iter().map(|leaf| place(leaf.json, leaf.datatype)).collect()
}

impl Place {
    fn visit<'v>(
        &self,
        root: &'v Map<String, Value>,
        resource: &'v Map<String, Value>,
        items_left: &mut usize,
        visit: &mut impl FnMut(&'v Value, &mut usize),
    ) {
        descend(if self.is_from_resource { resource } else { root }, &self.steps, items_left, visit);
    }
}

fn descend<'v>(object: &'v Map<String, Value>, steps: &[&str], items_left: &mut usize, visit: &mut impl FnMut(&'v Value, &mut usize)) {
    let Some((first, rest)) = steps.split_first() else { return };
    let Some(value) = object.get(*first) else { return };
    let single = std::slice::from_ref(value);
    for item in value.as_array().map_or(single, Vec::as_slice) {
        if *items_left == 0 {
            return;
        }
        *items_left -= 1;
        match item {
            _ if rest.is_empty() => visit(item, items_left),
            Value::Object(inner) => descend(inner, rest, items_left, visit),
            _ => {}
        }
    }
}
