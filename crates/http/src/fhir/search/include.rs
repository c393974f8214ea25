//! `_include` and `_revinclude`: what goes along with the matches of a page (<https://hl7.org/fhir/R4/search.html#include>).

use std::collections::{BTreeMap, HashSet};

use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LocalBases, LocalReference, Resource, ResourceType, limits};
use lethe_search::{
    IndexValues, index_entries,
    query::{Include, Search},
};
use lethe_store::{SearchQuery, StoredVersion};

use crate::{App, error::ApiError, fhir::read::render_version};

/// Resources that go along with one page.
const INCLUDED_MAX: usize = 1_000;

/// References that one search for what refers to them takes.
const REFERRED_AT_ONCE: usize = 200;

/// What goes along.
#[derive(Debug, Default)]
pub struct Included {
    /// Each once, and none that is a match.
    pub versions: Vec<StoredVersion>,
    /// Whether there would have been more than go along with one page.
    pub is_cut: bool,
    count: usize,
    bytes: usize,
}

impl Included {
    /// Whether there is room for one more; if not, it is remembered. The one that goes beyond the bytes of a page is the last.
    pub fn has_room_for(&mut self, version: &StoredVersion) -> bool {
        if self.is_cut || self.count == INCLUDED_MAX || self.bytes > limits::PAGE_BYTES_MAX {
            self.is_cut = true;
            return false;
        }
        self.count += 1;
        self.bytes += version.bytes();
        true
    }

    /// What to do where not all went along.
    pub fn cut_text() -> String {
        format!(
            "more would go along with this page than does: it takes {INCLUDED_MAX} resources and about {} bytes of them; ask for fewer \
             matches with _count, or search for the others by themselves",
            limits::PAGE_BYTES_MAX
        )
    }
}

/// Reads resources by their ids, a part of the list at a time, until `take` says that it is enough.
pub async fn read_in_parts(
    app: &App,
    scope: &Scope,
    targets: &[(AccountId, LocalReference)],
    mut take: impl FnMut(StoredVersion) -> Result<bool, ApiError>,
) -> Result<(), ApiError> {
    let mut rest = targets;
    while !rest.is_empty() {
        let part = &rest[..rest.len().min(INCLUDED_MAX)];
        let read = app.store.read_all(scope, part).await?;
        for version in read.found {
            if !take(version)? {
                return Ok(());
            }
        }
        // OK because one at least has been looked at.
        rest = rest.get(read.looked_at.max(1)..).unwrap_or_default();
    }
    Ok(())
}

type Place = (AccountId, LocalReference);

fn place(version: &StoredVersion) -> Place {
    (version.account_id, LocalReference { resource_type: version.resource_type, id: version.id.clone() })
}

/// Collects what goes along: what the matches refer to or are referred to by, and with `:iterate` so on from there. It lives in the
/// account of the resource that brings it along.
pub async fn include(
    app: &App,
    scope: &Scope,
    bases: &LocalBases,
    stages: &[(ResourceType, Search)],
    matches: &[StoredVersion],
) -> Result<Included, ApiError> {
    let mut includes: Vec<&Include> = Vec::new();
    for include in stages.iter().flat_map(|(_, search)| &search.includes) {
        if !includes.contains(&include) {
            includes.push(include);
        }
    }
    let mut collection = Collection { app, scope, bases, seen: matches.iter().map(place).collect(), included: Included::default() };
    if includes.is_empty() {
        return Ok(collection.included);
    }
    let mut frontier = collection.round(&includes, matches).await?;
    let iterated: Vec<&Include> = includes.into_iter().filter(|include| include.is_iterated).collect();
    // Ends because each round finds something that was not there before, and there is a limit to that.
    while !iterated.is_empty() && !frontier.is_empty() && !collection.included.is_cut {
        let found = collection.round(&iterated, &frontier).await?;
        collection.included.versions.append(&mut frontier);
        frontier = found;
    }
    collection.included.versions.append(&mut frontier);
    Ok(collection.included)
}

struct Collection<'a> {
    app: &'a App,
    scope: &'a Scope,
    bases: &'a LocalBases,
    seen: HashSet<Place>,
    included: Included,
}

impl Collection<'_> {
    /// What `sources` bring along and has not been seen.
    async fn round(&mut self, includes: &[&Include], sources: &[StoredVersion]) -> Result<Vec<StoredVersion>, ApiError> {
        let mut found = Vec::new();
        let targets = self.targets(includes, sources)?;
        let (app, scope) = (self.app, self.scope);
        read_in_parts(app, scope, &targets, |version| Ok(self.take(version, &mut found))).await?;
        for include in includes.iter().filter(|include| include.is_reverse) {
            self.referring(include, sources, &mut found).await?;
        }
        Ok(found)
    }

    /// What `sources` refer to by the references that are to be followed.
    fn targets(&self, includes: &[&Include], sources: &[StoredVersion]) -> Result<Vec<Place>, ApiError> {
        let mut targets = Vec::new();
        let mut taken = HashSet::new();
        for source in sources {
            let own: Vec<&&Include> =
                includes.iter().filter(|include| !include.is_reverse && include.source == source.resource_type).collect();
            if own.is_empty() {
                continue;
            }
            let values = values_of(source, self.bases)?;
            for target in own.iter().flat_map(|include| include.brought_by(&values)) {
                let place = (source.account_id, target);
                if !self.seen.contains(&place) && taken.insert(place.clone()) {
                    targets.push(place);
                }
            }
        }
        Ok(targets)
    }

    /// What refers to `sources`.
    async fn referring(&mut self, include: &Include, sources: &[StoredVersion], found: &mut Vec<StoredVersion>) -> Result<(), ApiError> {
        let mut by_account: BTreeMap<AccountId, Vec<LocalReference>> = BTreeMap::new();
        for (account_id, reference) in sources.iter().map(place) {
            by_account.entry(account_id).or_default().push(reference);
        }
        for (account_id, references) in by_account {
            let scope = Scope::Account { client_id: self.scope.client_id().clone(), account_id };
            for chunk in references.chunks(REFERRED_AT_ONCE) {
                let Some(criterion) = include.referring_to(chunk) else { continue };
                let mut query = SearchQuery { criteria: vec![criterion], count: INCLUDED_MAX, ..SearchQuery::default() };
                loop {
                    let page = self.app.store.search(&scope, include.source, &query).await?;
                    for version in page.found {
                        self.take(version, found);
                    }
                    match page.next {
                        Some(next) if !self.included.is_cut => query.after = Some(next),
                        _ => break,
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether more can be taken.
    fn take(&mut self, version: StoredVersion, found: &mut Vec<StoredVersion>) -> bool {
        if !self.seen.contains(&place(&version)) && self.included.has_room_for(&version) {
            self.seen.insert(place(&version));
            found.push(version);
        }
        !self.included.is_cut
    }
}

/// The index values of a stored version, read anew from its content.
fn values_of(version: &StoredVersion, bases: &LocalBases) -> Result<IndexValues, ApiError> {
    let text = render_version(version)?;
    let resource = Resource::parse(text.as_bytes()).map_err(|_| ApiError::Defect)?;
    // OK because what was stored had been indexed: should a later rule refuse it, it brings nothing along.
    Ok(index_entries(&resource, bases).map(|entries| entries.values).unwrap_or_default())
}
