//! `state.json`: what a supervisor leaves behind, so that the next one takes over what runs.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anylith_control::{Extra, Fate, GroupSpec, Memory, Spec};
use anylith_core::Name;
use serde::{Deserialize, Serialize};

use crate::{
    builds::Kept,
    process::{self, Process},
    report::Report,
    stray::Stray,
};

/// The program that a supervisor runs as replicas: the application's own binary. Of its environment `Debug` has the
/// names only: the values may be secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The binary.
    pub path: PathBuf,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// What is set in its environment beyond the supervisor's own.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The folder it runs in; the supervisor's own if it is not set.
    #[serde(default)]
    pub folder: Option<PathBuf>,
}

impl Program {
    /// A program without arguments.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            folder: None,
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<&String> = self.env.keys().collect();
        f.debug_struct("Program")
            .field("path", &self.path)
            .field("args", &self.args)
            .field("env", &set)
            .field("folder", &self.folder)
            .finish()
    }
}

/// Everything in `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) spec: Spec,
    /// The shape in which it was launched, and which it may have left since.
    #[serde(default)]
    pub(crate) launched: Option<Shape>,
    pub(crate) program: Program,
    /// Which build of the program it was.
    pub(crate) build: Build,
    /// Number of a build → where it is kept, once one was rolled in; 0 is the program as it was launched.
    #[serde(default)]
    pub(crate) kept: BTreeMap<u32, Kept>,
    /// Listener → the address at which its socket is bound.
    pub(crate) addresses: BTreeMap<Name, String>,
    pub(crate) memory: Memory,
    /// Process → when it started, which tells it from another that got its number later.
    pub(crate) started: BTreeMap<u32, u64>,
}

/// How the components are divided: what can be changed while an application runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    topology: Name,
    groups: Vec<GroupSpec>,
}

impl Shape {
    pub(crate) fn of(spec: &Spec) -> Self {
        Self {
            topology: spec.topology.clone(),
            groups: spec.groups.clone(),
        }
    }

    /// Gives `spec` this shape.
    pub(crate) fn form(self, spec: &mut Spec) {
        spec.topology = self.topology;
        spec.groups = self.groups;
    }
}

/// What an earlier supervisor has left.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    /// With the processes in `living`, and no others.
    pub(crate) memory: Memory,
    /// The processes that run since before, held.
    pub(crate) living: BTreeMap<Name, Process>,
    /// What they were started from, where they are adopted.
    pub(crate) program: Option<Program>,
    pub(crate) build: Option<Build>,
    pub(crate) kept: BTreeMap<u32, Kept>,
}

/// Tells one build of a binary from the next one at the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) bytes: u64,
    pub(crate) changed_ns: i128,
}

impl Build {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        let changed_ns = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
        Ok(Self {
            bytes: found.len(),
            changed_ns,
        })
    }
}

impl Record {
    /// The program of the build with this number.
    pub(crate) fn program_of(&self, build: u32) -> Program {
        let kept = self.kept.get(&build);
        Program {
            path: kept.map_or(&self.program.path, |kept| &kept.path).clone(),
            ..self.program.clone()
        }
    }

    /// The paths of all programs that replicas may run.
    pub(crate) fn programs(&self) -> Vec<PathBuf> {
        let kept = self.kept.values().map(|kept| kept.path.clone());
        kept.chain([self.program.path.clone()]).collect()
    }

    /// Whether `build` of the program at `path` is what was launched, or what was rolled in since and stands, or is about to.
    pub(crate) fn stands_for(&self, path: &Path, build: Build) -> bool {
        let comes = self.memory.rollout.as_ref().map(|rollout| rollout.to);
        let numbers = [Some(self.memory.build), comes];
        let mut kept = numbers
            .into_iter()
            .flatten()
            .filter_map(|it| self.kept.get(&it));
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is = |program: &Path, its: Build| program == path && its == build;
        let launched = fs::canonicalize(&self.program.path);
        let launched = launched.as_deref().unwrap_or(&self.program.path);
        kept.any(|kept| is(&kept.source, kept.build)) || is(launched, self.build)
    }

    /// Whether `build` is the one that stands.
    pub(crate) fn is_standing(&self, build: Build) -> bool {
        let kept = self.kept.get(&self.memory.build);
        build == kept.map_or(self.build, |kept| kept.build)
    }

    /// Reads the record of an earlier supervisor. One that cannot be understood, of another version
    /// perhaps, is as good as none: its replicas are told to go when they say hello.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Writes it in one step: who reads finds the old record or the new one, and never half of one. It is
    /// not forced to the disk: the replicas don't survive what the page cache doesn't.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("json.new");
        // The config may hold secrets.
        let mut file = fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        let written = file.write_all(&serde_json::to_vec(self)?);
        // Where the disk is full, what fitted on it is of no use.
        let renamed = written.and_then(|()| fs::rename(&new, path));
        renamed.inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// Takes hold of the processes that live, and forgets the others. What ends from here on is seen. Of `strays` it remembers those that
    /// it should have known, and gives back those that are none of its groups', or run a build that nobody is to run now. Builds
    /// are kept in the folder `builds`, others than it knows among them.
    pub(crate) fn hold_living(
        &mut self,
        strays: Vec<Stray>,
        builds: &Path,
    ) -> (BTreeMap<Name, Process>, Vec<Stray>) {
        let mut living = BTreeMap::new();
        for (replica, past) in &mut self.memory.replicas {
            let started = past.pid.and_then(|pid| self.started.get(&pid));
            let process = past.pid.zip(started);
            let process = process.and_then(|(pid, started)| Process::find(pid, *started));
            past.pid = process.as_ref().map(|process| process.pid);
            living.extend(process.map(|process| (replica.clone(), process)));
        }
        let mut strangers = Vec::new();
        for stray in strays {
            let known = living.get(&stray.replica);
            if known.is_some_and(|known| known.pid == stray.process.pid) {
                continue;
            }
            let pid = stray.process.pid;
            let build = self.build_in(pid);
            let is_foreign = match build {
                Some(build) => !self.may_run(build),
                None => process::runs_within(pid, builds),
            };
            match self.place_of(&stray.replica) {
                // It is somebody else's.
                Some((group, _)) if group.external => {}
                Some((group, ordinal)) if !is_foreign && !living.contains_key(&stray.replica) => {
                    let wanted = group.replicas;
                    let place = Extra {
                        group: group.name.clone(),
                        ordinal,
                        components: group.components.clone(),
                    };
                    self.remember(&stray, place, wanted, build);
                    living.insert(stray.replica, stray.process);
                }
                Some(_) | None => strangers.push(stray),
            }
        }
        (living, strangers)
    }

    /// The group of a replica with this name, and its number in it.
    fn place_of(&self, replica: &Name) -> Option<(&GroupSpec, u32)> {
        let (_, ordinal) = replica.as_str().rsplit_once('-')?;
        let ordinal = ordinal.parse().ok()?;
        let mut groups = self.spec.groups.iter();
        let group = groups.find(|group| group.replica_name(ordinal) == *replica)?;
        Some((group, ordinal))
    }

    /// The number of the build that process `pid` runs, if it is one that is known. A script is run by another program, so of
    /// that nobody can tell.
    fn build_in(&self, pid: u32) -> Option<u32> {
        let mut kept = self.kept.iter();
        let kept = kept.find(|(_, kept)| process::runs(pid, &kept.path));
        let launched = || {
            let runs = Build::of(Path::new(&format!("/proc/{pid}/exe")));
            runs.is_ok_and(|build| build == self.build).then_some(0)
        };
        kept.map(|(number, _)| *number).or_else(launched)
    }

    /// Whether replicas run this build, or may.
    fn may_run(&self, build: u32) -> bool {
        let rollout = self.memory.rollout.as_ref();
        let comes = rollout.is_some_and(|rollout| [rollout.from, rollout.to].contains(&build));
        comes || build == self.memory.build
    }

    /// What runs at a place in a group of which so many are `wanted` is the stray.
    fn remember(&mut self, stray: &Stray, place: Extra, wanted: u32, build: Option<u32>) {
        let past = self.memory.replicas.entry(stray.replica.clone());
        let past = past.or_default();
        past.pid = Some(stray.process.pid);
        past.incarnation = stray.incarnation;
        past.build = build.unwrap_or(past.build);
        past.fate = Fate::Stays;
        if place.ordinal > wanted {
            // Perhaps one of more replicas, which nobody has heard of here: it goes once all others are ready.
            past.fate = Fate::StandsIn;
            self.memory.extra.insert(stray.replica.clone(), place);
        }
    }
}

/// `state.json`, kept as a control plane wants it.
#[derive(Debug)]
pub(crate) struct Ledger {
    record: Record,
    path: PathBuf,
    state: Recorded,
}

/// What became of the last attempt to write `state.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Recorded {
    Never,
    Written,
    /// And people were told why.
    Failed(String),
}

impl Ledger {
    /// Nothing is written yet.
    pub(crate) fn new(record: Record, path: PathBuf) -> Self {
        Self {
            record,
            path,
            state: Recorded::Never,
        }
    }

    /// What `state.json` says, or should.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// From now on builds are where `kept` says; it is written with what is to be remembered next.
    pub(crate) fn keep_builds(&mut self, kept: BTreeMap<u32, Kept>) {
        self.record.kept = kept;
        self.state = Recorded::Never;
    }

    /// Writes down what is wanted and what is to be remembered, if that has changed or is not written; returns what
    /// people must be told.
    pub(crate) fn keep(&mut self, spec: &Spec, memory: Memory) -> Option<Report> {
        let is_written = self.state == Recorded::Written && self.path.exists();
        if is_written && memory == self.record.memory && *spec == self.record.spec {
            return None;
        }
        self.record.spec.clone_from(spec);
        let pids = memory.replicas.values().filter_map(|replica| replica.pid);
        let started = |pid| process::started_at(pid).map(|at| (pid, at));
        self.record.started = pids.filter_map(started).collect();
        self.record.memory = memory;
        let state = match self.record.write(&self.path) {
            Ok(()) => Recorded::Written,
            Err(error) => Recorded::Failed(error.to_string()),
        };
        let before = std::mem::replace(&mut self.state, state);
        match (before, self.trouble()) {
            (Recorded::Failed(_), None) => Some(Report::StateKept),
            (Recorded::Failed(_), Some(_)) => None,
            (Recorded::Never | Recorded::Written, trouble) => trouble,
        }
    }

    /// What is wrong, if the last attempt to write has failed.
    pub(crate) fn trouble(&self) -> Option<Report> {
        match &self.state {
            Recorded::Never | Recorded::Written => None,
            Recorded::Failed(error) => Some(Report::StateUnkept {
                error: error.clone(),
            }),
        }
    }
}
