//! Runs the statements of searches.

use std::cmp::Ordering;

use lethe_auth::{AccountId, Scope};
use lethe_fhir::{ResourceType, limits::PAGE_BYTES_MAX};
use lethe_purge::Seq;
use lethe_search::{Criterion, SortBy, SortKey};
use lethe_search_sql::{After, Direction, Driver, Param, Request, Statement, estimate, possible_drivers};
use lethe_store::{Guard, SearchPage, SearchPlace, SearchQuery, StoredVersion};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::dialect::Sqlite;
use crate::{
    columns::{IdColumn, SeqColumn, TypeColumn},
    error::Result,
    long_statements::attempt,
    resources::{ACCOUNT_FIRST, RowVersion, accounts_of},
};

const SELECT_LAST_SEQ: &str = include_str!("../../sql/resources/last_seq.sql");
const SELECT_MAY_HOLD_ROWS: &str = include_str!("../../sql/resources/may_hold_rows_of_what_is_gone.sql");
const SELECT_TOTAL: &str = include_str!("../../sql/resources/type_total.sql");

/// Rows of the index that are counted to compare two beginnings of a statement: more are as good as any number.
const ESTIMATE_ROWS_MAX: i64 = 500;

/// How often a statement is looked at before the other beginning has its turn: see [`Account::raced`].
const LOOKS_AT_FIRST: u32 = if cfg!(debug_assertions) { 1 } else { 20 };
/// By how much more in each round.
const LOOKS_GROWTH: u32 = 4;

/// The number of columns of a page before its sort keys.
const SORT_COLUMNS_FROM: usize = 7;

pub(super) fn search(connection: &Connection, scope: &Scope, resource_type: ResourceType, query: &SearchQuery) -> Result<SearchPage> {
    let newest = match query.newest {
        Some(newest) => newest,
        None => connection.prepare_cached(SELECT_LAST_SEQ)?.query_row([], |row| row.get::<_, SeqColumn>(0))?.0,
    };
    let accounts = accounts_of(connection, scope, ACCOUNT_FIRST)?;
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
        let account = Account { connection, account_id, resource_type, newest };
        let page = account.page(&query.criteria, sort, direction, after.as_ref(), wanted)?;
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

pub(super) fn count(
    connection: &Connection,
    scope: &Scope,
    resource_type: ResourceType,
    criteria: &[Criterion],
    newest: Option<Seq>,
) -> Result<u64> {
    let mut total = 0;
    for account_id in accounts_of(connection, scope, ACCOUNT_FIRST)? {
        if criteria.is_empty() && newest.is_none() {
            let mut statement = connection.prepare_cached(SELECT_TOTAL)?;
            // OK because a type without a row has no resources.
            total +=
                statement.query_row(params![account_id.0, TypeColumn(resource_type)], |row| row.get::<_, u64>(0)).optional()?.unwrap_or(0);
            continue;
        }
        let account = Account { connection, account_id, resource_type, newest: newest.unwrap_or(Seq(i64::MAX as u64 - 1)) };
        if let [Criterion::AnyOf(spans)] = criteria
            && newest.is_none()
            && !possible_drivers(criteria).is_empty()
            && !may_hold_rows_of_what_is_gone(connection, account_id)?
        {
            total += account.number(&lethe_search_sql::count_rows(&Sqlite, account_id.0, resource_type, spans))?;
            continue;
        }
        total += account.raced(criteria, |request| account.number(&lethe_search_sql::count(&Sqlite, request)))?;
    }
    Ok(total)
}

/// Whether rows of the index may lead nowhere: versions of the account were removed by a purge that has not been proved complete.
fn may_hold_rows_of_what_is_gone(connection: &Connection, account_id: AccountId) -> Result<bool> {
    Ok(connection.prepare_cached(SELECT_MAY_HOLD_ROWS)?.query_row([account_id.0], |row| row.get(0))?)
}

/// Whether a conditional write may go on: what fits is what it had seen.
pub(crate) fn holds(connection: &Connection, account_id: AccountId, guard: &Guard) -> Result<bool> {
    let account = Account { connection, account_id, resource_type: guard.resource_type, newest: Seq(i64::MAX as u64 - 1) };
    let found = account.page(&guard.criteria, &[], Direction::Ascending, None, 2)?;
    Ok(match (&guard.found, found.found.as_slice()) {
        (None, []) => true,
        (Some(id), [(_, only)]) => only.id == *id,
        _ => false,
    })
}

/// Within one account, time goes with the order of commits: sorting by it is walking that order.
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
    connection: &'a Connection,
    account_id: AccountId,
    resource_type: ResourceType,
    newest: Seq,
}

impl Account<'_> {
    /// Runs a search by the beginning that is best for it.
    ///
    /// With conditions on other resources nobody knows beforehand which that is. To begin with the others costs what all of them and
    /// all that leads from them costs, but nothing for what they have nothing to do with; to ask each resource in turn costs little if
    /// many fit and the page is soon full, and very much if few do. So both are tried in turn, each time with more steps: that takes a
    /// few times as long as the quicker one, and the quick searches are done in the first attempt.
    fn raced<T>(&self, criteria: &[Criterion], run: impl Fn(Request<'_>) -> Result<T>) -> Result<T> {
        let newest = i64::try_from(self.newest.0).unwrap_or(i64::MAX);
        let request = |driver| Request { account_id: self.account_id.0, resource_type: self.resource_type, criteria, driver, newest };
        let possible = possible_drivers(criteria);
        let first = self.driver(criteria, &possible)?;
        let Driver::Criterion(index) = first else { return run(request(first)) };
        if !criteria[index].is_on_others() {
            return run(request(first));
        }
        let own: Vec<usize> = possible.into_iter().filter(|index| !criteria[*index].is_on_others()).collect();
        let second = self.driver(criteria, &own)?;
        let mut looks = LOOKS_AT_FIRST;
        loop {
            for driver in [first, second] {
                if let Some(done) = attempt(looks, || run(request(driver)))? {
                    return Ok(done);
                }
            }
            looks = looks.saturating_mul(LOOKS_GROWTH);
        }
    }

    fn page(
        &self,
        criteria: &[Criterion],
        sort: &[SortKey],
        direction: Direction,
        after: Option<&SearchPlace>,
        count: usize,
    ) -> Result<Page> {
        let after = after.map(|after| After { keys: &after.keys, seq: i64::try_from(after.seq.0).unwrap_or(i64::MAX) });
        self.raced(criteria, |request| self.rows(&lethe_search_sql::page(&Sqlite, request, sort, direction, after, count), sort.len()))
    }

    fn number(&self, statement: &Statement) -> Result<u64> {
        Ok(bound(self.connection, statement)?.raw_query().next()?.map_or(Ok(0), |row| row.get::<_, u64>(0))?)
    }

    fn rows(&self, statement: &Statement, keys: usize) -> Result<Page> {
        let mut bound = bound(self.connection, statement)?;
        let mut rows = bound.raw_query();
        let (mut found, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            if bytes > PAGE_BYTES_MAX {
                return Ok(Page { found, is_cut: true });
            }
            let (place, version) = self.found(row, keys)?;
            bytes += version.bytes();
            found.push((place, version));
        }
        Ok(Page { found, is_cut: false })
    }

    fn found(&self, row: &Row<'_>, keys: usize) -> Result<(SearchPlace, StoredVersion)> {
        let version = RowVersion::read(row)?;
        let keys = (0..keys).map(|number| row.get(SORT_COLUMNS_FROM + number)).collect::<rusqlite::Result<_>>()?;
        let place = SearchPlace { keys, account_id: self.account_id, seq: version.seq };
        Ok((place, version.into_stored(self.account_id, self.resource_type)?))
    }

    /// With which of the `possible` criteria to begin: where there is a choice, the one with the fewest rows, up to a bound, is found by
    /// counting them.
    fn driver(&self, criteria: &[Criterion], possible: &[usize]) -> Result<Driver> {
        let (Some(&first), true) = (possible.first(), possible.len() > 1) else {
            return Ok(possible.first().map_or(Driver::Type, |index| Driver::Criterion(*index)));
        };
        let mut best = (i64::MAX, first);
        for &index in possible {
            let rows = match &criteria[index] {
                Criterion::Ids(ids) => i64::try_from(ids.len()).unwrap_or(i64::MAX),
                Criterion::AnyOf(spans) if spans.is_empty() => 0,
                Criterion::AnyOf(spans) => {
                    let statement = estimate(&Sqlite, self.account_id.0, self.resource_type, spans, ESTIMATE_ROWS_MAX.min(best.0));
                    bound(self.connection, &statement)?.raw_query().next()?.map_or(Ok(0), |row| row.get::<_, i64>(0))?
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

fn bound<'c>(connection: &'c Connection, statement: &Statement) -> Result<CachedStatement<'c>> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    for (index, param) in statement.params.iter().enumerate() {
        match param {
            Param::Int(number) => prepared.raw_bind_parameter(index + 1, number)?,
            Param::Bytes(bytes) => prepared.raw_bind_parameter(index + 1, bytes)?,
            // OK because no row here has keys: nobody asks for them.
            Param::Keys(_) => prepared.raw_bind_parameter(index + 1, None::<i64>)?,
            Param::Id(id) => prepared.raw_bind_parameter(index + 1, IdColumn(id.clone()))?,
        }
    }
    Ok(prepared)
}
