//! Standing rules: what is to go when it has reached an age.

use std::{fmt, str::FromStr};

use lethe_fhir::{Instant, ResourceType};
use thiserror::Error;

use crate::Selection;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// The oldest age: a hundred years.
const DAYS_MAX: u32 = 36_525;

/// One rule: `Observation,Condition older than 730 days of user 17`; without `of user …` for all users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// The types, each once.
    pub types: Vec<ResourceType>,
    /// The age in days.
    pub days: u32,
    /// The number of the user whose data it is about; `None` is everybody's.
    pub account: Option<i64>,
}

/// Why a text is no rule. None is ever read as a wider one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RetentionRuleError {
    /// Words are missing, or there are more.
    #[error("a rule reads 'TYPE,TYPE older than N days', with 'of user ID' behind it for one user; this is '{0}'")]
    Form(String),
    /// A type that R4 does not know.
    #[error("{0}")]
    UnknownType(#[from] lethe_fhir::UnknownResourceType),
    /// A type twice.
    #[error("{0} stands twice in one rule")]
    Repeated(ResourceType),
    /// No age.
    #[error("'{0}' is no number of days from 1 to {DAYS_MAX}")]
    Days(String),
    /// No user.
    #[error("'{0}' is no oneup_user_id")]
    User(String),
}

impl RetentionRule {
    /// What it selects at `now`.
    #[must_use]
    pub fn selection(&self, now: Instant) -> Selection {
        let before = now.plus_ms(-i64::from(self.days) * DAY_MS);
        Selection { types: Some(self.types.clone()), before: Some(before), include_deleted: true, ..Selection::default() }
    }
}

impl FromStr for RetentionRule {
    type Err = RetentionRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (types, days, user) = match words[..] {
            [types, "older", "than", days, "days"] => (types, days, None),
            [types, "older", "than", days, "days", "of", "user", user] => (types, days, Some(user)),
            _ => return Err(RetentionRuleError::Form(text.chars().take(200).collect())),
        };
        let mut read: Vec<ResourceType> = Vec::new();
        for name in types.split(',') {
            let resource_type = name.parse()?;
            if read.contains(&resource_type) {
                return Err(RetentionRuleError::Repeated(resource_type));
            }
            read.push(resource_type);
        }
        let no_days = || RetentionRuleError::Days(days.to_owned());
        let days = days.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days)).ok_or_else(no_days)?;
        let no_user = |user: &str| RetentionRuleError::User(user.to_owned());
        let account = user.map(|user| user.parse().ok().filter(|id| *id > 0).ok_or_else(|| no_user(user))).transpose()?;
        Ok(Self { types: read, days, account })
    }
}

impl fmt::Display for RetentionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<String> = self.types.iter().map(ToString::to_string).collect();
        write!(f, "{} older than {} days", types.join(","), self.days)?;
        self.account.map_or(Ok(()), |account| write!(f, " of user {account}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_and_written_alike() {
        for text in ["Observation older than 730 days", "Observation,Condition older than 1 days of user 17"] {
            assert_eq!(text.parse::<RetentionRule>().unwrap().to_string(), text);
        }
        let rule: RetentionRule = "  Patient   older than 2 days ".parse().unwrap();
        let selection = rule.selection(Instant::from_unix_ms(3 * DAY_MS));
        assert_eq!(selection.before, Some(Instant::from_unix_ms(DAY_MS)));
        assert_eq!(selection.types, Some(vec!["Patient".parse().unwrap()]));
    }

    #[test]
    fn whatever_is_no_rule_is_refused() {
        for (text, said) in [
            ("", "a rule reads"),
            ("older than 3 days", "a rule reads"),
            ("Patient older than 3", "a rule reads"),
            ("Patient older than 3 years", "a rule reads"),
            ("Patient older than 3 days of client 4", "a rule reads"),
            ("Patient older than 3 days of user 4 and more", "a rule reads"),
            ("Patient, Observation older than 3 days", "a rule reads"),
            ("Patiant older than 3 days", "Patiant"),
            ("Patient,,Observation older than 3 days", "''"),
            ("Patient,Patient older than 3 days", "twice"),
            ("Patient older than 0 days", "'0' is no number of days"),
            ("Patient older than -3 days", "'-3' is no number of days"),
            ("Patient older than 36526 days", "is no number of days"),
            ("Patient older than 3 days of user x", "'x' is no oneup_user_id"),
            ("Patient older than 3 days of user 0", "'0' is no oneup_user_id"),
        ] {
            let error = text.parse::<RetentionRule>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
