//! Parameters that are about the resource itself, or about another way to find it: `_id`, `_lastUpdated`, `_text`, `_content`, `_list`.

use std::collections::BTreeSet;

use lethe_fhir::{Instant, LogicalId, ResourceType};

use super::{
    chain::{must_lead_to, paths_to, reference_parameter},
    date,
    error::Fault,
    limit::WORDS_MAX,
    prefix::Prefix,
    read::Reader,
    string::searchable,
    suggest::listed,
    values::{alternatives, boolean, unescape},
};
use crate::{Branch, Criterion, LastUpdatedFilter, WordPlace};

/// Names that are no parameters of a type, but can be asked of any.
pub(super) const NAMES: [&str; 6] = ["_id", "_lastUpdated", "_text", "_content", "_list", "_has"];

/// Parameters of R4 that are refused, with what to say.
const REFUSED: [(&str, &str); 5] = [
    ("_filter", "filter expressions are not supported; write the conditions as parameters"),
    ("_query", "named queries are not supported; write the conditions as parameters"),
    ("_contained", "contained resources are not searched; leave it out, or give 'false'"),
    ("_containedType", "contained resources are not searched; leave it out"),
    ("_type", "it is for searches over several types (GET /r4?_type=Patient,Observation); the type stands in the path here"),
];

/// `None` if `code` is none of them.
pub(super) fn criteria(
    reader: &Reader<'_>,
    resource_type: ResourceType,
    code: &str,
    modifier: Option<&str>,
    value: &str,
) -> Option<Result<Vec<Criterion>, Fault>> {
    let criteria = match (code, modifier) {
        ("_id", None) => ids(value).map(|ids| vec![Criterion::Ids(ids)]),
        ("_id", Some("not")) => ids(value).map(|ids| vec![Criterion::NotIds(ids)]),
        // Everything has an id and a time.
        ("_id" | "_lastUpdated", Some("missing")) => {
            boolean(value).map(|is_missing| if is_missing { vec![Criterion::AnyOf(Vec::new())] } else { Vec::new() })
        }
        ("_lastUpdated", None) => last_updated(value).map(|filters| vec![Criterion::LastUpdated(filters)]),
        ("_text", None) => words(WordPlace::Narrative, value),
        ("_content", None) => words(WordPlace::Everything, value),
        ("_list", None) => list(resource_type, value).map(|criterion| vec![criterion]),
        ("_has", _) => Err(Fault::invalid("write _has:Type:reference:parameter=value, as in _has:Observation:patient:code=1234-5")),
        ("_id" | "_lastUpdated" | "_text" | "_content" | "_list", Some(modifier)) => {
            let could_be: &[&str] = match code {
                "_id" => &[":not", ":missing"],
                "_lastUpdated" => &[":missing"],
                _ => &[],
            };
            let modifier = super::error::shown(modifier);
            Err(Fault::unsupported(format!("':{modifier}' is no modifier of '{code}'; it can have {}", listed(could_be.iter().copied()))))
        }
        _ => match REFUSED.iter().find(|(name, _)| *name == code) {
            Some(_) if code == "_contained" && value == "false" => Ok(Vec::new()),
            Some((_, why)) => Err(Fault::unknown(*why)),
            None => return None,
        },
    };
    Some(criteria.and_then(|criteria| {
        reader.budget.charge(criteria.len())?;
        Ok(criteria)
    }))
}

fn ids(value: &str) -> Result<Vec<LogicalId>, Fault> {
    let ids = alternatives(value)?.into_iter().map(|text| text.parse::<LogicalId>().map_err(|error| Fault::value(text, error)));
    ids.collect::<Result<BTreeSet<_>, _>>().map(|ids| ids.into_iter().collect())
}

/// An instant has no width, so that a comparison of ranges is one with the range of the query.
fn last_updated(value: &str) -> Result<Vec<LastUpdatedFilter>, Fault> {
    let (earliest, latest) = (Instant::from_unix_ms(i64::MIN), Instant::from_unix_ms(i64::MAX));
    let filter = |text| {
        let (prefix, span) = date::read(text)?;
        let (low, high) = (span.low, span.high);
        Ok(match prefix {
            Prefix::Equal => LastUpdatedFilter::Within(low, high),
            Prefix::NotEqual => LastUpdatedFilter::Outside(low, high),
            Prefix::Less | Prefix::EndsBefore => LastUpdatedFilter::Within(earliest, low),
            Prefix::LessOrEqual => LastUpdatedFilter::Within(earliest, high),
            Prefix::Greater | Prefix::StartsAfter => LastUpdatedFilter::Within(high, latest),
            Prefix::GreaterOrEqual => LastUpdatedFilter::Within(low, latest),
            Prefix::Approximately => {
                let wide = date::widened(span);
                LastUpdatedFilter::Within(wide.low, wide.high)
            }
        })
    };
    alternatives(value)?.into_iter().map(filter).collect()
}

fn words(place: WordPlace, value: &str) -> Result<Vec<Criterion>, Fault> {
    let words = |text: &str| {
        let words = crate::words(&searchable(text)?);
        match words.len() {
            0 => Err(Fault::value(text, "it has no word: give letters or digits")),
            WORDS_MAX.. => Err(Fault::costly(format!("{} words are given; fewer than {WORDS_MAX} are allowed", words.len()))),
            _ => Ok(words),
        }
    };
    let alternatives = alternatives(value)?.into_iter().map(words).collect::<Result<_, _>>()?;
    Ok(vec![Criterion::Words { place, alternatives }])
}

/// Being an item of a List.
fn list(resource_type: ResourceType, value: &str) -> Result<Criterion, Fault> {
    let mut lists = Vec::new();
    for text in alternatives(value)? {
        let plain = unescape(text);
        if plain.starts_with('$') {
            return Err(Fault::unsupported(format!(
                "functional lists such as '{}' are not supported; give the id of a List",
                super::error::shown(&plain)
            )));
        }
        let id = plain.strip_prefix("List/").unwrap_or(&plain);
        lists.push(id.parse::<LogicalId>().map_err(|error| Fault::value(text, error))?);
    }
    let source = super::chain::type_named("List")?;
    let parameter = reference_parameter(source, "item")?;
    must_lead_to(parameter, resource_type)?;
    let branch = Branch { resource_type: source, criteria: vec![Criterion::Ids(lists)] };
    Ok(Criterion::ReferredBy { paths: paths_to(parameter, resource_type), branch })
}
