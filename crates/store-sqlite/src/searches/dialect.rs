//! What SQLite has no word for is a function of ours (`functions`), over the index values that stand beside a version's body.

use lethe_fhir::ResourceType;
use lethe_search::{PathId, SortPath, Span, ValueCheck, WordPlace};
use lethe_search_sql::{Builder, Dialect, Index, Joins, Param};
use serde::Serialize;

/// SQLite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sqlite;

/// What a function is told, in a form that it reads once for each statement.
fn told(value: &impl Serialize) -> Param {
    // OK because writing plain values to memory cannot fail; were it to, the function would refuse the empty argument.
    Param::Bytes(postcard::to_allocvec(value).unwrap_or_default())
}

impl Dialect for Sqlite {
    fn placeholder(&self, number: usize) -> String {
        format!("?{number}")
    }

    fn joins(&self) -> Joins {
        Joins::AsWritten
    }

    fn index(&self) -> Index {
        Index::Rows
    }

    fn may_have_value(&self, _: &mut Builder<'_, Self>, _: &str, _: ResourceType, _: &[Span]) -> Option<String> {
        None
    }

    fn has_reference(&self, _: &mut Builder<'_, Self>, _: &str, _: ResourceType, _: PathId, _: &str) -> Option<String> {
        None
    }

    fn has_value(&self, builder: &mut Builder<'_, Self>, row: &str, _: ResourceType, spans: &[Span]) -> String {
        format!("has_index_value({row}.index_values, {})", builder.bind(told(&spans)))
    }

    fn passes(&self, builder: &mut Builder<'_, Self>, value: &str, checks: &[ValueCheck]) -> String {
        format!("passes_checks({value}, {})", builder.bind(told(&checks)))
    }

    fn referred_ids(
        &self,
        builder: &mut Builder<'_, Self>,
        row: &str,
        _: ResourceType,
        paths: &[PathId],
        target: ResourceType,
    ) -> (String, String) {
        let (name, paths, target) = (builder.name(), builder.bind(told(&paths)), builder.type_id(target));
        (format!("json_each(referred_ids({row}.index_values, {paths}, {target})) j{name}"), format!("stored_id(j{name}.value)"))
    }

    fn contained(&self, builder: &mut Builder<'_, Self>, row: &str, paths: &[PathId], target: ResourceType) -> String {
        let (name, paths, target) = (builder.name(), builder.bind(told(&paths)), builder.type_id(target));
        format!(
            "(select unhex(j{name}.value) as index_values, null as id, null as last_updated_ms, null as body \
             from json_each(contained_values({row}.index_values, {paths}, {target})) j{name})"
        )
    }

    fn reference_value(&self, builder: &mut Builder<'_, Self>, row: &str, resource_type: ResourceType) -> String {
        format!("reference_value({}, {row}.id)", builder.type_id(resource_type))
    }

    fn sort_value(&self, builder: &mut Builder<'_, Self>, row: &str, _: ResourceType, paths: &[SortPath], is_descending: bool) -> String {
        format!("sort_value({row}.index_values, {})", builder.bind(told(&(paths, is_descending))))
    }

    fn id_value(&self, row: &str) -> String {
        format!("id_value({row}.id)")
    }

    fn time_value(&self, row: &str) -> String {
        format!("time_value({row}.last_updated_ms)")
    }

    fn has_words(&self, builder: &mut Builder<'_, Self>, row: &str, place: WordPlace, alternatives: &[Vec<String>]) -> String {
        format!("has_words({row}.body, {})", builder.bind(told(&(place, alternatives))))
    }
}
