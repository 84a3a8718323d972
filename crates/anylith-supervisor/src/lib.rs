//! Drives the control plane on this machine: starts, watches, restarts and replaces processes.
//!
//! Begin at [`Launch::start`]; what comes back is a [`Supervisor`]. Everything that decides is in
//! `anylith-control`; here are the processes, the sockets, the clock and the files.
//!
//! A supervisor that is killed leaves its replicas serving. The next one with the same launch adopts them:
//! `state.json` in the [`RunFolder`] says which processes they are, they connect by themselves, and hand over
//! the sockets of the listeners.
//!
//! [`ask`] is the other side of the control socket, for the command. [`LogReader`] brings the logs of all
//! replicas together.

mod answer;
mod askers;
mod builds;
mod collector;
mod connection;
mod difference;
mod elsewhere;
mod engine;
mod herald;
mod identities;
mod launch;
mod ledger;
mod listener_socket;
mod listeners;
mod lock;
mod log_file;
mod log_filter;
mod log_line;
mod log_reader;
mod marks;
mod measures;
mod otlp;
mod process;
mod processes;
mod record;
mod remains;
mod renewals;
mod report;
mod run_folder;
mod slots;
mod stray;
mod supervisor;
mod switchboard;
mod told;
mod trace_reader;
mod trace_store;

pub use answer::{Answer, AskError, Overview, Seen, ask};
pub use anylith_control::{
    Becomes, CRASH_LOOP, Cause, Change, Exit, Failure, GroupChange, GroupSpec, GroupStatus,
    GroupUpgrade, Note, Notice, Processes, ReplicaState, ReplicaStatus, ReshapePlan, ScaleSteps,
    ScalingStatus, Spec, Status, Timing, Underway, UpgradePlan, UpgradeStage,
};
pub use anylith_wire::control::{ENV_CONTROL, ENV_ROLE, Group, Look, Request, Steer, Upgrade};
pub use builds::{KeepError, NewBuild, WayBack};
pub use collector::{Collection, TRACES_BYTES};
pub use elsewhere::Elsewhere;
pub use launch::{Launch, StartError, living_replicas, other_build_left, stop_orphans, what_runs};
pub use listener_socket::BindError;
pub use log_filter::{LogFilter, group_of};
pub use log_line::{Level, LogLine};
pub use log_reader::LogReader;
pub use otlp::{OtlpTarget, WrongTarget};
pub use record::Program;
pub use report::Report;
pub use run_folder::RunFolder;
pub use supervisor::{Progress, Retiring, Supervisor, SupervisorLost};
pub use told::{Outcome, ToldReshape, ToldStatus};
pub use trace_reader::{FoundTraces, TraceReader};
