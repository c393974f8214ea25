//! `cargo xtask test`.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    postgres::{DIRECTORY_VARIABLE, TestServer, URL_VARIABLE},
    tidy,
};

/// Names a server with Citus.
const CITUS_VARIABLE: &str = "LETHE_TEST_CITUS_URL";

/// Tidy first, because it takes no time; then the examples in documentation, which cargo-nextest does not run; then the tests, so that
/// their sum is the last thing to be read.
///
/// # Errors
/// A rule is broken or a test fails.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    tidy::run(root)?;
    cargo(root, &["test", "--workspace", "--doc", "--quiet"], &[])?;
    let server = TestServer::start()?;
    let command: &[&str] =
        if has_nextest() { &["nextest", "run", "--workspace"] } else { &["test", "--workspace", "--lib", "--bins", "--tests"] };
    cargo_on(Some(&server), root, command, arguments)?;
    on_citus(root, command)
}

/// The suite once more, on a server whose tables are spread by account, if there is one.
fn on_citus(root: &Path, command: &[&str]) -> Result<()> {
    let Some(server) = TestServer::named_by(CITUS_VARIABLE) else {
        eprintln!("skipped: the suite on Citus, because {CITUS_VARIABLE} names no server that has it in shared_preload_libraries");
        return Ok(());
    };
    let command: Vec<&str> = command.iter().copied().filter(|word| !word.starts_with("--")).collect();
    cargo_on(Some(&server), root, &command, &["-p", "lethe-store-postgres", "--test", "suite"].map(str::to_owned))
}

fn has_nextest() -> bool {
    let asked = Command::new(env!("CARGO")).args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn cargo(root: &Path, command: &[&str], arguments: &[String]) -> Result<()> {
    cargo_on(None, root, command, arguments)
}

fn cargo_on(server: Option<&TestServer>, root: &Path, command: &[&str], arguments: &[String]) -> Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(command).args(arguments).current_dir(root);
    let mut shown = format!("cargo {} {}", command.join(" "), arguments.join(" "));
    if let Some(server) = server {
        cargo.env(URL_VARIABLE, server.url());
        shown = format!("{URL_VARIABLE}={} {shown}", server.shown());
        if let Some(directory) = server.directory() {
            shown = format!("{DIRECTORY_VARIABLE}={} {shown}", directory.display());
            cargo.env(DIRECTORY_VARIABLE, directory);
        } else if env::var_os(DIRECTORY_VARIABLE).is_none() {
            eprintln!("{DIRECTORY_VARIABLE} is not set: the search of the server's files for bytes is skipped");
        }
    }
    eprintln!("$ {shown}");
    let status = cargo.status().context("cargo cannot be run")?;
    if !status.success() {
        bail!("cargo {} failed ({status})", command.join(" "));
    }
    Ok(())
}
