//! What happened, written down by the process that it happened to.
//!
//! Each process has a file of its own. An entry is one line and one `write`, so a process that is killed loses nothing
//! that it has written, and at most the last line is cut.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use anylith::{CallError, Execution};
use serde::{Deserialize, Serialize};

use crate::clock::now_ns;

/// The number of a call, the same at both of its ends. No two calls have the same.
pub(crate) type CallId = u64;

/// Something that happened to one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When, by [`now_ns`].
    pub(crate) at_ns: u64,
    /// The process.
    pub(crate) process: u32,
    pub(crate) event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Event {
    /// A caller makes a call.
    Asked {
        call: CallId,
        method: Method,
        /// How long it may take, in microseconds.
        deadline_us: u64,
        /// The call for which this one is made.
        within: Option<CallId>,
    },
    /// The caller of a call has its answer.
    Told { call: CallId, answer: Answer },
    /// A callee begins to execute a call.
    Began { call: CallId },
    /// A callee has executed a call to its end.
    Ended { call: CallId },
    /// The execution of a call was dropped half-way.
    Cut { call: CallId },
    /// What came with a call is not what its caller sent.
    Garbled { call: CallId },
    /// Since then this process was stopped, or one of its threads waited for a processor.
    Starved { since_ns: u64 },
    /// Since then a task of this process did not have its turn, and so long a thread computed meanwhile.
    Busy { since_ns: u64, computed_ns: u64 },
    /// The clock on the wall is so wrong now, and was not before.
    Jumped { by_s: i64 },
    /// A caller makes no further calls, and has an answer to each.
    Finished,
}

/// How a call ended, as its caller saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The right answer.
    Right,
    /// An answer that is not the right one.
    Wrong { text: String },
    /// A `CallError`, and what it says of the execution.
    Failed {
        execution: Execution,
        how: How,
        text: String,
    },
    /// The caller itself took the call back.
    Dropped,
    /// None, although its time was over long ago.
    Nothing,
}

/// The kinds of a `CallError`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    Refused,
    Lost,
    Late,
    Cancelled,
    /// The implementation panicked.
    Panicked,
    /// The answer could not be read.
    Unreadable,
    /// The edge or the interface is not allowed.
    Forbidden,
}

impl How {
    /// The kind of `error`.
    pub(crate) fn of(error: &CallError) -> Self {
        match error {
            CallError::NotExecuted { .. } => Self::Refused,
            CallError::Unknown { .. } => Self::Lost,
            CallError::DeadlineExceeded { .. } => Self::Late,
            CallError::Cancelled { .. } => Self::Cancelled,
            CallError::Panicked { .. } => Self::Panicked,
            CallError::Executed { .. } => Self::Unreadable,
            _ => Self::Forbidden,
        }
    }
}

/// The methods of the application, as `Component.method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Method {
    Look,
    Charge,
    List,
    Upload,
    LookOn,
    ChargeOn,
}

impl Method {
    pub(crate) const ALL: [Self; 6] = [
        Self::Look,
        Self::Charge,
        Self::List,
        Self::Upload,
        Self::LookOn,
        Self::ChargeOn,
    ];

    /// Whether two executions are as good as one.
    pub(crate) fn is_idempotent(self) -> bool {
        match self {
            Self::Look | Self::List | Self::LookOn => true,
            Self::Charge | Self::Upload | Self::ChargeOn => false,
        }
    }

    /// How it is called in `anylith.toml`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Look => "Target.look",
            Self::Charge => "Target.charge",
            Self::List => "Target.list",
            Self::Upload => "Target.upload",
            Self::LookOn => "Relay.look_on",
            Self::ChargeOn => "Relay.charge_on",
        }
    }
}

/// The file in which a process writes down what happens to it.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    process: u32,
}

impl Ledger {
    /// The folder of the ledgers in the home of a run.
    pub(crate) const FOLDER: &str = "ledgers";

    /// Opens the ledger of this process, which is `replica`, in `home`.
    pub(crate) fn open(home: &Path, replica: &str) -> io::Result<Self> {
        let process = std::process::id();
        let path = home
            .join(Self::FOLDER)
            .join(format!("{replica}.{process}.jsonl"));
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self { file, process })
    }

    /// Writes down what happens now.
    ///
    /// # Panics
    ///
    /// If that cannot be written: a ledger with holes judges nobody.
    pub(crate) fn note(&self, event: Event) {
        let entry = Entry {
            at_ns: now_ns(),
            process: self.process,
            event,
        };
        let mut line = serde_json::to_vec(&entry).expect("an entry is plain data");
        line.push(b'\n');
        (&self.file)
            .write_all(&line)
            .expect("the ledger takes an entry");
    }
}

/// Which replica each process was that has a ledger in `home`.
pub(crate) fn names(home: &Path) -> io::Result<BTreeMap<u32, String>> {
    let mut names = BTreeMap::new();
    for file in fs::read_dir(home.join(Ledger::FOLDER))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        let mut parts = name.split('.');
        if let (Some(replica), Some(pid)) = (parts.next(), parts.next())
            && let Ok(pid) = pid.parse()
        {
            names.insert(pid, replica.to_owned());
        }
    }
    Ok(names)
}

/// Everything that was written down in `home`, in the order of time.
pub(crate) fn read(home: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for file in fs::read_dir(home.join(Ledger::FOLDER))? {
        let text = fs::read(file?.path())?;
        // A process that was killed may have left half a line, and nothing behind it.
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        for line in text[..whole].split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                entries.push(serde_json::from_slice::<Entry>(line)?);
            }
        }
    }
    entries.sort_by_key(|entry| entry.at_ns);
    Ok(entries)
}
