//! Held to by tests: what is asked in SQL is what `lethe_search` says of the same bytes.

use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_search::{Entries, Facet, IndexValue, IndexValues, PathId, SortPath, SortWidth, Span, ValueCheck, value};
use lethe_search_sql::{Builder, Dialect, Param};
use tokio_postgres::types::FromSqlOwned;

use super::{dialect::Postgres, test_database::with_database};
use crate::{
    columns::IdColumn,
    error::Result,
    index_columns::{IndexValuesColumn, element},
    index_keys::{head, keys_for},
    transaction::Tx,
};

const PATH: PathId = PathId::new(1, Facet::Value);
const OTHER: PathId = PathId::new(2, Facet::Value);

/// A value and pieces of it to ask for.
fn values() -> Vec<Vec<u8>> {
    let long = "Ab cd ".repeat(60);
    let mut values = vec![
        Vec::new(),
        vec![0],
        vec![0xff; 15],
        b"a\0b\0c".to_vec(),
        value::string("Ash"),
        value::string("ash"),
        value::string(&long),
        value::string(&"x".repeat(256)),
        value::string(&"x".repeat(255)),
        value::token(Some("http://loinc.org"), "8480-6"),
        value::uri("http://a.org/b"),
        value::quantity(-7.25, None, Some("kg"), Some("kilo")),
        value::date(Some(Instant::from_unix_ms(-5)), None).to_vec(),
        value::composite("c", Some("s"), &[&value::number(4.0)]),
    ];
    for (latitude, longitude) in [
        (52.52, 13.405),
        (53.5511, 9.9937),
        (-52.52, -13.405),
        (90.0, 180.0),
        (0.0, 0.0),
        (1e-170, -1e-170),
        (5e-324, 1e-308),
        (1e300, 1e300),
        (135.0, 0.0),
        (-180.0, -400.0),
        (f64::MAX, f64::MIN),
    ] {
        values.push(value::position(latitude, longitude).to_vec());
    }
    values
}

fn checks(values: &[Vec<u8>]) -> Vec<ValueCheck> {
    let mut checks = Vec::new();
    let pieces = values
        .iter()
        .flat_map(|own| [own.clone(), own.get(1..4).unwrap_or_default().to_vec(), own.iter().rev().take(2).rev().copied().collect()]);
    for bytes in pieces {
        for at in [0, 1, 8] {
            checks.push(ValueCheck::HasAt { at, bytes: bytes.clone() });
            checks.push(ValueCheck::LessAt { at, bytes: bytes.clone() });
            checks.push(ValueCheck::NotLessAt { at, bytes: bytes.clone() });
        }
        checks.push(ValueCheck::Contains(bytes.clone()));
        checks.push(ValueCheck::TextHas(bytes.clone()));
        checks.push(ValueCheck::TextMayHave(bytes.clone()));
        checks.push(ValueCheck::EndsWith(bytes.clone()));
        let inner = vec![ValueCheck::EndsWith(bytes.clone()), ValueCheck::Behind { at: 1, checks: vec![ValueCheck::EndsWith(bytes)] }];
        checks.extend([0, 2].map(|at| ValueCheck::Behind { at, checks: inner[..1].to_vec() }));
        checks.push(ValueCheck::Behind { at: 0, checks: inner });
    }
    for metres_max in [0.0, 250_000.0, 260_000.0, 1.9e7, 1e9] {
        checks.push(ValueCheck::Near { latitude: 52.52, longitude: 13.405, metres_max });
        checks.push(ValueCheck::Near { latitude: 0.0, longitude: 0.0, metres_max });
    }
    checks
}

/// The columns of the one row of `select …`.
async fn row_of<T: FromSqlOwned>(tx: &Tx, builder: Builder<'_, Postgres>, columns: &[String]) -> Result<Vec<T>> {
    let row = tx.stream(&builder.finish(format!("select {}", columns.join(", ")))).await?.next().await?.unwrap();
    (0..columns.len()).map(|column| Ok(row.try_get(column)?)).collect()
}

fn entry(path: PathId, value: &[u8]) -> IndexValue {
    IndexValue { path, value: value.to_vec() }
}

/// A row of `version` with these index values, as the tables of a statement.
fn version(builder: &mut Builder<'_, Postgres>, values: &IndexValues) -> String {
    let elements: Vec<String> = values.iter().map(|(path, value)| builder.bind(Param::Bytes(element(path, value)))).collect();
    format!("(select array[{}]::bytea[] as index_values) v", elements.join(", "))
}

#[tokio::test]
async fn checks_admit_in_sql_what_they_admit() {
    with_database("", async |tx: Tx| {
        let values = values();
        let (mut admitted, mut refused) = (0, 0);
        for check in checks(&values) {
            let mut builder = Builder::new(&Postgres, 1);
            let columns: Vec<String> = values
                .iter()
                .map(|value| {
                    let value = builder.bind(Param::Bytes(value.clone()));
                    format!("coalesce({}, false)", Postgres.passes(&mut builder, &value, std::slice::from_ref(&check)))
                })
                .collect();
            let found: Vec<bool> = row_of(&tx, builder, &columns).await?;
            // What is longer than a position is none: its bytes may be no number.
            let can_be_asked = |value: &&Vec<u8>| !matches!(check, ValueCheck::Near { .. }) || value.len() <= 16;
            for (value, found) in values.iter().zip(found).filter(|(value, _)| can_be_asked(value)) {
                assert_eq!(found, check.admits(value), "{check:?} {value:?}");
                *(if found { &mut admitted } else { &mut refused }) += 1;
            }
        }
        assert!(admitted > 500 && refused > 500, "the control: {admitted} {refused}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn spans_keys_and_names_are_in_sql_what_they_are() {
    with_database("", async |tx: Tx| {
        let values = values();
        let some = IndexValues::of(vec![
            entry(PATH, &value::string("Oak")),
            entry(PATH, &value::string("ash")),
            entry(OTHER, &value::date(Some(Instant::from_unix_ms(7)), None)),
        ]);
        for entries in [IndexValues::default(), some.clone(), IndexValues::of(values.iter().map(|value| entry(PATH, value)).collect())] {
            for low in &values {
                let spans = [
                    vec![Span::single(PATH, low.clone())],
                    vec![Span::prefix(PATH, low.clone()), Span::single(OTHER, low.clone())],
                    vec![Span { low: low.clone(), ..Span::whole(PATH) }],
                    vec![Span::whole(OTHER).and(ValueCheck::EndsWith(low.clone()))],
                ];
                for spans in spans {
                    let mut builder = Builder::new(&Postgres, 1);
                    let has = Postgres.has_value(&mut builder, "v", ResourceType::BINARY, &spans);
                    let table = version(&mut builder, &entries);
                    let found: Vec<bool> = row_of(&tx, builder, &[format!("(select {has} from {table})")]).await?;
                    assert_eq!(found, [Entries::of(entries.as_bytes()).has_any_of(&spans)], "{spans:?}");
                }
            }
            for (width, only) in [(SortWidth::All, None), (SortWidth::Text, Some(b'a')), (SortWidth::Bytes(2), None)] {
                let paths = [PATH, OTHER].map(|path| SortPath { path, ascending_at: 0, descending_at: 9, width, only });
                for is_descending in [false, true] {
                    let mut builder = Builder::new(&Postgres, 1);
                    let key = Postgres.sort_value(&mut builder, "v", ResourceType::BINARY, &paths, is_descending);
                    let table = version(&mut builder, &entries);
                    let found: Vec<Option<Vec<u8>>> = row_of(&tx, builder, &[format!("(select {key} from {table})")]).await?;
                    assert_eq!(found, [entries.iter().sort_bytes(&paths, is_descending)], "{width:?} {is_descending}");
                }
            }
        }
        for id in ["p1", "0190a6e2-7c1b-7000-8000-00000000abcd", "0190A6E2-7C1B-7000-8000-00000000ABCD"] {
            let id: LogicalId = id.parse().unwrap();
            let mut builder = Builder::new(&Postgres, 1);
            let table = format!("(select {} as id) v", builder.bind(Param::Id(id.clone())));
            let reference = value::reference_to(ResourceType::BINARY, &id);
            let columns = [
                Postgres.id_value("v"),
                Postgres.reference_value(&mut builder, "v", ResourceType::BINARY),
                format!("referred_id({}, 0)", builder.bind(Param::Bytes(reference.clone()))),
            ];
            let columns = columns.map(|column| format!("(select {column} from {table})"));
            let stored = row_of::<Vec<u8>>(&tx, builder, &columns).await?;
            let mut builder = Builder::new(&Postgres, 1);
            let column = builder.bind(Param::Bytes(stored[2].clone()));
            let referred = row_of::<IdColumn>(&tx, builder, &[column]).await?;
            assert_eq!((stored[0].as_slice(), &stored[1], &referred[0].0), (id.as_str().as_bytes(), &reference, &id));
        }
        for (path, value) in [(PATH, vec![]), (OTHER, vec![0xff, 0]), (PATH, values[6].clone())] {
            let mut builder = Builder::new(&Postgres, 1);
            let own = [head(7, ResourceType::BINARY, path), value.clone()].map(|bytes| builder.bind(Param::Bytes(bytes)));
            let found = row_of::<i64>(&tx, builder, &[format!("index_key({}, {})", own[0], own[1])]).await?;
            assert_eq!(found, keys_for(7, ResourceType::BINARY, &[Span::single(path, value)]));
        }
        for unix_ms in [i64::MIN, -1, 0, 1_700_000_000_000, i64::MAX] {
            // As far as instants go.
            let unix_ms = Instant::from_unix_ms(unix_ms).as_unix_ms();
            let mut builder = Builder::new(&Postgres, 1);
            let table = format!("(select {} as last_updated_ms) v", builder.bind(Param::Int(unix_ms)));
            let found = row_of::<Vec<u8>>(&tx, builder, &[format!("(select {} from {table})", Postgres.time_value("v"))]).await?;
            assert_eq!(found[0], value::instant(Instant::from_unix_ms(unix_ms)), "{unix_ms}");
        }
        for damaged in [0, 1, 3, 5] {
            let written = &some.as_bytes()[..some.as_bytes().len() - damaged];
            let mut builder = Builder::new(&Postgres, 1);
            let column = format!("entries_of({})", builder.bind(Param::Bytes(written.to_vec())));
            let found = row_of::<IndexValuesColumn>(&tx, builder, &[column]).await?;
            assert!(found[0].0.iter().eq(Entries::of(written)), "{damaged}");
        }
        Ok(())
    })
    .await;
}
