//! `cargo xtask test`.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::tidy;

/// Tidy first, because it takes no time; then the tests; then the examples in documentation, which cargo-nextest does not run.
///
/// # Errors
/// A rule is broken or a test fails.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    tidy::run(root)?;
    if has_nextest() {
        cargo(root, &["nextest", "run", "--workspace"], arguments)?;
        cargo(root, &["test", "--workspace", "--doc", "--quiet"], &[])
    } else {
        cargo(root, &["test", "--workspace"], arguments)
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
