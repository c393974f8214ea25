//! Reading and writing.

use lethe_fhir::{FhirDate, Instant, limits};
use lethe_store::{ChangeKind, Expect, HistoryPage, HistoryQuery, HistoryScope, ListQuery, PageKey, Write, WriteError};
use serde_json::json;

use crate::{
    Backend, Harness,
    harness::{account_of, delete, local, put},
};

fn expecting(write: Write, expect: Expect) -> Write {
    Write { expect, ..write }
}

pub async fn create_read_update_delete_and_their_versions<B: Backend>(harness: Harness<B>) {
    let created = harness.put(json!({"resourceType": "Patient", "id": "a", "active": true})).await;
    assert_eq!((created.kind, created.version), (Some(ChangeKind::Create), 1));
    let updated = harness.put(json!({"resourceType": "Patient", "id": "a", "active": false})).await;
    assert_eq!((updated.kind, updated.version), (Some(ChangeKind::Update), 2));
    let deleted = harness.delete("Patient/a").await;
    assert_eq!((deleted.kind, deleted.version), (Some(ChangeKind::Delete), 3));
    assert_eq!(harness.delete("Patient/a").await.kind, None, "deleting twice does nothing");
    assert!(harness.read("Patient/a").await.unwrap().body.is_none());
    let revived = harness.put(json!({"resourceType": "Patient", "id": "a"})).await;
    assert_eq!((revived.kind, revived.version), (Some(ChangeKind::Create), 4));
    let (resource_type, id) = local("Patient/a");
    let first = harness.store().read_version(&harness.account, resource_type, &id, 1).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(first.body.unwrap().as_bytes()).contains(r#""active":true"#));
    assert!(harness.store().read_version(&harness.account, resource_type, &id, 5).await.unwrap().is_none());
    assert!(harness.read("Patient/other").await.is_none());
    assert_eq!(harness.store().totals(&harness.account).await.unwrap(), [(resource_type, 1)]);
}

pub async fn expectations_that_do_not_hold_change_nothing<B: Backend>(harness: Harness<B>) {
    harness.put(json!({"resourceType": "Patient", "id": "a"})).await;
    let write = |expect| expecting(put(json!({"resourceType": "Patient", "id": "a", "active": true})), expect);
    let store = harness.store();
    let account = account_of(&harness.account);
    assert!(store.write(account, vec![write(Expect::Version(1))]).await.is_ok(), "the control");
    for expect in [Expect::Version(1), Expect::Version(3), Expect::Absent] {
        let error = store.write(account, vec![write(expect)]).await.unwrap_err();
        assert!(matches!(error, WriteError::Expectation { index: 0, current: Some(2) }), "{expect:?}: {error}");
    }
    harness.delete("Patient/a").await;
    let error = store.write(account, vec![write(Expect::Version(3))]).await.unwrap_err();
    assert!(matches!(error, WriteError::Expectation { current: None, .. }), "a deleted resource has no version to match: {error}");
    assert_eq!(harness.history("Patient/a").await.len(), 3);
}

pub async fn a_list_of_writes_is_all_or_nothing<B: Backend>(harness: Harness<B>) {
    let writes = vec![
        put(json!({"resourceType": "Patient", "id": "a"})),
        expecting(put(json!({"resourceType": "Patient", "id": "b"})), Expect::Version(1)),
    ];
    let error = harness.store().write(account_of(&harness.account), writes.clone()).await.unwrap_err();
    assert!(matches!(error, WriteError::Expectation { index: 1, .. }), "{error}");
    assert!(harness.is_gone("Patient/a").await && harness.ids("Patient").await.is_empty());
    let outcomes = harness.write_for(&harness.account, writes[..1].to_vec()).await;
    assert_eq!(outcomes[0].version, 1, "the control");
    assert_eq!(harness.ids("Patient").await, ["a"]);
}

pub async fn time_never_goes_backwards_within_an_account<B: Backend>(harness: Harness<B>) {
    let first = harness.put(json!({"resourceType": "Patient", "id": "a"})).await;
    harness.clock.advance_ms(-3_600_000);
    let second = harness.put(json!({"resourceType": "Patient", "id": "b"})).await;
    assert_eq!(second.last_updated, first.last_updated, "the clock was set back");
    harness.clock.advance_ms(3_600_001);
    let third = harness.put(json!({"resourceType": "Patient", "id": "c"})).await;
    assert_eq!(third.last_updated, first.last_updated.plus_ms(1));
}

pub async fn listings_page_without_shifting_while_others_write<B: Backend>(harness: Harness<B>) {
    for id in ["a", "b", "c", "d", "e"] {
        harness.put(json!({"resourceType": "Patient", "id": id})).await;
    }
    harness.delete("Patient/b").await;
    let store = harness.store();
    let page = |after| ListQuery { after, count: 2, ..ListQuery::default() };
    let ids = |listed: &[lethe_store::StoredVersion]| listed.iter().map(|version| version.id.to_string()).collect::<Vec<_>>();
    let patient = "Patient".parse().unwrap();
    let first = store.list(&harness.account, patient, &page(None)).await.unwrap();
    assert_eq!(ids(&first), ["a", "c"]);
    // What is told already is updated, and something new is written: the second page does not shift.
    harness.put(json!({"resourceType": "Patient", "id": "a", "active": true})).await;
    harness.put(json!({"resourceType": "Patient", "id": "f"})).await;
    let after = |listed: &[lethe_store::StoredVersion]| listed.last().map(|last| PageKey { account_id: last.account_id, seq: last.seq });
    let second = store.list(&harness.account, patient, &page(after(&first))).await.unwrap();
    assert_eq!(ids(&second), ["d", "e"]);
    let third = store.list(&harness.account, patient, &page(after(&second))).await.unwrap();
    assert_eq!(ids(&third), ["a", "f"], "what was updated since comes at the end");
    let query =
        ListQuery { ids: Some(vec!["c".parse().unwrap(), "x".parse().unwrap(), "b".parse().unwrap()]), count: 10, ..ListQuery::default() };
    assert_eq!(ids(&store.list(&harness.account, patient, &query).await.unwrap()), ["c"]);
    assert_eq!(store.count(&harness.account, patient, &query).await.unwrap(), 1);
    assert_eq!(store.count(&harness.account, patient, &ListQuery::default()).await.unwrap(), 5);
}

pub async fn histories_are_newest_first_and_page<B: Backend>(harness: Harness<B>) {
    harness.put(json!({"resourceType": "Patient", "id": "a"})).await;
    harness.put(json!({"resourceType": "Observation", "id": "o"})).await;
    harness.clock.advance_ms(1_000);
    let second = harness.put(json!({"resourceType": "Patient", "id": "a"})).await;
    harness.delete("Patient/a").await;
    let told = |page: HistoryPage| {
        page.versions.iter().map(|version| format!("{}/{}/{}", version.resource_type, version.id, version.version)).collect::<Vec<_>>()
    };
    let store = harness.store();
    let account = account_of(&harness.account);
    let all = HistoryQuery { count: 100, ..HistoryQuery::default() };
    let patient = HistoryScope::Type("Patient".parse().unwrap());
    let (resource_type, id) = local("Patient/a");
    let instance = HistoryScope::Instance(resource_type, id);
    assert_eq!(told(store.history(account, &instance, &all).await.unwrap()), ["Patient/a/3", "Patient/a/2", "Patient/a/1"]);
    assert_eq!(told(store.history(account, &patient, &all).await.unwrap()), ["Patient/a/3", "Patient/a/2", "Patient/a/1"]);
    assert_eq!(
        told(store.history(account, &HistoryScope::System, &all).await.unwrap()),
        ["Patient/a/3", "Patient/a/2", "Observation/o/1", "Patient/a/1"]
    );
    for of in [&instance, &patient, &HistoryScope::System] {
        let page = store.history(account, of, &HistoryQuery { count: 2, ..all }).await.unwrap();
        assert!(page.has_more);
        let next = HistoryQuery { before_seq: page.versions.last().map(|last| last.seq), ..all };
        assert_eq!(told(page), ["Patient/a/3", "Patient/a/2"]);
        assert!(told(store.history(account, of, &next).await.unwrap()).ends_with(&["Patient/a/1".to_owned()]));
        let since = HistoryQuery { since: Some(second.last_updated), ..all };
        assert_eq!(told(store.history(account, of, &since).await.unwrap()), ["Patient/a/3", "Patient/a/2"]);
    }
}

pub async fn a_history_tells_what_was_current_at_a_time<B: Backend>(harness: Harness<B>) {
    let mut times = Vec::new();
    for status in ["a", "b", "c"] {
        times.push(harness.put(json!({"resourceType": "Patient", "id": "a", "language": status})).await.last_updated.as_unix_ms());
        harness.clock.advance_ms(1_000);
    }
    harness.put(json!({"resourceType": "Patient", "id": "late"})).await;
    let (resource_type, id) = local("Patient/a");
    let at = |from_ms: i64, until_ms: i64| FhirDate { low: Instant::from_unix_ms(from_ms), high: Instant::from_unix_ms(until_ms) };
    let cases = [
        (at(0, times[0]), &[][..]),
        (at(times[0], times[0] + 1), &[1]),
        (at(times[1] - 1, times[1]), &[1]),
        (at(times[1], times[1] + 1), &[2]),
        (at(times[1] - 1, times[1] + 1), &[2, 1]),
        (at(times[0], times[2] + 1), &[3, 2, 1]),
        (at(times[2] + 500, times[2] + 501), &[3]),
    ];
    for (during, expected) in cases {
        let query = HistoryQuery { during: Some(during), count: 100, ..HistoryQuery::default() };
        for of in [HistoryScope::Instance(resource_type, id.clone()), HistoryScope::Type(resource_type), HistoryScope::System] {
            let page = harness.store().history(account_of(&harness.account), &of, &query).await.unwrap();
            let found: Vec<u64> = page.versions.iter().map(|version| version.version).collect();
            assert_eq!(found, expected, "{during:?} {of:?}");
        }
    }
}

pub async fn a_history_ends_where_its_bytes_do<B: Backend>(harness: Harness<B>) {
    let text = "x".repeat(limits::PAGE_BYTES_MAX / 2 - 1_000);
    for _ in 0..2 {
        for resource_type in ["Observation", "Patient"] {
            harness.put(json!({"resourceType": resource_type, "id": "a", "text": {"status": "generated", "div": text}})).await;
        }
    }
    harness.put(json!({"resourceType": "Group", "id": "a"})).await;
    for _ in 0..2 {
        harness.put(json!({"resourceType": "Patient", "id": "a", "text": {"status": "generated", "div": text}})).await;
    }
    let (patient, id) = local("Patient/a");
    for (of, pages) in [
        (HistoryScope::Instance(patient, id), &["Patient/4 Patient/3 Patient/2", "Patient/1"]),
        (HistoryScope::Type(patient), &["Patient/4 Patient/3 Patient/2", "Patient/1"]),
        (HistoryScope::System, &["Patient/4 Patient/3 Group/1 Patient/2", "Observation/2 Patient/1 Observation/1"]),
    ] {
        let mut query = HistoryQuery { count: 10, ..HistoryQuery::default() };
        for (number, expected) in pages.iter().enumerate() {
            let page = harness.store().history(account_of(&harness.account), &of, &query).await.unwrap();
            let found: Vec<String> = page.versions.iter().map(|version| format!("{}/{}", version.resource_type, version.version)).collect();
            assert_eq!((found.join(" ").as_str(), page.has_more), (*expected, number == 0), "{of:?}");
            query.before_seq = page.versions.last().map(|last| last.seq);
        }
    }
}

pub async fn accounts_do_not_see_each_other<B: Backend>(harness: Harness<B>) {
    assert!(harness.read_for(&harness.bystander, "Patient/p").await.is_some(), "the control");
    assert!(harness.read("Patient/p").await.is_none());
    harness.put(json!({"resourceType": "Patient", "id": "p", "active": false})).await;
    harness.write_for(&harness.account, vec![delete("Patient/p")]).await;
    harness.assert_bystander_is_whole().await;
    let unknown = lethe_auth::AccountId(999);
    let error = harness.store().write(unknown, vec![delete("Patient/p")]).await.unwrap_err();
    assert!(matches!(error, WriteError::NoAccount(account) if account == unknown));
}
