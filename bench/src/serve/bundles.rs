//! Transactions as a generator of records sends them: every entry a POST, all of one patient, referring to each other by `urn:uuid`.

use std::collections::HashSet;

use lethe::population::{GeneratedChange, GeneratedKind, Population, PopulationRecords};

use super::{filled::Filled, server::Server};

/// What is sent.
#[derive(Clone, Copy)]
pub struct Kind {
    /// What it is called.
    pub name: &'static str,
    /// Entries of a Bundle.
    pub entries: usize,
    /// How many are sent at once.
    pub connections: usize,
}

/// Small ones tell how many commits an account gets, large ones how much fits into one.
pub const KINDS: [Kind; 2] =
    [Kind { name: "transactions of 1", entries: 1, connections: 16 }, Kind { name: "transactions of 33", entries: 33, connections: 8 }];

/// Bundles of patients that the account does not hold yet, none of them twice.
pub struct Bundles {
    pub kind: Kind,
    records: std::iter::Skip<PopulationRecords>,
}

impl Bundles {
    /// Of the patients that follow those in the account. Their practitioners and organizations are there.
    pub fn behind(filled: &Filled, kind: Kind) -> Self {
        Self { kind, records: Population::new(filled.seed, u64::MAX).records().skip(filled.records) }
    }

    /// The next `count` as whole requests.
    pub fn requests(&mut self, server: &Server, count: usize) -> Vec<Vec<u8>> {
        self.take(count).map(|bundle| server.post("/r4", &bundle)).collect()
    }
}

impl Iterator for Bundles {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.records.find_map(|record| bundle(record, self.kind.entries))
    }
}

/// The first `wanted` resources of a record, which refer to nothing behind them; `None` if it has fewer.
fn bundle(record: Vec<GeneratedChange>, wanted: usize) -> Option<String> {
    let mut seen = HashSet::new();
    let mut first = Vec::new();
    for GeneratedChange { resource_type, id, kind } in record {
        if let GeneratedKind::Put(json) = kind
            && seen.insert(id.clone())
        {
            first.push((resource_type, id, json));
        }
        if first.len() == wanted {
            break;
        }
    }
    let entries: Vec<String> = first
        .iter()
        .map(|(resource_type, id, json)| {
            let resource = refer_within(json, &seen);
            format!(r#"{{"fullUrl":"urn:uuid:{id}","resource":{resource},"request":{{"method":"POST","url":"{resource_type}"}}}}"#)
        })
        .collect();
    (entries.len() == wanted).then(|| format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#, entries.join(",")))
}

/// The JSON with `"Type/id"` replaced by `"urn:uuid:id"` wherever the id is among `ids`. A version that is named is not: what is created
/// has only one.
fn refer_within(json: &str, ids: &HashSet<String>) -> String {
    let mut text = String::with_capacity(json.len() + 256);
    // Every second piece is the inside of a string; the generator writes no escaped quotes but in narrative, where no reference stands.
    for (number, piece) in json.split('"').enumerate() {
        if number > 0 {
            text.push('"');
        }
        let id = piece.split_once('/').map(|(_, rest)| rest.strip_suffix("/_history/1").unwrap_or(rest));
        match id.filter(|id| ids.contains(*id)) {
            Some(id) => {
                text.push_str("urn:uuid:");
                text.push_str(id);
            }
            None => text.push_str(piece),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use lethe_fhir::bundle::{BundleKind, RequestBundle};

    use super::*;

    #[test]
    fn a_bundle_has_its_size_and_refers_to_its_own_entries_and_to_what_the_account_holds() {
        let filled = Filled::again(1, 1_000).unwrap();
        let staff = ["Practitioner", "Organization"];
        let known: HashSet<String> = filled
            .resources
            .iter()
            .filter(|(resource_type, _)| staff.contains(resource_type))
            .map(|(resource_type, id)| format!("{resource_type}/{id}"))
            .collect();
        let mut inner = 0;
        for bundle in Bundles::behind(&filled, KINDS[1]).take(50) {
            let parsed = RequestBundle::parse(bundle.as_bytes()).unwrap();
            assert_eq!((parsed.kind, parsed.entries.len()), (BundleKind::Transaction, 33));
            let names: HashSet<String> = parsed.entries.iter().filter_map(|entry| entry.full_url.clone()).collect();
            assert_eq!(names.len(), 33, "each has a name of its own");
            for piece in bundle.split(r#""reference":""#).skip(1) {
                let reference = piece.split('"').next().unwrap();
                inner += usize::from(names.contains(reference));
                assert!(names.contains(reference) || known.contains(reference), "{reference}");
            }
        }
        assert!(inner > 50 * 33, "{inner} references within");
    }

    #[test]
    fn none_is_of_a_patient_that_the_account_holds_already() {
        let filled = Filled::again(1, 1_000).unwrap();
        let stored: HashSet<&str> = filled.resources.iter().map(|(_, id)| id.as_str()).collect();
        for bundle in Bundles::behind(&filled, KINDS[1]).take(20) {
            let ids = bundle.split(r#""fullUrl":"urn:uuid:"#).skip(1).filter_map(|piece| piece.split('"').next());
            assert_eq!(ids.filter(|id| stored.contains(id)).count(), 0);
        }
    }
}
