//! A record of the audit trail as FHIR R4 AuditEvents. That of a successful end follows IHE's Basic Audit Log Patterns:
//! <https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.Delete.html>. No id of a resource is in any of them.

use base64::{Engine, engine::general_purpose::STANDARD};
use lethe_auth::Scope;
use lethe_jobs::JobState;
use lethe_purge::Counts;
use lethe_store::{AuditEnd, AuditRecord};
use serde_json::{Value, json};
use uuid::Uuid;

const BALP_DELETE: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.Delete";
const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";
const LIFECYCLE: &str = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle";
const DATA_ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
/// An identifier that is a URI.
const URI: &str = "urn:ietf:rfc:3986";

/// Who tells of the events.
pub(crate) struct Observer {
    pub(crate) store_id: Uuid,
    pub(crate) public_url: Option<String>,
}

/// The kick-off, and the end if there was one.
pub(crate) fn events(record: &AuditRecord, observer: &Observer) -> Vec<Value> {
    let mut events = vec![start(record, observer)];
    events.extend(record.closed.map(|closed| end(record, closed, observer)));
    events
}

fn start(record: &AuditRecord, observer: &Observer) -> Value {
    let mut event = event(record, observer);
    event["id"] = json!(format!("{}-start", record.job_id));
    event["subtype"] = json!([{ "system": INTERACTION, "code": "operation", "display": "operation" }]);
    event["action"] = json!("E");
    event["recorded"] = json!(record.opened_on.to_string());
    event["outcome"] = json!("0");
    event
}

fn end(record: &AuditRecord, closed: AuditEnd, observer: &Observer) -> Value {
    let mut event = event(record, observer);
    event["id"] = json!(format!("{}-end", record.job_id));
    event["subtype"] = json!([
        { "system": INTERACTION, "code": "delete", "display": "delete" },
        { "system": LIFECYCLE, "code": "destroy", "display": "Destroy/Delete Record Lifecycle Event" },
    ]);
    event["action"] = json!("D");
    event["recorded"] = json!(closed.closed_on.to_string());
    // The profile is that of a success.
    let outcome = match closed.outcome {
        JobState::Successful => {
            event["meta"] = json!({ "profile": [BALP_DELETE] });
            "0"
        }
        JobState::Failed => "8",
        JobState::Canceled | JobState::Queued | JobState::Running | JobState::Canceling => "4",
    };
    event["outcome"] = json!(outcome);
    event["outcomeDesc"] = json!(closed.outcome.status());
    event["entity"][0]["detail"] = counts(closed.counts);
    event
}

/// What both events have.
fn event(record: &AuditRecord, observer: &Observer) -> Value {
    let client_id = &record.owner.client_id().0;
    let store = json!({ "system": URI, "value": format!("urn:uuid:{}", observer.store_id) });
    let unknown = json!({ "_address": { "extension": [{ "url": DATA_ABSENT, "valueCode": "unknown" }] } });
    let at = observer.public_url.as_ref().map_or_else(|| unknown.clone(), |url| json!({ "address": url, "type": "5" }));
    let mut event = json!({
        "resourceType": "AuditEvent",
        "type": { "system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest", "display": "Restful Operation" },
        "agent": [
            {
                "type": coded("http://dicom.nema.org/resources/ontology/DCM", "110150", "Application"),
                "who": { "identifier": { "value": client_id }, "display": record.client_name },
                "requestor": true,
                // Callers' addresses are not kept.
                "network": unknown,
            },
            {
                "type": coded("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian", "Custodian"),
                "who": { "identifier": store.clone() },
                "requestor": false,
                "network": at,
            },
        ],
        "source": {
            "observer": { "identifier": store },
            "type": [{ "system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4", "display": "Application Server" }],
        },
        "entity": [
            {
                "what": { "identifier": { "system": URI, "value": format!("urn:uuid:{}", record.job_id) } },
                "type": { "system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": "2", "display": "System Object" },
                "role": { "system": "http://terminology.hl7.org/CodeSystem/object-role", "code": "20", "display": "Job" },
                "description": format!("purge of {}", whose(&record.owner)),
            },
            {
                "type": { "system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": "2", "display": "System Object" },
                "role": { "system": "http://terminology.hl7.org/CodeSystem/object-role", "code": "24", "display": "Query" },
                "query": STANDARD.encode(query(record)),
            },
        ],
    });
    if let Some(reason) = &record.reason {
        event["purposeOfEvent"] = json!([{ "text": reason }]);
    }
    event
}

fn coded(system: &str, code: &str, display: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code, "display": display }] })
}

fn whose(owner: &Scope) -> String {
    match owner {
        Scope::Account { account_id, .. } => format!("user {account_id}"),
        Scope::Client { client_id } => format!("all users of client {client_id}"),
    }
}

/// The parameters of the kick-off, but for conditions, which may quote values of resources.
fn query(record: &AuditRecord) -> String {
    let selection = &record.selection;
    let mut pairs = Vec::new();
    if let Some(types) = &selection.types {
        pairs.push(format!("_type={}", types.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")));
    }
    pairs.extend(selection.before.map(|before| format!("_before={before}")));
    pairs.extend(selection.include_deleted.then(|| "_includeDeleted=true".to_owned()));
    format!("POST $purge?{}", pairs.join("&"))
}

fn counts(counts: Counts) -> Value {
    let Counts { planned, deleted, spared, held, failed } = counts;
    let named = [("planned", planned), ("deleted", deleted), ("spared", spared), ("held", held), ("failed", failed)];
    named.iter().map(|(name, number)| json!({ "type": name, "valueString": number.to_string() })).collect()
}

#[cfg(test)]
mod tests {
    use lethe_auth::{AccountId, ClientId};
    use lethe_fhir::{Instant, Resource, validate};
    use lethe_purge::{Selection, Seq};

    use super::*;

    fn record(outcome: Option<JobState>) -> AuditRecord {
        let counts = Counts { planned: 5, deleted: 4, spared: 1, ..Counts::default() };
        AuditRecord {
            number: 1,
            job_id: Uuid::from_u128(7),
            owner: Scope::Account { client_id: ClientId("c1".to_owned()), account_id: AccountId(251) },
            client_name: "an application".to_owned(),
            selection: Selection {
                types: Some(vec!["Patient".parse().unwrap()]),
                before: Some(Instant::from_unix_ms(0)),
                include_deleted: true,
            },
            reason: Some("request 7".to_owned()),
            watermark: Seq(9),
            opened_on: Instant::from_unix_ms(1_000),
            closed: outcome.map(|outcome| AuditEnd { closed_on: Instant::from_unix_ms(2_000), outcome, counts }),
        }
    }

    #[test]
    fn events_are_built_as_fhir_has_them_and_only_a_success_claims_the_profile() {
        let observer = |public_url: Option<&str>| Observer { store_id: Uuid::from_u128(1), public_url: public_url.map(str::to_owned) };
        for (outcome, code) in [(JobState::Successful, "0"), (JobState::Failed, "8"), (JobState::Canceled, "4")] {
            let events = events(&record(Some(outcome)), &observer(Some("https://fhir.example.org")));
            let [start, end] = &events[..] else { panic!("{events:?}") };
            for event in [start, end] {
                assert_eq!(validate(&Resource::from_json(event.clone()).unwrap()), []);
                assert_eq!(event["agent"].as_array().map(Vec::len), Some(2));
            }
            assert_eq!((&end["action"], &end["outcome"], &end["outcomeDesc"]), (&json!("D"), &json!(code), &json!(outcome.status())));
            assert_eq!(end["meta"]["profile"][0] == BALP_DELETE, outcome == JobState::Successful);
            assert_eq!((&start["action"], &start["recorded"]), (&json!("E"), &json!("1970-01-01T00:00:01.000Z")));
            assert_eq!(end["entity"][0]["detail"][1], json!({ "type": "deleted", "valueString": "4" }));
            let query = STANDARD.decode(end["entity"][1]["query"].as_str().unwrap()).unwrap();
            assert_eq!(query, b"POST $purge?_type=Patient&_before=1970-01-01T00:00:00.000Z&_includeDeleted=true");
        }
        assert_eq!(events(&record(None), &observer(None)).len(), 1, "a job in progress has begun and not ended");
    }
}
