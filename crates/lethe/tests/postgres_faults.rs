//! PostgreSQL goes away under the real binary, or takes nobody in: calls are told to ask again, and jobs wait.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use support::{
    cluster::Cluster,
    database::Database,
    recorder::Recorder,
    scene::{Api, Scene},
};

/// Longer than a step would be tried that fails for another reason: 0.2 + 0.4 + 0.8 + 1.6 s.
const OUTAGE: Duration = Duration::from_millis(3_500);

/// Waits until so many more batches have ended.
async fn batches_go_on(scene: &Scene, more: usize) {
    Recorder::by(scene.database.client().await).until_more_are_done(more).await;
}

/// Batches take no longer than they need.
async fn hurry(scene: &Scene) {
    Recorder::by(scene.database.client().await).set_slowness(0).await;
}

/// Every call is told when to ask again, for as long as the outage lasts.
async fn assert_told_to_ask_again(api: &Api<'_>, address: &str) {
    let (began, patient) = (Instant::now(), || Some(json!({"resourceType": "Patient", "id": "late"})));
    let mut told = 0;
    while began.elapsed() < OUTAGE {
        for (method, path, body) in
            [(Method::GET, "Patient?_count=1", None), (Method::PUT, "Patient/late", patient()), (Method::GET, address, None)]
        {
            let answer = api.send(method, path, body).await.unwrap();
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(answer.headers().contains_key(header::RETRY_AFTER), "{path}");
            assert_eq!(answer.json::<Value>().await.unwrap()["issue"][0]["code"], "transient", "{path}");
            told += 1;
        }
    }
    assert!(told > 3, "the control: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_wait_for_a_database_that_is_gone_and_calls_are_told_to_ask_again() {
    let Some(cluster) = Cluster::start().await else { return };
    let scene = Scene::over(Database::of(&cluster).await);
    scene.fill(&scene.purged.0, 1, 20);
    scene.fill(&scene.bystander.0, 2, 3);
    Recorder::install(scene.database.client().await, 200).await;
    // Whoever is the first to find the job cuts its batches; they have to last for all of this.
    let options = ["--workers", "2", "--batch-resources", "50"];
    let (mut running, server) = scene.database.serve_as("server", &scene.workplace, &options);
    let mut worker = scene.database.work_as("worker", &scene.workplace, &options);
    let (api, other) = (Api::new(&server, &scene.purged.1), Api::new(&server, &scene.bystander.1));
    let before = other.count("Observation").await;
    let address = api.kick_off().await;
    batches_go_on(&scene, 3).await;

    // It dies, and is back at once.
    cluster.kill();
    cluster.start_again();
    batches_go_on(&scene, 3).await;
    // It is stopped for a while.
    cluster.stop();
    assert_told_to_ask_again(&api, &address).await;
    cluster.start_again();
    batches_go_on(&scene, 3).await;
    // It runs, and takes nobody in.
    let owner = cluster.client().await;
    owner.batch_execute("alter database lethe allow_connections false").await.unwrap();
    owner.batch_execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'lethe'").await.unwrap();
    assert_told_to_ask_again(&api, &address).await;
    owner.batch_execute("alter database lethe allow_connections true").await.unwrap();
    hurry(&scene).await;

    let job = api.ended(&address).await;
    assert!(job["status"] == "successful" && job["deletedCount"] == job["resourceCount"], "{job}");
    assert!(job["failures"].as_array().unwrap().is_empty() && job["retryCount"] == 0, "{job}");
    let done = Recorder::by(scene.database.client().await).done().await;
    assert_eq!(done as u64, job["totalBatches"].as_u64().unwrap(), "each was counted once");
    let attempts = scene.number("select max(attempts) from purge_batch").await;
    assert!(attempts <= 2, "only who died with the database may have lost an attempt: {attempts}");
    assert_eq!((api.count("Observation").await, other.count("Observation").await), (0, before));
    for process in [&mut worker, &mut running] {
        process.signal("TERM");
        assert_eq!(process.wait(), Some(0));
    }
    scene.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_is_promoted_is_found_and_the_job_goes_on_there() {
    let Some(primary) = Cluster::start().await else { return };
    let standby = primary.standby().await;
    let scene = Scene::over(Database::of_pair(&primary, &standby).await);
    scene.fill(&scene.purged.0, 1, 10);
    scene.fill(&scene.bystander.0, 2, 3);
    Recorder::install(scene.database.client().await, 200).await;
    let options = ["--workers", "1", "--batch-resources", "50"];
    let (mut running, server) = scene.database.serve_as("server", &scene.workplace, &options);
    let mut worker = scene.database.work_as("worker", &scene.workplace, &options);
    let (api, other) = (Api::new(&server, &scene.purged.1), Api::new(&server, &scene.bystander.1));
    let before = other.count("Observation").await;
    let address = api.kick_off().await;
    batches_go_on(&scene, 3).await;
    let basic = |id: &str| json!({"resourceType": "Basic", "id": id, "language": "en"});
    api.call(Method::PUT, "Basic/before", Some(basic("before"))).await;
    primary.kill();

    // The standby answers, and takes no writes yet.
    assert_told_to_ask_again(&api, &address).await;
    standby.promote();
    batches_go_on(&scene, 3).await;
    hurry(&scene).await;
    api.call(Method::PUT, "Basic/after", Some(basic("after"))).await;

    let job = api.ended(&address).await;
    assert!(job["status"] == "successful" && job["deletedCount"] == job["resourceCount"], "{job}");
    assert!(job["failures"].as_array().unwrap().is_empty() && job["retryCount"] == 0, "{job}");
    let done = Recorder::by(scene.database.client().await).done().await;
    assert_eq!(done as u64, job["totalBatches"].as_u64().unwrap(), "each was counted once");
    let attempts = scene.number("select max(attempts) from purge_batch").await;
    assert!(attempts <= 2, "only who died with the primary may have lost an attempt: {attempts}");
    assert_eq!((api.count("Observation").await, other.count("Observation").await), (0, before));
    for id in ["before", "after"] {
        assert_eq!(api.get(&format!("Basic/{id}")).await["language"], "en", "what was acknowledged is there: {id}");
    }
    for process in [&mut worker, &mut running] {
        process.signal("TERM");
        assert_eq!(process.wait(), Some(0));
    }
    scene.assert_sound();
}
