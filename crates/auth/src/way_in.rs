//! Which way in a request takes, decided from what it carries alone.

use crate::{AccountId, ClientId, Refusal};

/// What a request carries to say who it is: the values of its headers, untouched.
#[derive(Clone, Copy, Default)]
pub struct Presented<'a> {
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// `client_id`.
    pub client_id: Option<&'a str>,
    /// `client_secret`.
    pub client_secret: Option<&'a str>,
    /// `x-oneup-user-id`.
    pub oneup_user_id: Option<&'a str>,
}

/// For whom header credentials ask to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActingFor {
    /// One user.
    User(AccountId),
    /// `client`: all users of the client.
    AllUsers,
}

/// The way in that a request takes. Whether it leads anywhere depends on what the store knows.
#[derive(Clone, PartialEq, Eq)]
pub enum WayIn<'a> {
    /// A bearer token. Whatever else the request carries is ignored: the token alone says for whom it acts.
    Bearer {
        /// The token.
        token: &'a str,
    },
    /// Header credentials.
    Headers {
        /// Who asks.
        client_id: ClientId,
        /// The secret that proves it.
        client_secret: &'a str,
        /// For whom.
        acting_for: ActingFor,
    },
}

impl<'a> WayIn<'a> {
    /// The way in that a request takes.
    ///
    /// A bearer token wins over header credentials, even when it is worth nothing. `Authorization` of another scheme counts for nothing
    /// beside header credentials. The scope is never guessed: header credentials must say for whom.
    ///
    /// # Errors
    /// Any [`Refusal`] that can be given without a look into the store.
    pub fn of(presented: Presented<'a>) -> Result<Self, Refusal> {
        if let Some(token) = presented.authorization.and_then(bearer) {
            return if is_token(token) { Ok(Self::Bearer { token }) } else { Err(Refusal::NotABearerToken) };
        }
        let given = |value: Option<&'a str>| value.filter(|text| !text.is_empty());
        match (given(presented.client_id), given(presented.client_secret)) {
            (Some(client_id), Some(client_secret)) => {
                let acting_for = acting_for(presented.oneup_user_id)?;
                Ok(Self::Headers { client_id: ClientId(client_id.to_owned()), client_secret, acting_for })
            }
            (None, None) if presented.authorization.is_some() => Err(Refusal::NotABearerToken),
            (None, None) => Err(Refusal::NoCredentials),
            (Some(_), None) | (None, Some(_)) => Err(Refusal::HalfCredentials),
        }
    }
}

/// What follows the scheme `Bearer`, whose case does not matter (RFC 9110 §11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let text = authorization.trim();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether it is one word, as `b64token` of RFC 6750 §2.1 is.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

fn acting_for(oneup_user_id: Option<&str>) -> Result<ActingFor, Refusal> {
    match oneup_user_id {
        None | Some("") => Err(Refusal::UserNotSaid),
        Some("client") => Ok(ActingFor::AllUsers),
        Some(text) => text.parse().map(ActingFor::User).map_err(|_| Refusal::UserNotUnderstood),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `authorization`, `client_id`, `client_secret`, `x-oneup-user-id`; an absent header is `-`.
    fn way_in(headers: [&'static str; 4]) -> Result<WayIn<'static>, Refusal> {
        let [authorization, client_id, client_secret, oneup_user_id] = headers.map(|text| (text != "-").then_some(text));
        WayIn::of(Presented { authorization, client_id, client_secret, oneup_user_id })
    }

    #[test]
    fn a_bearer_token_wins_over_everything_beside_it() {
        let cases = [
            ["Bearer t", "-", "-", "-"],
            ["bearer t", "-", "-", "-"],
            ["BEARER  t ", "-", "-", "-"],
            ["Bearer t", "c1", "s", "-"],
            ["Bearer t", "c1", "s", "251"],
            ["Bearer t", "c1", "s", "client"],
            ["Bearer t", "c1", "-", "nonsense"],
        ];
        for case in cases {
            assert!(way_in(case) == Ok(WayIn::Bearer { token: "t" }), "{case:?}");
        }
    }

    #[test]
    fn header_credentials_say_for_whom_they_act() {
        let cases = [
            (["-", "c1", "s", "251"], ActingFor::User(AccountId(251))),
            (["-", "c1", "s", "client"], ActingFor::AllUsers),
            (["Basic eDp5", "c1", "s", "251"], ActingFor::User(AccountId(251))),
        ];
        for (case, acting_for) in cases {
            let expected = WayIn::Headers { client_id: ClientId("c1".into()), client_secret: "s", acting_for };
            assert!(way_in(case) == Ok(expected), "{case:?}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused_with_its_reason() {
        let cases = [
            (["-", "-", "-", "-"], Refusal::NoCredentials),
            (["-", "", "", "251"], Refusal::NoCredentials),
            (["-", "-", "-", "client"], Refusal::NoCredentials),
            (["-", "c1", "-", "251"], Refusal::HalfCredentials),
            (["-", "c1", "", "251"], Refusal::HalfCredentials),
            (["-", "-", "s", "251"], Refusal::HalfCredentials),
            (["", "-", "-", "-"], Refusal::NotABearerToken),
            (["Basic eDp5", "-", "-", "251"], Refusal::NotABearerToken),
            (["Bearer", "-", "-", "-"], Refusal::NotABearerToken),
            (["Bearer ", "c1", "s", "251"], Refusal::NotABearerToken),
            (["Bearer a b", "c1", "s", "251"], Refusal::NotABearerToken),
            (["Bearer a,Bearer b", "-", "-", "-"], Refusal::NotABearerToken),
            (["Bearertoken", "-", "-", "-"], Refusal::NotABearerToken),
            (["-", "c1", "s", "-"], Refusal::UserNotSaid),
            (["-", "c1", "s", ""], Refusal::UserNotSaid),
            (["-", "c1", "s", "Client"], Refusal::UserNotUnderstood),
            (["-", "c1", "s", "251,252"], Refusal::UserNotUnderstood),
            (["-", "c1", "s", "client,251"], Refusal::UserNotUnderstood),
            (["-", "c1", "s", "99999999999999999999"], Refusal::UserNotUnderstood),
            (["-", "c1", "s", "+251"], Refusal::UserNotUnderstood),
            (["-", "c1", "s", "-1"], Refusal::UserNotUnderstood),
            (["-", "c1", "s", "*"], Refusal::UserNotUnderstood),
        ];
        for (case, refusal) in cases {
            assert!(way_in(case) == Err(refusal.clone()), "{case:?} should be refused as {refusal:?}");
        }
    }

    #[test]
    fn the_refusal_of_an_unsaid_user_names_both_choices() {
        let text = Refusal::UserNotSaid.to_string();
        assert!(text.contains("x-oneup-user-id: <oneup_user_id>") && text.contains("x-oneup-user-id: client"), "{text}");
    }
}
