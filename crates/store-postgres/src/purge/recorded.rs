//! Purges on record, carried out again in an older copy: jobs of which each batch is a list of places.

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_purge::{Seq, SeqSet};
use tokio_postgres::Row;

use super::{
    batch::Removed,
    digests::{self, Names},
    job::JobRow,
    removed,
};
use crate::{
    columns::{IdColumn, KIND_DELETE, NumberColumn, SeqColumn, TypeColumn},
    error::Result,
    transaction::Tx,
};

const SELECT_PART: &str = include_str!("../../sql/purge/removed_part.sql");
const IS_CURRENT: &str = include_str!("../../sql/purge/is_current_at.sql");
const DELETE_AT: &str = include_str!("../../sql/purge/delete_version_at.sql");
const SELECT_DONE: &str = include_str!("../../sql/purge/recorded_parts_done.sql");

/// The places of one account and type.
struct Places {
    account_id: AccountId,
    resource_type: ResourceType,
    seqs: SeqSet,
}

/// Those of them at which a resource has its current version.
async fn current(tx: &Tx, places: &Places) -> Result<Vec<Seq>> {
    let mut current = Vec::new();
    for seq in places.seqs.iter() {
        let key = (TypeColumn(places.resource_type), SeqColumn(seq));
        if tx.row(IS_CURRENT, &[&places.account_id.0, &key.0, &key.1]).await?.try_get(0)? {
            current.push(seq);
        }
    }
    Ok(current)
}

/// Removes the resources of one batch, each with all its versions. One that got a later version in this history is none of them.
pub(super) async fn remove(tx: &Tx, job: &JobRow, batch: u64) -> Result<Removed> {
    let places = read_places(&tx.row(SELECT_PART, &[&job.number, &NumberColumn(batch)]).await?)?;
    let digest_key = digests::key_of_running(tx, job.number).await?;
    let mut names = Names::of(places.account_id, places.resource_type);
    let mut removed = Removed::default();
    for seq in current(tx, &places).await? {
        let mut next = Some(seq);
        while let Some(place) = next {
            let row = tx.row(DELETE_AT, &[&places.account_id.0, &TypeColumn(places.resource_type), &SeqColumn(place)]).await?;
            let (kind, IdColumn(id)): (i16, _) = (row.try_get(0)?, row.try_get(2)?);
            if place == seq {
                removed.digests.push(digest_key.leaf(names.name(&id)), place);
            }
            if place == seq && kind == KIND_DELETE {
                removed.deletions += 1;
            } else if place == seq {
                removed.live += 1;
            }
            removed.seqs.push(place);
            next = row.try_get::<_, Option<SeqColumn>>(1)?.map(|previous| previous.0);
        }
    }
    Ok(removed)
}

/// Resources of finished batches that are still there.
pub(super) async fn undeleted(tx: &Tx, job: i64) -> Result<u64> {
    let mut left = 0;
    for row in tx.rows(SELECT_DONE, &[&job]).await? {
        left += current(tx, &read_places(&row)?).await?.len() as u64;
    }
    Ok(left)
}

fn read_places(row: &Row) -> Result<Places> {
    Ok(Places {
        account_id: AccountId(row.try_get(0)?),
        resource_type: row.try_get::<_, TypeColumn>(1)?.0,
        seqs: removed::read_set(row.try_get(2)?)?,
    })
}
