//! Pages of a search: none shifts, none repeats, each in its order and within its bytes.

use std::collections::BTreeSet;

use lethe_auth::{AccountId, Scope};
use lethe_fhir::limits;
use lethe_store::{SearchPage, SearchPlace, SearchQuery};
use serde_json::json;

use crate::{
    Backend, Harness,
    harness::account_of,
    searches::{found, named, patient, query_of, read},
};

pub async fn a_page_neither_shifts_nor_repeats_while_others_write<B: Backend>(harness: Harness<B>) {
    for id in ["a", "b", "c", "d", "e"] {
        harness.put(named(id, "Elm", "1980-01-01")).await;
    }
    let ids = |page: &SearchPage| page.found.iter().map(|version| version.id.to_string()).collect::<Vec<_>>().join(" ");
    let mut begun = Vec::new();
    for (query, first, second) in [
        ("Patient?family=elm", "a b", "d e"),
        ("Patient?family=elm&_sort=_id", "a b", "d e"),
        ("Patient?family=elm&_sort=family", "a b", "d e"),
        ("Patient?family=elm&_sort=-_id", "e d", "b"),
        ("Patient?family=elm&_sort=-_lastUpdated", "e d", "b"),
    ] {
        let asked = query_of(read(query).1, 2);
        let page = harness.store().search(&harness.account, patient(), &asked).await.unwrap();
        assert_eq!(ids(&page), first, "{query}");
        begun.push((query, SearchQuery { after: page.next, newest: Some(page.newest), ..asked }, second));
    }
    harness.put(named("a", "Elm", "1981-01-01")).await;
    harness.put(named("f", "Elm", "1981-01-01")).await;
    harness.delete("Patient/c").await;
    for (query, asked, second) in begun {
        let page = harness.store().search(&harness.account, patient(), &asked).await.unwrap();
        assert_eq!(ids(&page), second, "{query}");
        assert_eq!(page.next, None, "{query}: what was written since is no part of this search");
    }
}

pub async fn sorted_pages_go_by_their_keys_and_what_has_none_comes_last<B: Backend>(harness: Harness<B>) {
    harness.put(named("a", "Oak", "1990-01-01")).await;
    harness.put(named("b", "Ash", "1980")).await;
    harness.put(json!({"resourceType": "Patient", "id": "c"})).await;
    harness.put(named("d", "Oak", "1970-05-05")).await;
    harness.put(json!({"resourceType": "Patient", "id": "e", "name": [{"family": "Zelkova"}, {"family": "Alder"}]})).await;
    let cases = [
        ("_sort=family,birthdate", "e b d a c"),
        ("_sort=-family,birthdate", "e d a b c"),
        ("_sort=-birthdate", "a b d c e"),
        ("_sort=birthdate", "d b a c e"),
        ("_sort=-_id", "e d c b a"),
        ("_sort=_lastUpdated", "a b c d e"),
        ("_sort=-_lastUpdated", "e d c b a"),
        ("birthdate=gt1960&_sort=family,-birthdate", "b a d"),
    ];
    for (query, expected) in cases {
        assert_eq!(found(&harness, &format!("Patient?{query}")).await.join(" "), expected, "{query}");
    } // However a name is written, and whatever the system of an identifier, the next key decides.
    for (id, family, birth_date, system) in
        [("f", "muller", "1990-01-01", "a"), ("g", "Müller", "1980-01-01", "b"), ("h", "MULLER", "1970-01-01", "c")]
    {
        let mut value = named(id, family, birth_date);
        value["identifier"] = json!([{"system": system, "value": "1"}]);
        harness.put(value).await;
    }
    for query in ["_sort=family,birthdate", "_sort=identifier,birthdate"] {
        assert_eq!(found(&harness, &format!("Patient?_id=f,g,h&{query}")).await.join(" "), "h g f", "{query}");
    }
}

pub async fn a_page_ends_where_its_bytes_do<B: Backend>(harness: Harness<B>) {
    let text = "x".repeat(limits::PAGE_BYTES_MAX / 2 - 1_000);
    for id in ["a", "b", "c", "d"] {
        harness.put(json!({"resourceType": "Patient", "id": id, "text": {"status": "generated", "div": text}, "birthDate": "1980"})).await;
    }
    for query in ["Patient?birthdate=1980", "Patient?birthdate=1980&_sort=_id", "Patient?_sort=-_lastUpdated"] {
        let mut query = query_of(read(query).1, 10);
        let first = harness.store().search(&harness.account, patient(), &query).await.unwrap();
        query = SearchQuery { after: first.next, newest: Some(first.newest), ..query };
        let second = harness.store().search(&harness.account, patient(), &query).await.unwrap();
        assert_eq!((first.found.len(), second.found.len(), second.next), (3, 1, None), "{query:?}");
        let ids: BTreeSet<_> = first.found.iter().chain(&second.found).map(|version| version.id.to_string()).collect();
        assert_eq!(ids.len(), 4, "each once");
    }
    let targets = ["a", "none", "b", "c", "d"].map(|id| {
        let id = id.parse().unwrap();
        (account_of(&harness.account), lethe_fhir::LocalReference { resource_type: patient(), id })
    });
    let first = harness.store().read_all(&harness.account, &targets).await.unwrap();
    assert_eq!((first.found.len(), first.looked_at), (3, 4), "those that are read by their ids too");
}

pub async fn pages_over_all_accounts_end_where_their_bytes_do<B: Backend>(harness: Harness<B>) {
    let long = "x".repeat(limits::PAGE_BYTES_MAX * 2 / 5);
    // By family; of those in capitals, three are more than a page: the first account has as many by itself.
    let (own, others) = (["ASH", "cedar", "ELM", "Fir", "HAZEL"], ["BIRCH", "dogwood", "Fir", "GORSE", "ivy"]);
    for (scope, families) in [(&harness.account, own), (&harness.bystander, others)] {
        for (number, family) in families.into_iter().enumerate() {
            let mut value = named(&format!("{family}{number}"), family, "1980-01-01");
            if family == family.to_uppercase() {
                value["text"] = json!({"status": "generated", "div": long});
            }
            harness.put_for(scope, value).await;
        }
    }
    let client = Scope::Client { client_id: harness.account.client_id().clone() };
    let ascending = "ASH0 BIRCH0 cedar1 dogwood1 ELM2 Fir3 Fir2 GORSE3 HAZEL4 ivy4";
    let descending = "ivy4 HAZEL4 GORSE3 Fir3 Fir2 ELM2 dogwood1 cedar1 BIRCH0 ASH0";
    let written = "ASH0 cedar1 ELM2 Fir3 HAZEL4 BIRCH0 dogwood1 Fir2 GORSE3 ivy4";
    for (query, expected) in [
        ("Patient?birthdate=1980&_sort=family", ascending),
        ("Patient?birthdate=1980&_sort=-family", descending),
        ("Patient?birthdate=1980&_sort=birthdate", written),
        ("Patient?birthdate=1980&_sort=_lastUpdated", written),
        ("Patient?birthdate=1980", written),
    ] {
        for count in [3, 100] {
            let mut query = query_of(read(query).1, count);
            let (mut ids, mut pages) = (Vec::new(), 0);
            loop {
                let page = harness.store().search(&client, patient(), &query).await.unwrap();
                let bytes: Vec<usize> = page.found.iter().map(lethe_store::StoredVersion::bytes).collect();
                let but_the_last: usize = bytes.iter().rev().skip(1).sum();
                assert!(but_the_last <= limits::PAGE_BYTES_MAX && bytes.len() <= count, "{query:?}: {bytes:?}");
                ids.extend(page.found.iter().map(|version| version.id.to_string()));
                pages += 1;
                assert!(pages < 10, "{query:?} has no end");
                match page.next {
                    Some(next) => query = SearchQuery { after: Some(next), newest: Some(page.newest), ..query },
                    None => break,
                }
            }
            assert_eq!(ids.join(" "), expected, "{query:?}");
            assert!(pages > 1, "{query:?}: the control");
        }
    }
}

/// A place behind everything, so that a page is empty.
pub async fn a_place_behind_everything_gives_an_empty_page<B: Backend>(harness: Harness<B>) {
    harness.put(named("a", "Ash", "1980-01-01")).await;
    let place = SearchPlace { keys: Vec::new(), account_id: AccountId(i64::MAX), seq: lethe_purge::Seq(i64::MAX as u64) };
    let query = SearchQuery { after: Some(place), count: 10, ..SearchQuery::default() };
    let page = harness.store().search(&harness.account, patient(), &query).await.unwrap();
    assert!(page.found.is_empty() && page.next.is_none());
}
