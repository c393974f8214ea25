//! Calls to a running server, with either way of authenticating.

use std::error::Error;

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::Value;

use crate::{
    failure::{Advice, UsageError},
    terminal::pasted,
};

/// Where a server is when nobody says otherwise.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";
/// The word for all users of a client.
const ALL_USERS: &str = "client";

/// Which server, and who calls.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerOptions {
    /// The server
    #[arg(long, value_name = "URL", default_value = DEFAULT_SERVER, value_parser = parse_server)]
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
    #[arg(long, value_name = "ID", value_parser = parse_user)]
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
    /// Where else to look.
    pub(crate) content_location: Option<String>,
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
            (None, Some(_), Some(_)) if self.user.is_none() => {
                bail!(UsageError("for whom? give --user with a oneup_user_id, or --user client for all users of the client".to_owned()))
            }
            (None, Some(client_id), Some(client_secret)) => {
                Credentials::Headers { client_id: client_id.clone(), client_secret: client_secret.clone(), user: self.user.clone() }
            }
            (None, None, None) => bail!(UsageError("who calls? give --token, or --client-id with --client-secret and --user".to_owned())),
            (Some(_), ..) => bail!(UsageError("give either --token or --client-id with --client-secret, not both".to_owned())),
            _ => bail!(UsageError("--client-id and --client-secret are needed together".to_owned())),
        };
        ApiClient::new(&self.server, credentials)
    }

    /// ` --server URL` as it is pasted behind a command; empty for the default. Who calls is left out: secrets are not repeated.
    pub(crate) fn flags(&self) -> String {
        if self.server == DEFAULT_SERVER { String::new() } else { format!(" --server {}", pasted(&self.server)) }
    }
}

fn parse_server(text: &str) -> Result<String, String> {
    let is_web = text.starts_with("http://") || text.starts_with("https://");
    if is_web && reqwest::Url::parse(text).is_ok_and(|url| url.has_host()) {
        return Ok(text.to_owned());
    }
    Err(format!("a server is given as http://HOST:PORT or https://HOST, for example {DEFAULT_SERVER}"))
}

fn parse_user(text: &str) -> Result<String, String> {
    if text == ALL_USERS {
        return Ok(text.to_owned());
    }
    parse_oneup_user_id(text)
        .map(|number| number.to_string())
        .map_err(|error| format!("{error}, or '{ALL_USERS}' for all users of the client"))
}

/// The number of a user, for clap.
///
/// # Errors
/// It is none.
pub(crate) fn parse_oneup_user_id(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "a user is named by the oneup_user_id, a whole number; lethe user list --client CLIENT_ID shows it".to_owned())
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

    /// For whom it calls, in words.
    pub(crate) fn scope(&self) -> String {
        match &self.credentials {
            Credentials::Bearer(_) => "the token's user".to_owned(),
            Credentials::Headers { client_id, user: Some(user), .. } if user == ALL_USERS => format!("ALL users of the client {client_id}"),
            Credentials::Headers { user: Some(user), .. } => format!("user {user}"),
            // OK because the server refuses it: it never guesses for whom.
            Credentials::Headers { user: None, .. } => "nobody".to_owned(),
        }
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
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_builder() => {
                bail!(UsageError("--token, --client-id or --client-secret has a character that no HTTP header can carry".to_owned()))
            }
            Err(error) if is_not_tls(&error) => {
                bail!(Advice::new(
                    format!("{} answers, but does not speak TLS", self.base_url),
                    "give --server with http:// instead of https://"
                ))
            }
            Err(error) => return Err(error).with_context(unreachable),
        };
        let status = response.status();
        let content_location = response.headers().get(header::CONTENT_LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = response.text().await.with_context(unreachable)?;
        Ok(Answer { status, content_location, text })
    }
}

/// Whether what answered an `https` call was no TLS at all. The library tells it by text only.
fn is_not_tls(error: &reqwest::Error) -> bool {
    std::iter::successors(error.source(), |cause| (*cause).source()).any(|cause| cause.to_string().contains("InvalidContentType"))
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

    /// The texts of an OperationOutcome.
    ///
    /// # Errors
    /// It is no JSON.
    pub(crate) fn outcome_texts(&self) -> Result<Vec<String>> {
        let json = self.json()?;
        let issues = json["issue"].as_array().into_iter().flatten();
        Ok(issues.filter_map(|issue| issue["details"]["text"].as_str()).map(str::to_owned).collect())
    }

    /// The text of an OperationOutcome, or whatever was sent instead.
    fn diagnosis(&self) -> String {
        match self.outcome_texts() {
            Ok(texts) if !texts.is_empty() => texts.join("; "),
            _ => self.text.chars().take(500).collect(),
        }
    }
}
