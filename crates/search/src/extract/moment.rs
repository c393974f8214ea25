//! Dates, periods and timings.

use lethe_fhir::{FhirDate, FhirDateError, Instant};
use serde_json::{Map, Value};

use super::read::{each, text_of};
use crate::definitions::Datatype;

/// A date, dateTime or instant; without a time zone it is taken as UTC.
pub(super) fn date(text: &str) -> Option<FhirDate> {
    match text.parse() {
        Ok(date) => Some(date),
        Err(FhirDateError::NoTimeZone(_)) => format!("{text}Z").parse().ok(),
        Err(FhirDateError::Malformed(_)) => None,
    }
}

/// A period or a timing. An end that is not given is open; `None` if nothing is given.
pub(super) fn span(object: &Map<String, Value>, datatype: Datatype) -> Option<(Option<Instant>, Option<Instant>)> {
    match datatype {
        Datatype::Period => period(object),
        Datatype::Timing => timing(object),
        _ => None,
    }
}

fn period(period: &Map<String, Value>) -> Option<(Option<Instant>, Option<Instant>)> {
    let low = text_of(period, "start").and_then(date).map(|start| start.low);
    let high = text_of(period, "end").and_then(date).map(|end| end.high);
    (low.is_some() || high.is_some()).then_some((low, high))
}

/// From the first to the last that it names: events, and the bounds of a repetition.
fn timing(timing: &Map<String, Value>) -> Option<(Option<Instant>, Option<Instant>)> {
    let bounds = timing.get("repeat").and_then(|repeat| repeat.get("boundsPeriod")).and_then(Value::as_object);
    let mut span = bounds.and_then(period);
    each(timing.get("event"), &mut |event| {
        if let Some(event) = event.as_str().and_then(date) {
            span = Some(match span {
                None => (Some(event.low), Some(event.high)),
                // An open end stays open.
                Some((low, high)) => (low.map(|low| low.min(event.low)), high.map(|high| high.max(event.high))),
            });
        }
    });
    span
}
