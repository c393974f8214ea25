//! Standing rules, kept: once a day each starts an ordinary purge of what has reached its age.

use std::{str::FromStr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{Instant, LocalBases};
use lethe_jobs::JobState;
use lethe_purge::RetentionRule;
use lethe_store::{Clock, JobId, KickOff, NewPurge, Preview, PreviewQuery, Store, StoreError};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::{failure::Advice, secret_key::random_bytes};

/// How often to look whether it is time, and whether a purge that was in the way has ended.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// How often to look whether a purge has ended that a command waits for.
const END_INTERVAL: Duration = Duration::from_millis(250);
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1_440 * MINUTE_MS;

/// The rules.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RetentionOptions {
    /// A standing rule, such as 'Observation,Condition older than 730 days', with 'of user ID' behind it for one user; may be given several times
    #[arg(long, value_name = "RULE")]
    pub(crate) retention: Vec<RetentionRule>,
}

/// A time of day in UTC, in minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeOfDay(i64);

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str, end| {
            Some(text)
                .filter(|text| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))?
                .parse::<u8>()
                .ok()
                .filter(|number| *number < end)
        };
        let time = text.split_once(':').and_then(|(hours, minutes)| Some((number(hours, 24)?, number(minutes, 60)?)));
        let (hours, minutes) = time.ok_or_else(|| format!("'{text}' is no time of day such as 03:00"))?;
        Ok(Self(i64::from(hours) * 60 + i64::from(minutes)))
    }
}

impl TimeOfDay {
    /// The first such time after `now`.
    fn after(self, now: Instant) -> Instant {
        let today = now.as_unix_ms().div_euclid(DAY_MS) * DAY_MS + self.0 * MINUTE_MS;
        Instant::from_unix_ms(if today > now.as_unix_ms() { today } else { today + DAY_MS })
    }
}

/// A rule for one user, or for all of one client.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) rule: RetentionRule,
    pub(crate) owner: Scope,
}

/// For whom each rule is to be kept.
///
/// # Errors
/// A rule is about a user that does not exist.
pub(crate) async fn all_due(store: &dyn Store, rules: &[RetentionRule]) -> Result<Vec<Due>> {
    let mut due = Vec::new();
    for rule in rules {
        if let Some(account) = rule.account {
            let advice =
                || Advice::new(format!("the rule '{rule}' is about a user that does not exist"), "lethe user list shows who there is");
            let user = store.user(AccountId(account)).await?.with_context(advice)?;
            due.push(Due { rule: rule.clone(), owner: Scope::Account { client_id: user.client_id, account_id: user.account_id } });
            continue;
        }
        for client in store.clients().await? {
            due.push(Due { rule: rule.clone(), owner: Scope::Client { client_id: client.client_id } });
        }
    }
    Ok(due)
}

/// What a rule would remove now.
///
/// # Errors
/// The store fails, or it takes too long.
pub(crate) async fn preview(store: &dyn Store, due: &Due, bases: &LocalBases, now: Instant) -> Result<Preview> {
    let query =
        PreviewQuery { owner: due.owner.clone(), selection: due.rule.selection(now), question: Default::default(), bases: bases.clone() };
    Ok(store.preview(&query).await?)
}

/// What came of a rule.
pub(crate) enum Kept {
    /// This purge does it.
    Started(JobId),
    /// There is nothing that it would remove.
    Nothing,
    /// This purge is in the way.
    Later(JobId),
}

/// Starts the purge of a rule, unless there is nothing to do.
///
/// # Errors
/// The store fails.
pub(crate) async fn start(store: &dyn Store, due: &Due, bases: &LocalBases, now: Instant) -> Result<Kept> {
    if !has_something(preview(store, due, bases, now).await)? {
        return Ok(Kept::Nothing);
    }
    let purge = NewPurge {
        job_id: Uuid::now_v7(),
        owner: due.owner.clone(),
        selection: due.rule.selection(now),
        question: Default::default(),
        bases: bases.clone(),
        reason: Some(format!("retention: {}", due.rule)),
        expect: None,
        erase_files: false,
        digest_key: random_bytes()?,
    };
    Ok(match store.kick_off(&purge).await? {
        KickOff::Started(job) => Kept::Started(job.job_id),
        KickOff::Conflict { running } => Kept::Later(running),
        // OK because nothing was expected, nor asked of files.
        KickOff::Changed { .. } | KickOff::CannotEraseFiles(_) => Kept::Nothing,
    })
}

/// Whether a rule has something to do. What is too much to be counted in time is something.
fn has_something(seen: Result<Preview>) -> Result<bool> {
    match seen {
        Err(error) if matches!(error.downcast_ref(), Some(StoreError::TooCostly(_))) => Ok(true),
        seen => Ok(seen?.counts.iter().any(|(_, counts)| counts.removed() > 0)),
    }
}

/// The purges that a run has started so far, each with its owner.
pub(crate) type Begun = Vec<(JobId, Scope)>;

/// As [`start`], after the purges that were started before for other rules: one that is in the way is waited for, if a server has taken it up
/// within `patience`. Others' are not: they may take long, and nobody has said that they will end.
///
/// # Errors
/// The store fails.
pub(crate) async fn start_in_turn(
    store: &dyn Store,
    due: &Due,
    bases: &LocalBases,
    clock: &dyn Clock,
    begun: &mut Begun,
    patience: Duration,
) -> Result<Kept> {
    loop {
        let kept = start(store, due, bases, clock.now()).await?;
        match &kept {
            Kept::Started(job) => begun.push((*job, due.owner.clone())),
            Kept::Later(job) => {
                if let Some((_, owner)) = begun.iter().find(|(begun, _)| begun == job)
                    && has_ended(store, owner, *job, patience).await?
                {
                    continue;
                }
            }
            Kept::Nothing => {}
        }
        return Ok(kept);
    }
}

/// Waits for the end of a purge; false if nobody takes it up.
async fn has_ended(store: &dyn Store, owner: &Scope, job_id: JobId, patience: Duration) -> Result<bool> {
    let mut queued = Duration::ZERO;
    loop {
        match store.purge_job(owner, job_id).await?.map(|job| job.state) {
            Some(JobState::Queued) if queued >= patience => return Ok(false),
            Some(JobState::Queued) => queued += END_INTERVAL,
            Some(JobState::Running | JobState::Canceling) => {}
            Some(JobState::Successful | JobState::Failed | JobState::Canceled) | None => return Ok(true),
        }
        tokio::time::sleep(END_INTERVAL).await;
    }
}

/// What keeps the rules of a server.
pub(crate) struct Keeper {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bases: LocalBases,
    pub(crate) rules: Vec<RetentionRule>,
    pub(crate) at: TimeOfDay,
    pub(crate) wake: Arc<Notify>,
}

impl Keeper {
    /// Keeps the rules until `stop` turns true.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        if self.rules.is_empty() {
            return;
        }
        let mut next = self.at.after(self.clock.now());
        let mut waiting: Vec<Due> = Vec::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                _ = stop.wait_for(|is_stopping| *is_stopping) => return,
            }
            let now = self.clock.now();
            if now >= next {
                next = self.at.after(now);
                match all_due(self.store.as_ref(), &self.rules).await {
                    Ok(due) => waiting = due,
                    Err(error) => tracing::error!(%error, "the rules of retention could not be kept today"),
                }
            }
            waiting = self.start_all(waiting, now).await;
        }
    }

    /// Starts what can be started; gives back what must wait for another purge.
    async fn start_all(&self, due: Vec<Due>, now: Instant) -> Vec<Due> {
        let mut waiting = Vec::new();
        for due in due {
            match start(self.store.as_ref(), &due, &self.bases, now).await {
                Ok(Kept::Started(job)) => {
                    tracing::info!(%job, rule = %due.rule, "a rule of retention has started a purge");
                    self.wake.notify_one();
                }
                Ok(Kept::Nothing) => {}
                Ok(Kept::Later(_)) => waiting.push(due),
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), rule = %due.rule, "a rule of retention could not be kept; it is tried again");
                    waiting.push(due);
                }
            }
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use lethe_store::SystemClock;
    use lethe_store_sqlite::SqliteStore;

    use super::*;
    use crate::recovery::tests::Scene;

    /// So many days from now.
    struct InDays(i64);

    impl Clock for InDays {
        fn now(&self) -> Instant {
            SystemClock.now().plus_ms(self.0 * DAY_MS)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rule_starts_a_purge_of_what_is_old_enough_and_waits_for_one_in_progress() {
        let scene = Scene::new().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(scene.directory.path(), Arc::clone(&clock)).unwrap());
        let rules: Vec<RetentionRule> =
            ["Basic older than 2 days", "Basic,Patient older than 3 days"].map(|rule| rule.parse().unwrap()).into();
        let bases = LocalBases::new(["http://x"]);
        let due = all_due(store.as_ref(), &rules).await.unwrap();
        assert_eq!(due.len(), 2);
        let in_days = |days: i64| clock.now().plus_ms(days * DAY_MS + MINUTE_MS);
        let removed = async |at| {
            preview(store.as_ref(), &due[0], &bases, at).await.unwrap().counts.iter().map(|(_, counts)| counts.removed()).sum::<u64>()
        };
        assert_eq!([removed(in_days(1)).await, removed(in_days(2)).await], [0_u64, 200]);

        let keeper = Keeper { store: Arc::clone(&store), clock: Arc::clone(&clock), bases, rules, at: TimeOfDay(0), wake: Arc::default() };
        assert!(keeper.start_all(due.clone(), in_days(1)).await.is_empty(), "nothing to do, and nothing to wait for");
        assert!(store.purge_jobs(&due[0].owner, None, 9).await.unwrap().is_empty());
        let waiting = keeper.start_all(due.clone(), in_days(4)).await;
        assert_eq!(waiting.iter().map(|due| due.rule.days).collect::<Vec<_>>(), [3], "the second waits for the first");
        let jobs = store.purge_jobs(&due[0].owner, None, 9).await.unwrap();
        assert_eq!(jobs.len(), 1);
        assert_eq!(jobs[0].reason.as_deref(), Some("retention: Basic older than 2 days"));
        assert!(
            jobs[0].selection.before.unwrap() < in_days(3) && jobs[0].selection.before.unwrap() > clock.now(),
            "{:?}",
            jobs[0].selection
        );
    }

    #[test]
    fn a_rule_that_takes_too_much_to_be_counted_in_time_is_kept_all_the_same() {
        use lethe_purge::preview::{PreviewCounts, PreviewHasher, Stays};
        let seen = |planned: u64| {
            let counts = vec![("Basic".parse().unwrap(), PreviewCounts { planned, ..PreviewCounts::default() })];
            let digest = PreviewHasher::new(&Default::default()).finish();
            Ok(Preview { digest, counts, stays: Stays::default(), holds: Vec::new() })
        };
        assert!(has_something(seen(1)).unwrap() && !has_something(seen(0)).unwrap());
        assert!(has_something(Err(StoreError::TooCostly(60).into())).unwrap());
        assert!(has_something(Err(StoreError::LeaseLost.into())).is_err());
    }

    /// An hour later each time that somebody looks.
    struct Hours(AtomicI64);

    impl Clock for Hours {
        fn now(&self) -> Instant {
            let tomorrow = SystemClock.now().as_unix_ms().div_euclid(DAY_MS) + 4;
            Instant::from_unix_ms(tomorrow * DAY_MS + (1 + self.0.fetch_add(1, Ordering::Relaxed)) * 60 * MINUTE_MS)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_keeps_a_rule_when_its_time_of_day_has_come_and_not_before() {
        let scene = Scene::new().await;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(scene.directory.path(), Arc::new(SystemClock)).unwrap());
        let rules: Vec<RetentionRule> = vec!["Basic older than 2 days".parse().unwrap()];
        let (clock, wake) = (Arc::new(Hours(AtomicI64::new(0))), Arc::new(Notify::new()));
        let owner = all_due(store.as_ref(), &rules).await.unwrap().remove(0).owner;
        let keeper = Keeper {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            bases: LocalBases::new(["http://x"]),
            rules,
            at: TimeOfDay(0),
            wake: Arc::clone(&wake),
        };
        let (stop, stopping) = watch::channel(false);
        let running = tokio::spawn(keeper.run(stopping));
        wake.notified().await;
        assert!(clock.0.load(Ordering::Relaxed) >= 23, "it began at one in the morning");
        assert_eq!(store.purge_jobs(&owner, None, 9).await.unwrap().len(), 1);
        stop.send_replace(true);
        running.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rules_of_one_run_that_overlap_are_kept_one_after_the_other() {
        let scene = Scene::new().await;
        let clock: Arc<dyn Clock> = Arc::new(InDays(4));
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(scene.directory.path(), Arc::clone(&clock)).unwrap());
        let rules: Vec<RetentionRule> = ["Basic older than 2 days", "Basic older than 3 days"].map(|rule| rule.parse().unwrap()).into();
        let due = all_due(store.as_ref(), &rules).await.unwrap();
        let bases = LocalBases::new(["http://x"]);
        let mut begun = Begun::new();
        let Kept::Started(first) =
            start_in_turn(store.as_ref(), &due[0], &bases, clock.as_ref(), &mut begun, Duration::ZERO).await.unwrap()
        else {
            unreachable!()
        };
        let second = start_in_turn(store.as_ref(), &due[1], &bases, clock.as_ref(), &mut begun, Duration::ZERO).await.unwrap();
        assert!(matches!(second, Kept::Later(job) if job == first), "no server takes the first one up");

        // Ended meanwhile, and removes nothing: so the second has something to do.
        let wait = start_in_turn(store.as_ref(), &due[1], &bases, clock.as_ref(), &mut begun, Duration::from_secs(60));
        let cancel = async {
            tokio::task::yield_now().await;
            store.cancel_purge(&due[0].owner, first).await.unwrap()
        };
        let (second, _) = tokio::join!(wait, cancel);
        assert!(matches!(second.unwrap(), Kept::Started(job) if job != first));
        let others =
            start_in_turn(store.as_ref(), &due[0], &bases, clock.as_ref(), &mut Begun::new(), Duration::from_secs(60)).await.unwrap();
        assert!(matches!(others, Kept::Later(_)), "another's purge is not waited for");
    }

    #[test]
    fn the_next_time_is_today_or_tomorrow() {
        let at: TimeOfDay = "03:30".parse().unwrap();
        let day = 20_000 * DAY_MS;
        let three_thirty = 210 * MINUTE_MS;
        for (now, next) in [
            (0, three_thirty),
            (three_thirty - 1, three_thirty),
            (three_thirty, DAY_MS + three_thirty),
            (DAY_MS - 1, DAY_MS + three_thirty),
        ] {
            assert_eq!(at.after(Instant::from_unix_ms(day + now)), Instant::from_unix_ms(day + next), "{now}");
        }
        for text in ["", "3:00", "24:00", "03:60", "03", "03:00:00", "+3:00", "noon"] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
    }
}
