//! The log files: how long they may become, and what the supervisor itself writes down.
//!
//! A replica writes to its log without the supervisor, at the end of the file and wherever that is. So the
//! file is never renamed: its oldest part is given back to the file system and leaves a hole, which readers skip.
//! Nothing that is written meanwhile is lost that way, and no reader loses its place. Only where the file system has
//! no holes is the file emptied, and readers begin anew.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use anylith_control::Notice;
use rustix::fs::FallocateFlags;

use crate::{log_line::LogLine, report::Report};

/// What a log may take on the disk, in bytes. When it takes more, half of this is kept.
const LOG_BYTES: u64 = 8 * 1024 * 1024;

/// Holes begin and end at whole pages.
const PAGE_BYTES: u64 = 4096;

/// Keeps every log in `folder` within its size. A log that cannot be looked at is looked at next time.
pub(crate) fn trim_all(folder: &Path) {
    let Ok(files) = fs::read_dir(folder) else {
        return;
    };
    for file in files.flatten() {
        if let Ok(file) = File::options().write(true).open(file.path()) {
            trim(&file, LOG_BYTES);
        }
    }
}

fn trim(file: &File, limit: u64) {
    let Ok(found) = file.metadata() else { return };
    // What is on the disk is counted, since the length counts the holes too.
    if found.blocks() * 512 <= limit {
        return;
    }
    let hole = found.len().saturating_sub(limit / 2) / PAGE_BYTES * PAGE_BYTES;
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    if rustix::fs::fallocate(file, flags, 0, hole).is_err() {
        // A file system without holes: better no old lines than a full disk.
        let _ = file.set_len(0);
    }
}

/// How long a log is, in bytes; 0 if there is none.
pub(crate) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// The last `count` lines of a log from byte `from` on, as people read them.
pub(crate) fn last_lines(path: &Path, from: u64, count: usize) -> Vec<String> {
    use std::io::{Read, Seek, SeekFrom};
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024).max(from)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map(|_| bytes)
    };
    let Ok(bytes) = read() else { return Vec::new() };
    let source: Arc<str> = Arc::from("");
    let mut lines = VecDeque::with_capacity(count + 1);
    for line in bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let line = LogLine::parse(&source, line);
        lines.push_back(match line.level {
            Some(level) => format!("{:5} {}", level.as_str(), line.text),
            None => line.text,
        });
        if lines.len() > count {
            lines.pop_front();
        }
    }
    lines.into()
}

/// What of the supervisor's own log may wait for room on the disk, in bytes. Further lines are lost.
const WAITING_BYTES: usize = 64 * 1024;

/// The supervisor's own log, in the form of a replica's.
#[derive(Debug)]
pub(crate) struct OwnLog {
    path: PathBuf,
    file: Option<File>,
    /// What could not be written yet: whole lines, but for the rest of one that was begun.
    waiting: VecDeque<u8>,
}

impl OwnLog {
    /// While it cannot be written, everything else goes on.
    pub(crate) fn open(path: &Path) -> Self {
        let mut log = Self {
            path: path.to_owned(),
            file: None,
            waiting: VecDeque::new(),
        };
        log.catch_up();
        log
    }

    /// Writes what waits, as far as there is room.
    pub(crate) fn catch_up(&mut self) {
        if self.file.is_none() {
            let mut options = File::options();
            let options = options.create(true).append(true).mode(0o600);
            self.file = options.open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return };
        while !self.waiting.is_empty() {
            match file.write(self.waiting.make_contiguous()) {
                Ok(0) | Err(_) => break,
                Ok(written) => drop(self.waiting.drain(..written)),
            }
        }
    }

    pub(crate) fn write(&mut self, report: &Report) {
        let line = serde_json::json!({
            "ts": humantime::format_rfc3339_micros(SystemTime::now()).to_string(),
            "level": if is_trouble(report) { "WARN" } else { "INFO" },
            "target": "anylith",
            "msg": report.to_string(),
        });
        let line = format!("{line}\n");
        if self.waiting.len() + line.len() <= WAITING_BYTES {
            self.waiting.extend(line.as_bytes());
        }
        self.catch_up();
    }
}

fn is_trouble(report: &Report) -> bool {
    match report {
        Report::Replaced { .. }
        | Report::OtherBuild { .. }
        | Report::StateKept
        | Report::AuthorityKept
        | Report::CertificateRenewed { .. } => false,
        Report::StateUnkept { .. }
        | Report::StateCramped { .. }
        | Report::AuthorityUnkept { .. }
        | Report::CertificateFailed { .. }
        | Report::NoLog { .. }
        | Report::Disconnected { .. }
        | Report::Stranger { .. } => true,
        Report::Noticed { notice, .. } => match notice {
            Notice::Ready
            | Notice::Recovered
            | Notice::Adopted { .. }
            | Notice::Answers { .. }
            | Notice::Healthy { .. }
            | Notice::Restarting { .. }
            | Notice::Renewed { .. }
            | Notice::Restarted { .. }
            | Notice::Scaling { .. }
            | Notice::Scaled { .. }
            | Notice::Autoscaled { .. }
            | Notice::Reshaping { .. }
            | Notice::Switched { .. }
            | Notice::Reshaped { .. }
            | Notice::ReshapeResolved { .. }
            | Notice::Upgrading { .. }
            | Notice::UpgradePaused { .. }
            | Notice::Upgraded { .. }
            | Notice::Stopping => false,
            Notice::Failed { .. }
            | Notice::CrashLoop { .. }
            | Notice::Silent { .. }
            | Notice::Overdue { .. }
            | Notice::CutShort { .. }
            | Notice::BeginsAnew { .. }
            | Notice::NotStarted { .. }
            | Notice::Unhealthy { .. }
            | Notice::TakingBack { .. }
            | Notice::RollingBack { .. }
            | Notice::RollbackStuck { .. }
            | Notice::ChangeFailed { .. }
            | Notice::ListenerLost { .. }
            | Notice::ForeignProtocol { .. } => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_loses_its_beginning_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Cart-1.log");
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap();
        for number in 0..20_000 {
            writeln!(file, "line {number:05}").unwrap();
        }
        trim(&file, 64 * 1024);
        writeln!(file, "line 20000").unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 <= 64 * 1024);
        assert_eq!(last_lines(&path, 0, 2), ["line 19999", "line 20000"]);
    }
}
