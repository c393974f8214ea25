//! Lines of an import → batches, on a thread of its own. Memory does not grow with the body.

use std::{
    io::{BufReader, Read},
    time::{Duration, Instant},
};

use flate2::read::MultiGzDecoder;
use lethe_fhir::{
    LogicalId, Resource, limits,
    ndjson::{Line, read_line},
};
use lethe_store::{Expect, ImportBatch, Write};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    error::ApiError,
    fhir::{WriteRules, write_of},
};

/// A batch is full at so many resources, lines or bytes, or after so long. One batch is one transaction: larger ones gain little and keep
/// other writers waiting.
const BATCH_WRITES: usize = 500;
const BATCH_LINES: u64 = 10_000;
const BATCH_BYTES: usize = 4 << 20;
const BATCH_AGE: Duration = Duration::from_secs(2);

/// Characters of a reason that are told.
const REASON_CHARS_MAX: usize = 300;

/// What some programs write at the beginning of UTF-8; it is no JSON.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A line that is not stored, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// From 1.
    pub line: u64,
    /// For whoever sent it.
    pub reason: String,
}

/// What comes of the lines, in order.
#[derive(Debug)]
pub enum Parsed {
    /// Some lines.
    Batch(ImportBatch, Vec<Reject>),
    /// There are no more.
    End,
    /// The rest cannot be read.
    Broken(String),
}

/// What is read, and how.
pub struct Lines<R> {
    /// The body.
    pub body: R,
    /// Whether it is compressed.
    pub is_gzip: bool,
    /// So many lines are left out.
    pub after_line: u64,
    /// What is held against each resource.
    pub rules: WriteRules,
}

impl<R: Read> Lines<R> {
    /// Reads to the end, or until nobody wants any more.
    pub fn read(self, batches: &mpsc::Sender<Parsed>) {
        let body: Box<dyn Read + '_> = if self.is_gzip { Box::new(MultiGzDecoder::new(self.body)) } else { Box::new(self.body) };
        let mut reader = BufReader::with_capacity(1 << 17, body);
        let mut open = OpenBatch::default();
        let mut number = 0;
        let last = loop {
            number += 1;
            let line = match read_line(&mut reader) {
                Ok(Some(line)) => line,
                Ok(None) => break Parsed::End,
                Err(error) => break Parsed::Broken(error.to_string()),
            };
            if number <= self.after_line {
                continue;
            }
            open.take(number, line, &self.rules);
            if open.is_full() && !std::mem::take(&mut open).send(batches) {
                return;
            }
        };
        if open.send(batches) {
            // OK because whoever does not listen any more has ended the import already.
            let _ = batches.blocking_send(last);
        }
    }
}

#[derive(Default)]
struct OpenBatch {
    batch: ImportBatch,
    rejects: Vec<Reject>,
    lines: u64,
    bytes: usize,
    begun_on: Option<Instant>,
}

impl OpenBatch {
    fn take(&mut self, number: u64, line: Line, rules: &WriteRules) {
        self.begun_on.get_or_insert_with(Instant::now);
        self.lines += 1;
        self.batch.last_line = number;
        let parsed = match line {
            Line::Blank => return,
            Line::TooLong => Err(format!("the line is longer than {} bytes", limits::RESOURCE_BYTES_MAX)),
            Line::Text(text) => {
                self.bytes += text.len();
                let text = if number == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text) } else { &text };
                write_of_line(text, rules)
            }
        };
        match parsed {
            Ok(write) => self.batch.writes.push(write),
            Err(reason) => {
                self.batch.rejected += 1;
                self.rejects.push(Reject { line: number, reason: reason.chars().take(REASON_CHARS_MAX).collect() });
            }
        }
    }

    fn is_full(&self) -> bool {
        self.batch.writes.len() >= BATCH_WRITES
            || self.lines >= BATCH_LINES
            || self.bytes >= BATCH_BYTES
            || self.begun_on.is_some_and(|begun_on| begun_on.elapsed() >= BATCH_AGE)
    }

    /// `false`: nobody wants it.
    fn send(self, batches: &mpsc::Sender<Parsed>) -> bool {
        self.lines == 0 || batches.blocking_send(Parsed::Batch(self.batch, self.rejects)).is_ok()
    }
}

/// The write that a line asks for, held to the same rules as an update by PUT.
fn write_of_line(text: &[u8], rules: &WriteRules) -> Result<Write, String> {
    let told = |error: ApiError| error.outcome().issues.first().map(|issue| issue.text.clone()).unwrap_or_default();
    // A line is read by itself, so that the reader of JSON calls each line 1; the column is right.
    let resource = Resource::parse(text).map_err(|error| error.to_string().replace(" at line 1 column ", " at column "))?;
    let id = resource.id.clone().unwrap_or_else(|| LogicalId::from(Uuid::new_v4()));
    write_of(&resource, id, rules, Expect::Anything).map_err(told)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn parsed(body: &[u8], is_gzip: bool, after_line: u64) -> Vec<Parsed> {
        let (sender, mut receiver) = mpsc::channel(100);
        let rules = WriteRules { bases: lethe_fhir::LocalBases::default(), is_structure_checked: false };
        Lines { body, is_gzip, after_line, rules }.read(&sender);
        drop(sender);
        std::iter::from_fn(|| receiver.blocking_recv()).collect()
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    const GOOD: &str = r#"{"resourceType":"Patient","id":"a"}"#;

    #[test]
    fn good_lines_are_written_and_bad_ones_told_by_number() {
        let text = format!(
            "\u{feff}{GOOD}\r\n\n{{\"resourceType\":\"Patiant\"}}\nnonsense\n{GOOD}\n{{\"resourceType\":\"Observation\",\"subject\":{{\"reference\":5}}}}"
        );
        for (body, is_gzip) in [(text.clone().into_bytes(), false), (gzip(&text), true)] {
            let parsed = parsed(&body, is_gzip, 0);
            let [Parsed::Batch(batch, rejects), Parsed::End] = parsed.as_slice() else { panic!("{parsed:?}") };
            assert_eq!((batch.last_line, batch.writes.len(), batch.rejected), (6, 2, 3));
            assert_eq!(rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(), [3, 4, 6]);
            assert!(rejects[0].reason.contains("Patiant") && rejects[1].reason.contains("column 2"), "{rejects:?}");
        }
    }

    #[test]
    fn lines_that_were_read_before_are_left_out_but_counted() {
        let parsed = parsed(format!("{GOOD}\n{GOOD}\n{GOOD}\n").as_bytes(), false, 2);
        let [Parsed::Batch(batch, _), Parsed::End] = parsed.as_slice() else { panic!("{parsed:?}") };
        assert_eq!((batch.last_line, batch.writes.len()), (3, 1));
    }

    #[test]
    fn full_batches_are_handed_on() {
        let parsed = parsed(format!("{GOOD}\n").repeat(1_200).as_bytes(), false, 0);
        let lines: Vec<u64> =
            parsed.iter().filter_map(|parsed| if let Parsed::Batch(batch, _) = parsed { Some(batch.last_line) } else { None }).collect();
        assert_eq!(lines, [500, 1_000, 1_200]);
    }

    #[test]
    fn what_breaks_off_says_so_after_its_last_whole_line() {
        let whole = gzip(&format!("{GOOD}\n").repeat(1_000));
        let parsed = parsed(&whole[..whole.len() - 9], true, 0);
        assert!(matches!(parsed.last(), Some(Parsed::Broken(_))), "{parsed:?}");
    }
}
