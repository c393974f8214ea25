//! `lethe user`: the users of a client; each is an account of its own.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use lethe_auth::{AccountId, ClientId, EXPIRES_IN_S, TokenPair, User};
use lethe_store::{AddedUser, UserFilter};
use serde_json::{Value, json};

use super::{client::parse_name, store_command::StoreCommand};
use crate::{
    api_client::parse_oneup_user_id,
    failure::Advice,
    open_store::{KeyedStore, OpenStore},
    secret_key::random_bytes,
    terminal,
};

/// Rows that are read at a time.
const PAGE_USERS: usize = 1_000;

/// Add and manage the users of a client
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    Add(Add),
    List(List),
    Disable(Disable),
    Enable(Enable),
    Token(Token),
}

/// Add a user, and print its oneup_user_id
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The client that owns the user
    #[arg(long, value_name = "CLIENT_ID")]
    client: String,
    /// The client's own name for the user
    #[arg(value_parser = parse_name)]
    app_user_id: String,
    #[command(flatten)]
    output: StoreCommand,
}

/// List the users of a client
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The client that owns them
    #[arg(long, value_name = "CLIENT_ID")]
    client: String,
    #[command(flatten)]
    output: StoreCommand,
}

/// Refuse a user's tokens, at once
#[derive(Debug, Args)]
pub(crate) struct Disable {
    #[command(flatten)]
    one: One,
}

/// Let a disabled user in again
#[derive(Debug, Args)]
pub(crate) struct Enable {
    #[command(flatten)]
    one: One,
}

/// Print a bearer token that acts for a user, for development
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(flatten)]
    one: One,
}

#[derive(Debug, Args)]
struct One {
    /// The oneup_user_id
    #[arg(value_name = "ONEUP_USER_ID", value_parser = parse_oneup_user_id)]
    account_id: i64,
    #[command(flatten)]
    output: StoreCommand,
}

/// Issues a pair of tokens without a code.
///
/// # Errors
/// The store fails.
pub(crate) async fn issue_tokens(keyed: &KeyedStore, account_id: AccountId) -> Result<TokenPair> {
    let tokens = TokenPair::generate(random_bytes()?, random_bytes()?);
    let issued = tokens.issued(&keyed.secrets, keyed.opened.clock.now().as_unix_ms());
    keyed.opened.store.put_tokens(account_id, &issued).await?;
    Ok(tokens)
}

impl UserCommand {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Add(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Disable(Disable { one }) => one.set_active(false).await,
            Self::Enable(Enable { one }) => one.set_active(true).await,
            Self::Token(Token { one }) => one.print_token().await,
        }
    }
}

impl Add {
    async fn run(self) -> Result<ExitCode> {
        let opened = self.output.store.open().await?;
        let client_id = ClientId(self.client);
        opened.store.client(&client_id).await?.with_context(|| unknown_client(&opened, &client_id))?;
        match opened.store.add_user(&client_id, &self.app_user_id).await? {
            AddedUser::Added(user) => {
                self.output.print(&to_json(&user));
                eprintln!("Next: lethe user token {}{}", user.account_id, opened.flag());
                Ok(ExitCode::SUCCESS)
            }
            AddedUser::Exists(user) => Err(Advice::new(
                format!("client {client_id} already has a user '{}', number {}", self.app_user_id, user.account_id),
                "use that one, or add one of another name",
            )
            .into()),
        }
    }
}

impl List {
    async fn run(self) -> Result<ExitCode> {
        let opened = self.output.store.open().await?;
        let client_id = ClientId(self.client);
        opened.store.client(&client_id).await?.with_context(|| unknown_client(&opened, &client_id))?;
        let mut users: Vec<User> = Vec::new();
        loop {
            let after = users.last().map(|user| user.account_id);
            let page = opened.store.users(&client_id, &UserFilter { after, count: PAGE_USERS, ..UserFilter::default() }).await?;
            let is_last = page.len() < PAGE_USERS;
            users.extend(page);
            if is_last {
                break;
            }
        }
        if self.output.json {
            println!("{}", Value::Array(users.iter().map(to_json).collect()));
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = terminal::table(["oneup_user_id", "app_user_id", "active"]);
        for user in &users {
            let is_active = if user.is_active { "yes" } else { "no" };
            table.add_row([user.account_id.to_string().as_str(), &user.app_user_id, is_active]);
        }
        println!("{table}");
        Ok(ExitCode::SUCCESS)
    }
}

impl One {
    async fn set_active(self, is_active: bool) -> Result<ExitCode> {
        let opened = self.output.store.open().await?;
        let user = opened.user(self.account_id).await?;
        opened.store.set_user_active(&user.client_id, user.account_id, is_active).await?;
        self.output.print(&to_json(&User { is_active, ..user }));
        Ok(ExitCode::SUCCESS)
    }

    async fn print_token(self) -> Result<ExitCode> {
        let keyed = self.output.store.open_with_key().await?;
        let user = keyed.opened.user(self.account_id).await?;
        let client = keyed.opened.store.client(&user.client_id).await?;
        let is_useless = client.is_some_and(|(client, _)| !client.auth.allows_bearer());
        let tokens = issue_tokens(&keyed, user.account_id).await?;
        if is_useless {
            eprintln!(
                "warning: client {} is registered for headers only, so the server refuses this token. Call with the headers client_id, \
                 client_secret and x-oneup-user-id: {}",
                user.client_id, user.account_id
            );
        }
        if self.output.json {
            println!(
                "{}",
                json!({
                    "access_token": tokens.access_token.expose(), "token_type": "Bearer", "expires_in": EXPIRES_IN_S,
                    "refresh_token": tokens.refresh_token.expose(), "oneup_user_id": user.account_id,
                })
            );
        } else {
            // The token alone, so that TOKEN=$(lethe user token 1) works.
            println!("{}", tokens.access_token.expose());
            eprintln!("It acts for user {} for {} minutes.", user.account_id, (EXPIRES_IN_S + 1) / 60);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn unknown_client(opened: &OpenStore, client_id: &ClientId) -> Advice {
    Advice::new(
        format!("there is no client '{client_id}'"),
        format!("lethe client list{0} shows who there is; lethe client add NAME{0} registers one", opened.flag()),
    )
}

fn to_json(user: &User) -> Value {
    json!({ "oneup_user_id": user.account_id, "app_user_id": user.app_user_id, "active": user.is_active, "client_id": user.client_id })
}
