//! Asks the server for some seconds over several connections, and sums up.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{
    bundles::Bundles,
    connection::Connection,
    questions::{Holds, Question},
    random::Random,
    server::Server,
};
use crate::measure::{busy_seconds, cpu_seconds, ms, quantile, thousands};

/// Runs of which the median counts.
const RUNS: u64 = 3;
/// Transactions prepared for the warm-up, when the rate is not known yet.
const FIRST_BUNDLES: usize = 500;

/// How long.
#[derive(Clone, Copy, Debug)]
pub struct RunFor {
    pub warm_up: Duration,
    pub run: Duration,
}

/// One run.
#[derive(Debug)]
pub struct Measured {
    pub answers: u64,
    /// Answers of all runs and of the warm-up.
    pub all_answers: u64,
    pub elapsed: Duration,
    pub server_cpu: f64,
    pub client_cpu: f64,
    /// Bytes that the server sent to the disk.
    pub written_bytes: u64,
    /// Processors that neither server nor client used.
    pub others: f64,
    body_bytes: u64,
    sorted: Vec<Duration>,
}

impl Measured {
    /// Median, and what 99 % stay below.
    pub fn latencies(&self) -> String {
        format!("{}, {}", ms(quantile(&self.sorted, 0.5)), ms(quantile(&self.sorted, 0.99)))
    }

    /// Mean size of a body.
    pub fn bytes_each(&self) -> String {
        thousands(self.body_bytes / self.answers.max(1))
    }

    /// Microseconds of the server's processor for each of what is counted, if one answer is worth `each` of it.
    pub fn server_us(&self, each: u64) -> String {
        thousands((self.server_cpu * 1e6 / (self.answers * each).max(1) as f64) as u64)
    }

    fn per_second(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }
}

/// Puts the next request in the place of the last; `false` when there is none any more, and the run ends.
type Next<'a> = &'a (dyn Fn(&mut Random, &mut Vec<u8>) -> anyhow::Result<bool> + Sync);

/// Asks one question.
pub fn of_question(server: &Server, time: RunFor, question: &Question<'_>) -> anyhow::Result<Measured> {
    let next: Next<'_> = &|random, request| {
        server.write_get(&(question.path)(random), request)?;
        Ok(true)
    };
    let ask = |number, duration| run(server, question.connections, duration, number, question.holds, next);
    let warm_up = ask(0, time.warm_up)?;
    let runs = (1..=RUNS).map(|number| ask(number, time.run)).collect::<anyhow::Result<Vec<_>>>()?;
    median(warm_up, runs)
}

/// Sends Bundles. Each run's are rendered before its clock starts; should they not last, the run is shorter.
pub fn of_bundles(server: &Server, time: RunFor, mut bundles: Bundles) -> anyhow::Result<Measured> {
    let mut send = |number, duration, count| {
        let (requests, connections) = (bundles.requests(server, count), bundles.kind.connections);
        let sent = AtomicUsize::new(0);
        let next: Next<'_> = &|_, request| {
            let Some(bytes) = requests.get(sent.fetch_add(1, Ordering::Relaxed)) else { return Ok(false) };
            request.clone_from(bytes);
            Ok(true)
        };
        run(server, connections, duration, number, Holds::Created, next)
    };
    let warm_up = send(0, time.warm_up, FIRST_BUNDLES)?;
    let enough = (warm_up.per_second() * time.run.as_secs_f64() * 1.5) as usize + FIRST_BUNDLES;
    let runs = (1..=RUNS).map(|number| send(number, time.run, enough)).collect::<anyhow::Result<Vec<_>>>()?;
    median(warm_up, runs)
}

fn median(warm_up: Measured, mut runs: Vec<Measured>) -> anyhow::Result<Measured> {
    let all_answers = warm_up.answers + runs.iter().map(|run| run.answers).sum::<u64>();
    runs.sort_by(|left, right| left.per_second().total_cmp(&right.per_second()));
    let middle = runs.len() / 2;
    let median = runs.into_iter().nth(middle).context("there are runs")?;
    Ok(Measured { all_answers, ..median })
}

fn run(server: &Server, connections: usize, duration: Duration, number: u64, holds: Holds, next: Next<'_>) -> anyhow::Result<Measured> {
    let opened = (0..connections).map(|_| Connection::open(server.address)).collect::<anyhow::Result<Vec<_>>>()?;
    let start = Barrier::new(connections + 1);
    let (mut sorted, mut body_bytes) = (Vec::new(), 0);
    let (server_before, client_before, busy_before) = (server.cpu_seconds()?, cpu_seconds()?, busy_seconds()?);
    let written_before = server.written_bytes()?;
    let began = std::thread::scope(|scope| -> anyhow::Result<Instant> {
        let threads: Vec<_> = opened
            .into_iter()
            .enumerate()
            .map(|(place, connection)| {
                // Other requests in every run and on every connection, the same whenever the benchmark runs.
                let random = Random(number * 1_000 + place as u64);
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    ask(connection, Instant::now() + duration, random, holds, next)
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        for thread in threads {
            let (latencies, bytes) = thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            sorted.extend(latencies);
            body_bytes += bytes;
        }
        Ok(began)
    })?;
    let elapsed = began.elapsed();
    let (server_cpu, client_cpu) = (server.cpu_seconds()? - server_before, cpu_seconds()? - client_before);
    let others = (busy_seconds()? - busy_before - server_cpu - client_cpu).max(0.0) / elapsed.as_secs_f64();
    let written_bytes = server.written_bytes()? - written_before;
    let answers = sorted.len() as u64;
    ensure!(answers > 0, "nothing was asked");
    sorted.sort_unstable();
    Ok(Measured { answers, all_answers: answers, elapsed, server_cpu, client_cpu, written_bytes, others, body_bytes, sorted })
}

/// One client: asks until the time is over, and checks every answer.
fn ask(
    mut connection: Connection<std::net::TcpStream>,
    until: Instant,
    mut random: Random,
    holds: Holds,
    next: Next<'_>,
) -> anyhow::Result<(Vec<Duration>, u64)> {
    let (mut latencies, mut bytes, mut request) = (Vec::new(), 0, Vec::new());
    while Instant::now() < until && next(&mut random, &mut request)? {
        let sent = Instant::now();
        let answer = connection.call(&request).with_context(|| first_line(&request))?;
        latencies.push(sent.elapsed());
        bytes += answer.body.len() as u64;
        ensure!(
            answer.status == 200 && holds.is_in(answer.body),
            "{}: {} without {holds:?}: {}",
            first_line(&request),
            answer.status,
            String::from_utf8_lossy(answer.body).chars().take(500).collect::<String>()
        );
    }
    Ok((latencies, bytes))
}

fn first_line(request: &[u8]) -> String {
    String::from_utf8_lossy(request).lines().next().unwrap_or_default().to_owned()
}
