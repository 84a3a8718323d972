//! The logs of all replicas of an application, as one, in time order.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{log_filter::LogFilter, log_line::LogLine, run_folder::RunFolder};

/// How long a line may take from its time stamp to the file. Lines younger than this are kept back, so that
/// an older one of another replica can still come before them.
const SETTLE: Duration = Duration::from_millis(20);

/// The most that is read from one file at once, so that a chatty replica does not keep the others waiting.
const READ_BYTES: u64 = 1024 * 1024;

/// What is longer than this is no line. It is shown in parts, so that a process which never ends its line does not
/// fill the memory of whoever follows its log.
const LINE_BYTES: usize = 1024 * 1024;

/// Reads the logs of all replicas, and those of replicas that come later.
#[derive(Debug)]
pub struct LogReader {
    folder: PathBuf,
    tails: BTreeMap<String, Tail>,
    waiting: Vec<LogLine>,
    from_end: bool,
    /// What is not wanted is not kept, and logs in which nothing is wanted are not read.
    filter: LogFilter,
}

/// One log, read up to `position`.
#[derive(Debug)]
struct Tail {
    source: Arc<str>,
    file: File,
    position: u64,
    /// The beginning of a line whose end was not written yet.
    partial: Vec<u8>,
    /// Where its last line stands.
    stands_at: String,
}

impl LogReader {
    /// Reads from the oldest line that is kept.
    pub fn from_start(folder: &RunFolder) -> Self {
        Self {
            folder: folder.logs(),
            tails: BTreeMap::new(),
            waiting: Vec::new(),
            from_end: false,
            filter: LogFilter::default(),
        }
    }

    /// Reads only lines that `filter` wants.
    #[must_use]
    pub fn only(mut self, filter: LogFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Reads only what is written from now on.
    pub fn from_end(folder: &RunFolder) -> Self {
        let mut reader = Self {
            from_end: true,
            ..Self::from_start(folder)
        };
        // What cannot be looked at now is met at the next look.
        let _ = reader.look_for_files();
        reader.from_end = false;
        reader
    }

    /// The lines that were written since the last look and are old enough to be in order, oldest first.
    ///
    /// # Errors
    ///
    /// If the folder or a log cannot be read.
    pub fn poll(&mut self) -> io::Result<Vec<LogLine>> {
        let settled = SystemTime::now() - SETTLE;
        let settled = humantime::format_rfc3339_micros(settled).to_string();
        self.read()?;
        let (ready, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|line| line.stands_at <= settled);
        self.waiting = waiting;
        Ok(in_order(ready))
    }

    /// Like [`LogReader::poll`], but with everything that there is, however much.
    ///
    /// # Errors
    ///
    /// If the folder or a log cannot be read.
    pub fn catch_up(&mut self) -> io::Result<Vec<LogLine>> {
        while self.read()? {}
        self.poll()
    }

    /// The last `most` of the lines that there are, oldest first; what comes later is for [`LogReader::poll`]. It takes
    /// no more memory than so many lines of each log, and a part of one.
    ///
    /// # Errors
    ///
    /// If the folder or a log cannot be read.
    pub fn skim(&mut self, most: usize) -> io::Result<Vec<LogLine>> {
        self.look_for_files()?;
        let (mut all, now) = (Vec::new(), now());
        for tail in self.tails.values_mut() {
            let (mut lines, mut last) = (Vec::new(), VecDeque::new());
            while tail.read(&now, &mut lines)? {
                let wanted = lines.drain(..).filter(|line| self.filter.wants(line));
                last.extend(wanted);
                let over = last.len().saturating_sub(most);
                last.drain(..over);
            }
            all.extend(last);
        }
        let mut all = in_order(all);
        all.drain(..all.len().saturating_sub(most));
        Ok(all)
    }

    /// All lines that are left, with those that have no end yet.
    ///
    /// # Errors
    ///
    /// If the folder or a log cannot be read.
    pub fn finish(mut self) -> io::Result<Vec<LogLine>> {
        while self.read()? {}
        let now = now();
        for tail in self.tails.values_mut() {
            let partial = std::mem::take(&mut tail.partial);
            self.waiting.extend(tail.line(&partial, &now));
        }
        self.waiting.retain(|line| self.filter.wants(line));
        Ok(in_order(self.waiting))
    }

    /// Reads a part of every log; returns whether there was anything.
    fn read(&mut self) -> io::Result<bool> {
        self.look_for_files()?;
        let (mut any, now) = (false, now());
        for tail in self.tails.values_mut() {
            any |= tail.read(&now, &mut self.waiting)?;
        }
        self.waiting.retain(|line| self.filter.wants(line));
        // A new run begins with new logs under the same names.
        self.tails
            .retain(|_, tail| tail.file.metadata().is_ok_and(|found| found.nlink() > 0));
        Ok(any)
    }

    fn look_for_files(&mut self) -> io::Result<()> {
        let files = match fs::read_dir(&self.folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for file in files {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            let Some(source) = name.strip_suffix(".log") else {
                continue;
            };
            if !self.tails.contains_key(source) && self.filter.wants_log_of(source) {
                let file = File::open(file.path())?;
                let position = if self.from_end {
                    file.metadata()?.len()
                } else {
                    0
                };
                let tail = Tail {
                    source: Arc::from(source),
                    file,
                    position,
                    partial: Vec::new(),
                    stands_at: String::new(),
                };
                self.tails.insert(source.to_owned(), tail);
            }
        }
        Ok(())
    }
}

impl Tail {
    /// Reads what there is, up to [`READ_BYTES`]; returns whether there was anything.
    fn read(&mut self, now: &str, lines: &mut Vec<LogLine>) -> io::Result<bool> {
        let length = self.file.metadata()?.len();
        if length < self.position {
            // It was cut off, and begins anew.
            self.position = 0;
            self.partial.clear();
        }
        if length == self.position {
            return Ok(false);
        }
        // The oldest part of a long log is a hole: see `log_file.rs`.
        let whole_line =
            match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(self.position)) {
                Ok(data) if data > self.position => {
                    self.position = data;
                    self.partial.clear();
                    false
                }
                Ok(_) | Err(_) => true,
            };
        self.file.seek(SeekFrom::Start(self.position))?;
        let mut bytes = std::mem::take(&mut self.partial);
        let read = (&self.file).take(READ_BYTES).read_to_end(&mut bytes)?;
        self.position += read as u64;
        let complete = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let complete = match bytes.len() - complete {
            rest if rest >= LINE_BYTES => bytes.len(),
            _ => complete,
        };
        self.partial = bytes.split_off(complete);
        // Behind a hole comes the rest of a line.
        for line in bytes
            .split_inclusive(|byte| *byte == b'\n')
            .skip(usize::from(!whole_line))
        {
            lines.extend(self.line(line, now));
        }
        Ok(read > 0)
    }

    /// The next line, if it is not empty.
    fn line(&mut self, bytes: &[u8], now: &str) -> Option<LogLine> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        if bytes.is_empty() {
            return None;
        }
        let mut line = LogLine::parse(&self.source, bytes);
        line.stand_between(&self.stands_at, now);
        if line.stands_at != self.stands_at {
            self.stands_at.clone_from(&line.stands_at);
        }
        Some(line)
    }
}

fn now() -> String {
    humantime::format_rfc3339_micros(SystemTime::now()).to_string()
}

/// Lines of one source stay as they were written, whatever their times say.
fn in_order(mut lines: Vec<LogLine>) -> Vec<LogLine> {
    lines.sort_by(|one, other| one.stands_at.cmp(&other.stands_at));
    lines
}
