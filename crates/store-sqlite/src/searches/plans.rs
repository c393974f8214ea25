//! Held to by tests: a search reads the part of the index that it asks for, and a page in the order of commits is not sorted.

use lethe_fhir::ResourceType;
use lethe_search::{Branch, Criterion, Facet, PathId, SortBy, SortKey, SortPath, SortWidth, Span};
use lethe_search_sql::{After, Direction, Driver, Request, Statement, page};
use rusqlite::Connection;

use super::dialect::Sqlite;

const PATH: PathId = PathId::new(1, Facet::Value);

fn connection() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    crate::migrate::migrate(&mut connection).unwrap();
    super::add_functions(&connection).unwrap();
    connection.execute_batch("analyze sqlite_schema").unwrap();
    connection
}

fn plan(statement: &Statement) -> Vec<String> {
    let connection = connection();
    let sql = format!("explain query plan {}", statement.sql);
    let mut prepared = connection.prepare(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    prepared.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect()
}

fn plan_of(criteria: &[Criterion], driver: Driver, sort: &[SortKey], direction: Direction) -> Vec<String> {
    let request = Request { account_id: 1, resource_type: ResourceType::BINARY, criteria, driver, newest: 9 };
    let keys = vec![Some(b"x".to_vec()); sort.len()];
    let pages = [None, Some(After { keys: &keys, seq: 3 })];
    pages.into_iter().flat_map(|after| plan(&page(&Sqlite, request, sort, direction, after, 10))).collect()
}

fn patient() -> ResourceType {
    "Patient".parse().unwrap()
}

fn value() -> Span {
    Span::single(PATH, b"x".to_vec())
}

#[test]
fn one_value_is_read_in_order_and_nothing_is_sorted() {
    for direction in [Direction::Ascending, Direction::Descending] {
        let steps = plan_of(&[Criterion::AnyOf(vec![value()])], Driver::Criterion(0), &[], direction);
        let searched = "SEARCH i1 USING PRIMARY KEY (account_id=? AND type_id=? AND part=? AND path_id=? AND value=?";
        assert!(steps.iter().any(|step| step.starts_with(searched)), "{steps:#?}");
        assert!(
            steps.iter().any(|step| step.starts_with("SEARCH v1 USING PRIMARY KEY (account_id=? AND type_id=? AND seq=?")),
            "{steps:#?}"
        );
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:#?}");
        let all = plan_of(&[], Driver::Type, &[], direction);
        assert!(!all.iter().any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN v")), "{all:#?}");
    }
}

#[test]
fn no_table_is_walked_whatever_the_criterion() {
    let branch = Branch { resource_type: patient(), criteria: vec![Criterion::AnyOf(vec![value()])] };
    let by_name = [SortKey {
        by: SortBy::Paths(vec![SortPath { path: PATH, ascending_at: 0, descending_at: 0, width: SortWidth::All, only: None }]),
        is_descending: true,
    }];
    let criteria = [
        Criterion::AnyOf(vec![value(), Span::prefix(PATH, b"y".to_vec()), Span::whole(PATH)]),
        Criterion::NoneOf(vec![value()]),
        Criterion::Ids(vec!["a".parse().unwrap(), "b".parse().unwrap()]),
        Criterion::RefersTo { paths: vec![PATH], branches: vec![branch.clone(), branch.clone()] },
        Criterion::ReferredBy { paths: vec![PATH], branch: branch.clone() },
        Criterion::Either(vec![vec![Criterion::AnyOf(vec![value()])], vec![Criterion::ReferredBy { paths: vec![PATH], branch }]]),
    ];
    for criterion in &criteria {
        for driver in [Driver::Type, Driver::Criterion(0)] {
            for sort in [&[][..], &by_name] {
                let criteria = std::slice::from_ref(criterion);
                if driver == Driver::Criterion(0) && lethe_search_sql::possible_drivers(criteria).is_empty() {
                    continue;
                }
                let steps = plan_of(criteria, driver, sort, Direction::Ascending);
                for step in &steps {
                    let is_walk = ["SCAN v", "SCAN i", "SCAN r", "SCAN p"].iter().any(|walk| step.starts_with(walk));
                    assert!(!is_walk, "{criterion:?} {driver:?}: {steps:#?}");
                    let is_by_key = !step.starts_with("SEARCH") || step.contains("(account_id=? AND type_id=?");
                    assert!(is_by_key, "{criterion:?} {driver:?}: {steps:#?}");
                }
            }
        }
    }
}
