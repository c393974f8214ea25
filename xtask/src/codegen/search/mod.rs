//! `cargo xtask codegen search`: HL7's search parameters and compartments → the table that `lethe-search` reads, and the names of definitions.
//!
//! The table is described at its own head (`table.rs` writes it). Numbers of paths are stored in databases: those of the present table are kept, new
//! paths are numbered after them in the order of parameters, and the number of a path that is no more is not given again.

mod elements;
mod expression;
mod names;
mod table;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use elements::Elements;
use expression::{Atom, Step, atoms_of};
use table::{ParameterRow, PathNumbers, Table};

/// Where the table lies, from the root of the repository.
const TABLE: &str = "crates/search/src/definitions/r4.txt";

/// Where the names of definitions lie.
const NAMES: &str = "crates/search/src/definitions/names.txt";

/// Parameters that the server answers without index values.
const ANSWERED_ELSEWHERE: [&str; 5] = ["_id", "_lastUpdated", "_text", "_content", "_query"];

/// Writes both anew from an unpacked `hl7.fhir.r4.core` package.
///
/// # Errors
/// A definition is not as expected; nothing is written then.
pub fn run(root: &Path, package: &Path) -> Result<()> {
    let elements = Elements::of(package)?;
    let parameters = search_parameters(package)?;
    let by_url: BTreeMap<&str, &Value> = parameters.iter().filter_map(|one| Some((one["url"].as_str()?, one))).collect();
    let file = root.join(TABLE);
    let mut table = Table::new(PathNumbers::of(&fs::read_to_string(&file).unwrap_or_default())?);
    for parameter in &parameters {
        let code = text(parameter, "code")?;
        if ANSWERED_ELSEWHERE.contains(&code) {
            continue;
        }
        for base in parameter["base"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let row = parameter_row(&elements, &by_url, parameter, base).with_context(|| format!("{base}?{code}"))?;
            table.add(if base == "Resource" { "*" } else { base }, row);
        }
    }
    for compartment in super::resources(package, "CompartmentDefinition-")? {
        // The package also holds an example.
        if compartment["url"].as_str().is_some_and(|url| url.starts_with("http://hl7.org/fhir/CompartmentDefinition/")) {
            for member in compartment["resource"].as_array().into_iter().flatten() {
                let codes: Vec<&str> = member["param"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                if !codes.is_empty() {
                    table.add_to_compartment(text(&compartment, "code")?, text(member, "code")?, &codes);
                }
            }
        }
    }
    for dropped in elements.dropped() {
        eprintln!("not indexed: {dropped}");
    }
    let (rendered, names) = (table.render()?, root.join(NAMES));
    fs::write(&names, names::render(&parameters)?).with_context(|| names.display().to_string())?;
    fs::write(&file, rendered).with_context(|| file.display().to_string())?;
    eprintln!("{}: {}", file.display(), table.summary());
    Ok(())
}

fn search_parameters(package: &Path) -> Result<Vec<Value>> {
    let file = package.join("Bundle-searchParams.json");
    let bundle: Value = serde_json::from_slice(&fs::read(&file).with_context(|| file.display().to_string())?)?;
    let entries = bundle["entry"].as_array().context("a Bundle of SearchParameters is expected")?;
    let mut parameters: Vec<Value> = entries.iter().map(|entry| entry["resource"].clone()).collect();
    // The order in which new paths are numbered.
    parameters.sort_by_key(|parameter| [parameter["code"].to_string(), parameter["url"].to_string()]);
    Ok(parameters)
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name].as_str().with_context(|| format!("'{name}' is expected in {}", value["id"]))
}

/// The kind as the table writes it.
fn kind_of(parameter: &Value) -> Result<&str> {
    Ok(match text(parameter, "type")? {
        "special" if parameter["code"] == "near" => "position",
        kind => kind,
    })
}

fn parameter_row(elements: &Elements, by_url: &BTreeMap<&str, &Value>, parameter: &Value, base: &str) -> Result<ParameterRow> {
    let kind = kind_of(parameter)?;
    let mut atoms = atoms_of(text(parameter, "expression")?, base)?;
    for step in atoms.iter_mut().flat_map(|atom| &mut atom.steps) {
        // Of which type the first entry has to be, only the parameter says.
        if let (Step::Special(name), Some(target)) = (step, parameter["target"][0].as_str()) {
            name.push_str(target);
        }
    }
    let mut row = ParameterRow::new(text(parameter, "code")?, kind);
    if kind == "composite" {
        let mut components = Vec::new();
        for component in parameter["component"].as_array().into_iter().flatten() {
            let definition = by_url.get(text(component, "definition")?).context("a component's definition is expected")?;
            components.push((kind_of(definition)?, text(component, "expression")?));
        }
        for atom in &atoms {
            let (path, kinds) = elements.composite(base, atom, &components)?;
            row.components = kinds;
            row.add_path(path, None);
        }
        return Ok(row);
    }
    let mut stems: Vec<(String, Vec<&Atom>)> = Vec::new();
    for atom in &atoms {
        // Choices of one element lie on one path.
        match stems.iter_mut().find(|(stem, same)| *stem == atom.stem() && same[0].only_target == atom.only_target) {
            Some((_, same)) => same.push(atom),
            None => stems.push((atom.stem(), vec![atom])),
        }
    }
    for (_, same) in stems {
        let leaves = elements.leaves(base, &same, kind)?;
        row.add_targets(&leaves, same[0].only_target.as_deref());
        if !leaves.is_empty() {
            row.add_path(Elements::path_of(kind, &leaves), same[0].only_target.clone());
        }
    }
    if row.is_empty() {
        bail!("no element that can be read as {kind}");
    }
    let named = parameter["target"].as_array().into_iter().flatten().filter_map(Value::as_str);
    row.settle_targets(named);
    Ok(row)
}
