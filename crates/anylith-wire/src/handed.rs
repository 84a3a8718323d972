//! The state that a component hands over to the one that takes its place.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// The longest state that a component can hand over, in bytes of JSON. Written into a message it may be twice as long.
pub const MAX_STATE_BYTES: usize = 4 * 1024 * 1024;

/// What a component gets to hand its state over.
pub const HAND_OVER: Duration = Duration::from_secs(5);

/// What a component gets to stop once its calls are over, if its grace has run out on them.
pub const SHUT_DOWN: Duration = Duration::from_secs(1);

/// What a component of which there is one at a time gets on top of its grace, where another one waits for it: to drop the
/// calls that are left, to hand its state over, and to stop.
pub const SUCCESSION: Duration =
    Duration::from_secs(SHUT_DOWN.as_secs() + HAND_OVER.as_secs() + SHUT_DOWN.as_secs());

/// The state of a component, as JSON: builds that differ a little understand each other. What is in it is the
/// application's own, so its `Debug` says only how long it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handed(pub String);

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handed({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_of_a_state_has_nothing_of_it_in_it() {
        let printed = format!("{:?}", Handed("\"hunter2\"".to_owned()));
        assert_eq!(printed, "Handed(9 bytes)");
    }
}
