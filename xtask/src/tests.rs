//! `cargo xtask test`.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::tidy;

/// Tidy first, because it takes no time; then the examples in documentation, which cargo-nextest does not run; then the tests, so that
/// their sum is the last thing to be read.
///
/// # Errors
/// A rule is broken or a test fails.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    tidy::run(root)?;
    cargo(root, &["test", "--workspace", "--doc", "--quiet"], &[])?;
    if has_nextest() {
        cargo(root, &["nextest", "run", "--workspace"], arguments)
    } else {
        cargo(root, &["test", "--workspace", "--lib", "--bins", "--tests"], arguments)
    }
}

fn has_nextest() -> bool {
    let asked = Command::new(env!("CARGO")).args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn cargo(root: &Path, command: &[&str], arguments: &[String]) -> Result<()> {
    eprintln!("$ cargo {} {}", command.join(" "), arguments.join(" "));
    let status = Command::new(env!("CARGO")).args(command).args(arguments).current_dir(root).status().context("cargo cannot be run")?;
    if !status.success() {
        bail!("cargo {} failed ({status})", command.join(" "));
    }
    Ok(())
}
