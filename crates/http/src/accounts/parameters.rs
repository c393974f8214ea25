//! Parameters of the account calls, from wherever a client puts them: form body, JSON body, query string or headers.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use lethe_fhir::IssueType;
use serde_json::Value;

use crate::{
    authenticate::single_header,
    edge::{BodyKind, body_kind, json_object, parse_pairs, read_body},
    error::ApiError,
};

/// Bytes of a body of these calls: a few short fields.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Every parameter of the account calls. Others are ignored: OAuth clients send what no server needs.
const NAMES: [&str; 10] =
    ["client_id", "client_secret", "app_user_id", "oneup_user_id", "active", "grant_type", "code", "refresh_token", "_count", "after"];

/// The parameters of one call, each with one value.
pub(super) struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    /// Reads them all.
    ///
    /// A parameter may stand in several places, or repeatedly, as long as it says the same everywhere.
    ///
    /// # Errors
    /// The body is too large or in no form that is understood; or a parameter says two things, or something that is not text.
    pub(super) async fn read(request: Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let mut parameters = Self(BTreeMap::new());
        parameters.read_pairs(parts.uri.query().unwrap_or_default())?;
        parameters.read_headers(&parts.headers)?;
        parameters.read_body(&parts.headers, body).await?;
        Ok(parameters)
    }

    /// The value of a parameter. A parameter that is there but empty is not there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(NAMES.contains(&name), "{name}");
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that may be left out but, if it is there, must say something.
    ///
    /// # Errors
    /// It is empty: as a filter it would then let through everything.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match (self.0.contains_key(name), self.get(name)) {
            (true, None) => Err(ApiError::bad(IssueType::Value, format!("{name} is empty: give it a value or leave it out"))),
            (_, value) => Ok(value),
        }
    }

    /// The value of a parameter that the call cannot do without.
    ///
    /// # Errors
    /// It is missing or empty.
    pub(super) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| ApiError::bad(IssueType::Required, format!("{name} is missing")))
    }

    fn read_headers(&mut self, headers: &HeaderMap) -> Result<(), ApiError> {
        for name in NAMES {
            if let Some(value) = single_header(headers, name)? {
                self.set(name, value)?;
            }
        }
        if let Some((client_id, client_secret)) = single_header(headers, "authorization")?.and_then(basic_credentials) {
            self.set("client_id", &client_id)?;
            self.set("client_secret", &client_secret)?;
        }
        Ok(())
    }

    async fn read_body(&mut self, headers: &HeaderMap, body: Body) -> Result<(), ApiError> {
        let bytes = read_body(headers, body, BODY_BYTES_MAX).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| ApiError::bad(IssueType::Structure, "the body is not UTF-8"))?.trim();
        if text.is_empty() {
            return Ok(());
        }
        let Ok(kind) = body_kind(headers) else {
            let text = "the body must be application/x-www-form-urlencoded or application/json";
            return Err(ApiError::UnsupportedMediaType(text.to_owned()));
        };
        // What is in braces is JSON whose sender forgot to say so, as `curl -d` does: no form begins like that.
        let is_said_json = kind == BodyKind::Json && headers.contains_key(header::CONTENT_TYPE);
        if is_said_json || text.starts_with('{') { self.read_json(text) } else { self.read_pairs(text) }
    }

    fn read_json(&mut self, text: &str) -> Result<(), ApiError> {
        for (member, value) in json_object(text.as_bytes()).map_err(|text| ApiError::bad(IssueType::Structure, text))? {
            let Some(name) = known(&member) else { continue };
            match value {
                Value::Null => {}
                Value::String(text) => self.set(name, &text)?,
                Value::Bool(_) | Value::Number(_) => self.set(name, &value.to_string())?,
                Value::Array(_) | Value::Object(_) => {
                    return Err(ApiError::bad(IssueType::Value, format!("{name} must be a single text, number, true or false")));
                }
            }
        }
        Ok(())
    }

    fn read_pairs(&mut self, urlencoded: &str) -> Result<(), ApiError> {
        for (name, value) in parse_pairs(urlencoded)? {
            if let Some(name) = known(&name) {
                self.set(name, &value)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &'static str, value: &str) -> Result<(), ApiError> {
        match self.0.insert(name, value.to_owned()) {
            Some(before) if before != value => {
                Err(ApiError::bad(IssueType::Invalid, format!("{name} is given twice, with different values: give it once")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn known(name: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|known| *known == name)
}

/// Client credentials of the scheme `Basic`, as RFC 6749 §2.3.1 wants them understood and OAuth libraries send them.
fn basic_credentials(authorization: &str) -> Option<(String, String)> {
    let (scheme, encoded) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client_id, client_secret) = decoded.split_once(':')?;
    // Not form-decoded: no character of a client_id or client_secret of this server is ever encoded.
    Some((client_id.to_owned(), client_secret.to_owned()))
}
