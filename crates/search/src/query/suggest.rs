//! Names as an error tells them: what the caller may have meant, and what there is.

/// So many names are listed; the rest is counted.
const LISTED_MAX: usize = 40;

/// " (did you mean 'x'?)", or nothing if no name is near.
pub(super) fn did_you_mean<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    // A long text is no slip of a finger, and comparing it costs.
    if wrong.len() > 64 {
        return String::new();
    }
    let lower = wrong.to_ascii_lowercase();
    let nearest = names.map(|name| (strsim::osa_distance(&lower, &name.to_ascii_lowercase()), name)).min();
    match nearest {
        Some((distance, name)) if distance <= wrong.chars().count().div_ceil(3).min(3) => format!(" (did you mean '{name}'?)"),
        _ => String::new(),
    }
}

/// "a, b and c".
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.len() > LISTED_MAX {
        return format!("{} and {} more", names[..LISTED_MAX].join(", "), names.len() - LISTED_MAX);
    }
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_suggested() {
        let names = ["birthdate", "gender", "name"];
        let cases = [("birthDate", "birthdate"), ("brithdate", "birthdate"), ("naem", "name"), ("zzz", ""), ("x", "")];
        for (wrong, expected) in cases {
            let hint = did_you_mean(wrong, names.into_iter());
            assert_eq!(hint.is_empty(), expected.is_empty(), "{wrong}");
            assert!(hint.contains(expected), "{wrong}: {hint}");
        }
    }

    #[test]
    fn lists_read_like_a_sentence_and_have_an_end() {
        assert_eq!(listed([].into_iter()), "nothing");
        assert_eq!(listed(["a"].into_iter()), "a");
        assert_eq!(listed(["a", "b", "c"].into_iter()), "a, b and c");
        assert!(listed(std::iter::repeat_n("a", 43)).ends_with("and 3 more"));
    }
}
