//! Those who may still see what was deleted: PostgreSQL carries such rows along into new files, so there must be none.

use std::time::{Duration, Instant};

use super::{
    EraseFilesError, Tell,
    session::{Session, column},
};

const TRANSACTION_NUMBER: &str = include_str!("../../sql/erase_files/transaction_number.sql");
const OLDER_VIEWS: &str = include_str!("../../sql/erase_files/older_views.sql");
/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Returns when whatever is deleted by now is seen by nobody. That stays so: later views are younger.
pub(super) async fn wait_for_older(session: &Session, wait_max: Duration, tell: Tell<'_>) -> Result<(), EraseFilesError> {
    let number: String = session.one(TRANSACTION_NUMBER).await?;
    let (began, mut told) = (Instant::now(), Vec::new());
    loop {
        let rows = session.rows(OLDER_VIEWS, &[&number]).await?;
        let older = rows.iter().map(|row| column(row, 0)).collect::<Result<Vec<String>, _>>()?;
        if older.is_empty() {
            return Ok(());
        }
        if began.elapsed() >= wait_max {
            return Err(EraseFilesError::OlderViews(older));
        }
        if older != told {
            tell(&format!("waiting for those who may still see what was deleted: {}", older.join("; ")));
            told = older;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
