//! Writing: one transaction, one place in the order of commits for each version.

use std::collections::BTreeMap;

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_purge::Seq;
use lethe_search::{IndexEntries, ProvenanceTarget};
use lethe_store::{Change, ChangeKind, Expect, Guard, Write, WriteError, WriteOutcome};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::{
    SqliteStore,
    columns::{IdColumn, InstantColumn, SeqColumn, TypeColumn, encode_body, kind_code, kind_from_code},
    connections::Durability,
    error::{Error, Result},
    long_statements::within,
    searches,
};

use super::index_rows::{self, LastParts};

/// The current version of a resource, without its content: seq, version_number, kind, last_updated_ms.
pub(crate) const SELECT_HEAD: &str = include_str!("../../sql/resources/current_head.sql");
/// When a current version was stored.
pub(crate) const SELECT_VERSION_TIME: &str = include_str!("../../sql/resources/version_time.sql");
const SELECT_LAST_UPDATED: &str = include_str!("../../sql/resources/account_last_updated.sql");
const UPDATE_LAST_UPDATED: &str = include_str!("../../sql/resources/set_account_last_updated.sql");
const TAKE_SEQS: &str = include_str!("../../sql/resources/take_seqs.sql");
const REPLACE_VERSION: &str = include_str!("../../sql/resources/replace_version.sql");
const INSERT_VERSION: &str = include_str!("../../sql/resources/insert_version.sql");
const POINT_RESOURCE: &str = include_str!("../../sql/resources/point_resource.sql");
const INSERT_REFERENCE: &str = include_str!("../../sql/resources/insert_reference.sql");
const INSERT_PROVENANCE_TARGET: &str = include_str!("../../sql/resources/insert_provenance_target.sql");
const DELETE_PROVENANCE_TARGETS: &str = include_str!("../../sql/resources/delete_provenance_targets.sql");
const CHANGE_TOTAL: &str = include_str!("../../sql/resources/change_total.sql");
const INSERT_TOTAL: &str = include_str!("../../sql/resources/insert_total.sql");

/// A failed expectation of one write inside the transaction.
pub(crate) enum Failure {
    Write(WriteError),
}

impl From<Failure> for WriteError {
    fn from(Failure::Write(error): Failure) -> Self {
        error
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Write(WriteError::Store(error.into()))
    }
}

impl From<lethe_store::StoreError> for Failure {
    fn from(error: lethe_store::StoreError) -> Self {
        Self::Write(WriteError::Store(error))
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Error::from(error).into()
    }
}

pub(super) async fn write(
    store: &SqliteStore,
    account_id: AccountId,
    guards: Vec<Guard>,
    writes: Vec<Write>,
) -> std::result::Result<Vec<WriteOutcome>, WriteError> {
    let encoded = encode(writes).await?;
    let now = store.clock.now();
    store
        .connections
        .write(Durability::OnDisk, move |transaction| write_guarded(transaction, account_id, &guards, encoded, now))
        .await
        .map_err(WriteError::from)
}

/// Looks at each guard when its turn comes.
fn write_guarded(
    transaction: &Transaction<'_>,
    account_id: AccountId,
    guards: &[Guard],
    writes: Vec<EncodedWrite>,
    now: Instant,
) -> std::result::Result<Vec<WriteOutcome>, Failure> {
    let mut in_turn: Vec<(usize, &Guard)> = guards.iter().enumerate().collect();
    in_turn.sort_by_key(|(_, guard)| guard.after);
    let mut waiting = in_turn.into_iter().peekable();
    let mut look = |done: usize| -> std::result::Result<(), Failure> {
        while let Some((index, guard)) = waiting.next_if(|(_, guard)| guard.after <= done) {
            if !within(searches::GUARD_MAX, || searches::holds(transaction, account_id, guard))? {
                return Err(Failure::Write(WriteError::Guard(index)));
            }
        }
        Ok(())
    };
    let outcomes = write_in_turn(transaction, account_id, writes, now, &mut look)?;
    look(usize::MAX)?;
    Ok(outcomes)
}

/// Compressing is the larger part of the work: it is done before the writers' lock is taken.
pub(crate) async fn encode(writes: Vec<Write>) -> std::result::Result<Vec<EncodedWrite>, WriteError> {
    tokio::task::spawn_blocking(move || writes.into_iter().map(EncodedWrite::from).collect())
        .await
        .map_err(|join| WriteError::Store(lethe_store::StoreError::Failed(Box::new(join))))
}

/// A write whose body is in its stored form.
pub(crate) struct EncodedWrite {
    write: Write,
    stored_body: Option<Vec<u8>>,
}

impl From<Write> for EncodedWrite {
    fn from(write: Write) -> Self {
        let stored_body = match &write.change {
            Change::Put { body, .. } => Some(encode_body(body)),
            Change::Delete => None,
        };
        Self { write, stored_body }
    }
}

/// Does all of `writes` within a transaction that the caller commits or gives up.
pub(crate) fn write_all(
    transaction: &Transaction<'_>,
    account_id: AccountId,
    writes: Vec<EncodedWrite>,
    now: Instant,
) -> std::result::Result<Vec<WriteOutcome>, Failure> {
    write_in_turn(transaction, account_id, writes, now, &mut |_| Ok(()))
}

/// As [`write_all`]; before each write, `look` is told how many are done.
fn write_in_turn(
    transaction: &Transaction<'_>,
    account_id: AccountId,
    writes: Vec<EncodedWrite>,
    now: Instant,
    look: &mut dyn FnMut(usize) -> std::result::Result<(), Failure>,
) -> std::result::Result<Vec<WriteOutcome>, Failure> {
    let last_updated =
        transaction.prepare_cached(SELECT_LAST_UPDATED)?.query_row([account_id.0], |row| row.get::<_, InstantColumn>(0)).optional()?;
    let Some(InstantColumn(account_last_updated)) = last_updated else {
        return Err(Failure::Write(WriteError::NoAccount(account_id)));
    };
    let stored_on = now.max(account_last_updated);
    let last_seq: u64 = transaction.prepare_cached(TAKE_SEQS)?.query_row([writes.len() as i64], |row| row.get(0))?;
    let mut seq = Seq(last_seq - writes.len() as u64);
    let mut book = Book::default();
    let mut outcomes = Vec::with_capacity(writes.len());
    for (index, write) in writes.into_iter().enumerate() {
        look(index)?;
        seq = Seq(seq.0 + 1);
        outcomes.push(write_one(transaction, Place { account_id, seq, stored_on }, write, index, &mut book)?);
    }
    for (resource_type, change) in book.totals {
        add_to_total(transaction, account_id, resource_type, change)?;
    }
    book.parts.store(transaction, account_id)?;
    transaction.prepare_cached(UPDATE_LAST_UPDATED)?.execute(params![account_id.0, InstantColumn(stored_on)])?;
    Ok(outcomes)
}

/// What is counted in a transaction and stored at its end.
#[derive(Default)]
struct Book {
    totals: BTreeMap<ResourceType, i64>,
    parts: LastParts,
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

fn write_one(
    transaction: &Transaction<'_>,
    place: Place,
    EncodedWrite { write, stored_body }: EncodedWrite,
    index: usize,
    book: &mut Book,
) -> std::result::Result<WriteOutcome, Failure> {
    let head = head(transaction, place.account_id, &write)?;
    let is_as_expected = match write.expect {
        Expect::Anything => true,
        Expect::Version(expected) => head.as_ref().is_some_and(|head| head.version == expected && head.kind != ChangeKind::Delete),
        Expect::Absent => head.is_none(),
    };
    if !is_as_expected {
        let current = head.filter(|head| head.kind != ChangeKind::Delete).map(|head| head.version);
        return Err(Failure::Write(WriteError::Expectation { index, current }));
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
    *book.totals.entry(write.resource_type).or_insert(0) += match kind {
        ChangeKind::Create => 1,
        ChangeKind::Update => 0,
        ChangeKind::Delete => -1,
    };
    let version = head.as_ref().map_or(0, |head| head.version) + 1;
    let (account, type_id, seq) = (place.account_id.0, TypeColumn(write.resource_type), SeqColumn(place.seq));
    if let Some(head) = &head {
        index_rows::delete(transaction, place.account_id, write.resource_type, head.seq)?;
        transaction.prepare_cached(REPLACE_VERSION)?.execute(params![account, type_id, SeqColumn(head.seq), seq])?;
        if write.resource_type == ResourceType::PROVENANCE {
            transaction.prepare_cached(DELETE_PROVENANCE_TARGETS)?.execute(params![account, SeqColumn(head.seq)])?;
        }
    }
    let id = IdColumn(write.id);
    transaction.prepare_cached(INSERT_VERSION)?.execute(params![
        account,
        type_id,
        seq,
        id,
        version,
        InstantColumn(place.stored_on),
        kind_code(kind),
        head.map(|head| SeqColumn(head.seq)),
        stored_body,
        match &write.change {
            Change::Put { index, .. } => Some(index.values.as_bytes()),
            Change::Delete => None,
        }
    ])?;
    transaction.prepare_cached(POINT_RESOURCE)?.execute(params![account, type_id, id, seq])?;
    if let Change::Put { index, .. } = &write.change {
        insert_index(transaction, place, write.resource_type, index)?;
        index_rows::insert(transaction, &mut book.parts, place.account_id, write.resource_type, place.seq, &index.values)?;
    }
    Ok(WriteOutcome { kind: Some(kind), version, last_updated: place.stored_on })
}

fn head(transaction: &Transaction<'_>, account_id: AccountId, write: &Write) -> Result<Option<Head>> {
    let mut statement = transaction.prepare_cached(SELECT_HEAD)?;
    let row = statement
        .query_row(params![account_id.0, TypeColumn(write.resource_type), IdColumn(write.id.clone())], |row| {
            Ok((row.get::<_, SeqColumn>(0)?.0, row.get(1)?, row.get::<_, u8>(2)?, row.get::<_, InstantColumn>(3)?.0))
        })
        .optional()?;
    row.map(|(seq, version, kind, last_updated)| Ok(Head { seq, version, kind: kind_from_code(kind)?, last_updated })).transpose()
}

/// Types about which a purge asks who refers to them.
const CAN_GO_ALONG: [ResourceType; 2] = [ResourceType::BINARY, ResourceType::PROVENANCE];

fn insert_index(transaction: &Transaction<'_>, place: Place, source_type: ResourceType, index: &IndexEntries) -> Result<()> {
    let (account, seq) = (place.account_id.0, SeqColumn(place.seq));
    let mut insert = transaction.prepare_cached(INSERT_REFERENCE)?;
    for reference in index.references.iter().filter(|reference| CAN_GO_ALONG.contains(&reference.resource_type)) {
        insert.execute(params![
            account,
            TypeColumn(source_type),
            TypeColumn(reference.resource_type),
            IdColumn(reference.id.clone()),
            seq
        ])?;
    }
    if !index.provenance_targets.is_empty() {
        let mut insert = transaction.prepare_cached(INSERT_PROVENANCE_TARGET)?;
        for target in &index.provenance_targets {
            match target {
                ProvenanceTarget::Local(local) => {
                    insert.execute(params![account, seq, TypeColumn(local.resource_type), IdColumn(local.id.clone())])?
                }
                ProvenanceTarget::Foreign => insert.execute(params![account, seq, FOREIGN_TARGET_TYPE, ""])?,
            };
        }
    }
    Ok(())
}

/// `provenance_target.target_type_id` of a target that is not here; no resource type has this code.
pub(crate) const FOREIGN_TARGET_TYPE: u8 = 0;

/// Adds to the number of current resources of a type.
pub(crate) fn add_to_total(connection: &Connection, account_id: AccountId, resource_type: ResourceType, change: i64) -> Result<()> {
    let row = params![account_id.0, TypeColumn(resource_type), change];
    if connection.prepare_cached(CHANGE_TOTAL)?.execute(row)? == 0 {
        connection.prepare_cached(INSERT_TOTAL)?.execute(row)?;
    }
    Ok(())
}
