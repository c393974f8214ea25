//! References (<https://hl7.org/fhir/R4/search.html#reference>).
//!
//! | written | looked for |
//! |---|---|
//! | `23` | that id, of any type that the parameter leads to |
//! | `Patient/23` | that resource; `/_history/…` is dropped, since the index keeps no versions |
//! | an absolute URL of this server | that resource; as a canonical, that URL |
//! | any other URL | that URL; as a canonical, in any version unless `\|version` is given |

use lethe_fhir::{LocalBases, LocalReference, LogicalId, Reference, ResourceType};

use super::{error::Fault, extent::Extent, suggest::listed, uri, values::unescape};
use crate::{
    ValueCheck,
    definitions::PathUse,
    value::{reference, reference_elsewhere},
};

/// What a reference's text names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sought {
    local: Vec<LocalReference>,
    elsewhere: Option<String>,
}

impl Sought {
    /// Reads `text`, of a reference that leads to `targets`; `named` is the type of `subject:Patient`. No targets: it is not known where it
    /// leads, so that the type must be said.
    pub fn read(text: &str, targets: &[ResourceType], named: Option<ResourceType>, bases: &LocalBases) -> Result<Self, Fault> {
        let plain = unescape(text);
        if !plain.contains(['/', ':', '?', '#']) {
            let id = plain.parse::<LogicalId>().map_err(|error| Fault::value(text, error))?;
            let types = named.map_or_else(|| targets.to_vec(), |named| vec![named]);
            if types.is_empty() {
                return Err(Fault::value(text, "write the type with the id, as in Patient/23"));
            }
            let local = types.into_iter().map(|resource_type| LocalReference { resource_type, id: id.clone() }).collect();
            return Ok(Self { local, elsewhere: None });
        }
        let url = plain.split_once('|').map_or(plain.as_str(), |(url, _)| url);
        match Reference::parse(url, bases) {
            Ok(Reference::Local(target)) => {
                if named.is_some_and(|named| named != target.resource_type) {
                    return Err(Fault::value(text, "its type is not the one that the modifier names"));
                }
                if !targets.is_empty() && !targets.contains(&target.resource_type) {
                    let types = listed(targets.iter().map(|target| target.name()));
                    return Err(Fault::value(text, format_args!("this parameter leads to {types}, not to {}", target.resource_type)));
                }
                let elsewhere = plain.contains("://").then_some(plain);
                Ok(Self { local: vec![target], elsewhere })
            }
            Ok(Reference::Foreign) => {
                let elsewhere = plain.split_once("/_history/").map_or(plain.as_str(), |(resource, _)| resource).to_owned();
                Ok(Self { local: Vec::new(), elsewhere: Some(elsewhere) })
            }
            Ok(Reference::Contained | Reference::Conditional) | Err(_) => {
                Err(Fault::value(text, "write Type/id (Patient/23), the id alone, or an absolute URL"))
            }
        }
    }

    /// On one path, which may count only references to one type.
    pub fn extents(&self, only: Option<ResourceType>) -> Vec<Extent> {
        let local = self.local.iter().filter(|target| only.is_none_or(|only| only == target.resource_type));
        let mut extents: Vec<Extent> = local.map(|target| Extent::single(reference(target))).collect();
        // What lies elsewhere is of the type that its URL names.
        if let Some(url) = self.elsewhere.as_ref().filter(|url| only.is_none_or(|only| url.contains(&format!("/{only}/")))) {
            extents.extend(uri::canonical(url));
        }
        extents
    }
}

/// Every reference that counts on a path.
pub(super) fn any(path_use: &PathUse) -> Vec<Extent> {
    match path_use.only_target {
        None => vec![Extent::whole()],
        Some(only) => {
            let named = format!("/{only}/").into_bytes();
            vec![Extent::prefix(vec![only.code()]), Extent::prefix(reference_elsewhere("")).and(ValueCheck::Contains(named))]
        }
    }
}
