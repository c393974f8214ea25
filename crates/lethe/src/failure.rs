//! How a command fails: the exit status, and the one place where an error is printed.

use std::{error::Error, fmt, process::ExitCode};

use lethe_store::StoreError;

/// Exit status of a command that did not do what it was asked.
const FAILED: u8 = 1;
/// Exit status of a command that was asked for something that does not exist.
const WRONG_USAGE: u8 = 2;

/// What went wrong, with what to do next. The cause is attached as its source.
#[derive(Debug)]
pub(crate) struct Advice {
    what: String,
    next: String,
}

impl Advice {
    /// For `anyhow::Context`.
    pub(crate) fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into() }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Advice {}

/// The command line or the configuration asks for something that does not exist.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for UsageError {}

/// Prints the chain of causes once, each on its line, and then what to do next.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    let advised = error.downcast_ref::<Advice>().map(|advice| advice.next.as_str());
    if let Some(next) = advised.or_else(|| error.chain().find_map(|cause| cause.downcast_ref()).and_then(after_store_error)) {
        eprintln!("  next: {next}");
    }
    ExitCode::from(if error.is::<UsageError>() { WRONG_USAGE } else { FAILED })
}

/// What to do about a store that fails in the middle of whatever a command does.
fn after_store_error(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Unavailable(_) => Some("try again; something else keeps the database busy"),
        StoreError::OutOfReach(_) => Some("look whether PostgreSQL runs there, and try again"),
        StoreError::Failed(_) => Some("look whether the disk is full; if the files are damaged, restore the directory from a backup"),
        StoreError::Damaged { .. } => Some("restore the directory from a backup; lethe check says how much is damaged"),
        StoreError::NotUnderstood(_) => Some("use the version of lethe that wrote it, or a later one"),
        StoreError::TooCostly(_) | StoreError::LeaseLost => None,
    }
}
