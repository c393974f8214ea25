//! Which resources are targets (INV-1).

use std::str::FromStr;

use lethe_fhir::{Instant, ResourceType};
use thiserror::Error;

/// Place of a stored version in the order of commits. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

/// Whose resources are selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PurgeLevel {
    /// Everybody's.
    #[default]
    System,
    /// One patient's: what is in its compartment.
    Patient,
    /// Those of the members of a Group: what is in the compartment of any of them.
    Group,
}

/// A stored level that this version does not know (INV-9).
#[derive(Debug, Error, PartialEq, Eq)]
#[error("purge level '{0}' is not known to this version")]
pub struct UnknownLevel(pub String);

impl PurgeLevel {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::System, Self::Patient, Self::Group];

    /// The word in storage and on the wire.
    #[must_use]
    pub fn stored(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Patient => "patient",
            Self::Group => "group",
        }
    }
}

impl FromStr for PurgeLevel {
    type Err = UnknownLevel;

    fn from_str(stored: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|level| level.stored() == stored).ok_or_else(|| UnknownLevel(stored.to_owned()))
    }
}

/// What is selected within an account, frozen by the watermark.
///
/// It names no resource and quotes no value, so that jobs, audit and certificates can keep it (INV-5). Which patient or Group is meant, and the
/// conditions on types, are the *question*, which a store keeps apart and only until the plan is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these types; `None` means every type.
    pub types: Option<Vec<ResourceType>>,
    /// Only resources last updated strictly before.
    pub before: Option<Instant>,
    /// Also resources whose current version is a FHIR delete.
    pub include_deleted: bool,
    /// Whose resources.
    pub level: PurgeLevel,
    /// Of these types only what fits the conditions of the question.
    pub filtered_types: Vec<ResourceType>,
}

/// What INV-1 needs to know of the version of a resource that was current at the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its type.
    pub resource_type: ResourceType,
    /// When it was stored.
    pub last_updated: Instant,
    /// Its place in the order of commits.
    pub seq: Seq,
    /// Whether it records a FHIR delete.
    pub is_deletion: bool,
}

impl Selection {
    /// Whether resources of this type are targets at all.
    #[must_use]
    pub fn selects_type(&self, resource_type: ResourceType) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&resource_type))
    }

    /// Whether the targets of this type are a list, made with the plan: the question decides which they are. Those of any other type are
    /// whatever [`selects`](Self::selects) says.
    #[must_use]
    pub fn is_listed(&self, resource_type: ResourceType) -> bool {
        self.level != PurgeLevel::System || self.filtered_types.contains(&resource_type)
    }

    /// Whether this resource is a target; of a listed type, whether it may be one. The statements of the adapters say the same in SQL; the suite
    /// holds them to it.
    #[must_use]
    pub fn selects(&self, candidate: Candidate, watermark: Seq) -> bool {
        candidate.seq <= watermark
            && self.selects_type(candidate.resource_type)
            && self.before.is_none_or(|before| candidate.last_updated < before)
            && (self.include_deleted || !candidate.is_deletion)
    }

    /// Whether every resource of these types that is stored at the watermark is a target, so that no Provenance or Binary is left
    /// over that could go along.
    #[must_use]
    pub fn takes_all_of(&self, resource_types: &[ResourceType]) -> bool {
        let takes_all = |resource_type: &ResourceType| self.selects_type(*resource_type) && !self.is_listed(*resource_type);
        self.before.is_none() && resource_types.iter().all(takes_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_alone_spares() {
        let patient: ResourceType = "Patient".parse().unwrap();
        let target = Candidate { resource_type: patient, last_updated: Instant::from_unix_ms(99), seq: Seq(10), is_deletion: false };
        let selection = Selection { types: Some(vec![patient]), before: Some(Instant::from_unix_ms(100)), ..Selection::default() };
        let is_selected = |candidate| selection.selects(candidate, Seq(10));
        assert!(is_selected(target), "the control");
        assert!(!is_selected(Candidate { seq: Seq(11), ..target }), "after the watermark");
        assert!(!is_selected(Candidate { last_updated: Instant::from_unix_ms(100), ..target }), "at the cut-off");
        assert!(!is_selected(Candidate { resource_type: ResourceType::BINARY, ..target }), "another type");
        assert!(!is_selected(Candidate { is_deletion: true, ..target }), "deleted the FHIR way");
        assert!(Selection { include_deleted: true, ..selection.clone() }.selects(Candidate { is_deletion: true, ..target }, Seq(10)));
    }

    #[test]
    fn a_list_decides_about_types_with_conditions_and_about_all_types_of_patients() {
        let (binary, patient) = (ResourceType::BINARY, ResourceType::PATIENT);
        let all = Selection::default();
        assert!(!all.is_listed(binary) && all.takes_all_of(&[binary, patient]));
        let filtered = Selection { filtered_types: vec![binary], ..all.clone() };
        assert!(filtered.is_listed(binary) && !filtered.is_listed(patient));
        assert!(!filtered.takes_all_of(&[binary, patient]) && filtered.takes_all_of(&[patient]));
        for level in [PurgeLevel::Patient, PurgeLevel::Group] {
            let of_patients = Selection { level, ..all.clone() };
            assert!(of_patients.is_listed(patient) && !of_patients.takes_all_of(&[patient]));
        }
    }

    #[test]
    fn levels_are_read_back_and_others_not_understood() {
        for level in PurgeLevel::ALL {
            assert_eq!(level.stored().parse(), Ok(level));
        }
        assert_eq!("account".parse::<PurgeLevel>(), Err(UnknownLevel("account".to_owned())));
    }
}
