//! One resource: its current version, or another.

use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LocalBases, LogicalId, Resource, ResourceType, render_resource};
use lethe_purge::Seq;
use lethe_search::{IndexValues, extract};
use lethe_store::{StoreError, StoredVersion};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{ACCOUNT_FIRST, accounts_of};
use crate::{
    columns::{IdColumn, InstantColumn, KIND_DELETE, SeqColumn, TypeColumn, decode_body, kind_from_code},
    error::Result,
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
    kind: u8,
    /// The version before.
    pub(crate) previous: Option<Seq>,
    body: Option<Vec<u8>>,
}

impl RowVersion {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get::<_, SeqColumn>(0)?.0,
            id: row.get::<_, IdColumn>(1)?.0,
            version: row.get(2)?,
            last_updated: row.get::<_, InstantColumn>(3)?.0,
            kind: row.get(4)?,
            previous: row.get::<_, Option<SeqColumn>>(5)?.map(|seq| seq.0),
            body: row.get(6)?,
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

pub(super) fn current(
    connection: &Connection,
    scope: &Scope,
    resource_type: ResourceType,
    id: &LogicalId,
) -> Result<Option<StoredVersion>> {
    for account_id in accounts_of(connection, scope, ACCOUNT_FIRST)? {
        if let Some(row) = current_row(connection, account_id, resource_type, id)? {
            return Ok(Some(row.into_stored(account_id, resource_type)?));
        }
    }
    Ok(None)
}

/// The current version of a resource, a deletion included.
pub(crate) fn current_row(
    connection: &Connection,
    account_id: AccountId,
    resource_type: ResourceType,
    id: &LogicalId,
) -> Result<Option<RowVersion>> {
    let mut statement = connection.prepare_cached(SELECT_CURRENT)?;
    Ok(statement.query_row(params![account_id.0, TypeColumn(resource_type), IdColumn(id.clone())], RowVersion::read).optional()?)
}

pub(super) fn version(
    connection: &Connection,
    scope: &Scope,
    resource_type: ResourceType,
    id: &LogicalId,
    version: u64,
) -> Result<Option<StoredVersion>> {
    for account_id in accounts_of(connection, scope, ACCOUNT_FIRST)? {
        let Some(current) = current_row(connection, account_id, resource_type, id)? else { continue };
        if current.version == version {
            return Ok(Some(current.into_stored(account_id, resource_type)?));
        }
        // Versions are chained from the newest to the oldest.
        let mut head = connection.prepare_cached(SELECT_HEAD_AT)?;
        let mut next = current.previous;
        while let Some(seq) = next {
            let (number, previous): (u64, Option<SeqColumn>) =
                head.query_row(params![account_id.0, TypeColumn(resource_type), SeqColumn(seq)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if number == version {
                return Ok(Some(at(connection, account_id, resource_type, seq)?));
            }
            if number < version {
                break;
            }
            next = previous.map(|seq| seq.0);
        }
        return Ok(None);
    }
    Ok(None)
}

fn at(connection: &Connection, account_id: AccountId, resource_type: ResourceType, seq: Seq) -> Result<StoredVersion> {
    let mut statement = connection.prepare_cached(SELECT_VERSION_AT)?;
    let row = statement.query_row(params![account_id.0, TypeColumn(resource_type), SeqColumn(seq)], RowVersion::read)?;
    Ok(row.into_stored(account_id, resource_type)?)
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
