//! Layouts of the index of search parameters on PostgreSQL, compared in scratch tables of one database.
//!
//! Wall time of one connection, the server's work included; generating, parsing and extracting are not timed. What is the same for all layouts, the
//! table of versions, is written, searched and emptied with each.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use lethe::population::{GeneratedKind, Population};
use lethe_auth::AccountId;
use lethe_fhir::{LocalBases, Resource, ResourceType};
use lethe_search::{IndexValues, PathId, Span, SpanEnd, definitions, index_entries};
use lethe_store_postgres::{keys_for, keys_of};
use tokio_postgres::{
    Client, NoTls,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use crate::measure::{Figures, quantile, rate, thousands};

/// Where the tables are made; whatever is there of an earlier run is dropped.
const SCHEMA: &str = "lethe_bench_layouts";

/// How the values lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// A row a value, found by a B-tree over the values; a BRIN over the places tells which blocks hold those of a range.
    Brin,
    /// No rows: a GIN over the arrays that stand beside the bodies.
    Gin,
    /// A row a value, in a B-tree over the values that is the key.
    Btree,
    /// The same, in parts of 32,768 versions, in the order of commits.
    Parts,
    /// No rows: a GIN over keys of the values, which are beginnings too. As the store has it.
    Keys,
}

impl Layout {
    /// All of them, as the table lists them.
    pub const ALL: [Self; 5] = [Self::Brin, Self::Gin, Self::Btree, Self::Parts, Self::Keys];

    /// What the table calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Brin => "(a) rows, B-tree and BRIN",
            Self::Gin => "(b) arrays, GIN",
            Self::Btree => "(c) rows, B-tree",
            Self::Parts => "(c) in parts, B-tree",
            Self::Keys => "(d) keys, GIN",
        }
    }

    fn indexes(self) -> &'static str {
        match self {
            Self::Brin => {
                "create index by_value on index_value (account_id, type_id, path_id, value, seq);
                 create index by_place on index_value using brin (seq) with (pages_per_range = 32);"
            }
            Self::Gin => "create index by_value on version using gin (index_values);",
            Self::Btree => "alter table index_value add primary key (account_id, type_id, path_id, value, seq);",
            Self::Parts => "alter table index_value add primary key (account_id, type_id, part, path_id, value, seq);",
            Self::Keys => {
                "create index by_key on version using gin (index_keys) with (gin_pending_list_limit = 512);
                 alter table version set (toast_tuple_target = 4064);"
            }
        }
    }

    fn has_rows(self) -> bool {
        ![Self::Gin, Self::Keys].contains(&self)
    }
}

const TABLES: &str = "
create table version (
    account_id bigint not null, type_id smallint not null, seq bigint not null, index_values bytea[], index_keys bigint[],
    body bytea, primary key (account_id, type_id, seq)
);
alter table version alter column body set storage external;
create table index_part (
    account_id bigint not null, type_id smallint not null, first_seq bigint not null, primary key (account_id, type_id, first_seq)
);
create table index_value (
    account_id bigint not null, type_id smallint not null, part bigint not null, path_id integer not null, value bytea not null, seq bigint not null
);";

/// The account that is purged, and the one beside it, which has one resource in eleven.
const PURGED: i64 = 1;
const BESIDE: i64 = 2;
/// Resources in a transaction of the load, and versions in one of the purge.
const LOADED: usize = 500;
const REMOVED: i64 = 4_000;
const PART_VERSIONS: u64 = 32_768;
const SEARCHES: usize = 300;
/// One more than a page.
const PAGE: i64 = 51;

struct Row {
    resource_type: ResourceType,
    body: Vec<u8>,
    values: IndexValues,
}

/// One layout in a database.
struct Scratch {
    client: Client,
    layout: Layout,
    seq: i64,
    /// Account and type → versions in its last part, and where that begins.
    parts: std::collections::HashMap<(i64, u8), (u64, i64)>,
    rows: u64,
}

/// Fills and empties one layout in the database at `url`.
pub async fn run(url: &str, layout: Layout, resources: u64) -> anyhow::Result<Figures> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let mut scratch = Scratch { client, layout, seq: 0, parts: Default::default(), rows: 0 };
    scratch.begin().await?;
    let mut figures = Figures::default();
    let subjects = scratch.load(resources, &mut figures).await?;
    scratch.search(&subjects, &mut figures).await?;
    scratch.purge(&mut figures).await?;
    scratch.client.batch_execute(&format!("drop schema {SCHEMA} cascade")).await?;
    Ok(figures)
}

/// The path of a parameter of Observation.
fn path_of(parameter: &str) -> anyhow::Result<PathId> {
    let found = definitions::parameter("Observation".parse()?, parameter).and_then(|parameter| parameter.uses.first());
    Ok(found.with_context(|| format!("Observation has no parameter {parameter}"))?.path)
}

fn element(path: PathId, value: &[u8]) -> Vec<u8> {
    [&path.0.to_be_bytes(), value].concat()
}

impl Scratch {
    async fn begin(&self) -> anyhow::Result<()> {
        let made = format!("drop schema if exists {SCHEMA} cascade; create schema {SCHEMA}; set search_path = {SCHEMA}; set jit = off;");
        self.client.batch_execute(&format!("{made}{TABLES}{}", self.layout.indexes())).await?;
        // The purge vacuums for itself, so that what it costs is seen.
        self.client
            .batch_execute("alter table version set (autovacuum_enabled = off); alter table index_value set (autovacuum_enabled = off)")
            .await?;
        Ok(())
    }

    /// Returns what Observations of the account that is purged refer to, and their codes.
    async fn load(&mut self, resources: u64, figures: &mut Figures) -> anyhow::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let (subject, code) = (path_of("subject")?, path_of("code")?);
        let (mut batch, mut subjects, mut spent) = (Vec::with_capacity(LOADED), Vec::new(), Vec::new());
        let bases = LocalBases::default();
        let mut population = Population::new(3, resources * 2);
        let from = self.wal_bytes().await?;
        while (spent.len() * LOADED) < usize::try_from(resources)? {
            let change = population.next().context("the population ended")?;
            let GeneratedKind::Put(json) = change.kind else { continue };
            let resource = Resource::parse(json.as_bytes())?;
            let values = index_entries(&resource, &bases)?.values;
            let first_of = |path| values.iter().of_path(path).next().map(<[u8]>::to_vec);
            if resource.resource_type.name() == "Observation"
                && let (Some(subject), Some(code)) = (first_of(subject), first_of(code))
                && batch.len() % 37 == 0
            {
                subjects.push((subject, code));
            }
            // As large as its compressed form would be; the content does not matter here.
            let plain = resource.body();
            let body = plain.as_bytes()[..plain.as_bytes().len() * 6 / 10].to_vec();
            batch.push(Row { resource_type: resource.resource_type, body, values });
            if batch.len() == LOADED {
                let start = Instant::now();
                self.write(&batch).await?;
                spent.push(start.elapsed());
                batch.clear();
            }
        }
        let loaded = (spent.len() * LOADED) as u64;
        let tenth = (spent.len() / 10).max(1);
        let (first, last): (Duration, Duration) = (spent[..tenth].iter().sum(), spent[spent.len() - tenth..].iter().sum());
        figures.add("rows per resource", format!("{:.1}", self.rows as f64 / loaded as f64));
        figures.add("load, first tenth", rate((tenth * LOADED) as u64, first));
        figures.add("load, last tenth", rate((tenth * LOADED) as u64, last));
        figures.add("load, all", rate(loaded, spent.iter().sum()));
        figures.add("write-ahead log of the load, bytes per resource", thousands((self.wal_bytes().await? - from) / loaded));
        let start = Instant::now();
        self.client.batch_execute("vacuum (analyze) version, index_value, index_part").await?;
        figures.add("vacuum and analyze after it", seconds(start.elapsed()));
        figures.add("bytes per resource", thousands(self.bytes().await? / loaded));
        Ok(subjects)
    }

    async fn write(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        let (mut versions, mut values, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            self.seq += 1;
            let (account, type_id) = (if self.seq % 11 == 0 { BESIDE } else { PURGED }, row.resource_type.code());
            let part = self.parts.entry((account, type_id)).or_insert((PART_VERSIONS, 0));
            if part.0 == PART_VERSIONS {
                // Without parts there is one, which holds everything.
                *part = (0, if self.layout == Layout::Parts { self.seq } else { 0 });
                parts.push((account, i16::from(type_id), part.1));
            }
            part.0 += u64::from(self.layout == Layout::Parts || part.0 == 0);
            if self.layout.has_rows() {
                for (path, value) in row.values.iter().filter(|(path, _)| path.has_rows()) {
                    values.push((account, i16::from(type_id), part.1, i32::from(path.0), value, self.seq));
                }
            }
            let elements: Vec<Vec<u8>> = row.values.iter().map(|(path, value)| element(path, value)).collect();
            let keys = (self.layout == Layout::Keys).then(|| keys_of(AccountId(account), row.resource_type, &row.values));
            versions.push((account, i16::from(type_id), self.seq, elements, keys, &row.body));
        }
        self.rows += values.len() as u64;
        self.client.batch_execute("begin").await?;
        for (account, type_id, first) in parts {
            self.client.execute("insert into index_part values ($1, $2, $3) on conflict do nothing", &[&account, &type_id, &first]).await?;
        }
        let types = [Type::INT8, Type::INT2, Type::INT8, Type::BYTEA_ARRAY, Type::INT8_ARRAY, Type::BYTEA];
        let versions = versions.iter().map(|row| -> [&(dyn ToSql + Sync); 6] { [&row.0, &row.1, &row.2, &row.3, &row.4, row.5] });
        copy(&self.client, "version", &types, versions).await?;
        let types = [Type::INT8, Type::INT2, Type::INT8, Type::INT4, Type::BYTEA, Type::INT8];
        let values = values.iter().map(|row| -> [&(dyn ToSql + Sync); 6] { [&row.0, &row.1, &row.2, &row.3, &row.4, &row.5] });
        copy(&self.client, "index_value", &types, values).await?;
        Ok(self.client.batch_execute("commit").await?)
    }

    async fn search(&self, subjects: &[(Vec<u8>, Vec<u8>)], figures: &mut Figures) -> anyhow::Result<()> {
        let observation = i16::from("Observation".parse::<ResourceType>()?.code());
        let (subject, code, date) = (path_of("subject")?, path_of("code")?, path_of("date")?);
        let current =
            "cross join lateral (select * from version v where v.account_id = $1 and v.type_id = $2 and v.seq = i.seq offset 0) v";
        // In the order of commits; where there are parts, part by part.
        let page = |and: &str, on: &str| {
            match self.layout {
            Layout::Gin => format!("select seq, body from version where account_id = $1 and type_id = $2 and index_values @> {on} order by seq limit $3"),
            Layout::Keys => format!(
                // As the store asks: by keys first, whatever else would seem quicker.
                "select seq, body from (select * from version where account_id = $1 and type_id = $2 and index_keys @> {on} offset 0) v
                 where $5::bytea = any (index_values) and {and} order by seq limit $3"
            ),
            Layout::Brin | Layout::Btree => format!(
                "select v.seq, v.body from (select * from index_value where account_id = $1 and type_id = $2 and path_id = $4 and value = $5
                 order by seq offset 0) i {current} where {and} order by i.seq limit $3"
            ),
            Layout::Parts => format!(
                "select f.seq, f.body from index_part p cross join lateral (select v.seq, v.body from (select * from index_value i
                 where i.account_id = $1 and i.type_id = $2 and i.part = p.first_seq and i.path_id = $4 and i.value = $5 order by i.seq offset 0) i
                 {current} where {and} order by i.seq limit $3) f where p.account_id = $1 and p.type_id = $2 order by p.first_seq, f.seq limit $3"
            ),
        }
        };
        let counted = match self.layout {
            Layout::Gin => "select count(*) from version where account_id = $1 and type_id = $2 and exists
                (select 1 from unnest(index_values) e where e >= $3 and e < $4)"
                .to_owned(),
            Layout::Keys => "select count(*) from
                (select * from version where account_id = $1 and type_id = $2 and index_keys && $5::bigint[] offset 0) v where exists
                (select 1 from unnest(index_values) e where e >= $3 and e < $4)"
                .to_owned(),
            Layout::Brin | Layout::Btree | Layout::Parts => {
                "select count(*) from (select distinct i.seq from index_part p cross join lateral
                (select * from index_value i where i.account_id = $1 and i.type_id = $2 and i.part = p.first_seq and i.path_id = $3
                 and i.value >= $4 and i.value < $5 offset 0) i where p.account_id = $1 and p.type_id = $2) found"
                    .to_owned()
            }
        };
        // Without parts the column is not in the key, and there is one part.
        let counted = if self.layout == Layout::Parts { counted } else { counted.replace(" and i.part = p.first_seq", "") };
        let (mut one, mut two, mut range, mut found) = (Vec::new(), Vec::new(), Vec::new(), [0_u64; 3]);
        let (one_page, two_page) = match self.layout {
            Layout::Keys => (page("true", "$4::bigint[]"), page("$6::bytea = any (index_values)", "$4::bigint[]")),
            _ => (page("true", "array[$4::bytea]"), page("$6::bytea = any (v.index_values)", "array[$4::bytea, $5::bytea]")),
        };
        let (prepared_one, prepared_two) = (self.client.prepare(&one_page).await?, self.client.prepare(&two_page).await?);
        let of_type: ResourceType = "Observation".parse()?;
        let key =
            |path, value: &[u8]| keys_for(PURGED, of_type, &[Span { path, low: value.to_vec(), end: SpanEnd::Single, checks: Vec::new() }]);
        let prepared_range = self.client.prepare(&counted).await?;
        let lows = self.dates(observation, date).await?;
        ensure!(!subjects.is_empty() && !lows.is_empty(), "nothing to look for was loaded");
        for number in 0..SEARCHES {
            let (own, of_code) = &subjects[number % subjects.len()];
            let (path, own_element, code_element) = (i32::from(subject.0), element(subject, own), element(code, of_code));
            let fixed: [&(dyn ToSql + Sync); 3] = [&PURGED, &observation, &PAGE];
            let start = Instant::now();
            let rows = match self.layout {
                Layout::Gin => self.client.query(&prepared_one, &[&fixed[..], &[&own_element]].concat()).await?,
                Layout::Keys => self.client.query(&prepared_one, &[&fixed[..], &[&key(subject, own), &own_element]].concat()).await?,
                _ => self.client.query(&prepared_one, &[&fixed[..], &[&path, own]].concat()).await?,
            };
            one.push(start.elapsed());
            found[0] += rows.len() as u64;
            let start = Instant::now();
            let rows = match self.layout {
                Layout::Gin => self.client.query(&prepared_two, &[&fixed[..], &[&own_element, &code_element]].concat()).await?,
                Layout::Keys => {
                    let keys = [key(subject, own), key(code, of_code)].concat();
                    self.client.query(&prepared_two, &[&fixed[..], &[&keys, &own_element, &code_element]].concat()).await?
                }
                _ => self.client.query(&prepared_two, &[&fixed[..], &[&path, own, &code_element]].concat()).await?,
            };
            two.push(start.elapsed());
            found[1] += rows.len() as u64;
            if number % 10 == 0 {
                let (low, high) = &lows[number % lows.len()];
                let path = i32::from(date.0);
                let start = Instant::now();
                let row = match self.layout {
                    Layout::Gin => {
                        let (low, high) = (element(date, low), element(date, high));
                        self.client.query_one(&prepared_range, &[&PURGED, &observation, &low, &high]).await?
                    }
                    Layout::Keys => {
                        let keys = keys_for(
                            PURGED,
                            of_type,
                            &[Span { path: date, low: low.clone(), end: SpanEnd::Before(high.clone()), checks: Vec::new() }],
                        );
                        let (low, high) = (element(date, low), element(date, high));
                        self.client.query_one(&prepared_range, &[&PURGED, &observation, &low, &high, &keys]).await?
                    }
                    _ => self.client.query_one(&prepared_range, &[&PURGED, &observation, &path, low, high]).await?,
                };
                range.push(start.elapsed());
                found[2] += u64::try_from(row.get::<_, i64>(0))?;
            }
        }
        ensure!(found.iter().all(|found| *found > 0), "a search found nothing: {found:?}");
        for (name, mut times) in [("a patient's Observations, page", one), ("with one code, page", two), ("of some days, count", range)] {
            times.sort_unstable();
            let (median, worst) = (quantile(&times, 0.5), quantile(&times, 0.95));
            figures.add(format!("{name}: median, 95 %"), format!("{}, {} µs", thousands(micros(median)), thousands(micros(worst))));
        }
        // The layouts are compared only if they find the same.
        figures.add("found by the three", found.map(thousands).join(", "));
        Ok(())
    }

    /// Some ranges of dates, as they are indexed.
    async fn dates(&self, observation: i16, date: PathId) -> anyhow::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let sql =
            "select substr(e, 3) from (select index_values from version where account_id = $1 and type_id = $2 order by seq limit 20000) v
                   cross join lateral unnest(v.index_values) e where e >= $3 and e < $4 order by 1";
        let (low, high) = (date.0.to_be_bytes().to_vec(), (date.0 + 1).to_be_bytes().to_vec());
        let rows = self.client.query(sql, &[&PURGED, &observation, &low, &high]).await?;
        let dates: Vec<Vec<u8>> = rows.iter().map(|row| row.get(0)).collect();
        let apart = (dates.len() / 200).max(1);
        Ok(dates
            .iter()
            .step_by(apart)
            .zip(dates.iter().skip(apart).step_by(apart))
            .filter(|(low, high)| low < high)
            .map(|(low, high)| (low.clone(), high.clone()))
            .collect())
    }

    /// Removes the account as a purge does: versions in batches, then what led to them, then what is left behind for the vacuum.
    async fn purge(&self, figures: &mut Figures) -> anyhow::Result<()> {
        let (from, start) = (self.wal_bytes().await?, Instant::now());
        let last = self
            .client
            .query("select type_id, min(seq), max(seq), count(*) from version where account_id = $1 group by 1", &[&PURGED])
            .await?;
        let total = last.iter().map(|row| row.get::<_, i64>(3)).sum::<i64>();
        let batch = "delete from version where account_id = $1 and type_id = $2 and seq >= $3 and seq < $4";
        for row in &last {
            let (type_id, last) = (row.get::<_, i16>(0), row.get::<_, i64>(2));
            let mut first = row.get::<_, i64>(1);
            while first <= last {
                let end = "select seq from version where account_id = $1 and type_id = $2 and seq >= $3 order by seq offset $4 limit 1";
                let next = self.client.query_opt(end, &[&PURGED, &type_id, &first, &REMOVED]).await?.map_or(last + 1, |row| row.get(0));
                self.client.execute(batch, &[&PURGED, &type_id, &first, &next]).await?;
                first = next;
            }
        }
        let removed = start.elapsed();
        let start = Instant::now();
        match self.layout {
            Layout::Gin | Layout::Keys => {}
            Layout::Brin => {
                let sweep = "delete from index_value where account_id = $1 and seq >= $2 and seq < $2 + 20000";
                let mut first = 0_i64;
                while first <= self.seq {
                    self.client.execute(sweep, &[&PURGED, &first]).await?;
                    first += 20_000;
                }
            }
            Layout::Btree => {
                for row in &last {
                    let sweep = "delete from index_value where account_id = $1 and type_id = $2";
                    self.client.execute(sweep, &[&PURGED, &row.get::<_, i16>(0)]).await?;
                }
            }
            Layout::Parts => {
                for row in self.client.query("select type_id, first_seq from index_part where account_id = $1", &[&PURGED]).await? {
                    let sweep = "delete from index_value where account_id = $1 and type_id = $2 and part = $3";
                    self.client.execute(sweep, &[&PURGED, &row.get::<_, i16>(0), &row.get::<_, i64>(1)]).await?;
                }
            }
        }
        let swept = start.elapsed();
        let start = Instant::now();
        self.client.batch_execute("vacuum version, index_value").await?;
        let vacuumed = start.elapsed();
        let total = u64::try_from(total)?;
        figures.add("purge of the account", rate(total, removed + swept + vacuumed));
        figures.add("of it versions, rows, vacuum", [removed, swept, vacuumed].map(seconds).join(", "));
        figures.add("write-ahead log of the purge, bytes per resource", thousands((self.wal_bytes().await? - from) / total));
        Ok(())
    }

    async fn wal_bytes(&self) -> anyhow::Result<u64> {
        let row = self.client.query_one("select (pg_current_wal_lsn() - '0/0')::bigint", &[]).await?;
        Ok(u64::try_from(row.get::<_, i64>(0))?)
    }

    async fn bytes(&self) -> anyhow::Result<u64> {
        let sql = "select (pg_total_relation_size('version') + pg_total_relation_size('index_value'))::bigint";
        Ok(u64::try_from(self.client.query_one(sql, &[]).await?.get::<_, i64>(0))?)
    }
}

async fn copy<'r, const N: usize>(
    client: &Client,
    table: &str,
    types: &[Type; N],
    rows: impl Iterator<Item = [&'r (dyn ToSql + Sync); N]>,
) -> anyhow::Result<()> {
    let sink = client.copy_in(&format!("copy {table} from stdin (format binary)")).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, types));
    for row in rows {
        writer.as_mut().write(&row).await?;
    }
    writer.finish().await?;
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}
