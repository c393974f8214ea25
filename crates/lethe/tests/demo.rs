//! `lethe demo`, the whole of it.

mod support;

use support::{Done, Running, Workplace};

#[test]
fn the_demo_proves_its_purge_and_leaves_nothing_behind() {
    let workplace = Workplace::new();
    let done = Done::from(workplace.lethe(&["demo", "--patients", "4"]).env("TMPDIR", workplace.path("")).output().unwrap());
    assert_eq!(done.code, Some(0), "{done:?}");
    for expected in [
        "50 of 50 planted strings of alice's found, 50 of 50 of bob's",
        "\"status\": \"successful\"",
        "0 of 50 planted strings of alice's found, 50 of 50 of bob's",
        "it certifies what the job says",
        "is proven to be among the deleted, and Patient/never-stored is not",
        "Everything holds.",
    ] {
        assert!(done.stdout.contains(expected), "{expected}: {}", done.stdout);
    }
    assert!(!done.stdout.contains('\x1b'), "no colours when nobody watches");
    assert_eq!(std::fs::read_dir(workplace.path("")).unwrap().count(), 0, "the temporary store is gone");
}

#[test]
fn the_demo_stays_up_when_asked_and_stops_at_a_signal() {
    let workplace = Workplace::new();
    let mut command = workplace.lethe(&["demo", "--patients", "1", "--keep"]);
    command.env("TMPDIR", workplace.path(""));
    let mut running = Running::start(command);
    running.line_with("Everything holds.");
    running.line_with("curl -H 'Authorization: Bearer ");
    running.line_with("stays up");
    running.signal("INT");
    assert_eq!(running.wait(), Some(0));
    assert_eq!(std::fs::read_dir(workplace.path("")).unwrap().count(), 0, "the temporary store is gone");
}
