//! For whom a request acts, decided from what the store knows of its credentials.

use crate::{ActingFor, Client, KeyedHash, Refusal, Scope, User};

/// The scope of a bearer token. `found` is the token's client and user if the token is valid at this moment.
///
/// # Errors
/// - [`Refusal::InvalidToken`]: it is not valid.
/// - [`Refusal::BearerNotAllowed`]: the client is registered for the other way.
pub fn scope_by_bearer(found: Option<(&Client, &User)>) -> Result<Scope, Refusal> {
    // OK because a valid token implies an active user; checked again so that no store can get it wrong alone.
    let (client, user) = found.filter(|(client, user)| client.is_active && user.is_active).ok_or(Refusal::InvalidToken)?;
    if !client.auth.allows_bearer() {
        return Err(Refusal::BearerNotAllowed);
    }
    Ok(Scope::Account { client_id: client.client_id.clone(), account_id: user.account_id })
}

/// The client that header credentials prove. `found` is what the store holds under the `client_id`; `presented` is the hash of the secret
/// that was sent, which the caller computes before it asks the store, so that an unknown client takes as long as a wrong secret.
///
/// # Errors
/// - [`Refusal::InvalidClient`]: there is no such client, or the secret is wrong.
/// - [`Refusal::InactiveClient`]: the secret is right and the client is switched off.
pub fn client_by_secret(found: Option<(Client, KeyedHash)>, presented: &KeyedHash) -> Result<Client, Refusal> {
    let (client, stored) = match found {
        Some((client, stored)) => (Some(client), stored),
        // Differs from every hash that is presented, and takes as long to compare.
        None => (None, KeyedHash(presented.0.map(|byte| !byte))),
    };
    let is_right = stored == *presented;
    match client {
        Some(client) if is_right && client.is_active => Ok(client),
        Some(_) if is_right => Err(Refusal::InactiveClient),
        Some(_) | None => Err(Refusal::InvalidClient),
    }
}

/// The scope for which a proven client acts by header credentials. `user` is what the store holds of the user it asks to act for.
///
/// # Errors
/// - [`Refusal::HeadersNotAllowed`]: the client is registered for the other way.
/// - [`Refusal::UserNotAllowed`]: the user is unknown, of another client, or not active.
pub fn scope_by_headers(client: &Client, acting_for: ActingFor, user: Option<&User>) -> Result<Scope, Refusal> {
    if !client.auth.allows_headers() {
        return Err(Refusal::HeadersNotAllowed);
    }
    let client_id = client.client_id.clone();
    match acting_for {
        ActingFor::AllUsers => Ok(Scope::Client { client_id }),
        ActingFor::User(account_id) => user
            .filter(|user| user.account_id == account_id && user.client_id == client_id && user.is_active)
            .map(|user| Scope::Account { client_id, account_id: user.account_id })
            .ok_or(Refusal::UserNotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountId, AuthMethods, ClientId};

    fn client(auth: AuthMethods, is_active: bool) -> Client {
        Client { client_id: ClientId("c1".into()), name: "one".into(), auth, is_active, may_hold: false, created_on_ms: 0 }
    }

    fn user(account_id: i64, client_id: &str, is_active: bool) -> User {
        User { account_id: AccountId(account_id), client_id: ClientId(client_id.into()), app_user_id: "u".into(), is_active }
    }

    fn account(account_id: i64) -> Scope {
        Scope::Account { client_id: ClientId("c1".into()), account_id: AccountId(account_id) }
    }

    #[test]
    fn bearer_tokens_by_state_of_client_and_user() {
        use AuthMethods::{Bearer, Both, Headers};
        // registered for, client active, user active
        let cases = [
            (Bearer, true, true, Ok(account(251))),
            (Both, true, true, Ok(account(251))),
            (Headers, true, true, Err(Refusal::BearerNotAllowed)),
            (Bearer, true, false, Err(Refusal::InvalidToken)),
            (Bearer, false, true, Err(Refusal::InvalidToken)),
            (Headers, false, true, Err(Refusal::InvalidToken)),
        ];
        for (auth, client_is_active, user_is_active, expected) in cases {
            let (client, user) = (client(auth, client_is_active), user(251, "c1", user_is_active));
            assert_eq!(scope_by_bearer(Some((&client, &user))), expected, "{auth:?}, {client_is_active}, {user_is_active}");
        }
        assert_eq!(scope_by_bearer(None), Err(Refusal::InvalidToken));
    }

    #[test]
    fn secrets_by_state_of_client() {
        let (right, wrong) = (KeyedHash([1; 32]), KeyedHash([2; 32]));
        let (active, inactive) = (client(AuthMethods::Both, true), client(AuthMethods::Both, false));
        let cases = [
            (Some(active.clone()), right, Ok(active.clone())),
            (Some(active), wrong, Err(Refusal::InvalidClient)),
            (Some(inactive.clone()), right, Err(Refusal::InactiveClient)),
            (Some(inactive), wrong, Err(Refusal::InvalidClient)),
            (None, right, Err(Refusal::InvalidClient)),
        ];
        for (found, presented, expected) in cases {
            assert_eq!(client_by_secret(found.clone().map(|client| (client, right)), &presented), expected, "{found:?}");
        }
    }

    #[test]
    fn header_credentials_by_registration_and_user() {
        use ActingFor::{AllUsers, User as One};
        use AuthMethods::{Bearer, Both, Headers};
        let own = user(251, "c1", true);
        let (foreign, inactive) = (user(251, "c2", true), user(251, "c1", false));
        let all = Scope::Client { client_id: ClientId("c1".into()) };
        let asked = One(AccountId(251));
        let cases = [
            (Headers, asked, Some(&own), Ok(account(251))),
            (Both, asked, Some(&own), Ok(account(251))),
            (Bearer, asked, Some(&own), Err(Refusal::HeadersNotAllowed)),
            (Bearer, asked, None, Err(Refusal::HeadersNotAllowed)),
            (Bearer, AllUsers, None, Err(Refusal::HeadersNotAllowed)),
            (Headers, AllUsers, None, Ok(all.clone())),
            (Both, AllUsers, None, Ok(all)),
            (Headers, asked, None, Err(Refusal::UserNotAllowed)),
            (Headers, asked, Some(&foreign), Err(Refusal::UserNotAllowed)),
            (Headers, asked, Some(&inactive), Err(Refusal::UserNotAllowed)),
            (Headers, One(AccountId(252)), Some(&own), Err(Refusal::UserNotAllowed)),
        ];
        for (auth, acting_for, user, expected) in cases {
            assert_eq!(scope_by_headers(&client(auth, true), acting_for, user), expected, "{auth:?}, {acting_for:?}, {user:?}");
        }
    }
}
