//! Conditions of writes: a search that must select nothing or one resource (<https://hl7.org/fhir/R4/http.html#cond-update>).
//!
//! What a condition has seen goes along with the write as a guard, so that two writers who look at the same moment cannot both create.

use std::collections::{HashMap, HashSet};

use lethe_auth::Scope;
use lethe_fhir::{IssueType, LocalBases, LogicalId, ResourceType};
use lethe_search::{
    Criterion, IndexValues,
    query::{Search, Strictness},
};
use lethe_store::{Guard, SearchQuery, StoredVersion};

use crate::{App, edge::parse_pairs, error::ApiError};

/// How often a condition is looked at again because other writers changed what it selects.
pub const LOOKS_MAX: usize = 5;

/// A search that has been read.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What is searched.
    pub resource_type: ResourceType,
    criteria: Vec<Criterion>,
    text: String,
}

/// What a condition selects.
#[derive(Debug)]
pub struct Seen {
    /// The one resource that fits, if there is one.
    pub found: Option<StoredVersion>,
    /// What must still be so when it is written.
    pub guard: Guard,
}

impl Condition {
    /// Reads the decoded pairs of a query.
    ///
    /// # Errors
    /// Anything that a search refuses, and what makes no sense in a condition: paging, sorting, includes, or no condition at all.
    pub fn of(resource_type: ResourceType, pairs: &[(String, String)], bases: &LocalBases) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> =
            pairs.iter().filter(|(name, _)| !matches!(name.as_str(), "_format" | "_pretty")).cloned().collect();
        if let Some((name, _)) = pairs.iter().find(|(name, _)| is_steering(name)) {
            let shown: String = name.chars().take(80).collect();
            let text =
                format!("'{shown}' has no place in a condition, which selects nothing or one resource: leave it out; nothing was written");
            return Err(ApiError::bad(IssueType::NotSupported, text));
        }
        let search = Search::parse(resource_type, &pairs, Strictness::Strict, bases)?;
        if search.criteria.is_empty() {
            let text = format!(
                "a condition is needed, such as {resource_type}?identifier=system|value: without one every {resource_type} would be meant; \
                 nothing was written"
            );
            return Err(ApiError::bad(IssueType::Required, text));
        }
        let text = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        Ok(Self { resource_type, criteria: search.criteria, text })
    }

    /// Reads a query such as `identifier=http://x|1`; a `?` or `Type?` before it is forgiven.
    ///
    /// # Errors
    /// As [`of`](Self::of); another type.
    pub fn parse(resource_type: ResourceType, query: &str, bases: &LocalBases) -> Result<Self, ApiError> {
        let query = query.trim();
        let query = match query.split_once('?') {
            Some((before, query)) if before.is_empty() || before == resource_type.name() => query,
            Some((before, _)) if before.parse::<ResourceType>().is_ok() => {
                let text = format!("the condition is about {before}, but {resource_type} is written: they must be the same");
                return Err(ApiError::bad(IssueType::Invalid, text));
            }
            _ => query,
        };
        Self::of(resource_type, &parse_pairs(query)?, bases)
    }

    /// For messages and for telling two conditions apart: the type and the decoded parameters.
    pub fn text(&self) -> (ResourceType, &str) {
        (self.resource_type, &self.text)
    }

    /// Looks what it selects now.
    ///
    /// # Errors
    /// 412 if it is more than one.
    pub async fn look(&self, app: &App, scope: &Scope) -> Result<Seen, ApiError> {
        self.look_without(app, scope, &Removed::default()).await
    }

    /// As [`look`](Self::look), as if `removed` had gone.
    pub async fn look_without(&self, app: &App, scope: &Scope, removed: &Removed) -> Result<Seen, ApiError> {
        let mut found = fitting(app, scope, self.resource_type, &self.criteria, removed).await?;
        if found.len() > 1 {
            let count = app.store.count_matches(scope, self.resource_type, &self.criteria, None).await?;
            return Err(several_match(self.resource_type, count));
        }
        let found = found.pop();
        let guard = Guard {
            after: 0,
            resource_type: self.resource_type,
            criteria: self.criteria.clone(),
            found: found.as_ref().map(|version| version.id.clone()),
        };
        Ok(Seen { found, guard })
    }

    /// Whether a resource fits that is not stored yet; what cannot be told does not.
    pub fn fits(&self, id: &LogicalId, values: &IndexValues) -> bool {
        self.criteria.iter().all(|criterion| holds(criterion, id, values))
    }
}

/// A condition must not select so many.
pub fn several_match(resource_type: ResourceType, count: u64) -> ApiError {
    ApiError::SeveralMatch(format!(
        "the condition selects {count} resources of type {resource_type}, and must not select more than one: add to it, an identifier for \
         example; nothing was written"
    ))
}

/// Whether a criterion holds, as far as the values of one resource tell.
pub fn holds(criterion: &Criterion, id: &LogicalId, values: &IndexValues) -> bool {
    match criterion {
        Criterion::Ids(ids) => ids.contains(id),
        Criterion::Either(ways) => ways.iter().any(|way| way.iter().all(|criterion| holds(criterion, id, values))),
        other => other.holds_for(values.iter()).unwrap_or(false),
    }
}

/// Resources that the same Bundle deletes: its other conditions are judged after that (<https://hl7.org/fhir/R4/http.html#trules>).
#[derive(Debug, Default)]
pub struct Removed(HashMap<ResourceType, HashSet<LogicalId>>);

impl Removed {
    /// Adds one.
    pub fn add(&mut self, resource_type: ResourceType, id: &LogicalId) {
        self.0.entry(resource_type).or_default().insert(id.clone());
    }

    fn has(&self, version: &StoredVersion) -> bool {
        self.0.get(&version.resource_type).is_some_and(|ids| ids.contains(&version.id))
    }
}

/// The most that a condition may select of what the same Bundle deletes.
const REMOVED_FITTING_MAX: usize = 100;

/// Up to two resources that fit, as if `removed` had gone.
pub async fn fitting(
    app: &App,
    scope: &Scope,
    resource_type: ResourceType,
    criteria: &[Criterion],
    removed: &Removed,
) -> Result<Vec<StoredVersion>, ApiError> {
    let mut passed: Vec<LogicalId> = Vec::new();
    loop {
        let mut criteria = criteria.to_vec();
        if !passed.is_empty() {
            criteria.push(Criterion::NotIds(passed.clone()));
        }
        let query = SearchQuery { criteria, count: 2, ..SearchQuery::default() };
        let found = app.store.search(scope, resource_type, &query).await?.found;
        let gone: Vec<LogicalId> = found.iter().filter(|version| removed.has(version)).map(|version| version.id.clone()).collect();
        if gone.is_empty() {
            return Ok(found);
        }
        passed.extend(gone);
        if passed.len() > REMOVED_FITTING_MAX {
            let text = format!(
                "the condition selects more than {REMOVED_FITTING_MAX} resources that the same Bundle deletes: add to it, or delete them in a \
                 Bundle of their own"
            );
            return Err(ApiError::bad(IssueType::TooCostly, text));
        }
    }
}

fn is_steering(name: &str) -> bool {
    let code = name.split(':').next().unwrap_or_default();
    matches!(code, "_count" | "_sort" | "_include" | "_revinclude" | "_summary" | "_elements" | "_total" | "_page" | "_contained")
}
