//! For whom a FHIR or purge call acts, by either way in, and every refusal.

use axum::http::{Method, Request, StatusCode, header};
use lethe_auth::{AccountId, AuthMethods, ClientId};

use crate::test_server::{Answer, TestClient, TestServer};

const PATIENTS: &str = "/r4/Patient";

async fn get(server: &TestServer, headers: &[(&str, &str)]) -> Answer {
    server.headers(Method::GET, PATIENTS, headers).await
}

/// Stores a patient by header credentials and returns its id.
async fn put_patient(server: &TestServer, client: &TestClient, account_id: AccountId) -> String {
    let number = account_id.to_string();
    let headers = client.with(&[("x-oneup-user-id", &number), ("content-type", "application/fhir+json")]);
    let request =
        headers.iter().fold(Request::builder().method(Method::POST).uri(PATIENTS), |request, (name, value)| request.header(*name, *value));
    let answer = server.send(request, r#"{"resourceType":"Patient"}"#).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.field("id")
}

/// Ids of the patients that a call sees, in order.
fn seen(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let mut ids: Vec<String> =
        answer.json()["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn sorted<const N: usize>(ids: [&String; N]) -> Vec<String> {
    let mut ids = ids.map(String::clone).to_vec();
    ids.sort();
    ids
}

#[tokio::test]
async fn each_way_in_acts_for_its_user_or_for_all_of_the_client_and_for_nobody_else() {
    let server = TestServer::start();
    let (client, other) = (server.client(AuthMethods::Both).await, server.client(AuthMethods::Both).await);
    let (one, token) = server.bearer(&client, "one").await;
    let (two, _) = server.user(&client, "two").await;
    let (foreign, foreign_token) = server.bearer(&other, "one").await;
    let of_one = put_patient(&server, &client, one).await;
    let of_two = put_patient(&server, &client, two).await;
    let of_foreign = put_patient(&server, &other, foreign).await;

    let (bearer, foreign_bearer) = (format!("Bearer {token}"), format!("Bearer {foreign_token}"));
    let (number_one, number_two) = (one.to_string(), two.to_string());
    assert_eq!(seen(&get(&server, &[("authorization", &bearer)]).await), sorted([&of_one]));
    assert_eq!(seen(&get(&server, &[("authorization", &foreign_bearer)]).await), sorted([&of_foreign]));
    assert_eq!(seen(&get(&server, &client.with(&[("x-oneup-user-id", &number_one)])).await), sorted([&of_one]));
    assert_eq!(seen(&get(&server, &client.with(&[("x-oneup-user-id", &number_two)])).await), sorted([&of_two]));
    assert_eq!(seen(&get(&server, &client.with(&[("x-oneup-user-id", "client")])).await), sorted([&of_one, &of_two]));
    assert_eq!(seen(&get(&server, &other.with(&[("x-oneup-user-id", "client")])).await), sorted([&of_foreign]));

    // Whatever stands beside a bearer token, wrong or right, changes nothing.
    for beside in [
        vec![("client_id", "nobody"), ("client_secret", "wrong")],
        other.with(&[]),
        client.with(&[("x-oneup-user-id", "client")]),
        client.with(&[("x-oneup-user-id", &number_two)]),
    ] {
        let headers = [&[("authorization", &*bearer)][..], &beside].concat();
        assert_eq!(seen(&get(&server, &headers).await), sorted([&of_one]), "{beside:?}");
    }
}

#[tokio::test]
async fn the_wrong_way_in_is_403_with_that_reason() {
    let server = TestServer::start();
    let (by_bearer, by_headers) = (server.client(AuthMethods::Bearer).await, server.client(AuthMethods::Headers).await);
    let (bearer_user, bearer_token) = server.bearer(&by_bearer, "u1").await;
    let (headers_user, headers_token) = server.bearer(&by_headers, "u1").await;
    let (bearer_number, headers_number) = (bearer_user.to_string(), headers_user.to_string());

    assert_eq!(get(&server, &[("authorization", &format!("Bearer {bearer_token}"))]).await.status, StatusCode::OK);
    assert_eq!(get(&server, &by_headers.with(&[("x-oneup-user-id", &headers_number)])).await.status, StatusCode::OK);

    let refused = get(&server, &[("authorization", &format!("Bearer {headers_token}"))]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.outcome_text().contains("registered for header credentials and not for bearer tokens"), "{}", refused.text);
    for user in [&*bearer_number, "client", "999999"] {
        let refused = get(&server, &by_bearer.with(&[("x-oneup-user-id", user)])).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert!(refused.outcome_text().contains("registered for bearer tokens and not for header credentials"), "{}", refused.text);
    }
}

#[tokio::test]
async fn missing_and_bad_credentials_are_401() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (account_id, _) = server.user(&client, "u1").await;
    let number = account_id.to_string();
    let (id, secret) = (&*client.client_id, &*client.client_secret);
    let cases: [&[(&str, &str)]; 9] = [
        &[],
        &[("x-oneup-user-id", "client")],
        &[("client_id", id), ("x-oneup-user-id", &number)],
        &[("client_secret", secret), ("x-oneup-user-id", &number)],
        &[("client_id", id), ("client_secret", "wrong"), ("x-oneup-user-id", &number)],
        &[("authorization", "Bearer unknown")],
        &[("authorization", "Bearer unknown"), ("client_id", id), ("client_secret", secret), ("x-oneup-user-id", &number)],
        &[("authorization", "Bearer"), ("client_id", id), ("client_secret", secret), ("x-oneup-user-id", &number)],
        &[("authorization", "Basic eDp5")],
    ];
    for headers in cases {
        let answer = get(&server, headers).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{headers:?} {}", answer.text);
        assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE), "{headers:?}");
        assert_eq!(answer.json()["issue"][0]["code"], "login", "{headers:?} {}", answer.text);
    }
}

#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_look_the_same() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (account_id, _) = server.user(&client, "u1").await;
    let number = account_id.to_string();
    for user in [&*number, "client", "999999"] {
        let call =
            async |client_id: &str| get(&server, &[("client_id", client_id), ("client_secret", "wrong"), ("x-oneup-user-id", user)]).await;
        let (wrong_secret, unknown_client) = (call(&client.client_id).await, call("nobody").await);
        assert_eq!(wrong_secret.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            (wrong_secret.status, &wrong_secret.text, &wrong_secret.headers),
            (unknown_client.status, &unknown_client.text, &unknown_client.headers)
        );
    }
}

#[tokio::test]
async fn users_that_are_unknown_foreign_or_inactive_are_403_and_look_the_same() {
    let server = TestServer::start();
    let (client, other) = (server.client(AuthMethods::Both).await, server.client(AuthMethods::Both).await);
    let (own, _) = server.user(&client, "own").await;
    let (inactive, _) = server.user(&client, "inactive").await;
    let (foreign, _) = server.user(&other, "foreign").await;
    assert!(server.store.set_user_active(&ClientId(client.client_id.clone()), inactive, false).await.unwrap());
    let call = async |user: &str| get(&server, &client.with(&[("x-oneup-user-id", user)])).await;
    assert_eq!(call(&own.to_string()).await.status, StatusCode::OK, "the control");
    let unknown = call("999999").await;
    assert_eq!(unknown.status, StatusCode::FORBIDDEN);
    assert_eq!(unknown.json()["issue"][0]["code"], "forbidden");
    for user in [inactive, foreign] {
        let answer = call(&user.to_string()).await;
        assert_eq!((answer.status, answer.text), (unknown.status, unknown.text.clone()), "{user}");
    }
}

#[tokio::test]
async fn a_scope_that_is_not_said_or_not_understood_is_never_guessed() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (account_id, _) = server.user(&client, "u1").await;
    let number = account_id.to_string();
    for (method, path) in [(Method::GET, PATIENTS), (Method::POST, "/r4/$purge"), (Method::GET, "/r4/$purge")] {
        for (headers, texts) in [
            (client.with(&[]), ["x-oneup-user-id: <oneup_user_id>", "x-oneup-user-id: client"]),
            (client.with(&[("x-oneup-user-id", "")]), ["x-oneup-user-id: <oneup_user_id>", "x-oneup-user-id: client"]),
            (client.with(&[("x-oneup-user-id", "all")]), ["number of a user", "'client'"]),
            (client.with(&[("x-oneup-user-id", "CLIENT")]), ["number of a user", "'client'"]),
            (client.with(&[("x-oneup-user-id", &number), ("x-oneup-user-id", "client")]), ["x-oneup-user-id", "more than once"]),
            (client.with(&[("x-oneup-user-id", &number), ("x-oneup-user-id", &number)]), ["x-oneup-user-id", "more than once"]),
        ] {
            let answer = server.headers(method.clone(), path, &headers).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path} {}", answer.text);
            assert!(texts.iter().all(|text| answer.outcome_text().contains(text)), "{method} {path} {}", answer.text);
        }
    }
    let jobs = server.headers(Method::GET, "/r4/$purge", &client.with(&[("x-oneup-user-id", "client")])).await;
    assert_eq!(jobs.json()["jobs"].as_array().map(Vec::len), Some(0), "{}", jobs.text);
}

#[tokio::test]
async fn the_client_scope_reads_and_purges_but_does_not_write() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    server.user(&client, "u1").await;
    let headers = client.with(&[("x-oneup-user-id", "client"), ("content-type", "application/fhir+json")]);
    let request = |method: Method, path: &str| {
        headers.iter().fold(Request::builder().method(method).uri(path), |request, (name, value)| request.header(*name, *value))
    };
    let patient = r#"{"resourceType":"Patient","id":"p1"}"#;
    for (method, path, body) in [
        (Method::POST, "/r4/Patient", patient),
        (Method::PUT, "/r4/Patient/p1", patient),
        (Method::DELETE, "/r4/Patient/p1", ""),
        (Method::POST, "/r4", r#"{"resourceType":"Bundle","type":"batch","entry":[]}"#),
        (Method::GET, "/r4/Patient/p1/_history", ""),
        (Method::GET, "/r4/Patient/_history", ""),
        (Method::GET, "/r4/_history", ""),
    ] {
        let answer = server.send(request(method.clone(), path), body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path} {}", answer.text);
        assert!(answer.outcome_text().contains("x-oneup-user-id"), "{method} {path} {}", answer.text);
    }
    assert_eq!(get(&server, &headers).await.status, StatusCode::OK);
    let job = server.send(request(Method::POST, "/r4/$purge"), "").await;
    assert_eq!((job.status, job.json()["job"]["userId"].clone()), (StatusCode::OK, "client".into()), "{}", job.text);
}

#[tokio::test]
async fn a_client_switched_off_is_told_so_only_with_its_right_secret() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    server.store.set_client_active(&ClientId(client.client_id.clone()), false).await.unwrap();
    let right = get(&server, &client.with(&[("x-oneup-user-id", "client")])).await;
    assert_eq!(right.status, StatusCode::FORBIDDEN);
    assert!(right.outcome_text().contains("switched off"), "{}", right.text);
    let wrong = get(&server, &[("client_id", &client.client_id), ("client_secret", "wrong"), ("x-oneup-user-id", "client")]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
}
