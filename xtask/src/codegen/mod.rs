//! `cargo xtask codegen`: tables that are made from HL7's own definitions and committed, so that a build needs neither these nor the network.

mod search;
mod structure;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Makes the table that the first argument names, from the packages that the others name.
///
/// # Errors
/// An argument is missing, or a definition is not as expected.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    match arguments.first().map(String::as_str) {
        Some("structure") => structure::run(root, &folder(arguments, "--package")?, &folder(arguments, "--expansions")?),
        Some("search") => search::run(root, &folder(arguments, "--package")?),
        other => bail!("codegen makes 'structure' and 'search', not '{}'", other.unwrap_or_default()),
    }
}

/// The unpacked package that the flag names.
fn folder(arguments: &[String], flag: &str) -> Result<PathBuf> {
    let value = arguments.iter().skip_while(|argument| *argument != flag).nth(1);
    value.map(PathBuf::from).with_context(|| format!("{flag} DIR is missing: an unpacked package of HL7"))
}

/// Every resource of a package whose file name begins with `prefix`, in order of name.
fn resources(package: &Path, prefix: &str) -> Result<Vec<Value>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(package).with_context(|| package.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(prefix) && name.ends_with(".json") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    };
    paths.into_iter().map(read).collect()
}
