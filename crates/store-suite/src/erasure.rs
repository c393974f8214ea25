//! Bytes in the files.

use std::collections::HashSet;

use lethe_fhir::ResourceType;
use lethe_jobs::JobState;
use lethe_purge::Selection;
use lethe_search::export::TypeFilter;
use lethe_store::{ExportKickOff, ExportSelection, NewExport};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Backend, Harness,
    harness::{everything, put},
};

/// Twenty characters that look like nothing else, so that compression leaves them as they are.
fn marker(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    let mut text = String::from("QZ7");
    while text.len() < 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(state >> 40) as usize % 32]));
    }
    text
}

/// Which of the markers `0..count` stand in the files of the database.
fn found<B: Backend>(harness: &Harness<B>, count: u64) -> HashSet<u64> {
    let numbers: std::collections::HashMap<Vec<u8>, u64> = (0..count).map(|number| (marker(number).into_bytes(), number)).collect();
    let mut found = HashSet::new();
    for path in harness.backend.files() {
        let bytes = std::fs::read(&path).unwrap();
        found.extend(bytes.windows(20).filter(|window| window.starts_with(b"QZ7")).filter_map(|window| numbers.get(window)));
    }
    found
}

/// Five markers of one patient: in narrative, identifier, name, an old version, and the content of a Binary.
async fn plant<B: Backend>(harness: &Harness<B>, patient: u64) {
    let planted = |place: u64| marker(patient * 5 + place);
    let id = format!("p{patient}");
    let old = json!({"resourceType": "Patient", "id": id, "name": [{"family": planted(3)}]});
    let new = json!({
        "resourceType": "Patient", "id": id,
        "text": {"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">Seen on Monday. {}</div>", planted(0))},
        "identifier": [{"system": "urn:example:mrn", "value": planted(1)}],
        "name": [{"family": planted(2)}]
    });
    let binary =
        json!({"resourceType": "Binary", "id": format!("b{patient}"), "contentType": "application/octet-stream", "data": planted(4)});
    let document = json!({
        "resourceType": "DocumentReference", "id": format!("d{patient}"), "status": "current",
        "content": [{"attachment": {"url": format!("Binary/b{patient}")}}]
    });
    harness.write_for(&harness.account, vec![put(old), put(binary), put(document)]).await;
    harness.write_for(&harness.account, vec![put(new)]).await;
}

/// Starts an export of patients of this name.
async fn ask_for<B: Backend>(harness: &Harness<B>, name: &str) {
    let type_filters = vec![TypeFilter { resource_type: ResourceType::PATIENT, pairs: vec![("name".to_owned(), name.to_owned())] }];
    let selection = ExportSelection { type_filters, ..ExportSelection::default() };
    let export = NewExport { job_id: Uuid::now_v7(), owner: harness.account.clone(), selection };
    assert!(matches!(harness.store().kick_off_export(&export).await.unwrap(), ExportKickOff::Started(_)));
}

pub async fn no_planted_string_is_left_in_the_files<B: Backend>(harness: Harness<B>) {
    let harness = harness.with_batches_of(100);
    for patient in 0..200 {
        plant(&harness, patient).await;
    }
    ask_for(&harness, &marker(1_000)).await;
    if B::erases_files() {
        assert_eq!(found(&harness, 1_001).len(), 1_001, "the control: each stands in the files before");
    }
    assert_eq!(harness.purge(everything()).await.state, JobState::Successful);
    if B::erases_files() {
        assert_eq!(found(&harness, 1_001), HashSet::new());
    }
}

pub async fn a_partial_purge_leaves_no_planted_string_either<B: Backend>(harness: Harness<B>) {
    let harness = harness.with_batches_of(100);
    for patient in 0..200 {
        plant(&harness, patient).await;
    }
    harness.clock.advance_ms(60_000);
    let mut cut_off = None;
    // Every third patient is touched later and stays, so that what goes and what stays share their pages.
    for patient in (0..200).step_by(3) {
        for json in [
            json!({"resourceType": "DocumentReference", "id": format!("d{patient}"), "status": "superseded", "content": [{"attachment": {"url": format!("Binary/b{patient}")}}]}),
            json!({"resourceType": "Patient", "id": format!("p{patient}"), "active": true}),
        ] {
            cut_off = Some(harness.put(json).await.last_updated);
        }
        let json = json!({"resourceType": "Binary", "id": format!("b{patient}"), "contentType": "text/plain", "data": "eA=="});
        harness.put(json).await;
    }
    let job = harness.purge(Selection { before: cut_off, ..everything() }).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 3 * 133));
    if !B::erases_files() {
        return;
    }
    let found = found(&harness, 1_000);
    let kept: HashSet<u64> = (0..200_u64).step_by(3).flat_map(|patient| patient * 5..patient * 5 + 5).collect();
    assert!(kept.is_subset(&found), "the control: what stays is found, history included");
    let left: Vec<&u64> = found.difference(&kept).collect();
    assert_eq!(left, Vec::<&u64>::new());
}
