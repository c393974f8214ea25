//! Targets, streamed in order, cut into batches that are stored as ranges (INV-7).

use lethe_fhir::ResourceType;

use crate::Seq;

/// How large a batch may become. One batch is one transaction, so this bounds how long a writer waits for it.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Resources.
    pub batch_targets_max: u64,
    /// Stored bytes of their current versions.
    pub batch_bytes_max: u64,
}

impl BatchLimits {
    /// Resources, if nobody says otherwise.
    pub const TARGETS_DEFAULT: u64 = 4_000;
}

impl Default for BatchLimits {
    /// 4,000 resources or 8 MiB: about 10 ms of work on the embedded store (docs/adr/0004).
    fn default() -> Self {
        Self { batch_targets_max: Self::TARGETS_DEFAULT, batch_bytes_max: 8 << 20 }
    }
}

/// Where the targets of a batch lie. Everything between the bounds that fits the selection belongs to it, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRange {
    /// The type.
    pub resource_type: ResourceType,
    /// The first target.
    pub first_seq: Seq,
    /// The last target.
    pub last_seq: Seq,
    /// Targets within, as counted for the plan, those on hold included.
    pub targets: u64,
    /// How many of them were on hold then.
    pub held: u64,
}

/// Cuts a stream of targets of one type into [`BatchRange`]s. Holds one unfinished range and nothing more.
#[derive(Debug)]
pub struct BatchCutter {
    resource_type: ResourceType,
    limits: BatchLimits,
    open: Option<(BatchRange, u64)>,
}

impl BatchCutter {
    /// For the targets of one type.
    #[must_use]
    pub fn new(resource_type: ResourceType, limits: BatchLimits) -> Self {
        Self { resource_type, limits, open: None }
    }

    /// Takes the next target, in ascending order, and gives back a range if that one is now full.
    pub fn push(&mut self, seq: Seq, stored_bytes: u64) -> Option<BatchRange> {
        self.push_target(seq, stored_bytes, 0)
    }

    /// As [`push`](Self::push), for a target that is on hold: it is counted, and stays.
    pub fn push_held(&mut self, seq: Seq) -> Option<BatchRange> {
        self.push_target(seq, 0, 1)
    }

    fn push_target(&mut self, seq: Seq, stored_bytes: u64, held: u64) -> Option<BatchRange> {
        let (range, bytes) = match self.open.take() {
            None => (BatchRange { resource_type: self.resource_type, first_seq: seq, last_seq: seq, targets: 1, held }, stored_bytes),
            Some((range, bytes)) => {
                (BatchRange { last_seq: seq, targets: range.targets + 1, held: range.held + held, ..range }, bytes + stored_bytes)
            }
        };
        if range.targets >= self.limits.batch_targets_max || bytes >= self.limits.batch_bytes_max {
            return Some(range);
        }
        self.open = Some((range, bytes));
        None
    }

    /// The last range, if one is open.
    #[must_use]
    pub fn finish(self) -> Option<BatchRange> {
        self.open.map(|(range, _)| range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(sizes: &[u64], limits: BatchLimits) -> Vec<BatchRange> {
        let mut cutter = BatchCutter::new(ResourceType::BINARY, limits);
        let mut ranges: Vec<_> =
            sizes.iter().enumerate().filter_map(|(index, bytes)| cutter.push(Seq(index as u64 * 10), *bytes)).collect();
        ranges.extend(cutter.finish());
        ranges
    }

    #[test]
    fn ranges_cover_every_target_once_and_keep_both_limits() {
        let limits = BatchLimits { batch_targets_max: 3, batch_bytes_max: 100 };
        let bounds =
            |sizes: &[u64]| cut(sizes, limits).iter().map(|range| (range.first_seq.0, range.last_seq.0, range.targets)).collect::<Vec<_>>();
        assert_eq!(bounds(&[]), []);
        assert_eq!(bounds(&[1]), [(0, 0, 1)]);
        assert_eq!(bounds(&[1, 1, 1, 1]), [(0, 20, 3), (30, 30, 1)]);
        assert_eq!(bounds(&[99, 1, 500, 1]), [(0, 10, 2), (20, 20, 1), (30, 30, 1)], "bytes close a batch too");
    }

    #[test]
    fn what_is_on_hold_is_counted_within_its_range() {
        let mut cutter = BatchCutter::new(ResourceType::BINARY, BatchLimits { batch_targets_max: 3, batch_bytes_max: 100 });
        assert_eq!(cutter.push(Seq(1), 1), None);
        assert_eq!(cutter.push_held(Seq(2)), None);
        let range = cutter.push_held(Seq(3)).unwrap();
        assert_eq!((range.targets, range.held), (3, 2));
    }
}
