//! The probe: is anything of what was purged still in a residence? Must be able to fail.

use lethe_jobs::Lease;
use lethe_purge::{Seq, certify::Residue};
use lethe_store::{JobId, SweepTask, residence::RESIDENCES};
use tokio_postgres::{
    Row,
    types::{FromSql, ToSql},
};

use super::{
    Result,
    job::{self, JobRow},
    listed, question, recorded, sweep,
};
use crate::{
    PostgresStore, bulk,
    columns::{InstantColumn, SeqColumn, TypeColumn, number, seq},
    holds,
    transaction::{Tx, Values},
};

const SELECT_DONE_RANGES: &str = include_str!("../../sql/purge/done_ranges.sql");
const COUNT_UNDELETED: &str = include_str!("../../sql/purge/count_undeleted.sql");
const COUNT_BROKEN_CHAINS: &str = include_str!("../../sql/purge/count_broken_chains.sql");
const COUNT_ORPHAN_REFERENCES: &str = include_str!("../../sql/purge/count_orphan_references.sql");

pub(super) async fn probe(store: &PostgresStore, lease: Lease<JobId>) -> Result<Vec<Residue>> {
    let job = store.renew(lease).await?;
    look(store, &job, Some(lease)).await
}

/// The same for a job that nobody works on.
pub(crate) async fn residue(store: &PostgresStore, job_id: JobId) -> Result<Option<Vec<Residue>>> {
    match store.connections.read(|tx| async move { job::of_any_owner(&tx, job_id).await }).await? {
        Some(job) => look(store, &job, None).await.map(Some),
        None => Ok(None),
    }
}

/// Looks into every residence, renewing the lease, if there is one, between the steps.
async fn look(store: &PostgresStore, job: &JobRow, lease: Option<Lease<JobId>>) -> Result<Vec<Residue>> {
    let mut found = RESIDENCES.map(|residence| Residue { residence: residence.table, rows: 0 });
    let number = job.number;
    let of_job = |tx: Tx| async move {
        let counted = [
            ("export_question", bulk::count_questions(&tx, number).await?),
            ("hold_target", holds::count_targets_of_ended(&tx, number).await?),
            ("version", undeleted(&tx, job).await?),
            ("purge_question", question::count(&tx, number).await?),
            ("purge_listed", listed::count(&tx, job).await?),
        ];
        Ok((counted, sweep::touched(&tx, number).await?))
    };
    let (counted, tasks) = store.read_gently(of_job).await?;
    for (residence, rows) in counted {
        add(&mut found, residence, rows);
    }
    for task in tasks {
        for (residence, statement, key) in &WALKS {
            add(&mut found, residence, orphans(store, lease, task, job.job.watermark, (statement, key)).await?);
        }
    }
    if let Some(lease) = lease {
        store.renew(lease).await?;
    }
    Ok(Vec::from(found))
}

fn add(found: &mut [Residue], residence: &str, rows: u64) {
    for entry in found.iter_mut().filter(|entry| entry.residence == residence) {
        entry.rows += rows;
    }
}

/// Targets of finished batches that are still there.
async fn undeleted(tx: &Tx, job: &JobRow) -> crate::error::Result<u64> {
    let selection = &job.job.selection;
    let mut left = 0;
    for range in tx.rows(SELECT_DONE_RANGES, &[&job.number]).await? {
        // A range of the list of companions spans resources that are none.
        if !range.try_get::<_, bool>(4)? {
            continue;
        }
        let (account, type_id): (i64, TypeColumn) = (range.try_get(0)?, range.try_get(1)?);
        let (first, last) = (SeqColumn(seq(&range, 2)?), SeqColumn(seq(&range, 3)?));
        let before = selection.before.map(InstantColumn);
        let range: Values<'_> = &[&account, &type_id, &first, &last, &before, &selection.include_deleted, &job.number];
        left += number(&tx.row(COUNT_UNDELETED, range).await?, 0)?;
    }
    Ok(left + recorded::undeleted(tx, job.number).await?)
}

/// Index rows looked at in one transaction: however many there are, no statement takes long. Few in debug builds, so that tests meet several goes.
const CHUNK_ROWS_MAX: i64 = if cfg!(debug_assertions) { 64 } else { 100_000 };

/// The keys of one residence behind its account and type, as values that are bound: before the first, and of a row from column 2 on.
struct Key {
    before_first: fn() -> Vec<Value>,
    read: fn(&Row) -> crate::error::Result<Vec<Value>>,
}

/// One column of a key.
type Value = Box<dyn ToSql + Sync + Send>;

fn column<'a, T: FromSql<'a> + ToSql + Sync + Send + 'static>(row: &'a Row, column: usize) -> crate::error::Result<Value> {
    Ok(Box::new(row.try_get::<_, T>(column)?))
}

const PLACE: Key = Key { before_first: || vec![Box::new(-1_i64)], read: |row| Ok(vec![column::<i64>(row, 2)?]) };

const REFERENCE: Key = Key {
    before_first: || vec![Box::new(-1_i16), Box::new(Vec::<u8>::new()), Box::new(-1_i64)],
    read: |row| Ok(vec![column::<i16>(row, 2)?, column::<Vec<u8>>(row, 3)?, column::<i64>(row, 4)?]),
};

/// Where rows can be left that belong to a version that is gone.
const WALKS: [(&str, &str, Key); 2] = [("version", COUNT_BROKEN_CHAINS, PLACE), ("reference", COUNT_ORPHAN_REFERENCES, REFERENCE)];

/// Rows of one account and type that belong to a version that is gone, counted chunk by chunk.
async fn orphans(
    store: &PostgresStore,
    lease: Option<Lease<JobId>>,
    task: SweepTask,
    watermark: Seq,
    (statement, key): (&str, &Key),
) -> Result<u64> {
    let mut orphans = 0;
    let mut after = Some((key.before_first)());
    while let Some(start) = after {
        if let Some(lease) = lease {
            store.renew(lease).await?;
        }
        let start = &start;
        let chunk = |tx: Tx| async move {
            let (type_id, watermark) = (TypeColumn(task.resource_type), SeqColumn(watermark));
            let mut values: Vec<&(dyn ToSql + Sync)> = vec![&task.account_id.0, &type_id];
            values.extend(start.iter().map(|column| -> &(dyn ToSql + Sync) { column.as_ref() }));
            values.extend([&CHUNK_ROWS_MAX as &(dyn ToSql + Sync), &watermark]);
            let row = tx.row(statement, &values).await?;
            let is_full = row.try_get::<_, i64>(1)? == CHUNK_ROWS_MAX;
            Ok((number(&row, 0)?, if is_full { Some((key.read)(&row)?) } else { None }))
        };
        let (found, next) = store.read_gently(chunk).await?;
        orphans += found;
        after = next;
    }
    Ok(orphans)
}
