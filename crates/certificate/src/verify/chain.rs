//! Whether certificates follow each other as their store made them.

use std::collections::BTreeMap;

use super::{Checked, Fault};

/// A certificate of the chain and where it was found.
struct Link<'a> {
    place: usize,
    number: u64,
    checked: &'a Checked,
}

/// Looks at certificates together. `files` are the ones of each file, in its order; `before` is one that comes before them all, verified, and
/// is no part of the answer. Each fault comes with the place of the certificate that has it, counted through all files.
#[must_use]
pub fn check_chain(files: &[Vec<Checked>], before: Option<&Checked>) -> Vec<(usize, Fault)> {
    let mut faults = Vec::new();
    let mut by_number: BTreeMap<u64, Link<'_>> = BTreeMap::new();
    let store = before.into_iter().chain(files.iter().flatten()).find_map(|checked| Some(checked.certificate.as_ref()?.store.clone()));
    let mut place = 0;
    for file in files {
        let mut last = None;
        for checked in file {
            let here = place;
            place += 1;
            let Some(certificate) = &checked.certificate else { continue };
            let number = certificate.number;
            if let Some(expected) = store.as_ref().filter(|store| **store != certificate.store) {
                faults.push((here, Fault::ForeignStore { number, store: certificate.store.clone(), expected: expected.clone() }));
                continue;
            }
            if (number == 1) != certificate.previous.is_none() || number == 0 {
                faults.push((here, Fault::WrongBeginning(number)));
            }
            if let Some(replaces) = certificate.replaces.filter(|replaces| *replaces >= number) {
                faults.push((here, Fault::ReplacesLater { number, replaces }));
            }
            if let Some(after) = last.filter(|after| *after > number) {
                faults.push((here, Fault::OutOfOrder { number, after }));
            }
            last = Some(number);
            let known =
                before.filter(|before| number_of(before) == Some(number)).or_else(|| by_number.get(&number).map(|link| link.checked));
            match known {
                Some(known) if known.hash == checked.hash => faults.push((here, Fault::Twice(number))),
                Some(_) => faults.push((here, Fault::Fork(number))),
                None => drop(by_number.insert(number, Link { place: here, number, checked })),
            }
        }
    }
    let bad: Vec<u64> =
        files.iter().flatten().filter(|checked| checked.certificate.is_none()).filter_map(|checked| checked.claimed).collect();
    let mut previous: Option<(u64, &str)> = before.and_then(|before| Some((number_of(before)?, before.hash.as_str())));
    for link in by_number.values() {
        if let Some((number, hash)) = previous {
            faults.extend(follows(number, hash, link, &bad).map(|fault| (link.place, fault)));
        }
        previous = Some((link.number, &link.checked.hash));
    }
    faults.sort_by_key(|(place, _)| *place);
    faults
}

/// The lowest number among certificates: what came before it was not looked at.
#[must_use]
pub fn first_number(files: &[Vec<Checked>]) -> Option<u64> {
    files.iter().flatten().filter_map(number_of).min()
}

fn number_of(checked: &Checked) -> Option<u64> {
    checked.certificate.as_ref().map(|certificate| certificate.number)
}

fn follows(number: u64, hash: &str, link: &Link<'_>, bad: &[u64]) -> Option<Fault> {
    let next = number.checked_add(1)?;
    if link.number == next {
        let named = link.checked.certificate.as_ref().and_then(|certificate| certificate.previous.as_deref());
        return (named != Some(hash)).then_some(Fault::ChainBroken(link.number));
    }
    if link.number < next {
        return Some(Fault::OutOfOrder { number: link.number, after: number });
    }
    // One that is there and bad has had its fault told already.
    let is_missing = |wanted: &u64| !bad.contains(wanted);
    let between = next..link.number;
    if between.end - between.start > bad.len() as u64 || between.clone().any(|wanted| is_missing(&wanted)) {
        return Some(Fault::Missing { from: between.clone().find(is_missing)?, to: between.rev().find(is_missing)? });
    }
    None
}
