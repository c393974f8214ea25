//! Import: files → resources → the store, in a stream. Memory does not grow with the size of what is imported.
//!
//! ```text
//! read (one thread) ─► chunks ─► parse (a thread per core) ─► chunks, in the order of the file ─► write (batches)
//! ```
//!
//! What a resource must be is decided by the same code as on the server: [`lethe_fhir::Resource`], [`lethe_store::Write::put`].

mod bundle;
mod files;
mod parse;
mod read;
mod summary;
mod write;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, anyhow};
use lethe_auth::AccountId;
use lethe_fhir::LocalBases;
use lethe_store::Resources;
use tokio::sync::mpsc;

pub(crate) use files::find_files;
pub(crate) use summary::ImportSummary;

use crate::{
    progress::{Progress, rate},
    terminal::grouped,
};
use parse::ParsedChunk;
use read::RawChunk;
use write::BatchWriter;

/// Chunks that wait for each parsing thread, and for the writer from each: enough that nobody starves, little enough to stay small.
const CHUNKS_WAITING: usize = 2;

/// What to import, and for whom.
pub(crate) struct ImportRequest {
    /// The account that gets it.
    pub(crate) account_id: AccountId,
    /// What counts as a reference to this server.
    pub(crate) bases: LocalBases,
    /// In this order.
    pub(crate) files: Vec<PathBuf>,
}

/// Imports everything, whatever is wrong with some of it.
///
/// # Errors
/// The store fails; what had been written stays written.
pub(crate) async fn import(store: &dyn Resources, request: ImportRequest, mut progress: Progress) -> Result<ImportSummary> {
    let bytes_read = Arc::new(AtomicU64::new(0));
    let mut pipeline = Pipeline::start(request.files, request.bases, &bytes_read);
    let mut writer = BatchWriter::new(store, request.account_id);
    let mut summary = ImportSummary::default();
    while let Some(chunk) = pipeline.next().await? {
        for reject in chunk.rejects {
            summary.reject(&reject, |line| progress.say(line));
        }
        summary.skipped_entries += chunk.skipped_entries;
        for write in chunk.writes {
            writer.push(write, &mut summary, |line| progress.say(line)).await?;
        }
        let stored = summary.stored();
        let per_second = grouped(rate(stored, progress.elapsed()));
        let rejected = if summary.rejected > 0 { format!(", {} rejected", grouped(summary.rejected)) } else { String::new() };
        progress.set(bytes_read.load(Ordering::Relaxed), &format!("{} resources, {per_second}/s{rejected}", grouped(stored)));
    }
    writer.flush(&mut summary, |line| progress.say(line)).await?;
    summary.finish(progress.finish(), bytes_read.load(Ordering::Relaxed));
    Ok(summary)
}

/// One reading thread, which deals chunks to parsing threads in turn. Taking what they parsed in the same turn restores the order: of two
/// versions the later one wins.
struct Pipeline {
    lanes: Vec<mpsc::Receiver<ParsedChunk>>,
    turn: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Pipeline {
    fn start(files: Vec<PathBuf>, bases: LocalBases, bytes_read: &Arc<AtomicU64>) -> Self {
        let lane_count = thread::available_parallelism().map_or(1, usize::from);
        let bases = Arc::new(bases);
        let mut to_parse = Vec::with_capacity(lane_count);
        let mut lanes = Vec::with_capacity(lane_count);
        let mut threads = Vec::with_capacity(lane_count + 1);
        for _ in 0..lane_count {
            let (raw_sender, raw_receiver) = mpsc::channel(CHUNKS_WAITING);
            let (parsed_sender, parsed_receiver) = mpsc::channel(CHUNKS_WAITING);
            let bases = Arc::clone(&bases);
            threads.push(thread::spawn(move || parse_lane(raw_receiver, &parsed_sender, &bases)));
            to_parse.push(raw_sender);
            lanes.push(parsed_receiver);
        }
        let bytes_read = Arc::clone(bytes_read);
        threads.push(thread::spawn(move || deal_files(files, &bytes_read, &to_parse)));
        Self { lanes, turn: 0, threads }
    }

    /// The next chunk in the order of the files; `None` after the last.
    ///
    /// # Errors
    /// A thread has panicked, so the rest is missing.
    async fn next(&mut self) -> Result<Option<ParsedChunk>> {
        let lane = self.turn % self.lanes.len();
        self.turn += 1;
        if let Some(chunk) = self.lanes[lane].recv().await {
            return Ok(Some(chunk));
        }
        // Closed, so that whoever is still at work ends too.
        self.lanes.iter_mut().for_each(mpsc::Receiver::close);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| anyhow!("a thread of the import has panicked; what had been written stays written"))?;
        }
        Ok(None)
    }
}

fn parse_lane(mut raw: mpsc::Receiver<RawChunk>, parsed: &mpsc::Sender<ParsedChunk>, bases: &LocalBases) {
    while let Some(chunk) = raw.blocking_recv() {
        if parsed.blocking_send(parse::parse_chunk(chunk, bases)).is_err() {
            break;
        }
    }
}

fn deal_files(files: Vec<PathBuf>, bytes_read: &Arc<AtomicU64>, lanes: &[mpsc::Sender<RawChunk>]) {
    let mut turn = 0;
    let mut deal = |chunk| {
        let is_sent = lanes[turn % lanes.len()].blocking_send(chunk).is_ok();
        turn += 1;
        is_sent
    };
    for file in files {
        if !read::read_file(&Arc::new(file), bytes_read, &mut deal) {
            break;
        }
    }
}

/// Bytes of all files together, for the progress.
///
/// # Errors
/// One cannot be looked at.
pub(crate) fn total_bytes(files: &[PathBuf]) -> Result<u64> {
    files.iter().try_fold(0, |sum, path| Ok(sum + path.metadata().with_context(|| format!("{} cannot be read", path.display()))?.len()))
}
