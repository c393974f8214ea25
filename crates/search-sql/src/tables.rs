//! The tables of a statement, in the order in which they are looked into.

use crate::{Dialect, Direction, Index, Joins};

/// Tables and what is asked of their rows: `from … where rules`.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    /// The tables.
    pub(crate) from: String,
    /// Conditions, to be joined by `and`.
    pub(crate) rules: Vec<String>,
}

impl Direction {
    /// The word for it, behind what is ordered by.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ascending => "",
            Self::Descending => " desc",
        }
    }
}

impl Tables {
    /// With the first of them.
    pub(crate) fn of(from: String, rules: Vec<String>) -> Self {
        Self { from, rules }
    }

    /// With those rows of the first of them that fit `rules`, which decide alone how it is looked into.
    pub(crate) fn first<D: Dialect>(dialect: &D, table: &str, row: &str, rules: &[String]) -> Self {
        match dialect.joins() {
            Joins::AsWritten => Self::of(format!("{table} {row}"), rules.to_vec()),
            Joins::Lateral => Self::of(format!("(select * from {table} {row} where {} offset 0) {row}", rules.join(" and ")), Vec::new()),
        }
    }

    /// And behind them, for each of their rows, the rows of `table` that fit `on`.
    #[must_use]
    pub(crate) fn join<D: Dialect>(mut self, dialect: &D, table: &str, row: &str, on: &[String]) -> Self {
        match dialect.joins() {
            Joins::AsWritten => {
                self.from.push_str(&format!(" cross join {table} {row}"));
                self.rules.extend_from_slice(on);
            }
            // OK because `offset 0` leaves nothing out: it keeps the subquery from being taken apart, and so this table behind the others.
            Joins::Lateral => {
                self.from.push_str(&format!(" cross join lateral (select * from {table} {row} where {} offset 0) {row}", on.join(" and ")));
            }
        }
        self
    }

    /// The statement that selects `columns` of them, as a table: none of the columns is computed more than once for a row.
    pub(crate) fn select_once<D: Dialect>(&self, dialect: &D, columns: &str) -> String {
        let select = self.select(columns);
        match dialect.joins() {
            Joins::AsWritten => select,
            Joins::Lateral => format!("{select} offset 0"),
        }
    }

    /// The statement that selects `columns` of them.
    pub(crate) fn select(&self, columns: &str) -> String {
        let rules = if self.rules.is_empty() { "1 = 1".to_owned() } else { self.rules.join(" and ") };
        format!("select {columns} from {} where {rules}", self.from)
    }
}

/// Where a current version is found by its logical id: a table that has account, type, id and seq, and what its rows must fulfil besides.
pub(crate) fn by_id<D: Dialect>(dialect: &D, row: &str) -> (&'static str, Option<String>) {
    match dialect.index() {
        Index::Rows => ("resource", None),
        Index::Keys => ("version", Some(format!("coalesce({row}.replaced_by_seq, 0) = 0"))),
    }
}
