//! A span that is not yet on a path: what a value's text asks for, whichever element it is asked of.

use crate::{Facet, PathId, Span, SpanEnd, ValueCheck, after_prefix};

/// A range of values of one facet, with conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub facet: Facet,
    pub low: Vec<u8>,
    pub end: SpanEnd,
    pub checks: Vec<ValueCheck>,
}

impl Extent {
    pub fn whole() -> Self {
        Self::from(Vec::new())
    }

    pub fn from(low: Vec<u8>) -> Self {
        Self { facet: Facet::Value, low, end: SpanEnd::Open, checks: Vec::new() }
    }

    pub fn single(value: Vec<u8>) -> Self {
        Self { end: SpanEnd::Single, ..Self::from(value) }
    }

    pub fn prefix(prefix: Vec<u8>) -> Self {
        let end = after_prefix(&prefix).map_or(SpanEnd::Open, SpanEnd::Before);
        Self { end, ..Self::from(prefix) }
    }

    pub fn between(low: Vec<u8>, high: Vec<u8>) -> Self {
        Self { end: SpanEnd::Before(high), ..Self::from(low) }
    }

    pub fn of(mut self, facet: Facet) -> Self {
        self.facet = facet;
        self
    }

    pub fn and(mut self, check: ValueCheck) -> Self {
        self.checks.push(check);
        self
    }

    pub fn on(&self, path: PathId) -> Span {
        Span { path: path.with(self.facet), low: self.low.clone(), end: self.end.clone(), checks: self.checks.clone() }
    }

    /// The same of values that stand behind `prefix` in a composite, with something more behind them.
    pub fn behind(self, prefix: &[u8]) -> Self {
        let joined = |bytes: &[u8]| [prefix, bytes].concat();
        let low = joined(&self.low);
        let end = match self.end {
            SpanEnd::Single => after_prefix(&low).map_or(SpanEnd::Open, SpanEnd::Before),
            SpanEnd::Before(end) => SpanEnd::Before(joined(&end)),
            SpanEnd::Open => after_prefix(prefix).map_or(SpanEnd::Open, SpanEnd::Before),
        };
        let checks = self.checks.into_iter().map(|check| shifted(check, prefix.len())).collect();
        Self { facet: self.facet, low, end, checks }
    }

    /// The same as conditions on values that begin at `at`. The bounds must be no longer than every value.
    pub fn into_checks(self, at: usize) -> Vec<ValueCheck> {
        let mut checks: Vec<_> = self.checks.into_iter().map(|check| shifted(check, at)).collect();
        match self.end {
            SpanEnd::Single => {
                checks.push(ValueCheck::HasAt { at, bytes: self.low });
                return checks;
            }
            SpanEnd::Before(bytes) => checks.push(ValueCheck::LessAt { at, bytes }),
            SpanEnd::Open => {}
        }
        if !self.low.is_empty() {
            checks.push(ValueCheck::NotLessAt { at, bytes: self.low });
        }
        checks
    }
}

/// `check`, of a value that begins `by` bytes later.
fn shifted(check: ValueCheck, by: usize) -> ValueCheck {
    match check {
        ValueCheck::HasAt { at, bytes } => ValueCheck::HasAt { at: at + by, bytes },
        ValueCheck::LessAt { at, bytes } => ValueCheck::LessAt { at: at + by, bytes },
        ValueCheck::NotLessAt { at, bytes } => ValueCheck::NotLessAt { at: at + by, bytes },
        ValueCheck::Behind { at, checks } => ValueCheck::Behind { at: at + by, checks },
        // What was the end has something behind it now.
        ValueCheck::EndsWith(bytes) | ValueCheck::Contains(bytes) => ValueCheck::Contains(bytes),
        // Neither positions nor `:contains` are in a composite.
        other @ (ValueCheck::Near { .. } | ValueCheck::TextHas(_) | ValueCheck::TextMayHave(_)) => other,
    }
}
