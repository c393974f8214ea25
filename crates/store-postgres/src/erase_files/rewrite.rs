//! Every table into new files, without its dead rows: VACUUM FULL, table by table, as long as a call may wait.
//!
//! What was done is told by the tables themselves. Before a table is rewritten, a comment on it notes its file and which purges had ended; if it has
//! another file later and no purge has ended since, it has been rewritten, by whomever.

use std::time::{Duration, Instant};

use lethe_store::StoreError;
use tokio_postgres::error::SqlState;

use super::{
    LeftBecause, LeftTable, RewrittenTable, Tell,
    session::{Session, column},
};
use crate::error::store_error;

const TABLES: &str = include_str!("../../sql/erase_files/tables.sql");

/// Bytes that are rewritten in a second, cautiously: half of what two busy cores did, indexes included.
const BYTES_PER_SECOND: u64 = 16 << 20;
/// Tries to get a table for itself while others use it.
const TRIES_MAX: u32 = 20;
/// Rest, at least, after somebody had to wait: those go first, so that no call waits for two tables in a row.
const REST_MIN: Duration = Duration::from_millis(10);

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
}

/// Rewrites all that has not been since the purges of `stamp` ended.
pub(super) async fn rewrite_tables(session: &Session, wait_max: Duration, stamp: &str, tell: Tell<'_>) -> Result<Tables, StoreError> {
    let mut tables = Tables::default();
    let all_tables = all(session).await?;
    let count = all_tables.len();
    for (index, table) in all_tables.into_iter().enumerate() {
        tell(&format!("table {} of {count}: {}, {} MiB", index + 1, table.name, table.bytes >> 20));
        match noted_file(table.comment.as_deref(), stamp) {
            Some(file) if file != table.file => tables.rewritten_before += 1,
            noted => match rewrite(session, &table, wait_max, noted.is_none().then_some(stamp)).await? {
                Ok(locked) => {
                    let after = all(session).await?.into_iter().find(|after| after.name == table.name);
                    let bytes_after = after.map_or(0, |after| after.bytes);
                    tracing::info!(table = table.name, bytes_before = table.bytes, bytes_after, ?locked, "rewrote a table");
                    tables.rewritten.push(RewrittenTable { table: table.name, bytes_before: table.bytes, bytes_after, locked });
                }
                Err(because) => tables.left.push(LeftTable { table: table.name, bytes: table.bytes, because }),
            },
        }
    }
    Ok(tables)
}

async fn all(session: &Session) -> Result<Vec<Table>, StoreError> {
    let read = |row: &tokio_postgres::Row| {
        let bytes: i64 = column(row, 2)?;
        Ok(Table { name: column(row, 0)?, file: column(row, 1)?, bytes: bytes.unsigned_abs(), comment: column(row, 3)? })
    };
    session.rows(TABLES, &[]).await?.iter().map(read).collect()
}

/// How long it had the table for itself, or why it was left.
async fn rewrite(
    session: &Session,
    table: &Table,
    wait_max: Duration,
    note: Option<&str>,
) -> Result<Result<Duration, LeftBecause>, StoreError> {
    let note = note.map(|stamp| format!("comment on table {} is '{}'", table.name, comment(table.file, stamp)));
    // Noted even if it is too large for now: then another's rewriting counts.
    if let Some(note) = note
        && let Err(error) = try_for_itself(session, wait_max, &note).await
    {
        return error.map(Err);
    }
    let estimate = Duration::from_secs_f64(table.bytes as f64 / BYTES_PER_SECOND as f64);
    if estimate > wait_max {
        return Ok(Err(LeftBecause::TooLarge(estimate)));
    }
    let done = try_for_itself(session, wait_max, &format!("vacuum (full) {}", table.name)).await;
    if let Ok(locked) = done {
        tokio::time::sleep(locked.max(REST_MIN)).await;
    }
    done.map_or_else(|because| because.map(Err), |locked| Ok(Ok(locked)))
}

/// Runs a statement that needs the table for itself, again and again while others have it.
async fn try_for_itself(session: &Session, wait_max: Duration, sql: &str) -> Result<Duration, Result<LeftBecause, StoreError>> {
    for _ in 0..TRIES_MAX {
        let began = Instant::now();
        let done = session.run_within(wait_max, sql).await;
        let took = began.elapsed();
        match done {
            Ok(()) => return Ok(took),
            Err(error) => match error.code() {
                Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED) => tokio::time::sleep(took.max(REST_MIN)).await,
                Some(&SqlState::QUERY_CANCELED) => return Err(Ok(LeftBecause::TookTooLong)),
                _ => return Err(Err(store_error(error))),
            },
        }
    }
    Err(Ok(LeftBecause::InUse))
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
