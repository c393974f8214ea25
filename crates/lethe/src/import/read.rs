//! Files → chunks of raw resources, each with the place that it stands at.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::read::MultiGzDecoder;
use lethe_fhir::{
    limits,
    ndjson::{Line, read_line},
};

use super::{bundle, bundle::BundleNames, files::FileForm};

/// A chunk is full at so many resources or bytes, whichever comes first.
const CHUNK_RESOURCES: usize = 250;
const CHUNK_BYTES: usize = 2 << 20;

/// What some programs write at the beginning of a UTF-8 file; it is no JSON.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// From 1.
    Line(u64),
    /// From 0, as in `Bundle.entry[0]`.
    Entry(u64),
    /// The whole of it.
    File,
}

/// One resource as it stands in the file.
pub(super) struct RawResource {
    pub(super) place: Place,
    pub(super) full_url: Option<String>,
    pub(super) json: Vec<u8>,
}

/// Something that is not imported, and why.
#[derive(Debug)]
pub(super) struct Reject {
    pub(super) file: Arc<PathBuf>,
    pub(super) place: Place,
    pub(super) reason: String,
}

/// `file:line: reason`, as compilers write it.
impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.place {
            Place::Line(line) => write!(f, "{file}:{line}: {}", self.reason),
            Place::Entry(index) => write!(f, "{file}: entry[{index}]: {}", self.reason),
            Place::File => write!(f, "{file}: {}", self.reason),
        }
    }
}

/// Some resources of one file, in order.
pub(super) struct RawChunk {
    pub(super) file: Arc<PathBuf>,
    pub(super) names: Arc<BundleNames>,
    pub(super) resources: Vec<RawResource>,
    pub(super) rejects: Vec<Reject>,
    pub(super) skipped_entries: u64,
}

/// Collects chunks and hands each on when it is full.
pub(super) struct Chunker<'a> {
    open: RawChunk,
    open_bytes: usize,
    /// Returns `false` when nobody wants any more.
    deal: &'a mut dyn FnMut(RawChunk) -> bool,
}

impl<'a> Chunker<'a> {
    fn new(file: &Arc<PathBuf>, names: BundleNames, deal: &'a mut dyn FnMut(RawChunk) -> bool) -> Self {
        Self { open: RawChunk::empty(Arc::clone(file), Arc::new(names)), open_bytes: 0, deal }
    }

    pub(super) fn push(&mut self, resource: RawResource) -> bool {
        self.open_bytes += resource.json.len();
        self.open.resources.push(resource);
        if self.open.resources.len() < CHUNK_RESOURCES && self.open_bytes < CHUNK_BYTES { true } else { self.close() }
    }

    pub(super) fn skip_entry(&mut self) {
        self.open.skipped_entries += 1;
    }

    fn reject(&mut self, place: Place, reason: String) {
        self.open.rejects.push(Reject { file: Arc::clone(&self.open.file), place, reason });
    }

    fn close(&mut self) -> bool {
        let next = RawChunk::empty(Arc::clone(&self.open.file), Arc::clone(&self.open.names));
        self.open_bytes = 0;
        (self.deal)(std::mem::replace(&mut self.open, next))
    }
}

impl RawChunk {
    fn empty(file: Arc<PathBuf>, names: Arc<BundleNames>) -> Self {
        Self { file, names, resources: Vec::new(), rejects: Vec::new(), skipped_entries: 0 }
    }
}

/// Reads one file to its end or to its first unreadable byte; what is wrong with it goes along as a reject.
/// Returns `false` when nobody wants any more.
pub(super) fn read_file(file: &Arc<PathBuf>, bytes_read: &Arc<AtomicU64>, deal: &mut dyn FnMut(RawChunk) -> bool) -> bool {
    let Some(form) = FileForm::of(file) else { return true };
    if form.is_ndjson { read_lines(file, form, bytes_read, deal) } else { read_document(file, form, bytes_read, deal) }
}

fn read_lines(file: &Arc<PathBuf>, form: FileForm, bytes_read: &Arc<AtomicU64>, deal: &mut dyn FnMut(RawChunk) -> bool) -> bool {
    let mut chunker = Chunker::new(file, BundleNames::default(), deal);
    let mut reader = match open(file, form, Some(bytes_read)) {
        Ok(reader) => reader,
        Err(error) => {
            chunker.reject(Place::File, format!("cannot be read: {error}"));
            return chunker.close();
        }
    };
    for number in 1.. {
        match read_line(&mut reader) {
            Ok(None) => break,
            Ok(Some(Line::Blank)) => {}
            Ok(Some(Line::TooLong)) => {
                chunker.reject(Place::Line(number), format!("the line is longer than {} bytes", limits::RESOURCE_BYTES_MAX));
            }
            Ok(Some(Line::Text(json))) => {
                if !chunker.push(RawResource { place: Place::Line(number), full_url: None, json }) {
                    return false;
                }
            }
            Err(error) => {
                chunker.reject(Place::Line(number), format!("the rest of the file cannot be read: {error}"));
                break;
            }
        }
    }
    chunker.close()
}

/// A Bundle whose entries are meant, or else one resource.
fn read_document(file: &Arc<PathBuf>, form: FileForm, bytes_read: &Arc<AtomicU64>, deal: &mut dyn FnMut(RawChunk) -> bool) -> bool {
    // Looked through before it is read for good: what the entries are called must be known when the first of them is stored.
    let opened = || open(file, form, None);
    let names = match bundle::read_names(opened) {
        Ok(names) => names,
        Err(error) => {
            let mut chunker = Chunker::new(file, BundleNames::default(), deal);
            chunker.reject(Place::File, format!("{error:#}"));
            return chunker.close();
        }
    };
    let is_bundle = names.is_some();
    let mut chunker = Chunker::new(file, names.unwrap_or_default(), deal);
    let read = open(file, form, Some(bytes_read))
        .map_err(anyhow::Error::from)
        .and_then(|reader| if is_bundle { bundle::read_entries(reader, &mut chunker) } else { read_single(reader, &mut chunker) });
    match read {
        Ok(is_wanted) => is_wanted && chunker.close(),
        Err(error) => {
            chunker.reject(Place::File, format!("{error:#}"));
            chunker.close()
        }
    }
}

fn read_single(reader: impl Read, chunker: &mut Chunker<'_>) -> anyhow::Result<bool> {
    let mut json = Vec::new();
    // One byte more than allowed, so that what is too large is refused as such and not cut off.
    reader.take(limits::RESOURCE_BYTES_MAX as u64 + 1).read_to_end(&mut json)?;
    Ok(chunker.push(RawResource { place: Place::File, full_url: None, json }))
}

fn open(path: &Path, form: FileForm, bytes_read: Option<&Arc<AtomicU64>>) -> io::Result<Box<dyn BufRead>> {
    let counted = Counted { inner: File::open(path)?, bytes_read: bytes_read.cloned() };
    let buffered = BufReader::with_capacity(1 << 16, counted);
    let mut reader: Box<dyn BufRead> =
        if form.is_gzip { Box::new(BufReader::with_capacity(1 << 17, MultiGzDecoder::new(buffered))) } else { Box::new(buffered) };
    if reader.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    Ok(reader)
}

/// Counts what is read, for the progress.
struct Counted {
    inner: File,
    bytes_read: Option<Arc<AtomicU64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        if let Some(bytes_read) = &self.bytes_read {
            bytes_read.fetch_add(length as u64, Ordering::Relaxed);
        }
        Ok(length)
    }
}
