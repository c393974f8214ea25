//! Who works at a purge, as the database itself sees it: triggers that note what was committed, by whom and when, make batches slow, and stop them where
//! they begin.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tokio_postgres::Client;

use super::DEADLINE;

/// Notes each claim of a batch, its beginning and its end, and each change of a job.
const TRIGGERS: &str = "
create table public.slowness (ms integer not null);
create table public.noted (at_ms bigint not null, who text not null, what text not null, job bigint not null, batch bigint);

-- Waits for whoever has closed the gate, without a limit of its own.
create function public.note_batch() returns trigger language plpgsql set lock_timeout = 0 as $$
begin
    if new.state = 'running' then
        insert into public.noted values (
            extract(epoch from clock_timestamp()) * 1000, current_setting('application_name'),
            case when new.attempts = old.attempts then 'begin' else 'claim' end, new.job_number, new.batch
        );
        if new.attempts = old.attempts then
            perform pg_advisory_xact_lock_shared(1);
        end if;
    elsif old.state = 'running' then
        perform pg_sleep(ms / 1000.0) from public.slowness;
        insert into public.noted values (
            extract(epoch from clock_timestamp()) * 1000, current_setting('application_name'), new.state, new.job_number, new.batch
        );
    end if;
    return new;
end $$;

create function public.note_job() returns trigger language plpgsql as $$
begin
    insert into public.noted values (
        extract(epoch from clock_timestamp()) * 1000, current_setting('application_name'), new.state || ' ' || new.phase, new.job_number, null
    );
    return new;
end $$;

create trigger note_batch before update on lethe.purge_batch for each row execute function public.note_batch();
create trigger note_job before update on lethe.purge_job for each row execute function public.note_job();
";

/// What was noted.
#[derive(Clone, Debug)]
pub struct Noted {
    pub at_ms: i64,
    pub who: String,
    pub what: String,
    pub batch: Option<i64>,
}

/// Whoever looks without a pause, above all at locks, keeps those from working for whom it waits.
async fn look_again() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

pub struct Recorder(Client);

impl Recorder {
    /// Each batch takes at least so long, from now on.
    pub async fn install(client: Client, slow_ms: i32) -> Self {
        client.batch_execute(TRIGGERS).await.unwrap();
        client.execute("insert into public.slowness values ($1)", &[&slow_ms]).await.unwrap();
        Self(client)
    }

    /// The same, over another connection.
    pub fn by(client: Client) -> Self {
        Self(client)
    }

    pub async fn set_slowness(&self, slow_ms: i32) {
        self.0.execute("update public.slowness set ms = $1", &[&slow_ms]).await.unwrap();
    }

    /// From now on batches begin and go no further. Whoever is there has neither changed a row nor taken a lock but that of the batch.
    pub async fn close_gate(&self) {
        self.0.execute("select pg_advisory_lock(1)", &[]).await.unwrap();
    }

    /// All go on.
    pub async fn open_gate(&self) {
        self.0.execute("select pg_advisory_unlock(1)", &[]).await.unwrap();
    }

    /// Waits until each of these processes stands at the gate with a batch.
    pub async fn until_at_gate(&self, names: &[&str]) {
        let (began, names) = (Instant::now(), names.iter().copied().collect::<BTreeSet<_>>());
        let waiting = "select distinct application_name from pg_locks join pg_stat_activity using (pid)
            where locktype = 'advisory' and not granted and datname = current_database()";
        loop {
            let rows = self.0.query(waiting, &[]).await.unwrap();
            if rows.iter().map(|row| row.get(0)).collect::<BTreeSet<&str>>().is_superset(&names) {
                return;
            }
            self.assert_goes_on(began, &self.noted().await);
            look_again().await;
        }
    }

    /// Waits until what was noted is so. What a job that has ended will never do is not waited for.
    pub async fn until(&self, is_so: impl Fn(&[Noted]) -> bool) -> Vec<Noted> {
        let began = Instant::now();
        loop {
            let noted = self.noted().await;
            if is_so(&noted) {
                return noted;
            }
            self.assert_goes_on(began, &noted);
            look_again().await;
        }
    }

    /// Waits until so many more batches have ended.
    pub async fn until_more_are_done(&self, more: usize) {
        let before = self.done().await;
        self.until(|noted| noted.iter().filter(|noted| noted.what == "done").count() >= before + more).await;
    }

    fn assert_goes_on(&self, began: Instant, noted: &[Noted]) {
        let ends = ["successful ", "failed ", "canceled "];
        let has_ended = noted.iter().any(|noted| ends.iter().any(|end| noted.what.starts_with(end)));
        assert!(!has_ended, "the job has ended before: {noted:?}");
        assert!(began.elapsed() < DEADLINE, "{noted:?}");
    }

    /// Everything so far, in order.
    pub async fn noted(&self) -> Vec<Noted> {
        let rows = self.0.query("select at_ms, who, what, batch from public.noted order by at_ms", &[]).await.unwrap();
        rows.iter().map(|row| Noted { at_ms: row.get(0), who: row.get(1), what: row.get(2), batch: row.get(3) }).collect()
    }

    /// How many batches have ended so far.
    pub async fn done(&self) -> usize {
        self.noted().await.iter().filter(|noted| noted.what == "done").count()
    }

    /// Who ended each batch, between which moments.
    pub async fn runs(&self) -> Vec<(String, i64, i64)> {
        let noted = self.noted().await;
        let ends = noted.iter().filter(|noted| noted.what == "done");
        let begin = |end: &Noted| {
            let same = |noted: &&Noted| noted.what == "begin" && noted.batch == end.batch && noted.who == end.who;
            noted.iter().rev().find(same).unwrap().at_ms
        };
        ends.map(|end| (end.who.clone(), begin(end), end.at_ms)).collect()
    }
}
