//! How far the store knows the purge journal.

use lethe_store::JournalMark;

use crate::{columns::NumberColumn, error::Result, transaction::Tx};

const SET_MARK: &str = include_str!("../sql/recovery/set_mark.sql");

pub(crate) async fn set_mark(tx: &Tx, mark: JournalMark) -> Result<()> {
    tx.execute(SET_MARK, &[&NumberColumn(mark.record), &mark.hash.as_slice()]).await?;
    Ok(())
}
