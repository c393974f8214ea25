//! `lethe client`: the applications that may use the server.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use lethe_auth::{AuthMethods, Client, ClientId, Secret, SecretKind};
use lethe_store::NewClient;
use serde_json::{Value, json};

use super::store_command::StoreCommand;
use crate::{failure::Advice, open_store::KeyedStore, secret_key::random_bytes, terminal};

/// Register and manage applications
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    Add(Add),
    List(List),
    Disable(Disable),
    Enable(Enable),
    Allow(Allow),
    Forbid(Forbid),
    Rotate(Rotate),
}

/// Register a client, and print its secret, once
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// What people call it
    #[arg(value_parser = parse_name)]
    name: String,
    /// How it may authenticate: bearer, headers or both
    #[arg(long, value_name = "WAY", default_value = "both")]
    auth: AuthMethods,
    /// Let it set and lift legal holds on the accounts of its users
    #[arg(long)]
    may_hold: bool,
    #[command(flatten)]
    output: StoreCommand,
}

/// List all clients
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    output: StoreCommand,
}

/// Refuse a client everywhere, at once
#[derive(Debug, Args)]
pub(crate) struct Disable {
    #[command(flatten)]
    one: One,
}

/// Let a disabled client in again
#[derive(Debug, Args)]
pub(crate) struct Enable {
    #[command(flatten)]
    one: One,
}

/// Let a client do what clients may not do by themselves
#[derive(Debug, Args)]
pub(crate) struct Allow {
    #[command(flatten)]
    permitted: Permitted,
}

/// Take a permission back
#[derive(Debug, Args)]
pub(crate) struct Forbid {
    #[command(flatten)]
    permitted: Permitted,
}

#[derive(Debug, Args)]
struct Permitted {
    #[command(flatten)]
    one: One,
    /// What
    #[arg(value_enum)]
    what: Permission,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Permission {
    /// Setting and lifting legal holds on the accounts of its users
    Holds,
}

/// Give a client a new secret, and print it, once; the old one is refused from then on
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    one: One,
}

#[derive(Debug, Args)]
struct One {
    /// The client_id
    client_id: String,
    #[command(flatten)]
    output: StoreCommand,
}

/// A name that can be seen, for clap.
///
/// # Errors
/// It is empty.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("a name has at least one visible character".to_owned()) } else { Ok(text.to_owned()) }
}

/// A client with the secret that its owner must note now.
pub(crate) struct AddedClient {
    pub(crate) client: Client,
    pub(crate) secret: Secret,
}

/// Registers a client under a generated id.
///
/// # Errors
/// The store fails.
pub(crate) async fn add_client(keyed: &KeyedStore, name: &str, auth: AuthMethods, may_hold: bool) -> Result<AddedClient> {
    let secret = Secret::generate(SecretKind::ClientSecret, random_bytes()?);
    let secret_hash = keyed.secrets.hash(SecretKind::ClientSecret, secret.expose());
    let client_id = ClientId(uuid::Uuid::new_v4().simple().to_string());
    let client = keyed.opened.store.add_client(&NewClient { client_id, name: name.to_owned(), auth, may_hold, secret_hash }).await?;
    Ok(AddedClient { client, secret })
}

impl ClientCommand {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Add(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Disable(Disable { one }) => one.set_active(false).await,
            Self::Enable(Enable { one }) => one.set_active(true).await,
            Self::Allow(Allow { permitted }) => permitted.set(true).await,
            Self::Forbid(Forbid { permitted }) => permitted.set(false).await,
            Self::Rotate(Rotate { one }) => one.rotate().await,
        }
    }
}

impl Add {
    async fn run(self) -> Result<ExitCode> {
        let keyed = self.output.store.open_or_create().await?;
        let AddedClient { client, secret } = add_client(&keyed, &self.name, self.auth, self.may_hold).await?;
        let mut shown = to_json(&client);
        shown["client_secret"] = json!(secret.expose());
        self.output.print(&shown);
        eprintln!(
            "The secret is shown this once. Next: lethe user add --client {} APP_USER_ID{}",
            client.client_id,
            self.output.store.flag()
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    async fn run(self) -> Result<ExitCode> {
        let clients = self.output.store.open().await?.store.clients().await?;
        if self.output.json {
            println!("{}", Value::Array(clients.iter().map(to_json).collect()));
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = terminal::table(["client_id", "name", "auth", "active", "holds", "created"]);
        for client in &clients {
            let is_active = if client.is_active { "yes" } else { "no" };
            let may_hold = if client.may_hold { "yes" } else { "no" };
            table.add_row([&client.client_id.0, &client.name, client.auth.stored(), is_active, may_hold, &created_on(client)]);
        }
        println!("{table}");
        Ok(ExitCode::SUCCESS)
    }
}

impl Permitted {
    async fn set(self, is_allowed: bool) -> Result<ExitCode> {
        let client_id = ClientId(self.one.client_id.clone());
        let store = self.one.output.store.open().await?.store;
        let is_known = match self.what {
            Permission::Holds => store.set_client_may_hold(&client_id, is_allowed).await?,
        };
        is_known.then_some(()).with_context(|| self.one.unknown(&client_id))?;
        self.one.output.print(&json!({ "client_id": client_id, "holds": is_allowed }));
        Ok(ExitCode::SUCCESS)
    }
}

impl One {
    async fn set_active(self, is_active: bool) -> Result<ExitCode> {
        let client_id = ClientId(self.client_id.clone());
        let is_known = self.output.store.open().await?.store.set_client_active(&client_id, is_active).await?;
        is_known.then_some(()).with_context(|| self.unknown(&client_id))?;
        self.output.print(&json!({ "client_id": client_id, "active": is_active }));
        Ok(ExitCode::SUCCESS)
    }

    async fn rotate(self) -> Result<ExitCode> {
        let keyed = self.output.store.open_with_key().await?;
        let client_id = ClientId(self.client_id.clone());
        let secret = Secret::generate(SecretKind::ClientSecret, random_bytes()?);
        let secret_hash = keyed.secrets.hash(SecretKind::ClientSecret, secret.expose());
        let is_known = keyed.opened.store.set_client_secret(&client_id, &secret_hash).await?;
        is_known.then_some(()).with_context(|| self.unknown(&client_id))?;
        self.output.print(&json!({ "client_id": client_id, "client_secret": secret.expose() }));
        eprintln!("The secret is shown this once; the old one is refused from now on.");
        Ok(ExitCode::SUCCESS)
    }

    fn unknown(&self, client_id: &ClientId) -> Advice {
        Advice::new(
            format!("there is no client '{client_id}'"),
            format!("lethe client list{} shows who there is", self.output.store.flag()),
        )
    }
}

fn to_json(client: &Client) -> Value {
    json!({
        "client_id": client.client_id, "name": client.name, "auth": client.auth, "active": client.is_active, "holds": client.may_hold, "created": created_on(client),
    })
}

fn created_on(client: &Client) -> String {
    lethe_fhir::Instant::from_unix_ms(client.created_on_ms).to_string()
}
