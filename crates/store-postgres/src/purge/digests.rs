//! Digests of what a batch deletes, written in its transaction: what a proof of a single deletion is made from.

use lethe_auth::AccountId;
use lethe_certificate::{
    digest::DigestKey,
    tree::{Hash, Tree},
};
use lethe_fhir::{LogicalId, ResourceType};
use lethe_store::StoreError;

use crate::{columns::NumberColumn, error::Result, transaction::Tx};

const SELECT_KEY: &str = include_str!("../../sql/purge/digest_key.sql");
const INSERT: &str = include_str!("../../sql/purge/insert_digests.sql");

/// Bytes of a digest.
pub(super) const DIGEST_BYTES: usize = 32;

/// The digests of one batch, in the order of deletion, with their tree.
#[derive(Default)]
pub(super) struct Digests {
    bytes: Vec<u8>,
    tree: Tree,
}

/// The key of a job; `None` if it was forgotten.
pub(super) async fn key(tx: &Tx, number: i64) -> Result<Option<DigestKey>> {
    let Some(row) = tx.row_if_any(SELECT_KEY, &[&number]).await? else { return Ok(None) };
    let not_understood = |_| StoreError::NotUnderstood("purge_digest_key.key".to_owned());
    let bytes: [u8; DigestKey::BYTES] = row.try_get::<_, &[u8]>(0)?.try_into().map_err(not_understood)?;
    Ok(Some(DigestKey::new(&bytes)))
}

/// The key of a job that runs.
pub(super) async fn key_of_running(tx: &Tx, number: i64) -> Result<DigestKey> {
    let no_key = || StoreError::NotUnderstood("a job that runs without the key of its digests".to_owned());
    Ok(key(tx, number).await?.ok_or_else(no_key)?)
}

impl Digests {
    /// Adds one.
    pub(super) fn push(&mut self, leaf: Hash) {
        self.bytes.extend_from_slice(&leaf);
        self.tree.push(leaf);
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.tree.size()
    }

    /// Stores them and returns the root of their tree; nothing if there are none.
    pub(super) async fn store(self, tx: &Tx, number: i64, batch: u64) -> Result<Option<Hash>> {
        if self.count() == 0 {
            return Ok(None);
        }
        tx.execute(INSERT, &[&number, &NumberColumn(batch), &self.bytes]).await?;
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
    pub(super) fn name(&mut self, id: &LogicalId) -> &[u8] {
        self.name.truncate(self.prefix);
        self.name.extend_from_slice(id.as_str().as_bytes());
        &self.name
    }
}
