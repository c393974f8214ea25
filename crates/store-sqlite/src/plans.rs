//! Held to by tests: no statement of a live server walks more of a table than it needs.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::{searches, stored_seqs};

/// Tables that grow with what is stored.
const LARGE: [&str; 5] = ["version", "resource", "reference", "provenance_target", "index_value"];

fn connection() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    crate::migrate::migrate(&mut connection).unwrap();
    stored_seqs::add_function(&connection).unwrap();
    searches::add_functions(&connection).unwrap();
    // A connection reads what the planner is to expect when it is opened; this one was open before.
    connection.execute_batch("analyze sqlite_schema").unwrap();
    connection
}

fn statements(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The plan of a statement, one step a line.
fn plan(connection: &Connection, path: &Path) -> Vec<String> {
    let sql = std::fs::read_to_string(path).unwrap();
    let mut statement =
        connection.prepare(&format!("explain query plan {sql}")).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Unbound: a plan depends on the statement alone.
    statement.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect()
}

#[test]
fn statements_search_large_tables_by_account_and_never_walk_them() {
    let connection = connection();
    let paths = [statements("resources"), statements("purge"), statements("bulk")].concat();
    assert!(paths.len() > 50, "the control: {} statements", paths.len());
    for path in paths {
        for step in plan(&connection, &path) {
            let is_large = |verb: &str| LARGE.iter().any(|table| step.starts_with(&format!("{verb} {table}")));
            assert!(!is_large("SCAN"), "{}: {step}", path.display());
            assert!(!is_large("SEARCH") || step.contains("(account_id=?"), "{}: {step}", path.display());
        }
    }
}

#[test]
fn a_preview_looks_versions_up_one_by_one_in_tables_of_which_nothing_is_known() {
    let connection = connection();
    let (hiding, looking): (Vec<PathBuf>, Vec<PathBuf>) =
        statements("preview").into_iter().partition(|path| path.to_string_lossy().contains("/hide_"));
    for path in &hiding {
        connection.execute_batch(&std::fs::read_to_string(path).unwrap()).unwrap();
    }
    assert!(hiding.len() > 2 && looking.len() > 5, "the control");
    // What asks for more than these tables have is of jobs alone.
    let is_of_previews = |path: &PathBuf| connection.prepare(&std::fs::read_to_string(path).unwrap()).is_ok();
    let shared: Vec<PathBuf> = statements("purge").into_iter().filter(is_of_previews).collect();
    assert!(shared.len() > 20 && looking.iter().all(is_of_previews), "the control: {}", shared.len());
    for path in [looking, shared].concat() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for step in plan(&connection, &path) {
            let is_large = |verb: &str| LARGE.iter().any(|table| step.starts_with(&format!("{verb} {table}")));
            assert!(!is_large("SCAN") && !step.contains("AUTOMATIC"), "{name}: {step}");
            assert!(!is_large("SEARCH") || step.contains("(account_id=?"), "{name}: {step}");
            let is_walk = step.starts_with("SEARCH version") && !step.contains("seq=?") && !step.contains("seq>? AND seq<?");
            assert!(!(name.starts_with("versions_of") && is_walk), "{name}: {step}");
        }
    }
}

#[test]
fn versions_on_a_list_are_looked_up_one_by_one() {
    let connection = connection();
    for name in ["listed_ids", "listed_targets_between", "companions_between", "clear_listed_between"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sql/purge/{name}.sql"));
        let steps = plan(&connection, &path);
        assert!(steps[0].contains("purge_listed") && steps[0].contains("role=? AND type_id=? AND seq>?"), "{name}: {steps:#?}");
        assert!(steps.iter().skip(1).all(|step| step.contains("seq=?")), "{name}: {steps:#?}");
    }
    for name in ["delete_earlier_versions", "delete_earlier_versions_of_listed", "delete_listed_versions"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sql/purge/{name}.sql"));
        let steps = plan(&connection, &path);
        assert!(steps[0].contains("account_id=? AND type_id=? AND seq=?"), "{name}: {steps:#?}");
        // A list is short and the type may be long: only the batch of targets itself is a range.
        let mut searches = steps.iter().filter(|step| step.starts_with("SEARCH version"));
        assert!(name == "delete_earlier_versions" || searches.all(|step| step.contains("seq=?")), "{name}: {steps:#?}");
    }
    for name in ["sweep_reference_orphans", "sweep_resource_orphans", "sweep_index_orphans", "clear_index_chunk"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sql/purge/{name}.sql"));
        let steps = plan(&connection, &path);
        assert!(steps[0].contains(">") && steps[0].contains("<"), "both ends of a chunk bound it: {name}: {steps:#?}");
    }
}
