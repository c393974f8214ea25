//! PostgreSQL's errors in the words of the ports.

use deadpool_postgres::{PoolError, TimeoutType};
use lethe_store::{StoreError, WriteError};
use tokio_postgres::error::SqlState;

/// What a statement returned, for the ports.
pub(crate) fn store_error(error: tokio_postgres::Error) -> StoreError {
    if is_out_of_reach(&error) {
        StoreError::OutOfReach(Box::new(error))
    } else if is_busy(&error) || is_conflict(&error) {
        StoreError::Unavailable(Box::new(error))
    } else {
        StoreError::Failed(Box::new(error))
    }
}

/// Whether something else is in the way for now: what is asked again later may be done.
fn is_busy(error: &tokio_postgres::Error) -> bool {
    let waits = [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED, SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT];
    error.code().is_some_and(|code| waits.contains(code))
}

/// Whether the server is gone or going, or takes nobody in: what is asked again when that is over may be done.
fn is_out_of_reach(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        // A server that failed over may still be read-only: the next connection goes to its successor.
        Some(code) => {
            let waits = [
                SqlState::TOO_MANY_CONNECTIONS,
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
                SqlState::READ_ONLY_SQL_TRANSACTION,
            ];
            waits.contains(code) || code.code().starts_with("08")
        }
        // The server has said nothing: the connection is lost or was never made.
        None => error.is_closed() || std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>()),
    }
}

/// For somebody who opens the database: a server that answers and refuses (a password, a name) has to be told of, and is not waited for.
pub(crate) fn of_first_connection(error: StoreError) -> StoreError {
    match error {
        StoreError::OutOfReach(source) => match source.downcast::<tokio_postgres::Error>() {
            Ok(error) => store_error(*error),
            Err(source) => StoreError::OutOfReach(source),
        },
        other => other,
    }
}

/// Whether others were in the way and all of the transaction may be run again.
fn is_conflict(error: &tokio_postgres::Error) -> bool {
    let ended = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| ended.contains(code)) || is_first_of_lane(error)
}

/// Whether two, who have the same lane, were the first to write to it. The shards of a spread table have its name with a number.
fn is_first_of_lane(error: &tokio_postgres::Error) -> bool {
    let is_of_totals = |table: &str| table.starts_with("type_total");
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
        && error.as_db_error().and_then(tokio_postgres::error::DbError::table).is_some_and(is_of_totals)
}

/// Lets the work on a connection use `?` on every kind of error.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// An error of the work on a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What a write was refused for.
    #[error(transparent)]
    Write(WriteError),
    /// Others have changed since what a write looked at.
    #[error("others were writing the same at the same time")]
    LostRace,
}

impl Error {
    /// Whether others were in the way and all of the transaction may be run again.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Postgres(error) if is_conflict(error))
    }

    /// Whether others have kept a lock for longer than the session waits.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
    }

    /// Whether others, who write to the same account at the same time, have done what this write wanted to.
    pub(crate) fn is_lost_race(&self) -> bool {
        match self {
            Self::LostRace => true,
            Self::Postgres(error) => error.code() == Some(&SqlState::UNIQUE_VIOLATION),
            _ => false,
        }
    }

    /// Whether the server has given the statement up, because it took too long or because somebody asked.
    pub(crate) fn is_canceled(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(&SqlState::QUERY_CANCELED))
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Postgres(error) => store_error(error),
            // No connection was free in time.
            Error::Pool(error @ PoolError::Timeout(TimeoutType::Wait)) => Self::Unavailable(Box::new(error)),
            // None could be made, whatever the server says: it may let nobody in for a while.
            Error::Pool(PoolError::Backend(error)) => Self::OutOfReach(Box::new(error)),
            Error::Pool(error) => Self::OutOfReach(Box::new(error)),
            Error::Store(error) => error,
            Error::Write(WriteError::Store(error)) => error,
            Error::Write(refused) => Self::Failed(Box::new(refused)),
            // Whoever loses a race writes alone next, and is in nobody's way then.
            Error::LostRace => Self::NotUnderstood("a version has been replaced, and by none: lethe check tells more".to_owned()),
        }
    }
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        match error {
            Error::Write(refused) => refused,
            other => Self::Store(other.into()),
        }
    }
}
