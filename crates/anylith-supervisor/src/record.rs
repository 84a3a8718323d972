//! What is in `state.json`: what a supervisor leaves behind, so that the next one takes over what runs.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anylith_control::{Extra, Fate, GroupSpec, Memory, Spec};
use anylith_core::{Fingerprint, Name};
use serde::{Deserialize, Serialize};

use crate::{
    builds::Kept,
    process::{self, Process},
    stray::Stray,
};

/// What comes before the sum in the text of a record.
const SUM: &str = ",\"sum\":\"";

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

    /// Where a file of the build that stands is: the one that is kept, the one that was launched if it is still there, or the one
    /// that a replica of it runs.
    pub(crate) fn standing_build(&self) -> Option<PathBuf> {
        if let Some(kept) = self.kept.get(&self.memory.build) {
            return Some(kept.path.clone()).filter(|path| path.is_file());
        }
        let launched = [self.program.path.clone()].into_iter();
        let mut places = launched.chain(self.running());
        places.find(|place| Build::of(place).is_ok_and(|found| found == self.build))
    }

    /// The files that the replicas were started from, which the kernel keeps for them.
    pub(crate) fn running(&self) -> impl Iterator<Item = PathBuf> {
        let replicas = self.memory.replicas.values();
        let pids = replicas.filter_map(|replica| replica.pid);
        pids.map(|pid| PathBuf::from(format!("/proc/{pid}/exe")))
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
        // While it is read it may be written over, though hardly ever twice.
        let read = || Self::of_text(&fs::read_to_string(path).ok()?);
        let mut record = (0..5).find_map(|_| read())?;
        record.memory.carry_out_decision(&mut record.spec);
        Some(record)
    }

    /// What is written of it: an object whose last key is the sum of all before.
    pub(crate) fn text(&self) -> io::Result<String> {
        let mut text = serde_json::to_string(self)?;
        let sum = Fingerprint::EMPTY.with(&text);
        text.truncate(text.len() - 1);
        Ok(format!("{text}{SUM}{sum}\"}}"))
    }

    /// The record of which this is the text; `None` if it is half of one and half of another.
    fn of_text(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let summed = text.strip_suffix("\"}").and_then(|it| it.rsplit_once(SUM));
        if let Some((before, sum)) = summed
            && let Ok(sum) = sum.parse::<Fingerprint>()
            && sum != Fingerprint::EMPTY.with(&format!("{before}}}"))
        {
            return None;
        }
        serde_json::from_str(text).ok()
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
