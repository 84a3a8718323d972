//! What a replica and the control plane say to each other.
//!
//! A message is its length (32 bits, big-endian) and then JSON: there are few of them, they are worth
//! reading when something is wrong, and a replica and a control plane of different builds must understand
//! each other. Unknown fields are ignored; a new field has a default. A message of a kind that is not known here is
//! `Unknown`: it comes from a later build, which must not need it to be understood.
//!
//! The replica connects to the control plane's socket, and connects again when the connection breaks, so a
//! control plane that was started again is found by the replicas that kept running without it.
//!
//! The first message of a connection says what the connection is for: see [`Opening`].

use std::{collections::BTreeMap, fmt, path::PathBuf};

use anylith_core::{
    Burst, Counters, Directory, Endpoint, Manifest, Name, Scaling, Size, Telemetry,
};
pub use anylith_core::{EdgeSettings, Limits};
use anylith_telemetry::{Period, Report, Span, Subject, TraceId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use crate::{
    handed::{HAND_OVER, Handed, MAX_STATE_BYTES, SHUT_DOWN, SUCCESSION},
    identity::Identity,
};

/// The version of these messages.
pub const CONTROL_PROTOCOL: u32 = 1;

/// The longest message, in bytes without its length.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Environment variable: the path of the control plane's socket. Where it is set the process is a replica.
pub const ENV_CONTROL: &str = "ANYLITH_CONTROL";
/// Environment variable: the replica's name.
pub const ENV_REPLICA: &str = "ANYLITH_REPLICA";
/// Environment variable: how often this replica was started, from 1.
pub const ENV_INCARNATION: &str = "ANYLITH_INCARNATION";
/// Environment variable: `describe` or `check`, asked of the application's binary by the command.
pub const ENV_ROLE: &str = "ANYLITH_ROLE";
/// Environment variable: the path of a replica's orders, where there is no control plane: see
/// [`StandingOrders`](crate::StandingOrders).
pub const ENV_BOOTSTRAP: &str = "ANYLITH_BOOTSTRAP";
/// Environment variable of a process without a control plane: the path of its `anylith.toml`.
pub const ENV_CONFIG: &str = "ANYLITH_CONFIG";

/// What `LISTEN_FDNAMES` calls the two ends of a listener's relay, after the listener's name: the one into which a replica that
/// goes gives its open connections, and the one out of which those that stay take them. They are Unix datagram sockets.
pub const RELAY_ENDS: [&str; 2] = ["@give", "@take"];

/// The first message on any connection to the control plane's socket: who is there, and what for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Opening {
    /// A replica, which stays: then [`FromReplica`] one way and [`ToReplica`] the other. Reads the same as
    /// [`FromReplica::Hello`].
    Hello(Hello),
    /// A replica brings the socket that [`ToReplica::HandOver`] asked for.
    ///
    /// The listener's file descriptor is attached (`SCM_RIGHTS`) to the bytes of this message, which go out
    /// with one `sendmsg`. After it come the two ends of the listener's relay, if the replica inherited one: the
    /// one into which connections are given, and the one out of which they are taken. The control plane answers
    /// nothing and closes the connection when it has taken the sockets; the replica keeps its own and goes on
    /// serving.
    Listener {
        /// The replica that brings it.
        replica: Name,
        /// The listener.
        listener: Name,
    },
    /// A replica asks for the socket of a listener that a component serves which comes into it: see [`Additions::listeners`].
    ///
    /// It is answered by the same message, to which the sockets are attached as they are to [`Opening::Listener`], or
    /// not at all if the control plane does not have them; then the connection is closed.
    Fetch {
        /// The replica that asks.
        replica: Name,
        /// The listener.
        listener: Name,
    },
    /// The command asks for something, and is answered on this connection.
    Ask(Request),
    /// Something of a later build. Nobody sends it.
    #[serde(other)]
    Unknown,
}

/// What the command asks of a control plane that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// For the status of the application as it is now.
    Status,
    /// For what its replicas have counted.
    Metrics,
    /// For what goes on in it, or went on before.
    Look(Look),
    /// To drain and stop the application. The answer comes when nothing of it runs any more.
    Stop,
    /// To stop the application without draining.
    Kill,
    /// To start replicas anew, one by one. The answer comes when that is over.
    Restart {
        /// Those of this group, or of the one with this component; all if there is none.
        group: Option<Name>,
    },
    /// To have other numbers of replicas. The answer comes when they are reached.
    Scale {
        /// Group, or a component in it → how many.
        groups: BTreeMap<Name, Size>,
        /// To say what it would do, and do nothing.
        #[serde(default)]
        dry_run: bool,
    },
    /// To divide the components into other groups. The answer comes when that is done, or taken back.
    Reshape {
        /// The name of the new topology.
        topology: Name,
        /// Its groups: every component of the application is in exactly one.
        groups: Vec<Group>,
        /// To say what it would do, and do nothing.
        #[serde(default)]
        dry_run: bool,
    },
    /// To roll another build in, replica by replica. The answer comes when that is done, when it waits for
    /// [`Steer::Resume`], or when the old build runs everywhere again.
    Upgrade(Box<Upgrade>),
    /// To steer the upgrade that is under way. The answer comes as with [`Request::Upgrade`]; to a pause
    /// when what has begun is done.
    Steer(Steer),
    /// For something that a later build can do: it is answered with the status. Nobody sends it.
    #[serde(other)]
    Unknown,
}

/// What [`Request::Look`] asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "look", rename_all = "snake_case")]
pub enum Look {
    /// What goes on now.
    Now,
    /// What goes along one edge now, method by method.
    Edge {
        /// The component that calls.
        caller: Name,
        /// The component that is called.
        callee: Name,
    },
    /// How something went in the last minutes, or the last hour.
    Past {
        /// What.
        subject: Subject,
        /// How far back.
        period: Period,
    },
}

/// What [`Request::Upgrade`] asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The binary of the new build, where nobody writes over it.
    pub binary: PathBuf,
    /// Where it was taken from, for people.
    pub source: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The share of the replicas of each group, in percent and at least one, after which it waits for
    /// [`Steer::Resume`].
    #[serde(default)]
    pub canary: Option<u8>,
    /// For how long the first replicas of the new build are watched before others follow, and all of them before the old
    /// build is given up, in milliseconds.
    #[serde(default)]
    pub observe_ms: u64,
    /// To say what it would do, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What can be said to an upgrade that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steer {
    /// To begin no further step.
    Pause,
    /// To go on.
    Resume,
    /// To bring the old build back everywhere.
    Rollback,
    /// Something of a later build. Nobody sends it.
    #[serde(other)]
    Unknown,
}

/// One group of the topology that [`Request::Reshape`] asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: Name,
    /// What runs in it.
    pub components: Vec<Name>,
    /// How many replicas it has, at least 1.
    pub replicas: u32,
    /// Within which bounds that number follows what they bear, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Those of its components of which replicas may be started alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bursts: Vec<Burst>,
}

/// What a replica says to the control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromReplica {
    /// First on every connection: its [`Opening`]. And once more on the same connection if the endpoint of
    /// the bootstrap has port 0: when it is bound, with the port that the system chose.
    Hello(Hello),
    /// A component of the replica changed its state.
    Component {
        /// The component.
        name: Name,
        /// Its new state.
        state: ComponentState,
        /// What its `healthy` said, if it is that which keeps it from being ready; or what its drain had to drop. For people
        /// to read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A component that was told to [`ToReplica::Yield`] has finished its calls; that it has stopped is said next.
    HandedOver {
        /// The component.
        component: Name,
        /// Its state. `None` if it could not be had, or if it has none to hand over.
        state: Option<Handed>,
        /// Why it could not be had, for people to read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lost: Option<String>,
    },
    /// A component that [`ToReplica::Start`] was about cannot start. It counts as stopped, and the replica goes on
    /// without it.
    NotStarted {
        /// The component.
        component: Name,
        /// What went wrong, with its causes, for people to read.
        message: String,
    },
    /// The replica cannot go on and is about to exit.
    Failed {
        /// The component at fault, if it was one.
        component: Option<Name>,
        /// What went wrong, with its causes, for people to read.
        message: String,
    },
    /// A sign of life: the answer to [`ToReplica::Ping`].
    Pong {
        /// The calls under way, of each component that has any.
        #[serde(default)]
        calls: BTreeMap<Name, u64>,
        /// What its process has counted since it began.
        #[serde(default)]
        counters: Counters,
        /// How the calls ended that its process has answered since it began.
        #[serde(default)]
        outcomes: Outcomes,
        /// What it bore since it was last asked for it, if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        load: Option<Load>,
        /// The same for each of its components that the directory has among its `bursts`, without what its process used.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        each: BTreeMap<Name, Load>,
        /// Component → how many calls of it were under way from this process to others on average, in thousandths, if it was
        /// asked what it bears. One that was not called is left out.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        outgoing: BTreeMap<Name, u64>,
    },
    /// What its process has counted since it began, in absolute numbers: after each [`FromReplica::Pong`] if that has
    /// changed, and before it ends.
    Measured {
        /// All of it.
        report: Box<Report>,
    },
    /// Calls that have ended, and are kept as spans of their traces. The first message of each connection on which there will be
    /// any, so that is known of the replica; then it may be empty.
    Spans {
        /// The spans.
        spans: Vec<Span>,
        /// Traces that turned out to be worth keeping only after other processes may have taken a part in them: see
        /// [`ToReplica::Recall`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        wanted: Vec<TraceId>,
        /// How many spans were lost since the last message, because there was no room for them.
        #[serde(default)]
        dropped: u64,
    },
    /// Calls of this component wait, and the directory says that nothing of it runs until it is called. Said once, and once
    /// more on each new connection, for as long as the directory says so.
    Wanted {
        /// The component.
        component: Name,
    },
    /// Something of a later build. Nobody sends it.
    #[serde(other)]
    Unknown,
}

/// How calls ended: those that came from other processes, and the requests of listeners that speak HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcomes {
    /// How many were answered, however.
    #[serde(default)]
    pub answered: u64,
    /// How many of these with an error of the component, with a panic, or with a status of HTTP from 500 on.
    #[serde(default)]
    pub failed: u64,
}

/// What a replica bore, between one question and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// The calls that were under way on average, in thousandths, in the component that had most.
    pub concurrency_millis: u64,
    /// How many calls have ended, or are under way.
    pub calls: u64,
    /// How much of a core its process used on average, in thousandths.
    pub cpu_millis: u64,
    /// 99 of 100 calls that ended took no longer, in microseconds, in the component that took longest; `None` if none
    /// ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<u64>,
    /// Whether it could not look as often as it should: its threads computed, and so it read the calls late that came from
    /// other processes. There may be far more than it has seen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// A replica introduces itself, for the first time or again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`CONTROL_PROTOCOL`] of the replica.
    pub protocol: u32,
    /// The replica's name.
    pub replica: Name,
    /// How often it was started, from 1.
    pub incarnation: u64,
    /// Its process.
    pub pid: u32,
    /// Where it answers; `None` until it was welcomed once.
    pub endpoint: Option<Endpoint>,
    /// The epoch of the directory that it uses; 0 for none.
    pub epoch: u64,
    /// The state of each of its components; empty until it was welcomed once.
    pub components: BTreeMap<Name, ComponentState>,
}

/// The life of a component within its replica: Waiting → Starting → Ready → Draining → Stopped. From Ready it may
/// go to Unhealthy, and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentState {
    /// For a component it is dependent on to be ready somewhere; or, where it is held back, for its [`ToReplica::Grant`].
    Waiting,
    /// Its `start` runs, or its `healthy` has not agreed yet.
    Starting,
    /// It answers calls.
    Ready,
    /// It was ready and answers calls, but its `healthy` says that it is better not called.
    Unhealthy,
    /// It takes no new calls and finishes those it has.
    Draining,
    /// Its `stop` came back.
    Stopped,
}

/// What the control plane says to a replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToReplica {
    /// The answer to a first [`Hello`]; to a later one the answer is [`ToReplica::Directory`].
    Welcome(Box<Bootstrap>),
    /// The directory has changed.
    Directory(Directory),
    /// Prove yourself with this from now on; connections that are open stay as they are.
    Identity(Identity),
    /// Start these components beside those that run, which notice nothing of it. One that the replica has already, and
    /// that has not stopped, stays as it is; one that has stopped begins anew.
    Start(Box<Additions>),
    /// Take `component` out of service: no new calls, finish those in flight, then its `stop`.
    Drain {
        /// The component.
        component: Name,
        /// After this long, in milliseconds, calls still in flight are dropped.
        grace_ms: u64,
        /// Whether what this replica drains is served elsewhere from now on, where the connections are taken that it
        /// passes on. It holds for everything that drains until something else is said.
        #[serde(default)]
        others_stay: bool,
    },
    /// As [`ToReplica::Drain`], for a component of which there is one at a time: what comes after it waits for it. After its
    /// last call it hands its state over, if it can: [`FromReplica::HandedOver`].
    Yield {
        /// The component.
        component: Name,
        /// After this long, in milliseconds, calls still in flight are dropped.
        grace_ms: u64,
    },
    /// A component that was held back may start: there is no other one of it any more. Said twice it means the same.
    Grant {
        /// The component.
        component: Name,
        /// What the one before it has handed over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Handed>,
    },
    /// Drain what still runs, in reverse dependency order, and exit with code 0.
    Stop {
        /// After this long, in milliseconds, calls still in flight are dropped.
        grace_ms: u64,
        /// Whether another replica stays that serves the same listeners, and takes the connections that are passed
        /// on. Said again with `false` if that has changed.
        #[serde(default)]
        others_stay: bool,
    },
    /// Give a sign of life: [`FromReplica::Pong`]. A replica that gives none is taken out of the directory, and
    /// replaced after a while.
    Ping {
        /// To say with it what it bears, from now on until it is asked without.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        measure: bool,
    },
    /// Another replica found that these traces are worth keeping: send what is still known of them, with
    /// [`FromReplica::Spans`]. Only a replica is told that has sent such a message.
    Recall {
        /// The traces.
        traces: Vec<TraceId>,
    },
    /// Send the socket of this listener to the control plane, on a connection of its own that begins with
    /// [`Opening::Listener`].
    HandOver {
        /// The listener.
        listener: Name,
    },
    /// Something of a later build. Nobody sends it.
    #[serde(other)]
    Unknown,
}

/// Everything that a replica must know to begin. It holds secrets, which its `Debug` leaves out.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The application's name.
    pub app: Name,
    /// The group that the replica belongs to.
    pub group: Name,
    /// The components that it runs.
    pub components: Vec<Name>,
    /// Where it has to answer calls; it binds these itself. A control plane gives one, which is its address in the
    /// directory. There may be more where peers reach it by several ways, and none where nobody calls it.
    pub endpoints: Vec<Endpoint>,
    /// The listeners that it serves → the inherited file descriptor of each.
    #[serde(default)]
    pub listeners: BTreeMap<Name, i32>,
    /// The config of each component that has one.
    #[serde(default)]
    pub config: BTreeMap<Name, serde_json::Value>,
    /// What was set for edges out of this replica's components.
    #[serde(default)]
    pub edges: Vec<EdgeSettings>,
    /// Limits of the data plane.
    #[serde(default)]
    pub limits: Limits,
    /// What it tells of itself.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// The directory as it is.
    #[serde(default)]
    pub directory: Directory,
    /// What the replica proves itself with. Over TCP it neither calls nor is called without.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// Component of this replica → the components that are dependent on it: nobody else may call it. Without it, which
    /// only an engine does that knows no graph, every replica of the application may.
    #[serde(default)]
    pub callers: Option<BTreeMap<Name, Vec<Name>>>,
    /// Those of its components that start only when [`ToReplica::Grant`] says so, since another one may still be at work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Name>,
}

impl fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A config may have a password in it, wherever its author put it.
        let configured: Vec<&Name> = self.config.keys().collect();
        f.debug_struct("Bootstrap")
            .field("app", &self.app)
            .field("group", &self.group)
            .field("components", &self.components)
            .field("endpoints", &self.endpoints)
            .field("listeners", &self.listeners)
            .field("config of", &configured)
            .field("edges", &self.edges)
            .field("limits", &self.limits)
            .field("telemetry", &self.telemetry)
            .field("directory", &self.directory)
            .field("identity", &self.identity)
            .field("callers", &self.callers)
            .field("held", &self.held)
            .finish()
    }
}

/// Components for a replica that runs, with all that they need. It holds secrets, which its `Debug` leaves out.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Additions {
    /// The components.
    pub components: Vec<Name>,
    /// The config of each that has one.
    #[serde(default)]
    pub config: BTreeMap<Name, serde_json::Value>,
    /// The listeners that they serve → which of them does. The replica asks for the sockets that it does not have yet with
    /// [`Opening::Fetch`].
    #[serde(default)]
    pub listeners: BTreeMap<Name, Name>,
    /// What was set for edges out of them.
    #[serde(default)]
    pub edges: Vec<EdgeSettings>,
    /// Each of them → the components that are dependent on it; see [`Bootstrap::callers`].
    #[serde(default)]
    pub callers: Option<BTreeMap<Name, Vec<Name>>>,
    /// What the replica proves itself with from now on: that it has these components, too.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// See [`Bootstrap::held`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Name>,
}

impl fmt::Debug for Additions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configured: Vec<&Name> = self.config.keys().collect();
        f.debug_struct("Additions")
            .field("components", &self.components)
            .field("config of", &configured)
            .field("listeners", &self.listeners)
            .field("edges", &self.edges)
            .field("callers", &self.callers)
            .field("identity", &self.identity)
            .field("held", &self.held)
            .finish()
    }
}

/// Encodes a message with its length.
///
/// # Errors
///
/// [`ControlError::TooLong`] if it would pass [`MAX_MESSAGE_BYTES`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, ControlError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > MAX_MESSAGE_BYTES {
        return Err(ControlError::TooLong { length });
    }
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(bytes)
}

/// Takes the bytes of a connection as they come and gives back whole messages.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// Adds bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, or `None` if it is not complete yet.
    ///
    /// # Errors
    ///
    /// A length over [`MAX_MESSAGE_BYTES`], or JSON that is not a `T`; the connection is then of no more use.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, and the caller chooses its type"
    )]
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ControlError> {
        let Some((length, rest)) = self.bytes.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_MESSAGE_BYTES {
            return Err(ControlError::TooLong { length });
        }
        let Some(json) = rest.get(..length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(json)?;
        self.bytes.drain(..4 + length);
        Ok(Some(message))
    }
}

/// Why control messages could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The message is longer than [`MAX_MESSAGE_BYTES`].
    #[error(
        "a control message of {length} bytes is longer than the {MAX_MESSAGE_BYTES} that are allowed"
    )]
    TooLong {
        /// Its length, in bytes.
        length: usize,
    },
    /// The message is not what was expected.
    #[error("a control message cannot be understood")]
    Malformed(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_however_they_were_cut() {
        let sent = [
            ToReplica::Stop {
                grace_ms: 7,
                others_stay: true,
            },
            ToReplica::Directory(Directory::default()),
        ];
        let bytes: Vec<u8> = sent
            .iter()
            .flat_map(|message| encode(message).unwrap())
            .collect();
        let mut decoder = Decoder::default();
        let mut received = Vec::new();
        for byte in bytes {
            decoder.feed(&[byte]);
            received.extend(decoder.next::<ToReplica>().unwrap());
        }
        assert_eq!(received, sent);
    }

    #[test]
    fn a_message_of_a_later_build_disturbs_nothing() {
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Later {
            Resize { to: Vec<u32> },
            Ask(Wish),
        }
        #[derive(Serialize)]
        #[serde(rename_all = "snake_case")]
        enum Wish {
            Rest,
        }
        fn read<T: DeserializeOwned>(message: &Later) -> T {
            let mut decoder = Decoder::default();
            decoder.feed(&encode(message).unwrap());
            decoder.next().unwrap().unwrap()
        }
        let later = Later::Resize { to: vec![1, 2] };
        assert_eq!(read::<ToReplica>(&later), ToReplica::Unknown);
        assert_eq!(read::<FromReplica>(&later), FromReplica::Unknown);
        assert_eq!(read::<Opening>(&later), Opening::Unknown);
        let wish = Later::Ask(Wish::Rest);
        assert_eq!(read::<Opening>(&wish), Opening::Ask(Request::Unknown));
    }

    #[test]
    fn a_hello_opens_a_connection() {
        let hello = FromReplica::Hello(Hello {
            protocol: CONTROL_PROTOCOL,
            replica: Name::new("Cart-1").unwrap(),
            incarnation: 1,
            pid: 7,
            endpoint: None,
            epoch: 0,
            components: BTreeMap::new(),
        });
        let mut decoder = Decoder::default();
        decoder.feed(&encode(&hello).unwrap());
        let opening = decoder.next::<Opening>().unwrap().unwrap();
        assert!(
            matches!((hello, opening), (FromReplica::Hello(sent), Opening::Hello(came)) if sent == came)
        );
    }

    #[test]
    fn what_is_printed_of_a_bootstrap_has_no_secret_in_it() {
        let name = |text| Name::new(text).unwrap();
        let bootstrap = Bootstrap {
            app: name("shop"),
            group: name("Cart"),
            components: vec![name("Cart")],
            endpoints: vec!["tcp:127.0.0.1:0".parse().unwrap()],
            listeners: BTreeMap::new(),
            config: [(name("Cart"), serde_json::json!({"password": "hunter2"}))].into(),
            edges: Vec::new(),
            limits: Limits::default(),
            telemetry: Telemetry::default(),
            directory: Directory::default(),
            identity: Some(Identity {
                certificates: "public".into(),
                key: "hunter2".into(),
                roots: "public".into(),
            }),
            callers: None,
            held: Vec::new(),
        };
        let identity = ToReplica::Identity(bootstrap.identity.clone().unwrap());
        for message in [ToReplica::Welcome(Box::new(bootstrap)), identity] {
            let printed = format!("{message:?} {message:#?}");
            assert!(!printed.contains("hunter2"), "{printed}");
            let json = String::from_utf8(encode(&message).unwrap()[4..].to_vec()).unwrap();
            assert!(json.contains("hunter2"), "but it is sent: {json}");
        }
    }

    #[test]
    fn a_huge_length_is_refused_before_its_bytes_come() {
        let mut decoder = Decoder::default();
        decoder.feed(&u32::MAX.to_be_bytes());
        assert!(matches!(
            decoder.next::<ToReplica>(),
            Err(ControlError::TooLong { .. })
        ));
    }
}
