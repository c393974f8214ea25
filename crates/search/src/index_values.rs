//! The index values of one version, and the form in which they stand beside its body.
//!
//! That form is a list of entries in order: path, length, bytes. Conditions are evaluated on it without taking it apart.

use serde::{Deserialize, Serialize};

use crate::{Criterion, SortPath, Span};

/// A path of a type, and a facet of its values: four numbers for each path, so that facets of a path lie together.
///
/// Numbers mean what the table of definitions says for the resource's type; they are stored, and never given to another path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PathId(pub u16);

/// What of a path's values an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// The value itself.
    Value,
    /// The text that goes with a token (`:text`), or that a reference is there which leads nowhere. Kept with the version alone, without a
    /// row in the index.
    Text,
    /// An identifier with its type (`:of-type`), the identifier of a reference (`:identifier`); of numbers and quantities, a Range.
    Identifier,
    /// A quantity in its canonical unit.
    Canonical,
}

impl PathId {
    /// A facet of the path with this number.
    #[must_use]
    pub const fn new(path: u16, facet: Facet) -> Self {
        Self(path * 4 + facet as u16)
    }

    /// The same path, another facet.
    #[must_use]
    pub const fn with(self, facet: Facet) -> Self {
        Self::new(self.0 / 4, facet)
    }

    /// Which facet it is.
    #[must_use]
    pub const fn facet(self) -> Facet {
        match self.0 % 4 {
            0 => Facet::Value,
            1 => Facet::Text,
            2 => Facet::Identifier,
            _ => Facet::Canonical,
        }
    }

    /// Whether its values have rows of their own in the index, so that a search can begin with them.
    #[must_use]
    pub const fn has_rows(self) -> bool {
        !matches!(self.facet(), Facet::Text)
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexValue {
    /// Where it was found.
    pub path: PathId,
    /// As [`value`](crate::value) writes it.
    pub value: Vec<u8>,
}

/// The index values of one version, in order, each once, in their stored form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexValues(Vec<u8>);

impl IndexValues {
    /// Of these values.
    #[must_use]
    pub fn of(mut values: Vec<IndexValue>) -> Self {
        values.sort_unstable();
        values.dedup();
        let mut bytes = Vec::with_capacity(values.iter().map(|entry| entry.value.len() + 4).sum());
        for entry in &values {
            // OK because no value is longer than a few texts, each of which is cut.
            let length = entry.value.len().min(usize::from(u16::MAX)) as u16;
            bytes.extend_from_slice(&entry.path.0.to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&entry.value[..usize::from(length)]);
        }
        Self(bytes)
    }

    /// From bytes that [`as_bytes`](Self::as_bytes) gave.
    #[must_use]
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// For storage.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The entries, in order.
    pub fn iter(&self) -> Entries<'_> {
        Entries(&self.0)
    }
}

/// Reads entries from their stored form; ends at the first that is damaged.
#[derive(Clone, Debug)]
pub struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    /// Of a stored form.
    #[must_use]
    pub fn of(stored: &'a [u8]) -> Self {
        Self(stored)
    }

    /// The values of one path, in order.
    pub fn of_path(self, path: PathId) -> impl Iterator<Item = &'a [u8]> {
        self.skip_while(move |(own, _)| *own < path).take_while(move |(own, _)| *own == path).map(|(_, value)| value)
    }

    /// Whether some value lies in one of `spans`.
    #[must_use]
    pub fn has_any_of(self, spans: &[Span]) -> bool {
        let mut entries = self;
        entries.any(|(path, value)| spans.iter().any(|span| span.path == path && span.admits(value)))
    }
}

impl Entries<'_> {
    /// The bytes by which a resource is placed among others: of its least value, or descending of its greatest; `None` without a value.
    #[must_use]
    pub fn sort_bytes(self, paths: &[SortPath], is_descending: bool) -> Option<Vec<u8>> {
        let placed = paths.iter().flat_map(|sort| {
            let at = if is_descending { sort.descending_at } else { sort.ascending_at };
            let counting = self.clone().of_path(sort.path).filter(|value| sort.only.is_none() || value.first().copied() == sort.only);
            counting.map(move |value| sort.width.of(value.get(at..).unwrap_or_default()))
        });
        if is_descending { placed.max().map(<[u8]>::to_vec) } else { placed.min().map(<[u8]>::to_vec) }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (PathId, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (path, rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let value = rest.get(..length)?;
        self.0 = &rest[length..];
        Some((PathId(u16::from_be_bytes(*path)), value))
    }
}

impl<'a> IntoIterator for &'a IndexValues {
    type Item = (PathId, &'a [u8]);
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

impl Criterion {
    /// Whether it can be decided on index values alone, and how: `None` for conditions on ids, times, words and other resources.
    #[must_use]
    pub fn holds_for(&self, entries: Entries<'_>) -> Option<bool> {
        match self {
            Self::AnyOf(spans) => Some(entries.has_any_of(spans)),
            Self::NoneOf(spans) => Some(!entries.has_any_of(spans)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: u16, value: &str) -> IndexValue {
        IndexValue { path: PathId(path), value: value.as_bytes().to_vec() }
    }

    #[test]
    fn entries_come_back_in_order_and_each_once() {
        let values = IndexValues::of(vec![entry(8, "b"), entry(4, "z"), entry(8, "a"), entry(8, "b")]);
        let read: Vec<_> = values.iter().map(|(path, value)| (path.0, String::from_utf8_lossy(value).into_owned())).collect();
        assert_eq!(read, [(4, "z".to_owned()), (8, "a".to_owned()), (8, "b".to_owned())]);
        assert_eq!(values.iter().of_path(PathId(8)).count(), 2);
        assert_eq!(values.iter().of_path(PathId(5)).count(), 0);
    }

    #[test]
    fn criteria_on_values_are_decided_here() {
        let values = IndexValues::of(vec![entry(4, "x")]);
        let span = Span::single(PathId(4), b"x".to_vec());
        assert_eq!(Criterion::AnyOf(vec![span.clone()]).holds_for(values.iter()), Some(true));
        assert_eq!(Criterion::NoneOf(vec![span]).holds_for(values.iter()), Some(false));
        assert_eq!(Criterion::AnyOf(vec![Span::whole(PathId(8))]).holds_for(values.iter()), Some(false));
        assert_eq!(Criterion::Ids(Vec::new()).holds_for(values.iter()), None);
    }

    #[test]
    fn damage_ends_the_list_and_nothing_else() {
        for damaged in [&[][..], &[0], &[0, 4, 0], &[0, 4, 0, 9, 1]] {
            assert_eq!(Entries::of(damaged).count(), 0);
        }
    }

    #[test]
    fn facets_of_a_path_lie_together() {
        let path = PathId::new(7, Facet::Value);
        assert_eq!(path.with(Facet::Canonical).facet(), Facet::Canonical);
        assert_eq!(path.with(Facet::Text).with(Facet::Value), path);
        assert!(!path.with(Facet::Text).has_rows());
    }
}
