//! Whether a certificate that is signed contradicts itself, its key or the copy that came with it.

use lethe_fhir::{FhirDate, Instant};
use serde_json::Value;

use super::{Fault, Signed};
use crate::{
    document::{Certificate, Numbers, Outcome},
    keys::KeySet,
};

/// Between the time that stands in a certificate and the moment when it is signed, the writer is waited for; a rotation may come between.
const TOLERANCE_MS: i64 = 60_000;

pub(super) fn faults(certificate: &Certificate, signed: &Signed, keys: &KeySet) -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(copy(certificate, signed));
    faults.extend(key_time(certificate, signed, keys));
    faults.extend(sums(certificate));
    faults.extend(success(certificate));
    faults
}

fn copy(certificate: &Certificate, signed: &Signed) -> Option<Fault> {
    let copy = signed.copy.as_ref()?;
    let content = serde_json::to_value(certificate).ok()?;
    difference(&content, copy, String::new()).map(Fault::CopyDiffers)
}

/// Where two documents differ first.
fn difference(left: &Value, right: &Value, place: String) -> Option<String> {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let below = |name: &String| if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            let changed = left.iter().find_map(|(name, value)| match right.get(name) {
                None => Some(below(name)),
                Some(other) => difference(value, other, below(name)),
            });
            changed.or_else(|| right.keys().find(|name| !left.contains_key(*name)).map(below))
        }
        _ => (left != right).then_some(if place.is_empty() { "its beginning".to_owned() } else { place }),
    }
}

fn key_time(certificate: &Certificate, signed: &Signed, keys: &KeySet) -> Option<Fault> {
    let header = super::read_header(signed.jws.split('.').next()?).ok()?;
    let (_, jwk) = keys.find(&header.kid)?;
    let issued_ms = certificate.issued_on.parse::<FhirDate>().ok()?.low.as_unix_ms();
    let (from_ms, until_ms) = (jwk.nbf.map(|from| from.saturating_mul(1_000)), jwk.exp.map(|until| until.saturating_mul(1_000)));
    let is_in_use = from_ms.is_none_or(|from| from.saturating_sub(TOLERANCE_MS) <= issued_ms)
        && until_ms.is_none_or(|until| issued_ms <= until.saturating_add(TOLERANCE_MS));
    let shown = |ms: Option<i64>| ms.map_or_else(|| "…".to_owned(), |ms| Instant::from_unix_ms(ms).to_string());
    (!is_in_use).then(|| Fault::KeyNotInUse { issued_on: certificate.issued_on.clone(), from: shown(from_ms), until: shown(until_ms) })
}

fn sums(certificate: &Certificate) -> Vec<Fault> {
    let counts = &certificate.counts;
    let is_complete = certificate.destruction.outcome != Outcome::Canceled;
    let mut faults: Vec<Fault> = Vec::new();
    for (resource_type, numbers) in &counts.by_type {
        let settled = numbers.settled();
        let adds_up = settled.is_some_and(|settled| if is_complete { settled == numbers.planned } else { settled <= numbers.planned });
        if !adds_up {
            let settled = settled.map_or_else(|| "more than there are".to_owned(), |settled| settled.to_string());
            faults.push(Fault::CountsDoNotAddUp { of: resource_type.clone(), planned: numbers.planned, settled });
        }
        if numbers.deleted_versions < numbers.deleted {
            let Numbers { deleted, deleted_versions, .. } = *numbers;
            faults.push(Fault::TooFewVersions { of: resource_type.clone(), versions: deleted_versions, deleted });
        }
    }
    let sum = counts.by_type.values().try_fold(Numbers::default(), |sum, numbers| sum.checked_add(*numbers));
    if sum != Some(counts.total) {
        faults.push(Fault::TotalDiffers);
    }
    let tree = &certificate.deleted;
    if tree.resources != counts.total.deleted || tree.batches > tree.resources || (tree.batches == 0) != (tree.resources == 0) {
        faults.push(Fault::TreeDiffers { deleted: counts.total.deleted, in_tree: tree.resources });
    }
    faults
}

fn success(certificate: &Certificate) -> Option<Fault> {
    if certificate.destruction.outcome != Outcome::Successful {
        return None;
    }
    let failed = certificate.counts.total.failed;
    let residue = certificate.probe.as_ref().map(|probe| probe.residue.iter().find(|(_, rows)| **rows > 0));
    let why = match residue {
        _ if failed > 0 => format!("{failed} resources failed"),
        None => "nobody looked for what should be gone".to_owned(),
        Some(Some((residence, rows))) => format!("{rows} rows were found in '{residence}'"),
        Some(None) => return None,
    };
    Some(Fault::NotSuccessful(why))
}
