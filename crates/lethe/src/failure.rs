//! How a command fails: the exit status, and the one place where an error is printed.

use std::{error::Error, fmt, process::ExitCode};

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
    if let Some(advice) = error.downcast_ref::<Advice>() {
        eprintln!("  next: {}", advice.next);
    }
    ExitCode::from(if error.is::<UsageError>() { WRONG_USAGE } else { FAILED })
}
