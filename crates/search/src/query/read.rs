//! A parameter with its value → criteria.

use lethe_fhir::{LocalBases, ResourceType};

use super::{
    chain, composite, control, date,
    error::Fault,
    extent::Extent,
    known,
    limit::{Budget, CHAIN_DEPTH_MAX, LINK_PIECES},
    number, position, quantity,
    reference::{self, Sought},
    special, string,
    suggest::{did_you_mean, listed},
    token, uri,
    values::{alternatives, boolean, unescape},
};
use crate::{
    Criterion, Facet, Span,
    definitions::{Parameter, ParameterKind, PathUse},
};

/// Reads the parameters of one query.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub bases: &'a LocalBases,
    pub budget: &'a Budget,
}

/// What a text asks of the values on one path.
type Asked<'a> = dyn Fn(&str, &PathUse) -> Result<Vec<Extent>, Fault> + 'a;

impl Reader<'_> {
    /// What `name=value` asks of resources of a type; all of these criteria must hold. `depth` counts the links of the chain so far.
    pub fn criteria(&self, resource_type: ResourceType, name: &str, value: &str, depth: usize) -> Result<Vec<Criterion>, Fault> {
        self.budget.charge(if depth == 0 { 1 } else { LINK_PIECES })?;
        if depth > CHAIN_DEPTH_MAX {
            return Err(Fault::costly(format!("the chain has more than {CHAIN_DEPTH_MAX} links; search in steps")));
        }
        if let Some(rest) = name.strip_prefix("_has:") {
            return chain::has(self, resource_type, rest, value, depth).map(|criterion| vec![criterion]);
        }
        if let Some((link, rest)) = name.split_once('.') {
            return chain::chain(self, resource_type, link, rest, value, depth).map(|criterion| vec![criterion]);
        }
        let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
        if let Some(criteria) = special::criteria(self, resource_type, code, modifier, value) {
            return criteria;
        }
        let parameter = find(resource_type, code)?;
        self.on_values(parameter, modifier, value)
    }

    /// Strings of which the index may not have all: first what may fit, by its rows, then what does.
    fn strings(
        &self,
        parameter: &Parameter,
        value: &str,
        steps: &dyn Fn(&str) -> Result<Option<string::Steps>, Fault>,
    ) -> Result<Vec<Criterion>, Fault> {
        let (mut may_fit, mut fits, mut is_in_two) = (Vec::new(), Vec::new(), false);
        for text in alternatives(value)? {
            let steps = steps(text)?;
            is_in_two |= steps.is_some();
            let (first, second) = match steps {
                Some(steps) => (steps.may_fit, steps.fits.to_vec()),
                None => (string::beginning(text)?, vec![string::beginning(text)?]),
            };
            for path_use in &parameter.uses {
                self.push(&mut may_fit, vec![first.clone()], path_use)?;
                self.push(&mut fits, second.clone(), path_use)?;
            }
        }
        let may_fit = Criterion::AnyOf(may_fit);
        Ok(if is_in_two { vec![may_fit, Criterion::AnyOf(fits)] } else { vec![may_fit] })
    }

    fn on_values(&self, parameter: &Parameter, modifier: Option<&str>, value: &str) -> Result<Vec<Criterion>, Fault> {
        let any = |extents: &Asked<'_>| self.spans(parameter, value, extents).map(Criterion::AnyOf);
        let criterion = match (parameter.kind, modifier) {
            (ParameterKind::String, None) => return self.strings(parameter, value, &string::long_beginning),
            (ParameterKind::String, Some("contains")) => return self.strings(parameter, value, &|text| string::containing(text).map(Some)),
            (_, Some("missing")) => {
                let spans: Vec<Span> = parameter.uses.iter().flat_map(|path_use| present(parameter.kind, path_use)).collect();
                self.budget.charge(spans.len())?;
                Ok(if boolean(value)? { Criterion::NoneOf(spans) } else { Criterion::AnyOf(spans) })
            }
            (ParameterKind::Number, None) => any(&|text, path_use| number::extents(text, path_use.has_ranges)),
            (ParameterKind::Quantity, None) => any(&|text, path_use| quantity::extents(text, path_use.has_ranges)),
            (ParameterKind::Date, None) => any(&|text, _| date::extents(text)),
            (ParameterKind::Position, None) => any(&|text, _| Ok(vec![position::extent(text)?])),
            (ParameterKind::Composite, None) => any(&|text, path_use| composite::extents(text, parameter, path_use, self.bases)),
            (ParameterKind::String, Some("exact")) => any(&|text, _| Ok(vec![string::exact(text)])),
            (ParameterKind::Uri, None) => any(&|text, _| Ok(uri::exact(&unescape(text)))),
            (ParameterKind::Uri, Some("below")) => any(&|text, _| Ok(uri::below(&unescape(text)))),
            (ParameterKind::Uri, Some("above")) => any(&|text, _| Ok(uri::above(&unescape(text)))),
            (ParameterKind::Uri, Some("contains")) => any(&|text, _| Ok(vec![uri::containing(&unescape(text))])),
            (ParameterKind::Token, None) => any(&|text, path_use| Ok(token::extent(text, path_use.implied_system)?.into_iter().collect())),
            (ParameterKind::Token, Some("not")) => self
                .spans(parameter, value, &|text, path_use| Ok(token::extent(text, path_use.implied_system)?.into_iter().collect()))
                .map(Criterion::NoneOf),
            (ParameterKind::Token, Some("text")) => any(&|text, _| Ok(vec![token::text(text)?])),
            (ParameterKind::Token, Some("of-type")) => any(&|text, _| Ok(vec![token::of_type(text)?])),
            (ParameterKind::Token, Some(modifier @ ("in" | "not-in" | "above" | "below"))) => Err(Fault::unsupported(format!(
                "the modifier ':{modifier}' needs a terminology service, which this server does not have; list the codes: {}=system|a,system|b",
                parameter.code
            ))),
            (ParameterKind::Reference, None) => self.references(parameter, None, value),
            (ParameterKind::Reference, Some("identifier")) => {
                any(&|text, _| Ok(token::extent(text, None)?.into_iter().map(|extent| extent.of(Facet::Identifier)).collect()))
            }
            (ParameterKind::Reference, Some("below")) => any(&|text, _| Ok(uri::canonical_below(&uri::absolute(text)?))),
            (ParameterKind::Reference, Some("above")) => any(&|text, _| Ok(uri::canonical_above(&uri::absolute(text)?))),
            (ParameterKind::Reference, Some(name)) if let Ok(named) = name.parse::<ResourceType>() => {
                chain::must_lead_to(parameter, named)?;
                self.references(parameter, Some(named), value)
            }
            (kind, Some(modifier)) => Err(unknown_modifier(parameter, kind, modifier)),
        };
        criterion.map(|criterion| vec![criterion])
    }

    fn references(&self, parameter: &Parameter, named: Option<ResourceType>, value: &str) -> Result<Criterion, Fault> {
        let mut spans = Vec::new();
        for text in alternatives(value)? {
            let sought = Sought::read(text, &parameter.targets, named, self.bases)?;
            for path_use in &parameter.uses {
                self.push(&mut spans, sought.extents(path_use.only_target), path_use)?;
            }
        }
        Ok(Criterion::AnyOf(spans))
    }

    fn spans(&self, parameter: &Parameter, value: &str, extents: &Asked<'_>) -> Result<Vec<Span>, Fault> {
        let mut spans = Vec::new();
        for text in alternatives(value)? {
            for path_use in &parameter.uses {
                self.push(&mut spans, extents(text, path_use)?, path_use)?;
            }
        }
        Ok(spans)
    }

    fn push(&self, spans: &mut Vec<Span>, extents: Vec<Extent>, path_use: &PathUse) -> Result<(), Fault> {
        self.budget.charge(extents.len())?;
        spans.extend(extents.iter().map(|extent| extent.on(path_use.path)));
        Ok(())
    }
}

/// Every value of a parameter on one path: what `:missing` asks for. A code may be there as text alone, a reference without leading anywhere.
fn present(kind: ParameterKind, path_use: &PathUse) -> Vec<Span> {
    let mut extents = if kind == ParameterKind::Reference { reference::any(path_use) } else { vec![Extent::whole()] };
    match kind {
        ParameterKind::Token => extents.push(Extent::whole().of(Facet::Text)),
        _ if path_use.has_ranges => extents.push(Extent::whole().of(Facet::Identifier)),
        ParameterKind::Reference if path_use.only_target.is_none() => extents.push(Extent::whole().of(Facet::Text)),
        _ => {}
    }
    extents.iter().map(|extent| extent.on(path_use.path)).collect()
}

/// Whether a type has the parameter that `name` begins with.
pub(super) fn knows(resource_type: ResourceType, name: &str) -> bool {
    let code = name.split([':', '.']).next().unwrap_or_default();
    special::NAMES.contains(&code) || known::parameter(resource_type, code).is_some()
}

/// The parameter of a type that has this name.
pub(super) fn find(resource_type: ResourceType, code: &str) -> Result<&'static Parameter, Fault> {
    known::parameter(resource_type, code).ok_or_else(|| {
        let (common, own): (Vec<_>, Vec<_>) =
            known::parameters(resource_type).iter().map(|parameter| parameter.code).partition(|code| code.starts_with('_'));
        let names = || own.iter().copied().chain(special::NAMES).chain(common.iter().copied());
        let hint = did_you_mean(code, names().chain(control::NAMES));
        let known = if hint.is_empty() { format!("; there are {}", listed(names())) } else { hint };
        Fault::unknown(format!("{resource_type} has no search parameter '{}'{known}", super::error::shown(code)))
    })
}

fn unknown_modifier(parameter: &Parameter, kind: ParameterKind, modifier: &str) -> Fault {
    let (noun, modifiers): (_, &[&str]) = match kind {
        ParameterKind::Number => ("number", &[]),
        ParameterKind::Quantity => ("quantity", &[]),
        ParameterKind::Date => ("date", &[]),
        ParameterKind::Position => ("position", &[]),
        ParameterKind::Composite => ("composite", &[]),
        ParameterKind::String => ("string", &[":exact", ":contains"]),
        ParameterKind::Uri => ("uri", &[":below", ":above", ":contains"]),
        ParameterKind::Token => ("token", &[":not", ":text", ":of-type"]),
        ParameterKind::Reference => ("reference", &[":identifier", ":below", ":above", ":Type (as in subject:Patient)"]),
    };
    let hint = did_you_mean(&format!(":{modifier}"), modifiers.iter().copied().chain([":missing"]));
    let could_be = listed(modifiers.iter().copied().chain([":missing"]));
    let modifier = super::error::shown(&unescape(modifier));
    Fault::unsupported(format!("':{modifier}' is no modifier of the {noun} '{}'{hint}; it can have {could_be}", parameter.code))
}
