//! Verification of all that is stored against the invariants: each check is one statement that counts what violates it.

use async_trait::async_trait;
use lethe_auth::AccountId;
use lethe_purge::certify::Residue;
use lethe_store::{Check, Checks, JobId, StoreError};

use crate::{
    PostgresStore,
    columns::{TypeColumn, at_most, decode_body, number},
    error::Result,
    index_columns::IndexValuesColumn,
    index_keys::keys_of,
    purge,
    resources::{DISORDER_MAX_MS, SELECT_NEWEST_SEQ},
    transaction::{ROWS_AT_A_TIME, Tx},
};

const IN_PROGRESS: &str = include_str!("../sql/check/purges_in_progress.sql");
const SELECT_VERSIONS: &str = include_str!("../sql/check/versions.sql");

const COUNT_DISORDER: &str = include_str!("../sql/check/disorder.sql");

/// What must hold at any time, and the statement that counts where it does not.
const ALWAYS: [(&str, &str); 11] = [
    ("no resource has two current versions", include_str!("../sql/check/ambiguous_current_versions.sql")),
    ("every version is linked to the ones before and after it", include_str!("../sql/check/broken_chains.sql")),
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
const AT_REST: [(&str, &str); 2] = [
    ("no reference comes from a version that is gone", include_str!("../sql/check/orphan_references.sql")),
    ("no list of resources is left behind by a purge that has ended", include_str!("../sql/check/left_listed.sql")),
];

#[async_trait]
impl Checks for PostgresStore {
    async fn check(&self) -> std::result::Result<Vec<Check>, StoreError> {
        // One view for all of it, so that writers between two checks cannot look like violations.
        self.connections.read(check_all).await
    }

    async fn residue(&self, job_id: JobId) -> std::result::Result<Option<Vec<Residue>>, StoreError> {
        purge::residue(self, job_id).await
    }
}

async fn check_all(tx: Tx) -> Result<Vec<Check>> {
    // It reads everything, however long that takes.
    tx.run("set local statement_timeout = 0").await?;
    let is_at_rest = count(&tx, IN_PROGRESS).await? == 0;
    let versions = walk_versions(&tx).await?;
    let mut checks = vec![
        Check { holds: "every body can be read", violations: Some(versions.unreadable) },
        Check { holds: "every version has the keys of its values, by which searches find it", violations: Some(versions.without_keys) },
    ];
    let newest = tx.row(SELECT_NEWEST_SEQ, &[]).await?.try_get::<_, i64>(0)?;
    let disorder = number(&tx.row(COUNT_DISORDER, &[&newest, &DISORDER_MAX_MS]).await?, 0)?;
    checks.push(Check {
        holds: "no version is beyond the order of commits, or much older than the one before it",
        violations: Some(disorder),
    });
    for (holds, statement) in ALWAYS {
        checks.push(Check { holds, violations: Some(count(&tx, statement).await?) });
    }
    for (holds, statement) in AT_REST {
        let violations = if is_at_rest { Some(count(&tx, statement).await?) } else { None };
        checks.push(Check { holds, violations });
    }
    Ok(checks)
}

async fn count(tx: &Tx, statement: &str) -> Result<u64> {
    number(&tx.row(statement, &[]).await?, 0)
}

/// What only a look at each version tells.
#[derive(Default)]
struct Versions {
    unreadable: u64,
    /// Those whose keys are not those of their values.
    without_keys: u64,
}

async fn walk_versions(tx: &Tx) -> Result<Versions> {
    let mut versions = Versions::default();
    let mut after = (0_i64, 0_i16, 0_i64);
    loop {
        let rows = tx.rows(SELECT_VERSIONS, &[&after.0, &after.1, &after.2, &at_most(ROWS_AT_A_TIME)]).await?;
        for row in &rows {
            after = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let resource_type = row.try_get::<_, TypeColumn>(1)?.0;
            let values = row.try_get::<_, Option<IndexValuesColumn>>(3)?;
            let keys = values.map(|values| keys_of(AccountId(after.0), resource_type, &values.0));
            versions.without_keys += u64::from(row.try_get::<_, Option<Vec<i64>>>(5)? != keys);
            if let Some(stored) = row.try_get::<_, Option<&[u8]>>(4)? {
                // LZ4 has no checksum: what it gives must at least be the JSON that was put in.
                versions.unreadable += u64::from(!decode_body(stored).is_ok_and(|body| body.is_json()));
            }
        }
        if rows.len() < ROWS_AT_A_TIME {
            return Ok(versions);
        }
    }
}
