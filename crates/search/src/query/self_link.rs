//! The query as it was understood, for `Bundle.link` with relation `self` (<https://hl7.org/fhir/R4/search.html#conformance>).

use super::search::Search;

impl Search {
    /// The query string of `pairs`, in their order, without what was ignored and with the count that is kept to.
    #[must_use]
    pub fn self_link(&self, pairs: &[(String, String)]) -> String {
        let mut link = String::new();
        for (name, value) in pairs.iter().filter(|(name, _)| !self.ignored.iter().any(|ignored| ignored.is_of(name))) {
            if !link.is_empty() {
                link.push('&');
            }
            push_encoded(&mut link, name);
            link.push('=');
            match name.as_str() {
                // 0 asks for the number alone, and is no page's size.
                "_count" if value != "0" => link.push_str(&self.count.to_string()),
                _ => push_encoded(&mut link, value),
            }
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
