//! Beginnings of a statement, tried in turn.
//!
//! With conditions on other resources nobody knows beforehand which beginning is the better one. To begin with the others costs what all of them and
//! all that leads from them costs, but nothing for what they have nothing to do with; to ask each resource in turn costs little if many fit and the
//! page is soon full, and very much if few do. Nor does anybody know how many have a value: an index over keys gives all of them before the first can be
//! taken, a walk in the order of commits ends when the page is full. So they are tried in turn, each time for longer: that takes a few times as long as
//! the quickest one, and the quick searches are done in the first attempt.

use std::{future::Future, time::Duration};

use lethe_search_sql::Driver;
use lethe_store::StoreError;
use tokio::time::Instant;

use crate::{
    error::{Error, Result},
    transaction::Tx,
};

/// How long a beginning is tried before the other has its turn. Hardly at all in debug builds, so that tests meet both.
const TRIED_AT_FIRST: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1 } else { 5 });
/// By how much longer in each round.
const TRIED_GROWTH: u32 = 4;

/// How often going back is tried.
const GIVE_UP_TRIES_MAX: u32 = 100;

/// Whose turn it is.
pub(super) struct Race {
    drivers: Vec<Driver>,
    turn: usize,
    tried_for: Duration,
}

impl Race {
    /// Among these, the likeliest first.
    pub(super) fn among(beginnings: &[Driver]) -> Self {
        let mut drivers = beginnings.to_vec();
        drivers.dedup();
        Self { drivers, turn: 0, tried_for: TRIED_AT_FIRST }
    }

    /// The next to be tried, and for how long: `None` if there is no other.
    pub(super) fn next(&mut self) -> (Driver, Option<Duration>) {
        let count = self.drivers.len().max(1);
        if self.turn > 0 && self.turn.is_multiple_of(count) {
            self.tried_for = self.tried_for.saturating_mul(TRIED_GROWTH);
        }
        let driver = self.drivers.get(self.turn % count).copied().unwrap_or(Driver::Type);
        self.turn += 1;
        (driver, (count > 1).then_some(self.tried_for))
    }
}

/// When a search has to be done, and how long that had been at its beginning.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    /// How much of it is left.
    ///
    /// # Errors
    /// None is.
    pub(super) fn left(self) -> Result<Duration> {
        let left = self.at.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.too_costly()) } else { Ok(left) }
    }

    /// For a search that cannot be done in time.
    pub(super) fn too_costly(self) -> Error {
        StoreError::TooCostly(self.limit.as_secs()).into()
    }
}

/// Runs `work`, which only reads, for so long at most; `None` if it was not done.
pub(super) async fn attempt<T>(
    tx: &Tx,
    tried_for: Option<Duration>,
    deadline: Deadline,
    work: impl Future<Output = Result<T>>,
) -> Result<Option<T>> {
    let left = deadline.left()?;
    let Some(tried_for) = tried_for.filter(|tried_for| *tried_for < left) else { return work.await.map(Some) };
    // What a statement is given up for ends with the savepoint, and so does the limit.
    tx.run(&format!("savepoint attempt; set local statement_timeout = {}", tried_for.as_millis())).await?;
    match work.await {
        Err(error) if error.is_canceled() => {
            give_up(tx).await?;
            Ok(None)
        }
        done => {
            let done = done?;
            // What is done is done; but rows that nobody asked for may have been given up meanwhile, and this may be, too.
            match tx.run_in_haste(&format!("set local statement_timeout = {}", left.as_millis())).await {
                Ok(()) => tx.run("release savepoint attempt").await?,
                Err(_) => give_up(tx).await?,
            }
            Ok(Some(done))
        }
    }
}

/// Goes back to where the attempt began.
async fn give_up(tx: &Tx) -> Result<()> {
    // The limit of the attempt holds for this as well, until it is done.
    let mut tries = 0;
    loop {
        match tx.run_in_haste("rollback to savepoint attempt").await {
            Err(error) if error.is_canceled() && tries < GIVE_UP_TRIES_MAX => tries += 1,
            done => {
                done?;
                return tx.run("release savepoint attempt").await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use lethe_search_sql::{Param, Statement};

    use super::{super::test_database::with_database, *};
    use crate::time_limit::within;

    #[tokio::test]
    async fn an_attempt_ends_in_time_and_hides_no_other_error() {
        with_database("", async |tx: Tx| {
            let (endless, short) = ("select count(*) from generate_series(1, 1000000000000)", "select 7");
            let (tried_for, deadline) = (Some(Duration::from_millis(5)), Deadline::after(Duration::from_secs(60)));
            let ask = async |sql: &str| Ok(tx.row(sql, &[]).await?.len());
            assert_eq!(attempt(&tx, tried_for, deadline, ask(endless)).await?, None);
            assert_eq!(attempt(&tx, tried_for, deadline, ask(short)).await?, Some(1), "the connection serves on");
            // What the attempt was given is not what is left.
            let limit: String = tx.row("select current_setting('statement_timeout')", &[]).await?.try_get(0)?;
            assert!(limit.starts_with("59"), "{limit}");
            let too_late = attempt(&tx, tried_for, Deadline::after(Duration::ZERO), ask(short)).await.unwrap_err();
            assert!(matches!(too_late, Error::Store(StoreError::TooCostly(0))), "{too_late}");
            let limit = Duration::from_millis(20);
            let last = within(&tx, limit, attempt(&tx, Some(Duration::from_secs(5)), Deadline::after(limit), ask(endless)));
            let given_up = last.await.unwrap_err();
            assert!(matches!(given_up, Error::Store(StoreError::TooCostly(0))), "{given_up}");
            tx.run("rollback; begin").await?;
            assert!(attempt(&tx, tried_for, deadline, ask("select nothing")).await.is_err());
            tx.run("rollback; begin").await
        })
        .await;
    }

    #[tokio::test]
    async fn time_that_is_up_at_any_moment_of_an_attempt_ends_nothing_but_the_attempt() {
        let seen = Mutex::new([0; 2]);
        let try_often = async |tx: Tx| {
            let (tried_for, deadline) = (Some(Duration::from_millis(1)), Deadline::after(Duration::from_secs(60)));
            let mut rows = 3_000_i64;
            for asked in 0..1_000_i64 {
                let counting = Statement { sql: "select count(*) from generate_series(1, $1)".to_owned(), params: vec![Param::Int(rows)] };
                // As searches do, of which some ask for no more rows than they need.
                let counted = async { Ok(tx.stream(&counting).await?.next().await?.is_some()) };
                let done = attempt(&tx, tried_for, deadline, counted).await?;
                // So that the time is up in the middle of it, shortly after it, or not quite.
                rows = if done.is_some() { rows + asked % 20 } else { rows - 20 };
                seen.lock().unwrap()[usize::from(done.is_some())] += 1;
                let answer: String =
                    tx.row("select concat($1::bigint, ' ', current_setting('statement_timeout'))", &[&asked]).await?.try_get(0)?;
                assert!(answer.starts_with(&format!("{asked} ")) && !answer.ends_with(" 1ms"), "{answer}");
            }
            Ok(())
        };
        let runs = || with_database("", try_often);
        tokio::join!(runs(), runs(), runs(), runs());
        let [given_up, done] = *seen.lock().unwrap();
        assert!(given_up > 20 && done > 20, "the control: {given_up}, {done}");
    }

    #[test]
    fn beginnings_take_turns_and_each_round_is_longer() {
        let (first, second) = (Driver::Criterion(0), Driver::Criterion(1));
        let mut race = Race::among(&[first, second]);
        let longer = TRIED_AT_FIRST * TRIED_GROWTH;
        let expected = [(first, Some(TRIED_AT_FIRST)), (second, Some(TRIED_AT_FIRST)), (first, Some(longer)), (second, Some(longer))];
        assert_eq!([(); 4].map(|()| race.next()), expected);
        for alone in [&[first][..], &[first, first]] {
            let mut race = Race::among(alone);
            assert_eq!([(); 2].map(|()| race.next()), [(first, None); 2]);
        }
    }
}
