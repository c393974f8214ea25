//! Where in a resource: a chain on the stack, which becomes text only when there is something to say about it.

use std::fmt;

/// An element, by its way from the root.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    name: &'a str,
    index: Option<usize>,
}

impl<'a> Place<'a> {
    pub(super) fn root(type_name: &'a str) -> Self {
        Self { parent: None, name: type_name, index: None }
    }

    pub(super) fn child(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), name, index: None }
    }

    /// The same element, one of several.
    pub(super) fn item(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }

    /// The name of the element itself.
    pub(super) fn name(&self) -> &'a str {
        self.name
    }
}

/// `Observation.component[2].valueQuantity`
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}
