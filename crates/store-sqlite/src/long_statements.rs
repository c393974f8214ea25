//! What is done while a statement runs: one that takes too long is given up, so that nobody can occupy a connection with a question; one of
//! a worker lets live calls have the processor in between.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

use lethe_store::StoreError;
use rusqlite::{Connection, ErrorCode};

use crate::error::{Error, Result};

/// Steps of SQLite's machine after which it calls: some tens of microseconds, short beside the time that a processor is lent for.
const STEPS: std::ffi::c_int = 500;
/// Calls that are one look at an [`attempt`]: some hundred microseconds. One in debug builds, so that tests meet an attempt that ends.
const CALLS_OF_LOOK: u32 = if cfg!(debug_assertions) { 1 } else { 20 };

thread_local! {
    /// When what this thread's connection does is to be given up.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// How many more calls an [`attempt`] may take.
    static CALLS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    /// Whether what this thread's connection does can wait.
    static IS_GENTLE: Cell<bool> = const { Cell::new(false) };
}

/// Lets the statements of a connection be given up, and give way. A connection is used by one thread alone.
pub(crate) fn watch(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.progress_handler(STEPS, Some(look_up))
}

/// Whether the statement is to be given up.
fn look_up() -> bool {
    if IS_GENTLE.get() {
        // Costs next to nothing if nobody waits for this processor. Otherwise whoever does would wait until its time is up: some milliseconds.
        thread::yield_now();
    }
    is_spent() || is_late()
}

fn is_late() -> bool {
    DEADLINE.get().is_some_and(|deadline| Instant::now() >= deadline)
}

fn is_spent() -> bool {
    CALLS_LEFT.get().is_some_and(|left| {
        CALLS_LEFT.set(Some(left.saturating_sub(1)));
        left == 0
    })
}

/// Ends the attempt, however its work ends.
struct Attempt;

impl Drop for Attempt {
    fn drop(&mut self) {
        CALLS_LEFT.set(None);
    }
}

/// Runs `work`, which only reads; `None` if a statement of it goes on after so many looks at it, each after some steps.
pub(crate) fn attempt<T>(looks: u32, work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    CALLS_LEFT.set(Some(looks.saturating_mul(CALLS_OF_LOOK)));
    let attempt = Attempt;
    let done = work();
    drop(attempt);
    match done {
        Err(Error::Sqlite(error)) if is_interrupted(&error) && !is_late() => Ok(None),
        done => done.map(Some),
    }
}

fn is_interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// Ends the giving way, however its work ends.
struct Gentle;

impl Drop for Gentle {
    fn drop(&mut self) {
        IS_GENTLE.set(false);
    }
}

/// Runs `work` of a worker, whose statements let others have the processor.
pub(crate) fn gently<T>(work: impl FnOnce() -> T) -> T {
    IS_GENTLE.set(true);
    let _gentle = Gentle;
    work()
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
        Err(Error::Sqlite(error)) if is_interrupted(&error) => Err(StoreError::TooCostly(limit.as_secs()).into()),
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

    #[test]
    fn an_attempt_ends_after_its_steps_and_hides_no_other_error() {
        let mut connection = Connection::open_in_memory().unwrap();
        watch(&mut connection).unwrap();
        let endless = || Ok(connection.query_row(ENDLESS, [], |row| row.get::<_, i64>(0))?);
        let short = || Ok(connection.query_row("select 7", [], |row| row.get::<_, i64>(0))?);
        assert_eq!(attempt(3, endless).unwrap(), None);
        assert_eq!(attempt(0, short).unwrap(), Some(7));
        assert!(attempt(3, || Ok(connection.execute("select nothing", [])?)).is_err());
        let late = within(Duration::from_millis(5), || attempt(u32::MAX, endless)).unwrap_err();
        assert!(matches!(late, Error::Store(StoreError::TooCostly(0))), "{late}");
    }
}
