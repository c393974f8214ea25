//! Composites: `code$value`, each part by the rules of its own type (<https://hl7.org/fhir/R4/search.html#composite>).
//!
//! What is stored begins with the code of the first part and ends with its system, so that a code in any system is a range.

use super::{
    date,
    error::Fault,
    extent::Extent,
    number, quantity,
    reference::Sought,
    string,
    token::Token,
    values::{split, unescape},
};
use crate::{
    SpanEnd, ValueCheck,
    definitions::{Parameter, ParameterKind, PathUse},
    value::{self, SYSTEM_BYTES, system_hash, token_code},
};

/// Width of a number, the only type that a third part follows.
const NUMBER_BYTES: usize = 8;

/// What `text` asks of a composite's index values on one path.
pub(super) fn extents(text: &str, parameter: &Parameter, path_use: &PathUse, bases: &lethe_fhir::LocalBases) -> Result<Vec<Extent>, Fault> {
    let parts = split(text, '$');
    let ([first, others @ ..], [_, kinds @ ..]) = (parts.as_slice(), parameter.components.as_slice()) else {
        return Err(Fault::unsupported("has no parts that could be searched"));
    };
    if others.len() != kinds.len() || parts.iter().any(|part| part.is_empty()) {
        return Err(Fault::value(
            text,
            format_args!("{} parts with '$' between them are expected, as in {}", kinds.len() + 1, example(kinds)),
        ));
    }
    let Token { system, code } = Token::read(first)?;
    let ending = match (system.as_deref(), path_use.implied_system) {
        (None, None) => None,
        (Some(system), Some(implied)) if system != implied && !system.is_empty() => return Ok(Vec::new()),
        (_, Some(_)) | (Some(""), None) => Some([0; SYSTEM_BYTES]),
        (Some(system), None) => Some(system_hash(system)),
    };
    let mut further = others.iter().zip(kinds).map(|(part, kind)| of_part(part, *kind, parameter, path_use, bases));
    let mut found = further.next().transpose()?.unwrap_or_default();
    let mut at = NUMBER_BYTES;
    if !code.is_empty() {
        let prefix = token_code(&code);
        found = found.into_iter().map(|extent| behind(extent, &prefix, ending)).collect();
        at += prefix.len();
    }
    for extents in further {
        // OK because all parts but the last are as wide as a number: `r4` has no others.
        let extents = extents?;
        found = found
            .iter()
            .flat_map(|earlier| extents.iter().map(|extent| extent.clone().into_checks(at).into_iter().fold(earlier.clone(), Extent::and)))
            .collect();
        at += NUMBER_BYTES;
    }
    if code.is_empty() {
        found = found.into_iter().map(|extent| behind_any(extent, ending)).collect();
    }
    Ok(found)
}

/// Behind any code, of the system that the value ends with.
fn behind_any(mut extent: Extent, ending: Option<[u8; SYSTEM_BYTES]>) -> Extent {
    if let (Some(ending), SpanEnd::Single) = (ending, &extent.end) {
        // Nothing else may follow it.
        extent.low.extend_from_slice(&ending);
    }
    let any = Extent::whole().of(extent.facet).and(ValueCheck::Behind { at: 0, checks: extent.into_checks(0) });
    match ending {
        Some(ending) => any.and(ValueCheck::EndsWith(ending.to_vec())),
        None => any,
    }
}

fn behind(extent: Extent, prefix: &[u8], ending: Option<[u8; SYSTEM_BYTES]>) -> Extent {
    match ending {
        None => extent.behind(prefix),
        Some(ending) if extent.end == SpanEnd::Single && extent.checks.is_empty() => {
            Extent { low: [prefix, &extent.low, &ending].concat(), ..extent }
        }
        Some(ending) => extent.behind(prefix).and(ValueCheck::EndsWith(ending.to_vec())),
    }
}

/// What one part asks of its bytes.
fn of_part(
    text: &str,
    kind: ParameterKind,
    parameter: &Parameter,
    path_use: &PathUse,
    bases: &lethe_fhir::LocalBases,
) -> Result<Vec<Extent>, Fault> {
    match kind {
        // OK because `r4` has no Range among the numbers of a composite.
        ParameterKind::Number => number::extents(text, false),
        ParameterKind::Quantity => quantity::extents(text, path_use.has_ranges),
        ParameterKind::Date => date::extents(text),
        ParameterKind::String => Ok(vec![string::beginning(text)?]),
        ParameterKind::Token => {
            let Token { system, code } = Token::read(text)?;
            Ok(vec![match system.as_deref() {
                Some(system) if code.is_empty() => {
                    let has_system = ValueCheck::HasAt { at: 0, bytes: system_hash(system).to_vec() };
                    Extent::whole().and(ValueCheck::Behind { at: 0, checks: vec![has_system] })
                }
                None => Extent::prefix(token_code(&code)),
                Some("") => Extent::single(value::composite_token(None, &code)),
                Some(system) => Extent::single(value::composite_token(Some(system), &code)),
            }])
        }
        ParameterKind::Reference => Ok(Sought::read(text, &parameter.targets, None, bases)?.extents(None)),
        ParameterKind::Uri => Ok(vec![Extent::single(value::uri(&unescape(text)))]),
        ParameterKind::Composite | ParameterKind::Position => Err(Fault::unsupported("a part of this composite cannot be searched")),
    }
}

fn example(kinds: &[ParameterKind]) -> String {
    let parts = kinds.iter().map(|kind| match kind {
        ParameterKind::Number => "$100",
        ParameterKind::Quantity => "$gt5.4||mg",
        ParameterKind::Date => "$ge2024-01-31",
        ParameterKind::String => "$text",
        ParameterKind::Reference => "$Type/id",
        ParameterKind::Token | ParameterKind::Uri | ParameterKind::Composite | ParameterKind::Position => "$code",
    });
    ["system|code"].into_iter().chain(parts).collect()
}
