//! Components of which there is one at a time, as the control plane carries out what their seats ask for.

use std::time::Instant;

use anylith_core::Name;
use anylith_wire::control::Handed;

use super::{ControlPlane, Phase};
use crate::{action::Action, input::Input};

impl ControlPlane {
    /// Sees who has what of which there is one, after an event.
    pub(super) fn look_at_seats(&mut self) {
        self.seats.look(&self.replicas);
        self.seats.tell_apart(&self.spec, &mut self.replicas);
    }

    /// A component hands its state over to the one that takes its place.
    pub(super) fn handed_over(
        &mut self,
        replica: &Name,
        component: &Name,
        handed: (Option<Handed>, Option<String>),
    ) {
        if let Some(replica) = self.replicas.get(replica) {
            self.seats.handed_over(replica, component, handed);
        }
    }

    /// Has those make room that are to go; returns what to tell them once the directory says so.
    pub(super) fn make_room(&mut self, now: Instant) -> Vec<Action> {
        // Until all have been heard of, nobody knows who else is there.
        if !matches!(self.phase, Phase::Running(_)) {
            return Vec::new();
        }
        let mut asks = Vec::new();
        for (replica, component) in self.seats.make_room(&self.spec, &self.replicas) {
            self.tell(&replica, Input::Yield { component }, now, &mut asks);
        }
        self.seats.tell_apart(&self.spec, &mut self.replicas);
        asks
    }

    /// Lets those begin whose turn it is.
    pub(super) fn grant_seats(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Running(_)) {
            let (spec, timing) = (&self.spec, &self.timing);
            let revived = self
                .seats
                .revive(spec, &self.replicas, timing, now, actions);
            for (replica, component) in revived {
                self.tell(&replica, Input::Revive { component }, now, actions);
            }
            actions.extend(self.seats.grant(&self.spec, &self.replicas));
            self.seats.tell_apart(&self.spec, &mut self.replicas);
        }
    }

    /// Those of `components` of which there is one at a time: a replica is to wait with them.
    pub(super) fn held_back(&self, components: &[Name]) -> Vec<Name> {
        let components = components.iter();
        let held = components.filter(|component| self.spec.singletons.contains_key(*component));
        held.cloned().collect()
    }
}
