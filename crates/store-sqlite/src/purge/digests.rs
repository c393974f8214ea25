//! Digests of what a batch deletes, written in its transaction: what a proof of a single deletion is made from.

use lethe_auth::AccountId;
use lethe_certificate::{
    digest::DigestKey,
    tree::{Hash, Tree},
};
use lethe_fhir::ResourceType;
use lethe_purge::Seq;
use lethe_store::StoreError;
use rusqlite::{Connection, OptionalExtension, Params, Transaction, params, types::ValueRef};
use uuid::Uuid;

use crate::{columns::SeqColumn, error::Result};

const SELECT_KEY: &str = include_str!("../../sql/purge/digest_key.sql");
const INSERT: &str = include_str!("../../sql/purge/insert_digests.sql");

/// Bytes of a digest.
pub(super) const DIGEST_BYTES: usize = 32;

/// The digests of one batch, in the order of deletion, with their tree.
#[derive(Default)]
pub(super) struct Digests {
    bytes: Vec<u8>,
    tree: Tree,
    seqs: Vec<Seq>,
}

/// The key of a job; `None` if it was forgotten.
pub(super) fn key(connection: &Connection, number: i64) -> Result<Option<DigestKey>> {
    let stored: Option<[u8; DigestKey::BYTES]> = connection.prepare_cached(SELECT_KEY)?.query_row([number], |row| row.get(0)).optional()?;
    Ok(stored.map(|bytes| DigestKey::new(&bytes)))
}

impl Digests {
    /// The digests of the ids that a statement gives, each with its place.
    ///
    /// # Errors
    /// The job has no key, which only a job that has ended can be without.
    pub(super) fn of(
        tx: &Transaction<'_>,
        number: i64,
        account_id: AccountId,
        resource_type: ResourceType,
        select_ids: &str,
        range: impl Params,
    ) -> Result<Self> {
        let key = key(tx, number)?.ok_or_else(|| StoreError::NotUnderstood("a job that runs without the key of its digests".to_owned()))?;
        let mut digests = Self::default();
        let mut names = Names::of(account_id, resource_type);
        let mut statement = tx.prepare_cached(select_ids)?;
        let mut rows = statement.query(range)?;
        while let Some(row) = rows.next()? {
            digests.push(key.leaf(names.name(row.get_ref(0)?)?), row.get::<_, SeqColumn>(1)?.0);
        }
        Ok(digests)
    }

    /// Adds one.
    pub(super) fn push(&mut self, leaf: Hash, seq: Seq) {
        self.bytes.extend_from_slice(&leaf);
        self.tree.push(leaf);
        self.seqs.push(seq);
    }

    /// The places of the resources, in their order.
    pub(super) fn take_seqs(&mut self) -> Vec<Seq> {
        std::mem::take(&mut self.seqs)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.tree.size()
    }

    /// Stores them and returns the root of their tree; nothing if there are none.
    pub(super) fn store(self, tx: &Transaction<'_>, number: i64, batch: u64) -> Result<Option<Hash>> {
        if self.count() == 0 {
            return Ok(None);
        }
        tx.prepare_cached(INSERT)?.execute(params![number, batch, self.bytes])?;
        Ok(Some(self.tree.root()))
    }
}

/// Names of resources of one account and type, in one buffer: this runs for every resource that is purged.
pub(super) struct Names {
    name: Vec<u8>,
    prefix: usize,
}

impl Names {
    pub(super) fn of(account_id: AccountId, resource_type: ResourceType) -> Self {
        let name = format!("{account_id}/{resource_type}/").into_bytes();
        Self { prefix: name.len(), name }
    }

    /// The name of the resource with this id.
    pub(super) fn name(&mut self, id: ValueRef<'_>) -> Result<&[u8]> {
        self.name.truncate(self.prefix);
        append_id(id, &mut self.name)?;
        Ok(&self.name)
    }
}

/// An id as text: as in `IdColumn`, without a text of its own for each.
fn append_id(stored: ValueRef<'_>, name: &mut Vec<u8>) -> Result<()> {
    match stored {
        ValueRef::Text(text) => name.extend_from_slice(text),
        ValueRef::Blob(bytes) => {
            let uuid = Uuid::from_slice(bytes).map_err(|_| StoreError::NotUnderstood("version.id".to_owned()))?;
            name.extend_from_slice(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        }
        _ => return Err(StoreError::NotUnderstood("version.id".to_owned()).into()),
    }
    Ok(())
}
