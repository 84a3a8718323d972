//! Room in `state.json` for what is about to be changed.

use anylith_control::Refused;
use anylith_wire::control::MAX_STATE_BYTES;

use super::Engine;
use crate::ledger::REPLICA_BYTES;

/// What a change takes in it beside replicas: names of groups, of builds and where they are kept, interfaces. For each
/// component.
const COMPONENT_BYTES: u64 = 1 << 10;

impl Engine {
    /// A change that is `allowed`, once there is room to write down all that it may bring: so many replicas, each component in
    /// another group, and what components hand over.
    pub(super) fn with_room(
        &mut self,
        allowed: Result<(), Refused>,
        replicas: u64,
    ) -> Result<(), Refused> {
        allowed?;
        let spec = self.plane.spec();
        let singletons = spec.singletons.values();
        let handing = singletons.filter(|singleton| singleton.hands_over).count() as u64;
        // It is text within text, where each character may take two.
        let states = handing * 2 * MAX_STATE_BYTES as u64;
        let components = spec.dependencies.len() as u64;
        let more = replicas * REPLICA_BYTES + components * COMPONENT_BYTES + states;
        self.ledger
            .make_room(more)
            .map_err(|lacks| Refused::Unkept {
                what: lacks.to_string(),
                mend: format!(
                    "nothing was changed; make room on that disk, {} KiB, and ask again",
                    lacks.bytes.div_ceil(1024)
                ),
            })
    }
}
