//! `cargo xtask codegen structure`: the elements of R4's resources and data types, as one text that `crates/fhir/src/structure` reads.
//!
//! What a type inherits is not repeated: its line names the type that it extends, as in the StructureDefinitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

const TARGET: &str = "crates/fhir/src/structure/r4.txt";

const HEAD: &str = "\
# The elements of FHIR R4 (4.0.1), made by `cargo xtask codegen structure` from HL7's packages hl7.fhir.r4.core and hl7.fhir.r4.expansions
# (https://hl7.org/fhir/R4/, CC0-1.0). Not edited by hand.
#
# =name code…                what may stand in an element that is bound to this value set
# *type…                     the types of an open choice, written * below
# Name base                  a resource, a data type or a part of one, and what it extends: - nothing, no word BackboneElement
#  name card type… [flags]   its own elements; card: ? 0..1, 1 1..1, * 0..*, + 1..*; flags: s summary, m modifier;
#                            types: @ the part of this name, @path another part, code:name with the value set
";

/// Writes the table.
pub fn run(root: &Path, package: &Path, expansions: &Path) -> Result<()> {
    let mut definitions = Definitions::read(package, expansions)?;
    let mut types = String::new();
    let names: Vec<String> = definitions.types.keys().cloned().collect();
    for name in &names {
        definitions.write_type(name, &mut types)?;
    }
    let mut text = HEAD.to_owned();
    for name in &definitions.used {
        writeln!(text, "={name} {}", definitions.codes[name].join(" "))?;
    }
    writeln!(text, "*{}", definitions.open_choice.join(" "))?;
    text.push_str(&types);
    fs::write(root.join(TARGET), &text)?;
    eprintln!("{TARGET}: {} bytes, {} value sets", text.len(), definitions.used.len());
    Ok(())
}

struct Definitions {
    /// The StructureDefinitions by name; those that are written already are gone from here.
    types: BTreeMap<String, Value>,
    /// The codes of each value set that has an expansion, by the last part of its URL.
    codes: BTreeMap<String, Vec<String>>,
    /// The value sets that an element is bound to.
    used: BTreeSet<String>,
    /// The types of `Extension.value[x]`; each other open choice has the same.
    open_choice: Vec<String>,
}

impl Definitions {
    fn read(package: &Path, expansions: &Path) -> Result<Self> {
        let mut types = BTreeMap::new();
        for definition in super::resources(package, "StructureDefinition-")? {
            let is_wanted = matches!(text(&definition, "kind")?, "resource" | "complex-type");
            if is_wanted && definition.get("derivation").and_then(Value::as_str) != Some("constraint") {
                types.insert(text(&definition, "name")?.to_owned(), definition);
            }
        }
        let mut codes = BTreeMap::new();
        for value_set in super::resources(expansions, "ValueSet-")? {
            let mut list = Vec::new();
            collect_codes(&value_set["expansion"], &mut list);
            if !list.is_empty() && list.iter().all(|code| !code.contains(char::is_whitespace)) {
                codes.insert(short_name(text(&value_set, "url")?).to_owned(), list);
            }
        }
        let extension = types.get("Extension").context("no StructureDefinition of Extension")?;
        let value = elements(extension)?.iter().find(|element| element["path"] == "Extension.value[x]").context("no Extension.value[x]")?;
        let open_choice = type_codes(value)?;
        Ok(Self { types, codes, used: BTreeSet::new(), open_choice })
    }

    /// Writes the type after those that it extends, which the reader has to know first.
    fn write_type(&mut self, name: &str, to: &mut String) -> Result<()> {
        let Some(definition) = self.types.remove(name) else { return Ok(()) };
        let base = definition.get("baseDefinition").and_then(Value::as_str).map(short_name).unwrap_or_default().to_owned();
        self.write_type(&base, to)?;
        let elements = elements(&definition)?;
        self.write_part(name, &base, elements, to).with_context(|| name.to_owned())?;
        for element in &elements[1..] {
            let path = text(element, "path")?;
            if elements.iter().any(|other| is_child(other, path)) {
                let base = type_codes(element)?.into_iter().next().unwrap_or_default();
                self.write_type(&base, to)?;
                self.write_part(path, &base, elements, to).with_context(|| path.to_owned())?;
            }
        }
        Ok(())
    }

    fn write_part(&mut self, path: &str, base: &str, elements: &[Value], to: &mut String) -> Result<()> {
        match base {
            // Most parts extend it: left out, it saves a tenth of the text.
            "BackboneElement" => writeln!(to, "{path}")?,
            "" => writeln!(to, "{path} -")?,
            base => writeln!(to, "{path} {base}")?,
        }
        for element in elements.iter().filter(|element| is_child(element, path)) {
            let own = text(element, "path")?;
            if element["base"]["path"] != own {
                continue;
            }
            let card = match (element["min"].as_u64(), text(element, "max")?) {
                (Some(0), "1") => '?',
                (Some(1), "1") => '1',
                (Some(0), "*") => '*',
                (Some(1), "*") => '+',
                (min, max) => bail!("{own}: cardinality {min:?}..{max}"),
            };
            write!(to, " {} {card} {}", own.rsplit('.').next().unwrap_or(own), self.types_of(element, elements)?)?;
            let flag = |name: &str, letter| if element[name] == true { letter } else { "" };
            let flags = format!("{}{}", flag("isSummary", "s"), flag("isModifier", "m"));
            writeln!(to, "{}{flags}", if flags.is_empty() { "" } else { " " })?;
        }
        Ok(())
    }

    /// The types of an element, joined by `|`.
    fn types_of(&mut self, element: &Value, elements: &[Value]) -> Result<String> {
        if let Some(reference) = element.get("contentReference").and_then(Value::as_str) {
            return Ok(format!("@{}", reference.trim_start_matches('#')));
        }
        let path = text(element, "path")?;
        if elements.iter().any(|other| is_child(other, path)) {
            return Ok("@".to_owned());
        }
        let mut types = type_codes(element)?;
        ensure!(!types.is_empty(), "{path} has no type");
        ensure!(types.len() == 1 || path.ends_with("[x]"), "{path} has several types");
        if types == self.open_choice {
            return Ok("*".to_owned());
        }
        if path == "Resource.id" {
            // Its StructureDefinition says 'string', the text of https://hl7.org/fhir/R4/resource.html says 'id', and so do all servers.
            types = vec!["id".to_owned()];
        }
        if types == ["code"] && element["binding"]["strength"] == "required" {
            let value_set = text(&element["binding"], "valueSet")?;
            let name = short_name(value_set.split('|').next().unwrap_or_default());
            if self.codes.contains_key(name) {
                self.used.insert(name.to_owned());
                return Ok(format!("code:{name}"));
            }
            eprintln!("{path}: {name} has no expansion");
        }
        Ok(types.join("|"))
    }
}

fn elements(definition: &Value) -> Result<&[Value]> {
    definition["snapshot"]["element"].as_array().map(Vec::as_slice).with_context(|| format!("{}: no snapshot", definition["name"]))
}

fn is_child(element: &Value, path: &str) -> bool {
    let own = element["path"].as_str().unwrap_or_default();
    own.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')).is_some_and(|name| !name.contains('.'))
}

/// FHIR's names of an element's types; where a System type of FHIRPath stands, an extension has FHIR's.
fn type_codes(element: &Value) -> Result<Vec<String>> {
    let types = element["type"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |of: &Value| {
        let code = text(of, "code")?;
        if !code.starts_with("http://hl7.org/fhirpath/") {
            return Ok(code.to_owned());
        }
        let extensions = of["extension"].as_array().map(Vec::as_slice).unwrap_or_default();
        let own =
            extensions.iter().find(|extension| text(extension, "url").is_ok_and(|url| url.ends_with("structuredefinition-fhir-type")));
        Ok(text(own.context("no FHIR type")?, "valueUrl")?.to_owned())
    };
    types.iter().map(name).collect()
}

fn collect_codes(expansion: &Value, list: &mut Vec<String>) {
    for entry in expansion["contains"].as_array().into_iter().flatten() {
        if let Some(code) = entry["code"].as_str()
            && !list.iter().any(|other| other == code)
        {
            list.push(code.to_owned());
        }
        collect_codes(entry, list);
    }
}

fn short_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn text<'a>(json: &'a Value, name: &str) -> Result<&'a str> {
    json.get(name).and_then(Value::as_str).with_context(|| format!("no '{name}' in {}", json["id"]))
}
