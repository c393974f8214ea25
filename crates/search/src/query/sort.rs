//! `_sort` (<https://hl7.org/fhir/R4/search.html#sort>).

use lethe_fhir::ResourceType;

use super::{error::Fault, limit::SORT_KEYS_MAX, read::find, values::alternatives};
use crate::{SortBy, SortKey};

/// The keys of `_sort=value`.
pub(super) fn keys(resource_type: ResourceType, value: &str) -> Result<Vec<SortKey>, Fault> {
    let names = alternatives(value)?;
    if names.len() > SORT_KEYS_MAX {
        return Err(Fault::costly(format!("{} keys are given; at most {SORT_KEYS_MAX} are allowed", names.len())));
    }
    names.into_iter().map(|name| key(resource_type, name)).collect()
}

fn key(resource_type: ResourceType, name: &str) -> Result<SortKey, Fault> {
    let (code, is_descending) = name.strip_prefix('-').map_or((name, false), |code| (code, true));
    let by = match code {
        "_id" => SortBy::Id,
        "_lastUpdated" => SortBy::LastUpdated,
        "_score" => return Err(Fault::unsupported("results have no score to sort by; use a search parameter, _id or _lastUpdated")),
        _ => {
            let parameter = find(resource_type, code).map_err(|fault| Fault::value(name, fault.text))?;
            let paths = parameter.sort_paths().ok_or_else(|| {
                Fault::unsupported(format!("'{code}' has no order to sort by; use a parameter of another type, _id or _lastUpdated"))
            })?;
            SortBy::Paths(paths)
        }
    };
    Ok(SortKey { by, is_descending })
}
