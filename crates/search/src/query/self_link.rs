//! The query as it was understood, for `Bundle.link` with relation `self` (<https://hl7.org/fhir/R4/search.html#conformance>).

use super::search::Search;

impl Search {
    /// `pairs` as they were understood, in their order: without what was ignored and without the page, with the count that is kept to.
    #[must_use]
    pub fn understood(&self, pairs: &[(String, String)]) -> Vec<(String, String)> {
        let kept = pairs.iter().filter(|(name, _)| name != "_page" && !self.ignored.iter().any(|ignored| ignored.is_of(name)));
        let understood = |(name, value): &(String, String)| match name.as_str() {
            // 0 asks for the number alone, and is no page's size.
            "_count" if value != "0" => (name.clone(), self.count.to_string()),
            _ => (name.clone(), value.clone()),
        };
        kept.map(understood).collect()
    }

    /// The query string of what was [understood](Self::understood) of `pairs`.
    #[must_use]
    pub fn self_link(&self, pairs: &[(String, String)]) -> String {
        let mut link = String::new();
        for (name, value) in self.understood(pairs) {
            if !link.is_empty() {
                link.push('&');
            }
            push_encoded(&mut link, &name);
            link.push('=');
            push_encoded(&mut link, &value);
        }
        link
    }
}

/// What may stand in a query as it is, without meaning something there (RFC 3986 §3.4).
fn push_encoded(link: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:,/$*".contains(&byte) {
            link.push(char::from(byte));
        } else {
            link.push_str(&format!("%{byte:02X}"));
        }
    }
}
