//! The lines of a store: where one history left another, and up to which place two have the same.

use std::collections::HashMap;

use lethe_purge::Seq;
use uuid::Uuid;

/// A line; `None` is that of a store which no server has served yet.
type Line = Option<Uuid>;

/// Every line, with the one that it left and the last place that they share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(HashMap<Uuid, (Line, Seq)>);

impl Lines {
    /// Adds a line; `false` if that which it left is not known, or it is itself.
    pub(super) fn add(&mut self, line: Uuid, after: Line, after_seq: Seq) -> bool {
        let is_new = self.knows(after) && !self.0.contains_key(&line);
        if is_new {
            self.0.insert(line, (after, after_seq));
        }
        is_new
    }

    /// Whether the line is on record.
    pub(crate) fn knows(&self, line: Line) -> bool {
        line.is_none_or(|line| self.0.contains_key(&line))
    }

    /// The last place up to which a database on `line`, written to up to `last_seq`, has the same history as `other`.
    pub(crate) fn shared(&self, line: Line, last_seq: Seq, other: Line) -> Seq {
        let others: HashMap<Line, Seq> = self.back_from(other, Seq(u64::MAX)).into_iter().collect();
        let meet = self.back_from(line, last_seq).into_iter().find_map(|(line, seq)| others.get(&line).map(|other| seq.min(*other)));
        meet.unwrap_or_default()
    }

    /// The line and those from which it descends, each with the last place of it that belongs to this history.
    fn back_from(&self, line: Line, last_seq: Seq) -> Vec<(Line, Seq)> {
        let mut path = vec![(line, last_seq)];
        let mut next = line;
        let mut shared = last_seq;
        // OK because a line is added after that which it left: this ends.
        while let Some((after, after_seq)) = next.and_then(|line| self.0.get(&line)) {
            shared = shared.min(*after_seq);
            path.push((*after, shared));
            next = *after;
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_share_what_was_before_they_parted() {
        let [a, b, c, unknown] = [1, 2, 3, 4].map(Uuid::from_u128);
        let mut lines = Lines::default();
        assert!(lines.add(a, None, Seq(10)));
        assert!(lines.add(b, Some(a), Seq(100)), "a copy of a, taken at 100, was put back");
        assert!(lines.add(c, Some(b), Seq(300)), "its server was started again");
        assert!(!lines.add(a, Some(c), Seq(400)) && !lines.add(unknown, Some(unknown), Seq(1)), "no line descends from itself");
        for (line, last_seq, other, shared) in [
            (Some(a), 50, Some(a), 50),
            (Some(a), 50, Some(c), 50),
            (Some(a), 150, Some(b), 100),
            (Some(a), 150, Some(c), 100),
            (Some(b), 200, Some(c), 200),
            (Some(b), 350, Some(c), 300),
            (Some(c), 400, Some(a), 100),
            (None, 5, Some(c), 5),
            (None, 50, Some(c), 10),
            (Some(unknown), 50, Some(c), 0),
        ] {
            assert_eq!(lines.shared(line, Seq(last_seq), other), Seq(shared), "{line:?} at {last_seq}, {other:?}");
        }
    }
}
