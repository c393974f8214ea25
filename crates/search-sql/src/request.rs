//! What is to be compiled, and what comes out.

use lethe_fhir::{LogicalId, ResourceType};
use lethe_search::{Criterion, SortKey};

/// A value that is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    /// A number.
    Int(i64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Keys of index values, for a database whose versions have them.
    Keys(Vec<i64>),
    /// A logical id, in whatever form the store keeps ids.
    Id(LogicalId),
}

/// A statement and its values; the first is number 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its text.
    pub sql: String,
    /// Its values.
    pub params: Vec<Param>,
}

/// One search in one account.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The account.
    pub account_id: i64,
    /// The type that is searched.
    pub resource_type: ResourceType,
    /// What must hold.
    pub criteria: &'a [Criterion],
    /// With which of `criteria` the statement begins; see [`possible_drivers`].
    pub driver: Driver,
    /// The newest version that counts.
    pub newest: i64,
}

/// Where a statement begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// With all resources of the type, in order of commit.
    Type,
    /// With what fits this one of the criteria.
    Criterion(usize),
}

/// In which order a page is, and behind which place it begins.
#[derive(Clone, Copy, Debug)]
pub struct After<'a> {
    /// The sort keys at that place.
    pub keys: &'a [Option<Vec<u8>>],
    /// The place in the order of commits.
    pub seq: i64,
}

/// The order of a page without sort keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// Ranges of values that a statement begins with. Each is a select of its own with values to bind, and databases have limits on both; with
/// more, every row is asked.
const RANGES_MAX: usize = 1_000;

/// The criteria with which a statement can begin, cheapest kind first: ids, values, then other resources.
#[must_use]
pub fn possible_drivers(criteria: &[Criterion]) -> Vec<usize> {
    let mut ranked: Vec<(u8, usize)> =
        criteria.iter().enumerate().filter_map(|(index, criterion)| Some((driver_rank(criterion)?, index))).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, index)| index).collect()
}

/// How good a beginning a criterion is likely to be; the least is best.
fn driver_rank(criterion: &Criterion) -> Option<u8> {
    match criterion {
        Criterion::Ids(_) => Some(0),
        Criterion::AnyOf(spans) if spans.iter().filter(|span| !span.is_one_value()).count() > RANGES_MAX => None,
        Criterion::AnyOf(spans) if spans.iter().all(|span| span.path.has_rows()) => {
            let is_exact = spans.iter().all(|span| span.end == lethe_search::SpanEnd::Single);
            Some(if is_exact { 1 } else { 3 })
        }
        Criterion::RefersTo { .. } => Some(4),
        Criterion::ReferredBy { .. } => Some(5),
        Criterion::Either(alternatives) => {
            let ranks: Option<Vec<u8>> = alternatives.iter().map(|criteria| criteria.iter().filter_map(driver_rank).min()).collect();
            ranks.map(|ranks| ranks.into_iter().max().unwrap_or(0))
        }
        Criterion::AnyOf(_) | Criterion::NoneOf(_) | Criterion::NotIds(_) | Criterion::LastUpdated(_) | Criterion::Words { .. } => None,
    }
}

pub(crate) fn best_driver(criteria: &[Criterion]) -> Driver {
    possible_drivers(criteria).first().map_or(Driver::Type, |index| Driver::Criterion(*index))
}

/// A page of a search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    pub(crate) sort: &'a [SortKey],
    pub(crate) direction: Direction,
    pub(crate) after: Option<After<'a>>,
    pub(crate) count: usize,
}
