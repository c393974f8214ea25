//! `r4.txt`, read once. What its lines mean stands at its head.

use std::{collections::BTreeMap, sync::LazyLock};

use lethe_fhir::ResourceType;

use super::{Parameter, ParameterKind, PathUse};
use crate::{Facet, PathId};

/// The table.
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("r4.txt")));

/// What the table says.
#[derive(Default)]
pub(super) struct Table {
    /// By the number of the type; the first is what every type has.
    types: Vec<TypeTable>,
    /// Compartment → type → codes.
    pub compartments: BTreeMap<ResourceType, BTreeMap<ResourceType, Vec<&'static str>>>,
    /// Lines that were not understood; a test sees to it that there are none.
    pub damaged: Vec<&'static str>,
}

/// What it says of one type.
#[derive(Clone, Default)]
pub(super) struct TypeTable {
    /// In the order of codes.
    pub parameters: Vec<Parameter>,
    /// In the order of numbers.
    pub paths: Vec<Path>,
}

/// A path.
#[derive(Clone)]
pub(crate) struct Path {
    /// Its number.
    pub id: PathId,
    /// How its values are written.
    pub kind: ParameterKind,
    /// Where they are read.
    pub reading: Reading,
    /// Of a code: its only system.
    pub implied_system: Option<&'static str>,
    /// For people.
    pub name: String,
}

/// Where values are read.
#[derive(Clone)]
pub(crate) enum Reading {
    /// At each of these.
    Leaves(Vec<Leaf>),
    /// Together, inside each element that `root` leads to.
    Composite {
        /// `.` is the resource.
        root: &'static str,
        /// In order.
        components: Vec<Component>,
    },
}

/// One component of a composite.
#[derive(Clone)]
pub(crate) struct Component {
    /// Its kind.
    pub kind: ParameterKind,
    /// Where it is read, below the root or, with `^`, the resource.
    pub leaves: Vec<Leaf>,
}

/// A place in JSON and the datatype there.
#[derive(Clone, Copy)]
pub(crate) struct Leaf {
    /// Names of members joined by `.`; `[name=value]` behind one where only some count; `.` alone is the resource.
    pub json: &'static str,
    /// The datatype.
    pub datatype: Datatype,
}

/// What stands at a leaf, as far as reading it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datatype {
    /// A code, string, uri, id, date…: JSON text that is taken as it is.
    Text,
    Boolean,
    Number,
    Coding,
    CodeableConcept,
    Identifier,
    ContactPoint,
    Reference,
    HumanName,
    Address,
    Period,
    Timing,
    Quantity,
    Money,
    Range,
    SampledData,
    Position,
    /// `Patient.deceased`: whether it is there and not false.
    Deceased,
    /// The first resource of a Bundle, if it is a Composition.
    FirstComposition,
    /// The first resource of a Bundle, if it is a MessageHeader.
    FirstMessageHeader,
}

impl Datatype {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "code" | "string" | "markdown" | "id" | "uri" | "url" | "canonical" | "oid" | "uuid" | "date" | "dateTime" | "instant" => {
                Self::Text
            }
            "boolean" => Self::Boolean,
            "integer" | "decimal" | "positiveInt" | "unsignedInt" => Self::Number,
            "Coding" => Self::Coding,
            "CodeableConcept" => Self::CodeableConcept,
            "Identifier" => Self::Identifier,
            "ContactPoint" => Self::ContactPoint,
            "Reference" => Self::Reference,
            "HumanName" => Self::HumanName,
            "Address" => Self::Address,
            "Period" => Self::Period,
            "Timing" => Self::Timing,
            "Quantity" | "Age" | "Count" | "Distance" | "Duration" => Self::Quantity,
            "Money" => Self::Money,
            "Range" => Self::Range,
            "SampledData" => Self::SampledData,
            "@position" => Self::Position,
            "@deceased" => Self::Deceased,
            "@firstComposition" => Self::FirstComposition,
            "@firstMessageHeader" => Self::FirstMessageHeader,
            _ => return None,
        })
    }
}

impl ParameterKind {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "number" => Self::Number,
            "date" => Self::Date,
            "string" => Self::String,
            "token" => Self::Token,
            "reference" => Self::Reference,
            "composite" => Self::Composite,
            "quantity" => Self::Quantity,
            "uri" => Self::Uri,
            "position" => Self::Position,
            _ => return None,
        })
    }
}

impl Table {
    fn read(text: &'static str) -> Self {
        let every = ResourceType::all().count();
        let mut table = Self { types: vec![TypeTable::default(); every + 1], ..Self::default() };
        let mut section = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[') {
                let name = name.trim_end_matches(']');
                section = if name == "*" { Some(0) } else { name.parse().ok().map(|of: ResourceType| usize::from(of.code())) };
            }
            let understood = if line.starts_with('[') {
                section.map(|_| ())
            } else if line.starts_with('(') {
                table.add_compartment(line)
            } else {
                section.and_then(|section| table.types[section].add(line))
            };
            if understood.is_none() {
                table.damaged.push(line);
            }
        }
        let common = std::mem::take(&mut table.types[0]);
        for of_type in &mut table.types[1..] {
            of_type.parameters.extend(common.parameters.iter().cloned());
            of_type.parameters.sort_by_key(|parameter| parameter.code);
            of_type.paths.extend(common.paths.iter().cloned());
            of_type.paths.sort_by_key(|path| path.id);
        }
        table
    }

    /// What it says of a type.
    pub fn of(&self, resource_type: ResourceType) -> &TypeTable {
        // OK because there is one for every type.
        &self.types[usize::from(resource_type.code())]
    }

    fn add_compartment(&mut self, line: &'static str) -> Option<()> {
        let (compartment, rest) = line.strip_prefix('(')?.split_once(") ")?;
        let (member, codes) = rest.split_once(' ')?;
        let members = self.compartments.entry(compartment.parse().ok()?).or_default();
        members.insert(member.parse().ok()?, codes.split(' ').collect());
        Some(())
    }
}

impl TypeTable {
    /// A line of a type. Paths come before the parameters that use them.
    fn add(&mut self, line: &'static str) -> Option<()> {
        let (first, rest) = line.split_once(' ')?;
        match first.parse() {
            Ok(number) if !rest.starts_with("gone ") => self.paths.push(Path::of(number, rest)?),
            Ok(_) => {}
            Err(_) => {
                let parameter = self.parameter(first, rest)?;
                self.parameters.push(parameter);
            }
        }
        Some(())
    }

    fn parameter(&self, code: &'static str, rest: &'static str) -> Option<Parameter> {
        let (head, behind) = rest.split_once(" > ").unwrap_or((rest, ""));
        let mut words = head.split(' ');
        let kind = ParameterKind::of(words.next()?)?;
        let uses = words.map(|word| {
            let (number, only_target) = match word.split_once('/') {
                Some((number, target)) => (number, Some(target.parse().ok()?)),
                None => (word, None),
            };
            let path = PathId::new(number.parse().ok()?, Facet::Value);
            let own = self.paths.iter().find(|own| own.id == path)?;
            Some(PathUse { path, only_target, implied_system: own.implied_system, has_ranges: own.has_ranges() })
        });
        let uses = uses.collect::<Option<Vec<_>>>()?;
        let mut behind: Vec<&str> = behind.split(' ').filter(|word| !word.is_empty()).collect();
        let (mut targets, mut components) = (Vec::new(), Vec::new());
        if kind == ParameterKind::Composite {
            components = behind.into_iter().map(ParameterKind::of).collect::<Option<_>>()?;
        } else if behind == ["*"] {
            targets = ResourceType::all().collect();
        } else {
            behind.sort_unstable();
            targets = behind.into_iter().map(|name| name.parse().ok()).collect::<Option<_>>()?;
        }
        Some(Parameter { code, kind, uses, targets, components })
    }
}

impl Path {
    fn has_ranges(&self) -> bool {
        let is_range = |leaves: &[Leaf]| leaves.iter().any(|leaf| leaf.datatype == Datatype::Range);
        match &self.reading {
            Reading::Leaves(leaves) => is_range(leaves),
            Reading::Composite { components, .. } => components.iter().any(|component| is_range(&component.leaves)),
        }
    }

    fn of(number: u16, text: &'static str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        let kind = ParameterKind::of(kind)?;
        let (mut implied_system, name, reading);
        if kind == ParameterKind::Composite {
            let (root, rest) = rest.split_once(' ')?;
            implied_system = None;
            let mut components = Vec::new();
            for (index, component) in rest.split(" , ").enumerate() {
                let (kind, rest) = component.split_once(' ')?;
                let (leaves, system) = leaves_of(rest)?;
                if index == 0 {
                    implied_system = system;
                }
                components.push(Component { kind: ParameterKind::of(kind)?, leaves });
            }
            let names: Vec<String> = components.iter().map(|component| name_of(&component.leaves)).collect();
            name = format!("{}({})", root.trim_matches('.'), names.join(", "));
            reading = Reading::Composite { root, components };
        } else {
            let (leaves, system) = leaves_of(rest)?;
            implied_system = system;
            name = name_of(&leaves);
            reading = Reading::Leaves(leaves);
        }
        Some(Self { id: PathId::new(number, Facet::Value), kind, reading, implied_system, name })
    }
}

fn leaves_of(text: &'static str) -> Option<(Vec<Leaf>, Option<&'static str>)> {
    let (mut leaves, mut system) = (Vec::new(), None);
    for word in text.split(' ') {
        match word.strip_prefix('=') {
            Some(own) => system = Some(own),
            None => {
                let (json, datatype) = word.rsplit_once(':')?;
                leaves.push(Leaf { json, datatype: Datatype::of(datatype)? });
            }
        }
    }
    Some((leaves, system))
}

/// What all leaves begin with, and `[x]` if they differ behind it.
fn name_of(leaves: &[Leaf]) -> String {
    let first = leaves.first().map_or("", |leaf| leaf.json.trim_start_matches('^'));
    let common = leaves.iter().fold(first.len(), |length, leaf| {
        let other = leaf.json.trim_start_matches('^').bytes();
        first.bytes().take(length).zip(other).take_while(|(one, other)| one == other).count()
    });
    let choice = if common < first.len() { "[x]" } else { "" };
    format!("{}{choice}", first.get(..common).unwrap_or(first))
}
