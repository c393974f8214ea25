//! What steers a search and says nothing of the resources: `_count`, `_summary`, `_elements`, `_total`, `_page`.

use lethe_fhir::limits;

use super::{
    error::Fault,
    limit::ELEMENTS_MAX,
    suggest::{did_you_mean, listed},
    values::{alternatives, unescape},
};

/// `_summary` (<https://hl7.org/fhir/R4/search.html#summary>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Summary {
    /// Whole resources.
    #[default]
    False,
    /// The elements that are marked as summary.
    True,
    /// The narrative, and what is mandatory.
    Text,
    /// Everything but the narrative.
    Data,
    /// The number, and no resources.
    Count,
}

/// `_total` (<https://hl7.org/fhir/R4/search.html#total>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TotalMode {
    /// Not said.
    #[default]
    Unsaid,
    /// No total is wanted.
    None,
    /// A rough one will do.
    Estimate,
    /// The exact one.
    Accurate,
}

/// What steers one search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Controls {
    pub count: Option<usize>,
    pub is_count_only: bool,
    pub summary: Option<Summary>,
    pub elements: Option<Vec<String>>,
    pub total: Option<TotalMode>,
    pub page: Option<String>,
}

/// Names that steer, for hints. `_format` and `_pretty` are the HTTP edge's.
pub(super) const NAMES: [&str; 10] =
    ["_include", "_revinclude", "_sort", "_count", "_summary", "_elements", "_total", "_page", "_format", "_pretty"];

impl Controls {
    /// Takes `name=value` if it steers; whether it did.
    pub fn take(&mut self, name: &str, value: &str) -> Result<bool, Fault> {
        match name {
            "_count" => {
                let count = value.parse::<usize>().map_err(|_| Fault::value(value, "a whole number is expected, as in _count=50"))?;
                self.is_count_only |= count == 0;
                once(&mut self.count, count.clamp(1, limits::PAGE_COUNT_MAX))?;
            }
            "_summary" => {
                let modes = [
                    ("true", Summary::True),
                    ("text", Summary::Text),
                    ("data", Summary::Data),
                    ("count", Summary::Count),
                    ("false", Summary::False),
                ];
                let summary = one_of(value, &modes)?;
                self.is_count_only |= summary == Summary::Count;
                once(&mut self.summary, summary)?;
            }
            "_total" => {
                let modes = [("none", TotalMode::None), ("estimate", TotalMode::Estimate), ("accurate", TotalMode::Accurate)];
                once(&mut self.total, one_of(value, &modes)?)?;
            }
            "_elements" => once(&mut self.elements, elements(value)?)?,
            "_page" => once(&mut self.page, value.to_owned())?,
            // The HTTP edge reads these.
            "_format" | "_pretty" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Fault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::invalid("is given more than once; give it once")),
    }
}

fn one_of<T: Copy>(value: &str, modes: &[(&str, T)]) -> Result<T, Fault> {
    modes.iter().find(|(name, _)| *name == value).map(|(_, mode)| *mode).ok_or_else(|| {
        let names = || modes.iter().map(|(name, _)| *name);
        Fault::value(value, format_args!("it can be {}{}", listed(names()), did_you_mean(value, names())))
    })
}

fn elements(value: &str) -> Result<Vec<String>, Fault> {
    let names = alternatives(value)?;
    if names.len() > ELEMENTS_MAX {
        return Err(Fault::costly(format!("{} elements are named; at most {ELEMENTS_MAX} are allowed", names.len())));
    }
    let name = |text: &str| {
        let name = unescape(text.trim());
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'[' | b']'));
        if is_name { Ok(name) } else { Err(Fault::value(text, "the name of an element is expected, as in _elements=id,name")) }
    };
    names.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Controls, Fault> {
        let mut controls = Controls::default();
        for (name, value) in pairs {
            assert!(controls.take(name, value)?, "{name}");
        }
        Ok(controls)
    }

    #[test]
    fn what_steers_is_read() {
        let controls = read(&[("_count", "7"), ("_summary", "data"), ("_total", "accurate"), ("_elements", "id,name"), ("_page", "x")]);
        let expected = Controls {
            count: Some(7),
            is_count_only: false,
            summary: Some(Summary::Data),
            elements: Some(vec!["id".to_owned(), "name".to_owned()]),
            total: Some(TotalMode::Accurate),
            page: Some("x".to_owned()),
        };
        assert_eq!(controls, Ok(expected));
        assert_eq!(read(&[("_count", "1000000")]).unwrap().count, Some(limits::PAGE_COUNT_MAX));
        assert!(read(&[("_count", "0")]).unwrap().is_count_only);
        assert!(read(&[("_summary", "count")]).unwrap().is_count_only);
        assert_eq!(Controls::default().take("code", "x"), Ok(false));
    }

    #[test]
    fn what_cannot_be_read_or_is_said_twice_is_refused() {
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&[("_count", "-1")], "whole number"),
            (&[("_count", "1"), ("_count", "2")], "more than once"),
            (&[("_summary", "fales")], "did you mean 'false'"),
            (&[("_total", "all")], "none, estimate and accurate"),
            (&[("_elements", "a,,b")], "comma"),
            (&[("_elements", "1x")], "name of an element"),
        ];
        for (pairs, expected) in cases {
            let fault = read(pairs).unwrap_err();
            assert!(fault.text.contains(expected), "{pairs:?}: {}", fault.text);
        }
    }
}
