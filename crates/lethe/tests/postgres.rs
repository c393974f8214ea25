//! The real binary over PostgreSQL: one server, two of them, and one that is killed or stopped in the middle of a purge.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use reqwest::Method;
use serde_json::json;
use support::{
    database::Database,
    recorder::Recorder,
    scene::{Api, Scene},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_database_is_served_written_searched_purged_and_certified() {
    let scene = Scene::new().await;
    scene.fill(&scene.bystander.0, 2, 3);
    let (mut running, server) = scene.database.serve(&scene.workplace, &[]);
    let (api, other) = (Api::new(&server, &scene.purged.1), Api::new(&server, &scene.bystander.1));
    let before = other.count("Observation").await;
    assert!(before > 0, "the control");
    let patient = json!({"resourceType": "Patient", "id": "p", "name": [{"family": "Ash"}]});
    api.call(Method::PUT, "Patient/p", Some(patient)).await;
    assert_eq!(api.get("Patient?family=ash").await["total"], 1);

    let address = api.kick_off().await;
    let job = api.ended(&address).await;
    assert!(job["status"] == "successful" && job["deletedCount"] == 1, "{job}");
    assert_eq!(api.get("Patient?family=ash").await["total"], 0);
    assert_eq!(other.count("Observation").await, before);
    let certificate = api.get(&format!("{address}/certificate")).await;
    scene.workplace.write("certificate.json", certificate.to_string());
    let verified = scene.database.run(&scene.workplace, &["certificate", "verify", "certificate.json"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let proof = api.get(&format!("{address}/certificate/proof?resource=Patient/p")).await;
    scene.workplace.write("proof.json", proof.to_string());
    let proven = ["certificate", "verify", "certificate.json", "--proof", "proof.json", "--resource", "Patient/p"];
    let proven = scene.database.run(&scene.workplace, &proven);
    assert_eq!(proven.code, Some(0), "{proven:?}");
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    scene.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_ends_no_lease_of_another() {
    let scene = Scene::new().await;
    scene.fill(&scene.purged.0, 1, 3);
    let recorder = Recorder::install(scene.database.client().await, 0).await;
    let (mut first, server) = scene.database.serve_as("first", &scene.workplace, &[]);
    let api = Api::new(&server, &scene.purged.1);
    recorder.close_gate().await;
    let address = api.kick_off().await;
    recorder.until_at_gate(&["first"]).await;
    // Nobody renews the lease any more, and it lasts for minutes.
    first.signal("KILL");
    first.wait();
    let leases = "select count(*) from purge_job where state = 'running' and fence = 1 and lease_expires_on_ms is not null";
    assert_eq!(scene.number(leases).await, 1, "the control");
    let (_second, server) = scene.database.serve(&scene.workplace, &[]);
    assert_eq!(Api::new(&server, &scene.purged.1).get(&address).await["job"]["status"], "in progress");
    assert_eq!(scene.number(leases).await, 1);
}

/// Purges at the first of two servers, which gets `signal` in the middle of a batch; the second one takes the job over.
async fn taken_over(signal: &str) {
    let scene = Scene::new().await;
    scene.fill(&scene.bystander.0, 2, 3);
    scene.fill(&scene.purged.0, 1, 10);
    let recorder = Recorder::install(scene.database.client().await, 0).await;
    let lease = ["--lease-seconds", "2"];
    let ((mut first, first_url), (mut second, second_url)) =
        (scene.database.serve_as("first", &scene.workplace, &lease), scene.database.serve_as("second", &scene.workplace, &lease));
    let (api, other) = (Api::new(&second_url, &scene.purged.1), Api::new(&second_url, &scene.bystander.1));
    let stored = api.count("Observation").await;
    assert!(stored > 0, "the control");
    let bystander_before = other.count("Observation").await;
    // It looks for jobs all the time: the first one is to have this.
    second.signal("STOP");
    let at_first = Api::new(&first_url, &scene.purged.1);
    recorder.close_gate().await;
    let address = at_first.kick_off().await;
    recorder.until_at_gate(&["first"]).await;
    first.signal(signal);
    recorder.open_gate().await;
    second.signal("CONT");
    let late = json!({"resourceType": "Basic", "id": "late"});
    api.call(Method::PUT, "Basic/late", Some(late)).await;
    let job = api.ended(&address).await;
    assert_eq!(job["status"], "successful", "{job}");
    let certificate = api.get(&format!("{address}/certificate")).await;
    let sum = ["deletedCount", "sparedCount", "heldCount", "failedCount"].map(|count| job[count].as_u64().unwrap_or(0)).iter().sum::<u64>();
    assert_eq!(sum, job["resourceCount"].as_u64().unwrap(), "{job}");

    // Who was stopped goes on, and finds that the job is another's.
    if signal == "STOP" {
        first.signal("CONT");
        assert_eq!(Api::new(&first_url, &scene.purged.1).get(&address).await["job"], job);
        first.signal("TERM");
        assert_eq!(first.wait(), Some(0));
    } else {
        first.wait();
    }
    assert_eq!(api.get(&address).await["job"], job, "late writes change nothing");
    assert_eq!(api.get(&format!("{address}/certificate")).await, certificate);
    assert_eq!((api.count("Observation").await, api.count("Basic").await), (0, 1));
    assert_eq!(other.count("Observation").await, bystander_before);
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0));
    scene.assert_sound();
    assert!(scene.number("select max(fence) from purge_job").await > 1, "the control: it was taken over");
    assert_eq!(scene.number("select count(*) from purge_certificate").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_takes_over_from_one_that_is_killed() {
    taken_over("KILL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_takes_over_from_one_that_is_stopped_and_whose_late_writes_change_nothing() {
    taken_over("STOP").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_older_than_its_journal_is_not_served_until_younger_purges_are_applied() {
    let scene = Scene::new().await;
    let (mut running, server) = scene.database.serve(&scene.workplace, &[]);
    let api = Api::new(&server, &scene.purged.1);
    api.call(Method::PUT, "Patient/p", Some(json!({"resourceType": "Patient", "id": "p"}))).await;
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    let copy = Database::create().await;
    copy.become_copy_of(&scene.database).await;
    let (mut running, server) = scene.database.serve(&scene.workplace, &[]);
    let api = Api::new(&server, &scene.purged.1);
    let address = api.kick_off().await;
    assert_eq!(api.ended(&address).await["deletedCount"], 1);
    let reapply = ["restore", "--reapply"];
    let in_use = scene.database.run(&scene.workplace, &reapply);
    assert!(in_use.code == Some(1) && in_use.stderr.contains("stop all of its servers"), "{in_use:?}");
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));

    scene.database.become_copy_of(&copy).await;
    let refused = scene.database.run(&scene.workplace, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("older than its purge journal"), "{refused:?}");
    let applied = scene.database.said(&scene.workplace, &reapply);
    assert!(applied.contains("1 resources of the copy removed"), "{applied}");
    let (_running, server) = scene.database.serve(&scene.workplace, &[]);
    assert_eq!(Api::new(&server, &scene.purged.1).count("Patient").await, 0);
    scene.assert_sound();
}
