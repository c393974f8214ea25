//! The element trees of HL7's structures: which JSON members an expression leads to, and of which datatype they are.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::expression::{Atom, Step, component_atoms};

/// Where a value lies in JSON, and what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Names of members, joined by `.`; `[name=value]` where only some of them count.
    pub json: String,
    /// Its datatype.
    pub datatype: String,
    /// Of a `code`: the only code system of its required binding.
    pub system: Option<String>,
    /// Of a reference: the types that it may lead to; `None`: not said.
    pub targets: Option<BTreeSet<String>>,
}

type Structure = Rc<BTreeMap<String, Value>>;

/// All structures of a package, read when they are needed.
pub struct Elements {
    package: PathBuf,
    structures: RefCell<BTreeMap<String, Structure>>,
    dropped: RefCell<BTreeSet<String>>,
}

/// Where a walk stands: an element of a structure.
#[derive(Clone)]
struct Cursor {
    json: String,
    structure: String,
    path: String,
}

/// Whether a value of `datatype` is read for a parameter of `kind`.
fn is_read(kind: &str, datatype: &str) -> bool {
    match kind {
        "token" => {
            matches!(datatype, "Coding" | "CodeableConcept" | "Identifier" | "ContactPoint" | "boolean" | "code" | "string" | "id" | "uri")
        }
        "reference" => matches!(datatype, "Reference" | "canonical" | "uri"),
        "string" => matches!(datatype, "string" | "markdown" | "HumanName" | "Address"),
        "date" => matches!(datatype, "date" | "dateTime" | "instant" | "Period" | "Timing"),
        "number" => matches!(datatype, "decimal" | "integer" | "positiveInt" | "unsignedInt" | "Range"),
        "quantity" => matches!(datatype, "Quantity" | "Age" | "Count" | "Distance" | "Duration" | "Money" | "Range" | "SampledData"),
        "uri" => matches!(datatype, "uri" | "url" | "canonical" | "oid" | "uuid"),
        "position" => datatype == "BackboneElement",
        _ => false,
    }
}

impl Elements {
    /// Of an unpacked package.
    pub fn of(package: &Path) -> Result<Self> {
        ensure!(package.join("StructureDefinition-Patient.json").exists(), "{}: no definitions here", package.display());
        Ok(Self { package: package.to_owned(), structures: RefCell::default(), dropped: RefCell::default() })
    }

    /// Choices that a parameter names and that its kind cannot hold.
    pub fn dropped(&self) -> Vec<String> {
        self.dropped.borrow().iter().cloned().collect()
    }

    /// A path as the table writes it.
    pub fn path_of(kind: &str, leaves: &[Leaf]) -> String {
        let mut written: Vec<String> = leaves.iter().map(|leaf| format!("{}:{}", leaf.json, leaf.datatype)).collect();
        written.sort();
        if let [Leaf { system: Some(system), .. }] = leaves {
            written.push(format!("={system}"));
        }
        format!("{kind} {}", written.join(" "))
    }

    /// What `atoms`, which differ in the choice of a datatype alone, lead to.
    pub fn leaves(&self, base: &str, atoms: &[&Atom], kind: &str) -> Result<Vec<Leaf>> {
        let mut leaves = Vec::new();
        for atom in atoms {
            let start = Cursor { json: String::new(), structure: base.to_owned(), path: base.to_owned() };
            for leaf in self.leaves_from(start, &atom.steps)? {
                if leaf.datatype.starts_with('@') || is_read(kind, &leaf.datatype) {
                    let leaf = Leaf { datatype: if kind == "position" { "@position".to_owned() } else { leaf.datatype.clone() }, ..leaf };
                    if !leaves.contains(&leaf) {
                        leaves.push(leaf);
                    }
                } else {
                    self.dropped.borrow_mut().insert(format!("{base}.{} ({}) as {kind}", leaf.json, leaf.datatype));
                }
            }
        }
        Ok(leaves)
    }

    /// A composite parameter's path, as the table writes it, and the kinds of its components.
    pub fn composite(&self, base: &str, root: &Atom, components: &[(&str, &str)]) -> Result<(String, Vec<String>)> {
        let start = Cursor { json: String::new(), structure: base.to_owned(), path: base.to_owned() };
        let mut root_at = start.clone();
        for step in &root.steps {
            let Step::Member(name) = step else { bail!("a composite's root is expected to be a plain path") };
            root_at = self.child(&root_at, name)?;
        }
        let (mut written, mut kinds) = (Vec::new(), Vec::new());
        for (kind, expression) in components {
            let mut leaves = Vec::new();
            for (is_from_resource, atom) in component_atoms(expression)? {
                let from = if is_from_resource { start.clone() } else { Cursor { json: String::new(), ..root_at.clone() } };
                let mark = if is_from_resource { "^" } else { "" };
                leaves.extend(self.leaves_from(from, &atom.steps)?.into_iter().map(|leaf| (mark, leaf)));
            }
            // The definitions of DocumentReference?relationship name its two components in the wrong order; the expressions are right.
            let is_some_read = |kind: &str| leaves.iter().any(|(_, leaf)| is_read(kind, &leaf.datatype));
            let kind = [*kind, "token", "reference"].into_iter().find(|kind| is_some_read(kind));
            let kind = kind.with_context(|| format!("no element for the component {expression}"))?;
            let mut texts = Vec::new();
            for (mark, leaf) in leaves {
                if is_read(kind, &leaf.datatype) {
                    let system = leaf.system.map(|system| format!(" ={system}")).unwrap_or_default();
                    texts.push(format!("{mark}{}:{}{system}", leaf.json, leaf.datatype));
                }
            }
            texts.sort();
            written.push(format!("{kind} {}", texts.join(" ")));
            kinds.push(kind.to_owned());
        }
        let root = if root_at.json.is_empty() { "." } else { &root_at.json };
        Ok((format!("composite {root} {}", written.join(" , ")), kinds))
    }

    fn leaves_from(&self, start: Cursor, steps: &[Step]) -> Result<Vec<Leaf>> {
        if let [Step::Special(name)] = steps {
            let targets = None;
            return Ok(vec![Leaf { json: ".".to_owned(), datatype: name.clone(), system: None, targets }]);
        }
        let mut at = start;
        let mut steps = steps.iter().peekable();
        while let Some(step) = steps.next() {
            match step {
                Step::Member(name) => {
                    at = self.child(&at, name)?;
                    if let Some(Step::As(datatype)) = steps.peek() {
                        steps.next();
                        if steps.peek().is_none() {
                            let choices = self.types(&at)?;
                            let fitting = choices.iter().filter(|choice| self.is_a(choice, datatype));
                            return fitting.map(|choice| self.leaf(&at, choice)).collect();
                        }
                        let json = concrete(&at.json, datatype);
                        at = Cursor { json, structure: datatype.clone(), path: datatype.clone() };
                    }
                }
                Step::Where(name, value) => {
                    self.child(&at, name)?;
                    at.json = format!("{}[{name}={value}]", at.json);
                }
                other => bail!("{other:?} is not expected here"),
            }
        }
        self.types(&at)?.iter().map(|datatype| self.leaf(&at, datatype)).collect()
    }

    /// Whether a datatype is `general` or derives from it: `as uri` also takes a canonical.
    fn is_a(&self, datatype: &str, general: &str) -> bool {
        let base = |of: &str| {
            let definition = self.definition("StructureDefinition", of).ok()?;
            definition["baseDefinition"].as_str()?.rsplit('/').next().map(str::to_owned)
        };
        let mut at = Some(datatype.to_owned());
        while let Some(own) = at {
            if own == general {
                return true;
            }
            at = base(&own);
        }
        false
    }

    fn leaf(&self, at: &Cursor, datatype: &str) -> Result<Leaf> {
        let element = self.element(at)?;
        let kind = element["type"].as_array().into_iter().flatten().find(|kind| kind["code"] == datatype);
        let kind = kind.with_context(|| format!("{} is never a {datatype}", at.path))?;
        let profiles = kind["targetProfile"].as_array();
        let targets =
            profiles.map(|all| all.iter().filter_map(Value::as_str).filter_map(|url| url.rsplit('/').next()).map(str::to_owned).collect());
        let json = if at.path.ends_with("[x]") { concrete(&at.json, datatype) } else { at.json.clone() };
        let system = if datatype == "code" { self.only_system(&element["binding"])? } else { None };
        Ok(Leaf { json, datatype: datatype.to_owned(), system, targets })
    }

    fn child(&self, at: &Cursor, name: &str) -> Result<Cursor> {
        let element = self.element(at)?;
        let (structure, path) = match element["contentReference"].as_str() {
            Some(reference) => (at.structure.clone(), reference.trim_start_matches('#').to_owned()),
            None => match self.types(at)?.as_slice() {
                [inline] if matches!(inline.as_str(), "BackboneElement" | "Element") => (at.structure.clone(), at.path.clone()),
                [datatype] => (datatype.clone(), datatype.clone()),
                // A structure's own root has no type.
                [] => (at.structure.clone(), at.path.clone()),
                _ => bail!("{} has several types: one has to be chosen before '{name}'", at.path),
            },
        };
        let json = if at.json.is_empty() { name.to_owned() } else { format!("{}.{name}", at.json) };
        for suffix in ["", "[x]"] {
            let child = Cursor { json: json.clone(), structure: structure.clone(), path: format!("{path}.{name}{suffix}") };
            if self.element(&child).is_ok() {
                return Ok(child);
            }
        }
        bail!("{path} has no element '{name}'")
    }

    fn types(&self, at: &Cursor) -> Result<Vec<String>> {
        let element = self.element(at)?;
        Ok(element["type"].as_array().into_iter().flatten().filter_map(|kind| kind["code"].as_str()).map(str::to_owned).collect())
    }

    fn element(&self, at: &Cursor) -> Result<Value> {
        let known = self.structures.borrow().get(&at.structure).cloned();
        let structure = match known {
            Some(structure) => structure,
            None => {
                let definition = self.definition("StructureDefinition", &at.structure)?;
                let elements = definition["snapshot"]["element"].as_array().context("a snapshot is expected")?;
                let by_path = elements.iter().filter_map(|element| Some((element["path"].as_str()?.to_owned(), element.clone())));
                let structure = Rc::new(by_path.collect::<BTreeMap<_, _>>());
                self.structures.borrow_mut().insert(at.structure.clone(), Rc::clone(&structure));
                structure
            }
        };
        structure.get(&at.path).cloned().with_context(|| format!("{} has no element {}", at.structure, at.path))
    }

    /// The one code system that a required binding allows.
    fn only_system(&self, binding: &Value) -> Result<Option<String>> {
        let url = match (binding["strength"].as_str(), binding["valueSet"].as_str()) {
            (Some("required"), Some(url)) => url.split('|').next().unwrap_or(url),
            _ => return Ok(None),
        };
        // The few value sets that are elsewhere are made of several systems, or of none.
        let Ok(value_set) = self.definition("ValueSet", url.rsplit('/').next().unwrap_or(url)) else { return Ok(None) };
        let mut systems = BTreeSet::new();
        for include in value_set["compose"]["include"].as_array().into_iter().flatten() {
            match (include["system"].as_str(), include.get("valueSet")) {
                (Some(system), None) => systems.insert(system.to_owned()),
                _ => return Ok(None),
            };
        }
        Ok(if systems.len() == 1 { systems.pop_first() } else { None })
    }

    fn definition(&self, kind: &str, id: &str) -> Result<Value> {
        let file = self.package.join(format!("{kind}-{id}.json"));
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        serde_json::from_slice(&bytes).with_context(|| file.display().to_string())
    }
}

/// The member of a choice: `value` and `Quantity` are `valueQuantity`.
fn concrete(json: &str, datatype: &str) -> String {
    let mut letters = datatype.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter();
    format!("{json}{}{}", first.collect::<String>(), letters.as_str())
}
