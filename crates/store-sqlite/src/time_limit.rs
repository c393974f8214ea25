//! A statement that takes too long is given up, so that nobody can occupy a connection with a question.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use lethe_store::StoreError;
use rusqlite::{Connection, ErrorCode};

use crate::error::{Error, Result};

/// Steps of SQLite's machine between two looks at the time: some ten microseconds.
const STEPS: std::ffi::c_int = 10_000;

thread_local! {
    /// When what this thread's connection does is to be given up.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Lets the statements of a connection be given up. A connection is used by one thread alone.
pub(crate) fn watch(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.progress_handler(STEPS, Some(|| DEADLINE.get().is_some_and(|deadline| Instant::now() >= deadline)))
}

/// Ends the limit, however its work ends.
struct Limited;

impl Drop for Limited {
    fn drop(&mut self) {
        DEADLINE.set(None);
    }
}

/// Runs `work`, whose statements are given up after `limit` with [`StoreError::TooCostly`].
pub(crate) fn within<T>(limit: Duration, work: impl FnOnce() -> Result<T>) -> Result<T> {
    DEADLINE.set(Some(Instant::now() + limit));
    let limited = Limited;
    let done = work();
    drop(limited);
    match done {
        Err(Error::Sqlite(error)) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Err(StoreError::TooCostly(limit.as_secs()).into())
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: &str = "with recursive numbers (n) as (select 1 union all select n + 1 from numbers) select count(*) from numbers";

    #[test]
    fn an_endless_statement_is_given_up_and_the_connection_serves_on() {
        let mut connection = Connection::open_in_memory().unwrap();
        watch(&mut connection).unwrap();
        let endless = || Ok(connection.query_row(ENDLESS, [], |row| row.get::<_, i64>(0))?);
        let given_up = within(Duration::from_millis(5), endless).unwrap_err();
        assert!(matches!(given_up, Error::Store(StoreError::TooCostly(0))), "{given_up}");
        assert_eq!(connection.query_row("select 7", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
    }
}
