//! Functions that the statements of searches call.

use std::{error::Error, sync::Arc};

use lethe_fhir::{Instant, ResourceType};
use lethe_search::{Entries, Facet, PathId, SortPath, Span, ValueCheck, WordPlace, has_words, value};
use rusqlite::{
    Connection,
    functions::{Context, FunctionFlags},
    types::{FromSql, Value, ValueRef},
};
use serde::de::DeserializeOwned;

use crate::columns::{IdColumn, decode_body};

type AnyError = Box<dyn Error + Send + Sync>;

/// Adds all of them to a connection.
pub(crate) fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("has_index_value", 2, flags, |context| {
        let spans: Arc<Vec<Span>> = told(context, 1)?;
        Ok(entries(context).has_any_of(&spans))
    })?;
    connection.create_scalar_function("passes_checks", 2, flags, |context| {
        let checks: Arc<Vec<ValueCheck>> = told(context, 1)?;
        let value = blob(context, 0);
        Ok(checks.iter().all(|check| check.admits(value)))
    })?;
    connection.create_scalar_function("referred_ids", 3, flags, |context| {
        let paths: Arc<Vec<PathId>> = told(context, 1)?;
        let target: u8 = context.get(2)?;
        Ok(referred_ids(entries(context), &paths, target))
    })?;
    connection.create_scalar_function("contained_values", 3, flags, |context| {
        let paths: Arc<Vec<PathId>> = told(context, 1)?;
        let target: u8 = context.get(2)?;
        Ok(contained_values(entries(context), &paths, target))
    })?;
    connection.create_scalar_function("stored_id", 1, flags, |context| {
        let id: String = context.get(0)?;
        let id = id.parse().map_err(|error| rusqlite::Error::UserFunctionError(Box::new(error)))?;
        rusqlite::ToSql::to_sql(&IdColumn(id)).map(owned)
    })?;
    connection.create_scalar_function("reference_value", 2, flags, |context| {
        let code: u8 = context.get(0)?;
        if context.get_raw(1) == ValueRef::Null {
            // What is contained is referred to by nobody else.
            return Ok(None);
        }
        let IdColumn(id) = IdColumn::column_result(context.get_raw(1)).map_err(failed)?;
        let resource_type = ResourceType::from_code(code).ok_or_else(|| failed(format!("type {code}")))?;
        Ok(Some(value::reference_to(resource_type, &id)))
    })?;
    connection.create_scalar_function("sort_value", 2, flags, |context| {
        let told: Arc<(Vec<SortPath>, bool)> = told(context, 1)?;
        Ok(entries(context).sort_bytes(&told.0, told.1))
    })?;
    connection.create_scalar_function("id_value", 1, flags, |context| {
        let IdColumn(id) = IdColumn::column_result(context.get_raw(0)).map_err(failed)?;
        Ok(id.as_str().as_bytes().to_vec())
    })?;
    connection.create_scalar_function("index_row_count", 1, flags, |context| {
        Ok(entries(context).filter(|(path, _)| path.has_rows()).count() as i64)
    })?;
    connection
        .create_scalar_function("time_value", 1, flags, |context| Ok(value::instant(Instant::from_unix_ms(context.get(0)?)).to_vec()))?;
    connection.create_scalar_function("has_words", 2, flags, |context| {
        let told: Arc<(WordPlace, Vec<Vec<String>>)> = told(context, 1)?;
        let ValueRef::Blob(stored) = context.get_raw(0) else { return Ok(false) };
        let body = decode_body(stored).map_err(failed)?;
        Ok(has_words(body.as_bytes(), told.0, &told.1))
    })
}

fn failed(error: impl Into<AnyError>) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(error.into())
}

/// An argument that is the same for all rows of a statement, read once.
fn told<T: DeserializeOwned + Send + Sync + 'static>(context: &Context<'_>, argument: std::ffi::c_int) -> rusqlite::Result<Arc<T>> {
    context.get_or_create_aux(argument, |value| -> Result<T, AnyError> { Ok(postcard::from_bytes(value.as_blob()?)?) })
}

fn blob<'a>(context: &'a Context<'_>, argument: usize) -> &'a [u8] {
    match context.get_raw(argument) {
        ValueRef::Blob(bytes) => bytes,
        // OK because a deletion has no index values.
        _ => &[],
    }
}

fn entries<'a>(context: &'a Context<'_>) -> Entries<'a> {
    Entries::of(blob(context, 0))
}

/// The ids of one type to which `entries` refer by one of `paths`, as a JSON array.
fn referred_ids(entries: Entries<'_>, paths: &[PathId], target: u8) -> String {
    let mut ids: Vec<String> = Vec::new();
    for path in paths {
        let values = entries.clone().of_path(*path).filter(|value| value.first() == Some(&target));
        ids.extend(values.filter_map(value::referred).map(|target| target.id.to_string()));
    }
    ids.sort_unstable();
    ids.dedup();
    serde_json::Value::from(ids).to_string()
}

/// The index values of the contained resources of one type to which `entries` refer by one of `paths`, as a JSON array of hexadecimal texts.
fn contained_values(entries: Entries<'_>, paths: &[PathId], target: u8) -> String {
    let mut found: Vec<String> = Vec::new();
    for path in paths {
        let values = entries.clone().of_path(path.with(Facet::Text)).filter_map(|own| value::contained_values(own, target));
        found.extend(values.map(|values| values.iter().map(|byte| format!("{byte:02x}")).collect()));
    }
    serde_json::Value::from(found).to_string()
}

fn owned(output: rusqlite::types::ToSqlOutput<'_>) -> Value {
    match output {
        rusqlite::types::ToSqlOutput::Owned(value) => value,
        rusqlite::types::ToSqlOutput::Borrowed(value) => value.try_into().unwrap_or(Value::Null),
        _ => Value::Null,
    }
}
