//! Legal holds: what they keep, whatever a purge selects.

use std::collections::HashMap;

use lethe_fhir::{LogicalId, ResourceType};
use thiserror::Error;

/// Characters of the reason of a hold, and of the name of whoever sets or lifts it.
pub const HOLD_TEXT_CHARS_MAX: usize = 1_000;

/// Why a reason or a name was not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HoldTextError {
    /// Nothing can be seen of it.
    #[error("must have at least one visible character")]
    Empty,
    /// Over [`HOLD_TEXT_CHARS_MAX`].
    #[error("has {0} characters, and at most {HOLD_TEXT_CHARS_MAX} are kept")]
    TooLong(usize),
    /// It has a character that ends texts.
    #[error("has the character U+0000, which no text may have")]
    Nul,
}

/// A reason, or the name of whoever sets or lifts a hold.
///
/// # Errors
/// [`HoldTextError`]: a record that says nothing is none.
pub fn hold_text(text: &str) -> Result<String, HoldTextError> {
    match text.chars().count() {
        _ if text.trim().is_empty() => Err(HoldTextError::Empty),
        _ if text.contains('\0') => Err(HoldTextError::Nul),
        chars if chars > HOLD_TEXT_CHARS_MAX => Err(HoldTextError::TooLong(chars)),
        _ => Ok(text.to_owned()),
    }
}

/// What a hold keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldTarget {
    /// Everything in the account.
    Account,
    /// A patient, and whatever is in its compartment (HL7's R4 CompartmentDefinition) when a purge comes to it: what is written later, too.
    Patient(LogicalId),
    /// One resource.
    Resource(ResourceType, LogicalId),
}

/// The holds that are in force in one account at one moment. `Id` is what its user knows a hold by.
#[derive(Clone, Debug)]
pub struct HoldsInForce<Id> {
    whole: Vec<Id>,
    patients: HashMap<LogicalId, Vec<Id>>,
    resources: HashMap<(ResourceType, LogicalId), Vec<Id>>,
}

impl<Id: Copy + Ord> HoldsInForce<Id> {
    /// These.
    #[must_use]
    pub fn new(holds: impl IntoIterator<Item = (Id, HoldTarget)>) -> Self {
        let mut all = Self { whole: Vec::new(), patients: HashMap::new(), resources: HashMap::new() };
        for (id, target) in holds {
            match target {
                HoldTarget::Account => all.whole.push(id),
                HoldTarget::Patient(patient) => all.patients.entry(patient).or_default().push(id),
                HoldTarget::Resource(resource_type, resource) => all.resources.entry((resource_type, resource)).or_default().push(id),
            }
        }
        all
    }

    /// Whether there are none: nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.patients.is_empty() && self.resources.is_empty()
    }

    /// Those on the whole account.
    #[must_use]
    pub fn on_account(&self) -> &[Id] {
        &self.whole
    }

    /// Whether it matters in whose compartments a resource is.
    #[must_use]
    pub fn ask_for_patients(&self) -> bool {
        !self.patients.is_empty()
    }

    /// The holds that keep a resource which is in the compartments of `patients`, each once, in order; none: it may go.
    #[must_use]
    pub fn keeping(&self, resource_type: ResourceType, id: &LogicalId, patients: &[LogicalId]) -> Vec<Id> {
        let by_name = self.resources.get(&(resource_type, id.clone())).into_iter().flatten();
        let by_patient = patients.iter().filter_map(|patient| self.patients.get(patient)).flatten();
        let mut keeping: Vec<Id> = self.whole.iter().chain(by_name).chain(by_patient).copied().collect();
        keeping.sort_unstable();
        keeping.dedup();
        keeping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: [u8; 0] = [];

    fn id(text: &str) -> LogicalId {
        text.parse().unwrap()
    }

    #[test]
    fn a_record_says_something_and_not_too_much() {
        assert_eq!(hold_text("a lawsuit").as_deref(), Ok("a lawsuit"));
        assert_eq!(hold_text(" \n"), Err(HoldTextError::Empty));
        assert!(hold_text(&"ß".repeat(HOLD_TEXT_CHARS_MAX)).is_ok());
        assert_eq!(hold_text(&"ß".repeat(1_001)), Err(HoldTextError::TooLong(1_001)));
    }

    #[test]
    fn a_hold_keeps_the_account_the_compartment_or_the_one_resource() {
        let observation: ResourceType = "Observation".parse().unwrap();
        let on = |holds: Vec<(u8, HoldTarget)>| HoldsInForce::new(holds);
        let keeps = |holds: &HoldsInForce<u8>| holds.keeping(observation, &id("o"), &[id("a"), id("b")]);
        assert_eq!(keeps(&on(vec![])), NOBODY);
        assert_eq!(keeps(&on(vec![(1, HoldTarget::Account)])), [1]);
        assert_eq!(keeps(&on(vec![(1, HoldTarget::Patient(id("b")))])), [1]);
        assert_eq!(keeps(&on(vec![(1, HoldTarget::Patient(id("c")))])), NOBODY);
        assert_eq!(keeps(&on(vec![(1, HoldTarget::Resource(observation, id("o")))])), [1]);
        assert_eq!(
            keeps(&on(vec![(1, HoldTarget::Resource(observation, id("p"))), (2, HoldTarget::Resource(ResourceType::BINARY, id("o")))])),
            NOBODY
        );
        let several = [(3, HoldTarget::Account), (1, HoldTarget::Patient(id("a"))), (1, HoldTarget::Patient(id("b")))];
        assert_eq!(keeps(&on(several.into())), [1, 3], "each once");
    }
}
