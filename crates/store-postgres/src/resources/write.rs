//! Writing: one transaction, one place in the order of commits for each version.

use std::collections::BTreeMap;

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_search::DistinctWords;
use lethe_store::{Change, ChangeKind, Expect, Guard, StoreError, Write, WriteError, WriteOutcome};

use super::{
    lock_account,
    stretch::{Head, Heads, Stretch},
};
use crate::{
    PostgresStore,
    columns::{InstantColumn, NumberColumn, SeqColumn, TypeColumn, encode_body, seq},
    connections::Durability,
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
const SET_ORDER: &str = include_str!("../../sql/resources/set_commit_order.sql");
const CHANGE_TOTAL: &str = include_str!("../../sql/resources/change_total.sql");
const INSERT_TOTAL: &str = include_str!("../../sql/resources/insert_total.sql");

pub(super) async fn write(
    store: &PostgresStore,
    account_id: AccountId,
    guards: Vec<Guard>,
    writes: Vec<Write>,
) -> std::result::Result<Vec<WriteOutcome>, WriteError> {
    let encoded = encode(account_id, writes).await?;
    let now = store.clock.now();
    Ok(store.connections.write(Durability::OnDisk, |tx| write_guarded(tx, account_id, &guards, &encoded, now)).await?)
}

async fn write_guarded(
    tx: Tx,
    account_id: AccountId,
    guards: &[Guard],
    writes: &[EncodedWrite],
    now: Instant,
) -> Result<Vec<WriteOutcome>> {
    write_in_turn(&tx, account_id, writes, now, Guards::of(guards)).await
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
pub(crate) async fn write_all(tx: &Tx, account_id: AccountId, writes: &[EncodedWrite], now: Instant) -> Result<Vec<WriteOutcome>> {
    write_in_turn(tx, account_id, writes, now, Guards::of(&[])).await
}

/// As [`write_all`]; before each write, the guards whose turn it is are looked at.
async fn write_in_turn(
    tx: &Tx,
    account_id: AccountId,
    writes: &[EncodedWrite],
    now: Instant,
    mut guards: Guards<'_>,
) -> Result<Vec<WriteOutcome>> {
    let account_last_updated = lock_account(tx, account_id).await?;
    let stored_on = now.max(account_last_updated);
    let seqs = tx.rows(TAKE_SEQS, &[&NumberColumn(writes.len() as u64)]).await?;
    let mut heads = Heads::read(tx, account_id, writes).await?;
    let mut stretch = Stretch::new(account_id, stored_on);
    let mut totals = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(writes.len());
    let mut last_seq = None;
    for ((index, write), row) in writes.iter().enumerate().zip(&seqs) {
        if guards.has_turn(index) {
            stretch.store(tx).await?;
            guards.look(tx, account_id, index).await?;
        }
        let seq = seq(row, 0)?;
        last_seq = Some(seq);
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
            None => WriteOutcome {
                kind: None,
                version: head.map_or(0, |head| head.version),
                last_updated: head.map_or(stored_on, |head| head.last_updated),
            },
        };
        outcomes.push(outcome);
    }
    stretch.store(tx).await?;
    for (resource_type, change) in totals {
        add_to_total(tx, account_id, resource_type, change).await?;
    }
    if let Some(last_seq) = last_seq {
        tx.execute(SET_ORDER, &[&account_id.0, &SeqColumn(last_seq), &InstantColumn(stored_on)]).await?;
    }
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

/// Adds to the number of current resources of a type.
pub(crate) async fn add_to_total(tx: &Tx, account_id: AccountId, resource_type: ResourceType, change: i64) -> Result<()> {
    if tx.execute(CHANGE_TOTAL, &[&account_id.0, &TypeColumn(resource_type), &change]).await? == 0 {
        tx.execute(INSERT_TOTAL, &[&account_id.0, &TypeColumn(resource_type), &change]).await?;
    }
    Ok(())
}
