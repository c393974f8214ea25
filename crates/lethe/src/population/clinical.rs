//! What happens to patients: Encounter, Condition, Observation, MedicationRequest.

use jiff::{Timestamp, ToSpan, civil};

use super::{MarkerPlace, record::RecordDraft, vocabulary};

/// The visit that the resources of its day belong to.
pub(super) struct EncounterContext {
    pub(super) id: String,
    pub(super) day: i64,
    pub(super) practitioner: (String, String),
    pub(super) organization: String,
}

/// A day, counted from 1970-01-01, as FHIR writes it.
pub(super) fn date_text(day: i64) -> String {
    civil::date(1970, 1, 1).saturating_add(day.days()).to_string()
}

/// A time of that day as FHIR writes it.
pub(super) fn time_text(day: i64, second_of_day: i64) -> String {
    // OK because days lie within centuries of 1970, far inside the range.
    Timestamp::from_second(day * 86_400 + second_of_day).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

pub(super) fn write_encounter(draft: &mut RecordDraft<'_>, earliest_day: i64, holds_markers: bool) -> EncounterContext {
    let mut identifiers = String::new();
    if holds_markers {
        for marker in draft.markers_for(MarkerPlace::Identifier) {
            identifiers.push_str(&format!(r#",{{"system":"https://example.org/visits","value":"{}"}}"#, marker.text()));
        }
    }
    let random = &mut draft.random;
    let context = EncounterContext {
        id: random.logical_id(),
        day: earliest_day + random.between(0, 200),
        practitioner: random.pick(&draft.staff.practitioners).clone(),
        organization: random.pick(&draft.staff.organizations).0.clone(),
    };
    let kind = random.pick(&vocabulary::ENCOUNTERS);
    let start_second = random.between(8 * 3_600, 16 * 3_600);
    let (start, end) = (time_text(context.day, start_second), time_text(context.day, start_second + random.between(600, 3_600)));
    let (code, display) = (kind.code, kind.display);
    let (patient_id, patient_name) = (&draft.patient_id, &draft.patient_name);
    let EncounterContext { id, practitioner: (practitioner_id, practitioner_name), organization, .. } = &context;
    let json = format!(
        r#"{{"resourceType":"Encounter","id":"{id}","meta":{{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-encounter"]}},"identifier":[{{"use":"official","system":"https://example.org/encounters","value":"{id}"}}{identifiers}],"status":"finished","class":{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}},"type":[{{"coding":[{{"system":"http://snomed.info/sct","code":"{code}","display":"{display}"}}],"text":"{display}"}}],"subject":{{"reference":"Patient/{patient_id}","display":"{patient_name}"}},"participant":[{{"type":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"PPRF","display":"primary performer"}}]}}],"period":{{"start":"{start}","end":"{end}"}},"individual":{{"reference":"Practitioner/{practitioner_id}","display":"{practitioner_name}"}}}}],"period":{{"start":"{start}","end":"{end}"}},"serviceProvider":{{"reference":"Organization/{organization}"}}}}"#
    );
    draft.put("Encounter", &context.id, json);
    context
}

/// Returns the id.
pub(super) fn write_condition(draft: &mut RecordDraft<'_>, context: &EncounterContext, holds_markers: bool) -> String {
    let mut remarks = String::new();
    if holds_markers {
        for marker in draft.markers_for(MarkerPlace::Narrative) {
            remarks.push_str("<p>See the file ");
            remarks.push_str(marker.text());
            remarks.push_str(".</p>");
        }
    }
    let random = &mut draft.random;
    let id = random.logical_id();
    let kind = random.pick(&vocabulary::CONDITIONS);
    let (first_sentence, second_sentence) = (random.pick::<&str>(&vocabulary::SENTENCES), random.pick::<&str>(&vocabulary::SENTENCES));
    let is_resolved_later = random.once_in(3);
    let onset = date_text(context.day - random.between(0, 60));
    let recorded = time_text(context.day, 43_200);
    let (patient_id, encounter_id) = (&draft.patient_id, &context.id);
    let (code, display) = (kind.code, kind.display);
    let version = |status: &str| {
        format!(
            r#"{{"resourceType":"Condition","id":"{id}","meta":{{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-condition"]}},"text":{{"status":"additional","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{display}</p><p>{first_sentence} {second_sentence}</p>{remarks}</div>"}},"clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"{status}"}}]}},"verificationStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"confirmed"}}]}},"category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-category","code":"encounter-diagnosis","display":"Encounter Diagnosis"}}]}}],"code":{{"coding":[{{"system":"http://snomed.info/sct","code":"{code}","display":"{display}"}}],"text":"{display}"}},"subject":{{"reference":"Patient/{patient_id}"}},"encounter":{{"reference":"Encounter/{encounter_id}"}},"onsetDateTime":"{onset}","recordedDate":"{recorded}"}}"#
        )
    };
    let (active, resolved) = (version("active"), is_resolved_later.then(|| version("resolved")));
    draft.put("Condition", &id, active);
    if let Some(resolved) = resolved {
        draft.put("Condition", &id, resolved);
    }
    id
}

/// Returns the id, and whether it has a second version.
pub(super) fn write_observation(draft: &mut RecordDraft<'_>, context: &EncounterContext) -> (String, bool) {
    let random = &mut draft.random;
    let id = random.logical_id();
    let kind = random.pick(&vocabulary::MEASUREMENTS);
    let hundredths = random.between(kind.low_hundredths, kind.high_hundredths);
    // Two decimals always: `1.50` must come back as `1.50`.
    let value = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    let is_corrected_later = random.once_in(15);
    let effective = time_text(context.day, random.between(28_800, 64_800));
    let (patient_id, encounter_id, (practitioner_id, practitioner_name)) = (&draft.patient_id, &context.id, &context.practitioner);
    let vocabulary::Measurement { code, display, unit, category, .. } = kind;
    let version = |status: &str| {
        format!(
            r#"{{"resourceType":"Observation","id":"{id}","meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]}},"text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">{display}: {value} {unit}</div>"}},"status":"{status}","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"{category}","display":"{category}"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"{display}"}}],"text":"{display}"}},"subject":{{"reference":"Patient/{patient_id}"}},"encounter":{{"reference":"Encounter/{encounter_id}"}},"effectiveDateTime":"{effective}","issued":"{effective}","performer":[{{"reference":"Practitioner/{practitioner_id}","display":"{practitioner_name}"}}],"valueQuantity":{{"value":{value},"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}}}}"#
        )
    };
    let (first, second) = (version("final"), is_corrected_later.then(|| version("amended")));
    draft.put("Observation", &id, first);
    if let Some(second) = second {
        draft.put("Observation", &id, second);
    }
    (id, is_corrected_later)
}

pub(super) fn write_medication_request(draft: &mut RecordDraft<'_>, context: &EncounterContext, condition_id: &str) {
    let random = &mut draft.random;
    let id = random.logical_id();
    let kind = random.pick(&vocabulary::MEDICATIONS);
    let times_a_day = random.between(1, 3);
    let authored = time_text(context.day, 50_400);
    let (patient_id, encounter_id, (practitioner_id, practitioner_name)) = (&draft.patient_id, &context.id, &context.practitioner);
    let (code, display) = (kind.code, kind.display);
    let json = format!(
        r#"{{"resourceType":"MedicationRequest","id":"{id}","meta":{{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-medicationrequest"]}},"status":"active","intent":"order","medicationCodeableConcept":{{"coding":[{{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"{code}","display":"{display}"}}],"text":"{display}"}},"subject":{{"reference":"Patient/{patient_id}"}},"encounter":{{"reference":"Encounter/{encounter_id}"}},"authoredOn":"{authored}","requester":{{"reference":"Practitioner/{practitioner_id}","display":"{practitioner_name}"}},"reasonReference":[{{"reference":"Condition/{condition_id}"}}],"dosageInstruction":[{{"sequence":1,"text":"{times_a_day} times a day with water","timing":{{"repeat":{{"frequency":{times_a_day},"period":1.0,"periodUnit":"d"}}}},"doseAndRate":[{{"doseQuantity":{{"value":1.0}}}}]}}]}}"#
    );
    draft.put("MedicationRequest", &id, json);
}
