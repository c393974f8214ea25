//! What is written about patients: DocumentReference with its content in Binary, and Provenance.

use super::{
    MarkerPlace,
    clinical::{EncounterContext, time_text},
    marker::encode_with_markers,
    record::RecordDraft,
    vocabulary,
};

/// A DocumentReference and its Binary. Some documents are replaced: then the first Binary is only referred to by the first version.
pub(super) fn write_document(draft: &mut RecordDraft<'_>, context: &EncounterContext, holds_markers: bool) {
    let mut binary_id = write_binary(draft, holds_markers);
    let id = draft.random.logical_id();
    let kind = draft.random.pick(&vocabulary::DOCUMENTS);
    write_document_version(draft, context, &id, kind, &binary_id);
    if draft.random.once_in(6) {
        binary_id = write_binary(draft, false);
        write_document_version(draft, context, &id, kind, &binary_id);
    }
    if draft.random.once_in(10) {
        // A copy for another reader: one Binary, two documents.
        let copy_id = draft.random.logical_id();
        write_document_version(draft, context, &copy_id, kind, &binary_id);
    }
    let target = format!(r#"{{"reference":"DocumentReference/{id}"}},{{"reference":"Binary/{binary_id}"}}"#);
    write_provenance_of(draft, context, &target);
}

fn write_binary(draft: &mut RecordDraft<'_>, holds_markers: bool) -> String {
    let id = draft.random.logical_id();
    let mut prose = String::with_capacity(1_024);
    for _ in 0..draft.random.between(4, 12) {
        prose.push_str(draft.random.pick::<&str>(&vocabulary::SENTENCES));
        prose.push(' ');
    }
    let markers = draft.markers_for(MarkerPlace::BinaryContent).filter(|_| holds_markers);
    let content = encode_with_markers(&prose, markers);
    draft.put("Binary", &id, format!(r#"{{"resourceType":"Binary","id":"{id}","contentType":"text/plain","data":"{content}"}}"#));
    id
}

fn write_document_version(draft: &mut RecordDraft<'_>, context: &EncounterContext, id: &str, kind: &vocabulary::Term, binary_id: &str) {
    let date = time_text(context.day, 61_200);
    let (patient_id, encounter_id, (practitioner_id, practitioner_name)) = (&draft.patient_id, &context.id, &context.practitioner);
    let (code, display, organization) = (kind.code, kind.display, &context.organization);
    let json = format!(
        r#"{{"resourceType":"DocumentReference","id":"{id}","meta":{{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-documentreference"]}},"identifier":[{{"system":"urn:ietf:rfc:3986","value":"urn:uuid:{id}"}}],"status":"current","type":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"{display}"}}]}},"category":[{{"coding":[{{"system":"http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category","code":"clinical-note","display":"Clinical Note"}}]}}],"subject":{{"reference":"Patient/{patient_id}"}},"date":"{date}","author":[{{"reference":"Practitioner/{practitioner_id}","display":"{practitioner_name}"}}],"custodian":{{"reference":"Organization/{organization}"}},"content":[{{"attachment":{{"contentType":"text/plain","url":"Binary/{binary_id}","title":"{display}"}}}}],"context":{{"encounter":[{{"reference":"Encounter/{encounter_id}"}}],"period":{{"start":"{date}","end":"{date}"}}}}}}"#
    );
    draft.put("DocumentReference", id, json);
}

/// One Provenance for what was recorded at a visit. Of a corrected Observation it names the first version.
pub(super) fn write_provenance(
    draft: &mut RecordDraft<'_>,
    context: &EncounterContext,
    condition_id: &str,
    observations: &[(String, bool)],
) {
    let mut targets = format!(r#"{{"reference":"Encounter/{}"}},{{"reference":"Condition/{condition_id}"}}"#, context.id);
    for (id, has_second_version) in observations {
        let version = if *has_second_version { "/_history/1" } else { "" };
        targets.push_str(&format!(r#",{{"reference":"Observation/{id}{version}"}}"#));
    }
    write_provenance_of(draft, context, &targets);
}

fn write_provenance_of(draft: &mut RecordDraft<'_>, context: &EncounterContext, targets: &str) {
    let id = draft.random.logical_id();
    let recorded = time_text(context.day, 64_800);
    let ((practitioner_id, practitioner_name), organization) = (&context.practitioner, &context.organization);
    let json = format!(
        r#"{{"resourceType":"Provenance","id":"{id}","target":[{targets}],"recorded":"{recorded}","agent":[{{"type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/provenance-participant-type","code":"author","display":"Author"}}]}},"who":{{"reference":"Practitioner/{practitioner_id}","display":"{practitioner_name}"}},"onBehalfOf":{{"reference":"Organization/{organization}"}}}}]}}"#
    );
    draft.put("Provenance", &id, json);
}
