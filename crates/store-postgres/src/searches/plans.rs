//! Held to by tests: a search finds by keys what it asks for, and a walk in the order of commits is not sorted.

use lethe_fhir::ResourceType;
use lethe_search::{Branch, Criterion, Facet, PathId, SortBy, SortKey, SortPath, SortWidth, Span, ValueCheck, WordPlace};
use lethe_search_sql::{After, Direction, Driver, Request, Statement, page};

use super::{dialect::Postgres, run::IN_ORDER, test_database::with_database};
use crate::transaction::Tx;

const CODE: PathId = PathId::new(1, Facet::Value);
const SUBJECT: PathId = PathId::new(2, Facet::Value);
const DATE: PathId = PathId::new(3, Facet::Value);

/// 20,000 Observations of 200 patients, in parts of 2,000, and as many of another account.
/// 20,000 Observations of 200 patients, and as many of another account; a third of them has the code `c0`.
const FILL: &str = "
insert into version
select account, type, seq, convert_to(type || '-' || seq, 'UTF8'), 1, seq, 1, null, null, null, null, null, null, decode(repeat('00', 400), 'hex')
from generate_series(1, 2) account, lateral (select case when seq <= 200 then $P else $O end as type, seq from generate_series(1, 20200) seq) of_type;
update version set index_values = of_version.index_values, index_keys = of_version.index_keys
from (
    select
        account_id, type_id, seq, array_agg(entry.path || entry.value order by entry.path, entry.value) as index_values,
        array_agg(index_key(int8send(account_id) || decode(lpad(to_hex(type_id::integer), 2, '0'), 'hex') || entry.path, entry.value)) as index_keys
    from version, lateral (values
        ('\\x0004'::bytea, convert_to('c' || case when seq % 3 = 0 then 0 else seq % 50 end, 'UTF8')),
        ('\\x0008', reference_value(decode(lpad(to_hex($P), 2, '0'), 'hex'), convert_to($P || '-' || (1 + seq % 200), 'UTF8'))),
        ('\\x000c', int8send(seq)),
        ('\\x000c', ''::bytea)
    ) entry (path, value)
    where type_id = $O or entry.path <> '\\x0008'
    group by account_id, type_id, seq
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
            let of_code = [Criterion::AnyOf(vec![code()])];
            for steps in plans_of(&tx, &of_code, Driver::Criterion(0), &[], direction).await {
                // All that have the value are found by its key, and what is sorted are they.
                assert!(steps.iter().any(|step| step.starts_with("Bitmap Index Scan on version_by_key")), "{steps:#?}");
            }
            let mut plans = plans_of(&tx, &[], Driver::Type, &[], direction).await;
            tx.run(IN_ORDER).await?;
            plans.extend(plans_of(&tx, &of_code, Driver::Type, &[], direction).await);
            tx.run("set local enable_sort = on").await?;
            assert!(plans.iter().flatten().all(|step| !step.starts_with("Sort")), "{plans:#?}");
            assert!(plans.iter().flatten().any(|step| step.contains("using version_pkey")), "the control: {plans:#?}");
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
                        let uses = |index: &str| steps.iter().any(|step| step.contains(index));
                        assert!(uses("version_pkey") || uses("version_by_key") || uses("version_by_id"), "the control: {steps:#?}");
                        let is_found_by_key = matches!(criterion, Criterion::ReferredBy { .. })
                            || (criterion.is_on_others() && driver == Driver::Criterion(0));
                        assert!(uses("version_by_key") || !is_found_by_key, "{criterion:?} {driver:?}: {steps:#?}");
                        for step in &steps {
                            assert!(
                                !step.starts_with("Seq Scan") && !step.starts_with("Hash Join"),
                                "{criterion:?} {driver:?}: {steps:#?}"
                            );
                            let is_by_key = !step.starts_with("Index Cond")
                                || step.contains("(account_id = '1'::bigint) AND (type_id = ")
                                || step.starts_with("Index Cond: ((index_keys ")
                                || step.starts_with("Index Cond: (index_keys ");
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
