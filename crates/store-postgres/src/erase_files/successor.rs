//! Tables that are too large to be rewritten while calls wait: a successor is put in front, the rows move to it in small steps, the old table is dropped.
//!
//! Meanwhile the old table is a child of the new one (PostgreSQL's inheritance): each row is in exactly one of them, and every statement but an insert finds
//! it in either. Each step is one transaction, so that any view sees every row once, however old it is; the old table goes when nobody has a view that
//! is older than the last step. A run that dies leaves both, which serve as well as one, and the next run goes on. docs/adr/0039.

use std::time::{Duration, Instant};

use lethe_store::StoreError;
use tokio_postgres::error::SqlState;

use super::{
    EraseFilesError, LeftBecause, Tell,
    rewrite::{Attempt, REST_MIN, TRIES_MAX, try_for_itself},
    session::{Session, column},
    views,
};
use crate::error::store_error;

const SUCCESSOR: &str = include_str!("../../sql/erase_files/successor.sql");
const OLD_TABLE: &str = include_str!("../../sql/erase_files/old_table.sql");

/// Tables whose rows may lie in two places for a while: no statement inserts into them what may be there already; nothing refers to them, and no
/// number comes from them.
pub(super) const CAN_MOVE: [&str; 7] =
    ["lethe.version", "lethe.reference", "lethe.commit_order", "lethe.type_total", "lethe.token", "lethe.auth_code", "lethe.purge_digest"];

/// How long a step should take, in which nobody can change what is in the old table.
const STEP: Duration = Duration::from_millis(100);
/// Pages of the first step, and at most.
const FIRST_PAGES: u64 = 16;
const PAGES_MAX: u64 = 4_096;
/// Passes over the old table: rows that are changed while they wait for their turn may lie where the pass has been.
const PASSES_MAX: u32 = 5;
/// Nobody waits for the vacuum of the old table.
pub(super) const VACUUM_MAX: Duration = Duration::from_secs(24 * 3_600);

struct OldTable {
    name: String,
    pages: u64,
    /// The first column of its primary key.
    key: String,
}

async fn old_table(session: &Session, table: &str) -> Result<Option<OldTable>, StoreError> {
    let rows = session.rows(OLD_TABLE, &[&table]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let pages: i64 = column(row, 1)?;
    Ok(Some(OldTable { name: column(row, 0)?, pages: pages.unsigned_abs(), key: column(row, 2)? }))
}

/// Moves the rows of `table` into a new one of its name; the longest that others had to wait. `note` is the statement that notes its file.
pub(super) async fn replace(
    session: &Session,
    table: &str,
    note: &str,
    limits: (Duration, Duration),
    tell: Tell<'_>,
) -> Result<Attempt, EraseFilesError> {
    let wait_max = limits.0;
    let statements: Vec<String> =
        session.rows(SUCCESSOR, &[&table]).await?.iter().map(|row| column(row, 0)).collect::<Result<_, StoreError>>()?;
    let longest = match try_for_itself(session, wait_max, &format!("{}; {note}", statements.join("; "))).await? {
        Ok(locked) => locked,
        Err(because) => return Ok(Err(because)),
    };
    Ok(finish(session, table, limits, tell).await?.map(|locked| locked.max(longest)))
}

/// Goes on with what [`replace`] has begun, be it in another run.
pub(super) async fn finish(
    session: &Session,
    table: &str,
    (wait_max, others_max): (Duration, Duration),
    tell: Tell<'_>,
) -> Result<Attempt, EraseFilesError> {
    let mut longest = Duration::ZERO;
    for _ in 0..PASSES_MAX {
        let Some(old) = old_table(session, table).await? else { return Ok(Ok(longest)) };
        match pass(session, table, &old, wait_max, tell).await? {
            Ok(locked) => longest = longest.max(locked),
            Err(because) => return Ok(Err(because)),
        }
        // Who has a view from before the last step looks for rows in the old table; and the vacuum can then take everything out of its index.
        match views::wait_for_older(session, others_max, tell).await {
            Ok(()) => {}
            Err(EraseFilesError::OlderViews(_)) => return Ok(Err(LeftBecause::Seen)),
            Err(error) => return Err(error),
        }
        session.run_within(VACUUM_MAX, &format!("vacuum {}", old.name)).await.map_err(store_error)?;
        match try_for_itself(session, wait_max, &drop_if_empty(table, &old)).await? {
            Ok(locked) => longest = longest.max(locked),
            Err(because) => return Ok(Err(because)),
        }
    }
    Ok(if old_table(session, table).await?.is_none() { Ok(longest) } else { Err(LeftBecause::InUse) })
}

/// Moves what is in the old table at this time, in the order of its pages.
async fn pass(session: &Session, table: &str, old: &OldTable, wait_max: Duration, tell: Tell<'_>) -> Result<Attempt, StoreError> {
    let (mut from, mut pages, mut longest, mut tries, mut told) = (0, FIRST_PAGES, Duration::ZERO, 0, 0);
    while from < old.pages {
        let to = from + pages;
        let began = Instant::now();
        let done = session.run_within(wait_max, &step(table, old, from, to)).await;
        let took = began.elapsed();
        longest = longest.max(took);
        match done {
            Ok(()) => {
                (from, tries) = (to, 0);
                let fitting = pages as f64 * STEP.as_secs_f64() / took.as_secs_f64().max(0.001);
                pages = (fitting as u64).clamp(pages / 2, pages * 2).clamp(1, PAGES_MAX);
            }
            Err(error) => {
                tries += 1;
                match error.code() {
                    _ if tries >= TRIES_MAX => return Ok(Err(LeftBecause::InUse)),
                    Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED) => {}
                    Some(&SqlState::QUERY_CANCELED) if pages > 1 => pages /= 2,
                    Some(&SqlState::QUERY_CANCELED) => return Ok(Err(LeftBecause::TookTooLong)),
                    _ => return Err(store_error(error)),
                }
            }
        }
        let tenth = 10 * from.min(old.pages) / old.pages;
        if tenth > told {
            tell(&format!("{table}: {}0 % of it moved", tenth));
            told = tenth;
        }
        tokio::time::sleep(took.max(REST_MIN)).await;
    }
    Ok(Ok(longest))
}

/// One step. The lock lets readers through, and keeps everybody else from changing, or locking, a row that moves: he would not find it where it was.
fn step(table: &str, old: &OldTable, from: u64, to: u64) -> String {
    let old = &old.name;
    format!(
        "lock table only {old} in exclusive mode;
        with moved as (delete from only {old} where ctid >= '({from},0)' and ctid < '({to},0)' returning *)
        insert into {table} select * from moved"
    )
}

/// Looks under the lock whether a row is left, through the index, which the vacuum has emptied.
fn drop_if_empty(table: &str, OldTable { name, key, .. }: &OldTable) -> String {
    format!(
        "lock table {table} in access exclusive mode;
        do $$ begin
            perform set_config('enable_seqscan', 'off', true);
            perform {key} from only {name} order by {key} limit 1;
            if not found then
                drop table {name};
            end if;
        end $$"
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::SCHEMA;

    #[test]
    fn rows_of_tables_that_move_may_lie_in_two_places() {
        let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")).unwrap();
        let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()).map(|file| file.unwrap().path());
        let statements: Vec<(String, String)> =
            files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())).collect();
        for table in CAN_MOVE {
            let name = table.strip_prefix("lethe.").unwrap();
            let columns =
                SCHEMA.split_once(&format!("create table {name} (")).unwrap_or_else(|| panic!("{name}")).1.split_once("\n)").unwrap().0;
            assert!(columns.contains("primary key"), "{name} has rows that cannot be found without a look at its pages");
            assert!(!columns.contains("references") && !columns.contains("identity"), "{name}");
            assert!(!SCHEMA.contains(&format!("references {name} ")), "{name}");
            for (file, sql) in &statements {
                let inserts = sql.contains(&format!("insert into {name} ")) && sql.contains("on conflict");
                assert!(!inserts, "{file} does not see what is in the old {name}");
                assert!(!sql.contains("ctid"), "{file}: a ctid is of one table, and not of two");
            }
        }
        let has_conflict = |(_, sql): &(String, String)| sql.contains("on conflict");
        assert!(statements.iter().any(has_conflict) && statements.len() > 150, "the control");
    }
}
