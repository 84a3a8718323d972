//! Dependency graph and `anylith.toml` in; a plan, or every reason why not, out.
//!
//! This crate only computes. It knows no clock, disk, socket, process or environment: text comes in with
//! the name it has in messages, and secrets are asked of the caller. So a dry run, the supervisor, a
//! replica without a control plane and a test all get the same plan.
//!
//! Start at [`Settings::read`], then [`Settings::check`] and [`Settings::plan`]: each goes on where the one before has
//! found something wrong, so that all of it is said at once. [`Graph`] is the order of things, [`draw`] its pictures.

mod burst;
mod check;
mod complaint;
mod config;
pub mod draw;
mod graph;
mod hosts;
mod nearest;
mod overrides;
mod plan;
mod problem;
mod quantity;
mod replicas;
mod secrets;
mod settings;
mod singleton;
mod source;
mod topology_file;
mod tree;

pub use graph::Graph;
pub use hosts::{HostPlan, Hosts, PlacedReplica, Placement};
pub use nearest::suggest;
pub use overrides::Overrides;
pub use plan::{BUILT_IN, GroupPlan, MICRO, MONOLITH, Plan};
pub use problem::{Excerpt, Place, Problem, Problems};
pub use replicas::{MAX_REPLICAS, ReplicaChange, read_size};
pub use secrets::{Secrets, Unread};
pub use settings::{AppSettings, Collection, Dashboard, Reading, Settings, Transport};
pub use topology_file::TopologyFile;
