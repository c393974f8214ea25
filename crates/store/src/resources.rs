//! Port: reading and writing resources.

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{Body, FhirDate, Instant, LocalBases, LogicalId, Resource, ResourceType};
use lethe_purge::Seq;
use lethe_search::{IndexEntries, IndexError, LastUpdatedFilter, index_entries};
use thiserror::Error;

use crate::{Guard, StoreError};

/// One change to one resource.
#[derive(Clone, Debug)]
pub struct Write {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: LogicalId,
    /// What is to become of it.
    pub change: Change,
    /// What must hold for that.
    pub expect: Expect,
}

impl Write {
    /// A new version of `id` with the content of `resource`: the one way in, for the server and for imports.
    ///
    /// # Errors
    /// References that FHIR does not allow, or more values to search by than are accepted.
    pub fn put(resource: &Resource, id: LogicalId, bases: &LocalBases, expect: Expect) -> Result<Self, IndexError> {
        let index = index_entries(resource, bases)?;
        Ok(Self { resource_type: resource.resource_type, id, change: Change::Put { body: resource.body(), index }, expect })
    }
}

/// What is to become of a resource.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new version with this content. Brings back what had been deleted.
    Put {
        /// The content.
        body: Body,
        /// What of it is indexed.
        index: IndexEntries,
    },
    /// A FHIR delete: the history stays.
    Delete,
}

/// What must hold for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Anything,
    /// The current version is this one (`If-Match`).
    Version(u64),
    /// No such resource exists, not even deleted: the id was generated.
    Absent,
}

/// Which interaction made a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It did not exist, or was deleted.
    Create,
    /// It existed.
    Update,
    /// A FHIR delete.
    Delete,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOutcome {
    /// What it did; `None` when there was nothing to delete.
    pub kind: Option<ChangeKind>,
    /// The version that is current now; 0 if there is none.
    pub version: u64,
    /// When that was stored.
    pub last_updated: Instant,
}

/// Why nothing of a list of writes was done.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The [`Expect`] of one write does not hold.
    #[error("write {index} expects another version than the current {current:?}")]
    Expectation {
        /// Which one, from 0.
        index: usize,
        /// The version that is current; `None` if there is none.
        current: Option<u64>,
    },
    /// Something else fits the condition of this guard than was seen; searching again will tell.
    #[error("what guard {0} had seen has changed")]
    Guard(usize),
    /// The account does not exist.
    #[error("account {0} does not exist")]
    NoAccount(AccountId),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One stored version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVersion {
    /// The account that it lives in.
    pub account_id: AccountId,
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: LogicalId,
    /// Its version, from 1.
    pub version: u64,
    /// When it was stored.
    pub last_updated: Instant,
    /// Its place in the order of commits.
    pub seq: Seq,
    /// Which interaction made it.
    pub kind: ChangeKind,
    /// Its content; `None` for a deletion.
    pub body: Option<Body>,
}

impl StoredVersion {
    /// Bytes of its content.
    pub fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.as_bytes().len())
    }
}

/// Whose history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryScope {
    /// Of one resource.
    Instance(ResourceType, LogicalId),
    /// Of all resources of a type.
    Type(ResourceType),
    /// Of everything in the account.
    System,
}

/// A page of a history, newest first. It ends early where its bodies go beyond [`PAGE_BYTES_MAX`](lethe_fhir::limits::PAGE_BYTES_MAX).
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// What was found, at least one version if there is any.
    pub versions: Vec<StoredVersion>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// Which versions of a history.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistoryQuery {
    /// Only versions stored at or after.
    pub since: Option<Instant>,
    /// Only versions that were current at some time of this span.
    pub during: Option<FhirDate>,
    /// Only versions before this one in the order of commits: the next page.
    pub before_seq: Option<Seq>,
    /// At most so many.
    pub count: usize,
}

/// Where the next page of a listing begins: after this resource. Listings go by account and then by order of commit, so that a page
/// neither shifts nor repeats while others write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageKey {
    /// Account of the last resource of the page before.
    pub account_id: AccountId,
    /// Its place.
    pub seq: Seq,
}

/// Which current resources of a type.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only these ids.
    pub ids: Option<Vec<LogicalId>>,
    /// Only those whose `meta.lastUpdated` passes all of these.
    pub last_updated: Vec<LastUpdatedFilter>,
    /// Only those after this place.
    pub after: Option<PageKey>,
    /// At most so many; ignored by counts.
    pub count: usize,
}

/// Reading and writing resources. Every method carries the account or the scope (INV-8).
#[async_trait]
pub trait Resources: Send + Sync {
    /// Does all of `writes`, in order, or none, in one transaction. Within an account `meta.lastUpdated` never goes backwards:
    /// whoever writes after an answer gets no earlier time than that had.
    ///
    /// # Errors
    /// [`WriteError`]: nothing was written.
    async fn write(&self, account_id: AccountId, writes: Vec<Write>) -> Result<Vec<WriteOutcome>, WriteError> {
        self.write_if(account_id, Vec::new(), writes).await
    }

    /// As [`write`](Self::write), if each of `guards` holds in that transaction when its turn comes.
    ///
    /// # Errors
    /// [`WriteError`]: nothing was written.
    async fn write_if(&self, account_id: AccountId, guards: Vec<Guard>, writes: Vec<Write>) -> Result<Vec<WriteOutcome>, WriteError>;

    /// The current version, a deletion included.
    async fn read(&self, scope: &Scope, resource_type: ResourceType, id: &LogicalId) -> Result<Option<StoredVersion>, StoreError>;

    /// One version, a deletion included.
    async fn read_version(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        id: &LogicalId,
        version: u64,
    ) -> Result<Option<StoredVersion>, StoreError>;

    /// A page of a history, newest first.
    async fn history(&self, account_id: AccountId, of: &HistoryScope, query: &HistoryQuery) -> Result<HistoryPage, StoreError>;

    /// A page of current resources of a type, deleted ones left out.
    async fn list(&self, scope: &Scope, resource_type: ResourceType, query: &ListQuery) -> Result<Vec<StoredVersion>, StoreError>;

    /// How many current resources of a type there are, deleted ones left out; pages are ignored.
    async fn count(&self, scope: &Scope, resource_type: ResourceType, query: &ListQuery) -> Result<u64, StoreError>;

    /// How many current resources of each type there are, deleted ones left out; types without any are left out.
    async fn totals(&self, scope: &Scope) -> Result<Vec<(ResourceType, u64)>, StoreError>;
}
