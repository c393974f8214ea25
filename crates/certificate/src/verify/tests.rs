//! Tampering, told by its name.

use lethe_fhir::{Instant, ResourceType};
use lethe_purge::{Counts, Selection, Seq, certify::Residue};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    document::{Certificate, IssuerName, Level, Outcome},
    issue::{BatchTrees, Facts, certificate},
    jws,
    keys::{Jwk, KeySet, SigningKey},
    text::encode,
};

const ISSUED_MS: i64 = 1_700_000_000_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn keys(seeds: &[u8]) -> KeySet {
    KeySet { keys: seeds.iter().map(|seed| Jwk::new(key(*seed).public(), 0, None)).collect() }
}

fn facts(number: u64, previous: Option<&str>) -> Facts {
    let mut deleted = BatchTrees::new();
    deleted.push(2, &[1; 32]);
    deleted.push(1, &[2; 32]);
    let patient: ResourceType = "Patient".parse().unwrap();
    Facts {
        number,
        store: Uuid::from_u128(1),
        previous: previous.map(str::to_owned),
        replaces: None,
        ended_on: Instant::from_unix_ms(ISSUED_MS),
        job_id: Uuid::from_u128(u128::from(number)),
        client_id: "c1".to_owned(),
        client_name: "an application".to_owned(),
        account: Some(251),
        reason: Some("request 7".to_owned()),
        selection: Selection { types: Some(vec![patient]), ..Selection::default() },
        watermark: Seq(9),
        requested_on: Instant::from_unix_ms(ISSUED_MS - 5),
        planned_on: Some(Instant::from_unix_ms(ISSUED_MS - 3)),
        retry_count: 0,
        outcome: Outcome::Successful,
        failure: None,
        holds: Vec::new(),
        counts: vec![
            (ResourceType::BINARY, Counts { planned: 1, deleted: 1, ..Counts::default() }, 1),
            (patient, Counts { planned: 3, deleted: 2, spared: 1, ..Counts::default() }, 5),
        ],
        level: Level::Files,
        probe: Some(vec![Residue { residence: "version", rows: 0 }]),
        deleted,
    }
}

fn issuer() -> IssuerName {
    IssuerName {
        organization: Some("Clinic".to_owned()),
        location: Some("https://fhir.example.org".to_owned()),
        software: "Lethe".to_owned(),
        software_version: "0".to_owned(),
    }
}

fn unsigned() -> Certificate {
    certificate(issuer(), facts(1, None))
}

fn signed(certificate: &Certificate) -> Signed {
    Signed::bare(jws::sign(certificate, &key(1)).unwrap())
}

fn chain_of(length: u64) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    for number in 1..=length {
        let certificate = certificate(issuer(), facts(number, chain.last().map(String::as_str)));
        chain.push(jws::sign(&certificate, &key(1)).unwrap());
    }
    chain
}

/// The faults of one entry by itself.
fn alone(entry: &Signed) -> Vec<Fault> {
    check(entry, &keys(&[1])).faults
}

/// What `verify` finds in files: of each entry by itself, then of all together.
fn found(files: &[Vec<&str>]) -> Vec<Fault> {
    let checked: Vec<Vec<Checked>> =
        files.iter().map(|file| file.iter().map(|jws| check(&Signed::bare((*jws).to_owned()), &keys(&[1]))).collect()).collect();
    let own = checked.iter().flatten().flat_map(|checked| checked.faults.clone());
    own.chain(check_chain(&checked, None).into_iter().map(|(_, fault)| fault)).collect()
}

fn changed(change: impl FnOnce(&mut Certificate)) -> Vec<Fault> {
    let mut certificate = unsigned();
    change(&mut certificate);
    alone(&signed(&certificate))
}

#[test]
fn what_was_issued_is_sound_in_every_form() {
    let chain = chain_of(3);
    assert_eq!(found(&[chain.iter().map(String::as_str).collect()]), []);
    assert_eq!(found(&[vec![&chain[2]], vec![&chain[0]], vec![&chain[1]]]), [], "files may come in any order");
    let entry = Signed::bare(chain[0].clone());
    let parts: Vec<&str> = chain[0].split('.').collect();
    let flattened = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    let forms = [
        entry.to_json().to_string(),
        format!("{:#}", entry.to_json()),
        flattened.to_string(),
        format!("\"{}\"", chain[0]),
        format!("\n  {}\n", chain[0]),
    ];
    for form in forms {
        let read: Vec<Signed> = read(&form).into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(read.len(), 1, "{form}");
        assert_eq!(alone(&read[0]), [], "{form}");
    }
    let lines: String = chain.iter().map(|jws| format!("{}\n", Signed::bare(jws.clone()).to_json())).collect();
    assert_eq!(read(&lines).len(), 3);
    let said = check(&entry, &keys(&[1])).certificate.unwrap();
    assert_eq!(said, unsigned());
    assert_eq!((said.counts.total.planned, said.counts.total.deleted_versions, said.destruction.event.as_str()), (4, 6, "destroy"));
}

#[test]
fn no_character_can_be_changed() {
    let sound = signed(&unsigned()).jws;
    let dots: Vec<usize> = sound.match_indices('.').map(|(place, _)| place).collect();
    for place in 0..sound.len() {
        for other in ['A', '_', '.'] {
            let mut text: Vec<char> = sound.chars().collect();
            if text[place] == other {
                continue;
            }
            text[place] = other;
            let faults = alone(&Signed::bare(text.into_iter().collect()));
            let [fault] = &faults[..] else { panic!("{place}: {faults:?}") };
            let is_right = match fault {
                Fault::HeaderUnreadable | Fault::Algorithm(_) | Fault::OtherType(_) | Fault::UnknownKey(_) => place < dots[0],
                Fault::SignatureWrong(_) => other != '.',
                Fault::SignatureUnreadable => place > dots[1],
                Fault::Truncated => dots.contains(&place),
                Fault::NotACertificate(_) => other == '.',
                _ => false,
            };
            assert!(is_right, "{place} {other}: {fault:?}");
        }
    }
}

#[test]
fn wherever_it_is_cut_it_is_truncated() {
    let sound = signed(&unsigned());
    for length in 1..sound.jws.len() {
        let faults = alone(&Signed::bare(sound.jws[..length].to_owned()));
        assert!(matches!(faults[..], [Fault::Truncated | Fault::SignatureUnreadable]), "{length}: {faults:?}");
    }
    let chain = chain_of(2);
    let lines: String = chain.iter().map(|jws| format!("{}\n", Signed::bare(jws.clone()).to_json())).collect();
    for length in [lines.len() / 2 + 10, lines.len() - 2] {
        assert_eq!(read(&lines[..length]).last(), Some(&Err(Fault::Truncated)), "{length}");
    }
    assert_eq!(read(" \n"), [Err(Fault::Empty)]);
}

/// Every member of a document that has no members of its own, and its place.
fn leaves(value: &Value, place: &str) -> Vec<String> {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().flat_map(|(name, value)| leaves(value, &format!("{place}/{name}"))).collect()
        }
        _ => vec![place.to_owned()],
    }
}

#[test]
fn no_field_can_be_changed_in_what_is_signed_nor_in_the_copy() {
    let sound = signed(&unsigned());
    let document = serde_json::to_value(unsigned()).unwrap();
    let parts: Vec<&str> = sound.jws.split('.').collect();
    let all = leaves(&document, "");
    assert!(all.len() > 40, "{}", all.len());
    for place in all {
        let mut forged = document.clone();
        *forged.pointer_mut(&place).unwrap() = json!("forged");
        let payload = encode(forged.to_string());
        let faults = alone(&Signed::bare(format!("{}.{payload}.{}", parts[0], parts[2])));
        assert_eq!(faults, [Fault::SignatureWrong(key(1).public().id.clone())], "{place}");
        let faults = alone(&Signed { copy: Some(forged), ..sound.clone() });
        assert_eq!(faults, [Fault::CopyDiffers(place[1..].replace('/', "."))], "{place}");
    }
    let mut more = document.clone();
    more["counts"]["more"] = json!(1);
    assert_eq!(alone(&Signed { copy: Some(more), ..sound.clone() }), [Fault::CopyDiffers("counts.more".to_owned())]);
    assert_eq!(alone(&Signed { copy: Some(json!(7)), ..sound }), [Fault::CopyDiffers("its beginning".to_owned())]);
}

#[test]
fn another_key_another_algorithm_and_another_kind_of_jws_are_told_apart() {
    let certificate = unsigned();
    let forged = Signed::bare(jws::sign(&certificate, &key(2)).unwrap());
    assert_eq!(alone(&forged), [Fault::UnknownKey(key(2).public().id.clone())]);
    assert_eq!(check(&forged, &keys(&[1, 2])).faults, [], "the control: with its key it is sound");
    let with_header = |header: Value| {
        let signed = format!("{}.{}", encode(header.to_string()), encode(serde_json::to_vec(&certificate).unwrap()));
        let signature = encode(key(1).sign(signed.as_bytes()).unwrap());
        alone(&Signed::bare(format!("{signed}.{signature}")))
    };
    let id = key(1).public().id.clone();
    assert_eq!(with_header(json!({"alg": "EdDSA", "kid": id, "typ": TYPE})), [], "the control");
    for algorithm in ["none", "HS256", "ES256"] {
        assert_eq!(with_header(json!({"alg": algorithm, "kid": id, "typ": TYPE})), [Fault::Algorithm(algorithm.to_owned())]);
    }
    assert_eq!(with_header(json!({"alg": "EdDSA", "kid": id, "typ": "JWT"})), [Fault::OtherType("JWT".to_owned())]);
    assert_eq!(with_header(json!({"alg": "EdDSA", "kid": id, "typ": TYPE, "crit": ["b64"], "b64": false})), [Fault::HeaderUnreadable]);
    // One who puts his own key under our key's name.
    let mut lying = keys(&[2]);
    lying.keys[0].kid = Some(id.clone());
    assert_eq!(check(&signed(&certificate), &lying).faults, [Fault::UnknownKey(id)]);
}

#[test]
fn a_signed_certificate_that_contradicts_itself_is_found() {
    assert_eq!(changed(|_| {}), [], "the control");
    let of_patient = |planned, settled: &str| Fault::CountsDoNotAddUp { of: "Patient".to_owned(), planned, settled: settled.to_owned() };
    let patient = |certificate: &mut Certificate, change: fn(&mut crate::document::Numbers)| {
        change(certificate.counts.by_type.get_mut("Patient").unwrap());
        change(&mut certificate.counts.total);
    };
    assert_eq!(changed(|it| patient(it, |numbers| numbers.planned += 1)), [of_patient(4, "3")]);
    assert_eq!(changed(|it| patient(it, |numbers| numbers.held += 1)), [of_patient(3, "4")]);
    assert_eq!(changed(|it| it.counts.total.spared += 1), [Fault::TotalDiffers]);
    assert_eq!(changed(|it| it.deleted.resources += 1), [Fault::TreeDiffers { deleted: 3, in_tree: 4 }]);
    assert_eq!(changed(|it| it.deleted.batches = 0), [Fault::TreeDiffers { deleted: 3, in_tree: 3 }]);
    assert_eq!(
        changed(|it| patient(it, |numbers| numbers.deleted_versions -= 4)),
        [Fault::TooFewVersions { of: "Patient".to_owned(), versions: 1, deleted: 2 }]
    );
    assert_eq!(changed(|it| it.probe = None), [Fault::NotSuccessful("nobody looked for what should be gone".to_owned())]);
    let found = |it: &mut Certificate| assert_eq!(it.probe.as_mut().unwrap().residue.insert("reference".to_owned(), 2), None);
    assert_eq!(changed(found), [Fault::NotSuccessful("2 rows were found in 'reference'".to_owned())]);
    assert_eq!(
        changed(|it| patient(it, |numbers| {
            numbers.failed += 1;
            numbers.planned += 1;
        })),
        [Fault::NotSuccessful("1 resources failed".to_owned())]
    );
    assert_eq!(changed(|it| patient(it, |numbers| numbers.spared = u64::MAX))[0], of_patient(3, "more than there are"));
    // What was canceled has resources without an outcome, and nobody looked.
    let canceled = |it: &mut Certificate| {
        it.destruction.outcome = Outcome::Canceled;
        it.probe = None;
        patient(it, |numbers| numbers.planned += 7);
    };
    assert_eq!(changed(canceled), []);
    assert_eq!(
        changed(|it| it.format = "lethe-purge-certificate/2".to_owned()),
        [Fault::UnknownFormat("lethe-purge-certificate/2".to_owned())]
    );
}

#[test]
fn a_key_signs_in_its_time_only() {
    let at = |from_s, until_s| {
        let keys = KeySet { keys: vec![Jwk::new(key(1).public(), from_s, until_s)] };
        check(&signed(&unsigned()), &keys).faults
    };
    let issued_s = ISSUED_MS / 1_000;
    assert_eq!(at(issued_s, Some(issued_s)), []);
    assert_eq!(at(0, None), []);
    assert_eq!(at(issued_s + 60, None), [], "a rotation while it waited for the writer");
    assert_eq!(at(0, Some(issued_s - 60)), []);
    for (from, until) in [(issued_s + 61, None), (0, Some(issued_s - 61))] {
        assert!(matches!(at(from, until)[..], [Fault::KeyNotInUse { .. }]), "{from} {until:?}");
    }
}

#[test]
fn a_chain_that_was_tampered_with_says_where_and_how() {
    let chain = chain_of(5);
    let [one, two, three, four, five] = [0, 1, 2, 3, 4].map(|place: usize| chain[place].as_str());
    let (head, tail) = three.split_at(three.len() - 10);
    let bad = format!("{head}{}{}", if tail.starts_with('A') { 'B' } else { 'A' }, &tail[1..]);
    let bad_fault = |faults: Vec<Fault>| matches!(faults[..], [Fault::SignatureUnreadable | Fault::SignatureWrong(_)]);
    assert_eq!(found(&[vec![one, two, four, five]]), [Fault::Missing { from: 3, to: 3 }]);
    assert_eq!(found(&[vec![one, five]]), [Fault::Missing { from: 2, to: 4 }]);
    assert_eq!(found(&[vec![one, three, two]]), [Fault::OutOfOrder { number: 2, after: 3 }]);
    assert_eq!(found(&[vec![two, three]]), [], "a part of the chain is sound, too");
    assert_eq!(found(&[vec![one, two, two]]), [Fault::Twice(2)]);
    assert!(bad_fault(found(&[vec![one, two, &bad, four]])), "one that is bad is not called missing");
    // A forged third one, signed with the stolen key, but not the one that the fourth names.
    let mut other = facts(3, Some(two));
    other.reason = Some("another".to_owned());
    let other = jws::sign(&certificate(issuer(), other), &key(1)).unwrap();
    assert_eq!(found(&[vec![one, two, &other, four]]), [Fault::ChainBroken(4)]);
    assert_eq!(found(&[vec![one, two, three, &other]]), [Fault::Fork(3)]);
    let mut foreign = facts(2, Some(one));
    foreign.store = Uuid::from_u128(2);
    let foreign = jws::sign(&certificate(issuer(), foreign), &key(1)).unwrap();
    let expected = Fault::ForeignStore { number: 2, store: Uuid::from_u128(2).to_string(), expected: Uuid::from_u128(1).to_string() };
    assert_eq!(found(&[vec![one, &foreign]]), [expected]);
    let headless = jws::sign(&certificate(issuer(), facts(4, None)), &key(1)).unwrap();
    assert_eq!(found(&[vec![&headless]]), [Fault::WrongBeginning(4)]);
    let mut late = facts(1, None);
    late.replaces = Some(1);
    let late = jws::sign(&certificate(issuer(), late), &key(1)).unwrap();
    assert_eq!(found(&[vec![&late]]), [Fault::ReplacesLater { number: 1, replaces: 1 }]);
}

#[test]
fn a_certificate_before_them_anchors_the_rest() {
    let chain = chain_of(4);
    let checked = |jws: &String| check(&Signed::bare(jws.clone()), &keys(&[1]));
    let after = |places: &[usize]| {
        let files = [places.iter().map(|place| checked(&chain[*place])).collect::<Vec<_>>()];
        check_chain(&files, Some(&checked(&chain[1]))).into_iter().map(|(_, fault)| fault).collect::<Vec<_>>()
    };
    assert_eq!(after(&[2, 3]), []);
    assert_eq!(after(&[3]), [Fault::Missing { from: 3, to: 3 }]);
    assert_eq!(after(&[0]), [Fault::OutOfOrder { number: 1, after: 2 }]);
    assert_eq!(after(&[1]), [Fault::Twice(2)]);
    assert_eq!(first_number(&[vec![checked(&chain[2]), checked(&chain[1])]]), Some(2));
}

proptest! {
    #[test]
    fn no_input_panics(text in ".{0,300}", cut in 0_usize..2_000) {
        let sound = signed(&unsigned()).to_json().to_string();
        let cut = cut.min(sound.len());
        for text in [text.clone(), format!("{}{text}", &sound[..cut]), format!("{text}{}", &sound[cut..])] {
            for entry in read(&text).into_iter().flatten() {
                let _ = check(&entry, &keys(&[1]));
            }
            let _ = crate::proof::Proof::read(&text);
            let _ = KeySet::read(&text);
        }
    }
}
