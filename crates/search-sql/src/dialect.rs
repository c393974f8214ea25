//! What differs between databases.

use lethe_fhir::ResourceType;
use lethe_search::{PathId, SortPath, Span, ValueCheck, WordPlace};

use crate::Builder;

/// How a statement is held to the order in which it looks into its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joins {
    /// A `cross join` is carried out as it is written, and what comes out keeps the order of all its tables.
    AsWritten,
    /// Each table is a lateral subquery that is not taken apart. What comes out keeps the order of the first table alone, if that is written down.
    Lateral,
}

/// How versions are found by their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// Each value has a row in `index_value`, part by part, and each logical id one in `resource`.
    Rows,
    /// Each version has keys of all its values, which an index over versions holds; another holds the logical ids of current ones.
    Keys,
}

/// How one database says what SQL itself has no word for. `row` is the name of a row of `version`.
pub trait Dialect: Sized + std::fmt::Debug {
    /// The value with this number, from 1.
    fn placeholder(&self, number: usize) -> String;

    /// How tables are joined.
    fn joins(&self) -> Joins;

    /// How versions are found by their values.
    fn index(&self) -> Index;

    /// Whether `row` may have an index value in one of `spans`, of which there is at least one, as its keys tell; `None` where values have rows.
    fn may_have_value(&self, builder: &mut Builder<'_, Self>, row: &str, resource_type: ResourceType, spans: &[Span]) -> Option<String>;

    /// Whether `row` has the index value of a reference that `value` names on this path, found by its key; `None` where values have rows.
    fn has_reference(
        &self,
        builder: &mut Builder<'_, Self>,
        row: &str,
        resource_type: ResourceType,
        path: PathId,
        value: &str,
    ) -> Option<String>;

    /// Whether `row` has an index value in one of `spans`.
    fn has_value(&self, builder: &mut Builder<'_, Self>, row: &str, resource_type: ResourceType, spans: &[Span]) -> String;

    /// Whether the index value that `value` names passes all of `checks`, of which there is at least one.
    fn passes(&self, builder: &mut Builder<'_, Self>, value: &str, checks: &[ValueCheck]) -> String;

    /// A table expression, to be joined behind `row`, of the ids of one type to which `row` refers by one of `paths`; and how its id is named.
    fn referred_ids(
        &self,
        builder: &mut Builder<'_, Self>,
        row: &str,
        source: ResourceType,
        paths: &[PathId],
        target: ResourceType,
    ) -> (String, String);

    /// A table expression of the resources of one type that `row` contains and to which it refers by one of `paths`: with the columns of
    /// `version`, of which `index_values` has something.
    fn contained(&self, builder: &mut Builder<'_, Self>, row: &str, paths: &[PathId], target: ResourceType) -> String;

    /// The index value of a reference to `row`, which is of this type.
    fn reference_value(&self, builder: &mut Builder<'_, Self>, row: &str, resource_type: ResourceType) -> String;

    /// The bytes by which `row` is placed among others; null if it has none.
    fn sort_value(
        &self,
        builder: &mut Builder<'_, Self>,
        row: &str,
        resource_type: ResourceType,
        paths: &[SortPath],
        is_descending: bool,
    ) -> String;

    /// The id of `row`, as bytes of its text.
    fn id_value(&self, row: &str) -> String;

    /// The time of `row`, as bytes in order.
    fn time_value(&self, row: &str) -> String;

    /// Whether all words of one of `alternatives` stand in `row`.
    fn has_words(&self, builder: &mut Builder<'_, Self>, row: &str, place: WordPlace, alternatives: &[Vec<String>]) -> String;
}
