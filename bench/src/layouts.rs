//! Layouts of the index of search parameters, compared on one file each: what docs/adr/0021 decides by.
//!
//! Only the work on rows is timed, in processor time of its one thread; generating, parsing and extracting are the same for all.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context;
use lethe::population::{GeneratedKind, Population};
use lethe_fhir::{LocalBases, Resource, ResourceType};
use lethe_search::{IndexValues, definitions, index_entries};
use rusqlite::{Connection, params};

use crate::measure::{Figures, rate, thousands};

/// How rows of the index lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// A row for each parameter that has the value; one clustered tree.
    Parameters,
    /// A row for each path, shared by its parameters; one clustered tree.
    Paths,
    /// The same, a tree for each kind of value.
    Kinds,
    /// A row for each path in a plain table, with an index by value and one by version.
    Plain,
    /// A row for each path; one clustered tree in parts of 32,768 versions.
    Parts,
    /// The same, parts of 8,192.
    SmallParts,
    /// Parts of 32,768, pages of 8 KiB.
    SmallPages,
}

impl Layout {
    /// All of them, as the table lists them.
    pub const ALL: [Self; 7] = [Self::Parameters, Self::Paths, Self::Kinds, Self::Plain, Self::Parts, Self::SmallParts, Self::SmallPages];

    /// Versions in a part; none without parts.
    fn part_versions(self) -> Option<u64> {
        match self {
            Self::Parts | Self::SmallPages => Some(32_768),
            Self::SmallParts => Some(8_192),
            Self::Parameters | Self::Paths | Self::Kinds | Self::Plain => None,
        }
    }

    fn page_bytes(self) -> &'static str {
        if self == Self::SmallPages { "8192" } else { "16384" }
    }

    fn schema(self) -> String {
        let clustered = |name: &str| {
            format!(
                "create table {name} (account_id integer not null, type_id integer not null, part integer not null, path_id integer not null, \
                 value blob not null, seq integer not null, primary key (account_id, type_id, part, path_id, value, seq)) strict, without rowid;"
            )
        };
        match self {
            Self::Parameters | Self::Paths | Self::Parts | Self::SmallParts | Self::SmallPages => clustered("index_0"),
            Self::Kinds => (0..KINDS).map(|kind| clustered(&format!("index_{kind}"))).collect(),
            Self::Plain => "create table index_0 (account_id integer not null, type_id integer not null, part integer not null, \
                 path_id integer not null, value blob not null, seq integer not null) strict; \
                 create index by_value on index_0 (account_id, type_id, part, path_id, value, seq); \
                 create index by_version on index_0 (account_id, type_id, seq);"
                .to_owned(),
        }
    }
}

const KINDS: usize = 8;
const ACCOUNT: i64 = 1;
/// Resources in a transaction of the import, and in one of a client.
const IMPORT: usize = 500;
const BUNDLE: usize = 33;
const BUNDLES: u64 = 300;
const SEARCHES: usize = 2_000;

struct Row {
    resource_type: ResourceType,
    id: String,
    body: Vec<u8>,
    values: IndexValues,
}

struct Store {
    connection: Connection,
    layout: Layout,
    seq: u64,
    /// Type → first place of its last part, and versions in it.
    parts: BTreeMap<u8, (u64, u64)>,
    /// All parts of a type.
    firsts: BTreeMap<u8, Vec<u64>>,
    rows: u64,
}

/// Fills and empties one file.
pub fn run(dir: &Path, layout: Layout, resources: u64) -> anyhow::Result<Figures> {
    std::fs::create_dir_all(dir)?;
    let mut store = Store::open(&dir.join("layout.db"), layout)?;
    let mut figures = Figures::default();
    let (mut batch, mut patients, mut spent, mut written) = (Vec::with_capacity(IMPORT), Vec::new(), Vec::new(), 0);
    let mut population = Population::new(3, resources).filter_map(|change| match change.kind {
        GeneratedKind::Put(json) => Some(json),
        GeneratedKind::Delete => None,
    });
    let bases = LocalBases::default();
    let mut next_row = || -> anyhow::Result<Row> {
        let json = population.next().context("the population ended")?;
        let resource = Resource::parse(json.as_bytes())?;
        let values = index_entries(&resource, &bases)?.values;
        // The generator's updates count as resources of their own.
        let id = uuid::Uuid::now_v7().to_string();
        Ok(Row { resource_type: resource.resource_type, id, body: lz4(resource.body().as_bytes()), values })
    };
    let tenth = (resources / 10).max(1);
    while written < resources {
        let row = next_row()?;
        if row.resource_type.name() == "Observation" && written % 97 == 0 {
            patients.extend(patient_of(&row));
        }
        batch.push(row);
        if batch.len() == IMPORT {
            let start = processor_time()?;
            store.write(&batch)?;
            spent.push(processor_time()? - start);
            written += batch.len() as u64;
            batch.clear();
        }
    }
    let per_tenth = (tenth as usize / IMPORT).max(1);
    let (first, last): (Duration, Duration) = (spent[..per_tenth].iter().sum(), spent[spent.len() - per_tenth..].iter().sum());
    let counted = (per_tenth * IMPORT) as u64;
    figures.add("rows per resource", format!("{:.1}", store.rows as f64 / written as f64));
    figures.add("bytes per resource", thousands(std::fs::metadata(dir.join("layout.db"))?.len() / written));
    figures.add("import, first tenth", rate(counted, first));
    figures.add("import, last tenth", rate(counted, last));
    let mut bundles = Duration::ZERO;
    for _ in 0..BUNDLES {
        let rows = (0..BUNDLE).map(|_| next_row()).collect::<anyhow::Result<Vec<_>>>()?;
        let start = processor_time()?;
        store.write(&rows)?;
        bundles += processor_time()? - start;
    }
    figures.add("transactions of 33, at the end", rate(BUNDLES * BUNDLE as u64, bundles));
    let start = processor_time()?;
    let mut found = 0;
    for number in 0..SEARCHES {
        found += store.search(&patients[number % patients.len()])?;
    }
    anyhow::ensure!(found > 0, "no search found anything");
    figures.add("page of a patient's Observations", format!("{:.0} µs", (processor_time()? - start).as_secs_f64() * 1e6 / SEARCHES as f64));
    let observation: ResourceType = "Observation".parse()?;
    let (start, half) = (processor_time()?, store.seq / 2);
    let purged = store.purge(observation, half)?;
    figures.add("purge, older half of Observations", rate(purged, processor_time()? - start));
    let start = processor_time()?;
    let purged = store.purge(observation, store.seq)?;
    figures.add("purge, the rest of them", rate(purged, processor_time()? - start));
    Ok(figures)
}

/// Processor time of this thread.
fn processor_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(stat.split_whitespace().next().context("an empty schedstat")?.parse()?))
}

fn lz4(body: &[u8]) -> Vec<u8> {
    // As large as it would be; the content does not matter here.
    body[..body.len() * 6 / 10].to_vec()
}

/// The value of the path `subject` of an Observation.
fn patient_of(row: &Row) -> Option<Vec<u8>> {
    let subject = definitions::parameter(row.resource_type, "subject")?.uses.first()?.path;
    row.values.iter().of_path(subject).next().map(<[u8]>::to_vec)
}

impl Store {
    fn open(path: &Path, layout: Layout) -> anyhow::Result<Self> {
        let connection = Connection::open(path)?;
        for (name, pragma) in
            [("page_size", layout.page_bytes()), ("cache_size", "-40960"), ("wal_autocheckpoint", "4000"), ("synchronous", "normal")]
        {
            connection.pragma_update(None, name, pragma)?;
        }
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        connection.pragma_update_and_check(None, "secure_delete", "on", |_| Ok(()))?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(
            "create table version (account_id integer not null, type_id integer not null, seq integer not null, body blob, index_values blob, \
             primary key (account_id, type_id, seq)) strict, without rowid; \
             create table resource (account_id integer not null, type_id integer not null, id blob not null, seq integer not null, \
             primary key (account_id, type_id, id)) strict, without rowid;",
        )?;
        connection.execute_batch(&layout.schema())?;
        Ok(Self { connection, layout, seq: 0, parts: BTreeMap::new(), firsts: BTreeMap::new(), rows: 0 })
    }

    fn write(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        let transaction = self.connection.transaction()?;
        for row in rows {
            self.seq += 1;
            let type_id = row.resource_type.code();
            let part = if let Some(versions) = self.layout.part_versions() {
                let part = self.parts.entry(type_id).or_insert((self.seq, 0));
                if part.1 == versions {
                    *part = (self.seq, 0);
                }
                part.1 += 1;
                part.0
            } else {
                0
            };
            let firsts = self.firsts.entry(type_id).or_default();
            if firsts.last() != Some(&part) {
                firsts.push(part);
            }
            transaction.prepare_cached("insert into version values (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                ACCOUNT,
                type_id,
                self.seq,
                row.body,
                row.values.as_bytes()
            ])?;
            let id = uuid::Uuid::parse_str(&row.id)?;
            transaction.prepare_cached("insert into resource values (?1, ?2, ?3, ?4)")?.execute(params![
                ACCOUNT,
                type_id,
                id.as_bytes(),
                self.seq
            ])?;
            for (path, value) in row.values.iter().filter(|(path, _)| path.has_rows()) {
                let (kind, copies) = self.layout.placing(row.resource_type, path);
                for copy in 0..copies {
                    let sql = format!("insert into index_{kind} values (?1, ?2, ?3, ?4, ?5, ?6)");
                    let path = i64::from(path.0) + copy as i64 * 100_000;
                    transaction.prepare_cached(&sql)?.execute(params![ACCOUNT, type_id, part, path, value, self.seq])?;
                    self.rows += 1;
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn search(&self, patient: &[u8]) -> anyhow::Result<u64> {
        let observation: ResourceType = "Observation".parse()?;
        let path = definitions::parameter(observation, "subject").and_then(|parameter| parameter.uses.first()).context("no subject")?.path;
        let (kind, _) = self.layout.placing(observation, path);
        let (mut left, mut bytes) = (51, 0);
        for part in self.firsts.get(&observation.code()).into_iter().flatten() {
            let sql = format!(
                "select length(v.body) from index_{kind} i cross join version v where i.account_id = ?1 and i.type_id = ?2 and i.part = ?3 \
                 and i.path_id = ?4 and i.value = ?5 and v.account_id = ?1 and v.type_id = ?2 and v.seq = i.seq order by i.seq limit ?6"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![ACCOUNT, observation.code(), part, path.0, patient, left])?;
            while let Some(row) = rows.next()? {
                bytes += row.get::<_, u64>(0)?;
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
        Ok(bytes)
    }

    /// Removes what is older than `seq`: first the versions, then the rows that led to them.
    fn purge(&mut self, resource_type: ResourceType, seq: u64) -> anyhow::Result<u64> {
        let type_id = resource_type.code();
        let mut purged = 0;
        loop {
            let sql = "delete from version where account_id = ?1 and type_id = ?2 and seq in \
                       (select seq from version where account_id = ?1 and type_id = ?2 and seq <= ?3 order by seq limit 4000)";
            let removed = self.connection.prepare_cached(sql)?.execute(params![ACCOUNT, type_id, seq])?;
            if removed == 0 {
                break;
            }
            purged += removed as u64;
        }
        self.connection
            .execute("delete from resource where account_id = ?1 and type_id = ?2 and seq <= ?3", params![ACCOUNT, type_id, seq])?;
        let tables = if self.layout == Layout::Kinds { KINDS } else { 1 };
        let has_parts = self.layout.part_versions().is_some();
        let firsts = self.firsts.get(&type_id).cloned().unwrap_or_default();
        for (number, part) in firsts.iter().enumerate() {
            // A part that ends before goes whole; one that begins behind is not looked at.
            let goes_whole = has_parts && firsts.get(number + 1).is_some_and(|next| next - 1 <= seq);
            if has_parts && *part > seq {
                continue;
            }
            let bound = if goes_whole { String::new() } else { format!(" and seq <= {seq}") };
            for table in 0..tables {
                let sql = format!("delete from index_{table} where account_id = ?1 and type_id = ?2 and part = ?3{bound}");
                self.connection.execute(&sql, params![ACCOUNT, type_id, part])?;
            }
        }
        Ok(purged)
    }
}

impl Layout {
    /// The table of a path's rows, and how many rows there are for each value.
    fn placing(self, resource_type: ResourceType, path: lethe_search::PathId) -> (usize, usize) {
        let sharing = || {
            let value = path.with(lethe_search::Facet::Value);
            definitions::parameters(resource_type).iter().filter(|parameter| parameter.uses.iter().any(|used| used.path == value)).count()
        };
        match self {
            Self::Parameters => (0, sharing().max(1)),
            Self::Kinds => {
                let value = path.with(lethe_search::Facet::Value);
                let owner =
                    definitions::parameters(resource_type).iter().find(|parameter| parameter.uses.iter().any(|used| used.path == value));
                (owner.map_or(0, |parameter| parameter.kind as usize % KINDS), 1)
            }
            Self::Paths | Self::Plain | Self::Parts | Self::SmallParts | Self::SmallPages => (0, 1),
        }
    }
}

/// What the table calls a layout.
pub fn label(layout: Layout) -> &'static str {
    match layout {
        Layout::Parameters => "row a parameter",
        Layout::Paths => "row a path",
        Layout::Kinds => "row a path, tree a kind",
        Layout::Plain => "row a path, two indices",
        Layout::Parts => "row a path, in parts",
        Layout::SmallParts => "parts of 8,192",
        Layout::SmallPages => "parts, 8 KiB pages",
    }
}
