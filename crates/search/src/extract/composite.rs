//! Values that belong together: all combinations of what the components have inside one root element.

use lethe_fhir::LocalBases;
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
        for place in &self.first {
            place.visit(root, resource, &mut |value| read::each_token(value, place.datatype, &mut |token| tokens.push(token)));
        }
        if tokens.is_empty() {
            return;
        }
        let mut further: Vec<Vec<(Facet, Vec<u8>)>> = Vec::with_capacity(self.further.len());
        for (kind, places) in &self.further {
            let mut values: Vec<(Facet, Vec<u8>)> = Vec::new();
            for place in places {
                place.visit(root, resource, &mut |value| self.further_values(value, *kind, place.datatype, found.bases, &mut values));
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

    /// What a further component holds.
    fn further_values(
        &self,
        value: &Value,
        kind: ParameterKind,
        datatype: Datatype,
        bases: &LocalBases,
        values: &mut Vec<(Facet, Vec<u8>)>,
    ) {
        if values.len() >= COMBINATIONS_MAX {
            return;
        }
        if kind == ParameterKind::Token {
            read::each_token(value, datatype, &mut |token| values.push((Facet::Value, value::composite_token(token.system, token.code))));
            return;
        }
        let mut inner = Found::new(bases);
        read::value(value, self.path, kind, datatype, &mut inner);
        let counting = inner.values.into_iter().filter(|one| matches!(one.path.facet(), Facet::Value | Facet::Canonical));
        values.extend(counting.map(|one| (one.path.facet(), one.value)));
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
    fn visit<'v>(&self, root: &'v Map<String, Value>, resource: &'v Map<String, Value>, visit: &mut impl FnMut(&'v Value)) {
        descend(if self.is_from_resource { resource } else { root }, &self.steps, visit);
    }
}

fn descend<'v>(object: &'v Map<String, Value>, steps: &[&str], visit: &mut impl FnMut(&'v Value)) {
    let Some((first, rest)) = steps.split_first() else { return };
    let Some(value) = object.get(*first) else { return };
    let single = std::slice::from_ref(value);
    for item in value.as_array().map_or(single, Vec::as_slice) {
        match item {
            _ if rest.is_empty() => visit(item),
            Value::Object(inner) => descend(inner, rest, visit),
            _ => {}
        }
    }
}
