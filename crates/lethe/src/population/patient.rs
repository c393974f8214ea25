//! Who is in the population: Patient, Practitioner, Organization.

use super::{GeneratedChange, GeneratedKind, MarkerPlace, clinical::date_text, random::Random, record::RecordDraft, vocabulary};

/// A name for people.
pub(super) fn name(random: &mut Random) -> String {
    format!("{} {}", random.pick(&vocabulary::GIVEN_NAMES), random.pick(&vocabulary::FAMILY_NAMES))
}

pub(super) fn organization(id: &str, name: &str) -> GeneratedChange {
    let city = name.trim_end_matches(" Medical Center");
    let json = format!(
        r#"{{"resourceType":"Organization","id":"{id}","text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">{name}</div>"}},"identifier":[{{"system":"https://example.org/organizations","value":"{id}"}}],"active":true,"type":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/organization-type","code":"prov","display":"Healthcare Provider"}}],"text":"Healthcare Provider"}}],"name":"{name}","telecom":[{{"system":"phone","value":"555-0100"}}],"address":[{{"line":["1 Hospital Drive"],"city":"{city}","country":"US"}}]}}"#
    );
    GeneratedChange { resource_type: "Organization", id: id.to_owned(), kind: GeneratedKind::Put(json) }
}

pub(super) fn practitioner(id: &str, name: &str) -> GeneratedChange {
    let family = name.rsplit(' ').next().unwrap_or(name);
    let json = format!(
        r#"{{"resourceType":"Practitioner","id":"{id}","text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">{name}</div>"}},"identifier":[{{"system":"https://example.org/practitioners","value":"{id}"}}],"active":true,"name":[{{"use":"official","text":"{name}","family":"{family}","prefix":["Dr."]}}],"telecom":[{{"system":"email","value":"{id}@example.org","use":"work"}}],"qualification":[{{"code":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0360","code":"MD","display":"Doctor of Medicine"}}]}}}}]}}"#
    );
    GeneratedChange { resource_type: "Practitioner", id: id.to_owned(), kind: GeneratedKind::Put(json) }
}

/// The Patient as first registered; holds the markers for old versions.
pub(super) fn write_first_version(draft: &mut RecordDraft<'_>) {
    let mut remarks = String::from("Registered at the front desk.");
    for marker in draft.markers_for(MarkerPlace::OldVersion) {
        remarks.push_str(" Former record ");
        remarks.push_str(marker.text());
        remarks.push('.');
    }
    write_version(draft, &remarks);
}

/// The Patient after a move.
pub(super) fn write_second_version(draft: &mut RecordDraft<'_>) {
    write_version(draft, "The address was changed at the last visit.");
}

fn write_version(draft: &mut RecordDraft<'_>, remarks: &str) {
    let mut given = String::new();
    for marker in draft.markers_for(MarkerPlace::Name) {
        given.push_str(&format!(r#","{}""#, marker.text()));
    }
    let id = draft.patient_id.clone();
    let name = draft.patient_name.clone();
    let (first, family) = name.split_once(' ').unwrap_or((&name, ""));
    let random = &mut draft.random;
    let gender = random.pick(&["female", "male"]);
    let birth_date = date_text(random.between(-14_000, 9_000));
    let city = random.pick(&vocabulary::CITIES);
    let house = random.between(1, 990);
    let record_number = random.between(100_000, 999_999);
    let phone = random.between(1_000, 9_999);
    let organization = random.pick(&draft.staff.organizations).0.clone();
    let practitioner = random.pick(&draft.staff.practitioners).clone();
    let json = format!(
        r#"{{"resourceType":"Patient","id":"{id}","meta":{{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]}},"text":{{"status":"additional","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{name}, {gender}, born {birth_date}</p><p>{remarks}</p></div>"}},"identifier":[{{"use":"usual","type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR","display":"Medical Record Number"}}]}},"system":"https://example.org/records","value":"{record_number}"}}],"active":true,"name":[{{"use":"official","family":"{family}","given":["{first}"{given}]}}],"telecom":[{{"system":"phone","value":"555-{phone}","use":"home"}}],"gender":"{gender}","birthDate":"{birth_date}","address":[{{"use":"home","line":["{house} Station Road"],"city":"{city}","postalCode":"{house:05}","country":"US"}}],"communication":[{{"language":{{"coding":[{{"system":"urn:ietf:bcp:47","code":"en-US","display":"English"}}]}},"preferred":true}}],"generalPractitioner":[{{"reference":"Practitioner/{}","display":"{}"}}],"managingOrganization":{{"reference":"Organization/{organization}"}}}}"#,
        practitioner.0, practitioner.1,
    );
    draft.put("Patient", &id, json);
}
