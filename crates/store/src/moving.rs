//! What is stored, row by row, for a store that moves from one database to another.

/// One value of a stored row.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredValue {
    /// Nothing.
    Null,
    /// A whole number; also how truth is stored: 0 and 1.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A logical id, which each store writes in its own way; empty where the row has none.
    Id(String),
}

/// A row, its values in the order of the columns that were asked for.
pub type StoredRow = Vec<StoredValue>;
