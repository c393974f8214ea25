//! `cargo xtask tidy`: every rule of the house that a program can check. Each finding names the place and the rule.

mod edges;
mod rust_files;
mod sql;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Checks everything and prints all findings.
///
/// # Errors
/// At least one rule is broken.
pub fn run(root: &Path) -> Result<()> {
    let mut findings = edges::check(root)?;
    findings.extend(rust_files::check(root)?);
    findings.extend(sql::check(root)?);
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    eprintln!("tidy: all rules hold");
    Ok(())
}

/// Every file below `folder` whose name ends in `.extension`, in order of name; what is built is left out.
fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && name != "node_modules" && !name.starts_with('.') {
                files.extend(files_below(&path, extension)?);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The path as a reader of the repository writes it.
fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
