//! Comparison prefixes of numbers, quantities and dates (<https://hl7.org/fhir/R4/search.html#prefix>).

use super::error::Fault;

/// How a value of a resource is compared with the value of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    StartsAfter,
    EndsBefore,
    Approximately,
}

impl Prefix {
    /// Each with its letters.
    pub const ALL: [(&str, Self); 9] = [
        ("eq", Self::Equal),
        ("ne", Self::NotEqual),
        ("gt", Self::Greater),
        ("lt", Self::Less),
        ("ge", Self::GreaterOrEqual),
        ("le", Self::LessOrEqual),
        ("sa", Self::StartsAfter),
        ("eb", Self::EndsBefore),
        ("ap", Self::Approximately),
    ];

    /// The prefix of `text`, and what follows it.
    pub fn of(text: &str) -> Result<(Self, &str), Fault> {
        let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
        if letters == 0 {
            return Ok((Self::Equal, text));
        }
        Self::ALL.iter().find_map(|(name, prefix)| text.strip_prefix(name).filter(|_| letters == 2).map(|rest| (*prefix, rest))).ok_or_else(
            || Fault::value(text, "a number or date is expected, with one of the prefixes eq, ne, gt, lt, ge, le, sa, eb, ap or none"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_known_letters_are_a_prefix_and_nothing_else_is() {
        assert_eq!(Prefix::of("5"), Ok((Prefix::Equal, "5")));
        assert_eq!(Prefix::of("ge5"), Ok((Prefix::GreaterOrEqual, "5")));
        assert_eq!(Prefix::of("-1e2"), Ok((Prefix::Equal, "-1e2")));
        assert_eq!(Prefix::of(""), Ok((Prefix::Equal, "")));
        for bad in ["xx5", "GE5", "gte5", "today", "g5"] {
            assert!(Prefix::of(bad).is_err(), "{bad}");
        }
    }
}
