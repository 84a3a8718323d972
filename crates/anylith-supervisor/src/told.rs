//! What scripts are told, whichever way they ask.

use anylith_control::{ReshapePlan, Status};
use serde::Serialize;

use crate::answer::Overview;

/// The status as scripts get it.
#[derive(Debug, Serialize)]
pub struct ToldStatus<'a> {
    /// How things are.
    #[serde(flatten)]
    pub status: &'a Status,
    /// What the supervisor cannot do itself now.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub troubles: &'a [String],
}

impl<'a> From<&'a Overview> for ToldStatus<'a> {
    fn from(overview: &'a Overview) -> Self {
        Self {
            status: &overview.status,
            troubles: &overview.troubles,
        }
    }
}

/// A reshape as scripts get it: the plan, and what has become of it.
#[derive(Debug, Serialize)]
pub struct ToldReshape<'p> {
    /// What was to be done.
    #[serde(flatten)]
    pub plan: &'p ReshapePlan,
    /// What has become of it.
    pub outcome: Outcome,
    /// Why it was taken back, or could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What drains had to leave undone, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// What has become of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was to be said only.
    Planned,
    /// It has begun.
    Begun,
    /// All is as it was asked for, and nothing as it was before.
    Done,
    /// It was not made, or taken back.
    Failed,
}
