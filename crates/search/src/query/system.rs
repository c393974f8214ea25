//! Searches over several types at once (<https://hl7.org/fhir/R4/http.html#search>): one [`Search`] for each.

use lethe_fhir::{LocalBases, ResourceType};

use super::{
    chain::type_named,
    error::{Fault, QueryError, QueryErrors},
    limit::Budget,
    read::Reader,
    search::{Search, Strictness},
    suggest::listed,
    values::alternatives,
};

/// Parameters that can be asked of every type, and what steers.
const COMMON: [&str; 18] = [
    "_id",
    "_lastUpdated",
    "_tag",
    "_profile",
    "_security",
    "_source",
    "_text",
    "_content",
    "_list",
    "_include",
    "_sort",
    "_count",
    "_summary",
    "_elements",
    "_total",
    "_page",
    "_format",
    "_pretty",
];

impl Search {
    /// Reads the decoded pairs of a query over all types, or those that `_type` names.
    ///
    /// # Errors
    /// Everything that is wrong with it, as for [`Search::parse`]; a parameter that one of the named types does not have, and without
    /// `_type` any but the common ones.
    pub fn parse_system(
        pairs: &[(String, String)],
        strictness: Strictness,
        bases: &LocalBases,
    ) -> Result<Vec<(ResourceType, Self)>, QueryErrors> {
        Self::parse_types(&ResourceType::all().collect::<Vec<_>>(), pairs, strictness, bases)
    }

    /// The same over `types`, such as those of a [compartment](super::compartment_types): `_type` chooses among them.
    ///
    /// # Errors
    /// As for [`Search::parse_system`], and a `_type` that is none of `types`.
    pub fn parse_types(
        types: &[ResourceType],
        pairs: &[(String, String)],
        strictness: Strictness,
        bases: &LocalBases,
    ) -> Result<Vec<(ResourceType, Self)>, QueryErrors> {
        let named = named_types(types, pairs)?;
        let searched = named.as_deref().unwrap_or(types);
        let (mut kept, mut ignored) = (Vec::new(), Vec::new());
        let mut errors = Vec::new();
        for (name, value) in pairs.iter().filter(|(name, _)| name != "_type") {
            if named.is_none() && !COMMON.contains(&name.split([':', '.']).next().unwrap_or_default()) {
                let fault = Fault::unknown(
                    "without _type only parameters that every type has can be given (_id, _lastUpdated, _tag, _profile, _security, _source, \
                     _text, _content, _list); name the types, as in _type=Patient,Observation",
                );
                match strictness {
                    Strictness::Strict => errors.push(fault.of(name)),
                    Strictness::Lenient => ignored.push(fault.of(name)),
                }
            } else {
                kept.push((name.as_str(), value.as_str()));
            }
        }
        if !errors.is_empty() {
            return Err(QueryErrors::of(errors));
        }
        if strictness == Strictness::Lenient {
            // What one of the types does not know is left out for all of them.
            let budget = Budget::new();
            for own in searched {
                let read = Self::of(*own, searched, &kept, Strictness::Lenient, Reader { bases, budget: &budget })?;
                kept.retain(|(name, _)| !read.ignored.iter().any(|left_out| left_out.is_of(name)));
                ignored.extend(read.ignored);
            }
        }
        let budget = Budget::new();
        let mut searches = Vec::new();
        for own in searched {
            match Self::of(*own, searched, &kept, Strictness::Strict, Reader { bases, budget: &budget }) {
                Ok(search) => searches.push((*own, Self { ignored: ignored.clone(), ..search })),
                Err(QueryErrors(found)) => errors.extend(found),
            }
            // What is wrong for every type need not be said for each.
            if named.is_none() && !errors.is_empty() {
                break;
            }
        }
        if errors.is_empty() { Ok(searches) } else { Err(QueryErrors::of(errors)) }
    }
}

/// What `_type` says: alternatives by comma, and by repetition those that are named each time.
fn named_types(types: &[ResourceType], pairs: &[(String, String)]) -> Result<Option<Vec<ResourceType>>, QueryErrors> {
    let mut named: Option<Vec<ResourceType>> = None;
    let mut errors: Vec<QueryError> = Vec::new();
    for (name, value) in pairs.iter().filter(|(name, _)| name == "_type") {
        match read_types(types, value) {
            Ok(given) => {
                let earlier = named.take().unwrap_or_else(|| types.to_vec());
                named = Some(earlier.into_iter().filter(|one| given.contains(one)).collect());
            }
            Err(fault) => errors.push(fault.of(name)),
        }
    }
    if errors.is_empty() { Ok(named) } else { Err(QueryErrors::of(errors)) }
}

fn read_types(types: &[ResourceType], value: &str) -> Result<Vec<ResourceType>, Fault> {
    let read = |text: &str| {
        let named = type_named(text)?;
        if types.contains(&named) {
            return Ok(named);
        }
        let possible = listed(types.iter().map(|one| one.name()));
        Err(Fault::value(text, format_args!("{named} is not among the types that can be searched here: {possible}")))
    };
    alternatives(value)?.into_iter().map(read).collect()
}
