//! Verification of the whole file against the invariants: each check is one statement that counts what violates it.

use async_trait::async_trait;
use lethe_purge::certify::Residue;
use lethe_store::{Check, Checks, JobId, StoreError};
use rusqlite::Connection;

use crate::{SqliteStore, columns::decode_body, error::Result, purge};

const IN_PROGRESS: &str = include_str!("../sql/check/purges_in_progress.sql");
const SELECT_BODIES: &str = include_str!("../sql/check/bodies.sql");

/// What must hold at any time, and the statement that counts where it does not.
const ALWAYS: [(&str, &str); 12] = [
    (
        "every resource has exactly one current version, and its logical id leads to it",
        include_str!("../sql/check/unreachable_current_versions.sql"),
    ),
    ("every version is linked to the ones before and after it", include_str!("../sql/check/broken_chains.sql")),
    ("no version is beyond the order of commits, or older than the one before it", include_str!("../sql/check/disorder.sql")),
    ("the totals by type are right", include_str!("../sql/check/wrong_totals.sql")),
    ("planned = deleted + spared + held in every batch that is done (INV-4)", include_str!("../sql/check/unbalanced_batches.sql")),
    ("every purge has its audit record, closed if it has ended (INV-5)", include_str!("../sql/check/missing_audits.sql")),
    ("every purge that was successful has its certificate", include_str!("../sql/check/missing_certificates.sql")),
    ("no certificate is missing in the chain", include_str!("../sql/check/gaps_in_chain.sql")),
    ("no account and no client has two purges in progress", include_str!("../sql/check/concurrent_purges.sql")),
    ("nothing is left of what a hold named that has ended", include_str!("../sql/check/targets_of_ended_holds.sql")),
    ("nothing is left of what a purge with a plan was asked for", include_str!("../sql/check/left_questions.sql")),
    ("nothing is left of what a removed export was asked for", include_str!("../sql/check/orphan_export_questions.sql")),
];

/// What must hold when no purge is in progress: a purge removes index rows after the resources.
const AT_REST: [(&str, &str); 6] = [
    ("no logical id leads to a version that is gone", include_str!("../sql/check/orphan_resources.sql")),
    ("no reference comes from a version that is gone", include_str!("../sql/check/orphan_references.sql")),
    ("no value of a search parameter leads to a version that is gone or replaced", include_str!("../sql/check/orphan_index_values.sql")),
    ("every value of a search parameter has its row in the index", include_str!("../sql/check/missing_index_values.sql")),
    ("no Provenance target belongs to a Provenance that is gone or replaced", include_str!("../sql/check/orphan_provenance_targets.sql")),
    ("no list of resources is left behind by a purge that has ended", include_str!("../sql/check/left_listed.sql")),
];

#[async_trait]
impl Checks for SqliteStore {
    async fn check(&self) -> std::result::Result<Vec<Check>, StoreError> {
        // One view for all of it, so that writers between two checks cannot look like violations.
        self.connections
            .read(|tx| {
                let is_at_rest = tx.query_row(IN_PROGRESS, [], |row| row.get::<_, u64>(0))? == 0;
                let mut checks = vec![
                    Check { holds: "the database file is sound", violations: Some(damages(tx)?) },
                    Check { holds: "every body can be read", violations: Some(unreadable_bodies(tx)?) },
                ];
                for (holds, statement) in ALWAYS {
                    checks.push(Check { holds, violations: Some(count(tx, statement)?) });
                }
                for (holds, statement) in AT_REST {
                    let violations = if is_at_rest { Some(count(tx, statement)?) } else { None };
                    checks.push(Check { holds, violations });
                }
                Ok(checks)
            })
            .await
    }

    async fn residue(&self, job_id: JobId) -> std::result::Result<Option<Vec<Residue>>, StoreError> {
        purge::residue(self, job_id).await
    }
}

fn count(connection: &Connection, statement: &str) -> Result<u64> {
    Ok(connection.query_row(statement, [], |row| row.get(0))?)
}

/// What SQLite itself finds wrong with the file, at most a hundred things.
fn damages(connection: &Connection) -> Result<u64> {
    let mut statement = connection.prepare("pragma integrity_check(100)")?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(lines.iter().filter(|line| *line != "ok").count() as u64)
}

fn unreadable_bodies(connection: &Connection) -> Result<u64> {
    let mut statement = connection.prepare(SELECT_BODIES)?;
    let mut rows = statement.query([])?;
    let mut unreadable = 0;
    while let Some(row) = rows.next()? {
        let stored = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        // LZ4 has no checksum: what it gives must at least be the JSON that was put in.
        let is_readable = decode_body(stored).is_ok_and(|body| body.is_json());
        if !is_readable {
            unreadable += 1;
        }
    }
    Ok(unreadable)
}
