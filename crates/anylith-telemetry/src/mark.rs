//! What has happened to an application, as marks on the axis of time.

use anylith_core::Name;
use serde::{Deserialize, Serialize};

/// Something that has happened to an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
    /// What kind of thing it is.
    pub kind: MarkKind,
    /// What, in a line for people.
    pub text: String,
    /// The replica or group that it has happened to, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Name>,
}

/// What kind of thing has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A replica has failed, or was killed, and is started again.
    Failure,
    /// Something is wrong that is not over by itself: a crash loop, silence, a component that is not well.
    Problem,
    /// What was wrong is over.
    Recovery,
    /// Replicas were started anew because somebody wanted it.
    Restart,
    /// Their number has changed.
    Scale,
    /// The components were divided into other groups.
    Reshape,
    /// Another build was rolled in.
    Upgrade,
    /// One of a later version.
    #[serde(other)]
    Other,
}
