//! Content that is damaged on disk: whoever has to read it says which it is, nothing goes on a guess, and a retry works after the cure.

use lethe_jobs::JobState;
use lethe_purge::{Counts, Selection, Seq, holds::HoldTarget};
use lethe_store::{CanceledOrRetried, PreviewQuery, QUESTION_KEPT_MS, StoreError};

use crate::{
    Backend, Harness,
    harness::{Ask, BASE, everything, filtered, of_group, of_patient},
    listed::{fill, group, left, observation, rows_of_lists},
};

/// Plain text that is no JSON, a form with nothing that can be unpacked, one with a length that cannot be, no form, and nothing at all.
const DAMAGED: [&[u8]; 5] = [b"\0secret", &[1, 9, 0, 0, 0, 0xFF, 0xFF], &[1, 0xFF, 0xFF, 0xFF, 0xFF], &[0xFF, 0xFF], b""];

async fn retried<B: Backend>(harness: &Harness<B>, ask: &Ask, job_id: lethe_store::JobId) -> lethe_store::PurgeJob {
    let retried = harness.store().retry_purge(&harness.account, job_id).await.unwrap();
    assert!(matches!(retried, CanceledOrRetried::Taken(_)), "{ask:?}");
    harness.work().await;
    harness.job(job_id).await
}

fn included(mut ask: Ask) -> Ask {
    ask.0.include_deleted = true;
    ask
}

pub async fn a_damaged_body_that_decides_fails_the_plan_and_a_retry_works_after_the_cure<B: Backend>(first: Harness<B>) {
    drop(first);
    let cases: [(&str, Ask, u64); 6] = [
        ("Observation/a-final", filtered(&["Observation"], &["Observation?_content=final"]), 2),
        // One that is changed after the kick-off has to be read, too: its values are not kept any more.
        ("Observation/b-final changed", filtered(&["Observation"], &["Observation?status=final"]), 1),
        ("Observation/a-final changed", of_patient("a"), 4),
        ("Group/g", of_group("g"), 5),
        ("Group/g", of_group("g"), 5),
        ("Observation/a-final deleted", included(of_patient("a")), 5),
    ];
    for (at, (damaged, ask, deleted)) in cases.iter().enumerate() {
        let harness = Harness::<B>::open().await;
        fill(&harness).await;
        harness.put(group(&["Patient/a"])).await;
        let (reference, change) = damaged.split_once(' ').unwrap_or((damaged, ""));
        let Seq(place) = harness.read(reference).await.unwrap().seq;
        if change == "deleted" {
            harness.delete(reference).await;
        }
        let rows = harness.backend.rows("version").await;
        let job_id = harness.kick_off_asking(ask).await;
        let later = if change == "changed" {
            harness.put(observation(reference.split_once('/').unwrap().1, "amended", "b")).await;
            1
        } else {
            0
        };
        let sound = harness.backend.exchange_body(Seq(place), DAMAGED[(at + at / 4) % DAMAGED.len()].to_vec()).await;
        harness.work().await;
        let job = harness.job(job_id).await;
        let failure = job.failure.clone().unwrap_or_default();
        let resource_type = reference.split_once('/').unwrap().0;
        assert_eq!((job.state, job.totals(), job.has_forgotten_question()), (JobState::Failed, Counts::default(), false), "{damaged}");
        assert!(failure.contains(&format!("one {resource_type} ")) && failure.contains(&format!("place {place}:")), "{damaged}: {failure}");
        assert!(!failure.contains("secret"), "{failure}");
        assert_eq!(harness.backend.rows("version").await, rows + later, "nothing went: {damaged}");
        assert_eq!(rows_of_lists(&harness).await, 1, "the question is kept, and nothing else: {damaged}");
        if change != "changed" {
            let (selection, question) = ask.clone();
            let query = PreviewQuery { owner: harness.account.clone(), selection, question, bases: lethe_fhir::LocalBases::new([BASE]) };
            let told = harness.store().preview(&query).await;
            assert!(matches!(told, Err(StoreError::Damaged { seq: Seq(seq), .. }) if seq == place), "{damaged}: {told:?}");
        }
        // As long as nothing is mended it fails again, with the same cause.
        let job = retried(&harness, ask, job_id).await;
        assert_eq!((job.state, job.failure.as_ref()), (JobState::Failed, Some(&failure)), "{damaged}");
        harness.backend.exchange_body(Seq(place), sound).await;
        let job = retried(&harness, ask, job_id).await;
        assert_eq!((job.state, job.totals().deleted, job.retry_count), (JobState::Successful, *deleted, 2), "{damaged}: {job:?}");
        assert_eq!(rows_of_lists(&harness).await, 0, "{damaged}");
        harness.assert_bystander_is_whole().await;
    }
}

/// A patient on hold is looked for in what a deleted resource last said. Where that cannot be read nobody knows whether it is kept.
pub async fn a_damaged_body_that_a_hold_asks_for_fails_its_batch_and_a_retry_works_after_the_cure<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let Seq(place) = harness.read("Observation/b-final").await.unwrap().seq;
    harness.delete("Observation/b-final").await;
    let job_id = harness.kick_off(Selection { include_deleted: true, ..everything() }).await;
    let lease = harness.store().claim_purge().await.unwrap().unwrap().lease;
    harness.plan(&lease).await;
    harness.store().release_leases().await.unwrap();
    harness.hold(HoldTarget::Patient("a".parse().unwrap())).await;
    let sound = harness.backend.exchange_body(Seq(place), DAMAGED[4].to_vec()).await;
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.batches.failed, job.failures.len()), (JobState::Failed, 1, 1), "{job:?}");
    let cause = &job.failures[0].cause;
    assert!(cause.contains("one Observation ") && cause.contains(&format!("place {place}:")), "{cause}");
    assert!(job.totals().deleted > 0, "the other batches went: {:?}", job.totals());
    assert_eq!(harness.ids("Observation").await.len(), 5, "those of the failed batch are whole");
    harness.backend.exchange_body(Seq(place), sound).await;
    let retried = harness.store().retry_purge(&harness.account, job_id).await.unwrap();
    assert!(matches!(retried, CanceledOrRetried::Taken(_)));
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals().held), (JobState::Successful, 4));
    assert_eq!(left(&harness).await, "Patient/a Observation/a-final Observation/a-amended Observation/a-entered-in-error");
    harness.assert_bystander_is_whole().await;
}

/// How the question of a purge goes that failed before its plan was made.
#[derive(Clone, Copy, Debug)]
enum Forgotten {
    Time,
    PurgeOfTheAccount,
    PurgeOfTheClient,
    CanceledRetry,
}

pub async fn a_failed_purge_keeps_what_it_was_asked_for_only_as_long_as_it_says<B: Backend>(first: Harness<B>) {
    drop(first);
    use Forgotten::{CanceledRetry, PurgeOfTheAccount, PurgeOfTheClient, Time};
    // What the files are searched for: no id of a stored resource, and nothing that compression would take apart.
    let nobody = "QZ7-nobody-has-this-id-4711";
    for how in [Time, PurgeOfTheAccount, PurgeOfTheClient, CanceledRetry] {
        let harness = Harness::<B>::open().await;
        fill(&harness).await;
        let Seq(place) = harness.read("Observation/a-final").await.unwrap().seq;
        let mut ask = of_patient("a");
        ask.1.patients.push(nobody.parse().unwrap());
        let job_id = harness.kick_off_asking(&ask).await;
        harness.put(observation("a-final", "amended", "a")).await;
        let sound = harness.backend.exchange_body(Seq(place), DAMAGED[0].to_vec()).await;
        harness.work().await;
        harness.backend.exchange_body(Seq(place), sound).await;
        assert_eq!((harness.job(job_id).await.state, rows_of_lists(&harness).await), (JobState::Failed, 1), "the control: {how:?}");
        harness.assert_bystander_is_whole().await;
        // Another account's purge, and less than the time, forget nothing.
        harness.kick_off_for(&harness.bystander, filtered(&["Device"], &[]).0).await;
        harness.work().await;
        harness.clock.advance_ms(QUESTION_KEPT_MS - 1);
        harness.store().remove_expired().await.unwrap();
        assert_eq!((rows_of_lists(&harness).await, harness.job(job_id).await.has_forgotten_question()), (1, false), "{how:?}");
        match how {
            Time => {
                harness.clock.advance_ms(1);
                assert_eq!(harness.store().remove_expired().await.unwrap(), 1);
            }
            PurgeOfTheAccount => {
                harness.kick_off(filtered(&["Device"], &[]).0).await;
                assert_eq!(rows_of_lists(&harness).await, 0, "with the kick-off");
                harness.work().await;
            }
            PurgeOfTheClient => {
                let client = lethe_auth::Scope::Client { client_id: harness.account.client_id().clone() };
                harness.kick_off_for(&client, filtered(&["Device"], &[]).0).await;
                harness.work().await;
            }
            CanceledRetry => {
                let retried = harness.store().retry_purge(&harness.account, job_id).await.unwrap();
                assert!(matches!(retried, CanceledOrRetried::Taken(_)), "{how:?}");
                let canceled = harness.store().cancel_purge(&harness.account, job_id).await.unwrap();
                assert!(matches!(canceled, CanceledOrRetried::Taken(_)), "{how:?}");
            }
        }
        assert_eq!(rows_of_lists(&harness).await, 0, "{how:?}");
        assert!(harness.job(job_id).await.has_forgotten_question(), "{how:?}");
        let files = harness.backend.files();
        let is_in_files = files.iter().any(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(nobody.len()).any(|bytes| bytes == nobody.as_bytes())
        });
        assert!(!is_in_files, "{how:?}");
        assert_eq!(harness.ids("Patient").await.len(), 2, "nothing was removed");
        if !matches!(how, CanceledRetry) {
            // Nothing is done on a guess.
            let job = retried(&harness, &ask, job_id).await;
            assert!(job.state == JobState::Failed && job.failure.is_some_and(|why| why.contains("start a new purge")), "{how:?}");
        }
        harness.assert_bystander_is_whole().await;
    }
}
