//! Records of the audit trail, purges and holds, as FHIR R4 AuditEvents. That of a successful end follows IHE's Basic Audit Log Patterns:
//! <https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.Delete.html>. No id of a resource is in any of them.

use base64::{Engine, engine::general_purpose::STANDARD};
use lethe_auth::Scope;
use lethe_jobs::JobState;
use lethe_purge::{Counts, PurgeLevel};
use lethe_store::{AuditEnd, AuditRecord, Hold};
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

/// That a legal hold was set, and that it ended, if it has. What a hold on a resource names is left out.
pub(crate) fn hold_events(hold: &Hold, observer: &Observer) -> Vec<Value> {
    let mut set = hold_event(hold, &hold.set_by, observer);
    set["id"] = json!(format!("{}-set", hold.hold_id));
    set["type"] = json!({ "system": LIFECYCLE, "code": "hold", "display": "Add Legal Hold Record Lifecycle Event" });
    set["action"] = json!("C");
    set["recorded"] = json!(hold.set_on.to_string());
    set["purposeOfEvent"] = json!([{ "text": hold.reason }]);
    let ended = hold.ended_on.map(|ended_on| {
        // A hold that expired was ended by nobody: who set it chose the day.
        let mut event = hold_event(hold, hold.lifted_by.as_ref().unwrap_or(&hold.set_by), observer);
        event["id"] = json!(format!("{}-end", hold.hold_id));
        event["type"] = json!({ "system": LIFECYCLE, "code": "unhold", "display": "Remove Legal Hold Record Lifecycle Event" });
        event["action"] = json!("U");
        event["recorded"] = json!(ended_on.to_string());
        event["outcomeDesc"] = json!(if hold.lifted_by.is_some() { "lifted" } else { "expired" });
        event
    });
    [set].into_iter().chain(ended).collect()
}

fn hold_event(hold: &Hold, who: &str, observer: &Observer) -> Value {
    json!({
        "resourceType": "AuditEvent",
        "outcome": "0",
        "agent": [{ "who": { "display": who }, "requestor": true }, custodian(observer)],
        "source": source(observer),
        "entity": [{
            "what": { "identifier": { "system": URI, "value": format!("urn:uuid:{}", hold.hold_id) } },
            "type": system_object(),
            "role": { "system": "http://terminology.hl7.org/CodeSystem/object-role", "code": "13", "display": "Security Resource" },
            "description": format!("legal hold on {} of user {}", if hold.kind == "account" { "the account" } else { hold.kind }, hold.account_id),
        }],
    })
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
    let mut event = json!({
        "resourceType": "AuditEvent",
        "type": { "system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest", "display": "Restful Operation" },
        "agent": [
            {
                "type": coded("http://dicom.nema.org/resources/ontology/DCM", "110150", "Application"),
                "who": { "identifier": { "value": client_id }, "display": record.client_name },
                "requestor": true,
                // Callers' addresses are not kept.
                "network": unknown_address(),
            },
            custodian(observer),
        ],
        "source": source(observer),
        "entity": [
            {
                "what": { "identifier": { "system": URI, "value": format!("urn:uuid:{}", record.job_id) } },
                "type": system_object(),
                "role": { "system": "http://terminology.hl7.org/CodeSystem/object-role", "code": "20", "display": "Job" },
                "description": format!("purge of {}", whose(&record.owner)),
            },
            {
                "type": system_object(),
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

fn custodian(observer: &Observer) -> Value {
    let at = observer.public_url.as_ref().map_or_else(unknown_address, |url| json!({ "address": url, "type": "5" }));
    json!({
        "type": coded("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian", "Custodian"),
        "who": { "identifier": store(observer) },
        "requestor": false,
        "network": at,
    })
}

fn source(observer: &Observer) -> Value {
    json!({
        "observer": { "identifier": store(observer) },
        "type": [{ "system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4", "display": "Application Server" }],
    })
}

fn store(observer: &Observer) -> Value {
    json!({ "system": URI, "value": format!("urn:uuid:{}", observer.store_id) })
}

fn unknown_address() -> Value {
    json!({ "_address": { "extension": [{ "url": DATA_ABSENT, "valueCode": "unknown" }] } })
}

fn system_object() -> Value {
    json!({ "system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": "2", "display": "System Object" })
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

/// The kick-off, but for ids, and for conditions, which may quote values of resources.
fn query(record: &AuditRecord) -> String {
    let selection = &record.selection;
    let mut pairs = Vec::new();
    if let Some(types) = &selection.types {
        pairs.push(format!("_type={}", types.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")));
    }
    pairs.extend(selection.before.map(|before| format!("_before={before}")));
    pairs.extend(selection.include_deleted.then(|| "_includeDeleted=true".to_owned()));
    let path = match selection.level {
        PurgeLevel::System => "",
        PurgeLevel::Patient => "Patient/{id}/",
        PurgeLevel::Group => "Group/{id}/",
    };
    pairs.extend(selection.filtered_types.iter().map(|resource_type| format!("_typeFilter={resource_type}?{{conditions}}")));
    format!("POST {path}$purge?{}", pairs.join("&"))
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
                ..Selection::default()
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

    #[test]
    fn a_purge_by_a_list_is_told_without_what_it_was_asked_for() {
        let of = |level, filtered: &[&str]| {
            let mut record = record(None);
            record.selection =
                Selection { level, filtered_types: filtered.iter().map(|name| name.parse().unwrap()).collect(), ..Selection::default() };
            query(&record)
        };
        assert_eq!(of(PurgeLevel::Patient, &["Observation"]), "POST Patient/{id}/$purge?_typeFilter=Observation?{conditions}");
        assert_eq!(of(PurgeLevel::Group, &[]), "POST Group/{id}/$purge?");
    }

    #[test]
    fn holds_are_told_when_they_are_set_and_when_they_end_without_what_they_name() {
        let observer = Observer { store_id: Uuid::from_u128(1), public_url: None };
        let hold = Hold {
            hold_id: Uuid::from_u128(8),
            account_id: AccountId(251),
            target: None,
            kind: "patient",
            reason: "case 9".to_owned(),
            set_by: "Ada".to_owned(),
            set_on: Instant::from_unix_ms(1_000),
            until: None,
            lifted_by: None,
            ended_on: None,
        };
        assert_eq!(hold_events(&hold, &observer).len(), 1, "one that is in force has not ended");
        let lifted = Hold { lifted_by: Some("Bob".to_owned()), ended_on: Some(Instant::from_unix_ms(2_000)), ..hold.clone() };
        let events = hold_events(&lifted, &observer);
        let told: Vec<_> = events.iter().map(|event| [&event["type"]["code"], &event["agent"][0]["who"]["display"]]).collect();
        assert_eq!(told, [[&json!("hold"), &json!("Ada")], [&json!("unhold"), &json!("Bob")]]);
        for event in events {
            assert_eq!(validate(&Resource::from_json(event.clone()).unwrap()), []);
            assert_eq!(event["entity"][0]["description"], "legal hold on patient of user 251");
        }
        let expired = Hold { ended_on: lifted.ended_on, ..hold };
        assert_eq!(hold_events(&expired, &observer)[1]["outcomeDesc"], "expired");
    }
}
