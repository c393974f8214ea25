//! One resource: its current version, or another.

use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LocalBases, LogicalId, Resource, ResourceType, render_resource};
use lethe_purge::Seq;
use lethe_search::{IndexValues, extract};
use lethe_store::{StoreError, StoredVersion};
use tokio_postgres::Row;

use super::{ACCOUNT_FIRST, accounts_of};
use crate::{
    columns::{IdColumn, InstantColumn, KIND_DELETE, SeqColumn, TypeColumn, decode_body, kind_from_code, number, seq},
    error::Result,
    transaction::Tx,
};

const SELECT_CURRENT: &str = include_str!("../../sql/resources/current_version.sql");
/// One version by its place.
pub(crate) const SELECT_VERSION_AT: &str = include_str!("../../sql/resources/version_at.sql");
const SELECT_HEAD_AT: &str = include_str!("../../sql/resources/version_head_at.sql");

/// A row of `version` as the statements here select it: seq, id, version_number, last_updated_ms, kind, previous_seq, body.
pub(crate) struct RowVersion {
    /// Its place.
    pub(crate) seq: Seq,
    id: LogicalId,
    version: u64,
    /// When it was stored.
    pub(crate) last_updated: lethe_fhir::Instant,
    kind: i16,
    /// The version before.
    pub(crate) previous: Option<Seq>,
    body: Option<Vec<u8>>,
}

impl RowVersion {
    pub(crate) fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            seq: seq(row, 0)?,
            id: row.try_get::<_, IdColumn>(1)?.0,
            version: number(row, 2)?,
            last_updated: row.try_get::<_, InstantColumn>(3)?.0,
            kind: row.try_get(4)?,
            previous: row.try_get::<_, Option<SeqColumn>>(5)?.map(|seq| seq.0),
            body: row.try_get(6)?,
        })
    }

    pub(crate) fn is_deletion(&self) -> bool {
        self.kind == KIND_DELETE
    }

    pub(crate) fn into_stored(self, account_id: AccountId, resource_type: ResourceType) -> std::result::Result<StoredVersion, StoreError> {
        Ok(StoredVersion {
            account_id,
            resource_type,
            id: self.id,
            version: self.version,
            last_updated: self.last_updated,
            seq: self.seq,
            kind: kind_from_code(self.kind)?,
            body: self.body.as_deref().map(decode_body).transpose().map_err(|fault| StoreError::Damaged {
                resource_type,
                seq: self.seq,
                fault,
            })?,
        })
    }
}

pub(super) async fn current(tx: Tx, scope: &Scope, resource_type: ResourceType, id: &LogicalId) -> Result<Option<StoredVersion>> {
    for account_id in accounts_of(&tx, scope, ACCOUNT_FIRST).await? {
        if let Some(row) = current_row(&tx, account_id, resource_type, id).await? {
            return Ok(Some(row.into_stored(account_id, resource_type)?));
        }
    }
    Ok(None)
}

/// The current version of a resource, a deletion included.
pub(crate) async fn current_row(tx: &Tx, account_id: AccountId, resource_type: ResourceType, id: &LogicalId) -> Result<Option<RowVersion>> {
    let row = tx.row_if_any(SELECT_CURRENT, &[&account_id.0, &TypeColumn(resource_type), &IdColumn(id.clone())]).await?;
    row.as_ref().map(RowVersion::read).transpose()
}

pub(super) async fn version(
    tx: Tx,
    scope: &Scope,
    resource_type: ResourceType,
    id: &LogicalId,
    version: u64,
) -> Result<Option<StoredVersion>> {
    for account_id in accounts_of(&tx, scope, ACCOUNT_FIRST).await? {
        let Some(current) = current_row(&tx, account_id, resource_type, id).await? else { continue };
        if current.version == version {
            return Ok(Some(current.into_stored(account_id, resource_type)?));
        }
        // Versions are chained from the newest to the oldest.
        let mut next = current.previous;
        while let Some(seq) = next {
            let head = tx.row(SELECT_HEAD_AT, &[&account_id.0, &TypeColumn(resource_type), &SeqColumn(seq)]).await?;
            let found = number(&head, 0)?;
            if found == version {
                return Ok(Some(at(&tx, account_id, resource_type, seq).await?));
            }
            if found < version {
                break;
            }
            next = head.try_get::<_, Option<SeqColumn>>(1)?.map(|seq| seq.0);
        }
        return Ok(None);
    }
    Ok(None)
}

async fn at(tx: &Tx, account_id: AccountId, resource_type: ResourceType, seq: Seq) -> Result<StoredVersion> {
    let row = tx.row(SELECT_VERSION_AT, &[&account_id.0, &TypeColumn(resource_type), &SeqColumn(seq)]).await?;
    Ok(RowVersion::read(&row)?.into_stored(account_id, resource_type)?)
}

/// The resource that a version is.
pub(crate) fn content_of(version: &StoredVersion) -> Result<Resource> {
    let body = version.body.as_ref().ok_or_else(|| damaged(version, "there is none"))?;
    let text = render_resource(version.resource_type, &version.id, version.version, version.last_updated, body);
    Ok(Resource::parse(text.as_bytes()).map_err(|_| damaged(version, NO_RESOURCE))?)
}

/// What the values of the search parameters of a version are, made anew from its content.
pub(crate) fn values_of(version: &StoredVersion, bases: &LocalBases) -> Result<IndexValues> {
    Ok(extract(&content_of(version)?, bases).map_err(|_| damaged(version, NO_RESOURCE))?)
}

/// Demands that what looks through the text of a version finds one: compression has no checksum, and what is no JSON holds no words.
pub(crate) fn demand_json(version: &StoredVersion) -> Result<()> {
    match &version.body {
        Some(body) if !body.is_json() => Err(damaged(version, NO_RESOURCE).into()),
        _ => Ok(()),
    }
}

const NO_RESOURCE: &str = "it is no resource";

fn damaged(version: &StoredVersion, fault: &'static str) -> StoreError {
    StoreError::Damaged { resource_type: version.resource_type, seq: version.seq, fault }
}
