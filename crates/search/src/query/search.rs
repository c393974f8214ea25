//! One search: the decoded pairs of a query, read against the parameters of a type.

use lethe_fhir::{LocalBases, ResourceType, limits};

use super::{
    control::{self, Controls, Summary, TotalMode},
    error::{Fault, QueryError, QueryErrorKind, QueryErrors},
    include::{self, Include},
    limit::{Budget, INCLUDES_MAX, NAME_BYTES_MAX, PARAMETERS_MAX},
    read::Reader,
    sort,
};
use crate::{Criterion, SortKey};

/// What to do about parameters that are not known (`Prefer: handling=…`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Refuse them: to leave a condition out would widen the result.
    #[default]
    Strict,
    /// Leave them out and say so.
    Lenient,
}

/// What is asked of resources of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// What must hold, all of it.
    pub criteria: Vec<Criterion>,
    /// What goes along with what is found.
    pub includes: Vec<Include>,
    /// In which order; none: as the server likes.
    pub sort: Vec<SortKey>,
    /// Resources of one page, from 1 to [`limits::PAGE_COUNT_MAX`].
    pub count: usize,
    /// The number and no resources: `_summary=count` or `_count=0`.
    pub is_count_only: bool,
    /// How much of each resource.
    pub summary: Summary,
    /// Only these elements, and what is mandatory; empty: all.
    pub elements: Vec<String>,
    /// Which total is wanted.
    pub total: TotalMode,
    /// The place where the page begins, as the server gave it.
    pub page: Option<String>,
    /// Parameters that were left out, with [`Strictness::Lenient`].
    pub ignored: Vec<QueryError>,
}

impl Search {
    /// Reads the decoded pairs of a query over one type. `_format` and `_pretty` are left to the HTTP edge and skipped.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(
        resource_type: ResourceType,
        pairs: &[(String, String)],
        strictness: Strictness,
        bases: &LocalBases,
    ) -> Result<Self, QueryErrors> {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let budget = Budget::new();
        Self::of(resource_type, &[resource_type], &pairs, strictness, Reader { bases, budget: &budget })
    }

    /// One type of a search over the types `searched`.
    pub(super) fn of(
        resource_type: ResourceType,
        searched: &[ResourceType],
        pairs: &[(&str, &str)],
        strictness: Strictness,
        reader: Reader<'_>,
    ) -> Result<Self, QueryErrors> {
        if pairs.len() > PARAMETERS_MAX {
            let fault = Fault::costly(format!("the query has {} parameters; at most {PARAMETERS_MAX} are allowed", pairs.len()));
            return Err(QueryErrors(vec![fault.of("query")]));
        }
        let mut reading = Reading { resource_type, searched, reader, controls: Controls::default(), found: Found::default() };
        let (mut errors, mut ignored) = (Vec::new(), Vec::new());
        for (name, value) in pairs {
            match reading.take(name, value) {
                Ok(()) => {}
                Err(fault) if strictness == Strictness::Lenient && fault.kind == QueryErrorKind::UnknownParameter => {
                    ignored.push(fault.of(name));
                }
                Err(fault) => errors.push(fault.of(name)),
            }
        }
        let Reading { controls, found, .. } = reading;
        if controls.summary == Some(Summary::Text) && !found.includes.is_empty() {
            errors.push(Fault::invalid("text cannot be combined with _include or _revinclude").of("_summary"));
        }
        if !errors.is_empty() {
            return Err(QueryErrors::of(errors));
        }
        Ok(Self {
            criteria: found.criteria,
            includes: found.includes,
            sort: found.sort.unwrap_or_default(),
            count: controls.count.unwrap_or(limits::PAGE_COUNT_DEFAULT),
            is_count_only: controls.is_count_only,
            summary: controls.summary.unwrap_or_default(),
            elements: controls.elements.unwrap_or_default(),
            total: controls.total.unwrap_or_default(),
            page: controls.page,
            ignored,
        })
    }
}

#[derive(Default)]
struct Found {
    criteria: Vec<Criterion>,
    includes: Vec<Include>,
    includes_given: usize,
    sort: Option<Vec<SortKey>>,
}

struct Reading<'a> {
    resource_type: ResourceType,
    searched: &'a [ResourceType],
    reader: Reader<'a>,
    controls: Controls,
    found: Found,
}

impl Reading<'_> {
    fn take(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Fault::costly(format!("the name has {} bytes; at most {NAME_BYTES_MAX} are allowed", name.len())));
        }
        if self.controls.take(name, value)? {
            return Ok(());
        }
        let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
        match code {
            "_include" | "_revinclude" => {
                self.found.includes_given += 1;
                if self.found.includes_given > INCLUDES_MAX {
                    return Err(Fault::costly(format!("over {INCLUDES_MAX} _include and _revinclude are given; give fewer")));
                }
                self.found.includes.extend(include::read(self.resource_type, self.searched, code == "_revinclude", modifier, value)?);
            }
            "_sort" if modifier.is_none() => {
                if self.found.sort.replace(sort::keys(self.resource_type, value)?).is_some() {
                    return Err(Fault::invalid("is given more than once; write _sort=first,-second"));
                }
            }
            "_sort" => return Err(Fault::unsupported("has no modifier: write _sort=date, or _sort=-date for the newest first")),
            _ if modifier.is_some() && control::NAMES.contains(&code) => {
                return Err(Fault::unsupported(format!("'{code}' has no modifier")));
            }
            _ => self.found.criteria.extend(self.reader.criteria(self.resource_type, name, value, 0)?),
        }
        Ok(())
    }
}
