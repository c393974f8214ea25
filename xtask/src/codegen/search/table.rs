//! The table as text, and the numbers that a present one has given.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use anyhow::{Context, Result, ensure};

use super::elements::Leaf;

const HEAD: &str = "\
# R4's search parameters and compartments, made from hl7.fhir.r4.core 4.0.1 (https://hl7.org/fhir/R4/searchparameter-registry.html) by
# `cargo xtask codegen search`. Do not edit.
#
# [Type]                                     what follows belongs to this type; [*] to every type
# NUMBER KIND LEAF…                          a path; its number is stored in databases and never changes. LEAF is JSON:DATATYPE; a last
#                                            =SYSTEM is the one system that a code has
# NUMBER composite ROOT KIND LEAF… , …       a path of composites: its root, its components; ^ begins at the resource
# NUMBER gone …                              a path that is no more; its number is not given again
# CODE KIND USE… [> TYPE…]                   a parameter; USE is the number of a path, with /Type if only references to it count;
#                                            the types that it leads to, * for any
# CODE composite USE… > KIND…                a composite parameter, with the kinds of its components
# (Compartment) TYPE CODE…                   the parameters by which a resource of a type belongs to a compartment
#
# Paths 1 to 15 are those of every type; the paths of a type are numbered from 16 on, in the order of its parameters' codes.
";

/// The first number of a type's own paths.
const OWN_PATHS_FROM: u16 = 16;

/// Paths and their numbers, by type.
#[derive(Default)]
pub struct PathNumbers(BTreeMap<String, BTreeMap<String, u16>>);

impl PathNumbers {
    /// Those of a present table.
    pub fn of(table: &str) -> Result<Self> {
        let mut numbers = Self::default();
        let mut section = String::new();
        for line in table.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let (number, path) = line.split_once(' ').with_context(|| line.to_owned())?;
                let path = path.strip_prefix("gone ").unwrap_or(path);
                numbers.0.entry(section.clone()).or_default().insert(path.to_owned(), number.parse().with_context(|| line.to_owned())?);
            }
        }
        Ok(numbers)
    }

    fn number(&mut self, section: &str, path: &str) -> u16 {
        let paths = self.0.entry(section.to_owned()).or_default();
        let first = if section == "*" { 1 } else { OWN_PATHS_FROM };
        let next = paths.values().max().map_or(first, |last| last + 1);
        *paths.entry(path.to_owned()).or_insert(next)
    }
}

/// A parameter of one type.
pub struct ParameterRow {
    code: String,
    kind: String,
    paths: Vec<(String, Option<String>)>,
    targets: BTreeSet<String>,
    leads_anywhere: bool,
    /// Kinds of a composite's components.
    pub components: Vec<String>,
}

impl ParameterRow {
    /// Without paths.
    pub fn new(code: &str, kind: &str) -> Self {
        Self {
            code: code.to_owned(),
            kind: kind.to_owned(),
            paths: Vec::new(),
            targets: BTreeSet::new(),
            leads_anywhere: false,
            components: Vec::new(),
        }
    }

    /// One more path.
    pub fn add_path(&mut self, path: String, only_target: Option<String>) {
        self.paths.push((path, only_target));
    }

    /// Whether nothing was found for it.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The types that these leaves lead to.
    pub fn add_targets(&mut self, leaves: &[Leaf], only_target: Option<&str>) {
        if self.kind != "reference" {
            return;
        }
        match only_target {
            Some(target) => {
                self.targets.insert(target.to_owned());
            }
            None => {
                for leaf in leaves {
                    match &leaf.targets {
                        Some(targets) if !targets.contains("Resource") => self.targets.extend(targets.iter().cloned()),
                        _ => self.leads_anywhere = true,
                    }
                }
            }
        }
    }

    /// With the types that the parameter itself names: they say more where the elements allow anything.
    pub fn settle_targets<'a>(&mut self, named: impl Iterator<Item = &'a str>) {
        let named: BTreeSet<String> = named.map(str::to_owned).collect();
        if self.kind == "reference" && self.leads_anywhere {
            // Whoever names nearly all types means all.
            self.targets = if named.is_empty() || named.len() > 100 { BTreeSet::from(["*".to_owned()]) } else { named };
        }
    }
}

/// The whole table.
pub struct Table {
    numbers: PathNumbers,
    used: BTreeSet<(String, u16)>,
    rows: BTreeMap<String, BTreeMap<String, String>>,
    compartments: BTreeMap<String, BTreeMap<String, String>>,
}

impl Table {
    /// Empty, keeping the numbers that were given.
    pub fn new(numbers: PathNumbers) -> Self {
        Self { numbers, used: BTreeSet::new(), rows: BTreeMap::new(), compartments: BTreeMap::new() }
    }

    /// One parameter of one type.
    pub fn add(&mut self, section: &str, row: ParameterRow) {
        let mut written = format!("{} {}", row.code, row.kind);
        for (path, only_target) in &row.paths {
            let number = self.numbers.number(section, path);
            self.used.insert((section.to_owned(), number));
            let _ = match only_target {
                Some(target) => write!(written, " {number}/{target}"),
                None => write!(written, " {number}"),
            };
        }
        let behind: Vec<&str> = row.targets.iter().chain(&row.components).map(String::as_str).collect();
        if !behind.is_empty() {
            let _ = write!(written, " > {}", behind.join(" "));
        }
        self.rows.entry(section.to_owned()).or_default().insert(row.code, written);
    }

    /// By which parameters resources of a type belong to a compartment.
    pub fn add_to_compartment(&mut self, compartment: &str, resource_type: &str, codes: &[&str]) {
        self.compartments.entry(compartment.to_owned()).or_default().insert(resource_type.to_owned(), codes.join(" "));
    }

    /// As text.
    pub fn render(&self) -> Result<String> {
        let mut text = HEAD.to_owned();
        for (section, paths) in &self.numbers.0 {
            let _ = write!(text, "\n[{section}]\n");
            let mut by_number: Vec<(u16, &String)> = paths.iter().map(|(path, number)| (*number, path)).collect();
            by_number.sort();
            ensure!(by_number.windows(2).all(|pair| pair[0].0 < pair[1].0), "[{section}] gives a number twice");
            ensure!(section != "*" || by_number.len() < usize::from(OWN_PATHS_FROM), "too many paths for every type");
            for (number, path) in by_number {
                let gone = if self.used.contains(&(section.clone(), number)) { "" } else { "gone " };
                let _ = writeln!(text, "{number} {gone}{path}");
            }
            for row in self.rows.get(section).into_iter().flat_map(BTreeMap::values) {
                let _ = writeln!(text, "{row}");
            }
        }
        for (compartment, members) in &self.compartments {
            text.push('\n');
            for (resource_type, codes) in members {
                let _ = writeln!(text, "({compartment}) {resource_type} {codes}");
            }
        }
        Ok(text)
    }

    /// For whoever made it.
    pub fn summary(&self) -> String {
        let parameters: usize = self.rows.values().map(BTreeMap::len).sum();
        format!("{parameters} parameters of {} types on {} paths", self.rows.len() - 1, self.used.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(numbers: PathNumbers, paths: &[&str]) -> String {
        let mut table = Table::new(numbers);
        for path in paths {
            let mut row = ParameterRow::new(path, "token");
            row.add_path(format!("token {path}:code"), None);
            table.add("Basic", row);
        }
        table.render().unwrap()
    }

    #[test]
    fn numbers_stay_and_are_not_given_again() {
        let first = with(PathNumbers::default(), &["b", "d"]);
        assert!(first.contains("\n16 token b:code\n17 token d:code\n"), "{first}");
        let second = with(PathNumbers::of(&first).unwrap(), &["a", "b", "c"]);
        assert!(second.contains("\n16 token b:code\n17 gone token d:code\n18 token a:code\n19 token c:code\n"), "{second}");
        let third = with(PathNumbers::of(&second).unwrap(), &["d"]);
        assert!(third.contains("\n17 token d:code\n18 gone token a:code\n"), "{third}");
    }
}
