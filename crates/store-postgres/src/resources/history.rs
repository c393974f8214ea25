//! Histories, newest first.

use std::cmp::Reverse;

use lethe_auth::AccountId;
use lethe_fhir::{LogicalId, ResourceType, limits::PAGE_BYTES_MAX};
use lethe_purge::Seq;
use lethe_store::{HistoryPage, HistoryQuery, HistoryScope, StoredVersion};

use super::{RowVersion, SELECT_VERSION_AT, list::types_of, read::current_row};
use crate::{
    columns::{InstantColumn, SeqColumn, TypeColumn, at_most},
    error::Result,
    transaction::{ROWS_AT_A_TIME, Tx, Values},
};

const SELECT_OF_TYPE: &str = include_str!("../../sql/resources/history_of_type.sql");

pub(super) async fn history(tx: Tx, account_id: AccountId, of: &HistoryScope, query: &HistoryQuery) -> Result<HistoryPage> {
    let mut page = Page { versions: Vec::new(), count: query.count, ends_at: None };
    match of {
        HistoryScope::Instance(resource_type, id) => page.add_instance(&tx, account_id, *resource_type, id, query).await?,
        HistoryScope::Type(resource_type) => page.add_type(&tx, account_id, *resource_type, query).await?,
        HistoryScope::System => {
            for resource_type in types_of(&tx, account_id).await? {
                page.add_type(&tx, account_id, resource_type, query).await?;
            }
        }
    }
    Ok(HistoryPage { versions: page.versions, has_more: page.ends_at.is_some() })
}

/// A page that is being filled.
struct Page {
    /// Newest first.
    versions: Vec<StoredVersion>,
    /// At most so many.
    count: usize,
    /// Its last version, if there are older ones: nothing older belongs to it.
    ends_at: Option<Seq>,
}

impl Page {
    async fn add_instance(
        &mut self,
        tx: &Tx,
        account_id: AccountId,
        resource_type: ResourceType,
        id: &LogicalId,
        query: &HistoryQuery,
    ) -> Result<()> {
        let mut next = current_row(tx, account_id, resource_type, id).await?;
        let mut replaced_at = None;
        let mut room = Room::new(self.count);
        while let Some(row) = next {
            let ends_before = |begin| replaced_at.is_some_and(|replaced_at| replaced_at <= begin);
            if query.since.is_some_and(|since| row.last_updated < since) || query.during.is_some_and(|during| ends_before(during.low)) {
                break;
            }
            replaced_at = Some(row.last_updated);
            let previous = row.previous;
            let is_wanted =
                query.before_seq.is_none_or(|before| row.seq < before) && query.during.is_none_or(|during| row.last_updated < during.high);
            if is_wanted {
                let version = row.into_stored(account_id, resource_type)?;
                if !room.takes(&version) {
                    self.ends_at = self.versions.last().map(|last| last.seq);
                    break;
                }
                self.versions.push(version);
            }
            let Some(seq) = previous else { break };
            let row = tx.row_if_any(SELECT_VERSION_AT, &[&account_id.0, &TypeColumn(resource_type), &SeqColumn(seq)]).await?;
            next = row.as_ref().map(RowVersion::read).transpose()?;
        }
        Ok(())
    }

    /// Each type is in order already: the newest of all are among the newest of each.
    async fn add_type(&mut self, tx: &Tx, account_id: AccountId, resource_type: ResourceType, query: &HistoryQuery) -> Result<()> {
        let since_ms = query.since.map_or(i64::MIN, lethe_fhir::Instant::as_unix_ms);
        let (from, until) = (query.during.map(|during| InstantColumn(during.low)), query.during.map(|during| InstantColumn(during.high)));
        let mut before = query.before_seq.unwrap_or(Seq(i64::MAX as u64));
        let mut room = Room::new(self.count);
        let mut last_of_type = None;
        'rows: loop {
            let (of_type, rows_max) = (TypeColumn(resource_type), at_most(ROWS_AT_A_TIME));
            let values: Values<'_> = &[&account_id.0, &of_type, &SeqColumn(before), &since_ms, &from, &until, &rows_max];
            let rows = tx.rows(SELECT_OF_TYPE, values).await?;
            for row in &rows {
                let row = RowVersion::read(row)?;
                if self.ends_at.is_some_and(|end| row.seq < end) {
                    break 'rows;
                }
                before = row.seq;
                let version = row.into_stored(account_id, resource_type)?;
                if !room.takes(&version) {
                    // Of this type: what is newer of the others has not been cut.
                    self.ends_at = last_of_type;
                    break 'rows;
                }
                last_of_type = Some(version.seq);
                self.versions.push(version);
            }
            if rows.len() < ROWS_AT_A_TIME {
                break;
            }
        }
        self.versions.sort_by_key(|version| Reverse(version.seq));
        self.cut();
        Ok(())
    }

    /// Ends the page where it is full, be it by number or by bytes.
    fn cut(&mut self) {
        if let Some(end) = self.ends_at {
            self.versions.retain(|version| version.seq >= end);
        }
        let mut room = Room::new(self.count);
        let fitting = self.versions.iter().take_while(|version| room.takes(version)).count();
        if fitting < self.versions.len() {
            self.versions.truncate(fitting);
            self.ends_at = self.versions.last().map(|last| last.seq);
        }
    }
}

/// What a page still takes: the version that goes beyond its bytes is its last.
struct Room {
    count: usize,
    bytes: usize,
}

impl Room {
    fn new(count: usize) -> Self {
        Self { count, bytes: 0 }
    }

    /// Whether there was room for it.
    fn takes(&mut self, version: &StoredVersion) -> bool {
        if self.count == 0 || self.bytes > PAGE_BYTES_MAX {
            return false;
        }
        self.count -= 1;
        self.bytes += version.bytes();
        true
    }
}
