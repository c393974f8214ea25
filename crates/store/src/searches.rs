//! Port: finding resources.

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LocalReference, LogicalId, ResourceType};
use lethe_purge::Seq;
use lethe_search::{Criterion, SortKey};

use crate::{StoreError, StoredVersion};

/// A page of what fits.
#[derive(Clone, Debug, Default)]
pub struct SearchQuery {
    /// What must hold, all of it; none: every resource of the type.
    pub criteria: Vec<Criterion>,
    /// In which order; none: by account, and within one by order of commit.
    pub sort: Vec<SortKey>,
    /// Only what comes behind this place.
    pub after: Option<SearchPlace>,
    /// Only versions up to this place in the order of commits, so that later pages of a search do not show again what was changed meanwhile.
    pub newest: Option<Seq>,
    /// At most so many.
    pub count: usize,
}

/// A place in the order of a search: that of one found resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPlace {
    /// What [`SearchQuery::sort`] compared, key by key; `None` where it had no value.
    pub keys: Vec<Option<Vec<u8>>>,
    /// Its account.
    pub account_id: AccountId,
    /// Its version's place in the order of commits.
    pub seq: Seq,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct SearchPage {
    /// In order.
    pub found: Vec<StoredVersion>,
    /// The place of the last, if more follow.
    pub next: Option<SearchPlace>,
    /// The newest version that existed when the search began: [`SearchQuery::newest`] of the pages that follow.
    pub newest: Seq,
}

/// What was read of a list of resources.
#[derive(Clone, Debug, Default)]
pub struct ReadTargets {
    /// In the order asked for.
    pub found: Vec<StoredVersion>,
    /// How many of the list were looked at, from its beginning: one at least.
    pub looked_at: usize,
}

/// What a conditional write has seen: when its turn comes, it must be so.
#[derive(Clone, Debug)]
pub struct Guard {
    /// So many of the writes are done before it is looked at; 0: none.
    pub after: usize,
    /// The type that was searched.
    pub resource_type: ResourceType,
    /// The condition.
    pub criteria: Vec<Criterion>,
    /// What fitted: nothing, or one resource.
    pub found: Option<LogicalId>,
}

/// Finding resources. Deleted ones are never found. Every method carries the account or the scope (INV-8).
#[async_trait]
pub trait Searches: Send + Sync {
    /// A page of current resources of a type.
    async fn search(&self, scope: &Scope, resource_type: ResourceType, query: &SearchQuery) -> Result<SearchPage, StoreError>;

    /// How many fit, up to `newest` in the order of commits.
    async fn count_matches(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        criteria: &[Criterion],
        newest: Option<Seq>,
    ) -> Result<u64, StoreError>;

    /// The current versions of those that exist, in the order asked for; nothing for others, for deletions, and for accounts out of scope.
    /// Ends early where the bodies go beyond [`PAGE_BYTES_MAX`](lethe_fhir::limits::PAGE_BYTES_MAX).
    async fn read_all(&self, scope: &Scope, targets: &[(AccountId, LocalReference)]) -> Result<ReadTargets, StoreError>;
}
