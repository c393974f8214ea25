//! Who works at a purge, as the database itself sees it: triggers that note what was committed, by whom and when, and make batches slow.

use tokio_postgres::Client;

/// Notes each claim of a batch, its beginning and its end, and each change of a job.
const TRIGGERS: &str = "
create table public.slowness (ms integer not null);
create table public.noted (at_ms bigint not null, who text not null, what text not null, job bigint not null, batch bigint);

create function public.note_batch() returns trigger language plpgsql as $$
begin
    if new.state = 'running' then
        insert into public.noted values (
            extract(epoch from clock_timestamp()) * 1000, current_setting('application_name'),
            case when new.attempts = old.attempts then 'begin' else 'claim' end, new.job_number, new.batch
        );
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
