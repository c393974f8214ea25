//! Writers while a purge begins, and while it runs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use lethe_jobs::JobState;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Backend, Harness,
    harness::{account_of, delete, everything, put},
    model::Random,
};

/// Many writers create resources while purges are kicked off again and again. Whatever was written before a kick-off was asked for is gone
/// after it, whatever was written after it was answered stays, and nothing is lost or counted twice.
pub async fn writers_cannot_slip_under_the_watermark<B: Backend>(harness: Harness<B>) {
    let harness = harness.with_batches_of(200);
    let mut created_in_all = 0;
    for round in 0..4 {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for writer in 0..16 {
            let (store, account, is_over) = (harness.store(), account_of(&harness.account), Arc::clone(&is_over));
            writers.spawn(async move {
                let mut created = 0_u64;
                while !is_over.load(Ordering::SeqCst) && created < 500 {
                    let json = json!({"resourceType": "Patient", "id": format!("r{round}-w{writer}-{created}")});
                    store.write(account, vec![put(json)]).await.unwrap();
                    created += 1;
                }
                created
            });
        }
        harness.put(json!({"resourceType": "Basic", "id": format!("before-{round}")})).await;
        let job_id = harness.kick_off(everything()).await;
        harness.put(json!({"resourceType": "Basic", "id": format!("after-{round}")})).await;
        harness.work().await;
        is_over.store(true, Ordering::SeqCst);
        created_in_all += writers.join_all().await.iter().sum::<u64>() + 2;

        let job = harness.job(job_id).await;
        let counts = job.totals();
        assert_eq!(job.state, JobState::Successful);
        assert_eq!((counts.spared, counts.planned), (0, counts.deleted), "nothing was updated, so nothing is spared");
        created_in_all -= counts.deleted;
        let left = harness.store().totals(&harness.account).await.unwrap().iter().map(|(_, resources)| resources).sum::<u64>();
        assert_eq!(left, created_in_all, "round {round}: what was written and not deleted is there");
        assert!(harness.is_gone(&format!("Basic/before-{round}")).await);
        assert!(harness.read(&format!("Basic/after-{round}")).await.is_some());
    }
    harness.assert_bystander_is_whole().await;
}

/// One write that its writer was told of.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The content; `None` for a delete.
    content: Option<u64>,
    /// The version that it made.
    version: u64,
    /// Whether it was asked for only after the kick-off had been answered.
    is_after: bool,
    /// Whether it was answered before the kick-off was asked for.
    is_before: bool,
}

/// Writers of one id each create, update, delete and create again as fast as they can while the account is purged. What each was told decides what
/// must be there at the end: version numbers begin anew where the purge came between two writes, at most once.
pub async fn writers_at_full_speed_agree_with_the_model<B: Backend>(first: Harness<B>) {
    drop(first);
    let seeds = std::env::var("LETHE_SUITE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4_u64);
    let mut purged_between = 0;
    for seed in 1..=seeds {
        println!("seed {seed}");
        let harness = Harness::<B>::open().await.with_batches_of(5);
        // 0: not asked for yet; 1: asked for; 2: answered; 3: the purge has ended.
        let kick_off = Arc::new(AtomicU8::new(0));
        let mut writers = JoinSet::new();
        for writer in 0..24_u64 {
            let (store, account, kick_off) = (harness.store(), account_of(&harness.account), Arc::clone(&kick_off));
            let mut random = Random((seed * 1_000 + writer + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            writers.spawn(async move {
                let id = format!("w{writer}");
                let mut told: Vec<Told> = Vec::new();
                let mut written_afterwards = 0;
                for content in 0.. {
                    let asked_at = kick_off.load(Ordering::SeqCst);
                    // A third is never touched again, so that there is something to purge; a third is, once the purge has ended.
                    let is_quiet = match writer % 3 {
                        0 => asked_at > 0,
                        1 => asked_at == 1 || asked_at == 2,
                        _ => false,
                    };
                    if asked_at == 3 {
                        written_afterwards += 1;
                        if writer % 3 != 1 || written_afterwards > 3 {
                            break;
                        }
                    } else if is_quiet {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    let is_delete = told.last().is_some_and(|last| last.content.is_some()) && random.below(4) == 0;
                    let write = if is_delete {
                        delete(&format!("Basic/{id}"))
                    } else {
                        put(json!({"resourceType": "Basic", "id": id, "code": {"text": format!("{content}")}}))
                    };
                    let outcome = store.write(account, vec![write]).await.unwrap()[0];
                    let is_before = kick_off.load(Ordering::SeqCst) == 0;
                    // A delete that came behind the purge found nothing, and is no version.
                    if outcome.kind.is_some() {
                        let content = (!is_delete).then_some(content);
                        told.push(Told { content, version: outcome.version, is_after: asked_at >= 2, is_before });
                    }
                }
                (id, told)
            });
        }
        while harness.store().totals(&harness.account).await.unwrap().iter().map(|(_, resources)| resources).sum::<u64>() < 20 {
            tokio::task::yield_now().await;
        }
        kick_off.store(1, Ordering::SeqCst);
        let job_id = harness.kick_off(everything()).await;
        kick_off.store(2, Ordering::SeqCst);
        harness.work().await;
        kick_off.store(3, Ordering::SeqCst);
        let told: BTreeMap<String, Vec<Told>> = writers.join_all().await.into_iter().collect();

        let counts = harness.job(job_id).await.totals();
        assert_eq!(counts.planned, counts.deleted + counts.spared, "{counts:?}");
        let mut purged = 0;
        for (id, told) in &told {
            let begins: Vec<usize> = (1..told.len()).filter(|at| told[*at].version == 1).collect();
            let history: Vec<_> = harness.history(&format!("Basic/{id}")).await.into_iter().rev().collect();
            let kept_from = if history.is_empty() { told.len() } else { begins.first().copied().unwrap_or(0) };
            let what = format!("seed {seed}, {id}: {told:?}, {} versions", history.len());
            assert!(begins.len() <= 1, "purged once at most: {what}");
            assert_eq!(history.len(), told.len() - kept_from, "{what}");
            for (version, told) in history.iter().zip(&told[kept_from..]) {
                let text = version.body.as_ref().map(|body| String::from_utf8_lossy(body.as_bytes()).into_owned());
                let wanted = told.content.map(|content| format!("\"{content}\""));
                assert_eq!(text.is_some(), wanted.is_some(), "{what}");
                assert!(text.zip(wanted).is_none_or(|(text, wanted)| text.contains(&wanted)), "{what}");
            }
            if kept_from > 0 {
                purged += 1;
                purged_between += usize::from(kept_from < told.len());
                let last = told[kept_from - 1];
                assert!(last.content.is_some(), "what was deleted keeps its history: {what}");
                assert!(told[..kept_from].iter().all(|told| !told.is_after), "nothing that came later went: {what}");
            } else {
                let is_spared = told.iter().any(|told| !told.is_before);
                assert!(is_spared || told.last().is_some_and(|last| last.content.is_none()), "nothing that should go stays: {what}");
            }
        }
        assert_eq!(counts.deleted, purged, "seed {seed}: {counts:?}");
        harness.assert_bystander_is_whole().await;
    }
    assert!(purged_between > 0, "the control: some purges came between two writes");
}
