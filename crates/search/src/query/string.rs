//! Strings (<https://hl7.org/fhir/R4/search.html#string>).

use super::{error::Fault, extent::Extent, values::unescape};
use crate::{Facet, ValueCheck, value};

/// Values that begin with `text`, whatever their case, accents and spacing.
pub(super) fn beginning(text: &str) -> Result<Extent, Fault> {
    Ok(Extent::prefix(value::string_prefix(&searchable(text)?)))
}

/// What is asked of a string, in two steps: the index has only the beginning of long ones, all of which stands beside the body.
#[derive(Debug)]
pub(super) struct Steps {
    /// Of the rows of the index: what may fit.
    pub may_fit: Extent,
    /// Of all values: what fits, if one of these does.
    pub fits: [Extent; 2],
}

/// Values that begin with a `text` of which the index may not have all; `None` for a shorter one, to which [`beginning`] is the answer.
pub(super) fn long_beginning(text: &str) -> Result<Option<Steps>, Fault> {
    let normal = value::normalise(&searchable(text)?).into_bytes();
    let may_fit = beginning(text)?;
    if may_fit.low == normal {
        return Ok(None);
    }
    let first_piece = [&[value::FIRST_PIECE], normal.as_slice()].concat();
    let whole = Extent::prefix(normal.clone()).and(ValueCheck::TextHas(normal));
    Ok(Some(Steps { may_fit, fits: [whole, Extent::prefix(first_piece).of(Facet::Text)] }))
}

/// Values that have `text` somewhere, whatever their case, accents and spacing.
pub(super) fn containing(text: &str) -> Result<Steps, Fault> {
    let normal = value::normalise(&searchable(text)?).into_bytes();
    let in_piece = Extent::whole().of(Facet::Text).and(ValueCheck::Contains(normal.clone()));
    Ok(Steps {
        may_fit: Extent::whole().and(ValueCheck::TextMayHave(normal.clone())),
        fits: [Extent::whole().and(ValueCheck::TextHas(normal)), in_piece],
    })
}

/// Values that are exactly `text`.
pub(super) fn exact(text: &str) -> Extent {
    Extent::single(value::string(&unescape(text)))
}

/// `text` without escapes, if anything is left of it to be looked for.
pub(super) fn searchable(text: &str) -> Result<String, Fault> {
    let plain = unescape(text);
    if value::normalise(&plain).is_empty() {
        return Err(Fault::value(text, "nothing is left of it without spaces and accents: give a letter or a digit"));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PathId;

    #[test]
    fn beginnings_parts_and_exact_texts_are_told_apart() {
        let stored = ["Émile Zola", "emile", "Semile", "zola  emile", "a,b"];
        let containing = |text| containing(text).map(|steps| steps.fits[0].clone());
        let cases: [(Extent, [bool; 5]); 7] = [
            (beginning("EMI").unwrap(), [true, true, false, false, false]),
            (beginning("Emile Z").unwrap(), [true, false, false, false, false]),
            (beginning(r"a\,").unwrap(), [false, false, false, false, true]),
            (containing("émile").unwrap(), [true, true, true, true, false]),
            (containing("zola e").unwrap(), [false, false, false, true, false]),
            (exact("emile"), [false, true, false, false, false]),
            (exact("Émile Zola"), [true, false, false, false, false]),
        ];
        for (extent, expected) in cases {
            let span = extent.on(PathId(4));
            assert_eq!(stored.map(|text| span.admits(&value::string(text))), expected, "{extent:?}");
        }
        assert!(beginning(" ").is_err());
        assert!(containing("\u{301}").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn spans_agree_with_the_rules_as_they_are_written(sent in "[aAeÉé B]{1,4}", stored in "[aAeÉé B]{0,8}") {
            let (normal, stored_normal) = (value::normalise(&sent), value::normalise(&stored));
            let admits = |extent: Extent| extent.on(PathId(4)).admits(&value::string(&stored));
            if normal.is_empty() {
                prop_assert!(beginning(&sent).is_err() && containing(&sent).is_err());
            } else {
                prop_assert_eq!(admits(beginning(&sent).unwrap()), stored_normal.starts_with(&normal));
                let steps = containing(&sent).unwrap();
                prop_assert_eq!(admits(steps.fits[0].clone()), stored_normal.contains(&normal));
                prop_assert_eq!(admits(steps.may_fit), stored_normal.contains(&normal));
            }
            prop_assert_eq!(admits(exact(&sent)), sent == stored);
        }
    }
}
