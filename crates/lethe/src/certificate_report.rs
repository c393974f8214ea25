//! What was found wrong with certificates, as it is told.

use lethe_certificate::{
    document::Certificate,
    keys::KeySet,
    proof::{Proof, ProofFault},
    verify::{Checked, Fault, Signed, check, check_chain, first_number},
};
use serde_json::{Value, json};

use crate::terminal::{Paint, grouped};

/// A file and what was found in it.
pub(crate) type FoundFile = (String, Vec<Result<Signed, Fault>>);

/// What was found of one certificate.
pub(crate) struct Entry {
    place: String,
    certificate: Option<Certificate>,
    faults: Vec<Fault>,
}

/// What was found of all.
pub(crate) struct Report {
    entries: Vec<Entry>,
    /// What was not looked at.
    note: Option<String>,
    proof: Option<Result<String, ProofFault>>,
}

impl Report {
    /// Looks at every certificate by itself, then at all together.
    pub(crate) fn of(files: &[FoundFile], keys: &KeySet, previous: Option<&Checked>) -> Self {
        let mut entries = Vec::new();
        let mut checked = Vec::new();
        // The chain is counted through the certificates that could be read.
        let mut places = Vec::new();
        for (name, found) in files {
            let mut of_file = Vec::new();
            for (index, signed) in found.iter().enumerate() {
                let place = if found.len() == 1 { name.clone() } else { format!("{name}, certificate {}", index + 1) };
                let entry = match signed {
                    Err(fault) => Entry { place, certificate: None, faults: vec![fault.clone()] },
                    Ok(signed) => {
                        let checked = check(signed, keys);
                        let entry = Entry { place, certificate: checked.certificate.clone(), faults: checked.faults.clone() };
                        places.push(entries.len());
                        of_file.push(checked);
                        entry
                    }
                };
                entries.push(entry);
            }
            checked.push(of_file);
        }
        for (place, fault) in check_chain(&checked, previous) {
            if let Some(entry) = places.get(place).and_then(|place| entries.get_mut(*place)) {
                entry.faults.push(fault);
            }
        }
        let note = first_number(&checked)
            .filter(|first| *first > 1 && previous.is_none())
            .map(|first| format!("the chain was looked at from number {first} on; --previous takes the certificate before it"));
        Self { entries, note, proof: None }
    }

    /// Looks whether a proof leads to any of the certificates.
    pub(crate) fn check_proof(&mut self, proof: &Result<Proof, ProofFault>, resource: Option<&str>) {
        let checked = proof.clone().and_then(|proof| {
            let sound = self.entries.iter().filter(|entry| entry.faults.is_empty()).filter_map(|entry| entry.certificate.as_ref());
            let mut fault = ProofFault::OtherJob { proof: proof.job.clone(), certificate: "none of the sound ones".to_owned() };
            for certificate in sound {
                match proof.check(resource, certificate) {
                    Ok(()) => {
                        return Ok(format!(
                            "{} of user {} was among the deleted of number {}",
                            proof.resource, proof.user_id, certificate.number
                        ));
                    }
                    // One of another job says nothing about this one.
                    Err(ProofFault::OtherJob { .. }) => {}
                    Err(other) => fault = other,
                }
            }
            Err(fault)
        });
        self.proof = Some(checked);
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_sound(&self) -> bool {
        self.entries.iter().all(|entry| entry.faults.is_empty()) && self.proof.as_ref().is_none_or(Result::is_ok)
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Value {
        let entries: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                let faults: Vec<String> = entry.faults.iter().map(ToString::to_string).collect();
                let certificate = entry.certificate.as_ref();
                json!({
                    "place": entry.place,
                    "number": certificate.map(|certificate| certificate.number),
                    "job": certificate.map(|certificate| certificate.destruction.id.clone()),
                    "faults": faults,
                })
            })
            .collect();
        let proof = self.proof.as_ref().map(|proof| match proof {
            Ok(proven) => json!({ "proven": proven }),
            Err(fault) => json!({ "fault": fault.to_string() }),
        });
        json!({ "isSound": self.is_sound(), "certificates": entries, "note": self.note, "proof": proof })
    }

    /// Line by line, for people.
    pub(crate) fn print(&self) {
        let paint = Paint::for_stdout();
        for entry in &self.entries {
            if entry.faults.is_empty() {
                let said = entry.certificate.as_ref().map(summary).unwrap_or_default();
                println!("{} {}: {said}", paint.good("✓"), entry.place);
            }
            for fault in &entry.faults {
                println!("{} {}: {fault}", paint.bad("✗"), entry.place);
            }
        }
        match &self.proof {
            Some(Ok(proven)) => println!("{} {proven}", paint.good("✓")),
            Some(Err(fault)) => println!("{} {fault}", paint.bad("✗")),
            None => {}
        }
        if let Some(note) = &self.note {
            println!("{} {note}", paint.dim("–"));
        }
    }
}

/// What a certificate says, in a line.
pub(crate) fn summary(certificate: &Certificate) -> String {
    let total = &certificate.counts.total;
    let outcome = serde_json::to_value(certificate.destruction.outcome).unwrap_or_default();
    format!(
        "number {}, job {}, {}: {} of {} resources destroyed with {} versions",
        certificate.number,
        certificate.destruction.id,
        outcome.as_str().unwrap_or_default(),
        grouped(total.deleted),
        grouped(total.planned),
        grouped(total.deleted_versions)
    )
}
