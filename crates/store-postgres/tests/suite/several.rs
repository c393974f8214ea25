//! Several processes on one database: who holds it, how far they know the journal, what one that is gone had left.

use std::{sync::Arc, time::Duration};

use lethe_jobs::JobState;
use lethe_store::{Clock, ImportStart, JournalMark, NewImport, PurgeWork, Recovery};
use lethe_store_postgres::{Held, OpenError, PostgresStore};
use lethe_store_suite::Harness;
use uuid::Uuid;

use super::Postgres;

const LEASE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_the_database_taken_when_it_comes_back_is_told_that_it_has_lost_it() {
    let harness = Harness::<Postgres>::open().await;
    let open = || PostgresStore::open_for_serving(&harness.backend.url, Arc::clone(&harness.clock) as Arc<dyn Clock>, LEASE);
    let (server, beside) = (open().await.unwrap(), open().await.unwrap());
    let mut held = server.held().unwrap();
    assert_eq!(*held.borrow(), Held::Shared { came_back: 0 });
    harness.backend.cut().await;
    held.changed().await.unwrap();
    assert_eq!(*held.borrow_and_update(), Held::Shared { came_back: 1 }, "nobody took it: the control");

    drop(beside);
    // As whoever wants it for himself, while the servers are cut off; the lock is that of `take_alone.sql`.
    let alone = harness.backend.client().await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    alone.batch_execute(&format!("select 1 from ({cut}) as cut; select pg_advisory_lock(5011841)")).await.unwrap();
    held.changed().await.unwrap();
    assert_eq!(*held.borrow(), Held::Lost);
    assert!(matches!(open().await, Err(OpenError::Served)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mark_of_the_journal_never_goes_back() {
    let harness = Harness::<Postgres>::open().await;
    let store = PostgresStore::open(&harness.backend.url, Arc::clone(&harness.clock) as Arc<dyn Clock>).await.unwrap();
    let mark = |record: u64| JournalMark { record, hash: [record as u8; 32] };
    for (told, known) in [(5, 5), (3, 5), (5, 5), (6, 6), (1, 6)] {
        store.set_mark(mark(told)).await.unwrap();
        assert_eq!(store.lineage().await.unwrap().mark, Some(mark(known)), "told of {told}");
    }
    // Nor by a purge that ends late.
    harness.kick_off(Default::default()).await;
    let lease = store.claim_purge().await.unwrap().unwrap().lease;
    store.forget_parts(&lease, Some(mark(2))).await.unwrap();
    assert_eq!(store.lineage().await.unwrap().mark, Some(mark(6)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_fails_when_nothing_is_heard_of_its_server_and_not_before() {
    let harness = Harness::<Postgres>::open().await;
    let (store, account_id) = (harness.store(), harness.account.account_id().unwrap());
    let import = || NewImport { job_id: Uuid::now_v7(), owner: harness.account.clone(), account_id, after_line: 0 };
    let first = import();
    let ImportStart::Started(lease, _) = store.start_import(&first).await.unwrap() else { panic!("none is in progress") };
    let state = async || store.import_job(&harness.account, first.job_id).await.unwrap().unwrap().state;
    harness.clock.advance_ms(290_000);
    store.remove_expired().await.unwrap();
    assert_eq!(state().await, JobState::Running, "its server may still be there");
    let batch = lethe_store::ImportBatch { last_line: 1, writes: Vec::new(), rejected: 1 };
    store.store_import_batch(&lease, batch).await.unwrap();
    harness.clock.advance_ms(290_000);
    store.remove_expired().await.unwrap();
    assert_eq!(state().await, JobState::Running, "it was heard of");
    harness.clock.advance_ms(20_000);
    store.remove_expired().await.unwrap();
    let job = store.import_job(&harness.account, first.job_id).await.unwrap().unwrap();
    assert!(job.state == JobState::Failed && job.failure.is_some() && job.last_line == 1, "{job:?}");
    assert!(matches!(store.start_import(&import()).await.unwrap(), ImportStart::Started(..)), "the account is free");
}
