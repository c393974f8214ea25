//! `_include` and `_revinclude`: resources that go along with what was found (<https://hl7.org/fhir/R4/search.html#include>).
//!
//! Which resources they are is decided here on index values; who reads them is not known here.

use std::collections::BTreeSet;

use lethe_fhir::{LocalReference, ResourceType};

use super::{
    chain::{must_lead_to, reference_parameter, type_named},
    error::Fault,
    known,
};
use crate::{
    Criterion, IndexValues, PathId, Span,
    definitions::{Parameter, ParameterKind, PathUse},
    value,
};

/// Resources that go along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// The type that refers: for `_include` that of what was found, for `_revinclude` that of what goes along.
    pub source: ResourceType,
    /// By which references.
    pub paths: Vec<PathUse>,
    /// Only references to this type.
    pub target: Option<ResourceType>,
    /// `_revinclude`: what refers to the found goes along.
    pub is_reverse: bool,
    /// `:iterate`: what goes along is itself looked at, and so on.
    pub is_iterated: bool,
}

impl Include {
    /// For `_include`: which resources here a resource of the type [`source`](Self::source) brings along.
    #[must_use]
    pub fn brought_by(&self, values: &IndexValues) -> BTreeSet<LocalReference> {
        let counted = |path: PathId, target: &LocalReference| {
            self.target.is_none_or(|only| only == target.resource_type)
                && self.paths.iter().any(|own| own.path == path && counts(own, target))
        };
        let referred = values.iter().filter_map(|(path, value)| value::referred(value).filter(|target| counted(path, target)));
        referred.collect()
    }

    /// For `_revinclude`: what must hold of resources of the type [`source`](Self::source) that go along with one of `found`. `None` if
    /// none of them can be referred to.
    #[must_use]
    pub fn referring_to<'a>(&self, found: impl IntoIterator<Item = &'a LocalReference>) -> Option<Criterion> {
        let mut spans = Vec::new();
        for target in found.into_iter().filter(|target| self.target.is_none_or(|only| only == target.resource_type)) {
            let counting = self.paths.iter().filter(|own| counts(own, target));
            spans.extend(counting.map(|own| Span::single(own.path, value::reference(target))));
        }
        (!spans.is_empty()).then_some(Criterion::AnyOf(spans))
    }
}

fn counts(path_use: &PathUse, target: &LocalReference) -> bool {
    path_use.only_target.is_none_or(|only| only == target.resource_type)
}

/// Reads `_include:modifier=value`, for a search over `searched`; `None` if it says nothing of results of `own`, which is one of them.
pub(super) fn read(
    own: ResourceType,
    searched: &[ResourceType],
    is_reverse: bool,
    modifier: Option<&str>,
    value: &str,
) -> Result<Option<Include>, Fault> {
    let is_iterated = match modifier {
        None => false,
        // STU3's name for it.
        Some("iterate" | "recurse") => true,
        Some(other) => {
            return Err(Fault::unsupported(format!("':{}' is no modifier here; it can have :iterate", super::error::shown(other))));
        }
    };
    let example = if is_reverse { "_revinclude=Observation:patient" } else { "_include=Observation:patient" };
    if value == "*" {
        if is_reverse || is_iterated {
            return Err(Fault::costly(format!("'*' would look through every type here; name one, as in {example} or Observation:*")));
        }
        return Ok(Some(Include { source: own, paths: all_references(own), target: None, is_reverse, is_iterated }));
    }
    let parts: Vec<&str> = value.split(':').collect();
    let (source, code, target) = match parts.as_slice() {
        [source, code] => (*source, *code, None),
        [source, code, target] => (*source, *code, Some(*target)),
        _ => return Err(Fault::value(value, format_args!("write Type:reference or Type:reference:TargetType, as in {example}"))),
    };
    let source = type_named(source)?;
    let target = target.filter(|name| !name.is_empty()).map(type_named).transpose()?;
    let paths = match code {
        "*" => all_references(source),
        _ => {
            let parameter = reference_parameter(source, code).map_err(|fault| Fault { kind: super::QueryErrorKind::Value, ..fault })?;
            if let Some(target) = target {
                must_lead_to(parameter, target)?;
            }
            if is_reverse && !is_iterated && target.is_none() {
                must_lead_to_one_of(parameter, searched)?;
            }
            parameter.uses.clone()
        }
    };
    let include = |target| Some(Include { source, paths, target, is_reverse, is_iterated });
    if is_iterated {
        return Ok(include(target));
    }
    if is_reverse {
        return match target {
            Some(target) if !searched.contains(&target) => Err(elsewhere(searched, target, example)),
            Some(target) => Ok((target == own).then(|| include(Some(target))).flatten()),
            None => Ok(include(Some(own))),
        };
    }
    if !searched.contains(&source) {
        return Err(elsewhere(searched, source, example));
    }
    Ok((source == own).then(|| include(target)).flatten())
}

fn elsewhere(searched: &[ResourceType], named: ResourceType, example: &str) -> Fault {
    let searched = super::suggest::listed(searched.iter().map(|searched| searched.name()));
    Fault::invalid(format!(
        "the search finds {searched}, not {named}; for what {named} brings that goes along itself, use :iterate, as in {}",
        example.replacen('=', ":iterate=", 1)
    ))
}

fn must_lead_to_one_of(parameter: &Parameter, searched: &[ResourceType]) -> Result<(), Fault> {
    match searched {
        [only] => must_lead_to(parameter, *only),
        _ if searched.iter().any(|one| parameter.targets.contains(one)) => Ok(()),
        _ => Err(Fault::invalid(format!("'{}' leads to no type that is searched", parameter.code))),
    }
}

/// Every path of references of a type, each once.
fn all_references(source: ResourceType) -> Vec<PathUse> {
    let references = known::parameters(source).iter().filter(|parameter| parameter.kind == ParameterKind::Reference);
    let mut paths: Vec<PathUse> = Vec::new();
    for path_use in references.flat_map(|parameter| &parameter.uses) {
        if !paths.contains(path_use) {
            paths.push(*path_use);
        }
    }
    paths
}
