//! An account of the demo, made the way a client makes one: user, code, token.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    api_client::{ApiClient, Credentials},
    commands::client::AddedClient,
    population::Marker,
    server::Server,
};

/// An account, with the token that acts for it and the strings that are planted in it.
pub(super) struct DemoAccount {
    pub(super) id: u64,
    pub(super) name: &'static str,
    pub(super) token: String,
    pub(super) api: ApiClient,
    pub(super) markers: Vec<Marker>,
}

impl DemoAccount {
    /// Creates the user and buys a token with the code that comes with it.
    ///
    /// # Errors
    /// The server refuses.
    pub(super) async fn create(server: &Server, client: &AddedClient, name: &'static str, markers: Vec<Marker>) -> Result<Self> {
        let http = reqwest::Client::new();
        let url = |path: &str| format!("{}{path}", server.public_url);
        let credentials = [("client_id", client.client.client_id.0.as_str()), ("client_secret", client.secret.expose())];
        let form = |more: &[(&'static str, &str)]| {
            credentials.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>()
        };
        let user: Value = http
            .post(url("/user-management/v1/user"))
            .form(&form(&[("app_user_id", name)]))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let code = user["code"].as_str().context("a new user comes with a code")?;
        let id = user["oneup_user_id"].as_u64().context("a new user comes with a number")?;
        let tokens: Value = http
            .post(url("/oauth2/token"))
            .form(&form(&[("grant_type", "authorization_code"), ("code", code)]))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let token = tokens["access_token"].as_str().context("a code buys a token")?.to_owned();
        let api = ApiClient::new(&server.public_url, Credentials::Bearer(token.clone()))?;
        Ok(Self { id, name, token, api, markers })
    }
}
