//! Finding resources by the values of their search parameters.

use std::collections::BTreeSet;

use lethe_auth::Scope;
use lethe_fhir::{LocalBases, Resource, ResourceType};
use lethe_jobs::JobState;
use lethe_search::{
    Criterion, index_entries,
    query::{Search, Strictness},
};
use lethe_store::SearchQuery;
use serde_json::{Value, json};

use crate::{
    Backend, FaultyStore, Harness,
    harness::{BASE, account_of, add_client, add_user, everything, types},
};

pub fn patient() -> ResourceType {
    "Patient".parse().unwrap()
}

pub(crate) fn read(query: &str) -> (ResourceType, Search) {
    let (resource_type, pairs) = query.split_once('?').unwrap_or((query, ""));
    let pairs: Vec<(String, String)> = pairs
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect();
    let resource_type = resource_type.parse().unwrap();
    let search = Search::parse(resource_type, &pairs, Strictness::Strict, &LocalBases::new([BASE]))
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    (resource_type, search)
}

pub fn criteria(query: &str) -> Vec<Criterion> {
    read(query).1.criteria
}

pub(crate) fn query_of(search: Search, count: usize) -> SearchQuery {
    SearchQuery { criteria: search.criteria, sort: search.sort, count, ..SearchQuery::default() }
}

/// Ids in the order in which they are found, over pages of two.
pub(crate) async fn found<B: Backend>(harness: &Harness<B>, query: &str) -> Vec<String> {
    found_for(harness, &harness.account, query).await
}

async fn counted<B: Backend>(harness: &Harness<B>, query: &str) -> u64 {
    let (resource_type, search) = read(query);
    harness.store().count_matches(&harness.account, resource_type, &search.criteria, None).await.unwrap()
}

pub(crate) async fn found_for<B: Backend>(harness: &Harness<B>, scope: &Scope, query: &str) -> Vec<String> {
    let (resource_type, search) = read(query);
    let mut query = query_of(search, 2);
    let mut ids = Vec::new();
    loop {
        let page = harness.store().search(scope, resource_type, &query).await.unwrap();
        ids.extend(page.found.iter().map(|version| version.id.to_string()));
        assert!(ids.len() < 1_000, "{resource_type}: the pages have no end");
        match page.next {
            Some(next) => query = SearchQuery { after: Some(next), newest: Some(page.newest), ..query },
            None => return ids,
        }
    }
}

pub(crate) fn named(id: &str, family: &str, birth_date: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}], "birthDate": birth_date})
}

fn observation(id: &str, patient: &str, code: &str, value: f64) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": "measured"},
        "subject": {"reference": format!("Patient/{patient}")}, "valueQuantity": {"value": value, "unit": "kg"}})
}

pub async fn a_resource_is_found_by_what_its_current_version_says<B: Backend>(harness: Harness<B>) {
    harness.put(named("a", "Ash", "1980-01-01")).await;
    harness.put(named("b", "Birch", "1990-01-01")).await;
    assert_eq!(found(&harness, "Patient?family=ash").await, ["a"]);
    assert_eq!(found(&harness, "Patient?birthdate=lt1985").await, ["a"]);
    harness.put(named("a", "Beech", "1980-01-01")).await;
    assert!(found(&harness, "Patient?family=ash").await.is_empty(), "an earlier version says so, not the current");
    assert_eq!(found(&harness, "Patient?family=b").await, ["b", "a"]);
    assert_eq!(found(&harness, "Patient?family:missing=true").await, [""; 0]);
    assert_eq!(found(&harness, "Patient?family=b&birthdate=gt1985").await, ["b"]);
    assert_eq!(found(&harness, "Patient?_id=a,b,x&birthdate=1980").await, ["a"]);
    assert_eq!(found(&harness, "Patient?_id:not=a,x&family=b").await, ["b"]);
    harness.delete("Patient/a").await;
    assert_eq!(found(&harness, "Patient?family=b").await, ["b"]);
    harness.put(named("a", "Ash", "1980-01-01")).await;
    assert_eq!(found(&harness, "Patient?family=ash").await, ["a"], "brought back");
    harness.assert_bystander_is_whole().await;
}

pub async fn chains_lead_through_references_both_ways<B: Backend>(harness: Harness<B>) {
    harness.put(named("a", "Ash", "1980-01-01")).await;
    harness.put(named("b", "Birch", "1990-01-01")).await;
    harness.put(observation("o1", "a", "1-1", 5.0)).await;
    harness.put(observation("o2", "b", "1-1", 7.0)).await;
    harness.put(observation("o3", "b", "2-2", 9.0)).await;
    // More than a page.
    for id in ["c", "d", "e"] {
        harness.put(named(id, "Cedar", "2000-01-01")).await;
        harness.put(observation(&format!("{id}1"), id, "3-3", 1.0)).await;
    }
    // A group with the id of a patient is somebody else.
    let mut of_group = observation("g", "a", "9-9", 5.0);
    of_group["subject"] = json!({"reference": "Group/a"});
    harness.put(of_group).await;
    let cases = [
        ("Patient?_has:Observation:subject:code=9-9", ""),
        ("Observation?code=9-9&subject:Patient.family=ash", ""),
        ("Observation?code=9-9&subject=Group/a", "g"),
        ("Observation?value-quantity=7||kg", "o2"),
        ("Observation?value-quantity=7||mg", ""),
        ("Patient?_has:Observation:patient:code=3-3", "c d e"),
        ("Observation?patient.family=cedar", "c1 d1 e1"),
        ("Observation?subject:Patient.family=birch", "o2 o3"),
        ("Observation?patient.birthdate=lt1985", "o1"),
        ("Observation?patient.family=birch&code=1-1", "o2"),
        ("Observation?subject:Patient._id=a", "o1"),
        ("Patient?_has:Observation:patient:code=2-2", "b"),
        ("Patient?_has:Observation:subject:code=1-1", "a b"),
        ("Patient?_has:Observation:subject:code=1-1&family=ash", "a"),
        ("Observation?patient._has:Observation:patient:code=2-2", "o2 o3"),
    ];
    for (query, expected) in cases {
        assert_eq!(found(&harness, query).await.join(" "), expected, "{query}");
    }
    harness.delete("Patient/b").await;
    assert!(found(&harness, "Observation?subject:Patient.family=birch").await.is_empty(), "a deleted target has no name");
    harness.delete("Observation/o3").await;
    assert!(found(&harness, "Patient?_has:Observation:patient:code=2-2").await.is_empty());
}

pub async fn the_time_of_a_version_is_compared_to_the_millisecond<B: Backend>(harness: Harness<B>) {
    harness.put(named("a", "Ash", "1980-01-01")).await;
    let query = query_of(read("Patient?family=ash").1, 1);
    let stored = harness.store().search(&harness.account, patient(), &query).await.unwrap().found.remove(0).last_updated;
    // Of the millisecond before, of its own, and of the one behind it.
    let cases = [
        ("", [false, true, false]),
        ("ne", [true, false, true]),
        ("lt", [false, false, true]),
        ("le", [false, true, true]),
        ("gt", [true, false, false]),
        ("ge", [true, true, false]),
    ];
    for (prefix, expected) in cases {
        let is_found = async |by: i64| {
            let query = format!("Patient?family=ash&_lastUpdated={prefix}{}", stored.plus_ms(by));
            !found(&harness, &query).await.is_empty()
        };
        assert_eq!([is_found(-1).await, is_found(0).await, is_found(1).await], expected, "{prefix}");
    }
}

pub async fn a_chain_looks_into_what_is_contained<B: Backend>(harness: Harness<B>) {
    harness.put(json!({"resourceType": "Organization", "id": "acme", "name": "Acme"})).await;
    harness.put(json!({"resourceType": "Substance", "id": "salt", "status": "active", "code": {"text": "salt"}})).await;
    let medication = |id: &str, code: &str, more: Value| {
        let mut medication = json!({"resourceType": "Medication", "id": id, "code": {"coding": [{"code": code}]}});
        medication.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        medication
    };
    let request = |id: &str, contained: Vec<Value>, reference: &str| {
        json!({"resourceType": "MedicationRequest", "id": id, "status": "active", "contained": contained,
            "medicationReference": {"reference": reference}, "subject": {"reference": "Patient/a"}})
    };
    harness.put(medication("m", "red", json!({"manufacturer": {"reference": "Organization/acme"}}))).await;
    harness.put(request("apart", vec![], "Medication/m")).await;
    let made = json!({"manufacturer": {"reference": "Organization/acme"}, "ingredient": [{"itemReference": {"reference": "#s"}}]});
    let salt = json!({"resourceType": "Substance", "id": "s", "status": "inactive"});
    harness.put(request("within", vec![medication("c", "red", made), salt], "#c")).await;
    harness.put(request("blue", vec![medication("c", "blue", json!({})), medication("d", "red", json!({}))], "#c")).await;
    harness.put(request("nowhere", vec![medication("c", "red", json!({}))], "#x")).await;
    let cases = [
        ("MedicationRequest?medication.code=red", "apart within"),
        ("MedicationRequest?medication:Medication.code=red,green", "apart within"),
        ("MedicationRequest?medication.code=blue", "blue"),
        ("MedicationRequest?medication.code=blue&status=active&medication.code:not=red", "blue"),
        ("MedicationRequest?medication.code:not=red", "blue"),
        ("MedicationRequest?medication.code:missing=false", "apart within blue"),
        ("MedicationRequest?medication.manufacturer=Organization/acme", "apart within"),
        ("MedicationRequest?medication.manufacturer.name=acme", "apart within"),
        ("MedicationRequest?medication.manufacturer.name=other", ""),
        ("MedicationRequest?medication.ingredient:Substance.status=inactive", "within"),
        ("MedicationRequest?medication.ingredient:Substance.status=active", ""),
        ("MedicationRequest?medication:missing=false", "apart within blue nowhere"),
        ("MedicationRequest?medication._has:MedicationRequest:medication:status=active", "apart"),
        ("MedicationRequest?medication.status:missing=true&_sort=-_id", "within blue apart"),
        // What is contained is no result of its own.
        ("Medication?code=red", "m"),
    ];
    for (query, expected) in cases {
        assert_eq!(found(&harness, query).await.join(" "), expected, "{query}");
        assert_eq!(counted(&harness, query).await, expected.split_whitespace().count() as u64, "{query}");
    }
    harness.put(request("within", vec![medication("c", "green", json!({}))], "#c")).await;
    assert_eq!(found(&harness, "MedicationRequest?medication.code=red,green").await, ["apart", "within"]);
    assert_eq!(found(&harness, "MedicationRequest?medication.code=red").await, ["apart"]);
}

pub async fn many_and_few_are_found_through_others_alike<B: Backend>(harness: Harness<B>) {
    let mut expected = [Vec::new(), Vec::new()];
    harness.put(named("many", "Ash", "1980-01-01")).await;
    harness.put(named("few", "Birch", "1990-01-01")).await;
    for number in 0..60 {
        let (at, patient) = if number % 30 == 29 { (1, "few") } else { (0, "many") };
        harness.put(observation(&format!("o{number}"), patient, "1-1", f64::from(number))).await;
        expected[at].push(format!("o{number}"));
    }
    for (family, expected) in ["ash", "birch"].into_iter().zip(&expected) {
        for more in ["", "&code=1-1", "&status=final&code=1-1"] {
            let query = format!("Observation?patient.family={family}{more}");
            assert_eq!(&found(&harness, &query).await, expected, "{query}");
            let sorted = found(&harness, &format!("{query}&_sort=-value-quantity")).await;
            assert!(sorted.iter().rev().eq(expected), "{query}, sorted");
            assert_eq!(counted(&harness, &query).await, expected.len() as u64, "{query}");
        }
    }
    // In whichever part of an index a version is: what is replaced is counted no more.
    for id in ["o0", "o30", "o59"] {
        harness.put(observation(id, "many", "2-2", 0.0)).await;
    }
    assert_eq!((counted(&harness, "Observation?code=1-1").await, counted(&harness, "Observation?code=2-2").await), (57, 3));
}

pub async fn nobody_finds_what_is_anothers<B: Backend>(harness: Harness<B>) {
    add_client(harness.store().as_ref(), "c2").await;
    let stranger = add_user(harness.store().as_ref(), "c2", "x").await;
    for scope in [&harness.account, &harness.bystander, &stranger] {
        let id = format!("p{}", account_of(scope).0);
        harness.put_for(scope, named(&id, "Fir", "1980-01-01")).await;
    }
    let own = format!("p{}", account_of(&harness.account).0);
    assert_eq!(found(&harness, "Patient?family=fir").await, [own.as_str()]);
    let client = Scope::Client { client_id: harness.account.client_id().clone() };
    for query in ["Patient?family=fir", "Patient?family=fir&_sort=family"] {
        assert_eq!(found_for(&harness, &client, query).await.len(), 2, "both accounts of the client: {query}");
    }
    let targets = [&harness.account, &stranger].map(|scope| {
        let id = format!("p{}", account_of(scope).0).parse().unwrap();
        (account_of(scope), lethe_fhir::LocalReference { resource_type: patient(), id })
    });
    let read = harness.store().read_all(&harness.account, &targets).await.unwrap();
    assert_eq!((read.found.len(), read.looked_at), (1, 2), "an account out of scope gives nothing");
}

pub async fn counts_agree_with_pages<B: Backend>(harness: Harness<B>) {
    for number in 0..7 {
        harness.put(observation(&format!("o{number}"), "a", if number % 2 == 0 { "even" } else { "odd" }, f64::from(number))).await;
    }
    harness.delete("Observation/o0").await;
    let mut both = observation("both", "a", "even", 3.0);
    both["code"]["coding"] = json!([{"code": "even"}, {"code": "odd"}]);
    harness.put(both).await;
    for query in [
        "Observation",
        "Observation?code=even",
        "Observation?code=even,odd,even",
        "Observation?value-quantity=ge3",
        "Observation?code:text=measured",
        "Observation?code:not=odd",
        "Observation?_id=o1,o0",
    ] {
        let counted = counted(&harness, query).await;
        assert_eq!(counted, found(&harness, query).await.len() as u64, "{query}");
        assert!(counted > 0, "{query}: the control");
    }
}

pub async fn what_a_batch_has_removed_is_found_no_more<B: Backend>(harness: Harness<B>) {
    for number in 0..6 {
        harness.put(observation(&format!("o{number}"), "a", "1-1", 1.0)).await;
    }
    harness.put(named("a", "Ash", "1980-01-01")).await;
    let queries = ["Observation?code=1-1", "Observation?value-quantity=1", "Observation?patient=a", "Observation?patient.family=ash"];
    for query in queries {
        assert_eq!(found(&harness, query).await.len(), 6, "{query}: the control");
    }
    harness.kick_off(types(&["Observation"])).await;
    // The worker dies at each step in turn: rows of the index may be left, resources must not be found by them.
    for steps in 1..60 {
        let faulty = FaultyStore::dying_after(harness.store(), steps);
        let (_stop, shutdown) = tokio::sync::watch::channel(false);
        let _ = harness.worker_over(faulty.clone()).run_one(&shutdown).await;
        let listed = harness.ids("Observation").await;
        for query in queries {
            assert_eq!(found(&harness, query).await, listed, "{query} after {steps} steps");
            assert_eq!(counted(&harness, query).await, listed.len() as u64, "{query} after {steps} steps");
        }
        if !faulty.is_dead() {
            break;
        }
        harness.clock.advance_ms(3_600_000);
    }
    assert!(harness.ids("Observation").await.is_empty());
    assert_eq!(harness.purge(everything()).await.state, JobState::Successful);
    harness.assert_bystander_is_whole().await;
}

/// Whatever a search begins with, it finds what the criteria say of each resource by itself.
pub async fn any_two_criteria_find_what_each_resource_says_by_itself<B: Backend>(harness: Harness<B>) {
    let mut stored = Vec::new();
    for number in 0..40u32 {
        let value = json!({"resourceType": "Observation", "id": format!("o{number}"), "status": if number % 3 == 0 { "final" } else { "amended" },
            "code": {"coding": [{"system": "http://loinc.org", "code": format!("{}", number % 7)}]}, "subject": {"reference": format!("Patient/p{}", number % 5)},
            "effectiveDateTime": format!("20{:02}-0{}-01", number % 20, number % 9 + 1),
            "valueQuantity": {"value": f64::from(number) / 4.0, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
            "note": [{"text": "x"}]});
        harness.put(value.clone()).await;
        let resource = Resource::from_json(value).unwrap();
        let values = index_entries(&resource, &LocalBases::new([BASE])).unwrap().values;
        stored.push((format!("o{number}"), values));
    }
    let conditions = [
        "status=final",
        "status:not=final",
        "code=3",
        "code=http://loinc.org|4,5",
        "code:missing=true",
        "patient=p2",
        "subject=Patient/p1,Patient/p3",
        "date=gt2010",
        "date=2005",
        "date=le2003-05",
        "value-quantity=ge5",
        "value-quantity=lt2000|http://unitsofmeasure.org|g",
        "value-quantity=3||kg",
        "code-value-quantity=3$gt2",
        "code=nothing",
        // A system that the code cannot have: nothing is looked for.
        "status=http://nowhere.org|final",
        "date:missing=false",
    ];
    let mut hits = 0;
    for one in conditions {
        for other in conditions {
            let query = format!("Observation?{one}&{other}");
            let criteria = criteria(&query);
            let expected: BTreeSet<String> = stored
                .iter()
                .filter(|(_, values)| criteria.iter().all(|criterion| criterion.holds_for(values.iter()).unwrap()))
                .map(|(id, _)| id.clone())
                .collect();
            let found: Vec<String> = found(&harness, &query).await;
            assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), expected, "{query}");
            assert_eq!(found.len(), expected.len(), "each once: {query}");
            hits += found.len();
        }
    }
    assert!(hits > 500, "the control: {hits}");
}

pub async fn words_are_found_in_what_a_resource_says<B: Backend>(harness: Harness<B>) {
    let div =
        |text: &str| json!({"status": "additional", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{text}</p></div>")});
    harness
        .put(json!({"resourceType": "Condition", "id": "a", "subject": {"reference": "Patient/x"}, "text": div("Fièvre and chills")}))
        .await;
    harness.put(json!({"resourceType": "Condition", "id": "b", "subject": {"reference": "Patient/x"}, "code": {"text": "Chills"}})).await;
    let cases = [
        ("_text=chills", "a"),
        ("_content=chills", "a b"),
        ("_content=fievre", "a"),
        ("_text=fever", ""),
        ("_content=chills&code:text=chill", "b"),
    ];
    for (query, expected) in cases {
        assert_eq!(found(&harness, &format!("Condition?{query}")).await.join(" "), expected, "{query}");
    }
}

/// As many as a query may give; databases have limits of their own.
pub async fn a_thousand_alternatives_are_as_good_as_one<B: Backend>(harness: Harness<B>) {
    harness.put(named("a", "Ash", "1980-01-01")).await;
    harness.put(named("b", "Birch", "2980-01-01")).await;
    harness.put(observation("o", "a", "c9", 1.0)).await;
    let cases = [
        ("Patient?family=", "x#", "ash", "a"),
        ("Patient?family:contains=", "x#", "irc", "b"),
        ("Patient?birthdate=", "19#", "1980", "a"),
        ("Patient?birthdate=", "ne2980", "1970", "a"),
        ("Patient?_lastUpdated=", "19#", "gt1970", "a b"),
        ("Patient?identifier=", "urn:x|#", "y", ""),
        ("Observation?code=", "x#", "c9", "o"),
        ("Observation?value-quantity=", "9#||g", "1||kg", "o"),
        ("Observation?subject:Patient.name=", "x#", "ash", "o"),
        ("Patient?_has:Observation:subject:code=", "x#", "c9", "a"),
    ];
    for (question, other, fitting, expected) in cases {
        // Two digits, for years.
        let others: Vec<String> = (0..999).map(|number| other.replace('#', &format!("{:02}", number % 80))).collect();
        let query = format!("{question}{},{fitting}", others.join(","));
        assert_eq!(found(&harness, &query).await.join(" "), expected, "{question}…");
    }
}
