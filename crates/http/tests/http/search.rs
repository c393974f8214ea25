//! Search: what a page holds, where the next begins, what goes along, and what is refused.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::pages::{all_matches, ids, link, page};
use crate::test_server::TestServer;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn patients(caller: &Caller<'_>, count: usize) {
    for number in 1..=count {
        let gender = if number % 2 == 0 { "female" } else { "male" };
        let body = json!({ "resourceType": "Patient", "id": format!("p{number}"), "gender": gender, "active": true,
            "name": [{ "family": format!("Family{number}") }], "text": { "status": "generated", "div": "<div>text</div>" } });
        caller.stored(&format!("/r4/Patient/p{number}"), &body.to_string()).await;
        caller.server.clock.advance_ms(1_000);
    }
}

#[tokio::test]
async fn a_page_tells_its_total_when_that_costs_nothing_or_is_asked_for() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    patients(&caller, 5).await;
    for (query, total, entries) in [
        ("", json!(5), 5),
        ("?_count=2", json!(5), 2),
        ("?gender=male", json!(3), 3),
        ("?gender=male&_count=2", Value::Null, 2),
        ("?gender=male&_count=2&_total=accurate", json!(3), 2),
        ("?gender=male&_count=2&_total=estimate", json!(3), 2),
        ("?_total=none", Value::Null, 5),
        ("?_summary=count", json!(5), 0),
        ("?gender=male&_count=0", json!(3), 0),
        ("?_id=p1,p4,other", json!(2), 2),
        ("?_lastUpdated=gt2023", json!(0), 0),
        ("?_lastUpdated=ge2023", json!(5), 5),
    ] {
        let page = page(&caller, &format!("/r4/Patient{query}")).await;
        assert_eq!((&page["type"], &page["total"]), (&json!("searchset"), &total), "{query}: {page}");
        assert_eq!(ids(&page, "match").len(), entries, "{query}");
    }
    let first = page(&caller, "/r4/Patient?gender=male&_count=2&_total=accurate").await;
    let second = page(&caller, link(&first, "next").unwrap()).await;
    assert_eq!((&second["total"], link(&second, "next")), (&json!(3), None), "{second}");
    assert_eq!(link(&second, "first"), Some("/r4/Patient?gender=male&_count=2&_total=accurate"));
}

#[tokio::test]
async fn pages_neither_shift_nor_repeat_while_others_write() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    patients(&caller, 7).await;
    for (query, expected) in [
        ("", ["p1", "p2", "p3", "p4", "p6", "p7"]),
        ("&_sort=family", ["p1", "p2", "p3", "p4", "p6", "p7"]),
        ("&_sort=-_lastUpdated", ["p7", "p6", "p4", "p3", "p2", "p1"]),
        ("&_sort=gender,-_id", ["p6", "p4", "p2", "p7", "p3", "p1"]),
    ] {
        caller.delete("/r4/Patient/p5").await;
        let first = page(&caller, &format!("/r4/Patient?active=true&_count=2{query}")).await;
        caller.stored("/r4/Patient/new", r#"{"resourceType":"Patient","id":"new","active":true}"#).await;
        let mut found = ids(&first, "match");
        found.extend(all_matches(&caller, link(&first, "next").unwrap()).await);
        assert_eq!(found, expected.map(|id| format!("Patient/{id}")), "{query}");
        caller.delete("/r4/Patient/new").await;
    }
}

#[tokio::test]
async fn a_page_that_was_not_given_for_this_search_is_refused() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let neighbour = Caller::of(&server, caller.client.clone(), "neighbour").await;
    patients(&caller, 3).await;
    let first = page(&caller, "/r4/Patient?active=true&_count=1").await;
    let next = link(&first, "next").unwrap();
    assert_eq!(caller.get(next).await.status, StatusCode::OK, "the control");
    let token = next.split("_page=").nth(1).unwrap();
    let middle = token.len() / 2;
    let tampered = format!("{}{}{}", &token[..middle], if &token[middle..=middle] == "A" { "B" } else { "A" }, &token[middle + 1..]);
    for query in [
        format!("active=true&_count=1&_page={tampered}"),
        format!("active=true&_count=2&_page={token}"),
        format!("_count=1&_page={token}"),
        "active=true&_count=1&_page=l1.2".to_owned(),
        "active=true&_count=1&_page=".to_owned(),
    ] {
        let answer = caller.get(&format!("/r4/Patient?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.outcome_text().contains("_page"), "{}", answer.text);
    }
    assert_eq!(neighbour.get(next).await.status, StatusCode::BAD_REQUEST, "another user's");
    assert_eq!(caller.get(&next.replace("/r4/Patient?", "/r4/Person?")).await.status, StatusCode::BAD_REQUEST, "another type's");
}

#[tokio::test]
async fn what_the_server_leaves_out_or_lowers_does_not_break_its_links() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    patients(&caller, 2).await;
    let lenient = [("prefer", "handling=lenient")];
    for (query, headers) in [("_count=1", &[][..]), ("_count=01", &[]), ("nome=x&_count=1", &lenient)] {
        let first = caller.call("GET", &format!("/r4/Patient?{query}"), headers, "").await.json();
        assert_eq!(ids(&first, "match"), ["Patient/p1"], "{query}");
        for headers in [&[][..], &lenient] {
            let second = caller.call("GET", link(&first, "next").unwrap(), headers, "").await.json();
            assert_eq!(ids(&second, "match"), ["Patient/p2"], "{query}");
        }
    }
}

#[tokio::test]
async fn a_search_by_post_is_the_same_search() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    patients(&caller, 3).await;
    let posted = caller.call("POST", "/r4/Patient/_search?_count=1", &[FORM], "_id=p1%2Cp2&_sort=-_id").await.json();
    assert_eq!(ids(&posted, "match"), ["Patient/p2"]);
    let second = page(&caller, link(&posted, "next").unwrap()).await;
    assert_eq!(ids(&second, "match"), ["Patient/p1"], "its next page is a GET");
    let json = caller.post("/r4/Patient/_search", "{}").await;
    assert_eq!(json.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let system = caller.call("POST", "/r4/_search", &[FORM], "_type=Patient&_id=p3").await.json();
    assert_eq!(ids(&system, "match"), ["Patient/p3"]);
}

#[tokio::test]
async fn what_is_not_understood_is_refused_or_ignored_as_preferred() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    patients(&caller, 2).await;
    for bad in ["nome=x", "_lastupdated=2024", "_count=x", "_count=1&_count=2", "gender:foo=male", "birthdate=yesterday", "_filter=x"] {
        for headers in [&[][..], &[("prefer", "handling=strict")]] {
            let answer = caller.call("GET", &format!("/r4/Patient?{bad}"), headers, "").await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}: an ignored parameter would widen the result");
            assert!(answer.outcome_text().contains(bad.split('=').next().unwrap()), "{}", answer.text);
        }
    }
    let lenient = caller.call("GET", "/r4/Patient?nome=x&gender=male", &[("prefer", "handling=lenient")], "").await.json();
    assert_eq!(ids(&lenient, "match"), ["Patient/p1"]);
    assert_eq!(link(&lenient, "self"), Some("/r4/Patient?gender=male"), "as it was understood");
    let outcome = lenient["entry"].as_array().unwrap().last().unwrap();
    assert_eq!((&outcome["search"]["mode"], &outcome["resource"]["resourceType"]), (&json!("outcome"), &json!("OperationOutcome")));
    assert!(outcome["resource"]["issue"][0]["details"]["text"].as_str().unwrap().contains("'nome'"), "{outcome}");
    let wrong = caller.call("GET", "/r4/Patient?birthdate=yesterday", &[("prefer", "handling=lenient")], "").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "a wrong value is no unknown parameter");
}

#[tokio::test]
async fn parts_of_resources_are_tagged_as_such() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    patients(&caller, 1).await;
    for (query, has, has_not) in [
        ("_summary=true", "gender", "text"),
        ("_summary=text", "text", "gender"),
        ("_summary=data", "gender", "text"),
        ("_elements=gender", "gender", "name"),
    ] {
        let page = page(&caller, &format!("/r4/Patient?{query}")).await;
        let read = caller.get(&format!("/r4/Patient/p1?{query}")).await.json();
        for resource in [&page["entry"][0]["resource"], &read] {
            assert_eq!(resource["meta"]["tag"][0]["code"], "SUBSETTED", "{query}: {resource}");
            assert!(resource.get(has).is_some() && resource.get(has_not).is_none(), "{query}: {resource}");
            assert_eq!(resource["id"], "p1");
        }
    }
    assert!(page(&caller, "/r4/Patient?_summary=false").await["entry"][0]["resource"]["meta"].get("tag").is_none());
    assert_eq!(caller.get("/r4/Patient?_elements=foo").await.status, StatusCode::BAD_REQUEST);
}

async fn family(caller: &Caller<'_>) {
    let resources = [
        json!({ "resourceType": "Organization", "id": "clinic", "partOf": { "reference": "Organization/trust" } }),
        json!({ "resourceType": "Organization", "id": "trust" }),
        json!({ "resourceType": "Patient", "id": "pat", "managingOrganization": { "reference": "Organization/clinic" } }),
        json!({ "resourceType": "Patient", "id": "other" }),
        json!({ "resourceType": "Encounter", "id": "enc", "status": "finished", "class": { "code": "AMB" }, "subject": { "reference": "Patient/pat" } }),
        json!({ "resourceType": "Observation", "id": "obs", "status": "final", "code": { "text": "x" }, "subject": { "reference": "Patient/pat" },
                "encounter": { "reference": "Encounter/enc" } }),
        json!({ "resourceType": "Observation", "id": "obs2", "status": "final", "code": { "text": "x" }, "subject": { "reference": "Patient/other" } }),
        json!({ "resourceType": "Provenance", "id": "prov", "target": [{ "reference": "Observation/obs" }], "recorded": "2024-01-01T00:00:00Z",
                "agent": [{ "who": { "display": "x" } }] }),
    ];
    caller.stored_together(resources).await;
}

#[tokio::test]
async fn what_is_included_comes_along_once_and_follows_iterate() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    family(&caller).await;
    for (query, matches, included) in [
        ("Observation?_id=obs&_include=Observation:subject", &["Observation/obs"][..], &["Patient/pat"][..]),
        ("Observation?_include=Observation:patient", &["Observation/obs", "Observation/obs2"], &["Patient/other", "Patient/pat"]),
        ("Observation?_id=obs&_include=Observation:subject&_include=Observation:patient", &["Observation/obs"], &["Patient/pat"]),
        ("Observation?_id=obs&_include=*", &["Observation/obs"], &["Encounter/enc", "Patient/pat"]),
        ("Observation?_id=obs&_include=Observation:subject:Group", &["Observation/obs"], &[]),
        (
            "Observation?_id=obs&_include=Observation:subject&_include:iterate=Patient:organization&_include:iterate=Organization:partof",
            &["Observation/obs"],
            &["Organization/clinic", "Organization/trust", "Patient/pat"],
        ),
        ("Patient?_id=pat&_revinclude=Observation:subject", &["Patient/pat"], &["Observation/obs"]),
        (
            "Patient?_id=pat&_revinclude=Observation:subject&_revinclude:iterate=Provenance:target&_revinclude=Encounter:patient",
            &["Patient/pat"],
            &["Encounter/enc", "Observation/obs", "Provenance/prov"],
        ),
        ("Patient?_id=other&_revinclude=Observation:subject", &["Patient/other"], &["Observation/obs2"]),
    ] {
        let page = page(&caller, &format!("/r4/{query}")).await;
        let mut found = ids(&page, "include");
        found.sort();
        assert_eq!(
            (ids(&page, "match").as_slice(), found.as_slice()),
            (
                &matches.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()[..],
                &included.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()[..]
            ),
            "{query}"
        );
    }
    let chained = page(&caller, "/r4/Observation?subject:Patient.organization=clinic").await;
    assert_eq!(ids(&chained, "match"), ["Observation/obs"]);
}

#[tokio::test]
async fn what_goes_along_is_limited_and_the_page_says_so() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    family(&caller).await;
    for part in 0..3 {
        let resources = (0..400).map(|number| {
            json!({ "resourceType": "Observation", "id": format!("o{part}-{number}"), "status": "final", "code": { "text": "x" },
                "subject": { "reference": "Patient/pat" } })
        });
        caller.stored_together(resources).await;
    }
    let page = page(&caller, "/r4/Patient?_id=pat&_revinclude=Observation:patient").await;
    assert_eq!(ids(&page, "include").len(), 1_000);
    let outcome = page["entry"].as_array().unwrap().last().unwrap();
    assert_eq!((&outcome["search"]["mode"], &outcome["resource"]["issue"][0]["severity"]), (&json!("outcome"), &json!("warning")));
}

#[tokio::test]
async fn includes_stay_in_the_account_of_what_brings_them() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let neighbour = Caller::of(&server, caller.client.clone(), "neighbour").await;
    family(&caller).await;
    neighbour.stored("/r4/Patient/pat", r#"{"resourceType":"Patient","id":"pat","gender":"other"}"#).await;
    neighbour
        .stored(
            "/r4/Observation/far",
            r#"{"resourceType":"Observation","id":"far","status":"final","subject":{"reference":"Patient/other"}}"#,
        )
        .await;
    let all = caller.as_client("GET", "/r4/Observation?_include=Observation:subject&_sort=_id", "").await.json();
    assert_eq!(ids(&all, "match"), ["Observation/far", "Observation/obs", "Observation/obs2"]);
    assert_eq!(ids(&all, "include").len(), 2, "{all}");
    let pats = caller.as_client("GET", "/r4/Patient?_id=pat&_revinclude=Observation:subject", "").await.json();
    assert_eq!((ids(&pats, "match").len(), ids(&pats, "include")), (2, vec!["Observation/obs".to_owned()]));
    let first = caller.as_client("GET", "/r4/Patient?_count=1&_sort=_id", "").await.json();
    let second = caller.as_client("GET", link(&first, "next").unwrap(), "").await;
    assert_eq!(second.status, StatusCode::OK, "{}", second.text);
}

#[tokio::test]
async fn several_types_are_searched_one_after_the_other() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    family(&caller).await;
    let all = all_matches(&caller, "/r4?_count=2").await;
    assert_eq!(all.len(), 8, "{all:?}");
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 8, "each once");
    assert_eq!(all_matches(&caller, "/r4?_type=Patient,Encounter&_count=1").await, ["Encounter/enc", "Patient/pat", "Patient/other"]);
    assert_eq!(all_matches(&caller, "/r4?_type=Observation,Encounter&patient=pat").await, ["Encounter/enc", "Observation/obs"]);
    let count = page(&caller, "/r4?_summary=count").await;
    assert_eq!(count["total"], 8);
    for bad in [
        "_type=Patiant",
        "_type=Patient,Observation&gender=male",
        "gender=male",
        "_type=Patient&_type=Observation",
        "_type=Patient,Observation&_sort=_id",
    ] {
        assert_eq!(caller.get(&format!("/r4?{bad}")).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_compartment_is_searched_by_type_and_as_a_whole() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    family(&caller).await;
    for (path, expected) in [
        ("/r4/Patient/pat/Observation", &["Observation/obs"][..]),
        ("/r4/Patient/pat/Observation?status=final", &["Observation/obs"]),
        ("/r4/Patient/pat/Observation?status=amended", &[]),
        ("/r4/Patient/pat/*", &["Encounter/enc", "Observation/obs"]),
        ("/r4/Patient/pat/*?_type=Encounter,Observation&_count=1", &["Encounter/enc", "Observation/obs"]),
        ("/r4/Encounter/enc/Observation", &["Observation/obs"]),
        ("/r4/Patient/nobody/Observation", &[]),
    ] {
        let mut found = all_matches(&caller, path).await;
        found.sort();
        assert_eq!(found, expected.to_vec(), "{path}");
    }
    let posted = caller.call("POST", "/r4/Patient/pat/Observation/_search", &[FORM], "status=final").await.json();
    assert_eq!(ids(&posted, "match"), ["Observation/obs"]);
    for path in ["/r4/Patient/pat/Medication", "/r4/Observation/obs/Patient", "/r4/Observation/obs/*", "/r4/Patient/pat/Foo"] {
        assert_eq!(caller.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn what_goes_along_is_limited_by_its_bytes_too() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Organization/root", r#"{"resourceType":"Organization","id":"root"}"#).await;
    caller.stored("/r4/Patient/pat", r#"{"resourceType":"Patient","id":"pat"}"#).await;
    let alias = "x".repeat(12 << 20);
    for number in 0..4 {
        let large = json!({ "resourceType": "Organization", "id": format!("o{number}"), "alias": [alias], "partOf": { "reference": "Organization/root" } });
        caller.stored(&format!("/r4/Organization/o{number}"), &large.to_string()).await;
        let small = json!({ "resourceType": "Observation", "id": format!("o{number}"), "status": "final", "code": { "text": "x" },
            "subject": { "reference": "Patient/pat" }, "performer": [{ "reference": format!("Organization/o{number}") }] });
        caller.stored(&format!("/r4/Observation/o{number}"), &small.to_string()).await;
    }
    for (path, matches) in [
        ("Observation?_include=Observation:performer", 4),
        ("Organization?_id=root&_revinclude=Organization:partof", 1),
        ("Patient/pat/$everything", 5),
    ] {
        let page = page(&caller, &format!("/r4/{path}")).await;
        assert_eq!((ids(&page, "match").len(), ids(&page, "include").len()), (matches, 3), "{path}");
        let outcome = page["entry"].as_array().unwrap().last().unwrap();
        assert!(outcome["resource"]["issue"][0]["details"]["text"].as_str().unwrap().contains("bytes"), "{path}: {outcome}");
    }
    let history = page(&caller, "/r4/Organization/_history").await;
    assert_eq!((history["entry"].as_array().unwrap().len(), &history["total"]), (3, &Value::Null), "a history ends where its bytes do");
    let rest = page(&caller, link(&history, "next").unwrap()).await;
    assert_eq!((rest["entry"].as_array().unwrap().len(), link(&rest, "next")), (2, None));
}
