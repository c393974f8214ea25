//! The pace of background work: how long it rests between steps, so that live calls hardly notice it.
//!
//! Live calls report how long they took; the worker reports its steps. While no step is done, the latency of calls is noted as what is usual.
//! While steps are done, it is compared with that: beyond the bounds the worker's share of time is cut, within them it grows again. A quick cut
//! and a slow growth keep it below the bound without swinging.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Kinds of live calls, each with a latency of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveCall {
    /// One resource by its id.
    Read,
    /// A search, a history.
    Search,
    /// A write.
    Write,
}

/// How much of a purge live calls may notice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaceBounds {
    /// The 99th percentile of reads and searches may grow by this factor; at least 1.
    pub read_factor: f64,
    /// The 99th percentile of writes may grow by this much.
    pub write_wait: Duration,
}

impl Default for PaceBounds {
    /// Reads take twice as long at most, writes 50 ms longer.
    fn default() -> Self {
        Self { read_factor: 2.0, write_wait: Duration::from_millis(50) }
    }
}

/// The smallest share of time that a worker is left: a purge always goes on.
const SHARE_MIN: f64 = 0.05;
/// What is left of the share when a bound is crossed.
const SHARE_CUT: f64 = 0.6;
/// What the share grows by when calls are well within the bounds: a tenth of itself, and a little.
const SHARE_GROWTH: (f64, f64) = (0.1, 0.002);
/// Beyond this part of a bound the share is cut: a bound that is only noticed when it is crossed is crossed half of the time.
const NEAR: f64 = 0.75;
/// Below this part of a bound calls are well within it.
const WELL_WITHIN: f64 = 0.6;
/// How much worker time, rests included, lies between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Calls without which a percentile says nothing.
const CALLS_MIN: u32 = 100;
/// After so many looks a kind of call without that many is left out of account.
const LOOKS_MAX: u32 = 10;
/// Calls of one kind from which it is learned what is usual.
const LEARNED_CALLS: u32 = 1_000;
/// Calls of one kind without a step after which the worker counts as idle: more than a quick server answers between two steps of a worker.
const IDLE_CALLS: u32 = 100_000;
/// Latencies below this are as good as any other: the bound of reads is not put below its double.
const NOTICEABLE: Duration = Duration::from_micros(500);
/// What is taken for usual while nothing is known.
const USUAL_UNKNOWN: Duration = Duration::from_millis(5);
/// How long a step should take while there are no live calls: one that comes waits for it.
const STEP_GOAL: Duration = Duration::from_millis(20);
/// By how much it should be shorter beside live calls: they share processors with it, and the fewer notice one the better.
const LIVE_STEP_PART: f64 = 0.2;
/// After so many steps without a live call there are none.
const QUIET_STEPS: u32 = 3;
/// The part of that which a machine of which nothing is known is trusted with beside live calls.
const UNKNOWN_STEP_PART: f64 = 0.5;
/// The smallest part of a full step, by itself and beside live calls.
const STEP_SCALE_MIN: f64 = 0.05;
/// The longest rest after one step.
const REST_MAX: Duration = Duration::from_secs(1);

/// The pace, shared by whoever serves live calls and whoever works in the background.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bounds: PaceBounds,
    /// The worker's share of time, up to 1.
    share: f64,
    /// The part of a full step that takes about [`STEP_GOAL`], once there was one.
    step_scale: Option<f64>,
    /// Whether there was a live call since the last step.
    is_called: bool,
    /// Steps since one beside which there was a live call, up to [`QUIET_STEPS`].
    quiet_steps: u32,
    since_look: Duration,
    rested: Duration,
    kinds: [Kind; 3],
}

#[derive(Debug, Default)]
struct Kind {
    window: Window,
    /// Whether a step was done since the window began.
    has_steps: bool,
    looks: u32,
    usual: Option<Duration>,
}

impl Default for Pace {
    /// A pace that nothing is known of yet: full speed.
    fn default() -> Self {
        let bounds = PaceBounds::default();
        Self {
            state: Mutex::new(State {
                bounds,
                share: 1.0,
                step_scale: None,
                is_called: false,
                quiet_steps: QUIET_STEPS,
                since_look: Duration::ZERO,
                rested: Duration::ZERO,
                kinds: Default::default(),
            }),
        }
    }
}

impl Pace {
    /// Other bounds, from now on.
    pub fn set_bounds(&self, bounds: PaceBounds) {
        self.state().bounds = bounds;
    }

    /// A live call took this long.
    pub fn record(&self, call: LiveCall, took: Duration) {
        let mut state = self.state();
        state.is_called = true;
        let kind = &mut state.kinds[call as usize];
        kind.window.add(took);
        if kind.has_steps && kind.window.count >= IDLE_CALLS {
            kind.begin_window(false);
        } else if !kind.has_steps && kind.window.count >= LEARNED_CALLS {
            kind.learn();
            kind.begin_window(false);
        }
    }

    /// A step took this long: how long to rest before the next.
    #[must_use]
    pub fn rest_after(&self, step: Duration) -> Duration {
        let mut state = self.state();
        state.quiet_steps = if std::mem::take(&mut state.is_called) { 0 } else { (state.quiet_steps + 1).min(QUIET_STEPS) };
        for kind in &mut state.kinds {
            if !kind.has_steps {
                if kind.window.count >= CALLS_MIN {
                    kind.learn();
                }
                kind.begin_window(true);
            }
        }
        let rest = step.mul_f64(1.0 / state.share - 1.0).min(REST_MAX);
        state.rested += rest;
        state.since_look += step + rest;
        if state.since_look >= LOOK_INTERVAL {
            state.since_look = Duration::ZERO;
            state.look();
        }
        rest
    }

    /// The share of time that a worker has now, from 0.05 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.state().share
    }

    /// How long the worker has been told to rest so far, in all.
    #[must_use]
    pub fn rested(&self) -> Duration {
        self.state().rested
    }

    /// What the 99th percentile of these calls is while no step is done, if that is known.
    #[must_use]
    pub fn usual(&self, call: LiveCall) -> Option<Duration> {
        self.state().kinds[call as usize].usual
    }

    /// How much a step may do of what a full step would, so that it takes about 20 ms, or 4 ms beside live calls.
    #[must_use]
    pub fn scaled(&self, full: u64) -> u64 {
        let state = self.state();
        ((full as f64 * state.step_scale() * state.live_part()) as u64).max(1)
    }

    /// A step that did as much as [`Pace::scaled`] allowed took this long.
    pub fn record_full_step(&self, took: Duration) {
        let mut state = self.state();
        let factor = STEP_GOAL.as_secs_f64() * state.live_part() / took.as_secs_f64().max(1e-6);
        // Halved at most, since one slow step may be an accident; grown slowly.
        state.step_scale = Some((state.step_scale() * factor.clamp(0.5, 1.05)).clamp(STEP_SCALE_MIN, 1.0));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_live(&self) -> bool {
        self.quiet_steps < QUIET_STEPS
    }

    fn live_part(&self) -> f64 {
        if self.is_live() { LIVE_STEP_PART } else { 1.0 }
    }

    fn step_scale(&self) -> f64 {
        self.step_scale.unwrap_or(if self.is_live() { UNKNOWN_STEP_PART } else { 1.0 })
    }

    /// Compares what calls took since the last look with what is usual.
    fn look(&mut self) {
        let bounds = self.bounds;
        let mut worst: Option<f64> = None;
        let mut is_waiting = false;
        for (index, kind) in self.kinds.iter_mut().enumerate() {
            kind.looks += 1;
            if kind.window.count < CALLS_MIN && kind.looks < LOOKS_MAX {
                is_waiting |= kind.window.count > 0;
                continue;
            }
            if kind.window.count >= CALLS_MIN {
                let usual = kind.usual.unwrap_or(USUAL_UNKNOWN);
                let is_write = index == LiveCall::Write as usize;
                let bound = if is_write { usual + bounds.write_wait } else { usual.max(NOTICEABLE).mul_f64(bounds.read_factor) };
                let pressure = kind.window.p99().as_secs_f64() / bound.as_secs_f64().max(1e-6);
                worst = Some(worst.map_or(pressure, |worst| worst.max(pressure)));
            }
            kind.begin_window(true);
        }
        self.share = match worst {
            Some(pressure) if pressure > NEAR => self.share * SHARE_CUT,
            Some(pressure) if pressure > WELL_WITHIN => self.share,
            None if is_waiting => self.share,
            _ => self.share * (1.0 + SHARE_GROWTH.0) + SHARE_GROWTH.1,
        }
        .clamp(SHARE_MIN, 1.0);
    }
}

impl Kind {
    /// What the window shows is usual; half of what was known is kept.
    fn learn(&mut self) {
        let seen = self.window.p99();
        self.usual = Some(self.usual.map_or(seen, |usual| (usual + seen) / 2));
    }

    fn begin_window(&mut self, has_steps: bool) {
        self.window = Window::default();
        self.has_steps = has_steps;
        self.looks = 0;
    }
}

/// Counts by latency: eight classes for each doubling, from 1 µs.
#[derive(Debug)]
struct Window {
    classes: [u32; Self::CLASSES],
    count: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self { classes: [0; Self::CLASSES], count: 0 }
    }
}

impl Window {
    /// The last class holds all above 2^26 µs, a minute.
    const CLASSES: usize = 26 * 8;

    fn add(&mut self, took: Duration) {
        let class = ((took.as_secs_f64() * 1e6).max(1.0).log2() * 8.0) as usize;
        self.classes[class.min(Self::CLASSES - 1)] += 1;
        self.count += 1;
    }

    /// The 99th percentile, to a tenth: the upper bound of its class.
    fn p99(&self) -> Duration {
        let mut above = self.count / 100;
        for (class, count) in self.classes.iter().enumerate().rev() {
            if *count > above {
                return Duration::from_secs_f64(((class + 1) as f64 / 8.0).exp2() / 1e6);
            }
            above -= count;
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn record(pace: &Pace, call: LiveCall, count: u32, took: Duration) {
        for _ in 0..count {
            pace.record(call, took);
        }
    }

    /// The rest after steps of 10 ms, once so many have been done among calls like these.
    fn rest_beside(pace: &Pace, steps: u32, call: LiveCall, took: Duration) -> Duration {
        let mut rest = Duration::ZERO;
        for _ in 0..steps {
            record(pace, call, 20, took);
            rest = pace.rest_after(10 * MS);
        }
        rest
    }

    #[test]
    fn without_calls_it_is_full_speed() {
        let pace = Pace::default();
        for _ in 0..1_000 {
            assert_eq!(pace.rest_after(10 * MS), Duration::ZERO);
        }
    }

    #[test]
    fn beyond_a_bound_the_share_is_cut_down_to_its_floor() {
        for (call, usual, within, beyond) in [
            (LiveCall::Read, 4 * MS, 4 * MS, 10 * MS),
            (LiveCall::Search, 20 * MS, 20 * MS, 50 * MS),
            (LiveCall::Write, 10 * MS, 30 * MS, 70 * MS),
        ] {
            let pace = Pace::default();
            record(&pace, call, 5_000, usual);
            assert_eq!(rest_beside(&pace, 100, call, within), Duration::ZERO, "{call:?}");
            let rest = rest_beside(&pace, 50, call, beyond);
            assert!(rest > 5 * MS && rest < 190 * MS, "{call:?} {rest:?}");
            let rest = rest_beside(&pace, 500, call, beyond);
            assert_eq!(rest.as_millis(), 190, "{call:?}: a twentieth of the time");
            assert_eq!(rest_beside(&pace, 1_000, call, usual), Duration::ZERO, "{call:?}: it recovers");
        }
    }

    #[test]
    fn what_is_usual_is_not_learned_beside_steps() {
        let pace = Pace::default();
        record(&pace, LiveCall::Read, 5_000, 2 * MS);
        let _ = rest_beside(&pace, 500, LiveCall::Read, 20 * MS);
        assert!(rest_beside(&pace, 500, LiveCall::Read, 20 * MS) >= 100 * MS, "twenty would be bearable had it become usual");
    }

    #[test]
    fn what_is_usual_is_learned_anew_once_the_worker_is_idle() {
        let pace = Pace::default();
        record(&pace, LiveCall::Read, 5_000, 2 * MS);
        let _ = rest_beside(&pace, 100, LiveCall::Read, 20 * MS);
        record(&pace, LiveCall::Read, 150_000, 20 * MS);
        assert_eq!(rest_beside(&pace, 1_000, LiveCall::Read, 20 * MS), Duration::ZERO);
    }

    #[test]
    fn many_calls_between_two_steps_do_not_make_the_worker_idle() {
        let pace = Pace::default();
        record(&pace, LiveCall::Read, 5_000, 2 * MS);
        let mut rest = pace.rest_after(10 * MS);
        for _ in 0..200 {
            record(&pace, LiveCall::Read, 5_000, 20 * MS);
            rest = pace.rest_after(10 * MS);
        }
        assert_eq!(rest.as_millis(), 190);
    }

    #[test]
    fn a_few_slow_calls_are_no_percentile() {
        let pace = Pace::default();
        record(&pace, LiveCall::Read, 5_000, 2 * MS);
        for _ in 0..50 {
            record(&pace, LiveCall::Read, 3, 900 * MS);
            for _ in 0..20 {
                assert_eq!(pace.rest_after(10 * MS), Duration::ZERO);
            }
        }
    }

    /// Twenty full steps where 50 rows take a millisecond, each after `calls` live calls: how many rows the next may do.
    fn rows_after_steps(pace: &Pace, calls: u32) -> u64 {
        for _ in 0..20 {
            record(pace, LiveCall::Read, calls, MS);
            let rows = pace.scaled(20_000);
            let took = MS.mul_f64(rows as f64 / 50.0);
            let _ = pace.rest_after(took);
            pace.record_full_step(took);
        }
        pace.scaled(20_000)
    }

    #[test]
    fn steps_shrink_to_what_the_goal_allows_and_grow_again() {
        let pace = Pace::default();
        assert_eq!(pace.scaled(20_000), 20_000);
        let rows = rows_after_steps(&pace, 0);
        assert!((900..=1_100).contains(&rows), "{rows}: 20 ms of work");
        for _ in 0..100 {
            pace.record_full_step(MS);
        }
        assert_eq!(pace.scaled(20_000), 20_000);
        for _ in 0..100 {
            pace.record_full_step(1_000 * MS);
        }
        assert_eq!(pace.scaled(20_000), 1_000, "never nothing");
    }

    #[test]
    fn steps_are_shorter_while_there_are_live_calls() {
        let pace = Pace::default();
        record(&pace, LiveCall::Write, 1, MS);
        let _ = pace.rest_after(MS);
        assert_eq!(pace.scaled(20_000), 2_000, "a machine of which nothing is known");
        let rows = rows_after_steps(&pace, 1);
        assert!((190..=210).contains(&rows), "{rows}: 4 ms of work");
        let rows = rows_after_steps(&pace, 0);
        assert!((900..=1_100).contains(&rows), "{rows}: nobody calls any more");
        record(&pace, LiveCall::Write, 1, MS);
        let _ = pace.rest_after(MS);
        let rows = pace.scaled(20_000);
        assert!((180..=220).contains(&rows), "{rows}: one call is enough, and what was learned is kept");
    }

    #[test]
    fn the_percentile_is_right_to_a_tenth() {
        let mut window = Window::default();
        for micros in 1..=1_000 {
            window.add(Duration::from_micros(micros * 10));
        }
        let p99 = window.p99().as_secs_f64();
        assert!((0.0099..0.0109).contains(&p99), "{p99}");
        assert_eq!(Window::default().p99(), Duration::ZERO);
        let mut slow = Window::default();
        slow.add(Duration::from_secs(10_000));
        assert!(slow.p99() >= Duration::from_secs(60));
    }
}
