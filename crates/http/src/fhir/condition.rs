//! Conditions of writes: a search that must select nothing or one resource (<https://hl7.org/fhir/R4/http.html#cond-update>).
//!
//! What a condition has seen goes along with the write as a guard, so that two writers who look at the same moment cannot both create.

use lethe_auth::Scope;
use lethe_fhir::{IssueType, LocalBases, ResourceType};
use lethe_search::{
    Criterion,
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
        let query = SearchQuery { criteria: self.criteria.clone(), count: 2, ..SearchQuery::default() };
        let mut found = app.store.search(scope, self.resource_type, &query).await?.found;
        if found.len() > 1 {
            let count = app.store.count_matches(scope, self.resource_type, &self.criteria, None).await?;
            return Err(ApiError::SeveralMatch(format!(
                "the condition selects {count} resources of type {}, and must not select more than one: add to it, an identifier for example; \
                 nothing was written",
                self.resource_type
            )));
        }
        let found = found.pop();
        let guard = Guard {
            resource_type: self.resource_type,
            criteria: self.criteria.clone(),
            found: found.as_ref().map(|version| version.id.clone()),
        };
        Ok(Seen { found, guard })
    }
}

fn is_steering(name: &str) -> bool {
    let code = name.split(':').next().unwrap_or_default();
    matches!(code, "_count" | "_sort" | "_include" | "_revinclude" | "_summary" | "_elements" | "_total" | "_page" | "_contained")
}
