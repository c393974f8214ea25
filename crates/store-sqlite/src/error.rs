//! SQLite's errors in the words of the ports.

use lethe_store::StoreError;
use rusqlite::ErrorCode;

/// What a statement returned, for the ports.
pub(crate) fn store_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unavailable(Box::new(error)),
        _ => StoreError::Failed(Box::new(error)),
    }
}

/// Lets closures use `?` on both kinds of error.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// An error inside a closure that runs on a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Sqlite(error) => store_error(error),
            Error::Store(error) => error,
        }
    }
}
