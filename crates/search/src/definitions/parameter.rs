//! One search parameter of one type.

use lethe_fhir::ResourceType;

use crate::{Facet, PathId, SortPath, SortWidth, value};

/// Type of a search parameter (<https://hl7.org/fhir/R4/valueset-search-param-type.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A number.
    Number,
    /// A date, or a span of time.
    Date,
    /// Text.
    String,
    /// A code, an identifier, a boolean.
    Token,
    /// A reference or a canonical.
    Reference,
    /// Several values of one element.
    Composite,
    /// A number with a unit.
    Quantity,
    /// A uri.
    Uri,
    /// `Location.near`: a position.
    Position,
}

/// A search parameter as it applies to one type.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name in a query.
    pub code: &'static str,
    /// Its type.
    pub kind: ParameterKind,
    /// Where its values lie. Several parameters can share a path.
    pub uses: Vec<PathUse>,
    /// Of a reference: the types that it can lead to, in alphabetical order; all of `Resource` for those that can lead anywhere.
    pub targets: Vec<ResourceType>,
    /// Of a composite: the types of its components, in order; the first is a token.
    pub components: Vec<ParameterKind>,
}

/// A path as one parameter uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathUse {
    /// The path.
    pub path: PathId,
    /// Only references to this type count (`where(resolve() is T)`).
    pub only_target: Option<ResourceType>,
    /// Of a `code` element: the one system that its required binding has. Its values are kept without a system.
    pub implied_system: Option<&'static str>,
    /// Whether some of its numbers or quantities may be a Range.
    pub has_ranges: bool,
}

impl Parameter {
    /// The paths to sort by, and which of their bytes count; `None` for kinds that have no order.
    #[must_use]
    pub fn sort_paths(&self) -> Option<Vec<SortPath>> {
        let (ascending_at, descending_at, width) = match self.kind {
            ParameterKind::String | ParameterKind::Token => (0, 0, SortWidth::Text),
            ParameterKind::Reference | ParameterKind::Uri => (0, 0, SortWidth::All),
            ParameterKind::Number | ParameterKind::Quantity => (0, 0, SortWidth::Bytes(8)),
            ParameterKind::Date => (value::DATE_LOW_AT, value::DATE_HIGH_AT, SortWidth::Bytes(8)),
            ParameterKind::Composite | ParameterKind::Position => return None,
        };
        let plain = self.uses.iter().map(|one| SortPath { path: one.path, ascending_at, descending_at, width, only: None });
        // A Range is placed by its lower end, descending by its upper.
        let ranges = self.uses.iter().filter(|one| one.has_ranges).map(|one| SortPath {
            path: one.path.with(Facet::Identifier),
            ascending_at: value::RANGE_LOW_AT,
            descending_at: value::RANGE_HIGH_AT,
            width,
            only: Some(value::RANGE_WRITTEN),
        });
        Some(plain.chain(ranges).collect())
    }
}
