//! Finding resources.
//!
//! `lethe_search_sql` writes the statements; here they are run.

#[cfg(test)]
mod agreement;
mod dialect;
#[cfg(test)]
mod plans;
mod race;
mod run;
#[cfg(test)]
pub(crate) mod test_database;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LocalReference, ResourceType, limits::PAGE_BYTES_MAX};
use lethe_purge::Seq;
use lethe_search::Criterion;
use lethe_store::{ReadTargets, SearchPage, SearchQuery, Searches, StoreError};

use crate::{
    PostgresStore,
    columns::{IdColumn, TypeColumn, number},
    error::Result as SqlResult,
    resources::{ACCOUNT_FIRST, RowVersion, accounts_of},
    time_limit::or_too_costly,
    transaction::{ROWS_AT_A_TIME, Tx},
};

pub(crate) use run::holds;

const SELECT_CURRENT: &str = include_str!("../../sql/resources/current_versions.sql");
/// Its column that says which of the targets a row is.
const NUMBER_AT: usize = 7;

/// A search that takes longer is given up.
const SEARCH_MAX: Duration = Duration::from_secs(20);
/// The same for the condition of a write, which keeps all other writers of the account waiting.
pub(crate) const GUARD_MAX: Duration = Duration::from_secs(2);

/// How often a search is begun again that was given up long before its time.
const EARLY_MAX: u32 = 5;

/// The runs of one search. It is begun again if it was given up though nearly all of its time was left: where PostgreSQL is slow to hear, the end of
/// an attempt (`race.rs`) can meet what follows it.
struct Runs {
    began: Instant,
    left: u32,
}

impl Runs {
    fn first() -> Self {
        Self { began: Instant::now(), left: EARLY_MAX }
    }

    /// Whether another is to follow the one of which this came.
    fn go_on<T>(&mut self, done: &Result<T, StoreError>) -> bool {
        let is_early = matches!(done, Err(StoreError::TooCostly(_))) && self.left > 0 && self.began.elapsed() < SEARCH_MAX / 10;
        self.left = self.left.saturating_sub(1);
        is_early
    }
}

#[async_trait]
impl Searches for PostgresStore {
    async fn search(&self, scope: &Scope, resource_type: ResourceType, query: &SearchQuery) -> Result<SearchPage, StoreError> {
        let mut runs = Runs::first();
        loop {
            let work = async |tx: Tx| or_too_costly(SEARCH_MAX, run::search(&tx, scope, resource_type, query).await);
            let done = self.connections.read_under(&settings(), work).await;
            if !runs.go_on(&done) {
                return done;
            }
        }
    }

    async fn count_matches(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        criteria: &[Criterion],
        newest: Option<Seq>,
    ) -> Result<u64, StoreError> {
        let mut runs = Runs::first();
        loop {
            let work = async |tx: Tx| or_too_costly(SEARCH_MAX, run::count(&tx, scope, resource_type, criteria, newest).await);
            let done = self.connections.read_under(&settings(), work).await;
            if !runs.go_on(&done) {
                return done;
            }
        }
    }

    async fn read_all(&self, scope: &Scope, targets: &[(AccountId, LocalReference)]) -> Result<ReadTargets, StoreError> {
        self.connections.read(|tx| read_all(tx, scope, targets)).await
    }
}

/// What a search is run under.
fn settings() -> String {
    format!("{}; set local statement_timeout = {}", run::PLANNING, SEARCH_MAX.as_millis())
}

async fn read_all(tx: Tx, scope: &Scope, targets: &[(AccountId, LocalReference)]) -> SqlResult<ReadTargets> {
    let accounts = accounts_of(&tx, scope, ACCOUNT_FIRST).await?;
    let (mut read, mut bytes) = (ReadTargets::default(), 0);
    for of_account in targets.chunk_by(|(one, _), (other, _)| one == other) {
        for some in of_account.chunks(ROWS_AT_A_TIME) {
            let account_id = some[0].0;
            let mut found = if accounts.contains(&account_id) { current_versions(&tx, account_id, some).await? } else { BTreeMap::new() };
            for (number, (_, target)) in (1_u64..).zip(some) {
                if bytes > PAGE_BYTES_MAX {
                    return Ok(read);
                }
                read.looked_at += 1;
                if let Some(row) = found.remove(&number) {
                    let version = row.into_stored(account_id, target.resource_type)?;
                    bytes += version.bytes();
                    read.found.push(version);
                }
            }
        }
    }
    Ok(read)
}

/// The current versions of those of `targets` that are there, by their numbers from 1.
async fn current_versions(tx: &Tx, account_id: AccountId, targets: &[(AccountId, LocalReference)]) -> SqlResult<BTreeMap<u64, RowVersion>> {
    let (types, ids): (Vec<_>, Vec<_>) =
        targets.iter().map(|(_, target)| (TypeColumn(target.resource_type), IdColumn(target.id.clone()))).unzip();
    let rows = tx.rows(SELECT_CURRENT, &[&account_id.0, &types, &ids]).await?;
    rows.iter().map(|row| Ok((number(row, NUMBER_AT)?, RowVersion::read(row)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_was_given_up_early_is_begun_again_and_not_for_ever() {
        let (mut runs, early) = (Runs::first(), Err::<(), _>(StoreError::TooCostly(20)));
        assert_eq!((0..8).filter(|_| runs.go_on(&early)).count(), EARLY_MAX as usize);
        assert!(!Runs::first().go_on(&Ok(())) && !Runs::first().go_on(&Err::<(), _>(StoreError::LeaseLost)));
        let late = Instant::now().checked_sub(SEARCH_MAX);
        assert!(late.is_none_or(|began| !Runs { began, left: EARLY_MAX }.go_on(&early)), "it had its time");
    }
}
