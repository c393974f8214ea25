//! The opaque places at which pages begin, and the links to them.

use lethe_fhir::{IssueType, limits};
use lethe_purge::Seq;

use crate::{
    App,
    edge::{Pairs, encode_pairs},
    error::ApiError,
};

fn bad_page() -> ApiError {
    ApiError::bad(IssueType::Value, "'_page' is not one that this server gave: follow the 'next' link as it stands")
}

/// The place of a history's next page.
pub fn history_page(before: Seq) -> String {
    format!("h{:x}", before.0)
}

/// Reads [`history_page`].
pub fn parse_history_page(text: &str) -> Result<Seq, ApiError> {
    text.strip_prefix('h').and_then(|hex| u64::from_str_radix(hex, 16).ok()).map(Seq).ok_or_else(bad_page)
}

/// `_count`, within its limits.
pub fn page_count(pairs: &Pairs) -> Result<usize, ApiError> {
    match pairs.get("_count").map(str::parse::<usize>) {
        None => Ok(limits::PAGE_COUNT_DEFAULT),
        Some(Ok(count)) if count > 0 => Ok(count.min(limits::PAGE_COUNT_MAX)),
        Some(_) => Err(ApiError::bad(IssueType::Value, "'_count': a whole number from 1 is expected")),
    }
}

/// `self`, and `next` if there is a next page: the same query, at another place.
pub fn links(app: &App, path: &str, pairs: &[(String, String)], next_page: Option<&str>) -> Vec<(&'static str, String)> {
    let url = |pairs: Vec<(&str, &str)>| {
        let query = encode_pairs(pairs);
        if query.is_empty() { format!("{}{path}", app.public_url) } else { format!("{}{path}?{query}", app.public_url) }
    };
    let own: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut links = vec![("self", url(own.clone()))];
    if let Some(page) = next_page {
        let kept = own.into_iter().filter(|(name, _)| *name != "_page");
        links.push(("next", url(kept.chain([("_page", page)]).collect())));
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_back_and_others_refused() {
        assert_eq!(parse_history_page(&history_page(Seq(77))).ok(), Some(Seq(77)));
        for bad in ["", "h", "7", "hxyz", "l1"] {
            assert!(parse_history_page(bad).is_err(), "{bad}");
        }
    }
}
