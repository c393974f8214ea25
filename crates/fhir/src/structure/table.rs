//! Reads the table of elements. What its lines mean is said at the head of `r4.txt`.

use std::{collections::HashMap, sync::LazyLock};

use super::{Element, ElementType, Kind, Member, Primitive, Structure, ValueSet};
use crate::ResourceType;

const TEXT: &str = include_str!("r4.txt");

// OK because the text is part of the program and a test reads it: no other can be here.
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(TEXT).unwrap_or_default());

#[derive(Default)]
pub(super) struct Table {
    structures: Vec<Structure>,
    by_name: HashMap<&'static str, u16>,
    /// For each resource type by its code, from 0.
    by_type: Vec<u16>,
    value_sets: Vec<ValueSet>,
    /// What stands in where the table has no answer.
    nothing: Structure,
    no_codes: ValueSet,
}

impl Table {
    pub(super) fn of(&self, resource_type: ResourceType) -> &Structure {
        let index = self.by_type.get(usize::from(resource_type.code()) - 1);
        index.and_then(|index| self.structures.get(usize::from(*index))).unwrap_or(&self.nothing)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Structure> {
        self.structures.get(usize::from(*self.by_name.get(name)?))
    }

    pub(super) fn resolve(&'static self, kind: Kind) -> ElementType {
        match kind {
            Kind::Primitive(primitive) => ElementType::Primitive(primitive),
            Kind::Code(index) => ElementType::Code(self.value_sets.get(usize::from(index)).unwrap_or(&self.no_codes)),
            Kind::Structure(index) => ElementType::Structure(self.structures.get(usize::from(index)).unwrap_or(&self.nothing)),
            Kind::Resource => ElementType::Resource,
        }
    }

    /// Or the line that it does not understand.
    fn read(text: &'static str) -> Result<Self, &'static str> {
        let mut reader = Reader::default();
        // Types refer to each other in circles: all names first.
        for line in text.lines() {
            reader.read_name(line);
        }
        for line in text.lines() {
            reader.read_line(line).ok_or(line)?;
        }
        reader.finish();
        let table = reader.table;
        let by_type: Option<_> = ResourceType::all().map(|resource_type| table.by_name.get(resource_type.name()).copied()).collect();
        Ok(Self { by_type: by_type.ok_or("a resource type is missing")?, ..table })
    }
}

#[derive(Default)]
struct Reader {
    table: Table,
    value_sets: HashMap<&'static str, u16>,
    open_choice: Vec<&'static str>,
    /// That whose elements are being read; the last of the table is complete.
    current: Option<Structure>,
}

impl Reader {
    fn read_name(&mut self, line: &'static str) {
        if line.starts_with(|first: char| first.is_ascii_uppercase())
            && let Some(name) = line.split(' ').next()
        {
            let index = self.table.by_name.len() as u16;
            self.table.by_name.insert(name, index);
        }
    }

    fn read_line(&mut self, line: &'static str) -> Option<()> {
        match (line.split_at_checked(1)?, line) {
            (("#", _), _) => {}
            (("=", rest), _) => {
                let (name, codes) = rest.split_once(' ')?;
                self.value_sets.insert(name, self.table.value_sets.len() as u16);
                self.table.value_sets.push(ValueSet { name, codes: codes.split(' ').collect() });
            }
            (("*", rest), _) => self.open_choice = rest.split(' ').collect(),
            ((" ", rest), _) => self.read_element(rest)?,
            (_, head) => {
                self.finish();
                let (name, base) = head.split_once(' ').unwrap_or((head, "BackboneElement"));
                let mut structure = Structure { name, ..Structure::default() };
                if base != "-" {
                    let base = self.table.named(base)?;
                    structure.elements = base.elements.clone();
                    structure.members = base.members.iter().map(|member| Member { ..*member }).collect();
                }
                self.current = Some(structure);
            }
        }
        Some(())
    }

    fn read_element(&mut self, line: &'static str) -> Option<()> {
        let mut words = line.split(' ');
        let (name, card, types, flags) = (words.next()?, words.next()?, words.next()?, words.next().unwrap_or_default());
        let mut current = self.current.take()?;
        let choice = name.strip_suffix("[x]");
        let (is_required, repeats) = match card {
            "?" => (false, false),
            "1" => (true, false),
            "*" => (false, true),
            "+" => (true, true),
            _ => return None,
        };
        let index = u8::try_from(current.elements.len()).ok().filter(|index| *index < 64)?;
        current.elements.push(Element {
            name: choice.unwrap_or(name),
            is_choice: choice.is_some(),
            is_required,
            repeats,
            is_summary: flags.contains('s'),
            is_modifier: flags.contains('m'),
        });
        let types: Vec<&'static str> = if types == "*" { self.open_choice.clone() } else { types.split('|').collect() };
        for type_name in types {
            let kind = self.kind(type_name, current.name, name)?;
            // OK to leak because the table lives as long as the program.
            let name = choice.map_or(name, |choice| String::leak(format!("{choice}{}", capitalized(type_name))));
            current.members.push(Member { name, element: index, kind });
        }
        self.current = Some(current);
        Some(())
    }

    fn kind(&self, type_name: &str, owner: &str, element: &str) -> Option<Kind> {
        let part = |path: &str| self.table.by_name.get(path).copied().map(Kind::Structure);
        match (type_name, type_name.split_at_checked(1)?) {
            ("Resource", _) => Some(Kind::Resource),
            ("@", _) => part(&format!("{owner}.{element}")),
            (_, ("@", path)) => part(path),
            (name, _) => match (name.strip_prefix("code:"), Primitive::named(name)) {
                (Some(value_set), _) => self.value_sets.get(value_set).copied().map(Kind::Code),
                (None, Some(primitive)) => Some(Kind::Primitive(primitive)),
                (None, None) => part(name),
            },
        }
    }

    fn finish(&mut self) {
        if let Some(mut structure) = self.current.take() {
            structure.members.sort_by_key(|member| member.name);
            structure.required =
                structure.elements.iter().enumerate().filter(|(_, element)| element.is_required).map(|(index, _)| 1 << index).sum();
            self.table.structures.push(structure);
        }
    }
}

fn capitalized(type_name: &str) -> String {
    let (first, rest) = type_name.split_at_checked(1).unwrap_or_default();
    // A code that is bound to a value set is a code all the same: no such choice exists today.
    let rest = rest.split_once(':').map_or(rest, |(rest, _)| rest);
    format!("{}{rest}", first.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_whole() {
        let table = Table::read(TEXT).unwrap();
        assert_eq!(table.by_type.len(), 146);
        assert_eq!((table.structures.len(), table.by_name.len()), (662, 662));
        for (index, structure) in table.structures.iter().enumerate() {
            assert_eq!(usize::from(table.by_name[structure.name]), index, "{}", structure.name);
            assert!(structure.members.is_sorted_by(|left, right| left.name < right.name), "{}: a name stands twice", structure.name);
        }
        assert!(table.value_sets.iter().all(|value_set| !value_set.codes.is_empty()));
    }

    #[test]
    fn a_line_that_is_not_understood_stops_the_reading() {
        assert!(Table::read("Element -\n id ? string\nExtension Element\n").is_err(), "not every resource type is there");
        for line in ["\n", "A B", " id ? string", "A -\n id ? strin", "A -\n id 2 string", "A -\n id ?", "A -\n a 1 code:x", "A -\n a 1 @"]
        {
            assert!(matches!(Table::read(line), Err(found) if line.contains(found)), "{line:?}");
        }
    }
}
