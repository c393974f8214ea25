//! Prints the index values of resources for people and for the oracles in `e2e/oracle`: `dump_index_values FOLDER`.
//!
//! Reads every `.json` and `.ndjson` file below the folder. One line of JSON for each resource: its file, line and type, and for each
//! parameter the values with their facets; systems stand as hexadecimal hashes, times as milliseconds. A resource that
//! is refused has the reason instead.

use std::{
    error::Error,
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use lethe_fhir::{LocalBases, Resource};
use lethe_search::{
    Facet, IndexValues,
    definitions::{Parameter, ParameterKind, parameters},
    extract,
    value::{AFTER_ALL, BEFORE_ALL, RANGE_HIGH_AT, RANGE_LOW_AT, RANGE_WRITTEN, SYSTEM_BYTES, number_of, referred},
};
use serde_json::{Map, Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: dump_index_values FOLDER")?;
    let mut files = Vec::new();
    collect(Path::new(&folder), &mut files)?;
    files.sort();
    let mut out = BufWriter::new(io::stdout().lock());
    for file in files {
        let text = fs::read(&file)?;
        let is_list = file.extension().is_some_and(|extension| extension == "ndjson");
        let resources: Vec<&[u8]> = if is_list { text.split(|byte| *byte == b'\n').collect() } else { vec![&text] };
        for (index, json) in resources.into_iter().enumerate().filter(|(_, json)| !json.trim_ascii().is_empty()) {
            let mut line = json!({ "file": file.strip_prefix(&folder)?.display().to_string(), "line": index + 1 });
            match read(json) {
                Ok((resource_type, values)) => {
                    line["type"] = json!(resource_type);
                    line["values"] = values;
                }
                Err(reason) => line["refused"] = json!(reason),
            }
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json" || extension == "ndjson") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(json: &[u8]) -> Result<(&'static str, Value), String> {
    let resource = Resource::parse(json).map_err(|error| error.to_string())?;
    let values = extract(&resource, &LocalBases::default()).map_err(|error| error.to_string())?;
    let mut by_parameter = Map::new();
    for parameter in parameters(resource.resource_type) {
        let found = found(parameter, &values);
        if !found.is_empty() {
            by_parameter.insert(parameter.code.to_owned(), Value::Array(found));
        }
    }
    Ok((resource.resource_type.name(), Value::Object(by_parameter)))
}

/// What a parameter finds: facet and value, each once.
fn found(parameter: &Parameter, values: &IndexValues) -> Vec<Value> {
    let mut found = Vec::new();
    for one in &parameter.uses {
        for (path, bytes) in values.iter().filter(|(path, _)| path.with(Facet::Value) == one.path) {
            let value = match (path.facet(), parameter.kind) {
                // Pieces of texts that are there already, and what is contained, which is compared by itself.
                (Facet::Text, ParameterKind::String) => continue,
                (Facet::Text, ParameterKind::Reference) if bytes.first() == Some(&0) => continue,
                (Facet::Value, ParameterKind::Reference) if bytes.starts_with(&[0, b'#']) => continue,
                (Facet::Text, _) => json!(["text", texts(&bytes[1..])[0]]),
                (Facet::Identifier, ParameterKind::Reference) => json!(["identifier", token(bytes)]),
                // The other engines know a Range by its ends.
                (Facet::Identifier, ParameterKind::Number | ParameterKind::Quantity | ParameterKind::Composite) => {
                    let at = if parameter.kind == ParameterKind::Composite { bytes.len() - until_zero(bytes).1.len() } else { 0 };
                    for end in ends_of_range(bytes, at) {
                        let value = match (bytes[at], parameter.kind) {
                            (RANGE_WRITTEN, ParameterKind::Composite) => json!(["value", composite(&parameter.components, &end)]),
                            (RANGE_WRITTEN, kind) => json!(["value", decoded(kind, &end)]),
                            (_, ParameterKind::Composite) => continue,
                            _ => json!(["canonical", [number(&end), texts(&end[8..])[0]]]),
                        };
                        if !found.contains(&value) {
                            found.push(value);
                        }
                    }
                    continue;
                }
                (Facet::Identifier, _) => {
                    let (value, rest) = until_zero(bytes);
                    let (system, code) = rest.split_at(SYSTEM_BYTES);
                    let code = &code[..code.len() - SYSTEM_BYTES];
                    json!(["of-type", [lossy(value), hexadecimal(system), lossy(code)]])
                }
                (Facet::Value, ParameterKind::Composite) => json!(["value", composite(&parameter.components, bytes)]),
                // Written as the value is, and checked with the quantity itself.
                (Facet::Canonical, ParameterKind::Composite) => continue,
                (Facet::Canonical, _) => json!(["canonical", [number(bytes), texts(&bytes[8..])[0]]]),
                (Facet::Value, kind) => {
                    let resource = referred(bytes);
                    if resource.is_none() && one.only_target.is_some() {
                        continue;
                    }
                    if resource.is_some_and(|local| one.only_target.is_some_and(|only| only != local.resource_type)) {
                        continue;
                    }
                    json!(["value", decoded(kind, bytes)])
                }
            };
            if !found.contains(&value) {
                found.push(value);
            }
        }
    }
    found
}

/// For each end that is given, what would stand there if it were a quantity. The Range begins at `at`.
fn ends_of_range(bytes: &[u8], at: usize) -> Vec<Vec<u8>> {
    let ends = [(RANGE_LOW_AT, BEFORE_ALL), (RANGE_HIGH_AT, AFTER_ALL)].map(|(place, open)| (&bytes[at + place..at + place + 8], open));
    let given = ends.into_iter().filter(|(end, open)| *end != open);
    given.map(|(end, _)| [&bytes[..at], end, &bytes[at + RANGE_HIGH_AT + 8..]].concat()).collect()
}

fn decoded(kind: ParameterKind, bytes: &[u8]) -> Value {
    match kind {
        ParameterKind::Token => token(bytes),
        ParameterKind::String => {
            let texts = texts(bytes);
            // What follows the normal form is there only if it differs.
            json!([texts[0], texts.get(1).filter(|text| !text.is_empty()).unwrap_or(&texts[0])])
        }
        ParameterKind::Number => number(bytes),
        ParameterKind::Quantity => {
            let (system, rest) = bytes[8..].split_at(SYSTEM_BYTES);
            let texts = texts(rest);
            let unit = texts.get(1).filter(|text| !text.is_empty());
            json!([number(bytes), system_of(system), texts[0], unit])
        }
        ParameterKind::Date => json!([instant(&bytes[1..9], BEFORE_ALL), instant(&bytes[9..17], AFTER_ALL)]),
        ParameterKind::Reference => match referred(bytes) {
            Some(local) => json!(format!("{}/{}", local.resource_type, local.id)),
            None => json!(lossy(&bytes[1..])),
        },
        ParameterKind::Uri => json!(lossy(bytes)),
        ParameterKind::Position => json!([number(bytes), number(&bytes[8..])]),
        ParameterKind::Composite => Value::Null,
    }
}

/// The values of a composite. In R4 what has no fixed length or end stands last.
fn composite(kinds: &[ParameterKind], bytes: &[u8]) -> Value {
    let (bytes, system) = bytes.split_at(bytes.len() - SYSTEM_BYTES);
    let (code, mut rest) = until_zero(bytes);
    let mut values = vec![json!([lossy(code), system_of(system)])];
    for kind in &kinds[1..] {
        let length = match kind {
            ParameterKind::Token => until_zero(rest).0.len() + 1 + SYSTEM_BYTES,
            ParameterKind::Number => 8,
            ParameterKind::Date => 17,
            _ => rest.len(),
        };
        let (own, behind) = rest.split_at(length);
        values.push(match kind {
            ParameterKind::Token => json!([lossy(until_zero(own).0), system_of(until_zero(own).1)]),
            kind => decoded(*kind, own),
        });
        rest = behind;
    }
    Value::Array(values)
}

fn system_of(bytes: &[u8]) -> String {
    if bytes == [0; SYSTEM_BYTES] { String::new() } else { hexadecimal(bytes) }
}

fn token(bytes: &[u8]) -> Value {
    let (code, system) = until_zero(bytes);
    json!([lossy(code), hexadecimal(system)])
}

fn until_zero(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

fn texts(bytes: &[u8]) -> Vec<String> {
    bytes.split(|byte| *byte == 0).map(lossy).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(bytes: &[u8]) -> Value {
    bytes.first_chunk::<8>().map_or(Value::Null, |bytes| json!(number_of(*bytes)))
}

fn instant(bytes: &[u8], open: [u8; 8]) -> Value {
    match <[u8; 8]>::try_from(bytes) {
        Ok(bytes) if bytes != open => json!((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64),
        _ => Value::Null,
    }
}
