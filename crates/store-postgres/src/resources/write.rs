//! Writing: one transaction, one place in the order of commits for each version.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_search::DistinctWords;
use lethe_store::{Change, ChangeKind, Clock, Expect, Guard, StoreError, Write, WriteError, WriteOutcome};

use tokio_postgres::types::ToSql;

use super::{
    Lock, lock_account, lock_account_shared,
    stretch::{Head, Heads, Stretch},
};
use crate::{
    PostgresStore,
    columns::{InstantColumn, NumberColumn, TypeColumn, encode_body, seq},
    connections::{Connections, Durability},
    error::{Error, Result},
    index_columns::{IndexValuesColumn, TargetsColumn, WordsColumn},
    index_keys::keys_of,
    searches,
    time_limit::within,
    transaction::Tx,
};

/// The current version of a resource, without its content: seq, version_number, kind, last_updated_ms.
pub(crate) const SELECT_HEAD: &str = include_str!("../../sql/resources/current_head.sql");
/// When a current version was stored.
pub(crate) const SELECT_VERSION_TIME: &str = include_str!("../../sql/resources/version_time.sql");
const TAKE_SEQS: &str = include_str!("../../sql/resources/take_seqs.sql");
const SELECT_NEWEST_TIME: &str = include_str!("../../sql/resources/newest_time.sql");
const RAISE_TIMES: &str = include_str!("../../sql/resources/raise_times.sql");
const CHANGE_TOTALS: &str = include_str!("../../sql/resources/change_totals.sql");
const INSERT_TOTALS: &str = include_str!("../../sql/resources/insert_totals.sql");

/// Writers who share an account's lock may get their places in another order than their times, if their times are no further apart than this: whoever
/// would be later takes the lock alone, and raises what times begin from.
pub(crate) const DISORDER_MAX_MS: i64 = 3_600_000;

/// Who else may write to the account at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    Others,
    Nobody,
}

/// Runs `work`, which writes to an account, beside others who do; once more beside nobody if they were in its way.
pub(crate) async fn write_beside_others<T, F, Done>(connections: &Connections, durability: Durability, work: F) -> Result<T>
where
    F: Fn(Tx, Beside) -> Done,
    Done: Future<Output = Result<T>>,
{
    match connections.write(durability, |tx| work(tx, Beside::Others)).await {
        Err(error) if error.is_lost_race() || error.is_conflict() => connections.write(durability, |tx| work(tx, Beside::Nobody)).await,
        done => done,
    }
}

pub(super) async fn write(
    store: &PostgresStore,
    account_id: AccountId,
    guards: Vec<Guard>,
    writes: Vec<Write>,
) -> std::result::Result<Vec<WriteOutcome>, WriteError> {
    let encoded = encode(account_id, writes).await?;
    let (connections, clock) = (&store.connections, &*store.clock);
    let (guards, encoded) = (&guards, &encoded);
    let write = |tx: Tx, beside| async move { write_in_turn(&tx, account_id, encoded, clock, beside, Guards::of(guards)).await };
    Ok(if guards.is_empty() {
        write_beside_others(connections, Durability::OnDisk, write).await?
    } else {
        // What a guard has looked at must stay so.
        connections.write(Durability::OnDisk, |tx| write(tx, Beside::Nobody)).await?
    })
}

/// Guards that wait for their turn.
struct Guards<'a> {
    in_turn: std::iter::Peekable<std::vec::IntoIter<(usize, &'a Guard)>>,
}

impl<'a> Guards<'a> {
    fn of(guards: &'a [Guard]) -> Self {
        let mut in_turn: Vec<(usize, &Guard)> = guards.iter().enumerate().collect();
        in_turn.sort_by_key(|(_, guard)| guard.after);
        Self { in_turn: in_turn.into_iter().peekable() }
    }

    fn has_turn(&mut self, done: usize) -> bool {
        self.in_turn.peek().is_some_and(|(_, guard)| guard.after <= done)
    }

    /// Looks at those whose turn it is when so many writes are done.
    async fn look(&mut self, tx: &Tx, account_id: AccountId, done: usize) -> Result<()> {
        while let Some((index, guard)) = self.in_turn.next_if(|(_, guard)| guard.after <= done) {
            if !within(tx, searches::GUARD_MAX, searches::holds(tx, account_id, guard)).await? {
                return Err(Error::Write(WriteError::Guard(index)));
            }
        }
        Ok(())
    }
}

/// Compressing and hashing is the larger part of the work: it is done before the account's lock is taken.
pub(crate) async fn encode(account_id: AccountId, writes: Vec<Write>) -> std::result::Result<Vec<EncodedWrite>, WriteError> {
    tokio::task::spawn_blocking(move || writes.into_iter().map(|write| EncodedWrite::of(account_id, write)).collect())
        .await
        .map_err(|join| WriteError::Store(StoreError::Failed(Box::new(join))))
}

/// A write whose body is in its stored form, and whose words and keys are known.
pub(crate) struct EncodedWrite {
    write: Write,
    pub(super) stored_body: Option<Vec<u8>>,
    pub(super) index_values: Option<IndexValuesColumn>,
    pub(super) index_keys: Option<Vec<i64>>,
    pub(super) words: Option<WordsColumn>,
    pub(super) provenance_targets: Option<TargetsColumn>,
}

impl std::ops::Deref for EncodedWrite {
    type Target = Write;

    fn deref(&self) -> &Write {
        &self.write
    }
}

impl EncodedWrite {
    fn of(account_id: AccountId, mut write: Write) -> Self {
        let resource_type = write.resource_type;
        let (stored_body, index_values, index_keys, words, provenance_targets) = match &mut write.change {
            Change::Put { body, index, .. } => {
                let values = std::mem::take(&mut index.values);
                let keys = keys_of(account_id, resource_type, &values);
                let words = WordsColumn(DistinctWords::of(body.as_bytes()));
                let targets = std::mem::take(&mut index.provenance_targets);
                let targets = (!targets.is_empty()).then(|| TargetsColumn(targets.into_iter().collect()));
                (Some(encode_body(body)), Some(IndexValuesColumn(values)), Some(keys), Some(words), targets)
            }
            Change::Delete => (None, None, None, None, None),
        };
        Self { write, stored_body, index_values, index_keys, words, provenance_targets }
    }
}

/// Does all of `writes` within a transaction that the caller commits or gives up.
///
/// # Errors
/// Beside others, that they were in the way ([`Error::is_lost_race`]).
pub(crate) async fn write_all(
    tx: &Tx,
    account_id: AccountId,
    writes: &[EncodedWrite],
    clock: &dyn Clock,
    beside: Beside,
) -> Result<Vec<WriteOutcome>> {
    write_in_turn(tx, account_id, writes, clock, beside, Guards::of(&[])).await
}

/// As [`write_all`]; before each write, the guards whose turn it is are looked at.
async fn write_in_turn(
    tx: &Tx,
    account_id: AccountId,
    writes: &[EncodedWrite],
    clock: &dyn Clock,
    beside: Beside,
    mut guards: Guards<'_>,
) -> Result<Vec<WriteOutcome>> {
    let lock = match beside {
        Beside::Others => lock_account_shared(tx, account_id).await?,
        Beside::Nobody => lock_account(tx, account_id).await?,
    };
    // Places are taken behind the look at what they replace: whatever of it has changed since is found when it is replaced.
    let mut heads = Heads::read(tx, account_id, writes).await?;
    let (newest, places) = ([&account_id.0 as &(dyn ToSql + Sync)], NumberColumn(writes.len() as u64));
    let (newest, seqs) = tokio::try_join!(tx.row(SELECT_NEWEST_TIME, &newest), async { tx.rows(TAKE_SEQS, &[&places]).await })?;
    let newest = newest.try_get::<_, InstantColumn>(0)?.0.max(heads.newest());
    let stored_on = clock.now().max(lock.times_from).max(newest);
    match beside {
        Beside::Others if stored_on > lock.times_from.plus_ms(DISORDER_MAX_MS) => return Err(Error::LostRace),
        Beside::Others => (),
        Beside::Nobody => drop(tx.execute(RAISE_TIMES, &[&account_id.0, &InstantColumn(stored_on)]).await?),
    }
    let mut stretch = Stretch::new(account_id, stored_on);
    let mut totals = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(writes.len());
    for ((index, write), row) in writes.iter().enumerate().zip(&seqs) {
        if guards.has_turn(index) {
            stretch.store(tx).await?;
            guards.look(tx, account_id, index).await?;
        }
        let seq = seq(row, 0)?;
        let head = heads.of(write);
        let outcome = match kind_of(write, head, index)? {
            Some(kind) => {
                *totals.entry(write.resource_type).or_insert(0) += match kind {
                    ChangeKind::Create => 1,
                    ChangeKind::Update => 0,
                    ChangeKind::Delete => -1,
                };
                let head = stretch.add(write, seq, kind, head);
                heads.set(write, head);
                WriteOutcome { kind: Some(kind), version: head.version, last_updated: stored_on }
            }
            // Another may write what this one has found nothing to do about, and look at what this one writes.
            None if beside == Beside::Others && writes.len() > 1 => return Err(Error::LostRace),
            None => WriteOutcome {
                kind: None,
                version: head.map_or(0, |head| head.version),
                last_updated: head.map_or(stored_on, |head| head.last_updated),
            },
        };
        outcomes.push(outcome);
    }
    stretch.store(tx).await?;
    change_totals(tx, account_id, lock, &totals, stored_on).await?;
    guards.look(tx, account_id, usize::MAX).await?;
    Ok(outcomes)
}

/// What a write does to what it finds; `None`: nothing.
fn kind_of(write: &Write, head: Option<Head>, index: usize) -> Result<Option<ChangeKind>> {
    let live = head.filter(|head| head.kind != ChangeKind::Delete);
    let is_as_expected = match write.expect {
        Expect::Anything => true,
        Expect::Version(expected) => live.is_some_and(|head| head.version == expected),
        Expect::Absent => head.is_none(),
    };
    if !is_as_expected {
        return Err(Error::Write(WriteError::Expectation { index, current: live.map(|head| head.version) }));
    }
    Ok(match (&write.change, live) {
        (Change::Put { .. }, None) => Some(ChangeKind::Create),
        (Change::Put { .. }, Some(_)) => Some(ChangeKind::Update),
        (Change::Delete, Some(_)) => Some(ChangeKind::Delete),
        (Change::Delete, None) => None,
    })
}

/// Adds to the numbers of current resources of some types, when the newest of them was stored on `stored_on`. What each connection does last: others who
/// have its lane wait from here on.
async fn change_totals(
    tx: &Tx,
    account_id: AccountId,
    lock: Lock,
    changes: &BTreeMap<ResourceType, i64>,
    stored_on: Instant,
) -> Result<()> {
    let stored_on = InstantColumn(stored_on);
    let (types, numbers): (Vec<_>, Vec<_>) = changes.iter().map(|(of_type, change)| (TypeColumn(*of_type), *change)).unzip();
    let changed = tx.rows(CHANGE_TOTALS, &[&account_id.0, &lock.lane, &types, &numbers, &stored_on]).await?;
    if changed.len() == changes.len() {
        return Ok(());
    }
    let changed = changed.iter().map(|row| Ok(row.try_get::<_, TypeColumn>(0)?.0)).collect::<Result<BTreeSet<_>>>()?;
    let missing = changes.iter().filter(|(of_type, _)| !changed.contains(of_type));
    let (types, numbers): (Vec<_>, Vec<_>) = missing.map(|(of_type, change)| (TypeColumn(*of_type), *change)).unzip();
    tx.execute(INSERT_TOTALS, &[&account_id.0, &lock.lane, &types, &numbers, &stored_on]).await?;
    Ok(())
}

/// Takes from the number of current resources of a type.
pub(crate) async fn take_from_total(tx: &Tx, account_id: AccountId, lock: Lock, resource_type: ResourceType, resources: u64) -> Result<()> {
    // No version is newer for it.
    let stored_on = Instant::from_unix_ms(0);
    change_totals(tx, account_id, lock, &[(resource_type, -(resources as i64))].into(), stored_on).await
}
