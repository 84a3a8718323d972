//! The traces that are kept, for whoever asks.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use anylith_telemetry::{Span, Trace, TraceFilter, TraceId, TraceSketch, TraceSummary};

use crate::{run_folder::RunFolder, trace_store::segments};

/// What is longer than this is no span.
const LINE_BYTES: usize = 64 * 1024;

/// More is not read of one file, whoever wrote it.
const FILE_BYTES: u64 = 1 << 30;

/// Reads the traces that are kept of an application, whether it runs or not.
#[derive(Debug, Clone)]
pub struct TraceReader {
    folder: PathBuf,
}

/// Traces that were found.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct FoundTraces {
    /// The newest of them first.
    pub traces: Vec<TraceSummary>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

impl TraceReader {
    /// Those of the application with this run folder.
    pub fn of(folder: &RunFolder) -> Self {
        Self {
            folder: folder.traces(),
        }
    }

    /// The newest `most` traces that `filter` wants.
    ///
    /// # Errors
    ///
    /// If what is kept cannot be read. What is damaged of it is left out.
    pub fn find(&self, filter: &TraceFilter, most: usize) -> io::Result<FoundTraces> {
        let mut met: HashMap<TraceId, (TraceSketch, bool)> = HashMap::new();
        for path in segments(&self.folder)? {
            if is_before(&path, filter.since_ns) {
                continue;
            }
            each_line(&path, |line| {
                let Ok(span) = serde_json::from_slice::<Span>(line) else {
                    return;
                };
                let wanted = filter.wants(&span);
                match met.get_mut(&span.trace) {
                    Some((sketch, is_wanted)) => {
                        sketch.add(&span);
                        *is_wanted |= wanted;
                    }
                    None => {
                        met.insert(span.trace, (TraceSketch::of(&span), wanted));
                    }
                }
            })?;
        }
        let wanted = met.into_values().filter(|(_, is_wanted)| *is_wanted);
        let mut traces: Vec<TraceSummary> = wanted.map(|(sketch, _)| sketch.summary()).collect();
        traces.sort_by_key(|trace| std::cmp::Reverse((trace.begun_us, trace.id)));
        let more = traces.len() > most;
        traces.truncate(most);
        Ok(FoundTraces { traces, more })
    }

    /// The trace with this name; `None` if nothing of it is kept.
    ///
    /// # Errors
    ///
    /// If what is kept cannot be read.
    pub fn trace(&self, id: TraceId) -> io::Result<Option<Trace>> {
        let (mut spans, text) = (Vec::new(), id.to_string());
        for path in segments(&self.folder)? {
            each_line(&path, |line| {
                // Most lines are of other traces, and need not be understood.
                let is_near = std::str::from_utf8(line).is_ok_and(|line| line.contains(&text));
                let span = is_near.then(|| serde_json::from_slice::<Span>(line).ok());
                spans.extend(span.flatten().filter(|span| span.trace == id));
            })?;
        }
        Ok(Trace::of(spans))
    }
}

/// Whether nothing was written to a file since a moment, in nanoseconds of Unix time.
fn is_before(path: &Path, since_ns: Option<u64>) -> bool {
    let Some(since) = since_ns else { return false };
    let modified = fs::metadata(path).and_then(|found| found.modified());
    modified.is_ok_and(|at| at < UNIX_EPOCH + Duration::from_nanos(since))
}

/// Calls `with` for each whole line of a file. One that is too long is left out, and so is one that has no end: it is being
/// written, or will never be. A file that is gone by now has no lines.
fn each_line(path: &Path, mut with: impl FnMut(&[u8])) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut file = BufReader::with_capacity(LINE_BYTES, file).take(FILE_BYTES);
    let (mut line, mut is_too_long) = (Vec::new(), false);
    loop {
        let part = file.fill_buf()?;
        if part.is_empty() {
            return Ok(());
        }
        let end = part.iter().position(|byte| *byte == b'\n');
        let text = &part[..end.unwrap_or(part.len())];
        is_too_long |= line.len() + text.len() > LINE_BYTES;
        if !is_too_long {
            line.extend_from_slice(text);
        }
        let read = text.len() + usize::from(end.is_some());
        file.consume(read);
        if end.is_some() {
            if !is_too_long {
                with(&line);
            }
            line.clear();
            is_too_long = false;
        }
    }
}
