//! The control plane as a machine: what is wanted and what was seen in, actions and a directory out.
//!
//! Feed [`ControlPlane::on`] an [`Event`] and carry out the [`Action`]s that come back; look at
//! [`ControlPlane::next_tick`] for when it wants to be woken without one. It knows no socket, clock, disk or
//! process, so every fault that a deployment can have is a test without any. `anylith-supervisor` drives it
//! on this machine.
//!
//! - [`Spec`]: what should be. [`Status`]: what was last seen.
//! - [`StaticPlan`]: what replicas are told where no control plane runs, as files.
//! - [`Memory`]: what must outlive the control plane, so that the next one takes over what runs.

mod action;
mod autoscale;
mod defect;
mod drain;
mod endpoint;
mod event;
mod fate;
mod homes;
mod input;
mod life;
mod listener;
mod memory;
#[cfg(test)]
mod model;
mod note;
mod plane;
mod pulse;
mod readiness;
mod refused;
mod replica;
mod reshape;
mod roll;
mod run;
mod scale;
mod seats;
mod spec;
mod static_plan;
mod status;
mod timing;
mod upgrade;
mod view;

pub use action::{Action, Cause, Change, Failure, Notice};
pub use autoscale::{Autoscaler, Burden, Verdict};
pub use event::{Event, Exit};
pub use fate::Fate;
pub use memory::{Extra, Holder, Interrupted, Memory, Remembered, Seat};
pub use plane::ControlPlane;
pub use refused::Refused;
pub use replica::CRASH_LOOP;
pub use reshape::{
    footprint::MemoryUse,
    plan::{Becomes, GroupChange, Processes, ReshapePlan},
};
pub use scale::steps::ScaleSteps;
pub use spec::{GroupSpec, Spec};
pub use static_plan::{IDENTITY_FILES, StaticHost, StaticPlan, StaticReplica, StaticSettings};
pub use status::{
    GroupStatus, Note, ReplicaState, ReplicaStatus, ScalingStatus, Status, Underway, UpgradeStage,
};
pub use timing::Timing;
pub use upgrade::{
    Rollout, Setback,
    plan::{GroupUpgrade, UpgradePlan},
};
