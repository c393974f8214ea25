//! URIs (<https://hl7.org/fhir/R4/search.html#uri>), and canonicals, which are compared like them.
//!
//! A URI is its text: nothing is normalised. Without a `|version` any version of it is found, for some URIs are canonicals. `:below` finds it and what continues behind a `/`, `:above` it and whatever it continues;
//! for a URN, whose parts are not divided by `/`, both find only itself.

use super::{error::Fault, extent::Extent, values::unescape};
use crate::{
    ValueCheck,
    value::{reference_elsewhere, uri},
};

/// Longer texts are not stored to their end, so that nothing can continue them.
const CONTINUED_BYTES_MAX: usize = 224;

/// Values that are exactly `text`, or versions of it.
pub(super) fn exact(text: &str) -> Vec<Extent> {
    let mut extents = vec![Extent::single(uri(text))];
    if !text.contains('|') && text.len() < CONTINUED_BYTES_MAX {
        extents.push(Extent::prefix(uri(&format!("{text}|"))));
    }
    extents
}

/// Values that have `text` somewhere.
pub(super) fn containing(text: &str) -> Extent {
    Extent::whole().and(ValueCheck::Contains(text.as_bytes().to_vec()))
}

/// `:below`.
pub(super) fn below(text: &str) -> Vec<Extent> {
    let text = text.trim_end_matches('/');
    let mut extents = exact(text);
    if text.len() < CONTINUED_BYTES_MAX {
        extents.push(Extent::prefix(uri(&format!("{text}/"))));
    }
    extents
}

/// `:above`.
pub(super) fn above(text: &str) -> Vec<Extent> {
    let with_slash = |text: &str| exact(text).into_iter().chain([Extent::single(uri(&format!("{text}/")))]).collect::<Vec<_>>();
    ancestors(text).into_iter().flat_map(with_slash).collect()
}

/// `text` and whatever it continues, up to the authority, none with a `/` at the end.
fn ancestors(text: &str) -> Vec<&str> {
    let mut shorter = text.trim_end_matches('/');
    let mut found = vec![shorter];
    let Some(authority) = shorter.find("://").map(|at| at + 3) else {
        return found;
    };
    // A path of so many parts is none that a resource has.
    while found.len() < 64
        && let Some(at) = shorter[authority..].rfind('/')
    {
        shorter = &shorter[..authority + at];
        found.push(shorter);
    }
    found
}

/// A canonical: `url` in any version, or `url|version`.
pub(super) fn canonical(text: &str) -> Vec<Extent> {
    let mut extents = vec![Extent::single(reference_elsewhere(text))];
    if !text.contains('|') {
        extents.extend(versions(text));
    }
    extents
}

/// `:below` of a canonical.
pub(super) fn canonical_below(text: &str) -> Vec<Extent> {
    let text = text.trim_end_matches('/');
    let mut extents = canonical(text);
    if text.len() < CONTINUED_BYTES_MAX {
        extents.push(Extent::prefix(reference_elsewhere(&format!("{text}/"))));
    }
    extents
}

/// `:above` of a canonical.
pub(super) fn canonical_above(text: &str) -> Vec<Extent> {
    ancestors(text).into_iter().flat_map(canonical).collect()
}

fn versions(text: &str) -> Option<Extent> {
    (text.len() < CONTINUED_BYTES_MAX).then(|| Extent::prefix(reference_elsewhere(&format!("{text}|"))))
}

/// A canonical must be a URL: what is relative names a resource, not its url.
pub(super) fn absolute(text: &str) -> Result<String, Fault> {
    let plain = unescape(text);
    if plain.contains(':') {
        return Ok(plain);
    }
    Err(Fault::value(
        text,
        "an absolute URL is expected here: :above and :below look through canonical URLs, not through hierarchies of resources",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PathId;

    #[test]
    fn below_and_above_follow_the_path() {
        let stored =
            ["http://a.org", "http://a.org/b", "http://a.org/b/", "http://a.org/b/c", "http://a.org/bc", "urn:oid:1.2", "http://a.org/b|2"];
        let cases = [
            (exact("http://a.org/b"), [false, true, false, false, false, false, true]),
            (below("http://a.org/b"), [false, true, true, true, false, false, true]),
            (below("http://a.org/b/"), [false, true, true, true, false, false, true]),
            (above("http://a.org/b"), [true, true, true, false, false, false, true]),
            (above("urn:oid:1.2"), [false, false, false, false, false, true, false]),
            (vec![containing("org/bc")], [false, false, false, false, true, false, false]),
        ];
        for (extents, expected) in cases {
            let found = stored.map(|text| extents.iter().any(|extent| extent.on(PathId(4)).admits(&uri(text))));
            assert_eq!(found, expected, "{extents:?}");
        }
    }

    #[test]
    fn a_canonical_without_a_version_is_any_of_its_versions() {
        let stored = ["http://a.org/q", "http://a.org/q|1", "http://a.org/q|1.1", "http://a.org/qq"];
        let cases = [
            (canonical("http://a.org/q"), [true, true, true, false]),
            (canonical("http://a.org/q|1"), [false, true, false, false]),
            (canonical_below("http://a.org"), [true, true, true, true]),
            (canonical_above("http://a.org/q/r"), [true, true, true, false]),
        ];
        for (extents, expected) in cases {
            let found = stored.map(|text| extents.iter().any(|extent| extent.on(PathId(4)).admits(&reference_elsewhere(text))));
            assert_eq!(found, expected, "{extents:?}");
        }
    }
}
