//! Random histories and purges, compared with a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use lethe_jobs::JobState;
use lethe_purge::{Counts, Selection};
use serde_json::{Value, json};

use crate::{Backend, Harness, harness::types};

const TYPES: [&str; 4] = ["Patient", "Media", "Binary", "Provenance"];
const IDS: u64 = 4;

/// One resource in the model.
#[derive(Clone, Debug, Default)]
struct Modeled {
    /// References of each version, oldest first; `None` is a deletion.
    versions: Vec<Option<BTreeSet<String>>>,
    /// When the last was written, in steps.
    written: u64,
}

impl Modeled {
    fn is_deleted(&self) -> bool {
        self.versions.last().is_none_or(Option::is_none)
    }
}

type Model = BTreeMap<String, Modeled>;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn reference(&mut self, names: &[&str]) -> String {
        let name = names[self.below(names.len() as u64) as usize];
        format!("{name}/{}", self.below(IDS))
    }
}

/// What must go, by the contract's words: targets, then the largest set of companions.
fn must_go(model: &Model, selection: &Selection, before: u64) -> BTreeSet<String> {
    let selects = |reference: &str, resource: &Modeled| {
        let name = reference.split_once('/').unwrap().0;
        selection.types.as_ref().is_none_or(|types| types.iter().any(|selected| selected.name() == name))
            && resource.written < before
            && (selection.include_deleted || !resource.is_deleted())
    };
    let targets: BTreeSet<String> =
        model.iter().filter(|(reference, resource)| selects(reference, resource)).map(|(reference, _)| reference.clone()).collect();
    let neighbours = |reference: &str| -> BTreeSet<String> {
        if reference.starts_with("Provenance/") {
            model[reference].versions.last().cloned().flatten().unwrap_or_default()
        } else {
            let refers = |resource: &Modeled| resource.versions.iter().flatten().any(|references| references.contains(reference));
            model.iter().filter(|(_, resource)| refers(resource)).map(|(referrer, _)| referrer.clone()).collect()
        }
    };
    let mut companions: BTreeSet<String> = model
        .iter()
        .filter(|(reference, resource)| {
            (reference.starts_with("Provenance/") || reference.starts_with("Binary/"))
                && !resource.is_deleted()
                && !targets.contains(*reference)
        })
        .map(|(reference, _)| reference.clone())
        .collect();
    loop {
        let before = companions.clone();
        // Strike out whoever something remaining keeps.
        let goes = |reference: &String| targets.contains(reference) || before.contains(reference);
        companions.retain(|companion| !neighbours(companion).iter().any(|near| model.contains_key(near) && !goes(near)));
        // Strike out whoever is not tied to a target, be it through others.
        let mut tied = targets.clone();
        while let Some(next) =
            companions.iter().find(|companion| !tied.contains(*companion) && neighbours(companion).iter().any(|near| tied.contains(near)))
        {
            tied.insert(next.clone());
        }
        companions.retain(|companion| tied.contains(companion));
        if companions == before {
            return targets.union(&companions).cloned().collect();
        }
    }
}

struct Run<'a, B: Backend> {
    harness: &'a Harness<B>,
    random: Random,
    model: Model,
    step: u64,
    log: Vec<String>,
}

impl<B: Backend> Run<'_, B> {
    async fn write(&mut self) {
        self.step += 1;
        self.harness.clock.advance_ms(1);
        let reference = self.random.reference(&TYPES);
        let (name, id) = reference.split_once('/').unwrap();
        let mut references = BTreeSet::new();
        if self.random.below(5) == 0 {
            if self.model.get(&reference).is_none_or(Modeled::is_deleted) {
                return;
            }
            self.harness.delete(&reference).await;
            self.log.push(format!("delete {reference}"));
        } else {
            for _ in 0..self.random.below(3) {
                references.insert(self.random.reference(&["Patient", "Media", "Binary", "Provenance"]));
            }
            let linked: Vec<Value> = references.iter().map(|reference| json!({ "reference": reference })).collect();
            let element = if name == "Provenance" { "target" } else { "link" };
            self.harness.put(json!({"resourceType": name, "id": id, element: linked})).await;
            self.log.push(format!("put {reference} → {references:?}"));
        }
        let is_delete = self.log.last().is_some_and(|line| line.starts_with("delete"));
        let resource = self.model.entry(reference.clone()).or_default();
        resource.versions.push(if is_delete { None } else { Some(references) });
        resource.written = self.step;
    }

    async fn purge(&mut self) {
        let mut selection = Selection { include_deleted: self.random.below(3) == 0, ..Selection::default() };
        if self.random.below(4) > 0 {
            let first = TYPES[self.random.below(4) as usize];
            let second = TYPES[self.random.below(4) as usize];
            selection.types = types(&[first, second]).types;
        }
        let before = if self.random.below(3) == 0 { self.random.below(self.step + 1) + 1 } else { u64::MAX };
        if before != u64::MAX {
            selection.before = Some(lethe_fhir::Instant::from_unix_ms(1_704_067_200_000 + before as i64));
        }
        self.log.push(format!("purge {selection:?}"));
        let expected = must_go(&self.model, &selection, before);
        let job = self.harness.purge(selection).await;
        let deleted = expected.len() as u64;
        assert_eq!(
            (job.state, job.totals()),
            (JobState::Successful, Counts { planned: deleted, deleted, ..Counts::default() }),
            "{:#?}\nexpected {expected:?}",
            self.log
        );
        self.model.retain(|reference, _| !expected.contains(reference));
        for name in TYPES {
            for id in 0..IDS {
                let reference = format!("{name}/{id}");
                let stored = self.harness.history(&reference).await.len();
                let modeled = self.model.get(&reference).map_or(0, |resource| resource.versions.len());
                assert_eq!(stored, modeled, "{reference} after {:#?}", self.log);
            }
        }
    }
}

pub async fn random_histories_and_purges_agree_with_the_model<B: Backend>(first: Harness<B>) {
    drop(first);
    // LETHE_SUITE_SEEDS=1000 looks harder; the seed is the first line of what a failure prints.
    let seeds = std::env::var("LETHE_SUITE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(25_u64);
    for seed in 1..=seeds {
        let harness = Harness::<B>::open().await;
        let mut run = Run {
            harness: &harness,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            model: Model::new(),
            step: 0,
            log: vec![format!("seed {seed}")],
        };
        for _ in 0..4 {
            for _ in 0..run.random.below(25) {
                run.write().await;
            }
            run.purge().await;
        }
        harness.assert_bystander_is_whole().await;
    }
}
