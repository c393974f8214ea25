//! Random histories, holds and purges, compared with a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use lethe_jobs::JobState;
use lethe_purge::{Counts, Selection, holds::HoldTarget};
use lethe_store::{HoldId, JobId, KickOff, NewPurge, NextBatch, Preview};
use serde_json::{Value, json};

use crate::{
    Backend, Harness,
    harness::{local, types},
    previews::preview,
};

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

    /// Ids of the patients in whose compartments it is, by what it last said.
    fn patients(&self, reference: &str) -> BTreeSet<String> {
        let (name, own) = reference.split_once('/').unwrap();
        let said = self.versions.iter().rev().flatten().next().cloned().unwrap_or_default();
        let mut named = said.iter().filter_map(|to| to.strip_prefix("Patient/")).map(str::to_owned);
        match name {
            "Patient" => BTreeSet::from([own.to_owned()]),
            "Provenance" => named.collect(),
            "Media" => named.next().into_iter().collect(),
            _ => BTreeSet::new(),
        }
    }

    fn is_kept_by(&self, reference: &str, hold: &HoldTarget) -> bool {
        match hold {
            HoldTarget::Account => true,
            HoldTarget::Patient(id) => self.patients(reference).contains(id.as_str()),
            HoldTarget::Resource(resource_type, id) => reference == format!("{resource_type}/{id}"),
        }
    }
}

type Model = BTreeMap<String, Modeled>;

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
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

/// What the selection takes, on hold or not.
fn selected(model: &Model, selection: &Selection, before: u64) -> BTreeSet<String> {
    let selects = |reference: &str, resource: &Modeled| {
        let name = reference.split_once('/').unwrap().0;
        selection.types.as_ref().is_none_or(|types| types.iter().any(|selected| selected.name() == name))
            && resource.written < before
            && (selection.include_deleted || !resource.is_deleted())
    };
    model.iter().filter(|(reference, resource)| selects(reference, resource)).map(|(reference, _)| reference.clone()).collect()
}

/// What holds keep.
fn held(model: &Model, holds: &[(HoldId, HoldTarget)]) -> BTreeSet<String> {
    let is_kept = |reference: &str, resource: &Modeled| holds.iter().any(|(_, hold)| resource.is_kept_by(reference, hold));
    model.iter().filter(|(reference, resource)| is_kept(reference, resource)).map(|(reference, _)| reference.clone()).collect()
}

/// What must go, by the contract's words: the targets that are not on hold, then the largest set of companions.
fn must_go(model: &Model, selected: &BTreeSet<String>, held: &BTreeSet<String>) -> BTreeSet<String> {
    let targets: BTreeSet<String> = selected.difference(held).cloned().collect();
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
                && !selected.contains(*reference)
                && !held.contains(*reference)
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
    holds: Vec<(HoldId, HoldTarget)>,
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
            let mut resource = json!({"resourceType": name, "id": id, element: linked});
            if let Some(patient) = references.iter().find(|reference| name == "Media" && reference.starts_with("Patient/")) {
                resource["subject"] = json!({ "reference": patient });
            }
            self.harness.put(resource).await;
            self.log.push(format!("put {reference} → {references:?}"));
        }
        let is_delete = self.log.last().is_some_and(|line| line.starts_with("delete"));
        let resource = self.model.entry(reference.clone()).or_default();
        resource.versions.push(if is_delete { None } else { Some(references) });
        resource.written = self.step;
    }

    /// Sets a hold, or lifts one.
    async fn change_holds(&mut self) {
        if !self.holds.is_empty() && self.random.below(2) == 0 {
            let index = self.random.below(self.holds.len() as u64) as usize;
            let (hold_id, target) = self.holds.remove(index);
            self.harness.lift(hold_id).await;
            self.log.push(format!("lift {target:?}"));
            return;
        }
        let target = match self.random.below(10) {
            0 => HoldTarget::Account,
            1..=5 => HoldTarget::Patient(self.random.below(IDS).to_string().parse().unwrap()),
            _ => {
                let (resource_type, id) = local(&self.random.reference(&TYPES));
                HoldTarget::Resource(resource_type, id)
            }
        };
        self.log.push(format!("hold {target:?}"));
        self.holds.push((self.harness.hold(target.clone()).await, target));
    }

    fn selection(&mut self) -> (Selection, u64) {
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
        (selection, before)
    }

    /// Holds stay as they are while the job runs: what becomes of each resource is known.
    async fn purge(&mut self) {
        let (selection, before) = self.selection();
        self.log.push(format!("purge {selection:?}"));
        let (selected, held) = (selected(&self.model, &selection, before), held(&self.model, &self.holds));
        let expected = must_go(&self.model, &selected, &held);
        let said = preview(self.harness, &self.harness.account, selection.clone()).await;
        let job_id = self.kick_off_as_previewed(selection, &said).await;
        self.harness.work().await;
        let job = self.harness.job(job_id).await;
        let versions: usize = expected.iter().map(|reference| self.model[reference].versions.len()).sum();
        assert_eq!(said.counts.iter().map(|(_, counts)| counts.versions).sum::<u64>(), versions as u64, "{:#?}", self.log);
        let (deleted, held) = (expected.len() as u64, selected.intersection(&held).count() as u64);
        assert_eq!(
            (job.state, job.totals()),
            (JobState::Successful, Counts { planned: deleted + held, deleted, held, ..Counts::default() }),
            "{:#?}\nexpected {expected:?}",
            self.log
        );
        self.model.retain(|reference, _| !expected.contains(reference));
        self.compare().await;
    }

    /// Starts what was previewed; and nothing else, if asked to.
    async fn kick_off_as_previewed(&mut self, selection: Selection, said: &Preview) -> JobId {
        let mut purge = NewPurge { expect: Some(said.digest), ..self.harness.new_purge(&self.harness.account, selection) };
        let other = NewPurge {
            selection: Selection { before: Some(lethe_fhir::Instant::from_unix_ms(0)), ..purge.selection.clone() },
            ..purge.clone()
        };
        assert!(matches!(self.harness.store().kick_off(&other).await.unwrap(), KickOff::Changed { .. }), "{:#?}", self.log);
        if self.random.below(3) == 0 {
            purge.expect = None;
        }
        match self.harness.store().kick_off(&purge).await.unwrap() {
            KickOff::Started(job) => job.job_id,
            other => panic!("{other:?} after {:#?}", self.log),
        }
    }

    /// Holds are set and lifted between the batches.
    async fn purge_with_changes(&mut self) {
        let (selection, before) = self.selection();
        self.log.push(format!("purge {selection:?}, step by step"));
        let (selected, held_at_plan) = (selected(&self.model, &selection, before), held(&self.model, &self.holds));
        let at_most = must_go(&self.model, &selected, &held_at_plan);
        let job_id = self.harness.kick_off(selection).await;
        let store = self.harness.store();
        let lease = store.claim_purge().await.unwrap().expect("a job waits").lease;
        self.harness.plan(&lease).await;
        let mut ever_held = BTreeSet::new();
        // What was there when a hold on it was set, and is on hold since.
        let mut kept: Vec<(HoldId, BTreeSet<String>)> = Vec::new();
        loop {
            match store.claim_batch(&lease).await.unwrap() {
                NextBatch::Run(batch) => {
                    self.log.push(format!("batch {}", batch.batch));
                    store.purge_batch(&lease, batch).await.unwrap();
                }
                NextBatch::PrepareCompanions => store.prepare_companions(&lease).await.unwrap(),
                NextBatch::Drained => break,
                other => panic!("{other:?}"),
            }
            if self.random.below(3) == 0 {
                let known: BTreeSet<HoldId> = self.holds.iter().map(|(hold_id, _)| *hold_id).collect();
                self.change_holds().await;
                for (hold_id, target) in self.holds.iter().filter(|(hold_id, _)| !known.contains(hold_id)) {
                    let mut there = BTreeSet::new();
                    for reference in held(&self.model, &[(*hold_id, target.clone())]) {
                        if !self.harness.is_gone(&reference).await {
                            there.insert(reference);
                        }
                    }
                    ever_held.extend(there.iter().cloned());
                    kept.push((*hold_id, there));
                }
            }
        }
        store.release_leases().await.unwrap();
        self.harness.work().await;
        let job = self.harness.job(job_id).await;
        let mut gone = BTreeSet::new();
        for reference in self.model.keys() {
            if self.harness.is_gone(reference).await {
                gone.insert(reference.clone());
            }
        }
        let counts = job.totals();
        assert_eq!((job.state, counts.deleted, counts.is_balanced()), (JobState::Successful, gone.len() as u64, true), "{:#?}", self.log);
        assert!(gone.is_subset(&at_most), "{:?} went in {:#?}", gone.difference(&at_most), self.log);
        for (hold_id, there) in kept {
            let is_in_force = self.holds.iter().any(|(own, _)| *own == hold_id);
            assert!(!is_in_force || gone.is_disjoint(&there), "{:?} was on hold in {:#?}", gone.intersection(&there), self.log);
        }
        let must: BTreeSet<String> =
            selected.iter().filter(|target| !held_at_plan.contains(*target) && !ever_held.contains(*target)).cloned().collect();
        assert!(must.is_subset(&gone), "{:?} is left in {:#?}", must.difference(&gone), self.log);
        self.model.retain(|reference, _| !gone.contains(reference));
        self.compare().await;
    }

    /// What is stored is what the model has.
    async fn compare(&self) {
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
            holds: Vec::new(),
            step: 0,
            log: vec![format!("seed {seed}")],
        };
        for _ in 0..4 {
            for _ in 0..run.random.below(25) {
                run.write().await;
            }
            while run.random.below(3) == 0 {
                run.change_holds().await;
            }
            match run.random.below(3) {
                0 => run.purge_with_changes().await,
                _ => run.purge().await,
            }
        }
        harness.assert_bystander_is_whole().await;
    }
}
