//! What surrounds a possible companion: the targets of a Provenance, the resources that refer to a Binary, and the fate of each.

use lethe_auth::AccountId;
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_purge::{Seq, companions::Neighbour, holds::HoldsInForce, selection::Candidate};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    held,
    job::JobRow,
    listed::{self, Role},
};
use crate::{
    columns::{IdColumn, InstantColumn, KIND_DELETE, SeqColumn, TypeColumn},
    error::Result,
    holds,
    resources::{FOREIGN_TARGET_TYPE, SELECT_HEAD, types_of},
};

const SELECT_TARGETS: &str = include_str!("../../sql/purge/targets_of_provenance.sql");
const HAS_REFERENCES: &str = include_str!("../../sql/purge/has_references_to_type.sql");
const SELECT_SOURCES: &str = include_str!("../../sql/purge/sources_of_reference.sql");
const HAS_HELD: &str = include_str!("../../sql/purge/has_held.sql");

/// What to think of a Provenance or Binary that is not selected and not (yet) listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unlisted {
    /// While candidates are gathered: it may still be listed, so it keeps nobody.
    MayGo,
    /// Afterwards: it stays.
    Remains,
}

/// One account, seen by one job.
pub(super) struct Neighbourhood<'a> {
    connection: &'a Connection,
    job: &'a JobRow,
    account_id: AccountId,
    /// Types of which some resource refers to a Binary.
    binary_sources: Vec<ResourceType>,
    /// What is in force now.
    holds: HoldsInForce<i64>,
    /// Whether targets of the account were found to be on hold.
    has_held: bool,
}

/// The current version of a neighbour, without its content.
struct Head {
    seq: Seq,
    candidate: Candidate,
}

impl<'a> Neighbourhood<'a> {
    pub(super) fn new(connection: &'a Connection, job: &'a JobRow, account_id: AccountId, now: Instant) -> Result<Self> {
        let mut has_references = connection.prepare_cached(HAS_REFERENCES)?;
        let mut binary_sources = Vec::new();
        for source in types_of(connection, account_id)? {
            if has_references.query_row(params![account_id.0, TypeColumn(source), TypeColumn(ResourceType::BINARY)], |row| row.get(0))? {
                binary_sources.push(source);
            }
        }
        let holds = holds::in_force(connection, account_id, now)?;
        let has_held = connection.prepare_cached(HAS_HELD)?.query_row(params![job.number, account_id.0], |row| row.get(0))?;
        Ok(Self { connection, job, account_id, binary_sources, holds, has_held })
    }

    pub(super) fn binary_sources(&self) -> Vec<ResourceType> {
        self.binary_sources.clone()
    }

    /// Whether some Provenance refers to a Provenance, so that one that goes can take another along.
    pub(super) fn has_provenance_about_provenance(&self) -> Result<bool> {
        let provenance = TypeColumn(ResourceType::PROVENANCE);
        Ok(self
            .connection
            .prepare_cached(HAS_REFERENCES)?
            .query_row(params![self.account_id.0, provenance, provenance], |row| row.get(0))?)
    }

    /// The place of the current version, if there is one with content.
    pub(super) fn current_seq(&self, resource_type: ResourceType, id: &LogicalId) -> Result<Option<Seq>> {
        Ok(self.head(resource_type, id)?.filter(|head| !head.candidate.is_deletion).map(|head| head.seq))
    }

    /// Whether this current version of a Provenance or Binary may be put on the list: below the watermark, not a target, not listed.
    pub(super) fn may_be_listed(&self, resource_type: ResourceType, seq: Seq) -> Result<bool> {
        if seq > self.job.job.watermark {
            return Ok(false);
        }
        let mut statement = self.connection.prepare_cached(crate::resources::SELECT_VERSION_TIME)?;
        let stored_on = statement
            .query_row(params![self.account_id.0, TypeColumn(resource_type), SeqColumn(seq)], |row| row.get::<_, InstantColumn>(0))
            .optional()?;
        let Some(InstantColumn(last_updated)) = stored_on else { return Ok(false) };
        let is_target = self.is_target(Candidate { resource_type, last_updated, seq, is_deletion: false })?;
        Ok(!is_target && !self.is_listed(resource_type, seq)?)
    }

    /// Whether a current version of a Provenance or Binary goes, as a target or along.
    pub(super) fn goes(&self, resource_type: ResourceType, seq: Seq) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(crate::resources::SELECT_VERSION_TIME)?;
        let key = params![self.account_id.0, TypeColumn(resource_type), SeqColumn(seq)];
        let Some(InstantColumn(last_updated)) = statement.query_row(key, |row| row.get(0)).optional()? else { return Ok(false) };
        let is_target = self.is_target(Candidate { resource_type, last_updated, seq, is_deletion: false })?;
        let is_held = self.has_held && held::is_noted(self.connection, self.job, self.account_id, resource_type, seq)?;
        Ok((is_target && !is_held) || self.is_listed(resource_type, seq)?)
    }

    /// Whether a Provenance is about something that goes.
    pub(super) fn has_going_target(&self, provenance: Seq) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(SELECT_TARGETS)?;
        let mut rows = statement.query(params![self.account_id.0, SeqColumn(provenance)])?;
        while let Some(row) = rows.next()? {
            if self.target(row.get(0)?, row.get(1)?, Unlisted::Remains)? == Neighbour::Going {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether something that goes refers to a Binary.
    pub(super) fn has_going_referrer(&self, binary: &LogicalId) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(SELECT_SOURCES)?;
        for source in &self.binary_sources {
            let mut rows = statement.query(params![
                self.account_id.0,
                TypeColumn(*source),
                TypeColumn(ResourceType::BINARY),
                IdColumn(binary.clone())
            ])?;
            while let Some(row) = rows.next()? {
                if self.neighbour(*source, &row.get::<_, IdColumn>(1)?.0, Unlisted::Remains)? == Neighbour::Going {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The targets of a Provenance.
    pub(super) fn targets_of(&self, provenance: Seq, unlisted: Unlisted) -> Result<Vec<Neighbour>> {
        let mut statement = self.connection.prepare_cached(SELECT_TARGETS)?;
        let mut rows = statement.query(params![self.account_id.0, SeqColumn(provenance)])?;
        let mut neighbours = Vec::new();
        while let Some(row) = rows.next()? {
            let neighbour = self.target(row.get(0)?, row.get(1)?, unlisted)?;
            neighbours.push(neighbour);
            if neighbour == Neighbour::Remaining {
                break;
            }
        }
        Ok(neighbours)
    }

    /// One target of a Provenance, as its columns.
    pub(super) fn target(&self, type_code: u8, id: rusqlite::types::Value, unlisted: Unlisted) -> Result<Neighbour> {
        if type_code == FOREIGN_TARGET_TYPE {
            return Ok(Neighbour::Remaining);
        }
        let TypeColumn(resource_type) =
            rusqlite::types::FromSql::column_result(rusqlite::types::ValueRef::Integer(i64::from(type_code)))
                .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Integer, Box::new(error)))?;
        let IdColumn(id) = rusqlite::types::FromSql::column_result((&id).into())
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Blob, Box::new(error)))?;
        self.neighbour(resource_type, &id, unlisted)
    }

    /// The resources of which some version refers to a Binary.
    pub(super) fn referrers(&self, binary: &LogicalId, unlisted: Unlisted) -> Result<Vec<Neighbour>> {
        let mut statement = self.connection.prepare_cached(SELECT_SOURCES)?;
        let mut neighbours = Vec::new();
        for source in &self.binary_sources {
            let mut rows = statement.query(params![
                self.account_id.0,
                TypeColumn(*source),
                TypeColumn(ResourceType::BINARY),
                IdColumn(binary.clone())
            ])?;
            while let Some(row) = rows.next()? {
                let neighbour = if row.get::<_, SeqColumn>(0)?.0 > self.job.job.watermark {
                    Neighbour::Remaining
                } else {
                    self.neighbour(*source, &row.get::<_, IdColumn>(1)?.0, unlisted)?
                };
                neighbours.push(neighbour);
                if neighbour == Neighbour::Remaining {
                    return Ok(neighbours);
                }
            }
        }
        Ok(neighbours)
    }

    fn neighbour(&self, resource_type: ResourceType, id: &LogicalId, unlisted: Unlisted) -> Result<Neighbour> {
        let Some(head) = self.head(resource_type, id)? else { return Ok(Neighbour::Absent) };
        if head.seq > self.job.job.watermark {
            return Ok(Neighbour::Remaining);
        }
        if self.is_target(head.candidate)? {
            let is_held = self.has_held && held::is_noted(self.connection, self.job, self.account_id, resource_type, head.seq)?;
            return Ok(if is_held { Neighbour::Remaining } else { Neighbour::Going });
        }
        let can_be_companion = [ResourceType::PROVENANCE, ResourceType::BINARY].contains(&resource_type) && !head.candidate.is_deletion;
        if !can_be_companion {
            return Ok(Neighbour::Remaining);
        }
        if self.is_listed(resource_type, head.seq)? {
            // A hold that was set since the list was looked through keeps it, and whatever it needs.
            let is_held = !self.holds_on(resource_type, head.seq)?.is_empty();
            return Ok(if is_held { Neighbour::Remaining } else { Neighbour::Going });
        }
        Ok(match unlisted {
            // Neither going for certain nor staying for certain: it must not decide anything yet.
            Unlisted::MayGo => Neighbour::Absent,
            Unlisted::Remains => Neighbour::Remaining,
        })
    }

    /// The holds that keep a current version now.
    pub(super) fn holds_on(&self, resource_type: ResourceType, seq: Seq) -> Result<Vec<i64>> {
        held::holds_on(self.connection, self.job, &self.holds, self.account_id, resource_type, seq)
    }

    fn head(&self, resource_type: ResourceType, id: &LogicalId) -> Result<Option<Head>> {
        let mut statement = self.connection.prepare_cached(SELECT_HEAD)?;
        let head = statement
            .query_row(params![self.account_id.0, TypeColumn(resource_type), IdColumn(id.clone())], |row| {
                let seq = row.get::<_, SeqColumn>(0)?.0;
                let is_deletion = row.get::<_, u8>(2)? == KIND_DELETE;
                let last_updated = row.get::<_, InstantColumn>(3)?.0;
                Ok(Head { seq, candidate: Candidate { resource_type, last_updated, seq, is_deletion } })
            })
            .optional()?;
        Ok(head)
    }

    /// Whether a current version is a target. One of a listed type that is on hold is not on the list.
    fn is_target(&self, candidate: Candidate) -> Result<bool> {
        let (selection, resource_type) = (&self.job.job.selection, candidate.resource_type);
        if !selection.selects(candidate, self.job.job.watermark) {
            return Ok(false);
        }
        if selection.is_listed(resource_type) {
            return listed::contains(self.connection, self.job, self.account_id, Role::Target, resource_type, candidate.seq);
        }
        Ok(true)
    }

    /// Whether it is on the list of companions.
    fn is_listed(&self, resource_type: ResourceType, seq: Seq) -> Result<bool> {
        listed::contains(self.connection, self.job, self.account_id, Role::Companion, resource_type, seq)
    }
}
