//! Writing: one transaction, one place in the order of commits for each version.

use std::collections::BTreeMap;

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_purge::Seq;
use lethe_search::{DistinctWords, IndexEntries, ProvenanceTarget};
use lethe_store::{Change, ChangeKind, Expect, Guard, StoreError, Write, WriteError, WriteOutcome};

use super::lock_account;
use crate::{
    PostgresStore,
    columns::{IdColumn, InstantColumn, NumberColumn, SeqColumn, TypeColumn, encode_body, kind_code, kind_from_code, number, seq},
    connections::Durability,
    error::{Error, Result},
    index_columns::{IndexValuesColumn, WordsColumn},
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
const REPLACE_VERSION: &str = include_str!("../../sql/resources/replace_version.sql");
const INSERT_VERSION: &str = include_str!("../../sql/resources/insert_version.sql");
const POINT_RESOURCE: &str = include_str!("../../sql/resources/point_resource.sql");
const INSERT_REFERENCES: &str = include_str!("../../sql/resources/insert_references.sql");
const INSERT_PROVENANCE_TARGETS: &str = include_str!("../../sql/resources/insert_provenance_targets.sql");
const DELETE_PROVENANCE_TARGETS: &str = include_str!("../../sql/resources/delete_provenance_targets.sql");
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
    stored_body: Option<Vec<u8>>,
    words: Option<WordsColumn>,
    index_keys: Option<Vec<i64>>,
}

impl EncodedWrite {
    fn of(account_id: AccountId, write: Write) -> Self {
        let (body, index_keys) = match &write.change {
            Change::Put { body, index, .. } => (Some(body), Some(keys_of(account_id, write.resource_type, &index.values))),
            Change::Delete => (None, None),
        };
        let (stored_body, words) = (body.map(encode_body), body.map(|body| WordsColumn(DistinctWords::of(body.as_bytes()))));
        Self { write, stored_body, words, index_keys }
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
    let mut totals = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(writes.len());
    let mut last_seq = None;
    for ((index, write), row) in writes.iter().enumerate().zip(&seqs) {
        guards.look(tx, account_id, index).await?;
        let seq = seq(row, 0)?;
        last_seq = Some(seq);
        outcomes.push(write_one(tx, Place { account_id, seq, stored_on }, write, index, &mut totals).await?);
    }
    for (resource_type, change) in totals {
        add_to_total(tx, account_id, resource_type, change).await?;
    }
    if let Some(last_seq) = last_seq {
        tx.execute(SET_ORDER, &[&account_id.0, &SeqColumn(last_seq), &InstantColumn(stored_on)]).await?;
    }
    guards.look(tx, account_id, usize::MAX).await?;
    Ok(outcomes)
}

/// Where a new version goes.
#[derive(Clone, Copy)]
struct Place {
    account_id: AccountId,
    seq: Seq,
    stored_on: Instant,
}

/// The current version of a resource, without its content.
struct Head {
    seq: Seq,
    version: u64,
    kind: ChangeKind,
    last_updated: Instant,
}

async fn write_one(
    tx: &Tx,
    place: Place,
    EncodedWrite { write, stored_body, words, index_keys }: &EncodedWrite,
    index: usize,
    totals: &mut BTreeMap<ResourceType, i64>,
) -> Result<WriteOutcome> {
    let head = head(tx, place.account_id, write).await?;
    let is_as_expected = match write.expect {
        Expect::Anything => true,
        Expect::Version(expected) => head.as_ref().is_some_and(|head| head.version == expected && head.kind != ChangeKind::Delete),
        Expect::Absent => head.is_none(),
    };
    if !is_as_expected {
        let current = head.filter(|head| head.kind != ChangeKind::Delete).map(|head| head.version);
        return Err(Error::Write(WriteError::Expectation { index, current }));
    }
    let is_live = head.as_ref().is_some_and(|head| head.kind != ChangeKind::Delete);
    let kind = match (&write.change, is_live) {
        (Change::Put { .. }, false) => ChangeKind::Create,
        (Change::Put { .. }, true) => ChangeKind::Update,
        (Change::Delete, true) => ChangeKind::Delete,
        (Change::Delete, false) => {
            return Ok(match head {
                Some(head) => WriteOutcome { kind: None, version: head.version, last_updated: head.last_updated },
                None => WriteOutcome { kind: None, version: 0, last_updated: place.stored_on },
            });
        }
    };
    *totals.entry(write.resource_type).or_insert(0) += match kind {
        ChangeKind::Create => 1,
        ChangeKind::Update => 0,
        ChangeKind::Delete => -1,
    };
    let version = head.as_ref().map_or(0, |head| head.version) + 1;
    let (account, type_id, seq) = (place.account_id.0, TypeColumn(write.resource_type), SeqColumn(place.seq));
    if let Some(head) = &head {
        tx.execute(REPLACE_VERSION, &[&account, &type_id, &SeqColumn(head.seq), &seq]).await?;
        if write.resource_type == ResourceType::PROVENANCE {
            tx.execute(DELETE_PROVENANCE_TARGETS, &[&account, &SeqColumn(head.seq)]).await?;
        }
    }
    let id = IdColumn(write.id.clone());
    let index_values = match &write.change {
        Change::Put { index, .. } => Some(IndexValuesColumn(index.values.clone())),
        Change::Delete => None,
    };
    tx.execute(
        INSERT_VERSION,
        &[
            &account,
            &type_id,
            &seq,
            &id,
            &NumberColumn(version),
            &InstantColumn(place.stored_on),
            &kind_code(kind),
            &head.map(|head| SeqColumn(head.seq)),
            stored_body,
            &index_values,
            index_keys,
            words,
        ],
    )
    .await?;
    tx.execute(POINT_RESOURCE, &[&account, &type_id, &id, &seq]).await?;
    if let Change::Put { index, .. } = &write.change {
        insert_index(tx, place, write.resource_type, index).await?;
    }
    Ok(WriteOutcome { kind: Some(kind), version, last_updated: place.stored_on })
}

async fn head(tx: &Tx, account_id: AccountId, write: &Write) -> Result<Option<Head>> {
    let row = tx.row_if_any(SELECT_HEAD, &[&account_id.0, &TypeColumn(write.resource_type), &IdColumn(write.id.clone())]).await?;
    row.map(|row| {
        Ok(Head {
            seq: seq(&row, 0)?,
            version: number(&row, 1)?,
            kind: kind_from_code(row.try_get(2)?)?,
            last_updated: row.try_get::<_, InstantColumn>(3)?.0,
        })
    })
    .transpose()
}

/// Types about which a purge asks who refers to them.
const CAN_GO_ALONG: [ResourceType; 2] = [ResourceType::BINARY, ResourceType::PROVENANCE];

async fn insert_index(tx: &Tx, place: Place, source_type: ResourceType, index: &IndexEntries) -> Result<()> {
    let (account, seq) = (place.account_id.0, SeqColumn(place.seq));
    let asked_for = index.references.iter().filter(|reference| CAN_GO_ALONG.contains(&reference.resource_type));
    let (types, ids): (Vec<_>, Vec<_>) =
        asked_for.map(|reference| (TypeColumn(reference.resource_type), IdColumn(reference.id.clone()))).unzip();
    if !types.is_empty() {
        tx.execute(INSERT_REFERENCES, &[&account, &TypeColumn(source_type), &types, &ids, &seq]).await?;
    }
    let target = |target: &ProvenanceTarget| match target {
        ProvenanceTarget::Local(local) => (i16::from(local.resource_type.code()), Some(IdColumn(local.id.clone()))),
        ProvenanceTarget::Foreign => (FOREIGN_TARGET_TYPE, None),
    };
    let (types, ids): (Vec<_>, Vec<_>) = index.provenance_targets.iter().map(target).unzip();
    if !types.is_empty() {
        tx.execute(INSERT_PROVENANCE_TARGETS, &[&account, &seq, &types, &ids]).await?;
    }
    Ok(())
}

/// `provenance_target.target_type_id` of a target that is not here; no resource type has this code.
pub(crate) const FOREIGN_TARGET_TYPE: i16 = 0;

/// Adds to the number of current resources of a type.
pub(crate) async fn add_to_total(tx: &Tx, account_id: AccountId, resource_type: ResourceType, change: i64) -> Result<()> {
    if tx.execute(CHANGE_TOTAL, &[&account_id.0, &TypeColumn(resource_type), &change]).await? == 0 {
        tx.execute(INSERT_TOTAL, &[&account_id.0, &TypeColumn(resource_type), &change]).await?;
    }
    Ok(())
}
