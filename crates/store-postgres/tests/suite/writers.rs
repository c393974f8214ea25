//! Hundreds of writers beside repeated purges, held to a model: what has its place behind a watermark stays, or its time not before a date; everything
//! else goes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use lethe_fhir::{LocalBases, Resource};
use lethe_jobs::JobState;
use lethe_purge::Selection;
use lethe_store::{Clock, Expect, KickOff, PurgeJob, Store, Write};
use lethe_store_postgres::PostgresStore;
use lethe_store_suite::{Harness, TestClock};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};
use tokio_postgres::Client;

use super::{Postgres, is_spread};

const WRITERS: u64 = 200;
const WRITES_EACH: u64 = 20;
/// Some of which many write.
const SHARED_IDS: u64 = 10;

/// Notes what was written, and where, for as long as the test lasts; and lets some writes take their time between their place and their commit.
const NOTING: &str = "
create table public.written (id bytea not null, seq bigint not null, account_id bigint not null, at_ms bigint not null);
create function public.note_written() returns trigger language plpgsql as $$
begin
    insert into public.written values (new.id, new.seq, new.account_id, new.last_updated_ms);
    if new.seq % 7 = 0 then
        perform pg_sleep(0.01);
    end if;
    return null;
end $$;
create trigger note_written after insert on lethe.version for each row execute function public.note_written();
";

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Those that are on the wrong side of the watermark or the date, and how many had to go and to stay. Of what many write, only what is current is told
/// from the rest.
async fn on_the_wrong_side(client: &Client, account: i64, watermark: i64, before: i64) -> (Vec<(String, i64, bool)>, i64, i64) {
    let sides = "
        select convert_from(written.id, 'UTF8'), written.seq, version.seq is not null, written.seq > $2 or written.at_ms >= $3
        from (
            select distinct on (id, account_id) id, account_id, seq, at_ms from public.written order by id, account_id, seq desc
        ) as written
        left join version on version.account_id = written.account_id and version.seq = written.seq
        where written.account_id = $1";
    let rows = client.query(sides, &[&account, &watermark, &before]).await.unwrap();
    let rows: Vec<(String, i64, bool, bool)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let stay = rows.iter().filter(|row| row.3).count() as i64;
    let wrong = rows.iter().filter(|row| row.2 != row.3).map(|row| (row.0.clone(), row.1, row.2)).collect();
    (wrong, rows.len() as i64 - stay, stay)
}

/// A transaction that has its place already, and commits while somebody kicks off.
async fn begin_raw(client: &Client, account: i64, number: usize) {
    let basic = "Basic".parse::<lethe_fhir::ResourceType>().unwrap().code();
    let write = format!(
        "begin;
        select 1 from commit_order where account_id = {account} for share;
        insert into version (account_id, type_id, seq, id, version_number, last_updated_ms, kind, body)
        select {account}, {basic}, nextval('place'), 'raw-{number}', 1, 0, 1, '\\x007d7d';
        insert into type_total (account_id, type_id, lane, resources) values ({account}, {basic}, 16, 1)
        on conflict (account_id, type_id, lane) do update set resources = type_total.resources + 1"
    );
    client.batch_execute(&write).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_many_write_beside_repeated_purges_lies_on_one_side_of_each_watermark() {
    let seed = std::env::var("LETHE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5EED_u64);
    println!("LETHE_TEST_SEED={seed}");
    let harness = Arc::new(Harness::<Postgres>::open().await.with_batches_of(20));
    let account = harness.account.account_id().unwrap();
    let (client, raw) = (harness.backend.client().await, harness.backend.client().await);
    if is_spread(&client).await {
        return;
    }
    client.batch_execute(NOTING).await.unwrap();

    // Two processes as far as the database can tell, each with workers of its own.
    let other = PostgresStore::open(&harness.backend.url, Arc::clone(&harness.clock) as Arc<dyn Clock>).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let mut workers = JoinSet::new();
    workers.spawn(harness.worker().run(stopped.clone()));
    workers.spawn(harness.worker_over(Arc::new(other)).run(stopped));

    // Its clock goes behind: times come in another order than places.
    let behind = Arc::new(TestClock::default());
    behind.advance_ms(-1_200_000);
    let behind = PostgresStore::open(&harness.backend.url, behind).await.unwrap();
    let behind: Arc<dyn Store> = Arc::new(behind);

    let (written, are_writing) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = if writer % 2 == 0 { harness.store() } else { Arc::clone(&behind) };
        let (clock, written) = (Arc::clone(&harness.clock), Arc::clone(&written));
        let mut random = Random((seed ^ (writer + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1);
        writers.spawn(async move {
            for number in 0..WRITES_EACH {
                let id = if random.below(5) == 0 { format!("shared-{}", random.below(SHARED_IDS)) } else { format!("w{writer}-{number}") };
                let resource = Resource::from_json(json!({"resourceType": "Patient", "id": id, "active": true})).unwrap();
                let put = Write::put(&resource, resource.id.clone().unwrap(), &LocalBases::new([]), Expect::Anything).unwrap();
                clock.advance_ms(1);
                store.write(account, vec![put]).await.unwrap();
                written.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let writing = tokio::spawn({
        let are_writing = Arc::clone(&are_writing);
        async move {
            while let Some(writer) = writers.join_next().await {
                writer.unwrap();
            }
            are_writing.store(false, Ordering::SeqCst);
        }
    });

    let (mut purges, mut gone_while_writing, mut left_while_writing) = (0, 0, 0);
    loop {
        let is_last = !are_writing.load(Ordering::SeqCst);
        begin_raw(&raw, account.0, purges).await;
        let before = (!is_last && purges % 2 == 1).then(|| harness.clock.now().plus_ms(-20));
        let purge = harness.new_purge(&harness.account, Selection { before, ..Selection::default() });
        let store = harness.store();
        let (committed, kicked_off) = tokio::join!(raw.batch_execute("select pg_sleep(0.02); commit"), store.kick_off(&purge));
        committed.unwrap();
        let KickOff::Started(job) = kicked_off.unwrap() else { panic!("the last one has ended") };
        let job: PurgeJob = loop {
            let job = harness.job(job.job_id).await;
            if job.state.is_ended() {
                break job;
            }
        };
        assert!(job.state == JobState::Successful && job.totals().is_balanced(), "seed {seed}: {job:?}");
        let (wrong, gone, left) =
            on_the_wrong_side(&client, account.0, job.watermark.0 as i64, before.map_or(i64::MAX, lethe_fhir::Instant::as_unix_ms)).await;
        assert!(wrong.is_empty(), "seed {seed}, purge {purges}: watermark {:?}, before {before:?}, {wrong:?}", job.watermark);
        purges += 1;
        gone_while_writing = gone_while_writing.max(if is_last { 0 } else { gone });
        left_while_writing = left_while_writing.max(left);
        if is_last {
            break;
        }
    }
    writing.await.unwrap();
    stop.send_replace(true);
    while workers.join_next().await.is_some() {}
    println!("{purges} purges beside {} writes", written.load(Ordering::SeqCst));
    assert_eq!(written.load(Ordering::SeqCst) as u64, WRITERS * WRITES_EACH, "each was acknowledged");
    assert!(
        purges > 3 && gone_while_writing > 0 && left_while_writing > 0,
        "the control: {purges} {gone_while_writing} {left_while_writing}"
    );
    let disorder = "select count(*) from (select at_ms < lag(at_ms) over (order by seq) as is_older from public.written where account_id = $1) as compared \
        where is_older";
    let disorder: i64 = client.query_one(disorder, &[&account.0]).await.unwrap().get(0);
    assert!(disorder > 0, "the control: times were in the order of places");
    let counted = "select (select count(*) from public.written where account_id = $1), \
        (select count(*) from version where account_id = $1), (select sum(deleted_versions)::bigint from purge_batch)";
    let counted = client.query_one(counted, &[&account.0]).await.unwrap();
    let (written, there, deleted) = (counted.get::<_, i64>(0), counted.get::<_, i64>(1), counted.get::<_, i64>(2));
    assert_eq!(written, there + deleted, "seed {seed}: each version is there, or was counted once");
    harness.assert_bystander_is_whole().await;
}
