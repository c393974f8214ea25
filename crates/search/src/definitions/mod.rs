//! R4's search parameters and compartments: which exist for a type, and on which paths their values lie.

mod parameter;

pub use parameter::{Parameter, ParameterKind, PathUse};
