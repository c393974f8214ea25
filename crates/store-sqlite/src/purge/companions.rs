//! The Provenance and Binary that go along: listed with the plan, looked at again before they go.
//!
//! The rule itself is `lethe_purge::companions`; here the neighbours are looked up. Reading happens in chunks outside the writers' lock,
//! and only what was found is written under it.

use lethe_auth::AccountId;
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_jobs::Lease;
use lethe_purge::{
    Seq,
    companions::{Neighbour, goes_along},
    plan::{BatchCutter, BatchLimits},
};
use lethe_store::JobId;
use rusqlite::{Connection, Row, ToSql, Transaction, params};

use super::{
    Result,
    batch::{BatchRow, Removed},
    held,
    job::JobRow,
    listed::{self, Role},
    neighbours::{Neighbourhood, Unlisted},
    plan::{BatchKind, insert_batches},
    planner::Planner,
};
use crate::{
    SqliteStore,
    columns::{IdColumn, SeqColumn, TypeColumn},
};

const HAS_GOING_TARGETS: &str = include_str!("../../sql/purge/has_going_targets.sql");
const SELECT_PROVENANCE_TARGETS: &str = include_str!("../../sql/purge/provenance_targets_from.sql");
const SELECT_PROVENANCES: &str = include_str!("../../sql/preview/provenances_from.sql");
const SELECT_BINARIES: &str = include_str!("../../sql/preview/ids_from.sql");
const SELECT_REFERRED: &str = include_str!("../../sql/purge/referred_ids_from.sql");
const SELECT_REFERRED_BY_COMPANIONS: &str = include_str!("../../sql/purge/referred_by_companions.sql");
const COUNT_HELD: &str = include_str!("../../sql/purge/count_held_companion.sql");
const SELECT_COMPANIONS: &str = include_str!("../../sql/purge/companions_from.sql");
const SELECT_BETWEEN: &str = include_str!("../../sql/purge/companions_between.sql");
const SELECT_ACCOUNTS: &str = include_str!("../../sql/purge/companion_accounts.sql");
const SET_PREPARED: &str = include_str!("../../sql/purge/set_companions_prepared.sql");

/// Rows looked at in one read transaction.
const CHUNK_ROWS_MAX: usize = 20_000;
/// Companions looked up in one read transaction.
const CHUNK_COMPANIONS_MAX: usize = 500;

/// The types that can go along.
const COMPANION_TYPES: [ResourceType; 2] = [ResourceType::BINARY, ResourceType::PROVENANCE];

/// A companion: its type and place.
type Companion = (ResourceType, Seq);

pub(super) async fn plan(planner: Planner<'_>, account_id: AccountId, limits: BatchLimits) -> Result<()> {
    let job = planner.job().await?;
    let now = planner.held_on(&job);
    if job.job.selection.takes_all_of(&[ResourceType::PROVENANCE, ResourceType::BINARY]) {
        return Ok(());
    }
    let number = job.number;
    let is_any_going: bool = planner
        .read(move |tx| Ok(tx.prepare_cached(HAS_GOING_TARGETS)?.query_row(params![number, account_id.0], |row| row.get(0))?))
        .await?;
    if !is_any_going {
        return Ok(());
    }
    let selection = &job.job.selection;
    let start = job.clone();
    let sources = planner.read(move |tx| Ok(Neighbourhood::new(tx, &start, account_id, now)?.binary_sources())).await?;
    // Every candidate that nothing else already keeps …
    let mut added = 0;
    for source in sources.iter().copied().filter(|source| selection.selects_type(*source)) {
        added += add_binaries(planner, &job, account_id, Referrers::Targets(source)).await?;
    }
    added += add_provenances(planner, &job, account_id).await?;
    // … and those that they make candidates in turn.
    while added > 0 {
        let mut binaries = 0;
        for source in COMPANION_TYPES.into_iter().filter(|source| sources.contains(source)) {
            binaries += add_binaries(planner, &job, account_id, Referrers::Companions(source)).await?;
        }
        let start = job.clone();
        let is_chained = planner.read(move |tx| Neighbourhood::new(tx, &start, account_id, now)?.has_provenance_about_provenance()).await?;
        let provenances = if binaries > 0 || is_chained { add_provenances(planner, &job, account_id).await? } else { 0 };
        added = binaries + provenances;
    }
    strike_out(planner, &job, account_id, now).await?;
    cut_batches(planner, &job, account_id, limits).await
}

pub(super) async fn prepare(store: &SqliteStore, lease: Lease<JobId>) -> Result<()> {
    let job = store.renew(lease).await?;
    let (number, now) = (job.number, store.clock.now());
    let accounts = store
        .connections
        .read(move |tx| {
            let mut statement = tx.prepare_cached(SELECT_ACCOUNTS)?;
            Ok(statement.query_map([number], |row| row.get(0).map(AccountId))?.collect::<rusqlite::Result<Vec<_>>>()?)
        })
        .await?;
    for account_id in accounts {
        strike_out(Planner::Job(store, lease), &job, account_id, now).await?;
    }
    store
        .write_under(lease, |tx, job| {
            tx.prepare_cached(SET_PREPARED)?.execute([job.number])?;
            Ok(())
        })
        .await
}

/// Lists the Provenances of which a target goes and none is known to stay; returns how many are new.
async fn add_provenances(planner: Planner<'_>, job: &JobRow, account_id: AccountId) -> Result<usize> {
    let mut added = 0;
    let now = planner.held_on(job);
    let mut after = Some(Seq(0));
    while let Some(start) = after {
        let scan = job.clone();
        let (found, next) = planner.read(move |tx| scan_provenances(tx, &scan, account_id, start, now)).await?;
        after = next;
        added += list(planner, account_id, found).await?;
    }
    Ok(added)
}

/// One chunk of Provenances: those to list, and where the next chunk begins.
fn scan_provenances(
    tx: &Connection,
    job: &JobRow,
    account_id: AccountId,
    after: Seq,
    now: Instant,
) -> crate::error::Result<(Vec<Companion>, Option<Seq>)> {
    let neighbourhood = Neighbourhood::new(tx, job, account_id, now)?;
    let mut statement = tx.prepare_cached(SELECT_PROVENANCE_TARGETS)?;
    let mut rows = statement.query(params![account_id.0, SeqColumn(after), SeqColumn(job.job.watermark)])?;
    let mut found = Vec::new();
    let mut open: Option<(Seq, bool, bool)> = None;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        let seq = row.get::<_, SeqColumn>(0)?.0;
        seen += 1;
        if open.is_some_and(|(current, ..)| current != seq) {
            let (current, is_any_going, is_kept) = open.take().unwrap_or((seq, false, true));
            if is_any_going && !is_kept && neighbourhood.may_be_listed(ResourceType::PROVENANCE, current)? {
                found.push((ResourceType::PROVENANCE, current));
            }
            if seen > CHUNK_ROWS_MAX {
                return Ok((found, Some(current)));
            }
        }
        let (_, is_any_going, is_kept) = open.get_or_insert((seq, false, false));
        if !*is_kept {
            match neighbourhood.target(row.get(1)?, row.get(2)?, Unlisted::MayGo)? {
                Neighbour::Going => *is_any_going = true,
                Neighbour::Remaining => *is_kept = true,
                Neighbour::Absent => {}
            }
        }
    }
    if let Some((current, true, false)) = open
        && neighbourhood.may_be_listed(ResourceType::PROVENANCE, current)?
    {
        found.push((ResourceType::PROVENANCE, current));
    }
    Ok((found, None))
}

/// How many Provenances are about something that goes and stay, and how many Binaries something that goes refers to and stay.
pub(super) async fn count_needed(planner: Planner<'_>, account_id: AccountId) -> Result<(u64, u64)> {
    let job = planner.job().await?;
    let now = planner.held_on(&job);
    let (mut provenances, mut binaries) = (0, 0);
    let mut after = Some(Seq(0));
    while let Some(start) = after {
        let scan = job.clone();
        let (found, next) = planner.read(move |tx| needed_provenances(tx, &scan, account_id, start, now)).await?;
        provenances += found;
        after = next;
    }
    let mut after = Some(None);
    while let Some(start) = after {
        let scan = job.clone();
        let (found, next) = planner.read(move |tx| needed_binaries(tx, &scan, account_id, start, now)).await?;
        binaries += found;
        after = next.map(Some);
    }
    Ok((provenances, binaries))
}

/// One chunk of Provenances: how many are needed, and where the next chunk begins.
fn needed_provenances(
    tx: &Connection,
    job: &JobRow,
    account_id: AccountId,
    after: Seq,
    now: Instant,
) -> crate::error::Result<(u64, Option<Seq>)> {
    let neighbourhood = Neighbourhood::new(tx, job, account_id, now)?;
    let mut statement = tx.prepare_cached(SELECT_PROVENANCES)?;
    let seqs: Vec<Seq> = statement
        .query_map(params![account_id.0, SeqColumn(after), CHUNK_COMPANIONS_MAX as i64], |row| {
            row.get::<_, SeqColumn>(0).map(|column| column.0)
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut needed = 0;
    for seq in &seqs {
        // All targets are looked at: one that goes may come behind one that stays.
        let goes = neighbourhood.goes(ResourceType::PROVENANCE, *seq)?;
        needed += u64::from(!goes && neighbourhood.has_going_target(*seq)?);
    }
    Ok((needed, (seqs.len() == CHUNK_COMPANIONS_MAX).then(|| seqs.last().copied()).flatten()))
}

/// One chunk of Binaries: how many are needed, and where the next chunk begins.
fn needed_binaries(
    tx: &Connection,
    job: &JobRow,
    account_id: AccountId,
    after: Option<LogicalId>,
    now: Instant,
) -> crate::error::Result<(u64, Option<LogicalId>)> {
    let neighbourhood = Neighbourhood::new(tx, job, account_id, now)?;
    let after: Box<dyn ToSql> = after.map_or_else(|| Box::new(-1) as Box<dyn ToSql>, |id| Box::new(IdColumn(id)));
    let mut statement = tx.prepare_cached(SELECT_BINARIES)?;
    let ids: Vec<LogicalId> = statement
        .query_map(params![account_id.0, TypeColumn(ResourceType::BINARY), after, CHUNK_COMPANIONS_MAX as i64], |row| {
            row.get::<_, IdColumn>(0).map(|column| column.0)
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut needed = 0;
    for id in &ids {
        let Some(seq) = neighbourhood.current_seq(ResourceType::BINARY, id)? else { continue };
        let goes = neighbourhood.goes(ResourceType::BINARY, seq)?;
        needed += u64::from(!goes && neighbourhood.has_going_referrer(id)?);
    }
    Ok((needed, (ids.len() == CHUNK_COMPANIONS_MAX).then(|| ids.last().cloned()).flatten()))
}

/// The resources whose references make a Binary a candidate.
#[derive(Clone, Copy)]
enum Referrers {
    /// Those of a selected type.
    Targets(ResourceType),
    /// Companions of this type.
    Companions(ResourceType),
}

/// Lists the Binaries to which something that goes refers and nothing that is known to stay; returns how many are new.
async fn add_binaries(planner: Planner<'_>, job: &JobRow, account_id: AccountId, referrers: Referrers) -> Result<usize> {
    let mut added = 0;
    let now = planner.held_on(job);
    let mut after = Some(None);
    while let Some(start) = after {
        let scan = job.clone();
        let (found, next) = planner.read(move |tx| scan_binaries(tx, &scan, account_id, referrers, start, now)).await?;
        after = next.map(Some);
        added += list(planner, account_id, found).await?;
    }
    Ok(added)
}

/// One chunk of the Binaries to which `referrers` refer: those to list, and where the next chunk begins.
fn scan_binaries(
    tx: &Connection,
    job: &JobRow,
    account_id: AccountId,
    referrers: Referrers,
    after: Option<LogicalId>,
    now: Instant,
) -> crate::error::Result<(Vec<Companion>, Option<LogicalId>)> {
    // Text and bytes are both greater than any number: -1 is before the first id.
    let after: Box<dyn ToSql> = after.map_or_else(|| Box::new(-1) as Box<dyn ToSql>, |id| Box::new(IdColumn(id)));
    let (account, binary, limit) = (account_id.0, TypeColumn(ResourceType::BINARY), CHUNK_COMPANIONS_MAX as i64);
    let read_id = |row: &Row<'_>| row.get::<_, IdColumn>(0).map(|id| id.0);
    let ids: Vec<LogicalId> = match referrers {
        Referrers::Targets(source) => tx
            .prepare_cached(SELECT_REFERRED)?
            .query_map(params![account, TypeColumn(source), binary, after, limit], read_id)?
            .collect::<rusqlite::Result<_>>()?,
        Referrers::Companions(source) => tx
            .prepare_cached(SELECT_REFERRED_BY_COMPANIONS)?
            .query_map(params![job.number, account, TypeColumn(source), binary, after, limit], read_id)?
            .collect::<rusqlite::Result<_>>()?,
    };
    let next = (ids.len() == CHUNK_COMPANIONS_MAX).then(|| ids.last().cloned()).flatten();
    let neighbourhood = Neighbourhood::new(tx, job, account_id, now)?;
    let mut found = Vec::new();
    for id in ids {
        let Some(seq) = neighbourhood.current_seq(ResourceType::BINARY, &id)? else { continue };
        if !neighbourhood.may_be_listed(ResourceType::BINARY, seq)? {
            continue;
        }
        let neighbours = neighbourhood.referrers(&id, Unlisted::MayGo)?;
        if neighbours.contains(&Neighbour::Going) && goes_along(neighbours) {
            found.push((ResourceType::BINARY, seq));
        }
    }
    Ok((found, next))
}

async fn list(planner: Planner<'_>, account_id: AccountId, found: Vec<Companion>) -> Result<usize> {
    if found.is_empty() {
        return Ok(0);
    }
    planner
        .write(move |tx, job| {
            let mut added = 0;
            for (resource_type, seq) in found {
                added += usize::from(listed::add(tx, job, account_id, Role::Companion, resource_type, seq)?);
            }
            Ok(added)
        })
        .await
}

/// Strikes out, round after round, the companions that something remaining keeps.
async fn strike_out(planner: Planner<'_>, job: &JobRow, account_id: AccountId, now: Instant) -> Result<()> {
    loop {
        let mut struck = 0;
        let mut after = Some((0, Seq(0)));
        while let Some(start) = after {
            let scan = job.clone();
            let (kept, next) = planner
                .read(move |tx| {
                    let listed = listed_from(tx, &scan, account_id, start)?;
                    let next = (listed.len() == CHUNK_COMPANIONS_MAX)
                        .then(|| listed.last().map(|last| (last.resource_type.code(), last.seq)))
                        .flatten();
                    let neighbourhood = Neighbourhood::new(tx, &scan, account_id, now)?;
                    Ok((Kept::among(listed, &neighbourhood)?, next))
                })
                .await?;
            after = next;
            struck += kept.len();
            if !kept.is_empty() {
                planner.write(move |tx, job| unlist(tx, job, account_id, &kept)).await?;
            }
        }
        if struck == 0 {
            return Ok(());
        }
    }
}

/// Companions that stay after all.
#[derive(Debug, Default)]
struct Kept {
    /// Because something that stays needs them, or because they were changed.
    needed: Vec<Companion>,
    /// Because of holds on themselves, each with the numbers of these.
    held: Vec<(Companion, Vec<i64>)>,
}

impl Kept {
    fn among(listed: Vec<Listed>, neighbourhood: &Neighbourhood<'_>) -> crate::error::Result<Self> {
        let mut kept = Self::default();
        for companion in listed {
            let key = (companion.resource_type, companion.seq);
            if !companion.still_goes(neighbourhood)? {
                kept.needed.push(key);
                continue;
            }
            let holds = neighbourhood.holds_on(companion.resource_type, companion.seq)?;
            if !holds.is_empty() {
                kept.held.push((key, holds));
            }
        }
        Ok(kept)
    }

    fn len(&self) -> usize {
        self.needed.len() + self.held.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Takes them off the list, and notes the holds. Where batches have been cut, those on hold count as held in theirs.
fn unlist(tx: &Connection, job: &JobRow, account_id: AccountId, kept: &Kept) -> crate::error::Result<()> {
    let mut count = tx.prepare_cached(COUNT_HELD)?;
    for (resource_type, seq) in kept.needed.iter().chain(kept.held.iter().map(|(key, _)| key)) {
        listed::strike(tx, job, account_id, Role::Companion, *resource_type, *seq)?;
    }
    for ((resource_type, seq), holds) in &kept.held {
        count.execute(params![job.number, account_id.0, TypeColumn(*resource_type), SeqColumn(*seq)])?;
        held::note_met(tx, job, holds)?;
    }
    Ok(())
}

/// A row of the list, with what is stored of it now.
struct Listed {
    resource_type: ResourceType,
    seq: Seq,
    /// `None` if the version is gone.
    id: Option<LogicalId>,
    is_current: bool,
    stored_bytes: u64,
}

impl Listed {
    /// Whether it is still as it was listed and nothing that remains needs it.
    fn still_goes(&self, neighbourhood: &Neighbourhood<'_>) -> crate::error::Result<bool> {
        let Some(id) = self.id.as_ref().filter(|_| self.is_current) else { return Ok(false) };
        let neighbours = if self.resource_type == ResourceType::PROVENANCE {
            neighbourhood.targets_of(self.seq, Unlisted::Remains)?
        } else {
            neighbourhood.referrers(id, Unlisted::Remains)?
        };
        Ok(goes_along(neighbours))
    }
}

fn listed_from(tx: &Connection, job: &JobRow, account_id: AccountId, after: (u8, Seq)) -> crate::error::Result<Vec<Listed>> {
    let mut statement = tx.prepare_cached(SELECT_COMPANIONS)?;
    let rows = statement.query_map(params![job.number, account_id.0, after.0, SeqColumn(after.1), CHUNK_COMPANIONS_MAX as i64], |row| {
        Ok(Listed {
            resource_type: row.get::<_, TypeColumn>(0)?.0,
            seq: row.get::<_, SeqColumn>(1)?.0,
            id: row.get::<_, Option<IdColumn>>(2)?.map(|id| id.0),
            is_current: row.get::<_, Option<bool>>(3)?.unwrap_or(false),
            stored_bytes: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

async fn cut_batches(planner: Planner<'_>, job: &JobRow, account_id: AccountId, limits: BatchLimits) -> Result<()> {
    // A Provenance can have thousands of targets, too, all of which are looked up again in the transaction of its batch.
    let limits = listed::smaller(limits);
    for resource_type in COMPANION_TYPES {
        let mut cutter = BatchCutter::new(resource_type, limits);
        let mut after = Some((resource_type.code(), Seq(0)));
        while let Some(start) = after {
            let scan = job.clone();
            let mut listed = planner.read(move |tx| listed_from(tx, &scan, account_id, start)).await?;
            let is_full = listed.len() == CHUNK_COMPANIONS_MAX;
            listed.retain(|companion| companion.resource_type == resource_type);
            after = listed.last().filter(|_| is_full).map(|last| (last.resource_type.code(), last.seq));
            let mut ranges: Vec<_> = listed.iter().filter_map(|companion| cutter.push(companion.seq, companion.stored_bytes)).collect();
            if after.is_none() {
                ranges.extend(std::mem::replace(&mut cutter, BatchCutter::new(resource_type, limits)).finish());
            }
            if !ranges.is_empty() {
                planner.write(move |tx, job| insert_batches(tx, job, account_id, BatchKind::Companions, &ranges)).await?;
            }
        }
    }
    Ok(())
}

/// Removes one batch of companions, after looking at each once more: a write may have begun to need one since.
pub(super) fn remove(tx: &Transaction<'_>, job: &JobRow, row: BatchRow, now: Instant) -> crate::error::Result<Removed> {
    let between = listed::between(job, Role::Companion, row);
    let listed: Vec<Listed> = tx
        .prepare_cached(SELECT_BETWEEN)?
        .query_map(between.params(), |found| {
            Ok(Listed {
                resource_type: row.resource_type,
                seq: found.get::<_, SeqColumn>(0)?.0,
                id: found.get::<_, Option<IdColumn>>(1)?.map(|id| id.0),
                is_current: found.get::<_, Option<bool>>(2)?.unwrap_or(false),
                stored_bytes: 0,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let neighbourhood = Neighbourhood::new(tx, job, row.account_id, now)?;
    let kept = Kept::among(listed, &neighbourhood)?;
    unlist(tx, job, row.account_id, &kept)?;
    let removed = listed::remove(tx, job, Role::Companion, row)?;
    Ok(Removed { held: kept.held.len() as u64, ..removed })
}
