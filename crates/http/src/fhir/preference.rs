//! `Prefer: return=…` (<https://hl7.org/fhir/R4/http.html#ops>): what a write answers with.

use axum::http::HeaderMap;

/// What the client wants to see of what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnPreference {
    /// Nothing was said: single writes show the resource, Bundles do not.
    Unsaid,
    /// Headers only.
    Minimal,
    /// The resource as stored.
    Representation,
    /// A confirmation.
    OperationOutcome,
}

impl ReturnPreference {
    /// Reads the header; other preferences are left alone, as RFC 7240 says.
    pub fn of(headers: &HeaderMap) -> Self {
        preferences(headers)
            .find_map(|preference| match preference.as_str() {
                "return=minimal" => Some(Self::Minimal),
                "return=representation" => Some(Self::Representation),
                "return=operationoutcome" => Some(Self::OperationOutcome),
                _ => None,
            })
            .unwrap_or(Self::Unsaid)
    }
}

/// What `Prefer` says, one by one, in lower case and without quotes and spaces.
pub fn preferences(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let each = values.flat_map(|value| value.split([',', ';']));
    each.map(|preference| preference.to_ascii_lowercase().replace(['"', ' '], ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_found_among_others() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", text.parse().unwrap());
            ReturnPreference::of(&headers)
        };
        assert_eq!(of("return=minimal"), ReturnPreference::Minimal);
        assert_eq!(of("handling=strict, return=OperationOutcome"), ReturnPreference::OperationOutcome);
        assert_eq!(of("respond-async"), ReturnPreference::Unsaid);
    }
}
