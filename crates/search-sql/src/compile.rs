//! The statements.

use lethe_fhir::ResourceType;
use lethe_search::{SortBy, SortKey, Span};

use crate::{
    After, Builder, Dialect, Direction, Request, Statement,
    candidates::{Bounds, Versions, estimate_rows, rows, versions},
    request::Page,
    tables::Tables,
};

/// The columns of a page, in this order; behind them come the sort keys.
const COLUMNS: [&str; 7] = ["seq", "id", "version_number", "last_updated_ms", "kind", "previous_seq", "body"];

/// A page of what fits, in the order of `sort`; without it in the order of commits.
#[must_use]
pub fn page<D: Dialect>(
    dialect: &D,
    request: Request<'_>,
    sort: &[SortKey],
    direction: Direction,
    after: Option<After<'_>>,
    count: usize,
) -> Statement {
    let mut builder = Builder::new(dialect, request.account_id);
    let page = Page { sort, direction, after, count };
    let sql = if sort.is_empty() { in_commit_order(&mut builder, request, page) } else { sorted(&mut builder, request, page) };
    builder.finish(sql)
}

/// How many fit.
#[must_use]
pub fn count<D: Dialect>(dialect: &D, request: Request<'_>) -> Statement {
    let mut builder = Builder::new(dialect, request.account_id);
    let found = found(&mut builder, request, Bounds { before: Some(request.newest.saturating_add(1)), ..Bounds::NONE });
    builder.finish(found.tables.select("count(*)"))
}

/// How many versions have rows of the index in `spans`, all on paths that have rows: as many as fit, if no row is left of what is gone.
#[must_use]
pub fn count_rows<D: Dialect>(dialect: &D, account_id: i64, resource_type: ResourceType, spans: &[Span]) -> Statement {
    let mut builder = Builder::new(dialect, account_id);
    let sql = rows(&mut builder, resource_type, spans);
    builder.finish(sql)
}

/// How many rows of the index lie in `spans`, at most `rows_max`.
#[must_use]
pub fn estimate<D: Dialect>(dialect: &D, account_id: i64, resource_type: ResourceType, spans: &[Span], rows_max: i64) -> Statement {
    let mut builder = Builder::new(dialect, account_id);
    let sql = estimate_rows(&mut builder, resource_type, spans, rows_max);
    builder.finish(sql)
}

fn found<D: Dialect>(builder: &mut Builder<'_, D>, request: Request<'_>, bounds: Bounds) -> Versions {
    versions(builder, request.resource_type, request.criteria, request.driver, bounds)
}

fn in_commit_order<D: Dialect>(builder: &mut Builder<'_, D>, request: Request<'_>, page: Page<'_>) -> String {
    let newest = request.newest.saturating_add(1);
    let bounds = match (page.direction, page.after) {
        (Direction::Ascending, after) => {
            Bounds { after: after.map(|after| after.seq), before: Some(newest), direction: Some(page.direction) }
        }
        (Direction::Descending, after) => {
            Bounds { after: None, before: Some(after.map_or(newest, |after| after.seq.min(newest))), direction: Some(page.direction) }
        }
    };
    let found = found(builder, request, bounds);
    let direction = page.direction.word();
    let columns = COLUMNS.map(|column| format!("{}.{column}", found.row)).join(", ");
    let limit = builder.int(count_of(page));
    let order = found.order.iter().map(|by| format!("{by}{direction}")).collect::<Vec<_>>().join(", ");
    format!("{} order by {order} limit {limit}", found.tables.select(&columns))
}

fn sorted<D: Dialect>(builder: &mut Builder<'_, D>, request: Request<'_>, page: Page<'_>) -> String {
    let (account, type_id) = (builder.account(), builder.type_id(request.resource_type));
    let found = found(builder, request, Bounds { before: Some(request.newest.saturating_add(1)), ..Bounds::NONE });
    let dialect = builder.dialect;
    let mut keys = Vec::with_capacity(page.sort.len());
    for (number, key) in page.sort.iter().enumerate() {
        let value = match &key.by {
            SortBy::Id => dialect.id_value(&found.row),
            SortBy::LastUpdated => dialect.time_value(&found.row),
            SortBy::Paths(paths) => dialect.sort_value(builder, &found.row, request.resource_type, paths, key.is_descending),
        };
        keys.push(format!("{value} as k{number}"));
    }
    let order = |table: &str| {
        let by = page
            .sort
            .iter()
            .enumerate()
            .map(|(number, key)| format!("{table}k{number}{} nulls last", if key.is_descending { " desc" } else { "" }));
        by.chain([format!("{table}seq")]).collect::<Vec<_>>().join(", ")
    };
    let behind = page.after.map(|after| format!(" where {}", behind(builder, page.sort, after))).unwrap_or_default();
    let limit = builder.int(count_of(page));
    let columns = COLUMNS.map(|column| format!("v.{column}")).join(", ");
    let sort_columns = (0..page.sort.len()).map(|number| format!("s.k{number}")).collect::<Vec<_>>().join(", ");
    let keyed = found.tables.select_once(dialect, &format!("{}.seq as seq, {}", found.row, keys.join(", ")));
    // Bodies are fetched for the page alone: what is sorted are keys.
    let place = Tables::of(format!("(select * from ({keyed}) f{behind} order by {} limit {limit}) s", order("")), Vec::new());
    let own = format!("v.account_id = {account} and v.type_id = {type_id} and v.seq = s.seq");
    format!("{} order by {}", place.join(dialect, "version", "v", &[own]).select(&format!("{columns}, {sort_columns}")), order("s."))
}

/// The condition of what comes behind a place, key by key: what has no value comes last.
fn behind<D: Dialect>(builder: &mut Builder<'_, D>, sort: &[SortKey], after: After<'_>) -> String {
    let mut rule = format!("seq > {}", builder.int(after.seq));
    for (number, key) in sort.iter().enumerate().rev() {
        rule = match after.keys.get(number).and_then(Option::as_ref) {
            Some(value) => {
                let value = builder.bind(crate::Param::Bytes(value.clone()));
                let comparison = if key.is_descending { "<" } else { ">" };
                format!("(k{number} is null or k{number} {comparison} {value} or (k{number} = {value} and {rule}))")
            }
            None => format!("(k{number} is null and {rule})"),
        };
    }
    rule
}

fn count_of(page: Page<'_>) -> i64 {
    i64::try_from(page.count).unwrap_or(i64::MAX)
}
