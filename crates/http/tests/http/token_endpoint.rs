//! The token endpoint: what buys tokens, how often, for how long; and the errors of RFC 6749.

use std::{fs, sync::Arc};

use axum::http::{Method, StatusCode, header};
use lethe_auth::{AuthMethods, ClientId};

use crate::test_server::{Answer, TestServer};

fn assert_error(answer: &Answer, status: StatusCode, error: &str) {
    assert_eq!((answer.status, answer.field("error")), (status, error.to_owned()), "{}", answer.text);
    // RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E.
    let description = answer.field("error_description");
    assert!(!description.is_empty() && description.chars().all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\'), "{description}");
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
}

async fn reads(server: &TestServer, access_token: &str) -> bool {
    let answer = server.headers(Method::GET, "/r4/Patient", &[("authorization", &format!("Bearer {access_token}"))]).await;
    assert!(matches!(answer.status, StatusCode::OK | StatusCode::UNAUTHORIZED), "{}", answer.text);
    answer.status == StatusCode::OK
}

#[tokio::test]
async fn tokens_are_answered_as_printed_on_both_paths() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    for path in ["/oauth2/token", "/fhir/oauth2/token", "/oauth2/token/"] {
        let (_, code) = server.user(&client, path).await;
        let answer = server.form(Method::POST, path, &client.with(&[("grant_type", "authorization_code"), ("code", &code)])).await;
        let (access_token, refresh_token) = (answer.field("access_token"), answer.field("refresh_token"));
        assert_eq!(
            (answer.status, answer.text),
            (
                StatusCode::OK,
                format!(
                    r#"{{"access_token":"{access_token}","token_type":"Bearer","expires_in":7199,"refresh_token":"{refresh_token}","scope":"user/*.*"}}"#
                )
            )
        );
        assert_ne!(access_token, refresh_token);
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(answer.headers[header::PRAGMA], "no-cache");
        assert!(reads(&server, &access_token).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_serves_once_even_when_it_is_presented_many_times_at_once() {
    let server = Arc::new(TestServer::start());
    let client = server.client(AuthMethods::Both).await;
    let (_, code) = server.user(&client, "u1").await;
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let (server, client, code) = (server.clone(), client.clone(), code.clone());
            tokio::spawn(async move { server.redeem(&client, &code).await })
        })
        .collect();
    let mut issued = Vec::new();
    for call in calls {
        let answer = call.await.unwrap();
        if answer.status == StatusCode::OK {
            issued.push(answer.field("access_token"));
        } else {
            assert_error(&answer, StatusCode::BAD_REQUEST, "invalid_grant");
        }
    }
    assert_eq!(issued.len(), 1);
    assert!(!reads(&server, &issued[0]).await, "who presented it first cannot be known, so that nobody keeps what it bought");
}

#[tokio::test]
async fn a_code_lives_7200_seconds() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (_, in_time) = server.user(&client, "u1").await;
    let (_, too_late) = server.user(&client, "u2").await;
    server.clock.advance_ms(7_199_999);
    assert_eq!(server.redeem(&client, &in_time).await.status, StatusCode::OK);
    server.clock.advance_ms(1);
    assert_error(&server.redeem(&client, &too_late).await, StatusCode::BAD_REQUEST, "invalid_grant");
}

#[tokio::test]
async fn a_code_of_another_client_buys_nothing_and_is_not_used_up() {
    let server = TestServer::start();
    let (client, thief) = (server.client(AuthMethods::Both).await, server.client(AuthMethods::Both).await);
    let (_, code) = server.user(&client, "u1").await;
    assert_error(&server.redeem(&thief, &code).await, StatusCode::BAD_REQUEST, "invalid_grant");
    let tokens = server.redeem(&client, &code).await;
    assert_eq!(tokens.status, StatusCode::OK);
    let refresh_token = tokens.field("refresh_token");
    assert_error(&server.refresh(&thief, &refresh_token).await, StatusCode::BAD_REQUEST, "invalid_grant");
    assert_eq!(server.refresh(&client, &refresh_token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_access_token_lives_7200_seconds() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (_, token) = server.bearer(&client, "u1").await;
    server.clock.advance_ms(7_199_999);
    assert!(reads(&server, &token).await);
    server.clock.advance_ms(1);
    assert!(!reads(&server, &token).await);
}

#[tokio::test]
async fn a_refresh_token_renews_the_pair_and_ends_the_old_access_token() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (_, code) = server.user(&client, "u1").await;
    let first = server.redeem(&client, &code).await;
    let second = server.refresh(&client, &first.field("refresh_token")).await;
    assert_eq!(second.status, StatusCode::OK, "{}", second.text);
    assert_eq!(second.json()["expires_in"], 7199);
    assert!(!reads(&server, &first.field("access_token")).await);
    assert!(reads(&server, &second.field("access_token")).await);
    server.clock.advance_ms(lethe_auth::REFRESH_TOKEN_LIFETIME_MS - 1);
    let third = server.refresh(&client, &second.field("refresh_token")).await;
    assert_eq!(third.status, StatusCode::OK, "{}", third.text);
    server.clock.advance_ms(lethe_auth::REFRESH_TOKEN_LIFETIME_MS);
    assert_error(&server.refresh(&client, &third.field("refresh_token")).await, StatusCode::BAD_REQUEST, "invalid_grant");
}

#[tokio::test]
async fn the_reuse_of_a_refresh_token_revokes_its_family_and_no_other() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (_, code) = server.user(&client, "u1").await;
    let first = server.redeem(&client, &code).await;
    let other_code =
        server.form(Method::POST, "/user-management/v1/user/auth-code", &client.with(&[("app_user_id", "u1")])).await.field("code");
    let other_family = server.redeem(&client, &other_code).await;
    let second = server.refresh(&client, &first.field("refresh_token")).await;
    let third = server.refresh(&client, &second.field("refresh_token")).await;
    assert!(reads(&server, &third.field("access_token")).await, "the control");

    let reuse = server.refresh(&client, &first.field("refresh_token")).await;
    assert_error(&reuse, StatusCode::BAD_REQUEST, "invalid_grant");
    assert!(reuse.field("error_description").contains("used before"), "{}", reuse.text);
    assert!(!reads(&server, &third.field("access_token")).await);
    assert_error(&server.refresh(&client, &third.field("refresh_token")).await, StatusCode::BAD_REQUEST, "invalid_grant");
    assert!(reads(&server, &other_family.field("access_token")).await);
    assert_eq!(server.refresh(&client, &other_family.field("refresh_token")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_secret_of_one_kind_does_not_pass_for_another() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (_, code) = server.user(&client, "u1").await;
    assert!(!reads(&server, &code).await);
    assert_error(&server.refresh(&client, &code).await, StatusCode::BAD_REQUEST, "invalid_grant");
    let tokens = server.redeem(&client, &code).await;
    assert!(!reads(&server, &tokens.field("refresh_token")).await);
    assert!(!reads(&server, &client.client_secret).await);
    for other in ["access_token", "refresh_token"] {
        assert_error(&server.redeem(&client, &tokens.field(other)).await, StatusCode::BAD_REQUEST, "invalid_grant");
    }
    assert_error(&server.refresh(&client, &tokens.field("access_token")).await, StatusCode::BAD_REQUEST, "invalid_grant");
    assert!(reads(&server, &tokens.field("access_token")).await);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_words_of_the_rfc() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let bad = StatusCode::BAD_REQUEST;
    let cases: [(&[(&str, &str)], &str); 9] = [
        (&[], "invalid_request"),
        (&[("grant_type", "")], "invalid_request"),
        (&[("grant_type", "authorization_code")], "invalid_request"),
        (&[("grant_type", "refresh_token"), ("code", "c")], "invalid_request"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[("grant_type", "client_credentials")], "unsupported_grant_type"),
        (&[("grant_type", "authorization_code"), ("code", "c"), ("code", "d")], "invalid_request"),
        (&[("grant_type", "authorization_code"), ("code", "unknown")], "invalid_grant"),
        (&[("grant_type", "refresh_token"), ("refresh_token", "unknown")], "invalid_grant"),
    ];
    for (pairs, error) in cases {
        assert_error(&server.form(Method::POST, "/oauth2/token", &client.with(pairs)).await, bad, error);
    }

    let grant = [("grant_type", "authorization_code"), ("code", "c")];
    let call = async |client_id: &str, client_secret: &str| {
        let pairs = [&[("client_id", client_id), ("client_secret", client_secret)][..], &grant].concat();
        server.form(Method::POST, "/oauth2/token", &pairs).await
    };
    let (wrong_secret, unknown_client) = (call(&client.client_id, "wrong").await, call("nobody", "wrong").await);
    assert_error(&wrong_secret, StatusCode::UNAUTHORIZED, "invalid_client");
    assert!(wrong_secret.headers.contains_key(header::WWW_AUTHENTICATE));
    assert_eq!((&wrong_secret.text, &wrong_secret.headers), (&unknown_client.text, &unknown_client.headers));
    assert_error(&server.form(Method::POST, "/oauth2/token", &grant).await, StatusCode::UNAUTHORIZED, "invalid_client");
    server.store.set_client_active(&ClientId(client.client_id.clone()), false).await.unwrap();
    assert_error(&call(&client.client_id, &client.client_secret).await, StatusCode::UNAUTHORIZED, "invalid_client");
}

#[tokio::test]
async fn a_client_switched_off_loses_its_tokens_until_it_is_switched_on() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (_, token) = server.bearer(&client, "u1").await;
    let client_id = ClientId(client.client_id.clone());
    for (is_active, expected) in [(true, true), (false, false), (true, true)] {
        assert!(server.store.set_client_active(&client_id, is_active).await.unwrap());
        assert_eq!(reads(&server, &token).await, expected);
    }
}

#[tokio::test]
async fn no_secret_reaches_the_disk() {
    let server = TestServer::start();
    let client = server.client(AuthMethods::Both).await;
    let (_, code) = server.user(&client, "planted-name-of-a-user").await;
    let tokens = server.redeem(&client, &code).await;
    let unused =
        server.form(Method::POST, "/user-management/v1/user/auth-code", &client.with(&[("app_user_id", "planted-name-of-a-user")])).await;
    let files: Vec<Vec<u8>> =
        fs::read_dir(server.directory.path()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    let is_stored = |text: &str| files.iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()));
    assert!(is_stored("planted-name-of-a-user"), "the control");
    for secret in [client.client_secret, code, unused.field("code"), tokens.field("access_token"), tokens.field("refresh_token")] {
        let random_part = secret.rsplit('_').next().unwrap();
        assert!(!is_stored(random_part));
    }
}
