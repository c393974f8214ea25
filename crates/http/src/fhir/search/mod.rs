//! Search (<https://hl7.org/fhir/R4/http.html#search>).
//!
//! - `verbs`: the calls; `call`: what they ask for, read.
//! - `page`: one page of it from the store; `page_token`: where the next begins.
//! - `include`: what goes along; `render`: the Bundle.

mod call;
mod include;
mod page;
mod page_token;
mod render;
mod verbs;

pub use call::{Asked, Handling, SearchParameters, Shown, Steering};
pub use include::{Included, read_in_parts};
pub use page::{page_of, searchset};
pub use render::part_of;
pub use verbs::{of_compartment, of_system, of_type};
