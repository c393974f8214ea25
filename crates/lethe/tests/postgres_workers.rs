//! Several real processes at one purge on PostgreSQL: its batches are shared, a cancel reaches all, and none needs another.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::{collections::BTreeSet, time::Instant};

use reqwest::Method;
use support::{
    DEADLINE, Running,
    recorder::Recorder,
    scene::{Api, Scene},
};

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_one_job_are_run_by_all_processes_at_the_same_time() {
    let scene = Scene::new().await;
    scene.fill(&scene.purged.0, 1, 40);
    scene.fill(&scene.bystander.0, 2, 3);
    let recorder = Recorder::install(scene.database.client().await, 20).await;
    // Whoever is the first to find the job cuts its batches.
    let options = ["--workers", "1", "--batch-resources", "300"];
    let (mut running, server) = scene.database.serve_as("server", &scene.workplace, &options);
    let mut workers = ["first", "second"].map(|name| scene.database.work_as(name, &scene.workplace, &options));
    let (api, other) = (Api::new(&server, &scene.purged.1), Api::new(&server, &scene.bystander.1));
    let (stored, before) = (api.count("Observation").await, other.count("Observation").await);
    assert!(stored > 0 && before > 0, "the control");

    recorder.close_gate().await;
    let address = api.kick_off().await;
    recorder.until_at_gate(&["first", "second", "server"]).await;
    recorder.open_gate().await;
    let job = api.ended(&address).await;
    assert!(job["status"] == "successful" && job["deletedCount"] == job["resourceCount"], "{job}");
    let runs = recorder.runs().await;
    let by: BTreeSet<&str> = runs.iter().map(|(who, ..)| who.as_str()).collect();
    assert_eq!(by, ["first", "second", "server"].into(), "{runs:?}");
    let overlap = |one: &(String, i64, i64), two: &(String, i64, i64)| one.0 != two.0 && one.1 < two.2 && two.1 < one.2;
    assert!(runs.iter().any(|one| runs.iter().any(|two| overlap(one, two))), "no two at the same time: {runs:?}");
    assert_eq!(runs.len() as u64, job["totalBatches"].as_u64().unwrap(), "each was counted once: {job}");
    assert_eq!((api.count("Observation").await, other.count("Observation").await), (0, before));
    for worker in &mut workers {
        worker.signal("TERM");
        assert_eq!(worker.wait(), Some(0));
    }
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    scene.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_all_processes_and_none_claims_another_batch() {
    let scene = Scene::new().await;
    scene.fill(&scene.purged.0, 1, 40);
    let recorder = Recorder::install(scene.database.client().await, 20).await;
    let options = ["--workers", "2", "--batch-resources", "100"];
    let (_running, server) = scene.database.serve_as("server", &scene.workplace, &options);
    let _workers = ["first", "second"].map(|name| scene.database.work_as(name, &scene.workplace, &options));
    let api = Api::new(&server, &scene.purged.1);
    recorder.close_gate().await;
    let address = api.kick_off().await;
    recorder.until_at_gate(&["first", "second", "server"]).await;
    // All are in the middle of a batch when it comes, and ask for the next one afterwards.
    let let_on = async {
        recorder.until(|noted| noted.iter().any(|noted| noted.what.starts_with("canceling"))).await;
        recorder.open_gate().await;
    };
    let (mut answer, ()) = tokio::join!(api.call(Method::DELETE, &address, None), let_on);
    let job = answer["job"].take();
    assert_eq!(job["status"], "canceled", "{job}");
    let noted = recorder.noted().await;
    let canceled = noted.iter().find(|noted| noted.what.starts_with("canceling")).unwrap().at_ms;
    let late: Vec<_> = noted.iter().filter(|noted| noted.at_ms > canceled && noted.what == "claim").collect();
    assert!(late.is_empty(), "{late:?}");
    let by: BTreeSet<_> = noted.iter().filter(|noted| noted.what == "done").map(|noted| noted.who.as_str()).collect();
    assert_eq!(by, ["first", "second", "server"].into(), "what has begun ends: {noted:?}");
    let (done, total) = (job["completedBatches"].as_u64().unwrap(), job["totalBatches"].as_u64().unwrap());
    assert!(done < total, "the control: {job}");
    assert_eq!(recorder.done().await as u64, done);
    assert_eq!(api.get(&address).await["job"], job, "nothing comes after it");
    scene.assert_sound();
}

#[test]
fn a_worker_wants_a_database_and_its_keys() {
    let workplace = support::Workplace::new();
    let refused = workplace.run(&["worker", "--data", "./lethe-data"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("lethe serve runs the jobs of an embedded store"), "{refused:?}");
    let help = workplace.run(&["worker", "--help"]);
    assert!(help.code == Some(0) && help.stdout.contains("--database-url") && help.stdout.contains("--workers"), "{help:?}");
}

/// How a process comes to be silent.
#[derive(Clone, Copy, PartialEq)]
enum Signal {
    Kill,
    Stop,
}

/// A purge that "first" has and "second" shares. One of them gets a signal in the middle of a batch; the other has to do all that is left.
struct Shared {
    scene: Scene,
    recorder: Recorder,
    first: Running,
    second: Running,
    address: String,
    server: String,
}

impl Shared {
    async fn new() -> Self {
        let scene = Scene::new().await;
        scene.fill(&scene.purged.0, 1, 20);
        // Slow until the second is there, however long it takes to start.
        let recorder = Recorder::install(scene.database.client().await, 400).await;
        let options = ["--workers", "1", "--batch-resources", "40", "--lease-seconds", "2"];
        let (first, server) = scene.database.serve_as("first", &scene.workplace, &options);
        let address = Api::new(&server, &scene.purged.1).kick_off().await;
        let second = scene.database.work_as("second", &scene.workplace, &options);
        let shared = Self { scene, recorder, first, second, address, server };
        shared.recorder.until(|noted| noted.iter().any(|noted| noted.who == "second" && noted.what == "done")).await;
        shared.recorder.set_slowness(60).await;
        assert!(shared.left().await > 15, "the control: {} batches are left", shared.left().await);
        shared
    }

    async fn left(&self) -> i64 {
        self.scene.number("select count(*) from purge_batch where state in ('pending', 'running')").await
    }

    /// The job as the database has it once it has ended, without anybody who serves it.
    async fn assert_ends_whole(&self) {
        let noted = self.recorder.until(|noted| noted.iter().any(|noted| noted.what.starts_with("successful "))).await;
        let done: Vec<_> = noted.iter().filter(|noted| noted.what == "done").filter_map(|noted| noted.batch).collect();
        let total = self.scene.number("select count(*) from purge_batch").await;
        assert_eq!((done.len() as i64, done.iter().collect::<BTreeSet<_>>().len() as i64), (total, total), "each was counted once");
        assert!(noted.iter().all(|noted| noted.what != "failed"), "{noted:?}");
        let sums = "select sum(planned - deleted)::bigint + sum(spared)::bigint + count(cause) from purge_batch";
        assert_eq!(self.scene.number(sums).await, 0);
        let account = &self.scene.purged.0;
        assert_eq!(self.scene.number(&format!("select count(*) from version where account_id = {account}")).await, 0);
        self.scene.assert_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_had_the_job_wakes_while_another_works_at_it_and_changes_nothing_of_it() {
    let mut shared = Shared::new().await;
    // What is left has to last until it wakes.
    shared.recorder.set_slowness(400).await;
    shared.first.signal("STOP");
    let noted = shared.recorder.until(|noted| noted.iter().any(|noted| noted.who == "second" && noted.batch.is_none())).await;
    let taken_over = noted.iter().find(|noted| noted.who == "second" && noted.batch.is_none()).unwrap().at_ms;
    shared.recorder.until(|noted| noted.iter().filter(|noted| noted.what == "done" && noted.at_ms > taken_over).count() > 2).await;
    assert!(shared.left().await > 5, "the control: it wakes while batches are left");
    shared.first.signal("CONT");
    shared.first.line_with("a purge job is left to the next worker");
    shared.recorder.set_slowness(0).await;
    shared.assert_ends_whole().await;
    // From then on it runs batches of the other's job, as anybody may; the job itself it leaves alone.
    let noted = shared.recorder.noted().await;
    let late: Vec<_> = noted.iter().filter(|noted| noted.at_ms > taken_over && noted.who == "first" && noted.batch.is_none()).collect();
    assert!(late.is_empty(), "{late:?}");
    let api = Api::new(&shared.server, &shared.scene.purged.1);
    assert_eq!(api.get(&shared.address).await["job"]["status"], "successful");
    for process in [&mut shared.first, &mut shared.second] {
        process.signal("TERM");
        assert_eq!(process.wait(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_worker_that_is_killed_or_stopped_is_run_by_another() {
    for signal in [Signal::Kill, Signal::Stop] {
        let mut shared = Shared::new().await;
        shared.recorder.close_gate().await;
        shared.recorder.until_at_gate(&["second"]).await;
        shared.second.signal(if signal == Signal::Kill { "KILL" } else { "STOP" });
        let cut = shared.scene.number("select count(*) from purge_batch where state = 'running' and is_shared").await;
        assert_eq!(cut, 1, "the control");
        shared.recorder.open_gate().await;
        if signal == Signal::Stop {
            // It wakes when its batch is another's by now.
            let again = "select count(*) from purge_batch where attempts > 1";
            let began = Instant::now();
            while shared.scene.number(again).await == 0 {
                assert!(began.elapsed() < DEADLINE, "nobody took it over");
            }
            shared.second.signal("CONT");
        }
        shared.assert_ends_whole().await;
        assert_eq!(shared.scene.number("select max(attempts)::bigint from purge_batch").await, 2, "its batch was run again");
        shared.first.signal("TERM");
        assert_eq!(shared.first.wait(), Some(0));
    }
}
