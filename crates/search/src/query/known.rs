//! What queries are read with: the definitions, and the units.

pub(super) use crate::{
    definitions::{parameter, parameters},
    extract::canonical_unit,
    value::identifier_of_type,
};
