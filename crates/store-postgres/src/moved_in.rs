//! A store that moves here: the rows of another, put in as they were, all in one transaction.

use std::collections::BTreeMap;

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_search::{DistinctWords, IndexValues};
use lethe_store::{StoreError, StoredRow, StoredValue};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::{
    PostgresStore,
    columns::{IdColumn, NumberColumn, TypeColumn, decode_body, number},
    connections::Durability,
    error::{Error, Result},
    index_columns::{IndexValuesColumn, WordsColumn, target_element},
    index_keys::keys_of,
    transaction::Tx,
};

const SELECT_COLUMNS: &str = include_str!("../sql/moved_in/columns.sql");
const SELECT_IS_IN_USE: &str = include_str!("../sql/moved_in/is_in_use.sql");
const CLEAR_IDENTITY: &str = include_str!("../sql/moved_in/clear_identity.sql");
const CLEAR_LINEAGE: &str = include_str!("../sql/moved_in/clear_lineage.sql");
const INSERT_ORDERS: &str = include_str!("../sql/moved_in/insert_orders.sql");
const SET_PLACE: &str = include_str!("../sql/moved_in/set_place.sql");
const SET_NUMBER: &str = include_str!("../sql/moved_in/set_number.sql");
const ADD_TARGETS: &str = include_str!("../sql/moved_in/add_targets.sql");
const COUNT_TARGETS: &str = include_str!("../sql/moved_in/count_targets.sql");
const ANALYZE: &str = include_str!("../sql/moved_in/analyze.sql");
const SELECT_BODY_BYTES: &str = include_str!("../sql/moved_in/body_bytes.sql");

/// It has another form here: each account has its own row.
const COMMIT_ORDER: &str = "commit_order";
/// Its row also has what is made of the others: keys and words.
const VERSION: &str = "version";
const MADE_HERE: [&str; 2] = ["index_keys", "words"];
/// Its rows are elements of a column of the Provenance here.
const PROVENANCE_TARGET: &str = "provenance_target";
const TARGETS_COLUMN: &str = "provenance_targets";

/// A table into which rows are put.
#[derive(Clone, Debug)]
pub struct MovedTable {
    /// Its name, the same in every store.
    pub name: String,
    /// The columns of a row, in order.
    pub columns: Vec<String>,
    /// The column whose numbers the database gives, each once.
    pub numbered: Option<String>,
    types: Vec<Type>,
}

impl MovedTable {
    /// Leaves out the columns that the other store does not have: they get what a new row has.
    pub fn keep(&mut self, there: &[String]) {
        let kept: Vec<bool> = self.columns.iter().map(|column| there.contains(column)).collect();
        let mut of_types = kept.iter();
        self.types.retain(|_| of_types.next().copied().unwrap_or_default());
        let mut of_columns = kept.iter();
        self.columns.retain(|_| of_columns.next().copied().unwrap_or_default());
    }
}

/// A move that is not finished: dropped, it leaves nothing.
pub struct MovedIn {
    tx: Tx,
    tables: Vec<MovedTable>,
}

impl PostgresStore {
    /// Begins to put in what another store has; `None` if there is anything here already.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn begin_move_in(&self) -> std::result::Result<Option<MovedIn>, StoreError> {
        let tx = self.connections.begin(Durability::OnDisk).await.map_err(StoreError::from)?;
        Ok(begin(tx).await?)
    }
}

async fn begin(tx: Tx) -> Result<Option<MovedIn>> {
    // All of it is one transaction, however long it takes; the rows come from a reader that may be slow.
    tx.run("set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0").await?;
    if tx.row(SELECT_IS_IN_USE, &[]).await?.try_get(0)? {
        tx.roll_back().await?;
        return Ok(None);
    }
    // The store keeps its name, so that its certificates and its journal stay its own.
    tx.execute(CLEAR_IDENTITY, &[]).await?;
    tx.execute(CLEAR_LINEAGE, &[]).await?;
    let tables = tables_of(&tx).await?;
    Ok(Some(MovedIn { tx, tables }))
}

async fn tables_of(tx: &Tx) -> Result<Vec<MovedTable>> {
    let mut tables: Vec<MovedTable> = Vec::new();
    for row in tx.rows(SELECT_COLUMNS, &[]).await? {
        let (table, column, declared): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if table == COMMIT_ORDER {
            continue;
        }
        if tables.last().is_none_or(|last| last.name != table) {
            tables.push(MovedTable { name: table.clone(), columns: Vec::new(), numbered: None, types: Vec::new() });
        }
        // OK because it has just been put there if it was not.
        let Some(last) = tables.last_mut() else { continue };
        if row.try_get(3)? {
            last.numbered = Some(column.clone());
        }
        if table != VERSION || !(MADE_HERE.contains(&column.as_str()) || column == TARGETS_COLUMN) {
            last.types.push(type_of(&declared).ok_or_else(|| not_understood(&format!("{table}.{column} is {declared}")))?);
            last.columns.push(column);
        }
    }
    // Behind the versions, to which they are added.
    tables.push(MovedTable {
        name: PROVENANCE_TARGET.to_owned(),
        columns: ["account_id", "provenance_seq", "target_type_id", "target_id"].map(str::to_owned).into(),
        numbered: None,
        types: vec![Type::INT8, Type::INT8, Type::INT2, Type::BYTEA],
    });
    Ok(tables)
}

fn type_of(declared: &str) -> Option<Type> {
    Some(match declared {
        "bigint" => Type::INT8,
        "smallint" => Type::INT2,
        "boolean" => Type::BOOL,
        "text" => Type::TEXT,
        "uuid" => Type::UUID,
        "bytea" => Type::BYTEA,
        "bytea[]" => Type::BYTEA_ARRAY,
        _ => return None,
    })
}

fn not_understood(what: &str) -> StoreError {
    StoreError::NotUnderstood(what.to_owned())
}

impl MovedIn {
    /// The tables, in an order in which they can be filled.
    #[must_use]
    pub fn tables(&self) -> Vec<MovedTable> {
        self.tables.clone()
    }

    /// Puts rows into a table.
    ///
    /// # Errors
    /// A row that cannot be understood, or PostgreSQL's; then nothing of the move can stay.
    pub async fn put(&self, table: &MovedTable, rows: Vec<StoredRow>) -> std::result::Result<(), StoreError> {
        let (own, mut columns, mut types) = (table.clone(), table.columns.clone(), table.types.clone());
        let is_version = table.name == VERSION;
        if table.name == PROVENANCE_TARGET {
            return Ok(self.add_targets(rows).await?);
        }
        let converted = tokio::task::spawn_blocking(move || {
            rows.into_iter().map(|row| if is_version { version_row(&own, row) } else { plain_row(&own, row) }).collect::<Result<Vec<_>>>()
        });
        let rows = converted.await.map_err(|join| StoreError::Failed(Box::new(join)))??;
        if is_version {
            columns.extend(MADE_HERE.map(str::to_owned));
            types.extend([Type::INT8_ARRAY, Type::BYTEA_ARRAY]);
        }
        let sql = format!("copy {} ({}) from stdin (format binary)", table.name, columns.join(", "));
        Ok(self
            .tx
            .copy(&sql, &types, rows.iter().map(|row| row.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect::<Vec<_>>()))
            .await?)
    }

    /// One statement for each Provenance, found by its key: without statistics, one for many of them would look at all of the account each time. The rows
    /// of one come together, but not always all at once.
    async fn add_targets(&self, rows: Vec<StoredRow>) -> Result<()> {
        let mut of_provenances: BTreeMap<(i64, i64), Vec<Vec<u8>>> = BTreeMap::new();
        for row in rows {
            let [StoredValue::Integer(account), StoredValue::Integer(seq), StoredValue::Integer(code), StoredValue::Id(id)] = &row[..]
            else {
                return Err(not_understood(PROVENANCE_TARGET).into());
            };
            let code = u8::try_from(*code).map_err(|_| not_understood(PROVENANCE_TARGET))?;
            let id = match id.as_str() {
                "" => Vec::new(),
                id => IdColumn(id.parse().map_err(|_| not_understood(PROVENANCE_TARGET))?).bytes(),
            };
            of_provenances.entry((*account, *seq)).or_default().push(target_element(code, &id));
        }
        for ((account, seq), targets) in of_provenances {
            let provenance = TypeColumn(ResourceType::PROVENANCE);
            if self.tx.execute(ADD_TARGETS, &[&account, &provenance, &seq, &targets]).await? != 1 {
                return Err(not_understood("a target of no Provenance").into());
            }
        }
        Ok(())
    }

    /// The accounts, with the time of the newest version of each, and the last place in the order of commits.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn put_orders(&self, last_updated_ms: &[(AccountId, i64)], last_seq: u64) -> std::result::Result<(), StoreError> {
        let (accounts, times): (Vec<i64>, Vec<i64>) = last_updated_ms.iter().map(|(account_id, ms)| (account_id.0, *ms)).unzip();
        let put = async || -> Result<()> {
            self.tx.execute(INSERT_ORDERS, &[&accounts, &times]).await?;
            if last_seq > 0 {
                self.tx.row(SET_PLACE, &[&NumberColumn(last_seq)]).await?;
            }
            Ok(())
        };
        Ok(put().await?)
    }

    /// The last number that was given in a table: the next one is greater.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn set_last_number(&self, table: &MovedTable, last: u64) -> std::result::Result<(), StoreError> {
        if let Some(column) = table.numbered.as_ref().filter(|_| last > 0) {
            self.tx.row(SET_NUMBER, &[&table.name, column, &NumberColumn(last)]).await.map_err(StoreError::from)?;
        }
        Ok(())
    }

    /// How many rows a table has now.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn rows(&self, table: &MovedTable) -> std::result::Result<u64, StoreError> {
        let count = match table.name.as_str() {
            PROVENANCE_TARGET => COUNT_TARGETS.to_owned(),
            name => format!("select count(*) from {name}"),
        };
        Ok(self.number(&count).await?)
    }

    /// Bytes of all bodies, as they are stored.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn body_bytes(&self) -> std::result::Result<u64, StoreError> {
        Ok(self.number(SELECT_BODY_BYTES).await?)
    }

    /// Makes it stay, with statistics, so that the first searches are planned by them.
    ///
    /// # Errors
    /// PostgreSQL's; then nothing of it is there.
    pub async fn finish(self) -> std::result::Result<(), StoreError> {
        self.tx.run(ANALYZE).await?;
        Ok(self.tx.commit().await?)
    }

    async fn number(&self, sql: &str) -> Result<u64> {
        number(&self.tx.row(sql, &[]).await?, 0)
    }
}

type Column = Box<dyn ToSql + Sync + Send>;

fn plain_row(table: &MovedTable, row: StoredRow) -> Result<Vec<Column>> {
    let place = |at: usize| format!("{}.{}", table.name, table.columns.get(at).map_or("?", String::as_str));
    let columns = row.into_iter().zip(&table.types).enumerate();
    columns.map(|(at, (value, r#type))| column(value, r#type).ok_or_else(|| not_understood(&place(at)).into())).collect()
}

/// `None`: the value does not belong into such a column.
fn column(value: StoredValue, r#type: &Type) -> Option<Column> {
    Some(match (value, r#type) {
        (StoredValue::Null, &Type::INT8) => Box::new(None::<i64>),
        (StoredValue::Null, &Type::INT2) => Box::new(None::<i16>),
        (StoredValue::Null, &Type::BOOL) => Box::new(None::<bool>),
        (StoredValue::Null, &Type::TEXT) => Box::new(None::<String>),
        (StoredValue::Null, &Type::UUID) => Box::new(None::<Uuid>),
        (StoredValue::Null, &Type::BYTEA) => Box::new(None::<Vec<u8>>),
        (StoredValue::Null, &Type::BYTEA_ARRAY) => Box::new(None::<Vec<Vec<u8>>>),
        (StoredValue::Integer(number), &Type::INT8) => Box::new(number),
        (StoredValue::Integer(number), &Type::INT2) => Box::new(i16::try_from(number).ok()?),
        (StoredValue::Integer(number @ 0..=1), &Type::BOOL) => Box::new(number == 1),
        (StoredValue::Text(text), &Type::TEXT) => Box::new(text),
        (StoredValue::Bytes(bytes), &Type::UUID) => Box::new(Uuid::from_slice(&bytes).ok()?),
        (StoredValue::Bytes(bytes), &Type::BYTEA) => Box::new(bytes),
        (StoredValue::Bytes(bytes), &Type::BYTEA_ARRAY) => Box::new(IndexValuesColumn(IndexValues::from_stored(bytes))),
        (StoredValue::Id(id), &Type::BYTEA) if id.is_empty() => Box::new(Vec::<u8>::new()),
        (StoredValue::Id(id), &Type::BYTEA) => Box::new(IdColumn(id.parse().ok()?)),
        _ => return None,
    })
}

/// A version with its keys and words, if it is current.
fn version_row(table: &MovedTable, row: StoredRow) -> Result<Vec<Column>> {
    let value = |name: &str| {
        let at = table.columns.iter().position(|column| column == name);
        at.and_then(|at| row.get(at)).ok_or_else(|| Error::from(not_understood(name)))
    };
    let (keys, words) = match (value("account_id")?, value("type_id")?, value("index_values")?, value("body")?) {
        (StoredValue::Integer(account), StoredValue::Integer(type_id), StoredValue::Bytes(values), StoredValue::Bytes(body)) => {
            let resource_type = u8::try_from(*type_id).ok().and_then(ResourceType::from_code);
            let resource_type = resource_type.ok_or_else(|| not_understood("version.type_id"))?;
            let unreadable = |what| not_understood(&format!("the body of a {resource_type}: {what}"));
            let keys = keys_of(AccountId(*account), resource_type, &IndexValues::from_stored(values.clone()));
            (Some(keys), Some(WordsColumn(DistinctWords::of(decode_body(body).map_err(unreadable)?.as_bytes()))))
        }
        _ => (None, None),
    };
    let mut columns = plain_row(table, row)?;
    columns.push(Box::new(keys));
    columns.push(Box::new(words));
    Ok(columns)
}
