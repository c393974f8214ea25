//! Sets of places in the order of commits: small enough to keep for every purge, and nothing in them but numbers.

use thiserror::Error;

use crate::Seq;

/// A set of places, as ascending runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeqSet {
    /// First and last place of each run; runs neither touch nor overlap.
    runs: Vec<(u64, u64)>,
}

/// Bytes that are no [`SeqSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("these bytes are no set of places")]
pub struct NoSeqSet;

impl FromIterator<Seq> for SeqSet {
    /// In whatever order they come.
    fn from_iter<I: IntoIterator<Item = Seq>>(seqs: I) -> Self {
        let mut seqs: Vec<u64> = seqs.into_iter().map(|seq| seq.0).collect();
        seqs.sort_unstable();
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for seq in seqs {
            match runs.last_mut() {
                Some((_, last)) if seq <= last.saturating_add(1) => *last = seq,
                _ => runs.push((seq, seq)),
            }
        }
        Self { runs }
    }
}

impl SeqSet {
    /// The smallest place and the largest.
    #[must_use]
    pub fn bounds(&self) -> Option<(Seq, Seq)> {
        Some((Seq(self.runs.first()?.0), Seq(self.runs.last()?.1)))
    }

    /// How many places.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.runs.iter().fold(0_u64, |sum, (first, last)| sum.saturating_add(last - first).saturating_add(1))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Each place, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Seq> {
        self.runs.iter().flat_map(|(first, last)| (*first..=*last).map(Seq))
    }

    /// The set without places above `limit`.
    #[must_use]
    pub fn up_to(&self, limit: Seq) -> Self {
        let within = self.runs.iter().filter(|(first, _)| *first <= limit.0);
        Self { runs: within.map(|(first, last)| (*first, (*last).min(limit.0))).collect() }
    }

    /// For each run the distance to the one before, less two, and its length, less one: LEB128. A set of neighbours takes a few bytes,
    /// one of places far apart two or three bytes each.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.runs.len() * 3);
        let mut next = 0;
        for (first, last) in &self.runs {
            push_number(&mut bytes, first - next);
            push_number(&mut bytes, last - first);
            next = last.saturating_add(2);
        }
        bytes
    }

    /// Reads [`SeqSet::to_bytes`].
    ///
    /// # Errors
    /// The bytes were not written by it.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, NoSeqSet> {
        let mut runs = Vec::new();
        let mut next = 0_u64;
        while !bytes.is_empty() {
            let first = next.checked_add(take_number(&mut bytes)?).ok_or(NoSeqSet)?;
            let last = first.checked_add(take_number(&mut bytes)?).ok_or(NoSeqSet)?;
            runs.push((first, last));
            next = last.checked_add(2).ok_or(NoSeqSet)?;
        }
        Ok(Self { runs })
    }
}

fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Result<u64, NoSeqSet> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(NoSeqSet)?;
        *bytes = rest;
        let low = u64::from(byte & 0x7f);
        if (low << shift) >> shift != low {
            return Err(NoSeqSet);
        }
        number |= low << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(NoSeqSet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(seqs: &[u64]) -> SeqSet {
        seqs.iter().map(|seq| Seq(*seq)).collect()
    }

    fn places(set: &SeqSet) -> Vec<u64> {
        set.iter().map(|seq| seq.0).collect()
    }

    #[test]
    fn what_is_put_in_comes_out_in_order_and_once_also_from_bytes() {
        for (seqs, bytes) in
            [(&[][..], 0), (&[0], 2), (&[7, 5, 6, 5], 2), (&[1, 3, 5], 6), (&[1, 100_000, 100_001], 6), (&[i64::MAX as u64], 10)]
        {
            let set = set(seqs);
            let mut expected = seqs.to_vec();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(places(&set), expected);
            assert_eq!(set.to_bytes().len(), bytes, "{seqs:?}");
            assert_eq!(SeqSet::from_bytes(&set.to_bytes()), Ok(set));
        }
        assert_eq!(set(&(1..=100_000).collect::<Vec<_>>()).to_bytes().len(), 4, "neighbours cost nothing");
    }

    #[test]
    fn a_limit_cuts_runs_too() {
        let set = set(&[1, 2, 3, 8, 9]);
        for (limit, left) in [(0, &[][..]), (2, &[1, 2]), (5, &[1, 2, 3]), (8, &[1, 2, 3, 8]), (99, &[1, 2, 3, 8, 9])] {
            assert_eq!(places(&set.up_to(Seq(limit))), left);
        }
        assert_eq!(set.bounds(), Some((Seq(1), Seq(9))));
    }

    #[test]
    fn other_bytes_are_refused_and_never_overflow() {
        for bytes in
            [&[1][..], &[0x80], &[1, 0x80], &[0xff; 10], &[0xff; 11], &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1]]
        {
            assert_eq!(SeqSet::from_bytes(bytes), Err(NoSeqSet), "{bytes:?}");
        }
    }
}
