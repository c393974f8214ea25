//! Legal holds: set, lifted, listed; and which are in force.

mod in_force;

use async_trait::async_trait;
use lethe_auth::{AccountId, ClientId};
use lethe_fhir::{Instant, ResourceType};
use lethe_purge::holds::HoldTarget;
use lethe_store::{HOLDS_IN_FORCE_MAX, Hold, HoldAdded, HoldFilter, HoldId, HoldLifted, Holds, NewHold, StoreError, WriteError};
use tokio_postgres::Row;

use crate::{
    PostgresStore,
    columns::{IdColumn, InstantColumn, TypeColumn, at_most, number},
    connections::Durability,
    error::{Error, Result},
    resources::lock_account,
    transaction::Tx,
};

pub(crate) use in_force::{count_targets_of_ended, end_expired, in_force};

const COUNT_IN_FORCE: &str = include_str!("../../sql/holds/count_in_force.sql");
const INSERT: &str = include_str!("../../sql/holds/insert_hold.sql");
const INSERT_TARGET: &str = include_str!("../../sql/holds/insert_target.sql");
const LOCK: &str = include_str!("../../sql/holds/lock_hold.sql");
const SELECT_NUMBER: &str = include_str!("../../sql/holds/hold_number.sql");
const SELECT_NUMBERS: &str = include_str!("../../sql/holds/hold_numbers.sql");
const SELECT_HOLD: &str = include_str!("../../sql/holds/hold_columns.sql");

#[async_trait]
impl Holds for PostgresStore {
    async fn add_hold(&self, hold: &NewHold) -> std::result::Result<HoldAdded, StoreError> {
        let now = self.clock.now();
        Ok(self.connections.write(Durability::OnDisk, |tx| add(tx, hold, now)).await?)
    }

    async fn lift_hold(
        &self,
        client_id: Option<&ClientId>,
        hold_id: HoldId,
        lifted_by: &str,
    ) -> std::result::Result<HoldLifted, StoreError> {
        let now = self.clock.now();
        Ok(self.connections.write(Durability::OnDisk, |tx| lift(tx, client_id, hold_id, lifted_by, now)).await?)
    }

    async fn holds(&self, filter: &HoldFilter) -> std::result::Result<Vec<Hold>, StoreError> {
        let now = self.clock.now();
        self.connections.read(|tx| list(tx, filter, now)).await
    }
}

async fn add(tx: Tx, new: &NewHold, now: Instant) -> Result<HoldAdded> {
    // A batch looks for holds under this lock: it has committed before the hold is set, or finds it.
    match lock_account(&tx, new.account_id).await {
        Err(Error::Write(WriteError::NoAccount(_))) => return Ok(HoldAdded::NoAccount),
        locked => locked?,
    };
    let in_force = number(&tx.row(COUNT_IN_FORCE, &[&new.account_id.0, &InstantColumn(now)]).await?, 0)?;
    if in_force >= HOLDS_IN_FORCE_MAX {
        return Ok(HoldAdded::TooMany);
    }
    let inserted = tx
        .row(
            INSERT,
            &[
                &new.hold_id,
                &new.account_id.0,
                &kind_of(&new.target),
                &new.reason,
                &new.set_by,
                &InstantColumn(now),
                &new.until.map(InstantColumn),
            ],
        )
        .await?;
    let number: i64 = inserted.try_get(0)?;
    let named = match &new.target {
        HoldTarget::Account => None,
        HoldTarget::Patient(id) => Some((ResourceType::PATIENT, id)),
        HoldTarget::Resource(resource_type, id) => Some((*resource_type, id)),
    };
    if let Some((resource_type, id)) = named {
        let id = IdColumn(id.clone());
        tx.execute(INSERT_TARGET, &[&number, &new.account_id.0, &TypeColumn(resource_type), &id]).await?;
    }
    Ok(HoldAdded::Added(hold(&tx, number).await?))
}

async fn lift(tx: Tx, client_id: Option<&ClientId>, hold_id: HoldId, lifted_by: &str, now: Instant) -> Result<HoldLifted> {
    let Some(number) = number_of(&tx, hold_id, client_id).await? else { return Ok(HoldLifted::Unknown) };
    // Of two who lift it, one is told that it had ended.
    tx.row(LOCK, &[&number]).await?;
    let before = hold(&tx, number).await?;
    if before.ended_on.is_some() {
        return Ok(HoldLifted::Ended(before));
    }
    in_force::end(&tx, number, now, Some(lifted_by)).await?;
    Ok(HoldLifted::Lifted(hold(&tx, number).await?))
}

async fn number_of(tx: &Tx, hold_id: HoldId, client_id: Option<&ClientId>) -> Result<Option<i64>> {
    let row = tx.row_if_any(SELECT_NUMBER, &[&hold_id, &client_id.map(|id| &id.0)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn list(tx: Tx, filter: &HoldFilter, now: Instant) -> Result<Vec<Hold>> {
    let client_id = filter.client_id.as_ref();
    let before = match filter.before {
        None => i64::MAX,
        // A page that begins after a hold that is not there is empty.
        Some(hold_id) => number_of(&tx, hold_id, client_id).await?.unwrap_or(0),
    };
    let (client, account) = (client_id.map(|id| &id.0), filter.account_id.map(|account_id| account_id.0));
    let rows =
        tx.rows(SELECT_NUMBERS, &[&before, &client, &account, &filter.with_ended, &InstantColumn(now), &at_most(filter.count)]).await?;
    let mut holds = Vec::with_capacity(rows.len());
    for row in rows {
        holds.push(hold(&tx, row.try_get(0)?).await?);
    }
    Ok(holds)
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
fn target_of(kind: &str, row: &Row, first: usize) -> Result<Option<HoldTarget>> {
    let named = row.try_get::<_, Option<TypeColumn>>(first)?.zip(row.try_get::<_, Option<IdColumn>>(first + 1)?);
    Ok(match (kind, named) {
        ("account", _) => Some(HoldTarget::Account),
        ("patient", Some((_, IdColumn(id)))) => Some(HoldTarget::Patient(id)),
        ("resource", Some((TypeColumn(resource_type), IdColumn(id)))) => Some(HoldTarget::Resource(resource_type, id)),
        _ => None,
    })
}

async fn hold(tx: &Tx, number: i64) -> Result<Hold> {
    let row = tx.row(SELECT_HOLD, &[&number]).await?;
    let stored: &str = row.try_get(2)?;
    let known = KINDS.into_iter().find(|known| *known == stored);
    let kind = known.ok_or_else(|| StoreError::NotUnderstood(format!("legal_hold.kind = '{stored}'")))?;
    let instant = |column| row.try_get::<_, Option<InstantColumn>>(column).map(|instant| instant.map(|column| column.0));
    Ok(Hold {
        hold_id: row.try_get(0)?,
        account_id: AccountId(row.try_get(1)?),
        target: target_of(kind, &row, 3)?,
        kind,
        reason: row.try_get(5)?,
        set_by: row.try_get(6)?,
        set_on: row.try_get::<_, InstantColumn>(7)?.0,
        until: instant(8)?,
        lifted_by: row.try_get(9)?,
        ended_on: instant(10)?,
    })
}
