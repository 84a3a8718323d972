//! What is kept of traces on the disk: files of bounded size with a span on each line, the oldest of which goes first.
//!
//! A new file is begun when one is full, by each supervisor, and after anything went wrong with the one before. So a line that was
//! torn stays the last of its file, and nothing is ever written behind it. Readers need nobody's leave: they read whole
//! lines, and leave out what they cannot understand.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anylith_telemetry::Span;

/// Among so many files what is kept is divided: when it is too much, so big a part of it goes.
const PARTS: u64 = 8;

/// How the names of these files end.
const EXTENSION: &str = "spans";

/// Keeps spans in a folder.
#[derive(Debug)]
pub(crate) struct TraceStore {
    folder: PathBuf,
    /// What all files may take together, in bytes.
    limit: u64,
    open: Option<Segment>,
    /// What the next file is called.
    next: u64,
}

/// The file that is written.
#[derive(Debug)]
struct Segment {
    file: File,
    bytes: u64,
}

impl TraceStore {
    /// Keeps spans in `folder`, which need not exist, within `limit` bytes.
    pub(crate) fn new(folder: PathBuf, limit: u64) -> Self {
        let files = segments(&folder).unwrap_or_default();
        let last = files.last().and_then(|path| number(path));
        Self {
            folder,
            limit,
            open: None,
            next: last.map_or(0, |last| last.saturating_add(1)),
        }
    }

    /// Keeps some spans.
    ///
    /// # Errors
    ///
    /// The disk is full, or something else is wrong with it. Some of the spans may be kept.
    pub(crate) fn keep(&mut self, spans: &[Span]) -> io::Result<()> {
        if self.limit == 0 || spans.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for span in spans {
            serde_json::to_writer(&mut lines, span)?;
            lines.push(b'\n');
        }
        let mut segment = match self.open.take() {
            Some(segment) if segment.bytes < self.limit / PARTS => segment,
            _ => self.begin()?,
        };
        segment.file.write_all(&lines)?;
        segment.bytes += lines.len() as u64;
        self.open = Some(segment);
        Ok(())
    }

    /// Begins a file, once there is room for it.
    fn begin(&mut self) -> io::Result<Segment> {
        fs::create_dir_all(&self.folder)?;
        self.make_room()?;
        let path = self.folder.join(format!("{:012}.{EXTENSION}", self.next));
        self.next = self.next.saturating_add(1);
        let mut options = File::options();
        let file = options
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        Ok(Segment { file, bytes: 0 })
    }

    /// Removes the oldest files, until another one has room.
    fn make_room(&self) -> io::Result<()> {
        let length = |path: &PathBuf| fs::metadata(path).map_or(0, |found| found.len());
        let mut files: Vec<(PathBuf, u64)> = segments(&self.folder)?
            .into_iter()
            .map(|path| (path.clone(), length(&path)))
            .collect();
        files.reverse();
        let mut all: u64 = files.iter().map(|(_, length)| length).sum();
        let room = self.limit - self.limit / PARTS;
        while all > room
            && let Some((path, length)) = files.pop()
        {
            fs::remove_file(path)?;
            all -= length;
        }
        Ok(())
    }
}

/// The files in which traces are kept, oldest first; none where there is no such folder.
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<(u64, PathBuf)> = paths
        .filter_map(|path| Some((number(&path)?, path)))
        .collect();
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// The number of a file, if it is one of these.
fn number(path: &Path) -> Option<u64> {
    let is_one = path.extension()? == EXTENSION;
    is_one.then(|| path.file_stem()?.to_str()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use anylith_core::Name;
    use anylith_telemetry::{Kept, Outcome, SpanId, SpanKind, TraceFilter, TraceId};

    use super::*;
    use crate::{run_folder::RunFolder, trace_reader::TraceReader};

    fn span(trace: u128, begun_ns: u64) -> Span {
        Span {
            trace: TraceId::new(trace).unwrap(),
            id: SpanId::new(begun_ns + 1).unwrap(),
            parent: None,
            kind: SpanKind::Client,
            caller: Some(Name::new("Frontend").unwrap()),
            component: Name::new("Cart").unwrap(),
            method: "add".to_owned(),
            path: None,
            replica: Some(Name::new("web-1").unwrap()),
            begun_ns,
            took_ns: 500,
            outcome: Outcome::Answered,
            error: None,
            status: None,
            repeats: 0,
            kept: Kept::Sampled,
        }
    }

    struct Kitchen {
        folder: tempfile::TempDir,
        limit: u64,
    }

    impl Kitchen {
        fn new(limit: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { folder, limit }
        }

        fn traces(&self) -> PathBuf {
            RunFolder::at(self.folder.path()).traces()
        }

        fn store(&self) -> TraceStore {
            TraceStore::new(self.traces(), self.limit)
        }

        fn found(&self) -> Vec<u128> {
            let reader = TraceReader::of(&RunFolder::at(self.folder.path()));
            let found = reader.find(&TraceFilter::default(), usize::MAX).unwrap();
            found.traces.iter().map(|trace| trace.id.get()).collect()
        }

        fn bytes(&self) -> u64 {
            let files = segments(&self.traces()).unwrap();
            let length = |path: &PathBuf| fs::metadata(path).unwrap().len();
            files.iter().map(length).sum()
        }
    }

    #[test]
    fn what_was_kept_is_found_by_the_next_supervisor_the_newest_first() {
        let kitchen = Kitchen::new(1 << 20);
        kitchen
            .store()
            .keep(&[span(1, 1_000), span(2, 2_000)])
            .unwrap();
        kitchen
            .store()
            .keep(&[span(3, 3_000), span(2, 2_500)])
            .unwrap();
        assert_eq!(kitchen.found(), [3, 2, 1]);
        let reader = TraceReader::of(&RunFolder::at(kitchen.folder.path()));
        let trace = reader.trace(TraceId::new(2).unwrap()).unwrap().unwrap();
        assert_eq!(trace.spans.len(), 2);
        assert_eq!(reader.trace(TraceId::new(4).unwrap()).unwrap(), None);
        let one = reader.find(&TraceFilter::default(), 1).unwrap();
        assert!(one.more);
        assert_eq!(one.traces[0].id.get(), 3);
    }

    #[test]
    fn however_much_is_kept_it_stays_within_its_limit_and_the_newest_stays() {
        let kitchen = Kitchen::new(64 * 1024);
        let mut store = kitchen.store();
        for at in 1..=3_000 {
            store.keep(&[span(at.into(), at)]).unwrap();
            if at % 500 == 0 {
                // As when another supervisor takes over.
                store = kitchen.store();
            }
        }
        let found = kitchen.found();
        assert!(kitchen.bytes() <= 64 * 1024 + 1024, "{}", kitchen.bytes());
        assert!(kitchen.bytes() > 32 * 1024, "{}", kitchen.bytes());
        let newest: Vec<u128> = (0..found.len() as u128).map(|age| 3_000 - age).collect();
        assert_eq!(found, newest);
    }

    #[test]
    fn what_is_damaged_is_left_out_and_costs_nothing_else() {
        let kitchen = Kitchen::new(1 << 20);
        kitchen.store().keep(&[span(1, 1)]).unwrap();
        let torn = segments(&kitchen.traces()).unwrap().remove(0);
        let mut bytes = fs::read(&torn).unwrap();
        let whole = bytes.clone();
        bytes.extend_from_slice(b"\x00\xff\xfe no json\n{\"trace\":\"00\"}\n[[[[\n");
        bytes.extend(vec![b'x'; 200_000]);
        bytes.push(b'\n');
        bytes.extend_from_slice(&whole.replace_once(b"0001", b"0002"));
        bytes.extend_from_slice(&whole[..whole.len() / 2]);
        fs::write(&torn, bytes).unwrap();
        fs::write(kitchen.traces().join("notes.txt"), "mine").unwrap();
        fs::write(kitchen.traces().join("x.spans"), "not a number").unwrap();
        fs::write(kitchen.traces().join("000000000007.spans"), [0xff; 4096]).unwrap();
        let mut store = kitchen.store();
        store.keep(&[span(9, 9)]).unwrap();
        assert_eq!(kitchen.found(), [9, 2, 1]);
    }

    trait ReplaceOnce {
        fn replace_once(&self, what: &[u8], with: &[u8]) -> Vec<u8>;
    }

    impl ReplaceOnce for Vec<u8> {
        fn replace_once(&self, what: &[u8], with: &[u8]) -> Vec<u8> {
            let at = self.windows(what.len()).position(|here| here == what);
            let at = at.expect("it is there");
            [&self[..at], with, &self[at + what.len()..]].concat()
        }
    }

    #[test]
    fn a_disk_that_takes_nothing_is_tried_again() {
        let kitchen = Kitchen::new(1 << 20);
        // Where the folder should be is a file.
        fs::write(kitchen.traces(), "").unwrap();
        let mut store = kitchen.store();
        assert!(store.keep(&[span(1, 1)]).is_err());
        fs::remove_file(kitchen.traces()).unwrap();
        store.keep(&[span(2, 2)]).unwrap();
        assert_eq!(kitchen.found(), [2]);
    }
}
