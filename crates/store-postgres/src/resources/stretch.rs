//! New versions that are stored together, with one statement for each table.

use std::collections::{BTreeMap, HashMap};

use lethe_auth::AccountId;
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_purge::Seq;
use lethe_search::ProvenanceTarget;
use lethe_store::{Change, ChangeKind};
use tokio_postgres::types::{ToSql, Type};

use super::write::{EncodedWrite, FOREIGN_TARGET_TYPE};
use crate::{
    columns::{IdColumn, InstantColumn, NumberColumn, SeqColumn, TypeColumn, kind_code, kind_from_code, number, seq},
    error::Result,
    transaction::Tx,
};

const SELECT_HEADS: &str = include_str!("../../sql/resources/current_heads.sql");
const REPLACE_VERSIONS: &str = include_str!("../../sql/resources/replace_versions.sql");
const COPY_VERSIONS: &str = include_str!("../../sql/resources/copy_versions.sql");
const POINT_RESOURCES: &str = include_str!("../../sql/resources/point_resources.sql");
const REPOINT_RESOURCES: &str = include_str!("../../sql/resources/repoint_resources.sql");
const INSERT_REFERENCES: &str = include_str!("../../sql/resources/insert_references.sql");
const INSERT_PROVENANCE_TARGETS: &str = include_str!("../../sql/resources/insert_provenance_targets.sql");
const DELETE_PROVENANCE_TARGETS: &str = include_str!("../../sql/resources/delete_provenance_targets.sql");

/// As [`COPY_VERSIONS`] names them.
const VERSION_COLUMNS: [Type; 13] = [
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
    /// Of each type, the stored versions that are current no longer, and what takes their place.
    replaced: BTreeMap<ResourceType, (Vec<SeqColumn>, Vec<SeqColumn>)>,
}

struct NewVersion<'a> {
    write: &'a EncodedWrite,
    seq: Seq,
    version: u64,
    kind: ChangeKind,
    previous: Option<Seq>,
    /// By another of the same stretch.
    replaced_by: Option<Seq>,
    /// Nothing was stored of the resource before this stretch.
    is_new: bool,
}

impl<'a> Stretch<'a> {
    pub fn new(account_id: AccountId, stored_on: Instant) -> Self {
        Self { account_id, stored_on, versions: Vec::new(), replaced: BTreeMap::new() }
    }

    /// Adds the version that follows `head`; returns it as the new head.
    pub fn add(&mut self, write: &'a EncodedWrite, seq: Seq, kind: ChangeKind, head: Option<Head>) -> Head {
        let mut is_new = head.is_none();
        if let Some(head) = head {
            match self.versions.binary_search_by_key(&head.seq, |version| version.seq) {
                Ok(place) => {
                    self.versions[place].replaced_by = Some(seq);
                    is_new = self.versions[place].is_new;
                }
                Err(_) => {
                    let (replaced, by) = self.replaced.entry(write.resource_type).or_default();
                    replaced.push(SeqColumn(head.seq));
                    by.push(SeqColumn(seq));
                }
            }
        }
        let version = head.map_or(0, |head| head.version) + 1;
        self.versions.push(NewVersion { write, seq, version, kind, previous: head.map(|head| head.seq), replaced_by: None, is_new });
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
        self.point(tx, &versions).await?;
        self.refer(tx, &versions).await
    }

    async fn replace(&mut self, tx: &Tx) -> Result<()> {
        for (resource_type, (replaced, by)) in std::mem::take(&mut self.replaced) {
            tx.execute(REPLACE_VERSIONS, &[&self.account_id.0, &TypeColumn(resource_type), &replaced, &by]).await?;
            if resource_type == ResourceType::PROVENANCE {
                tx.execute(DELETE_PROVENANCE_TARGETS, &[&self.account_id.0, &replaced]).await?;
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
                )
            })
            .collect();
        let columns = rows.iter().map(|((type_id, seq, id), (version, kind, previous, replaced_by), body, values, keys, words)| {
            let columns: [&(dyn ToSql + Sync); 13] =
                [&account, type_id, seq, id, version, &stored_on, kind, previous, replaced_by, body, values, keys, words];
            columns
        });
        tx.copy(COPY_VERSIONS, &VERSION_COLUMNS, columns).await
    }

    async fn point(&self, tx: &Tx, versions: &[NewVersion<'_>]) -> Result<()> {
        let current = || versions.iter().filter(|new| new.replaced_by.is_none());
        // What is there is not inserted again: while files are erased it may lie in another table, which an insert does not see.
        let mut known: BTreeMap<ResourceType, (Vec<IdColumn>, Vec<SeqColumn>)> = BTreeMap::new();
        for new in current().filter(|new| !new.is_new) {
            let (ids, seqs) = known.entry(new.write.resource_type).or_default();
            ids.push(IdColumn(new.write.id.clone()));
            seqs.push(SeqColumn(new.seq));
        }
        for (resource_type, (ids, seqs)) in known {
            tx.execute(REPOINT_RESOURCES, &[&self.account_id.0, &TypeColumn(resource_type), &ids, &seqs]).await?;
        }
        let (mut types, mut ids, mut seqs) = (Vec::new(), Vec::new(), Vec::new());
        for new in current().filter(|new| new.is_new) {
            types.push(TypeColumn(new.write.resource_type));
            ids.push(IdColumn(new.write.id.clone()));
            seqs.push(SeqColumn(new.seq));
        }
        if !types.is_empty() {
            tx.execute(POINT_RESOURCES, &[&self.account_id.0, &types, &ids, &seqs]).await?;
        }
        Ok(())
    }

    /// Who refers to what a purge may take along: every version does; a Provenance has its targets while it is current.
    async fn refer(&self, tx: &Tx, versions: &[NewVersion<'_>]) -> Result<()> {
        let (mut references, mut targets) = (Columns::default(), Columns::default());
        let mut source_types = Vec::new();
        for new in versions {
            let Change::Put { index, .. } = &new.write.change else { continue };
            for reference in index.references.iter().filter(|reference| CAN_GO_ALONG.contains(&reference.resource_type)) {
                source_types.push(TypeColumn(new.write.resource_type));
                references.push(new.seq, i16::from(reference.resource_type.code()), Some(&reference.id));
            }
            for target in index.provenance_targets.iter().filter(|_| new.replaced_by.is_none()) {
                match target {
                    ProvenanceTarget::Local(local) => targets.push(new.seq, i16::from(local.resource_type.code()), Some(&local.id)),
                    ProvenanceTarget::Foreign => targets.push(new.seq, FOREIGN_TARGET_TYPE, None),
                }
            }
        }
        let account = self.account_id.0;
        if !references.seqs.is_empty() {
            tx.execute(INSERT_REFERENCES, &[&account, &source_types, &references.seqs, &references.types, &references.ids]).await?;
        }
        if !targets.seqs.is_empty() {
            tx.execute(INSERT_PROVENANCE_TARGETS, &[&account, &targets.seqs, &targets.types, &targets.ids]).await?;
        }
        Ok(())
    }
}

/// From which version to what.
#[derive(Default)]
struct Columns {
    seqs: Vec<SeqColumn>,
    types: Vec<i16>,
    ids: Vec<Option<IdColumn>>,
}

impl Columns {
    fn push(&mut self, seq: Seq, type_code: i16, id: Option<&LogicalId>) {
        self.seqs.push(SeqColumn(seq));
        self.types.push(type_code);
        self.ids.push(id.cloned().map(IdColumn));
    }
}
