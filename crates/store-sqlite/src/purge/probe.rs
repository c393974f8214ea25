//! The probe: is anything of what was purged still in a residence, or in the bytes between? Must be able to fail.

use lethe_fhir::ResourceType;
use lethe_jobs::Lease;
use lethe_purge::certify::Residue;
use lethe_store::{
    JobId, SweepTask,
    residence::{RESIDENCES, ROWS_BESIDE},
};
use rusqlite::{Connection, params};

use super::{
    Result, file_probe,
    job::{self, JobRow},
    listed, question, recorded, sweep,
};
use crate::{
    SqliteStore, bulk,
    columns::{InstantColumn, SeqColumn, TypeColumn},
    holds,
    stored_seqs::StoredSeqs,
};

const SELECT_DONE_RANGES: &str = include_str!("../../sql/purge/done_ranges.sql");
const COUNT_UNDELETED: &str = include_str!("../../sql/purge/count_undeleted.sql");
const COUNT_BROKEN_CHAINS: &str = include_str!("../../sql/purge/count_broken_chains.sql");
const COUNT_ORPHAN_RESOURCES: &str = include_str!("../../sql/purge/count_orphan_resources.sql");
const COUNT_ORPHAN_REFERENCES: &str = include_str!("../../sql/purge/count_orphan_references.sql");
const COUNT_ORPHAN_INDEX_VALUES: &str = include_str!("../../sql/purge/count_orphan_index_values.sql");
const COUNT_ORPHAN_PROVENANCE_TARGETS: &str = include_str!("../../sql/purge/count_orphan_provenance_targets.sql");

pub(super) async fn probe(store: &SqliteStore, lease: Lease<JobId>) -> Result<Vec<Residue>> {
    let job = store.renew(lease).await?;
    look(store, job, Some(lease)).await
}

/// The same for a job that nobody works on.
pub(crate) async fn residue(store: &SqliteStore, job_id: JobId) -> Result<Option<Vec<Residue>>> {
    match store.connections.read(move |tx| job::of_any_owner(tx, job_id)).await? {
        Some(job) => look(store, job, None).await.map(Some),
        None => Ok(None),
    }
}

/// Looks into every residence, renewing the lease, if there is one, between the steps.
async fn look(store: &SqliteStore, job: JobRow, lease: Option<Lease<JobId>>) -> Result<Vec<Residue>> {
    let mut found: Vec<Residue> =
        RESIDENCES.into_iter().chain(ROWS_BESIDE).map(|residence| Residue { residence: residence.table, rows: 0 }).collect();
    let (number, watermark) = (job.number, job.job.watermark);
    let tasks = store.read_gently(move |tx| sweep::touched(tx, number)).await?;
    let questions = store.read_gently(move |tx| bulk::count_questions(tx, number)).await?;
    add(&mut found, "export_question", questions);
    let targets_of_ended = store.read_gently(move |tx| holds::count_targets_of_ended(tx, number)).await?;
    add(&mut found, "hold_target", targets_of_ended);
    let asked = store.read_gently(move |tx| question::count(tx, number)).await?;
    add(&mut found, "purge_question", asked);
    let (undeleted, listed) = store.read_gently(move |tx| Ok((undeleted(tx, &job)?, listed::count(tx, &job)?))).await?;
    add(&mut found, "version", undeleted);
    add(&mut found, "purge_listed", listed);
    for task in tasks {
        for span in StoredSeqs::spans(watermark) {
            if let Some(lease) = lease {
                store.renew(lease).await?;
            }
            let orphans =
                store.read_gently(move |tx| orphans(tx, task, &StoredSeqs::load(tx, task.account_id, task.resource_type, span)?)).await?;
            for (residence, rows) in orphans {
                add(&mut found, residence, rows);
            }
        }
    }
    if let Some(lease) = lease {
        store.renew(lease).await?;
    }
    let turn = u64::try_from(number).unwrap_or_default();
    found.push(Residue { residence: file_probe::UNUSED_BYTES, rows: file_probe::dirty_pages(store, turn).await? });
    Ok(found)
}

fn add(found: &mut [Residue], residence: &str, rows: u64) {
    for entry in found.iter_mut().filter(|entry| entry.residence == residence) {
        entry.rows += rows;
    }
}

/// Targets of finished batches that are still there.
fn undeleted(tx: &Connection, job: &JobRow) -> crate::error::Result<u64> {
    let selection = &job.job.selection;
    let mut ranges = tx.prepare_cached(SELECT_DONE_RANGES)?;
    let mut count = tx.prepare_cached(COUNT_UNDELETED)?;
    let mut rows = ranges.query([job.number])?;
    let mut left = 0;
    while let Some(row) = rows.next()? {
        // A range of a list spans resources that are not on it.
        if !row.get::<_, bool>(4)? {
            continue;
        }
        let (account, type_id, first, last): (i64, TypeColumn, SeqColumn, SeqColumn) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        left += count.query_row(
            params![account, type_id, first, last, selection.before.map(InstantColumn), selection.include_deleted, job.number],
            |row| row.get::<_, u64>(0),
        )?;
    }
    Ok(left + recorded::undeleted(tx, job.number)?)
}

/// Rows of one type that belong to a version that is gone.
fn orphans(tx: &Connection, task: SweepTask, stored: &StoredSeqs) -> crate::error::Result<Vec<(&'static str, u64)>> {
    let bounds = params![task.account_id.0, TypeColumn(task.resource_type), SeqColumn(stored.first), SeqColumn(stored.last), stored.bits];
    let mut counted = Vec::new();
    let statements = [
        ("version", COUNT_BROKEN_CHAINS),
        ("resource", COUNT_ORPHAN_RESOURCES),
        ("reference", COUNT_ORPHAN_REFERENCES),
        ("index_value", COUNT_ORPHAN_INDEX_VALUES),
    ];
    for (residence, statement) in statements {
        counted.push((residence, tx.prepare_cached(statement)?.query_row(bounds, |row| row.get(0))?));
    }
    if task.resource_type == ResourceType::PROVENANCE {
        counted.push(("provenance_target", tx.prepare_cached(COUNT_ORPHAN_PROVENANCE_TARGETS)?.query_row(bounds, |row| row.get(0))?));
    }
    Ok(counted)
}
