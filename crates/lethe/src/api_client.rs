//! Calls to a running server, with either way of authenticating.

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::Value;

use crate::failure::{Advice, UsageError};

/// Which server, and who calls.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerOptions {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Bearer token of the user to act for
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Client, when authenticating by headers
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Its secret
    #[arg(long, value_name = "SECRET")]
    client_secret: Option<String>,
    /// User to act for when authenticating by headers, or 'client' for all users of the client
    #[arg(long, value_name = "ID")]
    user: Option<String>,
}

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// `Authorization: Bearer`.
    Bearer(String),
    /// `client_id`, `client_secret`, `x-oneup-user-id`.
    Headers { client_id: String, client_secret: String, user: Option<String> },
}

/// A server and who calls it.
#[derive(Clone, Debug)]
pub(crate) struct ApiClient {
    http: reqwest::Client,
    base_url: String,
    credentials: Credentials,
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// As sent.
    pub(crate) text: String,
}

impl ServerOptions {
    /// The client that these options describe.
    ///
    /// # Errors
    /// Credentials are missing, or there are two kinds of them.
    pub(crate) fn client(&self) -> Result<ApiClient> {
        let credentials = match (&self.token, &self.client_id, &self.client_secret) {
            (Some(token), None, None) => Credentials::Bearer(token.clone()),
            (None, Some(client_id), Some(client_secret)) => {
                Credentials::Headers { client_id: client_id.clone(), client_secret: client_secret.clone(), user: self.user.clone() }
            }
            (None, None, None) => bail!(UsageError("who calls? give --token, or --client-id with --client-secret and --user".to_owned())),
            (Some(_), ..) => bail!(UsageError("give either --token or --client-id with --client-secret, not both".to_owned())),
            _ => bail!(UsageError("--client-id and --client-secret are needed together".to_owned())),
        };
        ApiClient::new(&self.server, credentials)
    }
}

impl ApiClient {
    /// A client of the server at `base_url`, with or without `/r4`.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub(crate) fn new(base_url: &str, credentials: Credentials) -> Result<Self> {
        let base_url = base_url.trim_end_matches('/').trim_end_matches("/r4").to_owned();
        let http = reqwest::Client::builder().user_agent(concat!("lethe/", env!("CARGO_PKG_VERSION"))).build()?;
        Ok(Self { http, base_url, credentials })
    }

    /// A call to `path` below `/r4`, such as `/Patient/1`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/r4{path}", self.base_url));
        match &self.credentials {
            Credentials::Bearer(token) => request.bearer_auth(token),
            Credentials::Headers { client_id, client_secret, user } => {
                let request = request.header("client_id", client_id).header("client_secret", client_secret);
                user.iter().fold(request, |request, user| request.header("x-oneup-user-id", user))
            }
        }
    }

    /// A call with a JSON body.
    pub(crate) fn request_with_body(&self, method: Method, path: &str, json: String) -> RequestBuilder {
        self.request(method, path).header(header::CONTENT_TYPE, "application/fhir+json").body(json)
    }

    /// Sends it and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let unreachable = || Advice::new(format!("{} does not answer", self.base_url), "is it running (lethe serve)? is --server right?");
        let response = request.send().await.with_context(unreachable)?;
        let status = response.status();
        let text = response.text().await.with_context(unreachable)?;
        Ok(Answer { status, text })
    }
}

impl Answer {
    /// The answer itself if it is a success, and otherwise what the server says is wrong.
    ///
    /// # Errors
    /// The status is not 2xx.
    pub(crate) fn success(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        bail!("the server refuses ({}): {}", self.status, self.diagnosis())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none, so something else than Lethe answered.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text).context("the answer is not JSON: is this a Lethe server?")
    }

    /// The text of an OperationOutcome, or whatever was sent instead.
    fn diagnosis(&self) -> String {
        let Ok(json) = self.json() else { return self.text.chars().take(500).collect() };
        let issues = json["issue"].as_array().into_iter().flatten();
        let texts: Vec<&str> = issues.filter_map(|issue| issue["details"]["text"].as_str()).collect();
        if texts.is_empty() { self.text.chars().take(500).collect() } else { texts.join("; ") }
    }
}
