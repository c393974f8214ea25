//! User management: every row of its table in the contract, and every refusal.

use axum::http::{Method, Request, StatusCode, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use lethe_auth::{AccountId, AuthMethods};
use serde_json::{Value, json};

use crate::test_server::{Answer, TestClient, TestServer, urlencoded};

const USER: &str = "/user-management/v1/user";
const AUTH_CODE: &str = "/user-management/v1/user/auth-code";

fn assert_refused(answer: &Answer, status: StatusCode, error: &str) {
    assert_eq!((answer.status, &*answer.text), (status, &*format!(r#"{{"success":false,"error":"{error}"}}"#)));
}

async fn list(server: &TestServer, client: &TestClient, filter: &[(&str, &str)]) -> Answer {
    let headers = client.with(&[]);
    server.headers(Method::GET, &format!("{USER}?{}", urlencoded(filter)), &headers).await
}

fn listed(answer: &Answer) -> Vec<i64> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["entry"].as_array().unwrap().iter().map(|entry| entry["oneup_user_id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_new_user_is_answered_as_printed_and_cannot_be_created_twice() {
    let server = TestServer::start();
    let (client, other) = (server.client(AuthMethods::Both).await, server.client(AuthMethods::Both).await);
    let answer = server.form(Method::POST, USER, &client.with(&[("app_user_id", "user one")])).await;
    let (code, number) = (answer.field("code"), answer.json()["oneup_user_id"].clone());
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.text,
        format!(r#"{{"success":true,"code":"{code}","oneup_user_id":{number},"app_user_id":"user one","active":true}}"#)
    );
    assert!(number.is_i64() && code.len() >= 43, "{}", answer.text);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");

    let again = server.form(Method::POST, USER, &client.with(&[("app_user_id", "user one")])).await;
    assert_refused(&again, StatusCode::BAD_REQUEST, "this user already exists");
    let elsewhere = server.form(Method::POST, USER, &other.with(&[("app_user_id", "user one")])).await;
    assert_eq!(elsewhere.status, StatusCode::OK);
    assert_ne!(elsewhere.json()["oneup_user_id"], number);
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    for bad in [vec![], vec![("app_user_id", "")], vec![("app_user_id", "a\nb")], vec![("app_user_id", &"x".repeat(256))]] {
        let answer = server.form(Method::POST, USER, &client.with(&bad)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad:?}");
        assert!(answer.field("error").contains("app_user_id"), "{}", answer.text);
    }
    assert_eq!(listed(&list(&server, &client, &[]).await), Vec::<i64>::new());
}

#[tokio::test]
async fn credentials_and_parameters_are_taken_from_wherever_a_client_puts_them() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (account_id, _) = server.user(&client, "u1").await;
    let pairs = client.with(&[("app_user_id", "u1"), ("active", "true")]);
    let object: Value = pairs.iter().map(|(name, value)| (name.to_string(), json!(value))).collect::<serde_json::Map<_, _>>().into();
    let basic = BASE64_STANDARD.encode(format!("{}:{}", client.client_id, client.client_secret));
    let own = &[("app_user_id", "u1"), ("active", "true")];
    for (method, path) in [(Method::POST, AUTH_CODE), (Method::GET, USER), (Method::PUT, USER)] {
        let request = |query: &str| Request::builder().method(method.clone()).uri(format!("{path}?{query}"));
        let form = |query: &str| request(query).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let headers = || pairs.iter().fold(request(""), |request, (name, value)| request.header(*name, *value));
        let answers = [
            ("form", server.send(form(""), urlencoded(&pairs)).await),
            ("json", server.send(request("").header(header::CONTENT_TYPE, "application/json"), object.to_string()).await),
            ("json, said to be a form", server.send(form(""), object.to_string()).await),
            ("query", server.send(request(&urlencoded(&pairs)), "").await),
            ("headers", server.send(headers(), "").await),
            ("basic", server.send(form("").header(header::AUTHORIZATION, format!("Basic {basic}")), urlencoded(own)).await),
            ("the same twice", server.send(form(&urlencoded(&pairs)), urlencoded(&pairs)).await),
        ];
        for (way, answer) in answers {
            assert_eq!(answer.status, StatusCode::OK, "{method} {path} by {way}: {}", answer.text);
            let json = answer.json();
            let found = if method == Method::GET { &json["entry"][0] } else { &json };
            assert_eq!(found["oneup_user_id"], account_id.0, "{method} {path} by {way}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn json_numbers_and_booleans_mean_what_they_say() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (account_id, _) = server.user(&client, "u1").await;
    let body = json!({
        "client_id": client.client_id, "client_secret": client.client_secret, "oneup_user_id": account_id, "active": false,
        "app_user_id": null, "nonsense": [1]
    });
    let request = Request::builder().method(Method::PUT).uri(USER).header(header::CONTENT_TYPE, "application/json");
    let answer = server.send(request, body.to_string()).await;
    assert_eq!((answer.status, &*answer.text), (StatusCode::OK, &*format!(r#"{{"success":true,"oneup_user_id":{account_id}}}"#)));
    let entry = list(&server, &client, &[]).await.json()["entry"][0].clone();
    assert_eq!(entry["active"], false);
}

#[tokio::test]
async fn a_call_that_says_two_things_or_nothing_readable_is_refused() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    server.user(&client, "u1").await;
    let credentials = urlencoded(&client.with(&[]));
    let form = "application/x-www-form-urlencoded";
    let json = "application/json";
    let cases = [
        ("app_user_id=u1", form, "app_user_id=u2", 400, "app_user_id is given twice"),
        ("app_user_id=u1&app_user_id=u2", form, "", 400, "app_user_id is given twice"),
        ("client_id=other", form, "app_user_id=u1", 400, "client_id is given twice"),
        ("", json, r#"{"app_user_id":["u1"]}"#, 400, "app_user_id must be a single"),
        ("", json, "[]", 400, "not a JSON object"),
        ("", json, "app_user_id=u1", 400, "not valid JSON"),
        ("", json, r#"{"app_user_id":"u1","app_user_id":"u2"}"#, 400, "'app_user_id' stands twice"),
        ("", form, "app_user_id=%ff", 400, "UTF-8"),
        ("", "application/xml", "<u1/>", 415, "application/x-www-form-urlencoded or application/json"),
        ("", form, &"x".repeat(70_000), 413, "65536 bytes"),
    ];
    for (query, content_type, body, status, text) in cases {
        let uri = format!("{AUTH_CODE}?{credentials}&{query}");
        let request = Request::builder().method(Method::POST).uri(uri).header(header::CONTENT_TYPE, content_type);
        let answer = server.send(request, body.to_owned()).await;
        assert_eq!(answer.status.as_u16(), status, "{query} {content_type} {}", answer.text);
        assert!(answer.field("error").contains(text), "{query} {content_type} {}", answer.text);
    }
}

#[tokio::test]
async fn clients_that_do_not_prove_themselves_are_refused_alike() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    server.user(&client, "u1").await;
    for (method, path) in [(Method::POST, USER), (Method::GET, USER), (Method::PUT, USER), (Method::POST, AUTH_CODE)] {
        let call = async |client_id: &str, client_secret: &str| {
            let pairs = [("client_id", client_id), ("client_secret", client_secret), ("app_user_id", "u1"), ("active", "false")];
            server.form(method.clone(), path, &pairs).await
        };
        let wrong_secret = call(&client.client_id, "lethe_cs_wrong").await;
        let unknown_client = call("nobody", "lethe_cs_wrong").await;
        let unknown_client_with_a_secret = call("nobody", &client.client_secret).await;
        for answer in [&wrong_secret, &unknown_client, &unknown_client_with_a_secret] {
            assert_refused(answer, StatusCode::UNAUTHORIZED, "client_id or client_secret is wrong");
            assert_eq!(answer.headers, wrong_secret.headers);
            assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE));
        }
        for (client_id, client_secret) in [("", ""), (&*client.client_id, ""), ("", &*client.client_secret)] {
            let answer = call(client_id, client_secret).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            assert!(answer.field("error").contains("are needed"), "{}", answer.text);
        }
    }
    server.store.set_client_active(&lethe_auth::ClientId(client.client_id.clone()), false).await.unwrap();
    let answer = list(&server, &client, &[]).await;
    assert_refused(&answer, StatusCode::FORBIDDEN, "this client is switched off: ask whoever runs the server");
}

#[tokio::test]
async fn users_are_listed_as_printed_narrowed_and_page_by_page() {
    let server = TestServer::start();
    let (client, other) = (server.client(AuthMethods::Both).await, server.client(AuthMethods::Both).await);
    let mut own = Vec::new();
    for name in ["c", "a", "b"] {
        own.push(server.user(&client, name).await.0.0);
        server.user(&other, name).await;
    }
    let all = list(&server, &client, &[]).await;
    let entries: Vec<String> = own
        .iter()
        .zip(["c", "a", "b"])
        .map(|(number, name)| format!(r#"{{"oneup_user_id":{number},"app_user_id":"{name}","active":true}}"#))
        .collect();
    assert_eq!((all.status, all.text), (StatusCode::OK, format!(r#"{{"success":true,"entry":[{}]}}"#, entries.join(","))));

    let second = own[1].to_string();
    assert_eq!(listed(&list(&server, &client, &[("app_user_id", "a")]).await), [own[1]]);
    assert_eq!(listed(&list(&server, &client, &[("oneup_user_id", &second)]).await), [own[1]]);
    assert_eq!(listed(&list(&server, &client, &[("oneup_user_id", &second), ("app_user_id", "a")]).await), [own[1]]);
    assert_eq!(listed(&list(&server, &client, &[("oneup_user_id", &second), ("app_user_id", "b")]).await), Vec::<i64>::new());
    assert_eq!(listed(&list(&server, &other, &[("oneup_user_id", &second)]).await), Vec::<i64>::new());

    let first_page = list(&server, &client, &[("_count", "2")]).await;
    assert_eq!(listed(&first_page), own[..2]);
    let next = first_page.field("next");
    let path = next.strip_prefix("http://lethe.test").unwrap();
    assert!(!next.contains(&client.client_secret));
    let last_page = server.headers(Method::GET, path, &client.with(&[])).await;
    assert_eq!(listed(&last_page), own[2..]);
    assert!(last_page.json().get("next").is_none(), "{}", last_page.text);
    assert!(list(&server, &client, &[("_count", "3")]).await.json().get("next").is_none());

    for bad in [("oneup_user_id", ""), ("app_user_id", ""), ("oneup_user_id", "a"), ("_count", "0"), ("_count", "-1"), ("after", "x")] {
        let answer = list(&server, &client, &[bad]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad:?} {}", answer.text);
        assert!(answer.field("error").contains(bad.0), "{bad:?} {}", answer.text);
    }
}

#[tokio::test]
async fn a_fresh_code_is_answered_as_printed_to_active_users_of_the_client() {
    let server = TestServer::start();
    let (client, other) = (server.client(AuthMethods::Both).await, server.client(AuthMethods::Both).await);
    let (account_id, first_code) = server.user(&client, "u1").await;
    let answer = server.form(Method::POST, AUTH_CODE, &client.with(&[("app_user_id", "u1")])).await;
    let code = answer.field("code");
    assert_ne!(code, first_code);
    assert_eq!(
        (answer.status, answer.text),
        (StatusCode::OK, format!(r#"{{"success":true,"code":"{code}","oneup_user_id":{account_id},"app_user_id":"u1","active":true}}"#))
    );
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    for code in [first_code, code] {
        assert_eq!(server.redeem(&client, &code).await.status, StatusCode::OK);
    }

    let number = account_id.to_string();
    for (client, name) in [
        (&client, ("app_user_id", "u2")),
        (&client, ("oneup_user_id", "999999")),
        (&other, ("app_user_id", "u1")),
        (&other, ("oneup_user_id", &number)),
    ] {
        let answer = server.form(Method::POST, AUTH_CODE, &client.with(&[name])).await;
        assert_refused(&answer, StatusCode::BAD_REQUEST, "this user does not exist");
    }
    set_active(&server, &client, account_id, "false").await;
    let answer = server.form(Method::POST, AUTH_CODE, &client.with(&[("app_user_id", "u1")])).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.field("error").contains("not active"), "{}", answer.text);
}

async fn set_active(server: &TestServer, client: &TestClient, account_id: AccountId, active: &str) -> Answer {
    server.form(Method::PUT, USER, &client.with(&[("oneup_user_id", &account_id.to_string()), ("active", active)])).await
}

#[tokio::test]
async fn a_user_switched_off_loses_codes_and_tokens_at_once_and_for_good() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (account_id, code) = server.user(&client, "u1").await;
    let tokens = server.redeem(&client, &code).await;
    let (_, bystander) = server.bearer(&client, "u2").await;
    let unused = server.form(Method::POST, AUTH_CODE, &client.with(&[("app_user_id", "u1")])).await.field("code");
    let read =
        async |token: &str| server.headers(Method::GET, "/r4/Patient", &[("authorization", &format!("Bearer {token}"))]).await.status;
    let access_token = tokens.field("access_token");
    assert_eq!(read(&access_token).await, StatusCode::OK, "the control");

    let answer = set_active(&server, &client, account_id, "false").await;
    assert_eq!((answer.status, &*answer.text), (StatusCode::OK, &*format!(r#"{{"success":true,"oneup_user_id":{account_id}}}"#)));
    let by_headers = client.with(&[("x-oneup-user-id", "1")]);
    let number = account_id.to_string();
    let by_headers: Vec<_> =
        by_headers.into_iter().map(|(name, value)| (name, if name == "x-oneup-user-id" { &*number } else { value })).collect();
    for active in ["false", "true"] {
        set_active(&server, &client, account_id, active).await;
        assert_eq!(read(&access_token).await, StatusCode::UNAUTHORIZED, "active: {active}");
        assert_eq!(server.redeem(&client, &unused).await.field("error"), "invalid_grant", "active: {active}");
        assert_eq!(server.refresh(&client, &tokens.field("refresh_token")).await.field("error"), "invalid_grant", "active: {active}");
        let expected = if active == "true" { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(server.headers(Method::GET, "/r4/Patient", &by_headers).await.status, expected, "active: {active}");
    }
    assert_eq!(read(&bystander).await, StatusCode::OK);
    let fresh = server.form(Method::POST, AUTH_CODE, &client.with(&[("app_user_id", "u1")])).await.field("code");
    assert_eq!(read(&server.redeem(&client, &fresh).await.field("access_token")).await, StatusCode::OK);
}

#[tokio::test]
async fn updates_that_name_nobody_or_say_nothing_are_refused() {
    let server = TestServer::start();
    let (client, other) = (server.client(AuthMethods::Both).await, server.client(AuthMethods::Both).await);
    let (account_id, _) = server.user(&client, "u1").await;
    let number = account_id.to_string();
    let unknown = "this user does not exist";
    type Case<'a> = (&'a TestClient, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 8] = [
        (&client, &[("app_user_id", "u2"), ("active", "false")], unknown),
        (&client, &[("app_user_id", "u2"), ("oneup_user_id", &number), ("active", "false")], unknown),
        (&other, &[("oneup_user_id", &number), ("active", "false")], unknown),
        (&client, &[("active", "false")], "app_user_id is missing: name the user by it, or by oneup_user_id"),
        (&client, &[("app_user_id", ""), ("active", "false")], "app_user_id is empty: give it a value or leave it out"),
        (&client, &[("app_user_id", "u1")], "active is missing"),
        (&client, &[("app_user_id", "u1"), ("active", "no")], "active must be true or false"),
        (&client, &[("oneup_user_id", "u1"), ("active", "false")], "oneup_user_id must be a oneup_user_id: a whole number, such as 251"),
    ];
    for (client, pairs, error) in cases {
        let answer = server.form(Method::PUT, USER, &client.with(pairs)).await;
        assert_refused(&answer, StatusCode::BAD_REQUEST, error);
    }
    assert_eq!(list(&server, &client, &[]).await.json()["entry"][0]["active"], true);
}
