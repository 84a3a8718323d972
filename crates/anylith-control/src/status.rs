//! What was last seen, for people and scripts.

use std::{collections::BTreeMap, fmt};

use anylith_core::{Counters, Endpoint, Name, Target};
use serde::{Deserialize, Serialize, Serializer};

/// The application as it is now. Its JSON is what `anylith status --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The application.
    pub app: Name,
    /// The topology's name.
    pub topology: Name,
    /// The version of the directory.
    pub epoch: u64,
    /// Every group, in the topology's order.
    pub groups: Vec<GroupStatus>,
    /// Listener → where it answers.
    pub listeners: BTreeMap<Name, String>,
}

impl Status {
    /// Whether every replica is ready.
    pub fn is_ready(&self) -> bool {
        self.replicas()
            .all(|replica| replica.state == ReplicaState::Ready)
    }

    /// Every replica of every group.
    pub fn replicas(&self) -> impl Iterator<Item = &ReplicaStatus> {
        self.groups.iter().flat_map(|group| &group.replicas)
    }

    /// The replica called `id`.
    pub fn replica(&self, id: &str) -> Option<&ReplicaStatus> {
        self.replicas().find(|replica| replica.id == id)
    }
}

/// One group of a [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its name.
    pub name: Name,
    /// What runs in it.
    pub components: Vec<Name>,
    /// How its number of replicas comes about, if it follows what they bear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// Its replicas, in the order of their ordinals.
    pub replicas: Vec<ReplicaStatus>,
}

/// How many replicas a group is to have, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingStatus {
    /// How many.
    pub wanted: u32,
    /// The fewest that it may have.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// What each of them is to bear.
    pub target: Target,
    /// Why there are to be so many, for people to read.
    pub why: String,
}

/// One replica of a [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Its name.
    pub id: Name,
    /// Its process, if it has one.
    pub pid: Option<u32>,
    /// Where it answers calls, if it has a process.
    pub address: Option<Endpoint>,
    /// What it does.
    pub state: ReplicaState,
    /// How often it was started again because it had failed.
    pub restarts: u64,
    /// The build that it runs, by number: the one that was launched is 0, which in JSON is left out, and each that was rolled
    /// in has the next one.
    #[serde(default, skip_serializing_if = "is_first")]
    pub build: u32,
    /// What its processes have counted; in JSON without what is 0.
    #[serde(
        default,
        serialize_with = "counted",
        skip_serializing_if = "Counters::is_zero"
    )]
    pub counters: Counters,
    /// The components that were ready and are better not called now → what their `healthy` says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unhealthy: BTreeMap<Name, String>,
    /// Whether it has a process that gives no sign of life.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_first(build: &u32) -> bool {
    *build == 0
}

fn counted<S: Serializer>(counters: &Counters, serializer: S) -> Result<S::Ok, S::Error> {
    let counts = counters.named().into_iter();
    let counts = counts.filter(|(_, _, count)| *count > 0);
    serializer.collect_map(counts.map(|(name, _, count)| (name, count)))
}

/// What a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaState {
    /// It has a process, or gets one now; not every component of it answers yet.
    Starting,
    /// All of its components answer.
    Ready,
    /// It finishes its calls and takes no new ones.
    Draining,
    /// It has failed and waits to be started again.
    Backoff,
    /// It has no process and gets none.
    Stopped,
}

impl fmt::Display for ReplicaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Backoff => "backoff",
            Self::Stopped => "stopped",
        })
    }
}

/// Which change is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Underway {
    /// Replicas are started anew.
    Restart,
    /// There are to be more of them, or fewer.
    Scale,
    /// The components are divided into other groups.
    Reshape {
        /// The topology that was asked for.
        to: Name,
    },
    /// Another build is rolled in.
    Upgrade {
        /// Where it stands.
        stage: UpgradeStage,
    },
    /// Something that a later build can do.
    #[serde(other)]
    Unknown,
}

/// Where an upgrade stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeStage {
    /// The new build comes.
    Comes,
    /// It begins no further step until it is told to.
    Paused,
    /// The old build comes back.
    GoesBack,
    /// One build stands, and what was added leaves.
    Settles,
    /// Something that a later build knows of.
    #[serde(other)]
    Unknown,
}

/// Why a replica is not ready, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The replica.
    pub replica: Name,
    /// The reason, in a sentence.
    pub text: String,
}
