//! Legal holds: set, lifted, listed; and which are in force.

mod in_force;

use async_trait::async_trait;
use lethe_auth::{AccountId, ClientId};
use lethe_fhir::{Instant, ResourceType};
use lethe_purge::holds::HoldTarget;
use lethe_store::{HOLDS_IN_FORCE_MAX, Hold, HoldAdded, HoldFilter, HoldId, HoldLifted, Holds, NewHold, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    SqliteStore,
    columns::{IdColumn, InstantColumn, TypeColumn},
    connections::Durability,
    error::Result,
    purge::empty_log,
};

pub(crate) use in_force::{count_targets_of_ended, end_expired, in_force};

const ACCOUNT_EXISTS: &str = include_str!("../../sql/holds/account_exists.sql");
const COUNT_IN_FORCE: &str = include_str!("../../sql/holds/count_in_force.sql");
const INSERT: &str = include_str!("../../sql/holds/insert_hold.sql");
const INSERT_TARGET: &str = include_str!("../../sql/holds/insert_target.sql");
const SELECT_NUMBER: &str = include_str!("../../sql/holds/hold_number.sql");
const SELECT_NUMBERS: &str = include_str!("../../sql/holds/hold_numbers.sql");
const SELECT_HOLD: &str = include_str!("../../sql/holds/hold_columns.sql");

#[async_trait]
impl Holds for SqliteStore {
    async fn add_hold(&self, hold: &NewHold) -> std::result::Result<HoldAdded, StoreError> {
        let (hold, now) = (hold.clone(), self.clock.now());
        Ok(self.connections.write(Durability::OnDisk, move |tx| add(tx, &hold, now)).await?)
    }

    async fn lift_hold(
        &self,
        client_id: Option<&ClientId>,
        hold_id: HoldId,
        lifted_by: &str,
    ) -> std::result::Result<HoldLifted, StoreError> {
        let (client_id, lifted_by, now) = (client_id.cloned(), lifted_by.to_owned(), self.clock.now());
        let lifted = self.connections.write(Durability::OnDisk, move |tx| lift(tx, client_id.as_ref(), hold_id, &lifted_by, now)).await?;
        // It named a patient or resource.
        empty_log(self).await;
        Ok(lifted)
    }

    async fn holds(&self, filter: &HoldFilter) -> std::result::Result<Vec<Hold>, StoreError> {
        let (filter, now) = (filter.clone(), self.clock.now());
        self.connections.read(move |tx| list(tx, &filter, now)).await
    }
}

fn add(connection: &Connection, new: &NewHold, now: Instant) -> Result<HoldAdded> {
    if !connection.prepare_cached(ACCOUNT_EXISTS)?.query_row([new.account_id.0], |row| row.get(0))? {
        return Ok(HoldAdded::NoAccount);
    }
    let in_force: u64 =
        connection.prepare_cached(COUNT_IN_FORCE)?.query_row(params![new.account_id.0, InstantColumn(now)], |row| row.get(0))?;
    if in_force >= HOLDS_IN_FORCE_MAX {
        return Ok(HoldAdded::TooMany);
    }
    connection.prepare_cached(INSERT)?.execute(params![
        new.hold_id,
        new.account_id.0,
        kind_of(&new.target),
        new.reason,
        new.set_by,
        InstantColumn(now),
        new.until.map(InstantColumn)
    ])?;
    let number = connection.last_insert_rowid();
    let named = match &new.target {
        HoldTarget::Account => None,
        HoldTarget::Patient(id) => Some((ResourceType::PATIENT, id)),
        HoldTarget::Resource(resource_type, id) => Some((*resource_type, id)),
    };
    if let Some((resource_type, id)) = named {
        let id = IdColumn(id.clone());
        connection.prepare_cached(INSERT_TARGET)?.execute(params![number, new.account_id.0, TypeColumn(resource_type), id])?;
    }
    Ok(HoldAdded::Added(hold(connection, number)?))
}

fn lift(connection: &Connection, client_id: Option<&ClientId>, hold_id: HoldId, lifted_by: &str, now: Instant) -> Result<HoldLifted> {
    let mut statement = connection.prepare_cached(SELECT_NUMBER)?;
    let number = statement.query_row(params![hold_id, client_id.map(|id| &id.0)], |row| row.get(0)).optional()?;
    let Some(number) = number else { return Ok(HoldLifted::Unknown) };
    let before = hold(connection, number)?;
    if before.ended_on.is_some() {
        return Ok(HoldLifted::Ended(before));
    }
    in_force::end(connection, number, now, Some(lifted_by))?;
    Ok(HoldLifted::Lifted(hold(connection, number)?))
}

fn list(connection: &Connection, filter: &HoldFilter, now: Instant) -> Result<Vec<Hold>> {
    let client_id = filter.client_id.as_ref().map(|id| &id.0);
    let before = match filter.before {
        None => i64::MAX,
        // A page that begins after a hold that is not there is empty.
        Some(hold_id) => {
            connection.prepare_cached(SELECT_NUMBER)?.query_row(params![hold_id, client_id], |row| row.get(0)).optional()?.unwrap_or(0)
        }
    };
    let mut statement = connection.prepare_cached(SELECT_NUMBERS)?;
    let numbers: Vec<i64> = statement
        .query_map(
            params![
                before,
                client_id,
                filter.account_id.map(|account_id| account_id.0),
                filter.with_ended,
                InstantColumn(now),
                i64::try_from(filter.count).unwrap_or(i64::MAX)
            ],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<_>>()?;
    numbers.into_iter().map(|number| hold(connection, number)).collect()
}

const KINDS: [&str; 3] = ["account", "patient", "resource"];

fn kind_of(target: &HoldTarget) -> &'static str {
    let [account, patient, resource] = KINDS;
    match target {
        HoldTarget::Account => account,
        HoldTarget::Patient(_) => patient,
        HoldTarget::Resource(..) => resource,
    }
}

/// What a hold keeps, as its columns say: the kind, then the type and id of what it names.
fn target_of(kind: &str, row: &Row<'_>, first: usize) -> rusqlite::Result<Option<HoldTarget>> {
    let named = row.get::<_, Option<TypeColumn>>(first)?.zip(row.get::<_, Option<IdColumn>>(first + 1)?);
    Ok(match (kind, named) {
        ("account", _) => Some(HoldTarget::Account),
        ("patient", Some((_, IdColumn(id)))) => Some(HoldTarget::Patient(id)),
        ("resource", Some((TypeColumn(resource_type), IdColumn(id)))) => Some(HoldTarget::Resource(resource_type, id)),
        _ => None,
    })
}

fn hold(connection: &Connection, number: i64) -> Result<Hold> {
    let (kind, hold) = connection.prepare_cached(SELECT_HOLD)?.query_row([number], |row| {
        let stored: String = row.get(2)?;
        let instant = |column| row.get::<_, Option<InstantColumn>>(column).map(|instant| instant.map(|column| column.0));
        let hold = Hold {
            hold_id: row.get(0)?,
            account_id: AccountId(row.get(1)?),
            target: target_of(&stored, row, 3)?,
            kind: "",
            reason: row.get(5)?,
            set_by: row.get(6)?,
            set_on: row.get::<_, InstantColumn>(7)?.0,
            until: instant(8)?,
            lifted_by: row.get(9)?,
            ended_on: instant(10)?,
        };
        Ok((stored, hold))
    })?;
    let known = KINDS.into_iter().find(|known| *known == kind);
    let kind = known.ok_or_else(|| StoreError::NotUnderstood(format!("legal_hold.kind = '{kind}'")))?;
    Ok(Hold { kind, ..hold })
}
