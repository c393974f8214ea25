//! Every table into new files, without its dead rows: VACUUM FULL, table by table, as long as a call may wait; what would take longer, step by step
//! (`successor.rs`).
//!
//! What was done is told by the tables themselves. Before a table is rewritten, a comment on it notes its file and which purges had ended; if it has
//! another file later and no purge has ended since, it has been rewritten, by whomever.

use std::time::{Duration, Instant};

use lethe_store::StoreError;
use tokio_postgres::error::SqlState;

use super::{
    EraseFilesError, ErasePatience, LeftBecause, LeftTable, RewrittenTable, Tell,
    session::{Session, column},
    successor::{self, VACUUM_MAX},
};
use crate::error::store_error;

const TABLES: &str = include_str!("../../sql/erase_files/tables.sql");

/// Bytes that are rewritten in a second, cautiously: half of what two busy cores did, indexes included.
const BYTES_PER_SECOND: u64 = 16 << 20;
/// Tries to get a table for itself while others use it.
pub(super) const TRIES_MAX: u32 = 20;
/// Rest, at least, after somebody had to wait: those go first, so that no call waits for two tables in a row.
pub(super) const REST_MIN: Duration = Duration::from_millis(10);

#[derive(Default)]
pub(super) struct Tables {
    pub rewritten: Vec<RewrittenTable>,
    pub rewritten_before: u64,
    pub left: Vec<LeftTable>,
}

struct Table {
    /// Quoted where it has to be.
    name: String,
    file: i64,
    bytes: u64,
    comment: Option<String>,
    /// The table that it is to replace is still there.
    has_old: bool,
}

/// How long others had to wait for a table, or why it was left.
pub(super) type Attempt = Result<Duration, LeftBecause>;

/// Rewrites all that has not been since the purges of `stamp` ended.
pub(super) async fn rewrite_tables(
    session: &Session,
    patience: ErasePatience,
    stamp: &str,
    tell: Tell<'_>,
) -> Result<Tables, EraseFilesError> {
    let mut tables = Tables::default();
    let all_tables = all(session).await?;
    let count = all_tables.len();
    for (index, table) in all_tables.into_iter().enumerate() {
        tell(&format!("table {} of {count}: {}, {} MiB", index + 1, table.name, table.bytes >> 20));
        let (name, bytes_before) = (table.name.clone(), table.bytes);
        match rewrite(session, table, patience, stamp, tell).await? {
            None => tables.rewritten_before += 1,
            Some(Ok(locked)) => {
                let bytes_after = of_name(session, &name).await?.map_or(0, |after| after.bytes);
                tracing::info!(table = name, bytes_before, bytes_after, ?locked, "rewrote a table");
                tables.rewritten.push(RewrittenTable { table: name, bytes_before, bytes_after, locked });
            }
            Some(Err(because)) => tables.left.push(LeftTable { table: name, bytes: bytes_before, because }),
        }
    }
    Ok(tables)
}

async fn all(session: &Session) -> Result<Vec<Table>, StoreError> {
    let read = |row: &tokio_postgres::Row| {
        let bytes: i64 = column(row, 2)?;
        Ok(Table {
            name: column(row, 0)?,
            file: column(row, 1)?,
            bytes: bytes.unsigned_abs(),
            comment: column(row, 3)?,
            has_old: column(row, 4)?,
        })
    };
    session.rows(TABLES, &[]).await?.iter().map(read).collect()
}

async fn of_name(session: &Session, name: &str) -> Result<Option<Table>, StoreError> {
    Ok(all(session).await?.into_iter().find(|table| table.name == name))
}

/// `None` if it has been since the purges of `stamp` ended.
async fn rewrite(
    session: &Session,
    mut table: Table,
    patience: ErasePatience,
    stamp: &str,
    tell: Tell<'_>,
) -> Result<Option<Attempt>, EraseFilesError> {
    let limits = (patience.wait_max, patience.others_max);
    if table.has_old {
        // An earlier run has begun with it. Whether that was for these purges, its note says.
        let finished = successor::finish(session, &table.name, limits, tell).await?;
        if finished.is_err() || noted_file(table.comment.as_deref(), stamp).is_some() {
            return Ok(Some(finished));
        }
        let Some(now) = of_name(session, &table.name).await? else { return Ok(None) };
        table = now;
    }
    let noted = noted_file(table.comment.as_deref(), stamp);
    if noted.is_some_and(|file| file != table.file) {
        return Ok(None);
    }
    let note = format!("comment on table {} is '{}'", table.name, comment(table.file, stamp));
    // Noted even if it is too large for now: then another's rewriting counts.
    if noted.is_none()
        && let Err(because) = try_for_itself(session, patience.wait_max, &note).await?
    {
        return Ok(Some(Err(because)));
    }
    if estimate(&table) > patience.wait_max {
        if successor::CAN_MOVE.contains(&table.name.as_str()) {
            return Ok(Some(successor::replace(session, &table.name, &note, limits, tell).await?));
        }
        // What is dead at its end goes without a wait, and that may be all of it.
        session.run_within(VACUUM_MAX, &format!("vacuum {}", table.name)).await.map_err(store_error)?;
        let vacuumed = of_name(session, &table.name).await?.unwrap_or(table);
        if estimate(&vacuumed) > patience.wait_max {
            return Ok(Some(Err(LeftBecause::TooLarge(estimate(&vacuumed)))));
        }
        table = vacuumed;
    }
    let done = try_for_itself(session, patience.wait_max, &format!("vacuum (full) {}", table.name)).await?;
    if let Ok(locked) = done {
        tokio::time::sleep(locked.max(REST_MIN)).await;
    }
    Ok(Some(done))
}

/// How long it may take to rewrite a table.
fn estimate(table: &Table) -> Duration {
    Duration::from_secs_f64(table.bytes as f64 / BYTES_PER_SECOND as f64)
}

/// Runs a statement that needs the table for itself, again and again while others have it.
pub(super) async fn try_for_itself(session: &Session, wait_max: Duration, sql: &str) -> Result<Attempt, StoreError> {
    for _ in 0..TRIES_MAX {
        let began = Instant::now();
        let done = session.run_within(wait_max, sql).await;
        let took = began.elapsed();
        match done {
            Ok(()) => return Ok(Ok(took)),
            Err(error) => match error.code() {
                Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED) => tokio::time::sleep(took.max(REST_MIN)).await,
                Some(&SqlState::QUERY_CANCELED) => return Ok(Err(LeftBecause::TookTooLong)),
                _ => return Err(store_error(error)),
            },
        }
    }
    Ok(Err(LeftBecause::InUse))
}

/// What is noted of a table.
fn comment(file: i64, stamp: &str) -> String {
    format!("erase-files: file {file} at {stamp}")
}

/// The file that was noted when the purges of `stamp` had ended.
fn noted_file(comment: Option<&str>, stamp: &str) -> Option<i64> {
    let (file, noted_stamp) = comment?.strip_prefix("erase-files: file ")?.split_once(" at ")?;
    (noted_stamp == stamp).then(|| file.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_counts_for_the_purges_it_was_made_after_and_for_no_others() {
        assert_eq!(noted_file(Some(&comment(16_400, "3/99")), "3/99"), Some(16_400), "the control");
        for (comment, stamp) in [
            (Some(comment(16_400, "3/99")), "4/120"),
            (Some(comment(16_400, "3/99")), "3/9"),
            (Some("somebody's comment".to_owned()), "3/99"),
            (Some("erase-files: file x at 3/99".to_owned()), "3/99"),
            (None, "3/99"),
        ] {
            assert_eq!(noted_file(comment.as_deref(), stamp), None, "{comment:?} {stamp}");
        }
    }
}
