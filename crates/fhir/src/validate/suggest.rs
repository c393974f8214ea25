//! What might have been meant.

/// Longer names are no misspelling, and comparing them would take long.
const LENGTH_MAX: usize = 64;

/// The candidate that is nearest to `name`, if any is near.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LENGTH_MAX {
        return None;
    }
    // One slip in a short name, a few in a long one.
    let slips_max = 1 + name.len() / 4;
    let distance = |candidate: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase());
    candidates
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(slips, _)| *slips <= slips_max)
        .min()
        .map(|(_, candidate)| candidate)
}

/// At most `chars_max` characters of a text.
pub(super) fn clipped(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        let names = ["birthDate", "gender", "generalPractitioner", "name"];
        let cases = [
            ("birthdate", Some("birthDate")),
            ("gander", Some("gender")),
            ("nmae", Some("name")),
            ("generalPractitoners", Some("generalPractitioner")),
            ("sex", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, names.into_iter()), expected, "{name}");
        }
        assert_eq!(nearest(&"n".repeat(LENGTH_MAX + 1), names.into_iter()), None);
    }

    #[test]
    fn long_text_is_clipped_between_characters() {
        assert_eq!((clipped("äöü", 2), clipped("äöü", 3)), ("äö…".to_owned(), "äöü".to_owned()));
    }
}
