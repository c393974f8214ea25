//! Chains: conditions on the resources at the other end of a reference (<https://hl7.org/fhir/R4/search.html#chaining>).

use lethe_fhir::ResourceType;

use super::{
    error::{Fault, QueryErrorKind, shown},
    read::{Reader, find, knows},
    suggest::listed,
};
use crate::{
    Branch, Criterion, PathId,
    definitions::{Parameter, ParameterKind},
};

/// `link.rest=value`, where the link is `subject` or `subject:Patient`.
///
/// Without a type it leads to every type that has the rest of the name and can read the value.
pub(super) fn chain(
    reader: &Reader<'_>,
    source: ResourceType,
    link: &str,
    rest: &str,
    value: &str,
    depth: usize,
) -> Result<Criterion, Fault> {
    let (code, named) = link.split_once(':').map_or((link, None), |(code, named)| (code, Some(named)));
    let parameter = reference_parameter(source, code)?;
    let branches = match named {
        Some(name) => {
            let target = type_named(name)?;
            must_lead_to(parameter, target)?;
            vec![Branch { resource_type: target, criteria: reader.criteria(target, rest, value, depth + 1)? }]
        }
        None => branches(reader, parameter, rest, value, depth)?,
    };
    Ok(refers_to(parameter, branches))
}

fn branches(reader: &Reader<'_>, parameter: &Parameter, rest: &str, value: &str, depth: usize) -> Result<Vec<Branch>, Fault> {
    let (mut branches, mut faults) = (Vec::new(), Vec::new());
    for target in parameter.targets.iter().filter(|target| knows(**target, rest)) {
        match reader.criteria(*target, rest, value, depth + 1) {
            Ok(criteria) => branches.push(Branch { resource_type: *target, criteria }),
            Err(fault) if fault.kind == QueryErrorKind::TooCostly => return Err(fault),
            Err(fault) => faults.push(fault),
        }
    }
    if !branches.is_empty() {
        return Ok(branches);
    }
    // A value that cannot be read says more than a parameter further down that one of the types does not have.
    let telling = faults.iter().position(|fault| fault.kind != QueryErrorKind::UnknownParameter).unwrap_or_default();
    Err(if telling < faults.len() {
        faults.swap_remove(telling)
    } else {
        let types = listed(parameter.targets.iter().map(|target| target.name()));
        Fault::unknown(format!("'{}' leads to {types}, of which none has a search parameter '{}'", parameter.code, shown(rest)))
    })
}

/// Paths that count only references to one type lead only to that branch.
fn refers_to(parameter: &Parameter, branches: Vec<Branch>) -> Criterion {
    let paths = |only: Option<ResourceType>| -> Vec<PathId> {
        parameter.uses.iter().filter(|path_use| path_use.only_target == only).map(|path_use| path_use.path).collect()
    };
    let mut ways: Vec<Criterion> = Vec::new();
    for branch in &branches {
        let narrow = paths(Some(branch.resource_type));
        if !narrow.is_empty() {
            ways.push(Criterion::RefersTo { paths: narrow, branches: vec![branch.clone()] });
        }
    }
    let open = paths(None);
    if !open.is_empty() {
        ways.push(Criterion::RefersTo { paths: open, branches });
    }
    one_of(ways)
}

/// One of these; none of them is never.
pub(super) fn one_of(mut ways: Vec<Criterion>) -> Criterion {
    match (ways.len(), ways.pop()) {
        (_, None) => Criterion::AnyOf(Vec::new()),
        (1, Some(only)) => only,
        (_, Some(last)) => {
            ways.push(last);
            Criterion::Either(ways.into_iter().map(|way| vec![way]).collect())
        }
    }
}

/// `_has:` and then `Observation:patient:code=value`: some Observation refers here by `patient` and has that code.
pub(super) fn has(reader: &Reader<'_>, target: ResourceType, rest: &str, value: &str, depth: usize) -> Result<Criterion, Fault> {
    let mut parts = rest.splitn(3, ':');
    let (Some(type_name), Some(code), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::invalid("write _has:Type:reference:parameter=value, as in _has:Observation:patient:code=1234-5"));
    };
    let source = type_named(type_name)?;
    let parameter = reference_parameter(source, code)?;
    must_lead_to(parameter, target)?;
    let branch = Branch { resource_type: source, criteria: reader.criteria(source, rest, value, depth + 1)? };
    Ok(Criterion::ReferredBy { paths: paths_to(parameter, target), branch })
}

/// The paths of a parameter that count references to `target`.
pub(super) fn paths_to(parameter: &Parameter, target: ResourceType) -> Vec<PathId> {
    let counting = parameter.uses.iter().filter(|path_use| path_use.only_target.is_none_or(|only| only == target));
    counting.map(|path_use| path_use.path).collect()
}

/// The reference parameter of a type that has this name.
pub(super) fn reference_parameter(resource_type: ResourceType, code: &str) -> Result<&'static Parameter, Fault> {
    let parameter = find(resource_type, code)?;
    if parameter.kind == ParameterKind::Reference {
        return Ok(parameter);
    }
    Err(Fault::invalid(format!("'{code}' of {resource_type} is no reference, so that nothing can be reached by it")))
}

/// Refuses a type that a reference never leads to.
pub(super) fn must_lead_to(parameter: &Parameter, target: ResourceType) -> Result<(), Fault> {
    if parameter.targets.contains(&target) {
        return Ok(());
    }
    let types = listed(parameter.targets.iter().map(|target| target.name()));
    Err(Fault::invalid(format!("'{}' leads to {types}, not to {target}", parameter.code)))
}

/// The type of this name.
pub(super) fn type_named(name: &str) -> Result<ResourceType, Fault> {
    name.parse().map_err(|error: lethe_fhir::UnknownResourceType| {
        let hint = super::suggest::did_you_mean(name, ResourceType::all().map(ResourceType::name));
        Fault::invalid(format!("{error}{hint}"))
    })
}
