//! What is to become of a replica, beside what happens to it.

use serde::{Deserialize, Serialize};

/// What is to become of a replica.
///
/// It outlives the control plane: whoever takes over goes on with what was begun, so that no replica is kept that
/// nobody wants, and none is killed that only drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It runs, and is started again if it fails.
    #[default]
    Stays,
    /// It runs beside the others of its group while those are started anew, and leaves when all of them are ready.
    StandsIn,
    /// It is drained, and then started anew.
    Renewed,
    /// It is drained, and then forgotten.
    Leaves,
}

impl Fate {
    /// Whether its process is to end.
    pub(crate) fn ends_it(self) -> bool {
        match self {
            Self::Stays | Self::StandsIn => false,
            Self::Renewed | Self::Leaves => true,
        }
    }
}

/// Why a replica is to stop, if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is not.
    No,
    /// It goes alone, and others take its calls.
    Alone,
    /// The whole application is being stopped.
    All,
}
