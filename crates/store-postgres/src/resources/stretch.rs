//! New versions that are stored together, with one statement for each table.

use std::collections::{BTreeMap, HashMap};

use lethe_auth::AccountId;
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_purge::Seq;
use lethe_store::{Change, ChangeKind};
use tokio_postgres::types::{ToSql, Type};

use super::write::EncodedWrite;
use crate::{
    columns::{IdColumn, InstantColumn, NumberColumn, SeqColumn, TypeColumn, kind_code, kind_from_code, number, seq},
    error::{Error, Result},
    transaction::Tx,
};

/// Current versions of several resources, without their content: place among them, seq, version_number, kind, last_updated_ms.
pub(crate) const SELECT_HEADS: &str = include_str!("../../sql/resources/current_heads.sql");
const REPLACE_VERSIONS: &str = include_str!("../../sql/resources/replace_versions.sql");
const COPY_VERSIONS: &str = include_str!("../../sql/resources/copy_versions.sql");
const INSERT_REFERENCES: &str = include_str!("../../sql/resources/insert_references.sql");

/// As [`COPY_VERSIONS`] names them.
const VERSION_COLUMNS: [Type; 14] = [
    Type::INT8,
    Type::INT2,
    Type::INT8,
    Type::BYTEA,
    Type::INT8,
    Type::INT8,
    Type::INT2,
    Type::INT8,
    Type::INT8,
    Type::BYTEA,
    Type::BYTEA_ARRAY,
    Type::INT8_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
];

/// Types about which a purge asks who refers to them.
const CAN_GO_ALONG: [ResourceType; 2] = [ResourceType::BINARY, ResourceType::PROVENANCE];

/// The current version of a resource, without its content.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub seq: Seq,
    pub version: u64,
    pub kind: ChangeKind,
    pub last_updated: Instant,
}

/// The current versions of the resources of some writes, as the writes change them.
pub(super) struct Heads<'a>(HashMap<(ResourceType, &'a LogicalId), Head>);

impl<'a> Heads<'a> {
    /// As they are stored.
    pub async fn read(tx: &Tx, account_id: AccountId, writes: &'a [EncodedWrite]) -> Result<Self> {
        let (types, ids): (Vec<_>, Vec<_>) =
            writes.iter().map(|write| (TypeColumn(write.resource_type), IdColumn(write.id.clone()))).unzip();
        let mut heads = HashMap::new();
        for row in tx.rows(SELECT_HEADS, &[&account_id.0, &types, &ids]).await? {
            // OK because places count from 1, and there are no more of them than writes.
            let Some(write) = writes.get(number(&row, 0)? as usize - 1) else { continue };
            let head = Head {
                seq: seq(&row, 1)?,
                version: number(&row, 2)?,
                kind: kind_from_code(row.try_get(3)?)?,
                last_updated: row.try_get::<_, InstantColumn>(4)?.0,
            };
            heads.insert((write.resource_type, &write.id), head);
        }
        Ok(Self(heads))
    }

    /// When the newest of them was stored.
    pub fn newest(&self) -> Instant {
        self.0.values().map(|head| head.last_updated).max().unwrap_or(Instant::from_unix_ms(0))
    }

    /// The current version that a write finds.
    pub fn of(&self, write: &'a EncodedWrite) -> Option<Head> {
        self.0.get(&(write.resource_type, &write.id)).copied()
    }

    /// What the next write of the same resource finds.
    pub fn set(&mut self, write: &'a EncodedWrite, head: Head) {
        self.0.insert((write.resource_type, &write.id), head);
    }
}

/// Versions that have their place, and are not stored yet.
pub(super) struct Stretch<'a> {
    account_id: AccountId,
    stored_on: Instant,
    /// In the order of their places.
    versions: Vec<NewVersion<'a>>,
    /// The stored versions that are current no longer, and what takes their place: in the order in which batches go through them, too.
    replaced: BTreeMap<ResourceType, BTreeMap<Seq, Seq>>,
}

struct NewVersion<'a> {
    write: &'a EncodedWrite,
    seq: Seq,
    version: u64,
    kind: ChangeKind,
    previous: Option<Seq>,
    /// By another of the same stretch.
    replaced_by: Option<Seq>,
}

impl<'a> Stretch<'a> {
    pub fn new(account_id: AccountId, stored_on: Instant) -> Self {
        Self { account_id, stored_on, versions: Vec::new(), replaced: BTreeMap::new() }
    }

    /// Adds the version that follows `head`; returns it as the new head.
    pub fn add(&mut self, write: &'a EncodedWrite, seq: Seq, kind: ChangeKind, head: Option<Head>) -> Head {
        if let Some(head) = head {
            match self.versions.binary_search_by_key(&head.seq, |version| version.seq) {
                Ok(place) => self.versions[place].replaced_by = Some(seq),
                Err(_) => {
                    self.replaced.entry(write.resource_type).or_default().insert(head.seq, seq);
                }
            }
        }
        let version = head.map_or(0, |head| head.version) + 1;
        self.versions.push(NewVersion { write, seq, version, kind, previous: head.map(|head| head.seq), replaced_by: None });
        Head { seq, version, kind, last_updated: self.stored_on }
    }

    /// Stores what was added since the last time.
    pub async fn store(&mut self, tx: &Tx) -> Result<()> {
        let versions = std::mem::take(&mut self.versions);
        if versions.is_empty() {
            return Ok(());
        }
        self.replace(tx).await?;
        self.copy(tx, &versions).await?;
        self.refer(tx, &versions).await
    }

    async fn replace(&mut self, tx: &Tx) -> Result<()> {
        for (resource_type, replaced) in std::mem::take(&mut self.replaced) {
            let (seqs, by): (Vec<_>, Vec<_>) = replaced.into_iter().map(|(seq, by)| (SeqColumn(seq), SeqColumn(by))).unzip();
            let changed = tx.execute(REPLACE_VERSIONS, &[&self.account_id.0, &TypeColumn(resource_type), &seqs, &by]).await?;
            // Somebody else has replaced or purged one since it was looked at.
            if changed != seqs.len() as u64 {
                return Err(Error::LostRace);
            }
        }
        Ok(())
    }

    async fn copy(&self, tx: &Tx, versions: &[NewVersion<'_>]) -> Result<()> {
        let (account, stored_on) = (self.account_id.0, InstantColumn(self.stored_on));
        let rows: Vec<_> = versions
            .iter()
            .map(|new| {
                // Only what is current is found by its values.
                let found_by = new.replaced_by.is_none().then_some(new.write);
                (
                    (TypeColumn(new.write.resource_type), SeqColumn(new.seq), IdColumn(new.write.id.clone())),
                    (NumberColumn(new.version), kind_code(new.kind), new.previous.map(SeqColumn), new.replaced_by.map(SeqColumn)),
                    new.write.stored_body.as_ref(),
                    found_by.and_then(|write| write.index_values.as_ref()),
                    found_by.and_then(|write| write.index_keys.as_ref()),
                    found_by.and_then(|write| write.words.as_ref()),
                    found_by.and_then(|write| write.provenance_targets.as_ref()),
                )
            })
            .collect();
        let columns =
            rows.iter().map(|((type_id, seq, id), (version, kind, previous, replaced_by), body, values, keys, words, targets)| {
                let columns: [&(dyn ToSql + Sync); 14] =
                    [&account, type_id, seq, id, version, &stored_on, kind, previous, replaced_by, body, values, keys, words, targets];
                columns
            });
        tx.copy(COPY_VERSIONS, &VERSION_COLUMNS, columns).await
    }

    /// Who refers to what a purge may take along: every version does.
    async fn refer(&self, tx: &Tx, versions: &[NewVersion<'_>]) -> Result<()> {
        let (mut source_types, mut seqs, mut target_types, mut ids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for new in versions {
            let Change::Put { index, .. } = &new.write.change else { continue };
            for reference in index.references.iter().filter(|reference| CAN_GO_ALONG.contains(&reference.resource_type)) {
                source_types.push(TypeColumn(new.write.resource_type));
                seqs.push(SeqColumn(new.seq));
                target_types.push(TypeColumn(reference.resource_type));
                ids.push(IdColumn(reference.id.clone()));
            }
        }
        if !seqs.is_empty() {
            tx.execute(INSERT_REFERENCES, &[&self.account_id.0, &source_types, &seqs, &target_types, &ids]).await?;
        }
        Ok(())
    }
}
