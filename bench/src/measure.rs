//! Figures and how they are taken.

use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Linux counts in hundredths of a second for every process (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// Named figures of one step, in the order of the table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures(pub Vec<(String, String)>);

impl Figures {
    /// Adds one.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }
}

/// Resources per second, with thousands set apart.
pub fn rate(resources: u64, elapsed: Duration) -> String {
    format!("{}/s", thousands((resources as f64 / elapsed.as_secs_f64()) as u64))
}

/// `1234567` → `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

/// Milliseconds with two decimals.
pub fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

/// The value below which `share` of `sorted` lie.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

/// Peak resident memory of this process, in MiB.
pub fn peak_mib() -> anyhow::Result<u64> {
    peak_mib_of("self")
}

/// Peak resident memory of the process with this number, in MiB.
pub fn peak_mib_of(process: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/…/status")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
}

/// Bytes that the process with this number has sent to the disk.
pub fn written_bytes_of(process: &str) -> anyhow::Result<u64> {
    let io = std::fs::read_to_string(format!("/proc/{process}/io"))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).context("no write_bytes in /proc/…/io")?;
    Ok(line.trim().parse()?)
}

/// Processor seconds that this process has used, user and system.
pub fn cpu_seconds() -> anyhow::Result<f64> {
    cpu_seconds_of("self")
}

/// Processor seconds that the process with this number has used, user and system.
pub fn cpu_seconds_of(process: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).context("short /proc/…/stat")?.parse::<f64>().map_err(anyhow::Error::from);
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Processor seconds that all processes of the machine have used since it started.
pub fn busy_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("no cpu in /proc/stat")?;
    let fields = line.split_whitespace().map(|field| Ok(field.parse::<f64>()?)).collect::<anyhow::Result<Vec<f64>>>()?;
    // user, nice, system, idle, iowait, irq, softirq; what follows is another machine's, or contained in these.
    let busy = fields.iter().enumerate().take(7).filter(|(place, _)| ![3, 4].contains(place)).map(|(_, ticks)| ticks);
    Ok(busy.sum::<f64>() / TICKS_PER_SECOND)
}
