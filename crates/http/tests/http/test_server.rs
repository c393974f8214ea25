//! A server over a temporary store, called without a socket, with a clock that the test moves.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU8, Ordering},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header, request::Builder},
};
use lethe_auth::{AccountId, AuthMethods, ClientId, KeyedHash, Secret, SecretKey, SecretKind};
use lethe_certificate::{document::IssuerName, issue::KeyedIssuer, keys::SigningKey};
use lethe_fhir::{Instant, LocalBases};
use lethe_http::{App, CorsOrigin, Validation, router};
use lethe_store::{Clock, NewClient, SharedIssuer, Store};
use lethe_store_sqlite::SqliteStore;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Notify;
use tower::ServiceExt;

/// A clock that stands still until it is moved.
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Instant {
        Instant::from_unix_ms(self.0.load(Ordering::SeqCst))
    }
}

impl TestClock {
    pub fn advance_ms(&self, duration_ms: i64) {
        self.0.fetch_add(duration_ms, Ordering::SeqCst);
    }
}

/// The server. Its directory goes with it.
pub struct TestServer {
    pub clock: Arc<TestClock>,
    pub store: Arc<dyn Store>,
    pub issuer: SharedIssuer,
    pub directory: TempDir,
    pub app: Arc<App>,
    router: Router,
    clients: AtomicU8,
}

/// A client and its secret.
#[derive(Clone)]
pub struct TestClient {
    pub client_id: String,
    pub client_secret: String,
}

impl TestClient {
    /// Its credentials as parameters, before some others.
    pub fn with<'a>(&'a self, others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut pairs = vec![("client_id", self.client_id.as_str()), ("client_secret", self.client_secret.as_str())];
        pairs.extend_from_slice(others);
        pairs
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn field(&self, name: &str) -> String {
        let value = self.json()[name].clone();
        value.as_str().unwrap_or_else(|| panic!("no text '{name}' in {}", self.text)).to_owned()
    }

    /// The code of each entry of a Bundle that was answered.
    pub fn entry_statuses(&self) -> Vec<String> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        let status = |entry: &Value| entry["response"]["status"].as_str().unwrap()[..3].to_owned();
        self.json()["entry"].as_array().unwrap().iter().map(status).collect()
    }

    /// `details.text` of the first issue of an OperationOutcome.
    pub fn outcome_text(&self) -> String {
        let json = self.json();
        assert_eq!(json["resourceType"], "OperationOutcome", "{}", self.text);
        json["issue"][0]["details"]["text"].as_str().unwrap().to_owned()
    }
}

impl TestServer {
    pub fn start() -> Self {
        Self::start_with(Validation::default())
    }

    /// With another rule for what is written.
    pub fn start_with(validation: Validation) -> Self {
        Self::start_for(validation, Vec::new())
    }

    /// For web pages of these origins.
    pub fn start_for_pages(cors_origins: Vec<CorsOrigin>) -> Self {
        Self::start_for(Validation::default(), cors_origins)
    }

    fn start_for(validation: Validation, cors_origins: Vec<CorsOrigin>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000_000)));
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path(), clock.clone()).unwrap());
        let name = IssuerName { software: "test".to_owned(), ..IssuerName::default() };
        let issuer: SharedIssuer = Arc::new(KeyedIssuer { name, key: SigningKey::from_seed(&[9; 32]).unwrap() });
        let app = Arc::new(App {
            store: store.clone(),
            clock: clock.clone(),
            issuer: issuer.clone(),
            secrets: SecretKey::new([42; SecretKey::BYTES]),
            bases: LocalBases::default(),
            public_url: "http://lethe.test".to_owned(),
            validation,
            cors_origins,
            pace: Arc::default(),
            wake: Arc::new(Notify::new()),
        });
        Self { clock, store, issuer, directory, router: router(app.clone()), app, clients: AtomicU8::new(0) }
    }

    /// Registers a client.
    pub async fn client(&self, auth: AuthMethods) -> TestClient {
        let number = self.clients.fetch_add(1, Ordering::SeqCst);
        let secret = Secret::generate(SecretKind::ClientSecret, [number; 32]);
        let client_id = ClientId::generate([number; 16]);
        let secret_hash: KeyedHash = self.app.secrets.hash(SecretKind::ClientSecret, secret.expose());
        self.store
            .add_client(&NewClient { client_id: client_id.clone(), name: format!("client {number}"), auth, may_hold: true, secret_hash })
            .await
            .unwrap();
        TestClient { client_id: client_id.0, client_secret: secret.expose().to_owned() }
    }

    /// Creates a user; returns its number and the code.
    pub async fn user(&self, client: &TestClient, app_user_id: &str) -> (AccountId, String) {
        let answer = self.form(Method::POST, "/user-management/v1/user", &client.with(&[("app_user_id", app_user_id)])).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        (AccountId(answer.json()["oneup_user_id"].as_i64().unwrap()), answer.field("code"))
    }

    /// Exchanges a code.
    pub async fn redeem(&self, client: &TestClient, code: &str) -> Answer {
        self.form(Method::POST, "/oauth2/token", &client.with(&[("grant_type", "authorization_code"), ("code", code)])).await
    }

    /// Exchanges a refresh token.
    pub async fn refresh(&self, client: &TestClient, refresh_token: &str) -> Answer {
        let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        self.form(Method::POST, "/oauth2/token", &client.with(&grant)).await
    }

    /// A fresh access token of a new user.
    pub async fn bearer(&self, client: &TestClient, app_user_id: &str) -> (AccountId, String) {
        let (account_id, code) = self.user(client, app_user_id).await;
        (account_id, self.redeem(client, &code).await.field("access_token"))
    }

    /// Sends a form.
    pub async fn form(&self, method: Method, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, urlencoded(pairs)).await
    }

    /// Sends headers and no body.
    pub async fn headers(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request =
            headers.iter().fold(Request::builder().method(method).uri(path), |request, (name, value)| request.header(*name, *value));
        self.send(request, "").await
    }

    /// Sends anything.
    pub async fn send(&self, request: Builder, body: impl Into<Body>) -> Answer {
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }
}

/// Pairs as a form or query. Values here need little encoding.
pub fn urlencoded(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| text.replace('%', "%25").replace('&', "%26").replace('+', "%2B").replace(' ', "+").replace('=', "%3D");
    pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}
