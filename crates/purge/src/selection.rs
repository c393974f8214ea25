//! Which resources are targets (INV-1).

use lethe_fhir::{Instant, ResourceType};

/// Place of a stored version in the order of commits. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

/// What is selected within an account, frozen by the watermark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these types; `None` means every type.
    pub types: Option<Vec<ResourceType>>,
    /// Only resources last updated strictly before.
    pub before: Option<Instant>,
    /// Also resources whose current version is a FHIR delete.
    pub include_deleted: bool,
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

    /// Whether this resource is a target. The statements of the adapters say the same in SQL; the suite holds them to it.
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
        self.before.is_none() && resource_types.iter().all(|resource_type| self.selects_type(*resource_type))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_alone_spares() {
        let patient: ResourceType = "Patient".parse().unwrap();
        let target = Candidate { resource_type: patient, last_updated: Instant::from_unix_ms(99), seq: Seq(10), is_deletion: false };
        let selection = Selection { types: Some(vec![patient]), before: Some(Instant::from_unix_ms(100)), include_deleted: false };
        let is_selected = |candidate| selection.selects(candidate, Seq(10));
        assert!(is_selected(target), "the control");
        assert!(!is_selected(Candidate { seq: Seq(11), ..target }), "after the watermark");
        assert!(!is_selected(Candidate { last_updated: Instant::from_unix_ms(100), ..target }), "at the cut-off");
        assert!(!is_selected(Candidate { resource_type: ResourceType::BINARY, ..target }), "another type");
        assert!(!is_selected(Candidate { is_deletion: true, ..target }), "deleted the FHIR way");
        assert!(Selection { include_deleted: true, ..selection.clone() }.selects(Candidate { is_deletion: true, ..target }, Seq(10)));
    }
}
