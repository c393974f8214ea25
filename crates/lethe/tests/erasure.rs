//! What is left on the disk after a purge: bytes, whatever the database says.

#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write;

use lethe::{
    byte_search::search_files,
    population::{GeneratedKind, Marker, Population},
};
use support::{Workplace, serve};

/// NDJSON of a population with markers in it; earlier versions included, deletions left out.
fn ndjson(markers: Vec<Marker>) -> String {
    Population::new(3, 40).planting(markers).fold(String::new(), |mut lines, change| {
        if let GeneratedKind::Put(json) = change.kind {
            writeln!(lines, "{json}").unwrap();
        }
        lines
    })
}

/// How many of the markers are found in the files of a directory, in whichever form.
fn found(workplace: &Workplace, directory: &str, markers: &[Marker]) -> usize {
    let needles: Vec<String> = markers.iter().flat_map(Marker::needles).collect();
    let hits = search_files(&workplace.path(directory), &needles).unwrap().needles;
    (0..markers.len()).filter(|index| hits.contains(&(index * 2)) || hits.contains(&(index * 2 + 1))).count()
}

#[test]
fn none_of_a_thousand_planted_strings_is_in_the_files_after_a_successful_purge() {
    let workplace = Workplace::new();
    let (client_id, _, purged) = workplace.add_user();
    let bystander = workplace.json(&["user", "add", "--client", &client_id, "bob", "--json"])["oneup_user_id"].to_string();
    let (planted, kept) = (Marker::series(1, 1_000), Marker::series(2, 100));
    workplace.write("purged.ndjson", ndjson(planted.clone()));
    workplace.write("bystander.ndjson", ndjson(kept.clone()));
    let (mut running, server) = serve(&workplace);
    workplace.json(&["import", "--user", &purged, "purged.ndjson", "--json"]);
    workplace.json(&["import", "--user", &bystander, "bystander.ndjson", "--json"]);
    let back_up = |directory: &str| {
        workplace.write(&format!("{directory}/.keep"), "");
        let done = workplace.run(&["backup", &format!("{directory}/copy.db")]);
        assert_eq!(done.code, Some(0), "{done:?}");
    };
    let both = |directory| (found(&workplace, directory, &planted), found(&workplace, directory, &kept));
    assert_eq!(both("lethe-data"), (1_000, 100), "the control");
    back_up("before");
    assert_eq!(both("before"), (1_000, 100), "the control");

    let token = workplace.run(&["user", "token", &purged]).stdout.trim().to_owned();
    let job = workplace.json(&["purge", "start", "--watch", "--yes", "--server", &server, "--token", &token, "--json"]);
    assert_eq!(job["job"]["status"], "successful", "{job}");
    assert_eq!(both("lethe-data"), (0, 100), "while the server runs");
    back_up("after");
    assert_eq!(both("after"), (0, 100), "a copy has no byte more than the store");

    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    assert_eq!(both("lethe-data"), (0, 100), "after it has stopped");
}
