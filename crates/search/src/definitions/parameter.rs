//! One search parameter of one type.

use lethe_fhir::ResourceType;

use crate::PathId;

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
}
