//! Who there is, and for whom a request acts.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::secret::hex;

/// The public id of an application, `client_id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ClientId(pub String);

impl ClientId {
    /// A new id made of these random bytes. It is public: it names, it does not prove.
    #[must_use]
    pub fn generate(random: [u8; 16]) -> Self {
        Self(format!("c{}", hex(&random)))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The account of one user of one client: its number is the `oneup_user_id`. Every resource lives in exactly one (INV-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AccountId(pub i64);

impl FromStr for AccountId {
    type Err = String;

    /// Digits only: `+251` and `-1` name nobody.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
        number.map(Self).ok_or_else(|| "a oneup_user_id is a whole number, such as 251".to_owned())
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The ways in for which a client is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMethods {
    /// `Authorization: Bearer`.
    Bearer,
    /// `client_id`, `client_secret`, `x-oneup-user-id`.
    Headers,
    /// Either.
    Both,
}

impl AuthMethods {
    /// Whether bearer tokens are accepted.
    #[must_use]
    pub fn allows_bearer(self) -> bool {
        matches!(self, Self::Bearer | Self::Both)
    }

    /// Whether header credentials are accepted.
    #[must_use]
    pub fn allows_headers(self) -> bool {
        matches!(self, Self::Headers | Self::Both)
    }

    /// The word in storage and on the command line.
    #[must_use]
    pub fn stored(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Headers => "headers",
            Self::Both => "both",
        }
    }
}

impl FromStr for AuthMethods {
    type Err = String;

    fn from_str(stored: &str) -> Result<Self, Self::Err> {
        [Self::Bearer, Self::Headers, Self::Both]
            .into_iter()
            .find(|methods| methods.stored() == stored)
            .ok_or_else(|| format!("'{stored}' is none of bearer, headers, both"))
    }
}

/// A registered application. Its secret is not here, nor is its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its public id.
    pub client_id: ClientId,
    /// What people call it.
    pub name: String,
    /// How it may authenticate.
    pub auth: AuthMethods,
    /// A client that is not active is refused everywhere.
    pub is_active: bool,
    /// It may set and lift legal holds on the accounts of its users.
    pub may_hold: bool,
    /// Registered, in milliseconds since the epoch.
    pub created_on_ms: i64,
}

/// A user of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `oneup_user_id`, and the account.
    pub account_id: AccountId,
    /// The client that owns it.
    pub client_id: ClientId,
    /// The client's own name for the user.
    pub app_user_id: String,
    /// A user that is not active is refused, and so are its tokens.
    pub is_active: bool,
}

/// The accounts for which an authenticated request acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One user.
    Account {
        /// The client through which it came.
        client_id: ClientId,
        /// The user's account.
        account_id: AccountId,
    },
    /// All users of a client (`x-oneup-user-id: client`): reads and purges only.
    Client {
        /// The client.
        client_id: ClientId,
    },
}

impl Scope {
    /// The client.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        match self {
            Self::Account { client_id, .. } | Self::Client { client_id } => client_id,
        }
    }

    /// The account, unless all of the client's are meant.
    #[must_use]
    pub fn account_id(&self) -> Option<AccountId> {
        match self {
            Self::Account { account_id, .. } => Some(*account_id),
            Self::Client { .. } => None,
        }
    }
}
