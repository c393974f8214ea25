//! Which crate may depend on which. A new edge is a decision, with an ADR: it is made here first.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

/// A crate, and the crates of this workspace that it may depend on.
struct Edges {
    folder: &'static str,
    /// In the product.
    allowed: &'static [&'static str],
    /// In tests and examples only.
    allowed_in_tests: &'static [&'static str],
    layer: Layer,
}

#[derive(Clone, Copy, PartialEq)]
enum Layer {
    /// Vocabulary and decisions: no runtime, no database, no network, no clock, no randomness.
    Pure,
    /// Everything else.
    Acting,
}

const fn pure(folder: &'static str, allowed: &'static [&'static str]) -> Edges {
    Edges { folder, allowed, allowed_in_tests: &[], layer: Layer::Pure }
}

const fn acting(folder: &'static str, allowed: &'static [&'static str], allowed_in_tests: &'static [&'static str]) -> Edges {
    Edges { folder, allowed, allowed_in_tests, layer: Layer::Acting }
}

const VOCABULARY_AND_DECISIONS: &[&str] = &["fhir", "search", "jobs", "purge", "auth", "certificate"];

/// The table of ARCHITECTURE.md.
const TABLE: &[Edges] = &[
    pure("crates/fhir", &[]),
    pure("crates/search", &["fhir"]),
    pure("crates/jobs", &[]),
    pure("crates/purge", &["fhir"]),
    pure("crates/auth", &[]),
    pure("crates/certificate", &["fhir", "purge"]),
    pure("crates/search-sql", &["fhir", "search"]),
    acting("crates/store", VOCABULARY_AND_DECISIONS, &[]),
    acting(
        "crates/store-sqlite",
        &["fhir", "search", "search-sql", "jobs", "purge", "auth", "certificate", "store"],
        &["store-suite", "worker"],
    ),
    acting(
        "crates/store-postgres",
        &["fhir", "search", "search-sql", "jobs", "purge", "auth", "certificate", "store"],
        &["store-suite", "worker"],
    ),
    acting("crates/store-suite", &["fhir", "search", "jobs", "purge", "auth", "certificate", "store", "worker"], &[]),
    acting("crates/worker", &["jobs", "purge", "store"], &["fhir", "search", "auth", "certificate", "store-sqlite"]),
    acting("crates/http", &["fhir", "search", "jobs", "purge", "auth", "certificate", "store"], &["store-sqlite", "worker"]),
    acting(
        "crates/lethe",
        &["fhir", "search", "jobs", "purge", "auth", "certificate", "store", "store-sqlite", "store-postgres", "worker", "http"],
        &[],
    ),
    acting(
        "bench",
        &["fhir", "search", "jobs", "purge", "auth", "certificate", "store", "store-sqlite", "store-postgres", "worker", "http", "lethe"],
        &[],
    ),
    acting("xtask", &[], &[]),
];

/// What a pure crate must not have, by name or beginning of the name.
const IMPURE: &[&str] = &[
    "tokio",
    "rusqlite",
    "axum",
    "tower",
    "hyper",
    "reqwest",
    "postgres",
    "sqlx",
    "getrandom",
    "rand",
    "fastrand",
    "chrono",
    "time",
    "tracing",
    "log",
    "async-trait",
    "futures",
];

/// Code by which a pure crate would reach for the clock or for chance.
const IMPURE_CODE: &[&str] = &[
    "SystemTime::now",
    "Instant::now(",
    "Timestamp::now",
    "Zoned::now",
    "new_v4()",
    "now_v7()",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
];

/// Compares every `Cargo.toml` with the table.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for folder in folders_of_crates(root)? {
        let Some(edges) = TABLE.iter().find(|edges| edges.folder == folder) else {
            findings.push(format!("{folder}: a new crate is a decision: add it to the table in xtask/src/tidy/edges.rs, with an ADR"));
            continue;
        };
        let manifest = fs::read_to_string(root.join(&folder).join("Cargo.toml")).with_context(|| format!("{folder}/Cargo.toml"))?;
        findings.extend(check_manifest(edges, &manifest).with_context(|| format!("{folder}/Cargo.toml"))?);
        if edges.layer == Layer::Pure {
            findings.extend(check_code(root, &folder)?);
        }
    }
    Ok(findings)
}

fn folders_of_crates(root: &Path) -> Result<BTreeSet<String>> {
    let mut folders = BTreeSet::from(["bench".to_owned(), "xtask".to_owned()]);
    for entry in fs::read_dir(root.join("crates"))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            folders.insert(format!("crates/{}", entry.file_name().to_string_lossy()));
        }
    }
    Ok(folders)
}

fn check_manifest(edges: &Edges, manifest: &str) -> Result<Vec<String>> {
    let manifest: toml::Table = manifest.parse()?;
    let names = |section: &str| manifest.get(section).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
    let is_in =
        |list: &[&str], name: &str| name.strip_prefix("lethe-").or((name == "lethe").then_some(name)).is_none_or(|own| list.contains(&own));
    let mut findings = Vec::new();
    for name in names("dependencies").chain(names("build-dependencies")) {
        if !is_in(edges.allowed, name) {
            findings.push(format!("{}: must not depend on {name}", edges.folder));
        }
        if edges.layer == Layer::Pure && IMPURE.iter().any(|impure| name.starts_with(impure)) {
            findings.push(format!("{}: vocabulary and decisions do without {name}", edges.folder));
        }
    }
    for name in names("dev-dependencies") {
        if !is_in(edges.allowed, name) && !is_in(edges.allowed_in_tests, name) {
            findings.push(format!("{}: must not depend on {name}, not even in tests", edges.folder));
        }
    }
    Ok(findings)
}

fn check_code(root: &Path, folder: &str) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in super::files_below(&root.join(folder).join("src"), "rs")? {
        let text = fs::read_to_string(&path)?;
        for (number, line) in text.lines().enumerate() {
            if let Some(impure) = IMPURE_CODE.iter().find(|impure| line.contains(*impure)) {
                let place = super::shown(root, &path);
                findings.push(format!("{place}:{}: vocabulary and decisions do without '{impure}'", number + 1));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &str, manifest: &str) -> Vec<String> {
        let edges = TABLE.iter().find(|edges| edges.folder == folder).unwrap();
        check_manifest(edges, manifest).unwrap()
    }

    #[test]
    fn edges_outside_the_table_are_found() {
        assert_eq!(found("crates/http", "[dependencies]\nlethe-store.workspace = true\naxum = \"1\""), Vec::<String>::new(), "the control");
        let cases = [
            ("crates/http", "[dependencies]\nlethe-store-sqlite.workspace = true", "must not depend on lethe-store-sqlite"),
            ("crates/worker", "[dependencies]\nlethe-http.workspace = true", "must not depend on lethe-http"),
            ("crates/store", "[dev-dependencies]\nlethe.workspace = true", "not even in tests"),
            ("crates/purge", "[dependencies]\ntokio = \"1\"", "do without tokio"),
            ("crates/fhir", "[build-dependencies]\nrusqlite = \"1\"", "do without rusqlite"),
        ];
        for (folder, manifest, expected) in cases {
            let findings = found(folder, manifest);
            assert!(findings.len() == 1 && findings[0].contains(expected), "{folder}: {findings:?}");
        }
        assert_eq!(found("crates/http", "[dev-dependencies]\nlethe-store-sqlite.workspace = true"), Vec::<String>::new());
    }
}
