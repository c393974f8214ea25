//! The Provenance and Binary that go along: listed with the plan, looked at again before they go.
//!
//! The rule itself is `lethe_purge::companions`; here the neighbours are looked up. Reading happens in chunks outside the account's lock,
//! and only what was found is written.

use lethe_auth::AccountId;
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_jobs::Lease;
use lethe_purge::{
    Seq,
    companions::{Neighbour, goes_along},
    plan::{BatchCutter, BatchLimits},
};
use lethe_store::JobId;
use tokio_postgres::Row;

use super::{
    Result,
    batch::BatchRow,
    held,
    job::JobRow,
    known::NEIGHBOURS_MAX,
    listed::{self, Role},
    neighbours::{Neighbourhood, Unlisted},
    plan::{BatchKind, insert_batches},
    planner::Planner,
    removed::Removed,
};
use crate::{
    PostgresStore,
    columns::{IdColumn, SeqColumn, TypeColumn, at_most, number, seq},
    transaction::{Tx, Values},
};

const HAS_GOING_TARGETS: &str = include_str!("../../sql/purge/has_going_targets.sql");
const SELECT_PROVENANCES: &str = include_str!("../../sql/preview/provenances_from.sql");
const SELECT_BINARIES: &str = include_str!("../../sql/preview/ids_from.sql");
const SELECT_REFERRED: &str = include_str!("../../sql/purge/referred_ids_from.sql");
const SELECT_REFERRED_BY_COMPANIONS: &str = include_str!("../../sql/purge/referred_by_companions.sql");
const COUNT_HELD: &str = include_str!("../../sql/purge/count_held_companion.sql");
const SELECT_COMPANIONS: &str = include_str!("../../sql/purge/companions_from.sql");
const SELECT_BETWEEN: &str = include_str!("../../sql/purge/companions_between.sql");
const SELECT_ACCOUNTS: &str = include_str!("../../sql/purge/companion_accounts.sql");
const SET_PREPARED: &str = include_str!("../../sql/purge/set_companions_prepared.sql");

/// Companions looked up in one read transaction.
const CHUNK_COMPANIONS_MAX: usize = 500;

/// The types that can go along.
const COMPANION_TYPES: [ResourceType; 2] = [ResourceType::BINARY, ResourceType::PROVENANCE];

/// A companion: its type and place.
type Companion = (ResourceType, Seq);

pub(super) async fn plan(planner: Planner<'_>, account_id: AccountId, limits: BatchLimits) -> Result<()> {
    let job = &planner.job().await?;
    let now = planner.held_on(job);
    if job.job.selection.takes_all_of(&[ResourceType::PROVENANCE, ResourceType::BINARY]) {
        return Ok(());
    }
    let is_any_going: bool =
        planner.read(|tx| async move { Ok(tx.row(HAS_GOING_TARGETS, &[&job.number, &account_id.0]).await?.try_get(0)?) }).await?;
    if !is_any_going {
        return Ok(());
    }
    let selection = &job.job.selection;
    let sources = planner.read(|tx| async move { Ok(Neighbourhood::new(&tx, job, account_id, now).await?.binary_sources()) }).await?;
    // Every candidate that nothing else already keeps …
    let mut added = 0;
    for source in sources.iter().copied().filter(|source| selection.selects_type(*source)) {
        added += add_binaries(planner, job, account_id, Referrers::Targets(source)).await?;
    }
    added += add_provenances(planner, job, account_id).await?;
    // … and those that they make candidates in turn.
    while added > 0 {
        let mut binaries = 0;
        for source in COMPANION_TYPES.into_iter().filter(|source| sources.contains(source)) {
            binaries += add_binaries(planner, job, account_id, Referrers::Companions(source)).await?;
        }
        let is_chained = planner
            .read(|tx| async move { Neighbourhood::new(&tx, job, account_id, now).await?.has_provenance_about_provenance().await })
            .await?;
        let provenances = if binaries > 0 || is_chained { add_provenances(planner, job, account_id).await? } else { 0 };
        added = binaries + provenances;
    }
    strike_out(planner, job, account_id, now).await?;
    cut_batches(planner, job, account_id, limits).await
}

pub(super) async fn prepare(store: &PostgresStore, lease: Lease<JobId>) -> Result<()> {
    let job = &store.renew(lease).await?;
    let now = store.clock.now();
    let accounts = store.work.read(|tx| async move { tx.rows(SELECT_ACCOUNTS, &[&job.number]).await }).await?;
    for row in &accounts {
        let account_id = AccountId(row.try_get(0).map_err(crate::error::store_error)?);
        strike_out(Planner::Job(store, lease), job, account_id, now).await?;
    }
    store
        .write_under(lease, |tx, job| async move {
            tx.execute(SET_PREPARED, &[&job.number]).await?;
            Ok(())
        })
        .await
}

/// Lists the Provenances of which a target goes and none is known to stay; returns how many are new.
async fn add_provenances(planner: Planner<'_>, job: &JobRow, account_id: AccountId) -> Result<u64> {
    let mut added = 0;
    let now = planner.held_on(job);
    let mut after = Some(Seq(0));
    while let Some(start) = after {
        let (found, next) = planner.read(|tx| scan_provenances(tx, job, account_id, start, now)).await?;
        after = next;
        added += list(planner, account_id, found).await?;
    }
    Ok(added)
}

/// The next current Provenances, each with how many targets it has, and where the chunk behind them begins.
async fn provenances_from(tx: &Tx, account_id: AccountId, after: Seq) -> crate::error::Result<(Vec<(Seq, usize)>, Option<Seq>)> {
    let rows = tx
        .rows(
            SELECT_PROVENANCES,
            &[&account_id.0, &TypeColumn(ResourceType::PROVENANCE), &SeqColumn(after), &at_most(CHUNK_COMPANIONS_MAX)],
        )
        .await?;
    let found = rows.iter().map(|row| Ok((seq(row, 0)?, cardinality(row, 1)?))).collect::<crate::error::Result<Vec<_>>>()?;
    let next = (found.len() == CHUNK_COMPANIONS_MAX).then(|| found.last().map(|(seq, _)| *seq)).flatten();
    Ok((found, next))
}

/// One chunk of Provenances: those to list, and where the next chunk begins.
async fn scan_provenances(
    tx: Tx,
    job: &JobRow,
    account_id: AccountId,
    after: Seq,
    now: Instant,
) -> crate::error::Result<(Vec<Companion>, Option<Seq>)> {
    let mut neighbourhood = Neighbourhood::new(&tx, job, account_id, now).await?;
    let (provenances, next) = provenances_from(&tx, account_id, after).await?;
    let mut found = Vec::new();
    for group in groups(&provenances, |(_, targets)| *targets) {
        look_up_provenances(&mut neighbourhood, group).await?;
        for (seq, _) in group {
            if !neighbourhood.may_be_listed(ResourceType::PROVENANCE, *seq).await? {
                continue;
            }
            let neighbours = neighbourhood.targets_of(*seq, Unlisted::MayGo).await?;
            if neighbours.contains(&Neighbour::Going) && !neighbours.contains(&Neighbour::Remaining) {
                found.push((ResourceType::PROVENANCE, *seq));
            }
        }
    }
    Ok((found, next))
}

/// How many Provenances are about something that goes and stay, and how many Binaries something that goes refers to and stay.
pub(super) async fn count_needed(planner: Planner<'_>, account_id: AccountId) -> Result<(u64, u64)> {
    let job = &planner.job().await?;
    let now = planner.held_on(job);
    let (mut provenances, mut binaries) = (0, 0);
    let mut after = Some(Seq(0));
    while let Some(start) = after {
        let (found, next) = planner.read(|tx| needed_provenances(tx, job, account_id, start, now)).await?;
        provenances += found;
        after = next;
    }
    let mut after = Some(None);
    while let Some(start) = after {
        let start = &start;
        let (found, next) = planner.read(|tx| needed_binaries(tx, job, account_id, start, now)).await?;
        binaries += found;
        after = next.map(Some);
    }
    Ok((provenances, binaries))
}

/// One chunk of Provenances: how many are needed, and where the next chunk begins.
async fn needed_provenances(
    tx: Tx,
    job: &JobRow,
    account_id: AccountId,
    after: Seq,
    now: Instant,
) -> crate::error::Result<(u64, Option<Seq>)> {
    let mut neighbourhood = Neighbourhood::new(&tx, job, account_id, now).await?;
    let (provenances, next) = provenances_from(&tx, account_id, after).await?;
    let mut needed = 0;
    for group in groups(&provenances, |(_, targets)| *targets) {
        look_up_provenances(&mut neighbourhood, group).await?;
        for (seq, _) in group {
            // All targets are looked at: one that goes may come behind one that stays.
            let goes = neighbourhood.goes(ResourceType::PROVENANCE, *seq).await?;
            needed += u64::from(!goes && neighbourhood.has_going_target(*seq).await?);
        }
    }
    Ok((needed, next))
}

async fn look_up_provenances(neighbourhood: &mut Neighbourhood<'_>, group: &[(Seq, usize)]) -> crate::error::Result<()> {
    let of_few = group.iter().filter(|(_, targets)| *targets <= NEIGHBOURS_MAX);
    neighbourhood.look_up(&of_few.map(|(seq, _)| *seq).collect::<Vec<_>>(), &[]).await
}

/// Groups of companions that have not too many neighbours together to be looked up at once, as far as `neighbours` tells; or one that has more by itself.
fn groups<T>(companions: &[T], neighbours: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut groups, mut first, mut sum) = (Vec::new(), 0, 0);
    for (place, companion) in companions.iter().enumerate() {
        let more = neighbours(companion);
        if place > first && sum + more > NEIGHBOURS_MAX {
            groups.push(&companions[first..place]);
            (first, sum) = (place, 0);
        }
        sum += more;
    }
    if first < companions.len() {
        groups.push(&companions[first..]);
    }
    groups
}

/// How many elements an array has.
fn cardinality(row: &Row, column: usize) -> crate::error::Result<usize> {
    // OK because no array has a negative number of them.
    Ok(row.try_get::<_, i32>(column)?.unsigned_abs() as usize)
}

/// The ids that rows begin with, and where the chunk behind them begins.
fn read_ids(rows: &[Row]) -> crate::error::Result<(Vec<LogicalId>, Option<LogicalId>)> {
    let ids = rows.iter().map(|row| Ok(row.try_get::<_, IdColumn>(0)?.0)).collect::<crate::error::Result<Vec<LogicalId>>>()?;
    let next = (ids.len() == CHUNK_COMPANIONS_MAX).then(|| ids.last().cloned()).flatten();
    Ok((ids, next))
}

/// An id as it is stored; no bytes, which come before every id, for none.
fn stored_id(id: &Option<LogicalId>) -> Vec<u8> {
    id.as_ref().map_or_else(Vec::new, |id| IdColumn(id.clone()).bytes())
}

/// One chunk of Binaries: how many are needed, and where the next chunk begins.
async fn needed_binaries(
    tx: Tx,
    job: &JobRow,
    account_id: AccountId,
    after: &Option<LogicalId>,
    now: Instant,
) -> crate::error::Result<(u64, Option<LogicalId>)> {
    let mut neighbourhood = Neighbourhood::new(&tx, job, account_id, now).await?;
    let (binary, limit) = (TypeColumn(ResourceType::BINARY), at_most(CHUNK_COMPANIONS_MAX));
    let (ids, next) = read_ids(&tx.rows(SELECT_BINARIES, &[&account_id.0, &binary, &stored_id(after), &limit]).await?)?;
    neighbourhood.look_up(&[], &ids).await?;
    let mut needed = 0;
    for id in &ids {
        let Some(seq) = neighbourhood.current_seq(ResourceType::BINARY, id).await? else { continue };
        let goes = neighbourhood.goes(ResourceType::BINARY, seq).await?;
        needed += u64::from(!goes && neighbourhood.has_going_referrer(id).await?);
    }
    Ok((needed, next))
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
async fn add_binaries(planner: Planner<'_>, job: &JobRow, account_id: AccountId, referrers: Referrers) -> Result<u64> {
    let mut added = 0;
    let now = planner.held_on(job);
    let mut after = Some(None);
    while let Some(start) = after {
        let start = &start;
        let (found, next) = planner.read(|tx| scan_binaries(tx, job, account_id, referrers, start, now)).await?;
        after = next.map(Some);
        added += list(planner, account_id, found).await?;
    }
    Ok(added)
}

/// One chunk of the Binaries to which `referrers` refer: those to list, and where the next chunk begins.
async fn scan_binaries(
    tx: Tx,
    job: &JobRow,
    account_id: AccountId,
    referrers: Referrers,
    after: &Option<LogicalId>,
    now: Instant,
) -> crate::error::Result<(Vec<Companion>, Option<LogicalId>)> {
    let (account, binary, after, limit) = (account_id.0, TypeColumn(ResourceType::BINARY), stored_id(after), at_most(CHUNK_COMPANIONS_MAX));
    let rows = match referrers {
        Referrers::Targets(source) => tx.rows(SELECT_REFERRED, &[&account, &TypeColumn(source), &binary, &after, &limit]).await?,
        Referrers::Companions(source) => {
            let values: Values<'_> = &[&job.number, &account, &TypeColumn(source), &binary, &after, &limit];
            tx.rows(SELECT_REFERRED_BY_COMPANIONS, values).await?
        }
    };
    let (ids, next) = read_ids(&rows)?;
    let mut neighbourhood = Neighbourhood::new(&tx, job, account_id, now).await?;
    neighbourhood.look_up(&[], &ids).await?;
    let mut found = Vec::new();
    for id in ids {
        let Some(seq) = neighbourhood.current_seq(ResourceType::BINARY, &id).await? else { continue };
        if !neighbourhood.may_be_listed(ResourceType::BINARY, seq).await? {
            continue;
        }
        let neighbours = neighbourhood.referrers(&id, Unlisted::MayGo).await?;
        if neighbours.contains(&Neighbour::Going) && goes_along(neighbours) {
            found.push((ResourceType::BINARY, seq));
        }
    }
    Ok((found, next))
}

async fn list(planner: Planner<'_>, account_id: AccountId, found: Vec<Companion>) -> Result<u64> {
    if found.is_empty() {
        return Ok(0);
    }
    let found = &found;
    planner.write(|tx, job| async move { listed::add(&tx, &job, account_id, Role::Companion, found).await }).await
}

/// Strikes out, round after round, the companions that something remaining keeps.
async fn strike_out(planner: Planner<'_>, job: &JobRow, account_id: AccountId, now: Instant) -> Result<()> {
    loop {
        let mut struck = 0;
        let mut after = Some((0, Seq(0)));
        while let Some(start) = after {
            let (kept, next) = planner
                .read(|tx| async move {
                    let listed = listed_from(&tx, job, account_id, start).await?;
                    let next = (listed.len() == CHUNK_COMPANIONS_MAX)
                        .then(|| listed.last().map(|last| (last.resource_type.code(), last.seq)))
                        .flatten();
                    let mut neighbourhood = Neighbourhood::new(&tx, job, account_id, now).await?;
                    Ok((Kept::among(listed, &mut neighbourhood).await?, next))
                })
                .await?;
            after = next;
            struck += kept.len();
            if !kept.is_empty() {
                let kept = &kept;
                planner.write(|tx, job| async move { unlist(&tx, &job, account_id, kept).await }).await?;
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
    async fn among(listed: Vec<Listed>, neighbourhood: &mut Neighbourhood<'_>) -> crate::error::Result<Self> {
        let mut kept = Self::default();
        for group in groups(&listed, |companion| companion.targets) {
            let is_provenance = |companion: &&Listed| companion.resource_type == ResourceType::PROVENANCE;
            let provenances = group.iter().filter(is_provenance).filter(|companion| companion.targets <= NEIGHBOURS_MAX);
            let binaries = group.iter().filter(|companion| !is_provenance(companion)).filter_map(|companion| companion.id.clone());
            neighbourhood.look_up(&provenances.map(|companion| companion.seq).collect::<Vec<_>>(), &binaries.collect::<Vec<_>>()).await?;
            for companion in group {
                kept.look_at(companion, neighbourhood).await?;
            }
        }
        Ok(kept)
    }

    async fn look_at(&mut self, companion: &Listed, neighbourhood: &Neighbourhood<'_>) -> crate::error::Result<()> {
        let key = (companion.resource_type, companion.seq);
        if !companion.still_goes(neighbourhood).await? {
            self.needed.push(key);
            return Ok(());
        }
        let holds = neighbourhood.holds_on(companion.resource_type, companion.seq).await?;
        if !holds.is_empty() {
            self.held.push((key, holds));
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.needed.len() + self.held.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Takes them off the list, and notes the holds. Where batches have been cut, those on hold count as held in theirs.
async fn unlist(tx: &Tx, job: &JobRow, account_id: AccountId, kept: &Kept) -> crate::error::Result<()> {
    for (resource_type, seq) in kept.needed.iter().chain(kept.held.iter().map(|(key, _)| key)) {
        listed::strike(tx, job, account_id, Role::Companion, *resource_type, *seq).await?;
    }
    for ((resource_type, seq), holds) in &kept.held {
        tx.execute(COUNT_HELD, &[&job.number, &account_id.0, &TypeColumn(*resource_type), &SeqColumn(*seq)]).await?;
        held::note_met(tx, job, holds.iter().copied()).await?;
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
    /// Of a Provenance.
    targets: usize,
}

impl Listed {
    /// Whether it is still as it was listed and nothing that remains needs it.
    async fn still_goes(&self, neighbourhood: &Neighbourhood<'_>) -> crate::error::Result<bool> {
        let Some(id) = self.id.as_ref().filter(|_| self.is_current) else { return Ok(false) };
        let neighbours = if self.resource_type == ResourceType::PROVENANCE {
            neighbourhood.targets_of(self.seq, Unlisted::Remains).await?
        } else {
            neighbourhood.referrers(id, Unlisted::Remains).await?
        };
        Ok(goes_along(neighbours))
    }
}

async fn listed_from(tx: &Tx, job: &JobRow, account_id: AccountId, after: (u8, Seq)) -> crate::error::Result<Vec<Listed>> {
    let (type_code, limit) = (i16::from(after.0), at_most(CHUNK_COMPANIONS_MAX));
    let rows = tx.rows(SELECT_COMPANIONS, &[&job.number, &account_id.0, &type_code, &SeqColumn(after.1), &limit]).await?;
    let listed = |row: &Row| {
        Ok(Listed {
            resource_type: row.try_get::<_, TypeColumn>(0)?.0,
            seq: seq(row, 1)?,
            id: row.try_get::<_, Option<IdColumn>>(2)?.map(|id| id.0),
            is_current: row.try_get(3)?,
            stored_bytes: number(row, 4)?,
            targets: cardinality(row, 5)?,
        })
    };
    rows.iter().map(listed).collect()
}

async fn cut_batches(planner: Planner<'_>, job: &JobRow, account_id: AccountId, limits: BatchLimits) -> Result<()> {
    // A Provenance can have thousands of targets, too, all of which are looked up again in the transaction of its batch.
    let limits = listed::smaller(limits);
    for resource_type in COMPANION_TYPES {
        let mut cutter = BatchCutter::new(resource_type, limits);
        let mut after = Some((resource_type.code(), Seq(0)));
        while let Some(start) = after {
            let mut listed = planner.read(|tx| async move { listed_from(&tx, job, account_id, start).await }).await?;
            let is_full = listed.len() == CHUNK_COMPANIONS_MAX;
            listed.retain(|companion| companion.resource_type == resource_type);
            after = listed.last().filter(|_| is_full).map(|last| (last.resource_type.code(), last.seq));
            let mut ranges: Vec<_> = listed.iter().filter_map(|companion| cutter.push(companion.seq, companion.stored_bytes)).collect();
            if after.is_none() {
                ranges.extend(std::mem::replace(&mut cutter, BatchCutter::new(resource_type, limits)).finish());
            }
            if !ranges.is_empty() {
                let ranges = &ranges;
                planner.write(|tx, job| async move { insert_batches(&tx, &job, account_id, BatchKind::Companions, ranges).await }).await?;
            }
        }
    }
    Ok(())
}

/// Removes one batch of companions, after looking at each once more: a write may have begun to need one since.
pub(super) async fn remove(tx: &Tx, job: &JobRow, row: BatchRow, now: Instant) -> crate::error::Result<Removed> {
    let mut on_list = Vec::new();
    for found in tx.rows(SELECT_BETWEEN, &listed::between(job, Role::Companion, row).values()).await? {
        on_list.push(Listed {
            resource_type: row.resource_type,
            seq: seq(&found, 0)?,
            id: found.try_get::<_, Option<IdColumn>>(1)?.map(|id| id.0),
            is_current: found.try_get(2)?,
            stored_bytes: 0,
            targets: cardinality(&found, 3)?,
        });
    }
    let mut neighbourhood = Neighbourhood::new(tx, job, row.account_id, now).await?;
    let kept = Kept::among(on_list, &mut neighbourhood).await?;
    unlist(tx, job, row.account_id, &kept).await?;
    let removed = listed::remove(tx, job, Role::Companion, row).await?;
    Ok(Removed { held: kept.held.len() as u64, ..removed })
}
