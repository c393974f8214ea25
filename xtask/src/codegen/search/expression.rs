//! The few forms of FHIRPath that R4's search parameters are written in.

use anyhow::{Context, Result, bail, ensure};

/// One alternative of an expression, from the resource on.
#[derive(Clone, Debug, PartialEq)]
pub struct Atom {
    /// Its steps, without the name of the type at its head.
    pub steps: Vec<Step>,
    /// Of `where(resolve() is T)`: the type.
    pub only_target: Option<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A child.
    Member(String),
    /// `as(T)`.
    As(String),
    /// `where(child='value')`.
    Where(String, String),
    /// What no path can say; `elements.rs` knows them by name.
    Special(String),
}

impl Atom {
    /// What is the same for all choices of one element.
    pub fn stem(&self) -> String {
        let mut steps = self.steps.clone();
        if matches!(steps.last(), Some(Step::As(_))) {
            steps.pop();
        }
        format!("{steps:?}")
    }
}

/// The alternatives of `expression` that begin at `base`.
pub fn atoms_of(expression: &str, base: &str) -> Result<Vec<Atom>> {
    let mut atoms: Vec<Atom> = Vec::new();
    for text in expression.split('|').map(str::trim) {
        let special = match text {
            "Patient.deceased.exists() and Patient.deceased != false" => Some("@deceased"),
            "Bundle.entry[0].resource" => Some("@first"),
            _ => None,
        };
        if let Some(special) = special {
            atoms.push(Atom { steps: vec![Step::Special(special.to_owned())], only_target: None });
            continue;
        }
        let mut atom = atom_of(text).with_context(|| text.to_owned())?;
        let head = match atom.steps.first() {
            Some(Step::Member(name)) if name.starts_with(char::is_uppercase) => name.clone(),
            // Relative to whatever the resource is (InsurancePlan?name).
            _ => {
                atoms.push(atom);
                continue;
            }
        };
        if head == base {
            atom.steps.remove(0);
            if !atoms.contains(&atom) {
                atoms.push(atom);
            }
        }
    }
    ensure!(!atoms.is_empty(), "no alternative of '{expression}' begins at {base}");
    Ok(atoms)
}

/// The alternatives of a component's expression, relative to its root; `None` in place of the root stands for the resource.
pub fn component_atoms(expression: &str) -> Result<Vec<(bool, Atom)>> {
    let read = |text: &str| -> Result<(bool, Atom)> {
        match text.strip_prefix("%resource.") {
            Some(rest) => Ok((true, atom_of(rest)?)),
            None => Ok((false, atom_of(text)?)),
        }
    };
    expression.split('|').map(|text| read(text.trim()).with_context(|| text.to_owned())).collect()
}

fn atom_of(text: &str) -> Result<Atom> {
    // `(A.b as T)` and `(A.b as T).c` are A.b.as(T) and A.b.as(T).c.
    let rewritten = match text.strip_prefix('(') {
        Some(inner) => {
            let (cast, rest) = inner.split_once(')').context("')' is expected")?;
            let (path, datatype) = cast.split_once(" as ").context("'as' is expected")?;
            format!("{path}.as({datatype}){rest}")
        }
        None => text.to_owned(),
    };
    let mut atom = Atom { steps: Vec::new(), only_target: None };
    let mut rest = rewritten.as_str();
    while !rest.is_empty() {
        ensure!(atom.only_target.is_none(), "where(resolve() is …) is expected last");
        let after;
        if let Some(argument) = rest.strip_prefix("as(") {
            let (datatype, behind) = argument.split_once(')').context("')' is expected")?;
            // The definitions write the type once with a capital.
            atom.steps.push(Step::As(if datatype == "DateTime" { "dateTime".to_owned() } else { datatype.to_owned() }));
            after = behind;
        } else if let Some(argument) = rest.strip_prefix("where(resolve() is ") {
            let (target, behind) = argument.split_once(')').context("')' is expected")?;
            atom.only_target = Some(target.to_owned());
            after = behind;
        } else if let Some(argument) = rest.strip_prefix("where(") {
            let (condition, behind) = argument.split_once(')').context("')' is expected")?;
            let (name, value) = condition.split_once('=').context("'=' is expected")?;
            atom.steps.push(Step::Where(name.trim().to_owned(), value.trim().trim_matches('\'').to_owned()));
            after = behind;
        } else {
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
            if end == 0 {
                bail!("a name is expected at '{rest}'");
            }
            atom.steps.push(Step::Member(rest[..end].to_owned()));
            after = &rest[end..];
        }
        rest = match after.strip_prefix('.') {
            Some(next) => next,
            None if after.is_empty() => after,
            None => bail!("'.' is expected at '{after}'"),
        };
    }
    Ok(atom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Step {
        Step::Member(name.to_owned())
    }

    #[test]
    fn every_form_that_r4_uses_is_read() {
        let cases = [
            ("A.b.c", vec![member("b"), member("c")], None),
            ("(A.b as Quantity)", vec![member("b"), Step::As("Quantity".to_owned())], None),
            ("(A.b as CodeableConcept).text", vec![member("b"), Step::As("CodeableConcept".to_owned()), member("text")], None),
            ("A.b.as(DateTime)", vec![member("b"), Step::As("dateTime".to_owned())], None),
            ("A.b.where(system='phone')", vec![member("b"), Step::Where("system".to_owned(), "phone".to_owned())], None),
            ("A.b.where(resolve() is Patient)", vec![member("b")], Some("Patient".to_owned())),
        ];
        for (text, steps, only_target) in cases {
            assert_eq!(atoms_of(&format!("B.x | {text}"), "A").unwrap(), [Atom { steps, only_target }], "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in ["B.x", "A.b.first()", "A.b[1]", "A.b.where(c)", "(A.b as X", "A.b + A.c"] {
            assert!(atoms_of(text, "A").is_err(), "{text}");
        }
    }
}
