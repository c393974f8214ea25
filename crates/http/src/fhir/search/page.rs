//! One page of a search, from the store.

use lethe_auth::Scope;
use lethe_fhir::{LocalBases, limits};
use lethe_search::query::TotalMode;
use lethe_store::{SearchQuery, StoredVersion};

use super::{
    call::Asked,
    include::{Included, include},
    page_token::{Binding, PageStart},
    render::{links, render},
};
use crate::{App, error::ApiError};

/// What was found.
pub struct Found {
    /// In order.
    pub matches: Vec<StoredVersion>,
    /// What goes along.
    pub included: Included,
    /// How many fit in all, if that is told.
    pub total: Option<u64>,
    /// The token of the next page, if there is one.
    pub next: Option<String>,
}

/// The page that is asked for, as a Bundle.
pub async fn searchset(app: &App, scope: &Scope, bases: &LocalBases, asked: &Asked) -> Result<String, ApiError> {
    page_of(app, scope, asked, async |matches: &[StoredVersion]| include(app, scope, bases, &asked.stages, matches).await).await
}

/// As [`searchset`], with another rule for what goes along.
pub async fn page_of(
    app: &App,
    scope: &Scope,
    asked: &Asked,
    along: impl AsyncFnOnce(&[StoredVersion]) -> Result<Included, ApiError>,
) -> Result<String, ApiError> {
    let found = find(app, scope, asked, along).await?;
    let links = links(app, asked, found.next.as_deref());
    render(app, asked, found, &links)
}

async fn find(
    app: &App,
    scope: &Scope,
    asked: &Asked,
    along: impl AsyncFnOnce(&[StoredVersion]) -> Result<Included, ApiError>,
) -> Result<Found, ApiError> {
    // To what the links say, for they come back so.
    let understood = asked.stages.first().map_or_else(Vec::new, |(_, search)| search.understood(&asked.pairs));
    let binding = Binding::of(scope, &asked.path, &understood);
    let start = asked.page.as_deref().map(|token| binding.open(&app.secrets, token)).transpose()?;
    if asked.is_count_only {
        let total = Some(count(app, scope, asked).await?);
        return Ok(Found { matches: Vec::new(), included: Included::default(), total, next: None });
    }
    let is_first = start.is_none();
    let told = start.as_ref().and_then(|start| start.total);
    let (mut matches, next) = matches(app, scope, asked, start).await?;
    let total = match asked.total {
        TotalMode::None => None,
        // The first page counts; the others say what it said.
        _ if !is_first => told,
        _ if next.is_none() => Some(matches.len() as u64),
        TotalMode::Estimate | TotalMode::Accurate => Some(count(app, scope, asked).await?),
        TotalMode::Unsaid if asked.is_unconditional() => Some(count(app, scope, asked).await?),
        TotalMode::Unsaid => None,
    };
    let included = along(&matches).await?;
    if let Some(shown) = &asked.shown {
        matches.retain(|version| {
            let is_of_type = shown.types.as_ref().is_none_or(|types| types.contains(&version.resource_type));
            is_of_type && shown.since.is_none_or(|since| version.last_updated >= since)
        });
    }
    let next = next.map(|start| binding.seal(&app.secrets, &PageStart { total, ..start }));
    Ok(Found { matches, included, total, next })
}

async fn count(app: &App, scope: &Scope, asked: &Asked) -> Result<u64, ApiError> {
    let mut total = 0;
    for (resource_type, search) in &asked.stages {
        total += app.store.count_matches(scope, *resource_type, &search.criteria, None).await?;
    }
    Ok(total)
}

/// Type by type until the page is full, and where the next begins.
async fn matches(
    app: &App,
    scope: &Scope,
    asked: &Asked,
    start: Option<PageStart>,
) -> Result<(Vec<StoredVersion>, Option<PageStart>), ApiError> {
    let (first, mut after, mut newest) = match start {
        Some(start) => (start.stage, start.after, Some(start.newest)),
        None => (0, None, None),
    };
    let (mut matches, mut bytes) = (Vec::new(), 0);
    for (stage, (resource_type, search)) in asked.stages.iter().enumerate().skip(first) {
        // Types add up: each has its own page from the store.
        let wanted = if bytes > limits::PAGE_BYTES_MAX { 0 } else { asked.count - matches.len() };
        let query = SearchQuery {
            criteria: search.criteria.clone(),
            sort: search.sort.clone(),
            after: after.take(),
            newest,
            // With a full page, one more tells whether there is another.
            count: wanted.max(1),
        };
        let page = app.store.search(scope, *resource_type, &query).await?;
        // What is written while the types are gone through is not of this search.
        let newest = *newest.get_or_insert(page.newest);
        let start = |after| PageStart { stage, after, newest, total: None };
        if wanted == 0 {
            if !page.found.is_empty() {
                return Ok((matches, Some(start(None))));
            }
            continue;
        }
        bytes += page.found.iter().map(StoredVersion::bytes).sum::<usize>();
        matches.extend(page.found);
        if let Some(next) = page.next {
            return Ok((matches, Some(start(Some(next)))));
        }
    }
    Ok((matches, None))
}
