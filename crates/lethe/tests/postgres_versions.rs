//! Versions of lethe on one PostgreSQL: the same schema is shared, a later one refused, and one that is replaced by another loses nothing.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use reqwest::{Method, StatusCode};
use serde_json::json;
use support::{
    Running, Workplace,
    database::Database,
    recorder::Recorder,
    scene::{Api, Scene},
};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn many_that_migrate_at_once_make_one_schema_and_a_later_one_is_refused_by_all() {
    let (database, workplace) = (Database::create().await, Workplace::new());
    let mut starts: Vec<Running> = (0..6).map(|_| Running::start(database.lethe(&workplace, &["migrate"]))).collect();
    for start in &mut starts {
        let said = start.rest();
        assert_eq!(start.wait(), Some(0), "{said}");
    }
    let client = database.client().await;
    assert_eq!(client.query_one("select count(*) from store_identity", &[]).await.unwrap().get::<_, i64>(0), 1);
    client.batch_execute("comment on schema lethe is '99'").await.unwrap();
    for command in [&["serve", "--listen", "127.0.0.1:0"] as &[&str], &["worker"], &["migrate"], &["check"]] {
        let refused = database.run(&workplace, command);
        assert!(refused.code == Some(1) && refused.stderr.contains("has schema 99, this version of Lethe knows up to"), "{refused:?}");
    }
    client.batch_execute("comment on schema lethe is '1'").await.unwrap();
    database.said(&workplace, &["check"]);
}

/// What was written, and acknowledged.
#[derive(Default)]
struct Written {
    acknowledged: BTreeSet<String>,
    /// Whose answer was lost.
    unknown: usize,
}

/// Writes to one of the servers after the other until it is told to stop.
async fn write_on(servers: Arc<RwLock<Vec<String>>>, token: String, name: usize, stop: Arc<AtomicBool>) -> Written {
    let (mut written, mut number) = (Written::default(), 0);
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let id = format!("w{name}-{number}");
        let server = {
            let servers = servers.read().unwrap();
            servers[number % servers.len()].clone()
        };
        let basic = json!({"resourceType": "Basic", "id": id});
        match Api::new(&server, &token).send(Method::PUT, &format!("Basic/{id}"), Some(basic)).await {
            Ok(answer) if answer.status().is_success() => {
                written.acknowledged.insert(id);
            }
            Ok(answer) => assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE),
            // It has stopped, as anybody finds out by asking it.
            Err(_) => written.unknown += 1,
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_replaced_one_after_the_other_lose_no_write_and_no_job() {
    let scene = Scene::new().await;
    scene.fill(&scene.purged.0, 1, 20);
    let recorder = Recorder::install(scene.database.client().await, 400).await;
    let options = ["--workers", "1", "--batch-resources", "50"];
    let start = || scene.database.serve_as("server", &scene.workplace, &options);
    let mut running = vec![start(), start()];
    let servers = Arc::new(RwLock::new(running.iter().map(|(_, server)| server.clone()).collect::<Vec<_>>()));
    let stop = Arc::new(AtomicBool::new(false));
    let address = Api::new(&running[0].1, &scene.purged.1).kick_off().await;
    let mut writers = JoinSet::new();
    for (name, (_, token)) in [&scene.purged, &scene.bystander].into_iter().cycle().take(4).enumerate() {
        writers.spawn(write_on(Arc::clone(&servers), token.clone(), name, Arc::clone(&stop)));
    }

    for (place, (process, server)) in running.iter_mut().enumerate() {
        recorder.until_more_are_done(2).await;
        process.signal("TERM");
        assert_eq!(process.wait(), Some(0));
        (*process, *server) = start();
        servers.write().unwrap()[place] = server.clone();
        let status = Api::new(server, &scene.purged.1).get(&address).await;
        assert_eq!(status["job"]["status"], "in progress", "the control: {status}");
    }
    recorder.set_slowness(0).await;
    let job = Api::new(&running[1].1, &scene.purged.1).ended(&address).await;
    stop.store(true, Ordering::SeqCst);
    let (mut acknowledged, mut unknown) = (BTreeSet::new(), 0);
    while let Some(written) = writers.join_next().await {
        let mut written = written.unwrap();
        acknowledged.append(&mut written.acknowledged);
        unknown += written.unknown;
    }
    assert!(job["status"] == "successful" && job["deletedCount"] == job["resourceCount"], "{job}");
    assert_eq!(recorder.done().await as u64, job["totalBatches"].as_u64().unwrap(), "each was counted once");
    let code = i16::from("Basic".parse::<lethe_fhir::ResourceType>().unwrap().code());
    let rows = scene
        .database
        .client()
        .await
        .query("select convert_from(id, 'UTF8') from version where type_id = $1 and replaced_by_seq is null", &[&code])
        .await
        .unwrap();
    let stored: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty() && acknowledged.len() > 50, "{lost:?} of {}", acknowledged.len());
    assert!(stored.len() <= acknowledged.len() + unknown, "nothing is there that nobody wrote");
    for (running, _) in &mut running {
        running.signal("TERM");
        assert_eq!(running.wait(), Some(0));
    }
    scene.assert_sound();
}
