//! The probe: is anything of what was purged still in a residence? Must be able to fail.

use lethe_fhir::ResourceType;
use lethe_jobs::Lease;
use lethe_purge::{Seq, certify::Residue};
use lethe_store::{JobId, SweepTask, residence::RESIDENCES};

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
const COUNT_ORPHAN_RESOURCES: &str = include_str!("../../sql/purge/count_orphan_resources.sql");
const COUNT_ORPHAN_REFERENCES: &str = include_str!("../../sql/purge/count_orphan_references.sql");
const COUNT_ORPHAN_INDEX_VALUES: &str = include_str!("../../sql/purge/count_orphan_index_values.sql");
const COUNT_ORPHAN_PROVENANCE_TARGETS: &str = include_str!("../../sql/purge/count_orphan_provenance_targets.sql");

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
        if let Some(lease) = lease {
            store.renew(lease).await?;
        }
        for (residence, rows) in store.read_gently(|tx| orphans(tx, task, job.job.watermark)).await? {
            add(&mut found, residence, rows);
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

/// Rows of one type that belong to a version that is gone.
async fn orphans(tx: Tx, task: SweepTask, watermark: Seq) -> crate::error::Result<Vec<(&'static str, u64)>> {
    let (type_id, watermark) = (TypeColumn(task.resource_type), SeqColumn(watermark));
    let bounds: Values<'_> = &[&task.account_id.0, &type_id, &watermark];
    let mut statements = vec![
        ("version", COUNT_BROKEN_CHAINS),
        ("resource", COUNT_ORPHAN_RESOURCES),
        ("reference", COUNT_ORPHAN_REFERENCES),
        ("index_value", COUNT_ORPHAN_INDEX_VALUES),
    ];
    if task.resource_type == ResourceType::PROVENANCE {
        statements.push(("provenance_target", COUNT_ORPHAN_PROVENANCE_TARGETS));
    }
    let mut counted = Vec::new();
    for (residence, statement) in statements {
        counted.push((residence, number(&tx.row(statement, bounds).await?, 0)?));
    }
    Ok(counted)
}
