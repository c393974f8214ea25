//! `cargo xtask e2e`: the real server, driven from outside by the scripts of `e2e/`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// What `e2e/run` is written for: a Python of this age, with the part of it that makes virtual environments.
const PYTHON_SUFFICES: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";

/// Builds the server as tests do, unless `--binary` names one, and runs `e2e/run` with these arguments; without any it is the fast run.
///
/// # Errors
/// The server does not build, Python is missing, or `e2e/run` failed: what else is missing it says itself.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let script = root.join("e2e").join("run");
    let mut command = Command::new(python()?);
    command.arg(&script).args(arguments).current_dir(root).stdin(Stdio::null());
    if arguments.is_empty() {
        command.arg("--fast");
    }
    if !arguments.iter().any(|argument| argument.split('=').next() == Some("--binary")) {
        command.arg("--binary").arg(built(root)?);
    }
    let status = command.status().with_context(|| format!("{} cannot be run", script.display()))?;
    if !status.success() {
        bail!("e2e/run failed ({status})");
    }
    Ok(())
}

fn python() -> Result<&'static str> {
    let suffices = |name: &&str| {
        let asked = Command::new(name).args(["-c", PYTHON_SUFFICES]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    ["python3", "python"]
        .into_iter()
        .find(suffices)
        .context("Python 3.11 or later with its venv is missing: apt-get install python3 python3-venv, or see https://www.python.org")
}

/// The server, built.
fn built(root: &Path) -> Result<PathBuf> {
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).current_dir(root);
        command
    };
    eprintln!("$ cargo build --package lethe");
    if !cargo(&["build", "--package", "lethe"]).status().context("cargo cannot be run")?.success() {
        bail!("the server does not build");
    }
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]).stderr(Stdio::inherit()).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).context("cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(Path::new(target).join("debug").join(format!("lethe{}", std::env::consts::EXE_SUFFIX)))
}
