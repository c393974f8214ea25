//! References between resources, and which of them point into this server.

use thiserror::Error;

use crate::{LogicalId, ResourceType};

/// The base addresses under which this server is known, so that an absolute URL to itself counts as local.
///
/// The scheme is not compared: a proxy that ends TLS must not turn a local reference into a foreign one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalBases(Vec<String>);

impl LocalBases {
    /// From addresses such as `https://fhir.example.org` (with a path if a proxy adds one, without `/r4`).
    #[must_use]
    pub fn new<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let mut bases = Self::default();
        for address in addresses {
            bases.add(address);
        }
        bases
    }

    /// Adds one more address.
    pub fn add(&mut self, address: &str) {
        let rest = without_scheme(address).unwrap_or(address).trim_end_matches('/').to_ascii_lowercase();
        if !rest.is_empty() && !self.0.contains(&rest) {
            self.0.push(rest);
        }
    }

    /// The addresses, each as [`add`](Self::add) takes it.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The part after `/r4/` if `url` is an absolute URL into this server.
    fn local_part<'a>(&self, url: &'a str) -> Option<&'a str> {
        let rest = without_scheme(url)?;
        self.0.iter().find_map(|base| {
            let path = rest.get(..base.len()).filter(|start| start.eq_ignore_ascii_case(base)).and_then(|_| rest.get(base.len()..))?;
            path.strip_prefix("/r4/").or_else(|| path.strip_prefix("/fhir/r4/"))
        })
    }
}

fn without_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    (scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")).then_some(rest)
}

/// A reference to a resource of the same account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalReference {
    /// Type of the target.
    pub resource_type: ResourceType,
    /// Id of the target.
    pub id: LogicalId,
}

/// What the text of a `Reference.reference` or `Attachment.url` points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A resource here: relative, or absolute under one of the [`LocalBases`]. A `/_history/…` part is accepted and dropped.
    Local(LocalReference),
    /// `#…`: a contained resource.
    Contained,
    /// `Type?…`: a conditional reference, valid only in a transaction.
    Conditional,
    /// Anything with a scheme that is not ours: another server's URL, `urn:uuid:…`, `urn:oid:…`.
    Foreign,
}

/// The text is no reference that FHIR knows.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("'{text}' is not a valid reference: {reason}")]
pub struct MalformedReference {
    /// What was sent, at most 120 characters of it.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Reference {
    /// Reads `text` (<https://hl7.org/fhir/R4/references.html#literal>).
    ///
    /// # Errors
    /// A relative reference whose type is unknown or whose id is invalid; an empty one.
    pub fn parse(text: &str, bases: &LocalBases) -> Result<Self, MalformedReference> {
        if text.starts_with('#') {
            return Ok(Self::Contained);
        }
        if let Some(local) = bases.local_part(text) {
            // An absolute URL to this server that names no resource (an operation, say) refers to none.
            return Ok(parse_relative(local).map_or(Self::Foreign, Self::Local));
        }
        if has_scheme(text) {
            return Ok(Self::Foreign);
        }
        if let Some((resource_type, _)) = text.split_once('?')
            && resource_type.parse::<ResourceType>().is_ok()
        {
            return Ok(Self::Conditional);
        }
        parse_relative(text).map(Self::Local).map_err(|reason| MalformedReference { text: text.chars().take(120).collect(), reason })
    }
}

/// Whether the text begins with a URI scheme (RFC 3986 §3.1).
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}

fn parse_relative(text: &str) -> Result<LocalReference, String> {
    let mut parts = text.split('/');
    let (Some(type_name), Some(id)) = (parts.next(), parts.next()) else {
        return Err("write it as Type/id, as an absolute URL, or as #id of a contained resource".to_owned());
    };
    let resource_type = type_name.parse::<ResourceType>().map_err(|error| error.to_string())?;
    let id = id.split('#').next().unwrap_or_default().parse::<LogicalId>().map_err(|error| error.to_string())?;
    match (parts.next(), parts.next(), parts.next()) {
        (None, None, None) => {}
        (Some("_history"), Some(version), None) if version.parse::<LogicalId>().is_ok() => {}
        _ => return Err("after Type/id only /_history/version may follow".to_owned()),
    }
    Ok(LocalReference { resource_type, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases() -> LocalBases {
        LocalBases::new(["https://fhir.example.org/clinic/", "http://127.0.0.1:8080"])
    }

    #[test]
    fn relative_versioned_and_own_absolute_references_are_local() {
        let patient = Reference::Local(LocalReference { resource_type: "Patient".parse().unwrap(), id: "p1".parse().unwrap() });
        for text in [
            "Patient/p1",
            "Patient/p1/_history/3",
            "https://fhir.example.org/clinic/r4/Patient/p1",
            "http://FHIR.example.org/clinic/fhir/r4/Patient/p1/_history/2",
            "http://127.0.0.1:8080/r4/Patient/p1",
            "HTTP://127.0.0.1:8080/r4/Patient/p1",
        ] {
            assert_eq!(Reference::parse(text, &bases()), Ok(patient.clone()), "{text}");
        }
    }

    #[test]
    fn other_servers_and_urns_are_foreign() {
        for text in [
            "http://example.org/r4/Patient/p1",
            "urn:uuid:0b0e",
            "http://127.0.0.1:80801/r4/Patient/p1",
            "https://fhir.example.org/r4/Patient/p1",
            "http://127.0.0.1:8080/r4/$purge",
            "mailto:x",
        ] {
            assert_eq!(Reference::parse(text, &bases()), Ok(Reference::Foreign), "{text}");
        }
        assert_eq!(Reference::parse("#med", &bases()), Ok(Reference::Contained));
        assert_eq!(Reference::parse("Patient?identifier=x", &bases()), Ok(Reference::Conditional));
    }

    #[test]
    fn malformed_references_say_what_is_wrong() {
        for text in [
            "",
            "p1",
            "patient/p1",
            "Patient/",
            "Patient/a b",
            "Patient/p1/x",
            "Patient/p1/_history",
            "Patient/p1/_history/1/2",
            "/Patient/p1",
        ] {
            assert!(Reference::parse(text, &bases()).is_err(), "{text}");
        }
    }
}
