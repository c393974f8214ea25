//! What the account holds, known by generating it once more.

use std::collections::HashSet;

use anyhow::{Context, ensure};
use lethe::population::{GeneratedKind, Population};

/// A patient whose whole record is stored.
pub struct Patient {
    pub id: String,
    pub family: String,
}

/// What the account holds.
pub struct Filled {
    pub patients: Vec<Patient>,
    /// Type and id of everything.
    pub resources: Vec<(&'static str, String)>,
    /// The seed it was made from.
    pub seed: u64,
    /// How many records of the population it holds, the last of them perhaps in part.
    pub records: usize,
}

impl Filled {
    /// The first `count` resources of the population, as [`write_population`](crate::fill::write_population) stored them.
    pub fn again(seed: u64, count: u64) -> anyhow::Result<Self> {
        let mut filled = Self { patients: Vec::new(), resources: Vec::new(), seed, records: 0 };
        for record in Population::new(seed, count).records() {
            filled.records += 1;
            let mut seen = HashSet::new();
            let mut patient = None;
            for change in record {
                let GeneratedKind::Put(json) = change.kind else { continue };
                if !seen.insert(change.id.clone()) {
                    continue;
                }
                if change.resource_type == "Patient" {
                    patient = Some(Patient { id: change.id.clone(), family: member(&json, "family")?.to_owned() });
                }
                filled.resources.push((change.resource_type, change.id));
                if filled.resources.len() as u64 == count {
                    ensure!(!filled.patients.is_empty(), "{count} resources hold no whole record: take 1,000 or more");
                    return Ok(filled);
                }
            }
            filled.patients.extend(patient);
        }
        anyhow::bail!("the population has fewer than {count} resources")
    }
}

/// The first string member of this name.
fn member<'a>(json: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let (_, after) = json.split_once(&format!(r#""{name}":""#)).with_context(|| format!("no {name}"))?;
    after.split('"').next().context("a string ends")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_as_many_as_were_written_and_only_patients_with_a_whole_record() {
        let filled = Filled::again(1, 1_000).unwrap();
        assert_eq!(filled.resources.len(), 1_000);
        assert_eq!(filled.resources.iter().collect::<HashSet<_>>().len(), 1_000, "each once");
        let stored = filled.resources.iter().filter(|(resource_type, _)| *resource_type == "Patient").count();
        assert_eq!(filled.patients.len() + 1, stored, "the last record is cut");
        assert_eq!(filled.records, stored + 1, "and the staff is a record");
    }
}
