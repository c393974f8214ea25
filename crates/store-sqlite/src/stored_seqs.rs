//! Which versions of a type are stored, as bits: so that a pass over an index asks memory, and not another table, for each row.

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_purge::Seq;
use rusqlite::{Connection, functions::FunctionFlags, params};

use crate::{
    columns::{SeqColumn, TypeColumn},
    error::Result,
};

const SELECT_SEQS: &str = include_str!("../sql/purge/stored_seqs.sql");

/// Places that one window spans: 8 MiB of bits, however much is stored. A store with more commits takes one pass a window.
const WINDOW_SEQS: u64 = 1 << 26;

/// The versions of one account and type that are stored within a span of the order of commits.
///
/// It stays right while others write: what they store lies above the watermark, and nothing below comes back.
#[derive(Clone, Debug)]
pub(crate) struct StoredSeqs {
    /// The first place of the span.
    pub(crate) first: Seq,
    /// The last.
    pub(crate) last: Seq,
    /// Bit `n` is set if the version at `first + n` is stored; what lies behind the end is not.
    pub(crate) bits: Vec<u8>,
}

impl StoredSeqs {
    /// The spans that cover everything up to `watermark`.
    pub(crate) fn spans(watermark: Seq) -> impl Iterator<Item = (Seq, Seq)> {
        (0..=watermark.0 / WINDOW_SEQS)
            .map(move |window| (Seq(window * WINDOW_SEQS), Seq(((window + 1) * WINDOW_SEQS - 1).min(watermark.0))))
    }

    /// Reads one span.
    pub(crate) fn load(
        connection: &Connection,
        account_id: AccountId,
        resource_type: ResourceType,
        (first, last): (Seq, Seq),
    ) -> Result<Self> {
        let mut bits = Vec::new();
        let mut statement = connection.prepare_cached(SELECT_SEQS)?;
        let mut rows = statement.query(params![account_id.0, TypeColumn(resource_type), SeqColumn(first), SeqColumn(last)])?;
        while let Some(row) = rows.next()? {
            let offset = (row.get::<_, u64>(0)? - first.0) as usize;
            if bits.len() <= offset / 8 {
                bits.resize(offset / 8 + 1, 0);
            }
            bits[offset / 8] |= 1 << (offset % 8);
        }
        Ok(Self { first, last, bits })
    }
}

/// Adds `has_bit(bits, offset)` to a connection: whether the bit is set; bits behind the end are not.
pub(crate) fn add_function(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("has_bit", 2, flags, |context| {
        let bits = context.get_raw(0).as_blob().map_err(|error| rusqlite::Error::UserFunctionError(Box::new(error)))?;
        let offset: usize = context.get(1)?;
        Ok(bits.get(offset / 8).is_some_and(|byte| byte & (1 << (offset % 8)) != 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_and_behind_the_end_there_are_none() {
        let connection = Connection::open_in_memory().unwrap();
        add_function(&connection).unwrap();
        let has_bit = |offset: i64| connection.query_row("select has_bit(x'0280', ?1)", [offset], |row| row.get::<_, bool>(0)).unwrap();
        assert_eq!([0, 1, 2, 14, 15, 16, 1_000_000].map(has_bit), [false, true, false, false, true, false, false]);
    }

    #[test]
    fn spans_cover_every_place_once() {
        let spans: Vec<_> = StoredSeqs::spans(Seq(WINDOW_SEQS)).collect();
        assert_eq!(spans, [(Seq(0), Seq(WINDOW_SEQS - 1)), (Seq(WINDOW_SEQS), Seq(WINDOW_SEQS))]);
    }
}
