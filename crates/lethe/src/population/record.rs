//! The record of one patient: which resources it has, in which order they are written, which are updated and deleted.

use super::{
    GeneratedChange, GeneratedKind, Marker, MarkerPlace, Staff,
    clinical::{self, EncounterContext},
    documents, patient,
    random::Random,
};

/// A record while it is written.
pub(super) struct RecordDraft<'a> {
    pub(super) random: Random,
    pub(super) staff: &'a Staff,
    pub(super) patient_id: String,
    pub(super) patient_name: String,
    pub(super) changes: Vec<GeneratedChange>,
    markers: Vec<&'a Marker>,
}

impl<'a> RecordDraft<'a> {
    pub(super) fn new(mut random: Random, staff: &'a Staff, markers: Vec<&'a Marker>) -> Self {
        let patient_id = random.logical_id();
        let patient_name = patient::name(&mut random);
        Self { random, staff, patient_id, patient_name, changes: Vec::with_capacity(96), markers }
    }

    pub(super) fn put(&mut self, resource_type: &'static str, id: &str, json: String) {
        self.changes.push(GeneratedChange { resource_type, id: id.to_owned(), kind: GeneratedKind::Put(json) });
    }

    fn delete(&mut self, resource_type: &'static str, id: &str) {
        self.changes.push(GeneratedChange { resource_type, id: id.to_owned(), kind: GeneratedKind::Delete });
    }

    /// The markers of this record for one place.
    pub(super) fn markers_for(&self, place: MarkerPlace) -> impl Iterator<Item = &'a Marker> + use<'_, 'a> {
        self.markers.iter().copied().filter(move |marker| marker.place() == place)
    }

    /// Writes the whole record. Markers that stand in one resource of a kind stand in the first of that kind.
    pub(super) fn write(&mut self) {
        patient::write_first_version(self);
        let mut earliest_day = self.random.between(12_000, 17_000);
        let encounters = self.random.between(4, 7);
        for number in 0..encounters {
            let context = clinical::write_encounter(self, earliest_day, number == 0);
            earliest_day = context.day + 30;
            self.write_visit(&context, number == 0);
        }
        patient::write_second_version(self);
    }

    fn write_visit(&mut self, context: &EncounterContext, is_first: bool) {
        let condition_id = clinical::write_condition(self, context, is_first);
        let mut observations = Vec::new();
        for _ in 0..self.random.between(5, 9) {
            observations.push(clinical::write_observation(self, context));
        }
        if self.random.once_in(2) || is_first {
            clinical::write_medication_request(self, context, &condition_id);
        }
        if self.random.once_in(2) || is_first {
            documents::write_document(self, context, is_first);
        }
        documents::write_provenance(self, context, &condition_id, &observations);
        if is_first || self.random.once_in(8) {
            // Entered in error, and removed the way FHIR removes: the history stays.
            let (id, _) = clinical::write_observation(self, context);
            self.delete("Observation", &id);
        }
    }
}
