//! Held to by tests: a search reads the part of the index that it asks for, and a page in the order of commits is not sorted.

use lethe_fhir::ResourceType;
use lethe_search::{Branch, Criterion, Facet, PathId, SortBy, SortKey, SortPath, SortWidth, Span, ValueCheck, WordPlace};
use lethe_search_sql::{After, Direction, Driver, Request, Statement, page};

use super::{dialect::Postgres, test_database::with_database};
use crate::transaction::Tx;

const CODE: PathId = PathId::new(1, Facet::Value);
const SUBJECT: PathId = PathId::new(2, Facet::Value);
const DATE: PathId = PathId::new(3, Facet::Value);

/// 20,000 Observations of 200 patients, in parts of 2,000, and as many of another account.
const FILL: &str = "
insert into version
select account, type, seq, convert_to(type || '-' || seq, 'UTF8'), 1, seq, 1, null, null, null, null, decode(repeat('00', 400), 'hex')
from generate_series(1, 2) account, lateral (select case when seq <= 200 then $P else $O end as type, seq from generate_series(1, 20200) seq) of_type;
insert into resource select account_id, type_id, id, seq from version;
insert into index_part
select account_id, type_id, case when type_id = $P then 1 else 1 + (seq / 2000) * 2000 end, count(*) from version group by 1, 2, 3;
insert into index_value
select account_id, type_id, case when type_id = $P then 1 else 1 + (seq / 2000) * 2000 end, entry.path, entry.value, seq
from version, lateral (values
    (4, convert_to('c' || case when seq % 3 = 0 then 0 else seq % 50 end, 'UTF8')),
    (8, reference_value(decode(lpad(to_hex($P), 2, '0'), 'hex'), convert_to($P || '-' || (1 + seq % 200), 'UTF8'))),
    (12, int8send(seq))
) entry (path, value)
where type_id = $O or entry.path <> 8;
update version set index_values = of_version.index_values
from (
    select account_id, type_id, seq, array_agg(decode(lpad(to_hex(path_id), 4, '0'), 'hex') || value order by path_id, value) as index_values
    from index_value group by account_id, type_id, seq
) of_version
where (version.account_id, version.type_id, version.seq) = (of_version.account_id, of_version.type_id, of_version.seq);
vacuum analyze";

fn patient() -> ResourceType {
    "Patient".parse().unwrap()
}

fn observation() -> ResourceType {
    "Observation".parse().unwrap()
}

fn fill() -> String {
    FILL.replace("$P", &patient().code().to_string()).replace("$O", &observation().code().to_string())
}

async fn plan(tx: &Tx, statement: &Statement) -> Vec<String> {
    let explained = Statement { sql: format!("explain (costs off) {}", statement.sql), params: statement.params.clone() };
    let mut rows = tx.stream(&explained).await.unwrap_or_else(|error| panic!("{error:?}: {}", statement.sql));
    let mut steps = Vec::new();
    while let Some(row) = rows.next().await.unwrap_or_else(|error| panic!("{error:?}: {}", statement.sql)) {
        steps.push(row.get::<_, String>(0).trim_start_matches([' ', '-', '>']).to_owned());
    }
    steps
}

async fn plans_of(tx: &Tx, criteria: &[Criterion], driver: Driver, sort: &[SortKey], direction: Direction) -> Vec<Vec<String>> {
    let request = Request { account_id: 1, resource_type: observation(), criteria, driver, newest: 100_000 };
    let keys = vec![Some(b"x".to_vec()); sort.len()];
    let mut plans = Vec::new();
    for after in [None, Some(After { keys: &keys, seq: 3_000 })] {
        plans.push(plan(tx, &page(&Postgres, request, sort, direction, after, 11)).await);
    }
    plans
}

fn code() -> Span {
    Span::single(CODE, b"c7".to_vec())
}

#[tokio::test]
async fn a_page_in_the_order_of_commits_is_not_sorted() {
    with_database(&fill(), async |tx: Tx| {
        for direction in [Direction::Ascending, Direction::Descending] {
            let mut plans = plans_of(&tx, &[], Driver::Type, &[], direction).await;
            assert!(plans.iter().flatten().all(|step| !step.starts_with("Sort")), "{plans:#?}");
            plans = plans_of(&tx, &[Criterion::AnyOf(vec![code()])], Driver::Criterion(0), &[], direction).await;
            for steps in plans {
                // Of each part as many rows as fill a page, and parts in their order: that is all that is sorted.
                let place = |wanted: &str| steps.iter().position(|step| step.starts_with(wanted)).unwrap_or(usize::MAX);
                assert_eq!(steps.iter().filter(|step| step.contains("Sort") && !step.starts_with("Sort Key")).count(), 1, "{steps:#?}");
                assert!(place("Incremental Sort") < place("Presorted Key: p1.first_seq"), "{steps:#?}");
                assert_eq!(steps.iter().filter(|step| *step == "Limit").count(), 2, "{steps:#?}");
                assert!(
                    steps
                        .iter()
                        .any(|step| step.starts_with("Index Cond") && step.contains("part = p1.first_seq") && step.contains("value = "))
                );
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn no_table_is_walked_whatever_the_criterion() {
    with_database(&fill(), async |tx: Tx| {
        let branch = || Branch { resource_type: patient(), criteria: vec![Criterion::AnyOf(vec![code()])] };
        let by_code = [SortKey {
            by: SortBy::Paths(vec![SortPath { path: CODE, ascending_at: 0, descending_at: 0, width: SortWidth::Text, only: None }]),
            is_descending: true,
        }];
        let checked = Span::whole(DATE).and(ValueCheck::Behind { at: 1, checks: vec![ValueCheck::EndsWith(b"x".to_vec())] });
        let near = Span::whole(DATE).and(ValueCheck::Near { latitude: 1.0, longitude: 2.0, metres_max: 3.0 });
        let criteria = [
            Criterion::AnyOf(vec![code(), Span::prefix(CODE, b"y".to_vec()), Span::whole(DATE), checked, near]),
            Criterion::NoneOf(vec![code()]),
            Criterion::Ids(vec!["a".parse().unwrap(), "b".parse().unwrap()]),
            Criterion::Words { place: WordPlace::Narrative, alternatives: vec![vec!["a".to_owned()], vec![]] },
            Criterion::RefersTo { paths: vec![SUBJECT], branches: vec![branch(), branch()] },
            Criterion::ReferredBy { paths: vec![SUBJECT], branch: branch() },
            Criterion::Either(vec![
                vec![Criterion::AnyOf(vec![code()])],
                vec![Criterion::ReferredBy { paths: vec![SUBJECT], branch: branch() }],
            ]),
        ];
        for criterion in &criteria {
            for driver in [Driver::Type, Driver::Criterion(0)] {
                for sort in [&[][..], &by_code] {
                    let criteria = std::slice::from_ref(criterion);
                    if driver == Driver::Criterion(0) && lethe_search_sql::possible_drivers(criteria).is_empty() {
                        continue;
                    }
                    for steps in plans_of(&tx, criteria, driver, sort, Direction::Ascending).await {
                        assert!(steps.iter().any(|step| step.contains("using version_pkey")), "the control: {steps:#?}");
                        for step in &steps {
                            assert!(
                                !step.starts_with("Seq Scan") && !step.starts_with("Hash Join"),
                                "{criterion:?} {driver:?}: {steps:#?}"
                            );
                            let is_by_key = !step.starts_with("Index Cond") || step.contains("(account_id = '1'::bigint) AND (type_id = ");
                            assert!(is_by_key, "{criterion:?} {driver:?}: {steps:#?}");
                        }
                    }
                }
            }
        }
        Ok(())
    })
    .await;
}
