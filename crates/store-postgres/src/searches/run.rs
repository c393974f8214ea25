//! Runs the statements of searches.

use std::cmp::Ordering;

use lethe_auth::{AccountId, Scope};
use lethe_fhir::{ResourceType, limits::PAGE_BYTES_MAX};
use lethe_purge::Seq;
use lethe_search::{Criterion, SortBy, SortKey};
use lethe_search_sql::{After, Direction, Driver, Request, Statement, estimate, possible_drivers};
use lethe_store::{Guard, SearchPage, SearchPlace, SearchQuery, StoredVersion};
use tokio_postgres::Row;

use super::{
    GUARD_MAX, SEARCH_MAX,
    dialect::Postgres,
    race::{Deadline, Race, attempt},
};
use crate::{
    columns::{NumberColumn, TypeColumn, number, seq},
    error::Result,
    resources::{ACCOUNT_FIRST, RowVersion, SELECT_NEWEST_SEQ, accounts_of},
    transaction::{Rows, Tx},
};

const SELECT_TOTAL: &str = include_str!("../../sql/resources/type_total.sql");

/// How searches are planned: where each statement looks first and next is written into it, so that what is left to choose is how it looks into one table.
/// Never by walking all of it; and since each statement is planned for this one time, by the size of its page.
pub(super) const PLANNING: &str = "set local enable_seqscan = off; set local plan_cache_mode = force_custom_plan";
const PLANNING_DONE: &str = "set local enable_seqscan to default; set local plan_cache_mode to default";
/// A walk in the order of commits ends when its page is full: to collect all and sort it would not.
pub(super) const IN_ORDER: &str = "set local enable_sort = off";
/// What an index over keys finds comes in no order.
const IN_ANY_ORDER: &str = "set local enable_sort = on";

/// Rows of the index that are counted to compare two beginnings of a statement: more are as good as any number.
const ESTIMATE_ROWS_MAX: i64 = 500;

/// Values that PostgreSQL takes with one statement; so many conditions would not be asked in time.
const VALUES_MAX: usize = u16::MAX as usize;

/// The number of columns of a page before its sort keys.
const SORT_COLUMNS_FROM: usize = 7;

/// No version is newer.
const NEWEST: Seq = Seq(i64::MAX as u64 - 1);

pub(super) async fn search(tx: &Tx, scope: &Scope, resource_type: ResourceType, query: &SearchQuery) -> Result<SearchPage> {
    let deadline = Deadline::after(SEARCH_MAX);
    let accounts = accounts_of(tx, scope, ACCOUNT_FIRST).await?;
    let newest = match query.newest {
        Some(newest) => newest,
        None => seq(&tx.row(SELECT_NEWEST_SEQ, &[]).await?, 0)?,
    };
    let (sort, direction) = order(&query.sort, accounts.len());
    // One more than asked for tells whether there is a next page.
    let wanted = query.count.saturating_add(1);
    let mut found: Vec<(SearchPlace, StoredVersion)> = Vec::new();
    // Whether something has no room, since bytes and not resources ran out.
    let mut is_cut = false;
    for account_id in accounts {
        let after = match (&query.after, sort.is_empty()) {
            (Some(after), true) if account_id < after.account_id => continue,
            (Some(after), true) if account_id > after.account_id => None,
            (after, _) => after.as_ref().map(|after| behind(after, account_id)),
        };
        let account = Account { tx, account_id, resource_type, newest, deadline };
        let page = account.page(&query.criteria, sort, direction, after.as_ref(), wanted).await?;
        is_cut |= page.is_cut;
        found.extend(page.found);
        if !sort.is_empty() {
            found.sort_by(|(one, _), (other, _)| compare(sort, one, other));
            found.truncate(wanted);
        }
        // Bodies of many accounts add up too. What an account itself had no room for lies behind, since what it gave is too much already.
        if let Some(full) = full_at(&found).filter(|full| full + 1 < found.len()) {
            found.truncate(full + 1);
            is_cut = true;
        }
        if sort.is_empty() && (found.len() >= wanted || is_cut) {
            break;
        }
    }
    let has_more = found.len() > query.count || is_cut;
    found.truncate(query.count);
    let next = if has_more { found.last().map(|(place, _)| place.clone()) } else { None };
    Ok(SearchPage { found: found.into_iter().map(|(_, version)| version).collect(), next, newest })
}

pub(super) async fn count(tx: &Tx, scope: &Scope, resource_type: ResourceType, criteria: &[Criterion], newest: Option<Seq>) -> Result<u64> {
    let deadline = Deadline::after(SEARCH_MAX);
    let mut total = 0;
    for account_id in accounts_of(tx, scope, ACCOUNT_FIRST).await? {
        if criteria.is_empty() && newest.is_none() {
            total += number(&tx.row(SELECT_TOTAL, &[&account_id.0, &TypeColumn(resource_type)]).await?, 0)?;
            continue;
        }
        let account = Account { tx, account_id, resource_type, newest: newest.unwrap_or(NEWEST), deadline };
        total += account.count(criteria).await?;
    }
    Ok(total)
}

/// Whether a conditional write may go on: what fits is what it had seen.
pub(crate) async fn holds(tx: &Tx, account_id: AccountId, guard: &Guard) -> Result<bool> {
    let deadline = Deadline::after(GUARD_MAX);
    let account = Account { tx, account_id, resource_type: guard.resource_type, newest: NEWEST, deadline };
    tx.run(PLANNING).await?;
    let found = account.page(&guard.criteria, &[], Direction::Ascending, None, 2).await?;
    tx.run(PLANNING_DONE).await?;
    Ok(match (&guard.found, found.found.as_slice()) {
        (None, []) => true,
        (Some(id), [(_, only)]) => only.id == *id,
        _ => false,
    })
}

/// Within one account, times go with places, but for those who write at the same time (docs/adr/0036): sorting by them is walking by place.
fn order(sort: &[SortKey], accounts: usize) -> (&[SortKey], Direction) {
    match sort {
        [SortKey { by: SortBy::LastUpdated, is_descending }] if accounts <= 1 => {
            (&[], if *is_descending { Direction::Descending } else { Direction::Ascending })
        }
        other => (other, Direction::Ascending),
    }
}

/// Where an account goes on behind a place that may lie in another. Accounts are told apart last: all of an earlier one come before.
fn behind(after: &SearchPlace, account_id: AccountId) -> SearchPlace {
    let seq = match account_id.cmp(&after.account_id) {
        Ordering::Less => Seq(i64::MAX as u64),
        Ordering::Equal => after.seq,
        Ordering::Greater => Seq(0),
    };
    SearchPlace { keys: after.keys.clone(), account_id, seq }
}

/// The index of what fills a page by its bytes.
fn full_at(found: &[(SearchPlace, StoredVersion)]) -> Option<usize> {
    let mut bytes = 0;
    found.iter().position(|(_, version)| {
        bytes += version.bytes();
        bytes > PAGE_BYTES_MAX
    })
}

fn compare(sort: &[SortKey], one: &SearchPlace, other: &SearchPlace) -> Ordering {
    for (number, key) in sort.iter().enumerate() {
        let ordering = match (one.keys.get(number).and_then(Option::as_ref), other.keys.get(number).and_then(Option::as_ref)) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) if key.is_descending => other.cmp(one),
            (Some(one), Some(other)) => one.cmp(other),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    (one.account_id, one.seq).cmp(&(other.account_id, other.seq))
}

/// What one account has of a page.
struct Page {
    found: Vec<(SearchPlace, StoredVersion)>,
    /// Whether there is more, for which there was no room.
    is_cut: bool,
}

/// One account's resources of one type.
#[derive(Clone, Copy)]
struct Account<'a> {
    tx: &'a Tx,
    account_id: AccountId,
    resource_type: ResourceType,
    newest: Seq,
    deadline: Deadline,
}

impl Account<'_> {
    fn request<'c>(&self, criteria: &'c [Criterion], driver: Driver) -> Request<'c> {
        let newest = i64::try_from(self.newest.0).unwrap_or(i64::MAX);
        Request { account_id: self.account_id.0, resource_type: self.resource_type, criteria, driver, newest }
    }

    async fn page(
        &self,
        criteria: &[Criterion],
        sort: &[SortKey],
        direction: Direction,
        after: Option<&SearchPlace>,
        count: usize,
    ) -> Result<Page> {
        let after = after.map(|after| After { keys: &after.keys, seq: i64::try_from(after.seq.0).unwrap_or(i64::MAX) });
        let mut race = self.race(criteria, sort.is_empty()).await?;
        loop {
            let (driver, tried_for) = race.next();
            let statement = lethe_search_sql::page(&Postgres, self.request(criteria, driver), sort, direction, after, count);
            // Without criteria there is nothing that could mislead about how soon the page is full.
            let is_walk = driver == Driver::Type && sort.is_empty() && !criteria.is_empty();
            if is_walk {
                self.tx.run(IN_ORDER).await?;
            }
            let page = attempt(self.tx, tried_for, self.deadline, self.rows(&statement, sort.len())).await?;
            if is_walk {
                self.tx.run(IN_ANY_ORDER).await?;
            }
            if let Some(page) = page {
                return Ok(page);
            }
        }
    }

    async fn count(&self, criteria: &[Criterion]) -> Result<u64> {
        let mut race = self.race(criteria, false).await?;
        loop {
            let (driver, tried_for) = race.next();
            let statement = lethe_search_sql::count(&Postgres, self.request(criteria, driver));
            if let Some(number) = attempt(self.tx, tried_for, self.deadline, self.number(&statement)).await? {
                return Ok(number);
            }
        }
    }

    async fn number(&self, statement: &Statement) -> Result<u64> {
        self.deadline.left()?;
        let row = self.stream(statement).await?.next().await?;
        Ok(row.map_or(Ok(NumberColumn(0)), |row| row.try_get(0))?.0)
    }

    async fn rows(&self, statement: &Statement, keys: usize) -> Result<Page> {
        let mut rows = self.stream(statement).await?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().await? {
            if bytes > PAGE_BYTES_MAX {
                return Ok(Page { found, is_cut: true });
            }
            let (place, version) = self.found(&row, keys)?;
            bytes += version.bytes();
            found.push((place, version));
        }
        Ok(Page { found, is_cut: false })
    }

    async fn stream(&self, statement: &Statement) -> Result<Rows> {
        if statement.params.len() > VALUES_MAX {
            return Err(self.deadline.too_costly());
        }
        self.tx.stream(statement).await
    }

    fn found(&self, row: &Row, keys: usize) -> Result<(SearchPlace, StoredVersion)> {
        let version = RowVersion::read(row)?;
        let keys = (0..keys).map(|number| row.try_get(SORT_COLUMNS_FROM + number)).collect::<std::result::Result<_, _>>()?;
        let place = SearchPlace { keys, account_id: self.account_id, seq: version.seq };
        Ok((place, version.into_stored(self.account_id, self.resource_type)?))
    }

    /// The beginnings that may be best. A page in the order of commits may also be soon full if all of the type is walked: of a value that very many
    /// have, an index over keys gives all before the first can be taken.
    async fn race(&self, criteria: &[Criterion], is_in_order: bool) -> Result<Race> {
        let possible = possible_drivers(criteria);
        let first = self.driver(criteria, &possible).await?;
        let Driver::Criterion(index) = first else { return Ok(Race::among(&[first])) };
        let mut beginnings = vec![first];
        let last = if criteria[index].is_on_others() {
            let own: Vec<usize> = possible.into_iter().filter(|index| !criteria[*index].is_on_others()).collect();
            let own = self.driver(criteria, &own).await?;
            beginnings.push(own);
            own
        } else {
            first
        };
        if let Driver::Criterion(index) = last
            && is_in_order
            && matches!(criteria[index], Criterion::AnyOf(_))
        {
            beginnings.push(Driver::Type);
        }
        Ok(Race::among(&beginnings))
    }

    /// With which of the `possible` criteria to begin: where there is a choice, the one with the fewest rows, up to a bound, is found by
    /// counting them.
    async fn driver(&self, criteria: &[Criterion], possible: &[usize]) -> Result<Driver> {
        let (Some(&first), true) = (possible.first(), possible.len() > 1) else {
            return Ok(possible.first().map_or(Driver::Type, |index| Driver::Criterion(*index)));
        };
        let mut best = (i64::MAX, first);
        for &index in possible {
            let rows = match &criteria[index] {
                Criterion::Ids(ids) => i64::try_from(ids.len()).unwrap_or(i64::MAX),
                Criterion::AnyOf(spans) if spans.is_empty() => 0,
                Criterion::AnyOf(spans) => {
                    let rows_max = ESTIMATE_ROWS_MAX.min(best.0);
                    let statement = estimate(&Postgres, self.account_id.0, self.resource_type, spans, rows_max);
                    i64::try_from(self.number(&statement).await?).unwrap_or(i64::MAX)
                }
                // Other resources have to be found first: only if nothing narrower is there.
                _ => ESTIMATE_ROWS_MAX - 1,
            };
            if rows < best.0 {
                best = (rows, index);
            }
        }
        Ok(Driver::Criterion(best.1))
    }
}

#[cfg(test)]
mod tests {
    use lethe_search::{Facet, PathId, Span, ValueCheck};
    use lethe_store::StoreError;

    use super::{super::test_database::with_database, *};
    use crate::error::Error;

    #[tokio::test]
    async fn more_conditions_than_a_statement_takes_are_too_costly() {
        with_database("", async |tx: Tx| {
            let deadline = Deadline::after(SEARCH_MAX);
            let account = Account { tx: &tx, account_id: AccountId(1), resource_type: ResourceType::BINARY, newest: NEWEST, deadline };
            let span = |number: u32| {
                let bytes = number.to_be_bytes().to_vec();
                Span::prefix(PathId::new(1, Facet::Value), bytes.clone()).and(ValueCheck::EndsWith(bytes))
            };
            for (count, is_asked) in [(2_000, true), (25_000, false)] {
                let criteria = [Criterion::AnyOf((0..count).map(span).collect())];
                let asked = account.page(&criteria, &[], Direction::Ascending, None, 2).await;
                let is_refused = matches!(asked, Err(Error::Store(StoreError::TooCostly(20))));
                assert_eq!((asked.is_ok(), is_refused), (is_asked, !is_asked), "{count}");
            }
            Ok(())
        })
        .await;
    }
}
