//! A generated FHIR R4 population: what `lethe demo`, the tests and the benchmark fill a server with.
//!
//! The same seed gives the same resources on every machine. Nothing is read from outside, and memory stays at one patient's record
//! however many there are. Names and addresses are invented; codes are those that real records use often.

mod clinical;
mod documents;
mod marker;
mod patient;
mod random;
mod record;
mod vocabulary;

use std::vec;

pub use marker::{Marker, MarkerPlace};

use random::Random;
use record::RecordDraft;

/// One change that a client would make, in the order in which it would make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedChange {
    /// Name of the R4 type.
    pub resource_type: &'static str,
    /// The id.
    pub id: String,
    /// What is done.
    pub kind: GeneratedKind,
}

/// What a [`GeneratedChange`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeneratedKind {
    /// Creates or updates the resource; this is its JSON, type and id included.
    Put(String),
    /// Deletes it the FHIR way, so that its history stays.
    Delete,
}

/// Streams the changes of a population: first its practitioners and organizations, then one patient after the other.
///
/// A patient has 60 to 90 resources of 0.6 to 2 KB: encounters, conditions, observations, medication requests, documents with their
/// content in Binary, and Provenance. About one in fifteen is updated, a few are deleted.
#[derive(Debug)]
pub struct Population {
    records: PopulationRecords,
    current: vec::IntoIter<GeneratedChange>,
}

impl Population {
    /// `patients` patients; the same for the same `seed`.
    #[must_use]
    pub fn new(seed: u64, patients: u64) -> Self {
        let records = PopulationRecords { seed, patients, markers: Vec::new(), next_record: 0, staff: Staff::generate(seed) };
        Self { records, current: Vec::new().into_iter() }
    }

    /// The same population with `markers` planted in it. Ids do not depend on markers.
    #[must_use]
    pub fn planting(mut self, markers: Vec<Marker>) -> Self {
        self.records.markers = markers;
        self
    }

    /// The same changes, in groups that do not depend on each other's order: the staff, then each patient.
    #[must_use]
    pub fn records(self) -> PopulationRecords {
        self.records
    }
}

impl Iterator for Population {
    type Item = GeneratedChange;

    fn next(&mut self) -> Option<GeneratedChange> {
        loop {
            if let Some(change) = self.current.next() {
                return Some(change);
            }
            self.current = self.records.next()?.into_iter();
        }
    }
}

/// See [`Population::records`].
#[derive(Debug)]
pub struct PopulationRecords {
    seed: u64,
    patients: u64,
    markers: Vec<Marker>,
    next_record: u64,
    staff: Staff,
}

impl Iterator for PopulationRecords {
    type Item = Vec<GeneratedChange>;

    fn next(&mut self) -> Option<Vec<GeneratedChange>> {
        let record = self.next_record;
        if record > self.patients {
            return None;
        }
        self.next_record += 1;
        if record == 0 {
            return Some(self.staff.changes());
        }
        let markers = self.markers.chunks(MarkerPlace::ALL.len()).skip(record as usize - 1).step_by(self.patients as usize).flatten();
        let mut draft = RecordDraft::new(Random::new(self.seed, record), &self.staff, markers.collect());
        draft.write();
        Some(draft.changes)
    }
}

/// Who treats the patients: ids and names of practitioners and organizations.
#[derive(Debug)]
struct Staff {
    practitioners: Vec<(String, String)>,
    organizations: Vec<(String, String)>,
}

impl Staff {
    fn generate(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let practitioners = (0..8)
            .map(|_| {
                let name = format!("Dr. {} {}", random.pick(&vocabulary::GIVEN_NAMES), random.pick(&vocabulary::FAMILY_NAMES));
                (random.logical_id(), name)
            })
            .collect();
        let organizations = vocabulary::CITIES[..4].iter().map(|city| (random.logical_id(), format!("{city} Medical Center"))).collect();
        Self { practitioners, organizations }
    }

    fn changes(&self) -> Vec<GeneratedChange> {
        let practitioners = self.practitioners.iter().map(|(id, name)| patient::practitioner(id, name));
        let organizations = self.organizations.iter().map(|(id, name)| patient::organization(id, name));
        organizations.chain(practitioners).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    fn put_text(change: &GeneratedChange) -> Option<&str> {
        match &change.kind {
            GeneratedKind::Put(json) => Some(json),
            GeneratedKind::Delete => None,
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_population_and_another_seed_another() {
        let all = |seed| Population::new(seed, 3).collect::<Vec<_>>();
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
    }

    #[test]
    fn every_resource_is_one_that_the_server_takes_and_refers_only_to_what_exists() {
        let bases = lethe_fhir::LocalBases::default();
        let changes: Vec<_> = Population::new(11, 20).planting(Marker::series(1, 40)).collect();
        let known: std::collections::HashSet<_> = changes.iter().map(|change| format!("{}/{}", change.resource_type, change.id)).collect();
        for change in &changes {
            let Some(json) = put_text(change) else { continue };
            let resource = lethe_fhir::Resource::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{error}: {json}"));
            assert_eq!(resource.resource_type.name(), change.resource_type);
            assert_eq!(resource.id.as_ref().map(lethe_fhir::LogicalId::as_str), Some(change.id.as_str()));
            let entries = lethe_search::index_entries(&resource, &bases).unwrap_or_else(|error| panic!("{error}: {json}"));
            for reference in entries.references {
                assert!(known.contains(&format!("{}/{}", reference.resource_type, reference.id)), "{reference:?} in {json}");
            }
        }
    }

    #[test]
    fn it_has_what_a_purge_must_get_right() {
        let changes: Vec<_> = Population::new(5, 40).collect();
        let mut puts: HashMap<&str, u64> = HashMap::new();
        let mut by_type: BTreeMap<&str, u64> = BTreeMap::new();
        let mut bytes = 0;
        for change in &changes {
            if let Some(json) = put_text(change) {
                *puts.entry(&change.id).or_default() += 1;
                *by_type.entry(change.resource_type).or_default() += 1;
                bytes += json.len();
            }
        }
        for name in ["Patient", "Encounter", "Condition", "Observation", "MedicationRequest", "DocumentReference", "Binary", "Provenance"] {
            assert!(by_type.get(name).is_some_and(|count| *count >= 40), "{name}: {by_type:?}");
        }
        let deletes = changes.iter().filter(|change| change.kind == GeneratedKind::Delete).count();
        assert!(deletes >= 40, "{deletes} deletes");
        assert!(puts.values().filter(|versions| **versions > 1).count() >= 80, "resources with several versions");
        assert!((50 * 40..100 * 40).contains(&puts.len()), "{} resources", puts.len());
        let mean_bytes = bytes / changes.len();
        assert!((600..1_500).contains(&mean_bytes), "{mean_bytes} bytes a resource");
        let texts: Vec<_> = changes.iter().filter_map(put_text).collect();
        assert!(texts.iter().any(|text| text.contains("/_history/1\"")), "a versioned target");
        assert!(texts.iter().any(|text| text.contains("\"value\":1") && text.contains("0,\"unit\"")), "a decimal that ends in 0");
    }

    #[test]
    fn markers_are_planted_in_their_place_and_nowhere_else() {
        let markers = Marker::series(9, 60);
        let changes: Vec<_> = Population::new(5, 7).planting(markers.clone()).collect();
        for marker in &markers {
            let [plain, encoded] = marker.needles();
            let holders: Vec<_> = changes
                .iter()
                .enumerate()
                .filter(|(_, change)| put_text(change).is_some_and(|json| json.contains(&plain) || json.contains(&encoded)))
                .collect();
            let (place, change) = holders.first().unwrap_or_else(|| panic!("{marker:?} is not planted"));
            let expected = match marker.place() {
                MarkerPlace::Narrative => "Condition",
                MarkerPlace::Identifier => "Encounter",
                MarkerPlace::Name | MarkerPlace::OldVersion => "Patient",
                MarkerPlace::BinaryContent => "Binary",
            };
            assert_eq!(change.resource_type, expected, "{marker:?}");
            if marker.place() == MarkerPlace::OldVersion {
                assert_eq!(holders.len(), 1, "no later version holds it");
                assert!(changes[place + 1..].iter().any(|later| later.id == change.id && put_text(later).is_some()), "it is updated");
            }
        }
    }
}
